/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's end against a scripted peer: what goes over the wire, and that every answer that
 * is not exactly right is refused. (Against real back-ends it is tested by the integration suite.)
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/guest.h"
#include "vhostuser/frontend.h"

#define OFFERED                                                                                    \
	(VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |                        \
		VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))
#define ALL_PROTOCOL UINT64_C(0xffffffff)

/* One step of the peer: what it expects (checked) and what it answers. */
struct step {
	uint32_t code;
	uint32_t flags;       /* expected exactly */
	uint32_t size;        /* expected payload size */
	unsigned int fds;     /* expected */
	uint32_t reply_flags; /* 0: no answer */
	uint32_t reply_size;
	uint64_t reply[4];
	uint32_t reply_code;  /* 0: the request's */
	uint32_t reply_bytes; /* 0: all of it; else it is cut off after so many, and closed */
};

#define V     VU_VERSION
#define VN    (VU_VERSION | VU_FLAG_NEED_REPLY)
#define R     (VU_VERSION | VU_FLAG_REPLY)
#define ACK   .reply_flags = R, .reply_size = 8
#define FAIL_ ACK, .reply = {1}

struct peer {
	int fd;
	const struct step *steps;
	size_t n;
	pthread_t thread;
	bool joined;
	size_t done;     /* steps that went as expected */
	char wrong[128]; /* the first thing that did not */
	struct vu_header last;
	uint8_t payload[VU_PAYLOAD_MAX];
	struct vu_fds fds; /* of the last message */
};

static bool read_full(int fd, void *data, size_t size)
{
	return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static bool peer_receive(struct peer *peer)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * VU_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {&peer->last, sizeof(peer->last)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	const struct cmsghdr *c;

	fds_close(&peer->fds);
	if (recvmsg(peer->fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(peer->last))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		peer->fds.n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(peer->fds.fd, CMSG_DATA(c), peer->fds.n * sizeof(int));
	}
	return peer->last.size <= sizeof(peer->payload) &&
	       (!peer->last.size || read_full(peer->fd, peer->payload, peer->last.size));
}

static void peer_answer(struct peer *peer, const struct step *step)
{
	uint32_t code = step->reply_code ? step->reply_code : step->code;
	struct vu_header header = {code, step->reply_flags, step->reply_size};
	uint8_t bytes[sizeof(header) + sizeof(struct vu_shmem_config)] = {0};
	size_t size = sizeof(header) + step->reply_size;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), step->reply, sizeof(step->reply));
	if (step->reply_bytes)
		size = step->reply_bytes;
	(void)!send(peer->fd, bytes, size, MSG_NOSIGNAL);
}

static void *peer_run(void *arg)
{
	struct peer *peer = arg;

	for (size_t i = 0; i < peer->n; i++, peer->done++) {
		const struct step *step = &peer->steps[i];

		if (!peer_receive(peer)) {
			(void)snprintf(peer->wrong, sizeof(peer->wrong), "step %zu: no message", i);
			break;
		}
		if (peer->last.request != step->code || peer->last.flags != step->flags ||
			peer->last.size != step->size || peer->fds.n != step->fds) {
			(void)snprintf(peer->wrong, sizeof(peer->wrong),
				"step %zu: code %u flags %x size %u fds %zu", i, peer->last.request,
				peer->last.flags, peer->last.size, peer->fds.n);
			break;
		}
		if (step->reply_flags)
			peer_answer(peer, step);
	}
	shutdown(peer->fd, SHUT_RDWR);
	return NULL;
}

static struct vu_frontend *peer_start(struct peer *peer, const struct step *steps, size_t n)
{
	struct vu_frontend *fe;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	memset(peer, 0, sizeof(*peer));
	peer->fd = pair[0];
	peer->steps = steps;
	peer->n = n;
	assert_int_equal(vu_frontend_from_fd(pair[1], &fe), 0);
	vu_frontend_set_timeout(fe, 3000);
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
	return fe;
}

/* Waits for the script's end; then the last message may be looked at. */
static void peer_wait(struct peer *peer)
{
	if (!peer->joined)
		pthread_join(peer->thread, NULL);
	peer->joined = true;
}

