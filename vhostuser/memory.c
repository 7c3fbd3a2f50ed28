/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: regions, tables of regions, translation.
 *
 * A region is one mmap of a front-end's fd; a table is a sorted array of pointers to regions.
 * Both are immutable once made and die with their last reference. A change makes a new table that
 * shares the unchanged regions with the old one, so a message about memory costs one small
 * allocation and never waits for requests: these hold references on regions, not on tables.
 *
 * Nothing here reads guest memory. The file's size is checked when it is mapped, since touching a
 * page past its end is SIGBUS. But the front-end may truncate it after that, or its file system run
 * full. Whoever handles that signal asks vu_memory_fault(), which puts zero pages in the place of
 * the whole region (huge pages cannot be replaced in part) and notes its loss. It finds the region
 * in a list that needs no lock: whoever touches a region holds it, so the entry that matters does
 * not change, and one that does meanwhile is at worst not the one.
 */
#include "vhostuser/memory.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhostuser/checked.h"

/* What is mapped, for vu_memory_fault(). An entry is claimed by `taken`; start 0: not mapped. */
static struct mapped {
	atomic_bool taken;
	atomic_bool lost;
	_Atomic uintptr_t start;
	_Atomic size_t size;
} mapped[VU_REGIONS_MAX];

/* All entries that were ever taken are below this. */
static _Atomic size_t mapped_end;

/* A free place; false when there is none. */
static bool place_take(size_t *place)
{
	for (size_t i = 0; i < VU_REGIONS_MAX; i++) {
		size_t end = atomic_load(&mapped_end);

		if (atomic_exchange(&mapped[i].taken, true))
			continue;
		while (end <= i && !atomic_compare_exchange_weak(&mapped_end, &end, i + 1))
			;
		*place = i;
		return true;
	}
	return false;
}

static void place_give_back(size_t place)
{
	atomic_store(&mapped[place].start, 0);
	atomic_store(&mapped[place].taken, false);
}

bool vu_memory_fault(const void *addr)
{
	size_t end = atomic_load(&mapped_end);

	for (size_t i = 0; i < end; i++) {
		uintptr_t start = atomic_load(&mapped[i].start);
		size_t size = atomic_load(&mapped[i].size);

		/* Not of one region, if it has changed in between. */
		if (!start || start != atomic_load(&mapped[i].start) ||
			(uintptr_t)addr - start >= size)
			continue;
		atomic_store(&mapped[i].lost, true);
		return mmap((void *)start, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			       0) != MAP_FAILED;
	}
	return false;
}

bool vu_memory_lost(const struct vu_memory *memory)
{
	for (size_t i = 0; i < memory->n; i++) {
		if (atomic_load(&mapped[memory->regions[i]->place].lost))
			return true;
	}
	return false;
}

/* The granularity of mmap on this fd: huge pages want offset and length in their own size. */
static uint64_t fd_page_size(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0)
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Memory past the end of a file is SIGBUS; a device (devdax) has no size and checks in mmap. */
static bool file_covers(const struct stat *st, uint64_t end)
{
	if (S_ISCHR(st->st_mode))
		return true;
	return S_ISREG(st->st_mode) && end <= (uint64_t)st->st_size;
}

int vu_region_map(const struct vu_region_desc *desc, int fd, struct vu_region **region)
{
	uint64_t page, end, delta, map_size;
	struct vu_region *r;
	struct stat st;

	if (!desc->size || add_overflows(desc->gpa, desc->size, &end) ||
		add_overflows(desc->user_addr, desc->size, &end) ||
		add_overflows(desc->mmap_offset, desc->size, &end))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!desc->window && !file_covers(&st, end))
		return -EINVAL;
	page = fd_page_size(fd);
	delta = desc->mmap_offset % page;
	if (add_overflows(desc->size, delta, &map_size) ||
		add_overflows(map_size, page - 1, &map_size) || desc->mmap_offset > INT64_MAX)
		return -EINVAL;
	map_size -= map_size % page;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	if (!place_take(&r->place)) {
		free(r);
		return -ENOSPC;
	}
	r->map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		(off_t)(desc->mmap_offset - delta));
	if (r->map == MAP_FAILED) {
		int error = -errno;

		place_give_back(r->place);
		free(r);
		return error;
	}
	atomic_store(&mapped[r->place].lost, false);
	atomic_store(&mapped[r->place].size, map_size);
	atomic_store(&mapped[r->place].start, (uintptr_t)r->map);
	/* A core dump of ours need not carry the guest's memory. Advisory. */
	(void)madvise(r->map, map_size, MADV_DONTDUMP);
	atomic_init(&r->refs, 1);
	r->desc = *desc;
	r->host = (uint8_t *)r->map + delta;
	r->map_size = map_size;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	*region = r;
	return 0;
}

