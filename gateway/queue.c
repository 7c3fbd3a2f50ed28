/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtqueue of the device: its token, its requests, its end.
 *
 * Theory of operation. The right to pop from the ring is a token (queue->owner), held by one
 * worker thread (worker.c) or nobody. The main loop gives and takes it: start, stop, pause. When
 * the watch finds the owner inside one request for longer than a tick, it is relieved: what it
 * had pushed is notified, and if chains are waiting (or the request takes very long) the token
 * goes to a new thread; so no request waits behind another one's blocked system call, up to
 * GW_QUEUE_RELIEVED_MAX of them at a time.
 *
 *            start                    stop                  last request, or 500 ms
 *   STOPPED -------> STARTED (owner) ------> STOPPING (no owner) ------> STOPPED, config.stopped
 *                     | ^
 *               pause | | resume      relief: owner -> another owner
 *                     v |
 *                    PAUSED (no owner)
 *
 * Requests end on any thread. One that ends inside config.submit on the worker's own thread is
 * given back by the worker, with the next pop; all others lock, push and notify themselves.
 *
 * Nobody is ever joined or waited for. The object lives until it is detached (gw_queue_free), has
 * no thread and no request in flight; whoever unlocks it last frees it.
 */
#include "gateway/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/queue_internal.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/*
 * Ticks after which a stuck owner is relieved though nothing is waiting: the driver does not kick
 * while we poll, so until then the ticker has to look for it.
 */
#define STUCK_TICKS_LONG 20

