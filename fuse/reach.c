/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way back to an inode that has no fd: by an open file, by file handle, by parent and name.
 *
 * By name, the path is put together from the nearest ancestor that can be reached otherwise (an
 * open directory, say, wherever the host has moved it), and opened in one step beneath it. What is
 * found there is compared with what the inode was: the host may have put something else in its
 * place, and then the answer is ESTALE, never another file.
 */
#include "fuse/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/handle.h"
#include "fuse/walk.h"
#include "vhostuser/fd.h"

/* Paths longer than PATH_MAX are walked in legs; so many of them reach 16 million bytes deep. */
#define LEGS_MAX 4096

/* One leg: from `base` down to `target` by path + start. Both are referenced, the base is pinned.
 */
struct leg {
	struct fs_inode *base, *target;
	int base_fd;
	size_t start;
	char path[PATH_MAX];
};

bool fs_inode_is(const struct fs_inode *inode, int fd)
{
	struct file_handle *fhandle;
	struct statx stx;
	bool equal = true;

	if (fs_stat_at(fd, "", &stx) < 0 || stx.stx_ino != inode->ino ||
		fs_stat_dev(&stx) != inode->volume->dev ||
		stx.stx_mnt_id != inode->volume->mnt_id || (stx.stx_mode & S_IFMT) != inode->type)
		return false;
	if (stx.stx_mask & STATX_BTIME && (inode->btime_sec != stx.stx_btime.tv_sec ||
		inode->btime_nsec != stx.stx_btime.tv_nsec))
		return false;
	if (inode->fhandle) {
		fhandle = fs_fhandle_new(fd, "");
		equal = fhandle && fs_fhandle_equal(fhandle, inode->fhandle);
		free(fhandle);
	}
	return equal;
}

static int by_open_file(struct fs_tree *tree, struct fs_inode *inode)
{
	struct fs_handle *handle;
	int fd;

	pthread_mutex_lock(&tree->lock);
	handle = fs_handle_of(inode);
	pthread_mutex_unlock(&tree->lock);
	if (!handle)
		return -ENOENT;
	fd = fs_reopen(tree->config.proc_fd, handle->fd, O_PATH);
	fs_handle_put(tree, handle);
	return fd;
}

static int by_fhandle(struct fs_inode *inode)
{
	int fd;

	do {
		fd = open_by_handle_at(inode->volume->fd, inode->fhandle, O_PATH | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* Puts a component before what is there. False when it does not fit any more. */
static bool prepend(struct leg *leg, const char *name)
{
	size_t len = strlen(name);

	if (leg->start < len + 1)
		return false;
	if (leg->path[leg->start])
		leg->path[--leg->start] = '/';
	leg->start -= len;
	memcpy(leg->path + leg->start, name, len);
	return true;
}

/* tree->lock held. */
static bool is_base(const struct fs_inode *inode)
{
	return inode->fd >= 0 || inode->handles || fs_inode_by_fhandle(inode);
}

/* The fd of a base that has none in the cache, pinned. -EAGAIN: it was an open file, closed now. */
static int open_base(struct fs_tree *tree, struct fs_inode *base)
{
	int fd, opened, r;

	if (fs_inode_by_fhandle(base))
		return fs_inode_fd_get(tree, base);
	r = fs_fds_reserve(tree, FS_FD_PATH);
	if (r < 0)
		return r;
	opened = by_open_file(tree, base);
	if (opened < 0) {
		fs_fds_release(tree, FS_FD_PATH);
		return opened == -ENOENT ? -EAGAIN : opened;
	}
	pthread_mutex_lock(&tree->lock);
	opened = fs_inode_fd_adopt(tree, base, opened);
	fd = fs_inode_fd_pin(tree, base);
	pthread_mutex_unlock(&tree->lock);
	fd_close(&opened);
	return fd;
}

/* Plans the first leg towards `inode`. -ESTALE when names do not lead there; -EAGAIN. */
static int plan(struct fs_tree *tree, struct fs_inode *inode, struct leg *leg)
{
	struct fs_inode *node = inode, *target = inode;

	leg->start = sizeof(leg->path) - 1;
	leg->path[leg->start] = '\0';
	pthread_mutex_lock(&tree->lock);
	do {
		if (!node->parent || !node->name) {
			pthread_mutex_unlock(&tree->lock);
			return -ESTALE;
		}
		if (!prepend(leg, node->name)) {
			/* Too long for one call: what lies above `node` is the first leg. */
			target = node;
			leg->start = sizeof(leg->path) - 1;
			leg->path[leg->start] = '\0';
			continue;
		}
		node = node->parent;
	} while (!is_base(node));
	leg->base = fs_inode_ref(node);
	leg->target = fs_inode_ref(target);
	leg->base_fd = fs_inode_fd_pin(tree, node);
	pthread_mutex_unlock(&tree->lock);
	if (leg->base_fd < 0)
		leg->base_fd = open_base(tree, leg->base);
	if (leg->base_fd >= 0)
		return 0;
	fs_inode_put(tree, leg->base);
	fs_inode_put(tree, leg->target);
	return leg->base_fd;
}

static void leave(struct fs_tree *tree, struct fs_inode *pinned)
{
	if (pinned)
		fs_inode_fd_put(tree, pinned);
	fs_inode_put(tree, pinned);
}

static int walk(const struct leg *leg)
{
	int fd = fs_open_beneath(leg->base_fd, leg->path + leg->start, O_PATH, 0);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return -ESTALE;
	if (fd >= 0 && !fs_inode_is(leg->target, fd)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static int by_name(struct fs_tree *tree, struct fs_inode *inode)
{
	struct fs_inode *held = NULL; /* where the last leg ended */
	int legs, r = -ELOOP;

	for (legs = 0; legs < LEGS_MAX; legs++) {
		struct leg leg;
		bool last;

		r = plan(tree, inode, &leg);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			break;
		last = leg.target == inode;
		/*
		 * The end of a leg gets its fd as any inode does: by a call of this function that
		 * finds one leg, for the base is pinned.
		 */
		r = last ? walk(&leg) : fs_inode_fd_get(tree, leg.target);
		leave(tree, leg.base);
		if (last || r < 0) {
			fs_inode_put(tree, leg.target);
			break;
		}
		leave(tree, held);
		held = leg.target;
		r = -ELOOP;
	}
	leave(tree, held);
	return r == -EAGAIN ? -ESTALE : r;
}

int fs_inode_reach(struct fs_tree *tree, struct fs_inode *inode)
{
	int fd = by_open_file(tree, inode);

	if (fd >= 0)
		return fd;
	if (fs_inode_by_fhandle(inode))
		return by_fhandle(inode);
	return by_name(tree, inode);
}
