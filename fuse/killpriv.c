/* SPDX-License-Identifier: BSD-3-Clause */
/* Setuid and setgid bits. */
#include "fuse/killpriv.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include "fuse/session.h"
#include "fuse/slot.h"

bool fs_kill_wanted(const struct fs_slot *slot, bool asked)
{
	return asked || slot->session->init_flags & FUSE_HANDLE_KILLPRIV;
}

bool fs_kill_agreed(const struct fs_slot *slot)
{
	return slot->session->init_flags & (FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2);
}

int fs_kill_begin(bool wanted, struct fs_cred *cred)
{
	*cred = (struct fs_cred){0};
	return wanted ? fs_cred_shed(cred) : 0;
}

int fs_kill_bits(int fd)
{
	struct stat st;
	mode_t mode;

	if (fstat(fd, &st) < 0)
		return -errno;
	mode = st.st_mode & 07777 & ~(mode_t)S_ISUID;
	/* Without group execution it is no setgid bit, but one of mandatory locks. */
	if (mode & S_IXGRP)
		mode &= ~(mode_t)S_ISGID;
	if (mode == (st.st_mode & 07777))
		return 0;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}
