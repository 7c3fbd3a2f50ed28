/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk along a descriptor chain (VIRTIO 2.7.5).
 *
 * A chain is a list of descriptors in the ring's table, the last of which may stand for an
 * indirect table that continues it. The driver may rewrite all of it while we read: every
 * descriptor is loaded once into private memory and checked there, and nothing that was checked
 * is loaded again. An indirect table is read in place when it lies in one region, else
 * descriptor by descriptor through translation.
 *
 * What we read ourselves, tables, has to lie in RAM: in the DAX window a file that is cut short
 * would be SIGBUS. Payload may lie in the window, since only system calls touch it there, and with
 * `foreign` where no region is; the element says how far RAM goes.
 *
 * Loops need no detection of their own: a chain of more than VQ_CHAIN_MAX buffers, or with more
 * descriptors than its table has, is refused, and each step adds one to both counts.
 */
#include "vhostuser/chain.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "vhostuser/checked.h"

#define IOV_FIRST     16 /* segments an element starts with */
#define REGIONS_FIRST 2
#define FOREIGN_FIRST 4

/* A descriptor in private memory, in host byte order. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* The table that the walk is in. */
struct place {
	const uint8_t *host; /* NULL: it crosses regions */
	uint64_t gpa;        /* where it is then */
	uint32_t n;          /* entries */
	bool indirect;
};

struct walk {
	struct vq_table *table;
	struct vq_elem *elem;
	uint32_t n_buffers;
	uint64_t total; /* bytes of all buffers */
	bool writable;  /* a device-writable descriptor was seen */
	const char *why;
};

static int refuse(struct walk *walk, const char *why)
{
	walk->why = why;
	return -EPROTO;
}

static int translate(
	struct vq_table *table, uint64_t gpa, uint64_t len, void **host, uint64_t *part)
{
	struct vu_region *cache = table->cache;

	if (cache && gpa - cache->desc.gpa < cache->desc.size) {
		uint64_t offset = gpa - cache->desc.gpa;

		*host = cache->host + offset;
		*part = MIN(len, cache->desc.size - offset);
		return 0;
	}
	return vu_memory_translate(table->memory, gpa, len, host, part, &table->cache);
}

