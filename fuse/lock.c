/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of lock owners.
 *
 * An owner is in the table while it holds a lock, or a request is at work on it, or waits. So its
 * description is opened with its first lock and closed with its last, which also is the last
 * resort of unlocking: the host forgets the locks of a description that is closed.
 *
 * What each owner holds is noted beside it, as the host has it: to bound it, to tell the guest
 * whose lock is in the way, and to see deadlocks. The note is taken under the same mutex as the
 * system call (lock_set.c), so that two requests of one owner come out in one order.
 *
 * A request may lock while its handle is being released, or while the session ends. Both leave a
 * mark first (the handle's fh is 0, locks->closed) and then look for what is noted; who locks does
 * it the other way around, and gives back what it got when it finds the mark.
 */
#include "fuse/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/lock_table.h"
#include "vhostuser/log.h"

int fs_locks_new(struct fs_tree *tree)
{
	if (!tree->config.posix_lock && !tree->config.flock)
		return 0;
	tree->locks = calloc(1, sizeof(*tree->locks));
	if (!tree->locks)
		return -ENOMEM;
	pthread_mutex_init(&tree->locks->lock, NULL);
	return 0;
}

static void owner_free(struct fs_lock_owner *owner)
{
	close(owner->fd);
	fs_ranges_clear(&owner->ranges);
	pthread_mutex_destroy(&owner->set);
	free(owner);
}

void fs_locks_free(struct fs_tree *tree)
{
	struct fs_locks *locks = tree->locks;

	if (!locks)
		return;
	for (size_t i = 0; i < FS_LOCK_BUCKETS; i++) {
		struct fs_lock_owner *owner;

		while ((owner = locks->buckets[i])) {
			locks->buckets[i] = owner->next;
			owner_free(owner); /* the inode goes with the tree */
		}
	}
	pthread_mutex_destroy(&locks->lock);
	free(locks);
	tree->locks = NULL;
}

bool fs_locks_any(struct fs_tree *tree)
{
	struct fs_locks *locks = tree->locks;
	bool any;

	if (!locks)
		return false;
	pthread_mutex_lock(&locks->lock);
	any = locks->n_owners > 0;
	pthread_mutex_unlock(&locks->lock);
	return any;
}

struct fs_lock_owner **fs_lock_bucket(struct fs_locks *locks, const struct fs_inode *inode)
{
	return &locks->buckets[inode->index % FS_LOCK_BUCKETS];
}

/* locks->lock held: the owner, one more user of it; NULL when it is none. */
static struct fs_lock_owner *find(
	struct fs_locks *locks, const struct fs_inode *inode, uint64_t id, bool flock)
{
	struct fs_lock_owner *owner = *fs_lock_bucket(locks, inode);

	while (owner && (owner->inode != inode || owner->id != id || owner->flock != flock))
		owner = owner->next;
	if (owner)
		owner->users++;
	return owner;
}

struct fs_lock_owner *fs_lock_owner_find(
	struct fs_locks *locks, const struct fs_inode *inode, uint64_t id, bool flock)
{
	struct fs_lock_owner *owner;

	pthread_mutex_lock(&locks->lock);
	owner = find(locks, inode, id, flock);
	pthread_mutex_unlock(&locks->lock);
	return owner;
}

/* locks->lock held. */
static int may_add(const struct fs_locks *locks)
{
	if (locks->closed)
		return -EIO;
	if (locks->n_owners < FS_LOCK_OWNERS_MAX)
		return 0;
	log_guest("locks", "the guest has as many lock owners as it may (%d)", FS_LOCK_OWNERS_MAX);
	return -ENOLCK;
}

static bool is_refusal(int r)
{
	return r == -EROFS || r == -EACCES || r == -EPERM || r == -ETXTBSY;
}

/*
 * Should the description be one for writing? A POSIX write lock needs that; read locks that the
 * owner has by then move (make_writable), since a file that is open for writing cannot be executed
 * on the host. A flock() does not, unless a server makes a POSIX lock of it. Opening for writing
 * must change nothing on the host, as it would on an overlay, unless the guest did so already.
 */
static bool wants_writable(
	const struct fs_tree *tree, const struct fs_handle *handle, const struct fs_lock *lock)
{
	const struct fs_volume *volume = handle->inode->volume;

	if (tree->config.readonly || handle->inode->type != S_IFREG)
		return false;
	if (lock->flock)
		return volume->remote;
	if (lock->range.type != F_WRLCK)
		return false;
	return !volume->overlay || (handle->flags & O_ACCMODE) != O_RDONLY;
}

/* An owned fd with its room, or -errno. */
static int open_description(struct fs_tree *tree, struct fs_inode *inode, bool *writable)
{
	int fd = -EROFS, r = fs_fds_reserve(tree, FS_FD_LASTING);

	if (r < 0)
		return -ENOLCK;
	if (*writable)
		fd = fs_inode_open(tree, inode, O_RDWR);
	if (is_refusal(fd)) {
		*writable = false;
		fd = fs_inode_open(tree, inode, O_RDONLY);
	}
	if (fd < 0)
		fs_fds_release(tree, FS_FD_LASTING);
	/* To whoever sets a lock these two say that somebody else has it. */
	return fd == -EACCES || fd == -EAGAIN ? -ENOLCK : fd;
}

static int owner_new(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_lock_owner **made)
{
	struct fs_lock_owner *owner = calloc(1, sizeof(*owner));
	bool writable = wants_writable(tree, handle, lock);
	int fd;

	if (!owner)
		return -ENOMEM;
	fd = open_description(tree, handle->inode, &writable);
	if (fd < 0) {
		free(owner);
		return fd;
	}
	*owner = (struct fs_lock_owner){
		.inode = fs_inode_ref(handle->inode),
		.id = lock->owner,
		.flock = lock->flock,
		.writable = writable,
		.fd = fd,
		.users = 1,
	};
	pthread_mutex_init(&owner->set, NULL);
	*made = owner;
	return 0;
}

/* One that is in no table. */
static void owner_drop(struct fs_tree *tree, struct fs_lock_owner *owner)
{
	struct fs_inode *inode = owner->inode;

	owner_free(owner);
	fs_fds_release(tree, FS_FD_LASTING);
	fs_inode_put(tree, inode);
}

int fs_lock_owner_get(struct fs_tree *tree, struct fs_handle *handle, const struct fs_lock *lock,
	struct fs_lock_owner **out)
{
	struct fs_locks *locks = tree->locks;
	struct fs_lock_owner *owner, *fresh = NULL, **bucket;
	int r;

	pthread_mutex_lock(&locks->lock);
	owner = find(locks, handle->inode, lock->owner, lock->flock);
	r = owner ? 0 : may_add(locks);
	pthread_mutex_unlock(&locks->lock);
	if (!owner && r == 0)
		r = owner_new(tree, handle, lock, &fresh);
	if (owner || r < 0) {
		*out = owner;
		return r;
	}
	pthread_mutex_lock(&locks->lock);
	owner = find(locks, handle->inode, lock->owner, lock->flock);
	r = owner ? 0 : may_add(locks);
	if (!owner && r == 0) {
		bucket = fs_lock_bucket(locks, fresh->inode);
		fresh->next = *bucket;
		*bucket = owner = fresh;
		fresh = NULL;
		locks->n_owners++;
	}
	pthread_mutex_unlock(&locks->lock);
	if (fresh)
		owner_drop(tree, fresh);
	*out = owner;
	return r;
}

void fs_lock_owner_put(struct fs_tree *tree, struct fs_lock_owner *owner)
{
	struct fs_locks *locks = tree->locks;
	bool gone;

	pthread_mutex_lock(&locks->lock);
	gone = --owner->users == 0 && owner->ranges.n == 0;
	if (gone) {
		struct fs_lock_owner **link = fs_lock_bucket(locks, owner->inode);

		while (*link != owner)
			link = &(*link)->next;
		*link = owner->next;
		locks->n_owners--;
	}
	pthread_mutex_unlock(&locks->lock);
	if (gone)
		owner_drop(tree, owner);
}

static void unlock_owner(
	struct fs_tree *tree, const struct fs_inode *inode, uint64_t id, bool flock)
{
	struct fs_lock_owner *owner = fs_lock_owner_find(tree->locks, inode, id, flock);

	if (!owner)
		return;
	fs_lock_clear(tree, owner);
	fs_lock_owner_put(tree, owner);
}

void fs_lock_flush(struct fs_tree *tree, struct fs_inode *inode, uint64_t owner)
{
	if (tree->locks && tree->config.posix_lock)
		unlock_owner(tree, inode, owner, false);
}

/* locks->lock held: one that holds what it locked by `fh`, one more user of it; or NULL. */
static struct fs_lock_owner *find_by(
	struct fs_locks *locks, const struct fs_inode *inode, uint64_t fh)
{
	struct fs_lock_owner *owner = *fs_lock_bucket(locks, inode);

	while (owner && (owner->inode != inode || owner->fh != fh || owner->ranges.n == 0))
		owner = owner->next;
	if (owner)
		owner->users++;
	return owner;
}

/*
 * A POSIX owner that locked by this handle had it open and has now closed it, so its locks are
 * gone: this finds those that a waiting thread got after the FLUSH of that.
 */
void fs_lock_release(struct fs_tree *tree, struct fs_inode *inode, const struct fuse_release_in *in)
{
	struct fs_locks *locks = tree->locks;
	struct fs_lock_owner *owner;

	if (!locks)
		return;
	pthread_mutex_lock(&locks->lock);
	fs_lock_waits_end(tree, inode, in->fh);
	while ((owner = find_by(locks, inode, in->fh))) {
		pthread_mutex_unlock(&locks->lock);
		fs_lock_clear(tree, owner);
		fs_lock_owner_put(tree, owner);
		pthread_mutex_lock(&locks->lock);
	}
	pthread_mutex_unlock(&locks->lock);
	if (in->release_flags & FUSE_RELEASE_FLUSH)
		unlock_owner(tree, inode, in->lock_owner, false);
	if (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
		unlock_owner(tree, inode, in->lock_owner, true);
}

/*
 * locks->lock held, but while unlocking: the chain's owners hold nothing any more. They stay, with
 * their fds, which are closed with the tree: that may block. True when some were left out.
 */
static bool end_chain(struct fs_tree *tree, struct fs_lock_owner **chain, bool may_block)
{
	struct fs_locks *locks = tree->locks;
	struct fs_lock_owner *owner = *chain;
	bool left = false;

	while (owner) {
		bool slow = owner->inode->volume->remote && !may_block;

		if (owner->ranges.n == 0 || slow) {
			left |= owner->ranges.n > 0;
			owner = owner->next;
			continue;
		}
		owner->users++;
		pthread_mutex_unlock(&locks->lock);
		fs_lock_clear(tree, owner);
		pthread_mutex_lock(&locks->lock);
		owner->users--;
		owner = *chain; /* others may have left meanwhile */
	}
	return left;
}

bool fs_locks_end(struct fs_tree *tree, bool may_block)
{
	struct fs_locks *locks = tree->locks;
	bool left = false;

	if (!locks)
		return false;
	pthread_mutex_lock(&locks->lock);
	locks->closed = true;
	fs_lock_waits_end(tree, NULL, 0);
	for (size_t i = 0; i < FS_LOCK_BUCKETS; i++)
		left |= end_chain(tree, &locks->buckets[i], may_block);
	pthread_mutex_unlock(&locks->lock);
	return left;
}
