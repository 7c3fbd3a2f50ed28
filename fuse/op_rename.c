/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UNLINK, RMDIR, RENAME, RENAME2: names that go or move.
 *
 * What loses its name may live on in the guest: by an open file, or just by its nodeid (a working
 * directory, an O_PATH file). So its fd is taken before, and kept when the name was the last way.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuse/cred.h"

#define RENAME_FLAGS ((unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))

static int remove_name(struct fs_slot *slot, const char *name, int flags)
{
	CLEANUP_NODE struct fs_node parent = {0};
	struct fs_loss loss;
	int r = fs_may_change(slot);

	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &parent);
	if (r < 0)
		return r;
	loss = fs_tree_lose(parent.tree, parent.fd, name);
	r = unlinkat(parent.fd, name, flags) < 0 ? -errno : 0;
	fs_tree_lost(parent.tree, &loss, parent.inode, name, r == 0);
	return r;
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_reply_err(slot, remove_name(slot, name, 0));
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_reply_err(slot, remove_name(slot, name, AT_REMOVEDIR));
}

/* A whiteout is a new file, which belongs to the caller. */
static int rename_as(const struct fs_slot *slot, const struct fs_node *from, const char *name,
	const struct fs_node *to, const char *new_name, unsigned int flags)
{
	struct fs_cred cred = {0};
	int r = 0;

	if (flags & RENAME_WHITEOUT) /* Linux says who calls, as for other creations */
		r = fs_cred_enter(from->tree, slot->header.uid, slot->header.gid, &cred);
	if (r < 0)
		return r;
	r = renameat2(from->fd, name, to->fd, new_name, flags) < 0 ? -errno : 0;
	fs_cred_leave(&cred);
	return r;
}

static int rename_between(const struct fs_slot *slot, const struct fs_node *from, const char *name,
	const struct fs_node *to, const char *new_name, unsigned int flags)
{
	struct fs_loss loss = {0};
	int r;

	if (!(flags & (RENAME_EXCHANGE | RENAME_NOREPLACE)))
		loss = fs_tree_lose(to->tree, to->fd, new_name);
	r = rename_as(slot, from, name, to, new_name, flags);
	fs_tree_lost(to->tree, &loss, to->inode, new_name, r == 0);
	if (r < 0)
		return r;
	fs_tree_moved(to->tree, to->inode, to->fd, new_name);
	if (flags & RENAME_EXCHANGE)
		fs_tree_moved(from->tree, from->inode, from->fd, name);
	return 0;
}

static int rename_nodes(struct fs_slot *slot, uint64_t new_parent, const char *name,
	const char *new_name, unsigned int flags)
{
	CLEANUP_NODE struct fs_node from = {0};
	CLEANUP_NODE struct fs_node to = {0};
	int r = flags & ~RENAME_FLAGS ? -EINVAL : fs_may_change(slot);

	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &from);
	if (r == 0)
		r = fs_node_get(slot, new_parent, &to);
	return r < 0 ? r : rename_between(slot, &from, name, &to, new_name, flags);
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned int flags)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_reply_err(slot, rename_nodes(slot, new_parent, name, new_name, flags));
}
