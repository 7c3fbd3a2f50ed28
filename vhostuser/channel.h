/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end request channel (vhost-user: back-end message types), as the back-end sees it.
 *
 * Requests go out with NEED_REPLY and are answered in order, each by a u64; nothing here waits for
 * one. All functions are for one thread, the main loop's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Requests that may be unanswered at a time; past it vu_channel_send() says -EAGAIN. */
#define VU_CHANNEL_MAX 16

struct vu_channel;

/*
 * Takes the fd of SET_BACKEND_REQ_FD (consumed, also on error; made non-blocking). -ENOTSOCK,
 * -EPROTOTYPE: it is no unix stream socket; -ENOMEM.
 */
int vu_channel_new(int fd, struct vu_channel **channel);

/* Closes it; whatever is unanswered stays so. NULL is fine. */
void vu_channel_free(struct vu_channel *channel);

/* The socket, for the loop; the channel owns it. */
int vu_channel_fd(const struct vu_channel *channel);

/* What to wait for now: POLLIN, and POLLOUT while a message, or a part, has still to go out. */
short vu_channel_events(const struct vu_channel *channel);

/*
 * Sends one request; `fd` (borrowed: duplicated if the socket cannot take the message at once; -1:
 * none) goes with it. `cookie` comes back with its answer. -EAGAIN: no room now, nothing was sent;
 * try again after a vu_channel_receive(). -EMSGSIZE: over VU_PAYLOAD_MAX. -ECONNRESET and other
 * errno of the socket: the channel is of no more use.
 */
int vu_channel_send(struct vu_channel *channel, uint32_t code, const void *payload, size_t size,
	int fd, uint64_t cookie);

/*
 * Goes on with what could not be sent, and takes the next answer: 1 with the cookie of the request
 * and the value. 0: there is none yet. -ECONNRESET: the front-end closed the channel; -EPROTO: it
 * sent what is no answer to the oldest request (*why, a constant string); else an errno. An error
 * stays.
 */
int vu_channel_receive(
	struct vu_channel *channel, uint64_t *cookie, uint64_t *value, const char **why);

/* Requests sent and not answered yet. */
size_t vu_channel_unanswered(const struct vu_channel *channel);
