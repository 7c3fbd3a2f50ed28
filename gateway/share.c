/* SPDX-License-Identifier: BSD-3-Clause */
/* What the file system service stands on. */
#include "gateway/share.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* What the service itself holds: sockets, loops, the log, a message's worth of fds. */
#define FDS_OWN 48
/* Per ring: kick, call and err, once here and once in the connection, and a thread's three. */
#define FDS_QUEUE 12
/* With fewer there is no room for the front-end's memory, or for a guest that opens a directory. */
#define FDS_LEAST 100

/*
 * Sets the limit of open files: to what is asked for or, where that is not permitted, to as many as
 * are.
 */
static void set_limit(struct rlimit *limit, int asked)
{
	struct rlimit wanted = *limit;

	if (asked == 0)
		return;
	wanted.rlim_cur = asked < 0 ? limit->rlim_max : (rlim_t)asked;
	wanted.rlim_max = MAX(limit->rlim_max, wanted.rlim_cur);
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
		*limit = wanted;
		return;
	}
	log_warn("open files", "--rlimit-nofile %d is more than is allowed: the limit is %ju",
		asked, (uintmax_t)limit->rlim_max);
	limit->rlim_cur = limit->rlim_max;
	if (setrlimit(RLIMIT_NOFILE, limit))
		getrlimit(RLIMIT_NOFILE, limit);
}

static int fd_budget(const struct gw_share_fds *fds, unsigned int *budget)
{
	rlim_t own = FDS_OWN + FDS_QUEUE * (rlim_t)fds->n_queues + fds->n_window;
	struct rlimit limit;

	*budget = 256;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	set_limit(&limit, fds->limit);
	if (limit.rlim_cur < FDS_LEAST) {
		log_error("open files", "the limit is %ju%s, and %d are the least to work with",
			(uintmax_t)limit.rlim_cur, fds->limit > 0 ? " (--rlimit-nofile)" : "",
			FDS_LEAST);
		return -EMFILE;
	}
	/* Where there is little, share it: a queue without a thread is worse than a slow cache. */
	if (own > limit.rlim_cur / 2)
		log_warn("open files", "few: the limit is %ju, of which the gateway itself may "
				       "need %ju",
			(uintmax_t)limit.rlim_cur, (uintmax_t)own);
	own = MIN(own, limit.rlim_cur / 2);
	*budget = (unsigned int)MIN(limit.rlim_cur - own, (rlim_t)INT_MAX);
	return 0;
}

static void explain(const char *dir, int error)
{
	if (error == ENOENT)
		log_error("--shared-dir", "there is no directory '%s'", dir);
	else if (error == ENOTDIR)
		log_error("--shared-dir", "'%s' is not a directory", dir);
	else if (error == EACCES)
		log_error("--shared-dir", "no permission to read '%s'", dir);
	else
		log_error("--shared-dir", "'%s': %s", dir, strerrordesc_np(error));
}

int gw_share_open(struct gw_share *share, const char *dir, const struct gw_share_fds *fds)
{
	int r;

	*share = (struct gw_share){.root_fd = -1, .proc_fd = -1};
	r = fd_budget(fds, &share->fd_limit);
	if (r < 0)
		return r;
	share->root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (share->root_fd < 0) {
		r = -errno;
		explain(dir, -r);
	}
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
