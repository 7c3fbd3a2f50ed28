/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end's end of a vhost-user connection.
 *
 * Theory of operation: one message at a time. It is read as far as the socket gives it, passes the
 * gate (its row of the request table says all that there is to check), is handled, and answered if
 * it is to be. Then the next is read, unless
 *   - the answer did not fit into the socket: nothing is read until it went out, so a front-end
 *     that sends and never reads costs one answer of memory;
 *   - a ring has still to come to rest (state STOPPING): GET_VRING_BASE and the resets are answered
 *     by vu_backend_ring_stopped(), and until then no other message may overtake them.
 *
 * The header is judged as soon as it is there, before its payload: no bad size is ever waited for.
 * Every fd that no handler took is closed when its message is done, whatever became of it.
 *
 * What ends the connection: a message that breaks the protocol; a request that cannot be met when
 * the front-end did not ask to be told (it would go on in a wrong belief); the socket's end. What
 * a guest can bring about by itself never does: it costs the guest its ring.
 */
#include "vhostuser/backend.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/backend_private.h"
#include "vhostuser/log.h"

/* Messages of one vu_backend_on_ready(): the loop has other customers. */
#define BUDGET 64

/* Answers carry these flags and no others: front-ends compare for equality. */
#define ANSWER_FLAGS (VU_VERSION | VU_FLAG_REPLY)

/* Protocol features whose messages are in the table, or that are only a way to answer. */
#define SUPPORTED                                                                                  \
	(VU_NEED_MQ | VU_NEED_CONFIG | VU_NEED_RESET | VU_NEED_SLOTS | VU_NEED_BACKEND |           \
		VU_NEED_SHMEM | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |                                  \
		VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD))

/* ---- state ---- */

int vu_fault(struct vu_backend *backend, int verdict, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(backend->why, sizeof(backend->why), format, args);
	va_end(args);
	return verdict;
}

void vu_conn_move(struct vu_backend *backend, enum vu_conn_state to)
{
	assert(vu_state_may_move(vu_conn_states, backend->state, to));
	log_debug("front-end", "%s -> %s", vu_conn_states[backend->state].name,
		vu_conn_states[to].name);
	backend->state = to;
}

/* What must hold between two messages. */
static bool __attribute__((unused)) valid(const struct vu_backend *backend)
{
	unsigned int n_stopping = 0, n_started = 0;

	if (backend->state == VU_CONN_DEAD)
		return backend->error < 0;
	for (size_t i = 0; i < backend->n_rings; i++) {
		const struct vu_ring *ring = &backend->rings[i];

		if (!vu_ring_valid(backend, ring))
			return false;
		n_stopping += ring->state == VU_RING_STOPPING;
		n_started += vu_ring_started(ring);
	}
	if (n_stopping != backend->n_stopping)
		return false;
	if ((backend->state == VU_CONN_STOPPING) != (n_stopping > 0))
		return false;
	if (n_started > 0 && backend->state != VU_CONN_READY && backend->state != VU_CONN_STOPPING)
		return false;
	return (backend->features & ~backend->config.features) == 0 &&
		(backend->protocol_features & ~backend->config.protocol_features) == 0;
}

static int die(struct vu_backend *backend, int err)
{
	backend->error = err;
	vu_receiver_reset(&backend->in);
	vu_conn_move(backend, VU_CONN_DEAD);
	return err;
}

/* The one log line about a message; `why` is empty when its cause was logged where it arose. */
static void complain(
	struct vu_backend *backend, enum log_level level, const struct vu_header *header)
{
	const char *name = vu_request_name(header->request);
	char number[32];

	if (!name) {
		snprintf(number, sizeof(number), "request %u", header->request);
		name = number;
	}
	if (backend->why[0])
		log_at(level, "front-end", "%s: %s", name, backend->why);
	backend->why[0] = '\0';
}

/* ---- output ---- */

/* Sends what is pending: 0 when all of it went, -EAGAIN when not, else the socket's errno. */
static int flush(struct vu_backend *backend)
{
	while (backend->out_sent < backend->out_size) {
		ssize_t n = vu_socket_send(backend->fd, backend->out + backend->out_sent,
			backend->out_size - backend->out_sent, NULL, 0);

		if (n < 0)
			return (int)n;
		backend->out_sent += (size_t)n;
	}
	backend->out_size = 0;
	backend->out_sent = 0;
	return 0;
}

