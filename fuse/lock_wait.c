/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for locks.
 *
 * Each wait has a thread of the gateway's (fs_config.wait), blocked in the host's own F_OFD_SETLKW
 * or flock(): it is woken as soon as the lock is free, whoever had it. What ends a wait early:
 *
 *   INTERRUPT             the guest's process was told a signal    EINTR
 *   RELEASE of its file   nobody can want the lock any more        EINTR, and never the lock
 *   the session's end     so is the guest                          dropped (EINTR after DESTROY)
 *
 * A cancelled wait's system call ends in EINTR; one that the host has given the lock meanwhile
 * keeps it, unless it may not.
 *
 * Linux guests of virtio-fs send no INTERRUPT: their killed processes wait on, and when the lock is
 * given they die, and close the file. An INTERRUPT may overtake its request, on another queue: the
 * last few that found nobody are kept for that.
 *
 * The host sees no deadlocks among open file descriptions. Those among the guest's own owners show
 * in our table: who waits, for a range that who holds, who waits for what. A search that meets
 * more than SEARCH_MAX waits gives up, and lets the guest wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fuse/core.h"
#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/lock_table.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/slot.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

#define SEARCH_MAX 64

/* locks->lock held. */
static void cancel(struct fs_tree *tree, struct fs_lock_wait *wait)
{
	if (atomic_exchange(&wait->cancelled, true))
		return;
	tree->config.interrupt(tree->config.ctx, &wait->wait);
}

void fs_lock_waits_end(struct fs_tree *tree, const struct fs_inode *inode, uint64_t fh)
{
	struct fs_lock_wait *wait;

	for (wait = tree->locks->waits; wait; wait = wait->next) {
		if (inode && (wait->owner->inode != inode || wait->fh != fh))
			continue;
		wait->released = true;
		cancel(tree, wait);
	}
}

void fs_lock_interrupt(struct fs_tree *tree, uint64_t unique)
{
	struct fs_locks *locks = tree->locks;
	struct fs_lock_wait *wait;

	if (!locks)
		return;
	pthread_mutex_lock(&locks->lock);
	wait = locks->waits;
	while (wait && wait->unique != unique)
		wait = wait->next;
	if (wait)
		cancel(tree, wait);
	else
		locks->early[locks->next_early++ % FS_LOCK_EARLY] = unique;
	pthread_mutex_unlock(&locks->lock);
}

/* Was this request interrupted before it came? locks->lock held. */
static bool take_early(struct fs_locks *locks, uint64_t unique)
{
	for (size_t i = 0; i < FS_LOCK_EARLY; i++) {
		if (locks->early[i] == unique) {
			locks->early[i] = 0;
			return true;
		}
	}
	return false;
}

/* The waits that a search has come to and not looked at yet. */
struct search {
	struct fs_lock_wait *todo[SEARCH_MAX];
	size_t n, met;
};

/* locks->lock held: adds all POSIX waits of this owner that were not met yet. */
static void meet(struct fs_locks *locks, struct search *search, uint64_t id)
{
	struct fs_lock_wait *wait;

	for (wait = locks->waits; wait && search->met < SEARCH_MAX; wait = wait->next) {
		if (wait->lock.flock || wait->lock.owner != id || wait->visit == locks->visits)
			continue;
		wait->visit = locks->visits;
		search->todo[search->n++] = wait;
		search->met++;
	}
}

/* locks->lock held: would the owner wait for itself, through others? */
static bool is_deadlock(struct fs_locks *locks, struct fs_lock_wait *fresh)
{
	struct search search = {.todo = {fresh}, .n = 1, .met = 1};

	fresh->visit = ++locks->visits;
	while (search.n) {
		const struct fs_lock_wait *wait = search.todo[--search.n];
		const struct fs_inode *inode = wait->owner->inode;
		const struct fs_lock_owner *owner;

		for (owner = *fs_lock_bucket(locks, inode); owner; owner = owner->next) {
			if (owner->inode != inode || owner->flock || owner->id == wait->lock.owner)
				continue;
			if (!fs_ranges_conflict(&owner->ranges, &wait->lock.range))
				continue;
			if (owner->id == fresh->lock.owner)
				return true;
			meet(locks, &search, owner->id);
		}
	}
	return false;
}

