/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads submit, the main loop carries: each is told of all it asked for, once. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/window_front.h"

#define THREADS     4
#define OPERATIONS  4000
#define OUTSTANDING 8

struct slot {
	struct dax_request op;
	atomic_int busy;
	int error;
};

struct submitter {
	pthread_t thread;
	struct dax_window *window;
	uint64_t seed;
	size_t errors;
	atomic_bool over;
	struct slot slots[OUTSTANDING];
};

static atomic_uint wakes;

static void wake(void *ctx)
{
	atomic_fetch_add(&wakes, 1);
}

static void done(struct dax_request *op, int error)
{
	struct slot *slot = container_of(op, struct slot, op);

	slot->error = error;
	atomic_store(&slot->busy, 0);
}

static uint64_t pick(struct submitter *s, uint64_t n)
{
	s->seed ^= s->seed << 13;
	s->seed ^= s->seed >> 7;
	s->seed ^= s->seed << 17;
	return s->seed % n;
}

static void await(struct submitter *s, struct slot *slot)
{
	while (atomic_load(&slot->busy))
		sched_yield();
	s->errors += slot->error != 0;
	slot->error = 0;
}

static void *submit(void *arg)
{
	struct submitter *s = arg;

	for (size_t i = 0; i < OPERATIONS; i++) {
		struct slot *slot = &s->slots[i % OUTSTANDING];
		uint64_t start = pick(s, FRONT_PAGES), len = 1 + pick(s, 4);
		size_t file = pick(s, FRONT_FILES);
		struct dax_entry entry = {.fd_offset = pick(s, 4) * PAGE,
			.window_offset = start * PAGE,
			.len = MIN(len, FRONT_PAGES - start) * PAGE,
			.access = DAX_READ | DAX_WRITE};

		await(s, slot);
		slot->op.done = done;
		atomic_store(&slot->busy, 1);
		if (pick(s, 3))
			dax_map(s->window, file, front_open(file, O_RDWR), &entry, &slot->op);
		else
			dax_unmap(s->window, &entry, 1, &slot->op);
		if (pick(s, 50) == 0)
			(void)dax_window_ready(s->window);
	}
	for (size_t i = 0; i < OUTSTANDING; i++)
		await(s, &s->slots[i]);
	atomic_store(&s->over, true);
	return NULL;
}

static bool all_over(struct submitter *submitters)
{
	for (size_t i = 0; i < THREADS; i++)
		if (!atomic_load(&submitters[i].over))
			return false;
	return true;
}

static void serve(struct dax_window *window, struct submitter *submitters)
{
	int next;
	bool over;

	do {
		over = all_over(submitters);
		if (atomic_exchange(&wakes, 0) == 0 && front.n == 0)
			sched_yield();
		while (front_serve())
			continue;
		while (front_region(window))
			continue;
		assert_int_equal(dax_window_run(window, &next), 0);
	} while (!over || front.n || next >= 0);
}

static void drive(const char *dialect, bool regions)
{
	struct dax_window_config config = {
		.dialect = dax_dialect_find(dialect),
		.size = FRONT_PAGES * PAGE,
		.maps_max = FRONT_PAGES,
		.wake = wake,
	};
	static struct submitter submitters[THREADS];
	struct dax_window *window;
	struct vu_channel *channel;
	size_t fds = count_fds();

	front_init(dialect);
	assert_int_equal(dax_window_new(&config, &window), 0);
	assert_int_equal(vu_channel_new(-1, &channel), 0);
	dax_window_attach(window, channel, regions);
	dax_window_set_running(window, true);
	for (size_t i = 0; i < THREADS; i++) {
		submitters[i] = (struct submitter){.window = window, .seed = i + 7};
		assert_int_equal(
			pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]), 0);
	}
	serve(window, submitters);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
		assert_int_equal(submitters[i].errors, 0);
	}
	assert_true(dax_window_valid(window));
	front_check(window);
	dax_window_free(window);
	front_fini();
	assert_int_equal(count_fds(), fds);
}

static void test_fs_v2(void **state)
{
	drive("fs-v2", false);
}

static void test_shmem(void **state)
{
	drive("shmem", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fs_v2),
		cmocka_unit_test(test_shmem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
