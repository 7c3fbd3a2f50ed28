/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that breaks the rules of the ring: that queue breaks (err eventfd), or it gets an error
 * reply; other queues and the service go on, and the queue comes back with a stop and a start.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID
#define NEXT VRING_DESC_F_NEXT
#define WR   VRING_DESC_F_WRITE
#define IND  VRING_DESC_F_INDIRECT

static struct it_options two_queues = {
	.be = { .request_queues = 2 },
	.fc = { .request_queues = 2, .ring_size = 64, .depth = 8, .room = 65536 },
};

struct target {
	struct it *it;
	struct fc_queue *q;
	struct vring_desc *desc;  /* the ring's */
	struct vring_desc *table; /* an indirect one in the scratch area */
	uint64_t table_gpa;
	uint64_t data; /* gpa of scratch memory */
};

static void set(struct vring_desc *desc, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){ .addr = addr, .len = len, .flags = flags, .next = next };
}

static void go(struct target *t, uint16_t head)
{
	vq_driver_publish(t->q->vq, head);
}

/* ---- attacks: each must break the queue ---- */

static void loop_of_one(struct target *t)
{
	set(&t->desc[0], t->data, 64, NEXT, 0);
	go(t, 0);
}

static void loop_of_three(struct target *t)
{
	set(&t->desc[0], t->data, 64, NEXT, 1);
	set(&t->desc[1], t->data, 64, NEXT | WR, 2);
	set(&t->desc[2], t->data, 64, NEXT | WR, 1);
	go(t, 0);
}

static void loop_of_nothing(struct target *t)
{
	set(&t->desc[0], 0, 0, NEXT, 1);
	set(&t->desc[1], 0, 0, NEXT, 0);
	go(t, 0);
}

static void loop_in_indirect_table(struct target *t)
{
	set(&t->table[0], t->data, 64, NEXT, 1);
	set(&t->table[1], t->data, 64, NEXT, 0);
	set(&t->desc[0], t->table_gpa, 32, IND, 0);
	go(t, 0);
}

static void head_outside(struct target *t)
{
	go(t, 64);
}

static void head_far_outside(struct target *t)
{
	go(t, UINT16_MAX);
}

static void next_outside(struct target *t)
{
	set(&t->desc[0], t->data, 64, NEXT, 64);
	go(t, 0);
}

static void next_outside_indirect(struct target *t)
{
	set(&t->table[0], t->data, 64, NEXT, 2);
	set(&t->desc[0], t->table_gpa, 32, IND, 0);
	go(t, 0);
}

static void buffer_at_nothing(struct target *t)
{
	set(&t->desc[0], 0, 64, 0, 0);
	go(t, 0);
}

static void buffer_past_the_end(struct target *t)
{
	set(&t->desc[0], t->it->fc->memory_end - 63, 64, 0, 0);
	go(t, 0);
}

static void buffer_before_the_start(struct target *t)
{
	set(&t->desc[0], FC_MEMORY_BASE - 1, 64, 0, 0);
	go(t, 0);
}

static void buffer_wraps(struct target *t)
{
	set(&t->desc[0], UINT64_MAX - 31, 64, 0, 0);
	go(t, 0);
}

static void buffer_wraps_onto_memory(struct target *t)
{
	set(&t->desc[0], UINT64_MAX - 15, UINT32_MAX, WR, 0);
	go(t, 0);
}

static void readable_after_writable(struct target *t)
{
	set(&t->desc[0], t->data, 64, WR | NEXT, 1);
	set(&t->desc[1], t->data + 64, 64, 0, 0);
	go(t, 0);
}

static void readable_after_writable_indirect(struct target *t)
{
	set(&t->table[0], t->data, 64, NEXT, 1);
	set(&t->table[1], t->data, 64, WR | NEXT, 2);
	set(&t->table[2], t->data, 64, 0, 0);
	set(&t->desc[0], t->table_gpa, 48, IND, 0);
	go(t, 0);
}

static void indirect_in_indirect(struct target *t)
{
	set(&t->table[0], t->table_gpa, 32, IND, 0);
	set(&t->table[1], t->data, 64, 0, 0);
	set(&t->desc[0], t->table_gpa, 32, IND, 0);
	go(t, 0);
}

static void indirect_with_next(struct target *t)
{
	set(&t->table[0], t->data, 64, 0, 0);
	set(&t->desc[0], t->table_gpa, 16, IND | NEXT, 1);
	set(&t->desc[1], t->data, 64, WR, 0);
	go(t, 0);
}

