/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool: all work runs once, blocked work holds nothing up, idle threads go. */
#include "gateway/pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "vhostuser/checked.h"

struct job {
	struct fs_work work;
	sem_t *gate; /* waits here first; NULL: does not */
	pthread_t thread;
	_Atomic unsigned int runs;
};

static _Atomic unsigned int n_started, n_done;

static void job_run(struct fs_work *work)
{
	struct job *job = container_of(work, struct job, work);

	atomic_fetch_add(&n_started, 1);
	job->thread = pthread_self();
	while (job->gate && sem_wait(job->gate) != 0)
		;
	atomic_fetch_add(&job->runs, 1);
	atomic_fetch_add(&n_done, 1);
}

static int setup(void **state)
{
	struct gw_pool *pool;

	atomic_store(&n_started, 0);
	atomic_store(&n_done, 0);
	assert_int_equal(gw_pool_new(&pool), 0);
	*state = pool;
	return 0;
}

static int teardown(void **state)
{
	gw_pool_free(*state);
	usleep(20000); /* detached threads end by themselves */
	return 0;
}

static bool reaches(_Atomic unsigned int *counter, unsigned int value, int ms)
{
	while (atomic_load(counter) < value && ms-- > 0)
		usleep(1000);
	return atomic_load(counter) == value;
}

static struct job *jobs_new(size_t n, sem_t *gate)
{
	struct job *jobs = calloc(n, sizeof(*jobs));

	assert_non_null(jobs);
	for (size_t i = 0; i < n; i++) {
		jobs[i].work.run = job_run;
		jobs[i].gate = gate;
	}
	return jobs;
}

static void test_all_run_once(void **state)
{
	enum { N = 5000 };
	struct job *jobs = jobs_new(N, NULL);

	for (size_t i = 0; i < N; i++)
		gw_pool_submit(*state, &jobs[i].work);
	assert_true(reaches(&n_done, N, 5000));
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(atomic_load(&jobs[i].runs), 1);
		assert_false(pthread_equal(jobs[i].thread, pthread_self()));
	}
	assert_in_range(gw_pool_threads(*state), 1, GW_POOL_THREADS_MAX);
	free(jobs);
}

static void test_blocked_work_delays_none(void **state)
{
	enum { N = GW_POOL_THREADS_MAX - 1 };
	struct job *blocked, *quick;
	sem_t gate;

	sem_init(&gate, 0, 0);
	blocked = jobs_new(N, &gate);
	quick = jobs_new(1, NULL);
	for (size_t i = 0; i < N; i++)
		gw_pool_submit(*state, &blocked[i].work);
	assert_true(reaches(&n_started, N, 5000));
	gw_pool_submit(*state, &quick->work);
	assert_true(reaches(&n_done, 1, 5000));
	for (size_t i = 0; i < N; i++)
		sem_post(&gate);
	assert_true(reaches(&n_done, N + 1, 5000));
	free(blocked);
	free(quick);
	sem_destroy(&gate);
}

static void test_bound(void **state)
{
	enum { N = GW_POOL_THREADS_MAX + 30 };
	struct job *jobs;
	sem_t gate;

	sem_init(&gate, 0, 0);
	jobs = jobs_new(N, &gate);
	for (size_t i = 0; i < N; i++)
		gw_pool_submit(*state, &jobs[i].work);
	assert_true(reaches(&n_started, GW_POOL_THREADS_MAX, 5000));
	usleep(20000);
	assert_int_equal(atomic_load(&n_started), GW_POOL_THREADS_MAX);
	assert_int_equal(gw_pool_threads(*state), GW_POOL_THREADS_MAX);
	/* What waits goes on when any of them ends. */
	for (size_t i = 0; i < N; i++)
		sem_post(&gate);
	assert_true(reaches(&n_done, N, 5000));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(atomic_load(&jobs[i].runs), 1);
	free(jobs);
	sem_destroy(&gate);
}

static void test_idle_threads_go(void **state)
{
	struct job *jobs;
	sem_t gate;
	int ms = 8000;

	sem_init(&gate, 0, 0);
	jobs = jobs_new(10, &gate);
	for (size_t i = 0; i < 10; i++)
		gw_pool_submit(*state, &jobs[i].work);
	assert_true(reaches(&n_started, 10, 5000));
	/* One more when the first came before the permanent thread was waiting. */
	assert_in_range(gw_pool_threads(*state), 10, 11);
	for (size_t i = 0; i < 10; i++)
		sem_post(&gate);
	assert_true(reaches(&n_done, 10, 5000));
	while (gw_pool_threads(*state) > 1 && ms-- > 0)
		usleep(1000);
	assert_int_equal(gw_pool_threads(*state), 1);
	/* The one that stays works. */
	gw_pool_submit(*state, &jobs[0].work);
	sem_post(&gate);
	assert_true(reaches(&n_done, 11, 5000));
	free(jobs);
	sem_destroy(&gate);
}

static void test_free_runs_what_was_submitted(void **state)
{
	struct gw_pool *pool;
	struct job *jobs;
	sem_t gate;

	sem_init(&gate, 0, 0);
	jobs = jobs_new(GW_POOL_THREADS_MAX + 5, &gate);
	assert_int_equal(gw_pool_new(&pool), 0);
	for (size_t i = 0; i < GW_POOL_THREADS_MAX + 5; i++)
		gw_pool_submit(pool, &jobs[i].work);
	gw_pool_free(pool);
	for (size_t i = 0; i < GW_POOL_THREADS_MAX + 5; i++)
		sem_post(&gate);
	assert_true(reaches(&n_done, GW_POOL_THREADS_MAX + 5, 5000));
	usleep(20000);
	free(jobs);
	sem_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_run_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocked_work_delays_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_threads_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_runs_what_was_submitted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
