/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests without an answer.
 *
 * They are small, so each is copied into a slot of its own, one descriptor each: slot i goes with
 * whatever descriptor is free. Any queue's thread may have read one off /dev/fuse, so the ring is
 * under a lock; who finds it full waits with the lock held, since nobody else could get on either.
 * Used chains are only looked at when slots have run out.
 */
#include "gateway/frontend/mount_hiprio.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhostuser/checked.h"

/* Room for 240 forgets. */
#define SLOT 4096u

struct fm_hiprio {
	struct fm_hiprio_config config;
	pthread_mutex_t lock; /* of all below, of the ring and its memory */
	uint16_t n_free;
	uint16_t free[]; /* numbers of slots */
};

uint64_t fm_hiprio_memory(uint16_t num)
{
	return (uint64_t)num * SLOT;
}

int fm_hiprio_new(const struct fm_hiprio_config *config, struct fm_hiprio **out)
{
	uint16_t num = config->ring->num;
	struct fm_hiprio *hiprio = calloc(1, sizeof(*hiprio) + num * sizeof(hiprio->free[0]));

	if (!hiprio)
		return -ENOMEM;
	hiprio->config = *config;
	hiprio->n_free = num;
	for (uint16_t i = 0; i < num; i++)
		hiprio->free[i] = i;
	pthread_mutex_init(&hiprio->lock, NULL);
	*out = hiprio;
	return 0;
}

void fm_hiprio_free(struct fm_hiprio *hiprio)
{
	if (!hiprio)
		return;
	pthread_mutex_destroy(&hiprio->lock);
	free(hiprio);
}

/* A slot's number travels as its cookie, which must not be NULL. */
static void *cookie_of(uint16_t slot)
{
	return (void *)((uintptr_t)slot + 1);
}

static int take_used(struct fm_hiprio *hiprio)
{
	uint32_t len;
	void *cookie;

	while (vq_driver_take(hiprio->config.ring, &cookie, &len)) {
		if (!cookie)
			return -EPROTO;
		hiprio->free[hiprio->n_free++] = (uint16_t)((uintptr_t)cookie - 1);
	}
	return 0;
}

static int wait_used(struct fm_hiprio *hiprio)
{
	struct vq_driver *ring = hiprio->config.ring;
	struct pollfd fds[] = {
		{.fd = hiprio->config.stop->stop_fd, .events = POLLIN},
		{.fd = ring->err, .events = POLLIN},
		{.fd = ring->call, .events = POLLIN},
	};
	uint64_t count;

	while (!vq_driver_arm(ring)) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return -ECANCELED;
		if (fds[1].revents)
			return -EPIPE;
		if (fds[2].revents)
			(void)!read(ring->call, &count, sizeof(count));
	}
	return 0;
}

static int slot_take(struct fm_hiprio *hiprio, uint16_t *slot)
{
	int r = 0;

	if (!hiprio->n_free)
		r = take_used(hiprio);
	while (r == 0 && !hiprio->n_free) {
		r = wait_used(hiprio);
		if (r == 0)
			r = take_used(hiprio);
	}
	if (r == 0)
		*slot = hiprio->free[--hiprio->n_free];
	return r;
}

static int send_one(struct fm_hiprio *hiprio, struct fuse_in_header header, const void *fixed,
	uint32_t fixed_len, const void *tail, uint32_t tail_len)
{
	struct vq_buf buf = {.len = (uint32_t)sizeof(header) + fixed_len + tail_len};
	uint16_t slot = 0;
	uint8_t *at;
	int r;

	if (buf.len > SLOT)
		return -EMSGSIZE;
	r = slot_take(hiprio, &slot);
	if (r < 0)
		return r;
	at = hiprio->config.host + (uint64_t)slot * SLOT;
	buf.gpa = hiprio->config.gpa + (uint64_t)slot * SLOT;
	header.len = buf.len;
	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), fixed, fixed_len);
	if (tail_len)
		memcpy(at + sizeof(header) + fixed_len, tail, tail_len);
	return vq_driver_add(hiprio->config.ring, &buf, 1, cookie_of(slot));
}

static int send_batch(struct fm_hiprio *hiprio, const struct fuse_in_header *header,
	const uint8_t *args, uint32_t len)
{
	const uint32_t one = sizeof(struct fuse_forget_one);
	const uint32_t most =
		(SLOT - sizeof(*header) - sizeof(struct fuse_batch_forget_in)) / one * one;
	int r = 0;

	if (len < sizeof(struct fuse_batch_forget_in))
		return -EMSGSIZE;
	args += sizeof(struct fuse_batch_forget_in);
	len -= (uint32_t)sizeof(struct fuse_batch_forget_in);
	while (r == 0 && len >= one) {
		uint32_t now = MIN(len / one * one, most);
		struct fuse_batch_forget_in in = {.count = now / one};

		r = send_one(hiprio, *header, &in, sizeof(in), args, now);
		args += now;
		len -= now;
		/* The device is at it while the rest is copied, and makes room should it be needed.
		 */
		if (r == 0)
			vq_driver_kick(hiprio->config.ring);
	}
	return r;
}

int fm_hiprio_send(struct fm_hiprio *hiprio, const struct fuse_in_header *header,
	const uint8_t *args, uint32_t len)
{
	int r;

	pthread_mutex_lock(&hiprio->lock);
	if (header->opcode == FUSE_BATCH_FORGET) {
		r = send_batch(hiprio, header, args, len);
	} else {
		r = send_one(hiprio, *header, args, len, NULL, 0);
		if (r == 0)
			vq_driver_kick(hiprio->config.ring);
	}
	pthread_mutex_unlock(&hiprio->lock);
	return r;
}
