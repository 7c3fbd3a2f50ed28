/* SPDX-License-Identifier: BSD-3-Clause */
/* A mount's queue between a kernel and a device: shapes of chains, full rings, hostile answers. */
#include "tests/unit/mount_device.h"

#include <stdio.h>

static void expect_answer(struct md *d, uint64_t unique, int error, size_t len)
{
	uint64_t got;
	size_t got_len;

	assert_int_equal(md_answer(d, &got, NULL, &got_len), error);
	assert_int_equal(got, unique);
	assert_int_equal(got_len, len);
}

/* ---- shapes ---- */

static void a_request_becomes_a_chain(void **state)
{
	struct md *d = *state;
	static const char name[] = "name";
	uint8_t body[sizeof(struct fuse_entry_out)];
	struct md_chain chain;

	memset(body, 7, sizeof(body));
	md_ask_with(d, FUSE_LOOKUP, 2, name, sizeof(name), NULL, 0);
	md_pop(d, &chain);
	assert_int_equal(chain.n, 4);
	assert_int_equal(chain.n_readable, 2);
	assert_int_equal(md_header(&chain).opcode, FUSE_LOOKUP);
	assert_int_equal(md_header(&chain).len, sizeof(struct fuse_in_header) + sizeof(name));
	assert_int_equal(chain.buf[1].len, sizeof(name));
	assert_memory_equal(chain.buf[1].at, name, sizeof(name));
	assert_int_equal(chain.buf[2].len, sizeof(struct fuse_out_header));
	assert_int_equal(chain.buf[3].len, sizeof(body));
	md_reply(d, &chain, body, sizeof(body));
	expect_answer(d, 2, 0, sizeof(body));
}

static void a_request_without_arguments_or_body(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask_with(d, FUSE_DESTROY, 2, NULL, 0, NULL, 0);
	md_pop(d, &chain);
	assert_int_equal(chain.n, 2);
	assert_int_equal(chain.n_readable, 1);
	md_reply(d, &chain, NULL, 0);
	expect_answer(d, 2, 0, 0);
}

static void written_data_is_page_aligned(void **state)
{
	struct md *d = *state;
	static uint8_t data[100000];
	struct fuse_write_in in = {.size = sizeof(data), .offset = 4096};
	struct fuse_write_out out = {.size = sizeof(data)};
	struct md_chain chain;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31);
	md_ask_with(d, FUSE_WRITE, 2, &in, sizeof(in), data, sizeof(data));
	md_pop(d, &chain);
	assert_int_equal(chain.n_readable, 3);
	assert_memory_equal(chain.buf[1].at, &in, sizeof(in));
	assert_int_equal(chain.buf[2].len, sizeof(data));
	assert_int_equal((uintptr_t)chain.buf[2].at % 4096, 0);
	assert_memory_equal(chain.buf[2].at, data, sizeof(data));
	md_reply(d, &chain, &out, sizeof(out));
	expect_answer(d, 2, 0, sizeof(out));
}

static void read_data_is_page_aligned(void **state)
{
	struct md *d = *state;
	static uint8_t data[70000], got[sizeof(data)];
	struct fuse_read_in in = {.size = sizeof(data)};
	struct md_chain chain;
	uint64_t unique;
	size_t len;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 17);
	md_ask_with(d, FUSE_READ, 2, &in, sizeof(in), NULL, 0);
	md_pop(d, &chain);
	assert_int_equal(chain.n, 4);
	assert_int_equal(chain.buf[3].len, sizeof(data));
	assert_int_equal((uintptr_t)chain.buf[3].at % 4096, 0);
	md_reply(d, &chain, data, sizeof(data));
	assert_int_equal(md_answer(d, &unique, got, &len), 0);
	assert_int_equal(len, sizeof(data));
	assert_memory_equal(data, got, sizeof(data));
}

static void errors_pass(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask(d, FUSE_GETATTR, 2);
	md_pop(d, &chain);
	md_put_header(&chain, sizeof(struct fuse_out_header), -ENOENT, 2);
	md_push_to(&d->ring, chain.head, sizeof(struct fuse_out_header));
	expect_answer(d, 2, -ENOENT, 0);
}

/* ---- many ---- */

