/* SPDX-License-Identifier: BSD-3-Clause */
/* A mount of the host kernel's FUSE client, and the open /dev/fuse behind it. */
#pragma once

#include <limits.h>
#include <stdint.h>

struct fm_point {
	char dir[PATH_MAX]; /* absolute, without links */
	uint64_t id;        /* the mount's, as statx tells it */
};

/* Opens /dev/fuse, non-blocking: the fd, or -errno. */
int fm_fuse_open(void);
/* Another open /dev/fuse of the mount that `fd` (borrowed) is mounted with: the fd, or -errno. */
int fm_fuse_clone(int fd);

/*
 * Mounts `dir` with an open /dev/fuse (borrowed), which nobody needs to serve yet. `flags` are
 * mount(2)'s. -errno; -ENOTDIR.
 */
int fm_point_mount(struct fm_point *point, const char *dir, const char *source, unsigned long flags,
	int fuse_fd);

/*
 * Unmounts it, if `flags` say so (MNT_DETACH) lazily. -EBUSY; -ENOENT when it is not there any
 * more, or another mount is on top. Nothing is asked of the file system that would need an answer,
 * but without MNT_DETACH the kernel may have data to write. Any thread.
 */
int fm_point_unmount(const struct fm_point *point, int flags);

/* Writes back what the kernel holds of it. -errno. Any thread. */
int fm_point_sync(const struct fm_point *point);
