/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end request channel against a front-end that does as it likes. */
#include "vhostuser/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/fds.h"
#include "vhostuser/fd.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

struct ends {
	int front; /* the front-end's */
	struct vu_channel *channel;
	size_t fds_before;
};

static void ends_init(struct ends *e)
{
	int pair[2];

	e->fds_before = count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_channel_new(pair[0], &e->channel), 0);
	assert_true(fcntl(vu_channel_fd(e->channel), F_GETFL) & O_NONBLOCK);
	e->front = pair[1];
}

static void ends_fini(struct ends *e)
{
	vu_channel_free(e->channel);
	fd_close(&e->front);
	assert_int_equal(count_fds(), e->fds_before);
}

static void expect_nothing(struct ends *e)
{
	uint64_t cookie, value;
	const char *why;

	assert_int_equal(vu_channel_receive(e->channel, &cookie, &value, &why), 0);
}

static void expect_answer(struct ends *e, uint64_t cookie, uint64_t value)
{
	uint64_t got_cookie, got_value;
	const char *why;

	assert_int_equal(vu_channel_receive(e->channel, &got_cookie, &got_value, &why), 1);
	assert_int_equal(got_cookie, cookie);
	assert_int_equal(got_value, value);
}

/* An error, which then stays, whatever is tried. */
static void expect_error(struct ends *e, int err, const char *expect)
{
	uint64_t cookie, value;
	const char *why;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(vu_channel_receive(e->channel, &cookie, &value, &why), err);
		if (expect && (!why || !strstr(why, expect)))
			fail_msg("'%s' is not in '%s'", expect, why ? why : "(none)");
	}
	assert_int_equal(vu_channel_send(e->channel, 9, NULL, 0, -1, 0), err);
	assert_int_equal(vu_channel_events(e->channel), POLLIN);
}

static void send_answer(struct ends *e, uint32_t code, uint64_t value)
{
	struct vu_header header = {code, VU_VERSION | VU_FLAG_REPLY, sizeof(value)};
	uint8_t data[sizeof(header) + sizeof(value)];

	memcpy(data, &header, sizeof(header));
	memcpy(data + sizeof(header), &value, sizeof(value));
	assert_int_equal(send(e->front, data, sizeof(data), 0), sizeof(data));
}

static int same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

/* Takes a request off the front-end's end; its fd has to be `fd`, or there is none. */
static void expect_request(
	struct ends *e, uint32_t code, const void *payload, uint32_t size, int fd)
{
	struct vu_receiver in = {0};

	assert_int_equal(vu_receive_header(e->front, &in), 0);
	assert_int_equal(in.fds.n, fd >= 0); /* with the first byte: there by now */
	assert_int_equal(vu_receive_payload(e->front, &in), 0);
	assert_int_equal(in.header.request, code);
	assert_int_equal(in.header.flags, 0x9);
	assert_int_equal(in.header.size, size);
	assert_int_equal(in.fds.n, fd >= 0);
	if (fd >= 0)
		assert_true(same_file(in.fds.fd[0], fd));
	if (size)
		assert_memory_equal(in.payload, payload, size);
	vu_receiver_reset(&in);
}

static void test_request(void **state)
{
	CLEANUP_FD int fd = memfd_create("file", MFD_CLOEXEC);
	struct ends e;

	ends_init(&e);
	assert_int_equal(vu_channel_events(e.channel), POLLIN);
	expect_nothing(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, "payload", 7, fd, 77), 0);
	assert_int_equal(vu_channel_send(e.channel, 10, NULL, 0, -1, 78), 0);
	assert_int_equal(vu_channel_unanswered(e.channel), 2);
	expect_request(&e, 9, "payload", 7, fd);
	expect_request(&e, 10, NULL, 0, -1);
	expect_nothing(&e);
	send_answer(&e, 9, UINT64_MAX);
	expect_answer(&e, 77, UINT64_MAX);
	send_answer(&e, 10, 0);
	expect_answer(&e, 78, 0);
	expect_nothing(&e);
	assert_int_equal(vu_channel_unanswered(e.channel), 0);
	ends_fini(&e);
}

static void test_sixteen(void **state)
{
	struct ends e;
	uint64_t next = 0, answered = 0;

	ends_init(&e);
	for (int round = 0; round < 5; round++) {
		while (vu_channel_unanswered(e.channel) < VU_CHANNEL_MAX) {
			uint32_t code = 9 + next % 2;

			assert_int_equal(
				vu_channel_send(e.channel, code, &next, 8, -1, next * 3), 0);
			expect_request(&e, code, &next, 8, -1);
			next++;
		}
		assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 1), -EAGAIN);
		assert_int_equal(vu_channel_unanswered(e.channel), VU_CHANNEL_MAX);
		for (int i = 0; i < 7; i++)
			send_answer(&e, (uint32_t)(9 + (answered + (uint64_t)i) % 2), answered);
		for (int i = 0; i < 7; i++, answered++)
			expect_answer(&e, answered * 3, answered - (uint64_t)i);
		expect_nothing(&e);
	}
	ends_fini(&e);
}