static void indirect_of_no_bytes(struct target *t)
{
	set(&t->desc[0], t->table_gpa, 0, IND, 0);
	go(t, 0);
}

static void indirect_of_15_bytes(struct target *t)
{
	set(&t->desc[0], t->table_gpa, 15, IND, 0);
	go(t, 0);
}

static void indirect_of_17_bytes(struct target *t)
{
	set(&t->table[0], t->data, 64, 0, 0);
	set(&t->desc[0], t->table_gpa, 17, IND, 0);
	go(t, 0);
}

static void indirect_outside(struct target *t)
{
	set(&t->desc[0], 64, 32, IND, 0);
	go(t, 0);
}

static void indirect_over_the_end(struct target *t)
{
	struct vring_desc *last = fc_host(t->it->fc, t->it->fc->memory_end - 16, 16);

	set(last, t->data, 64, NEXT, 1);
	set(&t->desc[0], t->it->fc->memory_end - 16, 32, IND, 0);
	go(t, 0);
}

static void indirect_wraps(struct target *t)
{
	set(&t->desc[0], UINT64_MAX - 15, 32, IND, 0);
	go(t, 0);
}

static void indirect_of_4_gib(struct target *t)
{
	struct vring_desc *last = fc_host(t->it->fc, t->it->fc->memory_end - 16, 16);

	set(last, t->data, 64, NEXT, 50000);
	set(&t->desc[0], t->it->fc->memory_end - 16, 0xfffffff0u, IND, 0);
	go(t, 0);
}

static void chain_too_long(struct target *t)
{
	for (uint16_t i = 0; i < 1200; i++)
		set(&t->table[i], t->data, 1, NEXT, (uint16_t)(i + 1));
	set(&t->table[1200], t->data, 1, 0, 0);
	set(&t->desc[0], t->table_gpa, 1201 * 16, IND, 0);
	go(t, 0);
}

static void more_than_4_gib(struct target *t)
{
	uint64_t size = t->it->fc->memory_end - FC_MEMORY_BASE;
	uint16_t n = (uint16_t)((UINT64_C(4) << 30) / size + 2);

	for (uint16_t i = 0; i < n; i++)
		set(&t->table[i], FC_MEMORY_BASE, (uint32_t)size, i + 1 < n ? NEXT | WR : WR,
			(uint16_t)(i + 1));
	set(&t->desc[0], t->table_gpa, n * 16u, IND, 0);
	go(t, 0);
}

static void avail_index_jumps(struct target *t)
{
	t->q->vq->avail_idx += 64;
	go(t, 0);
}

static void avail_index_runs_backwards(struct target *t)
{
	t->q->vq->avail_idx -= 2;
	go(t, 0);
}

#define ATTACK(fn) { #fn, fn }

static const struct {
	const char *name;
	void (*attack)(struct target *t);
} attacks[] = {
	ATTACK(loop_of_one),
	ATTACK(loop_of_three),
	ATTACK(loop_of_nothing),
	ATTACK(loop_in_indirect_table),
	ATTACK(head_outside),
	ATTACK(head_far_outside),
	ATTACK(next_outside),
	ATTACK(next_outside_indirect),
	ATTACK(buffer_at_nothing),
	ATTACK(buffer_past_the_end),
	ATTACK(buffer_before_the_start),
	ATTACK(buffer_wraps),
	ATTACK(buffer_wraps_onto_memory),
	ATTACK(readable_after_writable),
	ATTACK(readable_after_writable_indirect),
	ATTACK(indirect_in_indirect),
	ATTACK(indirect_with_next),
	ATTACK(indirect_of_no_bytes),
	ATTACK(indirect_of_15_bytes),
	ATTACK(indirect_of_17_bytes),
	ATTACK(indirect_outside),
	ATTACK(indirect_over_the_end),
	ATTACK(indirect_wraps),
	ATTACK(indirect_of_4_gib),
	ATTACK(chain_too_long),
	ATTACK(more_than_4_gib),
	ATTACK(avail_index_jumps),
	ATTACK(avail_index_runs_backwards),
};

static void kick(const struct fc_queue *q)
{
	uint64_t one = 1;

	(void)!write(q->vq->kick, &one, sizeof(one));
}

