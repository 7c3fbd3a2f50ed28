/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains that leave RAM: into the DAX window, or where no memory region is at all. */
#include <sys/uio.h>

#include "tests/unit/ring.h"
#include "vhostuser/fd.h"
#include "vhostuser/iov.h"

#define HOLE_GPA 0x2000000u

/* The far region becomes a part of the window, as if it had been so when it was added. */
static void make_window(struct bench *b)
{
	for (size_t i = 0; i < b->guest.memory->n; i++)
		if (b->guest.memory->regions[i]->desc.gpa == FAR_GPA)
			b->guest.memory->regions[i]->desc.window = true;
}

static void bench_window(struct bench *b, uint64_t features, bool foreign)
{
	bench_init(b, 64, features);
	make_window(b);
	(void)vq_stop(b->vq);
	b->config.foreign = foreign;
	restart(b, 0);
}

static struct vq_elem *pop_bufs(struct bench *b, const struct vq_buf *bufs, size_t n)
{
	assert_int_equal(vq_driver_add(&b->driver, bufs, n, NULL), 0);
	return pop_one(b);
}

static void expect_broken(struct bench *b, const struct vq_buf *bufs, size_t n, const char *why)
{
	struct vq_elem *elem;

	assert_int_equal(vq_driver_add(&b->driver, bufs, n, NULL), 0);
	assert_int_equal(vq_pop(b->vq, &elem), -EPROTO);
	assert_non_null(strstr(vq_broken(b->vq), why));
}

