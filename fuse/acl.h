/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ACL as the value of an extended attribute, and the nine permission bits that a mode has of it:
 * those of the owner, of the mask (or, without one, of the group) and of others. Any thread.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Names of the attributes. */
#define FS_ACL_ACCESS  "system.posix_acl_access"
#define FS_ACL_DEFAULT "system.posix_acl_default"

/* The bits, as 0 to 0777; -EINVAL: it is no ACL, or an empty one. */
int fs_acl_bits(const void *value, size_t size);

/* Puts the bits of `mode` in place of its own. -EINVAL: it is no ACL, or an empty one. */
int fs_acl_set_bits(void *value, size_t size, mode_t mode);
