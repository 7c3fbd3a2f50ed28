/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One descriptor chain, read out of guest memory into a struct vq_elem: gate 2's inner half.
 *
 * Private to the virtqueue, apart so that it can be tested against a naive translator.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_ring.h>

#include "vhostuser/virtqueue.h"

/* What chains are read from. The memory table owns everything that is pointed to. */
struct vq_table {
	const struct vring_desc *desc; /* the ring's descriptor table, 16-byte aligned */
	uint32_t num;
	bool indirect; /* VIRTIO_RING_F_INDIRECT_DESC is negotiated */
	bool foreign;  /* buffers outside memory are let through */
	const struct vu_memory *memory;
	struct vu_region *cache; /* the region of the last translation, or NULL */
};

/*
 * Reads the chain that starts at `head` (below num) into `elem`, whose arrays grow on demand and
 * whose regions are referenced. 0; -EPROTO with *why (a static string) when it breaks the rules;
 * -ENOMEM. After an error the element holds no reference.
 */
int vq_chain_read(struct vq_table *table, uint16_t head, struct vq_elem *elem, const char **why);

/* Drops the element's references and empties it; the arrays stay for the next chain. */
void vq_chain_clear(struct vq_elem *elem);

/* Frees the arrays too (not the element). */
void vq_chain_fini(struct vq_elem *elem);