static void queue_destroy(struct gw_queue *queue)
{
	gw_event_put(queue->call);
	gw_event_put(queue->err);
	fd_close(&queue->kick);
	if (queue->vq)
		vq_free(queue->vq);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

void gw_queue_unlock(struct gw_queue *queue)
{
	bool last = !queue->attached && queue->n_workers == 0 && vq_inflight(queue->vq) == 0;

	pthread_mutex_unlock(&queue->lock);
	if (last)
		queue_destroy(queue);
}

void gw_queue_collect_call(struct gw_queue *queue, struct gw_signals *signals)
{
	/* Nobody to tell: it stays owed. */
	if (!queue->call)
		return;
	if (vq_should_notify(queue->vq) && !signals->call)
		signals->call = gw_event_get(queue->call);
}

void gw_queue_break(struct gw_queue *queue, struct gw_signals *signals)
{
	gw_worker_revoke(queue);
	if (!signals->err)
		signals->err = gw_event_get(queue->err);
}

void gw_queue_finish(struct gw_queue *queue, struct gw_request *request, uint32_t len, bool drop)
{
	struct vq_elem *elem = request->elem;

	if (request->generation == queue->generation && !request->parked)
		queue->n_inflight--;
	queue->n_lingering -= request->lingers;
	if (drop)
		vq_drop(queue->vq, elem);
	else
		vq_push(queue->vq, elem, len);
	if (queue->stopping && queue->n_inflight == 0)
		gw_watch_poke(queue->config.watch);
}

static void request_end(struct fs_io *io, uint32_t len, bool drop)
{
	struct gw_request *request = container_of(io, struct gw_request, io);
	struct gw_queue *queue = request->queue;
	struct gw_signals signals = {0};

	if (gw_worker_ends_in_place(request, len, drop))
		return;
	gw_queue_lock(queue);
	gw_queue_finish(queue, request, len, drop);
	gw_queue_collect_call(queue, &signals);
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
}

static void request_complete(struct fs_io *io, uint32_t len)
{
	request_end(io, len, false);
}

static void request_drop(struct fs_io *io)
{
	request_end(io, 0, true);
}

/*
 * It waits for an answer of the front-end, which may itself be waiting for our answer to
 * GET_VRING_BASE (design.md §6), or for a lock, whose wait goes on when the ring does: a stop must
 * not wait for it.
 */
static void request_park(struct fs_io *io)
{
	struct gw_request *request = container_of(io, struct gw_request, io);
	struct gw_queue *queue = request->queue;

	gw_queue_lock(queue);
	request->parked = true;
	if (request->generation == queue->generation)
		queue->n_inflight--;
	if (queue->stopping && queue->n_inflight == 0)
		gw_watch_poke(queue->config.watch);
	gw_queue_unlock(queue);
}

/*
 * Half of the ring is for requests that end by themselves. (A guest with a full ring keeps what
 * else it has to ask, in order: behind the waiters, the unlock that they wait for.)
 */
static bool request_linger(struct fs_io *io)
{
	struct gw_request *request = container_of(io, struct gw_request, io);
	struct gw_queue *queue = request->queue;
	bool may;

	gw_queue_lock(queue);
	may = queue->n_lingering + request->elem->n_descs <= queue->ring_size / 2;
	if (may) {
		request->lingers = request->elem->n_descs;
		queue->n_lingering += request->lingers;
	}
	gw_queue_unlock(queue);
	if (!may)
		log_guest(queue->name, "half of its %u descriptors wait for locks: no more may",
			queue->ring_size);
	return may;
}

struct gw_request *gw_queue_request(struct gw_queue *queue, struct vq_elem *elem)
{
	struct gw_request *request = (void *)elem->priv;

	request->io = (struct fs_io){
		.req = elem->req,
		.rep = elem->rep,
		.n_req = elem->n_req,
		.n_rep = elem->n_rep,
		.req_len = elem->req_len,
		.rep_len = elem->rep_len,
		.req_ram = elem->req_ram,
		.rep_ram = elem->rep_ram,
		.foreign = elem->foreign,
		.n_foreign = elem->n_foreign,
		.hiprio = queue->config.hiprio,
		.complete = request_complete,
		.park = request_park,
		.linger = request_linger,
		.drop = request_drop,
	};
	request->queue = queue;
	request->elem = elem;
	request->generation = queue->generation;
	request->parked = false;
	request->lingers = 0;
	queue->n_inflight++;
	return request;
}

/* Lock held: should somebody have the token? */
static bool wants_owner(const struct gw_queue *queue)
{
	return queue->started && !queue->stopping && !queue->paused && !vq_broken(queue->vq);
}

bool gw_queue_is_busy(struct gw_queue *queue)
{
	bool busy;

	gw_queue_lock(queue);
	busy = queue->busy || (!queue->owner && wants_owner(queue));
	gw_queue_unlock(queue);
	return busy;
}

/*
 * Lock held: nobody pops any more. The owner may be stuck, and no tick looks at it now: so the
 * driver hears at once of what it pushed.
 */
static void take_token(struct gw_queue *queue, struct gw_signals *signals)
{
	gw_worker_revoke(queue);
	gw_queue_collect_call(queue, signals);
}

/* Lock held: hands the token to a new thread, if there may be one more. */
static void relieve(struct gw_queue *queue)
{
	int r;

	if (queue->n_workers > GW_QUEUE_RELIEVED_MAX) {
		if (!queue->exhausted)
			log_guest(queue->name,
				"waits: %u threads are blocked in the host's file system already",
				queue->n_workers);
		queue->exhausted = true;
		return;
	}
	queue->exhausted = false;
	r = gw_worker_start(queue);
	if (r)
		log_guest(
			queue->name, "no thread to relieve a blocked one: %s", strerrordesc_np(-r));
}

bool gw_queue_tick(struct gw_queue *queue)
{
	struct gw_signals signals = {0};
	bool work, stuck;

	gw_queue_lock(queue);
	work = queue->busy || queue->seq != queue->seen_seq;
	stuck = queue->busy && queue->seq == queue->seen_seq;
	queue->seen_seq = queue->seq;
	queue->stuck_ticks = stuck ? queue->stuck_ticks + 1 : 0;
	if (stuck) {
		gw_queue_collect_call(queue, &signals);
		if (queue->stuck_ticks >= STUCK_TICKS_LONG || vq_pending(queue->vq))
			relieve(queue);
	} else if (!queue->owner && wants_owner(queue)) {
		/* A resume found no thread: try again. */
		relieve(queue);
		work = true;
	}
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
	return work;
}

/* Lock held: the ring is at rest from here on. */
static uint16_t stop_now(struct gw_queue *queue)
{
	gw_worker_revoke(queue);
	ev_timer_stop(queue->config.watch->loop, &queue->stop_timer);
	queue->started = false;
	queue->stopping = false;
	queue->n_inflight = 0;
	queue->generation++;
	fd_close(&queue->kick);
	return vq_stop(queue->vq);
}

/* Lock held; unlocks. */
static void finish_stop(struct gw_queue *queue)
{
	struct gw_signals signals = {0};
	uint16_t base;

	/* While there is a ring: a stopped one is not to be looked at. */
	gw_queue_collect_call(queue, &signals);
	base = stop_now(queue);
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
	queue->config.stopped(queue->config.device, queue->config.index, base);
}

static void on_stop_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gw_queue *queue = timer->data;

	gw_queue_lock(queue);
	log_info(queue->name, "stops with %u requests still blocked in the host's file system",
		queue->n_inflight);
	finish_stop(queue);
}

void gw_queue_check_stop(struct gw_queue *queue)
{
	gw_queue_lock(queue);
	if (queue->stopping && queue->n_inflight == 0)
		finish_stop(queue);
	else
		gw_queue_unlock(queue);
}

int gw_queue_new(const struct gw_queue_config *config, struct gw_queue **made)
{
	struct gw_queue *queue = calloc(1, sizeof(*queue));
	int r;

	if (!queue)
		return -ENOMEM;
	queue->config = *config;
	snprintf(queue->name, sizeof(queue->name), "queue %u", config->index);
	queue->kick = -1;
	queue->attached = true;
	pthread_mutex_init(&queue->lock, NULL);
	ev_timer_init(&queue->stop_timer, on_stop_timeout, GW_QUEUE_STOP_MS / 1000., 0.);
	queue->stop_timer.data = queue;
	r = vq_new(config->index, sizeof(struct gw_request), &queue->vq);
	if (r) {
		queue->vq = NULL;
		queue_destroy(queue);
		return r;
	}
	gw_watch_add(config->watch, queue);
	*made = queue;
	return 0;
}

