/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gate 1: each row of the request table, taken right once and wrong in every way that it knows.
 *
 * Generated from the table, so a new row is tested from the day it exists. Each wrong message meets
 * a fresh connection, must end it with one log line, and may not leave an fd behind.
 */
#include <poll.h>

#include "tests/unit/rig.h"

/* A message that passes for this row, in the state that prepare() leaves. */
struct sample {
	uint8_t payload[VU_PAYLOAD_MAX];
	uint32_t size;
	int fds[VU_FDS_MAX];
	size_t n_fds;
};

static int shared_fd, signal_fd;

static void build_payload(const struct vu_request *request, struct sample *sample)
{
	struct vu_vring_state state = {.index = 0, .num = 1};
	struct vu_vring_addr addr = rig_addr(0);
	struct vu_mem_table table = {.n_regions = 2};
	struct vu_mem_reg_msg reg = {.region = rig_region(7)};
	struct vu_config_msg config = {.offset = 4, .size = 16};
	uint64_t value = 0;
	const void *payload = NULL;

	table.regions[0] = rig_region(2);
	table.regions[1] = rig_region(3);
	switch (request->payload) {
	case VU_PAYLOAD_NONE:
		return;
	case VU_PAYLOAD_U64:
		/* both feature requests take what prepare() set */
		value = request->code == VU_SET_FEATURES ? RIG_FEATURES : RIG_NO_ACK;
		payload = &value;
		break;
	case VU_PAYLOAD_VRING_FD:
		payload = &value;
		break;
	case VU_PAYLOAD_STATE:
		payload = &state;
		break;
	case VU_PAYLOAD_ADDR:
		payload = &addr;
		break;
	case VU_PAYLOAD_MEM_TABLE:
		payload = &table;
		sample->size = 8 + 2 * 32;
		break;
	case VU_PAYLOAD_MEM_REG:
		payload = &reg;
		break;
	case VU_PAYLOAD_CONFIG:
		payload = &config;
		sample->size = 12 + 16;
		break;
	}
	if (!sample->size)
		sample->size = request->size_max;
	memcpy(sample->payload, payload, sample->size);
}

static struct sample build(const struct vu_request *request)
{
	struct sample sample = {0};

	build_payload(request, &sample);
	sample.n_fds = request->fds_min;
	if (request->payload == VU_PAYLOAD_VRING_FD)
		sample.n_fds = 1;
	if (request->payload == VU_PAYLOAD_MEM_TABLE)
		sample.n_fds = 2;
	for (size_t i = 0; i < VU_FDS_MAX; i++)
		sample.fds[i] =
			request->payload == VU_PAYLOAD_VRING_FD ? signal_fd : shared_fd;
	return sample;
}

/* The row's requests are all good now, except for what the test makes wrong. */
static void prepare(struct rig *rig, const struct vu_request *request)
{
	rig_init(rig, RIG_FEATURES, RIG_PROTOCOL);
	rig_open(rig, VU_CONN_READY, RIG_NO_ACK, RIG_FEATURES);
	if (request->code == VU_REM_MEM_REG) {
		struct sample sample = build(vu_request_find(VU_ADD_MEM_REG));

		rig_send(rig, VU_ADD_MEM_REG, 0, sample.payload, sample.size, sample.fds, 1);
		assert_int_equal(rig_pump(rig), 0);
	}
}

static void send_sample(struct rig *rig, const struct vu_request *request, uint32_t flags,
	const struct sample *sample)
{
	rig_send(rig, request->code, flags, sample->payload, sample->size, sample->fds,
		sample->n_fds);
}

static void expect_refused(struct rig *rig, const struct vu_request *request, size_t fds_before)
{
	rig_expect_end(rig, -EPROTO, request->name, "");
	rig_fini(rig);
	assert_int_equal(count_fds(), fds_before);
}

#define FOR_EACH_ROW(request)                                                                      \
	for (const struct vu_request *request = vu_requests;                                       \
		request < vu_requests + vu_n_requests; request++)