/* Ends the peer, whose script must have been played to its end. */
static void peer_join(struct peer *peer)
{
	peer_wait(peer);
	fds_close(&peer->fds);
	close(peer->fd);
	if (peer->done != peer->n)
		fail_msg("%s", peer->wrong);
}

#define START(...)                                                                                 \
	static const struct step steps[] = {__VA_ARGS__};                                          \
	struct peer peer;                                                                          \
	struct vu_frontend *fe = peer_start(&peer, steps, ARRAY_SIZE(steps))
#define FINISH()                                                                                   \
	do {                                                                                       \
		peer_join(&peer);                                                                  \
		vu_frontend_free(fe);                                                              \
	} while (0)

/* The opening, with the protocol features that the back-end offers. */
#define OPENING(protocol, set)                                                                     \
	{VU_GET_FEATURES, V, 0, 0, R, 8, {OFFERED}},                                               \
		{VU_GET_PROTOCOL_FEATURES, V, 0, 0, R, 8, {(protocol)}},                           \
		{VU_SET_PROTOCOL_FEATURES, V, 8, 0}, {VU_SET_OWNER, (set), 0, 0},                  \
	{                                                                                          \
		VU_SET_FEATURES, (set), 8, 0                                                       \
	}
#define OPENING_ACK(protocol)                                                                      \
	{VU_GET_FEATURES, V, 0, 0, R, 8, {OFFERED}},                                               \
		{VU_GET_PROTOCOL_FEATURES, V, 0, 0, R, 8, {(protocol)}},                           \
		{VU_SET_PROTOCOL_FEATURES, V, 8, 0}, {VU_SET_OWNER, VN, 0, 0, ACK},                \
	{                                                                                          \
		VU_SET_FEATURES, VN, 8, 0, ACK                                                     \
	}
#define SLOTS (VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

/* ---- negotiation ---- */

static void test_negotiate(void **state)
{
	START(OPENING(VU_BIT(VU_PROTOCOL_F_MQ), V));

	assert_int_equal(vu_frontend_negotiate(
				 fe, VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(5), ALL_PROTOCOL),
		0);
	assert_int_equal(vu_frontend_features(fe),
		VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(vu_frontend_protocol_features(fe), VU_BIT(VU_PROTOCOL_F_MQ));
	FINISH();
}

static void test_negotiate_with_acks(void **state)
{
	START(OPENING_ACK(SLOTS));

	assert_int_equal(vu_frontend_negotiate(fe, 0, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_features(fe), VU_BIT(VU_F_PROTOCOL_FEATURES));
	FINISH();
}

static void test_negotiate_without_bit_30(void **state)
{
	START({VU_GET_FEATURES, V, 0, 0, R, 8, {OFFERED & ~VU_BIT(VU_F_PROTOCOL_FEATURES)}},
		{VU_SET_OWNER, V, 0, 0}, {VU_SET_FEATURES, V, 8, 0});

	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_protocol_features(fe), 0);
	FINISH();
}

/* ---- answers that are not right ---- */

static void test_bad_answers(void **state)
{
	static const struct {
		struct step step;
		int error;
	} rows[] = {
		{{VU_GET_FEATURES, V, 0, 0, R, 8, {7}}, 0},
		{{VU_GET_FEATURES, V, 0, 0, V, 8, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R | VU_FLAG_NEED_REPLY, 8, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R | 0x10, 8, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, VU_FLAG_REPLY, 8, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, VU_FLAG_REPLY | 2, 8, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 0, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 4, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 12, {7}}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 8, {7}, VU_GET_QUEUE_NUM}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 8, {7}, .reply_bytes = 5}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0, R, 8, {7}, .reply_bytes = 15}, -EPROTO},
		{{VU_GET_FEATURES, V, 0, 0}, -ECONNRESET},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 0;
		struct peer peer;
		struct vu_frontend *fe = peer_start(&peer, &rows[i].step, 1);
		int r = vu_frontend_get_u64(fe, VU_GET_FEATURES, &value);

		if (r != rows[i].error)
			fail_msg("row %zu: %d", i, r);
		if (r == 0)
			assert_int_equal(value, 7);
		FINISH();
	}
}

