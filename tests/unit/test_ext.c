/* SPDX-License-Identifier: BSD-3-Clause */
/* Extensions of requests: good lists, and each length and size of bad ones, at a guard page. */
#include "tests/unit/fs_fixture.h"

#include "fuse/ext.h"
#include "fuse/shape.h"
#include "fuse/wire.h"

#define AGREED FUSE_CREATE_SUPP_GROUP

struct groups {
	struct fuse_ext_header header;
	uint32_t nr, gids[5];
};

static struct groups groups_of(uint32_t n)
{
	struct groups g = {
		.header = {.size = (uint32_t)(12 + n * 4), .type = FS_EXT_GROUPS},
		.nr = n,
		.gids = {10, 11, 12, 13, 14},
	};

	return g;
}

/* The check and what follows it, of bytes that end right before an inaccessible page. */
static int judge(const void *bytes, size_t len, uint32_t *gids)
{
	void *list = guard_new(len);
	int r;

	memcpy(list, bytes, len);
	r = fs_ext_check(list, len);
	if (r == 0)
		r = fs_ext_groups(list, len, gids);
	guard_free(list, len);
	return r;
}

static void test_groups(void **state)
{
	uint32_t gids[FS_EXT_GROUPS_MAX];

	(void)state;
	assert_int_equal(judge("", 0, gids), 0);
	for (uint32_t n = 0; n <= 5; n++) {
		struct groups g = groups_of(n);

		assert_int_equal(judge(&g, g.header.size, gids), n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(gids[i], 10 + i);
		/* What the record counts as its own may be padding. */
		g.header.size = (g.header.size + 7) & ~7u;
		assert_int_equal(judge(&g, g.header.size, gids), n);
	}
}

static void test_every_size(void **state)
{
	uint32_t gids[FS_EXT_GROUPS_MAX];

	(void)state;
	for (size_t len = 1; len <= sizeof(struct groups); len++) {
		for (uint32_t size = 0; size < 64; size++) {
			struct groups g = groups_of(1);
			int r;

			g.header.size = size;
			r = judge(&g, len, gids);
			if (len < 8 || size < 8 || size > len)
				assert_int_equal(r, -EINVAL);
			else if (size < 16) /* a list with no room for the group */
				assert_true(r == -EINVAL);
		}
	}
}

static void test_counts_that_lie(void **state)
{
	static const uint32_t counts[] = {4, 33, 0x3fffffff, 0x40000000, 0x40000001, UINT32_MAX};
	uint32_t gids[FS_EXT_GROUPS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct groups g = groups_of(3);

		g.nr = counts[i];
		assert_int_equal(judge(&g, g.header.size, gids), -EINVAL);
	}
}

/* A security context before the groups: passed over; its padding too. */
static void test_two_records(void **state)
{
	struct {
		struct fuse_ext_header context;
		char data[8];
		struct groups groups;
	} list = {.context = {.size = 11, .type = 1}, .groups = groups_of(2)};
	uint32_t gids[FS_EXT_GROUPS_MAX];
	struct fs_ext ext;
	size_t at = 0;

	(void)state;
	assert_int_equal(judge(&list, sizeof(list) - 12, gids), 2);
	assert_true(fs_ext_next(&list, sizeof(list) - 12, &at, &ext));
	assert_int_equal(ext.type, 1);
	assert_int_equal(ext.size, 3);
	assert_true(fs_ext_next(&list, sizeof(list) - 12, &at, &ext));
	assert_int_equal(ext.type, FS_EXT_GROUPS);
	assert_false(fs_ext_next(&list, sizeof(list) - 12, &at, &ext));
	/* One that ends within the other's record. */
	list.context.size = 1 << 30;
	assert_int_equal(judge(&list, sizeof(list), gids), -EINVAL);
	list.context.size = UINT32_MAX;
	assert_int_equal(judge(&list, sizeof(list), gids), -EINVAL);
}

static void test_gate(void **state)
{
	struct {
		struct fuse_mkdir_in in;
		char name[4];
		struct groups groups;
	} args = {.name = "dir", .groups = groups_of(1)};
	const struct fs_shape *shape = fs_shape_find(FUSE_MKDIR);
	size_t head = sizeof(args.in) + sizeof(args.name), size, copied;
	uint8_t *large = calloc(1, FS_EXT_MAX + 64);

	(void)state;
	assert_non_null(large);
	assert_int_equal(fs_shape_check(shape, &args, head, AGREED), 0);
	(void)fs_shape_ext(shape, &args, head, &size);
	assert_int_equal(size, 0);
	assert_int_equal(fs_shape_check(shape, &args, head + 16, AGREED), 0);
	assert_ptr_equal(fs_shape_ext(shape, &args, head + 16, &size), &args.groups);
	assert_int_equal(size, 16);
	for (size_t cut = 1; cut < 16; cut++)
		assert_int_equal(fs_shape_check(shape, &args, head + cut, AGREED), -EINVAL);
	/* Bounded, however well made. */
	memcpy(large, &args, head);
	*(uint32_t *)(void *)(large + head) = FS_EXT_MAX + 1;
	assert_int_equal(fs_shape_check(shape, large, head + FS_EXT_MAX + 1, AGREED), -EINVAL);
	assert_int_equal(fs_shape_measure(shape, sizeof(args.in) + 200 * 1024, &copied),
		-ENAMETOOLONG);
	/* Where no extension is due, none is taken. */
	shape = fs_shape_find(FUSE_LOOKUP);
	assert_int_equal(
		fs_shape_check(shape, (char *)&args + sizeof(args.in), 4 + 16, AGREED), -EINVAL);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_counts_that_lie),
		cmocka_unit_test(test_two_records),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
