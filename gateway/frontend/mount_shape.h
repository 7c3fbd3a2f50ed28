/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shapes of FUSE requests, as a driver of a virtio-fs device needs them: which queue a request
 * belongs on, whether it is answered, and how much room its answer needs (VIRTIO 5.11.6).
 *
 * A kernel that is the driver itself knows the room from its caller; /dev/fuse does not tell it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/fuse.h>

/* The most bytes of a WRITE's data or of an answer's body; INIT is kept to it. */
#define FM_PAYLOAD (1u << 20)

/* What comes before the data of a WRITE; of any request, what decides about its shape. */
#define FM_HEAD (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))

struct fm_shape {
	bool hiprio;   /* goes there, and gets no answer */
	bool data;     /* what follows FM_HEAD is data: it gets a descriptor of its own */
	uint32_t room; /* for the answer's body, at most FM_PAYLOAD */
};

/*
 * The shape of the request whose first bytes are at `head` (FM_HEAD of them, zeros behind a shorter
 * one). An opcode that is not known gets all the room there is. Any thread.
 */
struct fm_shape fm_shape_of(const uint8_t head[FM_HEAD]);
