/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice of a view.
 *
 * Theory of operation. Three steps, with confinement between the first two:
 *
 *   prepare   what was asked for becomes a kind; mount and broker are made while there are rights
 *   start     the thread serves; one view of a file of the share is opened and read as a proof
 *   free      the thread is told to stop and waited for; broker and mount go
 *
 * auto means: front-ends of the fs dialects, which map past a file's end, get the file itself
 * (direct). For the others a share that is read-only is seen by cached views, since passthrough
 * would let the front-end write, and any other by passthrough. There is no way down from there:
 * cached views of a share that changes would show the guest its own past, and direct has to be
 * asked for, since what is past the file's end cannot be mapped.
 *
 * A thread that serves may be stuck in a read of a host's file that hangs. Then it is left behind
 * with all that it uses.
 */
#include "gateway/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "gateway/broker.h"
#include "gateway/thread.h"
#include "gateway/userns.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* How long the serving thread may take to end. */
#define END_MS 500

struct gw_view {
	enum dax_view_kind kind; /* what to try */
	const char *dialect;     /* whose front-ends map past a file's end; NULL: they do not */
	bool asked;              /* by name, not by auto */
	bool partial;            /* the mount is of a user namespace with few users */
	int error;               /* of a step that failed */
	const char *missing;     /* which one */
	struct dax_mount mount;  /* until `view` has it */
	struct gw_broker *broker;
	struct dax_view *view;

	pthread_mutex_t mutex; /* of `running` */
	pthread_cond_t ended;
	bool running;
};

static const char *const kind_names[] = {
	[DAX_VIEW_NONE] = "none",
	[DAX_VIEW_DIRECT] = "direct",
	[DAX_VIEW_PASSTHROUGH] = "passthrough",
	[DAX_VIEW_CACHED] = "cached",
};

static void fail(struct gw_view *view, const char *missing, int error)
{
	if (!view->missing) {
		view->missing = missing;
		view->error = error;
	}
}

static enum dax_view_kind choose(
	enum gw_dax_view requested, const char *dialect, bool readonly)
{
	switch (requested) {
	case GW_VIEW_DIRECT:
		return DAX_VIEW_DIRECT;
	case GW_VIEW_PASSTHROUGH:
		return DAX_VIEW_PASSTHROUGH;
	case GW_VIEW_CACHED:
		return DAX_VIEW_CACHED;
	case GW_VIEW_AUTO:
		break;
	}
	if (dialect)
		return DAX_VIEW_DIRECT;
	return readonly ? DAX_VIEW_CACHED : DAX_VIEW_PASSTHROUGH;
}

/* And what helps. */
static const char *missing_for_mount(enum dax_view_kind kind, int r)
{
	switch (r) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return "/dev/fuse: load the module fuse, or give the container that device";
	case -EACCES:
		return "a /dev/fuse that this user may open: start the gateway as root, or give "
		       "the user or the container that device";
	case -EPERM:
		return kind == DAX_VIEW_CACHED
			       ? "CAP_SYS_ADMIN: start the gateway as root, or by `unshare -Urm`"
			       : "CAP_SYS_ADMIN: start the gateway as root";
	default:
		return "a private FUSE mount";
	}
}

/* What takes rights. */
static void acquire(struct gw_view *view)
{
	int r = gw_broker_mount(&view->mount);

	view->partial = gw_userns_is_partial();
	if (r) {
		fail(view, missing_for_mount(view->kind, r), r);
		return;
	}
	if (view->kind != DAX_VIEW_PASSTHROUGH)
		return;
	r = gw_broker_start(&view->mount, &view->broker);
	if (r)
		fail(view, "the broker's process", r);
}

int gw_view_prepare(
	enum gw_dax_view requested, const char *dialect, bool readonly, struct gw_view **out)
{
	struct gw_view *view = calloc(1, sizeof(*view));
	pthread_condattr_t attr;

	if (!view)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&view->mutex, NULL);
	pthread_cond_init(&view->ended, &attr);
	pthread_condattr_destroy(&attr);
	view->kind = choose(requested, dialect, readonly);
	view->dialect = dialect;
	view->asked = requested != GW_VIEW_AUTO;
	view->mount = (struct dax_mount){.fuse_fd = -1, .root_fd = -1};
	if (view->kind == DAX_VIEW_PASSTHROUGH && readonly)
		fail(view, "a share that may be written", -EROFS);
	else if (view->kind == DAX_VIEW_CACHED && !readonly)
		fail(view, "a read-only share", -EINVAL);
	else if (view->kind != DAX_VIEW_DIRECT)
		acquire(view);
	*out = view;
	return 0;
}

