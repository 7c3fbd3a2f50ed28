/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOOKUP, FORGET, READLINK: names to inodes, and inodes to nothing.
 */
#include "fuse/op.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "fuse/timeout.h"

/* That there is nothing by this name, if the guest may remember it: an entry with no nodeid. */
static int not_there(const struct fs_config *config, struct fuse_entry_out *out)
{
	struct fs_timeout valid = fs_timeout_negative(config);

	if (!valid.sec && !valid.nsec)
		return -ENOENT;
	*out = (struct fuse_entry_out){.entry_valid = valid.sec, .entry_valid_nsec = valid.nsec};
	return 0;
}

static int look_up(struct fs_slot *slot, const char *name, struct fuse_entry_out *out)
{
	CLEANUP_NODE struct fs_node parent = {0};
	int r = fs_node_get(slot, slot->header.nodeid, &parent);

	if (r == 0)
		r = fs_entry_look_up(parent.tree, &parent, name, out);
	return r == -ENOENT ? not_there(fs_config_of(slot), out) : r;
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_entry_out out;
	int r = look_up(slot, name, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

void fs_op_forget(fuse_req_t req, fuse_ino_t nodeid, uint64_t n)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_inode_forget(fs_tree_of(slot), nodeid, n);
	fs_reply_none(slot);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs_slot *slot = fs_slot_claim(req);
	size_t i;

	for (i = 0; i < count; i++)
		fs_inode_forget(fs_tree_of(slot), forgets[i].ino, forgets[i].nlookup);
	fs_reply_none(slot);
}

static int read_link(struct fs_slot *slot, char *target, size_t *len)
{
	CLEANUP_NODE struct fs_node node = {0};
	int r = fs_node_get(slot, slot->header.nodeid, &node);
	ssize_t n;

	if (r < 0)
		return r;
	if (node.inode->type != S_IFLNK)
		return -EINVAL;
	n = readlinkat(node.fd, "", target, PATH_MAX);
	if (n < 0)
		return -errno;
	*len = (size_t)n;
	return 0;
}

void fs_op_readlink(fuse_req_t req, fuse_ino_t nodeid)
{
	struct fs_slot *slot = fs_slot_claim(req);
	char target[PATH_MAX];
	size_t len = 0;
	int r = read_link(slot, target, &len);

	fs_answer(slot, r, target, len);
}
