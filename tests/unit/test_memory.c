/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions and tables: every refusal, edges of translation, life time, random tables against a naive
 * model. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "tests/unit/guest.h"

#define PAGE 4096u

static struct vu_region *region_new(uint64_t gpa, uint64_t size)
{
	struct vu_region_desc desc = guest_desc(gpa, size);
	struct vu_region *region;
	int fd = guest_memfd(size);

	assert_int_equal(vu_region_map(&desc, fd, &region), 0);
	close(fd);
	return region;
}

static void test_map_refuses(void **state)
{
	static const struct {
		struct vu_region_desc desc;
		int error;
	} rows[] = {
		{{0, 0, 0, 0}, -EINVAL},
		{{0, 2 * PAGE + 1, 0, 0}, -EINVAL},
		{{0, PAGE, 0, PAGE + 1}, -EINVAL},
		{{0, PAGE, 0, UINT64_MAX - PAGE}, -EINVAL},
		{{0, PAGE, 0, UINT64_MAX}, -EINVAL},
		{{UINT64_MAX - PAGE + 1, PAGE, 0, 0}, -EINVAL},
		{{UINT64_MAX, PAGE, 0, 0}, -EINVAL},
		{{0, PAGE, UINT64_MAX - PAGE + 1, 0}, -EINVAL},
		{{0, UINT64_MAX, 0, 0}, -EINVAL},
		{{0, UINT64_MAX - 1, 0, 2}, -EINVAL},
	};
	struct vu_region_desc fine = {0, PAGE, 0, 0};
	struct vu_region *region = NULL;
	int fd = guest_memfd(2 * PAGE);
	int pipes[2];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(vu_region_map(&rows[i].desc, fd, &region), rows[i].error);
	assert_int_equal(vu_region_map(&fine, -1, &region), -EBADF);
	close(fd);

	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(vu_region_map(&fine, fd, &region), -EINVAL);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(vu_region_map(&fine, pipes[0], &region), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(vu_region_map(&fine, fd, &region), -EACCES);
	close(fd);
	assert_null(region);
}

/* Any offset will do: the region's first byte is the file's byte at the offset. */
static void test_map_offsets(void **state)
{
	static const uint64_t offsets[] = {0, 1, 8, PAGE - 1, PAGE, PAGE + 16, 3 * PAGE - 1};
	int fd = guest_memfd(4 * PAGE);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	for (uint64_t i = 0; i < 4 * PAGE; i += 2) {
		uint16_t mark = (uint16_t)i;

		assert_int_equal(pwrite(fd, &mark, sizeof(mark), (off_t)i), sizeof(mark));
	}
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct vu_region_desc desc = {0x1000, 4 * PAGE - offsets[i], 0x7000, offsets[i]};
		uint8_t expected[2];
		struct vu_region *region;

		assert_int_equal(vu_region_map(&desc, fd, &region), 0);
		assert_int_equal(pread(fd, expected, 2, (off_t)offsets[i]), 2);
		assert_memory_equal(region->host, expected, 2);
		assert_int_equal(region->dev, st.st_dev);
		assert_int_equal(region->ino, st.st_ino);
		region->host[desc.size - 1] = 0x5a; /* its last byte is there */
		assert_int_equal(pread(fd, expected, 1, 4 * PAGE - 1), 1);
		assert_int_equal(expected[0], 0x5a);
		vu_region_put(region);
	}
	close(fd);
}

