/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setuid and setgid bits, which a write, a truncation or an allocation takes off a file unless the
 * caller is privileged (FUSE_HANDLE_KILLPRIV, FUSE_HANDLE_KILLPRIV_V2).
 *
 * The host does it by its own rules once the gateway's thread lacks CAP_FSETID. Version 2 says of
 * each request whether its caller is unprivileged; version 1, for guests before 5.11, leaves all to
 * us and tells us nothing, so every caller is one.
 */
#pragma once

#include <stdbool.h>

#include "fuse/cred.h"

struct fs_slot;

/* Whether the request takes the bits off. `asked`: its own flag says so. */
bool fs_kill_wanted(const struct fs_slot *slot, bool asked);

/* Like that for requests that have no flag: when one of the versions was agreed on. */
bool fs_kill_agreed(const struct fs_slot *slot);

/*
 * If `wanted`, goes on without CAP_FSETID until fs_cred_leave(cred), to be called in any case but
 * an error. -EIO, -EPERM, -ENOMEM: nothing was done.
 */
int fs_kill_begin(bool wanted, struct fs_cred *cred);

/* For data that the front-end writes: takes the bits off `fd`, as a write of ours would. -errno. */
int fs_kill_bits(int fd);
