/* SPDX-License-Identifier: BSD-3-Clause */
/* Gate 3's table and its check, with arguments that end right before an inaccessible page. */
#include "tests/unit/fs_fixture.h"

#include <limits.h>

#include "fuse/shape.h"
#include "fuse/slot.h"

/* The whole gate for `len` bytes of arguments. */
static int judge(uint32_t opcode, const void *args, size_t len)
{
	const struct fs_shape *shape = fs_shape_find(opcode);
	size_t copied;
	char *copy;
	int r;

	assert_non_null(shape);
	r = fs_shape_measure(shape, len, &copied);
	if (r < 0)
		return r;
	assert_true(copied <= len && copied <= FS_COPY_MAX);
	copy = guard_new(copied);
	memcpy(copy, args, copied);
	r = fs_shape_check(shape, copy, len, 0);
	guard_free(copy, copied);
	return r;
}

static void test_sizes_of_the_protocol(void **state)
{
	static const struct {
		uint32_t opcode;
		size_t args;
	} rows[] = {
		/* What a 7.31 guest sends, in bytes, out of the protocol's history. */
		{FUSE_FORGET, 8},
		{FUSE_GETATTR, 16},
		{FUSE_SETATTR, 88},
		{FUSE_MKNOD, 16},
		{FUSE_MKDIR, 8},
		{FUSE_RENAME, 8},
		{FUSE_RENAME2, 16},
		{FUSE_LINK, 8},
		{FUSE_OPEN, 8},
		{FUSE_READ, 40},
		{FUSE_WRITE, 40},
		{FUSE_RELEASE, 24},
		{FUSE_FSYNC, 16},
		{FUSE_FLUSH, 24},
		{FUSE_GETLK, 48},
		{FUSE_SETLK, 48},
		{FUSE_SETLKW, 48},
		{FUSE_ACCESS, 8},
		{FUSE_CREATE, 16},
		{FUSE_INTERRUPT, 8},
		{FUSE_BATCH_FORGET, 8},
		{FUSE_FALLOCATE, 32},
		{FUSE_LSEEK, 24},
		{FUSE_COPY_FILE_RANGE, 56},
		{FUSE_SYNCFS, 8},
		{FUSE_SETUPMAPPING, 40},
		{FUSE_REMOVEMAPPING, 4},
		{FUSE_STATFS, 0},
		{FUSE_SETXATTR, 8},
		{FUSE_GETXATTR, 8},
		{FUSE_LISTXATTR, 8},
		{FUSE_REMOVEXATTR, 0},
		{FUSE_LOOKUP, 0},
		{FUSE_READLINK, 0},
		{FUSE_INIT, 8},
		{FUSE_IOCTL, 32},
		{FUSE_TMPFILE, 16},
		{52, 24}, /* STATX */
		{53, 56}, /* COPY_FILE_RANGE_64 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(fs_shape_find(rows[i].opcode)->args, rows[i].args);
}

static void test_absent_rows(void **state)
{
	(void)state;
	assert_null(fs_shape_find(0));
	assert_null(fs_shape_find(7));
	assert_null(fs_shape_find(FUSE_BMAP));
	assert_null(fs_shape_find(CUSE_INIT));
	assert_null(fs_shape_find(UINT32_MAX));
	assert_string_equal(fs_opcode_name(FUSE_SETUPMAPPING), "SETUPMAPPING");
	assert_string_equal(fs_opcode_name(FUSE_LOOKUP), "LOOKUP");
	assert_string_equal(fs_opcode_name(7), "?");
	assert_string_equal(fs_opcode_name(UINT32_MAX), "?");
}

/* Every carried opcode has a name. */
static void test_names_of_rows(void **state)
{
	(void)state;
	for (uint32_t op = 0; op < 200; op++)
		if (fs_shape_find(op))
			assert_string_not_equal(fs_opcode_name(op), "?");
}

/* No row reads past its arguments, whatever their length and whatever they hold. */
static void test_every_length(void **state)
{
	static const unsigned char fills[] = {0, 0xff, 'a', '/', '.', 1};
	char args[1024];

	(void)state;
	for (uint32_t op = 0; op < 200; op++) {
		const struct fs_shape *shape = fs_shape_find(op);

		if (!shape)
			continue;
		for (size_t fill = 0; fill < ARRAY_SIZE(fills); fill++) {
			memset(args, fills[fill], sizeof(args));
			for (size_t len = 0; len < shape->args + 300U; len++) {
				int r = judge(op, args, len);

				if (len < shape->args)
					assert_int_equal(r, -EINVAL);
				if (len > shape->args && shape->names == 0 &&
					shape->tail == FS_TAIL_NONE)
					assert_true(r < 0);
				/* No fill is a good name: without a NUL, or empty. */
				if (shape->names > 0)
					assert_true(r < 0);
			}
		}
	}
}

static void test_names(void **state)
{
	char name[NAME_MAX + 3];

	(void)state;
	assert_int_equal(judge(FUSE_LOOKUP, "a", 2), 0);
	assert_int_equal(judge(FUSE_LOOKUP, "a", 1), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "", 0), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "", 1), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "a\0b", 3), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "a\0\0", 3), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "a/b", 4), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "/", 2), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, ".", 2), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "..", 3), -EINVAL);
	assert_int_equal(judge(FUSE_LOOKUP, "...", 4), 0);
	assert_int_equal(judge(FUSE_LOOKUP, "..a", 4), 0);
	assert_int_equal(judge(FUSE_LOOKUP, "\xff\x01 \n", 5), 0);

	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = '\0';
	assert_int_equal(judge(FUSE_LOOKUP, name, NAME_MAX + 1), 0);
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(judge(FUSE_LOOKUP, name, NAME_MAX + 2), -ENAMETOOLONG);
	assert_int_equal(judge(FUSE_LOOKUP, name, 100000), -ENAMETOOLONG);
}

