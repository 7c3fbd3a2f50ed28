/* SPDX-License-Identifier: BSD-3-Clause */
/* Owned fds. The kernel hands out the lowest free number, which shows what was really closed. */
#include "vhostuser/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/fds.h"

static int open_one(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_close(void **state)
{
	int fd = open_one(), number = fd;

	errno = ENOTTY;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_false(is_open(number));
	errno = ENOTTY;
	fd_close(&fd); /* none: nothing happens */
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(open_one(), number);
	close(number);
}

static void test_steal_and_move(void **state)
{
	int a = open_one(), b = open_one(), first = a, second = b;

	fd_move(&a, &b);
	assert_int_equal(a, second);
	assert_int_equal(b, -1);
	assert_false(is_open(first));
	assert_true(is_open(second));

	fd_move(&a, &a); /* to itself: still there */
	assert_int_equal(a, second);
	assert_true(is_open(second));

	assert_int_equal(fd_steal(&a), second);
	assert_int_equal(a, -1);
	assert_true(is_open(second));
	close(second);
}

static void leave_scope(int *number)
{
	CLEANUP_FD int fd = open_one();

	*number = fd;
}

static void test_cleanup(void **state)
{
	int number;

	leave_scope(&number);
	assert_false(is_open(number));
}

static void test_fds(void **state)
{
	size_t before = count_fds();
	struct vu_fds fds = {.n = 3};

	for (size_t i = 0; i < 3; i++)
		fds.fd[i] = open_one();
	int taken = fds_take(&fds, 1);

	assert_true(is_open(taken));
	assert_int_equal(fds_take(&fds, 1), -1); /* only once */
	assert_int_equal(fds_take(&fds, 3), -1); /* no such one */
	assert_int_equal(fds_take(&fds, SIZE_MAX), -1);
	fds_close(&fds);
	assert_int_equal(fds.n, 0);
	assert_true(is_open(taken));
	fds_close(&fds);
	close(taken);
	assert_int_equal(count_fds(), before);
}

static void test_nonblock(void **state)
{
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fd_nonblock(pipe_fds[0]), 0);
	assert_int_equal(fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fd_nonblock(pipe_fds[0]), 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(fd_nonblock(-1), -EBADF);
}

static int blocking_eventfd(uint64_t count)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	return fd;
}

/* Whoever shares the open file may make it blocking and full: that must not hold us up. */
static void test_signal(void **state)
{
	char junk[4096] = {0};
	int pipe_fds[2], fd = blocking_eventfd(UINT64_MAX - 2);
	uint64_t count;

	assert_int_equal(fd_signal(fd), 0);
	for (int i = 0; i < 1000; i++) { /* more than the kernel keeps results */
		int ret = fd_signal(fd);

		assert_true(ret == 0 || ret == -EAGAIN);
	}
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_true(count >= UINT64_MAX - 1);
	assert_int_equal(fd_signal(fd), 0);
	close(fd);
	assert_int_equal(fd_signal(fd), -EBADF);

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fd_signal(pipe_fds[1]), 0);
	assert_int_equal(fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK), 0);
	while (write(pipe_fds[1], junk, sizeof(junk)) > 0)
		;
	assert_int_equal(fcntl(pipe_fds[1], F_SETFL, 0), 0);
	assert_int_equal(fd_signal(pipe_fds[1]), -EAGAIN);
	close(pipe_fds[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(fd_signal(pipe_fds[1]), -EPIPE);
	close(pipe_fds[1]);
}

struct race {
	int fd;
	_Atomic uint64_t signalled;
	_Atomic bool over;
	bool stuck;
};

/* Fills the counter, makes it blocking, and undoes that only when it saw signals go through. */
static void *fill_and_empty(void *arg)
{
	struct race *race = arg;
	uint64_t most = UINT64_MAX - 2, count;

	while (!race->over && !race->stuck) {
		uint64_t before;
		int naps = 0;

		fcntl(race->fd, F_SETFL, O_NONBLOCK);
		(void)!read(race->fd, &count, sizeof(count));
		sched_yield();
		(void)!write(race->fd, &most, sizeof(most));
		fcntl(race->fd, F_SETFL, 0);
		before = race->signalled;
		while (!race->over && race->signalled < before + 3 && naps < 2000) {
			struct timespec nap = {.tv_nsec = 1000000};

			if (naps++ > 10)
				nanosleep(&nap, NULL);
			else
				sched_yield();
		}
		race->stuck = !race->over && naps == 2000;
	}
	fcntl(race->fd, F_SETFL, O_NONBLOCK);
	(void)!read(race->fd, &count, sizeof(count));
	return NULL;
}

/* He may do so at any instant, also between two system calls of ours. */
static void test_signal_race(void **state)
{
	struct race race = {.fd = blocking_eventfd(0)};
	struct timespec start, now;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fill_and_empty, &race), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		int ret = fd_signal(race.fd);

		assert_true(ret == 0 || ret == -EAGAIN);
		race.signalled++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < start.tv_sec + 2);
	race.over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(race.stuck);
	close(race.fd);
}

static void test_is_eventfd(void **state)
{
	int event = blocking_eventfd(0), full = blocking_eventfd(UINT64_MAX - 1), pipe_fds[2];
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count;

	assert_true(fd_is_eventfd(event));
	assert_int_equal(fcntl(event, F_SETFL, O_NONBLOCK), 0);
	/* The question alone is no signal. */
	assert_int_equal(read(event, &count, sizeof(count)), -1);
	assert_true(fd_is_eventfd(full));
	assert_int_equal(pipe(pipe_fds), 0);
	assert_false(fd_is_eventfd(pipe_fds[0]));
	assert_false(fd_is_eventfd(pipe_fds[1]));
	assert_false(fd_is_eventfd(timer));
	assert_false(fd_is_eventfd(-1));
	close(timer);
	close(event);
	close(full);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_steal_and_move),
		cmocka_unit_test(test_cleanup),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_nonblock),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_signal_race),
		cmocka_unit_test(test_is_eventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