static void test_closed_while_sending(void **state)
{
	struct vu_frontend *fe;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_frontend_from_fd(pair[0], &fe), 0);
	close(pair[1]);
	assert_int_equal(vu_frontend_set_u64(fe, VU_SET_FEATURES, 0), -ECONNRESET);
	vu_frontend_free(fe);
}

static void test_silence(void **state)
{
	struct vu_header header;
	struct vu_frontend *fe;
	uint64_t value;
	size_t size;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_frontend_from_fd(pair[0], &fe), 0);
	vu_frontend_set_timeout(fe, 30);
	assert_int_equal(vu_frontend_get_u64(fe, VU_GET_FEATURES, &value), -ETIMEDOUT);
	/* Half of an answer, then the rest of it: it may still be waited for. */
	header = (struct vu_header){VU_GET_FEATURES, R, 8};
	value = 42;
	assert_int_equal(send(pair[1], &header, 7, 0), 7);
	assert_int_equal(vu_frontend_recv(fe, &header, &value, 8, &size, NULL), -ETIMEDOUT);
	header = (struct vu_header){VU_GET_FEATURES, R, 8};
	value = 42;
	assert_int_equal(send(pair[1], (char *)&header + 7, 5, 0), 5);
	assert_int_equal(send(pair[1], &value, 8, 0), 8);
	value = 0;
	assert_int_equal(vu_frontend_recv(fe, &header, &value, 8, &size, NULL), 0);
	assert_int_equal(value, 42);
	assert_int_equal(size, 8);
	/* A socket that nobody reads fills up. */
	for (;;) {
		int r = vu_frontend_set_u64(fe, VU_SET_FEATURES, 0);

		if (r < 0) {
			assert_int_equal(r, -ETIMEDOUT);
			break;
		}
	}
	close(pair[1]);
	vu_frontend_free(fe);
}

static void test_refused_request(void **state)
{
	START(OPENING_ACK(SLOTS), {VU_SET_FEATURES, VN, 8, 0, FAIL_},
		{VU_SET_FEATURES, VN, 8, 0, ACK},
		{VU_SET_FEATURES, VN, 8, 0, R | VU_FLAG_NEED_REPLY, 8, {0}});

	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_set_u64(fe, VU_SET_FEATURES, 1), -EREMOTEIO);
	assert_int_equal(vu_frontend_set_u64(fe, VU_SET_FEATURES, 1), 0);
	assert_int_equal(vu_frontend_set_u64(fe, VU_SET_FEATURES, 1), -EPROTO);
	FINISH();
}

/* ---- raw level ---- */

static void test_raw(void **state)
{
	static const uint8_t big[VU_PAYLOAD_MAX + 1];
	struct vu_header header = {99, 0x77, 3};
	struct vu_fds fds = {.n = 0};
	int pipes[2], pair[2];
	uint8_t bytes[15], in[8];
	struct vu_frontend *fe;
	struct peer peer = {0};
	size_t size;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_frontend_from_fd(pair[0], &fe), 0);
	assert_int_equal(vu_frontend_fd(fe), pair[0]);
	peer.fd = pair[1];

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), "abc", 3);
	assert_int_equal(vu_frontend_send_raw(fe, bytes, sizeof(bytes), pipes, 2), 0);
	assert_true(peer_receive(&peer));
	assert_memory_equal(&peer.last, &header, sizeof(header));
	assert_memory_equal(peer.payload, "abc", 3);
	assert_int_equal(peer.fds.n, 2);

	assert_int_equal(vu_frontend_send(fe, 7, VU_FLAG_REPLY, "xy", 2, pipes, 1), 0);
	assert_true(peer_receive(&peer));
	assert_int_equal(peer.last.flags, R);
	assert_int_equal(peer.fds.n, 1);
	assert_int_equal(vu_frontend_send(fe, 7, 0, big, sizeof(big), NULL, 0), -EMSGSIZE);
	assert_int_equal(vu_frontend_send(fe, 7, 0, big, sizeof(big) - 1, NULL, 0), 0);
	assert_true(peer_receive(&peer));
	assert_int_equal(peer.last.size, sizeof(big) - 1);

	/* What arrives: with fds that the caller gets, and without. */
	{
		struct vu_frontend *other;

		assert_int_equal(vu_frontend_from_fd(pair[1], &other), 0);
		assert_int_equal(vu_frontend_send_raw(other, bytes, sizeof(bytes), pipes, 2), 0);
		assert_int_equal(vu_frontend_send_raw(other, bytes, sizeof(bytes), pipes, 2), 0);
		assert_int_equal(vu_frontend_send_raw(other, bytes, sizeof(bytes), NULL, 0), 0);
		assert_int_equal(vu_frontend_recv(fe, &header, in, 8, &size, &fds), 0);
		assert_int_equal(header.request, 99);
		assert_int_equal(size, 3);
		assert_int_equal(fds.n, 2);
		fds_close(&fds);
		assert_int_equal(vu_frontend_recv(fe, &header, in, 8, &size, NULL), 0);
		assert_int_equal(vu_frontend_recv(fe, &header, in, 2, &size, NULL), -EMSGSIZE);
		vu_frontend_free(other);
	}
	assert_int_equal(vu_frontend_recv(fe, &header, in, 8, &size, &fds), -ECONNRESET);
	fds_close(&peer.fds);
	close(pipes[0]);
	close(pipes[1]);
	vu_frontend_free(fe);
	vu_frontend_free(NULL);
}

