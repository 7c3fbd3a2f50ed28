/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-fs device behind a socket, set up for a mount: memory and running rings. */
#pragma once

#include <stdint.h>

#include "gateway/frontend/mount.h"
#include "vhostuser/frontend.h"

struct fm_device_queue {
	struct vq_driver *ring; /* owned by the front-end */
	uint8_t *host;          /* the memory of its slots */
	uint64_t gpa;
};

struct fm_device {
	struct vu_frontend *fe;
	uint16_t slots; /* of a request queue: requests that may be under way */
	struct fm_device_queue hiprio;
	struct fm_device_queue queues[FM_QUEUES_MAX];
};

/*
 * Connects and starts hiprio and as many request queues as the options say. What fails is logged;
 * fm_device_close() whatever it returns. 0 or -errno.
 */
int fm_device_open(struct fm_device *device, const struct fm_options *options);
/* Closes the connection. Nobody may use a ring any more. */
void fm_device_close(struct fm_device *device);

/*
 * What is the matter when the connection became readable, though nothing was asked: -ECONNRESET
 * when the back-end closed it, -EPROTO when it speaks unasked, 0 for nothing.
 */
int fm_device_check(struct fm_device *device);
