/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-fs device.
 *
 * Theory of operation. A device is made for a connection and goes with it; only the file system
 * service behind it stays. Queue objects are made when their ring starts first, so that a guest
 * with one request queue costs no more than that. Ending is never waited for: queues detach and
 * free themselves with their last request (queue.h), and the session is ended in the service.
 */
#include "gateway/device.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/queue.h"
#include "gateway/window.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"
#include "vhostuser/protocol.h"

#define HIPRIO_QUEUE 0

/*
 * VIRTIO 5.11.4. notify_buf_size exists only with VIRTIO_FS_F_NOTIFICATION, which we do not offer,
 * but front-ends read the whole of it.
 */
struct config_space {
	struct virtio_fs_config fs;
	uint32_t notify_buf_size;
} __attribute__((packed));
WIRE_SIZE(struct config_space, 44);
WIRE_OFFSET(struct config_space, notify_buf_size, 40);

struct gw_device {
	struct gw_device_config config;
	struct gw_queue *queues[GW_QUEUES_MAX]; /* NULL: its ring was never started */
	/* For the window: the rings that are started, those of them that are disabled. */
	bool started[GW_QUEUES_MAX], paused[GW_QUEUES_MAX];
	unsigned int n_named; /* rings that the front-end has at least, started or not */
	bool used;     /* some ring was started */
	bool lack;     /* fewer rings than were announced, which is logged */
	bool surplus;  /* more rings than were announced, which is logged */
	bool stopping; /* a ring was stopped, and none started since */
};

static void submit(void *fs, struct fs_io *io)
{
	fs_submit(fs, io);
}

/*
 * Whether the front-end's window may be used now. Stopping a device takes a front-end several
 * messages (ENABLE(0) and GET_VRING_BASE for each ring), and QEMU (11.1) dies of a request that it
 * finds in its channel after the last: so the first of them is the end, and the next start the
 * beginning.
 */
static void note_rings(struct gw_device *device)
{
	bool running = !device->stopping;
	unsigned int n_started = 0;

	if (!device->config.window)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(device->queues); i++) {
		n_started += device->started[i];
		running &= !device->started[i] || !device->paused[i];
	}
	gw_window_set_running(device->config.window, running && n_started > 0);
}

static void on_stopped(void *ctx, unsigned int index, uint16_t base)
{
	struct gw_device *device = ctx;

	device->started[index] = false;
	note_rings(device);
	device->config.ring_stopped(device->config.ctx, index, base);
}

static int queue_of(struct gw_device *device, unsigned int index, struct gw_queue **queue)
{
	const struct gw_queue_config config = {
		.index = index,
		.hiprio = index == HIPRIO_QUEUE,
		.submit = submit,
		.fs = device->config.fs,
		.stopped = on_stopped,
		.device = device,
		.watch = device->config.watch,
	};
	int r = 0;

	if (!device->queues[index])
		r = gw_queue_new(&config, &device->queues[index]);
	*queue = device->queues[index];
	return r;
}

/* They are served: it is a front-end's setting that does not fit ours. */
static void note_surplus(struct gw_device *device, unsigned int index)
{
	if (device->surplus || index <= device->config.request_queues)
		return;
	device->surplus = true;
	log_warn("front-end", "uses more request queues than --request-queues %u",
		device->config.request_queues);
}

static int ring_start(void *ctx, unsigned int index, const struct vq_config *config,
	struct vu_memory *memory, int kick, int call, int err)
{
	CLEANUP_FD int kick_fd = kick;
	struct gw_device *device = ctx;
	struct gw_queue *queue;
	int r;

	if (index >= GW_QUEUES_MAX)
		return -EINVAL;
	r = queue_of(device, index, &queue);
	if (r)
		return r;
	r = gw_queue_start(queue, config, memory, fd_steal(&kick_fd), call, err);
	if (r)
		return r;
	note_surplus(device, index);
	device->used = true;
	device->started[index] = true;
	device->paused[index] = false;
	device->stopping = false;
	note_rings(device);
	return 0;
}

static void ring_stop(void *ctx, unsigned int index)
{
	struct gw_device *device = ctx;

	device->stopping = true;
	note_rings(device);
	gw_queue_stop(device->queues[index]);
}

static int ring_fds(void *ctx, unsigned int index, int call, int err)
{
	struct gw_device *device = ctx;

	return gw_queue_set_events(device->queues[index], call, err);
}

static void ring_kick(void *ctx, unsigned int index, int kick)
{
	struct gw_device *device = ctx;

	gw_queue_set_kick(device->queues[index], kick);
}

static void ring_enable(void *ctx, unsigned int index, bool enable)
{
	struct gw_device *device = ctx;

	device->paused[index] = !enable;
	note_rings(device);
	gw_queue_pause(device->queues[index], !enable);
}

