/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains, honest and hostile: what is popped, and every refusal by its reason. */
#include "tests/unit/ring.h"

/* ---- honest chains ---- */

static void test_round_trip(void **state)
{
	static const uint64_t features[] = { 0, F_INDIRECT, F_EVENT, F_INDIRECT | F_EVENT };

	for (size_t k = 0; k < ARRAY_SIZE(features); k++) {
		const struct vq_buf bufs[] = { { DATA_GPA, 5, false }, { DATA_GPA + 64, 3, false },
			{ FAR_GPA, 16, true } };
		struct vq_elem *elem;
		struct bench b;
		int cookie;

		bench_init(&b, 8, features[k]);
		assert_int_equal(vq_pop(b.vq, &elem), 0);
		memcpy(guest_at(&b.guest, DATA_GPA), "hello", 5);
		memcpy(guest_at(&b.guest, DATA_GPA + 64), "you", 3);
		for (int i = 0; i < 100; i++) {
			if ((features[k] & F_INDIRECT) && i % 2)
				assert_int_equal(vq_driver_add_indirect(&b.driver, bufs, 3,
							 guest_at(&b.guest, TABLE_GPA), TABLE_GPA,
							 &cookie), 0);
			else
				assert_int_equal(vq_driver_add(&b.driver, bufs, 3, &cookie), 0);
			assert_true(vq_pending(b.vq));
			elem = pop_one(&b);
			assert_false(vq_pending(b.vq));
			assert_int_equal(elem->n_req, 2);
			assert_int_equal(elem->n_rep, 1);
			assert_int_equal(elem->req_len, 8);
			assert_int_equal(elem->rep_len, 16);
			assert_int_equal(elem->n_regions, 2);
			assert_int_equal(elem->n_descs,
				(features[k] & F_INDIRECT) && i % 2 ? 1 : 3);
			assert_memory_equal(elem->req[0].iov_base, "hello", 5);
			assert_memory_equal(elem->req[1].iov_base, "you", 3);
			memcpy(elem->rep[0].iov_base, "answer", 7);
			assert_int_equal(vq_inflight(b.vq), 1);
			vq_push(b.vq, elem, 7);
			assert_int_equal(vq_inflight(b.vq), 0);
			expect_taken(&b, &cookie, 7);
			assert_string_equal(guest_at(&b.guest, FAR_GPA), "answer");
		}
		bench_fini(&b);
	}
}

static void test_out_of_order(void **state)
{
	struct vq_elem *elems[4];
	struct bench b;
	int cookies[4];

	bench_init(&b, 8, 0);
	for (int i = 0; i < 4; i++)
		add_one(&b, &cookies[i]);
	for (int i = 0; i < 4; i++)
		elems[i] = pop_one(&b);
	for (int i = 3; i >= 0; i--)
		vq_push(b.vq, elems[i], (uint32_t)i);
	for (int i = 3; i >= 0; i--)
		expect_taken(&b, &cookies[i], (uint32_t)i);
	bench_fini(&b);
}

static void test_buffer_crosses_regions(void **state)
{
	const struct vq_buf bufs[] = { { NEXT_GPA - 10, 30, false }, { NEXT_GPA - 1, 2, true } };
	struct vq_elem *elem;
	struct bench b;

	bench_init(&b, 8, 0);
	assert_int_equal(vq_driver_add(&b.driver, bufs, 2, NULL), 0);
	elem = pop_one(&b);
	assert_int_equal(elem->n_req, 2);
	assert_int_equal(elem->req[0].iov_len, 10);
	assert_int_equal(elem->req[1].iov_len, 20);
	assert_int_equal(elem->n_rep, 2);
	assert_int_equal(elem->rep_len, 2);
	assert_int_equal(elem->n_regions, 2); /* distinct */
	memset(elem->rep[0].iov_base, 'x', 1);
	memset(elem->rep[1].iov_base, 'y', 1);
	assert_int_equal(*(char *)guest_at(&b.guest, NEXT_GPA - 1), 'x');
	assert_int_equal(*(char *)guest_at(&b.guest, NEXT_GPA), 'y');
	vq_push(b.vq, elem, 2);
	bench_fini(&b);
}