static void test_all_in_ram(void **state)
{
	const struct vq_buf bufs[] = {{DATA_GPA, 40, false}, {NEXT_GPA - 8, 16, false},
		{DATA_GPA + 0x1000, 80, true}, {DATA_GPA, 0, true}};
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, true);
	elem = pop_bufs(&b, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(elem->req_len, 56);
	assert_int_equal(elem->req_ram, 56);
	assert_int_equal(elem->rep_len, 80);
	assert_int_equal(elem->rep_ram, 80);
	assert_int_equal(elem->n_foreign, 0);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

/* RAM counts from the part's start up to the first byte that is in none; what follows does not. */
static void test_payload_in_window(void **state)
{
	const struct vq_buf bufs[] = {{DATA_GPA, 40, false}, {FAR_GPA, 100, false},
		{DATA_GPA, 16, false}, {DATA_GPA + 0x1000, 16, true}, {FAR_GPA + 0x1000, 64, true}};
	const struct vq_buf first[] = {
		{FAR_GPA, 100, false}, {FAR_GPA, 100, true}, {DATA_GPA, 16, true}};
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, false);
	elem = pop_bufs(&b, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(elem->n_req, 3);
	assert_int_equal(elem->req_len, 156);
	assert_int_equal(elem->req_ram, 40);
	assert_int_equal(elem->rep_len, 80);
	assert_int_equal(elem->rep_ram, 16);
	vq_push(b.vq, elem, 0);
	elem = pop_bufs(&b, first, ARRAY_SIZE(first));
	assert_int_equal(elem->req_ram, 0);
	assert_int_equal(elem->rep_ram, 0);
	assert_int_equal(elem->rep_len, 116);
	vq_push(b.vq, elem, 0);

	/* An element that is used again starts from nothing. */
	add_one(&b, NULL);
	elem = pop_one(&b);
	assert_int_equal(elem->req_ram, elem->req_len);
	assert_int_equal(elem->rep_ram, elem->rep_len);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

static void test_foreign(void **state)
{
	const struct vq_buf bufs[] = {{DATA_GPA, 40, false}, {HOLE_GPA, 100, false},
		{DATA_GPA, 8, false}, {DATA_GPA + 0x1000, 16, true}, {HOLE_GPA + 7, 64, true},
		{0, 1, true}};
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, true);
	elem = pop_bufs(&b, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(elem->n_req, 3);
	assert_int_equal(elem->n_rep, 3);
	assert_int_equal(elem->req_len, 148);
	assert_int_equal(elem->req_ram, 40);
	assert_int_equal(elem->rep_ram, 16);
	assert_int_equal(elem->n_foreign, 3);
	assert_int_equal(elem->foreign[0].at, 1);
	assert_int_equal(elem->foreign[0].gpa, HOLE_GPA);
	assert_int_equal(elem->foreign[1].at, 4);
	assert_int_equal(elem->foreign[1].gpa, HOLE_GPA + 7);
	assert_int_equal(elem->foreign[2].at, 5);
	assert_int_equal(elem->foreign[2].gpa, 0);
	assert_ptr_equal(elem->req[1].iov_base, VQ_FOREIGN);
	assert_ptr_equal(elem->rep[1].iov_base, VQ_FOREIGN);
	assert_int_equal(elem->n_regions, 1);
	vq_push(b.vq, elem, 0);

	elem = pop_bufs(&b, bufs, 1);
	assert_int_equal(elem->n_foreign, 0);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

/* One buffer from a region through a gap into the next one, the gap being a segment of its own. */
static void test_foreign_between_regions(void **state)
{
	const struct vq_buf buf = {
		NEXT_GPA + NEXT_SIZE - 8, FAR_GPA + 8 - (NEXT_GPA + NEXT_SIZE - 8), true};
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, true);
	elem = pop_bufs(&b, &buf, 1);
	assert_int_equal(elem->n_rep, 3);
	assert_int_equal(elem->rep[0].iov_len, 8);
	assert_ptr_equal(elem->rep[1].iov_base, VQ_FOREIGN);
	assert_int_equal(elem->rep[1].iov_len, FAR_GPA - (NEXT_GPA + NEXT_SIZE));
	assert_int_equal(elem->rep[2].iov_len, 8);
	assert_int_equal(elem->n_foreign, 1);
	assert_int_equal(elem->foreign[0].at, 1);
	assert_int_equal(elem->foreign[0].gpa, NEXT_GPA + NEXT_SIZE);
	assert_int_equal(elem->rep_ram, 8);
	assert_int_equal(elem->n_regions, 2);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

/* Whatever part of such a segment a system call gets, it says EFAULT, however far inside. */
static void test_foreign_is_efault(void **state)
{
	const struct vq_buf buf = {HOLE_GPA, UINT32_MAX, true};
	static const size_t at[] = {0, 1, 4095, 4096, 1 << 20, UINT32_MAX - 4096, UINT32_MAX - 1};
	CLEANUP_FD int fd = guest_memfd(8192);
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, true);
	elem = pop_bufs(&b, &buf, 1);
	assert_int_equal(elem->rep_len, UINT32_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct vu_iov cursor = vu_iov_init(elem->rep, elem->n_rep);
		struct iovec iov;
		size_t n;

		assert_int_equal(vu_iov_skip(&cursor, at[i]), at[i]);
		assert_true(vu_iov_slice(&cursor, 4096, &iov, 1, &n) > 0);
		assert_int_equal(preadv(fd, &iov, 1, 0), -1);
		assert_int_equal(errno, EFAULT);
		assert_int_equal(pwritev(fd, &iov, 1, 0), -1);
		assert_int_equal(errno, EFAULT);
	}
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

static void test_foreign_refused(void **state)
{
	const struct vq_buf hole = {HOLE_GPA, 8, true}, wraps = {UINT64_MAX - 3, 8, true};
	const struct vq_buf last = {UINT64_MAX - 3, 4, true};
	const struct vq_buf much[] = {{HOLE_GPA, UINT32_MAX, false}, {HOLE_GPA, 1, true}};
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, 0, false);
	expect_broken(&b, &hole, 1, "outside guest memory");
	bench_fini(&b);
	bench_window(&b, 0, true);
	elem = pop_bufs(&b, &last, 1);
	assert_int_equal(elem->foreign[0].gpa, UINT64_MAX - 3);
	vq_push(b.vq, elem, 0);
	expect_broken(&b, &wraps, 1, "outside guest memory");
	bench_fini(&b);
	bench_window(&b, 0, true);
	expect_broken(&b, much, 2, "4 GiB");
	bench_fini(&b);
}

/* The most that a chain can have of them. */
static void test_many_foreign(void **state)
{
	struct vring_desc *table;
	struct vq_elem *elem;
	struct bench b;

	bench_window(&b, F_INDIRECT, true);
	table = guest_at(&b.guest, TABLE_GPA);
	fill_table(table, VQ_CHAIN_MAX);
	for (uint32_t i = 0; i < VQ_CHAIN_MAX; i++)
		table[i].addr = htole64(HOLE_GPA + i * 16);
	b.driver.desc[0] = (struct vring_desc){.addr = htole64(TABLE_GPA),
		.len = htole32(VQ_CHAIN_MAX * 16),
		.flags = htole16(VRING_DESC_F_INDIRECT)};
	vq_driver_publish(&b.driver, 0);
	elem = pop_one(&b);
	assert_int_equal(elem->n_foreign, VQ_CHAIN_MAX);
	for (uint32_t i = 0; i < VQ_CHAIN_MAX; i++)
		assert_int_equal(elem->foreign[i].gpa, HOLE_GPA + i * 16);
	vq_push(b.vq, elem, 0);
	bench_fini(&b);
}

/* Tables are read by us, so they have to be in RAM, with config.foreign or without. */
static void test_indirect_table(void **state)
{
	static const struct {
		uint64_t gpa;
		const char *why;
	} cases[] = {
		{FAR_GPA, "DAX window"}, {FAR_GPA + FAR_SIZE - 16, "DAX window"},
		{HOLE_GPA, "outside guest memory"},
		{NEXT_GPA + NEXT_SIZE - 16, "outside guest RAM"}, /* its second half */
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct vq_elem *elem;
		struct bench b;

		bench_window(&b, F_INDIRECT, i % 2);
		if (guest_at(&b.guest, cases[i / 2].gpa))
			fill_table(guest_at(&b.guest, cases[i / 2].gpa), 1);
		if (i / 2 == 3)
			((struct vring_desc *)guest_at(&b.guest, cases[3].gpa))->flags =
				htole16(VRING_DESC_F_NEXT);
		b.driver.desc[0] = (struct vring_desc){.addr = htole64(cases[i / 2].gpa),
			.len = htole32(32),
			.flags = htole16(VRING_DESC_F_INDIRECT)};
		((struct vring_desc *)guest_at(&b.guest, cases[3].gpa))->next = htole16(1);
		vq_driver_publish(&b.driver, 0);
		assert_int_equal(vq_pop(b.vq, &elem), -EPROTO);
		if (!strstr(vq_broken(b.vq), cases[i / 2].why))
			fail_msg("%s", vq_broken(b.vq));
		bench_fini(&b);
	}
}

static void test_ring_in_window(void **state)
{
	uint64_t far = GUEST_USER + FAR_GPA;
	struct vq_config config;
	struct bench b;

	bench_window(&b, 0, true);
	(void)vq_stop(b.vq);
	for (int i = 0; i < 3; i++) {
		config = b.config;
		*(i == 0         ? &config.desc_addr
			: i == 1 ? &config.avail_addr
				 : &config.used_addr) = far;
		assert_int_equal(vq_start(b.vq, &config, b.guest.memory), -EFAULT);
		assert_false(vq_running(b.vq));
	}
	assert_int_equal(vq_start(b.vq, &b.config, b.guest.memory), 0);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_in_ram),
		cmocka_unit_test(test_payload_in_window),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_foreign_between_regions),
		cmocka_unit_test(test_foreign_is_efault),
		cmocka_unit_test(test_foreign_refused),
		cmocka_unit_test(test_many_foreign),
		cmocka_unit_test(test_indirect_table),
		cmocka_unit_test(test_ring_in_window),
	};

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
