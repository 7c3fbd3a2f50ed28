/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device that is measured: connection, rings, session, directory.
 *
 * Guest memory is one region: the rings, hiprio's slots, then each queue's slots with their
 * payload. It is only touched where it is used. hiprio is shared by the queues' threads, under the
 * lock; nobody waits for its replies, which FORGET does not have.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/bench_window.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define CONNECT_MS   10000
#define RING         256u /* four descriptors for each request in flight */
#define RING_AREA    16384u
#define HIPRIO_SLOTS 8u
#define SMALLEST     65536u /* of payloads: a READDIRPLUS */
static_assert(FB_DEPTH_MAX * 4 <= RING, "a ring has room for all slots");

void fb_device_error(struct fb_device *device, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&device->lock);
	if (!device->error[0]) {
		va_start(args, format);
		vsnprintf(device->error, sizeof(device->error), format, args);
		va_end(args);
		fprintf(stderr, "virtiofs-frontend: %s\n", device->error);
	}
	pthread_mutex_unlock(&device->lock);
}

static int connect_device(struct fb_device *device)
{
	const struct fb_options *o = device->options;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int r = o->listen ? vu_frontend_accept(o->socket, CONNECT_MS, &device->fe)
			  : vu_frontend_connect(o->socket, CONNECT_MS, &device->fe);

	if (r < 0) {
		fb_device_error(device, "%s: no back-end is there: %s", o->socket, strerror(-r));
		return r;
	}
	device->pid = o->pid;
	if (!o->pid &&
		getsockopt(vu_frontend_fd(device->fe), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		device->pid = peer.pid;
	return 0;
}

static int negotiate(struct fb_device *device)
{
	uint64_t features = VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES) |
			    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	uint64_t protocol = VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
			    VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	uint64_t queues = 2;
	int r;

	if (fb_window_wanted(device->options))
		protocol |= FB_WINDOW_PROTOCOL;
	r = vu_frontend_negotiate(device->fe, features, protocol);
	if (r == 0 && vu_frontend_protocol_features(device->fe) & VU_BIT(VU_PROTOCOL_F_MQ))
		r = vu_frontend_get_u64(device->fe, VU_GET_QUEUE_NUM, &queues);
	if (r == 0 && device->options->queues >= queues) {
		fb_device_error(device, "the back-end serves %llu request queues",
			(unsigned long long)(queues ? queues - 1 : 0));
		return -EOPNOTSUPP;
	}
	return r;
}

/* The largest that any row needs. */
static uint32_t payload_of(const struct fb_options *o)
{
	uint32_t size = SMALLEST;

	for (unsigned int i = 0; i < o->n_picks; i++) {
		uint32_t own = o->picks[i].row->block;

		size = MAX(size, own && o->block ? o->block : own);
	}
	return size;
}

static unsigned int depth_of(const struct fb_options *o)
{
	unsigned int most = 1;

	for (unsigned int i = 0; i < o->n_picks; i++) {
		const struct fb_pick *pick = &o->picks[i];
		unsigned int depth = pick->depth ? pick->depth : o->depth;

		most = MAX(most, depth * (pick->row->times ? pick->row->times : 1));
	}
	return MIN(most, FB_DEPTH_MAX);
}

static int start_hiprio(struct fb_device *device, uint64_t gpa)
{
	device->hiprio_slots = calloc(HIPRIO_SLOTS, sizeof(device->hiprio_slots[0]));
	if (!device->hiprio_slots)
		return -ENOMEM;
	for (unsigned int i = 0; i < HIPRIO_SLOTS; i++, gpa += fb_slot_size(0)) {
		void *host = vu_frontend_host(device->fe, gpa, fb_slot_size(0));

		fb_slot_init(&device->hiprio_slots[i], host, gpa);
		device->hiprio_slots[i].index = i;
		device->hiprio_free |= UINT64_C(1) << i;
	}
	return vu_frontend_ring_start(device->fe, 0, RING, FU_MEMORY_GPA, &device->hiprio);
}

static int start_queue(struct fb_device *device, unsigned int i, uint64_t slots_gpa)
{
	struct fb_queue *queue = &device->queues[i];
	uint64_t size = fb_slot_size(device->payload);

	*queue = (struct fb_queue){
		.broken = &device->broken,
		.next_unique = 2,
		.random = UINT64_C(0x9e3779b97f4a7c15) + i,
		.slots = calloc(device->depth, sizeof(queue->slots[0])),
		.n_slots = device->depth,
	};
	if (!queue->slots)
		return -ENOMEM;
	for (unsigned int s = 0; s < device->depth; s++, slots_gpa += size)
		fb_slot_init(
			&queue->slots[s], vu_frontend_host(device->fe, slots_gpa, size), slots_gpa);
	return vu_frontend_ring_start(
		device->fe, i + 1, RING, FU_MEMORY_GPA + (i + 1) * RING_AREA, &queue->ring);
}

static int start_rings(struct fb_device *device)
{
	uint64_t rings = (device->n_queues + 1) * (uint64_t)RING_AREA;
	uint64_t hiprio = HIPRIO_SLOTS * fb_slot_size(0);
	uint64_t each = device->depth * fb_slot_size(device->payload);
	int r;

	device->queues = calloc(device->n_queues, sizeof(device->queues[0]));
	if (!device->queues)
		return -ENOMEM;
	r = vu_frontend_add_memory(
		device->fe, FU_MEMORY_GPA, rings + hiprio + device->n_queues * each);
	if (r >= 0)
		r = start_hiprio(device, FU_MEMORY_GPA + rings);
	for (unsigned int i = 0; r >= 0 && i < device->n_queues; i++)
		r = start_queue(device, i, FU_MEMORY_GPA + rings + hiprio + i * each);
	return r;
}

/* As Linux asks, as far as what it offers makes a difference to what is measured. */
static int start_session(struct fb_device *device)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 131072,
		.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |
			 FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |
			 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 |
			 FUSE_INIT_EXT | (device->window ? FUSE_MAP_ALIGNMENT : 0),
		.flags2 = device->window ? (uint32_t)(FUSE_HAS_INODE_DAX >> 32) : 0,
	};
	struct fb_ask ask = {.opcode = FUSE_INIT,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(device->init)};
	uint32_t len = 0;
	int r = fb_call(device, &ask, &device->init, sizeof(device->init), &len);

	return r == 0 && len < FUSE_COMPAT_22_INIT_OUT_SIZE ? FU_BAD_REPLY : r;
}

