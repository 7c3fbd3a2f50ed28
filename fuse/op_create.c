/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MKNOD, MKDIR, SYMLINK, LINK, CREATE: new names. Files are created as the guest's caller, with
 * the mode it sent: the guest's kernel has applied the umask, or sends it, where ACLs are agreed on
 * (FUSE_DONT_MASK), for the host's kernel to apply unless there is a default ACL.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fuse/caller.h"
#include "fuse/cred.h"
#include "fuse/killpriv.h"
#include "fuse/walk.h"
#include "fuse/xattr.h"
#include "vhostuser/fd.h"

/* What is to be made: S_IFDIR and S_IFLNK beside mknod's own types. */
struct making {
	const char *name;
	mode_t mode;
	dev_t rdev;
	mode_t umask;
	const char *target;
};

/* Labels what was just made as parent/name and is open as `fd`; without them it must not stay. */
static int label(const struct fs_slot *slot, const struct fs_node *parent, const char *name, int fd)
{
	struct statx made, there;
	int r = fs_labels_set(slot, parent->tree, fd);

	/* Unless the host has put something else in its place. */
	if (r < 0 && fs_stat_at(fd, "", &made) == 0 && fs_stat_at(parent->fd, name, &there) == 0 &&
		made.stx_ino == there.stx_ino && fs_stat_dev(&made) == fs_stat_dev(&there))
		(void)unlinkat(parent->fd, name, S_ISDIR(made.stx_mode) ? AT_REMOVEDIR : 0);
	return r;
}

static int label_by_name(const struct fs_slot *slot, const struct fs_node *parent, const char *name)
{
	CLEANUP_FD int fd = -1;

	if (!fs_labels_any(slot))
		return 0;
	fd = fs_open_beneath(parent->fd, name, O_PATH, 0);
	return fd < 0 ? fd : label(slot, parent, name, fd);
}

/* The kernel's "new" encoding of device numbers: what FUSE carries. */
static dev_t decode_dev(uint32_t dev)
{
	return makedev((dev & 0xfff00) >> 8, (dev & 0xff) | (dev >> 12 & 0xfff00));
}

static int make_one(int dirfd, const struct making *what)
{
	int r;

	if (S_ISDIR(what->mode))
		r = mkdirat(dirfd, what->name, what->mode & 07777);
	else if (S_ISLNK(what->mode))
		r = symlinkat(what->target, dirfd, what->name);
	else
		r = mknodat(dirfd, what->name, what->mode, what->rdev);
	return r < 0 ? -errno : 0;
}

static int make(
	struct fs_slot *slot, uint64_t dir, const struct making *what, struct fuse_entry_out *out)
{
	CLEANUP_NODE struct fs_node parent = {0};
	struct fs_caller caller;
	int r = fs_may_change(slot);

	if (r == 0)
		r = fs_node_get(slot, dir, &parent);
	if (r < 0)
		return r;
	if (parent.tree->config.owner_xattr && !S_ISLNK(what->mode)) {
		r = fs_kept_mode(slot, &parent, what->mode, what->umask);
		if (r >= 0)
			r = fs_kept_make(
				slot, &parent, what->name, (mode_t)r, what->rdev, NULL);
	} else {
		r = fs_caller_enter(slot, what->umask, &caller);
		if (r < 0)
			return r;
		r = make_one(parent.fd, what);
		fs_caller_leave(&caller);
	}
	if (r == 0)
		r = label_by_name(slot, &parent, what->name);
	return r < 0 ? r : fs_entry_look_up(parent.tree, &parent, what->name, out);
}

