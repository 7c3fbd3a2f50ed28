/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mounting and unmounting.
 *
 * A mount is unmounted by its path, under which something else may be by then: so its id is noted
 * and compared. (A descriptor of the mount would be surer, and would keep it busy for others.)
 */
#include "gateway/frontend/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fuse.h>

#include "gateway/frontend/mount_shape.h"
#include "vhostuser/fd.h"

int fm_fuse_open(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int fm_fuse_clone(int fd)
{
	CLEANUP_FD int clone = fm_fuse_open();
	uint32_t of = (uint32_t)fd;

	if (clone < 0)
		return clone;
	return ioctl(clone, FUSE_DEV_IOC_CLONE, &of) < 0 ? -errno : fd_steal(&clone);
}

/* Without asking the file system: nobody might answer. */
static int mount_id(const char *dir, uint64_t *id)
{
	struct statx st;

	if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0)
		return -errno;
	*id = st.stx_mnt_id;
	return 0;
}

int fm_point_mount(struct fm_point *point, const char *dir, const char *source, unsigned long flags,
	int fuse_fd)
{
	char data[160];
	int r;

	if (!realpath(dir, point->dir))
		return -errno;
	/* As virtiofs is mounted: the kernel checks permissions, for everybody. */
	snprintf(data, sizeof(data),
		"fd=%d,rootmode=%o,user_id=0,group_id=0,default_permissions,allow_other,"
		"max_read=%u",
		fuse_fd, S_IFDIR, FM_PAYLOAD);
	if (mount(source, point->dir, "fuse.virtiofs", flags, data) < 0)
		return -errno;
	r = mount_id(point->dir, &point->id);
	if (r < 0)
		(void)umount2(point->dir, MNT_DETACH);
	return r;
}

int fm_point_unmount(const struct fm_point *point, int flags)
{
	uint64_t id;
	int r = mount_id(point->dir, &id);

	if (r < 0)
		return r;
	if (id != point->id)
		return -ENOENT;
	return umount2(point->dir, flags | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int fm_point_sync(const struct fm_point *point)
{
	CLEANUP_FD int fd = open(point->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return syncfs(fd) < 0 ? -errno : 0;
}
