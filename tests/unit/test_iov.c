/* SPDX-License-Identifier: BSD-3-Clause */
/* The iovec cursor against a flat array: random cuts, random steps. */
#include "vhostuser/iov.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vhostuser/checked.h"

#define FLAT 600
#define SEGMENTS 24

static unsigned int seed = 1;

static size_t below(size_t limit)
{
	seed = seed * 1103515245u + 12345u;
	return limit ? (seed >> 8) % limit : 0;
}

/* Cuts flat[0..size) into separately allocated segments, some of them empty. */
static size_t cut(unsigned char *flat, size_t size, struct iovec *iov)
{
	size_t n = 0, done = 0;

	while (n < SEGMENTS - 1 && done < size) {
		size_t part = below(4) ? below(MIN((size_t)60, size - done) + 1) : 0;

		iov[n].iov_len = part;
		iov[n].iov_base = malloc(part ? part : 1);
		memcpy(iov[n].iov_base, flat + done, part);
		n++;
		done += part;
	}
	iov[n].iov_len = size - done;
	iov[n].iov_base = malloc(size - done + 1);
	memcpy(iov[n].iov_base, flat + done, size - done);
	return n + 1;
}

static void join(const struct iovec *iov, size_t n, unsigned char *flat)
{
	for (size_t i = 0; i < n; i++) {
		memcpy(flat, iov[i].iov_base, iov[i].iov_len);
		flat += iov[i].iov_len;
	}
}

/* The slice covers what a read would give, in pieces that lie inside the segments. */
static void check_slice(const struct vu_iov *cursor, const unsigned char *flat, size_t left)
{
	struct iovec out[SEGMENTS + 1];
	size_t size = below(left + 50), max = below(SEGMENTS + 1), n = 99, covered, sum = 0;

	covered = vu_iov_slice(cursor, size, out, max, &n);
	assert_true(n <= max);
	assert_true(covered <= MIN(size, left));
	for (size_t i = 0; i < n; i++) {
		assert_true(out[i].iov_len > 0);
		assert_memory_equal(out[i].iov_base, flat + sum, out[i].iov_len);
		sum += out[i].iov_len;
	}
	assert_int_equal(sum, covered);
	if (covered < MIN(size, left))
		assert_int_equal(n, max);
}

static void one_round(void)
{
	unsigned char flat[FLAT], data[FLAT + 50], after[FLAT];
	struct iovec iov[SEGMENTS], copy[SEGMENTS];
	size_t size = below(FLAT + 1), at = 0, n;

	for (size_t i = 0; i < size; i++)
		flat[i] = (unsigned char)below(256);
	n = cut(flat, size, iov);
	memcpy(copy, iov, sizeof(copy));

	struct vu_iov cursor = vu_iov_init(iov, n);

	for (int step = 0; step < 40; step++) {
		size_t want = below(80), expect = MIN(want, size - at);

		assert_int_equal(cursor.left, size - at);
		check_slice(&cursor, flat + at, size - at);
		switch (below(3)) {
		case 0:
			assert_int_equal(vu_iov_read(&cursor, data, want), expect);
			assert_memory_equal(data, flat + at, expect);
			break;
		case 1:
			for (size_t i = 0; i < want; i++)
				data[i] = (unsigned char)below(256);
			assert_int_equal(vu_iov_write(&cursor, data, want), expect);
			memcpy(flat + at, data, expect);
			break;
		default:
			assert_int_equal(vu_iov_skip(&cursor, want), expect);
			break;
		}
		at += expect;
	}
	join(iov, n, after);
	assert_memory_equal(after, flat, size);
	assert_memory_equal(copy, iov, n * sizeof(iov[0])); /* the array is never written to */
	for (size_t i = 0; i < n; i++)
		free(iov[i].iov_base);
}

static void test_against_flat(void **state)
{
	for (int round = 0; round < 3000; round++)
		one_round();
}

static void test_nothing(void **state)
{
	struct iovec empty[3] = {{0}}, out[2];
	char byte = 'x';
	size_t n = 7;

	for (size_t segments = 0; segments <= 3; segments++) {
		struct vu_iov cursor = vu_iov_init(empty, segments);

		assert_int_equal(cursor.left, 0);
		assert_int_equal(vu_iov_read(&cursor, &byte, 1), 0);
		assert_int_equal(vu_iov_write(&cursor, &byte, 1), 0);
		assert_int_equal(vu_iov_skip(&cursor, SIZE_MAX), 0);
		assert_int_equal(vu_iov_slice(&cursor, 10, out, 2, &n), 0);
		assert_int_equal(n, 0);
	}
}

static void test_skip_all(void **state)
{
	char a[5], b[7];
	struct iovec iov[] = {{a, sizeof(a)}, {NULL, 0}, {b, sizeof(b)}};
	struct vu_iov cursor = vu_iov_init(iov, 3);

	assert_int_equal(vu_iov_skip(&cursor, SIZE_MAX), 12);
	assert_int_equal(cursor.left, 0);
	assert_int_equal(vu_iov_read(&cursor, a, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_flat),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_skip_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
