/* SPDX-License-Identifier: BSD-3-Clause */
/* Extensions of requests: what gate 3 takes for labels, up to an inaccessible page. */
#include "tests/unit/fs_fixture.h"

#include "fuse/secctx.h"

/* Builds extensions in `at`; returns their length. */
struct builder {
	char room[2048];
	size_t len;
};

static void put(struct builder *b, const void *data, size_t len)
{
	memcpy(b->room + b->len, data, len);
	b->len += len;
}

static void put_head(struct builder *b, uint32_t n)
{
	struct fuse_secctx_header head = {0, n};

	memset(b, 0, sizeof(*b));
	put(b, &head, sizeof(head));
}

static void put_label(struct builder *b, const char *name, const char *value)
{
	struct fuse_secctx head = {.size = (uint32_t)strlen(value)};

	put(b, &head, sizeof(head));
	put(b, name, strlen(name) + 1);
	put(b, value, strlen(value));
	b->len = FUSE_REC_ALIGN(b->len);
}

/* The verdict on the first `len` bytes, whose header says so. */
static int judge(struct builder *b, size_t len)
{
	uint32_t size = (uint32_t)len;
	char *copy = guard_new(len);
	struct fs_ext ext;
	size_t at = 0;
	int r;

	if (len >= sizeof(size))
		memcpy(b->room, &size, sizeof(size));
	memcpy(copy, b->room, len);
	r = fs_ext_check(copy, len);
	if (r == 0)
		r = fs_ext_next(copy, len, &at, &ext) ? fs_secctx_check(&ext) : -EINVAL;
	guard_free(copy, len);
	return r;
}

static void assert_next(struct fs_labels *labels, const char *name, const char *value)
{
	struct fs_label label;

	assert_true(fs_secctx_next(labels, &label));
	assert_string_equal(label.name, name);
	assert_int_equal(label.size, strlen(value));
	assert_memory_equal(label.value, value, label.size);
}

static void test_labels(void **state)
{
	struct fs_labels labels;
	struct fs_label label;
	struct builder b;

	(void)state;
	put_head(&b, 0);
	assert_int_equal(judge(&b, b.len), 0);
	labels = fs_secctx_labels(b.room, b.len);
	assert_false(fs_secctx_next(&labels, &label));

	put_head(&b, 2);
	put_label(&b, "security.selinux", "unconfined_u:object_r:etc_t:s0");
	put_label(&b, "security.SMACK64", "");
	assert_int_equal(judge(&b, b.len), 0);
	labels = fs_secctx_labels(b.room, b.len);
	assert_next(&labels, "security.selinux", "unconfined_u:object_r:etc_t:s0");
	assert_next(&labels, "security.SMACK64", "");
	assert_false(fs_secctx_next(&labels, &label));

	labels = fs_secctx_labels(b.room, 0);
	assert_false(fs_secctx_next(&labels, &label));
}

/* Only the padding after the last label may be missing. */
static void test_every_length(void **state)
{
	struct builder b;

	(void)state;
	put_head(&b, 1);
	put_label(&b, "security.selinux", "label");
	for (size_t len = 0; len <= b.len + 16; len++) {
		size_t least = 8 + 8 + strlen("security.selinux") + 1 + 5;

		assert_int_equal(judge(&b, len), len >= least && len <= b.len ? 0 : -EINVAL);
	}
}

static void test_refused(void **state)
{
	char name[300] = "security.";
	struct builder b;
	uint32_t size;

	(void)state;
	/* Other kinds of extension, and more labels than there are. */
	for (uint32_t n = 2; n < 100; n++) {
		put_head(&b, n);
		put_label(&b, "security.selinux", "label");
		assert_int_equal(judge(&b, b.len), -EINVAL);
	}
	put_head(&b, UINT32_MAX);
	put_label(&b, "security.selinux", "label");
	assert_int_equal(judge(&b, b.len), -EINVAL);

	static const char *const bad[] = {"", "x", "user.x", "security", "system.posix_acl_access"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_head(&b, 1);
		put_label(&b, bad[i], "label");
		assert_int_equal(judge(&b, b.len), -EINVAL);
	}
	memset(name + 9, 'n', 280);
	put_head(&b, 1);
	put_label(&b, name, "label");
	assert_int_equal(judge(&b, b.len), -ERANGE);
	name[XATTR_NAME_MAX] = '\0';
	put_head(&b, 1);
	put_label(&b, name, "label");
	assert_int_equal(judge(&b, b.len), 0);

	/* A value that says that it is longer. */
	put_head(&b, 1);
	put_label(&b, "security.selinux", "label");
	for (size = 6; size != 0; size <<= 1) {
		int r;

		memcpy(b.room + 8, &size, sizeof(size));
		r = judge(&b, b.len);
		if (size > b.len)
			assert_int_equal(r, size > XATTR_SIZE_MAX ? -E2BIG : -EINVAL);
	}
	size = UINT32_MAX;
	memcpy(b.room + 8, &size, sizeof(size));
	assert_int_equal(judge(&b, b.len), -E2BIG);
}

/* Any bytes: an error, or labels that lie within. */
static void test_noise(void **state)
{
	uint32_t seed = 1;
	struct builder b;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct fs_labels labels;
		struct fs_label label;

		put_head(&b, 1 + (seed >> 20) % 2);
		put_label(&b, "security.selinux", "label");
		put_label(&b, "security.b", "");
		for (int flips = 0; flips < 3; flips++) {
			seed = seed * 1664525u + 1013904223u;
			b.room[4 + (seed >> 8) % (b.len - 4)] = (char)(seed >> 24);
		}
		if (judge(&b, b.len) != 0)
			continue;
		labels = fs_secctx_labels(b.room, b.len);
		while (fs_secctx_next(&labels, &label)) {
			const char *end = (const char *)label.value + label.size;

			assert_true(label.name > b.room && end <= b.room + b.len);
			assert_true(strlen(label.name) <= XATTR_NAME_MAX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