static void test_add_remove(void **state)
{
	static const uint64_t gpas[] = {0x5000, 0x1000, 0x9000, 0x3000, 0x7000};
	struct vu_memory *memory = vu_memory_new(), *next;
	struct vu_region_desc desc;

	for (size_t i = 0; i < ARRAY_SIZE(gpas); i++) {
		struct vu_region *region = region_new(gpas[i], PAGE);

		assert_int_equal(vu_memory_add(memory, region, &next), 0);
		assert_int_equal(memory->n, i); /* the old one is as it was */
		vu_region_put(region);
		vu_memory_put(memory);
		memory = next;
	}
	for (size_t i = 0; i < memory->n; i++)
		assert_int_equal(memory->regions[i]->desc.gpa, 0x1000 + 0x2000 * i);

	desc = guest_desc(0x5000, PAGE);
	desc.user_addr++;
	assert_int_equal(vu_memory_remove(memory, &desc, &next), -ENOENT);
	desc = guest_desc(0x5000, 2 * PAGE);
	assert_int_equal(vu_memory_remove(memory, &desc, &next), -ENOENT);
	desc = guest_desc(0x6000, PAGE);
	assert_int_equal(vu_memory_remove(memory, &desc, &next), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(gpas); i++) {
		desc = guest_desc(gpas[i], PAGE);
		assert_int_equal(vu_memory_remove(memory, &desc, &next), 0);
		vu_memory_put(memory);
		memory = next;
		assert_int_equal(vu_memory_remove(memory, &desc, &next), -ENOENT);
	}
	assert_int_equal(memory->n, 0);
	vu_memory_put(memory);
}

static void test_overlap(void **state)
{
	static const struct {
		uint64_t gpa, user, size;
		int result;
	} rows[] = {
		/* beside [0x4000, 0x6000) in both spaces, then into it from each side */
		{0x2000, 0x12000, 0x2000, 0},
		{0x6000, 0x16000, 0x1000, 0},
		{0x3000, 0x30000, 0x1001, -EEXIST},
		{0x5fff, 0x30000, 0x1000, -EEXIST},
		{0x4800, 0x30000, 0x100, -EEXIST},
		{0x1000, 0x30000, 0x8000, -EEXIST},
		{0x4000, 0x30000, 0x2000, -EEXIST},
		{0x30000, 0x13000, 0x1001, -EEXIST},
		{0x30000, 0x15fff, 0x1000, -EEXIST},
		{0x30000, 0x11000, 0x8000, -EEXIST},
	};
	struct vu_region_desc desc = {0x4000, 0x2000, 0x14000, 0};
	struct vu_memory *empty = vu_memory_new(), *memory, *next;
	struct vu_region *region;
	int fd = guest_memfd(0x10000);

	assert_int_equal(vu_region_map(&desc, fd, &region), 0);
	assert_int_equal(vu_memory_add(empty, region, &memory), 0);
	assert_int_equal(vu_memory_add(memory, region, &next), -EEXIST);
	vu_region_put(region);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		desc = (struct vu_region_desc){rows[i].gpa, rows[i].size, rows[i].user, 0};
		assert_int_equal(vu_region_map(&desc, fd, &region), 0);
		assert_int_equal(vu_memory_add(memory, region, &next), rows[i].result);
		vu_region_put(region);
		if (rows[i].result == 0)
			vu_memory_put(next);
	}
	vu_memory_put(memory);
	vu_memory_put(empty);
	close(fd);
}

static void test_slots_are_bounded(void **state)
{
	struct vu_memory *memory = vu_memory_new(), *next;
	struct vu_region_desc desc;
	struct vu_region *region;
	int fd = guest_memfd(PAGE);

	for (uint64_t i = 0; i <= VU_MEMORY_SLOTS; i++) {
		int r;

		desc = guest_desc((VU_MEMORY_SLOTS - i) * 2 * PAGE, PAGE);
		assert_int_equal(vu_region_map(&desc, fd, &region), 0);
		r = vu_memory_add(memory, region, &next);
		vu_region_put(region);
		if (i == VU_MEMORY_SLOTS) {
			assert_int_equal(r, -ENOSPC);
			break;
		}
		assert_int_equal(r, 0);
		vu_memory_put(memory);
		memory = next;
	}
	assert_int_equal(memory->n, VU_MEMORY_SLOTS);
	vu_memory_put(memory);
	close(fd);
}

