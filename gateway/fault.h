/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that the front-end takes away from under us.
 *
 * A memory file may be truncated, or its file system have no page left, at any time after it was
 * mapped. The kernel answers the access that meets it with SIGBUS, on whatever thread. Here the
 * region is given zero pages instead (vu_memory_fault()), so that the thread goes on, and the
 * owner is told: the connection whose memory it was has come to its end.
 */
#pragma once

#include <ev.h>

/*
 * Main loop. Takes SIGBUS for the whole process and for good; after each loss `lost(ctx)` runs on
 * `loop`, also when it was memory of an earlier connection. Faults that are not in guest memory
 * end the process as ever. Once at a time.
 */
void gw_fault_start(struct ev_loop *loop, void (*lost)(void *ctx), void *ctx);

/* Main loop. lost() is not called any more; regions are still mended. */
void gw_fault_stop(struct ev_loop *loop);
