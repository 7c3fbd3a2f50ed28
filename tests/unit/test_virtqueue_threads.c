/* SPDX-License-Identifier: BSD-3-Clause */
/* Both sides of a ring on threads of their own: nothing is lost, and a guest that scribbles harms
 * itself. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "tests/unit/ring.h"

/* ---- threads ---- */

struct device_thread {
	struct bench *b;
	pthread_t thread;
	atomic_bool quit;
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* What a queue loop does: pop, push, one notification a batch, sleep on the kick. */
static void *device_run(void *arg)
{
	struct device_thread *device = arg;
	struct bench *b = device->b;
	struct vq_elem *elem;
	uint64_t count;

	while (!atomic_load(&device->quit)) {
		vq_suppress_kicks(b->vq);
		while (vq_pop(b->vq, &elem) == 1) {
			memcpy(elem->rep[0].iov_base, elem->req[0].iov_base, 8);
			vq_push(b->vq, elem, 8);
		}
		if (vq_should_notify(b->vq))
			signal_fd(b->driver.call);
		if (!vq_wait_kick(b->vq)) {
			struct pollfd pfd = {.fd = b->driver.kick, .events = POLLIN};

			(void)poll(&pfd, 1, 10000);
			(void)!read(b->driver.kick, &count, sizeof(count));
		}
	}
	return NULL;
}

#define THREAD_CHAINS 20000

/* A lost kick or interrupt would show as a timeout; a bad order as wrong bytes (and in TSan). */
static void drive(uint64_t features)
{
	uint64_t sent = 0, received = 0;
	struct device_thread device = {0};
	struct bench b;

	bench_init(&b, 16, features);
	device.b = &b;
	assert_int_equal(pthread_create(&device.thread, NULL, device_run, &device), 0);
	while (received < THREAD_CHAINS) {
		uint32_t len;
		void *cookie;

		while (sent < THREAD_CHAINS && sent - received < 1 + sent % 8) {
			uint64_t slot = DATA_GPA + sent % 8 * 64;
			struct vq_buf bufs[] = {{slot, 8, false}, {slot + 32, 8, true}};

			memcpy(guest_at(&b.guest, slot), &sent, sizeof(sent));
			if (vq_driver_add(&b.driver, bufs, 2, guest_at(&b.guest, slot)) < 0)
				break;
			sent++;
		}
		(void)vq_driver_kick(&b.driver);
		assert_int_equal(vq_driver_wait(&b.driver, 5000), 0);
		while (vq_driver_take(&b.driver, &cookie, &len)) {
			assert_int_equal(len, 8);
			assert_memory_equal(cookie, (uint8_t *)cookie + 32, 8);
			received++;
		}
	}
	atomic_store(&device.quit, true);
	signal_fd(b.driver.kick);
	pthread_join(device.thread, NULL);
	bench_fini(&b);
}

static void test_threads(void **state)
{
	drive(0);
	drive(F_EVENT);
}

struct scribbler {
	struct bench *b;
	atomic_bool quit;
};

/* A guest that rewrites rings and tables while they are read. */
static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint8_t *ring = guest_at(&s->b->guest, RING_GPA);
	uint8_t *table = guest_at(&s->b->guest, TABLE_GPA);
	size_t ring_size = vq_driver_size(16);
	uint64_t seed = 4242;

	while (!atomic_load_explicit(&s->quit, memory_order_relaxed)) {
		uint64_t r = test_random(&seed);
		uint8_t *at = r % 2 ? ring + (r >> 8) % ring_size : table + (r >> 8) % 1024;

		__atomic_store_n(
			at, (uint8_t)(r >> 40) & ((r >> 60) ? 0x13 : 0xff), __ATOMIC_RELAXED);
	}
	return NULL;
}

static void check_inside(const struct bench *b, const struct vq_elem *elem)
{
	size_t sum = 0;

	for (size_t i = 0; i < elem->n_req + elem->n_rep; i++) {
		const struct iovec *iov = &elem->req[i];
		const uint8_t *at = iov->iov_base;
		bool inside = false;

		for (size_t k = 0; k < elem->n_regions; k++) {
			const struct vu_region *region = elem->regions[k];

			inside |= at >= region->host && range_within((uint64_t)(at - region->host),
								iov->iov_len, region->desc.size);
		}
		assert_true(inside);
		sum += iov->iov_len;
	}
	assert_int_equal(sum, elem->req_len + elem->rep_len);
	assert_true(sum <= UINT32_MAX);
}

static void store_desc(struct vring_desc *at, struct vring_desc desc)
{
	uint64_t words[2];

	memcpy(words, &desc, sizeof(desc));
	for (int i = 0; i < 2; i++)
		__atomic_store_n((uint64_t *)(void *)at + i, words[i], __ATOMIC_RELAXED);
}

/* Makes the ring whole again: even heads lead to an odd one that stands for an indirect table. */
static void mend(struct bench *b)
{
	struct vring_desc *table = guest_at(&b->guest, TABLE_GPA);

	for (unsigned int i = 0; i < 16; i++) {
		store_desc(&b->driver.desc[i],
			(struct vring_desc){htole64(i % 2 ? TABLE_GPA : DATA_GPA), htole32(64),
				htole16(i % 2 ? VRING_DESC_F_INDIRECT : VRING_DESC_F_NEXT),
				htole16((uint16_t)((i + 1) % 16))});
		__atomic_store_n(&b->driver.avail->ring[i], htole16((uint16_t)i), __ATOMIC_RELAXED);
	}
	for (unsigned int i = 0; i < 4; i++)
		store_desc(&table[i], (struct vring_desc){htole64(DATA_GPA + i), htole32(1),
					      htole16(i < 3 ? VRING_DESC_F_NEXT : 0),
					      htole16((uint16_t)(i + 1))});
}

/* Goes on until enough chains came through and enough were refused. */
static void test_ring_changes_while_read(void **state)
{
	unsigned long popped = 0, broken = 0, rounds = 0;
	struct scribbler scribbler = {0};
	time_t deadline = time(NULL) + 60;
	pthread_t thread;
	struct bench b;

	bench_init(&b, 16, F_INDIRECT | F_EVENT);
	scribbler.b = &b;
	assert_int_equal(pthread_create(&thread, NULL, scribble, &scribbler), 0);
	while ((popped < 10000 || broken < 1000) && time(NULL) < deadline) {
		struct vq_elem *elem;
		int r;

		if (rounds++ % 4 == 0)
			mend(&b);
		r = vq_pop(b.vq, &elem);
		if (r == 1) {
			popped++;
			check_inside(&b, elem);
			vq_push(b.vq, elem, 1);
		} else {
			uint16_t idx = __atomic_load_n(&b.driver.avail->idx, __ATOMIC_RELAXED);

			broken += r == -EPROTO;
			(void)vq_stop(b.vq);
			restart(&b, (uint16_t)(le16toh(idx) - 8));
		}
		(void)vq_should_notify(b.vq);
		(void)vq_wait_kick(b.vq);
	}
	atomic_store(&scribbler.quit, true);
	pthread_join(thread, NULL);
	bench_fini(&b);
	assert_true(popped >= 10000);
	assert_true(broken >= 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ring_changes_while_read),
	};

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