static bool breaks(const struct fc_queue *q, int timeout_ms)
{
	struct pollfd fd = { .fd = q->vq->err, .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1;
}

/* As after a guest's device reset: stop it, set it up from scratch. All its slots are free again.
 */
static void revive(struct it *it, struct fc_queue *q)
{
	uint16_t base;

	assert_int_equal(vu_frontend_ring_stop(it->fc->fe, q->index, &base), 0);
	assert_int_equal(vu_frontend_ring_start(it->fc->fe, q->index, it->fc->options.ring_size,
				 q->ring_gpa, &q->vq),
		0);
}

static struct target target_of(struct it *it)
{
	struct target t = { .it = it, .q = it->q, .desc = it->q->vq->desc };

	t.table_gpa = it->fc->scratch_gpa;
	t.table = fc_host(it->fc, t.table_gpa, 1 << 20);
	t.data = it->fc->scratch_gpa + (1 << 20);
	assert_non_null(t.table);
	return t;
}

static void assert_others_go_on(struct it *it)
{
	it_assert_alive(&it->fc->queue[2]);
	assert_int_equal(fc_forget(it->hp, 1234567, 1), 0);
}

static void every_attack_breaks_its_queue_only(void **state)
{
	struct it *it = *state;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		struct target t = target_of(it);

		attacks[i].attack(&t);
		kick(t.q);
		if (!breaks(t.q, 2000))
			fail_msg("%s: the queue did not break", attacks[i].name);
		assert_others_go_on(it);
		/* A broken queue stays broken, whatever it is given. */
		kick(t.q);
		revive(it, it->q);
		it_assert_alive(it->q);
	}
	assert_true(be_log_lines(&it->be, "broken") > 0);
}

/* The same on hiprio. */
static void attacks_on_hiprio(void **state)
{
	struct it *it = *state;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i += 5) {
		struct target t = target_of(it);

		t.q = it->hp;
		t.desc = it->hp->vq->desc;
		attacks[i].attack(&t);
		kick(t.q);
		assert_true(breaks(t.q, 2000));
		it_assert_alive(it->q);
		revive(it, it->hp);
		assert_int_equal(fc_forget(it->hp, 1234567, 1), 0);
	}
}

/* ---- odd, but within the rules ---- */

static struct fc_req *odd_getattr(struct it *it)
{
	struct fuse_getattr_in in = { .fh = 0 };
	struct fc_req *req = fc_slot(it->q);
	struct fuse_in_header h;

	assert_non_null(req);
	fc_header(it->q, &h, FUSE_GETATTR, ROOT, sizeof(h) + sizeof(in));
	memcpy(req->req, &h, sizeof(h));
	memcpy(req->req + sizeof(h), &in, sizeof(in));
	req->unique = h.unique;
	req->room = 16 + sizeof(struct fuse_attr_out);
	return req;
}

static void empty_buffers_between(void **state)
{
	struct it *it = *state;
	struct fc_req *req = odd_getattr(it);
	const struct vq_buf bufs[] = {
		{ 0, 0, false },
		{ req->req_gpa, 40, false },
		{ UINT64_MAX, 0, false },
		{ req->req_gpa + 40, 16, false },
		{ 0, 0, true },
		{ req->rep_gpa, 16, true },
		{ 12345, 0, true },
		{ req->rep_gpa + 16, req->room - 16, true },
	};

	assert_true(fc_publish(req, bufs, ARRAY_SIZE(bufs), false));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	req = odd_getattr(it);
	assert_true(fc_publish(req, bufs, ARRAY_SIZE(bufs), true));
	fc_wait(req, FC_WAIT_MS, NULL);
	it_assert_alive(it->q);
}

/* As long as an indirect table may be: a byte each, and nothing in the rest. */
static void table_of_1024_entries(void **state)
{
	struct it *it = *state;
	struct target t = target_of(it);
	struct fc_req *req = odd_getattr(it);
	struct vq_buf bufs[1024];
	size_t n = 0;

	for (size_t i = 0; i < 56; i++)
		bufs[n++] = (struct vq_buf){ req->req_gpa + i, 1, false };
	for (size_t i = 0; i < 800; i++)
		bufs[n++] = (struct vq_buf){ 0, 0, false };
	for (size_t i = 0; i < req->room; i++)
		bufs[n++] = (struct vq_buf){ req->rep_gpa + i, 1, true };
	while (n < ARRAY_SIZE(bufs))
		bufs[n++] = (struct vq_buf){ 0, 0, true };
	assert_int_equal(vq_driver_add_indirect(it->q->vq, bufs, n, t.table, t.table_gpa, req), 0);
	vq_driver_kick(it->q->vq);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	it_assert_alive(it->q);
}

