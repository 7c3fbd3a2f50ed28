/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views: nodes of the private mount, and how they become fds.
 *
 * Theory of operation. dax_view_open() enters a node under a fresh id, with the real file in it,
 * and opens the file of the private mount whose name is that id. The kernel asks the serving
 * thread (view_serve.c): LOOKUP gives the node its first reference, OPEN its backing id. The fd
 * that comes out is all that the caller gets; when the last one and the last mapping are gone the
 * kernel sends RELEASE and FORGET, and the node is freed. Ids are never used again, so a node
 * needs no generation. The kernel keeps names that it has looked up; so it is told to forget each
 * one as soon as the file is open, and FORGET follows the last use at once.
 *
 *   entered (pending) --LOOKUP--> known (lookups > 0) --OPEN--> open --RELEASE--> known
 *      |  open failed before it       ^                                              |
 *      v                              +------- opened again through /proc: ESTALE ---+-- FORGET
 *    freed                                                                           v  freed
 *
 * Each view is a node of its own: two backing ids on one open inode make open fail with EIO, and
 * two nodes on one real file share its page cache anyway.
 *
 * The mutex guards the table and the state and is never held over a system call that waits. Who
 * opens waits in the kernel for the serving thread. So that nobody waits for ever: an opener first
 * waits for INIT, with a limit, and is counted while it is in the kernel; a serving thread that is
 * told to stop goes on answering until no opener is left, and new ones are refused.
 */
#include "dax/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dax/view_internal.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* Bounds what a front-end that never lets go can make us keep; far above any window. */
#define VIEWS_MAX 16384u

/* How long an opener waits for the mount to be ready. */
#define READY_S 5

/* The root of a FUSE mount has this id. */
#define ROOT_ID 1

static struct dax_view_node **bucket(struct dax_view *view, uint64_t id)
{
	return &view->buckets[id % DAX_VIEW_BUCKETS];
}

/* Where the node is linked; the place of a NULL if it is not. Under the mutex. */
static struct dax_view_node **place(struct dax_view *view, uint64_t id)
{
	struct dax_view_node **at = bucket(view, id);

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

struct dax_view_node *dax_view_find(struct dax_view *view, uint64_t id)
{
	struct dax_view_node *node;

	pthread_mutex_lock(&view->mutex);
	node = *place(view, id);
	pthread_mutex_unlock(&view->mutex);
	return node;
}

struct dax_view_node *dax_view_lookup(struct dax_view *view, uint64_t id)
{
	struct dax_view_node *node;

	pthread_mutex_lock(&view->mutex);
	node = *place(view, id);
	if (node)
		node->lookups++;
	pthread_mutex_unlock(&view->mutex);
	return node;
}

/* Unlinks the node when nobody has it any more. Under the mutex; the caller frees what comes. */
static struct dax_view_node *unlink_unused(struct dax_view *view, struct dax_view_node *node)
{
	struct dax_view_node **at;

	if (!node || node->lookups > 0 || node->pending)
		return NULL;
	at = place(view, node->id);
	*at = node->next;
	view->count--;
	view->copies -= node->copy;
	return node;
}

static void free_node(struct dax_view *view, struct dax_view_node *node)
{
	if (!node)
		return;
	dax_view_node_close(view, node);
	free(node);
}

void dax_view_forget(struct dax_view *view, uint64_t id, uint64_t n)
{
	struct dax_view_node *node;

	pthread_mutex_lock(&view->mutex);
	node = *place(view, id);
	if (node) {
		node->lookups -= n < node->lookups ? n : node->lookups;
		node = unlink_unused(view, node);
	}
	pthread_mutex_unlock(&view->mutex);
	free_node(view, node);
}

void dax_view_set_state(struct dax_view *view, enum dax_view_state state, bool can_pass)
{
	pthread_mutex_lock(&view->mutex);
	if (view->state != DAX_VIEW_ENDED) {
		view->state = state;
		view->can_pass = can_pass;
	}
	pthread_cond_broadcast(&view->changed);
	pthread_mutex_unlock(&view->mutex);
}

static int init_waiting(struct dax_view *view)
{
	pthread_condattr_t attr;
	int r;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&view->mutex, NULL);
	pthread_cond_init(&view->changed, &attr);
	pthread_condattr_destroy(&attr);
	view->stop_fd = -1;
	if (view->kind == DAX_VIEW_DIRECT)
		return 0;
	view->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = view->stop_fd < 0 ? -errno : fd_nonblock(view->mount.fuse_fd);
	return r ? r : dax_view_server_init(view);
}

