/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a replaced one has passed its inode number and its time of birth on to: what the
 * worst file system would do, on a host whose clock ticks. Both are set here, whatever the
 * temporary directory's file system says; only the file handles tell. Or there are none, as on
 * overlayfs: then it depends on that file system whether numbers are used again.
 */
#include "tests/unit/fs_client.h"

#include <time.h>

#include "fuse/volume.h"
#include "fuse/walk.h"

#define INO 4711

static struct timespec birth;
static unsigned int handles_asked;
static bool no_handles;

int __real_fs_stat_at(int dirfd, const char *name, struct statx *stx);
int __wrap_fs_stat_at(int dirfd, const char *name, struct statx *stx);
struct file_handle *__real_fs_fhandle_new(int dirfd, const char *name);
struct file_handle *__wrap_fs_fhandle_new(int dirfd, const char *name);

int __wrap_fs_stat_at(int dirfd, const char *name, struct statx *stx)
{
	int r = __real_fs_stat_at(dirfd, name, stx);

	if (r < 0 || !S_ISREG(stx->stx_mode))
		return r;
	if (!no_handles)
		stx->stx_ino = INO;
	stx->stx_mask |= STATX_BTIME;
	stx->stx_btime.tv_sec = birth.tv_sec;
	stx->stx_btime.tv_nsec = (uint32_t)birth.tv_nsec;
	return 0;
}

struct file_handle *__wrap_fs_fhandle_new(int dirfd, const char *name)
{
	handles_asked++;
	if (no_handles)
		return NULL;
	return __real_fs_fhandle_new(dirfd, name);
}

static struct client *with(enum fs_handle_use use)
{
	struct client *c = client_new(FS_CACHE_AUTO, false, 0);
	struct file_handle *probe = __real_fs_fhandle_new(AT_FDCWD, c->f->dir);

	no_handles = false;
	if (!probe) {
		client_free(c);
		skip();
	}
	free(probe);
	fs_free(c->f->fs);
	c->f->config.file_handles = use;
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	assert_int_equal(do_init(c->f), 0);
	return c;
}

static int setup_handles(void **state)
{
	*state = with(FS_HANDLES_PREFER);
	return 0;
}

static int setup_never(void **state)
{
	*state = with(FS_HANDLES_NEVER);
	return 0;
}

/* As nobody: handles may be asked for, not opened. */
static int setup_names(void **state)
{
	if (getuid() == 0)
		assert_true(set_cap(CAP_DAC_READ_SEARCH, false));
	*state = with(FS_HANDLES_PREFER);
	return 0;
}

static int teardown(void **state)
{
	client_free(*state);
	if (getuid() == 0)
		set_cap(CAP_DAC_READ_SEARCH, true);
	return 0;
}

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void write_all(struct client *c, uint64_t node, uint64_t fh, const char *text)
{
	assert_int_equal(
		do_write(c, node, fh, 0, text, (uint32_t)strlen(text)), (int)strlen(text));
	assert_int_equal(do_release(c, FUSE_RELEASE, node, fh), 0);
}

/* A file that the guest made and closed: no fd holds on to it. */
static uint64_t made(struct client *c, const char *name, const char *text)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	clock_gettime(CLOCK_REALTIME, &birth);
	assert_int_equal(do_create(c, ROOT, name, O_RDWR, 0644, &entry, &open), 0);
	assert_true(no_handles || entry.attr.ino == INO);
	write_all(c, entry.nodeid, open.fh, text);
	return entry.nodeid;
}

static void expect_text(struct client *c, uint64_t node, const char *text)
{
	struct fuse_open_out open;

	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &open), 0);
	assert_int_equal(do_read(c, node, open.fh, 0, 100), (int)strlen(text));
	assert_memory_equal(c->rep, text, strlen(text));
	assert_int_equal(do_release(c, FUSE_RELEASE, node, open.fh), 0);
}

