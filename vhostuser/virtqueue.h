/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a split virtqueue (VIRTIO 1.x, 2.7), with indirect descriptors and EVENT_IDX.
 *
 * Gate 2: everything that a driver wrote into its rings is checked here, each byte read once.
 * A violation breaks this queue (vq->broken says why; the caller signals the err eventfd) and
 * nothing else. A popped element owns references on the regions that its buffers lie in, so guest
 * memory may be removed while it is in flight.
 *
 * A struct vq is not thread-safe: its owner's lock guards every function that takes it, except
 * those that only touch an element's own memory. Elements may be used by any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vhostuser/memory.h"

#define VQ_SIZE_MAX 32768 /* VIRTIO 2.7: the largest split virtqueue */

/* Buffers of one chain, its own and its indirect table's together; more breaks the queue. */
#define VQ_CHAIN_MAX 1024

/* Segments of one chain: a buffer that crosses from region to region takes several. */
#define VQ_IOV_MAX (2 * VQ_CHAIN_MAX)

/* Feature bits that the ring code carries out: INDIRECT_DESC, EVENT_IDX, VERSION_1. */
#define VQ_FEATURES (UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 32)

struct vq_config {
	uint32_t num;       /* ring size: a power of two, 1..VQ_SIZE_MAX */
	uint64_t desc_addr; /* front-end virtual addresses, as in SET_VRING_ADDR */
	uint64_t avail_addr;
	uint64_t used_addr;
	uint16_t base;     /* first avail index to pop: SET_VRING_BASE */
	uint64_t features; /* negotiated virtio features */
	bool foreign;      /* buffers outside memory are let through: see vq_elem */
};

/* A segment of a chain that no memory region holds; `at` counts from req[0], then through rep. */
struct vq_foreign {
	size_t at;
	uint64_t gpa;
};
/* Neither it nor any address in a chain's length behind it is one of user space. */
#define VQ_FOREIGN ((void *)(UINTPTR_MAX << 40))

/* One descriptor chain. req and rep are views into one array; lengths are sums over it. */
struct vq_elem {
	const struct iovec *req; /* device-readable */
	const struct iovec *rep; /* device-writable */
	size_t n_req, n_rep;
	size_t req_len, rep_len; /* bytes; each at most 2^32 - 1 together (used.len is 32 bits) */
	/*
	 * How many bytes of each part, from its start, lie in RAM. What comes after may be touched
	 * by system calls only (EFAULT, not SIGBUS): it is in the DAX window. A segment that no
	 * region holds (config.foreign) has iov_base VQ_FOREIGN, where every system call fails with
	 * EFAULT; its guest physical address is in `foreign`.
	 */
	size_t req_ram, rep_ram;
	const struct vq_foreign *foreign; /* in the order of segments */
	size_t n_foreign;
	uint16_t n_descs; /* that it takes of the ring's own table: one, if they are indirect */
	uint16_t head;
	uint32_t incarnation; /* of the ring that it was popped from */
	/* private to virtqueue.c from here on */
	struct vq_elem *next;
	struct iovec *iov;
	size_t capacity;
	struct vu_region **regions; /* distinct, one reference each */
	size_t n_regions, cap_regions;
	struct vq_foreign *foreigners; /* what `foreign` shows */
	size_t cap_foreign;
	uint32_t kept_len;                 /* what vq_push was told, while it waits for a restart */
	_Alignas(16) unsigned char priv[]; /* the caller's, priv_size bytes */
};

struct vq; /* see virtqueue.c */

/*
 * A stopped virtqueue that allocates `priv_size` bytes of the caller's own beside each element
 * (zeroed when the element is first made, then left alone). `index` is for the log.
 */
int vq_new(unsigned int index, size_t priv_size, struct vq **vq);

/* Frees it. No element may be in flight. */
void vq_free(struct vq *vq);

/*
 * Starts it on `memory` (a reference is taken). Same ring as before (design.md §6: base and the
 * used index in guest memory are what vq_stop left): its incarnation stays and completions that
 * came meanwhile are pushed. Otherwise a new incarnation starts and elements of the old one
 * are dropped when pushed. -EFAULT/-EINVAL: addresses outside RAM, unaligned, bad size (logged;
 * the queue stays stopped). -EBUSY: it runs already.
 */
int vq_start(struct vq *vq, const struct vq_config *config, struct vu_memory *memory);

/* Stops it: returns the avail index that GET_VRING_BASE answers. Elements may stay in flight. */
uint16_t vq_stop(struct vq *vq);

/* Forgets the ring: the next start is a new incarnation whatever its base (RESET_DEVICE etc). */
void vq_reset(struct vq *vq);

/*
 * Another memory table. Rings are translated again; in flight elements keep what they have.
 * -EFAULT: the rings are not in it. The queue rests then (nothing is popped, completions are kept)
 * until a table comes that has them: a front-end that resizes the region under a running ring
 * removes it and adds it again. After a rest the caller pops without waiting for a kick.
 */
int vq_set_memory(struct vq *vq, struct vu_memory *memory);

/*
 * Takes the next chain: 1 with *elem, 0 when there is none (or the queue is stopped or broken),
 * -EPROTO when the driver broke the rules (the queue is broken from now on, logged once), -ENOMEM
 * (nothing was taken; try when an element came back): no memory, or too many chains in flight
 * that earlier incarnations left.
 */
int vq_pop(struct vq *vq, struct vq_elem **elem);

/*
 * Gives the chain back with `len` bytes written. On a stopped ring it is kept for vq_start; of
 * an older incarnation it is dropped. The element is the queue's again.
 */
void vq_push(struct vq *vq, struct vq_elem *elem, uint32_t len);

/* Gives the element back without telling the driver (its session is over). */
void vq_drop(struct vq *vq, struct vq_elem *elem);

/*
 * True when the driver wants an interrupt for what was pushed since the last call (EVENT_IDX or
 * NO_INTERRUPT honoured). The caller signals the call eventfd then. Clears the memory of it.
 */
bool vq_should_notify(struct vq *vq);

/* Asks the driver not to kick: we are polling the ring. Advisory. */
void vq_suppress_kicks(struct vq *vq);

/*
 * Asks the driver to kick. True when chains are available already, in which case the caller goes
 * on popping: no kick will come for them.
 */
bool vq_wait_kick(struct vq *vq);

/* Chains in flight: popped, neither pushed nor dropped (of whatever incarnation). */
unsigned int vq_inflight(const struct vq *vq);
bool vq_running(const struct vq *vq);
/* NULL, or why the queue is broken. */
const char *vq_broken(const struct vq *vq);
/* True when the avail ring shows chains that were not popped (for the relief of a stuck thread). */
bool vq_pending(const struct vq *vq);
