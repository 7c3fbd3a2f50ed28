/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owners kept in an extended attribute.
 */
#include "fuse/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "fuse/idmap.h"
#include "fuse/inode.h"
#include "fuse/place.h"
#include "fuse/walk.h"
#include "vhostuser/number.h"

/* In stx_attributes, where the kernel has nothing: the owner is the guest's word. */
#define STX_KEPT (UINT64_C(1) << 63)

/* Reads a number that ends with `end` and moves *text behind it. */
static int read_number(const char **text, unsigned int base, char end, uint32_t *number)
{
	uint64_t value;

	if (vu_number_read(text, base, UINT32_MAX - 1, &value) || **text != end)
		return -EINVAL;
	*number = (uint32_t)value;
	*text += end != '\0';
	return 0;
}

static bool is_device(uint32_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode);
}

int fs_owner_parse(const char *text, size_t len, struct fs_owner *owner)
{
	char copy[FS_OWNER_TEXT];
	const char *at = copy;
	int r = 0;

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*owner = (struct fs_owner){0};
	if (read_number(&at, 10, ':', &owner->uid) || read_number(&at, 10, ':', &owner->gid))
		return -EINVAL;
	if (strchr(at, ':')) {
		r = read_number(&at, 8, ':', &owner->mode);
		if (r == 0)
			r = read_number(&at, 10, ',', &owner->major);
		if (r == 0)
			r = read_number(&at, 10, '\0', &owner->minor);
		if (r == 0 && !is_device(owner->mode))
			r = -EINVAL;
	} else {
		r = read_number(&at, 8, '\0', &owner->mode);
		if (r == 0 && is_device(owner->mode))
			r = -EINVAL;
	}
	if (r == 0 && (owner->mode & ~(uint32_t)(S_IFMT | 07777) || strlen(copy) != len))
		r = -EINVAL;
	return r;
}

size_t fs_owner_print(const struct fs_owner *owner, char text[FS_OWNER_TEXT])
{
	int n;

	if (is_device(owner->mode))
		n = snprintf(text, FS_OWNER_TEXT, "%u:%u:%o:%u,%u", owner->uid, owner->gid,
			owner->mode, owner->major, owner->minor);
	else
		n = snprintf(text, FS_OWNER_TEXT, "%u:%u:%o", owner->uid, owner->gid, owner->mode);
	return (size_t)n;
}

mode_t fs_owner_host_mode(uint32_t mode)
{
	if (S_ISDIR(mode))
		return (mode & 0777) | 0700;
	return S_ISREG(mode) ? (mode & 0777) | 0600 : 0600;
}

int fs_owner_probe(int dir_fd)
{
	char text[FS_OWNER_TEXT];

	if (fgetxattr(dir_fd, FS_OWNER_XATTR, text, sizeof(text)) >= 0 || errno == ENODATA ||
		errno == ERANGE)
		return 0;
	return -errno;
}

bool fs_owner_hides(const struct fs_config *config, const char *name)
{
	return config->owner_xattr && strcmp(name, FS_OWNER_XATTR) == 0;
}

/* None is there, or it makes no sense, or only the host's users get at it. */
static bool is_none(int error)
{
	return error == -ENODATA || error == -EOPNOTSUPP || error == -ERANGE ||
	       error == -EACCES || error == -EPERM;
}

/* -ENODATA: the file is what it is on the host. */
static int read_owner(const struct fs_tree *tree, int fd, struct fs_owner *owner)
{
	char text[FS_OWNER_TEXT];
	ssize_t n = fgetxattr(fd, FS_OWNER_XATTR, text, sizeof(text));
	int r = n < 0 ? -errno : 0;

	/* By O_PATH fds attributes are out of reach, but not by those fds' names. */
	if (r == -EBADF)
		r = fs_place_take(tree);
	if (r == 0 && n < 0) {
		n = getxattr(fs_fd_name(fd).text, FS_OWNER_XATTR, text, sizeof(text));
		r = n < 0 ? -errno : 0;
	}
	if (r < 0)
		return is_none(r) ? -ENODATA : r;
	return fs_owner_parse(text, (size_t)n, owner) < 0 ? -ENODATA : 0;
}

