/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding inodes again whose fds were evicted: with file handles, and (the right to open them taken
 * away) by parent and name. Few fds are allowed, so that every way is gone.
 */
#include "tests/unit/fs_client.h"

#define FEW   24
#define DIRS  12
#define FILES 40

/* By name: as for a gateway that is not root, or a file system without file handles. */
static int setup_names(void **state)
{
	if (getuid() == 0)
		assert_true(set_cap(CAP_DAC_READ_SEARCH, false));
	*state = client_new(FS_CACHE_AUTO, false, FEW);
	return 0;
}

static int setup_handles(void **state)
{
	*state = client_new(FS_CACHE_AUTO, false, FEW);
	return 0;
}

static int teardown(void **state)
{
	client_free(*state);
	if (getuid() == 0)
		set_cap(CAP_DAC_READ_SEARCH, true);
	return 0;
}

struct forest {
	uint64_t dir[DIRS], file[DIRS][FILES];
};

static struct forest plant(struct client *c)
{
	struct forest t;
	char name[64];

	for (int i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "dir%d", i);
		assert_int_equal(mkdir(host(c, name), 0755), 0);
		t.dir[i] = node_of(c, ROOT, name);
		for (int j = 0; j < FILES; j++) {
			snprintf(name, sizeof(name), "dir%d/file%d", i, j);
			host_write(c, name, name);
			snprintf(name, sizeof(name), "file%d", j);
			t.file[i][j] = node_of(c, t.dir[i], name);
		}
	}
	return t;
}

static void assert_is(struct client *c, uint64_t node, const char *path)
{
	struct stat st = host_stat(c, path);
	struct fuse_attr attr;

	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_same_attr(&attr, &st);
}

static void test_all_come_back(void **state)
{
	struct client *c = *state;
	int fds = count_fds();
	struct forest t = plant(c);
	char name[64];

	for (int round = 0; round < 2; round++) {
		for (int j = 0; j < FILES; j++) {
			for (int i = 0; i < DIRS; i++) {
				snprintf(name, sizeof(name), "dir%d/file%d", i, j);
				assert_is(c, t.file[i][j], name);
			}
		}
	}
	assert_true(count_fds() - fds <= FEW);
}

/* As many open files as there are fds for them: then ENFILE, and everything else goes on. */
static void test_open_files_are_bounded(void **state)
{
	struct client *c = *state;
	struct forest t = plant(c);
	struct fuse_open_out out[FEW];
	struct fuse_attr attr;
	int n, r = 0;

	for (n = 0; n < FEW; n++) {
		r = do_open(c, FUSE_OPEN, t.file[0][n], O_RDONLY, &out[n]);
		if (r < 0)
			break;
	}
	assert_int_equal(r, -ENFILE);
	assert_true(n >= FEW / 2);
	assert_int_equal(do_getattr(c, t.file[5][5], &attr), 0);
	assert_int_equal(do_read(c, t.file[0][0], out[0].fh, 0, 100), (int)strlen("dir0/file0"));
	assert_int_equal(do_release(c, FUSE_RELEASE, t.file[0][0], out[0].fh), 0);
	assert_int_equal(do_open(c, FUSE_OPEN, t.file[0][0], O_RDONLY, &out[0]), 0);
}

static void test_guest_renames(void **state)
{
	struct client *c = *state;
	struct forest t = plant(c);

	/* Directories too: what is below them comes along. */
	assert_int_equal(do_rename(c, t.dir[0], "file1", t.dir[1], "moved", 0), 0);
	assert_int_equal(do_rename(c, ROOT, "dir2", t.dir[1], "sub", 0), 0);
	assert_int_equal(do_rename(c, ROOT, "dir3", ROOT, "dir4", RENAME_EXCHANGE), 0);
	for (int i = 5; i < DIRS; i++)
		for (int j = 0; j < FILES; j++)
			assert_int_equal(
				node_of(c, t.dir[i],
					(char[]){'f', 'i', 'l', 'e', (char)('0' + j % 10), 0}),
				t.file[i][j % 10]);
	assert_is(c, t.file[0][1], "dir1/moved");
	assert_is(c, t.dir[2], "dir1/sub");
	assert_is(c, t.file[2][7], "dir1/sub/file7");
	assert_is(c, t.file[3][7], "dir4/file7");
	assert_is(c, t.file[4][7], "dir3/file7");
}