static void replace(struct client *c, uint64_t old, long wait_ms)
{
	struct fuse_open_out open;
	struct fuse_attr attr;
	uint64_t new;

	assert_int_equal(unlink(host(c, "f")), 0);
	host_write(c, "f", "another");
	if (wait_ms)
		nap_ms(wait_ms);
	/* First by what the guest holds, then by name, then again. */
	assert_int_equal(do_getattr(c, old, &attr), -ESTALE);
	assert_int_equal(do_open(c, FUSE_OPEN, old, O_RDWR, &open), -ESTALE);
	new = node_of(c, ROOT, "f");
	assert_int_not_equal(new, old);
	expect_text(c, new, "another");
	assert_int_equal(node_of(c, ROOT, "f"), new);
	assert_int_equal(do_getattr(c, old, &attr), -ESTALE);
	expect_text(c, new, "another");
}

static void test_replaced_at_once(void **state)
{
	struct client *c = *state;

	replace(c, made(c, "f", "the first"), 0);
}

/* When it is found the other one is no longer young. */
static void test_replaced_at_once_found_later(void **state)
{
	struct client *c = *state;

	replace(c, made(c, "f", "the first"), 150);
}

static void test_moved_over(void **state)
{
	struct client *c = *state;
	uint64_t a = made(c, "a", "of a"), b = made(c, "b", "of b");
	struct fuse_attr attr;

	assert_int_not_equal(a, b);
	assert_int_equal(rename(host(c, "b"), host(c, "a")), 0);
	assert_int_equal(node_of(c, ROOT, "a"), b);
	expect_text(c, b, "of b");
	assert_int_equal(do_getattr(c, a, &attr), -ESTALE);
	/* The guest's own removal strands the right one. */
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "a", NULL), 0);
	expect_text(c, b, "of b");
}

/* The file that the guest made is held, with its number. */
static void test_no_handles(void **state)
{
	struct client *c = *state;
	uint64_t old, new;

	no_handles = true;
	for (unsigned int i = 0; i < 50; i++) {
		old = made(c, "f", "the first");
		assert_int_equal(unlink(host(c, "f")), 0);
		host_write(c, "f", "another");
		new = node_of(c, ROOT, "f");
		assert_int_not_equal(new, old);
		expect_text(c, new, "another");
		expect_text(c, old, "the first");
		assert_int_equal(unlink(host(c, "f")), 0);
		do_forget(c, old, 1);
		do_forget(c, new, 1);
	}
	no_handles = false;
}

/* It is asked for once more when the file is no longer young, and then never again. */
static void test_the_doubt_ends(void **state)
{
	struct client *c = *state;
	uint64_t a = made(c, "f", "text");
	unsigned int before;

	assert_int_equal(node_of(c, ROOT, "f"), a);
	nap_ms(150);
	before = handles_asked;
	assert_int_equal(node_of(c, ROOT, "f"), a);
	assert_true(handles_asked > before);
	before = handles_asked;
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(node_of(c, ROOT, "f"), a);
	assert_int_equal(handles_asked, before);
}

/* Births of any time are fine. */
static void test_odd_times(void **state)
{
	static const int64_t seconds[] = {INT64_MIN, -1, 0, INT64_MAX};
	struct client *c = *state;
	uint64_t node;

	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		birth = (struct timespec){.tv_sec = seconds[i], .tv_nsec = 999999999};
		host_write(c, "f", "text");
		node = node_of(c, ROOT, "f");
		assert_int_equal(node_of(c, ROOT, "f"), node);
		expect_text(c, node, "text");
		assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "f", NULL), 0);
		do_forget(c, node, 2);
	}
}

#define IN(mode, t) cmocka_unit_test_setup_teardown(t, setup_##mode, teardown)
#define IN_ALL(t)   IN(handles, t), IN(names, t), IN(never, t)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ALL(test_replaced_at_once),
		IN_ALL(test_replaced_at_once_found_later),
		IN_ALL(test_moved_over),
		IN_ALL(test_no_handles),
		IN_ALL(test_the_doubt_ends),
		IN_ALL(test_odd_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
