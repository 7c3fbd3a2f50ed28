/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's caller, for the one call that makes a file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuse/cred.h"

struct fs_slot;

struct fs_caller {
	struct fs_cred cred;
	bool masked;
	mode_t umask; /* the former one */
};

/*
 * Takes on the guest's caller on this thread until fs_caller_leave: its ids, the groups that the
 * request may carry, and its umask where that is sent along (FUSE_DONT_MASK). -errno: nothing has
 * changed.
 */
int fs_caller_enter(const struct fs_slot *slot, mode_t umask, struct fs_caller *caller);
void fs_caller_leave(struct fs_caller *caller);

/*
 * True when the request says who its caller is (with FUSE_ALLOW_IDMAP only those do that make a
 * file), and that is not the guest's root.
 */
bool fs_caller_is_user(const struct fs_slot *slot);

/*
 * The supplementary groups that the request carries, if they were agreed on, as the guest has them,
 * in gids[FS_EXT_GROUPS_MAX]. Their number, or -EINVAL.
 */
int fs_caller_groups(const struct fs_slot *slot, uint32_t *gids);
