/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request queue as the benchmark drives it: a fixed slot for each request in flight, one thread,
 * and as little work a request as can be, since it shares the processor with what it measures.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/frontend/fuse_client.h"
#include "vhostuser/driver.h"
#include "vhostuser/frontend.h"

#define FB_QUEUES_MAX 64u
#define FB_DEPTH_MAX  64u
#define FB_NAME_MAX   32u

/* One request in flight, and where the operation that it belongs to stands. */
struct fb_slot {
	uint64_t gpa;
	uint8_t *args;    /* header, arguments, names */
	uint8_t *head;    /* the reply's header */
	uint8_t *body;    /* the reply's body, when it is a small one */
	uint8_t *payload; /* what is written or read: see fb_ask.bulk */
	uint64_t unique;
	uint32_t room; /* for the reply, with its header */
	uint32_t used; /* of it, as the device says */
	uint64_t began_ns;
	/* The row's. */
	unsigned int index; /* among all queues' slots */
	unsigned int step;  /* of the operation, from 0 */
	uint64_t turn;      /* operations begun in this slot */
	uint64_t nodeid, fh, at;
	uint32_t count;
	bool write;
};

struct fb_queue {
	struct vq_driver *ring;
	atomic_bool *broken; /* the device's: nothing more will come */
	bool poll;           /* do not sleep, look */
	bool added;          /* since the last kick */
	uint64_t next_unique;
	uint64_t kicks, calls; /* eventfd writes, ours and theirs */
	uint64_t random;       /* a generator's state */
	struct fb_slot *slots;
	unsigned int n_slots;
};

/* A request. */
struct fb_ask {
	uint32_t opcode;
	uint64_t nodeid;
	const void *args;
	uint32_t args_len;
	const char *name, *name2; /* or NULL */
	uint32_t data_len;        /* of the slot's payload, behind arguments and names */
	uint32_t room;            /* for the reply's body */
	bool bulk;                /* the body is for the payload's place */
};

/* Bytes of guest memory for a slot whose payload has `payload` bytes. */
uint64_t fb_slot_size(uint32_t payload);
/* Lays a slot out at `host` and `gpa`. */
void fb_slot_init(struct fb_slot *slot, void *host, uint64_t gpa);

/* Puts a request into the ring; the device is kicked by fb_queue_wait(). The slot is free. */
void fb_queue_ask(struct fb_queue *queue, struct fb_slot *slot, const struct fb_ask *ask);
/* Takes a slot whose reply came; NULL: none there now. */
struct fb_slot *fb_queue_take(struct fb_queue *queue);
/*
 * Kicks if need be, and sleeps (or looks) until something may be there. 0; FU_TIMEOUT after
 * `timeout_ms` (-1: only `broken` ends it); FU_BROKEN.
 */
int fb_queue_wait(struct fb_queue *queue, int timeout_ms);
/*
 * What the reply in a slot says: 0 or -errno, and its body's bytes in *len; FU_BAD_REPLY when its
 * lengths, its unique or its error are none that a device may give.
 */
int fb_slot_reply(const struct fb_slot *slot, uint32_t *len);

/* Anything below n (> 0). */
static inline uint64_t fb_random(struct fb_queue *queue, uint64_t n)
{
	queue->random ^= queue->random << 13;
	queue->random ^= queue->random >> 7;
	queue->random ^= queue->random << 17;
	return queue->random % n;
}
