/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for waits: they block for as long as it takes, and end when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "gateway/waiter.h"
#include "vhostuser/checked.h"

struct job {
	struct fs_wait wait;
	int fd; /* flock() is waited for on it */
	_Atomic bool cancelled;
	_Atomic int blocked, done;
	int result;
};

static void job_block(struct fs_wait *wait)
{
	struct job *job = container_of(wait, struct job, wait);

	atomic_fetch_add(&job->blocked, 1);
	job->result = -EINTR;
	while (!atomic_load(&job->cancelled) && job->result == -EINTR)
		job->result = flock(job->fd, LOCK_EX) < 0 ? -errno : 0;
}

static void job_done(struct fs_wait *wait)
{
	struct job *job = container_of(wait, struct job, wait);

	atomic_fetch_add(&job->done, 1);
}

/* A file that is locked; *fd is the description that has it. */
static void locked_file(char path[32], int *fd)
{
	snprintf(path, 32, "/tmp/waiter-XXXXXX");
	*fd = mkstemp(path);
	assert_true(*fd >= 0);
	assert_int_equal(flock(*fd, LOCK_EX), 0);
}

static void job_start(struct job *job, const char *path)
{
	*job = (struct job){
		.wait = {.block = job_block, .done = job_done},
		.fd = open(path, O_RDWR | O_CLOEXEC),
	};
	assert_true(job->fd >= 0);
	assert_int_equal(gw_waiter_start(&job->wait), 0);
}

static bool reaches(_Atomic int *value, int want)
{
	for (int ms = 0; ms < 5000 && atomic_load(value) < want; ms++)
		usleep(1000);
	return atomic_load(value) == want;
}

static bool all_gone(void)
{
	for (int ms = 0; ms < 5000 && gw_waiters() > 0; ms++)
		usleep(1000);
	return gw_waiters() == 0;
}

static void cancel(struct job *job)
{
	atomic_store(&job->cancelled, true);
	gw_waiter_interrupt(&job->wait);
}

static void test_granted(void **state)
{
	char path[32];
	struct job job;
	int fd;

	(void)state;
	locked_file(path, &fd);
	job_start(&job, path);
	assert_true(reaches(&job.blocked, 1));
	usleep(20000);
	assert_int_equal(atomic_load(&job.done), 0);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_true(reaches(&job.done, 1));
	assert_int_equal(job.result, 0);
	assert_int_equal(job.wait.error, 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(job.fd);
	close(fd);
	unlink(path);
	assert_true(all_gone());
}

/* At every moment: before the thread is there, before its system call, within. */
static void test_interrupted_any_time(void **state)
{
	char path[32];
	int fd;

	(void)state;
	locked_file(path, &fd);
	for (int i = 0; i < 300; i++) {
		struct job job;

		job_start(&job, path);
		if (i % 3)
			for (volatile int spin = 0; spin < i * 300; spin++)
				;
		cancel(&job);
		assert_true(reaches(&job.done, 1));
		assert_int_equal(job.result, -EINTR);
		close(job.fd);
	}
	close(fd);
	unlink(path);
	assert_true(all_gone());
}

/* One that is interrupted and not cancelled blocks again; its neighbours do not notice. */
static void test_interrupts_are_its_own(void **state)
{
	struct job jobs[3];
	char path[32];
	int fd;

	(void)state;
	locked_file(path, &fd);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		job_start(&jobs[i], path);
		assert_true(reaches(&jobs[i].blocked, 1));
	}
	gw_waiter_interrupt(&jobs[0].wait);
	usleep(20000);
	cancel(&jobs[1]);
	assert_true(reaches(&jobs[1].done, 1));
	usleep(20000);
	assert_int_equal(atomic_load(&jobs[0].done) + atomic_load(&jobs[2].done), 0);
	cancel(&jobs[0]);
	cancel(&jobs[2]);
	assert_true(reaches(&jobs[0].done, 1) && reaches(&jobs[2].done, 1));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		close(jobs[i].fd);
	close(fd);
	unlink(path);
	assert_true(all_gone());
}

static void test_bound(void **state)
{
	struct job *jobs = calloc(GW_WAITERS_MAX, sizeof(*jobs)), more = {0};
	char path[32];
	int fd;

	(void)state;
	assert_non_null(jobs);
	locked_file(path, &fd);
	for (size_t i = 0; i < GW_WAITERS_MAX; i++)
		job_start(&jobs[i], path);
	more.wait = (struct fs_wait){.block = job_block, .done = job_done};
	assert_int_equal(gw_waiter_start(&more.wait), -EAGAIN);
	assert_int_equal(gw_waiters(), GW_WAITERS_MAX);
	for (size_t i = 0; i < GW_WAITERS_MAX; i++)
		cancel(&jobs[i]);
	for (size_t i = 0; i < GW_WAITERS_MAX; i++) {
		assert_true(reaches(&jobs[i].done, 1));
		close(jobs[i].fd);
	}
	assert_int_equal(atomic_load(&more.done), 0);
	assert_true(all_gone());
	/* And there is room again. */
	job_start(&more, path);
	cancel(&more);
	assert_true(reaches(&more.done, 1));
	close(more.fd);
	close(fd);
	unlink(path);
	free(jobs);
	assert_true(all_gone());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_granted),
		cmocka_unit_test(test_interrupted_any_time),
		cmocka_unit_test(test_interrupts_are_its_own),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