static void close_mount(struct dax_mount *mount)
{
	fd_close(&mount->root_fd);
	fd_close(&mount->fuse_fd);
}

int dax_view_new(enum dax_view_kind kind, struct dax_mount *mount,
	const struct dax_backing_ops *ops, void *ctx, struct dax_view **out)
{
	struct dax_view *view = NULL;
	int r = -EINVAL;

	if (kind == DAX_VIEW_DIRECT || (mount && kind == DAX_VIEW_CACHED) ||
		(mount && ops && kind == DAX_VIEW_PASSTHROUGH)) {
		view = calloc(1, sizeof(*view));
		r = view ? 0 : -ENOMEM;
	}
	if (r) {
		if (mount)
			close_mount(mount);
		return r;
	}
	view->kind = kind;
	view->ops = ops;
	view->ctx = ctx;
	view->last_id = ROOT_ID;
	view->mount = (struct dax_mount){.fuse_fd = -1, .root_fd = -1};
	if (mount) {
		fd_move(&view->mount.fuse_fd, &mount->fuse_fd);
		fd_move(&view->mount.root_fd, &mount->root_fd);
	}
	r = init_waiting(view);
	if (r)
		dax_view_free(view);
	else
		*out = view;
	return r;
}

void dax_view_free(struct dax_view *view)
{
	if (!view)
		return;
	/* Without its fds the mount cannot be asked any more; what is left of the nodes goes. */
	close_mount(&view->mount);
	for (size_t i = 0; i < DAX_VIEW_BUCKETS; i++) {
		struct dax_view_node *node, *next;

		for (node = view->buckets[i]; node; node = next) {
			next = node->next;
			free_node(view, node);
		}
	}
	dax_view_server_fini(view);
	fd_close(&view->stop_fd);
	pthread_cond_destroy(&view->changed);
	pthread_mutex_destroy(&view->mutex);
	free(view);
}

enum dax_view_kind dax_view_kind(const struct dax_view *view)
{
	return view->kind;
}

void dax_view_stop(struct dax_view *view)
{
	dax_view_set_state(view, DAX_VIEW_ENDED, false);
	if (view->stop_fd >= 0)
		(void)fd_signal(view->stop_fd);
}

/* Whether a view of this kind may be made of the file. */
static int check_file(const struct dax_view *view, int fd, struct stat *st, bool *copy)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, st) != 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || (flags & O_PATH))
		return -EINVAL;
	/* The kernel opens the backing file anew with the flags of the view, which is O_RDWR:
	 * of a file that is open for reading it would make a writable one. So that is copied. */
	*copy = view->kind == DAX_VIEW_CACHED || (flags & O_ACCMODE) != O_RDWR;
	return (flags & O_ACCMODE) == O_WRONLY ? -EACCES : 0;
}

/* Waits until the mount is ready. Under the mutex. */
static int await_ready(struct dax_view *view)
{
	struct timespec limit;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_sec += READY_S;
	while (view->state == DAX_VIEW_STARTING && r == 0)
		r = pthread_cond_timedwait(&view->changed, &view->mutex, &limit);
	if (view->state == DAX_VIEW_ENDED)
		return -ENODEV;
	if (view->state == DAX_VIEW_STARTING)
		return -ETIMEDOUT;
	return view->kind == DAX_VIEW_PASSTHROUGH && !view->can_pass ? -EOPNOTSUPP : 0;
}

