/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers, written by ourselves into the chain's writable part (design.md §7).
 *
 * Each of these ends the request: the out-header is written, libfuse's request is released, the io
 * is completed (or dropped when its session is over) and the slot is gone when they return. An
 * answer that does not fit the guest's buffers becomes EIO's header, one that would not lie in RAM
 * EFAULT's, or silence without room for even that; gate 3 sees to the minimum, so handlers need
 * not care.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostuser/iov.h"

struct fs;
struct fs_io;
struct fs_slot;

/* `error`: 0 or -errno. Errors that are not known to FUSE guests (>= 512) become EIO. */
void fs_reply_err(struct fs_slot *slot, int error);

/* Success with `size` bytes of private memory after the header. RAM only (fs_io.rep_ram). */
void fs_reply_data(struct fs_slot *slot, const void *data, size_t size);

/*
 * Success with `size` bytes that are already in the chain, right after the room for the header
 * (see fs_slot_reply_room).
 */
void fs_reply_payload(struct fs_slot *slot, size_t size);

/* No answer at all (FORGET). */
void fs_reply_none(struct fs_slot *slot);

/* The chain's writable part after the out-header: where READ puts its data, bounded. */
struct vu_iov fs_slot_reply_room(const struct fs_slot *slot);

/*
 * An error for a request that has no slot; counts it as answered. `swapped`: the guest has the
 * other byte order, and can read its refusal only in that. For fs.c alone.
 */
void fs_reply_io(struct fs *fs, struct fs_io *io, uint64_t unique, int error, bool swapped);