/* Uses up all the fds that the cache may have. */
static void churn(struct client *c, const struct forest *t)
{
	struct fuse_attr attr;

	for (int j = 0; j < FILES; j++)
		assert_int_equal(do_getattr(c, t->file[DIRS - 1][j], &attr), 0);
}

static void test_host_changes(void **state)
{
	struct client *c = *state;
	struct forest t = plant(c);
	struct fuse_attr attr;
	struct stat st;
	int r;

	churn(c, &t);
	/* Gone, replaced, and moved: never another file's attributes under the old nodeid. */
	assert_int_equal(unlink(host(c, "dir0/file0")), 0);
	assert_int_equal(do_getattr(c, t.file[0][0], &attr), -ESTALE);
	assert_int_equal(unlink(host(c, "dir0/file1")), 0);
	host_write(c, "dir0/file1", "another");
	assert_int_equal(do_getattr(c, t.file[0][1], &attr), -ESTALE);
	assert_int_not_equal(node_of(c, t.dir[0], "file1"), t.file[0][1]);
	st = host_stat(c, "dir0/file2");
	assert_int_equal(rename(host(c, "dir0/file2"), host(c, "dir1/elsewhere")), 0);
	r = do_getattr(c, t.file[0][2], &attr);
	assert_true(r == -ESTALE || (r == 0 && attr.ino == st.st_ino));
	/* Found again under its new name, it is the same inode. */
	assert_int_equal(node_of(c, t.dir[1], "elsewhere"), t.file[0][2]);
	churn(c, &t);
	assert_is(c, t.file[0][2], "dir1/elsewhere");
	/* A symbolic link in the place of a directory leads nowhere. */
	assert_int_equal(rename(host(c, "dir2"), host(c, "dir2.old")), 0);
	assert_int_equal(symlink("dir2.old", host(c, "dir2")), 0);
	churn(c, &t);
	r = do_getattr(c, t.file[2][3], &attr);
	assert_true(r == -ESTALE || r == 0);
	if (r == 0)
		assert_int_equal(attr.ino, host_stat(c, "dir2.old/file3").st_ino);
}

/* An open directory is where it is: what is below it is found from there. */
static void test_moved_while_open(void **state)
{
	struct client *c = *state;
	struct forest t = plant(c);
	struct fuse_open_out out;
	struct fuse_attr attr;

	assert_int_equal(do_open(c, FUSE_OPENDIR, t.dir[0], 0, &out), 0);
	assert_int_equal(rename(host(c, "dir0"), host(c, "dir1/moved")), 0);
	for (int j = 0; j < FILES; j++) {
		char name[32];

		churn(c, &t);
		snprintf(name, sizeof(name), "dir1/moved/file%d", j);
		assert_is(c, t.file[0][j], name);
	}
	assert_int_equal(do_release(c, FUSE_RELEASEDIR, t.dir[0], out.fh), 0);
	churn(c, &t);
	/* Nothing but a name is left, by which there is none; or a file handle. */
	if (do_getattr(c, t.file[0][0], &attr) == 0)
		assert_int_equal(attr.ino, host_stat(c, "dir1/moved/file0").st_ino);
}

/* The host turns the tree upside down: parents must not become their own descendants. */
static void test_no_cycles(void **state)
{
	struct client *c = *state;
	struct fuse_attr attr;
	uint64_t a, b;

	assert_int_equal(mkdir(host(c, "a"), 0755), 0);
	assert_int_equal(mkdir(host(c, "a/b"), 0755), 0);
	a = node_of(c, ROOT, "a");
	b = node_of(c, a, "b");
	assert_int_equal(rename(host(c, "a/b"), host(c, "b")), 0);
	assert_int_equal(rename(host(c, "a"), host(c, "b/a")), 0);
	assert_int_equal(node_of(c, b, "a"), a);
	assert_int_equal(do_getattr(c, a, &attr), 0);
	assert_int_equal(node_of(c, ROOT, "b"), b);
	assert_int_equal(node_of(c, b, "a"), a);
	assert_is(c, a, "b/a");
	do_forget(c, a, 3);
	do_forget(c, b, 2);
	assert_int_equal(do_getattr(c, a, &attr), -ESTALE);
	assert_int_equal(do_getattr(c, b, &attr), -ESTALE);
}