/* A copy out of memory that may change meanwhile: each byte is loaded exactly once. */
static void copy_once(void *dst, const void *src, size_t n)
{
	const uint8_t *from = src;
	uint8_t *to = dst;

	for (size_t i = 0; i < n; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* The layout is little-endian: {u64 addr, u32 len, u16 flags, u16 next}. */
static struct desc desc_decode(uint64_t low, uint64_t high)
{
	low = le64toh(low);
	high = le64toh(high);
	return (struct desc){
		.addr = low,
		.len = (uint32_t)high,
		.flags = (uint16_t)(high >> 32),
		.next = (uint16_t)(high >> 48),
	};
}

static struct desc desc_load(const uint8_t *at)
{
	uint64_t raw[2];

	if ((uintptr_t)at % sizeof(raw[0]) == 0) {
		const uint64_t *words = (const void *)at;

		raw[0] = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
		raw[1] = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
	} else {
		/* Nothing says that an indirect table is aligned. */
		copy_once(raw, at, sizeof(raw));
	}
	return desc_decode(raw[0], raw[1]);
}

/* Bytes that cross from region to region. */
static int load_across(struct vq_table *table, uint64_t gpa, void *dst, size_t n)
{
	uint8_t *to = dst;

	while (n) {
		uint64_t part;
		void *host;

		if (translate(table, gpa, n, &host, &part) < 0 || table->cache->desc.window)
			return -EFAULT;
		copy_once(to, host, part);
		to += part;
		gpa += part;
		n -= part;
	}
	return 0;
}

static int place_load(struct walk *walk, const struct place *place, uint32_t i, struct desc *desc)
{
	uint64_t raw[2];

	if (place->host) {
		*desc = desc_load(place->host + (size_t)i * sizeof(struct vring_desc));
		return 0;
	}
	/* No wrap: place_indirect() made sure for the whole table. */
	if (load_across(walk->table, place->gpa + (uint64_t)i * sizeof(raw), raw, sizeof(raw)) < 0)
		return refuse(walk, "indirect table outside guest RAM");
	*desc = desc_decode(raw[0], raw[1]);
	return 0;
}

/*
 * Enters the indirect table that `desc` points to. VIRTIO 2.7.5.3: not nested, the last of its
 * chain, a whole number of descriptors; its WRITE flag means nothing (2.7.5.3.2).
 */
static int place_indirect(struct walk *walk, const struct desc *desc, struct place *place)
{
	uint64_t part, end;
	void *host;

	if (!walk->table->indirect)
		return refuse(walk, "indirect descriptor, not negotiated");
	if (place->indirect)
		return refuse(walk, "indirect table inside an indirect table");
	if (desc->flags & VRING_DESC_F_NEXT)
		return refuse(walk, "indirect descriptor with a next one");
	if (!desc->len || desc->len % sizeof(struct vring_desc))
		return refuse(walk, "indirect table with a length that is no multiple of 16");
	if (add_overflows(desc->addr, desc->len, &end) ||
		translate(walk->table, desc->addr, desc->len, &host, &part) < 0)
		return refuse(walk, "indirect table outside guest memory");
	if (walk->table->cache->desc.window)
		return refuse(walk, "indirect table in the DAX window");
	*place = (struct place){
		.host = part == desc->len ? host : NULL,
		.gpa = desc->addr,
		.n = desc->len / sizeof(struct vring_desc),
		.indirect = true,
	};
	return 0;
}

/* Makes room for one more entry of `size` bytes: 0 or -ENOMEM. */
static int grow(void **array, size_t *capacity, size_t n, size_t first, size_t size)
{
	size_t want;
	void *new;

	if (n < *capacity)
		return 0;
	want = *capacity ? *capacity * 2 : first;
	new = realloc(*array, want * size);
	if (!new)
		return -ENOMEM;
	*array = new;
	*capacity = want;
	return 0;
}

/* One reference for each distinct region: most chains have all their buffers in one. */
static int hold_region(struct vq_elem *elem, struct vu_region *region)
{
	void *array = elem->regions;
	int r;

	for (size_t i = elem->n_regions; i-- > 0;)
		if (elem->regions[i] == region)
			return 0;
	r = grow(&array, &elem->cap_regions, elem->n_regions, REGIONS_FIRST,
		sizeof(elem->regions[0]));
	elem->regions = array;
	if (r < 0)
		return r;
	elem->regions[elem->n_regions++] = vu_region_get(region);
	return 0;
}

/* A note of where the segment at `at` is, since no region tells. */
static int note_foreign(struct vq_elem *elem, size_t at, uint64_t gpa)
{
	void *array = elem->foreigners;
	int r;

	r = grow(&array, &elem->cap_foreign, elem->n_foreign, FOREIGN_FIRST,
		sizeof(elem->foreigners[0]));
	elem->foreigners = array;
	if (r < 0)
		return r;
	elem->foreigners[elem->n_foreign++] = (struct vq_foreign){.at = at, .gpa = gpa};
	return 0;
}

/* `ram` tells whether the segment goes on with what lies in RAM from the part's start. */
static void count_segment(struct walk *walk, bool ram, uint64_t len)
{
	struct vq_elem *elem = walk->elem;
	size_t *n = walk->writable ? &elem->n_rep : &elem->n_req;
	size_t *part_len = walk->writable ? &elem->rep_len : &elem->req_len;
	size_t *part_ram = walk->writable ? &elem->rep_ram : &elem->req_ram;

	if (ram && *part_ram == *part_len)
		*part_ram += len;
	*part_len += len;
	++*n;
}

/* `len` bytes at `host` in the region translated last; or at `gpa` in none: VQ_FOREIGN. */
static int add_segment(struct walk *walk, void *host, uint64_t gpa, uint64_t len)
{
	bool foreign = host == VQ_FOREIGN;
	struct vq_elem *elem = walk->elem;
	size_t n = elem->n_req + elem->n_rep;
	void *array = elem->iov;
	int r;

	if (n >= VQ_IOV_MAX)
		return refuse(walk, "chain crosses too many memory regions");
	r = grow(&array, &elem->capacity, n, IOV_FIRST, sizeof(elem->iov[0]));
	elem->iov = array;
	if (r == 0)
		r = foreign ? note_foreign(elem, n, gpa) : hold_region(elem, walk->table->cache);
	if (r < 0)
		return r;
	elem->iov[n] = (struct iovec){.iov_base = host, .iov_len = len};
	count_segment(walk, !foreign && !walk->table->cache->desc.window, len);
	return 0;
}

/* [gpa, gpa + left), which does not wrap, segment by segment. */
static int add_segments(struct walk *walk, uint64_t gpa, uint64_t left)
{
	struct vq_table *table = walk->table;
	int r;

	while (left) {
		uint64_t part;
		void *host;

		if (translate(table, gpa, left, &host, &part) < 0) {
			if (!table->foreign)
				return refuse(walk, "buffer outside guest memory");
			host = VQ_FOREIGN;
			part = vu_memory_gap(table->memory, gpa, left);
		}
		r = add_segment(walk, host, gpa, part);
		if (r < 0)
			return r;
		/* May wrap to 0 only behind the last byte of all. */
		gpa += part;
		left -= part;
	}
	return 0;
}

/* A buffer without bytes is allowed, wherever it points. */
static int add_buffer(struct walk *walk, const struct desc *desc)
{
	uint64_t last;

	if (++walk->n_buffers > VQ_CHAIN_MAX)
		return refuse(walk, "chain too long, or a loop");
	if (desc->flags & VRING_DESC_F_WRITE)
		walk->writable = true;
	else if (walk->writable)
		/* VIRTIO 2.7.4.2: device-writable elements come after the device-readable ones. */
		return refuse(walk, "device-readable descriptor after a device-writable one");
	walk->total += desc->len;
	if (walk->total > UINT32_MAX)
		return refuse(walk, "chain of 4 GiB or more");
	if (desc->len && add_overflows(desc->addr, desc->len - 1, &last))
		return refuse(walk, "buffer outside guest memory");
	return add_segments(walk, desc->addr, desc->len);
}

static int follow(struct walk *walk, uint16_t head)
{
	struct place place = {
		.host = (const uint8_t *)walk->table->desc,
		.n = walk->table->num,
	};
	uint32_t i = head, steps = 0;
	struct desc desc;
	int r;

	for (;;) {
		if (i >= place.n)
			return refuse(walk, "descriptor index outside its table");
		if (++steps > place.n)
			return refuse(walk, "loop in a descriptor chain");
		if (!place.indirect)
			walk->elem->n_descs++;
		r = place_load(walk, &place, i, &desc);
		if (r < 0)
			return r;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			r = place_indirect(walk, &desc, &place);
			if (r < 0)
				return r;
			i = 0;
			steps = 0;
			continue;
		}
		r = add_buffer(walk, &desc);
		if (r < 0 || !(desc.flags & VRING_DESC_F_NEXT))
			return r;
		i = desc.next;
	}
}

int vq_chain_read(struct vq_table *table, uint16_t head, struct vq_elem *elem, const char **why)
{
	struct walk walk = {.table = table, .elem = elem};
	int r;

	r = follow(&walk, head);
	if (r < 0) {
		vq_chain_clear(elem);
		*why = walk.why;
		return r;
	}
	elem->head = head;
	elem->req = elem->iov;
	elem->rep = elem->iov ? elem->iov + elem->n_req : NULL;
	elem->foreign = elem->foreigners;
	return 0;
}

void vq_chain_clear(struct vq_elem *elem)
{
	for (size_t i = 0; i < elem->n_regions; i++)
		vu_region_put(elem->regions[i]);
	elem->n_regions = 0;
	elem->req = elem->rep = NULL;
	elem->n_req = elem->n_rep = 0;
	elem->req_len = elem->rep_len = 0;
	elem->req_ram = elem->rep_ram = 0;
	elem->foreign = NULL;
	elem->n_foreign = 0;
	elem->n_descs = 0;
}

void vq_chain_fini(struct vq_elem *elem)
{
	vq_chain_clear(elem);
	free(elem->iov);
	free(elem->regions);
	free(elem->foreigners);
	elem->iov = NULL;
	elem->regions = NULL;
	elem->foreigners = NULL;
	elem->capacity = elem->cap_regions = elem->cap_foreign = 0;
}
