/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's inodes and handles together (design.md §8). Private parts: inode.h, handle.h.
 */
#pragma once

#include <stdint.h>

#include "fuse/fs.h"

struct fs_tree;

/*
 * A tree with its root inode (nodeid 1, pinned). `epoch` makes nodeids and handles of different
 * sessions differ, so that stale ones of a previous session are refused (ESTALE/EBADF). The config
 * is copied; what it borrows must outlive the tree. -ENOMEM, or -errno of the shared directory.
 */
int fs_tree_new(const struct fs_config *config, uint32_t epoch, struct fs_tree **tree);

/* Closes and frees everything, which may block. No request may use it any more. */
void fs_tree_free(struct fs_tree *tree);
