/* SPDX-License-Identifier: BSD-3-Clause */
/* What lock.c and lock_wait.c share, and nobody else. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/fs.h"
#include "fuse/lock.h"

#define FS_LOCK_BUCKETS 256

/* INTERRUPTs that found no waiter, and may be for a request that is still on its way. */
#define FS_LOCK_EARLY 16

struct fs_lock_owner {
	/* Constant. */
	struct fs_inode *inode; /* counted reference */
	uint64_t id;            /* the guest's name for it */
	bool flock;
	bool writable; /* fd may carry write locks */
	int fd;        /* owned: the description */

	/* Held over a system call that changes the locks and over taking note of it. */
	pthread_mutex_t set;

	/* locks->lock. */
	struct fs_lock_owner *next; /* in its bucket */
	unsigned int users;         /* requests at work on it, or waiting */
	uint64_t fh;                /* by which it locked last */
	struct fs_ranges ranges;    /* what it holds; flock(): the whole file. Also needs `set` */
};

struct fs_lock_wait {
	/* Constant. */
	struct fs_tree *tree;
	struct fs_slot *slot;
	struct fs_lock_owner *owner; /* counted in its users */
	struct fs_lock lock;
	uint64_t fh, unique;

	struct fs_wait wait;
	int result;             /* the thread's only */
	_Atomic bool cancelled; /* written under locks->lock */

	/* locks->lock. */
	bool released;  /* its fh was: it may not have the lock any more */
	uint64_t visit; /* the last search for deadlocks that came by */
	struct fs_lock_wait *next, **link;
};

struct fs_locks {
	/* Guards all that follows; taken after an owner's `set`; nothing under it may block. */
	pthread_mutex_t lock;
	bool closed; /* the session is over */
	struct fs_lock_owner *buckets[FS_LOCK_BUCKETS];
	size_t n_owners, n_ranges;
	struct fs_lock_wait *waits;
	size_t n_waits;
	uint64_t visits; /* searches for deadlocks so far */
	uint64_t early[FS_LOCK_EARLY];
	size_t next_early;
};

/* The head of the chain on which an inode's owners are. locks->lock held. */
struct fs_lock_owner **fs_lock_bucket(struct fs_locks *locks, const struct fs_inode *inode);

/*
 * The owner of (handle's inode, lock), counted in its users; made when there is none, with a
 * description. -errno as fs_lock_set.
 */
int fs_lock_owner_get(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_lock_owner **owner);
/* The same of one that there is already; NULL: there is none. */
struct fs_lock_owner *fs_lock_owner_find(
	struct fs_locks *locks, const struct fs_inode *inode, uint64_t id, bool flock);
/* Gives it back; one that holds nothing and that nobody uses goes. */
void fs_lock_owner_put(struct fs_tree *tree, struct fs_lock_owner *owner);

/*
 * By what an owner locks: a handle, which may not be released meanwhile, or a wait that was begun
 * by one.
 */
struct fs_lock_by {
	uint64_t fh;
	const struct fs_handle *handle; /* NULL: */
	const struct fs_lock_wait *wait;
};

/* fs_lock_set on an owner that one has; -EINTR when the wait's handle was released. */
int fs_lock_apply(struct fs_tree *tree, struct fs_lock_owner *owner, const struct fs_lock *lock,
	const struct fs_lock_by *by);

/* Unlocks all that the owner holds. */
void fs_lock_clear(struct fs_tree *tree, struct fs_lock_owner *owner);

/* The host gave the lock to an owner that may not have it: takes it away again. */
void fs_lock_undo(struct fs_tree *tree, struct fs_lock_owner *owner, const struct fs_lock *lock);

/*
 * Waits for the lock in a system call, in as many as it takes until one does not end in EINTR or
 * *cancelled is set. 0: the host gave it, and fs_lock_apply has to follow. -errno.
 */
int fs_lock_block(
	struct fs_lock_owner *owner, const struct fs_lock *lock, const _Atomic bool *cancelled);

/* Ends all waits that were begun by `fh` of the inode; all there are for NULL. locks->lock held. */
void fs_lock_waits_end(struct fs_tree *tree, const struct fs_inode *inode, uint64_t fh);
