/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end's own DAX window: address space that back-end requests fill with files.
 *
 * What a VMM shows its guest as shared memory is plain memory here, so that a test may load from
 * it and store to it. The seed's master done right: one fd serves all entries of a message, and a
 * message is carried out as a whole or refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dax/dialect.h"
#include "vhostuser/fd.h"

struct fw_window;

/* The unmap of everything, in the dialects that have it: this length at offset 0. */
#define FW_EVERYTHING UINT64_MAX

struct fw_config {
	const struct dax_dialect *dialect;
	uint64_t size; /* bytes, a multiple of the page */
	uint64_t gpa;  /* where the guest sees it */
	/* Our address of guest memory, for DAX_OP_IO; NULL: not there. */
	void *(*host)(void *ctx, uint64_t gpa, uint64_t len);
	void *ctx;
};

/* An empty window, all of it without access. -EINVAL, -ENOMEM. */
int fw_window_new(const struct fw_config *config, struct fw_window **window);
/* NULL is fine. Nobody may be in it any more. */
void fw_window_free(struct fw_window *window);

/* What its requests are written in. */
const struct dax_dialect *fw_window_dialect(const struct fw_window *window);
/* Its memory, its size and where the guest sees it. */
uint8_t *fw_window_base(const struct fw_window *window);
/* Bytes. */
uint64_t fw_window_size(const struct fw_window *window);
/* See above. */
uint64_t fw_window_gpa(const struct fw_window *window);

/*
 * Carries out one request as it came off the channel; fds are borrowed. What the front-end answers:
 * 0, for DAX_OP_IO the bytes moved, or -errno, and then (MAP, UNMAP) the window is as it was.
 * Where decoding succeeded *op, entries (room for DAX_BATCH_MAX) and *n say what it was; else *n is
 * 0. One thread, the channel's; loads and stores may go on meanwhile.
 */
int64_t fw_window_request(struct fw_window *window, uint32_t code, const void *payload, size_t size,
	const struct vu_fds *fds, enum dax_op *op, struct dax_entry *entries, size_t *n);

/* Drops all mappings, as a device reset does. */
void fw_window_clear(struct fw_window *window);

/* Bytes that are mapped now. Any thread. */
uint64_t fw_window_mapped(const struct fw_window *window);

/*
 * Loads from and stores to the window, as a guest does: 0, or -EFAULT where there is no mapping,
 * no permission or no file behind it. Any thread, at most one of these a thread at a time.
 */
int fw_window_load(const struct fw_window *window, uint64_t offset, void *to, size_t len);
/* See above. */
int fw_window_store(const struct fw_window *window, uint64_t offset, const void *from, size_t len);

/* Installs the signal handlers that loads and stores need. Once, before the threads. */
int fw_window_catch_faults(void);
