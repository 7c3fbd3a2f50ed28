/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ticker of busy queues.
 *
 * Theory of operation. A queue's thread arms the watch under its queue's lock whenever it hands
 * out a request; only the first to do so wakes the main loop, which then ticks every TICK_S. Each
 * tick asks every queue (gw_queue_tick). After QUIET_TICKS without work the timer stops: first
 * `armed` is cleared, then all queues are looked at once more under their locks. A thread that
 * became busy before that look is seen by it; one that does so later finds `armed` cleared and
 * wakes us. So an idle service has no wake-ups, and no stuck thread goes unseen.
 */
#include "gateway/watch.h"

#include "gateway/queue_internal.h"

/* A thread is stuck when two ticks in a row see it in one request: relief after 5 to 10 ms. */
#define TICK_S      0.005
#define QUIET_TICKS 4

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gw_watch *watch = timer->data;
	struct gw_queue *queue;
	bool work = false;

	for (queue = watch->queues; queue; queue = queue->next)
		work |= gw_queue_tick(queue);
	watch->quiet = work ? 0 : watch->quiet + 1;
	if (watch->quiet < QUIET_TICKS)
		return;

	watch->quiet = 0;
	ev_timer_stop(loop, timer);
	atomic_store(&watch->armed, false);
	for (queue = watch->queues; queue; queue = queue->next) {
		if (gw_queue_is_busy(queue)) {
			gw_watch_arm(watch);
			return;
		}
	}
}

static void on_async(struct ev_loop *loop, ev_async *async, int revents)
{
	struct gw_watch *watch = async->data;
	struct gw_queue *queue, *next;

	if (atomic_load(&watch->armed) && !ev_is_active(&watch->timer))
		ev_timer_again(loop, &watch->timer);
	for (queue = watch->queues; queue; queue = next) {
		next = queue->next;
		gw_queue_check_stop(queue);
	}
}

void gw_watch_init(struct gw_watch *watch, struct ev_loop *loop)
{
	*watch = (struct gw_watch){.loop = loop};
	ev_async_init(&watch->async, on_async);
	watch->async.data = watch;
	ev_async_start(loop, &watch->async);
	ev_timer_init(&watch->timer, on_tick, 0., TICK_S);
	watch->timer.data = watch;
}

void gw_watch_fini(struct gw_watch *watch)
{
	ev_async_stop(watch->loop, &watch->async);
	ev_timer_stop(watch->loop, &watch->timer);
}

void gw_watch_add(struct gw_watch *watch, struct gw_queue *queue)
{
	queue->next = watch->queues;
	queue->link = &watch->queues;
	if (queue->next)
		queue->next->link = &queue->next;
	watch->queues = queue;
}

void gw_watch_remove(struct gw_watch *watch, struct gw_queue *queue)
{
	*queue->link = queue->next;
	if (queue->next)
		queue->next->link = queue->link;
}

void gw_watch_arm(struct gw_watch *watch)
{
	if (!atomic_load(&watch->armed) && !atomic_exchange(&watch->armed, true))
		ev_async_send(watch->loop, &watch->async);
}

void gw_watch_poke(struct gw_watch *watch)
{
	ev_async_send(watch->loop, &watch->async);
}