/* Whether it is aligned or not, in one region or across two. */
static void test_indirect_table_anywhere(void **state)
{
	static const uint64_t places[] = { TABLE_GPA, TABLE_GPA + 1, TABLE_GPA + 8, NEXT_GPA - 16,
		NEXT_GPA - 8, NEXT_GPA - 17, NEXT_GPA - 1, NEXT_GPA - 47 };
	const struct vq_buf bufs[] = { { DATA_GPA, 7, false }, { DATA_GPA + 9, 0, false },
		{ FAR_GPA, 11, true } };
	uint8_t table[48];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct vq_elem *elem;
		struct bench b;

		bench_init(&b, 8, F_INDIRECT);
		assert_int_equal(
			vq_driver_add_indirect(&b.driver, bufs, 3, table, places[i], NULL), 0);
		for (size_t k = 0; k < sizeof(table); k++)
			*(uint8_t *)guest_at(&b.guest, places[i] + k) = table[k];
		elem = pop_one(&b);
		assert_int_equal(elem->n_req, 1); /* no bytes, no segment */
		assert_int_equal(elem->req_len, 7);
		assert_int_equal(elem->rep_len, 11);
		vq_push(b.vq, elem, 0);
		bench_fini(&b);
	}
}

/* VIRTIO 2.7.5.3.2: direct descriptors may come first; WRITE on the indirect one means nothing. */
static void test_direct_then_indirect(void **state)
{
	const struct vq_buf bufs[] = { { DATA_GPA, 7, false }, { FAR_GPA, 11, true } };
	struct vring_desc *table;
	struct vq_elem *elem;
	struct bench b;

	bench_init(&b, 8, F_INDIRECT);
	table = guest_at(&b.guest, TABLE_GPA);
	assert_int_equal(vq_driver_add_indirect(&b.driver, bufs, 2, table, TABLE_GPA, NULL), 0);
	b.driver.desc[5] = b.driver.desc[0];
	b.driver.desc[5].flags |= htole16(VRING_DESC_F_WRITE);
	b.driver.desc[0] = (struct vring_desc){ .addr = htole64(DATA_GPA + 512), .len = htole32(3),
		.flags = htole16(VRING_DESC_F_NEXT), .next = htole16(5) };
	elem = pop_one(&b);
	assert_int_equal(elem->req_len, 10);
	assert_int_equal(elem->rep_len, 11);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

static void add_table(struct bench *b, uint32_t bytes)
{
	b->driver.desc[0] = (struct vring_desc){ .addr = htole64(TABLE_GPA), .len = htole32(bytes),
		.flags = htole16(VRING_DESC_F_INDIRECT) };
	vq_driver_publish(&b->driver, 0);
}

static void test_longest_chain(void **state)
{
	struct vq_elem *elem;
	struct bench b;

	bench_init(&b, 8, F_INDIRECT);
	fill_table(guest_at(&b.guest, TABLE_GPA), VQ_CHAIN_MAX);
	add_table(&b, VQ_CHAIN_MAX * 16);
	elem = pop_one(&b);
	assert_int_equal(elem->n_req, VQ_CHAIN_MAX);
	assert_int_equal(elem->req_len, VQ_CHAIN_MAX);
	for (size_t i = 0; i < elem->n_req; i++)
		assert_ptr_equal((uint8_t *)elem->req[0].iov_base + i, elem->req[i].iov_base);
	vq_push(b.vq, elem, 0);

	/* A larger table is fine as long as the chain in it is not longer. */
	fill_table(guest_at(&b.guest, TABLE_GPA), 2);
	add_table(&b, 3000 * 16);
	elem = pop_one(&b);
	assert_int_equal(elem->n_req, 2);
	vq_push(b.vq, elem, 0);

	fill_table(guest_at(&b.guest, TABLE_GPA), VQ_CHAIN_MAX + 1);
	add_table(&b, (VQ_CHAIN_MAX + 1) * 16);
	assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
	assert_non_null(strstr(vq_broken(b.vq), "too long"));
	bench_fini(&b);
}

static void test_private_part(void **state)
{
	uint64_t *private;
	struct vq_elem *elem;
	struct bench b;

	bench_init(&b, 8, 0);
	add_one(&b, NULL);
	elem = pop_one(&b);
	private = (void *)elem->priv;
	assert_int_equal((uintptr_t)private % 16, 0);
	assert_int_equal(*private, 0);
	*private = 77;
	vq_push(b.vq, elem, 0);
	add_one(&b, NULL);
	elem = pop_one(&b);
	assert_int_equal(*(uint64_t *)(void *)elem->priv, 77);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

/* Indices wrap at 2^16; a ring may start anywhere. */
static void test_indices_wrap(void **state)
{
	struct bench b;
	int cookie;

	bench_init(&b, 4, F_EVENT);
	(void)vq_stop(b.vq);
	vq_reset(b.vq);
	b.driver.avail_idx = b.driver.last_used = b.driver.kicked_idx = 65530;
	b.driver.avail->idx = b.driver.used->idx = htole16(65530);
	restart(&b, 65530);
	for (int i = 0; i < 20; i++) {
		add_one(&b, &cookie);
		vq_push(b.vq, pop_one(&b), 1);
		expect_taken(&b, &cookie, 1);
	}
	assert_int_equal(vq_stop(b.vq), (uint16_t)(65530 + 20));
	bench_fini(&b);
}

/* ---- violations ---- */

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIR VRING_DESC_F_INDIRECT

/* Descriptors 0.. of the ring, then of an indirect table at TABLE_GPA; head 0 is published. */
struct violation {
	const char *why; /* NULL: allowed */
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} ring[4], table[4];
	uint64_t without; /* features not negotiated */
};

static const struct violation violations[] = {
	{ NULL, { { DATA_GPA, 1, 0, 0 } } },
	{ NULL, { { DATA_GPA, 0, 0, 0 } } },
	{ NULL, { { 0, 0, 0, 0 } } }, /* nothing at an address outside is nothing */
	{ NULL, { { UINT64_MAX, 0, WRITE, 0 } } },
	{ NULL, { { DATA_GPA, 1, 0, 999 } } }, /* `next` without the flag is not read */
	{ NULL, { { TABLE_GPA, 16, INDIR, 0 } }, { { DATA_GPA, 4, WRITE, 0 } } },
	{ "outside guest", { { RING_GPA - 1, 1, 0, 0 } } },
	{ "outside guest", { { NEXT_GPA + NEXT_SIZE - 1, 2, 0, 0 } } },
	{ "outside guest", { { FAR_GPA, FAR_SIZE + 1, WRITE, 0 } } },
	{ "outside guest", { { UINT64_MAX, 1, 0, 0 } } },
	{ "outside guest", { { UINT64_MAX - 3, 8, 0, 0 } } },
	{ "outside guest", { { DATA_GPA, UINT32_MAX, 0, 0 } } },
	{ "outside guest", { { DATA_GPA, 8, NEXT, 1 }, { 8, 8, 0, 0 } } },
	{ "4 GiB", { { DATA_GPA, 2, NEXT, 1 }, { DATA_GPA, UINT32_MAX - 1, 0, 0 } } },
	{ "index outside", { { DATA_GPA, 8, NEXT, 8 } } },
	{ "index outside", { { DATA_GPA, 8, NEXT, 0xffff } } },
	{ "index outside", { { TABLE_GPA, 32, INDIR, 0 } }, { { DATA_GPA, 8, NEXT, 2 } } },
	{ "loop", { { DATA_GPA, 8, NEXT, 0 } } },
	{ "loop", { { DATA_GPA, 0, NEXT, 1 }, { DATA_GPA, 0, NEXT, 0 } } },
	{ "loop",
		{ { DATA_GPA, 8, NEXT, 1 }, { DATA_GPA, 8, NEXT, 2 }, { DATA_GPA, 8, NEXT, 1 } } },
	{ "loop", { { TABLE_GPA, 16, INDIR, 0 } }, { { DATA_GPA, 8, NEXT, 0 } } },
	{ "after a device-writable", { { DATA_GPA, 8, NEXT | WRITE, 1 }, { DATA_GPA, 8, 0, 0 } } },
	{ "after a device-writable", { { DATA_GPA, 0, NEXT | WRITE, 1 }, { DATA_GPA, 8, 0, 0 } } },
	{ "after a device-writable",
		{ { DATA_GPA, 8, NEXT | WRITE, 1 }, { TABLE_GPA, 16, INDIR, 0 } },
		{ { DATA_GPA, 8, 0, 0 } } },
	{ "not negotiated", { { TABLE_GPA, 16, INDIR, 0 } }, { { DATA_GPA, 8, 0, 0 } },
		F_INDIRECT },
	{ "inside an indirect", { { TABLE_GPA, 32, INDIR, 0 } }, { { TABLE_GPA, 16, INDIR, 0 } } },
	{ "inside an indirect", { { TABLE_GPA, 32, INDIR, 0 } },
		{ { DATA_GPA, 1, NEXT, 1 }, { TABLE_GPA, 16, INDIR, 0 } } },
	{ "with a next", { { TABLE_GPA, 16, INDIR | NEXT, 1 }, { DATA_GPA, 8, 0, 0 } },
		{ { DATA_GPA, 8, 0, 0 } } },
	{ "multiple of 16", { { TABLE_GPA, 0, INDIR, 0 } } },
	{ "multiple of 16", { { TABLE_GPA, 15, INDIR, 0 } } },
	{ "multiple of 16", { { TABLE_GPA, 17, INDIR, 0 } } },
	{ "table outside", { { 0, 16, INDIR, 0 } } },
	{ "table outside", { { UINT64_MAX - 7, 16, INDIR, 0 } } },
	{ "table outside", { { UINT64_MAX - 15, 16, INDIR, 0 } } },
	{ "table outside", { { FAR_GPA + FAR_SIZE - 8, 16, INDIR, 0 } } },
	/* found when it is reached: entry 0 is there, entry 1 is not */
	{ "table outside", { { FAR_GPA + FAR_SIZE - 16, 32, INDIR, 0 } } },
};

static void write_chain(struct bench *b, const struct violation *v)
{
	struct vring_desc *tail = guest_at(&b->guest, FAR_GPA + FAR_SIZE - 16);
	struct vring_desc *table = guest_at(&b->guest, TABLE_GPA);

	for (int i = 0; i < 4; i++) {
		b->driver.desc[i] = (struct vring_desc){ htole64(v->ring[i].addr),
			htole32(v->ring[i].len), htole16(v->ring[i].flags),
			htole16(v->ring[i].next) };
		table[i] = (struct vring_desc){ htole64(v->table[i].addr),
			htole32(v->table[i].len), htole16(v->table[i].flags),
			htole16(v->table[i].next) };
	}
	*tail = (struct vring_desc){ htole64(DATA_GPA), htole32(1), htole16(NEXT), htole16(1) };
	vq_driver_publish(&b->driver, 0);
}

static void test_violations(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(violations); i++) {
		const struct violation *v = &violations[i];
		struct vq_elem *elem = NULL;
		struct bench b;
		int r;

		bench_init(&b, 8, F_INDIRECT & ~v->without);
		write_chain(&b, v);
		r = vq_pop(b.vq, &elem);
		if (!v->why) {
			assert_int_equal(r, 1);
			assert_null(vq_broken(b.vq));
			vq_push(b.vq, elem, 0);
			bench_fini(&b);
			continue;
		}
		if (r != -EPROTO || !strstr(vq_broken(b.vq), v->why))
			fail_msg("row %zu: %d, \"%s\" instead of \"%s\"", i, r,
				vq_broken(b.vq) ? vq_broken(b.vq) : "", v->why);
		/* Broken for good, and quiet. */
		assert_int_equal(vq_inflight(b.vq), 0);
		assert_int_equal(vq_pop(b.vq, &elem), 0);
		assert_false(vq_pending(b.vq));
		assert_false(vq_wait_kick(b.vq));
		assert_false(vq_should_notify(b.vq));
		assert_true(vq_running(b.vq));
		/* A restart heals: the chain was not taken, so it is refused again. */
		assert_int_equal(vq_stop(b.vq), 0);
		restart(&b, 0);
		assert_null(vq_broken(b.vq));
		assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
		bench_fini(&b);
	}
}