static void test_translate_edges(void **state)
{
	const uint64_t top = UINT64_MAX - 2 * PAGE + 1; /* the region ends a page below 2^64 */
	struct guest guest;
	struct vu_region *region;
	uint64_t part;
	void *host;

	guest_init(&guest);
	guest_add(&guest, 0x4000, 2 * PAGE);
	guest_add(&guest, 0x6000, PAGE); /* adjacent */
	guest_add(&guest, top, PAGE);
#define TRANSLATE(gpa, len) vu_memory_translate(guest.memory, (gpa), (len), &host, &part, &region)
	assert_int_equal(TRANSLATE(0x4000, 0), -EINVAL);
	assert_int_equal(TRANSLATE(0x3fff, 1), -EFAULT);
	assert_int_equal(TRANSLATE(0x7000, 1), -EFAULT);
	assert_int_equal(TRANSLATE(0, UINT64_MAX), -EFAULT);
	assert_int_equal(TRANSLATE(0x4000, UINT64_MAX), -EFAULT); /* wraps */
	assert_int_equal(TRANSLATE(top, 2 * PAGE + 1), -EFAULT);  /* wraps by one */
	assert_int_equal(TRANSLATE(UINT64_MAX, 1), -EFAULT);      /* no wrap, no region */

	assert_int_equal(TRANSLATE(0x4000, 1), 0);
	assert_ptr_equal(host, region->host);
	assert_int_equal(part, 1);
	assert_int_equal(TRANSLATE(0x4000, 2 * PAGE), 0);
	assert_int_equal(part, 2 * PAGE);
	assert_int_equal(TRANSLATE(0x5fff, PAGE), 0);
	assert_int_equal(part, 1);
	assert_ptr_equal(host, region->host + 2 * PAGE - 1);
	assert_int_equal(TRANSLATE(0x6000, 100 * PAGE), 0);
	assert_int_equal(part, PAGE);
	assert_int_equal(region->desc.gpa, 0x6000);
	assert_int_equal(TRANSLATE(top + PAGE - 1, PAGE + 1), 0); /* up to the very last byte */
	assert_int_equal(part, 1);
#undef TRANSLATE
	guest_fini(&guest);
}

static void test_translate_user(void **state)
{
	struct vu_region *region;
	struct guest guest;
	void *host;

	guest_init(&guest);
	guest_add(&guest, 0x4000, 2 * PAGE);
	guest_add(&guest, 0x6000, PAGE);
#define TRANSLATE(gpa, len)                                                                        \
	vu_memory_translate_user(guest.memory, GUEST_USER + (gpa), (len), &host, &region)
	assert_int_equal(TRANSLATE(0x4000, 2 * PAGE), 0);
	assert_ptr_equal(host, region->host);
	assert_int_equal(TRANSLATE(0x5ff0, 0x10), 0);
	assert_int_equal(TRANSLATE(0x5ff0, 0x11), -EFAULT); /* crosses */
	assert_int_equal(TRANSLATE(0x3fff, 2), -EFAULT);
	assert_int_equal(TRANSLATE(0x6000, PAGE + 1), -EFAULT);
	assert_int_equal(TRANSLATE(0x6001, UINT64_MAX), -EFAULT);
	assert_int_equal(TRANSLATE(0x4000, UINT64_MAX - GUEST_USER), -EFAULT);
#undef TRANSLATE
	guest_fini(&guest);
}

static void test_unmapped_with_last_reference(void **state)
{
	struct vu_memory *one, *two, *empty = vu_memory_new();
	struct vu_region *region = region_new(0x4000, PAGE);
	struct vu_region_desc desc = region->desc;
	const void *page = region->host;

	assert_int_equal(vu_memory_add(empty, region, &one), 0);
	assert_int_equal(vu_memory_remove(one, &desc, &two), 0);
	vu_region_put(region);
	assert_ptr_equal(vu_memory_get(one), one);
	vu_memory_put(one);
	assert_true(is_mapped(page));
	region = vu_region_get(region); /* a chain in flight */
	vu_memory_put(one);
	assert_true(is_mapped(page));
	vu_region_put(region);
	assert_false(is_mapped(page));
	vu_memory_put(two);
	vu_memory_put(empty);
	vu_memory_put(NULL);
	vu_region_put(NULL);
}