static void test_good(void **state)
{
	FOR_EACH_ROW(request) {
		size_t before = count_fds();
		struct sample sample = build(request);
		struct rig rig;
		char byte;

		prepare(&rig, request);
		send_sample(&rig, request, 0, &sample);
		if (rig_pump(&rig) != 0)
			fail_msg("%s was refused", request->name);
		assert_int_equal(vu_backend_events(rig.backend), POLLIN);
		/* answered of its own accord, or not at all */
		assert_int_equal(recv(rig.front, &byte, 1, MSG_DONTWAIT) == 1, request->own_reply);
		rig_fini(&rig);
		assert_int_equal(count_fds(), before);
	}
}

static void test_need_reply(void **state)
{
	FOR_EACH_ROW(request) {
		struct sample sample = build(request);
		struct rig rig;

		prepare(&rig, request);
		rig_do_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
		if (request->code == VU_SET_PROTOCOL_FEATURES)
			memcpy(sample.payload, &(uint64_t){RIG_PROTOCOL}, 8);
		send_sample(&rig, request, VU_FLAG_NEED_REPLY, &sample);
		assert_int_equal(rig_pump(&rig), 0);
		if (!request->own_reply)
			rig_expect_u64(&rig, request->code, request->code == VU_SET_CONFIG);
		rig_fini(&rig);
	}
}

/* A size that is wrong for this message, told by the header and kept by the payload. */
static void wrong_size(const struct vu_request *request, uint32_t size)
{
	size_t before = count_fds();
	struct sample sample = build(request);
	struct rig rig;

	prepare(&rig, request);
	sample.size = size;
	send_sample(&rig, request, 0, &sample);
	expect_refused(&rig, request, before);
}

static void test_size(void **state)
{
	FOR_EACH_ROW(request) {
		uint32_t right = build(request).size;

		if (right > 0)
			wrong_size(request, right - 1);
		wrong_size(request, right + 1);
		if (request->size_min > 0) {
			wrong_size(request, request->size_min - 1);
			wrong_size(request, 0);
		}
		wrong_size(request, request->size_max + 1);
		wrong_size(request, VU_PAYLOAD_MAX);
	}
}

/* A header that announces nonsense is judged although nothing follows it. */
static void test_size_announced(void **state)
{
	static const uint32_t sizes[] = {4095, 4097, 0x80000000, UINT32_MAX};

	FOR_EACH_ROW(request) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct vu_header header = {request->code, VU_VERSION, sizes[i]};
			size_t before = count_fds();
			struct rig rig;

			prepare(&rig, request);
			vu_socket_send(rig.front, &header, sizeof(header), &shared_fd, 1);
			expect_refused(&rig, request, before);
		}
	}
}

static void wrong_fds(const struct vu_request *request, size_t n_fds)
{
	size_t before = count_fds();
	struct sample sample = build(request);
	struct rig rig;

	prepare(&rig, request);
	sample.n_fds = n_fds;
	send_sample(&rig, request, 0, &sample);
	expect_refused(&rig, request, before);
}

static void test_fds(void **state)
{
	FOR_EACH_ROW(request) {
		size_t right = build(request).n_fds;

		wrong_fds(request, request->fds_max + 1u);
		wrong_fds(request, VU_FDS_MAX);
		if (request->fds_min > 0)
			wrong_fds(request, request->fds_min - 1u);
		/* within the row's bounds, yet not what the payload says */
		if (right > request->fds_min)
			wrong_fds(request, right - 1);
		if (request->payload == VU_PAYLOAD_MEM_TABLE)
			wrong_fds(request, right + 1);
	}
}

static void test_flags(void **state)
{
	static const struct {
		uint32_t flags;
		const char *why;
	} wrong[] = {{0, "version 0"}, {2, "version 2"}, {3, "version 3"}, {5, "a reply"},
		{0xd, "a reply"}, {0x11, "reserved flags"}, {0x80000001, "reserved flags"}};

	FOR_EACH_ROW(request) {
		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
			size_t before = count_fds();
			struct sample sample = build(request);
			struct vu_header header = {request->code, wrong[i].flags, sample.size};
			char message[sizeof(header) + VU_PAYLOAD_MAX];
			struct rig rig;

			prepare(&rig, request);
			memcpy(message, &header, sizeof(header));
			memcpy(message + sizeof(header), sample.payload, sample.size);
			vu_socket_send(rig.front, message, sizeof(header) + sample.size, sample.fds,
				sample.n_fds);
			rig_expect_end(&rig, -EPROTO, request->name, wrong[i].why);
			rig_fini(&rig);
			assert_int_equal(count_fds(), before);
		}
	}
}

