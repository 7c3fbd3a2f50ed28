/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random descriptor chains against a naive translator: byte by byte, with no cleverness at all.
 *
 * Both must agree whether a chain is allowed, and on the address of each of its bytes; and on how
 * many of them, from the start, lie in RAM: some regions are parts of the DAX window, and in half
 * of the rounds buffers may lie outside of all of them.
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

/* Adjacent regions, a gap, a lonely one, and one as high as can be; one of each is a window's. */
static const struct {
	uint64_t gpa, size;
	bool window;
} layout[] = {
	{0x0, 0x1000, false},
	{0x1000, 0x3000, false},
	{0x4000, 0x1000, true},
	{0x8000, 0x8000, false},
	{0x20000, 0x1000, true},
	{UINT64_MAX - 0x2fff, 0x2000, false},
	{UINT64_MAX - 0xfff - 0x10000, 0xd000, true},
};

/* Where a byte is: in a region, or (host NULL) only in the guest's eyes. */
struct byte {
	const uint8_t *host;
	uint64_t gpa;
};

struct model {
	bool allowed;
	size_t n_req, n_rep;
	size_t req_ram, rep_ram;
	size_t buffers;
	bool seen_writable;
	uint64_t total;
	struct byte req[BYTES_MAX], rep[BYTES_MAX];
};

/* ---- the naive side ---- */

static const struct vu_memory *memory;

static const uint8_t *byte_at(uint64_t gpa, bool *ram)
{
	*ram = false;
	for (size_t i = 0; i < memory->n; i++) {
		const struct vu_region *r = memory->regions[i];

		if (gpa >= r->desc.gpa && gpa <= r->desc.gpa + (r->desc.size - 1)) {
			*ram = !r->desc.window;
			return r->host + (gpa - r->desc.gpa);
		}
	}
	return NULL;
}

/* What is read as a table has to be in RAM. */
static bool bytes_at(uint64_t gpa, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool ram = false;
		const uint8_t *p = gpa + i < gpa ? NULL : byte_at(gpa + i, &ram);

		if (!ram)
			return false;
		out[i] = *p;
	}
	return true;
}

static bool model_buffer(struct model *m, const struct vring_desc *d, bool foreign)
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
		struct byte byte = {.gpa = gpa + i};
		bool ram;

		if (gpa + i < gpa)
			return false;
		byte.host = byte_at(gpa + i, &ram);
		if (!byte.host && !foreign)
			return false;
		if (writable) {
			m->rep_ram += ram && m->rep_ram == m->n_rep;
			m->rep[m->n_rep++] = byte;
		} else {
			m->req_ram += ram && m->req_ram == m->n_req;
			m->req[m->n_req++] = byte;
		}
		assert_true(m->n_rep < BYTES_MAX && m->n_req < BYTES_MAX);
	}
	return true;
}

/* `ring` is the direct table, or NULL for the indirect one of n entries at gpa. */
static bool model_table(struct model *m, const struct vring_desc *ring, uint64_t gpa, size_t n,
	uint16_t at, const struct vq_table *table_of)
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

			return ring && table_of->indirect && !(flags & VRING_DESC_F_NEXT) && len &&
			       len % 16 == 0 && table + len > table &&
			       model_table(m, NULL, table, len / 16, 0, table_of);
		}
		if (!model_buffer(m, &d, table_of->foreign))
			return false;
		if (!(flags & VRING_DESC_F_NEXT))
			return true;
		at = le16toh(d.next);
	}
}

/* ---- random chains ---- */

static uint64_t seed;
static bool longest; /* lengths of 4 GiB may be tried: the model need not follow them */

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
		if (longest)
			d->len = htole32(UINT32_MAX - (uint32_t)pick(3));
		break;
	case 5:
		d->addr = htole64(test_random(&seed));
		break;
	case 6:
		d->len ^= htole32(1u << pick(longest ? 32 : 14));
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

