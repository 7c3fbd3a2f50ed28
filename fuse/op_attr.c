/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GETATTR and SETATTR.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/caller.h"
#include "fuse/cred.h"
#include "fuse/idmap.h"
#include "fuse/killpriv.h"
#include "fuse/place.h"
#include "fuse/walk.h"

#define NSEC_PER_SEC 1000000000u

static int stat_shown(const struct fs_tree *tree, int fd, struct statx *stx)
{
	int r = fs_stat_at(fd, "", stx);

	return r < 0 ? r : fs_owner_show(tree, fd, stx);
}

static int get_by_file(struct fs_slot *slot, uint64_t fh, struct statx *stx)
{
	CLEANUP_FILE struct fs_file file = {0};
	int r = fs_file_get(slot, slot->header.nodeid, fh, &file);

	return r < 0 ? r : stat_shown(file.tree, file.fd, stx);
}

static int get_by_node(struct fs_slot *slot, struct statx *stx)
{
	CLEANUP_NODE struct fs_node node = {0};
	int r = fs_node_get(slot, slot->header.nodeid, &node);

	return r < 0 ? r : stat_shown(node.tree, node.fd, stx);
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	const struct fuse_getattr_in *in = fs_slot_args(slot);
	struct fuse_attr_out out;
	struct statx stx;
	int r;

	if (in->getattr_flags & FUSE_GETATTR_FH)
		r = get_by_file(slot, in->fh, &stx);
	else
		r = get_by_node(slot, &stx);
	if (r == 0)
		fs_attr_out_fill(fs_tree_of(slot), &stx, &out);
	fs_answer(slot, r, &out, sizeof(out));
}

/*
 * Where files can have no owner but ours, a chown to the owner that is shown leaves it as it is,
 * whatever that one would be translated to.
 */
static int leave_shown(const struct fs_node *node, const struct fuse_setattr_in *in, uid_t *uid,
	gid_t *gid)
{
	const struct fs_config *config = &node->tree->config;
	uint32_t shown_uid, shown_gid;
	struct statx stx;
	int r;

	if (!config->one_uid && !config->one_gid)
		return 0;
	r = stat_shown(node->tree, node->fd, &stx);
	if (r < 0)
		return r;
	fs_owner_ids(node->tree, &stx, &shown_uid, &shown_gid);
	if (config->one_uid && in->valid & FATTR_UID && in->uid == shown_uid)
		*uid = stx.stx_uid;
	if (config->one_gid && in->valid & FATTR_GID && in->gid == shown_gid)
		*gid = stx.stx_gid;
	return 0;
}

