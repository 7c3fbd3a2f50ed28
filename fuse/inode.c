/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of inodes: nodeids, identities, references. No system calls here.
 *
 * Inodes live in chunks that are never freed before the tree is. A nodeid is generation << 32 |
 * index; index 0 is never used and the root is 1 with generation 0. A free inode has no
 * references: whoever looks one up by nodeid raises a count that is not zero and then compares the
 * nodeid, which is what makes stale ones harmless. An inode whose count fell to zero stays in the
 * hash until the one who let it fall takes the lock; lookups by identity pass over it meanwhile,
 * so that for a moment there may be a dead and a living inode of the same object.
 */
#include "fuse/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/refs.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

#define BUCKETS_MIN 1024

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

/* By number alone: the volume and the birth time differ rarely, and are compared anyway. */
static struct fs_inode **bucket_of(const struct fs_tree *tree, uint64_t ino)
{
	return &tree->buckets[mix(ino) & (tree->n_buckets - 1)];
}

/* Doubles the buckets. Without memory the chains get longer, nothing else. */
static void grow_buckets(struct fs_tree *tree)
{
	size_t i, n_old = tree->n_buckets;
	struct fs_inode **old = tree->buckets, *inode;
	struct fs_inode **fresh = calloc(n_old * 2, sizeof(struct fs_inode *));

	if (!fresh)
		return;
	tree->buckets = fresh;
	tree->n_buckets = n_old * 2;
	for (i = 0; i < n_old; i++) {
		while ((inode = old[i])) {
			struct fs_inode **bucket = bucket_of(tree, inode->ino);

			old[i] = inode->next;
			inode->next = *bucket;
			*bucket = inode;
		}
	}
	free(old);
}

static void push_free(struct fs_tree *tree, struct fs_inode *inode)
{
	inode->next = NULL;
	if (tree->free_tail)
		tree->free_tail->next = inode;
	else
		tree->free_head = inode;
	tree->free_tail = inode;
}

static int add_chunk(struct fs_tree *tree)
{
	struct fs_inode *chunk;
	uint32_t i;

	if (tree->n_chunks == FS_INODE_CHUNKS) {
		log_guest(
			"inodes", "the guest remembers %u inodes, the most it may", FS_INODES_MAX);
		return -ENFILE;
	}
	chunk = calloc(FS_INODE_CHUNK, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	for (i = 0; i < FS_INODE_CHUNK; i++) {
		chunk[i].index = (uint32_t)tree->n_chunks * FS_INODE_CHUNK + i;
		chunk[i].generation = tree->generation;
		chunk[i].fd = -1;
		if (chunk[i].index > FUSE_ROOT_ID)
			push_free(tree, &chunk[i]);
	}
	atomic_store_explicit(&tree->chunks[tree->n_chunks++], chunk, memory_order_release);
	return 0;
}

int fs_inodes_init(struct fs_tree *tree)
{
	int r;

	tree->chunks = calloc(FS_INODE_CHUNKS, sizeof(*tree->chunks));
	tree->buckets = calloc(BUCKETS_MIN, sizeof(struct fs_inode *));
	tree->n_buckets = BUCKETS_MIN;
	if (!tree->chunks || !tree->buckets)
		return -ENOMEM;
	r = add_chunk(tree);
	if (r < 0)
		return r;
	tree->root = &tree->chunks[0][FUSE_ROOT_ID];
	tree->root->type = S_IFDIR;
	atomic_store(&tree->root->nodeid, FUSE_ROOT_ID);
	atomic_store(&tree->root->refs, 1);
	return 0;
}

void fs_inodes_fini(struct fs_tree *tree)
{
	size_t i, j;

	for (i = 0; i < tree->n_chunks; i++) {
		struct fs_inode *chunk = tree->chunks[i];

		for (j = 0; j < FS_INODE_CHUNK; j++) {
			fd_close(&chunk[j].fd);
			free(chunk[j].fhandle);
			free(chunk[j].name);
		}
		free(chunk);
	}
	free(tree->chunks);
	free(tree->buckets);
}

struct fs_inode *fs_inode_get(struct fs_tree *tree, uint64_t nodeid)
{
	uint32_t index = (uint32_t)nodeid;
	struct fs_inode *chunk, *inode;

	if (index >= FS_INODES_MAX)
		return NULL;
	chunk = atomic_load_explicit(&tree->chunks[index / FS_INODE_CHUNK], memory_order_acquire);
	if (!chunk)
		return NULL;
	inode = &chunk[index % FS_INODE_CHUNK];
	if (!fs_refs_try(&inode->refs))
		return NULL;
	if (atomic_load_explicit(&inode->nodeid, memory_order_relaxed) != nodeid) {
		fs_inode_put(tree, inode);
		return NULL;
	}
	return inode;
}

struct fs_inode *fs_inode_ref(struct fs_inode *inode)
{
	atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
	return inode;
}

static void unhash(struct fs_tree *tree, struct fs_inode *inode)
{
	struct fs_inode **link = bucket_of(tree, inode->ino);

	while (*link != inode)
		link = &(*link)->next;
	*link = inode->next;
	tree->n_inodes--;
}

/* The last reference is gone. Returns the parent, whose reference falls with it. */
static struct fs_inode *bury(struct fs_tree *tree, struct fs_inode *inode)
{
	struct fs_inode *parent;
	struct file_handle *fhandle = inode->fhandle;
	struct fs_volume *volume;
	char *name;
	int fd;

	pthread_mutex_lock(&tree->lock);
	unhash(tree, inode);
	fd = fs_inode_fd_strip(tree, inode);
	parent = inode->parent;
	name = inode->name;
	inode->parent = NULL;
	inode->name = NULL;
	inode->fhandle = NULL;
	inode->nlookup = 0;
	volume = fs_volume_leave(tree, inode->volume);
	push_free(tree, inode);
	pthread_mutex_unlock(&tree->lock);
	fd_close(&fd);
	fs_volume_free(tree, volume);
	free(fhandle);
	free(name);
	return parent;
}

void fs_inode_put(struct fs_tree *tree, struct fs_inode *inode)
{
	while (inode && atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel) == 1)
		inode = bury(tree, inode);
}

