/* SPDX-License-Identifier: BSD-3-Clause */
/* Translation of ids: each kind, its limits, ACLs, and all of it against a naive model. */
#include "fuse/idmap.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vhostuser/checked.h"

static struct fs_idmap map;

static void fresh(void)
{
	memset(&map, 0, sizeof(map));
}

static int64_t to_host(uint32_t guest)
{
	uint32_t host;
	int r = fs_idmap_to_host(&map, guest, &host);

	return r < 0 ? r : (int64_t)host;
}

static void test_kinds(void **state)
{
	fresh();
	assert_true(fs_idmap_is_empty(&map));
	assert_int_equal(to_host(7), 7);
	assert_int_equal(fs_idmap_to_guest(&map, 7), 7);

	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 10, 1000, 5), 0);
	assert_false(fs_idmap_is_empty(&map));
	assert_int_equal(to_host(9), 9);
	assert_int_equal(to_host(10), 1000);
	assert_int_equal(to_host(14), 1004);
	assert_int_equal(to_host(15), 15);
	assert_int_equal(fs_idmap_to_guest(&map, 1000), 1000); /* one way only */

	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_HOST, 1000, 20, 2), 0);
	assert_int_equal(fs_idmap_to_guest(&map, 1001), 21);
	assert_int_equal(fs_idmap_to_guest(&map, 1002), 1002);

	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_SQUASH_GUEST, 100, 65534, 100), 0);
	assert_int_equal(to_host(100), 65534);
	assert_int_equal(to_host(199), 65534);
	assert_int_equal(to_host(200), 200);

	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_SQUASH_HOST, 2000, 3, 1000), 0);
	assert_int_equal(fs_idmap_to_guest(&map, 2999), 3);
	assert_int_equal(fs_idmap_to_guest(&map, 3000), 3000);

	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_FORBID_GUEST, 500, 0, 10), 0);
	assert_int_equal(to_host(500), -EPERM);
	assert_int_equal(to_host(509), -EPERM);
	assert_int_equal(to_host(510), 510);

	fresh();
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_MAP, 0, 100000, 65536), 0);
	assert_int_equal(to_host(1000), 101000);
	assert_int_equal(fs_idmap_to_guest(&map, 101000), 1000);
	assert_int_equal(fs_idmap_to_guest(&map, 1000), 1000);
}

static void test_limits(void **state)
{
	struct fs_idmap before;

	fresh();
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_SQUASH_GUEST, 0, 107, UINT32_MAX), 0);
	assert_int_equal(to_host(UINT32_MAX - 1), 107);
	assert_int_equal(to_host(UINT32_MAX), UINT32_MAX);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 5, 5, 0), 0);
	assert_int_equal(map.table[FS_IDMAP_TO_HOST].n, 1);

	fresh();
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 1, 0, UINT32_MAX), -EINVAL);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, UINT32_MAX, 0, 1), -EINVAL);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 0, UINT32_MAX - 9, 10), -EINVAL);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_SQUASH_GUEST, 0, UINT32_MAX, 10), -EINVAL);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_MAP, 0, UINT32_MAX - 9, 10), -EINVAL);
	assert_true(fs_idmap_is_empty(&map));
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, UINT32_MAX - 1, UINT32_MAX - 1, 1), 0);

	/* No overlap in one direction; a MAP that fits one way only changes nothing. */
	fresh();
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_MAP, 10, 100, 10), 0);
	before = map;
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_FORBID_GUEST, 19, 0, 1), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 0, 0, 11), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 0, 0, 100), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 12, 0, 1), -EEXIST);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_MAP, 30, 105, 1), -EEXIST);
	assert_memory_equal(&map, &before, sizeof(map));
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_HOST, 10, 0, 10), 0);

	fresh();
	for (uint32_t i = 0; i < FS_IDMAP_MAX; i++)
		assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 2 * i, 7, 1), 0);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_GUEST, 100000, 7, 1), -E2BIG);
	assert_int_equal(fs_idmap_add(&map, FS_IDMAP_HOST, 100000, 7, 1), 0);
}

/* ---- against a model: a word for every id of a small world ---- */

#define WORLD 64

struct model {
	int64_t of[2][WORLD]; /* -1: itself; -2: forbidden */
};

static void model_set(struct model *model, enum fs_idmap_way way, uint32_t from, uint32_t count,
	int64_t to, bool shift)
{
	for (uint32_t i = 0; i < count; i++)
		model->of[way][from + i] = shift ? to + i : to;
}

static bool model_free(
	const struct model *model, enum fs_idmap_way way, uint32_t from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (model->of[way][from + i] != -1)
			return false;
	return true;
}