static void answers_come_in_any_order(void **state)
{
	struct md *d = *state;
	struct md_chain chains[MD_SLOTS];

	for (uint64_t i = 0; i < MD_SLOTS; i++)
		md_ask(d, FUSE_FLUSH, 2 + 2 * i);
	for (unsigned int i = 0; i < MD_SLOTS; i++)
		md_pop(d, &chains[i]);
	for (unsigned int i = MD_SLOTS; i-- > 0;) {
		md_reply(d, &chains[i], NULL, 0);
		expect_answer(d, 2 + 2 * i, 0, 0);
	}
}

static void a_full_queue_leaves_the_rest_to_the_kernel(void **state)
{
	struct md *d = *state;
	struct md_chain chains[MD_SLOTS], more;

	for (uint64_t i = 0; i < MD_SLOTS + 1; i++)
		md_ask(d, FUSE_FLUSH, 2 + 2 * i);
	for (unsigned int i = 0; i < MD_SLOTS; i++)
		md_pop(d, &chains[i]);
	assert_false(md_pop_from(d, &d->ring, &d->popped, &more, 50));
	md_reply(d, &chains[1], NULL, 0);
	expect_answer(d, 4, 0, 0);
	md_pop(d, &more);
	assert_int_equal(md_header(&more).unique, 2 + 2 * MD_SLOTS);
}

static void a_thousand_in_a_row(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	for (uint64_t i = 1; i <= 1000; i++) {
		md_ask(d, FUSE_FLUSH, 2 * i);
		md_pop(d, &chain);
		md_reply(d, &chain, NULL, 0);
		expect_answer(d, 2 * i, 0, 0);
	}
}

/* ---- INIT ---- */

static void init_is_masked_both_ways(void **state)
{
	struct md *d = *state;
	struct fuse_init_in in = {.major = 7,
		.minor = 38,
		.flags = FUSE_ASYNC_READ | FUSE_SPLICE_READ | FUSE_INIT_EXT | FUSE_MAX_PAGES};
	struct fuse_init_out out = {.major = 7,
		.minor = 38,
		.flags = FUSE_ASYNC_READ | FUSE_SPLICE_READ | FUSE_MAP_ALIGNMENT | FUSE_MAX_PAGES,
		.max_write = 1u << 24,
		.max_pages = 4096};
	struct fuse_init_in seen;
	struct fuse_init_out got;
	struct md_chain chain;
	uint64_t unique;
	size_t len;

	md_ask_with(d, FUSE_INIT, 2, &in, sizeof(in), NULL, 0);
	md_pop(d, &chain);
	memcpy(&seen, chain.buf[1].at, sizeof(seen));
	assert_int_equal(seen.flags, FUSE_ASYNC_READ | FUSE_INIT_EXT | FUSE_MAX_PAGES);
	assert_false(md_readable(d->ready, 0));
	md_reply(d, &chain, &out, sizeof(out));
	assert_int_equal(md_answer(d, &unique, (uint8_t *)&got, &len), 0);
	assert_int_equal(len, sizeof(got));
	assert_int_equal(got.flags, FUSE_ASYNC_READ | FUSE_MAX_PAGES);
	assert_int_equal(got.max_write, FM_PAYLOAD);
	assert_int_equal(got.max_pages, FM_PAYLOAD / 4096);
	assert_true(md_readable(d->ready, 5000));
}

static void a_refused_init_ends_it(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask(d, FUSE_INIT, 2);
	md_pop(d, &chain);
	md_put_header(&chain, sizeof(struct fuse_out_header), -EPROTO, 2);
	md_push_to(&d->ring, chain.head, sizeof(struct fuse_out_header));
	expect_answer(d, 2, -EPROTO, 0);
	assert_int_equal(md_join(d), FM_BROKEN);
}

static void another_major_version_ends_it(void **state)
{
	struct md *d = *state;
	struct fuse_init_out out = {.major = 8};
	struct md_chain chain;

	md_ask(d, FUSE_INIT, 2);
	md_pop(d, &chain);
	md_reply(d, &chain, &out, 8);
	expect_answer(d, 2, 0, 8);
	assert_int_equal(md_join(d), FM_BROKEN);
	assert_false(md_readable(d->ready, 0));
}

