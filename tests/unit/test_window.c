/* SPDX-License-Identifier: BSD-3-Clause */
/* The window, operation by operation: batches, upgrades, cuts, regions, sync and I/O. */
#include "tests/unit/window_rig.h"

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
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_regions_alike),
		cmocka_unit_test(test_sync_and_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
