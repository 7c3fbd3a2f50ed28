/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slots: what a request is while it is with us (design.md §3, §7).
 *
 * A slot holds the private copy of the request and the way to its answer. In the copy that libfuse
 * parses, header.pid and header.unique are the slot's index + 1, so that an op finds its slot by
 * fuse_req_ctx(req)->pid on any thread with no lock. The guest's own header is kept beside it.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/fuse.h>

#include "dax/window.h"
#include "fuse/fs.h"
#include "vhostuser/iov.h"

struct fs_session;
struct fuse_req;

/* The longest request that is copied whole (a WRITE's data is not). */
#define FS_COPY_MAX (128 * 1024)

/* Requests in flight, all sessions together; past it a request is answered ENOMEM. */
#define FS_SLOTS_MAX 65536

/* So many of them are kept for the hiprio queue: a FORGET that finds no slot would be lost. */
#define FS_SLOTS_HIPRIO 64

struct fs_slot {
	uint32_t index;
	struct fs *fs;
	struct fs_session *session; /* counted reference */
	struct fs_io *io;
	struct fuse_req *req; /* libfuse's request once an op claimed it; NULL for own opcodes */
	bool *claimed;        /* set by fs_slot_claim; on the stack of fs_dispatch */
	bool answered;        /* session->drain: libfuse's own answer came by the pair ... */
	int error;            /* ... and this is it */
	struct fuse_in_header header; /* as the guest sent it */
	uint8_t *copy;                /* [header for libfuse][arguments][NUL]; private memory */
	size_t copy_len;              /* without the NUL */
	size_t copy_cap;
	struct vu_iov payload;     /* WRITE: the data, in guest memory, exactly arg->size bytes */
	bool parked;               /* io->park was called */
	struct dax_request dax_op; /* what it asked of the window (op_dax.c, op_far.c) */
	struct fs_work work;       /* for fs_slot_defer */
	void (*deferred)(struct fs_slot *slot);
	struct fs_slot *next_free;
	alignas(8) uint8_t small[512]; /* where copy points for ordinary requests */
};

/* The arguments, after the header: checked by gate 3, so at least the opcode's fixed size long. */
static inline const void *fs_slot_args(const struct fs_slot *slot)
{
	return slot->copy + sizeof(struct fuse_in_header);
}

/* Tables of slots; see slot.c. */
struct fs_slots;
int fs_slots_new(struct fs *fs, struct fs_slots **slots);
void fs_slots_free(struct fs_slots *slots);

/* A free slot, or NULL past FS_SLOTS_MAX or out of memory. Any thread. */
struct fs_slot *fs_slot_get(struct fs_slots *slots, bool hiprio);
void fs_slot_put(struct fs_slots *slots, struct fs_slot *slot);
/* The slot with this index; NULL when there is none. Lock-free. */
struct fs_slot *fs_slot_find(const struct fs_slots *slots, uint32_t index);

/* Room for a copy of `len` bytes in slot->copy, with a NUL after them. -ENOMEM, -E2BIG. */
int fs_slot_reserve(struct fs_slot *slot, size_t len);

/* From an op: its slot, now answered by us alone (fs_reply_*). Exactly once for each request. */
struct fs_slot *fs_slot_claim(struct fuse_req *req);

/* Tells the owner of the request, once, that it waits for somebody else now (fs_io.park). */
void fs_slot_park(struct fs_slot *slot);

/*
 * From an op on a claimed slot: run `fn(slot)` on a thread that may block, which then answers. The
 * op returns at once and touches the slot no more.
 */
void fs_slot_defer(struct fs_slot *slot, void (*fn)(struct fs_slot *slot));
