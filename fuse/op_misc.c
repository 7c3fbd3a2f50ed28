/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * STATFS, ACCESS, FALLOCATE, LSEEK, COPY_FILE_RANGE (_64), SYNCFS.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fuse/killpriv.h"
#include "fuse/walk.h"
#include "fuse/wire.h"
#include "vhostuser/checked.h"

/* What the protocol's flags mean on every host; which of them work is for its file system. */
#define FALLOC_FLAGS                                                                               \
	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |                       \
		FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE)

/*
 * An answer's count has 32 bits; this is also the most that Linux copies in one call, unless it
 * shares the blocks of both files.
 */
#define COPY_MAX 0x7ffff000u
/* And with 64 bits: bounded so that offsets do not wrap in the host's sums. */
#define COPY_MAX_64 (UINT64_C(1) << 40)

static int stat_fs(struct fs_slot *slot, struct fuse_statfs_out *out)
{
	CLEANUP_NODE struct fs_node node = {0};
	struct statfs st;
	int r = fs_node_get(slot, slot->header.nodeid, &node);

	if (r < 0)
		return r;
	do {
		r = fstatfs(node.fd, &st) < 0 ? -errno : 0;
	} while (r == -EINTR);
	if (r < 0)
		return r;
	out->st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namelen,
		.frsize = (uint32_t)st.f_frsize,
	};
	return 0;
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t nodeid)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_statfs_out out;
	int r = stat_fs(slot, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

/* The permission bits that apply to this user of the guest's, as R_OK | W_OK | X_OK. */
static int bits_for(
	const struct fs_tree *tree, const struct statx *stx, uid_t uid, gid_t gid)
{
	uint32_t owner, group;

	fs_owner_ids(tree, stx, &owner, &group);
	if (uid == 0)
		return R_OK | W_OK | (S_ISDIR(stx->stx_mode) || stx->stx_mode & 0111 ? X_OK : 0);
	if (uid == owner)
		return stx->stx_mode >> 6 & 7;
	return stx->stx_mode >> (gid == group ? 3 : 0) & 7;
}

/* Guests check permissions themselves; the few that ask get what the mode says. */
static int access_node(struct fs_slot *slot, int mask)
{
	CLEANUP_NODE struct fs_node node = {0};
	struct statx stx;
	int r = mask & ~(R_OK | W_OK | X_OK) ? -EINVAL
					     : fs_node_get(slot, slot->header.nodeid, &node);

	if (r == 0)
		r = fs_stat_at(node.fd, "", &stx);
	if (r == 0)
		r = fs_owner_show(node.tree, node.fd, &stx);
	if (r < 0)
		return r;
	if (mask & ~bits_for(node.tree, &stx, slot->header.uid, slot->header.gid))
		return -EACCES;
	return mask & W_OK ? fs_may_change(slot) : 0;
}

void fs_op_access(fuse_req_t req, fuse_ino_t nodeid, int mask)
{
	struct fs_slot *slot = fs_slot_claim(req);
	const struct fuse_access_in *in = fs_slot_args(slot);

	fs_reply_err(slot, access_node(slot, (int)in->mask));
}

static int allocate(struct fs_slot *slot)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_fallocate_in *in = fs_slot_args(slot);
	struct fs_cred cred;
	int r = in->mode & ~(unsigned int)FALLOC_FLAGS ? -EOPNOTSUPP : fs_may_change(slot);

	if (r == 0)
		r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	if (r == 0)
		r = fs_kill_begin(slot, file.fd, fs_kill_agreed(slot), &cred);
	if (r < 0)
		return r;
	do {
		r = fallocate(file.fd, (int)in->mode, (off_t)in->offset, (off_t)in->length);
		r = r < 0 ? -errno : 0;
	} while (r == -EINTR);
	fs_cred_leave(&cred);
	return r;
}

/* Always on a thread that may block (shape.h), as COPY_FILE_RANGE and SYNCFS. */
void fs_op_fallocate(fuse_req_t req, fuse_ino_t nodeid, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_reply_err(slot, allocate(slot));
}

/* Only what needs the host: the guest knows the size. A directory's position is not the guest's. */
static int seek(struct fs_slot *slot, struct fuse_lseek_out *out)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_lseek_in *in = fs_slot_args(slot);
	int r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	off_t offset;

	if (r < 0)
		return r;
	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) ||
		file.handle->inode->type != S_IFREG)
		return -EINVAL;
	offset = lseek(file.fd, (off_t)in->offset, (int)in->whence);
	if (offset < 0)
		return -errno;
	out->offset = (uint64_t)offset;
	return 0;
}

void fs_op_lseek(
	fuse_req_t req, fuse_ino_t nodeid, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_lseek_out out;
	int r = seek(slot, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

static int copy_range(struct fs_slot *slot, uint64_t most, uint64_t *copied)
{
	CLEANUP_FILE struct fs_file from = {0};
	CLEANUP_FILE struct fs_file to = {0};
	const struct fuse_copy_file_range_in *in = fs_slot_args(slot);
	off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
	int r = in->flags ? -EINVAL : fs_file_get(slot, slot->header.nodeid, in->fh_in, &from);
	struct fs_cred cred;
	ssize_t n;

	if (r == 0)
		r = fs_file_get(slot, in->nodeid_out, in->fh_out, &to);
	if (r == 0)
		r = fs_kill_begin(slot, to.fd, fs_kill_agreed(slot), &cred);
	if (r < 0)
		return r;
	do {
		n = copy_file_range(from.fd, &off_in, to.fd, &off_out,
			(size_t)MIN(in->len, most), 0);
	} while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : 0;
	fs_cred_leave(&cred);
	if (r < 0)
		return r;
	*copied = (uint64_t)n;
	return 0;
}

void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t nodeid, off_t offset,
	struct fuse_file_info *fi, fuse_ino_t nodeid_out, off_t offset_out,
	struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_write_out out = {0};
	uint64_t copied = 0;
	int r = copy_range(slot, COPY_MAX, &copied);

	out.size = (uint32_t)copied;
	fs_answer(slot, r, &out, sizeof(out));
}

/* The same with more bits in the answer. */
void fs_op_copy_file_range_64(struct fs_slot *slot)
{
	struct fs_copy_out out = {0};
	uint64_t copied = 0;
	int r = copy_range(slot, COPY_MAX_64, &copied);

	out.bytes_copied = copied;
	fs_answer(slot, r, &out, sizeof(out));
}

static int sync_volume(const struct fs_volume *volume)
{
	int r = volume->error;

	if (volume->fd >= 0) {
		do {
			r = syncfs(volume->fd) < 0 ? -errno : 0;
		} while (r == -EINTR);
	}
	/* Where there is no data, there is nothing to sync. */
	return r == -ENOTSUP ? 0 : r;
}

/* The guest that is told of no submounts sees one file system: all volumes are synced. */
static int sync_volumes(struct fs_tree *tree)
{
	struct fs_volume *volume = NULL;
	int r = 0;

	while ((volume = fs_volume_next(tree, volume))) {
		int error = sync_volume(volume);

		r = r == 0 ? error : r;
	}
	return r;
}

void fs_op_syncfs(struct fs_slot *slot)
{
	CLEANUP_HELD struct fs_held held = {0};
	int r = fs_held_get(slot, slot->header.nodeid, &held);

	if (r == 0)
		r = held.tree->submounts ? sync_volume(held.inode->volume)
					 : sync_volumes(held.tree);
	fs_held_put(&held);
	fs_reply_err(slot, r);
}