static void queue_answer(struct vu_backend *backend, uint32_t code, const void *data, size_t size)
{
	struct vu_header header = {
		.request = code,
		.flags = ANSWER_FLAGS,
		.size = (uint32_t)size,
	};

	assert(backend->out_size == 0);
	memcpy(backend->out, &header, sizeof(header));
	memcpy(backend->out + sizeof(header), data, size);
	backend->out_size = sizeof(header) + size;
}

static void queue_ack(struct vu_backend *backend, const struct vu_message *message, uint64_t value)
{
	if (message->need_reply)
		queue_answer(backend, message->request->code, &value, sizeof(value));
}

/* ---- the gate ---- */

static int gate_flags(struct vu_backend *backend, uint32_t flags)
{
	if ((flags & VU_FLAG_VERSION) != VU_VERSION)
		return vu_fault(backend, -EPROTO, "version %u of the protocol, not %u",
			flags & VU_FLAG_VERSION, VU_VERSION);
	if (flags & VU_FLAG_REPLY)
		return vu_fault(backend, -EPROTO, "is marked as a reply");
	if (flags & ~(VU_FLAG_VERSION | VU_FLAG_NEED_REPLY))
		return vu_fault(backend, -EPROTO, "reserved flags set: 0x%x", flags);
	return 0;
}

static int gate_size(struct vu_backend *backend, const struct vu_request *request, uint32_t size)
{
	if (size >= request->size_min && size <= request->size_max)
		return 0;
	if (request->size_min == request->size_max)
		return vu_fault(backend, -EPROTO, "payload of %u bytes, not %u", size,
			request->size_min);
	return vu_fault(backend, -EPROTO, "payload of %u bytes, not %u to %u", size,
		request->size_min, request->size_max);
}

static int gate_needs(struct vu_backend *backend, const struct vu_request *request)
{
	uint64_t have = backend->protocol_features;

	if (backend->config.features & VU_BIT(VU_F_PROTOCOL_FEATURES))
		have |= VU_NEED_OFFERED;
	if (backend->features & VU_BIT(VU_F_PROTOCOL_FEATURES))
		have |= VU_NEED_ACKED;
	if (request->needs & ~have)
		return vu_fault(backend, -EPROTO, "the feature that it needs was not negotiated");
	return 0;
}

/* All that a header alone can break; *request gets its row. */
static int gate_header(struct vu_backend *backend, const struct vu_request **request)
{
	const struct vu_header *header = &backend->in.header;
	int ret;

	*request = vu_request_find(header->request);
	if (!*request)
		return vu_fault(backend, -EPROTO, "not supported, and not offered");
	ret = gate_flags(backend, header->flags);
	if (ret == 0)
		ret = gate_size(backend, *request, header->size);
	if (ret == 0)
		ret = gate_needs(backend, *request);
	if (ret == 0 && !((*request)->states & VU_STATE_BIT(backend->state)))
		ret = vu_fault(backend, -EPROTO, "too early: the connection is %s",
			vu_conn_states[backend->state].name);
	return ret;
}

static int gate_fds(struct vu_backend *backend, const struct vu_request *request)
{
	size_t n = backend->in.fds.n;

	if (n >= request->fds_min && n <= request->fds_max)
		return 0;
	if (n == 0 && request->payload == VU_PAYLOAD_MEM_REG)
		return vu_fault(backend, -EPROTO, "%s", VU_NOT_SHARED);
	return vu_fault(backend, -EPROTO, "%zu fds came, %u to %u belong to it", n,
		request->fds_min, request->fds_max);
}

/* The ring that the payload names: known, and in a state in which the message is legal. */
static int gate_ring(struct vu_backend *backend, struct vu_message *message)
{
	uint32_t index;

	if (!message->request->rings)
		return 0;
	index = vu_payload_ring(message->request, message->payload);
	if (index >= backend->n_rings)
		return vu_fault(backend, -EPROTO, "no ring %u, there are %zu", index,
			backend->n_rings);
	message->ring = &backend->rings[index];
	if (!(message->request->rings & VU_STATE_BIT(message->ring->state)))
		return vu_fault(backend, -EPROTO, "ring %u is %s", index,
			vu_ring_states[message->ring->state].name);
	return 0;
}