/* locks->lock held. */
static int enlist(struct fs_locks *locks, struct fs_lock_wait *wait, struct fs_handle *handle)
{
	if (locks->closed)
		return -EIO;
	if (wait->fh == 0 || atomic_load(&handle->fh) != wait->fh)
		return -EBADF;
	if (take_early(locks, wait->unique))
		return -EINTR;
	if (!wait->lock.flock && is_deadlock(locks, wait))
		return -EDEADLK;
	if (locks->n_waits >= FS_LOCK_WAITS_MAX) {
		log_guest("locks", "the guest waits for as many locks as it may (%d)",
			FS_LOCK_WAITS_MAX);
		return -ENOLCK;
	}
	locks->n_waits++;
	wait->next = locks->waits;
	wait->link = &locks->waits;
	if (wait->next)
		wait->next->link = &wait->next;
	locks->waits = wait;
	return 0;
}

/* The end of a wait: from here on nobody cancels it. Everything goes, then the guest hears. */
static void finish(struct fs_lock_wait *wait, int error)
{
	struct fs_locks *locks = wait->tree->locks;
	struct fs_slot *slot = wait->slot;

	pthread_mutex_lock(&locks->lock);
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	locks->n_waits--;
	pthread_mutex_unlock(&locks->lock);
	fs_lock_owner_put(wait->tree, wait->owner);
	free(wait);
	fs_reply_err(slot, error);
}

static void block(struct fs_wait *base)
{
	struct fs_lock_wait *wait = container_of(base, struct fs_lock_wait, wait);

	wait->result = fs_lock_block(wait->owner, &wait->lock, &wait->cancelled);
}

static void start(struct fs_lock_wait *wait)
{
	const struct fs_config *config = &wait->tree->config;

	if (config->wait(config->ctx, &wait->wait) < 0)
		finish(wait, -ENOLCK);
}

/*
 * The lock was given and another thread of the same owner took it away before it was noted. True
 * when the wait goes on, on another thread.
 */
static bool begin_again(struct fs_lock_wait *wait)
{
	struct fs_locks *locks = wait->tree->locks;
	bool again;

	pthread_mutex_lock(&locks->lock);
	again = !atomic_load(&wait->cancelled);
	if (again) {
		wait->wait.error = 0;
		atomic_store(&wait->wait.thread, NULL);
		atomic_store(&wait->wait.interrupted, false);
	}
	pthread_mutex_unlock(&locks->lock);
	if (again)
		start(wait);
	return again;
}

static void done(struct fs_wait *base)
{
	struct fs_lock_wait *wait = container_of(base, struct fs_lock_wait, wait);
	const struct fs_lock_by by = {.fh = wait->fh, .wait = wait};
	int r = base->error < 0 ? -ENOLCK : wait->result;

	if (base->error == 0 && r == 0) {
		r = fs_lock_apply(wait->tree, wait->owner, &wait->lock, &by);
		if (r == -EAGAIN && begin_again(wait))
			return;
		if (r < 0 && r != -EAGAIN)
			fs_lock_undo(wait->tree, wait->owner, &wait->lock);
		if (r == -EAGAIN)
			r = -EINTR;
	}
	finish(wait, r);
}

int fs_lock_wait_new(struct fs_slot *slot, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_lock_wait **out)
{
	struct fs_tree *tree = slot->session->tree;
	struct fs_lock_wait *wait;
	int r;

	if (!tree->config.wait || (slot->io->linger && !slot->io->linger(slot->io)))
		return -ENOLCK;
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return -ENOMEM;
	*wait = (struct fs_lock_wait){
		.tree = tree,
		.slot = slot,
		.lock = *lock,
		.fh = handle->fh,
		.unique = slot->header.unique,
		.wait = {.block = block, .done = done},
	};
	r = fs_lock_owner_get(tree, handle, lock, &wait->owner);
	if (r < 0) {
		free(wait);
		return r;
	}
	pthread_mutex_lock(&tree->locks->lock);
	r = enlist(tree->locks, wait, handle);
	pthread_mutex_unlock(&tree->locks->lock);
	if (r < 0) {
		fs_lock_owner_put(tree, wait->owner);
		free(wait);
		return r;
	}
	*out = wait;
	return 0;
}

void fs_lock_wait_start(struct fs_lock_wait *wait)
{
	fs_slot_park(wait->slot);
	start(wait);
}
