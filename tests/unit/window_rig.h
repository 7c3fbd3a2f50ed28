/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One window with one front-end (window_front.h), and those who wait for what they asked of it.
 * Time is the test's own: it stands still until now_ms is set.
 */
#pragma once

#include <time.h>

#include "tests/unit/window_front.h"

struct waiter {
	struct dax_request op;
	int told, error;
};

static int64_t now_ms = 1000;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	now->tv_sec = now_ms / 1000;
	now->tv_nsec = now_ms % 1000 * 1000000;
	return 0;
}

static struct dax_window *window;
static struct waiter waiters[300];
static size_t fds_before;
static uint64_t bad_page = UINT64_MAX;

static inline void wake(void *ctx)
{
}

static inline void done(struct dax_request *op, int error)
{
	struct waiter *waiter = container_of(op, struct waiter, op);

	waiter->told++;
	waiter->error = error;
}

static inline struct dax_request *waiter(size_t i)
{
	waiters[i] = (struct waiter){.op.done = done};
	return &waiters[i].op;
}

static inline bool refuse(const struct dax_entry *entry)
{
	return entry->window_offset == bad_page * PAGE;
}

static inline void begin(const char *dialect, size_t maps_max, bool regions)
{
	struct dax_window_config config = {.dialect = dax_dialect_find(dialect),
		.size = FRONT_PAGES * PAGE,
		.maps_max = maps_max,
		.wake = wake};
	struct vu_channel *channel;

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	fds_before = count_fds();
	bad_page = UINT64_MAX;
	front_init(dialect);
	front.refuse = refuse;
	assert_int_equal(dax_window_new(&config, &window), 0);
	assert_false(dax_window_ready(window));
	assert_int_equal(vu_channel_new(-1, &channel), 0);
	dax_window_attach(window, channel, regions);
	dax_window_set_running(window, true);
	assert_true(dax_window_ready(window));
}

static inline void end(void)
{
	dax_window_free(window);
	front_fini();
	assert_int_equal(count_fds(), fds_before);
}

static inline int run(void)
{
	int next;

	assert_int_equal(dax_window_run(window, &next), 0);
	assert_true(dax_window_valid(window));
	return next;
}

static inline void settle(void)
{
	do {
		while (front_serve())
			continue;
		(void)run();
	} while (front.n);
}

static inline void map_access(size_t i, uint64_t page, uint64_t pages, uint32_t access, int flags)
{
	struct dax_entry entry = {page * PAGE, page * PAGE, pages * PAGE, access};

	dax_map(window, 0, front_open(0, flags), &entry, waiter(i));
}

static inline void map(size_t i, uint64_t page, uint64_t pages)
{
	map_access(i, page, pages, DAX_READ | DAX_WRITE, O_RDWR);
}

static inline void unmap(size_t i, uint64_t page, uint64_t pages)
{
	struct dax_entry range = {.window_offset = page * PAGE, .len = pages * PAGE};

	dax_unmap(window, &range, 1, waiter(i));
}

static inline void expect(size_t i, int error)
{
	assert_int_equal(waiters[i].told, 1);
	assert_int_equal(waiters[i].error, error);
}

static inline struct dax_counters counters(void)
{
	struct dax_counters c;

	dax_window_counters(window, &c);
	return c;
}
