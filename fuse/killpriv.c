/* SPDX-License-Identifier: BSD-3-Clause */
/* Setuid and setgid bits. */
#include "fuse/killpriv.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fuse/caller.h"
#include "fuse/inode.h"
#include "fuse/session.h"
#include "fuse/slot.h"

/* Where file capabilities are. */
#define CAPABILITY "security.capability"

bool fs_kill_wanted(const struct fs_slot *slot, bool asked)
{
	return asked || slot->session->init_flags & FUSE_HANDLE_KILLPRIV;
}

bool fs_kill_at_open(const struct fs_slot *slot, bool asked)
{
	if (slot->session->init_flags & FUSE_HANDLE_KILLPRIV_V2)
		return asked;
	return fs_kill_wanted(slot, asked) || fs_caller_is_user(slot);
}

/* A root of the guest's without CAP_FSETID has its kernel send a SETATTR ahead. */
bool fs_kill_agreed(const struct fs_slot *slot)
{
	return slot->session->init_flags & (FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2) &&
	       slot->header.uid != 0;
}

/* Setgid without group execution, or perhaps: the group decides. */
static bool group_decides(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (st.st_mode & (S_ISGID | S_IXGRP)) == S_ISGID;
}

int fs_kill_begin(const struct fs_slot *slot, int fd, bool wanted, struct fs_cred *cred)
{
	const struct fs_tree *tree = slot->session->tree;
	int r;

	*cred = (struct fs_cred){0};
	if (!wanted)
		return 0;
	if (tree->can_switch && slot->header.gid != (uint32_t)-1 && group_decides(fd)) {
		r = fs_cred_enter_group(tree, slot->header.gid, cred);
		/* A group that is none on the host is not the file's. */
		if (r != -EPERM)
			return r;
	}
	return fs_cred_shed(cred);
}

/* Any write takes them off, whoever calls. */
static int kill_capabilities(int fd)
{
	if (fgetxattr(fd, CAPABILITY, NULL, 0) < 0)
		return 0;
	return fremovexattr(fd, CAPABILITY) < 0 && errno != ENODATA ? -errno : 0;
}

mode_t fs_kill_mode(mode_t mode)
{
	/* Without group execution it is no setgid bit, but one of mandatory locks. */
	return mode & ~(mode_t)(mode & S_IXGRP ? S_ISUID | S_ISGID : S_ISUID);
}

int fs_kill_bits(int fd, bool wanted)
{
	struct stat st;
	mode_t mode;
	int r = kill_capabilities(fd);

	if (r < 0 || !wanted)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	mode = fs_kill_mode(st.st_mode & 07777);
	if (mode == (st.st_mode & 07777))
		return 0;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}
