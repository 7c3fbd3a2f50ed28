/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * STATX: attributes with the birth time, for guests from 6.6 on. libfuse carries it from 3.18 only.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/dax.h"
#include "fuse/owner.h"
#include "fuse/timeout.h"
#include "fuse/wire.h"

/* What the guest's file system is asked for, and what the host's attributes mean there too. */
#define MASK (STATX_BASIC_STATS | STATX_BTIME)
#define ATTRIBUTES                                                                                 \
	(STATX_ATTR_COMPRESSED | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |    \
		STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY)

static struct fs_sx_time time_of(const struct statx_timestamp *host)
{
	return (struct fs_sx_time){.tv_sec = host->tv_sec, .tv_nsec = host->tv_nsec};
}

static void fill(struct fs_tree *tree, const struct statx *stx, struct fs_statx_out *out)
{
	struct fs_timeout valid = fs_timeout_attr(&tree->config, S_ISDIR(stx->stx_mode));
	uint32_t uid, gid;

	fs_dax_note(tree, stx);
	fs_owner_ids(tree, stx, &uid, &gid);
	*out = (struct fs_statx_out){.attr_valid = valid.sec, .attr_valid_nsec = valid.nsec};
	out->stat = (struct fs_statx){
		.mask = stx->stx_mask & MASK,
		.blksize = stx->stx_blksize,
		.attributes = stx->stx_attributes & ATTRIBUTES,
		.nlink = stx->stx_nlink,
		.uid = uid,
		.gid = gid,
		.mode = stx->stx_mode,
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.attributes_mask = stx->stx_attributes_mask & ATTRIBUTES,
		.atime = time_of(&stx->stx_atime),
		.btime = time_of(&stx->stx_btime),
		.ctime = time_of(&stx->stx_ctime),
		.mtime = time_of(&stx->stx_mtime),
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
		.dev_major = stx->stx_dev_major,
		.dev_minor = stx->stx_dev_minor,
	};
}

/* Whether the host may answer from its own cache is the guest's caller's wish. */
static int stat_fd(
	const struct fs_tree *tree, int fd, const struct fs_statx_in *in, struct statx *stx)
{
	int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | (int)(in->sx_flags & AT_STATX_SYNC_TYPE);
	int r;

	if ((in->sx_flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	do {
		r = statx(fd, "", flags, MASK, stx) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r < 0 ? r : fs_owner_show(tree, fd, stx);
}

static int stat_node(struct fs_slot *slot, const struct fs_statx_in *in, struct statx *stx)
{
	CLEANUP_NODE struct fs_node node = {0};
	CLEANUP_FILE struct fs_file file = {0};
	int r;

	if (in->getattr_flags & FUSE_GETATTR_FH) {
		r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
		return r < 0 ? r : stat_fd(file.tree, file.fd, in, stx);
	}
	r = fs_node_get(slot, slot->header.nodeid, &node);
	return r < 0 ? r : stat_fd(node.tree, node.fd, in, stx);
}

void fs_op_statx(struct fs_slot *slot)
{
	const struct fs_statx_in *in = fs_slot_args(slot);
	struct fs_statx_out out;
	struct statx stx;
	int r = stat_node(slot, in, &stx);

	if (r == 0)
		fill(fs_tree_of(slot), &stx, &out);
	fs_answer(slot, r, &out, sizeof(out));
}
