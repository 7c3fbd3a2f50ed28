/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ticker that looks after busy queues: it runs on the main loop, and only while there is work.
 *
 * It finds queues whose thread is stuck in a system call and has them relieved (queue.h), and it
 * is how a queue's thread asks the main loop to look at a stop that has come to its end.
 */
#pragma once

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>

struct gw_queue;

struct gw_watch {
	struct ev_loop *loop;
	ev_async async;
	ev_timer timer;
	unsigned int quiet;      /* main loop: ticks without work in a row */
	_Atomic bool armed;      /* any thread: the timer runs, or is about to */
	struct gw_queue *queues; /* main loop: all that are attached */
};

/* Main loop's thread. `loop` must outlive the watch; a watch must outlive its attached queues. */
void gw_watch_init(struct gw_watch *watch, struct ev_loop *loop);
void gw_watch_fini(struct gw_watch *watch);

/* Main loop's thread. */
void gw_watch_add(struct gw_watch *watch, struct gw_queue *queue);
void gw_watch_remove(struct gw_watch *watch, struct gw_queue *queue);

/* Makes sure that the ticker runs: at most one wake-up. Any thread that holds a queue's lock. */
void gw_watch_arm(struct gw_watch *watch);
/* Has the main loop look at queues that are being stopped. As above. */
void gw_watch_poke(struct gw_watch *watch);