/* Tables need no alignment, and neither do buffers. */
static void unaligned_table(void **state)
{
	struct it *it = *state;
	struct target t = target_of(it);

	for (unsigned int shift = 1; shift < 16; shift++) {
		struct fc_req *req = odd_getattr(it);
		struct vring_desc table[2];

		set(&table[0], req->req_gpa, 56, NEXT, 1);
		set(&table[1], req->rep_gpa, req->room, WR, 0);
		const struct vq_buf whole[] = { { req->req_gpa, 56, false },
			{ req->rep_gpa, req->room, true } };
		/* The driver writes its own table; ours, shifted, takes its place before the kick.
		 */
		assert_int_equal(vq_driver_add_indirect(
					 it->q->vq, whole, 2, req->table, req->table_gpa, req),
			0);
		uint16_t slot = (uint16_t)(it->q->vq->avail_idx - 1) & (it->q->vq->num - 1);
		uint16_t head = it->q->vq->avail->ring[slot];
		memcpy((uint8_t *)t.table + shift, table, sizeof(table));
		it->q->vq->desc[head].addr = t.table_gpa + shift;
		vq_driver_kick(it->q->vq);
		assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	}
}

/* Chains with no room for an answer, or nothing to read: given back with no bytes written. */
static void one_sided_chains(void **state)
{
	struct it *it = *state;
	struct fc_req *req = odd_getattr(it);
	const struct vq_buf readable = { req->req_gpa, 56, false };

	req->no_reply = true;
	assert_true(fc_publish(req, &readable, 1, false));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	req = odd_getattr(it);
	req->no_reply = true;
	const struct vq_buf nothing = { 0, 0, false };
	assert_true(fc_publish(req, &nothing, 1, false));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	/* All writable: an error reply is as good as none. */
	req = odd_getattr(it);
	req->unique = 0;
	const struct vq_buf writable = { req->rep_gpa, req->room, true };
	assert_true(fc_publish(req, &writable, 1, false));
	int r = fc_wait(req, FC_WAIT_MS, NULL);
	assert_true(r == -EINVAL || (r == FC_BAD_REPLY && req->used == 0));
	/* Room for 15 of the reply's 16 header bytes. */
	req = odd_getattr(it);
	req->no_reply = true;
	const struct vq_buf tight[] = { { req->req_gpa, 56, false }, { req->rep_gpa, 15, true } };
	assert_true(fc_publish(req, tight, 2, false));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	it_assert_alive(it->q);
}

/* The same buffer to read from and to write to. */
static void reply_over_the_request(void **state)
{
	struct it *it = *state;
	struct fc_req *req = odd_getattr(it);

	const struct vq_buf bufs[] = { { req->rep_gpa, 56, false },
		{ req->rep_gpa, req->room, true } };
	memcpy(req->rep, req->req, 56);
	assert_true(fc_publish(req, bufs, 2, false));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
}

/* A reply onto the ring itself: the guest hurts its own queue at most. */
static void reply_over_the_ring(void **state)
{
	struct it *it = *state;
	static const uint32_t offsets[] = { 0, 64 * 16, 64 * 16 + 2, 64 * 16 + 4 + 128 };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct fc_req *req = odd_getattr(it);
		const struct vq_buf bufs[] = { { req->req_gpa, 56, false },
			{ it->q->ring_gpa + offsets[i], req->room, true } };

		assert_true(fc_publish(req, bufs, 2, false));
		for (int64_t end = it_now_ms() + 50; it_now_ms() < end && !breaks(it->q, 0);)
			it_nap();
		assert_others_go_on(it);
		revive(it, it->q);
		it_assert_alive(it->q);
	}
}

/* One chain twice in the avail ring: both are served, or the queue breaks. */
static void same_chain_twice(void **state)
{
	struct it *it = *state;
	struct fc_req *req = odd_getattr(it);
	const struct vq_buf bufs[] = { { req->req_gpa, 56, false },
		{ req->rep_gpa, req->room, true } };

	assert_int_equal(vq_driver_add(it->q->vq, bufs, 2, req), 0);
	uint16_t head = it->q->vq->avail->ring[(it->q->vq->avail_idx - 1) & (it->q->vq->num - 1)];
	for (int i = 0; i < 20; i++)
		go(&(struct target){ .q = it->q }, head);
	kick(it->q);
	it_until(breaks(it->q, 0) || it->q->vq->used->idx == it->q->vq->avail_idx, 2000);
	assert_others_go_on(it);
	revive(it, it->q);
	fc_cancel(req);
	it_assert_alive(it->q);
}

/* ---- memory that changes while it is read ---- */

struct flipper {
	struct it *it;
	atomic_bool stop;
};

/* A guest races on purpose; the back-end must not care, and nobody is to report it here. */
#define RACY __attribute__((no_sanitize("thread")))

