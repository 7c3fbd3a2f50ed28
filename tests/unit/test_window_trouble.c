/* SPDX-License-Identifier: BSD-3-Clause */
/* The window in trouble: refusals, late answers, resets, the ends of session and channel. */
#include "tests/unit/window_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_cut_of_refused),
		cmocka_unit_test(test_refused_alone),
		cmocka_unit_test(test_singles),
		cmocka_unit_test(test_late_fs),
		cmocka_unit_test(test_late_exact),
		cmocka_unit_test(test_unmap_all),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_broken_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
