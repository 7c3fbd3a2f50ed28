/* SPDX-License-Identifier: BSD-3-Clause */
/* What the file system service stands on: the shared directory, /proc/self/fd, a budget of fds. */
#pragma once

struct gw_share {
	int root_fd;           /* owned: O_RDONLY | O_DIRECTORY */
	int proc_fd;           /* owned: /proc/self/fd, O_PATH; -1 before gw_share_open_proc() */
	unsigned int fd_limit; /* fds that may be held open for the guest */
};

/*
 * Opens the directory and raises the limit of open files to what is allowed; `n_queues` is how
 * many rings need fds too, `n_window` how many a DAX window needs. -errno: logged, one sentence.
 */
int gw_share_open(
	struct gw_share *share, const char *dir, unsigned int n_queues, unsigned int n_window);

/* Opens /proc/self/fd: of the process that calls this, so not before a fork. -errno: logged. */
int gw_share_open_proc(struct gw_share *share);

/* Closes what is open. */
void gw_share_close(struct gw_share *share);
