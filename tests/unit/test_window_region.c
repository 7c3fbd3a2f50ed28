/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of its regions a front-end gets back: one that, like QEMU, sends the first that is missing
 * after each change, and all of them when the device starts. None that it took while the device ran
 * may be in its list when the machine is reset.
 */
#include <time.h>

#include "tests/unit/window_front.h"

#define BASE   (UINT64_C(1) << 32)
#define OPS    64u
#define ROUNDS 20000u

static struct dax_window *window;
static size_t fds_before;

/* The front-end's list: by first page. */
static bool taken[FRONT_PAGES];
/* There since before the last start. */
static bool old[FRONT_PAGES];

struct waiter {
	struct dax_request op;
	int told, error;
};

static void wake(void *ctx)
{
}

static void done(struct dax_request *op, int error)
{
	struct waiter *waiter = container_of(op, struct waiter, op);

	waiter->told++;
	waiter->error = error;
}

static void begin(bool regions)
{
	struct dax_window_config config = {.dialect = dax_dialect_find("shmem"),
		.size = FRONT_PAGES * PAGE,
		.maps_max = FRONT_PAGES,
		.wake = wake};
	struct vu_channel *channel;

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	fds_before = count_fds();
	memset(taken, 0, sizeof(taken));
	memset(old, 0, sizeof(old));
	front_init("shmem");
	assert_int_equal(dax_window_new(&config, &window), 0);
	assert_int_equal(vu_channel_new(-1, &channel), 0);
	dax_window_attach(window, channel, regions);
	dax_window_set_running(window, true);
}

static void end(void)
{
	dax_window_free(window);
	front_fini();
	assert_int_equal(count_fds(), fds_before);
}

static void run(void)
{
	int next;

	assert_int_equal(dax_window_run(window, &next), 0);
	assert_true(dax_window_valid(window));
}

static void map(struct waiter *waiter, size_t file, uint64_t page, uint64_t pages)
{
	struct dax_entry entry = {page * PAGE, page * PAGE, pages * PAGE, DAX_READ | DAX_WRITE};

	*waiter = (struct waiter){.op.done = done};
	dax_map(window, file, front_open(file, O_RDWR), &entry, &waiter->op);
}

static void unmap(struct waiter *waiter, uint64_t page, uint64_t pages)
{
	struct dax_entry range = {.window_offset = page * PAGE, .len = pages * PAGE};

	*waiter = (struct waiter){.op.done = done};
	dax_unmap(window, &range, 1, &waiter->op);
}

static bool starts(size_t page)
{
	return front.pages[page].mapped && front.pages[page].start == page;
}

static struct dax_region region_at(size_t page)
{
	struct stat st;

	assert_int_equal(fstat(front.files[front.pages[page].file], &st), 0);
	return (struct dax_region){st.st_dev, st.st_ino, front.pages[page].offset,
		front.pages[page].count * PAGE, BASE + page * PAGE};
}

/* Sends one region; whether it was taken. */
static bool offer(size_t page)
{
	struct dax_region region = region_at(page);

	if (dax_window_refuses(window, &region))
		return false;
	assert_true(dax_window_region(window, region.dev, region.ino, region.offset, region.len));
	taken[page] = true;
	return true;
}

/* The end of each of QEMU's transactions. */
static void commit(void)
{
	for (size_t i = 0; i < FRONT_PAGES; i++)
		taken[i] &= starts(i);
	for (size_t i = 0; i < FRONT_PAGES; i++)
		if (starts(i) && !taken[i] && !offer(i))
			return;
}

static void settle(void)
{
	do {
		while (front_serve())
			commit();
		run();
	} while (front.n);
	run();
}

static void test_refused_and_complete(void **state)
{
	struct waiter a, b, c;

	begin(true);
	map(&a, 0, 4, 1);
	run();
	assert_true(front_serve());
	run();
	assert_int_equal(a.told, 0); /* not before the region */
	assert_false(offer(4));
	assert_int_equal(a.told, 0);
	run();
	assert_int_equal(a.told, 1);
	assert_int_equal(a.error, 0);

	/* The first that is missing speaks for the next one, and not before its answer. */
	map(&b, 1, 8, 1);
	run();
	assert_true(front_serve());
	assert_false(offer(4));
	run();
	assert_int_equal(b.told, 1);
	assert_int_equal(b.error, 0);
	unmap(&c, 8, 1);
	run();
	assert_true(front_serve());
	assert_false(offer(4));
	run();
	assert_int_equal(c.told, 1);
	assert_int_equal(c.error, 0);
	end();
}

/* RAM is plugged in: all that is missing is sent ahead of it, and a no would keep it from us. */
static void test_unasked_is_taken(void **state)
{
	struct waiter a, b;

	begin(true);
	map(&a, 0, 0, 1);
	map(&b, 1, 2, 2);
	settle();
	assert_false(taken[0] || taken[2]);
	commit();
	assert_true(taken[0] && taken[2]);
	unmap(&a, 0, 4);
	settle();
	assert_int_equal(a.error, 0);
	assert_false(taken[0] || taken[2]);
	end();
}

