/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parent process.
 *
 * Theory of operation. A thread in an uninterruptible sleep (a FUSE or NFS file of the host that
 * hangs) keeps its whole process from ending, after SIGKILL too. Whoever waits for the service
 * would wait with it. So what was started is this small process with one thread that never
 * touches the share: it forwards gw_end_signals() to the service, passes its exit status on,
 * and when the service does not end GW_SUPERVISOR_PATIENCE_MS after it was told to, or after it
 * said that it is about to, kills it and ends without it. The socket file is removed here, last.
 *
 * The service dies with this process (PR_SET_PDEATHSIG), so killing either ends both. It waits in
 * poll() on a signalfd and on the pipe by which the service reports; idle it has no wake-ups.
 */
#include "gateway/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/sandbox.h"
#include "vhostuser/clock.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* After a SIGKILL: a moment to be gone, unless a thread cannot be. */
#define LAST_MOMENT_MS 50

/* What ps shows beside the service's virtiofs-gatewa(y): 15 bytes at most. */
#define PROCESS_NAME "virtiofs-superv"

struct supervisor {
	pid_t child;
	int signal_fd, report_fd; /* owned */
	int64_t deadline_ms;      /* of the current patience; 0: none runs */
	bool told;                /* by a signal that we forwarded */
	bool reported;            /* the child said what it exits with */
	bool killed;
	enum gw_exit status;
};

static void start_patience(struct supervisor *self)
{
	if (!self->deadline_ms)
		self->deadline_ms = vu_now_ms() + GW_SUPERVISOR_PATIENCE_MS;
}

/* What the child's end means. */
static enum gw_exit judge(const struct supervisor *self, int wait_status)
{
	if (WIFEXITED(wait_status))
		return (enum gw_exit)WEXITSTATUS(wait_status);
	if (self->told && (self->killed || WTERMSIG(wait_status) == SIGTERM ||
				  WTERMSIG(wait_status) == SIGINT ||
				  WTERMSIG(wait_status) == SIGHUP))
		return GW_EXIT_OK;
	if (self->reported)
		return self->status;
	log_error("service", "killed by signal %d (%s)", WTERMSIG(wait_status),
		sigdescr_np(WTERMSIG(wait_status)));
	return GW_EXIT_INTERNAL;
}

/* True when the child is gone; its status is set then. */
static bool reap(struct supervisor *self)
{
	int wait_status;

	if (waitpid(self->child, &wait_status, WNOHANG) != self->child)
		return false;
	self->status = judge(self, wait_status);
	return true;
}

static void on_signal(struct supervisor *self)
{
	struct signalfd_siginfo info;

	if (read(self->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		return; /* reap() looks */
	kill(self->child, (int)info.ssi_signo);
	self->told = true;
	start_patience(self);
}

static void on_report(struct supervisor *self)
{
	unsigned char status;
	ssize_t n = read(self->report_fd, &status, 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1) {
		self->reported = true;
		self->status = (enum gw_exit)status;
	}
	start_patience(self);
	fd_close(&self->report_fd);
}

/* The child did not end in time. True when it is time to go without it. */
static bool lose_patience(struct supervisor *self)
{
	if (self->killed) {
		log_warn("service", "left behind, blocked in the host's file system (process %d)",
			(int)self->child);
		if (self->told)
			self->status = GW_EXIT_OK;
		else if (!self->reported)
			self->status = GW_EXIT_INTERNAL;
		return true;
	}
	kill(self->child, SIGKILL);
	self->killed = true;
	self->deadline_ms = vu_now_ms() + LAST_MOMENT_MS;
	return false;
}

static void wait_for_child(struct supervisor *self)
{
	while (!reap(self)) {
		struct pollfd fds[] = {
			{.fd = self->signal_fd, .events = POLLIN},
			{.fd = self->report_fd, .events = POLLIN},
		};
		int64_t left = -1;

		if (self->deadline_ms) {
			left = self->deadline_ms - vu_now_ms();
			if (left <= 0) {
				if (lose_patience(self))
					return;
				continue;
			}
		}
		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (fds[0].revents)
			on_signal(self);
		if (fds[1].revents)
			on_report(self);
	}
}

void gw_end_signals(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	/* A blocked signal is delivered to a signalfd although it is ignored. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
}

static void watched_signals(sigset_t *set)
{
	gw_end_signals(set);
	sigaddset(set, SIGCHLD);
}

static enum gw_exit run_parent(
	struct supervisor *self, struct gw_endpoint *endpoint, struct gw_share *share)
{
	/* A connection ends when its last copy is closed: it must be the service's alone. */
	fd_close(&endpoint->fd);
	gw_share_close(share);
	/* Logged if it fails; the service drops its rights likewise, and would not start then. */
	(void)gw_sandbox_enter_supervisor();
	prctl(PR_SET_NAME, PROCESS_NAME);
	wait_for_child(self);
	gw_endpoint_remove(endpoint);
	gw_endpoint_close(endpoint);
	return self->status;
}

int gw_supervise(struct gw_endpoint *endpoint, struct gw_share *share, enum gw_exit *status,
	struct gw_supervised *supervised)
{
	struct supervisor self = {.signal_fd = -1, .report_fd = -1};
	pid_t parent = getpid();
	CLEANUP_FD int report = -1;
	sigset_t set;
	int pipe_fds[2];
	int r = 0;

	watched_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0) {
		self.report_fd = pipe_fds[0];
		report = pipe_fds[1];
		self.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	}
	self.child = self.signal_fd >= 0 ? fork() : -1;
	if (self.child < 0) {
		r = -errno;
		log_error("supervisor", "%s", strerrordesc_np(-r));
	} else if (self.child > 0) {
		fd_close(&report);
		*status = run_parent(&self, endpoint, share);
		r = 1;
	} else {
		supervised->parent = parent;
		supervised->report_fd = fd_steal(&report);
	}
	fd_close(&self.signal_fd);
	fd_close(&self.report_fd);
	return r;
}

bool gw_supervisor_tie(const struct gw_supervised *supervised)
{
	/* The parent may have died before this call: then nothing will ever be sent. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == supervised->parent;
}

void gw_supervisor_report(const struct gw_supervised *supervised, enum gw_exit status)
{
	unsigned char byte = (unsigned char)status;

	if (write(supervised->report_fd, &byte, 1) != 1)
		log_debug("supervisor", "does not listen: %s", strerrordesc_np(errno));
}
