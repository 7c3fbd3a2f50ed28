/* SPDX-License-Identifier: BSD-3-Clause */
/* Stop and restart, memory that changes under a running ring, notifications. */
#include "tests/unit/ring.h"

/* ---- stop, restart, reset ---- */

static void test_completions_are_kept(void **state)
{
	struct vq_elem *elems[3];
	struct bench b;
	int cookies[4];

	bench_init(&b, 8, F_EVENT);
	for (int i = 0; i < 3; i++)
		add_one(&b, &cookies[i]);
	for (int i = 0; i < 3; i++)
		elems[i] = pop_one(&b);
	add_one(&b, &cookies[3]);
	assert_int_equal(vq_stop(b.vq), 3);
	assert_int_equal(vq_pop(b.vq, elems), 0); /* not while stopped */
	vq_push(b.vq, elems[1], 11);
	vq_push(b.vq, elems[0], 10);
	assert_int_equal(vq_inflight(b.vq), 1);
	expect_none_taken(&b);
	restart(&b, 3);
	assert_true(vq_should_notify(b.vq)); /* nobody else will tell the driver */
	expect_taken(&b, &cookies[1], 11);
	expect_taken(&b, &cookies[0], 10);
	vq_push(b.vq, elems[2], 12); /* of the same ring, hence pushed at once */
	expect_taken(&b, &cookies[2], 12);
	vq_push(b.vq, pop_one(&b), 13);
	expect_taken(&b, &cookies[3], 13);
	bench_fini(&b);
}

static void test_unsaid_notification_survives_a_stop(void **state)
{
	struct bench b;

	bench_init(&b, 8, 0);
	add_one(&b, NULL);
	vq_push(b.vq, pop_one(&b), 0);
	restart(&b, vq_stop(b.vq));
	assert_true(vq_should_notify(b.vq));
	assert_false(vq_should_notify(b.vq));
	bench_fini(&b);
}

/* Ways in which the next ring is another one: nothing of the old one may reach it. */
static void test_new_incarnation_drops(void **state)
{
	for (int way = 0; way < 5; way++) {
		struct vq_elem *kept, *late;
		uint32_t old;
		uint16_t base;
		struct bench b;

		bench_init(&b, 8, 0);
		add_one(&b, NULL);
		add_one(&b, NULL);
		kept = pop_one(&b);
		late = pop_one(&b);
		old = late->incarnation;
		base = vq_stop(b.vq);
		vq_push(b.vq, kept, 1);
		switch (way) {
		case 0: /* another base: the guest rebooted */
			base = 0;
			break;
		case 1: /* another used index */
			b.driver.used->idx = htole16(1);
			b.driver.last_used = 1;
			break;
		case 2:
			vq_reset(b.vq);
			break;
		case 3: /* another size */
			b.config.num = 4;
			break;
		case 4: /* broken before the stop: same indices, but its chains are lost */
			restart(&b, base);
			expect_taken(&b, NULL, 1);
			b.driver.avail->idx = htole16(100);
			assert_int_equal(vq_pop(b.vq, &kept), -EPROTO);
			(void)vq_stop(b.vq);
			b.driver.avail->idx = htole16(base);
			break;
		}
		restart(&b, base);
		vq_push(b.vq, late, 2);
		expect_none_taken(&b);
		assert_int_equal(vq_inflight(b.vq), 0);
		assert_false(vq_should_notify(b.vq));
		b.driver.avail_idx = base;
		vq_driver_publish(&b.driver, 0);
		kept = pop_one(&b);
		assert_int_not_equal(kept->incarnation, old);
		vq_drop(b.vq, kept);
		bench_fini(&b);
	}
}

/* The driver keeps the descriptors of a dropped chain, but the ring goes on. */
static void test_drop(void **state)
{
	struct bench b;

	bench_init(&b, 8, 0);
	for (int i = 0; i < 4; i++) {
		add_one(&b, NULL);
		vq_drop(b.vq, pop_one(&b));
	}
	expect_none_taken(&b);
	assert_int_equal(vq_inflight(b.vq), 0);
	assert_false(vq_should_notify(b.vq));
	bench_fini(&b);
}

/* ---- memory that changes ---- */

static void test_region_outlives_its_removal(void **state)
{
	const struct vq_buf buf = {FAR_GPA, 64, true};
	struct vq_elem *elem;
	struct bench b;
	void *page;
	int cookie;

	bench_init(&b, 8, 0);
	assert_int_equal(vq_driver_add(&b.driver, &buf, 1, &cookie), 0);
	elem = pop_one(&b);
	page = elem->rep[0].iov_base;
	guest_remove(&b.guest, FAR_GPA, FAR_SIZE);
	assert_int_equal(vq_set_memory(b.vq, b.guest.memory), 0);
	assert_true(is_mapped(page));
	memset(page, 'x', 64);
	vq_push(b.vq, elem, 64);
	assert_false(is_mapped(page));
	expect_taken(&b, &cookie, 64);
	assert_int_equal(*(char *)guest_at(&b.guest, FAR_GPA + 63), 'x');

	/* Gone for chains that come now, although it was the last one translated. */
	assert_int_equal(vq_driver_add(&b.driver, &buf, 1, NULL), 0);
	assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
	bench_fini(&b);
}