static bool same(
	const struct fs_inode *inode, const struct fs_volume *volume, const struct fs_found *found)
{
	const struct statx *stx = &found->stx;

	if (inode->ino != stx->stx_ino || inode->volume != volume)
		return false;
	if (stx->stx_mask & STATX_BTIME && (inode->btime_sec != stx->stx_btime.tv_sec ||
		inode->btime_nsec != stx->stx_btime.tv_nsec))
		return false;
	if (inode->fhandle && found->fhandle)
		return fs_fhandle_equal(inode->fhandle, found->fhandle);
	return inode->type == (stx->stx_mode & S_IFMT);
}

struct fs_inode *fs_inode_find(struct fs_tree *tree, const struct fs_found *found)
{
	const struct fs_volume *volume = fs_volume_find(tree, &found->stx);
	struct fs_inode *inode = volume ? *bucket_of(tree, found->stx.stx_ino) : NULL;

	for (; inode; inode = inode->next) {
		if (same(inode, volume, found) && fs_refs_try(&inode->refs))
			return inode;
	}
	return NULL;
}

int fs_inode_add(struct fs_tree *tree, struct fs_volume *volume, const struct statx *stx,
	struct file_handle *fhandle, struct fs_inode **added)
{
	struct fs_inode *inode, **bucket;
	int r;

	if (!tree->free_head) {
		r = add_chunk(tree);
		if (r < 0) {
			free(fhandle);
			return r;
		}
	}
	inode = tree->free_head;
	tree->free_head = inode->next;
	if (!tree->free_head)
		tree->free_tail = NULL;
	if (tree->n_inodes >= tree->n_buckets)
		grow_buckets(tree);

	inode->volume = volume;
	volume->users++;
	inode->ino = stx->stx_ino;
	inode->btime_sec = stx->stx_mask & STATX_BTIME ? stx->stx_btime.tv_sec : 0;
	inode->btime_nsec = stx->stx_mask & STATX_BTIME ? stx->stx_btime.tv_nsec : 0;
	inode->type = stx->stx_mode & S_IFMT;
	inode->fhandle = fhandle;
	inode->young = false;
	atomic_store_explicit(&inode->copied, false, memory_order_relaxed);
	bucket = bucket_of(tree, inode->ino);
	inode->next = *bucket;
	*bucket = inode;
	tree->n_inodes++;
	/* A generation of zero is the root's alone. */
	if (++inode->generation == 0)
		inode->generation = 1;
	atomic_store_explicit(&inode->nodeid, (uint64_t)inode->generation << 32 | inode->index,
		memory_order_relaxed);
	atomic_store_explicit(&inode->refs, 1, memory_order_release);
	*added = inode;
	return 0;
}

void fs_inode_count(struct fs_inode *inode)
{
	if (inode->nlookup++ == 0)
		fs_inode_ref(inode);
}

void fs_inode_forget(struct fs_tree *tree, uint64_t nodeid, uint64_t n)
{
	struct fs_inode *inode = fs_inode_get(tree, nodeid);
	bool last = false;

	if (!inode)
		return;
	pthread_mutex_lock(&tree->lock);
	if (inode->nlookup) {
		inode->nlookup -= n < inode->nlookup ? n : inode->nlookup;
		last = inode->nlookup == 0;
	}
	pthread_mutex_unlock(&tree->lock);
	if (last)
		fs_inode_put(tree, inode);
	fs_inode_put(tree, inode);
}

/* True when `inode` is `parent` or above it, as far as we know: the host may have moved things. */
static bool is_above(const struct fs_inode *inode, const struct fs_inode *parent)
{
	for (; parent; parent = parent->parent) {
		if (parent == inode)
			return true;
	}
	return false;
}

struct fs_inode *fs_inode_place(
	struct fs_tree *tree, struct fs_inode *inode, struct fs_inode *parent, const char *name)
{
	struct fs_inode *former = inode->parent;
	char *copy;

	if (inode == tree->root || fs_inode_by_fhandle(inode))
		return NULL;
	if (former == parent && inode->name && !strcmp(inode->name, name))
		return NULL;
	if (inode->type == S_IFDIR && is_above(inode, parent))
		return NULL;
	copy = strdup(name);
	if (!copy)
		return NULL;
	free(inode->name);
	inode->name = copy;
	inode->parent = fs_inode_ref(parent);
	return former;
}