/* The largest sum that used.len can tell, and one byte more. */
static void test_sum_of_lengths(void **state)
{
	const uint32_t size = 0x8000000; /* 128 MiB, sparse */
	const uint64_t gpa = UINT64_C(0x100000000);
	struct vring_desc *table;
	struct vq_elem *elem;
	struct bench b;

	bench_init(&b, 8, F_INDIRECT);
	guest_add(&b.guest, gpa, size);
	assert_int_equal(vq_set_memory(b.vq, b.guest.memory), 0);
	table = guest_at(&b.guest, TABLE_GPA);
	for (int last = 0; last < 2; last++) {
		fill_table(table, 32);
		for (int i = 0; i < 32; i++) {
			table[i].addr = htole64(gpa);
			table[i].len = htole32(size);
		}
		table[31].len = htole32(size - 1 + (uint32_t)last);
		add_table(&b, 32 * 16);
		if (last) {
			assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
			assert_non_null(strstr(vq_broken(b.vq), "4 GiB"));
			break;
		}
		elem = pop_one(&b);
		assert_int_equal(elem->req_len, UINT32_MAX);
		vq_push(b.vq, elem, 0);
	}
	bench_fini(&b);
}

static void test_avail_ring_violations(void **state)
{
	static const char *const whys[] = { "jumped", "jumped", "head outside", "head outside" };

	for (int i = 0; i < 4; i++) {
		struct vq_elem *elem;
		struct bench b;

		bench_init(&b, 8, 0);
		if (i < 2)
			b.driver.avail->idx = htole16(i ? 9 : 0xffff);
		else
			vq_driver_publish(&b.driver, i == 2 ? 8 : 0xffff);
		assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
		assert_non_null(strstr(vq_broken(b.vq), whys[i]));
		bench_fini(&b);
	}
}

