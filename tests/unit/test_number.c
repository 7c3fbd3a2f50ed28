/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers in text: what is one, what follows it, and the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "vhostuser/checked.h"
#include "vhostuser/number.h"

static void reads_and_moves_behind(void **state)
{
	static const struct {
		const char *text, *rest;
		unsigned int base;
		uint64_t max, number;
	} rows[] = {
		{"0", "", 10, 0, 0},
		{"007:x", ":x", 10, 7, 7},
		{"1789", "89", 8, UINT64_MAX, 017},
		{"18446744073709551615", "", 10, UINT64_MAX, UINT64_MAX},
		{"4294967295,", ",", 10, UINT32_MAX, UINT32_MAX},
		{"0x10", "x10", 10, 9, 0},
		{"12 ", " ", 10, 99, 12},
		{"102", "2", 2, 9, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;
		uint64_t number = 77;

		assert_int_equal(
			vu_number_read(&text, rows[i].base, rows[i].max, &number), 0);
		assert_true(number == rows[i].number);
		assert_string_equal(text, rows[i].rest);
		assert_int_equal(vu_number_parse(rows[i].text, rows[i].base, rows[i].max, &number),
			*rows[i].rest ? -EINVAL : 0);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text;
		unsigned int base;
		uint64_t max;
	} rows[] = {
		{"", 10, 9},
		{" 1", 10, 9},
		{"+1", 10, 9},
		{"-1", 10, UINT64_MAX},
		{"x", 10, 9},
		{"9", 8, 99},
		{"/", 10, 99}, /* the characters beside the digits */
		{":", 10, 99},
		{"10", 10, 9},
		{"4294967296", 10, UINT32_MAX},
		{"18446744073709551616", 10, UINT64_MAX},
		{"99999999999999999999999999999999999999999", 10, UINT64_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;
		uint64_t number;

		assert_int_equal(
			vu_number_read(&text, rows[i].base, rows[i].max, &number), -EINVAL);
		assert_ptr_equal(text, rows[i].text);
		assert_int_equal(
			vu_number_parse(rows[i].text, rows[i].base, rows[i].max, &number), -EINVAL);
	}
}

/* Whatever is printed is read again, below its limit alone. */
static void reads_what_is_printed(void **state)
{
	uint64_t x = 1;

	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t number, value;
		char text[32];

		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		value = x >> (i % 64);
		snprintf(text, sizeof(text), "%" PRIu64, value);
		assert_int_equal(vu_number_parse(text, 10, value, &number), 0);
		assert_true(number == value);
		if (value)
			assert_int_equal(vu_number_parse(text, 10, value - 1, &number), -EINVAL);
		snprintf(text, sizeof(text), "%" PRIo64, value);
		assert_int_equal(vu_number_parse(text, 8, value, &number), 0);
		assert_true(number == value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_moves_behind),
		cmocka_unit_test(refuses),
		cmocka_unit_test(reads_what_is_printed),
	};

	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
