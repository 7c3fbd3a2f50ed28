/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end request channel.
 *
 * Theory of operation: a queue of requests that wait for their answers, in the order in which they
 * were sent, and at most one message that is not out yet. A message is handed to the socket whole;
 * what the socket does not take stays here (with a duplicate of its fd when not even its first byte
 * went, since the fd travels with that one) and goes out with the next vu_channel_receive(). Until
 * it is out nothing else is sent, so that messages cannot mix, and memory stays at one message.
 *
 * Answers carry no number: each belongs to the oldest request, and is refused unless it looks
 * exactly like that one's. After such a thing, as after an error of the socket, no later answer
 * could be told from another's, so the first error stays.
 */
#include "vhostuser/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vhostuser/fd.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

#define REQUEST_FLAGS (VU_VERSION | VU_FLAG_NEED_REPLY)
#define ANSWER_FLAGS  (VU_VERSION | VU_FLAG_REPLY)

struct request {
	uint32_t code;
	uint64_t cookie;
};

struct vu_channel {
	int fd;
	int error;       /* the first; then nothing is tried again */
	const char *why; /* of an -EPROTO */

	/* A ring of requests without an answer: the oldest is `first`. */
	struct request requests[VU_CHANNEL_MAX];
	size_t first, n;

	/* The message of the youngest request, while it is not out: out_sent < out_size. */
	uint8_t out[sizeof(struct vu_header) + VU_PAYLOAD_MAX];
	size_t out_size, out_sent;
	int out_fd;   /* to go with its first byte, or -1 */
	bool starved; /* a send was refused for want of an fd: whoever sent it waits for room */

	struct vu_receiver in;
};

static int fail(struct vu_channel *channel, int err, const char *why)
{
	channel->error = err;
	channel->why = why;
	fd_close(&channel->out_fd);
	channel->out_size = channel->out_sent = 0;
	vu_receiver_reset(&channel->in);
	return err;
}

static bool may_be_channel(int fd, int *err)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(domain);

	*err = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		*err = -errno;
	else if (domain != AF_UNIX || type != SOCK_STREAM)
		*err = -EPROTOTYPE;
	return *err == 0;
}

int vu_channel_new(int fd, struct vu_channel **channel)
{
	CLEANUP_FD int owned = fd;
	struct vu_channel *c;
	int ret;

	if (!may_be_channel(owned, &ret))
		return ret;
	ret = fd_nonblock(owned);
	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = fd_steal(&owned);
	c->out_fd = -1;
	*channel = c;
	return 0;
}

void vu_channel_free(struct vu_channel *channel)
{
	if (!channel)
		return;
	vu_receiver_reset(&channel->in);
	fd_close(&channel->out_fd);
	fd_close(&channel->fd);
	free(channel);
}

int vu_channel_fd(const struct vu_channel *channel)
{
	return channel->fd;
}

static bool sending(const struct vu_channel *channel)
{
	return channel->out_sent < channel->out_size;
}

short vu_channel_events(const struct vu_channel *channel)
{
	return sending(channel) || channel->starved ? POLLIN | POLLOUT : POLLIN;
}

size_t vu_channel_unanswered(const struct vu_channel *channel)
{
	return channel->n;
}

/* Sends what the socket takes of a message whose fd is `fd`: 0, -EAGAIN, else its errno. */
static int flush(struct vu_channel *channel, int fd)
{
	while (sending(channel)) {
		size_t n_fds = channel->out_sent == 0 && fd >= 0 ? 1 : 0;
		ssize_t n = vu_socket_send(channel->fd, channel->out + channel->out_sent,
			channel->out_size - channel->out_sent, &fd, n_fds);

		if (n < 0)
			return (int)n;
		channel->out_sent += (size_t)n;
		fd_close(&channel->out_fd); /* the front-end has it, or there was none */
	}
	channel->out_size = channel->out_sent = 0;
	return 0;
}

/* The message has to wait, and the caller keeps its fd: -EAGAIN when there can be no other. */
static int keep_fd(struct vu_channel *channel, int fd)
{
	if (channel->out_sent > 0 || fd < 0)
		return 0;
	channel->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (channel->out_fd >= 0)
		return 0;
	channel->out_size = 0;
	channel->starved = true;
	return -EAGAIN;
}

int vu_channel_send(struct vu_channel *channel, uint32_t code, const void *payload, size_t size,
	int fd, uint64_t cookie)
{
	struct vu_header header = {.request = code, .flags = REQUEST_FLAGS};
	int ret;

	if (channel->error)
		return channel->error;
	if (size > VU_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (channel->n == VU_CHANNEL_MAX || sending(channel))
		return -EAGAIN;

	header.size = (uint32_t)size;
	memcpy(channel->out, &header, sizeof(header));
	if (size)
		memcpy(channel->out + sizeof(header), payload, size);
	channel->out_size = sizeof(header) + size;
	ret = flush(channel, fd);
	if (ret == -EAGAIN)
		ret = keep_fd(channel, fd);
	else if (ret < 0)
		return fail(channel, ret, NULL);
	if (ret < 0)
		return ret;
	channel->requests[(channel->first + channel->n++) % VU_CHANNEL_MAX] =
		(struct request){.code = code, .cookie = cookie};
	return 0;
}

/* Why this header starts no answer to the oldest request; NULL when it does. */
static const char *bad_answer(const struct vu_channel *channel)
{
	const struct vu_header *header = &channel->in.header;

	if (channel->n == 0)
		return "an answer came that nobody waits for";
	if (channel->n == 1 && sending(channel))
		return "an answer came before its request was out";
	if (header->request != channel->requests[channel->first].code)
		return "the answer is to another request";
	if (header->flags != ANSWER_FLAGS)
		return "the answer's flags are not those of an answer";
	if (header->size != sizeof(uint64_t))
		return "the answer's payload is not of 8 bytes";
	if (channel->in.fds.n > 0)
		return "an answer came with an fd";
	return NULL;
}

/* One answer: 1, -EAGAIN when it is not there or not whole, else the error. */
static int take_answer(struct vu_channel *channel, uint64_t *cookie, uint64_t *value)
{
	const char *why;
	int ret;

	ret = vu_receive_header(channel->fd, &channel->in);
	if (ret < 0)
		return ret;
	/* Judged before its payload comes, and again for fds that came with that. */
	why = bad_answer(channel);
	if (!why) {
		ret = vu_receive_payload(channel->fd, &channel->in);
		if (ret < 0)
			return ret;
		why = bad_answer(channel);
	}
	if (why) {
		channel->in.why = why;
		return -EPROTO;
	}
	memcpy(value, channel->in.payload, sizeof(*value));
	*cookie = channel->requests[channel->first].cookie;
	channel->first = (channel->first + 1) % VU_CHANNEL_MAX;
	channel->n--;
	vu_receiver_reset(&channel->in);
	return 1;
}

int vu_channel_receive(
	struct vu_channel *channel, uint64_t *cookie, uint64_t *value, const char **why)
{
	int sent, ret = channel->error;

	if (!ret) {
		channel->starved = false;
		sent = flush(channel, channel->out_fd);
		ret = take_answer(channel, cookie, value);
		if (ret == -EAGAIN)
			ret = sent == -EAGAIN ? 0 : sent;
		/* A front-end that left may have answered before: those come first. */
		if (ret < 0)
			fail(channel, ret, ret == -EPROTO ? channel->in.why : NULL);
	}
	*why = channel->why;
	return ret;
}
