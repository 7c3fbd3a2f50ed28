/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks of the guest's files that are the host's: fcntl()'s (POSIX) and flock()'s.
 *
 * Each (inode, owner, kind) that holds a lock has an open file description of its own on the host.
 * POSIX locks are set on it as open-file-description locks (F_OFD_SETLK), so they exclude other
 * owners of this guest, other guests and the host's programs alike. Descriptions count as LASTING
 * fds and have limits of their own, as have ranges and waiters; past any of them it is ENOLCK.
 *
 * Locks go when the owner unlocks or closes (FLUSH, RELEASE), and all of them, with all waiters,
 * when the session ends, though requests of it may be stuck.
 *
 * Any thread, tree->lock not held. Where the volume is remote a call may wait for a server.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fuse/range.h"

struct fs_handle;
struct fs_inode;
struct fs_lock_wait;
struct fuse_release_in;
struct fs_slot;
struct fs_tree;

/* Open file descriptions that hold locks. */
#define FS_LOCK_OWNERS_MAX 4096
/*
 * Byte ranges, of all owners. Each is memory of the host's kernel, and a step of its search for
 * conflicts: with so many in one file a lock takes some 0.3 ms there.
 */
#define FS_LOCK_RANGES_MAX 8192
/* Requests that wait for a lock. */
#define FS_LOCK_WAITS_MAX 256

/* What a guest asks for, checked. */
struct fs_lock {
	uint64_t owner;        /* the guest kernel's name for it */
	bool flock;            /* the whole file, by flock() */
	struct fs_range range; /* its type may be F_UNLCK */
};

/* tree->locks, which stays NULL when no kind of locks is on. -ENOMEM. */
int fs_locks_new(struct fs_tree *tree);
/* No request may be at work. May block where there is any. */
void fs_locks_free(struct fs_tree *tree);
/* True when there are descriptions, which fs_locks_free closes. */
bool fs_locks_any(struct fs_tree *tree);

/*
 * Sets a lock or takes one away, without waiting for others to release theirs. -EAGAIN: another
 * owner's is in the way. -EBADF: the handle was released. -ENOLCK: past a limit, or the host file
 * cannot be locked that way. -EIO: the session is over. Others as the host says.
 */
int fs_lock_set(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock);

/*
 * Finds a lock that is in the way of this one (POSIX): *found is it, with the pid of the guest's
 * own process, or 0 for a stranger; its type is F_UNLCK when there is none. -errno as fcntl().
 */
int fs_lock_test(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_range *found);

/*
 * The owner closed an fd of the inode: its POSIX locks are gone. Those who wait go on, as fcntl()
 * has it: another thread of a living process may be among them.
 */
void fs_lock_flush(struct fs_tree *tree, struct fs_inode *inode, uint64_t owner);

/*
 * A handle of the inode was released, and is found no more: what was locked by it, or by the owner
 * that the request names, is unlocked, and who waits by it is told EINTR.
 */
void fs_lock_release(
	struct fs_tree *tree, struct fs_inode *inode, const struct fuse_release_in *in);

/*
 * The session is over: no lock is set any more, waiters are told EINTR, every lock is released.
 * Never blocks unless `may_block`; without it locks on remote volumes stay, and it returns true.
 */
bool fs_locks_end(struct fs_tree *tree, bool may_block);

/* lock_wait.c: waiting. */

/*
 * After fs_lock_set's -EAGAIN: a wait for the lock, to be started. -EDEADLK (POSIX): owners of this
 * guest would wait for each other for ever. -EINTR: the guest has interrupted it already. -ENOLCK,
 * -ENOMEM, -EBADF, -EIO.
 */
int fs_lock_wait_new(struct fs_slot *slot, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_lock_wait **wait);

/* From here on the slot is the wait's, which answers it. */
void fs_lock_wait_start(struct fs_lock_wait *wait);

/* The guest takes interest in the request `unique` no more: if it waits, it is told EINTR. */
void fs_lock_interrupt(struct fs_tree *tree, uint64_t unique);