void gw_queue_free(struct gw_queue *queue)
{
	if (!queue)
		return;
	gw_watch_remove(queue->config.watch, queue);
	gw_queue_lock(queue);
	stop_now(queue);
	vq_reset(queue->vq);
	queue->attached = false;
	gw_queue_unlock(queue);
}

/* Takes over the front-end's events; lock held. */
static int set_events(struct gw_queue *queue, int call, int err)
{
	struct gw_event *call_event, *err_event;
	int r;

	r = gw_event_new(call, &call_event);
	if (r)
		return r;
	r = gw_event_new(err, &err_event);
	if (r) {
		gw_event_put(call_event);
		return r;
	}
	gw_event_put(queue->call);
	gw_event_put(queue->err);
	queue->call = call_event;
	queue->err = err_event;
	return 0;
}

int gw_queue_start(struct gw_queue *queue, const struct vq_config *config, struct vu_memory *memory,
	int kick, int call, int err)
{
	CLEANUP_FD int kick_fd = kick;
	struct gw_signals signals = {0};
	int r;

	gw_queue_lock(queue);
	if (queue->started)
		stop_now(queue);
	r = set_events(queue, call, err);
	if (!r) {
		r = vq_start(queue->vq, config, memory);
		if (r)
			signals.err = gw_event_get(queue->err);
	}
	if (!r) {
		fd_move(&queue->kick, &kick_fd);
		queue->started = true;
		queue->paused = false;
		queue->polling = false;
		queue->ring_size = config->num;
		r = gw_worker_start(queue);
		if (r) {
			log_error(queue->name, "has no thread: %s", strerrordesc_np(-r));
			stop_now(queue);
		}
	}
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
	return r;
}

void gw_queue_stop(struct gw_queue *queue)
{
	struct gw_signals signals = {0};

	gw_queue_lock(queue);
	if (queue->n_inflight == 0) {
		finish_stop(queue);
		return;
	}
	take_token(queue, &signals);
	queue->stopping = true;
	ev_timer_set(&queue->stop_timer, GW_QUEUE_STOP_MS / 1000., 0.);
	ev_now_update(queue->config.watch->loop);
	ev_timer_start(queue->config.watch->loop, &queue->stop_timer);
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
}

void gw_queue_reset(struct gw_queue *queue)
{
	gw_queue_lock(queue);
	stop_now(queue);
	vq_reset(queue->vq);
	gw_queue_unlock(queue);
}

/* Lock held: a thread for a queue that should have one; the ticker tries again if there is none. */
static void resume(struct gw_queue *queue)
{
	if (!wants_owner(queue))
		return;
	relieve(queue);
	if (!queue->owner)
		gw_watch_arm(queue->config.watch);
}

void gw_queue_pause(struct gw_queue *queue, bool pause)
{
	struct gw_signals signals = {0};

	gw_queue_lock(queue);
	queue->paused = pause;
	if (pause)
		take_token(queue, &signals);
	else if (!queue->owner)
		resume(queue);
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
}

void gw_queue_set_kick(struct gw_queue *queue, int kick)
{
	CLEANUP_FD int kick_fd = kick;

	gw_queue_lock(queue);
	if (queue->started) {
		gw_worker_revoke(queue);
		fd_move(&queue->kick, &kick_fd);
		resume(queue);
	}
	gw_queue_unlock(queue);
}

int gw_queue_set_events(struct gw_queue *queue, int call, int err)
{
	struct gw_signals signals = {0};
	int r;

	gw_queue_lock(queue);
	r = set_events(queue, call, err);
	gw_queue_collect_call(queue, &signals);
	/*
	 * What was pushed before may have been told to nobody: QEMU starts a ring with a call fd at
	 * which no one listens, and gives the guest's when it has enabled all rings.
	 */
	if (!r && queue->started && queue->call && !signals.call)
		signals.call = gw_event_get(queue->call);
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
	return r;
}

void gw_queue_set_memory(struct gw_queue *queue, struct vu_memory *memory)
{
	struct gw_signals signals = {0};

	gw_queue_lock(queue);
	/*
	 * Back in memory after a rest, the ring may hold chains that nobody was kicked for, and
	 * completions that came in meanwhile; paused or stopping, it has no owner to tell of them.
	 */
	if (queue->started && vq_set_memory(queue->vq, memory) == 0) {
		gw_worker_nudge(queue);
		gw_queue_collect_call(queue, &signals);
	}
	gw_queue_unlock(queue);
	gw_signals_send(&signals);
}

unsigned int gw_queue_threads(struct gw_queue *queue)
{
	unsigned int n;

	gw_queue_lock(queue);
	n = queue->n_workers;
	gw_queue_unlock(queue);
	return n;
}