/* Unlinked by the guest and forgotten by nobody: kept, open or not. */
static void test_unlinked(void **state)
{
	struct client *c = *state;
	struct forest t = plant(c);
	struct fuse_open_out out;
	struct fuse_attr attr;
	int fds;

	assert_int_equal(do_open(c, FUSE_OPEN, t.file[0][0], O_RDWR, &out), 0);
	assert_int_equal(ask(c, FUSE_UNLINK, t.dir[0], NULL, 0, "file0", NULL), 0);
	assert_int_equal(ask(c, FUSE_UNLINK, t.dir[0], NULL, 0, "file1", NULL), 0);
	/* Unlinked on the host while it is open here: the open file leads to it. */
	assert_int_equal(do_open(c, FUSE_OPEN, t.file[0][2], O_RDWR, &out), 0);
	assert_int_equal(unlink(host(c, "dir0/file2")), 0);
	churn(c, &t);
	fds = count_fds();
	for (int j = 0; j < 3; j++) {
		assert_int_equal(do_getattr(c, t.file[0][j], &attr), 0);
		assert_int_equal(attr.nlink, 0);
		assert_int_equal(attr.size, strlen("dir0/file0"));
	}
	churn(c, &t);
	assert_int_equal(count_fds(), fds);
	do_forget(c, t.file[0][1], 1);
	assert_int_equal(do_getattr(c, t.file[0][1], &attr), -ESTALE);
	assert_int_equal(count_fds(), fds - 1);
	/* One of two names: the other still leads there once it was looked up. */
	assert_int_equal(link(host(c, "dir0/file5"), host(c, "dir1/second")), 0);
	assert_int_equal(ask(c, FUSE_UNLINK, t.dir[0], NULL, 0, "file5", NULL), 0);
	churn(c, &t);
	assert_int_equal(do_getattr(c, t.file[0][5], &attr), 0);
	assert_int_equal(attr.nlink, 1);
	/* And many of them: more than there are fds. No crash, no fd too many, the rest works. */
	for (int j = 6; j < FILES; j++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", j);
		assert_int_equal(ask(c, FUSE_UNLINK, t.dir[0], NULL, 0, name, NULL), 0);
	}
	churn(c, &t);
	assert_is(c, t.file[3][3], "dir3/file3");
}

/* Far deeper than one path is long. */
static void test_deep(void **state)
{
	enum { DEPTH = 45 };
	struct client *c = *state;
	struct fuse_entry_out out;
	struct fuse_attr attr;
	struct forest t = plant(c);
	uint64_t node[DEPTH], at = ROOT;
	uint64_t ino[DEPTH];
	char name[201];

	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(do_mkdir(c, at, name, 0755, &out), 0);
		at = node[i] = out.nodeid;
		ino[i] = out.attr.ino;
	}
	churn(c, &t);
	for (int i = DEPTH - 1; i >= 0; i--) {
		assert_int_equal(do_getattr(c, node[i], &attr), 0);
		assert_int_equal(attr.ino, ino[i]);
		churn(c, &t);
	}
	/* nftw() of the fixture cannot reach that deep. */
	for (int i = DEPTH - 1; i >= 0; i--)
		assert_int_equal(
			ask(c, FUSE_RMDIR, i ? node[i - 1] : ROOT, NULL, 0, name, NULL), 0);
}

#define IN(mode, t) cmocka_unit_test_setup_teardown(t, setup_##mode, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN(handles, test_all_come_back),
		IN(handles, test_open_files_are_bounded),
		IN(handles, test_guest_renames),
		IN(handles, test_host_changes),
		IN(handles, test_moved_while_open),
		IN(handles, test_no_cycles),
		IN(handles, test_unlinked),
		IN(handles, test_deep),
		IN(names, test_all_come_back),
		IN(names, test_open_files_are_bounded),
		IN(names, test_guest_renames),
		IN(names, test_host_changes),
		IN(names, test_moved_while_open),
		IN(names, test_no_cycles),
		IN(names, test_unlinked),
		IN(names, test_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
