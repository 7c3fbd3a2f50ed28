/* SPDX-License-Identifier: BSD-3-Clause */
/* Read locks leave the host's file executable; they stay when their owner wants a write lock. */
#include "tests/unit/lock_client.h"

static struct lock_guest guest;

static int setup(void **state)
{
	(void)state;
	guest.c = client_new(FS_CACHE_AUTO, false, 0);
	lock_serve(guest.c, NULL, NULL);
	host_write(guest.c, "f", "0123456789");
	lock_open(&guest, "f");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client_free(guest.c);
	return 0;
}

static bool host_can_lock(short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_start = start, .l_len = len};
	int fd = open(host(guest.c, "f"), O_RDWR), r;

	assert_true(fd >= 0);
	r = fcntl(fd, F_OFD_SETLK, &fl);
	close(fd);
	return r == 0;
}

/* A lease for reading is refused, as execve() is, while anybody has the file open for writing. */
static bool open_for_writing(void)
{
	int fd = open(host(guest.c, "f"), O_RDONLY), r;

	assert_true(fd >= 0);
	r = fcntl(fd, F_SETLEASE, F_RDLCK);
	if (r < 0)
		assert_int_equal(errno, EAGAIN);
	close(fd);
	return r < 0;
}

static void release(uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	assert_int_equal(
		ask(guest.c, FUSE_RELEASE, guest.nodeid, &in, sizeof(in), NULL, NULL), 0);
}

static void test_reading(void **state)
{
	struct fuse_open_out out;

	(void)state;
	assert_true(open_for_writing());
	release(guest.fh[0]);
	release(guest.fh[1]);
	assert_int_equal(do_open(guest.c, FUSE_OPEN, guest.nodeid, O_RDONLY, &out), 0);
	guest.fh[0] = out.fh;
	assert_int_equal(set_lock(&guest, 1, F_RDLCK, 0, 9), 0);
	assert_false(host_can_lock(F_WRLCK, 0, 1));
	assert_false(open_for_writing());
}

static void test_upgrade(void **state)
{
	(void)state;
	assert_int_equal(set_lock(&guest, 1, F_RDLCK, 0, 9), 0);
	assert_int_equal(set_lock(&guest, 1, F_RDLCK, 20, 29), 0);
	assert_int_equal(set_lock(&guest, 2, F_RDLCK, 0, 1), 0);
	/* What is refused changes nothing. */
	assert_int_equal(set_lock(&guest, 1, F_WRLCK, 0, 4), -EAGAIN);
	assert_false(host_can_lock(F_WRLCK, 0, 1));
	assert_true(host_can_lock(F_RDLCK, 0, 30));
	assert_int_equal(set_lock(&guest, 1, F_WRLCK, 5, 9), 0);
	assert_false(host_can_lock(F_RDLCK, 5, 5));
	assert_true(host_can_lock(F_RDLCK, 0, 5));
	assert_false(host_can_lock(F_WRLCK, 2, 3));
	assert_false(host_can_lock(F_WRLCK, 20, 1));
	assert_true(host_can_lock(F_WRLCK, 10, 10));
	/* All of them are its own still. */
	assert_int_equal(set_lock(&guest, 1, F_UNLCK, 0, LOCK_END), 0);
	assert_true(host_can_lock(F_WRLCK, 2, 100));
	assert_false(host_can_lock(F_WRLCK, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
