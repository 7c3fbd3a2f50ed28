/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for work that may block: as many as there is work at the moment, up to a bound.
 *
 * All functions but new and free are for any thread.
 */
#pragma once

#include "fuse/fs.h"

/* Work beyond this many blocked pieces waits for one of them to end. */
#define GW_POOL_THREADS_MAX 64

struct gw_pool;

/* With its one permanent thread, which makes that work can always go on. -ENOMEM, -EAGAIN. */
int gw_pool_new(struct gw_pool **pool);

/*
 * Gives up the pool: idle threads end, busy ones after their work, and the last one frees it.
 * What was submitted is still run. Returns at once. NULL is fine.
 */
void gw_pool_free(struct gw_pool *pool);

/* Runs `work` soon on a thread of the pool; never in place, never fails. */
void gw_pool_submit(struct gw_pool *pool, struct fs_work *work);

/* Threads that there are now. */
unsigned int gw_pool_threads(struct gw_pool *pool);
