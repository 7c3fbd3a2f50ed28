/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TMPFILE: an open file without a name, in the file system of a directory (O_TMPFILE).
 *
 * The guest may give it a name later, by LINK, also after it closed the file but remembers the
 * inode. No name and, on some file systems, no file handle leads back to it: so its O_PATH fd stays
 * open for as long as the guest remembers it, if there is room for one more that lasts.
 *
 * The guest's kernel keeps the name that it sent ("/") as that of its entry, and overlayfs goes on
 * using that entry after it gave the file a name: when its time is over, the kernel would ask for
 * the file by that name, which nobody can answer. So its time is never over.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fuse/caller.h"
#include "fuse/walk.h"
#include "fuse/xattr.h"
#include "vhostuser/fd.h"

/* With O_EXCL it can never be given a name: the host is to keep that too. */
static int open_tmpfile(const struct fs_node *dir, const struct fuse_create_in *in, int flags,
	mode_t mode)
{
	return fs_open_beneath(dir->fd, ".", flags | O_TMPFILE | (int)(in->flags & O_EXCL), mode);
}

/* Where owners are kept in an attribute. The fd that wrote it is not the one that was asked for. */
static int make_kept(struct fs_slot *slot, const struct fs_node *dir,
	const struct fuse_create_in *in, int flags)
{
	CLEANUP_FD int fd = -1;
	struct fs_owner owner;
	int r = fs_kept_mode(slot, dir, S_IFREG | (in->mode & 07777), in->umask);

	if (r >= 0)
		r = fs_kept_owner(slot, dir->tree, (mode_t)r, 0, &owner);
	if (r < 0)
		return r;
	fd = open_tmpfile(dir, in, O_RDWR, fs_owner_host_mode(owner.mode));
	r = fd < 0 ? fd : fs_kept_note(slot, dir, fd, &owner);
	return r < 0 ? r : fs_reopen(dir->tree->config.proc_fd, fd, flags);
}

static int make_new(struct fs_slot *slot, const struct fs_node *dir,
	const struct fuse_create_in *in, int flags)
{
	struct fs_caller caller;
	int fd, r = fs_caller_enter(slot, in->umask, &caller);

	if (r < 0)
		return r;
	fd = open_tmpfile(dir, in, flags, in->mode & 07777);
	fs_caller_leave(&caller);
	return fd;
}

/* An fd of the new file, or -errno. The name that the guest sends ("/") means nothing. */
static int make(struct fs_slot *slot, const struct fs_node *dir, const struct fuse_create_in *in,
	int flags)
{
	int r, fd = dir->tree->config.owner_xattr ? make_kept(slot, dir, in, flags)
						  : make_new(slot, dir, in, flags);

	r = fd < 0 ? fd : fs_labels_set(slot, dir->tree, fd);
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

static void keep(struct fs_tree *tree, struct fs_inode *inode)
{
	if (fs_inode_fd_get(tree, inode) >= 0 && !fs_inode_fd_stick(tree, inode))
		fs_inode_fd_put(tree, inode);
}

/* The open file and its inode, registered. `fd` and its room are consumed. */
static int enter(struct fs_tree *tree, int fd, int flags, struct fs_created *out)
{
	struct fs_entry entry;
	struct fs_inode *inode;
	int r = fs_tree_enter_nameless(tree, fd, &entry);

	if (r < 0) {
		fd_close(&fd);
		fs_fds_release(tree, FS_FD_LASTING);
		return r;
	}
	inode = fs_inode_ref(entry.inode);
	r = fs_created_add(tree, &entry, fd, flags, out);
	if (r == 0)
		keep(tree, inode);
	fs_inode_put(tree, inode);
	return r;
}

static int make_nameless(struct fs_slot *slot, struct fs_created *out)
{
	CLEANUP_NODE struct fs_node dir = {0};
	const struct fuse_create_in *in = fs_slot_args(slot);
	int fd, flags, r = fs_open_flags(slot, in->flags, &flags);

	if (r == 0 && (flags & O_ACCMODE) == O_RDONLY)
		r = -EINVAL;
	if (r == 0)
		r = fs_may_change(slot);
	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &dir);
	if (r == 0 && dir.inode->type != S_IFDIR)
		r = -ENOTDIR;
	if (r == 0)
		r = fs_fds_reserve(dir.tree, FS_FD_LASTING);
	if (r < 0)
		return r;
	fd = make(slot, &dir, in, flags);
	if (fd < 0) {
		fs_fds_release(dir.tree, FS_FD_LASTING);
		return fd;
	}
	return enter(dir.tree, fd, flags, out);
}

void fs_op_tmpfile(struct fs_slot *slot)
{
	struct fs_created out = {0};
	int r = make_nameless(slot, &out);

	out.entry.entry_valid = UINT32_MAX;
	out.entry.entry_valid_nsec = 0;
	fs_answer(slot, r, &out, sizeof(out));
}
