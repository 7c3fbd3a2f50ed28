/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that breaks the protocol: one log line, the connection closed, the next one served,
 * no fd left behind. The cases are made from the request table, so new rows are covered by
 * themselves.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"

#define FEATURES                                                                                   \
	(VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |       \
		VU_BIT(VIRTIO_RING_F_EVENT_IDX))
#define PROTOCOL                                                                                   \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |                              \
		VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) | VU_BIT(VU_PROTOCOL_F_CONFIG) |                \
		VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

static struct it_options keep = {
	.be = { .keep_listening = true, .tag = "tag" },
	.no_client = true,
};

/* What is wrong with a message. */
enum wrong {
	SHORT,
	LONG,
	FD_TOO_MANY,
	FD_TOO_FEW,
	MANY_FDS,
	MARKED_AS_REPLY,
	BAD_VERSION,
	RESERVED_FLAG,
	TOO_EARLY,
	NO_FEATURE,
	BAD_RING,
	N_WRONGS,
};

static const char *const wrongs[] = { "short", "long", "an fd too many", "an fd too few", "40 fds",
	"marked as reply", "bad version", "reserved flag", "too early", "feature missing",
	"no such ring" };

static bool applies(const struct vu_request *row, enum wrong wrong)
{
	switch (wrong) {
	case SHORT:
		return row->size_min > 0;
	case FD_TOO_FEW:
		return row->fds_min > 0;
	case TOO_EARLY: {
		const struct vu_request *first = vu_request_find(VU_GET_FEATURES);

		return row->states != first->states;
	}
	case NO_FEATURE:
		return row->needs != VU_NEED_NOTHING && row->needs != VU_NEED_OFFERED;
	case BAD_RING:
		return row->rings != 0;
	case LONG:
	case FD_TOO_MANY:
	case MANY_FDS:
	case MARKED_AS_REPLY:
	case BAD_VERSION:
	case RESERVED_FLAG:
	case N_WRONGS:
		break;
	}
	return true;
}

/* A payload that fits the row, before it is spoilt. */
static uint32_t good_payload(const struct vu_request *row, uint8_t *payload, uint32_t ring)
{
	uint64_t value = ring | VU_VRING_NOFD;
	struct vu_mem_reg_msg reg = {
		.region = { .gpa = 1 << 20, .size = 4096, .user_addr = 1 << 20 }
	};

	memset(payload, 0, VU_PAYLOAD_MAX);
	switch (row->payload) {
	case VU_PAYLOAD_VRING_FD:
		memcpy(payload, &value, sizeof(value));
		break;
	case VU_PAYLOAD_STATE:
	case VU_PAYLOAD_ADDR:
		memcpy(payload, &ring, sizeof(ring));
		break;
	case VU_PAYLOAD_MEM_REG:
		memcpy(payload, &reg, sizeof(reg));
		break;
	case VU_PAYLOAD_NONE:
	case VU_PAYLOAD_U64:
	case VU_PAYLOAD_MEM_TABLE:
	case VU_PAYLOAD_CONFIG:
		break;
	}
	return row->size_min;
}

static size_t make_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	return n;
}

/* Not the library's own call: more fds at once than it sends. */
static void send_with_fds(int sock, const void *data, size_t size, const int *fds, size_t n)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(40 * sizeof(int))];
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *cmsg;

		memset(control, 0, sizeof(control));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), size);
}

