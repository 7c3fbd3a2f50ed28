/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests from /dev/fuse into a ring, and their answers back.
 *
 * Theory of operation. A request goes into a slot of guest memory, from which the device reads it
 * and in which it answers. A slot has two halves, each a page and FM_PAYLOAD bytes: the request
 * ends its first FM_HEAD bytes at the end of the page, so that a WRITE's data begins with the next
 * one, where O_DIRECT on the other side can have it; an answer's header ends at the end of the
 * other half's page, for the same reason. Payload is moved by the kernel alone, between the caller
 * and the slot.
 *
 * The slot is the device's as much as ours, so nothing that we decide by is read from it twice: the
 * head of a request comes into private memory and is copied to the slot, the header of an answer is
 * copied out, judged, and written to /dev/fuse from the copy.
 *
 * The kernel remembers on which open /dev/fuse a request was read, and takes its answer only there:
 * a request's queue is the one whose thread read it. Slots that were used last are used first
 * again, so the memory that is touched is that of the most requests at a time, and what went far
 * beyond the usual is given back (KEPT). There are many slots, since a request may take long; but
 * only half of them may wait for locks (mount_wait.c), which would keep out the unlock.
 *
 * The loop takes all answers, then all requests that there is room for, then kicks once, and sleeps
 * only when both sides had nothing: with EVENT_IDX armed just before. A full ring leaves requests
 * in the kernel.
 *
 * The kernel's sync of a FUSE mount starts writing and need not wait for the answers (from 6.18 it
 * does not), and it keeps background requests back while many are under way. So who wants to know
 * that all is written has the queues drain: with nothing else carried, none under way and none to
 * be read means that none is kept back either. (Those that wait for locks write nothing.)
 */
#include "gateway/frontend/mount_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/frontend/mount_init.h"
#include "gateway/frontend/mount_queue_private.h"
#include "gateway/frontend/mount_shape.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

#define PAGE        4096u
#define HALF        (PAGE + FM_PAYLOAD)
#define SLOT        (2 * HALF)
#define DESCRIPTORS 5u

/* Slots that keep their memory, and how much the others may. */
#define KEPT       32u
#define KEPT_BYTES 65536u

/* The first page has the table of descriptors at one end and the request's head at the other. */
static_assert(DESCRIPTORS * sizeof(struct vring_desc) <= PAGE - FM_HEAD, "there is room for both");

/* As much is read before the device hears of it, so that both work at the same time. */
#define BATCH_BYTES (128u * 1024)

/* What a sleeping queue is woken by. */
enum source { CALL, ERR, FUSE, STOP, DRAIN, SOURCES };

/* One of several queues that sleep is woken by a request, not all of them. */
#define READING (EPOLLIN | EPOLLEXCLUSIVE)

uint64_t fm_queue_memory(uint16_t slots)
{
	return (uint64_t)slots * SLOT;
}