/* True when the model takes it, and has taken it. */
static bool model_add(struct model *model, enum fs_idmap_kind kind, uint32_t from, uint32_t to,
	uint32_t count)
{
	bool host = kind == FS_IDMAP_HOST || kind == FS_IDMAP_SQUASH_HOST;
	enum fs_idmap_way way = host ? FS_IDMAP_TO_GUEST : FS_IDMAP_TO_HOST;

	if (!model_free(model, way, from, count) ||
		(kind == FS_IDMAP_MAP && !model_free(model, FS_IDMAP_TO_GUEST, to, count)))
		return false;
	if (kind == FS_IDMAP_FORBID_GUEST)
		model_set(model, way, from, count, -2, false);
	else
		model_set(model, way, from, count, to,
			kind != FS_IDMAP_SQUASH_GUEST && kind != FS_IDMAP_SQUASH_HOST);
	if (kind == FS_IDMAP_MAP)
		model_set(model, FS_IDMAP_TO_GUEST, to, count, from, true);
	return true;
}

static void compare(const struct model *model)
{
	for (uint32_t id = 0; id < WORLD; id++) {
		int64_t host = model->of[FS_IDMAP_TO_HOST][id];
		int64_t guest = model->of[FS_IDMAP_TO_GUEST][id];

		assert_int_equal(to_host(id), host == -2 ? -EPERM : host == -1 ? id : host);
		assert_int_equal(fs_idmap_to_guest(&map, id), guest == -1 ? id : guest);
	}
}

static void test_property(void **state)
{
	unsigned int taken = 0, refused = 0;

	srandom(1414);
	for (int round = 0; round < 2000; round++) {
		struct model model;

		memset(&model, 0xff, sizeof(model));
		fresh();
		for (int i = 0; i < 12; i++) {
			enum fs_idmap_kind kind = (enum fs_idmap_kind)(random() % 6);
			uint32_t from = (uint32_t)random() % WORLD;
			uint32_t to = (uint32_t)random() % WORLD;
			uint32_t most = WORLD - MAX(from, to);
			uint32_t count = (uint32_t)random() % (MIN(most, 12) + 1);
			bool good = model_add(&model, kind, from, to, count);

			assert_int_equal(
				fs_idmap_add(&map, kind, from, to, count), good ? 0 : -EEXIST);
			taken += good;
			refused += !good;
		}
		compare(&model);
	}
	assert_true(taken > 5000 && refused > 2000);
}

/* ---- ACLs ---- */

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entries[8];
};

static void test_acl(void **state)
{
	static struct fs_ids ids;
	struct acl acl = {
		{POSIX_ACL_XATTR_VERSION},
		{{ACL_USER_OBJ, 7, 0}, {ACL_USER, 6, 10}, {ACL_USER, 6, 99},
			{ACL_GROUP_OBJ, 5, 10}, {ACL_GROUP, 4, 10}, {ACL_MASK, 7, UINT32_MAX},
			{ACL_OTHER, 4, 10}},
	}, before = acl;
	const size_t size = sizeof(acl.head) + 7 * sizeof(acl.entries[0]);

	memset(&ids, 0, sizeof(ids));
	assert_int_equal(fs_idmap_add(&ids.uid, FS_IDMAP_MAP, 10, 1010, 1), 0);
	assert_int_equal(fs_idmap_add(&ids.gid, FS_IDMAP_MAP, 10, 2010, 1), 0);
	assert_int_equal(fs_idmap_add(&ids.gid, FS_IDMAP_FORBID_GUEST, 11, 0, 1), 0);
	assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, &acl, size), 0);
	assert_int_equal(acl.entries[1].e_id, 1010);
	assert_int_equal(acl.entries[2].e_id, 99);
	assert_int_equal(acl.entries[3].e_id, 10);
	assert_int_equal(acl.entries[4].e_id, 2010);
	assert_int_equal(acl.entries[6].e_id, 10);
	assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_GUEST, &acl, size), 0);
	assert_memory_equal(&acl, &before, sizeof(acl));
	assert_int_equal(fs_idmap_acl(NULL, FS_IDMAP_TO_HOST, &acl, 3), 0);

	acl.entries[4].e_id = 11;
	assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, &acl, size), -EPERM);
	acl = before;
	for (size_t cut = 1; cut < size; cut++) {
		bool whole = cut >= sizeof(acl.head) &&
			     (cut - sizeof(acl.head)) % sizeof(acl.entries[0]) == 0;

		acl = before;
		assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, &acl, cut),
			whole ? 0 : -EINVAL);
	}
	acl = before;
	acl.entries[6].e_tag = 0x40;
	assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, &acl, size), -EINVAL);
	acl = before;
	acl.head.a_version = 1;
	assert_int_equal(fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, &acl, size), -EINVAL);
}

/* Any bytes, ending at the end of their memory: no byte beyond is touched. */
static void test_acl_of_any_bytes(void **state)
{
	static struct fs_ids ids;

	memset(&ids, 0, sizeof(ids));
	assert_int_equal(fs_idmap_add(&ids.uid, FS_IDMAP_GUEST, 0, 7, 1000), 0);
	srandom(7);
	for (int i = 0; i < 20000; i++) {
		size_t size = (size_t)random() % 64;
		uint8_t *value = malloc(size);

		for (size_t j = 0; j < size; j++)
			value[j] = (uint8_t)(random() % 4 ? 0 : random());
		if (size >= 4)
			value[0] = POSIX_ACL_XATTR_VERSION;
		(void)fs_idmap_acl(&ids, FS_IDMAP_TO_HOST, value, size);
		free(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_acl_of_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