RACY static void scribble(uint8_t *at, const char *text)
{
	volatile uint8_t *to = at;

	do
		*to++ = (uint8_t)*text;
	while (*text++);
}

/* Between two lives of everything that a request is made of. */
RACY static void *flip(void *arg)
{
	struct flipper *f = arg;
	struct it *it = f->it;
	struct fc_queue *q = it->q;
	struct fc_req *slots = q->reqs;
	unsigned int n = it->fc->options.depth;
	uint32_t seed = 0x2545f491;
	/* The driver may be replaced while we run; the memory stays. */
	struct vring_desc *desc = fc_host(it->fc, q->ring_gpa, 64 * sizeof(*desc));
	static const char *const names[] = { "inside", "../outside", "..", ".", "a/../../outside",
		"" };

	while (!atomic_load(&f->stop)) {
		seed = seed * 1664525 + 1013904223;
		struct fc_req *req = &slots[seed >> 8 & (n - 1)];
		struct fuse_in_header *h = (void *)req->req;

		switch (seed >> 16 & 7) {
		case 0:
			desc[seed >> 20 & 63].len ^= 1u << (seed >> 26 & 31);
			break;
		case 1:
			desc[seed >> 20 & 63].flags ^= (uint16_t)(1u << (seed >> 26 & 3));
			break;
		case 2:
			desc[seed >> 20 & 63].next ^= (uint16_t)(1u << (seed >> 26 & 7));
			break;
		case 3:
			h->len ^= 1u << (seed >> 26 & 31);
			break;
		case 4:
			h->opcode = seed >> 24 & 63;
			break;
		case 5:
			h->nodeid ^= seed >> 20;
			break;
		default:
			scribble(req->req + 1024, names[seed >> 24 & 7 ? seed % 6 : 0]);
			scribble(req->req + 40, names[seed % 6]);
			break;
		}
	}
	return NULL;
}

static void memory_changes_while_read(void **state)
{
	struct it *it = *state;
	struct flipper f = { .it = it };
	int64_t end = it_now_ms() + 2000;
	char outside[160];
	pthread_t thread;
	int broken = 0, answered = 0;

	snprintf(outside, sizeof(outside), "%s/outside", it->be.root);
	assert_int_equal(mkdir(outside, 0700), 0);
	it_file(it, "inside", "x");
	assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
	for (unsigned int i = 0; it_now_ms() < end; i++) {
		static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR };
		struct fc_req *req =
			fc_send(it->q, &(struct fc_call){ .opcode = opcodes[i % 3],
					       .nodeid = ROOT,
					       .name = "inside",
					       .room = sizeof(struct fuse_entry_out) });
		int r = req ? fc_wait(req, 20, NULL) : FC_NO_ROOM;

		if (r > FC_TIMEOUT || r == FC_BAD_REPLY) {
			answered++;
			continue;
		}
		broken++;
		revive(it, it->q);
		if (req)
			fc_cancel(req);
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	revive(it, it->q);
	print_message("%d answered, %d times broken\n", answered, broken);
	/* Somebody may have sent DESTROY; the service is there all the same. */
	assert_int_equal(fc_mount(&it->fc->queue[2], NULL), 0);
	assert_others_go_on(it);
	assert_int_equal(access(outside, F_OK), 0);
	assert_true(answered > 0);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(every_attack_breaks_its_queue_only, two_queues),
	IT_TEST_WITH(attacks_on_hiprio, two_queues),
	IT_TEST(empty_buffers_between),
	IT_TEST(table_of_1024_entries),
	IT_TEST(unaligned_table),
	IT_TEST(one_sided_chains),
	IT_TEST(reply_over_the_request),
	IT_TEST_WITH(reply_over_the_ring, two_queues),
	IT_TEST_WITH(same_chain_twice, two_queues),
	IT_TEST_WITH(memory_changes_while_read, two_queues),
};

#define ONE_QUEUE "it serves one request queue"
#define NO_EMPTY  "it gives up a queue with a buffer that has no bytes"
static const struct it_difference differences[] = {
	{ "every_attack_breaks_its_queue_only", ONE_QUEUE },
	{ "attacks_on_hiprio", ONE_QUEUE },
	{ "empty_buffers_between", NO_EMPTY },
	{ "table_of_1024_entries", NO_EMPTY },
	{ "one_sided_chains", NO_EMPTY },
	{ "reply_over_the_ring", ONE_QUEUE },
	{ "same_chain_twice", ONE_QUEUE },
	{ "memory_changes_while_read", ONE_QUEUE },
};

IT_MAIN("bad_guest_ring", tests, differences)