static bool may_keep(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode);
}

/* A directory is one on both sides; anything else but a link is a regular file on the host. */
static bool fits(uint32_t host, uint32_t guest)
{
	switch (guest & S_IFMT) {
	case S_IFDIR:
		return S_ISDIR(host);
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return S_ISREG(host);
	default:
		return false;
	}
}

int fs_owner_show(const struct fs_tree *tree, int fd, struct statx *stx)
{
	struct fs_owner owner;
	int r;

	stx->stx_attributes &= ~STX_KEPT;
	if (!tree->config.owner_xattr || !may_keep(stx->stx_mode))
		return 0;
	r = read_owner(tree, fd, &owner);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	if (!fits(stx->stx_mode, owner.mode))
		return 0;
	stx->stx_attributes |= STX_KEPT;
	stx->stx_uid = owner.uid;
	stx->stx_gid = owner.gid;
	stx->stx_mode = (uint16_t)owner.mode;
	stx->stx_rdev_major = owner.major;
	stx->stx_rdev_minor = owner.minor;
	return 0;
}

void fs_owner_ids(const struct fs_tree *tree, const struct statx *stx, uint32_t *uid, uint32_t *gid)
{
	*uid = stx->stx_uid;
	*gid = stx->stx_gid;
	if (!(stx->stx_attributes & STX_KEPT))
		fs_ids_to_guest(tree->config.ids, uid, gid);
}

static int write_owner(const struct fs_tree *tree, int fd, const struct fs_owner *owner)
{
	char text[FS_OWNER_TEXT];
	size_t len = fs_owner_print(owner, text);
	int r = fsetxattr(fd, FS_OWNER_XATTR, text, len, 0) < 0 ? -errno : 0;

	if (r != -EBADF)
		return r;
	r = fs_place_take(tree);
	if (r < 0)
		return r;
	return setxattr(fs_fd_name(fd).text, FS_OWNER_XATTR, text, len, 0) < 0 ? -errno : 0;
}

/* The host's mode comes first: without it we might not be allowed to write the attribute. */
int fs_owner_keep(const struct fs_tree *tree, int fd, const struct fs_owner *owner)
{
	struct statx stx;
	mode_t mode = fs_owner_host_mode(owner->mode);
	int r = fs_stat_at(fd, "", &stx);

	if (r == 0 && !fits(stx.stx_mode, owner->mode))
		r = -EOPNOTSUPP;
	if (r < 0)
		return r;
	/* It is how a host's directory hands its group down; that is the host's business. */
	mode |= S_ISDIR(stx.stx_mode) ? stx.stx_mode & S_ISGID : 0;
	if ((stx.stx_mode & 07777) != mode &&
		fchmodat(tree->config.proc_fd, fs_fd_name(fd).text, mode, 0) < 0)
		return -errno;
	return write_owner(tree, fd, owner);
}

/* Guests before Linux 6.0 leave it to the file system to take the bit off. */
static bool may_be_setgid(
	const struct fs_owner *maker, uint32_t group, const uint32_t *gids, size_t n)
{
	bool member = maker->uid == 0 || maker->gid == group;

	for (size_t i = 0; i < n && !member; i++)
		member = gids[i] == group;
	return member || !(maker->mode & S_IXGRP);
}

int fs_owner_keep_new(const struct fs_tree *tree, int parent_fd, int fd,
	const struct fs_owner *owner, const uint32_t *gids, size_t n)
{
	struct fs_owner own = *owner;
	struct statx parent;
	int r = fs_stat_at(parent_fd, "", &parent);

	if (r == 0)
		r = fs_owner_show(tree, parent_fd, &parent);
	if (r < 0)
		return r;
	if (parent.stx_mode & S_ISGID) {
		uint32_t uid;

		fs_owner_ids(tree, &parent, &uid, &own.gid);
		if (S_ISDIR(own.mode))
			own.mode |= S_ISGID;
		else if (!may_be_setgid(owner, own.gid, gids, n))
			own.mode &= ~(uint32_t)S_ISGID;
	}
	return fs_owner_keep(tree, fd, &own);
}
