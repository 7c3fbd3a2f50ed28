/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lock requests that wait.
 *
 * Theory of operation. A request that waits at the back-end has a slot and a place in the ring
 * until somebody else unlocks; were all taken, the unlock would not get through. And a back-end has
 * a limit of its own, past which it refuses. The kernel has none: any number of processes may wait.
 * So FM_LOCKS_MOST wait there, and the others here. When one there is through, the first here takes
 * its place.
 *
 * Those there may all wait for one lock, while one here could have another. So each is tried first
 * (as a SETLK) and kept only when somebody else has its lock, and some are tried again every now
 * and then, in turn: TRIES each TICK_MS, so that it costs little, however many they are.
 *
 *   fm_locks_keep --> trying <------- fm_locks_next (its turn came)
 *                      |   |              |
 *   answered: gone <---+   +--- busy --> kept --- fm_locks_next (a place is free) --> gone
 *                             |            |
 *                interrupted: gone         +--- fm_locks_interrupt: gone
 *
 * An INTERRUPT that finds nobody goes to the back-end. It may have overtaken its request, on
 * another queue's thread: the last few are noted.
 */
#include "gateway/frontend/mount_locks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define TICK_MS 20
#define TRIES   32
#define EARLY   16

TAILQ_HEAD(list, fm_lock);

struct fm_locks {
	pthread_mutex_t lock; /* of all below */
	struct list kept;     /* those that are tried, too */
	unsigned int n_waiting;
	unsigned int tries; /* that are left in this tick */
	int64_t tick;       /* when the next one begins */
	uint64_t early[EARLY];
	unsigned int next_early;
};

int fm_locks_new(struct fm_locks **out)
{
	struct fm_locks *locks = calloc(1, sizeof(*locks));

	if (!locks)
		return -ENOMEM;
	pthread_mutex_init(&locks->lock, NULL);
	TAILQ_INIT(&locks->kept);
	*out = locks;
	return 0;
}

/* Lock held. */
static void forget(struct fm_locks *locks, struct fm_lock *lock)
{
	TAILQ_REMOVE(&locks->kept, lock, entry);
	free(lock);
}

void fm_locks_free(struct fm_locks *locks)
{
	if (!locks)
		return;
	while (!TAILQ_EMPTY(&locks->kept))
		forget(locks, TAILQ_FIRST(&locks->kept));
	pthread_mutex_destroy(&locks->lock);
	free(locks);
}

bool fm_locks_may_wait(struct fm_locks *locks)
{
	bool may;

	pthread_mutex_lock(&locks->lock);
	may = locks->n_waiting < FM_LOCKS_MOST;
	locks->n_waiting += may;
	pthread_mutex_unlock(&locks->lock);
	return may;
}

void fm_locks_waited(struct fm_locks *locks)
{
	pthread_mutex_lock(&locks->lock);
	locks->n_waiting--;
	pthread_mutex_unlock(&locks->lock);
}

struct fm_lock *fm_locks_keep(
	struct fm_locks *locks, const uint8_t request[FM_LOCK_SIZE], int fuse_fd)
{
	struct fm_lock *lock = calloc(1, sizeof(*lock));

	if (!lock)
		return NULL;
	memcpy(lock->request, request, sizeof(lock->request));
	memcpy(&lock->unique, request + offsetof(struct fuse_in_header, unique),
		sizeof(lock->unique));
	lock->fuse_fd = fuse_fd;
	lock->trying = true;
	pthread_mutex_lock(&locks->lock);
	TAILQ_INSERT_TAIL(&locks->kept, lock, entry);
	pthread_mutex_unlock(&locks->lock);
	return lock;
}

/* Lock held: was it interrupted before it was known? */
static bool take_early(struct fm_locks *locks, uint64_t unique)
{
	for (size_t i = 0; i < EARLY; i++) {
		if (locks->early[i] == unique) {
			locks->early[i] = 0;
			return true;
		}
	}
	return false;
}

bool fm_locks_busy(struct fm_locks *locks, struct fm_lock *lock)
{
	bool stays;

	pthread_mutex_lock(&locks->lock);
	lock->trying = false;
	stays = !lock->interrupted && !take_early(locks, lock->unique);
	if (!stays)
		forget(locks, lock);
	pthread_mutex_unlock(&locks->lock);
	return stays;
}

void fm_locks_done(struct fm_locks *locks, struct fm_lock *lock)
{
	pthread_mutex_lock(&locks->lock);
	forget(locks, lock);
	pthread_mutex_unlock(&locks->lock);
}

/* Lock held: may one more be tried in this tick? */
static bool may_try(struct fm_locks *locks)
{
	int64_t now = vu_now_ms();

	if (now >= locks->tick) {
		locks->tick = now + TICK_MS;
		locks->tries = TRIES;
	}
	return locks->tries > 0;
}

/* Lock held: the one that is kept for longest, or that was tried longest ago. */
static struct fm_lock *first(struct fm_locks *locks)
{
	struct fm_lock *lock = TAILQ_FIRST(&locks->kept);

	while (lock && lock->trying)
		lock = TAILQ_NEXT(lock, entry);
	return lock;
}

struct fm_lock *fm_locks_next(struct fm_locks *locks, bool may_wait, bool *waits)
{
	struct fm_lock *lock;

	pthread_mutex_lock(&locks->lock);
	lock = first(locks);
	*waits = lock && may_wait && locks->n_waiting < FM_LOCKS_MOST;
	if (*waits) {
		TAILQ_REMOVE(&locks->kept, lock, entry);
		locks->n_waiting++;
	} else if (lock && may_try(locks)) {
		locks->tries--;
		lock->trying = true;
		TAILQ_REMOVE(&locks->kept, lock, entry);
		TAILQ_INSERT_TAIL(&locks->kept, lock, entry);
	} else {
		lock = NULL;
	}
	pthread_mutex_unlock(&locks->lock);
	return lock;
}

int fm_locks_timeout(struct fm_locks *locks)
{
	int ms = -1;

	pthread_mutex_lock(&locks->lock);
	if (!TAILQ_EMPTY(&locks->kept)) {
		int64_t left = locks->tick - vu_now_ms();

		ms = (int)MAX(1, MIN(TICK_MS, left));
	}
	pthread_mutex_unlock(&locks->lock);
	return ms;
}

bool fm_locks_interrupt(struct fm_locks *locks, uint64_t unique, int *fuse_fd)
{
	struct fm_lock *lock;
	bool known;

	*fuse_fd = -1;
	pthread_mutex_lock(&locks->lock);
	lock = TAILQ_FIRST(&locks->kept);
	while (lock && lock->unique != unique)
		lock = TAILQ_NEXT(lock, entry);
	known = lock != NULL;
	if (!known) {
		locks->early[locks->next_early++ % EARLY] = unique;
	} else if (lock->trying) {
		lock->interrupted = true;
	} else {
		*fuse_fd = lock->fuse_fd;
		forget(locks, lock);
	}
	pthread_mutex_unlock(&locks->lock);
	return known;
}
