/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setuid and setgid bits, which a write, a truncation or an allocation takes off a file unless the
 * caller is privileged (FUSE_HANDLE_KILLPRIV, FUSE_HANDLE_KILLPRIV_V2).
 *
 * The host does it by its own rules once the gateway's thread lacks CAP_FSETID. Version 2 says of
 * each write and truncation whether its caller is unprivileged; version 1, for guests before 5.11,
 * leaves all to us and tells us nothing, so every caller is one. Where neither says anything
 * (allocation, copying), the caller is one unless it is the guest's root.
 *
 * A setgid bit without group execution goes only if the caller is not in the file's group. Of the
 * caller's groups requests tell but one, so the bit goes for members by a supplementary group too.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "fuse/cred.h"

struct fs_slot;

/* Whether the request takes the bits off. `asked`: its own flag says so. */
bool fs_kill_wanted(const struct fs_slot *slot, bool asked);

/*
 * The same for an OPEN or CREATE that truncates. Where the guest clears the bits itself it does not
 * do so then (FUSE_ATOMIC_O_TRUNC), so we do, if it tells us that its caller is not root.
 */
bool fs_kill_at_open(const struct fs_slot *slot, bool asked);

/* Like that for requests that have no flag: when one of the versions was agreed on. */
bool fs_kill_agreed(const struct fs_slot *slot);

/*
 * If `wanted`, goes on without CAP_FSETID until fs_cred_leave(cred), to be called in any case but
 * an error; and as a member of the caller's group alone, where that decides. `fd` is the file's
 * (O_PATH or not), or -1: not known. -EIO, -EPERM, -ENOMEM: nothing was done.
 */
int fs_kill_begin(const struct fs_slot *slot, int fd, bool wanted, struct fs_cred *cred);

/* The mode of a file without the bits that the host would take off. */
mode_t fs_kill_mode(mode_t mode);

/*
 * For data that the front-end writes: takes file capabilities off `fd`, and if `wanted` the bits,
 * as a write of ours would. -errno.
 */
int fs_kill_bits(int fd, bool wanted);
