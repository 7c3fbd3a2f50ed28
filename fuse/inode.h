/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inodes: what the guest's nodeids stand for; and the tree that holds them.
 *
 * An inode is identified on the host by (volume, inode number, birth time), and by its file handle
 * where the file system knows no birth time, or where that leaves a doubt: births within one tick
 * of the host's clock (10 ms at worst) have the same time, so that a file which is replaced as soon
 * as it was made may pass on its number and its time of birth. It is reached, in this order: by
 * the O_PATH fd that it may have in the cache (fdcache.c), by an open file of the guest's, by its
 * file handle, or by (parent, name), verified.
 *
 * References (`refs`) keep an inode: one for all of the guest's lookups together, one for each
 * open file, one for each child that is reached by name, one for each function at work on it.
 * Storage of inodes is recycled, never freed before the tree is: so a nodeid can be looked up with
 * no lock, by taking a reference first and comparing the nodeid then.
 *
 * One lock, tree->lock, guards the inodes' changing parts, the fd cache, the volumes' list and the
 * lists of open files. No system call is made under it.
 */
#pragma once

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fuse/fs.h"
#include "fuse/tree.h"
#include "fuse/volume.h"

struct fs_handle;
struct fs_handles;
struct fs_dax_seen;
struct fs_locks;

/* Inodes that a guest may remember at a time: ~200 bytes each. */
#define FS_INODES_MAX   (8u << 20)
#define FS_INODE_CHUNK  1024u
#define FS_INODE_CHUNKS (FS_INODES_MAX / FS_INODE_CHUNK)

struct fs_inode {
	/* Constant while a reference is held. */
	struct fs_volume *volume;
	uint64_t ino;
	int64_t btime_sec;
	uint32_t btime_nsec;
	uint32_t type;               /* S_IFMT bits */
	struct file_handle *fhandle; /* owned; NULL when there is none */
	uint32_t index;              /* its place in the table: constant for ever */

	_Atomic uint32_t refs;   /* 0: free, or about to be */
	_Atomic uint64_t nodeid; /* to be compared with a reference held */
	_Atomic bool copied;     /* a front-end may map a copy of it (op_dax.c) */

	/* tree->lock. */
	uint32_t generation;
	uint64_t nlookup;          /* the guest's count */
	struct fs_inode *next;     /* hash chain, or free list */
	struct fs_inode *parent;   /* counted reference; only when reached by name, as `name` */
	char *name;                /* owned */
	struct fs_handle *handles; /* the guest's open files of it */
	int fd;                    /* O_PATH, owned, or -1 */
	uint32_t pins;             /* uses of fd; 0 means it may be evicted */
	bool young;                /* first seen so soon after its birth that there is a doubt */
	bool sticky;               /* one of the pins is for good: fd is the last way to the file */
	struct fs_inode *lru_prev, *lru_next;
};

/* O_PATH fds that nobody uses right now, the oldest first (fdcache.c). */
struct fs_lru {
	struct fs_inode *oldest, *newest;
	size_t n;
};

struct fs_tree {
	struct fs_config config; /* constant */
	bool can_switch;         /* constant: credentials are switched for the guest's callers */
	uint32_t generation;     /* constant: what new slots of tables start with */
	struct fs_inode *root;   /* constant; nodeid 1, pinned, its fd always open */
	struct fs_handles *handles;
	struct fs_locks *locks; /* lock.c; NULL: locks are the guest's own */
	bool submounts; /* constant likewise: the guest mounts other volumes as its own */
	bool dax_flags; /* constant once the session is live: FUSE_ATTR_DAX means something to it */
	_Atomic(struct fs_dax_seen *) dax_seen; /* owned; see op_dax.c. NULL before the first map */

	pthread_mutex_t lock;               /* guards all that follows */
	_Atomic(struct fs_inode *) *chunks; /* read with no lock; [FS_INODE_CHUNKS] */
	size_t n_chunks;
	struct fs_inode *free_head, *free_tail; /* first in, first out: generations last longer */
	struct fs_inode **buckets;
	size_t n_buckets, n_inodes; /* buckets: a power of two */

	struct fs_volume *volumes;
	size_t n_volumes;

	size_t fds_used;         /* all, within config.fd_limit */
	size_t fds_lasting;      /* those that cannot be evicted */
	struct fs_lru lru_cheap; /* comes back by file handle */
	struct fs_lru lru_dear;  /* comes back by name, if it does */
	size_t dirbufs;          /* half-read buffers of directories (op_dir.c) */
};

/* How an object was found on the host; `fhandle` only where the birth time does not do. */
struct fs_found {
	struct statx stx;
	bool young;
	struct file_handle *fhandle; /* owned by whoever has the fs_found */
};

/* True when open_by_handle_at leads back to it. */
static inline bool fs_inode_by_fhandle(const struct fs_inode *inode)
{
	return inode->volume->fhandles && inode->fhandle;
}

/* inode.c: the table. No system calls. */

/* Makes the table and its root (nodeid 1), which gets no fd yet. -ENOMEM. */
int fs_inodes_init(struct fs_tree *tree);
void fs_inodes_fini(struct fs_tree *tree);

