/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of ranges against a model that knows every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/range.h"
#include "vhostuser/checked.h"

#define BYTES  40
#define ROUNDS 200000

struct model {
	uint32_t type[BYTES];
};

static void set(struct fs_ranges *ranges, uint64_t start, uint64_t end, uint32_t type)
{
	const struct fs_range range = {.start = start, .end = end, .type = type};

	assert_int_equal(fs_ranges_reserve(ranges), 0);
	fs_ranges_set(ranges, &range);
}

/* Sorted, apart, and neighbours differ; byte for byte as the model. */
static void assert_same(const struct fs_ranges *ranges, const struct model *model)
{
	uint32_t type[BYTES];

	for (size_t i = 0; i < BYTES; i++)
		type[i] = F_UNLCK;
	for (size_t i = 0; i < ranges->n; i++) {
		const struct fs_range *r = &ranges->at[i];

		assert_true(r->start <= r->end && r->end < BYTES);
		assert_true(r->type == F_RDLCK || r->type == F_WRLCK);
		if (i > 0) {
			assert_true(r[-1].end < r->start);
			assert_false(r[-1].end + 1 == r->start && r[-1].type == r->type);
		}
		for (uint64_t b = r->start; b <= r->end; b++)
			type[b] = r->type;
	}
	assert_memory_equal(type, model->type, sizeof(type));
}

static bool model_conflicts(const struct model *model, const struct fs_range *range)
{
	for (uint64_t b = range->start; b <= range->end; b++)
		if (model->type[b] == F_WRLCK ||
			(model->type[b] == F_RDLCK && range->type == F_WRLCK))
			return true;
	return false;
}

static void test_random(void **state)
{
	static const uint32_t types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	struct fs_ranges ranges = {0};
	struct model model;
	unsigned int seed = 4711;

	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		model.type[i] = F_UNLCK;
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t a = (uint64_t)rand_r(&seed) % BYTES, b = (uint64_t)rand_r(&seed) % BYTES;
		struct fs_range range = {
			.start = MIN(a, b),
			.end = MAX(a, b),
			.type = types[rand_r(&seed) % 3],
		};
		size_t n = ranges.n;
		bool split = fs_ranges_split(&ranges, &range);
		struct fs_range other = range;

		set(&ranges, range.start, range.end, range.type);
		for (uint64_t i = range.start; i <= range.end; i++)
			model.type[i] = range.type;
		assert_same(&ranges, &model);
		if (range.type == F_UNLCK)
			assert_int_equal(ranges.n > n, split);
		assert_true(ranges.n <= n + 2);

		other.start = (uint64_t)rand_r(&seed) % (range.start + 1);
		other.type = types[rand_r(&seed) % 2];
		assert_int_equal(fs_ranges_conflict(&ranges, &other) != NULL,
			model_conflicts(&model, &other));
	}
	fs_ranges_clear(&ranges);
	assert_int_equal(ranges.n, 0);
}

/* The last byte, and all of them. */
static void test_ends(void **state)
{
	struct fs_range last = {.start = FS_RANGE_END, .end = FS_RANGE_END, .type = F_RDLCK};
	struct fs_ranges ranges = {0};

	(void)state;
	set(&ranges, 0, FS_RANGE_END, F_WRLCK);
	assert_int_equal(ranges.n, 1);
	assert_ptr_equal(fs_ranges_conflict(&ranges, &last), ranges.at);
	set(&ranges, 1, FS_RANGE_END - 1, F_UNLCK);
	assert_int_equal(ranges.n, 2);
	assert_int_equal(ranges.at[1].start, FS_RANGE_END);
	set(&ranges, 0, FS_RANGE_END, F_RDLCK);
	assert_int_equal(ranges.n, 1);
	assert_int_equal(ranges.at[0].type, F_RDLCK);
	assert_null(fs_ranges_conflict(&ranges, &last));
	set(&ranges, 0, FS_RANGE_END, F_UNLCK);
	assert_int_equal(ranges.n, 0);
	fs_ranges_clear(&ranges);
}

/* Whoever locked last is who the guest is told of. */
static void test_pids(void **state)
{
	const struct fs_range first = {.start = 0, .end = 9, .type = F_RDLCK, .pid = 1};
	const struct fs_range next = {.start = 10, .end = 19, .type = F_RDLCK, .pid = 2};
	const struct fs_range other = {.start = 5, .end = 5, .type = F_WRLCK, .pid = 3};
	struct fs_ranges ranges = {0};

	(void)state;
	assert_int_equal(fs_ranges_reserve(&ranges), 0);
	fs_ranges_set(&ranges, &first);
	fs_ranges_set(&ranges, &next);
	assert_int_equal(ranges.n, 1);
	assert_int_equal(ranges.at[0].pid, 2);
	assert_int_equal(fs_ranges_reserve(&ranges), 0);
	fs_ranges_set(&ranges, &other);
	assert_int_equal(ranges.n, 3);
	assert_int_equal(ranges.at[1].pid, 3);
	assert_int_equal(ranges.at[2].pid, 2);
	fs_ranges_clear(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_pids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
