/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread's own working directory and umask.
 *
 * The one bit of state says that the thread has its place. Services are none of its business: all
 * of a process mean the same /proc/self/fd.
 */
#include "fuse/place.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/inode.h"
#include "vhostuser/log.h"

static _Thread_local bool placed;

int fs_place_take(const struct fs_tree *tree)
{
	static _Atomic bool said;
	int r;

	if (placed)
		return 0;
	if (unshare(CLONE_FS) == 0 && fchdir(tree->config.proc_fd) == 0) {
		placed = true;
		return 0;
	}
	r = -errno;
	if (!atomic_exchange(&said, true))
		log_error("fuse", "a thread cannot have a working directory of its own: %s",
			strerror(-r));
	return r;
}

mode_t fs_place_umask(mode_t mask)
{
	return umask(mask);
}
