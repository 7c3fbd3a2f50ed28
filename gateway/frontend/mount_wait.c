/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that wait for locks, on their way through a queue: see mount_locks.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/frontend/mount_queue_private.h"

/* Half of a queue's slots are for what ends by itself. */
static bool has_room(const struct fm_queue *queue)
{
	return queue->n_waiting < queue->config.slots / 2u;
}

static void send_wait(struct fm_queue *queue, struct fm_slot *slot,
	const struct fuse_in_header *header, const struct fm_shape *shape, uint32_t len)
{
	slot->waits = true;
	queue->n_waiting++;
	fm_publish(queue, slot, header, shape, len);
}

static void send_try(struct fm_queue *queue, struct fm_slot *slot, struct fuse_in_header *header,
	const struct fm_shape *shape, struct fm_lock *lock)
{
	slot->lock = lock;
	header->opcode = FUSE_SETLK;
	memcpy(slot->request, header, sizeof(*header));
	fm_publish(queue, slot, header, shape, FM_LOCK_SIZE);
}

void fm_wait_send(struct fm_queue *queue, struct fm_slot *slot, struct fuse_in_header *header,
	const struct fm_shape *shape, uint32_t len)
{
	struct fm_lock *lock;

	if (len != FM_LOCK_SIZE) {
		fm_publish(queue, slot, header, shape, len);
	} else if (has_room(queue) && fm_locks_may_wait(queue->config.locks)) {
		send_wait(queue, slot, header, shape, len);
	} else {
		lock = fm_locks_keep(queue->config.locks, slot->request, slot->fuse_fd);
		if (lock) {
			send_try(queue, slot, header, shape, lock);
			return;
		}
		fm_refuse(slot->fuse_fd, header->unique, -ENOLCK);
		fm_slot_free(queue, slot);
	}
}

bool fm_wait_answered(struct fm_queue *queue, struct fm_slot *slot, struct fuse_out_header *out)
{
	struct fm_lock *lock = slot->lock;

	if (slot->waits) {
		queue->n_waiting--;
		fm_locks_waited(queue->config.locks);
	}
	slot->waits = false;
	slot->lock = NULL;
	if (!lock)
		return true;
	if (out->error != -EAGAIN) {
		fm_locks_done(queue->config.locks, lock);
		return true;
	}
	out->error = -EINTR;
	return !fm_locks_busy(queue->config.locks, lock);
}

void fm_wait_resend(struct fm_queue *queue)
{
	while (queue->free) {
		bool waits;
		struct fm_lock *lock =
			fm_locks_next(queue->config.locks, has_room(queue), &waits);
		struct fm_slot *slot = queue->free;
		const struct fm_shape shape = {0};
		struct fuse_in_header header;

		if (!lock)
			return;
		queue->free = slot->next;
		slot->fuse_fd = lock->fuse_fd;
		memcpy(&header, lock->request, sizeof(header));
		memcpy(slot->request, lock->request, sizeof(lock->request));
		if (!waits) {
			send_try(queue, slot, &header, &shape, lock);
			continue;
		}
		free(lock);
		send_wait(queue, slot, &header, &shape, FM_LOCK_SIZE);
	}
}

bool fm_wait_interrupt(struct fm_queue *queue, const uint8_t head[FM_HEAD])
{
	struct fuse_interrupt_in in;
	int fuse_fd;

	memcpy(&in, head + sizeof(struct fuse_in_header), sizeof(in));
	if (!fm_locks_interrupt(queue->config.locks, in.unique, &fuse_fd))
		return false;
	if (fuse_fd >= 0)
		fm_refuse(fuse_fd, in.unique, -EINTR);
	return true;
}