enum ft_exit fb_device_open(struct fb_device *device, const struct fb_options *options)
{
	int r;

	*device = (struct fb_device){
		.options = options,
		.n_queues = options->queues,
		.depth = depth_of(options),
		.payload = payload_of(options),
	};
	pthread_mutex_init(&device->lock, NULL);
	snprintf(device->dir_name, sizeof(device->dir_name), "virtiofs-frontend-bench-%d",
		(int)getpid());
	r = connect_device(device);
	if (r == 0)
		r = negotiate(device);
	if (r == 0 && fb_window_wanted(options))
		r = fb_window_open(device);
	if (r == 0)
		r = start_rings(device);
	if (r == 0)
		r = fb_window_start(device);
	if (r == 0)
		r = start_session(device);
	if (r == 0)
		r = fb_mkdir(device, FUSE_ROOT_ID, device->dir_name, &device->dir);
	if (r == 0)
		return FT_EXIT_OK;
	fb_device_error(device, "the device was not opened: %s", ft_result(r));
	return FT_EXIT_PROTOCOL;
}

void fb_device_close(struct fb_device *device)
{
	struct fb_ask destroy = {.opcode = FUSE_DESTROY};
	int r;

	if (device->dir && !atomic_load(&device->broken)) {
		r = fb_unlink(device, FUSE_ROOT_ID, device->dir_name, true);
		if (r < 0)
			fb_device_error(device, "%s is left: %s", device->dir_name, ft_result(r));
		(void)fb_call(device, &destroy, NULL, 0, NULL);
	}
	fb_window_close(device);
	vu_frontend_free(device->fe);
	for (unsigned int i = 0; device->queues && i < device->n_queues; i++)
		free(device->queues[i].slots);
	free(device->queues);
	free(device->hiprio_slots);
	pthread_mutex_destroy(&device->lock);
}

/* With the lock held: a slot that is free, after a while; NULL when there is none. */
static struct fb_slot *hiprio_slot(struct fb_device *device)
{
	void *cookie;
	uint32_t used;

	for (unsigned int tries = 0; tries < 1000; tries++) {
		while (vq_driver_take(device->hiprio, &cookie, &used))
			if (cookie)
				device->hiprio_free |= UINT64_C(1)
						       << ((struct fb_slot *)cookie)->index;
		if (device->hiprio_free) {
			struct fb_slot *slot =
				&device->hiprio_slots[__builtin_ctzll(device->hiprio_free)];

			device->hiprio_free &= device->hiprio_free - 1;
			return slot;
		}
		usleep(1000);
	}
	return NULL;
}

void fb_forget(struct fb_device *device, const struct fuse_forget_one *ones, unsigned int n)
{
	struct fuse_batch_forget_in in = {.count = n};
	uint32_t size = n * (uint32_t)sizeof(ones[0]);
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + sizeof(in)) + size, .opcode = FUSE_BATCH_FORGET};
	struct vq_buf buf = {.len = h.len};
	struct fb_slot *slot;

	if (!n)
		return;
	pthread_mutex_lock(&device->lock);
	slot = hiprio_slot(device);
	if (slot) {
		memcpy(slot->args, &h, sizeof(h));
		memcpy(slot->args + sizeof(h), &in, sizeof(in));
		memcpy(slot->args + sizeof(h) + sizeof(in), ones, size);
		buf.gpa = slot->gpa;
		(void)vq_driver_add(device->hiprio, &buf, 1, slot);
		(void)vq_driver_kick(device->hiprio);
	}
	pthread_mutex_unlock(&device->lock);
	if (!slot)
		fb_device_error(device, "the back-end does not take FORGETs");
}
