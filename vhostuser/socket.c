/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unix stream sockets and the messages on them.
 *
 * Theory of operation: a stream socket keeps no message boundaries, so a receiver asks the kernel
 * for exactly the bytes that the current message still lacks: 12 of header, then what it announces.
 * It never reads ahead, and so a poll of the socket tells the truth and the fds that recvmsg hands
 * out belong to this message. The kernel ends a read where fds are attached, so they may come with
 * any of its bytes; a sender attaches them to the first.
 *
 * Fds that did not fit are gone for good (MSG_CTRUNC): then the message is worthless, and what did
 * come is closed. That also happens when our own fd table is full.
 */
#include "vhostuser/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* Connections that may wait to be accepted; there is one front-end at a time. */
#define BACKLOG 8

static int address(const char *path, struct sockaddr_un *addr)
{
	size_t len = strlen(path);

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0)
		return -ENOENT;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memcpy(addr->sun_path, path, len);
	return 0;
}

/* A socket for `path`, owned by the caller, and its address; -errno. */
static int stream_socket(const char *path, struct sockaddr_un *addr)
{
	int ret = address(path, addr), fd;

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

static int bind_to(int fd, const struct sockaddr_un *addr)
{
	return bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
}

static int connect_to(int fd, const struct sockaddr_un *addr)
{
	return connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
}

/*
 * 0 when no process has a socket open under this address, -EADDRINUSE when one has, -EACCES when
 * we may not know. A datagram socket asks: a stream listener refuses it by its type (EPROTOTYPE)
 * and never notices, whereas a stream connection would be taken for the one front-end that a
 * waiting back-end serves.
 */
static int left_over(const struct sockaddr_un *addr)
{
	CLEANUP_FD int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = probe < 0 ? -errno : connect_to(probe, addr);

	if (ret == -ECONNREFUSED)
		return 0;
	return ret == -EACCES ? -EACCES : -EADDRINUSE;
}

/* bind found something at the path: removes it if it is a socket that nobody uses any more. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int ret;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	ret = left_over(addr);
	if (ret)
		return ret;
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return -errno;
	log_info(addr->sun_path, "replaced a socket file that nobody listened on");
	return 0;
}

static void explain_listen(const char *path, const char *name, int err)
{
	switch (err) {
	case -ENAMETOOLONG:
		log_error(name, "the path is too long for a socket: %zu bytes, at most %zu",
			strlen(path), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		break;
	case -EADDRINUSE:
		log_error(name, "%s: socket in use: another process has it open", path);
		break;
	case -EEXIST:
		log_error(name, "%s exists and is not a socket: not touched", path);
		break;
	case -EACCES:
	case -EPERM:
		log_error(name, "%s: no permission to make or replace a socket there", path);
		break;
	case -ENOENT:
		log_error(name, "%s: cannot listen: no such directory", path);
		break;
	default:
		log_error(name, "%s: cannot listen: %s", path, strerror(-err));
		break;
	}
}

static int listen_at(const char *path, int *listener)
{
	struct sockaddr_un addr;
	CLEANUP_FD int fd = stream_socket(path, &addr);
	int ret;

	if (fd < 0)
		return fd;
	ret = bind_to(fd, &addr);
	if (ret == -EADDRINUSE) {
		ret = remove_stale(&addr);
		if (ret == 0)
			ret = bind_to(fd, &addr);
	}
	if (ret < 0)
		return ret;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	*listener = fd_steal(&fd);
	return 0;
}

int vu_socket_listen(const char *path, const char *name, int *fd)
{
	int ret = listen_at(path, fd);

	if (ret < 0)
		explain_listen(path, name, ret);
	return ret;
}

int vu_socket_accept(int listener, int *fd)
{
	int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (accepted < 0)
		return -errno;
	*fd = accepted;
	return 0;
}

int vu_socket_connect(const char *path, int *connected)
{
	struct sockaddr_un addr;
	CLEANUP_FD int fd = stream_socket(path, &addr);
	struct stat st;
	int ret;

	if (fd < 0)
		return fd;
	ret = connect_to(fd, &addr); /* a unix stream connects at once or not at all */
	/* The kernel says the same of a file that will never be a socket. */
	if (ret == -ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		ret = -ENOTSOCK;
	if (ret < 0)
		return ret;
	*connected = fd_steal(&fd);
	return 0;
}

static int socket_option(int fd, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, SOL_SOCKET, option, value, &len) < 0 ? -errno : 0;
}

