/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of a mount that wait for locks (SETLKW), of all its queues: who may wait at the
 * back-end, and who is kept here meanwhile. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <linux/fuse.h>

/* So many wait at the back-end: ours has threads for 256. */
#define FM_LOCKS_MOST 128

/* The whole of such a request. */
#define FM_LOCK_SIZE (sizeof(struct fuse_in_header) + sizeof(struct fuse_lk_in))

struct fm_locks;

/* One that is kept here. */
struct fm_lock {
	/* Constant. */
	uint8_t request[FM_LOCK_SIZE];
	uint64_t unique;
	int fuse_fd; /* where its answer goes (borrowed) */

	/* The table's. */
	TAILQ_ENTRY(fm_lock) entry;
	bool trying, interrupted;
};

/* -ENOMEM. */
int fm_locks_new(struct fm_locks **locks);
/* NULL is fine. Forgets those that are kept. */
void fm_locks_free(struct fm_locks *locks);

/* May one more wait at the back-end? If so, fm_locks_waited() follows, once. */
bool fm_locks_may_wait(struct fm_locks *locks);
void fm_locks_waited(struct fm_locks *locks);

/* Keeps a request that was read from `fuse_fd` and is being tried. NULL: no memory. */
struct fm_lock *fm_locks_keep(
	struct fm_locks *locks, const uint8_t request[FM_LOCK_SIZE], int fuse_fd);

/* It was tried, and somebody else has it. False: it was interrupted meanwhile, and is freed. */
bool fm_locks_busy(struct fm_locks *locks, struct fm_lock *lock);
/* It was tried, and has its answer: it is freed. */
void fm_locks_done(struct fm_locks *locks, struct fm_lock *lock);

/*
 * The next one that is to be sent now, or NULL. With `may_wait` it may be one to wait at the
 * back-end (*waits): it is kept no more, the caller's to free, and fm_locks_waited() follows. Else
 * it is to be tried, and is the table's as after fm_locks_keep().
 */
struct fm_lock *fm_locks_next(struct fm_locks *locks, bool may_wait, bool *waits);

/* Milliseconds until fm_locks_next() is to be asked again; -1: for ever. */
int fm_locks_timeout(struct fm_locks *locks);

/*
 * The caller of the request `unique` was told a signal. True when it was kept here: if *fuse_fd is
 * not -1, it is kept no more, and to be answered EINTR there; else it is tried just now, and hears
 * of it then. False: the back-end is to be told.
 */
bool fm_locks_interrupt(struct fm_locks *locks, uint64_t unique, int *fuse_fd);
