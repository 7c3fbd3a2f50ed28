/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a ring alone: layout, descriptors, free list, kicks, waiting, odd devices. */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "tests/unit/guest.h"
#include "vhostuser/driver.h"

#define F_EVENT (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define NUM     8u
#define GPA     UINT64_C(0x100000)

static const struct vq_buf three[] = {{0x1000, 10, false}, {0x2000, 20, false}, {0x3000, 30, true}};

struct ring {
	struct vq_driver driver;
	void *area;
};

static void ring_init(struct ring *ring, uint64_t features)
{
	size_t size = (vq_driver_size(NUM) + 63) / 64 * 64;

	ring->area = aligned_alloc(64, size);
	assert_non_null(ring->area);
	memset(ring->area, 0xff, size);
	assert_int_equal(vq_driver_init(&ring->driver, NUM, GPA, ring->area, features), 0);
}

static void ring_fini(struct ring *ring)
{
	vq_driver_fini(&ring->driver);
	free(ring->area);
}

/* What a device does to give a chain back. */
static void use(struct ring *ring, uint32_t id, uint32_t len)
{
	struct vring_used *used = ring->driver.used;
	uint16_t idx = le16toh(__atomic_load_n(&used->idx, __ATOMIC_RELAXED));

	used->ring[idx % NUM].id = htole32(id);
	used->ring[idx % NUM].len = htole32(len);
	__atomic_store_n(&used->idx, htole16((uint16_t)(idx + 1)), __ATOMIC_SEQ_CST);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool drain(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void test_layout(void **state)
{
	for (uint32_t num = 1; num <= 32768; num *= 2) {
		size_t size = vq_driver_size((uint16_t)num);
		size_t padded = (size + 63) / 64 * 64;
		uint8_t *area = aligned_alloc(64, padded);
		struct vq_driver d;

		assert_int_equal(vq_driver_init(&d, (uint16_t)num, GPA, area, 0), 0);
		assert_ptr_equal(d.desc, area);
		assert_true((uint8_t *)d.avail >= (uint8_t *)&d.desc[num]);
		assert_true((uint8_t *)d.used >= (uint8_t *)&d.avail->ring[num + 1]);
		assert_int_equal((uintptr_t)d.used % VRING_USED_ALIGN_SIZE, 0);
		assert_ptr_equal((uint8_t *)&d.used->ring[num] + 2, area + size);
		assert_int_equal(d.n_free, num);
		vq_driver_fini(&d);
		free(area);
	}
}

static void test_init_refuses(void **state)
{
	static const uint16_t sizes[] = {0, 3, 12, 32769, 65535};
	_Alignas(16) uint8_t area[4096];
	struct vq_driver d;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(vq_driver_init(&d, sizes[i], GPA, area, 0), -EINVAL);
	assert_int_equal(vq_driver_init(&d, 8, GPA, area + 8, 0), -EINVAL);
}

static void test_direct_chain(void **state)
{
	struct ring ring;
	struct vring_desc *d;
	uint16_t at;

	ring_init(&ring, 0);
	assert_int_equal(vq_driver_add(&ring.driver, three, 0, NULL), -EINVAL);
	assert_int_equal(vq_driver_add(&ring.driver, three, 3, NULL), 0);
	assert_int_equal(le16toh(ring.driver.avail->idx), 1);
	at = le16toh(ring.driver.avail->ring[0]);
	for (int i = 0; i < 3; i++) {
		assert_true(at < NUM);
		d = &ring.driver.desc[at];
		assert_int_equal(le64toh(d->addr), three[i].gpa);
		assert_int_equal(le32toh(d->len), three[i].len);
		assert_int_equal(le16toh(d->flags), (three[i].writable ? VRING_DESC_F_WRITE : 0) |
							    (i < 2 ? VRING_DESC_F_NEXT : 0));
		at = le16toh(d->next);
	}
	assert_int_equal(ring.driver.n_free, NUM - 3);
	ring_fini(&ring);
}

static void test_indirect_chain(void **state)
{
	uint8_t bytes[3 * 16 + 1];
	struct vring_desc table[3];
	struct ring ring;

	ring_init(&ring, 0);
	assert_int_equal(vq_driver_add_indirect(&ring.driver, three, 0, bytes, 0, NULL), -EINVAL);
	assert_int_equal(
		vq_driver_add_indirect(&ring.driver, three, 3, bytes + 1, 0x9001, NULL), 0);
	assert_int_equal(le64toh(ring.driver.desc[0].addr), 0x9001);
	assert_int_equal(le32toh(ring.driver.desc[0].len), 48);
	assert_int_equal(le16toh(ring.driver.desc[0].flags), VRING_DESC_F_INDIRECT);
	memcpy(table, bytes + 1, sizeof(table));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(le64toh(table[i].addr), three[i].gpa);
		assert_int_equal(le16toh(table[i].next), i < 2 ? i + 1 : 0);
	}
	assert_int_equal(ring.driver.n_free, NUM - 1);
	ring_fini(&ring);
}

/* Random chains come and go in any order: no descriptor is lost, none is in two chains. */
static void test_free_list(void **state)
{
	struct vq_buf bufs[NUM];
	uint16_t heads[NUM];
	size_t n_heads = 0;
	uint64_t seed = 99;
	struct ring ring;

	memset(bufs, 0, sizeof(bufs));
	ring_init(&ring, 0);
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + test_random(&seed) % NUM;
		bool taken[NUM] = {false};
		size_t used = 0;

		if (n_heads && test_random(&seed) % 2) {
			size_t k = test_random(&seed) % n_heads;
			uint32_t len;
			void *cookie;

			use(&ring, heads[k], 7);
			assert_true(vq_driver_take(&ring.driver, &cookie, &len));
			assert_ptr_equal(cookie, &heads[0] + heads[k]);
			heads[k] = heads[--n_heads];
		} else if (n > ring.driver.n_free) {
			assert_int_equal(vq_driver_add(&ring.driver, bufs, n, NULL), -ENOSPC);
		} else {
			uint16_t head = ring.driver.free_head;

			assert_int_equal(vq_driver_add(&ring.driver, bufs, n, &heads[0] + head), 0);
			heads[n_heads++] = head;
		}
		for (size_t i = 0; i < n_heads; i++) {
			uint16_t at = heads[i];

			for (;; at = le16toh(ring.driver.desc[at].next)) {
				assert_true(at < NUM && !taken[at]);
				taken[at] = true;
				used++;
				if (!(le16toh(ring.driver.desc[at].flags) & VRING_DESC_F_NEXT))
					break;
			}
		}
		assert_int_equal(used + ring.driver.n_free, NUM);
	}
	ring_fini(&ring);
}

