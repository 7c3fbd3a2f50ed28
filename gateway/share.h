/* SPDX-License-Identifier: BSD-3-Clause */
/* What the file system service stands on: the shared directory, /proc/self/fd, a budget of fds. */
#pragma once

#include <stdbool.h>

struct gw_share {
	int root_fd;           /* owned: O_RDONLY | O_DIRECTORY */
	int proc_fd;           /* owned: /proc/self/fd, O_PATH; -1 before gw_share_open_proc() */
	unsigned int fd_limit; /* fds that may be held open for the guest */
	bool one_uid, one_gid; /* files can have no owner, no group but ours */
};

/* What else needs fds, and how many there may be. */
struct gw_share_fds {
	unsigned int n_queues; /* rings */
	unsigned int n_window; /* for a DAX window */
	int limit;             /* --rlimit-nofile: 0: leave it as it is; -1: all that is allowed */
};

/*
 * Opens the directory and sets the limit of open files. -errno: logged, one sentence; -EMFILE when
 * the limit is too low to serve anybody.
 */
int gw_share_open(struct gw_share *share, const char *dir, const struct gw_share_fds *fds);

/* Opens /proc/self/fd: of the process that calls this, so not before a fork. -errno: logged. */
int gw_share_open_proc(struct gw_share *share);

/* Closes what is open. */
void gw_share_close(struct gw_share *share);