static void send_wrong(struct vu_frontend *fe, const struct vu_request *row, enum wrong wrong)
{
	uint8_t message[sizeof(struct vu_header) + VU_PAYLOAD_MAX + 64];
	uint8_t *payload = message + sizeof(struct vu_header);
	struct vu_header h = { .request = row->code, .flags = VU_VERSION };
	size_t n_fds = row->fds_min;
	int fds[40];

	h.size = good_payload(row, payload, wrong == BAD_RING ? 65 : 0);
	if (wrong == SHORT)
		h.size = row->size_min - 1;
	else if (wrong == LONG)
		h.size = row->size_max + 1;
	else if (wrong == FD_TOO_MANY)
		n_fds = row->fds_max + 1u;
	else if (wrong == FD_TOO_FEW)
		n_fds = row->fds_min - 1u;
	else if (wrong == MANY_FDS)
		n_fds = ARRAY_SIZE(fds);
	else if (wrong == MARKED_AS_REPLY)
		h.flags |= VU_FLAG_REPLY;
	else if (wrong == BAD_VERSION)
		h.flags = 2;
	else if (wrong == RESERVED_FLAG)
		h.flags |= 0x10;
	memcpy(message, &h, sizeof(h));
	make_fds(fds, n_fds);
	send_with_fds(vu_frontend_fd(fe), message, sizeof(h) + h.size, fds, n_fds);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
}

static void negotiate_for(struct vu_frontend *fe, const struct vu_request *row, enum wrong wrong)
{
	uint64_t features = FEATURES, protocol = PROTOCOL;

	if (wrong == TOO_EARLY)
		return;
	if (wrong == NO_FEATURE && row->needs == VU_NEED_ACKED) {
		features &= ~VU_BIT(VU_F_PROTOCOL_FEATURES);
		protocol = 0;
	} else if (wrong == NO_FEATURE)
		protocol &= ~row->needs;
	assert_int_equal(vu_frontend_negotiate(fe, features, protocol), 0);
}

