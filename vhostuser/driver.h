/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a split virtqueue in memory that we share with a back-end.
 *
 * Rings, descriptors and indices are reachable raw, so that tests can be a hostile guest.
 * Not thread-safe: one thread a ring.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_ring.h>

struct vq_driver {
	uint16_t num;
	uint64_t features; /* VIRTIO_RING_F_* in use */
	uint64_t gpa;      /* where the ring area starts; desc, avail, used follow each other */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* next to publish */
	uint16_t last_used; /* next used entry to take */
	uint16_t free_head;
	uint16_t n_free;
	uint16_t kicked_idx; /* avail_idx at the last kick decision */
	int kick, call, err; /* eventfds, owned */
	/* By descriptor, num entries each, in private memory: out of the device's reach. */
	void **cookies;  /* of the chain that starts here */
	uint16_t *next;  /* the chain's or the free list's next descriptor */
	uint16_t *count; /* descriptors of the chain that starts here; 0: none in flight */
};

/* One buffer of a chain, by guest physical address. */
struct vq_buf {
	uint64_t gpa;
	uint32_t len;
	bool writable; /* by the device */
};

/* Bytes of guest memory that a ring of `num` entries takes. */
size_t vq_driver_size(uint16_t num);

/*
 * Lays out a ring at `area` (host address of gpa, 16-byte aligned, vq_driver_size() bytes, zeroed
 * here). -EINVAL: num is not a power of two up to 32768, or area is not aligned.
 */
int vq_driver_init(
	struct vq_driver *driver, uint16_t num, uint64_t gpa, void *area, uint64_t features);
void vq_driver_fini(struct vq_driver *driver);

/*
 * Publishes a chain (readable buffers first is the caller's duty, so that it can be broken).
 * -ENOSPC when there are too few free descriptors; -EINVAL without buffers. `cookie` comes back
 * from vq_driver_take().
 */
int vq_driver_add(struct vq_driver *driver, const struct vq_buf *bufs, size_t n, void *cookie);

/* The same through an indirect table that is written at `table`/`table_gpa` (n * 16 bytes). */
int vq_driver_add_indirect(struct vq_driver *driver, const struct vq_buf *bufs, size_t n,
	void *table, uint64_t table_gpa, void *cookie);

/* Publishes `head` once more in the avail ring, whatever it is: for hostile tests. */
void vq_driver_publish(struct vq_driver *driver, uint16_t head);

/* Kicks the device if it wants that (EVENT_IDX, NO_NOTIFY). True when the eventfd was written. */
bool vq_driver_kick(struct vq_driver *driver);

/* Takes one used chain: true with its cookie and length. An id that is not in flight: cookie NULL.
 */
bool vq_driver_take(struct vq_driver *driver, void **cookie, uint32_t *len);

/* True when there is something to take; nothing is asked for. */
bool vq_driver_ready(const struct vq_driver *driver);

/*
 * Asks for an interrupt at the next used chain, for callers that poll `call` (and `err`) along with
 * fds of their own: empty `call` before. True when there is something to take already.
 */
bool vq_driver_arm(struct vq_driver *driver);

/*
 * Waits until a used chain is there, at most `timeout_ms`: 0, -ETIMEDOUT, or -EPIPE when the
 * device signalled the err eventfd.
 */
int vq_driver_wait(struct vq_driver *driver, int timeout_ms);
