/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps on the shared directory: openat2, reopening, statx.
 *
 * Every path goes through openat2 with RESOLVE_BENEATH and no links. Where the kernel or a filter
 * hides that call, which is learned once and remembered for all threads, a path is walked one
 * component at a time with O_NOFOLLOW, to the same end.
 */
#include "fuse/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vhostuser/fd.h"

/* Names of one component; longer ones cannot be on any file system that Linux has. */
#define STEP_MAX 256

/* Set once a call said ENOSYS: an old kernel, or a filter on system calls that hides it. */
static _Atomic bool no_openat2;

static int step(int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	/* What RESOLVE_BENEATH would say; "/etc" has an empty first component, which no one has. */
	if (!strcmp(name, ".."))
		return -EXDEV;
	do {
		fd = openat(dirfd, name, flags, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* One component after the other, each held as an O_PATH fd while the next one is looked up. */
static int open_by_steps(int dirfd, const char *path, int flags, mode_t mode)
{
	CLEANUP_FD int dir = -1;
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char name[STEP_MAX];
		size_t len = (size_t)(slash - path);
		int fd;

		if (len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		fd = step(dir >= 0 ? dir : dirfd, name,
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (fd < 0)
			return fd;
		fd_close(&dir);
		dir = fd;
		path = slash + 1;
	}
	return step(dir >= 0 ? dir : dirfd, path, flags, mode);
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	bool makes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = makes ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if (!atomic_load_explicit(&no_openat2, memory_order_relaxed)) {
		/* EAGAIN: a rename elsewhere raced with a check that our paths do not even need. */
		do {
			fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
		if (fd >= 0)
			return (int)fd;
		if (errno != ENOSYS)
			return -errno;
		atomic_store_explicit(&no_openat2, true, memory_order_relaxed);
	}
	return open_by_steps(dirfd, path, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

struct fs_fd_name fs_fd_name(int fd)
{
	struct fs_fd_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

int fs_reopen(int proc_fd, int fd, int flags)
{
	/* The one link that is meant to be followed. */
	return step(proc_fd, fs_fd_name(fd).text, flags | O_CLOEXEC | O_NOCTTY, 0);
}

int fs_stat_at(int dirfd, const char *name, struct statx *stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	int r;

	do {
		r = statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, stx);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

dev_t fs_stat_dev(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}
