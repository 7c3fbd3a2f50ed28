/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for waits that may never end by themselves: one each, and a way to end them. */
#pragma once

#include "fuse/fs.h"

/* Waits at a time, those of sessions that are ending included. */
#define GW_WAITERS_MAX 256

/*
 * Runs wait->block and then wait->done on a thread of its own (fs_config.wait). -EAGAIN past
 * GW_WAITERS_MAX or when the system has no thread to give. Any thread.
 */
int gw_waiter_start(struct fs_wait *wait);

/* fs_config.interrupt. Any thread. */
void gw_waiter_interrupt(struct fs_wait *wait);

/* Threads that there are now. */
unsigned int gw_waiters(void);
