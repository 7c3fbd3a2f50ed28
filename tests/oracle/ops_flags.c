/* SPDX-License-Identifier: BSD-3-Clause */
/* The flags of chattr, of which only some are tried: the others hinder what comes after. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define TRIED (FS_NODUMP_FL | FS_NOATIME_FL)
#define XTRIED (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME)

/* With --fuse: the client has them for regular files and directories only. */
static bool has_none(const struct or_me *me, int fd)
{
	struct stat st;

	return me->fuse && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* arg: as project ids have it */
static int get(int fd, const struct or_kind *kind, unsigned int *flags, struct fsxattr *x)
{
	if (!kind->arg)
		return ioctl(fd, FS_IOC_GETFLAGS, flags);
	if (ioctl(fd, FS_IOC_FSGETXATTR, x) < 0)
		return -1;
	*flags = x->fsx_xflags;
	return 0;
}

void or_get_flags(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct fsxattr x = {0};
	unsigned int flags = 0;

	if (has_none(me, me->fds[op->slot]))
		return;
	if (or_done(res, get(me->fds[op->slot], kind, &flags, &x)))
		or_say(res, "flags=%x project=%u", flags & (kind->arg ? XTRIED : TRIED),
			x.fsx_projid);
}

void or_set_flags(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	unsigned int flags = 0, both[] = {TRIED, XTRIED};
	unsigned int one[] = {FS_NODUMP_FL, FS_XFLAG_NODUMP};
	struct fsxattr x = {0};
	struct statx st;
	int fd = me->fds[op->slot];

	if (has_none(me, fd))
		return;
	if (!or_done(res, get(fd, kind, &flags, &x)))
		return;
	flags &= ~both[kind->arg];
	flags |= op->a & 0100 ? both[kind->arg] : op->a & 0200 ? one[kind->arg] : 0;
	x.fsx_xflags = flags;
	or_done(res, kind->arg ? ioctl(fd, FS_IOC_FSSETXATTR, &x)
			       : ioctl(fd, FS_IOC_SETFLAGS, &flags));
	/* A FUSE client would believe the former ctime for a second. */
	(void)statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st);
	or_say_fd(res, fd);
}
