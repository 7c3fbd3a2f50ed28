/* SPDX-License-Identifier: BSD-3-Clause */
/* The window, operation by operation: batches, upgrades, refusals, late answers, regions, ends. */
#include <time.h>

#include "tests/unit/window_front.h"

struct waiter {
	struct dax_request op;
	int told, error;
};

/* Time is the test's own. */
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

static void wake(void *ctx)
{
}

static void done(struct dax_request *op, int error)
{
	struct waiter *waiter = container_of(op, struct waiter, op);

	waiter->told++;
	waiter->error = error;
}

static struct dax_request *waiter(size_t i)
{
	waiters[i] = (struct waiter){.op.done = done};
	return &waiters[i].op;
}

static bool refuse(const struct dax_entry *entry)
{
	return entry->window_offset == bad_page * PAGE;
}

static void begin(const char *dialect, size_t maps_max, bool regions)
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

static void end(void)
{
	dax_window_free(window);
	front_fini();
	assert_int_equal(count_fds(), fds_before);
}

static int run(void)
{
	int next;

	assert_int_equal(dax_window_run(window, &next), 0);
	assert_true(dax_window_valid(window));
	return next;
}

static void settle(void)
{
	do {
		while (front_serve())
			continue;
		(void)run();
	} while (front.n);
}

static void map_access(size_t i, uint64_t page, uint64_t pages, uint32_t access, int flags)
{
	struct dax_entry entry = {page * PAGE, page * PAGE, pages * PAGE, access};

	dax_map(window, 0, front_open(0, flags), &entry, waiter(i));
}

static void map(size_t i, uint64_t page, uint64_t pages)
{
	map_access(i, page, pages, DAX_READ | DAX_WRITE, O_RDWR);
}

static void unmap(size_t i, uint64_t page, uint64_t pages)
{
	struct dax_entry range = {.window_offset = page * PAGE, .len = pages * PAGE};

	dax_unmap(window, &range, 1, waiter(i));
}

static void expect(size_t i, int error)
{
	assert_int_equal(waiters[i].told, 1);
	assert_int_equal(waiters[i].error, error);
}

static struct dax_counters counters(void)
{
	struct dax_counters c;

	dax_window_counters(window, &c);
	return c;
}

static void test_batches(void **state)
{
	struct dax_entry ranges[FRONT_PAGES];

	begin("fs-v2", FRONT_PAGES, false);
	for (size_t i = 0; i < 32; i++) {
		map(i, i, 1);
		if (i == 0)
			(void)run();
	}
	settle();
	for (size_t i = 0; i < 32; i++) {
		expect(i, 0);
		ranges[i] = (struct dax_entry){.window_offset = i * PAGE, .len = PAGE};
	}
	assert_int_equal(counters().messages[DAX_OP_MAP], 5);
	assert_int_equal(counters().entries[DAX_OP_MAP], 32);
	assert_int_equal(counters().in_flight_max, 1);
	front_check(window);
	dax_unmap(window, ranges, 32, waiter(0));
	settle();
	expect(0, 0);
	assert_int_equal(counters().messages[DAX_OP_UNMAP], 4);
	assert_int_equal(counters().live, 0);
	end();
}

static void test_exact_pipeline(void **state)
{
	begin("shmem", FRONT_PAGES, false);
	for (size_t i = 0; i < 32; i++)
		map(i, i, 1);
	(void)run();
	assert_int_equal(front.n, 8);
	settle();
	assert_int_equal(counters().messages[DAX_OP_MAP], 32);
	assert_int_equal(counters().in_flight_max, 8);
	end();
}

