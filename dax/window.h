/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window: guests' mappings carried to the front-end, up to eight in a message.
 *
 * Operations are submitted by any thread and enter the mapping table at once, in order. The main
 * loop's thread sends them in batches (dax_window_run) and completes them when the front-end has
 * answered. Nobody waits in place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dax/dialect.h"
#include "vhostuser/channel.h"

struct dax_window;

/* Offsets and lengths in the window and in files are multiples of it (VIRTIO map_alignment 12). */
#define DAX_ALIGN 4096u

/* A front-end gets this long to answer; past it the operation fails with -ETIMEDOUT. */
#define DAX_ANSWER_MS 5000

struct dax_window_config {
	const struct dax_dialect *dialect;
	uint64_t size;   /* bytes, a multiple of DAX_ALIGN */
	size_t maps_max; /* live mappings, at most; past it -ENOSPC */
	/* Any thread: dax_window_run() has something to do. */
	void (*wake)(void *ctx);
	void *ctx;
};

/* A window that is detached: every operation fails with -EIO. -ENOMEM, -EINVAL. */
int dax_window_new(const struct dax_window_config *config, struct dax_window **window);

/* Completes what is there with -EIO and frees it. Main loop's thread; NULL is fine. */
void dax_window_free(struct dax_window *window);

/* As configured. Any thread. */
uint64_t dax_window_size(const struct dax_window *window);
/* As configured. Any thread. */
const struct dax_dialect *dax_window_dialect(const struct dax_window *window);

/* ---- main loop's thread ---- */

/*
 * Another front-end, or none (channel NULL: operations under way fail with -EIO, the table is
 * dropped). The channel is consumed. `regions`: each mapping comes back as a memory region
 * (dax_window_region), and is not complete before (shmem with CONFIGURE_MEM_SLOTS).
 */
void dax_window_attach(struct dax_window *window, struct vu_channel *channel, bool regions);

/*
 * The device runs (at least one ring is started), or does not: then nothing is sent, answers are
 * still taken, and no time runs out.
 */
void dax_window_set_running(struct dax_window *window, bool running);

/*
 * Sends what there is to send, takes answers, completes operations. Call after config.wake, when
 * the channel is ready, and after *next_ms (-1: never) at the latest. 0, or -errno when the channel
 * broke: logged once; the window is detached then.
 */
int dax_window_run(struct dax_window *window, int *next_ms);

/* The channel's fd (-1: none) and what to wait for on it. */
int dax_window_fd(const struct dax_window *window);
short dax_window_events(const struct dax_window *window);

/*
 * A memory region came from the front-end, backed by this file at this offset. True when it is one
 * of the window: its file, offset and length are those of a mapping that was sent. The mapping is
 * complete then, if its answer came too; dax_window_run() says so, for which config.wake is called:
 * the guest must not hear of it before the region is in the memory table.
 */
bool dax_window_region(
	struct dax_window *window, dev_t dev, ino_t ino, uint64_t offset, uint64_t len);

/* A memory region of the front-end's: a piece of a file, where the guest sees it. */
struct dax_region {
	dev_t dev;
	ino_t ino;
	uint64_t offset, len; /* in the file */
	uint64_t gpa;
};

/*
 * Before dax_window_region(), for a region that the front-end waits to hear of. True: say no, and
 * do not add it (window_region.c says why); the mapping is complete without it, and
 * dax_window_reach() knows the way to its bytes.
 */
bool dax_window_refuses(struct dax_window *window, const struct dax_region *region);

/*
 * RESET_DEVICE: the front-end dropped all mappings itself (shmem), or gets one message for it when
 * the device runs again. Operations under way fail with -EIO.
 */
void dax_window_reset(struct dax_window *window);

/* ---- any thread ---- */

/*
 * One operation, in the caller's memory until `done` is called: exactly once, on the main loop's
 * thread or from within the call that submits it. error: 0 or -errno.
 */
