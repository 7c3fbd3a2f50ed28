/* SPDX-License-Identifier: BSD-3-Clause */
/* dax/dialect: every dialect against byte images written by hand from the wire's description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dax/dialect.h"
#include "vhostuser/checked.h"

static const char *const names[] = {"seed", "fs-v2", "fs-count", "shmem"};

static uint64_t le64_at(const uint8_t *bytes, size_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static void fill(struct dax_entry *entries, size_t n, uint32_t access)
{
	for (size_t i = 0; i < n; i++)
		entries[i] = (struct dax_entry){0x1000 * i, 0x200000 * (i + 1), 0x1000 + i, access};
}

static void test_codes(void **state)
{
	static const uint32_t codes[][DAX_OPS] = {
		{4, 5, 6, 0}, {6, 7, 8, 9}, {6, 7, 0, 8}, {9, 10, 0, 0}};

	(void)state;
	for (size_t d = 0; d < ARRAY_SIZE(names); d++) {
		const struct dax_dialect *dialect = dax_dialect_find(names[d]);

		assert_non_null(dialect);
		assert_string_equal(dax_dialect_name(dialect), names[d]);
		for (unsigned int op = 0; op < DAX_OPS; op++)
			assert_int_equal(dax_dialect_code(dialect, (enum dax_op)op), codes[d][op]);
	}
	assert_null(dax_dialect_find("fs-v1"));
	assert_null(dax_dialect_find(""));
}

static void test_eight_image(void **state)
{
	struct dax_entry entries[2] = {
		{0x11, 0x22, 0x33, DAX_READ}, {0x44, 0x55, 0x66, DAX_READ | DAX_WRITE}};
	uint8_t bytes[DAX_PAYLOAD_MAX];
	size_t size;

	(void)state;
	assert_int_equal(
		dax_encode(dax_dialect_find("seed"), DAX_OP_MAP, entries, 2, bytes, &size), 0);
	assert_int_equal(size, 256);
	assert_int_equal(le64_at(bytes, 0), 0x11);
	assert_int_equal(le64_at(bytes, 8), 0x44);
	assert_int_equal(le64_at(bytes, 64), 0x22);
	assert_int_equal(le64_at(bytes, 72), 0x55);
	assert_int_equal(le64_at(bytes, 128), 0x33);
	assert_int_equal(le64_at(bytes, 136), 0x66);
	assert_int_equal(le64_at(bytes, 192), 1);
	assert_int_equal(le64_at(bytes, 200), 3);
	for (size_t i = 2; i < 8; i++)
		assert_int_equal(le64_at(bytes, 128 + 8 * i), 0);
}

static void test_count_image(void **state)
{
	struct dax_entry entry = {0x11, 0x22, 0x33, DAX_WRITE};
	uint8_t bytes[DAX_PAYLOAD_MAX];
	const uint8_t head[8] = {0, 0, 0, 0, 1, 0, 0, 0};
	size_t size;

	(void)state;
	assert_int_equal(
		dax_encode(dax_dialect_find("fs-count"), DAX_OP_MAP, &entry, 1, bytes, &size), 0);
	assert_int_equal(size, 40);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_int_equal(le64_at(bytes, 8), 0x11);
	assert_int_equal(le64_at(bytes, 16), 0x22);
	assert_int_equal(le64_at(bytes, 24), 0x33);
	assert_int_equal(le64_at(bytes, 32), 2);
}

static void test_shmem_image(void **state)
{
	struct dax_entry entry = {0x11, 0x22, 0x33, DAX_READ | DAX_WRITE};
	uint8_t bytes[DAX_PAYLOAD_MAX];
	size_t size;

	(void)state;
	assert_int_equal(
		dax_encode(dax_dialect_find("shmem"), DAX_OP_MAP, &entry, 1, bytes, &size), 0);
	assert_int_equal(size, 40);
	assert_int_equal(le64_at(bytes, 0), 0);
	assert_int_equal(le64_at(bytes, 8), 0x11);
	assert_int_equal(le64_at(bytes, 16), 0x22);
	assert_int_equal(le64_at(bytes, 24), 0x33);
	assert_int_equal(le64_at(bytes, 32), 1);
	entry.access = DAX_READ;
	assert_int_equal(
		dax_encode(dax_dialect_find("shmem"), DAX_OP_MAP, &entry, 1, bytes, &size), 0);
	assert_int_equal(le64_at(bytes, 32), 0);
}

static void round_trip(const struct dax_dialect *dialect, enum dax_op op, size_t n)
{
	struct dax_entry in[DAX_BATCH_MAX] = {{0}}, out[DAX_BATCH_MAX];
	uint8_t bytes[DAX_PAYLOAD_MAX];
	enum dax_op decoded;
	size_t size, n_out;

	fill(in, n, DAX_READ | DAX_WRITE);
	assert_int_equal(dax_encode(dialect, op, in, n, bytes, &size), 0);
	assert_int_equal(dax_decode(dialect, dax_dialect_code(dialect, op), bytes, size, &decoded,
				 out, &n_out),
		0);
	assert_int_equal(decoded, op);
	assert_int_equal(n_out, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(out[i].fd_offset, in[i].fd_offset);
		assert_int_equal(out[i].window_offset, in[i].window_offset);
		assert_int_equal(out[i].len, in[i].len);
		assert_int_equal(out[i].access, in[i].access);
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t d = 0; d < ARRAY_SIZE(names); d++) {
		const struct dax_dialect *dialect = dax_dialect_find(names[d]);

		for (unsigned int op = 0; op < DAX_OPS; op++) {
			if (dax_dialect_code(dialect, (enum dax_op)op) == 0)
				continue;
			for (size_t n = 1; n <= dax_dialect_batch(dialect); n++)
				round_trip(dialect, (enum dax_op)op, n);
		}
	}
}

static void test_encode_refuses(void **state)
{
	struct dax_entry entries[DAX_BATCH_MAX + 1];
	uint8_t bytes[DAX_PAYLOAD_MAX];
	size_t size;

	(void)state;
	for (size_t d = 0; d < ARRAY_SIZE(names); d++) {
		const struct dax_dialect *dialect = dax_dialect_find(names[d]);

		fill(entries, ARRAY_SIZE(entries), DAX_READ);
		assert_int_equal(
			dax_encode(dialect, DAX_OP_MAP, entries, 0, bytes, &size), -EINVAL);
		assert_int_equal(dax_encode(dialect, DAX_OP_MAP, entries,
					 dax_dialect_batch(dialect) + 1, bytes, &size),
			-EINVAL);
		entries[0].len = 0;
		assert_int_equal(
			dax_encode(dialect, DAX_OP_MAP, entries, 1, bytes, &size), -EINVAL);
		entries[0].len = UINT64_MAX;
		assert_int_equal(
			dax_encode(dialect, DAX_OP_MAP, entries, 1, bytes, &size), -EINVAL);
		entries[0] = (struct dax_entry){0, 0, 4096, 4};
		assert_int_equal(
			dax_encode(dialect, DAX_OP_MAP, entries, 1, bytes, &size), -EINVAL);
	}
	assert_int_equal(dax_encode(dax_dialect_find("seed"), DAX_OP_IO, entries, 1, bytes, &size),
		-EOPNOTSUPP);
	assert_int_equal(
		dax_encode(dax_dialect_find("shmem"), DAX_OP_SYNC, entries, 1, bytes, &size),
		-EOPNOTSUPP);
}

/* A wrong size is refused whatever it is; random bytes never pass as more than they hold. */
static void test_decode_hostile(void **state)
{
	struct dax_entry entries[DAX_BATCH_MAX];
	enum dax_op op;
	size_t n;

	(void)state;
	srandom(1);
	for (size_t d = 0; d < ARRAY_SIZE(names); d++) {
		const struct dax_dialect *dialect = dax_dialect_find(names[d]);

		assert_int_equal(dax_decode(dialect, 99, "", 0, &op, entries, &n), -EOPNOTSUPP);
		assert_int_equal(dax_decode(dialect, 0, "", 0, &op, entries, &n), -EOPNOTSUPP);
		for (size_t size = 0; size <= DAX_PAYLOAD_MAX + 1; size++) {
			/* On the heap and exact, so that a read past the end is seen. */
			uint8_t *bytes = malloc(size ? size : 1);

			assert_non_null(bytes);
			for (size_t i = 0; i < size; i++)
				bytes[i] = (uint8_t)(random() & (random() & 1 ? 0xff : 0));
			if (!dax_decode(dialect, dax_dialect_code(dialect, DAX_OP_MAP), bytes, size,
				    &op, entries, &n)) {
				assert_true(n >= 1 && n <= dax_dialect_batch(dialect));
				for (size_t i = 0; i < n; i++)
					assert_true(entries[i].len <=
						    UINT64_MAX - entries[i].fd_offset);
			}
			free(bytes);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_eight_image),
		cmocka_unit_test(test_count_image),
		cmocka_unit_test(test_shmem_image),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_decode_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