static void answer_making(struct fs_slot *slot, const struct making *what)
{
	struct fuse_entry_out out;
	int r = make(slot, slot->header.nodeid, what, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_slot *slot = fs_slot_claim(req);
	const struct fuse_mknod_in *in = fs_slot_args(slot);
	struct making what = {
		.name = name, .mode = in->mode, .rdev = decode_dev(in->rdev), .umask = in->umask};

	/* These two are not mknod's: the host would refuse them, but make() would not. */
	if (S_ISDIR(in->mode) || S_ISLNK(in->mode))
		fs_reply_err(slot, -EINVAL);
	else
		answer_making(slot, &what);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_slot *slot = fs_slot_claim(req);
	const struct fuse_mkdir_in *in = fs_slot_args(slot);
	struct making what = {
		.name = name, .mode = S_IFDIR | (in->mode & 07777), .umask = in->umask};

	answer_making(slot, &what);
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct making what = {.name = name, .mode = S_IFLNK, .target = target};

	answer_making(slot, &what);
}

/* By /proc/self/fd, since linking an fd itself (AT_EMPTY_PATH) is a privilege. */
static int link_node(
	struct fs_slot *slot, uint64_t nodeid, const char *name, struct fuse_entry_out *out)
{
	CLEANUP_NODE struct fs_node parent = {0};
	CLEANUP_NODE struct fs_node node = {0};
	int r = fs_may_change(slot);

	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &parent);
	if (r == 0)
		r = fs_node_get(slot, nodeid, &node);
	if (r < 0)
		return r;
	if (linkat(node.tree->config.proc_fd, fs_fd_name(node.fd).text, parent.fd, name,
		    AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return fs_entry_look_up(parent.tree, &parent, name, out);
}

void fs_op_link(fuse_req_t req, fuse_ino_t nodeid, fuse_ino_t parent, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);
	const struct fuse_link_in *in = fs_slot_args(slot);
	struct fuse_entry_out out;
	int r = link_node(slot, in->oldnodeid, name, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

/* The fd that wrote the attribute is for reading and writing: the guest gets one as it asked. */
static int create_kept(struct fs_slot *slot, const struct fs_node *parent, const char *name,
	const struct fuse_create_in *in, int flags)
{
	CLEANUP_FD int made = -1;
	int r = fs_kept_mode(slot, parent, S_IFREG | (in->mode & 07777), in->umask);

	if (r >= 0)
		r = fs_kept_make(slot, parent, name, (mode_t)r, 0, &made);
	if (r == 0)
		r = label(slot, parent, name, made);
	return r < 0 ? r : fs_reopen(parent->tree->config.proc_fd, made, flags);
}

/*
 * Always O_EXCL: what exists already may be a fifo or a device that the host has just put there,
 * and only an inode whose type is known is opened. Returns an fd or -errno.
 */
static int create_new(struct fs_slot *slot, const struct fs_node *parent, const char *name,
	const struct fuse_create_in *in, int flags)
{
	struct fs_caller caller;
	int fd, r;

	if (parent->tree->config.owner_xattr)
		return create_kept(slot, parent, name, in, flags);
	r = fs_caller_enter(slot, in->umask, &caller);
	if (r < 0)
		return r;
	fd = fs_open_beneath(parent->fd, name, flags | O_CREAT | O_EXCL, in->mode & 07777);
	fs_caller_leave(&caller);
	r = fd < 0 ? 0 : label(slot, parent, name, fd);
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

/* Somebody else made it: opens what is there. Its attributes are those after O_TRUNC. */
static int open_existing(const struct fs_slot *slot, struct fs_node *parent, const char *name,
	int flags, struct fs_entry *entry)
{
	const struct fuse_create_in *in = fs_slot_args(slot);
	bool kill = flags & O_TRUNC &&
		    fs_kill_at_open(slot, in->open_flags & FUSE_OPEN_KILL_SUIDGID);
	struct fs_tree *tree = parent->tree;
	struct fs_cred cred;
	uint64_t nodeid;
	int fd, r = fs_tree_lookup(tree, parent->inode, parent->fd, name, entry);

	if (r < 0)
		return r;
	fd = entry->inode->type == S_IFDIR ? -EISDIR : fs_kill_begin(slot, -1, kill, &cred);
	if (fd == 0) {
		fd = flags & O_TRUNC ? fs_kept_kill(slot, tree, entry->inode) : 0;
		if (fd == 0)
			fd = fs_inode_open(tree, entry->inode, flags);
		fs_cred_leave(&cred);
	}
	r = fd < 0 ? fd : fs_stat_at(fd, "", &entry->stx);
	if (r == 0)
		r = fs_owner_show(tree, fd, &entry->stx);
	if (r == 0)
		return fd;
	fd_close(&fd);
	nodeid = entry->inode->nodeid;
	fs_inode_put(tree, entry->inode);
	fs_inode_forget(tree, nodeid, 1);
	return r;
}

/* An fd of the file, made or found, and its entry; or -errno. */
static int create_or_open(struct fs_slot *slot, struct fs_node *parent, const char *name, int flags,
	struct fs_entry *entry)
{
	const struct fuse_create_in *in = fs_slot_args(slot);
	int r, fd = create_new(slot, parent, name, in, flags);

	if (fd == -EEXIST && !(in->flags & O_EXCL))
		return open_existing(slot, parent, name, flags, entry);
	if (fd < 0)
		return fd;
	r = fs_tree_enter(parent->tree, parent->inode, name, fd, entry);
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

int fs_created_add(
	struct fs_tree *tree, struct fs_entry *entry, int fd, int flags, struct fs_created *out)
{
	int r = fs_handle_add(tree, entry->inode, fd, flags, &out->open.fh);

	fs_entry_fill(tree, entry, &out->entry);
	if (r < 0)
		fs_inode_forget(tree, out->entry.nodeid, 1);
	out->open.open_flags = fs_open_answer(tree->config.cache, false);
	return r;
}

static int create(struct fs_slot *slot, const char *name, struct fs_created *out)
{
	CLEANUP_NODE struct fs_node parent = {0};
	const struct fuse_create_in *in = fs_slot_args(slot);
	struct fs_entry entry;
	struct fs_tree *tree;
	int fd, flags, r = fs_open_flags(slot, in->flags, &flags);

	if (r == 0)
		r = fs_may_change(slot);
	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, &parent);
	if (r == 0)
		r = fs_fds_reserve(parent.tree, FS_FD_LASTING);
	if (r < 0)
		return r;
	tree = parent.tree;
	fd = create_or_open(slot, &parent, name, flags, &entry);
	if (fd < 0) {
		fs_fds_release(tree, FS_FD_LASTING);
		return fd;
	}
	return fs_created_add(tree, &entry, fd, flags, out);
}

void fs_op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fs_created out = {0};
	int r = create(slot, name, &out);

	fs_answer(slot, r, &out, sizeof(out));
}
