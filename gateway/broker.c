/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker.
 *
 * Theory of operation. To open a backing id takes CAP_SYS_ADMIN, which no process that talks to a
 * guest should have. So the service forks this one before it confines itself: it has the /dev/fuse
 * fd of the private mount and one end of a socket pair, no other fd but standard error, no other
 * capability, and does two things: open a backing id for a file that is sent to it, close one.
 *
 * Whoever has taken over the service gains nothing by it: the file must be a regular one that the
 * sender has open for reading and writing, so it could write to it anyway, and the mount is seen by
 * nobody but those the service hands a view to. (The kernel itself does not check: of a file open
 * for reading, or by O_PATH, it would make a writable view.) For the same reason it matters not on
 * which file system the file is: a share may have mounts below it, that come and go.
 *
 * The protocol is one SOCK_SEQPACKET message each way for an open and one for a close, which has
 * no answer. Answers carry the request's number: one that comes after the service lost patience is
 * recognised, and its id closed. The service uses one request at a time, under a mutex.
 *
 * The broker ends when the socket does, or by SIGKILL with its parent. Signals of the terminal are
 * not for it.
 */
#include "gateway/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioctl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/sandbox.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* How long the service waits for an answer, and for the end of the process. */
#define ANSWER_MS 2000
#define END_MS    200

/* What ps shows: 15 bytes at most. */
#define PROCESS_NAME "virtiofs-broker"

/* Of FUSE 7.40 (Linux 6.9); older headers do not have it. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

WIRE_SIZE(struct backing_map, 16);

#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

enum broker_op { BROKER_OPEN = 1, BROKER_CLOSE };

struct broker_request {
	uint32_t op;
	uint32_t number;
	int32_t id; /* to close */
};

struct broker_answer {
	uint32_t number;
	int32_t result; /* an id, or -errno */
};

struct gw_broker {
	pid_t pid;
	pthread_mutex_t mutex; /* of what follows */
	int socket;
	uint32_t number; /* of the last request */
};

/* ---- the mount ---- */

static int configure(int context, int fuse_fd)
{
	char fd[12], uid[12], gid[12];
	const struct {
		const char *key, *value; /* NULL: a flag */
	} options[] = {
		{"source", "virtiofs-gateway"},
		{"subtype", "virtiofs-gateway"},
		{"fd", fd},
		{"rootmode", "40000"},
		{"user_id", uid},
		{"group_id", gid},
		/* A thread that acts as the guest's caller, or a front-end of another user, may ask
		 * for attributes; to come here takes a view anyway. */
		{"allow_other", NULL},
	};

	snprintf(fd, sizeof(fd), "%d", fuse_fd);
	snprintf(uid, sizeof(uid), "%u", geteuid());
	snprintf(gid, sizeof(gid), "%u", getegid());
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		unsigned int command = options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (fsconfig(context, command, options[i].key, options[i].value, 0) != 0)
			return -errno;
	}
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0 ? -errno : 0;
}

int gw_broker_mount(struct dax_mount *mount)
{
	CLEANUP_FD int fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FD int context = -1;
	int r;

	*mount = (struct dax_mount){.fuse_fd = -1, .root_fd = -1};
	/* EPERM, as a container's rules for devices have it, is not about the mount here. */
	if (fuse_fd < 0)
		return errno == EPERM ? -EACCES : -errno;
	context = fsopen("fuse", FSOPEN_CLOEXEC);
	if (context < 0)
		return -errno;
	r = configure(context, fuse_fd);
	if (r)
		return r;
	mount->root_fd = fsmount(context, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME);
	if (mount->root_fd < 0)
		return -errno;
	mount->fuse_fd = fd_steal(&fuse_fd);
	return 0;
}

/* ---- messages with at most one fd ---- */

static ssize_t send_message(int socket, const void *data, size_t len, int fd, int flags)
{
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *cmsg = (void *)control;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	do {
		n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* *fd is the caller's; -1: none came. More than one cannot: there is no room. */
static ssize_t receive_message(int socket, void *data, size_t len, int *fd)
{
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&message);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
		cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(cmsg), sizeof(int));
	return n;
}

/* ---- the process ---- */

