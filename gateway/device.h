/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-fs device (VIRTIO 1.x, 5.11) as one front-end sees it: queues and config space.
 *
 * One device serves one connection. All functions are for the main loop's thread.
 */
#pragma once

#include <stdint.h>

#include "fuse/fs.h"
#include "gateway/options.h"
#include "gateway/watch.h"
#include "gateway/window.h"
#include "vhostuser/backend.h"

/* hiprio and the most request queues that we serve: what GET_QUEUE_NUM answers. */
#define GW_QUEUES_MAX (1 + GW_REQUEST_QUEUES_MAX)

struct gw_device;

struct gw_device_config {
	struct fs *fs;               /* borrowed; must outlive its last request */
	const char *tag;             /* NULL: no config space is offered; borrowed */
	unsigned int request_queues; /* what the config space announces */
	struct gw_window *window;    /* NULL: no DAX window; borrowed */
	struct gw_watch *watch;      /* borrowed */
	void *ctx;
	/* A ring has come to rest, as the back-end connection has to be told. */
	void (*ring_stopped)(void *ctx, unsigned int index, uint16_t base);
};

/* A device with its rings stopped. -ENOMEM. */
int gw_device_new(const struct gw_device_config *config, struct gw_device **device);

/* Ends the session: all queues at once; requests in flight end by themselves. NULL is fine. */
void gw_device_free(struct gw_device *device);

/* Fills in what the connection needs to know; the device is its ctx. */
void gw_device_describe(struct gw_device *device, struct vu_backend_config *config);