/* `foreign` is the first note about a segment that is not before this part's; moved behind. */
static void compare(const struct iovec *iov, size_t n, size_t sum, const struct byte *bytes,
	size_t n_bytes, const struct vq_foreign **foreign, size_t first, int round)
{
	size_t at = 0;

	assert_int_equal(sum, n_bytes);
	for (size_t i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		if (iov[i].iov_base == VQ_FOREIGN)
			assert_int_equal((*foreign)->at, first + i);
		for (size_t k = 0; k < iov[i].iov_len; k++, at++) {
			bool good = at < n_bytes;

			if (good && iov[i].iov_base == VQ_FOREIGN)
				good = !bytes[at].host && (*foreign)->gpa + k == bytes[at].gpa;
			else if (good)
				good = (uint8_t *)iov[i].iov_base + k == bytes[at].host;
			if (!good)
				fail_msg("round %d: byte %zu is elsewhere", round, at);
		}
		*foreign += iov[i].iov_base == VQ_FOREIGN;
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

static void compare_all(const struct vq_elem *elem, const struct model *model, int round)
{
	const struct vq_foreign *foreign = elem->foreign;

	compare(elem->req, elem->n_req, elem->req_len, model->req, model->n_req, &foreign, 0,
		round);
	compare(elem->rep, elem->n_rep, elem->rep_len, model->rep, model->n_rep, &foreign,
		elem->n_req, round);
	assert_ptr_equal(foreign, elem->foreign ? elem->foreign + elem->n_foreign : NULL);
	assert_int_equal(elem->req_ram, model->req_ram);
	assert_int_equal(elem->rep_ram, model->rep_ram);
}

static void guest_init_layout(struct guest *guest)
{
	guest_init(guest);
	for (size_t i = 0; i < ARRAY_SIZE(layout); i++)
		guest_add(guest, layout[i].gpa, layout[i].size);
	for (size_t i = 0; i < guest->memory->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(layout); k++)
			if (guest->memory->regions[i]->desc.gpa == layout[k].gpa)
				guest->memory->regions[i]->desc.window = layout[k].window;
}

static void test_random_chains(void **state)
{
	static struct model model;
	static _Alignas(16) struct vring_desc ring[NUM];
	size_t allowed = 0, refused = 0, abroad = 0, window = 0;
	struct vq_elem *elem = calloc(1, sizeof(*elem));
	struct vq_table table = {.desc = ring, .num = NUM};
	struct guest guest;

	guest_init_layout(&guest);
	memory = table.memory = guest.memory;
	seed = UINT64_C(0x123456789abcdef1);
	print_message("seed %#llx\n", (unsigned long long)seed);
	for (int round = 0; round < ROUNDS; round++) {
		const char *why = NULL;
		uint16_t last;
		int r;

		table.foreign = pick(2);
		longest = !table.foreign;
		memset(ring, 0, sizeof(ring));
		last = random_chain(ring, NUM, pick(4) ? 1 + pick(6) : 1 + pick(NUM));
		table.indirect = pick(20) != 0;
		if (pick(2))
			random_indirect(&guest, &ring[last]);
		if (pick(3) == 0)
			spoil(ring, NUM);

		memset(&model, 0, offsetof(struct model, req));
		model.allowed = model_table(&model, ring, 0, NUM, 0, &table);
		r = vq_chain_read(&table, 0, elem, &why);
		if (r != (model.allowed ? 0 : -EPROTO))
			fail_msg("round %d: %d (%s), the model says %s", round, r, why ? why : "",
				model.allowed ? "allowed" : "refused");
		if (r == 0) {
			allowed++;
			abroad += elem->n_foreign > 0;
			window += elem->req_ram + elem->rep_ram < elem->req_len + elem->rep_len;
			compare_all(elem, &model, round);
		} else {
			refused++;
			assert_non_null(why);
		}
		check_references(elem);
		vq_chain_clear(elem);
	}
	print_message("%zu chains allowed (%zu foreign, %zu not all in RAM), %zu refused\n",
		allowed, abroad, window, refused);
	assert_true(allowed > ROUNDS / 10 && refused > ROUNDS / 10);
	assert_true(abroad > ROUNDS / 20 && window > abroad);
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