static void test_gate(void **state)
{
	const struct dax_entry bad[] = {
		{0, 0, 0, DAX_READ},
		{0, 1, PAGE, DAX_READ},
		{1, 0, PAGE, DAX_READ},
		{0, 0, 100, DAX_READ},
		{0, 0, (FRONT_PAGES + 1) * PAGE, DAX_READ},
		{0, FRONT_PAGES * PAGE, PAGE, DAX_READ},
		{0, UINT64_MAX - PAGE + 1, PAGE, DAX_READ},
		{UINT64_MAX - PAGE + 1, 0, 2 * PAGE, DAX_READ},
		{0, 0, PAGE, 0},
		{0, 0, PAGE, 4},
	};

	begin("fs-v2", 2, false);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		dax_map(window, 0, front_open(0, O_RDWR), &bad[i], waiter(0));
		expect(0, -EINVAL);
	}
	for (size_t i = 0; i < 2; i++) {
		dax_unmap(window, &bad[i], 1, waiter(0));
		expect(0, -EINVAL);
	}
	map(0, 0, 4);
	map(1, 8, 1);
	map(2, 10, 1);
	expect(2, -ENOSPC);
	unmap(3, 1, 1);
	expect(3, -ENOSPC);
	unmap(4, 30, 2);
	expect(4, 0);
	settle();
	expect(0, 0);
	expect(1, 0);
	dax_window_attach(window, NULL, false);
	map(2, 10, 1);
	expect(2, -EIO);
	assert_false(dax_window_ready(window));
	assert_int_equal(dax_window_fd(window), -1);
	end();
}

static void test_upgrade(void **state)
{
	begin("shmem", 8, false);
	map_access(0, 0, 2, DAX_READ, O_RDWR);
	(void)run();
	map(1, 0, 2);
	(void)run();
	assert_int_equal(waiters[1].told, 0);
	settle();
	expect(0, 0);
	expect(1, 0);
	map(2, 0, 2);
	expect(2, 0);
	assert_int_equal(counters().messages[DAX_OP_MAP], 1);
	map_access(3, 4, 2, DAX_READ, O_RDONLY);
	assert_true(dax_window_blinks(window, 0, 5 * PAGE, PAGE));
	assert_false(dax_window_blinks(window, 1, 5 * PAGE, PAGE));
	assert_false(dax_window_blinks(window, 0, 6 * PAGE, PAGE));
	map(4, 4, 2);
	settle();
	expect(4, 0);
	assert_int_equal(counters().messages[DAX_OP_MAP], 3);
	assert_int_equal(counters().messages[DAX_OP_UNMAP], 1);
	front_check(window);
	end();
}

/* Less is asked for than there is: the front-end hears of it, for guests' stores must fault. */
static void test_downgrade(void **state)
{
	static const char *const dialects[] = {"seed", "fs-v2", "fs-count"};

	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++) {
		begin(dialects[i], 8, false);
		map(0, 0, 2);
		settle();
		map_access(1, 0, 2, DAX_READ, O_RDWR);
		settle();
		expect(1, 0);
		assert_int_equal(front.pages[0].access, DAX_READ);
		assert_int_equal(front.pages[1].access, DAX_READ);
		map_access(2, 0, 2, DAX_READ, O_RDWR);
		expect(2, 0);
		assert_int_equal(counters().messages[DAX_OP_MAP], 2);
		front_check(window);
		end();
	}
}

/* A cut: the mapping as a whole, then the pieces; all as the guest sees it one operation. */
static void test_exact_cut(void **state)
{
	begin("shmem", 8, false);
	map(0, 0, 10);
	unmap(1, 4, 2);
	settle();
	expect(1, 0);
	front_check(window);
	assert_int_equal(counters().live, 2);
	assert_true(front.pages[3].mapped && !front.pages[4].mapped && front.pages[6].mapped);
	assert_int_equal(counters().messages[DAX_OP_MAP], 3);
	end();
}

/* A failed mapping takes what was to be cut of it along. */
static void test_exact_cut_of_refused(void **state)
{
	begin("shmem", 8, false);
	bad_page = 0;
	map(0, 0, 10);
	unmap(1, 4, 2);
	settle();
	expect(0, -EIO);
	expect(1, 0);
	assert_int_equal(counters().live, 0);
	assert_int_equal(counters().messages[DAX_OP_MAP], 1);
	end();
}

