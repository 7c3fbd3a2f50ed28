/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request queue of a mount: a thread's loop between an open /dev/fuse and a ring.
 */
#pragma once

#include <stdint.h>

#include "gateway/frontend/mount_hiprio.h"
#include "gateway/frontend/mount_locks.h"
#include "vhostuser/driver.h"

struct fm_queue;

/* Why a queue's loop ended. */
enum fm_end {
	FM_RUNNING,
	FM_STOPPED,   /* `stop` */
	FM_DRAINED,   /* `drain`, and nothing is left to write back */
	FM_UNMOUNTED, /* the kernel has no use for /dev/fuse any more */
	FM_BROKEN,    /* the back-end broke a protocol or gave a queue up; it is logged */
	FM_FAILED,    /* our fault, or the machine's; it is logged */
};

struct fm_queue_config {
	unsigned int index;     /* the ring's, for the log */
	int fuse_fd;            /* open /dev/fuse, non-blocking (borrowed) */
	struct vq_driver *ring; /* borrowed; nobody else's from now on */
	uint8_t *host;          /* fm_queue_memory() bytes of guest memory, page-aligned */
	uint64_t gpa;           /* where they are for the device */
	uint16_t slots;         /* requests under way, at most: fm_queue_slots() */
	struct fm_hiprio *hiprio;
	struct fm_locks *locks; /* borrowed */
	struct fm_stop *stop; /* borrowed */
	int ready;            /* eventfd (borrowed): signalled when INIT is through */
};

/* How many slots a ring has descriptors for: with INDIRECT_DESC one each, else five. */
uint16_t fm_queue_slots(const struct vq_driver *ring);
/* Bytes of guest memory for that many slots. */
uint64_t fm_queue_memory(uint16_t slots);
/* -ENOMEM; -EINVAL when the ring has too few entries; -EMFILE. */
int fm_queue_new(const struct fm_queue_config *config, struct fm_queue **queue);
/* NULL is fine. After the loop. */
void fm_queue_free(struct fm_queue *queue);

/*
 * Carries requests in and answers out until one of fm_end's happens. Answers that are there when
 * `stop` comes still get out. While it drains, new requests end with ENOTCONN, all but what the
 * kernel writes back. The queue's thread.
 */
enum fm_end fm_queue_run(struct fm_queue *queue);

/*
 * Sends DESTROY, as a guest does that unmounts, and waits for its answer: 0, -ETIMEDOUT, -EPIPE or
 * -EBUSY (no slot is free). After the loop.
 */
int fm_queue_destroy(struct fm_queue *queue, int timeout_ms);