static void serve(void *arg)
{
	struct gw_view *view = arg;

	while (dax_view_serve_one(view->view) == 0)
		;
	pthread_mutex_lock(&view->mutex);
	view->running = false;
	pthread_cond_signal(&view->ended);
	pthread_mutex_unlock(&view->mutex);
}

/* True when the thread has ended, or there is none. */
static bool await_end(struct gw_view *view)
{
	struct timespec limit;
	bool running;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_nsec += END_MS * 1000000L;
	limit.tv_sec += limit.tv_nsec / 1000000000L;
	limit.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&view->mutex);
	while (view->running && r == 0)
		r = pthread_cond_timedwait(&view->ended, &view->mutex, &limit);
	running = view->running;
	pthread_mutex_unlock(&view->mutex);
	return !running;
}

/* Stops what runs. False when the thread is stuck. */
static bool stop(struct gw_view *view)
{
	if (view->view)
		dax_view_stop(view->view);
	if (!await_end(view))
		return false;
	/* The mount first: its nodes close their backing ids, by the broker. */
	dax_view_free(view->view);
	view->view = NULL;
	gw_broker_free(view->broker);
	view->broker = NULL;
	fd_close(&view->mount.root_fd);
	fd_close(&view->mount.fuse_fd);
	return true;
}

static void run(struct gw_view *view)
{
	int r = dax_view_new(view->kind, view->kind == DAX_VIEW_DIRECT ? NULL : &view->mount,
		view->broker ? gw_broker_ops() : NULL, view->broker, &view->view);

	if (!r && view->kind != DAX_VIEW_DIRECT) {
		view->running = true;
		r = gw_thread_start(serve, view, "view");
		if (r)
			view->running = false;
	}
	if (r)
		fail(view, "memory or a thread", r);
}

/*
 * A file to try with, without a name, on the share if it has room for one: what is below the share
 * decides whether passthrough works.
 */
static int probe_file(int root_fd, bool on_share)
{
	static const char content[] = "view";
	CLEANUP_FD int fd = -1;

	if (on_share)
		fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("view", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, content, sizeof(content), 0) != (ssize_t)sizeof(content))
		return -EIO;
	return fd_steal(&fd);
}

/* One view, opened and read. */
static void probe(struct gw_view *view, int root_fd)
{
	char got[sizeof("view")] = {0};
	int fd = probe_file(root_fd, view->kind == DAX_VIEW_PASSTHROUGH);
	CLEANUP_FD int out = -1;
	int r;

	if (fd < 0) {
		fail(view, "a file to try with", fd);
		return;
	}
	r = dax_view_open(view->view, fd, &out);
	if (!r && pread(out, got, sizeof(got), 0) < 0)
		r = -errno;
	if (r == -EOPNOTSUPP || r == -ENOTTY)
		fail(view, "FUSE passthrough, of Linux 6.9", r);
	else if (r == -EPERM)
		fail(view, "CAP_SYS_ADMIN of the first user namespace: start the gateway as root",
			r);
	else if (r == -ELOOP)
		fail(view, "a share that is not on several file systems above each other", r);
	else if (r || memcmp(got, "view", sizeof(got)) != 0)
		fail(view, "a view of a file that can be opened and read", r ? r : -EIO);
}

struct dax_view *gw_view_start(struct gw_view *view, int root_fd)
{
	if (!view->missing)
		run(view);
	if (!view->missing && view->kind != DAX_VIEW_DIRECT)
		probe(view, root_fd);
	if (!view->missing) {
		log_info("view", "%s%s%s", kind_names[view->kind],
			view->asked                     ? ", as asked for"
			: view->dialect                 ? ", for the dialect "
			: view->kind == DAX_VIEW_CACHED ? ", the share is read-only"
							: "",
			view->asked || !view->dialect ? "" : view->dialect);
		return view->view;
	}
	log_warn("view", "no DAX: no file can be mapped, since %s takes %s (%s)",
		kind_names[view->kind], view->missing, strerrordesc_np(-view->error));
	/* Stuck: gw_view_free() finds the same. */
	(void)stop(view);
	return NULL;
}

bool gw_view_is_partial(const struct gw_view *view)
{
	return view->partial;
}

void gw_view_free(struct gw_view *view)
{
	if (!view || !stop(view))
		return;
	pthread_cond_destroy(&view->ended);
	pthread_mutex_destroy(&view->mutex);
	free(view);
}
