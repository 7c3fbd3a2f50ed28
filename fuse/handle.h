/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files and directories of the guest: what its fhs stand for.
 *
 * As with inodes, storage is recycled and an fh carries a generation, so that finding one takes no
 * lock. The table holds one reference until RELEASE, each request at work another; the fd is
 * closed with the last of them. A handle holds its inode.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fs_inode;
struct fs_tree;

/* Open files at a time; config.fd_limit usually comes first. */
#define FS_HANDLES_MAX   (1u << 20)
#define FS_HANDLE_CHUNK  256u
#define FS_HANDLE_CHUNKS (FS_HANDLES_MAX / FS_HANDLE_CHUNK)

/* Entries read off a directory that did not fit into the guest's last buffer. */
struct fs_dirbuf {
	size_t pos, len;
	uint8_t data[8192];
};

struct fs_handle {
	/* Constant while a reference is held. */
	struct fs_inode *inode; /* counted reference */
	int fd;                 /* owned */
	int flags;              /* that it was opened with on the host */
	uint32_t index;         /* constant for ever */

	_Atomic uint32_t refs;
	_Atomic uint64_t fh; /* 0 once it is released */

	/* tree->lock. */
	uint32_t generation;
	struct fs_handle *prev, *next; /* the inode's open files; next: also the free list */

	/* Directories. The lock is held over getdents and seeks: the fd's position is theirs. */
	pthread_mutex_t dir_lock;
	int64_t dir_offset;       /* where the next entry comes from: dirbuf's first, or the fd's */
	struct fs_dirbuf *dirbuf; /* NULL: none */
	bool dir_begun;           /* something was read from the fd */
};

/* An empty table of open files. -ENOMEM. */
int fs_handles_init(struct fs_tree *tree);
/* True when one is open. No request may be at work. */
bool fs_handles_any(const struct fs_tree *tree);
/* Closes all of them. No request may be at work. */
void fs_handles_fini(struct fs_tree *tree);

/*
 * Registers an open file and gives its fh. `fd` and its room (LASTING) are consumed, also on
 * errors; the inode is referenced. -ENFILE, -ENOMEM.
 */
int fs_handle_add(struct fs_tree *tree, struct fs_inode *inode, int fd, int flags, uint64_t *fh);

/* Opens the inode with host flags and registers it. -errno. */
int fs_handle_open(struct fs_tree *tree, struct fs_inode *inode, int flags, uint64_t *fh);

/* The open file `fh` of the inode `nodeid`, referenced; NULL when it is not one. No lock taken. */
struct fs_handle *fs_handle_get(struct fs_tree *tree, uint64_t fh, uint64_t nodeid);
void fs_handle_put(struct fs_tree *tree, struct fs_handle *handle);

/* The guest is done with it: requests at work finish, later ones do not find it. -EBADF. */
int fs_handle_release(struct fs_tree *tree, uint64_t fh, uint64_t nodeid);

/* Any open file of the inode, referenced, or NULL. tree->lock held. */
struct fs_handle *fs_handle_of(struct fs_inode *inode);
