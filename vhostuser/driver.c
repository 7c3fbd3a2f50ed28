/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a split virtqueue (VIRTIO 2.7): what a guest's kernel does.
 *
 * Descriptors are written plainly and published by avail->idx; the bookkeeping (free list,
 * cookies, chain lengths) is in private memory. The orders are the device side's mirrored
 * (virtqueue.c): [A] avail->idx with release, [B] used->idx with acquire, and for notifications
 * a store of our own index or wish, then a load of the other side's, both sequentially consistent.
 */
#include "vhostuser/driver.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhostuser/checked.h"
#include "vhostuser/clock.h"
#include "vhostuser/fd.h"

#define USED_ALIGN 64 /* a cache line away from what the driver writes */

/* Where the used ring starts behind descriptors and avail ring (with its used_event). */
static size_t used_offset(uint16_t num)
{
	size_t end = num * sizeof(struct vring_desc) + sizeof(struct vring_avail) +
		     (num + 1u) * sizeof(__virtio16);

	return (end + USED_ALIGN - 1) / USED_ALIGN * USED_ALIGN;
}

size_t vq_driver_size(uint16_t num)
{
	return used_offset(num) + sizeof(struct vring_used) + num * sizeof(struct vring_used_elem) +
	       sizeof(__virtio16);
}

