/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the private mount speaks, beyond the headers of Linux 6.1 that the project builds with: the
 * structures of FUSE 7.40 (Linux 6.9), in which reserved fields got a meaning.
 */
#pragma once

#include <linux/fuse.h>
#include <stdint.h>

#include "vhostuser/checked.h"

#define DAX_FUSE_MINOR 40

/* The second half of the INIT flags, as it is on the wire: bit 37 is bit 5 of flags2. */
#define DAX_FUSE_PASSTHROUGH2 (UINT32_C(1) << (37 - 32))

#define DAX_FOPEN_PASSTHROUGH (UINT32_C(1) << 7)

/*
 * The share may itself be on a stacked file system (overlay): depth 1. Our mount is above it; 2 is
 * the most that the kernel takes.
 */
#define DAX_STACK_DEPTH 2

struct dax_fuse_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint32_t unused[6];
};

WIRE_SIZE(struct dax_fuse_init_out, sizeof(struct fuse_init_out));
WIRE_OFFSET(struct dax_fuse_init_out, flags2, offsetof(struct fuse_init_out, flags2));
WIRE_OFFSET(struct dax_fuse_init_out, max_stack_depth, 36);

struct dax_fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

WIRE_SIZE(struct dax_fuse_open_out, sizeof(struct fuse_open_out));
WIRE_OFFSET(struct dax_fuse_open_out, backing_id, 12);