/* Enters a node; the opener is counted. */
static int enter_node(struct dax_view *view, struct dax_view_node *node)
{
	int r;

	pthread_mutex_lock(&view->mutex);
	r = await_ready(view);
	if (!r && view->count >= VIEWS_MAX)
		r = -ENFILE;
	if (!r) {
		struct dax_view_node **at;

		node->id = ++view->last_id;
		at = bucket(view, node->id);
		node->next = *at;
		*at = node;
		view->count++;
		view->copies += node->copy;
		view->openers++;
	}
	pthread_mutex_unlock(&view->mutex);
	return r;
}

static void leave_node(struct dax_view *view, struct dax_view_node *node)
{
	pthread_mutex_lock(&view->mutex);
	view->openers--;
	node->pending = false;
	node = unlink_unused(view, node);
	pthread_mutex_unlock(&view->mutex);
	free_node(view, node);
}

static int open_node(struct dax_view *view, struct dax_view_node *node, int *out)
{
	char name[17];
	int r = 0;

	snprintf(name, sizeof(name), "%" PRIx64, node->id);
	/* O_RDWR also for reads only: front-ends take nothing less. */
	do {
		*out = openat(view->mount.root_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		r = *out < 0 ? -errno : 0;
	} while (r == -EINTR);
	/* The kernel keeps unused names, and with them nodes, until it is short of memory. */
	dax_view_notify_name(view, name);
	return r;
}

static int open_on_mount(
	struct dax_view *view, int *fd, const struct stat *st, bool copy, int *out)
{
	struct dax_view_node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return -ENOMEM;
	node->fd = fd_steal(fd);
	node->copy = copy;
	node->dev = st->st_dev;
	node->ino = st->st_ino;
	node->pending = true;
	r = enter_node(view, node);
	if (r) {
		if (r == -ENFILE)
			log_guest("view", "the front-end keeps %u views open: no more", VIEWS_MAX);
		free_node(view, node);
		return r;
	}
	r = open_node(view, node, out);
	leave_node(view, node);
	return r;
}

int dax_view_open(struct dax_view *view, int fd, int *out)
{
	CLEANUP_FD int real = fd;
	struct stat st;
	bool copy = false;
	int r;

	*out = -1;
	r = check_file(view, real, &st, &copy);
	if (r)
		return r;
	if (view->kind != DAX_VIEW_DIRECT)
		return open_on_mount(view, &real, &st, copy, out);
	*out = fd_steal(&real);
	return 0;
}

/* The ids of the copies of a file; their number, or 0 when there is no memory for it. */
static size_t copies_of(struct dax_view *view, dev_t dev, ino_t ino, uint64_t **ids)
{
	size_t n = 0;

	pthread_mutex_lock(&view->mutex);
	*ids = view->copies ? malloc(view->copies * sizeof(**ids)) : NULL;
	for (size_t i = 0; *ids && i < DAX_VIEW_BUCKETS; i++) {
		struct dax_view_node *node;

		for (node = view->buckets[i]; node; node = node->next) {
			if (node->copy && node->dev == dev && node->ino == ino)
				(*ids)[n++] = node->id;
		}
	}
	pthread_mutex_unlock(&view->mutex);
	return n;
}

void dax_view_changed(struct dax_view *view, dev_t dev, ino_t ino)
{
	uint64_t *ids;
	size_t n;

	/* Not under the mutex: the kernel may have to wait for answers of the serving thread. */
	n = copies_of(view, dev, ino, &ids);
	for (size_t i = 0; i < n; i++)
		dax_view_notify_pages(view, ids[i]);
	free(ids);
}

unsigned int dax_view_count(struct dax_view *view)
{
	unsigned int count;

	pthread_mutex_lock(&view->mutex);
	count = view->count;
	pthread_mutex_unlock(&view->mutex);
	return count;
}
