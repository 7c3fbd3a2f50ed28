/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's memory for unit tests: memfds, seen by the test and by the code under test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vhostuser/checked.h"
#include "vhostuser/memory.h"

#define GUEST_REGIONS 8

/* Front-end addresses are guest physical ones plus this. */
#define GUEST_USER UINT64_C(0x550000000000)

struct guest {
	struct vu_memory *memory;
	size_t n;
	struct {
		uint64_t gpa, size;
		uint8_t *view; /* the test's own mapping */
	} regions[GUEST_REGIONS];
};

static inline int guest_memfd(uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static inline struct vu_region_desc guest_desc(uint64_t gpa, uint64_t size)
{
	/* User addresses need not follow guest physical ones; the top of the latter must fit. */
	return (struct vu_region_desc){
		.gpa = gpa,
		.size = size,
		.user_addr = GUEST_USER + (gpa & UINT64_C(0xffffffffff)),
	};
}

static inline void guest_init(struct guest *guest)
{
	*guest = (struct guest){.memory = vu_memory_new()};
	assert_non_null(guest->memory);
}

/* Adds a region to the current table. */
static inline void guest_add(struct guest *guest, uint64_t gpa, uint64_t size)
{
	struct vu_region_desc desc = guest_desc(gpa, size);
	struct vu_memory *memory;
	struct vu_region *region;
	int fd = guest_memfd(size);

	assert_true(guest->n < GUEST_REGIONS);
	assert_int_equal(vu_region_map(&desc, fd, &region), 0);
	assert_int_equal(vu_memory_add(guest->memory, region, &memory), 0);
	vu_region_put(region);
	vu_memory_put(guest->memory);
	guest->memory = memory;
	guest->regions[guest->n].gpa = gpa;
	guest->regions[guest->n].size = size;
	guest->regions[guest->n].view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(guest->regions[guest->n].view != MAP_FAILED);
	guest->n++;
	close(fd);
}

/* Takes a region out of the current table; the test's own view of it stays. */
static inline void guest_remove(struct guest *guest, uint64_t gpa, uint64_t size)
{
	struct vu_region_desc desc = guest_desc(gpa, size);
	struct vu_memory *memory;

	assert_int_equal(vu_memory_remove(guest->memory, &desc, &memory), 0);
	vu_memory_put(guest->memory);
	guest->memory = memory;
}

/* The test's view of one byte of guest memory and what follows; NULL outside. */
static inline void *guest_at(const struct guest *guest, uint64_t gpa)
{
	for (size_t i = 0; i < guest->n; i++)
		if (gpa - guest->regions[i].gpa < guest->regions[i].size)
			return guest->regions[i].view + (gpa - guest->regions[i].gpa);
	return NULL;
}

static inline void guest_fini(struct guest *guest)
{
	for (size_t i = 0; i < guest->n; i++)
		munmap(guest->regions[i].view, guest->regions[i].size);
	vu_memory_put(guest->memory);
}

/* True while something is mapped there. */
static inline bool is_mapped(const void *page)
{
	return msync((void *)((uintptr_t)page & ~(uintptr_t)4095), 4096, MS_ASYNC) == 0;
}

/* xorshift64: repeatable, and the same everywhere. */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