/* ---- hiprio ---- */

static void what_has_no_answer_takes_hiprio(void **state)
{
	struct md *d = *state;
	static const uint32_t opcodes[] = {FUSE_FORGET, FUSE_INTERRUPT};
	struct fuse_forget_in args = {.nlookup = 3};
	struct md_chain chain;

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		md_ask_with(d, opcodes[i], 2 + 2 * i, &args, sizeof(args), NULL, 0);
		assert_true(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, 5000));
		assert_int_equal(chain.n, 1);
		assert_int_equal(chain.n_readable, 1);
		assert_int_equal(chain.buf[0].len, sizeof(struct fuse_in_header) + sizeof(args));
		md_push_to(&d->hiprio_ring, chain.head, 0);
	}
	assert_false(md_pop_from(d, &d->ring, &d->popped, &chain, 20));
}

/* All nodes of a batch that is longer than the whole ring takes, in order, each once. */
static void a_long_batch_comes_in_pieces(void **state)
{
	struct md *d = *state;
	enum { N = 3000 };
	static struct fuse_forget_one ones[N];
	struct fuse_batch_forget_in in = {.count = N}, piece;
	struct md_chain chain;
	unsigned int seen = 0;

	for (unsigned int i = 0; i < N; i++)
		ones[i] = (struct fuse_forget_one){.nodeid = 100 + i, .nlookup = i};
	md_ask_with(d, FUSE_BATCH_FORGET, 2, &in, sizeof(in), ones, sizeof(ones));
	while (seen < N) {
		struct fuse_in_header header;
		uint8_t *at;

		assert_true(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, 5000));
		at = chain.buf[0].at;
		memcpy(&header, at, sizeof(header));
		memcpy(&piece, at + sizeof(header), sizeof(piece));
		assert_int_equal(header.opcode, FUSE_BATCH_FORGET);
		assert_int_equal(header.len, chain.buf[0].len);
		assert_int_equal(
			header.len, sizeof(header) + sizeof(piece) + piece.count * sizeof(ones[0]));
		assert_memory_equal(at + sizeof(header) + sizeof(piece), &ones[seen],
			piece.count * sizeof(ones[0]));
		seen += piece.count;
		md_push_to(&d->hiprio_ring, chain.head, 0);
	}
	assert_int_equal(seen, N);
}

static void a_full_hiprio_queue_is_waited_for_until_the_end(void **state)
{
	struct md *d = *state;

	for (uint64_t i = 0; i < MD_HIPRIO + 1; i++)
		md_ask(d, FUSE_FORGET, 2 + 2 * i);
	usleep(20000);
	assert_int_equal(md_stop(d), FM_STOPPED);
}

static void a_foreign_chain_on_hiprio_ends_it(void **state)
{
	struct md *d = *state;

	for (uint64_t i = 0; i < MD_HIPRIO; i++)
		md_ask(d, FUSE_FORGET, 2 + 2 * i);
	for (uint64_t i = 0; i < MD_HIPRIO; i++) {
		struct md_chain chain;

		assert_true(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, 5000));
	}
	md_push_to(&d->hiprio_ring, 77, 0);
	md_ask(d, FUSE_FORGET, 100);
	assert_int_equal(md_join(d), FM_BROKEN);
}

static void a_hiprio_queue_given_up_ends_it(void **state)
{
	struct md *d = *state;

	assert_int_equal(fd_signal(d->hiprio_ring.err), 0);
	for (uint64_t i = 0; i < MD_HIPRIO + 1; i++)
		md_ask(d, FUSE_FORGET, 2 + 2 * i);
	assert_int_equal(md_join(d), FM_BROKEN);
}

/* ---- hostile devices ---- */

