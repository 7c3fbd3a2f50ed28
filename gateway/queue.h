/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtqueue of the device and the threads that serve it.
 *
 * All functions are for the main loop's thread; none blocks. Requests are handed out on threads
 * of the queue's own, and may be finished on any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fuse/fs.h"
#include "gateway/watch.h"
#include "vhostuser/memory.h"
#include "vhostuser/virtqueue.h"

/* A stop waits this long for requests in flight; later ones are kept (vq_push) or dropped. */
#define GW_QUEUE_STOP_MS 500

/* Threads that one queue may have stuck in system calls; past that the queue waits for one. */
#define GW_QUEUE_RELIEVED_MAX 64

struct gw_queue_config {
	unsigned int index;
	bool hiprio;
	/* Carries out one request (fs_submit); must stay callable until the last one ended. */
	void (*submit)(void *fs, struct fs_io *io);
	void *fs;
	/* Main loop: the stop asked for has come to its end; `base` is the next index to pop. */
	void (*stopped)(void *device, unsigned int index, uint16_t base);
	void *device;
	struct gw_watch *watch;
};

struct gw_queue;

/* A stopped queue. -ENOMEM. */
int gw_queue_new(const struct gw_queue_config *config, struct gw_queue **queue);

/*
 * Stops it at once and forgets it: no callback comes any more. What is in flight ends in silence;
 * memory goes with the last request. NULL is fine.
 */
void gw_queue_free(struct gw_queue *queue);

/*
 * Starts the ring and its thread. The fds are non-blocking; `kick` is consumed, also on error,
 * `call` and `err` are borrowed (duplicated; -1: none). -errno of vq_start, of the thread, of
 * duplication.
 */
int gw_queue_start(struct gw_queue *queue, const struct vq_config *config, struct vu_memory *memory,
	int kick, int call, int err);

/* Pops no more from now on; config.stopped is called within GW_QUEUE_STOP_MS, perhaps at once. */
void gw_queue_stop(struct gw_queue *queue);

/* Stops at once, without config.stopped; the next start is a new ring (RESET_DEVICE). */
void gw_queue_reset(struct gw_queue *queue);

/* Pops no more until resumed (SET_VRING_ENABLE). */
void gw_queue_pause(struct gw_queue *queue, bool pause);

/* Another kick fd (consumed) for a started queue. */
void gw_queue_set_kick(struct gw_queue *queue, int kick);

/*
 * Other call and err fds (borrowed). The driver of a started queue is interrupted once: who had the
 * old ones may not have heard of what was pushed. -errno: the old ones stay.
 */
int gw_queue_set_events(struct gw_queue *queue, int call, int err);

/* Another memory table (borrowed). A ring that is not in it rests until it is again (logged). */
void gw_queue_set_memory(struct gw_queue *queue, struct vu_memory *memory);

/* Threads that serve the queue now, stuck ones included. */
unsigned int gw_queue_threads(struct gw_queue *queue);