static void test_ranges(void **state)
{
	const size_t most = 4 + 256 * 16;
	char *args = calloc(1, most + 32);
	uint32_t count;

	(void)state;
	assert_non_null(args);
	for (count = 0; count <= 258; count++) {
		size_t len = 4 + count * 16UL;
		int good = count >= 1 && count <= 256 ? 0 : -EINVAL;

		memcpy(args, &count, sizeof(count));
		assert_int_equal(judge(FUSE_REMOVEMAPPING, args, len), good);
		assert_int_equal(judge(FUSE_REMOVEMAPPING, args, len - (count ? 1 : 0)), -EINVAL);
		assert_int_equal(judge(FUSE_REMOVEMAPPING, args, len + 1), -EINVAL);
		assert_int_equal(judge(FUSE_REMOVEMAPPING, args, len + 16), -EINVAL);
	}
	/* Counts whose size wraps 32 bits. */
	for (uint32_t huge = 0x10000000; huge != 0; huge <<= 1) {
		count = huge + 1;
		memcpy(args, &count, sizeof(count));
		assert_int_equal(judge(FUSE_REMOVEMAPPING, args, 20), -EINVAL);
	}
	free(args);
}

static void test_two_names(void **state)
{
	char args[64] = {0};

	(void)state;
	memcpy(args + 8, "old\0new", 8);
	assert_int_equal(judge(FUSE_RENAME, args, 16), 0);
	for (size_t len = 0; len < 16; len++)
		assert_int_equal(judge(FUSE_RENAME, args, len), -EINVAL);
	assert_int_equal(judge(FUSE_RENAME, args, 17), -EINVAL);
	memcpy(args + 8, "old\0..\0", 7);
	assert_int_equal(judge(FUSE_RENAME, args, 15), -EINVAL);
	memcpy(args + 8, "\0new", 5);
	assert_int_equal(judge(FUSE_RENAME, args, 13), -EINVAL);
}

static void test_symlink(void **state)
{
	char *args = calloc(1, 2 * PATH_MAX);

	(void)state;
	assert_non_null(args);
	assert_int_equal(judge(FUSE_SYMLINK, "s\0../x/./y", 11), 0);
	assert_int_equal(judge(FUSE_SYMLINK, "s\0../x/./y", 10), -EINVAL);
	assert_int_equal(judge(FUSE_SYMLINK, "s\0", 3), -ENOENT);
	assert_int_equal(judge(FUSE_SYMLINK, "s\0", 2), -EINVAL);
	assert_int_equal(judge(FUSE_SYMLINK, "s\0t\0u", 6), -EINVAL);
	args[0] = 's';
	memset(args + 2, 't', PATH_MAX - 1);
	assert_int_equal(judge(FUSE_SYMLINK, args, 2 + PATH_MAX), 0);
	args[2 + PATH_MAX - 1] = 't';
	assert_int_equal(judge(FUSE_SYMLINK, args, 2 + PATH_MAX + 1), -ENAMETOOLONG);
	free(args);
}

static void test_batch_forget(void **state)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[4];
	} args = {.in.count = 2};

	(void)state;
	for (size_t len = 0; len <= sizeof(args); len++)
		assert_int_equal(
			judge(FUSE_BATCH_FORGET, &args, len), len == 8 + 2 * 16 ? 0 : -EINVAL);
	args.in.count = UINT32_MAX;
	assert_int_equal(judge(FUSE_BATCH_FORGET, &args, sizeof(args)), -EINVAL);
	args.in.count = 0x10000000; /* times 16 is 0 in 32 bits */
	assert_int_equal(judge(FUSE_BATCH_FORGET, &args, 8), -EINVAL);
	args.in.count = 0;
	assert_int_equal(judge(FUSE_BATCH_FORGET, &args, 8), 0);
}

static void test_write(void **state)
{
	struct fuse_write_in in = {.size = 10};

	(void)state;
	assert_int_equal(judge(FUSE_WRITE, &in, sizeof(in) + 9), -EINVAL);
	assert_int_equal(judge(FUSE_WRITE, &in, sizeof(in) + 10), 0);
	assert_int_equal(judge(FUSE_WRITE, &in, sizeof(in) + 11), 0);
	in.size = UINT32_MAX;
	assert_int_equal(judge(FUSE_WRITE, &in, sizeof(in) + 10), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_of_the_protocol),
		cmocka_unit_test(test_absent_rows),
		cmocka_unit_test(test_names_of_rows),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_two_names),
		cmocka_unit_test(test_symlink),
		cmocka_unit_test(test_batch_forget),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