/* A head that is published again and again while in flight does not grow the pool for ever. */
static void test_too_many_in_flight(void **state)
{
	struct vq_elem *elems[8], *elem;
	struct bench b;

	bench_init(&b, 8, 0);
	add_one(&b, NULL);
	for (int i = 0; i < 8; i++) {
		elems[i] = pop_one(&b);
		vq_driver_publish(&b.driver, 0);
	}
	assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
	assert_non_null(strstr(vq_broken(b.vq), "in flight"));
	for (int i = 0; i < 8; i++)
		vq_push(b.vq, elems[i], 0);
	expect_none_taken(&b); /* nothing more is written into a broken ring */
	bench_fini(&b);
}

/* Rings of earlier incarnations may not pile up chains in flight for ever either. */
static void test_stale_chains_are_bounded(void **state)
{
	struct vq_elem *elems[4096], *elem;
	size_t n = 0;
	struct bench b;
	int r;

	bench_init(&b, 8, 0);
	for (;;) {
		add_one(&b, NULL);
		r = vq_pop(b.vq, &elem);
		if (r != 1)
			break;
		assert_true(n < ARRAY_SIZE(elems));
		elems[n++] = elem;
		vq_reset(b.vq); /* a guest that resets with requests stuck */
		vq_driver_fini(&b.driver);
		assert_int_equal(vq_driver_init(&b.driver, 8, RING_GPA,
					 guest_at(&b.guest, RING_GPA), 0), 0);
		restart(&b, 0);
	}
	assert_int_equal(r, -ENOMEM);
	assert_null(vq_broken(b.vq));
	vq_push(b.vq, elems[--n], 0);
	elem = pop_one(&b);
	vq_push(b.vq, elem, 0);
	while (n)
		vq_drop(b.vq, elems[--n]);
	assert_int_equal(vq_inflight(b.vq), 0);
	bench_fini(&b);
}

