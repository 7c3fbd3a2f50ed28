/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hanging file system.
 *
 * The server is a forked child with libfuse's low-level API. Over a socket pair it says 'h' for
 * each request that it leaves hanging; the parent says 'r' to release them. When the parent hangs
 * up, which it does at the latest by dying, the file system is unmounted and all that hangs in it
 * fails.
 */
#define FUSE_USE_VERSION 314
#include "tests/integration/hangfs.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_HANGING 256

enum node { ROOT = FUSE_ROOT_ID, HANG, OK };

static struct server {
	int control;
	bool released;
	fuse_req_t hanging[MAX_HANGING];
	size_t size[MAX_HANGING]; /* bytes to answer; 0: an empty success */
	unsigned int n;
} server;

static void attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == ROOT ? S_IFDIR | 0777 : S_IFREG | 0666;
	st->st_nlink = ino == ROOT ? 2 : 1;
	st->st_size = ino == ROOT ? 0 : HANGFS_SIZE;
}

static void hang_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = 3600, .entry_timeout = 3600 };

	if (parent == ROOT && !strcmp(name, "hang"))
		e.ino = HANG;
	else if (parent == ROOT && !strcmp(name, "ok"))
		e.ino = OK;
	else {
		fuse_reply_err(req, ENOENT);
		return;
	}
	attributes(e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void hang_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	attributes(ino, &st);
	fuse_reply_attr(req, &st, 3600);
}

static void hang_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void answer(fuse_req_t req, size_t size, char byte)
{
	char data[HANGFS_SIZE];

	memset(data, byte, sizeof(data));
	if (size)
		fuse_reply_buf(req, data, size < sizeof(data) ? size : sizeof(data));
	else
		fuse_reply_err(req, 0);
}

static void leave_hanging(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (ino != HANG || server.released || server.n == MAX_HANGING) {
		answer(req, size, ino == HANG ? 'h' : 'o');
		return;
	}
	server.hanging[server.n] = req;
	server.size[server.n++] = size;
	(void)!write(server.control, "h", 1);
}

static void hang_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	if (off >= HANGFS_SIZE)
		fuse_reply_buf(req, NULL, 0);
	else
		leave_hanging(req, ino, size);
}

static void hang_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	leave_hanging(req, ino, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = hang_lookup,
	.getattr = hang_getattr,
	.open = hang_open,
	.read = hang_read,
	.fsync = hang_fsync,
};

static void release_all(void)
{
	server.released = true;
	for (unsigned int i = 0; i < server.n; i++)
		answer(server.hanging[i], server.size[i], 'h');
	server.n = 0;
}

/* Until the parent hangs up or the mount goes away. */
static void serve(struct fuse_session *se)
{
	struct fuse_buf buf = { .mem = NULL };
	struct pollfd fds[2] = {
		{ .fd = fuse_session_fd(se), .events = POLLIN },
		{ .fd = server.control, .events = POLLIN },
	};
	char command;

	while (!fuse_session_exited(se) && poll(fds, 2, -1) >= 0) {
		if (fds[1].revents) {
			if (read(server.control, &command, 1) != 1)
				break;
			release_all();
		}
		if (fds[0].revents) {
			if (fuse_session_receive_buf(se, &buf) <= 0)
				break;
			fuse_session_process_buf(se, &buf);
		}
	}
	free(buf.mem);
}

__attribute__((noreturn)) static void child(const char *mountpoint, int control)
{
	char *argv[] = { (char[]){ "hangfs" }, (char[]){ "-oallow_other,fsname=hangfs" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *se;

	alarm(0);
	signal(SIGALRM, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	/* Nobody's sockets but our own: a front-end must be able to hang up. */
	server.control = dup2(control, 3);
	syscall(SYS_close_range, 4, ~0U, 0);
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se || fuse_session_mount(se, mountpoint) != 0)
		_exit(1);
	(void)!write(server.control, "m", 1);
	serve(se);
	fuse_session_unmount(se);
	_exit(0);
}

static int read_byte(struct hangfs *hangfs, char want, int timeout_ms)
{
	struct pollfd fd = { .fd = hangfs->control, .events = POLLIN };
	char got;

	if (poll(&fd, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	return read(hangfs->control, &got, 1) == 1 && got == want ? 0 : -EIO;
}

int hangfs_start(struct hangfs *hangfs, const char *mountpoint)
{
	int pair[2];

	memset(hangfs, 0, sizeof(*hangfs));
	hangfs->control = -1;
	snprintf(hangfs->path, sizeof(hangfs->path), "%s", mountpoint);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	hangfs->pid = fork();
	if (hangfs->pid == 0) {
		close(pair[0]);
		child(mountpoint, pair[1]);
	}
	close(pair[1]);
	hangfs->control = pair[0];
	if (hangfs->pid < 0) {
		hangfs->pid = 0;
		return -errno;
	}
	return read_byte(hangfs, 'm', 5000);
}

int hangfs_wait(struct hangfs *hangfs, unsigned int n, int timeout_ms)
{
	int r = 0;

	while (n-- && r == 0)
		r = read_byte(hangfs, 'h', timeout_ms);
	return r;
}

int hangfs_release(struct hangfs *hangfs)
{
	return write(hangfs->control, "r", 1) == 1 ? 0 : -errno;
}

void hangfs_stop(struct hangfs *hangfs)
{
	pid_t pid = hangfs->pid;

	if (hangfs->control >= 0)
		close(hangfs->control);
	hangfs->control = -1;
	hangfs->pid = 0;
	if (!pid)
		return;
	for (int i = 0; i < 2000; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	umount2(hangfs->path, MNT_DETACH);
}
