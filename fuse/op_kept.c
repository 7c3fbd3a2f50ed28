/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What changes owners and modes, and makes files, where the guest's are kept in an attribute: the
 * host's files are all ours. The host's kernel then does nothing of what it does for owners, so it
 * is done here by its rules: setuid and setgid bits that go, default ACLs and the umask, the bits
 * that an ACL shares with a mode. No state but the files'.
 */
#include "fuse/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse/acl.h"
#include "fuse/caller.h"
#include "fuse/ext.h"
#include "fuse/idmap.h"
#include "fuse/killpriv.h"
#include "fuse/place.h"
#include "fuse/walk.h"
#include "vhostuser/fd.h"

bool fs_kept_applies(const struct fs_node *node)
{
	return node->tree->config.owner_xattr &&
	       (node->inode->type == S_IFREG || node->inode->type == S_IFDIR);
}

/* -EINVAL for the id that is none, -EPERM for one that the guest may not use. Of those given. */
static int check_ids(const struct fs_tree *tree, const uint32_t *uid, const uint32_t *gid)
{
	/* What is none in both directions is not translated. */
	uint32_t host_uid = uid ? *uid : UINT32_MAX, host_gid = gid ? *gid : UINT32_MAX;

	if ((uid && *uid == UINT32_MAX) || (gid && *gid == UINT32_MAX))
		return -EINVAL;
	return fs_ids_to_host(tree->config.ids, &host_uid, &host_gid);
}

/* What a change of owner takes away, as a host's kernel would have it. */
static uint32_t without_setid(uint32_t mode)
{
	return S_ISDIR(mode) ? mode : fs_kill_mode(mode);
}

/* What there is: kept, or the host's. */
static int owner_now(const struct fs_tree *tree, int fd, struct fs_owner *owner)
{
	struct statx stx;
	int r = fs_stat_at(fd, "", &stx);

	if (r == 0)
		r = fs_owner_show(tree, fd, &stx);
	if (r < 0)
		return r;
	*owner = (struct fs_owner){
		.mode = stx.stx_mode,
		.major = stx.stx_rdev_major,
		.minor = stx.stx_rdev_minor,
	};
	fs_owner_ids(tree, &stx, &owner->uid, &owner->gid);
	return 0;
}

int fs_kept_kill(const struct fs_slot *slot, struct fs_tree *tree, struct fs_inode *inode)
{
	struct fs_owner owner;
	int fd, r;

	if (!tree->config.owner_xattr || inode->type != S_IFREG || slot->header.uid == 0)
		return 0;
	fd = fs_inode_fd_get(tree, inode);
	if (fd < 0)
		return fd;
	r = owner_now(tree, fd, &owner);
	if (r == 0 && without_setid(owner.mode) != owner.mode) {
		owner.mode = without_setid(owner.mode);
		r = fs_owner_keep(tree, fd, &owner);
	}
	fs_inode_fd_put(tree, inode);
	return r;
}

