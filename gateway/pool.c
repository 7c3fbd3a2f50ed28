/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for work that may block.
 *
 * Theory of operation. Work goes straight into the hands of an idle thread, the one that became
 * idle last, so that those idle for long stay so and end after IDLE_S. When none is idle a thread
 * is made; past GW_POOL_THREADS_MAX, or when the system has none to give, work waits in a queue in
 * order of arrival. One thread is permanent: it waits without a time limit (an idle service has
 * no wake-ups), and since it exists before any guest is served, work never finds nobody at all.
 */
#include "gateway/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/thread.h"

/* Long enough to serve bursts without making threads anew, short enough to be small soon. */
#define IDLE_S 3

/* A thread that waits; lives on its stack. Guarded by the pool's lock. */
struct idler {
	pthread_cond_t cond;
	struct fs_work *work; /* handed over */
	struct idler *next;
	bool told; /* taken off the list: it has work, or shall end */
};

struct gw_pool {
	pthread_mutex_t lock;         /* guards all of the following */
	struct idler *idlers;         /* a stack */
	struct fs_work *first, **end; /* what waits */
	unsigned int n_threads;
	bool permanent; /* some idle thread is the permanent one */
	bool closing;
};

/* Lock held: waits for work; NULL when this thread shall end. */
static struct fs_work *wait_for_work(struct gw_pool *pool)
{
	struct idler self = {.next = pool->idlers};
	struct timespec until;
	bool permanent = !pool->permanent;
	int r = 0;
	pthread_condattr_t attr;

	if (pool->closing)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&self.cond, &attr);
	pthread_condattr_destroy(&attr);

	pool->idlers = &self;
	pool->permanent = true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	while (!self.told && r != ETIMEDOUT) {
		if (permanent)
			pthread_cond_wait(&self.cond, &pool->lock);
		else
			r = pthread_cond_timedwait(&self.cond, &pool->lock, &until);
	}
	if (!self.told) {
		struct idler **link = &pool->idlers;

		while (*link != &self)
			link = &(*link)->next;
		*link = self.next;
	}
	if (permanent)
		pool->permanent = false;
	pthread_cond_destroy(&self.cond);
	return self.work;
}

/* Lock held. */
static struct fs_work *take_waiting(struct gw_pool *pool)
{
	struct fs_work *work = pool->first;

	if (!work)
		return NULL;
	pool->first = work->next;
	if (!pool->first)
		pool->end = &pool->first;
	return work;
}

static void pool_thread(void *arg)
{
	struct gw_pool *pool = arg;
	struct fs_work *work;
	bool last;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		work = take_waiting(pool);
		if (!work)
			work = wait_for_work(pool);
		if (!work)
			break;
		pthread_mutex_unlock(&pool->lock);
		work->run(work);
		pthread_mutex_lock(&pool->lock);
	}
	pool->n_threads--;
	last = pool->closing && pool->n_threads == 0;
	pthread_mutex_unlock(&pool->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

int gw_pool_new(struct gw_pool **made)
{
	struct gw_pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pool->end = &pool->first;
	pool->n_threads = 1;
	r = gw_thread_start(pool_thread, pool, "pool");
	if (r) {
		pthread_mutex_destroy(&pool->lock);
		free(pool);
		return r;
	}
	*made = pool;
	return 0;
}

/* Lock held: takes an idle thread off the list and tells it. */
static void tell(struct gw_pool *pool, struct fs_work *work)
{
	struct idler *idler = pool->idlers;

	pool->idlers = idler->next;
	idler->work = work;
	idler->told = true;
	pthread_cond_signal(&idler->cond);
}

void gw_pool_free(struct gw_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	while (pool->idlers)
		tell(pool, NULL);
	pthread_mutex_unlock(&pool->lock);
}

void gw_pool_submit(struct gw_pool *pool, struct fs_work *work)
{
	work->next = NULL;
	pthread_mutex_lock(&pool->lock);
	if (pool->idlers) {
		tell(pool, work);
	} else {
		*pool->end = work;
		pool->end = &work->next;
		if (pool->n_threads < GW_POOL_THREADS_MAX &&
			gw_thread_start(pool_thread, pool, "pool") == 0)
			pool->n_threads++;
	}
	pthread_mutex_unlock(&pool->lock);
}

unsigned int gw_pool_threads(struct gw_pool *pool)
{
	unsigned int n;

	pthread_mutex_lock(&pool->lock);
	n = pool->n_threads;
	pthread_mutex_unlock(&pool->lock);
	return n;
}
