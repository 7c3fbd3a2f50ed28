/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of open files: fhs are generation << 32 | index + 1.
 *
 * Same discipline as inode.c: chunks that outlive their handles, a reference first and the fh
 * compared then. RELEASE clears the fh, so that it happens once, and drops the table's reference.
 */
#include "fuse/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/inode.h"
#include "fuse/refs.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

struct fs_handles {
	_Atomic(struct fs_handle *) chunks[FS_HANDLE_CHUNKS]; /* read with no lock */
	/* tree->lock. */
	size_t n_chunks;
	struct fs_handle *free_head, *free_tail;
};

static void push_free(struct fs_handles *table, struct fs_handle *handle)
{
	handle->next = NULL;
	if (table->free_tail)
		table->free_tail->next = handle;
	else
		table->free_head = handle;
	table->free_tail = handle;
}

static int add_chunk(struct fs_tree *tree)
{
	struct fs_handles *table = tree->handles;
	struct fs_handle *chunk;
	uint32_t i;

	if (table->n_chunks == FS_HANDLE_CHUNKS)
		return -ENFILE;
	chunk = calloc(FS_HANDLE_CHUNK, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	for (i = 0; i < FS_HANDLE_CHUNK; i++) {
		chunk[i].index = (uint32_t)table->n_chunks * FS_HANDLE_CHUNK + i;
		chunk[i].generation = tree->generation;
		chunk[i].fd = -1;
		pthread_mutex_init(&chunk[i].dir_lock, NULL);
		push_free(table, &chunk[i]);
	}
	atomic_store_explicit(&table->chunks[table->n_chunks++], chunk, memory_order_release);
	return 0;
}

int fs_handles_init(struct fs_tree *tree)
{
	tree->handles = calloc(1, sizeof(*tree->handles));
	return tree->handles ? 0 : -ENOMEM;
}

void fs_handles_fini(struct fs_tree *tree)
{
	struct fs_handles *table = tree->handles;
	size_t i, j;

	if (!table)
		return;
	for (i = 0; i < table->n_chunks; i++) {
		struct fs_handle *chunk = table->chunks[i];

		for (j = 0; j < FS_HANDLE_CHUNK; j++) {
			fd_close(&chunk[j].fd);
			free(chunk[j].dirbuf);
			pthread_mutex_destroy(&chunk[j].dir_lock);
		}
		free(chunk);
	}
	free(table);
}

bool fs_handles_any(const struct fs_tree *tree)
{
	const struct fs_handles *table = tree->handles;
	size_t i, j;

	for (i = 0; table && i < table->n_chunks; i++) {
		const struct fs_handle *chunk = table->chunks[i];

		for (j = 0; j < FS_HANDLE_CHUNK; j++)
			if (chunk[j].fd >= 0)
				return true;
	}
	return false;
}

/* tree->lock held. A free slot, or NULL and *error. */
static struct fs_handle *take_free(struct fs_tree *tree, int *error)
{
	struct fs_handles *table = tree->handles;
	struct fs_handle *handle;

	*error = table->free_head ? 0 : add_chunk(tree);
	if (*error < 0)
		return NULL;
	handle = table->free_head;
	table->free_head = handle->next;
	if (!table->free_head)
		table->free_tail = NULL;
	return handle;
}

int fs_handle_add(struct fs_tree *tree, struct fs_inode *inode, int fd, int flags, uint64_t *fh)
{
	struct fs_handle *handle;
	int r;

	pthread_mutex_lock(&tree->lock);
	handle = take_free(tree, &r);
	if (handle) {
		handle->inode = fs_inode_ref(inode);
		handle->fd = fd;
		handle->flags = flags;
		handle->dir_offset = 0;
		handle->dir_begun = false;
		handle->prev = NULL;
		handle->next = inode->handles;
		if (inode->handles)
			inode->handles->prev = handle;
		inode->handles = handle;
		*fh = (uint64_t)++handle->generation << 32 | (handle->index + 1);
		atomic_store_explicit(&handle->fh, *fh, memory_order_relaxed);
		atomic_store_explicit(&handle->refs, 1, memory_order_release);
	}
	pthread_mutex_unlock(&tree->lock);
	if (!handle) {
		close(fd);
		fs_fds_release(tree, FS_FD_LASTING);
	}
	return r;
}

int fs_handle_open(struct fs_tree *tree, struct fs_inode *inode, int flags, uint64_t *fh)
{
	int fd, r = fs_fds_reserve(tree, FS_FD_LASTING);

	if (r < 0)
		return r;
	fd = fs_inode_open(tree, inode, flags);
	if (fd < 0) {
		fs_fds_release(tree, FS_FD_LASTING);
		return fd;
	}
	return fs_handle_add(tree, inode, fd, flags, fh);
}

struct fs_handle *fs_handle_get(struct fs_tree *tree, uint64_t fh, uint64_t nodeid)
{
	uint32_t index = (uint32_t)fh - 1;
	struct fs_handle *chunk, *handle;

	if (index >= FS_HANDLES_MAX)
		return NULL;
	chunk = atomic_load_explicit(
		&tree->handles->chunks[index / FS_HANDLE_CHUNK], memory_order_acquire);
	if (!chunk)
		return NULL;
	handle = &chunk[index % FS_HANDLE_CHUNK];
	if (!fs_refs_try(&handle->refs))
		return NULL;
	if (atomic_load_explicit(&handle->fh, memory_order_relaxed) != fh ||
		atomic_load_explicit(&handle->inode->nodeid, memory_order_relaxed) != nodeid) {
		fs_handle_put(tree, handle);
		return NULL;
	}
	return handle;
}

static void bury(struct fs_tree *tree, struct fs_handle *handle)
{
	struct fs_inode *inode = handle->inode;
	struct fs_dirbuf *dirbuf = handle->dirbuf;
	int fd;

	pthread_mutex_lock(&tree->lock);
	if (handle->prev)
		handle->prev->next = handle->next;
	else
		inode->handles = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	fd = fd_steal(&handle->fd);
	handle->dirbuf = NULL;
	tree->dirbufs -= dirbuf != NULL;
	push_free(tree->handles, handle);
	pthread_mutex_unlock(&tree->lock);
	close(fd);
	fs_fds_release(tree, FS_FD_LASTING);
	free(dirbuf);
	fs_inode_put(tree, inode);
}

void fs_handle_put(struct fs_tree *tree, struct fs_handle *handle)
{
	if (handle && atomic_fetch_sub_explicit(&handle->refs, 1, memory_order_acq_rel) == 1)
		bury(tree, handle);
}

int fs_handle_release(struct fs_tree *tree, uint64_t fh, uint64_t nodeid)
{
	struct fs_handle *handle = fs_handle_get(tree, fh, nodeid);
	bool ours;

	if (!handle)
		return -EBADF;
	ours = atomic_compare_exchange_strong_explicit(
		&handle->fh, &fh, 0, memory_order_relaxed, memory_order_relaxed);
	if (ours)
		fs_handle_put(tree, handle);
	fs_handle_put(tree, handle);
	return ours ? 0 : -EBADF;
}

struct fs_handle *fs_handle_of(struct fs_inode *inode)
{
	struct fs_handle *handle;

	for (handle = inode->handles; handle; handle = handle->next) {
		if (fs_refs_try(&handle->refs))
			return handle;
	}
	return NULL;
}