static void test_refused_alone(void **state)
{
	begin("fs-v2", FRONT_PAGES, false);
	bad_page = 3;
	front.refusal = (uint64_t)-ENXIO;
	map(20, 2, 3);
	settle();
	for (size_t i = 0; i < 8; i++)
		map(i, i, 1);
	settle();
	for (size_t i = 0; i < 8; i++)
		expect(i, i == 3 ? -ENXIO : 0);
	front_check(window);
	assert_false(front.pages[3].mapped);
	/* Not all went through singly: batches are still tried. */
	bad_page = UINT64_MAX;
	map(8, 16, 1);
	map(9, 17, 1);
	settle();
	assert_int_equal(front.batches_of[2], 1);
	end();
}

static void test_singles(void **state)
{
	begin("seed", FRONT_PAGES, false);
	for (size_t i = 0; i < 8; i++)
		map(i, i, 1);
	settle();
	for (size_t i = 0; i < 8; i++)
		expect(i, 0);
	assert_int_equal(counters().messages[DAX_OP_MAP], 9);
	map(8, 16, 1);
	map(9, 17, 1);
	settle();
	assert_int_equal(counters().messages[DAX_OP_MAP], 11);
	assert_int_equal(counters().refused, 1);
	end();
}

static void late(const char *dialect)
{
	begin(dialect, 8, false);
	map(0, 0, 2);
	assert_int_equal(run(), DAX_ANSWER_MS);
	now_ms += 1000;
	map(1, 1, 1);
	map(2, 5, 1);
	(void)run();
	now_ms += 4000;
	(void)run();
	expect(0, -ETIMEDOUT);
	assert_int_equal(waiters[1].told, 0);
	dax_window_set_running(window, false);
	now_ms += 100000;
	(void)run();
	dax_window_set_running(window, true);
	(void)run();
	assert_int_equal(waiters[1].told, 0);
	settle();
	expect(1, 0);
	expect(2, 0);
	front_check(window);
	assert_true(!front.pages[0].mapped && front.pages[1].mapped && front.pages[5].mapped);
	assert_int_equal(counters().timed_out, 1);
	map(3, 8, 1);
	(void)run();
	map(4, 8, 1);
	now_ms += 5000;
	(void)run();
	expect(3, -ETIMEDOUT);
	expect(4, -ETIMEDOUT);
	settle();
	front_check(window);
	end();
}

static void test_late_fs(void **state)
{
	late("fs-count");
}

static void test_late_exact(void **state)
{
	late("shmem");
}

static void test_regions(void **state)
{
	struct stat st;

	begin("shmem", 8, true);
	assert_int_equal(fstat(front.files[0], &st), 0);
	map(0, 0, 1);
	map(1, 1, 1);
	map(2, 2, 1);
	assert_false(dax_window_region(window, st.st_dev, st.st_ino, 0, PAGE));
	(void)run();
	assert_false(dax_window_region(window, st.st_dev, st.st_ino, 0, 2 * PAGE));
	assert_false(dax_window_region(window, st.st_dev, st.st_ino + 1, 0, PAGE));
	/* Before the answer, after it, and never. */
	assert_true(dax_window_region(window, st.st_dev, st.st_ino, 0, PAGE));
	settle();
	expect(0, 0);
	assert_int_equal(waiters[1].told, 0);
	assert_true(dax_window_region(window, st.st_dev, st.st_ino, PAGE, PAGE));
	assert_int_equal(waiters[1].told, 0);
	(void)run();
	expect(1, 0);
	assert_true(dax_window_region(window, st.st_dev, st.st_ino, PAGE, PAGE));
	now_ms += 4999;
	assert_int_equal(run(), 1);
	now_ms += 1;
	(void)run();
	expect(2, -ETIMEDOUT);
	settle();
	front_check(window);
	assert_false(dax_window_region(window, st.st_dev, st.st_ino, 2 * PAGE, PAGE));
	end();
}

