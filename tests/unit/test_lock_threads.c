/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks under threads: processes of two guests that wait for each other's locks, are interrupted
 * and close their files, on real threads for waits.
 */
#include "tests/unit/lock_client.h"

#include <sched.h>

#include "gateway/waiter.h"

#define PROCESSES 6 /* of each guest */
#define ROUNDS    150

static int start_wait(void *ctx, struct fs_wait *wait)
{
	(void)ctx;
	return gw_waiter_start(wait);
}

static void interrupt_wait(void *ctx, struct fs_wait *wait)
{
	(void)ctx;
	gw_waiter_interrupt(wait);
}

struct process {
	struct lock_guest *g;
	pthread_t thread;
	unsigned int seed;
	uint64_t owner, unique;
	int errors;
};

/* How many have the lock. */
static _Atomic int inside;

static int answer_of(struct call *call)
{
	int error;

	for (int us = 0; atomic_load(&call->completed) == 0 && us < 20000000; us += 50)
		usleep(50);
	error = call_answer(call).error;
	call_free(call);
	return error;
}

/* One request of this process's; the client's buffers are not for several threads. */
static struct call *submit(struct process *p, uint32_t opcode, const void *args, size_t len)
{
	struct call *call = call_request(opcode, p->unique += 2, p->g->nodeid, args, len,
		HEADER_SIZE + (opcode == FUSE_GETLK ? sizeof(struct fuse_lk_out) : 0));

	fs_submit(p->g->c->f->fs, &call->io);
	return call;
}

static void leave(struct process *p)
{
	struct fuse_lk_in in = lock_in(p->g->fh[0], p->owner, F_UNLCK, 0, LOCK_END);
	struct fuse_flush_in flush = {.fh = p->g->fh[1], .lock_owner = p->owner};

	if (rand_r(&p->seed) % 2)
		p->errors += answer_of(submit(p, FUSE_SETLK, &in, sizeof(in))) != 0;
	else
		p->errors += answer_of(submit(p, FUSE_FLUSH, &flush, sizeof(flush))) != 0;
}

/* Waits for the first byte alone; now and then it is told a signal. */
static void one_round(struct process *p)
{
	struct fuse_lk_in in = lock_in(p->g->fh[0], p->owner, F_WRLCK, 0, 0);
	struct call *call = submit(p, FUSE_SETLKW, &in, sizeof(in));
	int error;

	if (rand_r(&p->seed) % 4 == 0)
		send_interrupt(p->g, p->unique);
	error = answer_of(call);
	if (error == -EINTR)
		return;
	p->errors += error != 0;
	p->errors += atomic_fetch_add(&inside, 1) != 0;
	sched_yield();
	atomic_fetch_sub(&inside, 1);
	leave(p);
}

static void *process_main(void *arg)
{
	struct process *p = arg;

	for (int i = 0; i < ROUNDS; i++)
		one_round(p);
	return NULL;
}

static void guests_new(struct lock_guest guests[2])
{
	for (size_t i = 0; i < 2; i++) {
		struct client *c = client_new(FS_CACHE_AUTO, false, 0);

		guests[i].c = c;
		if (i == 0) {
			host_write(c, "f", "x");
		} else {
			close(c->f->config.root_fd);
			c->f->config.root_fd = open(guests[0].c->f->dir, O_RDONLY | O_DIRECTORY);
		}
		lock_serve(c, start_wait, interrupt_wait);
		lock_open(&guests[i], "f");
	}
}

static void guests_free(struct lock_guest guests[2])
{
	for (int ms = 0; gw_waiters() > 0 && ms < 5000; ms++)
		usleep(1000);
	assert_int_equal(gw_waiters(), 0);
	client_free(guests[1].c);
	client_free(guests[0].c);
}

static void test_never_two(void **state)
{
	struct process processes[2 * PROCESSES];
	struct lock_guest guests[2];

	(void)state;
	guests_new(guests);
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++) {
		struct process *p = &processes[i];

		*p = (struct process){
			.g = &guests[i % 2],
			.seed = (unsigned int)i,
			.owner = 10 + i,
			.unique = 1000000 * (i + 1),
		};
		assert_int_equal(pthread_create(&p->thread, NULL, process_main, p), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++) {
		pthread_join(processes[i].thread, NULL);
		assert_int_equal(processes[i].errors, 0);
	}
	guests_free(guests);
}

/* Sessions end while their waits start, are granted and interrupted. */
static void test_sessions_end(void **state)
{
	struct lock_guest guests[2];
	struct call *calls[8];

	(void)state;
	guests_new(guests);
	for (int round = 0; round < 100; round++) {
		struct lock_guest *g = &guests[round % 2], *other = &guests[(round + 1) % 2];

		assert_int_equal(set_lock(other, 1, F_WRLCK, 0, 9), 0);
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
			struct fuse_lk_in in = lock_in(g->fh[i % 2], 20 + i, F_WRLCK, i % 4, 9);

			calls[i] = send_lock_wait(g, &in, 100 + 2 * i);
		}
		if (round % 3 == 0)
			assert_int_equal(do_flush(other, 0, 1), 0);
		if (round % 5 == 0)
			send_interrupt(g, 104);
		fs_reset(g->c->f->fs);
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
			while (!calls[i]->completed && !calls[i]->dropped)
				usleep(100);
			call_free(calls[i]);
		}
		/* Nothing of it is left, soon. */
		assert_int_equal(do_flush(other, 0, 1), 0);
		assert_int_equal(set_lock(other, 1, F_WRLCK, 0, LOCK_END), 0);
		assert_int_equal(do_flush(other, 0, 1), 0);
		fixture_pump(g->c->f);
		assert_int_equal(do_init(g->c->f), 0);
		lock_open(g, "f");
	}
	guests_free(guests);
}

struct setter {
	struct lock_guest *g;
	struct call *call;
	uint64_t fh;
};

static void *set_main(void *arg)
{
	struct setter *s = arg;
	struct fuse_lk_in in = lock_in(s->fh, 1, F_WRLCK, 0, 9);

	s->call = call_request(FUSE_SETLK, 7, s->g->nodeid, &in, sizeof(in), HEADER_SIZE);
	fs_submit(s->g->c->f->fs, &s->call->io);
	return NULL;
}

/* Whoever is first, a lock by a handle that was released is none. */
static void test_release_while_locking(void **state)
{
	struct lock_guest guests[2], *g = &guests[0];

	(void)state;
	guests_new(guests);
	for (int round = 0; round < 2000; round++) {
		struct fuse_open_out out;
		struct setter s = {.g = g};
		pthread_t thread;
		int error;

		assert_int_equal(do_open(g->c, FUSE_OPEN, g->nodeid, O_RDWR, &out), 0);
		s.fh = out.fh;
		assert_int_equal(pthread_create(&thread, NULL, set_main, &s), 0);
		for (volatile int spin = 0; spin < round % 100 * 200; spin++)
			;
		assert_int_equal(do_release(g->c, FUSE_RELEASE, g->nodeid, out.fh), 0);
		pthread_join(thread, NULL);
		error = call_answer(s.call).error;
		assert_true(error == 0 || error == -EBADF);
		call_free(s.call);
		assert_int_equal(set_lock(&guests[1], 1, F_WRLCK, 0, LOCK_END), 0);
		assert_int_equal(set_lock(&guests[1], 1, F_UNLCK, 0, LOCK_END), 0);
	}
	guests_free(guests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_two),
		cmocka_unit_test(test_sessions_end),
		cmocka_unit_test(test_release_while_locking),
	};

	vu_log_level = LOG_LEVEL_ERROR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
