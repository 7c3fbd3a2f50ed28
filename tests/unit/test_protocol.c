/* SPDX-License-Identifier: BSD-3-Clause */
/* The request table against the protocol's own numbers, and the checks of payloads. */
#include "vhostuser/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_rows(void **state)
{
	for (size_t i = 0; i < vu_n_requests; i++) {
		const struct vu_request *request = &vu_requests[i];

		assert_ptr_equal(vu_request_find(request->code), request);
		assert_string_equal(vu_request_name(request->code), request->name);
		assert_true(request->size_min <= request->size_max);
		assert_true(request->size_max <= VU_PAYLOAD_MAX);
		assert_true(request->fds_min <= request->fds_max);
		assert_true(request->fds_max <= VU_MSG_FDS_MAX);
		assert_int_not_equal(request->states, 0);
		if (request->rings)
			assert_true(request->size_min >= sizeof(uint32_t));
	}
}

static void test_numbers(void **state)
{
	/* As in the specification, written down a second time. */
	static const struct {
		uint32_t code;
		const char *name;
		uint32_t size;
	} known[] = {
		{1, "GET_FEATURES", 0},
		{2, "SET_FEATURES", 8},
		{3, "SET_OWNER", 0},
		{5, "SET_MEM_TABLE", 8 + 8 * 32},
		{9, "SET_VRING_ADDR", 40},
		{11, "GET_VRING_BASE", 8},
		{12, "SET_VRING_KICK", 8},
		{16, "SET_PROTOCOL_FEATURES", 8},
		{18, "SET_VRING_ENABLE", 8},
		{21, "SET_BACKEND_REQ_FD", 0},
		{24, "GET_CONFIG", 268},
		{34, "RESET_DEVICE", 0},
		{36, "GET_MAX_MEM_SLOTS", 0},
		{37, "ADD_MEM_REG", 40},
		{38, "REM_MEM_REG", 40},
		{44, "GET_SHMEM_CONFIG", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_string_equal(vu_request_name(known[i].code), known[i].name);
		assert_int_equal(vu_request_find(known[i].code)->size_max, known[i].size);
	}
	assert_int_equal(vu_n_requests, 24);
}

static void test_unknown(void **state)
{
	static const uint32_t codes[] = {0, 46, 1000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_null(vu_request_find(codes[i]));
		assert_null(vu_request_name(codes[i]));
	}
	assert_null(vu_request_find(VU_SET_LOG_BASE)); /* named, not served */
	assert_string_equal(vu_request_name(VU_SET_LOG_BASE), "SET_LOG_BASE");
}

static const char *check(uint32_t code, const void *payload, uint32_t size, size_t n_fds)
{
	return vu_payload_check(vu_request_find(code), payload, size, n_fds);
}

static void test_vring_fd(void **state)
{
	static const struct {
		uint64_t value;
		size_t n_fds;
		bool ok;
	} cases[] = {
		{0, 1, true},
		{255, 1, true},
		{0x100, 0, true},
		{0x1ff, 0, true},
		{0, 0, false},
		{0x100, 1, false},
		{0x200, 1, false},
		{UINT64_C(1) << 32, 1, false},
		{UINT64_MAX, 0, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *why = check(VU_SET_VRING_KICK, &cases[i].value, 8, cases[i].n_fds);

		assert_int_equal(why == NULL, cases[i].ok);
	}

	uint64_t value = 0x107;

	assert_int_equal(vu_payload_ring(vu_request_find(VU_SET_VRING_CALL), &value), 7);
	value = 0x107; /* a state's index is 32 bits wide */
	assert_int_equal(vu_payload_ring(vu_request_find(VU_SET_VRING_NUM), &value), 0x107);
}

static void test_mem_table(void **state)
{
	struct vu_mem_table table = {.n_regions = 2};

	table.regions[0] = (struct vu_mem_region){.size = 4096};
	table.regions[1] = (struct vu_mem_region){.gpa = 4096, .user_addr = 4096, .size = 4096};

	assert_null(check(VU_SET_MEM_TABLE, &table, 72, 2));
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 71, 2));
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 104, 2));
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 72, 1));
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 72, 3));
	assert_string_equal(check(VU_SET_MEM_TABLE, &table, 72, 0), VU_NOT_SHARED);
	assert_non_null(strstr(VU_NOT_SHARED, "memory-backend-memfd"));
	assert_non_null(strstr(VU_NOT_SHARED, "share=on"));

	table.regions[1].size = 0;
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 72, 2));
	table.regions[1].size = UINT64_MAX - 4094;
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 72, 2));

	table.n_regions = 9;
	assert_non_null(check(VU_SET_MEM_TABLE, &table, sizeof(table), 8));
	table.n_regions = 0x08000002; /* times 32 is 2 * 32 in 32 bits */
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 72, 2));
	table.n_regions = 0;
	assert_null(check(VU_SET_MEM_TABLE, &table, 8, 0));
	assert_non_null(check(VU_SET_MEM_TABLE, &table, 8, 1));
}

static void test_mem_reg(void **state)
{
	struct vu_mem_reg_msg good = {.region = {.gpa = 4096, .size = 4096}}, msg;

	assert_null(check(VU_ADD_MEM_REG, &good, sizeof(good), 1));
	msg = good;
	msg.region.size = 0;
	assert_non_null(check(VU_ADD_MEM_REG, &msg, sizeof(msg), 1));
	msg = good;
	msg.region.gpa = UINT64_MAX - 4094;
	assert_non_null(check(VU_ADD_MEM_REG, &msg, sizeof(msg), 1));
	msg = good;
	msg.region.user_addr = UINT64_MAX - 4094;
	assert_non_null(check(VU_ADD_MEM_REG, &msg, sizeof(msg), 1));
	msg = good;
	msg.region.mmap_offset = UINT64_MAX - 4094;
	assert_non_null(check(VU_REM_MEM_REG, &msg, sizeof(msg), 0));
}

static void test_config(void **state)
{
	struct vu_config_msg msg = {.size = 44};

	assert_null(check(VU_GET_CONFIG, &msg, 12 + 44, 0));
	assert_non_null(check(VU_GET_CONFIG, &msg, 12 + 43, 0));
	assert_non_null(check(VU_GET_CONFIG, &msg, 12, 0));
	msg.size = UINT32_MAX;
	assert_non_null(check(VU_GET_CONFIG, &msg, 12 + 256, 0));
	msg.size = 0;
	assert_null(check(VU_SET_CONFIG, &msg, 12, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_vring_fd),
		cmocka_unit_test(test_mem_table),
		cmocka_unit_test(test_mem_reg),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
