/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the operations share: scopes that give back what they took, and answers.
 *
 * An operation is a function that works on a claimed slot and returns 0 or -errno, and a thin one
 * that libfuse calls, which claims the slot and answers. Everything taken out of the tree is given
 * back before the answer, since the session, with its tree, may go with the slot.
 *
 * Gate 3 (shape.h) has checked lengths and names before an op runs: no op checks them again.
 * nodeids and fhs are checked here, by looking them up.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/owner.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/slot.h"

static inline struct fs_tree *fs_tree_of(const struct fs_slot *slot)
{
	return slot->session->tree;
}

static inline const struct fs_config *fs_config_of(const struct fs_slot *slot)
{
	return &slot->session->tree->config;
}

/* -EROFS on a read-only share. */
int fs_may_change(const struct fs_slot *slot);

/* An inode in use, with its O_PATH fd. */
struct fs_node {
	struct fs_tree *tree;
	struct fs_inode *inode; /* NULL: nothing to give back */
	int fd;
};

/* -ESTALE for a nodeid that is none (any more), or an inode that the host no longer has. */
int fs_node_get(const struct fs_slot *slot, uint64_t nodeid, struct fs_node *node);
void fs_node_put(struct fs_node *node);
#define CLEANUP_NODE __attribute__((cleanup(fs_node_put)))

/* An inode in use, no fd needed. */
struct fs_held {
	struct fs_tree *tree;
	struct fs_inode *inode; /* NULL: nothing to give back */
};

/* -ESTALE for a nodeid that is none (any more). */
int fs_held_get(const struct fs_slot *slot, uint64_t nodeid, struct fs_held *held);
/* Gives it back; nothing to do for one that was never got. */
void fs_held_put(struct fs_held *held);
#define CLEANUP_HELD __attribute__((cleanup(fs_held_put)))

/* An open file in use. */
struct fs_file {
	struct fs_tree *tree;
	struct fs_handle *handle; /* NULL: nothing to give back */
	int fd;
};

/* -EBADF for an fh that is none (any more), or not one of `nodeid`. */
int fs_file_get(const struct fs_slot *slot, uint64_t nodeid, uint64_t fh, struct fs_file *file);
/* The same of one that is open for writing: all others are -EBADF. */
int fs_file_get_writable(
	const struct fs_slot *slot, uint64_t nodeid, uint64_t fh, struct fs_file *file);
void fs_file_put(struct fs_file *file);
#define CLEANUP_FILE __attribute__((cleanup(fs_file_put)))

/* Answers with `size` bytes of data when r is 0, else with the error. */
void fs_answer(struct fs_slot *slot, int r, const void *data, size_t size);

/* Attributes as the guest sees them. */
void fs_attr_fill(struct fs_tree *tree, const struct statx *stx, struct fuse_attr *attr);
void fs_attr_out_fill(struct fs_tree *tree, const struct statx *stx, struct fuse_attr_out *out);
/* A directory entry that the guest may now use; gives the entry's reference back. */
void fs_entry_fill(struct fs_tree *tree, struct fs_entry *entry, struct fuse_entry_out *out);
/* Looks up what an op has just made, and fills *out. */
int fs_entry_look_up(struct fs_tree *tree, const struct fs_node *parent, const char *name,
	struct fuse_entry_out *out);

/* What the guest asked for, as flags for our own open(), as the session has it. -EINVAL. */
int fs_open_flags(const struct fs_slot *slot, uint32_t guest, int *flags);
/*
 * RWF_APPEND for a write that goes to the end of the file, else 0. That is so while the guest's
 * file has O_APPEND, which fcntl() turns on and off. A page that the guest's kernel writes back has
 * a place of its own, whatever the file that it was stored through says; and a guest with a
 * write-back cache says itself where the end is, since it alone knows the size.
 */
int fs_append_flag(const struct fs_slot *slot);
/* FOPEN_* of a file or directory in the share's cache mode. */
uint32_t fs_open_answer(enum fs_cache cache, bool directory);

/* op_lookup.c */
void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t nodeid, uint64_t n);
void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_op_readlink(fuse_req_t req, fuse_ino_t nodeid);

/* op_attr.c */
void fs_op_getattr(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void fs_op_setattr(
	fuse_req_t req, fuse_ino_t nodeid, struct stat *attr, int valid, struct fuse_file_info *fi);

/* op_create.c */
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_link(fuse_req_t req, fuse_ino_t nodeid, fuse_ino_t parent, const char *name);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);

