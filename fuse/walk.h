/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps on the shared directory: every one starts at a directory fd that we hold and never leads
 * out of it, through a symbolic link or by an absolute path. No state; any thread.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

/*
 * Opens `path` (one component, or several with '/' between) beneath `dirfd`. No component is
 * followed if it is a symbolic link; with O_PATH the last one is opened itself. Falls back to
 * openat() step by step where the kernel has no openat2(). Returns an fd that the caller owns
 * (O_CLOEXEC), or -errno.
 */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/*
 * Opens the file behind `fd` (which may be O_PATH) once more with `flags`, through `proc_fd`
 * (/proc/self/fd). Never follows anything but that one link. Returns an owned fd or -errno.
 */
int fs_reopen(int proc_fd, int fd, int flags);

struct fs_fd_name {
	char text[16];
};

/* The name of `fd` within /proc/self/fd, for system calls that take (proc_fd, name). */
struct fs_fd_name fs_fd_name(int fd);

/*
 * The attributes of dirfd/name, or of dirfd itself when name is "". Nothing is followed, no
 * automount triggered. 0 or -errno.
 */
int fs_stat_at(int dirfd, const char *name, struct statx *stx);

/* The device number of what *stx describes, and of the file system that it lies on. */
dev_t fs_stat_dev(const struct statx *stx);