struct holder {
	struct vu_memory *memory;
	size_t byte; /* its own */
	pthread_t thread;
};

static void *hold_and_drop(void *arg)
{
	struct holder *holder = arg;
	struct vu_memory *memory = holder->memory;

	for (int i = 0; i < 2000; i++) {
		struct vu_region *region = vu_region_get(memory->regions[0]);
		struct vu_memory *again = vu_memory_get(memory);

		region->host[holder->byte]++;
		vu_region_put(region);
		vu_memory_put(again);
	}
	vu_memory_put(memory);
	return NULL;
}

/* The last put, on whichever thread, comes after every access on the others. */
static void test_references_across_threads(void **state)
{
	struct vu_memory *empty = vu_memory_new(), *memory;
	struct vu_region *region = region_new(0x4000, PAGE);
	const void *page = region->host;
	struct holder holders[4];

	assert_int_equal(vu_memory_add(empty, region, &memory), 0);
	vu_region_put(region);
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++) {
		holders[i].memory = vu_memory_get(memory);
		holders[i].byte = i;
		assert_int_equal(
			pthread_create(&holders[i].thread, NULL, hold_and_drop, &holders[i]), 0);
	}
	vu_memory_put(memory);
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++)
		pthread_join(holders[i].thread, NULL);
	assert_false(is_mapped(page));
	vu_memory_put(empty);
}

/* Up to the nearest region that starts above. */
static uint64_t naive_gap(const struct vu_memory *memory, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < memory->n; i++) {
		uint64_t start = memory->regions[i]->desc.gpa;

		if (start > gpa)
			len = MIN(len, start - gpa);
	}
	return len;
}

/* Random tables: each translation, and each gap, against a scan over all regions. */
static void test_random_tables(void **state)
{
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
	int fd = guest_memfd(8 * PAGE);

	for (int round = 0; round < 40; round++) {
		struct vu_memory *memory = vu_memory_new(), *next;

		for (int i = 0; i < 12; i++) {
			struct vu_region_desc desc = guest_desc(test_random(&seed) % 64 * PAGE,
				(1 + test_random(&seed) % 8) * PAGE);
			struct vu_region *region;

			assert_int_equal(vu_region_map(&desc, fd, &region), 0);
			if (vu_memory_add(memory, region, &next) == 0) {
				vu_memory_put(memory);
				memory = next;
			}
			vu_region_put(region);
		}
		for (int i = 0; i < 500; i++) {
			uint64_t gpa = test_random(&seed) % (72 * PAGE), part = 0;
			uint64_t len = 1 + test_random(&seed) % (4 * PAGE);
			const struct vu_region *expected = NULL;
			struct vu_region *got = NULL;
			void *host = NULL;
			int r;

			if (i % 2)
				gpa -= gpa % PAGE + (uint64_t)(i % 4 == 1 && gpa >= PAGE);
			for (size_t k = 0; k < memory->n; k++) {
				const struct vu_region_desc *d = &memory->regions[k]->desc;

				if (gpa >= d->gpa && gpa < d->gpa + d->size)
					expected = memory->regions[k];
			}
			r = vu_memory_translate(memory, gpa, len, &host, &part, &got);
			assert_int_equal(r, expected ? 0 : -EFAULT);
			if (!expected) {
				assert_int_equal(vu_memory_gap(memory, gpa, len),
					naive_gap(memory, gpa, len));
				continue;
			}
			assert_ptr_equal(got, expected);
			assert_ptr_equal(host, expected->host + (gpa - expected->desc.gpa));
			assert_int_equal(
				part, MIN(len, expected->desc.gpa + expected->desc.size - gpa));
		}
		vu_memory_put(memory);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_refuses),
		cmocka_unit_test(test_map_offsets),
		cmocka_unit_test(test_add_remove),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_slots_are_bounded),
		cmocka_unit_test(test_translate_edges),
		cmocka_unit_test(test_translate_user),
		cmocka_unit_test(test_unmapped_with_last_reference),
		cmocka_unit_test(test_references_across_threads),
		cmocka_unit_test(test_random_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
