/* SPDX-License-Identifier: BSD-3-Clause */
/* Setuid and setgid bits: who loses them by what, compared with what the host's kernel does. */
#include "tests/unit/fs_client.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include "fuse/killpriv.h"

#define USER  1234u
#define GROUP 1235u

static const struct fs_features kills = {.killpriv_v2 = true};
static const struct fs_features leaves = {.killpriv_v2 = false};

static int setup_kills(void **state)
{
	*state = client_with(FS_CACHE_AUTO, &kills, 0);
	return 0;
}

static int setup_leaves(void **state)
{
	*state = client_with(FS_CACHE_AUTO, &leaves, 0);
	return 0;
}

/* "f" with this mode and group, open for both; the caller is USER of group `gid`. */
static uint64_t begin(struct client *c, uint32_t gid, mode_t mode, struct fuse_open_out *file)
{
	uint64_t node;

	if (getuid() != 0)
		skip();
	host_write(c, "f", "0123456789");
	assert_int_equal(chown(host(c, "f"), USER, GROUP), 0);
	assert_int_equal(chmod(host(c, "f"), mode), 0);
	c->uid = USER;
	c->gid = gid;
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, file), 0);
	return node;
}

static mode_t mode_now(struct client *c)
{
	return host_stat(c, "f").st_mode & 07777;
}

static void again(struct client *c, mode_t mode)
{
	assert_int_equal(chmod(host(c, "f"), mode), 0);
}

static void write_killing(struct client *c, uint64_t node, uint64_t fh)
{
	struct {
		struct fuse_write_in in;
		char data[4];
	} args = {.in = {.fh = fh, .size = 4, .write_flags = FUSE_WRITE_KILL_SUIDGID}};

	assert_int_equal(ask(c, FUSE_WRITE, node, &args, sizeof(args), NULL, NULL), 0);
}

/* Setgid without group execution is kept by who is in the file's group. */
static void test_group(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in owner = {.valid = FATTR_GID, .gid = GROUP};
	struct fuse_setattr_in size = {.valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 5};
	struct fuse_open_out file;
	uint64_t node = begin(c, GROUP, 06644, &file);

	write_killing(c, node, file.fh);
	assert_int_equal(mode_now(c), 02644);
	assert_int_equal(do_setattr(c, node, &size), 0);
	assert_int_equal(mode_now(c), 02644);
	assert_int_equal(do_setattr(c, node, &owner), 0);
	assert_int_equal(mode_now(c), 02644);
	again(c, 06755);
	write_killing(c, node, file.fh);
	assert_int_equal(mode_now(c), 0755);

	c->gid = GROUP + 1;
	again(c, 06644);
	write_killing(c, node, file.fh);
	assert_int_equal(mode_now(c), 0644);
	again(c, 06644);
	size.size = 4;
	assert_int_equal(do_setattr(c, node, &size), 0);
	assert_int_equal(mode_now(c), 0644);
	again(c, 06644);
	assert_int_equal(do_setattr(c, node, &owner), 0);
	assert_int_equal(mode_now(c), 0644);

	/* The gateway's own rights are back: root keeps them. */
	again(c, 06644);
	assert_int_equal(do_write(c, node, file.fh, 0, "ab", 2), 2);
	assert_int_equal(mode_now(c), 06644);
	assert_int_equal(getegid(), 0);
}

/* Neither request says who means it: the guest's root keeps the bits. */
static void test_allocate_and_copy(void **state)
{
	struct client *c = *state;
	struct fuse_fallocate_in allocate = {.length = 100};
	struct fuse_copy_file_range_in copy = {.off_out = 20, .len = 4};
	struct fuse_open_out file;
	uint64_t node = begin(c, GROUP, 06755, &file);

	allocate.fh = copy.fh_in = copy.fh_out = file.fh;
	copy.nodeid_out = node;
	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &allocate, sizeof(allocate), NULL, NULL), 0);
	assert_int_equal(mode_now(c), 0755);
	again(c, 06755);
	assert_int_equal(ask(c, FUSE_COPY_FILE_RANGE, node, &copy, sizeof(copy), NULL, NULL), 0);
	assert_int_equal(mode_now(c), 0755);

	c->uid = c->gid = 0;
	again(c, 06755);
	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &allocate, sizeof(allocate), NULL, NULL), 0);
	assert_int_equal(ask(c, FUSE_COPY_FILE_RANGE, node, &copy, sizeof(copy), NULL, NULL), 0);
	assert_int_equal(mode_now(c), 06755);

	/* One who does not say who it is (FUSE_ALLOW_IDMAP) may be anybody. */
	c->uid = c->gid = (uint32_t)-1;
	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &allocate, sizeof(allocate), NULL, NULL), 0);
	assert_int_equal(mode_now(c), 0755);
}

/* Where the guest clears the bits, it does not do so for an open that truncates. */
static void test_open_truncates(void **state)
{
	struct client *c = *state;
	struct fuse_open_out file;
	uint64_t node = begin(c, GROUP, 06755, &file);

	write_killing(c, node, file.fh);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &file), 0);
	again(c, 06755);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR | O_TRUNC, &file), 0);
	assert_int_equal(mode_now(c), 0755);
	c->uid = c->gid = 0;
	again(c, 06755);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR | O_TRUNC, &file), 0);
	assert_int_equal(mode_now(c), 06755);
	c->uid = c->gid = (uint32_t)-1;
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR | O_TRUNC, &file), 0);
	assert_int_equal(mode_now(c), 06755);
}

/* Does this move the modification time? */
static bool moves(struct client *c, uint64_t node, const struct fuse_setattr_in *in)
{
	const struct timespec old[2] = {{1000, 0}, {1000, 0}};

	assert_int_equal(utimensat(AT_FDCWD, host(c, "f"), old, 0), 0);
	if (in)
		assert_int_equal(do_setattr(c, node, in), 0);
	else
		assert_int_equal(truncate(host(c, "f"), 10), 0);
	return host_stat(c, "f").st_mtim.tv_sec != 1000;
}

static void test_truncate_to_the_same(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 10};
	struct fuse_open_out file;
	uint64_t node = begin(c, GROUP, 0644, &file);

	assert_true(moves(c, node, &in) == moves(c, node, NULL));
	in.valid |= FATTR_FH;
	in.fh = file.fh;
	assert_true(moves(c, node, &in));
}

/* What the front-end writes. */
static void test_bits(void **state)
{
	const struct vfs_cap_data none = {.magic_etc = VFS_CAP_REVISION_2};
	struct client *c = *state;
	struct fuse_open_out file;
	int fd;

	begin(c, GROUP, 06755, &file);
	fd = open(host(c, "f"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (fsetxattr(fd, "security.capability", &none, sizeof(none), 0) < 0) {
		close(fd);
		skip();
	}
	assert_int_equal(fs_kill_bits(fd, false), 0);
	assert_int_equal(fgetxattr(fd, "security.capability", NULL, 0), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(mode_now(c), 06755);
	assert_int_equal(fs_kill_bits(fd, true), 0);
	assert_int_equal(mode_now(c), 0755);
	close(fd);
}

#define TEST_WITH(name, setup)                                                                     \
	cmocka_unit_test_setup_teardown(name, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(test_group, setup_kills),
		TEST_WITH(test_allocate_and_copy, setup_kills),
		TEST_WITH(test_open_truncates, setup_leaves),
		TEST_WITH(test_truncate_to_the_same, setup_kills),
		TEST_WITH(test_bits, setup_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
