/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a front-end that takes the back-end's requests and carries them out, rightly or
 * with one fault on purpose.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/frontend/window.h"

/* What it does wrong, at the MAP that covers `fault_offset` in the window. */
enum fw_fault {
	FW_FAULT_NONE,
	FW_FAULT_REFUSE,          /* answers -ENOSPC, maps nothing */
	FW_FAULT_DELAY,           /* answers late */
	FW_FAULT_ACK_LATE_REGION, /* answers at once, sends the memory region late */
	FW_FAULT_DROP,            /* never answers, neither this nor what follows */
	FW_FAULT_SHORT,           /* answers with four bytes in the place of eight */
	FW_FAULT_DIE,             /* closes the channel */
	FW_FAULTS,
};

/* Counters; read any time, right to the last message once the thread has ended. */
struct fw_stats {
	_Atomic uint64_t messages[DAX_OPS];
	_Atomic uint64_t entries[DAX_OPS];
	_Atomic uint64_t batch[DAX_OPS][DAX_BATCH_MAX + 1]; /* messages, by their entries */
	_Atomic uint64_t refused;                           /* answered with -errno */
	_Atomic uint64_t malformed;                         /* could not be decoded */
	_Atomic uint64_t regions_added, regions_removed, regions_refused;
	_Atomic uint64_t region_errors;
	_Atomic uint64_t work_ns; /* spent on carrying out */
	_Atomic uint64_t faults;  /* faults that were committed */
};

struct fw_channel_config {
	int fd; /* our end of the channel (borrowed) */
	struct fw_window *window;
	/*
	 * Each mapping becomes a memory region of the guest, by its file (borrowed), and stops to
	 * be one: the channel's thread, after its answer. NULL: not done. 0, -EREMOTEIO: refused,
	 * or another -errno.
	 */
	int (*region)(void *ctx, bool add, const struct dax_entry *entry, int fd);
	void *ctx;
};

struct fw_channel;

/* Starts the thread. -errno. */
int fw_channel_start(const struct fw_channel_config *config, struct fw_channel **channel);
/* Ends the thread. NULL is fine. */
void fw_channel_stop(struct fw_channel *channel);

/*
 * The fault of the next MAP that touches window_offset: committed once (FW_FAULT_REFUSE: until
 * another is set; after FW_FAULT_DROP nothing is ever answered). `ms`: how long a delay is. Any
 * thread.
 */
void fw_channel_fault(
	struct fw_channel *channel, enum fw_fault fault, uint64_t window_offset, unsigned int ms);

/* See struct fw_stats. */
const struct fw_stats *fw_channel_stats(const struct fw_channel *channel);
/* 0 while it serves; else why it ended: -ECONNRESET when the back-end closed. */
int fw_channel_error(const struct fw_channel *channel);
