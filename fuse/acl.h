/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ACL as the value of an extended attribute (<linux/posix_acl_xattr.h>): its entries, and the
 * nine permission bits that a mode has of it, those of the owner, of the mask (or, without one, of
 * the group) and of others. Values need not be aligned. Any thread.
 */
#pragma once

#include <linux/posix_acl_xattr.h>
#include <stddef.h>
#include <sys/types.h>

/* Names of the attributes. */
#define FS_ACL_ACCESS  "system.posix_acl_access"
#define FS_ACL_DEFAULT "system.posix_acl_default"

/* How many entries a value of `size` bytes has; -EINVAL: it is no ACL. */
int fs_acl_count(const void *value, size_t size);
/* An entry of them, numbers as they are in the value: little-endian. */
struct posix_acl_xattr_entry fs_acl_get(const void *value, int i);
void fs_acl_put(void *value, int i, struct posix_acl_xattr_entry entry);

/* The bits, as 0 to 0777; -EINVAL: it is no ACL, or an empty one. */
int fs_acl_bits(const void *value, size_t size);

/* Puts the bits of `mode` in place of its own. -EINVAL: it is no ACL, or an empty one. */
int fs_acl_set_bits(void *value, size_t size, mode_t mode);
