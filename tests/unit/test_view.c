/* SPDX-License-Identifier: BSD-3-Clause */
/* Views, on real mounts: what is seen through them is the real file, and nothing is lost. */
#include "dax/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/fds.h"
#include "tests/unit/view_rig.h"

#define MAP_SIZE (2u << 20)
#define VIEWS    220

static int open_view(struct view_rig *rig, int file, int flags)
{
	int out;

	assert_int_equal(dax_view_open(rig->view, view_rig_reopen(file, flags), &out), 0);
	assert_true(out >= 0);
	return out;
}

/* What a front-end does: looks at the size, maps, closes. */
static unsigned char *map_view(int view)
{
	unsigned char *at;

	assert_int_equal(lseek(view, 0, SEEK_END), (off_t)DAX_VIEW_SIZE);
	at = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, view, 0);
	assert_true(at != MAP_FAILED);
	close(view);
	return at;
}

static void assert_shows(const unsigned char *at, size_t size)
{
	size_t end = (size + 4095) / 4096 * 4096;

	for (size_t i = 0; i < size; i++)
		assert_int_equal(at[i], view_rig_byte(i));
	for (size_t i = size; i < end; i++)
		assert_int_equal(at[i], 0);
}

/* The whole of an odd file, its growth, and stores into it, with one mapping made beforehand. */
static void test_passthrough(void **state)
{
	const unsigned char more[] = "grown";
	unsigned char back[16] = {0};
	struct view_rig rig;
	unsigned char *at;
	int file;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 10001);
	at = map_view(open_view(&rig, file, O_RDWR));
	assert_shows(at, 10001);

	memcpy(at + 9998, "abc", 3);
	assert_int_equal(pread(file, back, sizeof(back), 9998), 3);
	assert_memory_equal(back, "abc", 3);
	assert_int_equal(pwrite(file, "xyz", 3, 9990), 3);
	assert_memory_equal(at + 9990, "xyz", 3);

	assert_int_equal(pwrite(file, more, sizeof(more), 70000), sizeof(more));
	assert_memory_equal(at + 70000, more, sizeof(more));
	assert_int_equal(at[10001], 0);

	assert_int_equal(munmap(at, MAP_SIZE), 0);
	assert_true(view_rig_drained(&rig, 0));
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

static void test_empty_and_unlinked(void **state)
{
	struct view_rig rig;
	unsigned char *at;
	int file;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 0);
	view_rig_remove(&rig);
	at = map_view(open_view(&rig, file, O_RDWR));
	assert_int_equal(pwrite(file, "late", 4, 4097), 4);
	assert_memory_equal(at + 4097, "late", 4);
	munmap(at, MAP_SIZE);
	close(file);
	view_rig_stop(&rig);
}

/* Two views of a file are of one page cache, also past the close of the first. */
static void test_coherent(void **state)
{
	unsigned char *one, *two;
	struct view_rig rig;
	int file;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 5000);
	one = map_view(open_view(&rig, file, O_RDWR));
	two = map_view(open_view(&rig, file, O_RDWR));
	memcpy(one + 4990, "one", 3);
	assert_memory_equal(two + 4990, "one", 3);
	munmap(one, MAP_SIZE);
	memcpy(two + 100, "two", 3);
	one = map_view(open_view(&rig, file, O_RDWR));
	assert_memory_equal(one + 100, "two", 3);
	munmap(one, MAP_SIZE);
	munmap(two, MAP_SIZE);
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

static void test_many(void **state)
{
	unsigned char *at[VIEWS];
	struct view_rig rig;
	struct stat first, last;
	int file, view;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 4097);
	for (size_t i = 0; i < VIEWS; i++) {
		view = open_view(&rig, file, O_RDWR);
		assert_int_equal(fstat(view, i ? &last : &first), 0);
		at[i] = map_view(view);
	}
	/* Every view is a file of its own: by this the front-end's regions are told apart. */
	assert_int_equal(first.st_dev, last.st_dev);
	assert_true(first.st_ino != last.st_ino);
	/* On overlayfs the mapping is of the file below, and the view ends with its fd. */
	assert_true(dax_view_count(rig.view) <= VIEWS);
	for (size_t i = 0; i < VIEWS; i++) {
		at[i][i] = (unsigned char)i;
		assert_int_equal(at[VIEWS - 1 - i][i], (unsigned char)i);
		at[i][i] = view_rig_byte(i);
	}
	for (size_t i = 0; i < VIEWS; i++) {
		assert_shows(at[i], 4097);
		munmap(at[i], MAP_SIZE);
	}
	assert_true(view_rig_drained(&rig, 0));
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