struct vu_region *vu_region_get(struct vu_region *region)
{
	atomic_fetch_add_explicit(&region->refs, 1, memory_order_relaxed);
	return region;
}

void vu_region_put(struct vu_region *region)
{
	/* Release: our accesses come before the unmapping. Acquire: the unmapping after others'. */
	if (!region || atomic_fetch_sub_explicit(&region->refs, 1, memory_order_acq_rel) != 1)
		return;
	place_give_back(region->place);
	munmap(region->map, region->map_size);
	free(region);
}

static struct vu_memory *memory_alloc(size_t n)
{
	struct vu_memory *memory;

	memory = calloc(1, sizeof(*memory) + n * sizeof(memory->regions[0]));
	if (memory)
		atomic_init(&memory->refs, 1);
	return memory;
}

struct vu_memory *vu_memory_new(void)
{
	return memory_alloc(0);
}

struct vu_memory *vu_memory_get(struct vu_memory *memory)
{
	atomic_fetch_add_explicit(&memory->refs, 1, memory_order_relaxed);
	return memory;
}

void vu_memory_put(struct vu_memory *memory)
{
	if (!memory || atomic_fetch_sub_explicit(&memory->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < memory->n; i++)
		vu_region_put(memory->regions[i]);
	free(memory);
}

/* Neither range wraps: vu_region_map() made sure. */
static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

int vu_memory_add(const struct vu_memory *old, struct vu_region *region, struct vu_memory **memory)
{
	const struct vu_region_desc *new = &region->desc;
	struct vu_memory *m;
	size_t at = 0;

	for (size_t i = 0; i < old->n; i++) {
		const struct vu_region_desc *have = &old->regions[i]->desc;

		if (ranges_overlap(have->gpa, have->size, new->gpa, new->size) ||
			ranges_overlap(have->user_addr, have->size, new->user_addr, new->size))
			return -EEXIST;
		if (have->gpa < new->gpa)
			at = i + 1;
	}
	if (old->n >= VU_MEMORY_SLOTS)
		return -ENOSPC;
	m = memory_alloc(old->n + 1);
	if (!m)
		return -ENOMEM;
	for (size_t i = 0; i < old->n; i++)
		m->regions[i < at ? i : i + 1] = vu_region_get(old->regions[i]);
	m->regions[at] = vu_region_get(region);
	m->n = old->n + 1;
	*memory = m;
	return 0;
}

int vu_memory_remove(
	const struct vu_memory *old, const struct vu_region_desc *desc, struct vu_memory **memory)
{
	struct vu_memory *m;
	size_t at;

	for (at = 0; at < old->n; at++) {
		const struct vu_region_desc *have = &old->regions[at]->desc;

		if (have->gpa == desc->gpa && have->size == desc->size &&
			have->user_addr == desc->user_addr)
			break;
	}
	if (at == old->n)
		return -ENOENT;
	m = memory_alloc(old->n - 1);
	if (!m)
		return -ENOMEM;
	for (size_t i = 0; i < old->n; i++)
		if (i != at)
			m->regions[m->n++] = vu_region_get(old->regions[i]);
	*memory = m;
	return 0;
}

/* How many regions start at or below gpa: those in front of the others. */
static size_t regions_below(const struct vu_memory *memory, uint64_t gpa)
{
	size_t low = 0, high = memory->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memory->regions[mid]->desc.gpa <= gpa)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int vu_memory_translate(const struct vu_memory *memory, uint64_t gpa, uint64_t len, void **host,
	uint64_t *part, struct vu_region **region)
{
	struct vu_region *r;
	uint64_t end, offset;
	size_t below;

	if (!len)
		return -EINVAL;
	if (add_overflows(gpa, len - 1, &end))
		return -EFAULT;
	below = regions_below(memory, gpa);
	if (!below)
		return -EFAULT;
	r = memory->regions[below - 1];
	if (gpa - r->desc.gpa >= r->desc.size)
		return -EFAULT;
	offset = gpa - r->desc.gpa;
	*host = r->host + offset;
	*part = MIN(len, r->desc.size - offset);
	*region = r;
	return 0;
}

uint64_t vu_memory_gap(const struct vu_memory *memory, uint64_t gpa, uint64_t len)
{
	size_t next = regions_below(memory, gpa);

	return next < memory->n ? MIN(len, memory->regions[next]->desc.gpa - gpa) : len;
}

int vu_memory_translate_user(const struct vu_memory *memory, uint64_t user_addr, uint64_t len,
	void **host, struct vu_region **region)
{
	for (size_t i = 0; i < memory->n; i++) {
		struct vu_region *r = memory->regions[i];
		uint64_t offset = user_addr - r->desc.user_addr;

		if (user_addr < r->desc.user_addr || !range_within(offset, len, r->desc.size))
			continue;
		*host = r->host + offset;
		*region = r;
		return 0;
	}
	return -EFAULT;
}
