/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dialects of DAX window messages on the back-end request channel: one table, one codec.
 *
 * Nothing on the wire tells the dialects apart and codes were used twice, so a dialect is
 * configured or follows from negotiation, never probed (design.md §9). Encoding and decoding are
 * pure functions: the back-end encodes, a front-end that owns a window decodes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Mappings in one message, at most: what the eight-entry structs carry. */
#define DAX_BATCH_MAX 8

/* The longest payload of any dialect: eight counted entries and their header. */
#define DAX_PAYLOAD_MAX 264

enum dax_op { DAX_OP_MAP, DAX_OP_UNMAP, DAX_OP_SYNC, DAX_OP_IO, DAX_OPS };

#define DAX_READ  0x1u
#define DAX_WRITE 0x2u

/* One mapping. Offsets and lengths are bytes. */
struct dax_entry {
	uint64_t fd_offset;     /* where in the file; 0 where the message carries no file */
	uint64_t window_offset; /* where in the window; a guest physical address for DAX_OP_IO */
	uint64_t len;           /* never 0 */
	uint32_t access;        /* DAX_READ, DAX_WRITE; 0 for UNMAP and SYNC */
};

struct dax_dialect;

/* "seed", "fs-v2", "fs-count", "shmem"; NULL for any other name. */
const struct dax_dialect *dax_dialect_find(const char *name);
const char *dax_dialect_name(const struct dax_dialect *dialect);

/* The message code of an operation, 0 when the dialect has no such operation. */
uint32_t dax_dialect_code(const struct dax_dialect *dialect, enum dax_op op);

/* Entries that one message carries: 8, or 1 where each mapping is its own message. */
size_t dax_dialect_batch(const struct dax_dialect *dialect);

/*
 * Writes the payload of one message with entries[0..n) to `payload` (DAX_PAYLOAD_MAX bytes) and its
 * length to *size. -EOPNOTSUPP: the dialect has no such operation; -EINVAL: n is 0 or more than a
 * batch, or an entry is empty, wraps 2^64 or has access bits of no meaning.
 */
int dax_encode(const struct dax_dialect *dialect, enum dax_op op, const struct dax_entry *entries,
	size_t n, void *payload, size_t *size);

/*
 * The reverse: the entries (room for DAX_BATCH_MAX) and the operation of a message with this code.
 * Empty slots of the eight-entry structs are left out. -EOPNOTSUPP: no such code in the dialect;
 * -EPROTO: wrong size, count, reserved bits, or a range that wraps.
 */
int dax_decode(const struct dax_dialect *dialect, uint32_t code, const void *payload, size_t size,
	enum dax_op *op, struct dax_entry *entries, size_t *n);