/* The rest, when all of the message is there. */
static int gate_message(struct vu_backend *backend, struct vu_message *message)
{
	const char *why;
	int ret;

	ret = gate_fds(backend, message->request);
	if (ret < 0)
		return ret;
	why = vu_payload_check(
		message->request, message->payload, message->size, message->fds->n);
	if (why)
		return vu_fault(backend, -EPROTO, "%s", why);
	return gate_ring(backend, message);
}

/* ---- dispatch ---- */

/* NEED_REPLY counts when REPLY_ACK is negotiated; SET_PROTOCOL_FEATURES may just have done it. */
bool vu_reply_asked(const struct vu_backend *backend)
{
	return (backend->in.header.flags & VU_FLAG_NEED_REPLY) &&
	       (backend->protocol_features & VU_BIT(VU_PROTOCOL_F_REPLY_ACK));
}

/*
 * What the connection ends with when a request was not met and nobody asked to be told: what we are
 * short of may be there for the next one; all else was the front-end's to avoid.
 */
static int unmet(int verdict)
{
	switch (verdict) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EAGAIN: /* threads */
		return verdict;
	default:
		return -EPROTO;
	}
}

/* Acts on a verdict: an answer, or the connection's end. */
static int conclude(struct vu_backend *backend, struct vu_message *message, int verdict)
{
	const struct vu_header *header = &backend->in.header;

	message->need_reply = vu_reply_asked(backend);
	switch (verdict) {
	case VU_DONE:
		if (message->request->own_reply)
			queue_answer(backend, header->request, backend->answer,
				backend->answer_size);
		else
			queue_ack(backend, message, 0);
		return 0;
	case VU_LATER:
		backend->waiting = *message;
		vu_conn_move(backend, VU_CONN_STOPPING);
		return 0;
	case VU_FAILED:
		if (backend->why[0])
			log_guest("front-end", "%s: %s", message->request->name, backend->why);
		backend->why[0] = '\0';
		queue_ack(backend, message, 1);
		return 0;
	default:
		break;
	}
	if (verdict == -EPROTO || !message->need_reply || message->request->own_reply) {
		complain(backend, LOG_LEVEL_ERROR, header);
		return die(backend, unmet(verdict));
	}
	complain(backend, LOG_LEVEL_WARN, header);
	queue_ack(backend, message, 1);
	return 0;
}

/* The whole message is in backend->in. */
static int dispatch(struct vu_backend *backend, const struct vu_request *request)
{
	struct vu_message message = {
		.request = request,
		.payload = backend->in.payload,
		.size = backend->in.header.size,
		.fds = &backend->in.fds,
	};
	int verdict;

	log_debug("front-end", "%s, %u bytes, %zu fds", request->name, message.size,
		message.fds->n);
	verdict = gate_message(backend, &message);
	if (verdict == 0)
		verdict = vu_handler_find(request->code)(backend, &message);
	return conclude(backend, &message, verdict);
}

/* The receiver's error: named by the message if its header is there. */
static int receive_failed(struct vu_backend *backend, int err)
{
	if (err == -EAGAIN)
		return err;
	if (err == -EPROTO) {
		vu_fault(backend, err, "%s", backend->in.why);
		if (backend->in.got >= sizeof(struct vu_header))
			complain(backend, LOG_LEVEL_ERROR, &backend->in.header);
		else
			log_error("front-end", "header: %s", backend->in.why);
	} else if (err != -ECONNRESET) {
		log_error("front-end", "socket: %s", strerror(-err));
	}
	return die(backend, err);
}

