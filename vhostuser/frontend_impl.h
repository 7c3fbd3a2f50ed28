/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the front-end's end share; private to frontend*.c. */
#pragma once

#include "vhostuser/frontend.h"
#include "vhostuser/memory.h"
#include "vhostuser/socket.h"

/* Rings whose index fits in SET_VRING_KICK. */
#define FE_RINGS 256

/* Three more than a back-end of ours takes, so that its refusal can be tested. */
#define FE_SLOTS (VU_MEMORY_SLOTS + 3)

struct fe_slot {
	uint64_t gpa;
	uint64_t size; /* 0: the slot is free */
	void *host;    /* its address here is also its user_addr on the wire */
	int fd;
};

struct vu_frontend {
	int fd;
	int channel; /* our end, or -1 */
	int timeout_ms;
	struct vu_receiver in;         /* off fd */
	struct vu_receiver channel_in; /* off channel */
	uint64_t features;             /* negotiated */
	uint64_t protocol_features;    /* negotiated */
	struct fe_slot slots[FE_SLOTS];
	struct vq_driver *rings[FE_RINGS];
};

static inline bool fe_negotiated(const struct vu_frontend *fe, enum vu_protocol_feature bit)
{
	return fe->protocol_features & VU_BIT(bit);
}

/* Sends a request that has an answer of its own and takes it: exactly `reply_size` bytes. */
int fe_call(struct vu_frontend *fe, uint32_t code, const void *payload, uint32_t size, void *reply,
	size_t reply_size);

/* What vu_frontend_free() gives back: memory slots and rings. */
void fe_memory_fini(struct vu_frontend *fe);
/* See above. */
void fe_rings_fini(struct vu_frontend *fe);