/* Two mappings of one place of a file: the first region is the first one's. */
static void test_regions_alike(void **state)
{
	struct stat st;

	begin("shmem", 8, true);
	assert_int_equal(fstat(front.files[0], &st), 0);
	for (size_t i = 0; i < 2; i++) {
		struct dax_entry entry = {0, i * PAGE, PAGE, DAX_READ};

		dax_map(window, 0, front_open(0, O_RDWR), &entry, waiter(i));
	}
	(void)run();
	assert_true(dax_window_region(window, st.st_dev, st.st_ino, 0, PAGE));
	settle();
	expect(0, 0);
	assert_int_equal(waiters[1].told, 0);
	assert_true(dax_window_region(window, st.st_dev, st.st_ino, 0, PAGE));
	settle();
	expect(1, 0);
	end();
}

static void test_unmap_all(void **state)
{
	begin("fs-v2", 8, false);
	map(0, 0, 2);
	(void)run();
	map(1, 4, 2);
	dax_unmap_all(window);
	map(2, 6, 1);
	settle();
	expect(0, 0);
	expect(1, -EIO);
	expect(2, 0);
	assert_true(front.whole_seen);
	front_check(window);
	assert_int_equal(counters().live, 1);
	end();
	begin("shmem", 8, false);
	map(0, 0, 2);
	map(1, 4, 2);
	settle();
	dax_unmap_all(window);
	settle();
	front_check(window);
	assert_int_equal(counters().messages[DAX_OP_UNMAP], 2);
	end();
}

/* What the front-end makes of a request after it was reset is in doubt, and undone. */
static void test_reset(void **state)
{
	begin("shmem", 8, false);
	map(0, 0, 2);
	settle();
	map(1, 4, 2);
	(void)run();
	map(2, 6, 1);
	front_clear(0, FRONT_PAGES * PAGE);
	dax_window_reset(window);
	expect(1, -EIO);
	expect(2, -EIO);
	map(3, 4, 1);
	settle();
	expect(3, 0);
	front_check(window);
	end();
	begin("fs-v2", 8, false);
	map(0, 0, 2);
	settle();
	dax_window_set_running(window, false);
	dax_window_reset(window);
	(void)run();
	assert_int_equal(front.n, 0);
	dax_window_set_running(window, true);
	settle();
	assert_true(front.whole_seen);
	front_check(window);
	end();
}

static void test_broken_channel(void **state)
{
	int next;

	begin("fs-v2", 8, false);
	map(0, 0, 2);
	(void)run();
	map(1, 4, 2);
	front.broken = true;
	assert_int_equal(dax_window_run(window, &next), -ECONNRESET);
	expect(0, -EIO);
	expect(1, -EIO);
	assert_int_equal(next, -1);
	assert_int_equal(dax_window_run(window, &next), 0);
	end();
}

static void test_sync_and_io(void **state)
{
	const struct dax_entry entry = {0, 0x100000, 100, DAX_READ};

	begin("fs-v2", 8, false);
	map(0, 0, 2);
	map(1, 4, 2);
	dax_sync(window, 0, waiter(2));
	dax_sync(window, 7, waiter(3));
	expect(3, 0);
	dax_io(window, front_open(0, O_RDWR), &entry, waiter(4));
	settle();
	expect(2, 0);
	assert_int_equal(counters().entries[DAX_OP_SYNC], 2);
	expect(4, 0);
	assert_int_equal(waiters[4].op.bytes, 50);
	end();
	begin("shmem", 8, false);
	dax_io(window, front_open(0, O_RDWR), &entry, waiter(4));
	expect(4, -EOPNOTSUPP);
	dax_sync(window, 0, waiter(2));
	expect(2, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_exact_pipeline),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_exact_cut),
		cmocka_unit_test(test_exact_cut_of_refused),
		cmocka_unit_test(test_refused_alone),
		cmocka_unit_test(test_singles),
		cmocka_unit_test(test_late_fs),
		cmocka_unit_test(test_late_exact),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_regions_alike),
		cmocka_unit_test(test_unmap_all),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_broken_channel),
		cmocka_unit_test(test_sync_and_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
