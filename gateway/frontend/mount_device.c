/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening the device: what a VMM and a guest's driver do together before the first request. */
#include "gateway/frontend/mount_device.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "gateway/frontend/mount_hiprio.h"
#include "gateway/frontend/mount_queue.h"
#include "gateway/frontend/reason.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

#define CONNECT_MS 10000
#define MEMORY_GPA UINT64_C(0x40000000)
#define RING       1024u
#define RING_AREA  UINT64_C(32768)
#define HIPRIO     128u

/* Requests under way in one queue, and in all of many together. */
#define SLOTS     512u
#define SLOTS_ALL 2048u

/* Bit 32: VIRTIO 1.0. */
#define VERSION_1 VU_BIT(32)

static int negotiate(struct fm_device *device, const struct fm_options *options)
{
	uint64_t most = 1;
	int r;

	r = vu_frontend_negotiate(device->fe,
		VERSION_1 | VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
			VU_BIT(VIRTIO_RING_F_INDIRECT_DESC),
		VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
			VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	if (r < 0)
		return r;
	if (!(vu_frontend_features(device->fe) & VERSION_1)) {
		log_error(options->socket, "the back-end does not offer VIRTIO 1.0");
		return -EOPNOTSUPP;
	}
	if (vu_frontend_protocol_features(device->fe) & VU_BIT(VU_PROTOCOL_F_MQ)) {
		r = vu_frontend_get_u64(device->fe, VU_GET_QUEUE_NUM, &most);
		if (r < 0)
			return r;
		most = most ? most - 1 : 0; /* hiprio is one of them */
	}
	if (most < options->queues) {
		log_error(options->socket, "the back-end serves %" PRIu64 " request queues, not %u",
			most, options->queues);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* A ring at *gpa with `memory` bytes behind it; *gpa moves on. */
static int start_queue(struct fm_device *device, unsigned int index, uint16_t num, uint64_t memory,
	uint64_t *gpa, struct fm_device_queue *queue)
{
	int r = vu_frontend_ring_start(device->fe, index, num, *gpa, &queue->ring);

	queue->gpa = *gpa + RING_AREA;
	queue->host = vu_frontend_host(device->fe, queue->gpa, memory);
	*gpa = queue->gpa + memory;
	return r;
}

static int start_queues(struct fm_device *device, unsigned int queues)
{
	struct vq_driver like = {.num = RING, .features = vu_frontend_features(device->fe)};
	uint64_t hiprio = fm_hiprio_memory(HIPRIO), slots;
	uint64_t gpa = MEMORY_GPA;
	int r;

	device->slots = (uint16_t)MIN(MIN(SLOTS, SLOTS_ALL / queues), fm_queue_slots(&like));
	slots = fm_queue_memory(device->slots);
	r = vu_frontend_add_memory(
		device->fe, gpa, RING_AREA + hiprio + queues * (RING_AREA + slots));
	if (r < 0)
		return r;
	r = start_queue(device, 0, HIPRIO, hiprio, &gpa, &device->hiprio);
	for (unsigned int i = 0; r == 0 && i < queues; i++)
		r = start_queue(device, i + 1, RING, slots, &gpa, &device->queues[i]);
	return r;
}

int fm_device_open(struct fm_device *device, const struct fm_options *options)
{
	int r;

	*device = (struct fm_device){0};
	r = options->listen ? vu_frontend_accept(options->socket, CONNECT_MS, &device->fe)
			    : vu_frontend_connect(options->socket, CONNECT_MS, &device->fe);
	if (r < 0) {
		log_error(options->socket, "%s: %s", ft_connect_failed(r), strerror(-r));
		return r;
	}
	r = negotiate(device, options);
	if (r == -EOPNOTSUPP)
		return r;
	if (r == 0)
		r = start_queues(device, options->queues);
	if (r < 0)
		log_error(options->socket, "the device was not opened: %s%s", strerror(-r),
			ft_open_hint(r));
	return r;
}

void fm_device_close(struct fm_device *device)
{
	vu_frontend_free(device->fe);
	device->fe = NULL;
}

int fm_device_check(struct fm_device *device)
{
	struct pollfd pfd = {.fd = vu_frontend_fd(device->fe), .events = POLLIN};
	struct vu_header header;
	size_t size;
	int r;

	if (poll(&pfd, 1, 0) <= 0)
		return 0;
	r = vu_frontend_recv(device->fe, &header, NULL, 0, &size, NULL);
	return r == -ECONNRESET ? r : -EPROTO;
}
