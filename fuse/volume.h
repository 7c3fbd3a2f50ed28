/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Volumes: the file systems that a share reaches, one for each (device, mount).
 *
 * A volume knows what its file system can do, so that each is asked once: file handles, reads and
 * writes that promise not to block. It lives as long as an inode of it does, since its fd keeps the
 * host from unmounting it.
 */
#pragma once

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs_tree;

/* Constant once listed, but for the first two and the atomics (any thread). */
struct fs_volume {
	struct fs_volume *next; /* guarded by tree->lock */
	size_t users;           /* the same: inodes of it, and who holds it for a while */
	dev_t dev;
	uint64_t mnt_id;
	int fd;    /* a real fd on it, not O_PATH: open_by_handle_at and syncfs need one; or -1 */
	int error; /* why there is no fd; -ENOTSUP: all we saw is a special file, mounted alone */
	bool fhandles;               /* open_by_handle_at works */
	bool in_memory;              /* reads and writes never wait for a device */
	bool read_only;              /* mounted so on the host */
	bool overlay;                /* opening a file for writing copies it */
	bool remote;                 /* closing a file may take a server's answer */
	_Atomic bool no_nowait_read; /* RWF_NOWAIT was refused */
	_Atomic bool no_nowait_write;
};

/*
 * The volume that *stx lies on; `fd` is the (O_PATH) object that was asked. Makes one when it is
 * new. It is held, for fs_volume_put(). tree->lock must not be held. -ENFILE past FS_VOLUMES_MAX;
 * -EOPNOTSUPP when file handles are a must, and it has none.
 */
int fs_volume_obtain(
	struct fs_tree *tree, const struct statx *stx, int fd, struct fs_volume **volume);

/* The same without making or holding one. tree->lock held. */
struct fs_volume *fs_volume_find(const struct fs_tree *tree, const struct statx *stx);

/* Takes one user away; the volume when it was the last, for fs_volume_free(). tree->lock held. */
struct fs_volume *fs_volume_leave(struct fs_tree *tree, struct fs_volume *volume);
/* Frees what fs_volume_leave() returned; NULL is ignored. tree->lock must not be held. */
void fs_volume_free(struct fs_tree *tree, struct fs_volume *volume);
/* Both. NULL is ignored. tree->lock must not be held. */
void fs_volume_put(struct fs_tree *tree, struct fs_volume *volume);

/*
 * The volume after this one, which is put; NULL begins, and comes at the end. What it returns is
 * held. tree->lock must not be held.
 */
struct fs_volume *fs_volume_next(struct fs_tree *tree, struct fs_volume *volume);

/* All of them, on a tree's end. */
void fs_volumes_free(struct fs_tree *tree);

/*
 * The file handle of dirfd/name (of dirfd itself when name is ""). NULL when the file system has
 * none, or out of memory. The caller frees it.
 */
struct file_handle *fs_fhandle_new(int dirfd, const char *name);
/* Whether handles of the file system of `fd` (not O_PATH) can be opened: the right to is ours or it
 * is not. */
bool fs_fhandles_work(int fd);
bool fs_fhandle_equal(const struct file_handle *a, const struct file_handle *b);
