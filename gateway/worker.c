/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of a queue.
 *
 * Theory of operation. A worker is a thread with a loop of its own that watches a duplicate of
 * the queue's kick eventfd. It may pop as long as it has the queue's token (queue->owner), which
 * is looked at under the lock, before each pop. It loses it in two ways: the main loop takes it
 * (stop, pause, another kick fd) or another worker is started because this one is stuck inside a
 * request (relief). Either way it finishes its request, gives it back and goes. Whoever takes the
 * token of an idle worker wakes it by its eventfd, so that it notices. All of them watch one kick,
 * which whoever reads it consumes: so a worker that leaves wakes its successor.
 *
 * A worker that has the token is a free agent between two requests only: the lock is held to give
 * back the last request and to pop the next, in one go, and never while one is carried out.
 *
 * The loop's eventfd is our own rather than an ev_async: libev aborts when it runs out of fds
 * while setting one up, and a relief may well happen then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/queue_internal.h"
#include "gateway/thread.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* Completions that a long batch may hold back before the driver hears of them. */
#define NOTIFY_BATCH 16

/* Pause after which a pop that failed for want of memory is tried again. */
#define RETRY_S 0.01

struct gw_worker {
	struct gw_queue *queue; /* constant; stays while the worker is counted in n_workers */
	int kick, wake;         /* owned; `wake` is written by whoever takes the token */

	/* The worker's thread only (set up before it starts). */
	struct ev_loop *loop;
	ev_io kick_io, wake_io;
	ev_timer retry;
	struct gw_request *current; /* inside config.submit and not ended yet */
	struct gw_request *done;    /* ended in place, not given back yet */
	uint32_t done_len;
	bool done_drop;
};

static _Thread_local struct gw_worker *this_worker;

void gw_worker_nudge(struct gw_queue *queue)
{
	uint64_t one = 1;

	/* The owner cannot be gone: to leave it must see, under our lock, that it is not. */
	if (queue->owner && write(queue->owner->wake, &one, sizeof(one)) < 0)
		log_error(queue->name, "a thread cannot be woken: %s", strerrordesc_np(errno));
}

bool gw_worker_ends_in_place(struct gw_request *request, uint32_t len, bool drop)
{
	struct gw_worker *worker = this_worker;

	if (!worker || worker->current != request)
		return false;
	worker->current = NULL;
	worker->done = request;
	worker->done_len = len;
	worker->done_drop = drop;
	return true;
}

/* Lock held: the next request, NULL when there is none to take for this worker. */
static struct gw_request *next_request(struct gw_worker *worker, struct gw_signals *signals)
{
	struct gw_queue *queue = worker->queue;
	struct vq_elem *elem;
	bool again = false;
	int r;

	if (queue->owner != worker)
		return NULL;
	queue->busy = false;

	r = vq_pop(queue->vq, &elem);
	if (r == 0) {
		queue->polling = false;
		again = vq_wait_kick(queue->vq);
		if (again)
			r = vq_pop(queue->vq, &elem);
	}
	if (r == -EPROTO) {
		gw_queue_break(queue, signals);
	} else if (r < 0 || (r == 0 && again)) {
		/* Out of memory, or a driver that takes back what it showed: no hurry. */
		ev_timer_again(worker->loop, &worker->retry);
	}
	if (r != 1)
		return NULL;

	if (!queue->polling) {
		queue->polling = true;
		vq_suppress_kicks(queue->vq);
	}
	queue->busy = true;
	queue->seq++;
	gw_watch_arm(queue->config.watch);
	return gw_queue_request(queue, elem);
}

/* Serves the ring until it is empty or the token is gone; false when it is gone. */
static bool serve(struct gw_worker *worker)
{
	struct gw_queue *queue = worker->queue;
	unsigned int unsent = 0;
	bool owner;

	for (;;) {
		struct gw_signals signals = {0};
		struct gw_request *request;

		gw_queue_lock(queue);
		if (worker->done) {
			gw_queue_finish(queue, worker->done, worker->done_len, worker->done_drop);
			worker->done = NULL;
			unsent++;
		}
		request = next_request(worker, &signals);
		if (!request || unsent >= NOTIFY_BATCH) {
			gw_queue_collect_call(queue, &signals);
			unsent = 0;
		}
		owner = queue->owner == worker;
		gw_queue_unlock(queue);
		gw_signals_send(&signals);

		if (!request)
			return owner;
		worker->current = request;
		queue->config.submit(queue->config.fs, &request->io);
		worker->current = NULL;
	}
}

static void serve_or_leave(struct gw_worker *worker)
{
	if (!serve(worker))
		ev_break(worker->loop, EVBREAK_ALL);
}

/*
 * Takes what was signalled; false when nothing will come any more. It must not wait, whatever the
 * front-end made of the O_NONBLOCK that it shares with us: another worker may have been first.
 */
static bool drain(int fd)
{
	uint64_t count;
	const struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP) /* an older kernel, or a pipe there */
		n = read(fd, &count, sizeof(count));
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_fd(struct ev_loop *loop, ev_io *io, int revents)
{
	if (!drain(io->fd))
		ev_io_stop(loop, io); /* else it would be ready for ever */
	serve_or_leave(io->data);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
	ev_timer_stop(loop, timer);
	serve_or_leave(timer->data);
}

static void worker_free(struct gw_worker *worker)
{
	if (worker->loop)
		ev_loop_destroy(worker->loop);
	fd_close(&worker->kick);
	fd_close(&worker->wake);
	free(worker);
}

static void worker_main(void *arg)
{
	struct gw_worker *worker = arg;
	struct gw_queue *queue = worker->queue;

	this_worker = worker;
	if (serve(worker))
		ev_run(worker->loop, 0);
	worker_free(worker);

	gw_queue_lock(queue);
	/* On its way out it may have read a kick that was meant for its successor. */
	gw_worker_nudge(queue);
	queue->n_workers--;
	gw_queue_unlock(queue);
}

static int worker_new(struct gw_queue *queue, struct gw_worker **made)
{
	struct gw_worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->queue = queue;
	worker->wake = -1;
	worker->kick = fcntl(queue->kick, F_DUPFD_CLOEXEC, 0);
	if (worker->kick >= 0)
		worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake >= 0)
		worker->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!worker->loop) {
		r = errno ? -errno : -EMFILE;
		worker_free(worker);
		return r;
	}

	ev_io_init(&worker->kick_io, on_fd, worker->kick, EV_READ);
	ev_io_init(&worker->wake_io, on_fd, worker->wake, EV_READ);
	ev_timer_init(&worker->retry, on_retry, 0., RETRY_S);
	worker->kick_io.data = worker->wake_io.data = worker->retry.data = worker;
	ev_io_start(worker->loop, &worker->kick_io);
	ev_io_start(worker->loop, &worker->wake_io);
	*made = worker;
	return 0;
}

int gw_worker_start(struct gw_queue *queue)
{
	struct gw_worker *worker;
	char name[16];
	int r;

	r = worker_new(queue, &worker);
	if (r)
		return r;
	snprintf(name, sizeof(name), "queue-%u", queue->config.index);
	r = gw_thread_start(worker_main, worker, name);
	if (r) {
		worker_free(worker);
		return r;
	}
	queue->n_workers++;
	queue->owner = worker;
	queue->busy = false;
	queue->stuck_ticks = 0;
	return 0;
}

void gw_worker_revoke(struct gw_queue *queue)
{
	gw_worker_nudge(queue);
	queue->owner = NULL;
	queue->busy = false;
}
