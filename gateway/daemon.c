/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Going to the background.
 *
 * Theory of operation. The process that was started stays until the service is ready, so that its
 * exit status tells whether there is one. The background's standard error is a pipe that it reads
 * and passes on; with it the reader goes, and a line that has no reader is lost (the log's pipes
 * never raise SIGPIPE). So nothing of the starter's is held open: a shell's $(...) ends.
 */
#include "gateway/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* What the service writes its one byte to; the supervisor's copy keeps it open. */
static int ready_fd = -1;

/* Passes on what there is of the log; false at its end. */
static bool pass_on(int log_fd)
{
	char text[4096];
	ssize_t n = read(log_fd, text, sizeof(text));

	if (n > 0)
		(void)!write(STDERR_FILENO, text, (size_t)n);
	return n > 0;
}

/* The background's status when it ended; GW_EXIT_OK when it said that it is ready. */
static enum gw_exit wait_until_ready(pid_t background, int ready, int log_fd)
{
	int status = 0;
	char byte;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = log_fd, .events = POLLIN},
			{.fd = ready, .events = POLLIN},
		};

		if (poll(fds, 2, -1) < 0)
			continue;
		/* The log first: what was said before is in it. */
		if (fds[0].revents & POLLIN)
			(void)pass_on(log_fd);
		else if (fds[1].revents)
			break;
	}
	if (read(ready, &byte, 1) == 1)
		return GW_EXIT_OK;
	while (waitpid(background, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? (enum gw_exit)WEXITSTATUS(status) : GW_EXIT_INTERNAL;
}

/* In the background: a session of its own, nothing to read, and the log for whoever waits. */
static int go_to_background(int log_fd)
{
	CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || setsid() < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(null, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

int gw_daemon_start(enum gw_exit *status)
{
	CLEANUP_FD int read_end = -1;
	CLEANUP_FD int log_read = -1;
	CLEANUP_FD int log_write = -1;
	int ready[2], log_fds[2], r;
	pid_t background;

	if (pipe2(ready, O_CLOEXEC) != 0)
		goto failed;
	read_end = ready[0];
	ready_fd = ready[1];
	if (pipe2(log_fds, O_CLOEXEC) != 0)
		goto failed;
	log_read = log_fds[0];
	log_write = log_fds[1];
	background = fork();
	if (background < 0)
		goto failed;
	if (background > 0) {
		fd_close(&ready_fd);
		fd_close(&log_write);
		*status = wait_until_ready(background, read_end, log_read);
		return 1;
	}
	r = go_to_background(log_write);
	if (r == 0)
		return 0;
	errno = -r;
failed:
	r = -errno;
	log_error("--daemonize", "%s", strerrordesc_np(-r));
	return r;
}

void gw_daemon_ready(void)
{
	if (ready_fd < 0)
		return;
	(void)!write(ready_fd, "", 1);
	fd_close(&ready_fd);
}
