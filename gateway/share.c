/* SPDX-License-Identifier: BSD-3-Clause */
/* What the file system service stands on. */
#include "gateway/share.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* What the service itself holds: sockets, loops, the log, a message's worth of fds. */
#define FDS_OWN 48
/* Per ring: kick, call and err, once here and once in the connection, and a thread's three. */
#define FDS_QUEUE 12

static unsigned int fd_budget(unsigned int n_queues, unsigned int n_window)
{
	struct rlimit limit;
	rlim_t own = FDS_OWN + FDS_QUEUE * (rlim_t)n_queues + n_window;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 256;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		getrlimit(RLIMIT_NOFILE, &limit);
	/* Where there is little, share it: a queue without a thread is worse than a slow cache. */
	own = MIN(own, limit.rlim_cur / 2);
	return (unsigned int)MIN(limit.rlim_cur - own, (rlim_t)INT_MAX);
}

static void explain(const char *dir, int error)
{
	if (error == ENOENT)
		log_error("shared directory", "there is no directory '%s'", dir);
	else if (error == ENOTDIR)
		log_error("shared directory", "'%s' is not a directory", dir);
	else if (error == EACCES)
		log_error("shared directory", "no permission to read '%s'", dir);
	else
		log_error("shared directory", "'%s': %s", dir, strerrordesc_np(error));
}

int gw_share_open(
	struct gw_share *share, const char *dir, unsigned int n_queues, unsigned int n_window)
{
	int r = 0;

	*share = (struct gw_share){.proc_fd = -1};
	share->root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (share->root_fd < 0) {
		r = -errno;
		explain(dir, -r);
	}
	share->fd_limit = fd_budget(n_queues, n_window);
	return r;
}

int gw_share_open_proc(struct gw_share *share)
{
	int r = 0;

	share->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (share->proc_fd < 0) {
		r = -errno;
		log_error("/proc/self/fd", "%s; is /proc mounted?", strerrordesc_np(-r));
	}
	return r;
}

void gw_share_close(struct gw_share *share)
{
	fd_close(&share->root_fd);
	fd_close(&share->proc_fd);
}