struct dax_request {
	void (*done)(struct dax_request *op, int error);
	/* private to the window */
	struct dax_request *next;
	size_t left;
	int error;
	uint64_t bytes; /* dax_io: those that were carried, when error is 0 */
};

/* True when mappings can be made now: a front-end with a channel is there, and no map was refused
 * as impossible. */
bool dax_window_ready(struct dax_window *window);

/*
 * Maps [file_offset, +len) of `fd` (consumed, in any case) at window_offset; access is DAX_READ
 * and/or DAX_WRITE; `key` names the file: mappings with the same key may share one message and one
 * fd. What is mapped there is replaced, by less access too; only in shmem, where a mapping has all
 * access that its fd allows, is one of the same place of the same file never downgraded. Errors of
 * the gate come by `done` too: -EINVAL (unaligned, empty, wraps, beyond the window, no access),
 * -ENOSPC, -ENOMEM; and -EIO, -ETIMEDOUT, the front-end's errno.
 */
void dax_map(struct dax_window *window, uint64_t key, int fd, const struct dax_entry *entry,
	struct dax_request *op);

/*
 * True when `key` is mapped somewhere in [window_offset, +len) and another file could be mapped
 * there only by unmapping it first (shmem): whoever reads it meanwhile would see nothing.
 */
bool dax_window_blinks(
	struct dax_window *window, uint64_t key, uint64_t window_offset, uint64_t len);

/*
 * Unmaps n ranges {window_offset, len}; the array is copied. A range that is not mapped is no
 * error; a mapping that is cut is split. -EINVAL as above, before anything is unmapped.
 */
void dax_unmap(struct dax_window *window, const struct dax_entry *ranges, size_t n,
	struct dax_request *op);

/* Ends all mappings: the session is over (DESTROY, a new INIT). Completes nothing by itself. */
void dax_unmap_all(struct dax_window *window);

/* fsync of a mapped file: FS_SYNC for its mappings, where the dialect has it; else done at once. */
void dax_sync(struct dax_window *window, uint64_t key, struct dax_request *op);

/*
 * Has the front-end copy between `fd` (consumed) and guest memory that we cannot reach (FS_IO):
 * entry {file_offset, guest physical address, len}, DAX_READ: file to guest, DAX_WRITE: guest to
 * file. -EOPNOTSUPP where the dialect has no such thing. op->bytes says how much was carried.
 */
void dax_io(struct dax_window *window, int fd, const struct dax_entry *entry,
	struct dax_request *op);

/* Bytes of a mapping: [offset, +len) of a file. */
struct dax_reach {
	int fd; /* the caller's */
	uint64_t offset, len;
};

/*
 * What the guest sees at `gpa`: up to `len` bytes of one mapping. -EFAULT: no mapping is there, or
 * nobody knows where the window lies; -EMFILE.
 */
int dax_window_reach(
	struct dax_window *window, uint64_t gpa, uint64_t len, struct dax_reach *reach);

/* True when it is known where in the guest the window lies: dax_window_reach() may succeed. */
bool dax_window_placed(struct dax_window *window);

/* Counters since the window was made, for tests and metrics. */
struct dax_counters {
	uint64_t maps, unmaps;     /* guests' operations submitted */
	uint64_t messages[DAX_OPS]; /* sent, by operation */
	uint64_t entries[DAX_OPS];  /* in them */
	uint64_t refused, timed_out; /* messages */
	uint64_t regions_refused;    /* dax_window_refuses() */
	uint64_t in_flight_max;    /* messages unanswered at a time */
	uint64_t live;             /* mappings now */
};

/* The counters as they are now. Any thread. */
void dax_window_counters(struct dax_window *window, struct dax_counters *counters);

/* One mapping of the table, for tests. */
struct dax_mapping {
	uint64_t key;
	struct dax_entry entry;
};
/* For tests: the invariant of the table and of the steps that are under way. */
bool dax_window_valid(struct dax_window *window);

/* For tests: the table's mappings in order, up to max; returns how many. */
size_t dax_window_list(struct dax_window *window, struct dax_mapping *list, size_t max);