static void test_state(void **state)
{
	size_t refused = 0;

	FOR_EACH_ROW(request) {
		for (enum vu_conn_state s = VU_CONN_NEW; s <= VU_CONN_READY; s++) {
			size_t before = count_fds();
			struct sample sample = build(request);
			struct rig rig;

			if (request->states & VU_STATE_BIT(s))
				continue;
			rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
			rig_open(&rig, s, RIG_NO_ACK, RIG_FEATURES);
			send_sample(&rig, request, 0, &sample);
			expect_refused(&rig, request, before);
			refused++;
		}
	}
	assert_true(refused >= 15);
}

static void test_feature(void **state)
{
	FOR_EACH_ROW(request) {
		size_t before = count_fds();
		struct sample sample = build(request);
		struct rig rig;

		if (!request->needs)
			continue;
		rig_init(&rig, request->needs == VU_NEED_OFFERED ? 0 : RIG_FEATURES, RIG_PROTOCOL);
		rig_open(&rig, VU_CONN_READY,
			request->needs == VU_NEED_OFFERED ? 0 : RIG_NO_ACK & ~request->needs,
			request->needs & (VU_NEED_OFFERED | VU_NEED_ACKED) ? 0 : RIG_FEATURES);
		send_sample(&rig, request, 0, &sample);
		expect_refused(&rig, request, before);
	}
}

static void test_ring_index(void **state)
{
	static const uint32_t wrong[] = {RIG_QUEUES, 255};

	FOR_EACH_ROW(request) {
		for (size_t i = 0; request->rings && i < ARRAY_SIZE(wrong); i++) {
			size_t before = count_fds();
			struct sample sample = build(request);
			struct rig rig;

			prepare(&rig, request);
			memcpy(sample.payload, &wrong[i], sizeof(wrong[i]));
			send_sample(&rig, request, 0, &sample);
			expect_refused(&rig, request, before);
		}
	}
}

static void test_ring_state(void **state)
{
	size_t refused = 0;

	FOR_EACH_ROW(request) {
		for (enum vu_ring_state s = VU_RING_RUNNING; s <= VU_RING_PAUSED; s++) {
			size_t before = count_fds();
			struct sample sample = build(request);
			struct rig rig;

			if (!request->rings || (request->rings & VU_STATE_BIT(s)))
				continue;
			prepare(&rig, request);
			rig_do_memory(&rig, 1);
			rig_run(&rig, 0);
			if (s == VU_RING_PAUSED)
				rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 0);
			send_sample(&rig, request, 0, &sample);
			expect_refused(&rig, request, before);
			refused++;
		}
	}
	assert_int_equal(refused, 4);
}

/* A message that stops anywhere, silent or gone: never waited for, never forgotten. */
static void test_cut_short(void **state)
{
	FOR_EACH_ROW(request) {
		struct sample sample = build(request);
		struct vu_header header = {request->code, VU_VERSION, sample.size};
		char message[sizeof(header) + VU_PAYLOAD_MAX];
		size_t total = sizeof(header) + sample.size;

		memcpy(message, &header, sizeof(header));
		memcpy(message + sizeof(header), sample.payload, sample.size);
		for (size_t at = 1; at < total; at++) {
			size_t before = count_fds();
			struct rig rig;

			prepare(&rig, request);
			vu_socket_send(rig.front, message, at, sample.fds, sample.n_fds);
			assert_int_equal(rig_pump(&rig), 0);
			assert_true(vu_backend_partial(rig.backend));
			shutdown(rig.front, SHUT_WR);
			rig_expect_end(&rig, -EPROTO,
				at < sizeof(header) ? "header" : request->name, "in the middle");
			rig_fini(&rig);
			assert_int_equal(count_fds(), before);
		}
	}
}

