/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark's DAX window: for the rows that map. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/frontend/bench.h"
#include "vhostuser/protocol.h"

#define FB_WINDOW_PROTOCOL                                                                         \
	(VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD) |               \
		VU_BIT(VU_PROTOCOL_F_SHMEM) | VU_BIT(VU_PROTOCOL_F_CONFIG))

/* True when a row of these options needs a window. */
bool fb_window_wanted(const struct fb_options *options);
/*
 * Opens the window that the back-end declares, after negotiation. Without one device->window stays
 * NULL, and that is no error. -errno.
 */
int fb_window_open(struct fb_device *device);
/* Serves it from now on, by a thread that has the main connection to itself. -errno. */
int fb_window_start(struct fb_device *device);
/* Takes it down; fine without one. Nobody uses it any more. */
void fb_window_close(struct fb_device *device);
/* Its bytes; 0: there is none. */
uint64_t fb_window_size(const struct fb_device *device);
/* Loads from it, as a guest does: 0, or -EFAULT where nothing is mapped. */
int fb_window_load(const struct fb_device *device, uint64_t offset, void *to, size_t len);
