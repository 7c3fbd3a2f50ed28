/* SPDX-License-Identifier: BSD-3-Clause */
/* What queue.c, worker.c and watch.c share, and nobody else. */
#pragma once

#include <ev.h>
#include <pthread.h>

#include "gateway/event.h"
#include "gateway/queue.h"

struct gw_worker;

/* Lives beside its element (vq_elem.priv), which vq_push and vq_drop take back. */
struct gw_request {
	struct fs_io io;
	struct gw_queue *queue;
	struct vq_elem *elem;
	uint32_t generation; /* of the start that it was popped under */
	bool parked;         /* waits for others: not counted in n_inflight any more */
	uint16_t lingers;    /* descriptors, counted in n_lingering */
};

struct gw_queue {
	struct gw_queue_config config; /* constant */
	char name[16];                 /* constant; for the log */

	pthread_mutex_t lock; /* guards all of the following, short sections only */
	struct vq *vq;
	struct gw_worker *owner; /* who has the token and alone may pop; NULL: nobody */
	struct gw_event *call, *err;
	int kick; /* owned; workers watch duplicates */
	unsigned int n_workers;
	unsigned int n_inflight; /* of this generation, but for those that are parked */
	unsigned int n_lingering; /* descriptors of requests that wait for locks; of any start */
	uint32_t ring_size;      /* as of the last start */
	uint32_t generation;     /* counts starts */
	uint32_t seq;            /* counts requests handed out */
	bool attached;           /* gw_queue_free() was not called */
	bool started, paused;
	bool stopping;     /* waits for n_inflight to become 0 */
	bool busy;         /* the owner is inside config.submit */
	bool polling;      /* kicks are suppressed */
	uint32_t seen_seq; /* seq as the last tick saw it */
	unsigned int stuck_ticks;
	bool exhausted; /* no more relief, and the log says so */

	/* Main loop only. */
	struct gw_queue *next, **link; /* in watch->queues */
	ev_timer stop_timer;
};

/* Signals collected under the lock, to be sent without it. */
struct gw_signals {
	struct gw_event *call, *err;
};

static inline void gw_signals_send(struct gw_signals *signals)
{
	gw_event_signal(signals->call);
	gw_event_put(signals->call);
	gw_event_signal(signals->err);
	gw_event_put(signals->err);
	*signals = (struct gw_signals){0};
}

static inline void gw_queue_lock(struct gw_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
}

/* Unlocks, and frees the queue when this was the last that anybody had to do with it. */
void gw_queue_unlock(struct gw_queue *queue);

/* Lock held: adds the call signal if the driver wants one for what was pushed. */
void gw_queue_collect_call(struct gw_queue *queue, struct gw_signals *signals);

/* Lock held: the ring is broken; nobody pops any more, the err signal is added. */
void gw_queue_break(struct gw_queue *queue, struct gw_signals *signals);

/* Lock held: readies the request of a popped element. */
struct gw_request *gw_queue_request(struct gw_queue *queue, struct vq_elem *elem);

/* Lock held: gives a request's element back. */
void gw_queue_finish(struct gw_queue *queue, struct gw_request *request, uint32_t len, bool drop);

/* Main loop, by the watch: true while the queue has work that needs the ticker. */
bool gw_queue_tick(struct gw_queue *queue);
/* Main loop, by the watch: ends a stop whose last request has ended. */
void gw_queue_check_stop(struct gw_queue *queue);
bool gw_queue_is_busy(struct gw_queue *queue);

/*
 * Lock held: starts a thread that has the token from now on; the old owner, if any, goes away
 * after its request. -errno: the token stays where it was.
 */
int gw_worker_start(struct gw_queue *queue);

/* Lock held: takes the token from whoever has it; an idle owner is told to go. */
void gw_worker_revoke(struct gw_queue *queue);

/* Lock held: has the owner, if any, look at the ring as if it were kicked. */
void gw_worker_nudge(struct gw_queue *queue);

/*
 * True when `request` is the one that the calling worker thread is just carrying out: the worker
 * gives it back itself, together with popping the next.
 */
bool gw_worker_ends_in_place(struct gw_request *request, uint32_t len, bool drop);
