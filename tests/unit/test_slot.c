/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of slots: indices, reuse, bounds, big copies, many threads. */
#include "tests/unit/fs_fixture.h"

#include "fuse/core.h"
#include "fuse/slot.h"

static int setup(void **state)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	assert_non_null(fs);
	assert_int_equal(fs_slots_new(fs, &fs->slots), 0);
	*state = fs;
	return 0;
}

static int teardown(void **state)
{
	struct fs *fs = *state;

	fs_slots_free(fs->slots);
	free(fs);
	return 0;
}

static void test_find(void **state)
{
	struct fs *fs = *state;
	struct fs_slot *slots[100];

	assert_null(fs_slot_find(fs->slots, 0));
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		slots[i] = fs_slot_get(fs->slots, false);
		assert_non_null(slots[i]);
		assert_ptr_equal(slots[i]->fs, fs);
		assert_int_equal(slots[i]->index, i);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++)
		assert_ptr_equal(fs_slot_find(fs->slots, i), slots[i]);
	assert_null(fs_slot_find(fs->slots, FS_SLOTS_MAX - 1));
	assert_null(fs_slot_find(fs->slots, FS_SLOTS_MAX));
	assert_null(fs_slot_find(fs->slots, UINT32_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		fs_slot_put(fs->slots, slots[i]);
}

static void test_last_put_is_first_got(void **state)
{
	struct fs *fs = *state;
	struct fs_slot *a = fs_slot_get(fs->slots, false), *b = fs_slot_get(fs->slots, false);

	fs_slot_put(fs->slots, b);
	fs_slot_put(fs->slots, a);
	assert_ptr_equal(fs_slot_get(fs->slots, false), a);
	assert_ptr_equal(fs_slot_get(fs->slots, false), b);
	fs_slot_put(fs->slots, a);
	fs_slot_put(fs->slots, b);
}

static void test_limit_and_hiprio_reserve(void **state)
{
	struct fs *fs = *state;
	uint32_t n = 0, n_hiprio = 0;

	while (fs_slot_get(fs->slots, false))
		n++;
	assert_int_equal(n, FS_SLOTS_MAX - FS_SLOTS_HIPRIO);
	while (fs_slot_get(fs->slots, true))
		n_hiprio++;
	assert_int_equal(n_hiprio, FS_SLOTS_HIPRIO);
	assert_non_null(fs_slot_find(fs->slots, FS_SLOTS_MAX - 1));
	fs_slot_put(fs->slots, fs_slot_find(fs->slots, 17));
	assert_null(fs_slot_get(fs->slots, false));
	assert_ptr_equal(fs_slot_get(fs->slots, true), fs_slot_find(fs->slots, 17));
}

static void test_reserve(void **state)
{
	struct fs *fs = *state;
	struct fs_slot *slot = fs_slot_get(fs->slots, false);

	assert_int_equal(fs_slot_reserve(slot, 100), 0);
	assert_ptr_equal(slot->copy, slot->small);
	assert_int_equal(slot->copy[100], 0);
	assert_int_equal(fs_slot_reserve(slot, sizeof(slot->small) - 1), 0);
	assert_ptr_equal(slot->copy, slot->small);
	assert_int_equal(fs_slot_reserve(slot, sizeof(slot->small)), 0);
	assert_ptr_not_equal(slot->copy, slot->small);
	assert_int_equal(slot->copy[sizeof(slot->small)], 0);
	fs_slot_put(fs->slots, slot);

	slot = fs_slot_get(fs->slots, false);
	assert_ptr_equal(slot->copy, slot->small);
	assert_int_equal(fs_slot_reserve(slot, FS_COPY_MAX), 0);
	assert_int_equal(slot->copy[FS_COPY_MAX], 0);
	fs_slot_put(fs->slots, slot);
	slot = fs_slot_get(fs->slots, false);
	assert_int_equal(fs_slot_reserve(slot, FS_COPY_MAX + 1), -E2BIG);
	fs_slot_put(fs->slots, slot);
}

/* Each thread marks the slots it holds; a slot given out twice would lose its mark. */
static void *hammer(void *arg)
{
	struct fs *fs = arg;
	struct fs_slot *held[50];

	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
			held[i] = fs_slot_get(fs->slots, false);
			held[i]->header.unique = (uint64_t)(uintptr_t)&held[i];
		}
		for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
			struct fs_slot *slot = fs_slot_find(fs->slots, held[i]->index);

			if (slot != held[i] || slot->header.unique != (uintptr_t)&held[i])
				return fs; /* given out twice */
			fs_slot_put(fs->slots, slot);
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, *state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_put_is_first_got, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_and_hiprio_reserve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserve, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
