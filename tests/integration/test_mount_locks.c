/* SPDX-License-Identifier: BSD-3-Clause */
/* More processes wait for locks on a mount than a ring has room for, and than the gateway lets. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/mounted.h"
#include "vhostuser/checked.h"

/* ThreadSanitizer takes 20 ms for a fork. */
#ifdef __SANITIZE_THREAD__
#define WAITERS 600u
#define FEWER   300u
#else
#define WAITERS 2000u
#define FEWER   600u
#endif
#define SOON_MS 1000
/* Seconds; for so many processes on a machine that has other things to do. */
#define RUN_LIMIT 180
/* Until one of many that are kept is tried again. */
#define TURN_MS 5000

static const char *const with_locks[] = {"--posix-lock", "--flock", NULL};
static const char *const four_queues[] = {"--queues", "4", NULL};
static struct mt_options one = {.it = {.be = {.extra = with_locks}, .no_client = true}};
static struct mt_options four = {
	.it = {.be = {.extra = with_locks}, .no_client = true}, .args = four_queues};

/* What the processes share. */
struct shared {
	_Atomic unsigned int about_to, got;
};

static struct shared *shared;

static int open_lock(struct mt *m, const char *name)
{
	int fd = open(mt_path(m, name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static int lock(int fd, bool is_flock, short type, bool wait)
{
	struct flock fl = {.l_type = type};

	if (!is_flock)
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &fl);
	return flock(fd, (type == F_UNLCK ? LOCK_UN : LOCK_EX) | (wait ? 0 : LOCK_NB));
}

static int wait_for(struct mt *m, const char *name, bool is_flock)
{
	int fd = open_lock(m, name);

	atomic_fetch_add(&shared->about_to, 1);
	if (lock(fd, is_flock, F_WRLCK, true) < 0)
		return errno;
	atomic_fetch_add(&shared->got, 1);
	return 0; /* which unlocks it */
}

/* Both kinds, of one file. */
static int waiter(struct mt *m, unsigned int i)
{
	return wait_for(m, "busy", i % 2);
}

static int other_waiter(struct mt *m, unsigned int i)
{
	return wait_for(m, "other", i);
}

static int64_t time_of_other_requests(struct mt *m)
{
	int64_t worst = 0;

	for (int i = 0; i < 50; i++) {
		int64_t begin = it_now_ms();
		struct stat st;
		int fd = open_lock(m, "new");

		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(close(fd), 0);
		assert_int_equal(unlink(mt_path(m, "new")), 0);
		worst = MAX(worst, it_now_ms() - begin);
	}
	return worst;
}

static void start_waiting(struct mt *m, pid_t *pids, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		pids[i] = mt_fork(waiter, m, i);
	it_until(atomic_load(&shared->about_to) == n, 60000);
	usleep(300000);
	assert_int_equal(atomic_load(&shared->got), 0);
}

/* A lock that all of the others leave alone is had, though somebody had it for a while. */
static void a_free_lock_is_had(struct mt *m)
{
	unsigned int others = atomic_load(&shared->about_to);
	int fd = open_lock(m, "other");
	int64_t begin;
	pid_t pids[2];

	for (int kind = 0; kind < 2; kind++) {
		assert_int_equal(lock(fd, kind, F_WRLCK, true), 0);
		pids[kind] = mt_fork(other_waiter, m, (unsigned int)kind);
	}
	it_until(atomic_load(&shared->about_to) == others + 2, 5000);
	usleep(100000);
	assert_int_equal(atomic_load(&shared->got), 0);
	begin = it_now_ms();
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(lock(fd, kind, F_UNLCK, true), 0);
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(mt_join(pids[kind]), 0);
	print_message("# another lock was had after %lld ms\n", (long long)(it_now_ms() - begin));
	assert_true(it_now_ms() - begin < TURN_MS);
	atomic_fetch_sub(&shared->got, 2);
	close(fd);
}

/* Those that wait at the back-end, and those that are kept, die when they are killed. */
static unsigned int kill_some(pid_t *pids, unsigned int of)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < of; i += of / 20, n++)
		kill(pids[i], SIGKILL);
	for (unsigned int i = 0; i < of; i += of / 20) {
		int64_t begin = it_now_ms();

		assert_int_equal(mt_join(pids[i]), 1000 + SIGKILL);
		assert_true(it_now_ms() - begin < SOON_MS);
		pids[i] = 0;
	}
	return n;
}