static bool is_indirect(const struct vq_driver *ring)
{
	return ring->features & (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
}

uint16_t fm_queue_slots(const struct vq_driver *ring)
{
	return is_indirect(ring) ? ring->num : (uint16_t)(ring->num / DESCRIPTORS);
}

static int watch(struct fm_queue *queue, int op, enum source source, uint32_t events, int fd)
{
	struct epoll_event event = {.events = events, .data.u32 = source};

	return epoll_ctl(queue->epoll, op, fd, &event) < 0 ? -errno : 0;
}

static int watch_all(struct fm_queue *queue)
{
	const struct fm_queue_config *c = &queue->config;
	int r = watch(queue, EPOLL_CTL_ADD, CALL, EPOLLIN | EPOLLET, c->ring->call);

	if (r == 0)
		r = watch(queue, EPOLL_CTL_ADD, ERR, EPOLLIN, c->ring->err);
	if (r == 0)
		r = watch(queue, EPOLL_CTL_ADD, STOP, EPOLLIN, c->stop->stop_fd);
	if (r == 0)
		r = watch(queue, EPOLL_CTL_ADD, DRAIN, EPOLLIN, c->stop->drain_fd);
	return r < 0 ? r : watch(queue, EPOLL_CTL_ADD, FUSE, READING, c->fuse_fd);
}

static void make_slots(struct fm_queue *queue)
{
	const struct fm_queue_config *config = &queue->config;

	for (uint16_t i = config->slots; i-- > 0;) {
		struct fm_slot *slot = &queue->slots[i];
		const uint32_t request = PAGE - FM_HEAD, answer = HALF + PAGE - OUT_HEADER;

		slot->base = config->host + (uint64_t)i * SLOT;
		slot->base_gpa = config->gpa + (uint64_t)i * SLOT;
		slot->request = slot->base + request;
		slot->request_gpa = slot->base_gpa + request;
		slot->answer = slot->base + answer;
		slot->answer_gpa = slot->base_gpa + answer;
		slot->next = queue->free;
		queue->free = slot;
	}
}

int fm_queue_new(const struct fm_queue_config *config, struct fm_queue **out)
{
	struct fm_queue *queue;
	int r;

	if (config->slots > fm_queue_slots(config->ring))
		return -EINVAL;
	queue = calloc(1, sizeof(*queue) + config->slots * sizeof(queue->slots[0]));
	if (!queue)
		return -ENOMEM;
	queue->config = *config;
	snprintf(queue->name, sizeof(queue->name), "queue %u", config->index);
	make_slots(queue);
	queue->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = queue->epoll < 0 ? -errno : watch_all(queue);
	if (r < 0) {
		fm_queue_free(queue);
		return r;
	}
	*out = queue;
	return 0;
}

void fm_queue_free(struct fm_queue *queue)
{
	if (queue)
		fd_close(&queue->epoll);
	free(queue);
}

void fm_slot_free(struct fm_queue *queue, struct fm_slot *slot)
{
	/* If not, it is only memory. */
	if (slot->moved > KEPT_BYTES && slot >= queue->slots + KEPT)
		(void)madvise(slot->base, SLOT, MADV_REMOVE);
	slot->moved = 0;
	slot->next = queue->free;
	queue->free = slot;
}

/* ---- requests ---- */

void fm_publish(struct fm_queue *queue, struct fm_slot *slot, const struct fuse_in_header *header,
	const struct fm_shape *shape, uint32_t len)
{
	uint32_t in = (uint32_t)sizeof(*header);
	uint32_t args = (shape->data ? MIN(len, (uint32_t)FM_HEAD) : len) - in;
	uint32_t data = len - in - args;
	struct vq_buf bufs[DESCRIPTORS];
	size_t n = 0;

	slot->unique = header->unique;
	slot->opcode = header->opcode;
	slot->room = (uint32_t)OUT_HEADER + shape->room;
	bufs[n++] = (struct vq_buf){slot->request_gpa, in, false};
	if (args)
		bufs[n++] = (struct vq_buf){slot->request_gpa + in, args, false};
	if (data)
		bufs[n++] = (struct vq_buf){slot->request_gpa + FM_HEAD, data, false};
	bufs[n++] = (struct vq_buf){slot->answer_gpa, OUT_HEADER, true};
	if (shape->room)
		bufs[n++] = (struct vq_buf){slot->answer_gpa + OUT_HEADER, shape->room, true};
	slot->moved = len + slot->room;
	/* There is room: the ring has as many entries as all slots together need. */
	if (is_indirect(queue->config.ring))
		(void)vq_driver_add_indirect(
			queue->config.ring, bufs, n, slot->base, slot->base_gpa, slot);
	else
		(void)vq_driver_add(queue->config.ring, bufs, n, slot);
	queue->unkicked += len;
	queue->in_flight++;
}

static void offer(struct fm_queue *queue, uint8_t *head, uint32_t len)
{
	struct fuse_init_in in = {0};
	/* What is behind the head is reserved. */
	size_t n = MIN(len, FM_HEAD) - sizeof(struct fuse_in_header);

	memcpy(&in, head + sizeof(struct fuse_in_header), n);
	queue->offered = fm_init_offer(&in, len - sizeof(struct fuse_in_header));
	memcpy(head + sizeof(struct fuse_in_header), &in, n);
}

static void hiprio(struct fm_queue *queue, struct fm_slot *slot,
	const struct fuse_in_header *header, uint32_t len)
{
	int r = fm_hiprio_send(queue->config.hiprio, header, slot->request + sizeof(*header),
		len - (uint32_t)sizeof(*header));

	fm_slot_free(queue, slot);
	if (r == 0)
		return;
	queue->end = r == -ECANCELED ? FM_STOPPED : FM_BROKEN;
	if (queue->end == FM_BROKEN)
		log_error("hiprio queue", "the back-end gave it up (%s)", strerror(-r));
}

/* What the kernel writes from its page cache, on no caller's behalf. */
static bool writes_back(const struct fuse_in_header *header, const uint8_t *head)
{
	struct fuse_write_in in;

	if (header->opcode != FUSE_WRITE)
		return false;
	memcpy(&in, head + sizeof(*header), sizeof(in));
	return in.write_flags & FUSE_WRITE_CACHE;
}

void fm_refuse(int fuse_fd, uint64_t unique, int error)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = error, .unique = unique};

	/* When it fails nobody waits any more; else the next read tells. */
	(void)!write(fuse_fd, &out, sizeof(out));
}