/* An answer may come byte by byte. */
static void test_answer_in_parts(void **state)
{
	struct vu_header header = {9, 5, 8};
	uint8_t data[20] = {0};
	struct ends e;

	memcpy(data, &header, sizeof(header));
	data[12] = 42;
	ends_init(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	for (size_t i = 0; i < sizeof(data); i++) {
		expect_nothing(&e);
		assert_int_equal(send(e.front, &data[i], 1, 0), 1);
	}
	expect_answer(&e, 7, 42);
	ends_fini(&e);
}

static void test_hostile_answers(void **state)
{
	static const struct {
		struct vu_header header;
		size_t size; /* of what is sent */
		bool fd;
		const char *why;
	} cases[] = {
		{{10, 5, 8}, 20, false, "another request"},
		{{0, 5, 8}, 20, false, "another request"},
		{{9, 1, 8}, 20, false, "flags"},
		{{9, 0xd, 8}, 20, false, "flags"},
		{{9, 9, 8}, 20, false, "flags"},
		{{9, 4, 8}, 20, false, "flags"},
		{{9, 6, 8}, 20, false, "flags"},
		{{9, 0x80000005, 8}, 20, false, "flags"},
		{{9, 5, 0}, 12, false, "8 bytes"},
		{{9, 5, 7}, 19, false, "8 bytes"},
		{{9, 5, 9}, 21, false, "8 bytes"},
		{{9, 5, 4097}, 12, false, "8 bytes"},
		{{9, 5, UINT32_MAX}, 12, false, "8 bytes"},
		{{9, 5, 8}, 20, true, "fd"},
	};
	uint8_t data[64] = {0};
	struct ends e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = STDIN_FILENO;

		ends_init(&e);
		assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
		assert_int_equal(vu_channel_send(e.channel, 10, NULL, 0, -1, 8), 0);
		memcpy(data, &cases[i].header, sizeof(cases[i].header));
		assert_int_equal(
			vu_socket_send(e.front, data, cases[i].size, &fd, cases[i].fd ? 1 : 0),
			cases[i].size);
		expect_error(&e, -EPROTO, cases[i].why);
		ends_fini(&e);
	}
}

/* An fd that comes with an answer's payload is as wrong as one with its header. */
static void test_late_fd(void **state)
{
	struct vu_header header = {9, 5, 8};
	uint64_t value = 0;
	int fd = STDIN_FILENO;
	struct ends e;

	ends_init(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	assert_int_equal(vu_socket_send(e.front, &header, sizeof(header), NULL, 0), 12);
	expect_nothing(&e);
	assert_int_equal(vu_socket_send(e.front, &value, sizeof(value), &fd, 1), 8);
	expect_error(&e, -EPROTO, "fd");
	ends_fini(&e);
}

static void test_uncalled_for(void **state)
{
	int fds[VU_FDS_MAX] = {0};
	struct vu_header header = {9, 5, 8};
	struct ends e;

	ends_init(&e);
	send_answer(&e, 9, 0);
	expect_error(&e, -EPROTO, "nobody waits");
	ends_fini(&e);

	ends_init(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	send_answer(&e, 9, 0);
	send_answer(&e, 9, 0);
	expect_answer(&e, 7, 0);
	expect_error(&e, -EPROTO, "nobody waits");
	ends_fini(&e);

	ends_init(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	assert_true(vu_socket_send(e.front, &header, sizeof(header), fds, VU_FDS_MAX) > 0);
	expect_error(&e, -EPROTO, "fds");
	ends_fini(&e);
}

static void test_closed(void **state)
{
	struct vu_header header = {9, 5, 8};
	struct ends e;

	ends_init(&e);
	fd_close(&e.front);
	expect_error(&e, -ECONNRESET, NULL);
	ends_fini(&e);

	ends_init(&e); /* what it answered before it left counts */
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	expect_request(&e, 9, NULL, 0, -1);
	send_answer(&e, 9, 1);
	fd_close(&e.front);
	expect_answer(&e, 7, 1);
	expect_error(&e, -ECONNRESET, NULL);
	ends_fini(&e);

	ends_init(&e);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), 0);
	expect_request(&e, 9, NULL, 0, -1);
	assert_int_equal(send(e.front, &header, 7, 0), 7);
	fd_close(&e.front);
	expect_error(&e, -EPROTO, "middle of a message");
	ends_fini(&e);

	ends_init(&e);
	fd_close(&e.front);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, -1, 7), -ECONNRESET);
	expect_error(&e, -ECONNRESET, NULL);
	ends_fini(&e);
}