/* A read lease is had only of a file that nobody has open for writing, in the kernel either. */
static bool nobody_writes(const struct view_rig *rig)
{
	int file = openat(rig->dir_fd, "file", O_RDONLY | O_CLOEXEC);
	bool none = false;

	for (int ms = 0; !none && ms < 5000; ms++) {
		none = fcntl(file, F_SETLEASE, F_RDLCK) == 0;
		usleep(none ? 0 : 1000);
	}
	close(file);
	return none;
}

static void no_leak(enum dax_view_kind kind, int flags)
{
	struct view_rig rig;
	size_t fds;
	int file;

	view_rig_start(&rig, kind);
	file = view_rig_file(&rig, 100);
	fds = count_fds();
	for (int i = 0; i < 1000; i++)
		close(open_view(&rig, file, flags));
	assert_true(view_rig_drained(&rig, 0));
	assert_int_equal(count_fds(), fds);
	close(file);
	assert_true(nobody_writes(&rig));
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

static void test_no_leak(void **state)
{
	size_t fds = count_fds();

	no_leak(DAX_VIEW_PASSTHROUGH, O_RDWR);
	no_leak(DAX_VIEW_CACHED, O_RDONLY);
	assert_int_equal(count_fds(), fds);
}

static void refused(struct view_rig *rig, int fd, int error)
{
	int out = 0;

	assert_int_equal(dax_view_open(rig->view, fd, &out), error);
	assert_int_equal(out, -1);
	if (fd >= 0)
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* consumed */
}

/* A view is writable: only of what is open for that. */
static void test_refused(void **state)
{
	struct view_rig rig;
	int file, pipe_fds[2];

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 100);
	refused(&rig, view_rig_reopen(file, O_WRONLY), -EACCES);
	refused(&rig, view_rig_reopen(file, O_PATH), -EINVAL);
	refused(&rig, view_rig_reopen(rig.dir_fd, O_RDONLY), -EINVAL);
	assert_int_equal(pipe(pipe_fds), 0);
	refused(&rig, pipe_fds[0], -EINVAL);
	close(pipe_fds[1]);
	refused(&rig, -1, -EBADF);
	assert_int_equal(dax_view_count(rig.view), 0);
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

/* Of what is open for reading a passthrough mount gives a copy, beside a true view of the same. */
static void test_copy(void **state)
{
	struct view_rig rig;
	unsigned char *at, *copy;
	struct stat st;
	int file, view;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 20001);
	at = map_view(open_view(&rig, file, O_RDWR));
	view = open_view(&rig, file, O_RDONLY);
	assert_int_equal(pwrite(view, "no", 2, 0), -1);
	assert_int_equal(errno, EROFS);
	copy = map_view(view);
	assert_shows(copy, 20001);

	copy[7] = 'X'; /* comes to nobody else */
	assert_int_equal(at[7], view_rig_byte(7));
	at[8] = 'Y';
	assert_int_equal(copy[8], view_rig_byte(8));
	assert_int_equal(fstat(file, &st), 0);
	dax_view_changed(rig.view, st.st_dev, st.st_ino);
	assert_int_equal(copy[8], 'Y');
	assert_int_equal(copy[7], view_rig_byte(7));
	assert_int_equal(at[8], 'Y');

	munmap(at, MAP_SIZE);
	munmap(copy, MAP_SIZE);
	assert_true(view_rig_drained(&rig, 0));
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

/* The front-end may do with its fd what it likes. */
static void test_hostile_holder(void **state)
{
	struct view_rig rig;
	char path[32], bytes[4];
	struct stat st;
	int file, view, path_fd, again;

	view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
	file = view_rig_file(&rig, 100);
	view = open_view(&rig, file, O_RDWR);
	assert_true(ftruncate(view, 0) < 0);
	assert_true(fchmod(view, 04777) < 0);
	assert_true(fallocate(view, 0, 0, 1 << 20) < 0);
	assert_true(fsync(view) < 0);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, 100);

	path_fd = view_rig_reopen(view, O_PATH);
	again = view_rig_reopen(view, O_RDWR);
	close(view);
	assert_int_equal(pread(again, bytes, 4, 0), 4);
	assert_int_equal((unsigned char)bytes[3], view_rig_byte(3));
	close(again);
	/* After the last close it is no file any more. The close itself is told later. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	for (int ms = 0; ms < 5000; ms++) {
		again = open(path, O_RDWR | O_CLOEXEC);
		if (again < 0)
			break;
		close(again);
		usleep(1000);
	}
	assert_int_equal(again, -1);
	assert_int_equal(errno, ESTALE);
	close(path_fd);
	assert_true(view_rig_drained(&rig, 0));
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

/* Nothing is below the mount's root but what a view is being opened of. */
static void test_hostile_names(void **state)
{
	static const char *const names[] = {"0", "1", "2", "3", "02", "ffffffffffffffff",
		"10000000000000000", "2 ", "x", "A", "-2", "\xff\xfe", "..2", "2\n",
		"0000000000000000000000000000000000000000000000000000000000000000002"};
	struct dax_view *view;
	struct dax_mount mount;
	pthread_t thread;
	int r = gw_broker_mount(&mount), root;

	if (r) {
		print_message("no mount of our own: %s\n", strerrordesc_np(-r));
		skip();
	}
	root = fcntl(mount.root_fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(dax_view_new(DAX_VIEW_CACHED, &mount, NULL, NULL, &view), 0);
	assert_int_equal(pthread_create(&thread, NULL, view_rig_serve, view), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(openat(root, names[i], O_RDWR), -1);
		assert_int_equal(errno, ENOENT);
		assert_int_equal(openat(root, names[i], O_RDWR | O_CREAT, 0600), -1);
		assert_int_equal(mkdirat(root, names[i], 0700), -1);
		assert_int_equal(unlinkat(root, names[i], 0), -1);
	}
	assert_int_equal(openat(root, ".", O_RDONLY), -1);
	close(root);
	dax_view_stop(view);
	pthread_join(thread, NULL);
	dax_view_free(view);
}

/* Reads only; zeros behind the end; the real file is never written to. */
static void test_cached(void **state)
{
	struct view_rig rig;
	unsigned char *at, back[16];
	int file, view;

	view_rig_start(&rig, DAX_VIEW_CACHED);
	file = view_rig_file(&rig, 300001);
	view = open_view(&rig, file, O_RDONLY);
	assert_int_equal(pwrite(view, "no", 2, 0), -1);
	assert_int_equal(errno, EROFS);
	at = map_view(view);
	assert_shows(at, 300001);
	for (size_t i = 300001; i < MAP_SIZE; i++)
		assert_int_equal(at[i], 0);

	at[5] = 'X'; /* the guest's own trouble */
	(void)msync(at, MAP_SIZE, MS_SYNC);
	assert_int_equal(pread(file, back, sizeof(back), 0), sizeof(back));
	assert_int_equal(back[5], view_rig_byte(5));

	munmap(at, MAP_SIZE);
	assert_true(view_rig_drained(&rig, 0));
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

/* The host changes the file, and cuts it short: live mappings follow when they are told. */
static void test_cached_changes(void **state)
{
	struct view_rig rig;
	unsigned char *at[2];
	struct stat st;
	int file;

	view_rig_start(&rig, DAX_VIEW_CACHED);
	file = view_rig_file(&rig, 20000);
	for (size_t i = 0; i < 2; i++) {
		at[i] = map_view(open_view(&rig, file, O_RDONLY));
		assert_shows(at[i], 20000);
	}
	at[0][9000] = 'X';
	assert_int_equal(pwrite(file, "host", 4, 100), 4);
	assert_int_equal(ftruncate(file, 10000), 0);
	/* No SIGBUS: pages of the past. */
	assert_int_equal(at[0][19999], view_rig_byte(19999));

	assert_int_equal(fstat(file, &st), 0);
	dax_view_changed(rig.view, st.st_dev, st.st_ino + 1); /* another file */
	dax_view_changed(rig.view, st.st_dev, st.st_ino);
	for (size_t i = 0; i < 2; i++) {
		assert_memory_equal(at[i] + 100, "host", 4);
		assert_int_equal(at[i][9999], view_rig_byte(9999));
		assert_int_equal(at[i][10000], 0);
		assert_int_equal(at[i][19999], 0);
		assert_int_equal(at[i][9000], view_rig_byte(9000));
		munmap(at[i], MAP_SIZE);
	}
	close(file);
	view_rig_remove(&rig);
	view_rig_stop(&rig);
}

static void test_direct(void **state)
{
	struct dax_view *view;
	int out, fd = memfd_create("file", MFD_CLOEXEC), number = fd;

	assert_int_equal(dax_view_new(DAX_VIEW_DIRECT, NULL, NULL, NULL, &view), 0);
	assert_int_equal(dax_view_kind(view), DAX_VIEW_DIRECT);
	assert_int_equal(dax_view_open(view, fd, &out), 0);
	assert_int_equal(out, number);
	close(out);
	assert_int_equal(dax_view_serve_one(view), -ENODEV);
	dax_view_changed(view, 1, 1);
	assert_int_equal(dax_view_count(view), 0);
	dax_view_stop(view);
	dax_view_free(view);
	assert_int_equal(dax_view_new(DAX_VIEW_NONE, NULL, NULL, NULL, &view), -EINVAL);
	assert_int_equal(dax_view_new(DAX_VIEW_CACHED, NULL, NULL, NULL, &view), -EINVAL);
	dax_view_free(NULL);
}

/* What the backing open says is what the caller hears; ENOSYS would change the kernel's mind. */
static _Atomic int failing_errno;

static int failing_open(void *ctx, int fd)
{
	return failing_errno;
}

static void failing_close(void *ctx, int id)
{
	fail();
}

static void test_backing_fails(void **state)
{
	static const struct dax_backing_ops ops = {.open = failing_open, .close = failing_close};
	static const int errors[][2] = {{-EPERM, -EPERM}, {-ENOSYS, -EIO}, {0, -EIO},
		{-100000, -EIO}, {-ETIMEDOUT, -ETIMEDOUT}, {-ELOOP, -ELOOP}};
	struct view_rig rig = {.dir_fd = -1};
	struct dax_mount mount;
	int r = gw_broker_mount(&mount), out;
	size_t fds;

	if (r) {
		print_message("no mount of our own: %s\n", strerrordesc_np(-r));
		skip();
	}
	assert_int_equal(dax_view_new(DAX_VIEW_PASSTHROUGH, &mount, &ops, NULL, &rig.view), 0);
	assert_int_equal(pthread_create(&rig.thread, NULL, view_rig_serve, rig.view), 0);
	fds = count_fds();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		failing_errno = errors[i][0];
		assert_int_equal(dax_view_open(rig.view, memfd_create("file", MFD_CLOEXEC), &out),
			errors[i][1]);
		assert_int_equal(out, -1);
	}
	assert_true(view_rig_drained(&rig, 0));
	/* The node is unlinked first, its file closed then. */
	for (int ms = 0; count_fds() > fds && ms < 5000; ms++)
		usleep(1000);
	assert_int_equal(count_fds(), fds);
	dax_view_stop(rig.view);
	pthread_join(rig.thread, NULL);
	dax_view_free(rig.view);
}

/* Threads that open while the server is told to stop get an answer, all of them. */
static void *open_until_refused(void *view)
{
	int out, r;

	for (;;) {
		r = dax_view_open(view, memfd_create("file", MFD_CLOEXEC), &out);
		if (r)
			return (void *)(intptr_t)r;
		close(out);
	}
}

static void test_stop_while_opening(void **state)
{
	for (int round = 0; round < 20; round++) {
		pthread_t threads[4];
		struct view_rig rig;
		void *result;

		view_rig_start(&rig, DAX_VIEW_PASSTHROUGH);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, open_until_refused, rig.view), 0);
		usleep((unsigned int)round * 500);
		dax_view_stop(rig.view);
		for (size_t i = 0; i < 4; i++) {
			assert_int_equal(pthread_join(threads[i], &result), 0);
			assert_int_equal((intptr_t)result, -ENODEV);
		}
		view_rig_stop(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passthrough),
		cmocka_unit_test(test_empty_and_unlinked),
		cmocka_unit_test(test_coherent),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_hostile_holder),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_cached),
		cmocka_unit_test(test_cached_changes),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_backing_fails),
		cmocka_unit_test(test_stop_while_opening),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