static void test_unknown(void **state)
{
	static const struct {
		uint32_t code;
		const char *name;
	} cases[] = {{0, "request 0"}, {6, "SET_LOG_BASE"}, {22, "IOTLB_MSG"},
		{46, "request 46"}, {UINT32_MAX, "request 4294967295"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t before = count_fds();
		struct rig rig;

		rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
		rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
		rig_send(&rig, cases[i].code, VU_FLAG_NEED_REPLY, "payload", 8, &shared_fd, 1);
		rig_expect_end(&rig, -EPROTO, cases[i].name, "not supported");
		rig_expect_silence(&rig);
		rig_fini(&rig);
		assert_int_equal(count_fds(), before);
	}
}

/* Fds that the kernel had to cut away (MSG_CTRUNC). */
static void test_truncated_fds(void **state)
{
	enum { N = 40 };
	char space[CMSG_SPACE(N * sizeof(int))] = {0};
	struct vu_header header = {VU_SET_OWNER, VU_VERSION, 0};
	struct iovec iov = {&header, sizeof(header)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	size_t before = count_fds();
	struct rig rig;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(N * sizeof(int));
	for (size_t i = 0; i < N; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &shared_fd, sizeof(int));
	rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
	assert_int_equal(sendmsg(rig.front, &msg, 0), sizeof(header));
	rig_expect_end(&rig, -EPROTO, "SET_OWNER", "lost");
	rig_fini(&rig);
	assert_int_equal(count_fds(), before);
}

/* What comes as an eventfd has to be something that can be waited for and is written at once. */
static void test_no_eventfds(void **state)
{
	static const uint32_t codes[] = {VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR};
	static const char *const paths[] = {"/", "/dev/zero", "/proc/self/exe"};
	uint64_t value = 1;
	struct rig rig;
	int fds[2];

	for (size_t i = 0; i < ARRAY_SIZE(codes) * ARRAY_SIZE(paths); i++) {
		uint32_t code = codes[i / ARRAY_SIZE(paths)];
		size_t before = count_fds();
		int fd = open(paths[i % ARRAY_SIZE(paths)], O_RDONLY | O_CLOEXEC);

		assert_true(fd >= 0);
		prepare(&rig, vu_request_find(code));
		rig_send(&rig, code, 0, &value, sizeof(value), &fd, 1);
		close(fd);
		rig_expect_end(&rig, -EPROTO, vu_request_name(code), "not an eventfd");
		rig_fini(&rig);
		assert_int_equal(count_fds(), before);
	}

	prepare(&rig, vu_request_find(VU_SET_VRING_CALL));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	rig_send(&rig, VU_SET_VRING_CALL, 0, &value, sizeof(value), &fds[1], 1);
	rig_expect_end(&rig, -EPROTO, "SET_VRING_CALL", "not an eventfd");
	close(fds[0]);
	close(fds[1]);
	rig_fini(&rig);
}

/* What is lost counts as long as it is in the table. */
static void test_memory_lost(void **state)
{
	struct vu_region *former;
	struct rig rig;
	size_t lines;
	int ret;

	rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	rig_do_memory(&rig, 1);
	former = vu_region_get(rig.memory->regions[0]);
	rig_do_memory(&rig, 2);
	assert_true(vu_memory_fault(former->host + 0x1234));
	vu_region_put(former);
	assert_int_equal(vu_backend_check_memory(rig.backend), 0);

	assert_true(vu_memory_fault(rig.memory->regions[1]->host));
	rig_log_start(&rig);
	ret = vu_backend_check_memory(rig.backend);
	assert_non_null(strstr(rig_log_end(&rig, &lines), "ERROR front-end: guest memory was cut"));
	assert_int_equal(ret, -EPROTO);
	assert_int_equal(lines, 1);
	assert_int_equal(rig_pump(&rig), -EPROTO);
	assert_int_equal(vu_backend_check_memory(rig.backend), -EPROTO);
	rig_fini(&rig);
}

static int open_shared(void **state)
{
	shared_fd = rig_memfd(0x100000);
	signal_fd = eventfd(0, EFD_CLOEXEC);
	return 0;
}

static int close_shared(void **state)
{
	close(signal_fd);
	return close(shared_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_need_reply),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_size_announced),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_feature),
		cmocka_unit_test(test_ring_index),
		cmocka_unit_test(test_ring_state),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_truncated_fds),
		cmocka_unit_test(test_no_eventfds),
		cmocka_unit_test(test_memory_lost),
	};

	return cmocka_run_group_tests(tests, open_shared, close_shared);
}