/* No region of the window's, or a front-end of which we do not want any, or that starts. */
static void test_others_are_not_refused(void **state)
{
	struct dax_region region;
	struct waiter a;

	for (int i = 0; i < 2; i++) {
		begin(i == 1);
		map(&a, 0, 4, 1);
		run();
		assert_true(front_serve());
		region = region_at(4);
		region.ino++;
		assert_false(dax_window_refuses(window, &region));
		region = region_at(4);
		region.len += PAGE;
		assert_false(dax_window_refuses(window, &region));
		region = region_at(4);
		region.gpa = PAGE; /* the window would begin below zero */
		assert_false(dax_window_refuses(window, &region));
		assert_false(dax_window_placed(window));
		if (i == 1)
			dax_window_set_running(window, false);
		assert_true(offer(4));
		dax_window_set_running(window, true);
		run();
		assert_int_equal(a.told, 1);
		end();
	}
}

static void test_reach(void **state)
{
	struct dax_reach reach;
	struct waiter a;

	begin(true);
	assert_int_equal(dax_window_reach(window, BASE, 1, &reach), -EFAULT);
	map(&a, 1, 4, 2);
	settle();
	assert_true(dax_window_placed(window));
	assert_int_equal(dax_window_reach(window, BASE + 5 * PAGE - 1, 3 * PAGE, &reach), 0);
	assert_int_equal(reach.offset, 5 * PAGE - 1);
	assert_int_equal(reach.len, PAGE + 1);
	assert_int_equal(front_file(reach.fd), 1);
	fd_close(&reach.fd);
	assert_int_equal(dax_window_reach(window, BASE + 4 * PAGE - 1, 2, &reach), -EFAULT);
	assert_int_equal(dax_window_reach(window, BASE + 6 * PAGE, 1, &reach), -EFAULT);
	assert_int_equal(dax_window_reach(window, BASE - 1, 1, &reach), -EFAULT);
	assert_int_equal(dax_window_reach(window, BASE + FRONT_PAGES * PAGE, 1, &reach), -EFAULT);
	assert_int_equal(dax_window_reach(window, UINT64_MAX, UINT64_MAX, &reach), -EFAULT);
	dax_unmap_all(window);
	assert_int_equal(dax_window_reach(window, BASE + 4 * PAGE, 1, &reach), -EFAULT);
	settle();
	end();
}

/* A machine that was reset has no mappings: that it refuses to end them is nobody's trouble. */
static void test_reset_front(void **state)
{
	struct dax_counters counters;
	struct waiter a;

	begin(true);
	map(&a, 0, 0, 1);
	settle();
	dax_window_set_running(window, false);
	front_clear(0, FRONT_PAGES * PAGE);
	commit();
	dax_window_set_running(window, true);
	dax_unmap_all(window);
	map(&a, 1, 0, 2);
	settle();
	assert_int_equal(a.told, 1);
	assert_int_equal(a.error, 0);
	front_check(window);
	dax_window_counters(window, &counters);
	assert_int_equal(counters.refused, 0);
	assert_int_equal(counters.regions_refused, 2);
	end();
}

static void check_reach(void)
{
	struct dax_reach reach;

	if (!dax_window_placed(window))
		return;
	for (size_t i = 0; i < FRONT_PAGES; i++) {
		int r = dax_window_reach(window, BASE + i * PAGE + 17, 1, &reach);

		assert_int_equal(r, front.pages[i].mapped ? 0 : -EFAULT);
		if (r)
			continue;
		assert_int_equal(front_file(reach.fd), front.pages[i].file);
		assert_int_equal(reach.offset, front.pages[i].offset + 17);
		assert_int_equal(reach.len, 1);
		fd_close(&reach.fd);
	}
}

static void stop_and_start(void)
{
	dax_window_set_running(window, false);
	run();
	commit();
	for (size_t i = 0; i < FRONT_PAGES; i++) {
		assert_int_equal(taken[i], starts(i)); /* or the start had failed */
		old[i] = taken[i];
	}
	dax_window_set_running(window, true);
	run();
}

static void test_random(void **state)
{
	static struct waiter waiters[OPS];
	unsigned int seed = (unsigned int)time(NULL);
	size_t n = 0;

	print_message("seed %u\n", seed);
	srand(seed);
	begin(true);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint64_t page = (uint64_t)rand() % (FRONT_PAGES - 4);
		uint64_t pages = (uint64_t)rand() % 4 + 1;

		if (rand() % 3)
			map(&waiters[n++], (size_t)rand() % FRONT_FILES, page, pages);
		else
			unmap(&waiters[n++], page, pages);
		if (rand() % 2)
			run();
		if (rand() % 2 && front_serve())
			commit();
		if (n < OPS && rand() % 16)
			continue;
		settle();
		while (n)
			assert_int_equal(waiters[--n].told, 1);
		front_check(window);
		check_reach();
		for (size_t i = 0; i < FRONT_PAGES; i++) {
			old[i] &= taken[i];
			assert_true(!taken[i] || old[i]);
		}
		if (rand() % 64 == 0)
			stop_and_start();
	}
	settle();
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_and_complete),
		cmocka_unit_test(test_unasked_is_taken),
		cmocka_unit_test(test_others_are_not_refused),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_reset_front),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
