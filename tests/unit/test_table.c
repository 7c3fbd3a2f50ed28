/* SPDX-License-Identifier: BSD-3-Clause */
/* The mapping table: cuts of every form, and the references of owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dax/table.h"

#define PAGE 4096u

static int refs[4];

static void get(void *owner)
{
	++*(int *)owner;
}

static void put(void *owner)
{
	--*(int *)owner;
}

static bool is_second(const void *owner)
{
	return owner == &refs[1];
}

static void add(struct dax_table *table, size_t owner, uint64_t page, uint64_t pages)
{
	struct dax_slot slot = {
		{page * PAGE * 2, page * PAGE, pages * PAGE, DAX_READ}, owner, &refs[owner]};

	dax_table_insert(table, &slot);
	assert_true(dax_table_valid(table, 64 * PAGE, PAGE));
}

static void setup(struct dax_table *table)
{
	for (size_t i = 0; i < 4; i++)
		refs[i] = 0;
	assert_int_equal(dax_table_init(table, 8, get, put), 0);
	add(table, 1, 20, 10);
	add(table, 0, 10, 10);
	add(table, 2, 40, 4);
}

static void expect(
	const struct dax_table *table, size_t i, uint64_t page, uint64_t pages, uint64_t file_page)
{
	assert_int_equal(table->slots[i].entry.window_offset, page * PAGE);
	assert_int_equal(table->slots[i].entry.len, pages * PAGE);
	assert_int_equal(table->slots[i].entry.fd_offset, file_page * PAGE);
}

static void test_lookup(void **state)
{
	struct dax_table table;
	size_t first;

	setup(&table);
	assert_int_equal(dax_table_first(&table, 0), 0);
	assert_int_equal(dax_table_first(&table, 20 * PAGE - 1), 0);
	assert_int_equal(dax_table_first(&table, 20 * PAGE), 1);
	assert_int_equal(dax_table_first(&table, 44 * PAGE), 3);
	assert_int_equal(dax_table_touched(&table, 0, 10 * PAGE, &first), 0);
	assert_int_equal(dax_table_touched(&table, 0, 11 * PAGE, &first), 1);
	assert_int_equal(dax_table_touched(&table, 19 * PAGE, 22 * PAGE, &first), 3);
	assert_int_equal(first, 0);
	dax_table_fini(&table);
}

static void test_cut_middle(void **state)
{
	struct dax_table table;

	setup(&table);
	assert_int_equal(dax_table_after_cut(&table, 13 * PAGE, 2 * PAGE), 4);
	dax_table_cut(&table, 13 * PAGE, 2 * PAGE);
	assert_int_equal(table.n, 4);
	expect(&table, 0, 10, 3, 20);
	expect(&table, 1, 15, 5, 25);
	assert_int_equal(refs[0], 2);
	assert_true(dax_table_valid(&table, 64 * PAGE, PAGE));
	dax_table_fini(&table);
	assert_int_equal(refs[0], 0);
}

static void test_cut_across(void **state)
{
	struct dax_table table;

	setup(&table);
	assert_int_equal(dax_table_after_cut(&table, 15 * PAGE, 27 * PAGE), 2);
	dax_table_cut(&table, 15 * PAGE, 27 * PAGE);
	assert_int_equal(table.n, 2);
	expect(&table, 0, 10, 5, 20);
	expect(&table, 1, 42, 2, 82);
	assert_int_equal(refs[0], 1);
	assert_int_equal(refs[1], 0);
	assert_int_equal(refs[2], 1);
	dax_table_cut(&table, 0, 64 * PAGE);
	assert_int_equal(table.n, 0);
	dax_table_cut(&table, 0, 64 * PAGE);
	dax_table_fini(&table);
}

static void test_remove(void **state)
{
	struct dax_table table;

	setup(&table);
	dax_table_cut(&table, 25 * PAGE, PAGE);
	assert_int_equal(refs[1], 2);
	dax_table_remove(&table, is_second);
	assert_int_equal(refs[1], 0);
	assert_int_equal(table.n, 2);
	assert_true(dax_table_valid(&table, 64 * PAGE, PAGE));
	assert_false(dax_table_valid(&table, 43 * PAGE, PAGE));
	table.slots[1].entry.window_offset = 19 * PAGE;
	assert_false(dax_table_valid(&table, 64 * PAGE, PAGE));
	dax_table_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_cut_middle),
		cmocka_unit_test(test_cut_across),
		cmocka_unit_test(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