/* Receives and handles one message; -EAGAIN when there is none. */
static int serve_one(struct vu_backend *backend)
{
	const struct vu_request *request;
	int ret;

	ret = vu_receive_header(backend->fd, &backend->in);
	if (ret < 0)
		return receive_failed(backend, ret);
	ret = gate_header(backend, &request);
	if (ret < 0) {
		complain(backend, LOG_LEVEL_ERROR, &backend->in.header);
		return die(backend, ret);
	}
	ret = vu_receive_payload(backend->fd, &backend->in);
	if (ret < 0)
		return receive_failed(backend, ret);
	ret = dispatch(backend, request);
	if (backend->state != VU_CONN_STOPPING)
		vu_receiver_reset(&backend->in);
	return ret;
}

static int send_pending(struct vu_backend *backend)
{
	int ret = flush(backend);

	if (ret == 0 || ret == -EAGAIN)
		return ret;
	if (ret != -ECONNRESET)
		log_error("front-end", "socket: %s", strerror(-ret));
	return die(backend, ret);
}

int vu_backend_on_ready(struct vu_backend *backend)
{
	int ret;

	if (backend->state == VU_CONN_DEAD)
		return backend->error;

	ret = send_pending(backend);
	for (int i = 0; ret == 0 && backend->state != VU_CONN_STOPPING && i < BUDGET; i++) {
		ret = serve_one(backend);
		assert(valid(backend));
		if (ret == 0)
			ret = send_pending(backend);
	}
	return ret == -EAGAIN ? 0 : ret;
}

int vu_backend_check_memory(struct vu_backend *backend)
{
	if (backend->state == VU_CONN_DEAD)
		return backend->error;
	if (!vu_memory_lost(backend->memory))
		return 0;
	log_error("front-end", "guest memory was cut short while it was shared with us");
	return die(backend, -EPROTO);
}

void vu_backend_ring_stopped(struct vu_backend *backend, unsigned int index, uint16_t base)
{
	struct vu_message *message = &backend->waiting;

	if (index >= backend->n_rings || !vu_ring_at_rest(backend, &backend->rings[index], base))
		return;
	/* Not yet STOPPING: this comes from within ring_stop, and the handler goes on itself. */
	if (backend->state != VU_CONN_STOPPING || backend->n_stopping > 0)
		return;

	vu_conn_move(backend, VU_CONN_READY);
	if (conclude(backend, message, backend->complete(backend, message)) == 0)
		send_pending(backend);
	vu_receiver_reset(&backend->in);
	assert(valid(backend));
}

/* ---- life ---- */

int vu_backend_new(int fd, const struct vu_backend_config *config, struct vu_backend **backend)
{
	CLEANUP_FD int owned = fd;
	struct vu_backend *b;
	int ret;

	if (config->n_queues == 0 || config->n_queues > VU_RINGS_MAX ||
		(config->protocol_features & ~SUPPORTED))
		return -EINVAL;
	ret = fd_nonblock(owned);
	if (ret < 0)
		return ret;
	b = calloc(1, sizeof(*b) + config->n_queues * sizeof(b->rings[0]));
	if (!b)
		return -ENOMEM;
	b->memory = vu_memory_new();
	if (!b->memory) {
		free(b);
		return -ENOMEM;
	}

	b->fd = fd_steal(&owned);
	b->state = VU_CONN_NEW;
	b->config = *config;
	b->n_rings = config->n_queues;
	for (unsigned int i = 0; i < config->n_queues; i++)
		vu_ring_init(&b->rings[i], i);
	*backend = b;
	return 0;
}

void vu_backend_free(struct vu_backend *backend)
{
	if (!backend)
		return;
	for (size_t i = 0; i < backend->n_rings; i++)
		vu_ring_fini(&backend->rings[i]);
	vu_receiver_reset(&backend->in);
	vu_memory_put(backend->memory);
	fd_close(&backend->fd);
	free(backend);
}

int vu_backend_fd(const struct vu_backend *backend)
{
	return backend->fd;
}

bool vu_backend_partial(const struct vu_backend *backend)
{
	return backend->state != VU_CONN_STOPPING && vu_receiver_partial(&backend->in);
}

short vu_backend_events(const struct vu_backend *backend)
{
	if (backend->state == VU_CONN_STOPPING)
		return 0;
	/* It may have died of a late answer, and its owner has yet to come for the error. */
	if (backend->state == VU_CONN_DEAD)
		return POLLIN | POLLOUT;
	return backend->out_size > 0 ? POLLOUT : POLLIN;
}
