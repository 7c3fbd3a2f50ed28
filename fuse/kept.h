/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operations do otherwise where the guest's owners and modes are kept in an attribute of the
 * host's files (--owner-xattr; owner.h says how).
 *
 * On any thread. Where an ACL is looked at, the thread takes its place (place.h).
 */
#pragma once

#include "fuse/op.h"
#include "fuse/owner.h"

/* True when they are kept for this inode. */
bool fs_kept_applies(const struct fs_node *node);

/* SETATTR's owner, group and mode. -EINVAL, -EPERM: ids that are none, or forbidden; -errno. */
int fs_kept_set(const struct fs_node *node, const struct fuse_setattr_in *in);

/*
 * Takes setuid and setgid bits off a file that a caller who is not root is about to truncate by
 * opening it: the guest's kernel leaves that to us (FUSE_ATOMIC_O_TRUNC). Nothing to do where no
 * owners are kept. -errno.
 */
int fs_kept_kill(const struct fs_slot *slot, struct fs_tree *tree, struct fs_inode *inode);

/* The caller as the owner of what it is about to make. -EINVAL, -EPERM: it may not be one. */
int fs_kept_owner(const struct fs_slot *slot, const struct fs_tree *tree, mode_t mode, dev_t rdev,
	struct fs_owner *owner);

/* Keeps it with the new file `fd`, as `parent` has it (fs_owner_keep_new). -errno. */
int fs_kept_note(const struct fs_slot *slot, const struct fs_node *parent, int fd,
	const struct fs_owner *owner);

/* The mode of what the caller makes in `dir`: by its default ACL, or else the umask. Or -errno. */
int fs_kept_mode(
	const struct fs_slot *slot, const struct fs_node *dir, mode_t mode, mode_t umask);

/*
 * An ACL's bits that are a mode's too are those that are kept. The first puts them into what was
 * read for the guest; the second keeps those of what the guest has just set on the host, without
 * the setgid bit if `kill` (-errno). Nothing to do for other attributes, or where none are kept.
 */
void fs_kept_acl_show(const struct fs_node *node, const char *name, void *value, size_t size);
int fs_kept_acl_set(
	const struct fs_node *node, const char *name, const void *value, size_t size, bool kill);

/*
 * Makes a name for the caller; `mode` with the type, no link. *made (NULL: not wanted) is an fd of
 * it, owned by the caller. On errors there is no such name.
 */
int fs_kept_make(struct fs_slot *slot, const struct fs_node *parent, const char *name, mode_t mode,
	dev_t rdev, int *made);