static int find_kind(int fd, enum vu_socket_kind *kind)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int domain, type, listening, ret;

	ret = socket_option(fd, SO_DOMAIN, &domain);
	if (ret == 0)
		ret = socket_option(fd, SO_TYPE, &type);
	if (ret == 0)
		ret = socket_option(fd, SO_ACCEPTCONN, &listening);
	if (ret < 0)
		return ret;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EPROTOTYPE;

	if (listening)
		*kind = VU_SOCKET_LISTENING;
	else if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
		*kind = VU_SOCKET_CONNECTED;
	else
		return -errno;
	return 0;
}

int vu_socket_kind(int fd, const char *name, enum vu_socket_kind *kind)
{
	int ret = find_kind(fd, kind);

	switch (ret) {
	case 0:
		break;
	case -EBADF:
		log_error(name, "fd %d is not open", fd);
		break;
	case -ENOTSOCK:
		log_error(name, "fd %d is not a socket", fd);
		break;
	case -EPROTOTYPE:
		log_error(name, "fd %d is not a unix stream socket", fd);
		break;
	case -ENOTCONN:
		log_error(name, "fd %d neither listens nor is connected", fd);
		break;
	default:
		log_error(name, "fd %d: %s", fd, strerror(-ret));
		break;
	}
	return ret;
}

/* Control space for the fds of one message, and for as many too many as we want to notice. */
union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
};

static int refuse(struct vu_receiver *receiver, const char *why)
{
	receiver->why = why;
	return -EPROTO;
}

/* Takes over every fd in the control data; -EPROTO when there were too many to keep. */
static int take_fds(struct msghdr *msg, struct vu_fds *fds)
{
	int ret = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;

		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (fds->n < VU_MSG_FDS_MAX) {
				fds->fd[fds->n++] = fd;
			} else {
				fd_close(&fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

/* Receives at most `size` bytes, and takes the fds that come with them. */
static int receive_some(int fd, struct vu_receiver *receiver, void *data, size_t size)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	int ret = take_fds(&msg, &receiver->fds);

	if (n == 0 && receiver->got == 0)
		return -ECONNRESET;
	if (n == 0)
		return refuse(receiver, "the connection ended in the middle of a message");
	receiver->got += (size_t)n; /* a message that is refused has a name if its header came */
	if (msg.msg_flags & MSG_CTRUNC)
		return refuse(receiver, "fds were lost: too many came, or we may open no more");
	if (ret < 0)
		return refuse(receiver, "more than 8 fds");
	return 0;
}

int vu_receive_header(int fd, struct vu_receiver *receiver)
{
	while (receiver->got < sizeof(receiver->header)) {
		size_t got = receiver->got;
		int ret = receive_some(fd, receiver, (char *)&receiver->header + got,
			sizeof(receiver->header) - got);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int vu_receive_payload(int fd, struct vu_receiver *receiver)
{
	size_t size = receiver->header.size;

	if (size > sizeof(receiver->payload))
		return refuse(receiver, "payload too long");
	while (receiver->got < sizeof(receiver->header) + size) {
		size_t got = receiver->got - sizeof(receiver->header);
		int ret = receive_some(fd, receiver, receiver->payload + got, size - got);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void vu_receiver_reset(struct vu_receiver *receiver)
{
	fds_close(&receiver->fds);
	receiver->got = 0;
	receiver->why = NULL;
}

ssize_t vu_socket_send(int fd, const void *data, size_t size, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_len = size};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > VU_FDS_MAX)
		return -EINVAL;
	memcpy(&iov.iov_base, &data, sizeof(data)); /* sendmsg only reads through it */
	if (n_fds > 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));

		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}

	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return n;
}