int fs_kept_set(const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct fs_owner owner;
	int r;

	if (!(in->valid & (FATTR_UID | FATTR_GID | FATTR_MODE)))
		return 0;
	r = owner_now(node->tree, node->fd, &owner);
	if (r < 0)
		return r;
	if (in->valid & (FATTR_UID | FATTR_GID)) {
		owner.uid = in->valid & FATTR_UID ? in->uid : owner.uid;
		owner.gid = in->valid & FATTR_GID ? in->gid : owner.gid;
		owner.mode = without_setid(owner.mode);
		r = check_ids(node->tree, in->valid & FATTR_UID ? &owner.uid : NULL,
			in->valid & FATTR_GID ? &owner.gid : NULL);
	}
	if (in->valid & FATTR_MODE)
		owner.mode = (owner.mode & S_IFMT) | (in->mode & 07777);
	if (r == 0)
		r = fs_owner_keep(node->tree, node->fd, &owner);
	/* It counts as a change of the host's file, also to what it was. */
	if (r == 0 && fchownat(node->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0)
		r = -errno;
	return r;
}

/* An fd (owned) of what was made: a directory, or a regular file for whatever else it may be. */
static int make(int dirfd, const char *name, mode_t mode)
{
	int fd;

	if (!S_ISDIR(mode))
		return fs_open_beneath(dirfd, name, O_RDWR | O_CREAT | O_EXCL,
			fs_owner_host_mode(mode));
	if (mkdirat(dirfd, name, fs_owner_host_mode(mode)) < 0)
		return -errno;
	fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		unlinkat(dirfd, name, AT_REMOVEDIR);
	return fd;
}

int fs_kept_owner(const struct fs_slot *slot, const struct fs_tree *tree, mode_t mode, dev_t rdev,
	struct fs_owner *owner)
{
	*owner = (struct fs_owner){
		.uid = slot->header.uid,
		.gid = slot->header.gid,
		.mode = (mode & S_IFMT ? mode : mode | S_IFREG) & (S_IFMT | 07777),
		.major = major(rdev),
		.minor = minor(rdev),
	};
	return check_ids(tree, &owner->uid, &owner->gid);
}

int fs_kept_note(const struct fs_slot *slot, const struct fs_node *parent, int fd,
	const struct fs_owner *owner)
{
	uint32_t gids[FS_EXT_GROUPS_MAX];
	int n = fs_caller_groups(slot, gids);

	return n < 0 ? n
		     : fs_owner_keep_new(parent->tree, parent->fd, fd, owner, gids, (size_t)n);
}

/* The bits that the directory's default ACL leaves to what is made in it; -ENODATA: it has none. */
static int default_bits(const struct fs_node *dir)
{
	char *value = malloc(XATTR_SIZE_MAX);
	ssize_t n;
	int r = value ? fs_place_take(dir->tree) : -ENOMEM;

	if (r == 0) {
		n = getxattr(fs_fd_name(dir->fd).text, FS_ACL_DEFAULT, value, XATTR_SIZE_MAX);
		r = n < 0 ? -errno : fs_acl_bits(value, (size_t)n);
	}
	free(value);
	return r == -EOPNOTSUPP || r == -EINVAL ? -ENODATA : r;
}

int fs_kept_mode(
	const struct fs_slot *slot, const struct fs_node *dir, mode_t mode, mode_t umask)
{
	int bits;

	if (!(slot->session->init_flags & FUSE_DONT_MASK))
		return (int)mode;
	bits = default_bits(dir);
	if (bits == -ENODATA)
		bits = 0777 & ~(int)umask;
	return bits < 0 ? bits : (int)mode & (~0777 | bits);
}

void fs_kept_acl_show(const struct fs_node *node, const char *name, void *value, size_t size)
{
	struct fs_owner owner;

	if (fs_kept_applies(node) && strcmp(name, FS_ACL_ACCESS) == 0 &&
		owner_now(node->tree, node->fd, &owner) == 0)
		(void)fs_acl_set_bits(value, size, owner.mode);
}

int fs_kept_acl_set(
	const struct fs_node *node, const char *name, const void *value, size_t size, bool kill)
{
	struct fs_owner owner;
	int r, bits;

	if (!fs_kept_applies(node) || strcmp(name, FS_ACL_ACCESS) != 0)
		return 0;
	bits = fs_acl_bits(value, size);
	r = owner_now(node->tree, node->fd, &owner);
	if (bits < 0 || r < 0)
		return r;
	owner.mode = (owner.mode & ~0777u) | (uint32_t)bits;
	if (kill)
		owner.mode &= ~(uint32_t)S_ISGID;
	return fs_owner_keep(node->tree, node->fd, &owner);
}

int fs_kept_make(struct fs_slot *slot, const struct fs_node *parent, const char *name, mode_t mode,
	dev_t rdev, int *made)
{
	CLEANUP_FD int fd = -1;
	struct fs_owner owner;
	int r = fs_kept_owner(slot, parent->tree, mode, rdev, &owner);

	if (r < 0)
		return r;
	fd = make(parent->fd, name, owner.mode);
	if (fd < 0)
		return fd;
	r = fs_kept_note(slot, parent, fd, &owner);
	if (r < 0) {
		unlinkat(parent->fd, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return r;
	}
	if (made)
		*made = fd_steal(&fd);
	return 0;
}
