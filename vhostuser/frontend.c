/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's end of a vhost-user connection: socket, messages, negotiation.
 *
 * The socket is non-blocking; every call waits by poll up to one deadline for all that it sends
 * and receives. A call sends one message and, where an answer is due, takes exactly that answer off
 * the socket, so between calls nothing is left unread unless the back-end broke the protocol. After
 * a timeout the late answer is still to come: take it with vu_frontend_recv(), or only free it.
 *
 * Memory is in frontend_memory.c, rings in frontend_rings.c.
 */
#include "vhostuser/frontend.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhostuser/clock.h"
#include "vhostuser/frontend_impl.h"

#define TIMEOUT_DEFAULT_MS 5000
#define CONNECT_RETRY_MS   10

/* ---- waiting ---- */

static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int64_t left;
	int n;

	do {
		left = deadline - vu_now_ms();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* ---- messages ---- */

static int send_bytes(
	int fd, const uint8_t *data, size_t size, const int *fds, size_t n_fds, int64_t deadline)
{
	while (size) {
		ssize_t n = vu_socket_send(fd, data, size, fds, n_fds);

		if (n == -EAGAIN) {
			n = wait_for(fd, POLLOUT, deadline);
			if (n == 0)
				continue;
		}
		if (n < 0)
			return (int)n;
		data += n;
		size -= (size_t)n;
		n_fds = 0; /* they go with the first byte */
	}
	return 0;
}

static int send_message(int fd, uint32_t code, uint32_t flags, const void *payload, uint32_t size,
	const int *fds, size_t n_fds, int64_t deadline)
{
	struct vu_header header = {.request = code, .flags = flags | VU_VERSION, .size = size};
	uint8_t data[sizeof(header) + VU_PAYLOAD_MAX];

	if (size > VU_PAYLOAD_MAX)
		return -EMSGSIZE;
	memcpy(data, &header, sizeof(header));
	if (size)
		memcpy(data + sizeof(header), payload, size);
	return send_bytes(fd, data, sizeof(header) + size, fds, n_fds, deadline);
}

/* A message that did not come whole in time may be waited for again: `in` has what came. */
static int recv_message(int fd, struct vu_receiver *in, struct vu_header *header, void *payload,
	size_t max, size_t *size, struct vu_fds *fds, int64_t deadline)
{
	int r;

	*size = 0;
	if (fds)
		fds->n = 0;
	for (;;) {
		r = vu_receive_header(fd, in);
		if (r == 0)
			r = vu_receive_payload(fd, in);
		if (r == -EAGAIN)
			r = wait_for(fd, POLLIN, deadline);
		else
			break;
		if (r < 0)
			return r;
	}
	if (r == 0) {
		*header = in->header;
		*size = in->header.size;
		r = *size > max ? -EMSGSIZE : 0;
	}
	if (r == 0 && *size)
		memcpy(payload, in->payload, *size);
	if (r == 0 && fds) {
		*fds = in->fds;
		in->fds.n = 0;
	}
	vu_receiver_reset(in);
	return r;
}

/* ---- connection ---- */

int vu_frontend_from_fd(int fd, struct vu_frontend **out)
{
	struct vu_frontend *fe;
	int r;

	r = fd_nonblock(fd);
	fe = r < 0 ? NULL : calloc(1, sizeof(*fe));
	if (!fe) {
		fd_close(&fd);
		return r < 0 ? r : -ENOMEM;
	}
	fe->fd = fd;
	fe->channel = -1;
	fe->timeout_ms = TIMEOUT_DEFAULT_MS;
	*out = fe;
	return 0;
}

int vu_frontend_connect(const char *path, int timeout_ms, struct vu_frontend **fe)
{
	int64_t deadline = vu_now_ms() + timeout_ms;
	int fd, r;

	for (;;) {
		r = vu_socket_connect(path, &fd);
		if (r == 0)
			return vu_frontend_from_fd(fd, fe);
		if ((r != -ENOENT && r != -ECONNREFUSED && r != -EAGAIN) || vu_now_ms() >= deadline)
			return r;
		(void)poll(NULL, 0, CONNECT_RETRY_MS);
	}
}

int vu_frontend_accept(const char *path, int timeout_ms, struct vu_frontend **fe)
{
	int64_t deadline = vu_now_ms() + timeout_ms;
	CLEANUP_FD int listener = -1;
	int fd = -1, r;

	r = vu_socket_listen(path, "socket", &listener);
	if (r < 0)
		return r;
	do {
		r = wait_for(listener, POLLIN, deadline);
		if (r == 0)
			r = vu_socket_accept(listener, &fd);
	} while (r == -EAGAIN);
	unlink(path);
	return r < 0 ? r : vu_frontend_from_fd(fd, fe);
}

void vu_frontend_free(struct vu_frontend *fe)
{
	if (!fe)
		return;
	fd_close(&fe->fd);
	fd_close(&fe->channel);
	vu_receiver_reset(&fe->in);
	vu_receiver_reset(&fe->channel_in);
	fe_rings_fini(fe);
	fe_memory_fini(fe);
	free(fe);
}

void vu_frontend_set_timeout(struct vu_frontend *fe, int timeout_ms)
{
	fe->timeout_ms = timeout_ms;
}

int vu_frontend_fd(const struct vu_frontend *fe)
{
	return fe->fd;
}

/* ---- raw level ---- */

int vu_frontend_send(struct vu_frontend *fe, uint32_t code, uint32_t flags, const void *payload,
	uint32_t size, const int *fds, size_t n_fds)
{
	return send_message(
		fe->fd, code, flags, payload, size, fds, n_fds, vu_now_ms() + fe->timeout_ms);
}

int vu_frontend_send_raw(
	struct vu_frontend *fe, const void *data, size_t size, const int *fds, size_t n_fds)
{
	return send_bytes(fe->fd, data, size, fds, n_fds, vu_now_ms() + fe->timeout_ms);
}

int vu_frontend_recv(struct vu_frontend *fe, struct vu_header *header, void *payload, size_t max,
	size_t *size, struct vu_fds *fds)
{
	return recv_message(
		fe->fd, &fe->in, header, payload, max, size, fds, vu_now_ms() + fe->timeout_ms);
}

/* ---- message level ---- */

/* Takes the answer to `code`: flags exactly 0x5, as front-ends in the field demand. */
static int take_answer(
	struct vu_frontend *fe, uint32_t code, void *reply, size_t reply_size, int64_t deadline)
{
	struct vu_header header;
	size_t size;
	int r;

	r = recv_message(fe->fd, &fe->in, &header, reply, reply_size, &size, NULL, deadline);
	if (r == -EMSGSIZE)
		return -EPROTO;
	if (r < 0)
		return r;
	if (header.request != code || header.flags != (VU_VERSION | VU_FLAG_REPLY) ||
		size != reply_size)
		return -EPROTO;
	return 0;
}

static int take_ack(struct vu_frontend *fe, uint32_t code, int64_t deadline)
{
	uint64_t error;
	int r;

	r = take_answer(fe, code, &error, sizeof(error), deadline);
	if (r < 0)
		return r;
	return error ? -EREMOTEIO : 0;
}

int fe_call(struct vu_frontend *fe, uint32_t code, const void *payload, uint32_t size, void *reply,
	size_t reply_size)
{
	int64_t deadline = vu_now_ms() + fe->timeout_ms;
	int r;

	r = send_message(fe->fd, code, 0, payload, size, NULL, 0, deadline);
	return r < 0 ? r : take_answer(fe, code, reply, reply_size, deadline);
}

int vu_frontend_get_u64(struct vu_frontend *fe, uint32_t code, uint64_t *value)
{
	return fe_call(fe, code, NULL, 0, value, sizeof(*value));
}

int vu_frontend_set_u64(struct vu_frontend *fe, uint32_t code, uint64_t value)
{
	return vu_frontend_request(fe, code, &value, sizeof(value), NULL, 0);
}

int vu_frontend_request(struct vu_frontend *fe, uint32_t code, const void *payload, uint32_t size,
	const int *fds, size_t n_fds)
{
	bool ack = fe_negotiated(fe, VU_PROTOCOL_F_REPLY_ACK);
	int64_t deadline = vu_now_ms() + fe->timeout_ms;
	int r;

	r = send_message(
		fe->fd, code, ack ? VU_FLAG_NEED_REPLY : 0, payload, size, fds, n_fds, deadline);
	if (r < 0 || !ack)
		return r;
	return take_ack(fe, code, deadline);
}

int vu_frontend_take_ack(struct vu_frontend *fe, uint32_t code)
{
	return take_ack(fe, code, vu_now_ms() + fe->timeout_ms);
}

/* ---- negotiation, config space ---- */

static int negotiate_protocol(struct vu_frontend *fe, uint64_t wanted)
{
	uint64_t offered;
	int r;

	r = vu_frontend_get_u64(fe, VU_GET_PROTOCOL_FEATURES, &offered);
	if (r < 0)
		return r;
	r = vu_frontend_set_u64(fe, VU_SET_PROTOCOL_FEATURES, offered & wanted);
	if (r == 0)
		fe->protocol_features = offered & wanted;
	return r;
}

int vu_frontend_negotiate(struct vu_frontend *fe, uint64_t features, uint64_t protocol_features)
{
	uint64_t offered;
	int r;

	if (protocol_features)
		features |= VU_BIT(VU_F_PROTOCOL_FEATURES);
	r = vu_frontend_get_u64(fe, VU_GET_FEATURES, &offered);
	if (r < 0)
		return r;
	features &= offered;
	if (features & VU_BIT(VU_F_PROTOCOL_FEATURES))
		r = negotiate_protocol(fe, protocol_features);
	if (r == 0)
		r = vu_frontend_request(fe, VU_SET_OWNER, NULL, 0, NULL, 0);
	if (r == 0)
		r = vu_frontend_set_u64(fe, VU_SET_FEATURES, features);
	if (r == 0)
		fe->features = features;
	return r;
}

uint64_t vu_frontend_features(const struct vu_frontend *fe)
{
	return fe->features;
}

uint64_t vu_frontend_protocol_features(const struct vu_frontend *fe)
{
	return fe->protocol_features;
}

int vu_frontend_get_config(struct vu_frontend *fe, uint32_t offset, void *data, uint32_t size)
{
	struct vu_config_msg request = {.offset = offset, .size = size}, reply;
	uint32_t whole = (uint32_t)offsetof(struct vu_config_msg, data) + size;
	int64_t deadline = vu_now_ms() + fe->timeout_ms;
	struct vu_header header;
	size_t got;
	int r;

	if (!fe_negotiated(fe, VU_PROTOCOL_F_CONFIG))
		return -EOPNOTSUPP;
	if (size > VU_CONFIG_MAX)
		return -EMSGSIZE;
	r = send_message(fe->fd, VU_GET_CONFIG, 0, &request, whole, NULL, 0, deadline);
	if (r == 0)
		r = recv_message(
			fe->fd, &fe->in, &header, &reply, sizeof(reply), &got, NULL, deadline);
	if (r < 0)
		return r == -EMSGSIZE ? -EPROTO : r;
	if (header.request != VU_GET_CONFIG || header.flags != (VU_VERSION | VU_FLAG_REPLY))
		return -EPROTO;
	/* No payload says: there is nothing there. */
	if (got == 0)
		return -EREMOTEIO;
	if (got != whole || reply.offset != offset || reply.size != size)
		return -EPROTO;
	memcpy(data, reply.data, size);
	return 0;
}

/* ---- shared memory, back-end request channel ---- */

int vu_frontend_get_shmem(struct vu_frontend *fe, uint64_t sizes[VU_SHMEM_REGIONS])
{
	struct vu_shmem_config config;
	int r;

	if (!fe_negotiated(fe, VU_PROTOCOL_F_SHMEM))
		return -EOPNOTSUPP;
	r = fe_call(fe, VU_GET_SHMEM_CONFIG, NULL, 0, &config, sizeof(config));
	if (r < 0)
		return r;
	if (config.n_regions > VU_SHMEM_REGIONS)
		return -EPROTO;
	memcpy(sizes, config.sizes, sizeof(config.sizes));
	return (int)config.n_regions;
}

int vu_frontend_open_channel(struct vu_frontend *fe, int *fd)
{
	int pair[2], r;

	if (!fe_negotiated(fe, VU_PROTOCOL_F_BACKEND_REQ))
		return -EOPNOTSUPP;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = vu_frontend_request(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	fd_close(&pair[1]);
	if (r < 0) {
		fd_close(&pair[0]);
		return r;
	}
	vu_receiver_reset(&fe->channel_in); /* a part of the former one's */
	fd_move(&fe->channel, &pair[0]);
	*fd = fe->channel;
	return 0;
}

int vu_frontend_channel_recv(struct vu_frontend *fe, struct vu_header *header, void *payload,
	size_t max, size_t *size, struct vu_fds *fds)
{
	return recv_message(fe->channel, &fe->channel_in, header, payload, max, size, fds,
		vu_now_ms() + fe->timeout_ms);
}

int vu_frontend_channel_reply(
	struct vu_frontend *fe, const struct vu_header *request, uint64_t value)
{
	return send_message(fe->channel, request->request, VU_FLAG_REPLY, &value, sizeof(value),
		NULL, 0, vu_now_ms() + fe->timeout_ms);
}