/* ---- memory ---- */

static void test_memory_by_slots(void **state)
{
	START(OPENING_ACK(SLOTS), {VU_ADD_MEM_REG, VN, 40, 1, ACK},
		{VU_ADD_MEM_REG, VN, 40, 1, FAIL_}, {VU_ADD_MEM_REG, VN, 40, 1, ACK},
		{VU_REM_MEM_REG, VN, 40, 0, FAIL_}, {VU_REM_MEM_REG, VN, 40, 0, ACK});
	const struct vu_mem_reg_msg *msg = (const void *)peer.payload;

	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_add_memory(fe, 0x10000, 0x4000), 0);
	assert_int_equal(vu_frontend_add_memory(fe, 0x13000, 0x4000), -EEXIST);
	assert_int_equal(vu_frontend_add_memory(fe, 0, 0), -EINVAL);
	assert_int_equal(vu_frontend_add_memory(fe, UINT64_MAX - 4095, 4097), -EINVAL);
	assert_int_equal(vu_frontend_add_memory(fe, 0x20000, 0x1000), -EREMOTEIO);
	assert_null(vu_frontend_host(fe, 0x20000, 1));
	assert_int_equal(vu_frontend_add_memory(fe, 0x14000, 0x1000), 1);

	assert_non_null(vu_frontend_host(fe, 0x10000, 0x4000));
	assert_null(vu_frontend_host(fe, 0x10000, 0x4001));
	assert_null(vu_frontend_host(fe, 0xffff, 1));
	assert_ptr_equal(vu_frontend_host(fe, 0x13fff, 1),
		(uint8_t *)vu_frontend_host(fe, 0x10000, 1) + 0x3fff);

	assert_int_equal(vu_frontend_remove_memory(fe, 5), -ENOENT);
	assert_int_equal(vu_frontend_remove_memory(fe, -1), -ENOENT);
	assert_int_equal(vu_frontend_remove_memory(fe, 1), -EREMOTEIO); /* then it stays */
	assert_non_null(vu_frontend_host(fe, 0x14000, 0x1000));
	assert_int_equal(vu_frontend_remove_memory(fe, 1), 0);
	assert_null(vu_frontend_host(fe, 0x14000, 1));
	peer_wait(&peer);
	assert_int_equal(msg->region.gpa, 0x14000);
	assert_int_equal(msg->region.size, 0x1000);
	FINISH();
}