static void ring_named(void *ctx, unsigned int index)
{
	struct gw_device *device = ctx;

	device->n_named = MAX(device->n_named, index + 1);
}

/*
 * Linux' driver gives up, without a word to us, a device that has fewer queues than it announces.
 * QEMU names all that there are when it connects, and asks for the config space when the guest
 * reads it. Other front-ends name none before they start them, and are not judged.
 */
static void note_lack(struct gw_device *device)
{
	if (device->lack || device->used || device->n_named == 0 ||
		device->n_named > device->config.request_queues)
		return;
	device->lack = true;
	log_warn("front-end",
		"has %u queues with that of high priority, --request-queues %u were announced: "
		"the guest's driver may not start; QEMU's num_vqs is 1 + --request-queues",
		device->n_named, device->config.request_queues);
}

static void set_memory(void *ctx, struct vu_memory *memory)
{
	struct gw_device *device = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(device->queues); i++) {
		if (device->queues[i])
			gw_queue_set_memory(device->queues[i], memory);
	}
}

static void reset(void *ctx)
{
	struct gw_device *device = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(device->queues); i++) {
		if (device->queues[i])
			gw_queue_reset(device->queues[i]);
	}
	if (device->config.window)
		gw_window_reset(device->config.window);
	fs_reset(device->config.fs);
}

static void renewed(void *ctx)
{
	struct gw_device *device = ctx;

	fs_renew(device->config.fs);
}

static void protocol_features(void *ctx, uint64_t features)
{
	struct gw_device *device = ctx;

	if (device->config.window)
		gw_window_negotiated(device->config.window, features);
}

static int channel(void *ctx, int fd)
{
	CLEANUP_FD int owned = fd;
	struct gw_device *device = ctx;

	/* Without a window there is nothing that we would ask for: it is just closed. */
	return device->config.window ? gw_window_channel(device->config.window, fd_steal(&owned))
				     : 0;
}

static void shmem_asked(void *ctx)
{
	struct gw_device *device = ctx;

	if (device->config.window)
		gw_window_asked(device->config.window);
}

static bool is_window(void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa)
{
	struct gw_device *device = ctx;

	return device->config.window &&
	       gw_window_region(device->config.window, dev, ino, offset, size);
}

static bool refuses(void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa)
{
	const struct dax_region region = {dev, ino, offset, size, gpa};
	struct gw_device *device = ctx;

	return device->config.window && gw_window_refuses(device->config.window, &region);
}

static int get_config(void *ctx, uint32_t offset, void *data, uint32_t size)
{
	struct gw_device *device = ctx;
	struct config_space space = {
		.fs.num_request_queues = htole32(device->config.request_queues),
	};

	if (!range_within(offset, size, sizeof(space)))
		return -EINVAL;
	if (device->config.tag)
		memcpy(space.fs.tag, device->config.tag, strnlen(device->config.tag, GW_TAG_MAX));
	memcpy(data, (const char *)&space + offset, size);
	note_lack(device);
	return 0;
}

static const struct vu_backend_ops device_ops = {
	.ring_start = ring_start,
	.ring_stop = ring_stop,
	.ring_fds = ring_fds,
	.ring_kick = ring_kick,
	.ring_enable = ring_enable,
	.ring_named = ring_named,
	.memory = set_memory,
	.reset = reset,
	.renewed = renewed,
	.protocol_features = protocol_features,
	.channel = channel,
	.shmem_asked = shmem_asked,
	.is_window = is_window,
	.refuses = refuses,
	.get_config = get_config,
};

int gw_device_new(const struct gw_device_config *config, struct gw_device **device)
{
	*device = calloc(1, sizeof(**device));
	if (!*device)
		return -ENOMEM;
	(*device)->config = *config;
	return 0;
}

void gw_device_free(struct gw_device *device)
{
	if (!device)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(device->queues); i++)
		gw_queue_free(device->queues[i]);
	if (device->config.window)
		gw_window_disconnect(device->config.window);
	fs_reset(device->config.fs);
	free(device);
}

void gw_device_describe(struct gw_device *device, struct vu_backend_config *config)
{
	*config = (struct vu_backend_config){
		.features = VQ_FEATURES | VU_BIT(VU_F_PROTOCOL_FEATURES),
		.protocol_features = VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
				     VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) |
				     VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
		.n_queues = GW_QUEUES_MAX,
		.ops = &device_ops,
		.ctx = device,
	};
	/* Stock vhost-user-fs front-ends have a tag of their own and warn when we offer one. */
	if (device->config.tag)
		config->protocol_features |= VU_BIT(VU_PROTOCOL_F_CONFIG);
	if (device->config.window)
		gw_window_describe(device->config.window, config);
}