/* Fills what the socket buffers hold; returns how many bytes that was. */
static size_t stuff(int fd)
{
	static uint8_t junk[512];
	size_t total = 0;
	ssize_t n;

	for (size_t size = sizeof(junk); size > 0; size /= 2)
		while ((n = send(fd, junk, size, MSG_DONTWAIT)) > 0)
			total += (size_t)n;
	return total;
}

static void drain(int fd, size_t n)
{
	uint8_t junk[512];

	while (n) {
		ssize_t got = recv(fd, junk, MIN(n, sizeof(junk)), 0);

		assert_true(got > 0);
		n -= (size_t)got;
	}
}

/* Nothing of a message goes at first: it and its fd are kept, and none other is taken. */
static void test_full_socket(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	int other = dup(fd);
	uint8_t payload[1000];
	struct ends e;
	size_t n;

	memset(payload, 'p', sizeof(payload));
	ends_init(&e);
	n = stuff(vu_channel_fd(e.channel));
	assert_int_equal(vu_channel_send(e.channel, 9, payload, sizeof(payload), fd, 1), 0);
	close(fd); /* it was only borrowed */
	assert_int_equal(vu_channel_events(e.channel), POLLIN | POLLOUT);
	assert_int_equal(vu_channel_unanswered(e.channel), 1);
	assert_int_equal(vu_channel_send(e.channel, 10, NULL, 0, -1, 2), -EAGAIN);
	expect_nothing(&e);
	drain(e.front, n);
	expect_nothing(&e);
	assert_int_equal(vu_channel_events(e.channel), POLLIN);
	expect_request(&e, 9, payload, sizeof(payload), other);
	send_answer(&e, 9, 5);
	expect_answer(&e, 1, 5);
	e.fds_before--; /* fd is closed */

	/* It is freed with one kept. */
	(void)stuff(vu_channel_fd(e.channel));
	assert_int_equal(vu_channel_send(e.channel, 9, payload, sizeof(payload), other, 1), 0);
	ends_fini(&e);
	close(other);
}

static void test_answer_before_request(void **state)
{
	struct ends e;

	ends_init(&e);
	(void)stuff(vu_channel_fd(e.channel));
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, STDIN_FILENO, 1), 0);
	send_answer(&e, 9, 0);
	expect_error(&e, -EPROTO, "before its request");
	ends_fini(&e);
}