/* What the device says of the answer to a GETATTR; each ends the mount and is not passed on. */
static const struct lie {
	const char *what;
	uint32_t used, len;
	int32_t error;
	int64_t unique_off;
} lies[] = {
	{"nothing was written", 0, 0, 0, 0},
	{"less than a header", 15, 15, 0, 0},
	{"more than there is room for", 121, 121, 0, 0},
	{"far more", UINT32_MAX, UINT32_MAX, 0, 0},
	{"a header that says less", 120, 16, 0, 0},
	{"a header that says more", 16, 120, 0, 0},
	{"a wrong number", 120, 120, 0, 2},
	{"the number of a notification", 120, 120, 0, -2},
	{"an error above zero", 16, 16, 5, 0},
	{"an error that is none", 16, 16, -512, 0},
	{"the least error", 16, 16, INT32_MIN, 0},
	{"an error with a body", 120, 120, -EIO, 0},
};

static void a_lie_ends_it(void **state)
{
	struct md *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		const struct lie *lie = &lies[i];
		struct md_chain chain;

		md_ask(d, FUSE_GETATTR, 2);
		md_pop(d, &chain);
		md_put_header(&chain, lie->len, lie->error, (uint64_t)(2 + lie->unique_off));
		md_push_to(&d->ring, chain.head, lie->used);
		if (md_join(d) != FM_BROKEN || md_readable(d->kernel, 0))
			fail_msg("%s", lie->what);
		md_restart(d);
	}
}

static void a_chain_twice_ends_it(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask(d, FUSE_FLUSH, 2);
	md_pop(d, &chain);
	md_reply(d, &chain, NULL, 0);
	expect_answer(d, 2, 0, 0);
	md_reply(d, &chain, NULL, 0);
	assert_int_equal(md_join(d), FM_BROKEN);
}

static void ids_out_of_range_end_it(void **state)
{
	static const uint32_t ids[] = {1, MD_RING - 1, MD_RING, 0x10000, UINT32_MAX};
	struct md *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct md_chain chain;

		/* Descriptor 0 is the head in flight; 1 is in it, others are free or none. */
		md_ask(d, FUSE_GETATTR, 2);
		md_pop(d, &chain);
		assert_int_equal(chain.head, 0);
		md_push_to(&d->ring, ids[i], 16);
		assert_int_equal(md_join(d), FM_BROKEN);
		md_restart(d);
	}
}

static void a_used_index_that_jumps_ends_it(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask(d, FUSE_FLUSH, 2);
	md_pop(d, &chain);
	__atomic_store_n(&d->ring.used->idx, htole16(40000), __ATOMIC_SEQ_CST);
	assert_int_equal(fd_signal(d->ring.call), 0);
	assert_int_equal(md_join(d), FM_BROKEN);
}

static void a_queue_given_up_ends_it(void **state)
{
	struct md *d = *state;

	assert_int_equal(fd_signal(d->ring.err), 0);
	assert_int_equal(md_join(d), FM_BROKEN);
}

/* ---- the end ---- */

static void an_unmounted_kernel_ends_it(void **state)
{
	struct md *d = *state;

	fd_close(&d->kernel);
	assert_int_equal(md_join(d), FM_UNMOUNTED);
}

/* Also when there is no slot to read with. */
static void an_unmounted_kernel_ends_a_full_queue(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	for (uint64_t i = 0; i < MD_SLOTS; i++)
		md_ask(d, FUSE_FLUSH, 2 + 2 * i);
	for (uint64_t i = 0; i < MD_SLOTS; i++)
		md_pop(d, &chain);
	usleep(10000);
	fd_close(&d->kernel);
	assert_int_equal(md_join(d), FM_UNMOUNTED);
}

static void what_was_answered_gets_out_at_the_end(void **state)
{
	struct md *d = *state;
	struct md_chain chain;

	md_ask(d, FUSE_FLUSH, 2);
	md_pop(d, &chain);
	md_reply(d, &chain, NULL, 0);
	assert_int_equal(md_stop(d), FM_STOPPED);
	expect_answer(d, 2, 0, 0);
}