static void test_start_refuses(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 7, 65536, 32769, UINT32_MAX };
	struct vq_config config;
	struct bench b;

	bench_init(&b, 8, F_EVENT);
	assert_int_equal(vq_start(b.vq, &b.config, b.guest.memory), -EBUSY);
	(void)vq_stop(b.vq);
#define REFUSED(error, ...)                                                                        \
	do {                                                                                       \
		config = b.config;                                                                 \
		__VA_ARGS__;                                                                       \
		assert_int_equal(vq_start(b.vq, &config, b.guest.memory), (error));                \
		assert_false(vq_running(b.vq));                                                    \
	} while (0)
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		REFUSED(-EINVAL, config.num = sizes[i]);
	REFUSED(-EFAULT, config.num = 32768);
	REFUSED(-EFAULT, config.desc_addr = 0);
	REFUSED(-EFAULT, config.desc_addr = UINT64_MAX - 15);
	REFUSED(-EINVAL, config.desc_addr += 8);
	REFUSED(-EINVAL, config.avail_addr += 1);
	REFUSED(-EINVAL, config.used_addr += 2);
	/* with EVENT_IDX two more bytes belong to each ring */
	REFUSED(-EFAULT, config.avail_addr = GUEST_USER + FAR_GPA + FAR_SIZE - 20);
	REFUSED(-EFAULT, config.used_addr = GUEST_USER + FAR_GPA + FAR_SIZE - 68);
	config = b.config;
	config.features = 0;
	config.avail_addr = GUEST_USER + FAR_GPA + FAR_SIZE - 20;
	assert_int_equal(vq_start(b.vq, &config, b.guest.memory), 0);
#undef REFUSED
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_buffer_crosses_regions),
		cmocka_unit_test(test_indirect_table_anywhere),
		cmocka_unit_test(test_direct_then_indirect),
		cmocka_unit_test(test_longest_chain),
		cmocka_unit_test(test_private_part),
		cmocka_unit_test(test_indices_wrap),
		cmocka_unit_test(test_violations),
		cmocka_unit_test(test_sum_of_lengths),
		cmocka_unit_test(test_avail_ring_violations),
		cmocka_unit_test(test_too_many_in_flight),
		cmocka_unit_test(test_stale_chains_are_bounded),
		cmocka_unit_test(test_start_refuses),
	};

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