/* A request of `len` bytes, whose head is in private memory and whose rest is in the slot. */
static void take_request(struct fm_queue *queue, struct fm_slot *slot, uint8_t *head, uint32_t len)
{
	struct fuse_in_header header;
	struct fm_shape shape = fm_shape_of(head);

	memcpy(&header, head, sizeof(header));
	if (len < sizeof(header) || header.len != len) {
		log_error(queue->name, "/dev/fuse gave %" PRIu32 " bytes of a request of %" PRIu32,
			len, header.len);
		fm_slot_free(queue, slot);
		queue->end = FM_FAILED;
		return;
	}
	if (header.opcode == FUSE_INIT)
		offer(queue, head, len);
	memcpy(slot->request, head, MIN(len, FM_HEAD));
	slot->fuse_fd = queue->config.fuse_fd;
	if (header.opcode == FUSE_INTERRUPT && fm_wait_interrupt(queue, head)) {
		fm_slot_free(queue, slot);
	} else if (shape.hiprio) {
		hiprio(queue, slot, &header, len);
	} else if (atomic_load(&queue->config.stop->drain) && !writes_back(&header, head)) {
		fm_refuse(queue->config.fuse_fd, header.unique, -ENOTCONN);
		fm_slot_free(queue, slot);
	} else if (header.opcode == FUSE_SETLKW) {
		fm_wait_send(queue, slot, &header, &shape, len);
	} else {
		fm_publish(queue, slot, &header, &shape, len);
	}
}

static void read_failed(struct fm_queue *queue, int error)
{
	if (error == ENODEV || error == ECONNABORTED) {
		queue->end = FM_UNMOUNTED;
		return;
	}
	log_error(queue->name, "/dev/fuse cannot be read: %s", strerror(error));
	queue->end = FM_FAILED;
}

/* Takes one request off /dev/fuse; false when there is none, or no slot for it. */
static bool receive(struct fm_queue *queue)
{
	uint8_t head[FM_HEAD] = {0};
	struct fm_slot *slot = queue->free;
	struct iovec iov[2];
	ssize_t n;

	if (!slot)
		return false;
	iov[0] = (struct iovec){head, sizeof(head)};
	iov[1] = (struct iovec){slot->request + FM_HEAD, FM_PAYLOAD};
	n = readv(queue->config.fuse_fd, iov, ARRAY_SIZE(iov));
	/* ENOENT: the request was given up while it was on its way here. */
	if (n < 0 && (errno == EINTR || errno == ENOENT))
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		read_failed(queue, n ? errno : ENODEV);
		return false;
	}
	queue->free = slot->next;
	take_request(queue, slot, head, (uint32_t)n);
	return queue->end == FM_RUNNING;
}