static void test_memory_by_table(void **state)
{
	START(OPENING(VU_BIT(VU_PROTOCOL_F_MQ), V), {VU_SET_MEM_TABLE, V, 8 + 32, 1},
		{VU_SET_MEM_TABLE, V, 8 + 64, 2}, {VU_SET_MEM_TABLE, V, 8 + 96, 3},
		{VU_SET_MEM_TABLE, V, 8 + 128, 4}, {VU_SET_MEM_TABLE, V, 8 + 160, 5},
		{VU_SET_MEM_TABLE, V, 8 + 192, 6}, {VU_SET_MEM_TABLE, V, 8 + 224, 7},
		{VU_SET_MEM_TABLE, V, 8 + 256, 8}, {VU_SET_MEM_TABLE, V, 8 + 224, 7});
	const struct vu_mem_table *table = (const void *)peer.payload;

	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(vu_frontend_add_memory(fe, (uint64_t)i << 20, 0x1000), i);
	assert_int_equal(vu_frontend_add_memory(fe, 8 << 20, 0x1000), -ENOSPC);
	assert_int_equal(vu_frontend_remove_memory(fe, 2), 0);
	peer_wait(&peer);
	assert_int_equal(table->n_regions, 7);
	assert_int_equal(table->regions[2].gpa, 3 << 20);
	assert_int_equal(table->regions[2].user_addr, (uintptr_t)vu_frontend_host(fe, 3 << 20, 1));
	FINISH();
}

/* ---- rings ---- */

static void test_rings(void **state)
{
	START(OPENING_ACK(SLOTS), {VU_ADD_MEM_REG, VN, 40, 1, ACK},
		{VU_SET_VRING_NUM, VN, 8, 0, ACK}, {VU_SET_VRING_BASE, VN, 8, 0, ACK},
		{VU_SET_VRING_ADDR, VN, 40, 0, ACK}, {VU_SET_VRING_CALL, VN, 8, 1, ACK},
		{VU_SET_VRING_ERR, VN, 8, 1, ACK}, {VU_SET_VRING_KICK, VN, 8, 1, ACK},
		{VU_SET_VRING_ENABLE, VN, 8, 0, ACK},
		/* stop: the first answer names another ring, the second is right */
		{VU_SET_VRING_ENABLE, VN, 8, 0, ACK},
		{VU_GET_VRING_BASE, V, 8, 0, R, 8, {5 | UINT64_C(17) << 32}},
		{VU_SET_VRING_ENABLE, VN, 8, 0, ACK},
		{VU_GET_VRING_BASE, V, 8, 0, R, 8, {3 | UINT64_C(17) << 32}},
		{VU_SET_VRING_NUM, VN, 8, 0, ACK}, {VU_SET_VRING_BASE, VN, 8, 0, ACK},
		{VU_SET_VRING_ADDR, VN, 40, 0, ACK}, {VU_SET_VRING_CALL, VN, 8, 1, ACK},
		{VU_SET_VRING_ERR, VN, 8, 1, ACK}, {VU_SET_VRING_KICK, VN, 8, 1, ACK},
		{VU_SET_VRING_ENABLE, VN, 8, 0, ACK},
		/* a start that the back-end refuses */
		{VU_SET_VRING_NUM, VN, 8, 0, ACK}, {VU_SET_VRING_BASE, VN, 8, 0, FAIL_});
	struct vq_driver *driver = NULL;
	uint16_t base = 0;

	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_add_memory(fe, 0x10000, 0x10000), 0);
	assert_int_equal(vu_frontend_ring_start(fe, 3, 64, 0, &driver), -EFAULT);
	assert_int_equal(vu_frontend_ring_start(fe, 3, 64, 0x1fff0, &driver), -EFAULT);
	assert_int_equal(vu_frontend_ring_start(fe, 256, 64, 0x10000, &driver), -EINVAL);
	assert_int_equal(vu_frontend_ring_start(fe, 3, 63, 0x10000, &driver), -EINVAL);
	assert_int_equal(vu_frontend_ring_resume(fe, 3, 0), -ENOENT);
	assert_int_equal(vu_frontend_ring_start(fe, 3, 64, 0x10000, &driver), 0);
	assert_ptr_equal(driver->desc, vu_frontend_host(fe, 0x10000, 1));
	assert_int_equal(driver->features, vu_frontend_features(fe));
	assert_int_equal(vu_frontend_ring_stop(fe, 3, &base), -EPROTO);
	assert_int_equal(vu_frontend_ring_stop(fe, 3, &base), 0);
	assert_int_equal(base, 17);
	assert_int_equal(vu_frontend_ring_resume(fe, 3, base), 0);
	assert_int_equal(vu_frontend_ring_start(fe, 4, 64, 0x18000, &driver), -EREMOTEIO);
	FINISH();
}

