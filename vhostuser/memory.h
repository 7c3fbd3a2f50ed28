/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory as the front-end shares it (vhost-user: memory region descriptions).
 *
 * A struct vu_memory is an immutable, reference-counted table of regions sorted by guest
 * physical address. Adding or removing a region makes a new table; whoever uses the old one keeps
 * it by reference. A region is unmapped with its last reference, which may be a descriptor chain
 * in flight on another thread. All functions are thread-safe on distinct or immutable objects;
 * reference counts are atomic.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Slots we accept: the most that QEMU's ACPI memory hotplug and its kernel's vhost use. */
#define VU_MEMORY_SLOTS 509

/* Regions mapped at a time, those that only chains in flight still hold included. */
#define VU_REGIONS_MAX 8192

/* As on the wire: one region of the memory table. */
struct vu_region_desc {
	uint64_t gpa;         /* guest physical address */
	uint64_t size;        /* bytes */
	uint64_t user_addr;   /* front-end's virtual address */
	uint64_t mmap_offset; /* where the region starts in the fd */
	bool window;          /* a part of the DAX window: only system calls touch it */
};

struct vu_region {
	_Atomic uint32_t refs;
	struct vu_region_desc desc;
	uint8_t *host; /* the region's first byte in our address space */
	void *map;     /* what was mmapped: page-aligned, `map_size` bytes */
	size_t map_size;
	size_t place; /* in memory.c's list of what is mapped */
	dev_t dev;    /* identity of the file behind it */
	ino_t ino;
};

struct vu_memory {
	_Atomic uint32_t refs;
	size_t n;
	struct vu_region *regions[]; /* sorted by gpa, never overlapping; one reference each */
};

/*
 * Maps a region, shared and read-write. `fd` is borrowed. An mmap_offset inside a page is fine.
 * -EINVAL: empty, wraps 2^64, not a file or device that can be mapped, or past the end of the file
 * (touching it would be SIGBUS; a part of the window may be, since it is never touched); -ENOSPC
 * past VU_REGIONS_MAX; else mmap's errno.
 */
int vu_region_map(const struct vu_region_desc *desc, int fd, struct vu_region **region);
struct vu_region *vu_region_get(struct vu_region *region);
void vu_region_put(struct vu_region *region);

/* A table without regions; NULL when out of memory. */
struct vu_memory *vu_memory_new(void);
struct vu_memory *vu_memory_get(struct vu_memory *memory);
void vu_memory_put(struct vu_memory *memory);

/*
 * A new table: `old` (borrowed) plus `region` (borrowed; the table takes its own reference).
 * -EEXIST when it overlaps another in guest physical or front-end virtual addresses; -ENOSPC past
 * VU_MEMORY_SLOTS; -ENOMEM.
 */
int vu_memory_add(const struct vu_memory *old, struct vu_region *region, struct vu_memory **memory);

/* A new table without the region with this gpa, size and user_addr; -ENOENT when there is none. */
int vu_memory_remove(
	const struct vu_memory *old, const struct vu_region_desc *desc, struct vu_memory **memory);

/*
 * The part of [gpa, gpa + len) that lies in one region: *host and *part (1..len bytes) and the
 * region itself (borrowed from the table). A buffer that crosses into an adjacent region is
 * walked by calling again. -EFAULT when gpa is in no region or the range wraps; len 0: -EINVAL.
 */
int vu_memory_translate(const struct vu_memory *memory, uint64_t gpa, uint64_t len, void **host,
	uint64_t *part, struct vu_region **region);

/* How much of [gpa, gpa + len), which does not wrap and whose first byte is in no region, is so. */
uint64_t vu_memory_gap(const struct vu_memory *memory, uint64_t gpa, uint64_t len);

/*
 * Host address of [user_addr, user_addr + len), which must lie in one region: for vring
 * addresses, which the protocol gives as front-end virtual addresses. -EFAULT otherwise.
 */
int vu_memory_translate_user(const struct vu_memory *memory, uint64_t user_addr, uint64_t len,
	void **host, struct vu_region **region);

/*
 * For a handler of SIGBUS: touching `addr` failed. True when it lies in a mapped region; all of
 * that has become private zero pages then, so that the access may be repeated, and the region is
 * lost. Async-signal-safe, any thread.
 */
bool vu_memory_fault(const void *addr);

/* True when a region of the table is lost: what is written there reaches no guest any more. */
bool vu_memory_lost(const struct vu_memory *memory);