static int set_owner(
	const struct fs_slot *slot, const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct fs_cred cred;
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
	int r;

	if (!(in->valid & (FATTR_UID | FATTR_GID)))
		return 0;
	/* Not an id, but "leave it as it is": that would be success without a change. */
	if ((in->valid & FATTR_UID && uid == (uid_t)-1) ||
		(in->valid & FATTR_GID && gid == (gid_t)-1))
		return -EINVAL;
	r = fs_ids_to_host(node->tree->config.ids, &uid, &gid);
	if (r == 0)
		r = leave_shown(node, in, &uid, &gid);
	if (r < 0)
		return r;
	/* The host's rules for one who is not root; unless nobody says who it is (ALLOW_IDMAP). */
	r = fs_kill_begin(
		slot, node->fd, fs_caller_is_user(slot) && fs_kill_agreed(slot), &cred);
	if (r < 0)
		return r;
	if (fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	fs_cred_leave(&cred);
	/* Of a user namespace that does not have the id: not permitted, like any other's. */
	return r == -EINVAL ? -EPERM : r;
}

/* What SETATTR may set; other bits of `valid` say how. */
#define FATTR_ALL                                                                                  \
	(FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME |             \
		FATTR_ATIME_NOW | FATTR_MTIME_NOW | FATTR_CTIME)

/*
 * A request for nothing is what chown(-1, -1) becomes: ctime moves, and setuid bits go if the
 * caller may change them, so it is done as the caller, if we are told who that is. Linux sends the
 * same ahead of a WRITE that kills the bits (KILLPRIV_V2): so it never fails for want of rights.
 */
static int set_nothing(const struct fs_slot *slot, const struct fs_node *node)
{
	struct fs_cred cred = {0};
	struct stat st;
	int r = fstat(node->fd, &st) < 0 ? -errno : 0;

	if (r == 0 && st.st_mode & (S_ISUID | S_ISGID)) {
		if (slot->header.uid == (uint32_t)-1 || slot->header.gid == (uint32_t)-1)
			return 0;
		r = fs_cred_enter(node->tree, slot->header.uid, slot->header.gid, &cred);
	}
	if (r < 0)
		return r;
	if (fchownat(node->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	fs_cred_leave(&cred);
	return r == -EPERM ? 0 : r;
}

static int set_mode(const struct fs_node *node, const struct fuse_setattr_in *in)
{
	if (!(in->valid & FATTR_MODE))
		return 0;
	/* Links have no mode of their own; by /proc the host would say the same. */
	if (node->inode->type == S_IFLNK)
		return -EOPNOTSUPP;
	if (fchmodat(node->tree->config.proc_fd, fs_fd_name(node->fd).text, in->mode & 07777, 0) <
		0)
		return -errno;
	return 0;
}

/*
 * ftruncate() through the guest's own open file, or else truncate() by the name that an fd has in
 * this thread's place: the former moves the times in any case, the latter on some file systems only
 * if the size changes. `fd` is the open file or -1.
 */
static int truncate_one(const struct fs_node *node, int fd, off_t size)
{
	int r = fd < 0 ? fs_place_take(node->tree) : 0;

	if (r < 0)
		return r;
	do {
		r = fd < 0 ? truncate(fs_fd_name(node->fd).text, size) : ftruncate(fd, size);
		r = r < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

/*
 * libfuse takes FATTR_FH out of the request, so whether there is an fh is what it made of it: `fh`
 * or NULL.
 */
static int set_size(struct fs_slot *slot, const struct fs_node *node,
	const struct fuse_setattr_in *in, const uint64_t *fh)
{
	CLEANUP_FILE struct fs_file file = {0};
	struct fs_cred cred;
	int r, fd = -1;

	if (!(in->valid & FATTR_SIZE))
		return 0;
	if (node->inode->type != S_IFREG)
		return node->inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (fh) {
		r = fs_file_get(slot, slot->header.nodeid, *fh, &file);
		if (r < 0)
			return r;
	}
	if (file.handle && (file.handle->flags & O_ACCMODE) != O_RDONLY)
		fd = file.fd;
	r = fs_kill_begin(
		slot, node->fd, fs_kill_wanted(slot, in->valid & FATTR_KILL_SUIDGID), &cred);
	if (r < 0)
		return r;
	r = truncate_one(node, fd, (off_t)in->size);
	fs_cred_leave(&cred);
	return r;
}

static int timespec_of(
	uint32_t valid, uint32_t now, uint64_t sec, uint32_t nsec, struct timespec *ts)
{
	if (valid & now) {
		ts->tv_nsec = UTIME_NOW;
		return 0;
	}
	/* Larger ones are UTIME_NOW and UTIME_OMIT. */
	if (nsec >= NSEC_PER_SEC)
		return -EINVAL;
	ts->tv_sec = (time_t)sec;
	ts->tv_nsec = nsec;
	return 0;
}

static int set_times(const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	int r = 0;

	if (in->valid & (FATTR_ATIME | FATTR_ATIME_NOW))
		r = timespec_of(in->valid, FATTR_ATIME_NOW, in->atime, in->atimensec, &ts[0]);
	if (r == 0 && in->valid & (FATTR_MTIME | FATTR_MTIME_NOW))
		r = timespec_of(in->valid, FATTR_MTIME_NOW, in->mtime, in->mtimensec, &ts[1]);
	if (r < 0 || (ts[0].tv_nsec == UTIME_OMIT && ts[1].tv_nsec == UTIME_OMIT))
		return r;
	return utimensat(node->fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* chown clears setuid and setgid bits, so the mode is set after it; truncation sets the times. */
static int set_attr(struct fs_slot *slot, const uint64_t *fh, struct statx *stx)
{
	CLEANUP_NODE struct fs_node node = {0};
	const struct fuse_setattr_in *in = fs_slot_args(slot);
	bool kept = false;
	int r = fs_may_change(slot);

	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &node);
	if (r == 0) {
		kept = fs_kept_applies(&node);
		r = kept ? fs_kept_set(&node, in) : set_owner(slot, &node, in);
	}
	if (r == 0)
		r = set_size(slot, &node, in, fh);
	if (r == 0 && !kept)
		r = set_mode(&node, in);
	if (r == 0)
		r = set_times(&node, in);
	if (r == 0 && !(in->valid & FATTR_ALL))
		r = set_nothing(slot, &node);
	return r < 0 ? r : stat_shown(node.tree, node.fd, stx);
}

void fs_op_setattr(
	fuse_req_t req, fuse_ino_t nodeid, struct stat *attr, int valid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_attr_out out;
	struct statx stx;
	int r = set_attr(slot, fi ? &fi->fh : NULL, &stx);

	if (r == 0)
		fs_attr_out_fill(fs_tree_of(slot), &stx, &out);
	fs_answer(slot, r, &out, sizeof(out));
}