/* A new file and that it is open, as one answer: CREATE's and TMPFILE's. */
struct fs_created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};
/*
 * Registers the open file `fd` of what was just entered and fills *out. Consumes the fd with its
 * room (LASTING), and the entry. When the file cannot be registered, the guest's lookup is taken
 * back: -ENFILE, -ENOMEM.
 */
int fs_created_add(
	struct fs_tree *tree, struct fs_entry *entry, int fd, int flags, struct fs_created *out);

/*
 * op_kept.c: the same and SETATTR where the guest's owners are kept in an attribute (owner.h).
 */
/* True when they are kept for this inode. */
bool fs_kept_applies(const struct fs_node *node);
/* SETATTR's owner, group and mode. */
int fs_kept_set(const struct fs_node *node, const struct fuse_setattr_in *in);
/*
 * Takes setuid and setgid bits off a file that a caller who is not root is about to truncate by
 * opening it: the guest's kernel leaves that to us (FUSE_ATOMIC_O_TRUNC). Nothing to do where no
 * owners are kept. -errno.
 */
int fs_kept_kill(const struct fs_slot *slot, struct fs_tree *tree, struct fs_inode *inode);
/* The caller as the owner of what it is about to make. -EINVAL, -EPERM: it may not be one. */
int fs_kept_owner(const struct fs_slot *slot, const struct fs_tree *tree, mode_t mode, dev_t rdev,
	struct fs_owner *owner);
/* Keeps it with the new file `fd`, as `parent` has it (fs_owner_keep_new). */
int fs_kept_note(const struct fs_slot *slot, const struct fs_node *parent, int fd,
	const struct fs_owner *owner);
/* The mode of what the caller makes in `dir`: by its default ACL, or else the umask. Or -errno. */
int fs_kept_mode(
	const struct fs_slot *slot, const struct fs_node *dir, mode_t mode, mode_t umask);
/*
 * An ACL's bits that are a mode's too are those that are kept. The first puts them into what was
 * read for the guest; the second keeps those of what the guest has just set on the host, without
 * the setgid bit if `kill`. Nothing to do for other attributes, or where no owners are kept.
 */
void fs_kept_acl_show(const struct fs_node *node, const char *name, void *value, size_t size);
int fs_kept_acl_set(
	const struct fs_node *node, const char *name, const void *value, size_t size, bool kill);
/*
 * Makes a name for the caller; `mode` with the type, no link. *made (NULL: not wanted) is an fd of
 * it, owned by the caller. On errors there is no such name.
 */
int fs_kept_make(struct fs_slot *slot, const struct fs_node *parent, const char *name, mode_t mode,
	dev_t rdev, int *made);

/* op_rename.c */
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned int flags);

/* op_io.c */
void fs_op_open(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void fs_op_read(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_op_write_buf(fuse_req_t req, fuse_ino_t nodeid, struct fuse_bufvec *data, off_t offset,
	struct fuse_file_info *fi);
void fs_op_flush(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t nodeid, int datasync, struct fuse_file_info *fi);

/* op_dir.c */
void fs_op_opendir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi);
void fs_op_readdir(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_op_readdirplus(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi);

/* op_far.c: READ and WRITE with segments of guest memory that only the front-end reaches. */
void fs_far_start(struct fs_slot *slot);

/* op_dax.c */
void fs_op_setupmapping(struct fs_slot *slot);
void fs_op_removemapping(struct fs_slot *slot);

/* op_lock.c */
void fs_op_getlk(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, struct flock *lock);
void fs_op_setlk(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, struct flock *lock,
	int sleep);
void fs_op_flock(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, int operation);

/* op_xattr.c */
void fs_op_setxattr(struct fs_slot *slot);
void fs_op_getxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, size_t asked);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t nodeid, size_t asked);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t nodeid, const char *name);

/* op_misc.c */
void fs_op_statfs(fuse_req_t req, fuse_ino_t nodeid);
void fs_op_access(fuse_req_t req, fuse_ino_t nodeid, int mask);
void fs_op_fallocate(fuse_req_t req, fuse_ino_t nodeid, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi);
void fs_op_lseek(
	fuse_req_t req, fuse_ino_t nodeid, off_t offset, int whence, struct fuse_file_info *fi);
void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t nodeid, off_t offset,
	struct fuse_file_info *fi, fuse_ino_t nodeid_out, off_t offset_out,
	struct fuse_file_info *fi_out, size_t len, int flags);
void fs_op_copy_file_range_64(struct fs_slot *slot);
void fs_op_syncfs(struct fs_slot *slot);

/* op_statx.c */
void fs_op_statx(struct fs_slot *slot);

/* op_ioctl.c */
void fs_op_ioctl(struct fs_slot *slot);

/* op_tmpfile.c */
void fs_op_tmpfile(struct fs_slot *slot);
