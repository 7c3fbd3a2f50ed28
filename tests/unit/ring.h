/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring in a guest's memory with both of its sides, for the tests of the virtqueue. */
#pragma once

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>

#include "tests/unit/guest.h"
#include "vhostuser/driver.h"
#include "vhostuser/log.h"
#include "vhostuser/virtqueue.h"

#define F_INDIRECT (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT    (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Guest memory: ring, then data; a second region right behind, a third one alone. */
#define RING_GPA   0x10000u
#define DATA_GPA   0x20000u
#define TABLE_GPA  0x30000u
#define FIRST_SIZE 0x40000u
#define NEXT_GPA   (RING_GPA + FIRST_SIZE)
#define NEXT_SIZE  0x10000u
#define FAR_GPA    0x1000000u
#define FAR_SIZE   0x10000u

struct bench {
	struct guest guest;
	struct vq_driver driver;
	struct vq_config config;
	struct vq *vq;
};

static inline uint64_t user_of(struct bench *b, const void *at)
{
	return GUEST_USER + RING_GPA +
	       (uint64_t)((const uint8_t *)at - (uint8_t *)guest_at(&b->guest, RING_GPA));
}

static inline void bench_init(struct bench *b, uint16_t num, uint64_t features)
{
	guest_init(&b->guest);
	guest_add(&b->guest, RING_GPA, FIRST_SIZE);
	guest_add(&b->guest, NEXT_GPA, NEXT_SIZE);
	guest_add(&b->guest, FAR_GPA, FAR_SIZE);
	assert_int_equal(
		vq_driver_init(&b->driver, num, RING_GPA, guest_at(&b->guest, RING_GPA), features),
		0);
	b->config = (struct vq_config){
		.num = num,
		.desc_addr = user_of(b, b->driver.desc),
		.avail_addr = user_of(b, b->driver.avail),
		.used_addr = user_of(b, b->driver.used),
		.features = features,
	};
	assert_int_equal(vq_new(3, sizeof(uint64_t), &b->vq), 0);
	assert_int_equal(vq_start(b->vq, &b->config, b->guest.memory), 0);
}

static inline void bench_fini(struct bench *b)
{
	(void)vq_stop(b->vq);
	vq_free(b->vq);
	vq_driver_fini(&b->driver);
	guest_fini(&b->guest);
}

/* As a front-end that starts the ring again from `base`. */
static inline void restart(struct bench *b, uint16_t base)
{
	b->config.base = base;
	assert_int_equal(vq_start(b->vq, &b->config, b->guest.memory), 0);
}

static inline void add_one(struct bench *b, void *cookie)
{
	const struct vq_buf bufs[] = {{DATA_GPA, 40, false}, {DATA_GPA + 0x1000, 80, true}};

	assert_int_equal(vq_driver_add(&b->driver, bufs, ARRAY_SIZE(bufs), cookie), 0);
}

static inline struct vq_elem *pop_one(struct bench *b)
{
	struct vq_elem *elem = NULL;

	assert_int_equal(vq_pop(b->vq, &elem), 1);
	assert_non_null(elem);
	return elem;
}

static inline void expect_taken(struct bench *b, const void *cookie, uint32_t len)
{
	uint32_t got;
	void *who;

	assert_true(vq_driver_take(&b->driver, &who, &got));
	assert_ptr_equal(who, cookie);
	assert_int_equal(got, len);
}

static inline void expect_none_taken(struct bench *b)
{
	uint32_t len;
	void *who;

	assert_false(vq_driver_take(&b->driver, &who, &len));
}

/* A table of n descriptors of one byte each, one after the other. */
static inline void fill_table(struct vring_desc *table, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		table[i] = (struct vring_desc){.addr = htole64(DATA_GPA + i),
			.len = htole32(1),
			.flags = htole16(i + 1 < n ? VRING_DESC_F_NEXT : 0),
			.next = htole16((uint16_t)(i + 1))};
}
