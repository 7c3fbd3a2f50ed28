/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fds that a tree holds: a budget, and a cache of O_PATH fds of inodes.
 *
 * Every fd that outlives a request is counted against config.fd_limit. LASTING ones (open files,
 * volumes, unlinked files that have no other way back) may take three quarters; the rest is the
 * cache's, which may use up whatever else is free. An fd in use is pinned; one that is not waits
 * in one of two LRU lists, and is closed when its room is wanted. What comes back cheaply (by file
 * handle) goes first, and is never kept in great number: an O_PATH fd also holds the host's memory.
 */
#include "fuse/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fuse/walk.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* O_PATH fds kept although they would come back by file handle (2 us each, wire.md §10). */
#define FS_CHEAP_MAX 4096

/* tree->lock held: is there room for one more fd that lasts? Three quarters of the budget are. */
static bool may_last(const struct fs_tree *tree)
{
	size_t limit = tree->config.fd_limit;

	return tree->fds_lasting < limit - limit / 4;
}

static struct fs_lru *lru_of(struct fs_tree *tree, const struct fs_inode *inode)
{
	return fs_inode_by_fhandle(inode) ? &tree->lru_cheap : &tree->lru_dear;
}

static void lru_append(struct fs_lru *lru, struct fs_inode *inode)
{
	inode->lru_prev = lru->newest;
	inode->lru_next = NULL;
	if (lru->newest)
		lru->newest->lru_next = inode;
	else
		lru->oldest = inode;
	lru->newest = inode;
	lru->n++;
}

static void lru_remove(struct fs_lru *lru, struct fs_inode *inode)
{
	if (inode->lru_prev)
		inode->lru_prev->lru_next = inode->lru_next;
	else
		lru->oldest = inode->lru_next;
	if (inode->lru_next)
		inode->lru_next->lru_prev = inode->lru_prev;
	else
		lru->newest = inode->lru_prev;
	lru->n--;
}

/* Takes the oldest fd out of its inode; -1 when there is none. */
static int evict(struct fs_tree *tree, struct fs_lru *lru)
{
	struct fs_inode *inode = lru->oldest;

	if (!inode)
		return -1;
	lru_remove(lru, inode);
	tree->fds_used--;
	return fd_steal(&inode->fd);
}

int fs_fds_reserve(struct fs_tree *tree, enum fs_fd_kind kind)
{
	size_t limit = tree->config.fd_limit;
	int victim = -1, r = 0;

	pthread_mutex_lock(&tree->lock);
	if (kind == FS_FD_LASTING && !may_last(tree)) {
		r = -ENFILE;
	} else if (tree->fds_used >= limit) {
		victim = evict(tree, &tree->lru_cheap);
		if (victim < 0)
			victim = evict(tree, &tree->lru_dear);
		r = victim < 0 ? -ENFILE : 0;
	}
	if (r == 0) {
		tree->fds_used++;
		tree->fds_lasting += kind == FS_FD_LASTING;
	}
	pthread_mutex_unlock(&tree->lock);
	fd_close(&victim);
	if (r < 0)
		log_guest("fds", "the guest holds as many files as it may (%zu fds)", limit);
	return r;
}

void fs_fds_release(struct fs_tree *tree, enum fs_fd_kind kind)
{
	pthread_mutex_lock(&tree->lock);
	tree->fds_used--;
	tree->fds_lasting -= kind == FS_FD_LASTING;
	pthread_mutex_unlock(&tree->lock);
}

int fs_inode_fd_pin(struct fs_tree *tree, struct fs_inode *inode)
{
	if (inode->fd < 0)
		return -1;
	if (inode->pins++ == 0)
		lru_remove(lru_of(tree, inode), inode);
	return inode->fd;
}

int fs_inode_fd_adopt(struct fs_tree *tree, struct fs_inode *inode, int fd)
{
	if (inode->fd >= 0) {
		tree->fds_used--;
		return fd;
	}
	inode->fd = fd;
	lru_append(lru_of(tree, inode), inode);
	return -1;
}

int fs_inode_fd_strip(struct fs_tree *tree, struct fs_inode *inode)
{
	if (inode->fd < 0)
		return -1;
	if (inode->sticky) {
		inode->sticky = false;
		inode->pins--;
		tree->fds_lasting--;
	} else {
		lru_remove(lru_of(tree, inode), inode);
	}
	tree->fds_used--;
	return fd_steal(&inode->fd);
}

int fs_inode_fd_get(struct fs_tree *tree, struct fs_inode *inode)
{
	int fd, opened, r;

	pthread_mutex_lock(&tree->lock);
	fd = fs_inode_fd_pin(tree, inode);
	pthread_mutex_unlock(&tree->lock);
	if (fd >= 0)
		return fd;

	r = fs_fds_reserve(tree, FS_FD_PATH);
	if (r < 0)
		return r;
	opened = fs_inode_reach(tree, inode);
	if (opened < 0) {
		fs_fds_release(tree, FS_FD_PATH);
		return opened;
	}
	pthread_mutex_lock(&tree->lock);
	opened = fs_inode_fd_adopt(tree, inode, opened);
	fd = fs_inode_fd_pin(tree, inode);
	pthread_mutex_unlock(&tree->lock);
	fd_close(&opened);
	return fd;
}

void fs_inode_fd_put(struct fs_tree *tree, struct fs_inode *inode)
{
	int victim = -1;

	pthread_mutex_lock(&tree->lock);
	if (--inode->pins == 0) {
		lru_append(lru_of(tree, inode), inode);
		if (tree->lru_cheap.n > FS_CHEAP_MAX)
			victim = evict(tree, &tree->lru_cheap);
	}
	pthread_mutex_unlock(&tree->lock);
	fd_close(&victim);
}

bool fs_inode_fd_stick(struct fs_tree *tree, struct fs_inode *inode)
{
	bool stuck = false;

	pthread_mutex_lock(&tree->lock);
	if (!inode->sticky && may_last(tree)) {
		inode->sticky = stuck = true;
		tree->fds_lasting++;
	}
	pthread_mutex_unlock(&tree->lock);
	return stuck;
}

static int open_by(const struct fs_tree *tree, const struct fs_inode *inode, int fd, int flags)
{
	if (inode->type == S_IFDIR)
		return fs_open_beneath(fd, ".", flags | O_DIRECTORY, 0);
	return fs_reopen(tree->config.proc_fd, fd, flags);
}

int fs_inode_open(struct fs_tree *tree, struct fs_inode *inode, int flags)
{
	/* An access time that moves is a change; to keep it is for owners and CAP_FOWNER. */
	int fd, opened = -EPERM, quiet = tree->config.readonly ? O_NOATIME : 0;

	if (inode->type != S_IFREG && inode->type != S_IFDIR)
		return inode->type == S_IFLNK ? -ELOOP : -ENXIO;
	fd = fs_inode_fd_get(tree, inode);
	if (fd < 0)
		return fd;
	if (quiet)
		opened = open_by(tree, inode, fd, flags | quiet);
	if (opened == -EPERM)
		opened = open_by(tree, inode, fd, flags);
	fs_inode_fd_put(tree, inode);
	return opened;
}