static int open_backing(int fuse_fd, int fd)
{
	struct backing_map map = {.fd = fd};
	int flags = fcntl(fd, F_GETFL);
	struct stat st;
	int id;

	if (flags < 0 || fstat(fd, &st) != 0)
		return -EBADF;
	if (!S_ISREG(st.st_mode) || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
		return -EACCES;
	id = ioctl(fuse_fd, BACKING_OPEN, &map);
	return id < 0 ? -errno : id;
}

static void broker_serve(int socket, int fuse_fd)
{
	for (;;) {
		struct broker_request request = {0};
		CLEANUP_FD int fd = -1;
		ssize_t n = receive_message(socket, &request, sizeof(request), &fd);

		if (n <= 0)
			return;
		if (n != sizeof(request))
			continue;
		if (request.op == BROKER_CLOSE) {
			uint32_t id = (uint32_t)request.id;

			(void)ioctl(fuse_fd, BACKING_CLOSE, &id);
		} else if (request.op == BROKER_OPEN) {
			struct broker_answer answer = {.number = request.number};

			answer.result = open_backing(fuse_fd, fd);
			/* Before the answer: by then the file is the kernel's and the sender's. */
			fd_close(&fd);
			if (send_message(socket, &answer, sizeof(answer), -1, 0) < 0)
				return;
		}
	}
}

/* All fds but the standard ones and these two: what is open here would not end elsewhere. */
static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)MIN(a, b), high = (unsigned int)MAX(a, b);

	if (low > 3)
		(void)close_range(3, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, UINT_MAX, 0);
}

static void run_broker(int socket, int fuse_fd, pid_t parent)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	close_others(socket, fuse_fd);
	prctl(PR_SET_NAME, PROCESS_NAME);
	/* The tie to the parent is the last: changing credentials may undo it. */
	if (gw_sandbox_enter_broker() || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
		getppid() != parent)
		return;
	broker_serve(socket, fuse_fd);
}

/* ---- the service's side ---- */

int gw_broker_start(const struct dax_mount *mount, struct gw_broker **out)
{
	struct gw_broker *broker = calloc(1, sizeof(*broker));
	pid_t parent = getpid();
	int sockets[2], r;

	if (!broker)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		r = -errno;
		free(broker);
		return r;
	}
	broker->pid = fork();
	if (broker->pid == 0) {
		run_broker(sockets[1], mount->fuse_fd, parent);
		_exit(0);
	}
	r = broker->pid < 0 ? -errno : 0;
	close(sockets[1]);
	broker->socket = sockets[0];
	pthread_mutex_init(&broker->mutex, NULL);
	if (r) {
		gw_broker_free(broker);
		return r;
	}
	*out = broker;
	return 0;
}

void gw_broker_free(struct gw_broker *broker)
{
	if (!broker)
		return;
	fd_close(&broker->socket);
	/* Stuck in a hanging file system, it is left to end by itself. Somebody else may have
	 * waited for it: then there is nothing to wait for. */
	for (int ms = 0; broker->pid > 0 && ms < END_MS; ms++) {
		if (waitpid(broker->pid, NULL, WNOHANG) != 0)
			break;
		usleep(1000);
	}
	pthread_mutex_destroy(&broker->mutex);
	free(broker);
}

/* Under the mutex. `fd` is borrowed; -1: none. */
static int send_request(struct gw_broker *broker, enum broker_op op, int32_t id, int fd)
{
	struct broker_request request = {.op = op, .number = ++broker->number, .id = id};
	struct pollfd ready = {.fd = broker->socket, .events = POLLOUT};
	ssize_t n;
	int r;

	do {
		r = poll(&ready, 1, ANSWER_MS);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return -ETIMEDOUT;
	n = send_message(broker->socket, &request, sizeof(request), fd, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

/* The answer to the last request. Under the mutex. */
static int await_answer(struct gw_broker *broker)
{
	int64_t deadline = vu_now_ms() + ANSWER_MS, left;
	uint32_t number = broker->number;

	while ((left = deadline - vu_now_ms()) > 0) {
		struct pollfd ready = {.fd = broker->socket, .events = POLLIN};
		struct broker_answer answer = {0};
		CLEANUP_FD int fd = -1;
		ssize_t n;

		if (poll(&ready, 1, (int)left) <= 0)
			continue;
		n = receive_message(broker->socket, &answer, sizeof(answer), &fd);
		if (n != sizeof(answer))
			return -EPIPE;
		if (answer.number == number)
			return answer.result;
		/* Late: nobody uses that id. */
		if (answer.result > 0)
			(void)send_request(broker, BROKER_CLOSE, answer.result, -1);
	}
	log_warn("broker", "does not answer");
	return -ETIMEDOUT;
}

static int broker_open(void *ctx, int fd)
{
	struct gw_broker *broker = ctx;
	int r;

	pthread_mutex_lock(&broker->mutex);
	r = send_request(broker, BROKER_OPEN, 0, fd);
	if (!r)
		r = await_answer(broker);
	pthread_mutex_unlock(&broker->mutex);
	return r;
}

static void broker_close(void *ctx, int id)
{
	struct gw_broker *broker = ctx;
	int r;

	pthread_mutex_lock(&broker->mutex);
	r = send_request(broker, BROKER_CLOSE, id, -1);
	pthread_mutex_unlock(&broker->mutex);
	if (r)
		log_debug("broker", "backing id %d is not closed: %s", id, strerrordesc_np(-r));
}

const struct dax_backing_ops *gw_broker_ops(void)
{
	static const struct dax_backing_ops ops = {.open = broker_open, .close = broker_close};

	return &ops;
}
