/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the operations share.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "fuse/dax.h"
#include "fuse/owner.h"
#include "fuse/timeout.h"

/*
 * Flags of open() that a guest may set on the host. O_DIRECT and O_NOATIME are not among them, nor
 * is O_APPEND: each write says whether it appends.
 */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)

int fs_may_change(const struct fs_slot *slot)
{
	return fs_config_of(slot)->readonly ? -EROFS : 0;
}

int fs_node_get(const struct fs_slot *slot, uint64_t nodeid, struct fs_node *node)
{
	struct fs_tree *tree = fs_tree_of(slot);

	node->tree = tree;
	node->inode = fs_inode_get(tree, nodeid);
	if (!node->inode)
		return -ESTALE;
	node->fd = fs_inode_fd_get(tree, node->inode);
	if (node->fd >= 0)
		return 0;
	fs_inode_put(tree, node->inode);
	node->inode = NULL;
	return node->fd;
}

void fs_node_put(struct fs_node *node)
{
	if (!node->inode)
		return;
	fs_inode_fd_put(node->tree, node->inode);
	fs_inode_put(node->tree, node->inode);
	node->inode = NULL;
}

int fs_held_get(const struct fs_slot *slot, uint64_t nodeid, struct fs_held *held)
{
	held->tree = fs_tree_of(slot);
	held->inode = fs_inode_get(held->tree, nodeid);
	return held->inode ? 0 : -ESTALE;
}

void fs_held_put(struct fs_held *held)
{
	fs_inode_put(held->tree, held->inode);
	held->inode = NULL;
}

int fs_file_get(const struct fs_slot *slot, uint64_t nodeid, uint64_t fh, struct fs_file *file)
{
	file->tree = fs_tree_of(slot);
	file->handle = fs_handle_get(file->tree, fh, nodeid);
	if (!file->handle)
		return -EBADF;
	file->fd = file->handle->fd;
	return 0;
}

/* The host's kernel would say the same, but not where a file is opened again to write to it. */
int fs_file_get_writable(
	const struct fs_slot *slot, uint64_t nodeid, uint64_t fh, struct fs_file *file)
{
	int r = fs_file_get(slot, nodeid, fh, file);

	return r == 0 && (file->handle->flags & O_ACCMODE) == O_RDONLY ? -EBADF : r;
}

void fs_file_put(struct fs_file *file)
{
	if (file->handle)
		fs_dax_used(file->tree, file->handle);
	fs_handle_put(file->tree, file->handle);
	file->handle = NULL;
}

void fs_answer(struct fs_slot *slot, int r, const void *data, size_t size)
{
	if (r < 0)
		fs_reply_err(slot, r);
	else
		fs_reply_data(slot, data, size);
}

/* The kernel's "new" encoding of device numbers: what FUSE carries. */
static uint32_t encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void fs_attr_fill(struct fs_tree *tree, const struct statx *stx, struct fuse_attr *attr)
{
	uint32_t uid, gid;

	fs_dax_note(tree, stx);
	fs_owner_ids(tree, stx, &uid, &gid);
	*attr = (struct fuse_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = uid,
		.gid = gid,
		.rdev = encode_dev(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
		.flags = fs_dax_announces(tree, stx) ? FUSE_ATTR_DAX : 0,
	};
}

void fs_attr_out_fill(struct fs_tree *tree, const struct statx *stx, struct fuse_attr_out *out)
{
	struct fs_timeout valid = fs_timeout_attr(&tree->config, S_ISDIR(stx->stx_mode));

	*out = (struct fuse_attr_out){.attr_valid = valid.sec, .attr_valid_nsec = valid.nsec};
	fs_attr_fill(tree, stx, &out->attr);
}

void fs_entry_fill(struct fs_tree *tree, struct fs_entry *entry, struct fuse_entry_out *out)
{
	bool directory = S_ISDIR(entry->stx.stx_mode);
	struct fs_timeout attr = fs_timeout_attr(&tree->config, directory);
	struct fs_timeout name = fs_timeout_entry(&tree->config, directory);

	*out = (struct fuse_entry_out){
		.nodeid = entry->inode->nodeid,
		.entry_valid = name.sec,
		.entry_valid_nsec = name.nsec,
		.attr_valid = attr.sec,
		.attr_valid_nsec = attr.nsec,
	};
	fs_attr_fill(tree, &entry->stx, &out->attr);
	fs_inode_put(tree, entry->inode);
	entry->inode = NULL;
}

int fs_entry_look_up(struct fs_tree *tree, const struct fs_node *parent, const char *name,
	struct fuse_entry_out *out)
{
	struct fs_entry entry;
	int r = fs_tree_lookup(tree, parent->inode, parent->fd, name, &entry);
	bool root;

	if (r < 0)
		return r;
	/* Volumes differ by their mount too, so that bind mounts count. */
	root = tree->submounts && entry.inode->type == S_IFDIR &&
	       entry.inode->volume != parent->inode->volume;
	fs_entry_fill(tree, &entry, out);
	if (root)
		out->attr.flags |= FUSE_ATTR_SUBMOUNT;
	return 0;
}

/*
 * A guest with a write-back cache reads what lies around a write, also from a file that a program
 * opened for writing only.
 */
static int for_writeback(int flags)
{
	return (flags & O_ACCMODE) == O_WRONLY ? (flags & ~O_ACCMODE) | O_RDWR : flags;
}

int fs_open_flags(const struct fs_slot *slot, uint32_t guest, int *flags)
{
	const struct fs_features *features = &fs_config_of(slot)->features;
	int mask = OPEN_FLAGS;

	if (features->direct_io)
		mask |= O_DIRECT;
	if (features->noatime)
		mask |= O_NOATIME;
	*flags = (int)guest & mask;
	if ((*flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (slot->session->init_flags & FUSE_WRITEBACK_CACHE)
		*flags = for_writeback(*flags);
	return 0;
}

int fs_append_flag(const struct fs_slot *slot)
{
	const struct fuse_write_in *in = fs_slot_args(slot);

	if (slot->session->init_flags & FUSE_WRITEBACK_CACHE)
		return 0;
	return in->flags & O_APPEND && !(in->write_flags & FUSE_WRITE_CACHE) ? RWF_APPEND : 0;
}

uint32_t fs_open_answer(enum fs_cache cache, bool directory)
{
	switch (cache) {
	case FS_CACHE_NEVER:
		return directory ? 0 : FOPEN_DIRECT_IO;
	case FS_CACHE_METADATA:
		return directory ? FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE : FOPEN_DIRECT_IO;
	case FS_CACHE_ALWAYS:
		return directory ? FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE : FOPEN_KEEP_CACHE;
	case FS_CACHE_AUTO:
		break;
	}
	return 0;
}