/* Without an fd to spare nothing is sent, and it may be tried again when there is room. */
static void test_no_fd_to_spare(void **state)
{
	struct rlimit limit, none;
	struct ends e;
	size_t n;
	int ret;

	ends_init(&e);
	n = stuff(vu_channel_fd(e.channel));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = vu_channel_send(e.channel, 9, NULL, 0, STDIN_FILENO, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(ret, -EAGAIN);
	assert_int_equal(vu_channel_unanswered(e.channel), 0);
	assert_int_equal(vu_channel_events(e.channel), POLLIN | POLLOUT);
	drain(e.front, n);
	expect_nothing(&e);
	assert_int_equal(vu_channel_events(e.channel), POLLIN);
	assert_int_equal(vu_channel_send(e.channel, 9, NULL, 0, STDIN_FILENO, 1), 0);
	expect_request(&e, 9, NULL, 0, STDIN_FILENO);
	ends_fini(&e);
}

/* A front-end that reads a few bytes now and then still gets every message whole. */
static void test_partial_sends(void **state)
{
	static uint8_t payload[VU_PAYLOAD_MAX];
	CLEANUP_FD int fd = memfd_create("file", MFD_CLOEXEC);
	uint64_t sent = 0, taken = 0, waits = 0;
	int small = 4096;
	struct ends e;

	ends_init(&e);
	assert_int_equal(setsockopt(vu_channel_fd(e.channel), SOL_SOCKET, SO_SNDBUF, &small, 4), 0);
	while (taken < 200) {
		struct vu_receiver in = {0};
		uint8_t byte = (uint8_t)sent;
		int ret;

		memset(payload, byte, sizeof(payload));
		ret = vu_channel_send(e.channel, 9, payload, sizeof(payload), fd, sent);
		sent += ret == 0;
		if (ret == 0)
			continue;
		assert_int_equal(ret, -EAGAIN);
		waits += (vu_channel_events(e.channel) & POLLOUT) != 0;
		while (vu_receive_header(e.front, &in) < 0 || vu_receive_payload(e.front, &in) < 0)
			expect_nothing(&e);
		assert_int_equal(in.header.size, sizeof(payload));
		assert_int_equal(in.fds.n, 1);
		for (size_t i = 0; i < sizeof(payload); i++)
			assert_int_equal(in.payload[i], (uint8_t)taken);
		vu_receiver_reset(&in);
		send_answer(&e, 9, taken);
		expect_answer(&e, taken, taken);
		taken++;
	}
	assert_true(waits > 0);
	ends_fini(&e);
}

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t pick(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* Sixteen answers as one stream; at most one of its bytes is changed: where, or SIZE_MAX. */
static size_t random_stream(uint8_t *stream, const uint32_t *codes, uint64_t *values)
{
	size_t at = SIZE_MAX;

	for (size_t i = 0; i < VU_CHANNEL_MAX; i++) {
		struct vu_header header = {codes[i], 5, 8};

		values[i] = pick(UINT64_MAX);
		memcpy(stream + i * 20, &header, sizeof(header));
		memcpy(stream + i * 20 + 12, &values[i], 8);
	}
	if (pick(4)) {
		at = pick(VU_CHANNEL_MAX * 20);
		stream[at] ^= (uint8_t)(1 + pick(255));
	}
	return at;
}

/* In pieces of any size: all answers in front of a spoilt header come, and nothing behind it. */
static void test_random_streams(void **state)
{
	print_message("seed %#llx\n", (unsigned long long)seed);
	for (int round = 0; round < 2000; round++) {
		uint8_t stream[VU_CHANNEL_MAX * 20];
		uint32_t codes[VU_CHANNEL_MAX];
		uint64_t values[VU_CHANNEL_MAX], cookie, value;
		size_t spoilt, good = VU_CHANNEL_MAX, got = 0, sent = 0;
		const char *why = NULL;
		struct ends e;
		int ret = 0;

		ends_init(&e);
		for (size_t i = 0; i < VU_CHANNEL_MAX; i++) {
			codes[i] = (uint32_t)(9 + pick(2));
			assert_int_equal(
				vu_channel_send(e.channel, codes[i], "x", 1, -1, i + 100), 0);
		}
		spoilt = random_stream(stream, codes, values);
		if (spoilt != SIZE_MAX && spoilt % 20 < 12)
			good = spoilt / 20;
		else if (spoilt != SIZE_MAX)
			memcpy(&values[spoilt / 20], stream + spoilt / 20 * 20 + 12, 8);
		while (sent < sizeof(stream) && ret >= 0) {
			size_t n = 1 + pick(50);

			n = MIN(n, sizeof(stream) - sent);
			assert_int_equal(send(e.front, stream + sent, n, 0), n);
			sent += n;
			while ((ret = vu_channel_receive(e.channel, &cookie, &value, &why)) == 1) {
				assert_true(got < good);
				assert_int_equal(cookie, got + 100);
				assert_int_equal(value, values[got]);
				got++;
			}
		}
		assert_int_equal(got, good);
		assert_int_equal(ret, good == VU_CHANNEL_MAX ? 0 : -EPROTO);
		assert_int_equal(why != NULL, ret == -EPROTO);
		ends_fini(&e);
	}
}

static void test_bad_sockets(void **state)
{
	size_t before = count_fds();
	struct vu_channel *channel;
	int pair[2], fd;

	fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(vu_channel_new(fd, &channel), -ENOTSOCK);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(vu_channel_new(pair[1], &channel), -ENOTSOCK);
	close(pair[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_channel_new(pair[1], &channel), -EPROTOTYPE);
	close(pair[0]);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		assert_int_equal(vu_channel_new(fd, &channel), -EPROTOTYPE);
	assert_int_equal(vu_channel_new(-1, &channel), -EBADF);
	vu_channel_free(NULL);
	assert_int_equal(count_fds(), before);
}

/* One that was never connected is of no use, and does no harm. */
static void test_unconnected(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct vu_channel *channel;
	uint64_t cookie, value;
	const char *why;

	assert_int_equal(vu_channel_new(fd, &channel), 0);
	assert_true(vu_channel_receive(channel, &cookie, &value, &why) < 0);
	assert_true(vu_channel_send(channel, 9, NULL, 0, -1, 0) < 0);
	vu_channel_free(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_sixteen),
		cmocka_unit_test(test_answer_in_parts),
		cmocka_unit_test(test_hostile_answers),
		cmocka_unit_test(test_late_fd),
		cmocka_unit_test(test_uncalled_for),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_answer_before_request),
		cmocka_unit_test(test_no_fd_to_spare),
		cmocka_unit_test(test_partial_sends),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_bad_sockets),
		cmocka_unit_test(test_unconnected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