/* The inode with this nodeid, referenced; NULL when it is not (or no longer) one. No lock taken. */
struct fs_inode *fs_inode_get(struct fs_tree *tree, uint64_t nodeid);
/* Another reference for whoever holds one. */
struct fs_inode *fs_inode_ref(struct fs_inode *inode);
/* Gives a reference back; NULL is ignored. tree->lock must not be held. */
void fs_inode_put(struct fs_tree *tree, struct fs_inode *inode);

/* A known inode that is what was found, referenced; NULL when it is new. tree->lock held. */
struct fs_inode *fs_inode_find(struct fs_tree *tree, const struct fs_found *found);
/* A new inode with one reference. The file handle is consumed. -ENFILE, -ENOMEM. tree->lock held.
 */
int fs_inode_add(struct fs_tree *tree, struct fs_volume *volume, const struct statx *stx,
	struct file_handle *fhandle, struct fs_inode **inode);

/* Counts one lookup of the guest's. A reference and tree->lock held. */
void fs_inode_count(struct fs_inode *inode);
/* The guest forgets `n` lookups (no more than it has). Unknown nodeids are ignored. */
void fs_inode_forget(struct fs_tree *tree, uint64_t nodeid, uint64_t n);

/*
 * Notes that parent/name leads to the inode. Returns the former parent, to be put once tree->lock
 * is no longer held, or NULL. Never makes a parent its own descendant. tree->lock held.
 */
struct fs_inode *fs_inode_place(
	struct fs_tree *tree, struct fs_inode *inode, struct fs_inode *parent, const char *name);

/* fdcache.c: the fds. */

/* PATH fds may be evicted at need; LASTING ones may take no more than three quarters of all. */
enum fs_fd_kind { FS_FD_PATH, FS_FD_LASTING };

/* Room for one more fd, by evicting another if need be. -ENFILE. tree->lock must not be held. */
int fs_fds_reserve(struct fs_tree *tree, enum fs_fd_kind kind);
void fs_fds_release(struct fs_tree *tree, enum fs_fd_kind kind);

/*
 * An O_PATH fd of the inode, borrowed until fs_inode_fd_put; -errno (ESTALE when the host no
 * longer has the file where it was). A reference must be held.
 */
int fs_inode_fd_get(struct fs_tree *tree, struct fs_inode *inode);
void fs_inode_fd_put(struct fs_tree *tree, struct fs_inode *inode);

/* The same without any effort: -1 when the inode has no fd right now. tree->lock held. */
int fs_inode_fd_pin(struct fs_tree *tree, struct fs_inode *inode);

/*
 * Gives an inode the fd, for which room was reserved (PATH), unless it has one. Returns the fd to
 * be closed when it was not taken, else -1; the room is given back with it. tree->lock held.
 */
int fs_inode_fd_adopt(struct fs_tree *tree, struct fs_inode *inode, int fd);

/* Takes the fd out of a dying inode, or -1. tree->lock held. */
int fs_inode_fd_strip(struct fs_tree *tree, struct fs_inode *inode);

/*
 * Keeps the fd for as long as the inode lives, since it is the last way to the file. The caller's
 * pin passes over; when there is no room (false), it stays the caller's.
 */
bool fs_inode_fd_stick(struct fs_tree *tree, struct fs_inode *inode);

/* Opens the inode for I/O; regular files and directories only. An owned fd (not counted), or
 * -errno. */
int fs_inode_open(struct fs_tree *tree, struct fs_inode *inode, int flags);

/* reach.c: the way back to an inode whose fd was evicted. An owned fd, or -errno. */
int fs_inode_reach(struct fs_tree *tree, struct fs_inode *inode);
/* True when the fd is the inode's object. */
bool fs_inode_is(const struct fs_inode *inode, int fd);

/* tree.c: from names to inodes. */

struct fs_entry {
	struct fs_inode *inode; /* counted reference, for fs_inode_put */
	struct statx stx;
};

/*
 * Looks up one name in a directory and counts it for the guest. `parent_fd` is the parent's O_PATH
 * fd. -ENOENT, -ENFILE, -ENOMEM, and what the host says.
 */
int fs_tree_lookup(struct fs_tree *tree, struct fs_inode *parent, int parent_fd, const char *name,
	struct fs_entry *entry);

/* The same for a file that was just created, and is open as `fd` (borrowed). */
int fs_tree_enter(struct fs_tree *tree, struct fs_inode *parent, const char *name, int fd,
	struct fs_entry *entry);

/* The same for one that has no name (yet). */
int fs_tree_enter_nameless(struct fs_tree *tree, int fd, struct fs_entry *entry);

/* An inode that is about to lose a name. */
struct fs_loss {
	struct fs_inode *inode; /* NULL: the guest knows none */
	bool last;              /* the name is its last one */
};

/* Before parent/name is removed or replaced: holds on to what is there. Never fails. */
struct fs_loss fs_tree_lose(struct fs_tree *tree, int parent_fd, const char *name);
/* After it: `lost` tells whether the name is gone indeed. */
void fs_tree_lost(struct fs_tree *tree, const struct fs_loss *loss, struct fs_inode *parent,
	const char *name, bool lost);
/* After a rename: parent/name has come to be something that the guest may know. */
void fs_tree_moved(struct fs_tree *tree, struct fs_inode *parent, int parent_fd, const char *name);