static void test_odd_device(void **state)
{
	static const uint32_t ids[] = {1, 2, 5, NUM, 65535, UINT32_MAX};
	bool visited[NUM] = {false};
	struct vq_buf bufs[NUM];
	struct ring ring;
	uint32_t len;
	void *cookie;
	int mine;

	ring_init(&ring, 0);
	assert_int_equal(vq_driver_add(&ring.driver, three, 3, &mine), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		use(&ring, ids[i], 1); /* 1 and 2 are in the chain, but not its head */
		assert_true(vq_driver_take(&ring.driver, &cookie, &len));
		assert_null(cookie);
	}
	assert_int_equal(ring.driver.n_free, NUM - 3);
	use(&ring, 0, 9);
	use(&ring, 0, 9); /* twice */
	assert_true(vq_driver_take(&ring.driver, &cookie, &len));
	assert_ptr_equal(cookie, &mine);
	assert_int_equal(len, 9);
	assert_true(vq_driver_take(&ring.driver, &cookie, &len));
	assert_null(cookie);
	assert_false(vq_driver_take(&ring.driver, &cookie, &len));
	assert_int_equal(ring.driver.n_free, NUM);
	/* The free list is whole: one chain of all descriptors visits each once. */
	memset(bufs, 0, sizeof(bufs));
	assert_int_equal(vq_driver_add(&ring.driver, bufs, NUM, &mine), 0);
	for (uint16_t at = le16toh(ring.driver.avail->ring[1]), n = 0; n < NUM;
		n++, at = le16toh(ring.driver.desc[at].next)) {
		assert_true(at < NUM && !visited[at]);
		visited[at] = true;
	}
	ring_fini(&ring);
}