static void wait_many(struct mt *m, unsigned int n)
{
	static pid_t pids[WAITERS];
	int fd = open_lock(m, "busy");
	unsigned int killed;
	int64_t took;

	alarm(RUN_LIMIT);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	assert_true(shared != MAP_FAILED);
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(lock(fd, kind, F_WRLCK, true), 0);
	start_waiting(m, pids, n);
	took = time_of_other_requests(m);
	print_message("# five other requests took %lld ms at most\n", (long long)took);
	assert_true(took < SOON_MS);
	a_free_lock_is_had(m);
	killed = kill_some(pids, n);
	assert_int_equal(atomic_load(&shared->got), 0);
	took = it_now_ms();
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(lock(fd, kind, F_UNLCK, true), 0);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(pids[i] ? mt_join(pids[i]) : 0, 0);
	assert_int_equal(atomic_load(&shared->got), n - killed);
	print_message("# %u had the lock in %lld ms\n", n - killed,
		(long long)(it_now_ms() - took));
	close(fd);
	munmap(shared, sizeof(*shared));
}

static void many_wait(void **state)
{
	wait_many(*state, WAITERS);
}

static void many_wait_on_four_queues(void **state)
{
	wait_many(*state, FEWER);
}

static void on_alarm(int number)
{
}

/* Its handler runs, and the wait is over: the kernel says INTERRUPT, and we do not wait on. */
static int interrupted_waiter(struct mt *m, unsigned int i)
{
	struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART */
	int r;

	sigaction(SIGUSR1, &action, NULL);
	r = waiter(m, i);
	return r == EINTR ? waiter(m, i) : r;
}

static void a_signal_ends_a_wait(void **state)
{
	struct mt *m = *state;
	int fd = open_lock(m, "busy");
	pid_t pids[2];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	assert_true(shared != MAP_FAILED);
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(lock(fd, kind, F_WRLCK, true), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = mt_fork(interrupted_waiter, m, i);
	it_until(atomic_load(&shared->about_to) == 2, 5000);
	usleep(200000);
	for (unsigned int i = 0; i < ARRAY_SIZE(pids); i++)
		kill(pids[i], SIGUSR1);
	/* They begin a second wait, and get the lock. */
	it_until(atomic_load(&shared->about_to) == 4, SOON_MS);
	assert_int_equal(atomic_load(&shared->got), 0);
	for (int kind = 0; kind < 2; kind++)
		assert_int_equal(lock(fd, kind, F_UNLCK, true), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(pids); i++)
		assert_int_equal(mt_join(pids[i]), 0);
	close(fd);
	munmap(shared, sizeof(*shared));
}

/* Nothing of theirs has to be written. */
static void waiters_do_not_delay_the_end(void **state)
{
	struct mt *m = *state;
	int fd = open_lock(m, "busy");
	int64_t begin;
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	assert_true(shared != MAP_FAILED);
	assert_int_equal(lock(fd, false, F_WRLCK, true), 0);
	pid = mt_fork(waiter, m, 0);
	it_until(atomic_load(&shared->about_to) == 1, 5000);
	usleep(100000);
	begin = it_now_ms();
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 20000), 0);
	assert_true(it_now_ms() - begin < 5000);
	assert_int_equal(mt_join(pid), ECONNABORTED);
	close(fd);
	munmap(shared, sizeof(*shared));
}

static const struct CMUnitTest tests[] = {
	MT_TEST(many_wait, one),
	MT_TEST(many_wait_on_four_queues, four),
	MT_TEST(a_signal_ends_a_wait, one),
	MT_TEST(waiters_do_not_delay_the_end, one),
};

#define NONE "it has other options, and cannot wait for a lock"
static const struct it_difference differences[] = {
	{"many_wait", NONE},
	{"many_wait_on_four_queues", NONE},
	{"a_signal_ends_a_wait", NONE},
	{"waiters_do_not_delay_the_end", NONE},
};

int main(int argc, char **argv)
{
	return mt_main(argc, argv, "mount_locks", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
}