/* The back-end hangs up; what it may have answered before is passed over. */
static bool hangs_up(struct vu_frontend *fe, int timeout_ms)
{
	struct pollfd fd = { .fd = vu_frontend_fd(fe), .events = POLLIN };
	int64_t end = it_now_ms() + timeout_ms;
	uint8_t drop[4096];

	while (it_now_ms() < end && poll(&fd, 1, (int)(end - it_now_ms())) > 0) {
		ssize_t n = recv(fd.fd, drop, sizeof(drop), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static int complaints(const struct it *it)
{
	return be_log_lines(&it->be, "ERROR") + be_log_lines(&it->be, "WARN");
}

static void assert_next_is_served(struct it *it)
{
	it_connect(it, NULL);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	it_disconnect(it);
}

/* The fds of a service that waits for a front-end, after it had one. */
static int idle_fds(struct it *it)
{
	int fds;

	assert_next_is_served(it);
	it_until(be_threads(&it->be) >= 1, 1000);
	fds = be_fds(&it->be);
	for (int64_t end = it_now_ms() + 300; it_now_ms() < end; it_nap()) {
		int now = be_fds(&it->be);

		fds = now < fds ? now : fds;
	}
	return fds;
}

static void every_row_every_way(void **state)
{
	struct it *it = *state;
	int fds = idle_fds(it);

	for (size_t i = 0; i < vu_n_requests; i++) {
		const struct vu_request *row = &vu_requests[i];

		for (enum wrong wrong = 0; wrong < N_WRONGS; wrong++) {
			int before = complaints(it);
			struct vu_frontend *fe;

			if (!applies(row, wrong))
				continue;
			fe = it_frontend(it);
			negotiate_for(fe, row, wrong);
			send_wrong(fe, row, wrong);
			if (!hangs_up(fe, 2000))
				fail_msg("%s, %s: still connected", row->name, wrongs[wrong]);
			vu_frontend_free(fe);
			if (complaints(it) != before + 1)
				fail_msg("%s, %s: %d log lines", row->name, wrongs[wrong],
					complaints(it) - before);
		}
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

static void unknown_requests(void **state)
{
	struct it *it = *state;
	int fds = idle_fds(it);

	for (uint32_t code = 0; code < 64; code++) {
		int before = complaints(it);
		uint32_t asked = code == 63 ? UINT32_MAX : code;
		uint64_t payload = 0;
		struct vu_frontend *fe;

		if (vu_request_find(asked))
			continue;
		fe = it_frontend(it);
		assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
		assert_int_equal(
			vu_frontend_send(fe, asked, VU_FLAG_NEED_REPLY, &payload, 8, NULL, 0), 0);
		assert_true(hangs_up(fe, 2000));
		vu_frontend_free(fe);
		assert_int_equal(complaints(it), before + 1);
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

/* A size that nobody could mean: judged by the header, nothing is waited for. */
static void absurd_sizes(void **state)
{
	struct it *it = *state;
	static const uint32_t sizes[] = { 4097, 65536, 0x7fffffff, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vu_header h = {
			.request = VU_SET_MEM_TABLE, .flags = VU_VERSION, .size = sizes[i]
		};
		struct vu_frontend *fe = it_frontend(it);

		assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
		assert_int_equal(vu_frontend_send_raw(fe, &h, sizeof(h), NULL, 0), 0);
		assert_true(hangs_up(fe, 2000));
		vu_frontend_free(fe);
	}
	assert_next_is_served(it);
}

/* Part of a message and then nothing: patience ends, one line, the next one is served. */
static void silence_within_a_message(void **state)
{
	struct it *it = *state;
	static const size_t parts[] = { 1, 6, sizeof(struct vu_header),
		sizeof(struct vu_header) + 3 };
	int fds = idle_fds(it);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		uint8_t message[sizeof(struct vu_header) + 8] = { 0 };
		struct vu_header h = { .request = VU_SET_FEATURES, .flags = VU_VERSION, .size = 8 };
		int before = complaints(it), fd[2];
		struct vu_frontend *fe = it_frontend(it);

		memcpy(message, &h, sizeof(h));
		assert_int_equal(vu_frontend_request(fe, VU_SET_OWNER, NULL, 0, NULL, 0), 0);
		make_fds(fd, 2);
		assert_int_equal(vu_frontend_send_raw(fe, message, parts[i], fd, 2), 0);
		close(fd[0]);
		close(fd[1]);
		/* Half of them hang up, the others just stop. */
		if (i % 2)
			vu_frontend_free(fe);
		else {
			assert_true(hangs_up(fe, 6000));
			vu_frontend_free(fe);
		}
		it_until(complaints(it) == before + 1, 2000);
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

/* Contradictions inside of payloads that have the right size. */
static void contradictions(void **state)
{
	struct it *it = *state;
	struct vu_mem_table nine = { .n_regions = 9 }, two = { .n_regions = 2 },
			    no_fd = { .n_regions = 1 };
	uint64_t reserved = UINT64_C(1) << 40 | VU_VRING_NOFD, fd_and_none = VU_VRING_NOFD,
		 none = 0;
	uint64_t features = UINT64_MAX;
	struct vu_config_msg config = { .offset = 0, .size = 200 };

	two.regions[0].size = two.regions[1].size = no_fd.regions[0].size = 4096;
	const struct {
		uint32_t code;
		const void *payload;
		uint32_t size;
		size_t n_fds;
	} cases[] = {
		{ VU_SET_MEM_TABLE, &nine, 8 + 8 * 32, 8 },
		{ VU_SET_MEM_TABLE, &two, 8 + 32, 1 },
		{ VU_SET_MEM_TABLE, &two, 8 + 64, 1 },
		{ VU_SET_MEM_TABLE, &no_fd, 8 + 32, 0 },
		{ VU_SET_VRING_CALL, &reserved, 8, 0 },
		{ VU_SET_VRING_CALL, &fd_and_none, 8, 1 },
		{ VU_SET_VRING_CALL, &none, 8, 0 },
		{ VU_SET_FEATURES, &features, 8, 0 },
		{ VU_SET_PROTOCOL_FEATURES, &features, 8, 0 },
		{ VU_GET_CONFIG, &config, 12 + 44, 0 },
	};
	int fds = idle_fds(it);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int before = complaints(it), fd[8];
		struct vu_frontend *fe = it_frontend(it);

		assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
		make_fds(fd, cases[i].n_fds);
		assert_int_equal(vu_frontend_send(fe, cases[i].code, 0, cases[i].payload,
					 cases[i].size, fd, cases[i].n_fds),
			0);
		for (size_t f = 0; f < cases[i].n_fds; f++)
			close(fd[f]);
		if (!hangs_up(fe, 2000))
			fail_msg("case %zu: still connected", i);
		vu_frontend_free(fe);
		if (complaints(it) != before + 1)
			fail_msg("case %zu: %d log lines", i, complaints(it) - before);
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

/* What is only legal while a ring is at rest. */
static void rings_in_the_wrong_state(void **state)
{
	struct it *it = *state;
	int fds = idle_fds(it);

	for (size_t i = 0; i < vu_n_requests; i++) {
		const struct vu_request *row = &vu_requests[i];
		const struct vu_request *any = vu_request_find(VU_SET_VRING_KICK);
		uint8_t payload[VU_PAYLOAD_MAX];
		int before;

		if (!row->rings || row->rings == any->rings)
			continue;
		it_connect(it, NULL);
		before = complaints(it);
		assert_int_equal(vu_frontend_send(it->fc->fe, row->code, 0, payload,
					 good_payload(row, payload, 1), NULL, 0),
			0);
		assert_true(hangs_up(it->fc->fe, 2000));
		it_disconnect(it);
		assert_int_equal(complaints(it), before + 1);
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Messages with all kinds of things wrong, several on a connection, legal ones between. */
static void random_messages(void **state)
{
	struct it *it = *state;
	int fds = idle_fds(it);
	uint32_t seed = 0x12345678;

	for (int round = 0; round < 300; round++) {
		struct vu_frontend *fe = it_frontend(it);

		if (random_next(&seed) % 4)
			assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
		for (int i = 0; i < 8; i++) {
			const struct vu_request *row =
				&vu_requests[random_next(&seed) % vu_n_requests];
			uint8_t payload[VU_PAYLOAD_MAX];
			uint32_t size = good_payload(row, payload, random_next(&seed) % 70);
			size_t n_fds =
				random_next(&seed) % 4 ? row->fds_min : random_next(&seed) % 10;
			int fd[10];

			for (uint32_t byte = 0; byte < size; byte++)
				if (random_next(&seed) % 8 == 0)
					payload[byte] = (uint8_t)random_next(&seed);
			if (random_next(&seed) % 8 == 0)
				size = random_next(&seed) % 300;
			make_fds(fd, n_fds);
			int r = vu_frontend_send(fe, row->code,
				random_next(&seed) % 2 ? VU_FLAG_NEED_REPLY : 0, payload, size, fd,
				n_fds);
			for (size_t f = 0; f < n_fds; f++)
				close(fd[f]);
			if (r < 0)
				break;
		}
		vu_frontend_free(fe);
	}
	assert_next_is_served(it);
	assert_true(be_settle_fds(&it->be, fds, 3000) <= fds);
}

/* It asks and asks and never reads an answer: costs the back-end one answer of memory. */
static void never_reads(void **state)
{
	struct it *it = *state;
	struct vu_header h = { .request = VU_GET_FEATURES, .flags = VU_VERSION };
	struct vu_frontend *fe = it_frontend(it);
	int before = be_rss_kib(&it->be), stuck = 0;
	size_t sent = 0;

	while (stuck < 200 && sent < 64u << 20) {
		ssize_t n = send(vu_frontend_fd(fe), &h, sizeof(h), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n == (ssize_t)sizeof(h)) {
			sent += sizeof(h);
			stuck = 0;
		} else {
			stuck++;
			it_nap();
		}
	}
	assert_true(sent < 64u << 20);
	/* A sanitizer keeps for a while what we freed: its memory says nothing of ours. */
	if (!be_sanitized())
		assert_true(be_rss_kib(&it->be) < before + 4096);
	vu_frontend_free(fe);
	assert_next_is_served(it);
}

/* A slow but honest front-end: a message in single bytes, its fd with the first one. */
static void byte_by_byte(void **state)
{
	struct it *it = *state;
	struct {
		struct vu_header h;
		struct vu_mem_reg_msg reg;
	} message = {
		.h = { .request = VU_ADD_MEM_REG,
			.flags = VU_VERSION | VU_FLAG_NEED_REPLY,
			.size = sizeof(struct vu_mem_reg_msg) },
		.reg = { .region = { .gpa = 1 << 30, .size = 4096, .user_addr = 1 << 30 } },
	};
	struct vu_frontend *fe = it_frontend(it);
	int fd = memfd_create("bytes", MFD_CLOEXEC);
	struct vu_header answer;
	uint64_t value = 1;
	size_t size;

	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
	for (size_t i = 0; i < sizeof(message); i++)
		assert_int_equal(
			vu_frontend_send_raw(fe, (uint8_t *)&message + i, 1, &fd, i == 0), 0);
	assert_int_equal(vu_frontend_recv(fe, &answer, &value, sizeof(value), &size, NULL), 0);
	assert_int_equal(size, sizeof(value));
	assert_int_equal(value, 0);
	close(fd);
	vu_frontend_free(fe);
	assert_next_is_served(it);
}

static struct it_options ends = { .no_client = true, .expect_exit = GW_EXIT_PROTOCOL };

/* Without --keep-listening a broken protocol is the end, with a status that says so. */
static void ends_with_its_own_status(void **state)
{
	struct it *it = *state;
	struct vu_frontend *fe = it_frontend(it);

	assert_int_equal(vu_frontend_send(fe, 4242, 0, NULL, 0, NULL, 0), 0);
	assert_true(hangs_up(fe, 2000));
	vu_frontend_free(fe);
	assert_int_equal(be_wait(&it->be, 3000), GW_EXIT_PROTOCOL);
	assert_int_equal(complaints(it), 1);
	assert_int_equal(be_log_lines(&it->be, "4242"), 1);
	assert_true(access(it->be.sock, F_OK) < 0);
}

static void memory_without_an_fd_says_what_to_do(void **state)
{
	struct it *it = *state;
	struct vu_mem_table table = { .n_regions = 1, .regions[0] = { .size = 4096 } };
	struct vu_frontend *fe = it_frontend(it);

	assert_int_equal(vu_frontend_negotiate(fe, FEATURES, 0), 0);
	assert_int_equal(vu_frontend_send(fe, VU_SET_MEM_TABLE, 0, &table, 8 + 32, NULL, 0), 0);
	assert_true(hangs_up(fe, 2000));
	vu_frontend_free(fe);
	assert_int_equal(be_wait(&it->be, 3000), GW_EXIT_PROTOCOL);
	assert_int_equal(complaints(it), 1);
	assert_int_equal(be_log_lines(&it->be, "share=on"), 1);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(every_row_every_way, keep),
	IT_TEST_WITH(unknown_requests, keep),
	IT_TEST_WITH(absurd_sizes, keep),
	IT_TEST_WITH(silence_within_a_message, keep),
	IT_TEST_WITH(contradictions, keep),
	IT_TEST_WITH(rings_in_the_wrong_state, keep),
	IT_TEST_WITH(random_messages, keep),
	IT_TEST_WITH(never_reads, keep),
	IT_TEST_WITH(byte_by_byte, keep),
	IT_TEST_WITH(ends_with_its_own_status, ends),
	IT_TEST_WITH(memory_without_an_fd_says_what_to_do, ends),
};

#define ENDS "it ends with its first front-end"
static const struct it_difference differences[] = {
	{ "every_row_every_way", ENDS },
	{ "unknown_requests", ENDS },
	{ "absurd_sizes", ENDS },
	{ "silence_within_a_message", ENDS },
	{ "contradictions", ENDS },
	{ "rings_in_the_wrong_state", ENDS },
	{ "random_messages", ENDS },
	{ "never_reads", ENDS },
	{ "byte_by_byte", ENDS },
	{ "ends_with_its_own_status", "it has no status of its own for this" },
	{ "memory_without_an_fd_says_what_to_do", "it does not say" },
};

IT_MAIN("bad_frontend", tests, differences)