static bool has_event_idx(const struct vq_driver *driver)
{
	return driver->features & (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
}

static uint16_t used_idx_acquire(const struct vq_driver *driver)
{
	return le16toh(__atomic_load_n(&driver->used->idx, __ATOMIC_ACQUIRE)); /* [B] */
}

int vq_driver_init(
	struct vq_driver *driver, uint16_t num, uint64_t gpa, void *area, uint64_t features)
{
	if (!num || num > 32768 || (num & (num - 1)) || (uintptr_t)area % VRING_DESC_ALIGN_SIZE)
		return -EINVAL;
	memset(area, 0, vq_driver_size(num));
	*driver = (struct vq_driver){
		.num = num,
		.features = features,
		.gpa = gpa,
		.desc = area,
		.avail = (void *)((uint8_t *)area + num * sizeof(struct vring_desc)),
		.used = (void *)((uint8_t *)area + used_offset(num)),
		.n_free = num,
		.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.cookies = calloc(num, sizeof(driver->cookies[0])),
		.next = calloc(num, sizeof(driver->next[0])),
		.count = calloc(num, sizeof(driver->count[0])),
	};
	if (driver->kick < 0 || driver->call < 0 || driver->err < 0 || !driver->cookies ||
		!driver->next || !driver->count) {
		vq_driver_fini(driver);
		return -ENOMEM;
	}
	for (uint16_t i = 0; i < num; i++)
		driver->next[i] = (uint16_t)(i + 1);
	return 0;
}

void vq_driver_fini(struct vq_driver *driver)
{
	fd_close(&driver->kick);
	fd_close(&driver->call);
	fd_close(&driver->err);
	free(driver->cookies);
	free(driver->next);
	free(driver->count);
	driver->cookies = NULL;
	driver->next = driver->count = NULL;
}

static struct vring_desc make_desc(const struct vq_buf *buf, bool last, uint16_t next)
{
	uint16_t flags = (uint16_t)((buf->writable ? VRING_DESC_F_WRITE : 0) |
				    (last ? 0 : VRING_DESC_F_NEXT));

	return (struct vring_desc){
		.addr = htole64(buf->gpa),
		.len = htole32(buf->len),
		.flags = htole16(flags),
		.next = htole16(last ? 0 : next),
	};
}

void vq_driver_publish(struct vq_driver *driver, uint16_t head)
{
	__virtio16 *at = &driver->avail->ring[driver->avail_idx & (driver->num - 1)];

	__atomic_store_n(at, htole16(head), __ATOMIC_RELAXED);
	driver->avail_idx++;
	__atomic_store_n(
		&driver->avail->idx, htole16(driver->avail_idx), __ATOMIC_RELEASE); /* [A] */
}

/* Takes n descriptors off the free list for a chain; returns its head. */
static uint16_t chain_take(struct vq_driver *driver, uint16_t n, void *cookie)
{
	uint16_t head = driver->free_head;

	for (uint16_t i = 0; i < n; i++)
		driver->free_head = driver->next[driver->free_head];
	driver->n_free = (uint16_t)(driver->n_free - n);
	driver->cookies[head] = cookie;
	driver->count[head] = n;
	return head;
}

static void chain_release(struct vq_driver *driver, uint16_t head)
{
	uint16_t last = head;

	for (uint16_t i = 1; i < driver->count[head]; i++)
		last = driver->next[last];
	driver->next[last] = driver->free_head;
	driver->free_head = head;
	driver->n_free = (uint16_t)(driver->n_free + driver->count[head]);
	driver->count[head] = 0;
	driver->cookies[head] = NULL;
}

int vq_driver_add(struct vq_driver *driver, const struct vq_buf *bufs, size_t n, void *cookie)
{
	uint16_t head, at;

	if (!n)
		return -EINVAL;
	if (n > driver->n_free)
		return -ENOSPC;
	head = at = chain_take(driver, (uint16_t)n, cookie);
	for (size_t i = 0; i < n; i++) {
		driver->desc[at] = make_desc(&bufs[i], i + 1 == n, driver->next[at]);
		at = driver->next[at];
	}
	vq_driver_publish(driver, head);
	return 0;
}

int vq_driver_add_indirect(struct vq_driver *driver, const struct vq_buf *bufs, size_t n,
	void *table, uint64_t table_gpa, void *cookie)
{
	uint8_t *entries = table;
	uint16_t head;

	if (!n || n > UINT16_MAX)
		return -EINVAL;
	if (!driver->n_free)
		return -ENOSPC;
	for (size_t i = 0; i < n; i++) {
		struct vring_desc desc = make_desc(&bufs[i], i + 1 == n, (uint16_t)(i + 1));

		/* By copy: an indirect table need not be aligned. */
		memcpy(entries + i * sizeof(desc), &desc, sizeof(desc));
	}
	head = chain_take(driver, 1, cookie);
	driver->desc[head] = (struct vring_desc){
		.addr = htole64(table_gpa),
		.len = htole32((uint32_t)(n * sizeof(struct vring_desc))),
		.flags = htole16(VRING_DESC_F_INDIRECT),
	};
	vq_driver_publish(driver, head);
	return 0;
}

bool vq_driver_kick(struct vq_driver *driver)
{
	uint16_t new = driver->avail_idx, old = driver->kicked_idx;
	const __virtio16 *event = (const void *)&driver->used->ring[driver->num];
	uint64_t one = 1;
	bool wanted;

	driver->kicked_idx = new;
	/* Stored again, now in one order with the load that follows. */
	__atomic_store_n(&driver->avail->idx, htole16(new), __ATOMIC_SEQ_CST);
	if (has_event_idx(driver))
		wanted = vring_need_event(
			le16toh(__atomic_load_n(event, __ATOMIC_SEQ_CST)), new, old);
	else
		wanted = !(le16toh(__atomic_load_n(&driver->used->flags, __ATOMIC_SEQ_CST)) &
			   VRING_USED_F_NO_NOTIFY);
	return wanted && write(driver->kick, &one, sizeof(one)) == sizeof(one);
}

bool vq_driver_take(struct vq_driver *driver, void **cookie, uint32_t *len)
{
	const struct vring_used_elem *at;
	uint32_t id;

	*cookie = NULL;
	if (used_idx_acquire(driver) == driver->last_used)
		return false;
	at = &driver->used->ring[driver->last_used & (driver->num - 1)];
	id = le32toh(__atomic_load_n(&at->id, __ATOMIC_RELAXED));
	*len = le32toh(__atomic_load_n(&at->len, __ATOMIC_RELAXED));
	driver->last_used++;
	if (id < driver->num && driver->count[id]) {
		*cookie = driver->cookies[id];
		chain_release(driver, (uint16_t)id);
	}
	return true;
}

bool vq_driver_ready(const struct vq_driver *driver)
{
	return used_idx_acquire(driver) != driver->last_used;
}

bool vq_driver_arm(struct vq_driver *driver)
{
	__virtio16 *event = &driver->avail->ring[driver->num];

	if (has_event_idx(driver))
		__atomic_store_n(event, htole16(driver->last_used), __ATOMIC_SEQ_CST);
	return le16toh(__atomic_load_n(&driver->used->idx, __ATOMIC_SEQ_CST)) != driver->last_used;
}

int vq_driver_wait(struct vq_driver *driver, int timeout_ms)
{
	int64_t deadline = vu_now_ms() + timeout_ms;
	struct pollfd fds[] = {
		{.fd = driver->call, .events = POLLIN},
		{.fd = driver->err, .events = POLLIN},
	};

	while (!vq_driver_arm(driver)) {
		int64_t left = deadline - vu_now_ms();
		uint64_t count;
		int n;

		n = poll(fds, ARRAY_SIZE(fds), left > 0 ? (int)left : 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return vq_driver_arm(driver) ? 0 : -ETIMEDOUT;
		/* Empty it before arming again, so that no interrupt is lost. */
		if (n > 0 && (fds[0].revents & POLLIN))
			(void)!read(driver->call, &count, sizeof(count));
		else if (n > 0 && (fds[1].revents & POLLIN))
			return -EPIPE;
	}
	return 0;
}
