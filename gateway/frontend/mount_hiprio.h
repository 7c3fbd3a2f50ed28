/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hiprio queue (VIRTIO 5.11.6): requests that get no answer and must not wait behind others.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <linux/fuse.h>

#include "vhostuser/driver.h"

struct fm_hiprio;

/*
 * The end of all queues' work, in two steps, each a flag for who is busy and an eventfd for who
 * sleeps. `drain`: only what the kernel writes back is still carried, and a queue ends when there
 * is no more of it. `stop`: at once.
 */
struct fm_stop {
	atomic_bool drain, stop;
	int drain_fd, stop_fd;
};

struct fm_hiprio_config {
	struct vq_driver *ring; /* borrowed; nobody else's from now on */
	uint8_t *host;          /* fm_hiprio_memory() bytes of guest memory */
	uint64_t gpa;           /* where they are for the device */
	struct fm_stop *stop;   /* borrowed: who waits for room waits no more */
};

/* Bytes that the slots of a ring of `num` entries take. */
uint64_t fm_hiprio_memory(uint16_t num);
/* -ENOMEM. */
int fm_hiprio_new(const struct fm_hiprio_config *config, struct fm_hiprio **hiprio);
/* NULL is fine. Nobody may be in it any more. */
void fm_hiprio_free(struct fm_hiprio *hiprio);

/*
 * Sends FORGET, BATCH_FORGET or INTERRUPT with `len` bytes of arguments, a long BATCH_FORGET in
 * pieces. Waits while the ring is full. -ECANCELED: `stop`; -EPIPE: the device gave the queue up;
 * -EPROTO: it returned what it does not have; -EMSGSIZE. Any thread.
 */
int fm_hiprio_send(struct fm_hiprio *hiprio, const struct fuse_in_header *header,
	const uint8_t *args, uint32_t len);
