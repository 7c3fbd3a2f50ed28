/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DAX as the rest of this floor sees it: whether there is any, and of which files (op_dax.c).
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "fuse/fs.h"

struct fs_handle;
struct fs_slot;
struct fs_tree;

/* True when guests may map files now: there is a window, and a view that is right for the share. */
bool fs_dax_usable(const struct fs_config *config);

/* Why not, for the log. */
const char *fs_dax_why_not(const struct fs_config *config);

/* Is this file to be announced as one to map? tree->lock must not be held. */
bool fs_dax_announces(struct fs_tree *tree, const struct statx *stx);

/*
 * The guest is about to be told these attributes. Where its mappings are of copies (a cached
 * view), and the file has changed since it was told before, they are fetched anew first.
 */
void fs_dax_note(struct fs_tree *tree, const struct statx *stx);
/* An open file was used, perhaps to change it: copies of it are fetched anew. */
void fs_dax_used(struct fs_tree *tree, const struct fs_handle *handle);
void fs_dax_seen_free(struct fs_tree *tree);

/* A session of this service is over: so are its mappings. */
void fs_dax_end(const struct fs_config *config);

/* After a successful fsync: syncs the mappings where the front-end can, and answers the slot. */
void fs_dax_sync(struct fs_slot *slot);