static void draining_writes_back_and_refuses(void **state)
{
	struct md *d = *state;
	struct fuse_write_in plain = {.size = 1},
			     cached = {.size = 1, .write_flags = FUSE_WRITE_CACHE};
	struct fuse_write_out out = {.size = 1};
	struct md_chain first, chain;

	md_ask_with(d, FUSE_WRITE, 2, &cached, sizeof(cached), "x", 1);
	md_pop(d, &first);
	atomic_store(&d->stop.drain, true);
	assert_int_equal(fd_signal(d->stop.drain_fd), 0);
	md_ask(d, FUSE_GETATTR, 4);
	expect_answer(d, 4, -ENOTCONN, 0);
	md_ask_with(d, FUSE_WRITE, 6, &plain, sizeof(plain), "x", 1);
	expect_answer(d, 6, -ENOTCONN, 0);
	md_ask_with(d, FUSE_WRITE, 8, &cached, sizeof(cached), "y", 1);
	md_pop(d, &chain);
	md_reply(d, &first, &out, sizeof(out));
	expect_answer(d, 2, 0, sizeof(out));
	usleep(10000);
	/* One is left: it is not over. */
	md_reply(d, &chain, &out, sizeof(out));
	expect_answer(d, 8, 0, sizeof(out));
	assert_int_equal(md_join(d), FM_DRAINED);
}

static void *destroy(void *arg)
{
	struct md *d = arg;
	struct md_chain chain;

	md_pop(d, &chain);
	assert_int_equal(md_header(&chain).opcode, FUSE_DESTROY);
	md_reply(d, &chain, NULL, 0);
	return NULL;
}

static void the_session_is_ended(void **state)
{
	struct md *d = *state;
	struct md_chain silent;
	pthread_t device;

	assert_int_equal(md_stop(d), FM_STOPPED);
	assert_int_equal(fm_queue_destroy(d->queue, 20), -ETIMEDOUT);
	/* The device saw that one, and says nothing. */
	md_pop(d, &silent);
	assert_int_equal(pthread_create(&device, NULL, destroy, d), 0);
	assert_int_equal(fm_queue_destroy(d->queue, 5000), 0);
	assert_int_equal(pthread_join(device, NULL), 0);
}

static void slots_go_by_descriptors(void **state)
{
	struct vq_driver ring = {.num = 1024};

	assert_int_equal(fm_queue_slots(&ring), 204);
	ring.features = UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	assert_int_equal(fm_queue_slots(&ring), 1024);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, md_setup, md_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_request_becomes_a_chain),
		CASE(a_request_without_arguments_or_body),
		CASE(written_data_is_page_aligned),
		CASE(read_data_is_page_aligned),
		CASE(errors_pass),
		CASE(answers_come_in_any_order),
		CASE(a_full_queue_leaves_the_rest_to_the_kernel),
		CASE(a_thousand_in_a_row),
		CASE(init_is_masked_both_ways),
		CASE(a_refused_init_ends_it),
		CASE(another_major_version_ends_it),
		CASE(what_has_no_answer_takes_hiprio),
		CASE(a_long_batch_comes_in_pieces),
		CASE(a_full_hiprio_queue_is_waited_for_until_the_end),
		CASE(a_foreign_chain_on_hiprio_ends_it),
		CASE(a_hiprio_queue_given_up_ends_it),
		CASE(a_lie_ends_it),
		CASE(a_chain_twice_ends_it),
		CASE(ids_out_of_range_end_it),
		CASE(a_used_index_that_jumps_ends_it),
		CASE(a_queue_given_up_ends_it),
		CASE(an_unmounted_kernel_ends_it),
		CASE(an_unmounted_kernel_ends_a_full_queue),
		CASE(what_was_answered_gets_out_at_the_end),
		CASE(draining_writes_back_and_refuses),
		CASE(the_session_is_ended),
		cmocka_unit_test(slots_go_by_descriptors),
	};
	const struct CMUnitTest indirect[] = {
		CASE(a_request_becomes_a_chain),
		CASE(a_request_without_arguments_or_body),
		CASE(written_data_is_page_aligned),
		CASE(read_data_is_page_aligned),
		CASE(errors_pass),
		CASE(answers_come_in_any_order),
		CASE(a_full_queue_leaves_the_rest_to_the_kernel),
		CASE(a_thousand_in_a_row),
		CASE(a_lie_ends_it),
		CASE(draining_writes_back_and_refuses),
		CASE(what_was_answered_gets_out_at_the_end),
	};
	int failed = cmocka_run_group_tests_name("mount_queue", tests, NULL, NULL);

	md_features |= UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	failed += cmocka_run_group_tests_name("mount_queue, indirect", indirect, NULL, NULL);
	return failed;
}
