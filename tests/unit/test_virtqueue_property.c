/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random descriptor chains against a naive translator: byte by byte, with no cleverness at all.
 *
 * Both must agree whether a chain is allowed, and on the address of each of its bytes.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "tests/unit/guest.h"
#include "vhostuser/chain.h"

#define NUM       64u
#define TABLE_MAX 1024u
#define ROUNDS    40000
#define BYTES_MAX 65536u /* what the model follows; chains are made to stay below */

/* Adjacent regions, a gap, a lonely one, and one as high as can be. */
static const struct {
	uint64_t gpa, size;
} layout[] = {
	{0x0, 0x1000},
	{0x1000, 0x3000},
	{0x4000, 0x1000},
	{0x8000, 0x8000},
	{UINT64_MAX - 0x2fff, 0x2000},
	{UINT64_MAX - 0xfff - 0x10000, 0xd000},
};

struct model {
	bool allowed;
	size_t n_req, n_rep;
	const uint8_t *req[BYTES_MAX], *rep[BYTES_MAX];
	size_t buffers;
	bool seen_writable;
	uint64_t total;
};

/* ---- the naive side ---- */

static const struct vu_memory *memory;

static const uint8_t *byte_at(uint64_t gpa)
{
	for (size_t i = 0; i < memory->n; i++) {
		const struct vu_region *r = memory->regions[i];

		if (gpa >= r->desc.gpa && gpa <= r->desc.gpa + (r->desc.size - 1))
			return r->host + (gpa - r->desc.gpa);
	}
	return NULL;
}

static bool bytes_at(uint64_t gpa, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = gpa + i < gpa ? NULL : byte_at(gpa + i);

		if (!p)
			return false;
		out[i] = *p;
	}
	return true;
}

static bool model_buffer(struct model *m, const struct vring_desc *d)
{
	uint64_t gpa = le64toh(d->addr), len = le32toh(d->len);
	bool writable = le16toh(d->flags) & VRING_DESC_F_WRITE;

	if (m->seen_writable && !writable)
		return false;
	m->seen_writable |= writable;
	m->total += len;
	if (++m->buffers > VQ_CHAIN_MAX || m->total > UINT32_MAX)
		return false;
	for (uint64_t i = 0; i < len; i++) {
		const uint8_t *p = gpa + i < gpa ? NULL : byte_at(gpa + i);

		if (!p)
			return false;
		if (writable)
			m->rep[m->n_rep++] = p;
		else
			m->req[m->n_req++] = p;
		assert_true(m->n_rep < BYTES_MAX && m->n_req < BYTES_MAX);
	}
	return true;
}

/* `ring` is the direct table, or NULL for the indirect one of n entries at gpa. */
static bool model_table(struct model *m, const struct vring_desc *ring, uint64_t gpa, size_t n,
	uint16_t at, bool indirect_ok)
{
	bool visited[TABLE_MAX + NUM] = {false};

	for (;;) {
		struct vring_desc d;
		uint16_t flags;

		if (at >= n || visited[at])
			return false;
		visited[at] = true;
		if (ring)
			d = ring[at];
		else if (gpa + at * 16u < gpa || !bytes_at(gpa + at * 16u, (uint8_t *)&d, 16))
			return false;
		flags = le16toh(d.flags);
		if (flags & VRING_DESC_F_INDIRECT) {
			uint32_t len = le32toh(d.len);
			uint64_t table = le64toh(d.addr);

			return ring && indirect_ok && !(flags & VRING_DESC_F_NEXT) && len &&
			       len % 16 == 0 && table + len > table &&
			       model_table(m, NULL, table, len / 16, 0, indirect_ok);
		}
		if (!model_buffer(m, &d))
			return false;
		if (!(flags & VRING_DESC_F_NEXT))
			return true;
		at = le16toh(d.next);
	}
}

/* ---- random chains ---- */

static uint64_t seed;

static uint64_t pick(uint64_t n)
{
	return test_random(&seed) % n;
}

/* Anywhere, but most often near an edge. */
static uint64_t random_gpa(void)
{
	size_t i = pick(ARRAY_SIZE(layout));

	switch (pick(8)) {
	case 0:
		return layout[i].gpa + layout[i].size - pick(64);
	case 1:
		return layout[i].gpa - pick(3);
	case 2:
		return pick(40) ? layout[i].gpa : UINT64_MAX - pick(300);
	default:
		return layout[i].gpa + pick(layout[i].size - 256);
	}
}

static struct vring_desc random_desc(uint16_t next, bool writable)
{
	uint16_t flags = (uint16_t)(VRING_DESC_F_NEXT | (writable ? VRING_DESC_F_WRITE : 0));
	uint32_t len = (uint32_t)(pick(4) ? pick(24) : pick(2) ? 0 : pick(100));

	return (struct vring_desc){
		htole64(random_gpa()), htole32(len), htole16(flags), htole16(next)};
}

/* A chain of n buffers in a table of `size`; links in order or scattered; returns its first. */
static uint16_t random_chain(struct vring_desc *table, size_t size, size_t n)
{
	size_t stride = pick(2) ? 1 : 1 + 2 * pick(8); /* odd: a permutation of a power of two */
	size_t writable_from = pick(n + 1);
	size_t at = 0, i;

	for (i = 0; i < n; i++) {
		size_t next = stride == 1 ? at + 1 : (at + stride) % size;

		table[at] = random_desc((uint16_t)next, i >= writable_from);
		if (i + 1 == n)
			table[at].flags &= htole16((uint16_t)~VRING_DESC_F_NEXT);
		else
			at = next;
	}
	return (uint16_t)at;
}

