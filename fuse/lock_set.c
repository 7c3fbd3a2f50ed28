/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks on the host: the system calls, and the note of what they did.
 *
 * An owner's `set` is held over both, so what is noted is what the host has, but for a lock that a
 * waiting thread was just given: fs_lock_apply asks for it once more, without waiting, and takes
 * note. Nothing else of that owner can come between these two unseen: at worst the lock is gone
 * again, and the wait begins anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/lock_table.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

static const struct fs_range everything = {.end = FS_RANGE_END, .type = F_UNLCK};

/* As fcntl() wants it: a length, which is 0 for a range without end. */
static struct flock fcntl_range(const struct fs_range *range)
{
	return (struct flock){
		.l_type = (short)range->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)range->start,
		.l_len = range->end < FS_RANGE_END ? (off_t)(range->end - range->start + 1) : 0,
	};
}

/* One system call: a lock, or its absence, on the owner's description. 0 or -errno. */
static int call_host(const struct fs_lock_owner *owner, const struct fs_range *range, bool wait)
{
	struct flock fl = fcntl_range(range);
	int operation = LOCK_UN, r;

	if (owner->flock) {
		if (range->type != F_UNLCK)
			operation = range->type == F_WRLCK ? LOCK_EX : LOCK_SH;
		r = flock(owner->fd, wait ? operation : operation | LOCK_NB);
	} else {
		r = fcntl(owner->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl);
	}
	if (r == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/*
 * For an owner whose description is for reading, and who wants a write lock: another one, with room
 * of its own, or -1 if that is not so. Opening may wait (for a lease, a copy-up), so owner->set is
 * not held: whoever ends the session waits for that. -ENOLCK.
 */
static int open_writable(
	struct fs_tree *tree, struct fs_lock_owner *owner, const struct fs_lock *lock, int *fresh)
{
	bool needed;

	*fresh = -1;
	if (lock->range.type != F_WRLCK || owner->flock)
		return 0;
	pthread_mutex_lock(&owner->set);
	needed = !owner->writable;
	pthread_mutex_unlock(&owner->set);
	if (!needed)
		return 0;
	if (fs_fds_reserve(tree, FS_FD_LASTING) < 0)
		return -ENOLCK;
	*fresh = fs_inode_open(tree, owner->inode, O_RDWR);
	if (*fresh >= 0)
		return 0;
	fs_fds_release(tree, FS_FD_LASTING);
	*fresh = -1;
	return -ENOLCK;
}

/*
 * The owner's locks go to that description, under the same number, which a waiting thread may be
 * using. They are read locks, which do not conflict: the new description has them all before the
 * old one is let go of. owner->set held. -ENOLCK.
 */
static int make_writable(struct fs_lock_owner *owner, int fresh_fd)
{
	const struct fs_lock_owner fresh = {.fd = fresh_fd};
	int r = 0;

	if (fresh_fd < 0 || owner->writable)
		return 0;
	for (size_t i = 0; i < owner->ranges.n && r == 0; i++)
		r = call_host(&fresh, &owner->ranges.at[i], false);
	if (r == 0 && dup3(fresh_fd, owner->fd, O_CLOEXEC) < 0)
		r = -ENOLCK;
	owner->writable = r == 0;
	return r < 0 ? -ENOLCK : 0;
}

static int set_on_host(const struct fs_lock_owner *owner, const struct fs_range *range)
{
	int r;

	do
		r = call_host(owner, range, false);
	while (r == -EINTR);
	return r;
}

int fs_lock_block(
	struct fs_lock_owner *owner, const struct fs_lock *lock, const _Atomic bool *cancelled)
{
	while (!atomic_load(cancelled)) {
		int r = call_host(owner, &lock->range, true);

		if (r != -EINTR)
			return r;
	}
	return -EINTR;
}

/* May there be one more lock, and is there memory to note it? locks->lock held. */
static int admit(
	const struct fs_locks *locks, struct fs_lock_owner *owner, const struct fs_range *range)
{
	if (locks->closed)
		return -EIO;
	if (locks->n_ranges >= FS_LOCK_RANGES_MAX &&
		(range->type != F_UNLCK || fs_ranges_split(&owner->ranges, range))) {
		log_guest("locks", "the guest holds as many locks as it may (%d)",
			FS_LOCK_RANGES_MAX);
		return -ENOLCK;
	}
	return fs_ranges_reserve(&owner->ranges);
}

/* locks->lock held, room reserved. */
static void note(struct fs_locks *locks, struct fs_lock_owner *owner, const struct fs_range *range)
{
	size_t before = owner->ranges.n;

	fs_ranges_set(&owner->ranges, range);
	locks->n_ranges += owner->ranges.n - before;
}

/* May it have been locked, as things are now? locks->lock held. */
static int still_good(const struct fs_locks *locks, const struct fs_lock_by *by)
{
	if (locks->closed)
		return -EIO;
	if (by->handle)
		return atomic_load(&by->handle->fh) == by->fh ? 0 : -EBADF;
	return by->wait->released ? -EINTR : 0;
}

/* owner->set held. */
static void clear(struct fs_locks *locks, struct fs_lock_owner *owner)
{
	int r = set_on_host(owner, &everything);

	if (r < 0)
		log_guest("locks", "the host does not unlock: %s", strerror(-r));
	pthread_mutex_lock(&locks->lock);
	locks->n_ranges -= owner->ranges.n;
	fs_ranges_clear(&owner->ranges);
	pthread_mutex_unlock(&locks->lock);
}

void fs_lock_clear(struct fs_tree *tree, struct fs_lock_owner *owner)
{
	pthread_mutex_lock(&owner->set);
	clear(tree->locks, owner);
	pthread_mutex_unlock(&owner->set);
}

static int apply(struct fs_locks *locks, struct fs_lock_owner *owner, const struct fs_lock *lock,
	const struct fs_lock_by *by, int fresh_fd)
{
	bool unlocks = lock->range.type == F_UNLCK;
	int r, bad = 0;

	pthread_mutex_lock(&owner->set);
	pthread_mutex_lock(&locks->lock);
	r = admit(locks, owner, &lock->range);
	pthread_mutex_unlock(&locks->lock);
	if (r == 0)
		r = make_writable(owner, fresh_fd);
	if (r == 0) {
		r = set_on_host(owner, &lock->range);
		pthread_mutex_lock(&locks->lock);
		if (r == 0) {
			note(locks, owner, &lock->range);
			bad = unlocks ? 0 : still_good(locks, by);
		} else if (r == -EAGAIN && owner->flock) {
			note(locks, owner, &everything); /* the one that it had is lost */
		}
		if (r == 0 && !unlocks)
			owner->fh = by->fh;
		pthread_mutex_unlock(&locks->lock);
	}
	if (bad < 0)
		clear(locks, owner); /* it has closed the file: nothing of it may stay */
	pthread_mutex_unlock(&owner->set);
	return r < 0 ? r : bad;
}

int fs_lock_apply(struct fs_tree *tree, struct fs_lock_owner *owner, const struct fs_lock *lock,
	const struct fs_lock_by *by)
{
	int fresh, r = open_writable(tree, owner, lock, &fresh);

	if (r == 0)
		r = apply(tree->locks, owner, lock, by, fresh);
	if (fresh >= 0) {
		fd_close(&fresh);
		fs_fds_release(tree, FS_FD_LASTING);
	}
	return r;
}

void fs_lock_undo(struct fs_tree *tree, struct fs_lock_owner *owner, const struct fs_lock *lock)
{
	struct fs_locks *locks = tree->locks;
	struct fs_range range = lock->range;
	int r;

	range.type = F_UNLCK;
	pthread_mutex_lock(&owner->set);
	r = set_on_host(owner, &range);
	pthread_mutex_lock(&locks->lock);
	if (r == 0)
		r = fs_ranges_reserve(&owner->ranges);
	if (r == 0)
		note(locks, owner, &range);
	pthread_mutex_unlock(&locks->lock);
	if (r < 0)
		clear(locks, owner);
	pthread_mutex_unlock(&owner->set);
}

int fs_lock_set(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock)
{
	const struct fs_lock_by by = {.fh = handle->fh, .handle = handle};
	struct fs_lock_owner *owner;
	int r;

	if (by.fh == 0)
		return -EBADF;
	if (lock->range.type == F_UNLCK) {
		owner = fs_lock_owner_find(tree->locks, handle->inode, lock->owner, lock->flock);
		r = 0; /* one that is not known holds nothing */
	} else {
		r = fs_lock_owner_get(tree, handle, lock, &owner);
	}
	if (r < 0 || !owner)
		return r;
	r = fs_lock_apply(tree, owner, lock, &by);
	fs_lock_owner_put(tree, owner);
	return r;
}

/*
 * The process of the guest's that has the lock which the host found; 0: none. Several may read-lock
 * where it begins: it is whose lock ends there, too, or else any of theirs.
 */
static uint32_t pid_of(struct fs_locks *locks, const struct fs_inode *inode, uint64_t asker,
	const struct fs_range *found)
{
	const struct fs_range first = {
		.start = found->start,
		.end = found->start,
		.type = F_WRLCK,
	};
	const struct fs_lock_owner *owner;
	uint32_t pid = 0;
	bool same = false;

	pthread_mutex_lock(&locks->lock);
	for (owner = *fs_lock_bucket(locks, inode); owner && !same; owner = owner->next) {
		const struct fs_range *held;

		if (owner->inode != inode || owner->flock || owner->id == asker)
			continue;
		held = fs_ranges_conflict(&owner->ranges, &first);
		if (!held || held->type != found->type)
			continue;
		pid = held->pid;
		same = held->start == found->start && held->end == found->end;
	}
	pthread_mutex_unlock(&locks->lock);
	return pid;
}

/* An owner that is not known holds nothing, so any description tells what is in its way. */
int fs_lock_test(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_range *found)
{
	struct fs_locks *locks = tree->locks;
	struct fs_inode *inode = handle->inode;
	struct fs_lock_owner *owner = fs_lock_owner_find(locks, inode, lock->owner, false);
	struct flock fl = fcntl_range(&lock->range);
	int r;

	do
		r = fcntl(owner ? owner->fd : handle->fd, F_OFD_GETLK, &fl) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (owner)
		fs_lock_owner_put(tree, owner);
	*found = lock->range;
	found->type = (uint32_t)fl.l_type;
	if (r < 0 || fl.l_type == F_UNLCK)
		return r;
	found->start = (uint64_t)fl.l_start;
	found->end = fl.l_len ? found->start + (uint64_t)fl.l_len - 1 : FS_RANGE_END;
	found->pid = pid_of(locks, inode, lock->owner, found);
	return 0;
}