/* ---- config space, channel ---- */

static void test_config(void **state)
{
	START(OPENING(VU_BIT(VU_PROTOCOL_F_CONFIG), V),
		{VU_GET_CONFIG, V, 20, 0, R, 20,
			{4 | UINT64_C(8) << 32, 0x6463626100000000, 0x68676665}},
		{VU_GET_CONFIG, V, 20, 0, R, 20, {0 | UINT64_C(8) << 32}},
		{VU_GET_CONFIG, V, 20, 0, R, 16, {4 | UINT64_C(8) << 32}},
		{VU_GET_CONFIG, V, 20, 0, R, 0});
	char data[8];

	assert_int_equal(vu_frontend_get_config(fe, 4, data, 8), -EOPNOTSUPP);
	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_get_config(fe, 4, data, VU_CONFIG_MAX + 1), -EMSGSIZE);
	assert_int_equal(vu_frontend_get_config(fe, 4, data, 8), 0);
	assert_memory_equal(data, "abcdefgh", 8);
	assert_int_equal(vu_frontend_get_config(fe, 4, data, 8), -EPROTO);
	assert_int_equal(vu_frontend_get_config(fe, 4, data, 8), -EPROTO);
	assert_int_equal(vu_frontend_get_config(fe, 4, data, 8), -EREMOTEIO);
	FINISH();
}

static void test_channel(void **state)
{
	START(OPENING(VU_BIT(VU_PROTOCOL_F_BACKEND_REQ), V), {VU_SET_BACKEND_REQ_FD, V, 0, 1});
	struct vu_header header = {9, VN, 4}, got;
	struct vu_fds fds;
	uint8_t payload[16];
	uint64_t value;
	size_t size;
	int fd, theirs;

	assert_int_equal(vu_frontend_open_channel(fe, &fd), -EOPNOTSUPP);
	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_open_channel(fe, &fd), 0);
	peer_wait(&peer);
	theirs = peer.fds.fd[0];
	assert_int_equal(send(theirs, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(send(theirs, "ping", 4, 0), 4);
	assert_int_equal(
		vu_frontend_channel_recv(fe, &got, payload, sizeof(payload), &size, &fds), 0);
	assert_int_equal(got.request, 9);
	assert_int_equal(size, 4);
	assert_memory_equal(payload, "ping", 4);
	assert_int_equal(fds.n, 0);
	assert_int_equal(vu_frontend_channel_reply(fe, &got, 77), 0);
	assert_true(read_full(theirs, &got, sizeof(got)));
	assert_int_equal(got.flags, R);
	assert_int_equal(got.request, 9);
	assert_true(read_full(theirs, &value, sizeof(value)));
	assert_int_equal(value, 77);
	fds_close(&peer.fds);
	assert_int_equal(vu_frontend_channel_recv(fe, &got, payload, sizeof(payload), &size, &fds),
		-ECONNRESET);
	FINISH();
}

static void test_shmem(void **state)
{
	START(OPENING(VU_BIT(VU_PROTOCOL_F_SHMEM), V),
		{VU_GET_SHMEM_CONFIG, V, 0, 0, R, 2056, {2, 4096, 8192}},
		{VU_GET_SHMEM_CONFIG, V, 0, 0, R, 2056, {0}},
		{VU_GET_SHMEM_CONFIG, V, 0, 0, R, 2056, {257}},
		{VU_GET_SHMEM_CONFIG, V, 0, 0, R, 16, {1, 4096}});
	uint64_t sizes[VU_SHMEM_REGIONS];

	assert_int_equal(vu_frontend_get_shmem(fe, sizes), -EOPNOTSUPP);
	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_get_shmem(fe, sizes), 2);
	assert_int_equal(sizes[0], 4096);
	assert_int_equal(sizes[1], 8192);
	assert_int_equal(sizes[2], 0);
	assert_int_equal(vu_frontend_get_shmem(fe, sizes), 0);
	assert_int_equal(vu_frontend_get_shmem(fe, sizes), -EPROTO);
	assert_int_equal(vu_frontend_get_shmem(fe, sizes), -EPROTO);
	FINISH();
}