static void test_kick(void **state)
{
	struct ring ring;

	ring_init(&ring, 0);
	assert_true(vq_driver_kick(&ring.driver));
	assert_true(drain(ring.driver.kick));
	ring.driver.used->flags = htole16(VRING_USED_F_NO_NOTIFY);
	assert_false(vq_driver_kick(&ring.driver));
	assert_false(drain(ring.driver.kick));
	ring_fini(&ring);

	ring_init(&ring, F_EVENT);
	assert_false(vq_driver_kick(&ring.driver)); /* nothing new */
	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t *event = (uint16_t *)(void *)&ring.driver.used->ring[NUM];
		uint16_t want = (uint16_t)(i - 1 + i % 4);

		*event = htole16(want);
		vq_driver_publish(&ring.driver, 0);
		assert_int_equal(vq_driver_kick(&ring.driver), want == (uint16_t)i);
		assert_int_equal(drain(ring.driver.kick), want == (uint16_t)i);
	}
	ring_fini(&ring);
}

static void test_wait(void **state)
{
	for (int event = 0; event < 2; event++) {
		struct ring ring;
		uint32_t len;
		void *cookie;

		ring_init(&ring, event ? F_EVENT : 0);
		assert_int_equal(vq_driver_wait(&ring.driver, 0), -ETIMEDOUT);
		assert_int_equal(vq_driver_wait(&ring.driver, 20), -ETIMEDOUT);
		signal_fd(ring.driver.call); /* an interrupt for nothing */
		assert_int_equal(vq_driver_wait(&ring.driver, 20), -ETIMEDOUT);
		assert_false(drain(ring.driver.call));
		use(&ring, 0, 0); /* there already: no interrupt is needed */
		assert_int_equal(vq_driver_wait(&ring.driver, 0), 0);
		assert_true(vq_driver_take(&ring.driver, &cookie, &len));
		signal_fd(ring.driver.err);
		assert_int_equal(vq_driver_wait(&ring.driver, 1000), -EPIPE);
		if (event)
			assert_int_equal(le16toh(ring.driver.avail->ring[NUM]), 1);
		ring_fini(&ring);
	}
}

/* Looking asks for nothing, so whoever looks is not interrupted. */
static void test_ready(void **state)
{
	struct ring ring;
	uint32_t len;
	void *cookie;

	ring_init(&ring, F_EVENT);
	ring.driver.avail->ring[NUM] = htole16(77);
	assert_false(vq_driver_ready(&ring.driver));
	use(&ring, 0, 0);
	assert_true(vq_driver_ready(&ring.driver));
	assert_true(vq_driver_take(&ring.driver, &cookie, &len));
	assert_false(vq_driver_ready(&ring.driver));
	assert_int_equal(le16toh(ring.driver.avail->ring[NUM]), 77);
	ring_fini(&ring);
}

static void *answer_later(void *arg)
{
	struct ring *ring = arg;

	usleep(20000);
	use(ring, 0, 1);
	signal_fd(ring->driver.call);
	return NULL;
}

static void test_wait_wakes(void **state)
{
	struct ring ring;
	pthread_t thread;

	ring_init(&ring, F_EVENT);
	assert_int_equal(pthread_create(&thread, NULL, answer_later, &ring), 0);
	assert_int_equal(vq_driver_wait(&ring.driver, 5000), 0);
	pthread_join(thread, NULL);
	ring_fini(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_direct_chain),
		cmocka_unit_test(test_indirect_chain),
		cmocka_unit_test(test_free_list),
		cmocka_unit_test(test_odd_device),
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_wait_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