/* One bit of malice, in one chain of three. */
static void spoil(struct vring_desc *table, size_t n)
{
	struct vring_desc *d = &table[pick(n)];

	switch (pick(9)) {
	case 0:
		d->next = htole16((uint16_t)pick(n)); /* most likely a loop */
		d->flags |= htole16(VRING_DESC_F_NEXT);
		break;
	case 1:
		d->next = htole16((uint16_t)(n + pick(3)));
		break;
	case 2:
		d->flags ^= htole16(VRING_DESC_F_WRITE);
		break;
	case 3:
		d->flags |= htole16(VRING_DESC_F_INDIRECT);
		break;
	case 4:
		d->len = htole32(UINT32_MAX - (uint32_t)pick(3));
		break;
	case 5:
		d->addr = htole64(test_random(&seed));
		break;
	case 6:
		d->len ^= htole32(1u << pick(32));
		break;
	default:
		break; /* leave it be */
	}
}

/* An indirect table somewhere, perhaps across regions, perhaps half outside. */
static void random_indirect(const struct guest *guest, struct vring_desc *d)
{
	static struct vring_desc table[TABLE_MAX];
	size_t n = pick(6) ? 1 + pick(30) : 1 + pick(TABLE_MAX);
	uint64_t gpa = random_gpa();
	uint64_t len = n * 16;

	memset(table, 0, sizeof(table));
	(void)random_chain(table, TABLE_MAX, pick(4) ? n : 1 + pick(n));
	if (pick(3) == 0)
		spoil(table, n);
	for (size_t i = 0; i < n * 16; i++) {
		uint8_t *p = guest_at(guest, gpa + i);

		if (p)
			*p = ((uint8_t *)table)[i];
	}
	if (pick(20) == 0)
		len += pick(33) - 16;
	d->addr = htole64(gpa);
	d->len = htole32((uint32_t)len);
	d->flags = htole16((uint16_t)(VRING_DESC_F_INDIRECT | (pick(2) ? VRING_DESC_F_WRITE : 0)));
	if (pick(30) == 0)
		d->flags |= htole16(VRING_DESC_F_NEXT);
}

/* ---- comparison ---- */

static void compare(const struct iovec *iov, size_t n, size_t sum, const uint8_t *const *bytes,
	size_t n_bytes, int round)
{
	size_t at = 0;

	assert_int_equal(sum, n_bytes);
	for (size_t i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		for (size_t k = 0; k < iov[i].iov_len; k++, at++)
			if (at >= n_bytes || (uint8_t *)iov[i].iov_base + k != bytes[at])
				fail_msg("round %d: byte %zu is elsewhere", round, at);
	}
	assert_int_equal(at, n_bytes);
}

/* Each region of a byte is held once, and no other region. */
static void check_references(const struct vq_elem *elem)
{
	for (size_t i = 0; i < memory->n; i++) {
		const struct vu_region *r = memory->regions[i];
		size_t held = 0;
		bool used = false;

		for (size_t k = 0; k < elem->n_regions; k++)
			held += elem->regions[k] == r;
		for (size_t k = 0; k < elem->n_req + elem->n_rep; k++) {
			const uint8_t *at = elem->req[k].iov_base;

			used |= at >= r->host && at < r->host + r->desc.size;
		}
		assert_int_equal(held, used);
		assert_int_equal(atomic_load(&r->refs), 1 + held);
	}
}

static void test_random_chains(void **state)
{
	static struct model model;
	static _Alignas(16) struct vring_desc ring[NUM];
	size_t allowed = 0, refused = 0;
	struct vq_elem *elem = calloc(1, sizeof(*elem));
	struct vq_table table = {.desc = ring, .num = NUM};
	struct guest guest;

	guest_init(&guest);
	for (size_t i = 0; i < ARRAY_SIZE(layout); i++)
		guest_add(&guest, layout[i].gpa, layout[i].size);
	memory = table.memory = guest.memory;
	seed = UINT64_C(0x123456789abcdef1);
	for (int round = 0; round < ROUNDS; round++) {
		const char *why = NULL;
		uint16_t last;
		int r;

		memset(ring, 0, sizeof(ring));
		last = random_chain(ring, NUM, pick(4) ? 1 + pick(6) : 1 + pick(NUM));
		table.indirect = pick(20) != 0;
		if (pick(2))
			random_indirect(&guest, &ring[last]);
		if (pick(3) == 0)
			spoil(ring, NUM);

		memset(&model, 0, offsetof(struct model, req));
		model.buffers = 0;
		model.seen_writable = false;
		model.total = 0;
		model.allowed = model_table(&model, ring, 0, NUM, 0, table.indirect);
		r = vq_chain_read(&table, 0, elem, &why);
		if (r != (model.allowed ? 0 : -EPROTO))
			fail_msg("round %d: %d (%s), the model says %s", round, r, why ? why : "",
				model.allowed ? "allowed" : "refused");
		if (r == 0) {
			allowed++;
			compare(elem->req, elem->n_req, elem->req_len, model.req, model.n_req,
				round);
			compare(elem->rep, elem->n_rep, elem->rep_len, model.rep, model.n_rep,
				round);
		} else {
			refused++;
			assert_non_null(why);
		}
		check_references(elem);
		vq_chain_clear(elem);
	}
	print_message("%zu chains allowed, %zu refused\n", allowed, refused);
	assert_true(allowed > ROUNDS / 10 && refused > ROUNDS / 10);
	vq_chain_fini(elem);
	free(elem);
	guest_fini(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
