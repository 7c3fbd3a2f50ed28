/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random requests of a guest: each is a proper one of some opcode, with nodeids and fhs that the
 * device has given, and then, often, spoilt in a few places.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <linux/fuse.h>

/* The longest request. */
#define FZ_MAX (96u * 1024)

#define FZ_POOL 24

/* What the device has given out; any thread. */
struct fz_pool {
	_Atomic uint64_t nodes[FZ_POOL];
	/* A pair may be torn: so much the better. */
	_Atomic uint64_t fhs[FZ_POOL], fh_nodes[FZ_POOL];
};

/* One thread's. */
struct fz {
	struct fz_pool *pool;
	uint64_t random;
	uint64_t unique; /* of the request made last */
	bool with_ext;   /* extensions behind names were agreed on */
};

struct fz_request {
	uint32_t opcode;
	uint32_t len, room; /* room 0: no answer is wanted */
	bool calm;          /* may not change while it is under way: see fz_make */
	_Alignas(8) uint8_t bytes[FZ_MAX];
};

uint64_t fz_random(struct fz *fz);
/* Below `n`. */
uint32_t fz_below(struct fz *fz, uint32_t n);

/*
 * Makes the next request. Never an INIT or a DESTROY; and what would take more of the disk than a
 * test may is kept small (calm: not to be spoilt any further).
 */
void fz_make(struct fz *fz, struct fz_request *request);

/* Learns from a good answer. */
void fz_learn(struct fz *fz, uint32_t opcode, uint64_t nodeid, const void *body, uint32_t len);