/* Regions that are not ours: sent now, answered when somebody asks for the answer. */
static void test_send_region(void **state)
{
	START(OPENING_ACK(SLOTS), {VU_ADD_MEM_REG, VN, 40, 1, ACK},
		{VU_ADD_MEM_REG, VN, 40, 1, FAIL_}, {VU_REM_MEM_REG, V, 40, 0},
		{VU_REM_MEM_REG, VN, 40, 1, ACK});
	struct vu_mem_region region = {1 << 20, 8192, 0x1000, 4096};
	CLEANUP_FD int fd = guest_memfd(3 * 4096);
	struct vu_mem_reg_msg msg;

	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, fd, true),
		-EOPNOTSUPP);
	assert_int_equal(vu_frontend_negotiate(fe, OFFERED, ALL_PROTOCOL), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, fd, true), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, fd, true), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_REM_MEM_REG, &region, -1, false), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_REM_MEM_REG, &region, fd, true), 0);
	assert_int_equal(vu_frontend_take_ack(fe, VU_ADD_MEM_REG), 0);
	assert_int_equal(vu_frontend_take_ack(fe, VU_ADD_MEM_REG), -EREMOTEIO);
	assert_int_equal(vu_frontend_take_ack(fe, VU_ADD_MEM_REG), -EPROTO); /* it is REM's */
	assert_null(vu_frontend_host(fe, region.gpa, 1));
	peer_wait(&peer);
	memcpy(&msg, peer.payload, sizeof(msg));
	assert_int_equal(msg.padding, 0);
	assert_memory_equal(&msg.region, &region, sizeof(region));
	FINISH();
}

/* ---- both ways to meet ---- */

struct meeting {
	char path[64];
	struct vu_frontend *fe;
	int result;
};

static void *accept_run(void *arg)
{
	struct meeting *m = arg;

	m->result = vu_frontend_accept(m->path, 5000, &m->fe);
	return NULL;
}

static void test_connect_and_accept(void **state)
{
	struct meeting server = {.result = 1};
	struct vu_frontend *client = NULL;
	struct vu_header header;
	pthread_t thread;
	struct stat st;
	uint64_t value;
	size_t size;

	(void)snprintf(server.path, sizeof(server.path), "/tmp/test-frontend-%d.sock", getpid());
	assert_int_equal(vu_frontend_connect(server.path, 30, &client), -ENOENT);
	assert_int_equal(vu_frontend_accept(server.path, 30, &client), -ETIMEDOUT);
	assert_int_not_equal(stat(server.path, &st), 0);

	assert_int_equal(pthread_create(&thread, NULL, accept_run, &server), 0);
	assert_int_equal(vu_frontend_connect(server.path, 5000, &client), 0); /* retries */
	pthread_join(thread, NULL);
	assert_int_equal(server.result, 0);
	assert_int_not_equal(stat(server.path, &st), 0);
	value = 5;
	assert_int_equal(vu_frontend_send(client, 2, 0, &value, 8, NULL, 0), 0);
	assert_int_equal(vu_frontend_recv(server.fe, &header, &value, 8, &size, NULL), 0);
	assert_int_equal(header.request, 2);
	vu_frontend_free(client);
	assert_int_equal(vu_frontend_recv(server.fe, &header, &value, 8, &size, NULL), -ECONNRESET);
	vu_frontend_free(server.fe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiate),
		cmocka_unit_test(test_negotiate_with_acks),
		cmocka_unit_test(test_negotiate_without_bit_30),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_closed_while_sending),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_refused_request),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_memory_by_slots),
		cmocka_unit_test(test_memory_by_table),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_channel),
		cmocka_unit_test(test_shmem),
		cmocka_unit_test(test_send_region),
		cmocka_unit_test(test_connect_and_accept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
