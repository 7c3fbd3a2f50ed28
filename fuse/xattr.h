/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes: what the four operations on them share with those that make files. */
#pragma once

#include <stdbool.h>

#include "fuse/xattrmap.h"

struct fs_slot;
struct fs_tree;

/*
 * The host's name for the attribute that the guest calls `name`. -EOPNOTSUPP: an ACL, and the
 * session has not agreed on those; -EPERM: the one in which owners are kept (owner.h), where they
 * are; else as fs_xattrmap_to_host(). Any thread.
 */
int fs_xattr_name(const struct fs_slot *slot, const char *name, char host[FS_XATTR_NAME_SIZE]);

/*
 * Gives a new file, open as `fd` (O_PATH will do), the labels that the request brings along; 0 when
 * it brings none. -errno: the file has perhaps some of them, and is better removed. Any thread:
 * it takes its place (place.h) when there are some.
 */
int fs_labels_set(const struct fs_slot *slot, const struct fs_tree *tree, int fd);
/* True when it brings some. */
bool fs_labels_any(const struct fs_slot *slot);