/* ---- the loop ---- */

/*
 * With no slot to read with, the next request is somebody else's: his wake-up must not come here.
 * The end of the mount is noticed in any event.
 */
static void watch_fuse(struct fm_queue *queue, bool reading)
{
	if (queue->not_reading != reading)
		return;
	/* Exclusive ones cannot be changed. */
	(void)watch(queue, EPOLL_CTL_DEL, FUSE, 0, queue->config.fuse_fd);
	(void)watch(queue, EPOLL_CTL_ADD, FUSE, reading ? READING : 0, queue->config.fuse_fd);
	queue->not_reading = !reading;
}

/* Sleeps until something happens on either side, or what is not known yet. */
static void sleep_till_needed(struct fm_queue *queue, bool draining)
{
	struct epoll_event events[SOURCES];
	int n;

	watch_fuse(queue, queue->free != NULL);
	/* It stays readable: who knows already does not look. */
	if (draining)
		(void)watch(queue, EPOLL_CTL_DEL, DRAIN, 0, queue->config.stop->drain_fd);
	if (vq_driver_arm(queue->config.ring))
		return;
	n = epoll_wait(queue->epoll, events, SOURCES,
		draining ? -1 : fm_locks_timeout(queue->config.locks));
	for (int i = 0; i < n && queue->end == FM_RUNNING; i++) {
		if (events[i].data.u32 == ERR) {
			log_error(queue->name, "the back-end gave it up");
			queue->end = FM_BROKEN;
		} else if (events[i].data.u32 == FUSE && queue->not_reading) {
			queue->end = FM_UNMOUNTED;
		}
	}
}

/* Takes what is there on both sides; true when there may be more to read. */
static bool carry(struct fm_queue *queue, bool draining)
{
	bool more = true;

	(void)fm_answers(queue);
	if (!draining && queue->end == FM_RUNNING)
		fm_wait_resend(queue);
	while (more && queue->unkicked < BATCH_BYTES && queue->end == FM_RUNNING)
		more = receive(queue);
	if (queue->unkicked)
		vq_driver_kick(queue->config.ring);
	queue->unkicked = 0;
	return more;
}

enum fm_end fm_queue_run(struct fm_queue *queue)
{
	const struct fm_stop *stop = queue->config.stop;

	queue->end = FM_RUNNING;
	while (queue->end == FM_RUNNING) {
		bool stopping = atomic_load(&stop->stop), draining = atomic_load(&stop->drain);
		bool more = stopping ? fm_answers(queue) : carry(queue, draining);

		if (queue->end != FM_RUNNING)
			break;
		if (stopping)
			queue->end = FM_STOPPED;
		else if (!more && draining && queue->in_flight == queue->n_waiting)
			queue->end = FM_DRAINED;
		else if (!more)
			sleep_till_needed(queue, draining);
	}
	return queue->end;
}

int fm_queue_destroy(struct fm_queue *queue, int timeout_ms)
{
	int64_t deadline = vu_now_ms() + timeout_ms;
	struct fuse_in_header header = {
		.len = sizeof(header), .opcode = FUSE_DESTROY, .unique = UINT64_MAX - 1};
	struct fm_shape shape = {0};
	struct fm_slot *slot = queue->free;
	void *cookie = NULL;
	uint32_t used;
	int r = 0;

	if (!slot)
		return -EBUSY;
	queue->free = slot->next;
	memcpy(slot->request, &header, sizeof(header));
	fm_publish(queue, slot, &header, &shape, sizeof(header));
	vq_driver_kick(queue->config.ring);
	while (r == 0 && cookie != slot) {
		r = vq_driver_wait(queue->config.ring, (int)MAX(0, deadline - vu_now_ms()));
		while (r == 0 && cookie != slot &&
			vq_driver_take(queue->config.ring, &cookie, &used)) {
		}
	}
	return r;
}