static void test_stopped_ring_holds_no_memory(void **state)
{
	struct vu_region *region;
	struct bench b;
	void *page;

	bench_init(&b, 8, 0);
	assert_int_equal(
		vu_memory_translate_user(b.guest.memory, GUEST_USER + RING_GPA, 1, &page, &region),
		0);
	(void)vq_stop(b.vq);
	guest_remove(&b.guest, RING_GPA, FIRST_SIZE);
	assert_false(is_mapped(page));
	assert_int_equal(vq_set_memory(b.vq, b.guest.memory), 0); /* of no concern now */
	bench_fini(&b);
}

/* A front-end resizes the region below the rings: it goes and comes back. */
static void test_rings_leave_and_return(void **state)
{
	struct vu_memory *whole;
	struct vq_elem *elem, *other;
	struct bench b;
	int cookies[2];

	bench_init(&b, 8, 0);
	add_one(&b, &cookies[0]);
	add_one(&b, &cookies[1]);
	elem = pop_one(&b);
	whole = vu_memory_get(b.guest.memory);
	guest_remove(&b.guest, RING_GPA, FIRST_SIZE);
	assert_int_equal(vq_set_memory(b.vq, b.guest.memory), -EFAULT);
	assert_null(vq_broken(b.vq));
	assert_int_equal(vq_pop(b.vq, &other), 0);
	assert_false(vq_wait_kick(b.vq));
	assert_false(vq_pending(b.vq));
	vq_suppress_kicks(b.vq);
	vq_push(b.vq, elem, 5);
	assert_false(vq_should_notify(b.vq));
	expect_none_taken(&b);
	assert_int_equal(vq_set_memory(b.vq, whole), 0);
	expect_taken(&b, &cookies[0], 5);
	assert_true(vq_should_notify(b.vq));
	vq_push(b.vq, pop_one(&b), 6);
	expect_taken(&b, &cookies[1], 6);
	vu_memory_put(whole);
	bench_fini(&b);
}

/* ---- notifications ---- */

static void test_no_interrupt_flag(void **state)
{
	struct bench b;

	bench_init(&b, 8, 0);
	assert_false(vq_should_notify(b.vq)); /* nothing was pushed */
	for (int i = 0; i < 4; i++) {
		add_one(&b, NULL);
		vq_push(b.vq, pop_one(&b), 0);
		b.driver.avail->flags = htole16(i % 2 ? VRING_AVAIL_F_NO_INTERRUPT : 0);
		assert_int_equal(vq_should_notify(b.vq), i % 2 == 0);
		assert_false(vq_should_notify(b.vq));
	}
	bench_fini(&b);
}

/* Notified exactly when the used index passes the driver's used_event, over the 2^16 wrap too. */
static void test_used_event(void **state)
{
	uint16_t *event;
	uint64_t seed = 88172645463325252u;
	uint32_t len;
	void *cookie;
	struct bench b;

	bench_init(&b, 16, F_EVENT);
	event = &b.driver.avail->ring[16];
	add_one(&b, NULL);
	*event = htole16(1000);
	vq_push(b.vq, pop_one(&b), 0);
	assert_true(vq_should_notify(b.vq)); /* the first one after a start, whatever it says */
	for (uint32_t used = 1; used < 70000;) {
		uint32_t batch = 1 + (uint32_t)(test_random(&seed) % 4);
		uint16_t want = (uint16_t)(used - 3 + test_random(&seed) % 10);
		bool expected = false;

		*event = htole16(want);
		while (vq_driver_take(&b.driver, &cookie, &len))
			;
		for (uint32_t i = 0; i < batch; i++, used++) {
			add_one(&b, NULL);
			vq_push(b.vq, pop_one(&b), 0);
			expected |= (uint16_t)used == want;
		}
		if (vq_should_notify(b.vq) != expected)
			fail_msg("used %u, batch %u, event %u", used, batch, want);
	}
	bench_fini(&b);
}

static bool was_kicked(struct bench *b)
{
	uint64_t count;

	return read(b->driver.kick, &count, sizeof(count)) == sizeof(count);
}

static void test_kicks(void **state)
{
	for (int event = 0; event < 2; event++) {
		struct vq_elem *elem;
		struct bench b;

		bench_init(&b, 8, event ? F_EVENT : 0);
		assert_false(vq_wait_kick(b.vq));
		add_one(&b, NULL);
		assert_true(vq_driver_kick(&b.driver));
		assert_true(was_kicked(&b));
		elem = pop_one(&b);
		vq_suppress_kicks(b.vq);
		add_one(&b, NULL);
		assert_false(vq_driver_kick(&b.driver));
		assert_false(was_kicked(&b));
		assert_true(vq_wait_kick(b.vq)); /* there is one that no kick announced */
		vq_push(b.vq, elem, 0);
		vq_push(b.vq, pop_one(&b), 0);
		assert_false(vq_wait_kick(b.vq));
		add_one(&b, NULL);
		assert_true(vq_driver_kick(&b.driver));
		vq_drop(b.vq, pop_one(&b));
		bench_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completions_are_kept),
		cmocka_unit_test(test_unsaid_notification_survives_a_stop),
		cmocka_unit_test(test_new_incarnation_drops),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_region_outlives_its_removal),
		cmocka_unit_test(test_stopped_ring_holds_no_memory),
		cmocka_unit_test(test_rings_leave_and_return),
		cmocka_unit_test(test_no_interrupt_flag),
		cmocka_unit_test(test_used_event),
		cmocka_unit_test(test_kicks),
	};

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
