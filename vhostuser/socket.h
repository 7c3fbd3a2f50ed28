/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unix stream sockets: making them, and whole vhost-user messages with fds over them.
 *
 * All sockets made here are close-on-exec and non-blocking; nothing here blocks. Any thread, one at
 * a time for each socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vhostuser/fd.h"
#include "vhostuser/protocol.h"

/*
 * Listens on `path`. A socket file that nobody listens on is replaced; nothing else ever is. Logs
 * one helpful line about `name` (what the caller calls the socket) and returns -ENAMETOOLONG (107
 * bytes at most), -EADDRINUSE (somebody has it open), -EACCES (also: another user's socket, which
 * may be in use), -EEXIST (not a socket), or what bind says.
 */
int vu_socket_listen(const char *path, const char *name, int *fd);

/* Takes one connection off a listening socket; -EAGAIN when there is none. */
int vu_socket_accept(int listener, int *fd);

/*
 * Connects to a listening socket. Does not log, for callers who retry: -ENOENT, -ECONNREFUSED (not
 * listening), -EAGAIN (its backlog is full) are the errors that may pass; -ENOTSOCK (the path is of
 * something else) is one that will not.
 */
int vu_socket_connect(const char *path, int *fd);

enum vu_socket_kind { VU_SOCKET_LISTENING, VU_SOCKET_CONNECTED };

/*
 * What an inherited fd (borrowed) is. Logs one line about `name` and returns -EBADF, -ENOTSOCK,
 * -EPROTOTYPE (not a unix stream socket) or -ENOTCONN (neither listens nor is connected).
 */
int vu_socket_kind(int fd, const char *name, enum vu_socket_kind *kind);

/*
 * One message on its way in: the header, then the payload that it announces, with whatever fds
 * came along. Zero-initialised; vu_receiver_reset() between messages. It owns the fds in it.
 */
struct vu_receiver {
	struct vu_header header;
	_Alignas(8) uint8_t payload[VU_PAYLOAD_MAX];
	struct vu_fds fds;
	size_t got;      /* bytes of header and payload together */
	const char *why; /* of the last -EPROTO: a constant string */
};

/*
 * Receives until the header is whole (0, at once when it is already): -EAGAIN when more must come.
 * -ECONNRESET: the peer closed between messages. -EPROTO, with `why`: it closed within one, sent
 * more than 8 fds, or fds were lost on the way. Else the socket's errno.
 */
int vu_receive_header(int fd, struct vu_receiver *receiver);

/* Receives until the payload is whole: the same errors, and -EPROTO if over VU_PAYLOAD_MAX. */
int vu_receive_payload(int fd, struct vu_receiver *receiver);

/* Closes fds that nobody took and makes room for the next message. */
void vu_receiver_reset(struct vu_receiver *receiver);

/* True when a message has begun to arrive and is not whole. */
static inline bool vu_receiver_partial(const struct vu_receiver *receiver)
{
	return receiver->got > 0;
}

/*
 * Sends some of the bytes, with all fds (borrowed) on the first one: how many went (>= 1), or
 * -EAGAIN (nothing did), -ECONNRESET (nobody reads any more), another errno. Never raises SIGPIPE.
 */
ssize_t vu_socket_send(int fd, const void *data, size_t size, const int *fds, size_t n_fds);
