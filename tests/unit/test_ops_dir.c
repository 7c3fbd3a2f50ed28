/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READDIR and READDIRPLUS: whole listings, whatever the buffers' size and whatever comes and goes.
 */
#include "tests/unit/fs_client.h"

#define MANY 3000

/* What one listing has shown: of "f<number>" and others, how often each. */
struct seen {
	unsigned int file[MANY * 2], dots, other;
	uint64_t last_offset;
	unsigned int nodes; /* entries with a nodeid */
};

static uint64_t open_dir(struct client *c, uint64_t nodeid)
{
	struct fuse_open_out out;

	assert_int_equal(do_open(c, FUSE_OPENDIR, nodeid, O_RDONLY, &out), 0);
	return out.fh;
}

/* One READDIR(PLUS); its entries are noted in *seen. Returns the answer's length or its error. */
static int list_some(struct client *c, bool plus, uint64_t nodeid, uint64_t fh, uint64_t offset,
	uint32_t size, struct seen *seen)
{
	struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0, at = 0;
	int r = ask(c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, nodeid, &in, sizeof(in), NULL, NULL);

	if (r < 0)
		return r;
	assert_true(c->rep_len <= size);
	while (at < c->rep_len) {
		struct fuse_dirent *entry = (void *)(c->rep + at + head);
		struct fuse_entry_out *node = (void *)(c->rep + at);
		char name[256] = {0};
		unsigned int number;

		assert_true(at + head + sizeof(*entry) + entry->namelen <= c->rep_len);
		memcpy(name, entry->name, entry->namelen);
		seen->last_offset = entry->off;
		if (!strcmp(name, ".") || !strcmp(name, "..")) {
			seen->dots++;
			assert_int_equal(entry->type, DT_DIR);
			if (plus)
				assert_int_equal(node->nodeid, 0);
		} else if (sscanf(name, "f%u", &number) == 1 && number < MANY * 2) {
			seen->file[number]++;
		} else {
			seen->other++;
		}
		if (plus && node->nodeid) {
			struct stat st = host_stat(c, name);

			seen->nodes++;
			assert_same_attr(&node->attr, &st);
			assert_int_equal(node->attr.ino, entry->ino);
		}
		at += head + FUSE_DIRENT_ALIGN(sizeof(*entry) + entry->namelen);
	}
	assert_int_equal(at, c->rep_len);
	return (int)c->rep_len;
}

static struct seen list_all(
	struct client *c, bool plus, uint64_t nodeid, uint64_t fh, uint32_t size)
{
	struct seen seen = {0};
	int r;

	do
		r = list_some(c, plus, nodeid, fh, seen.last_offset, size, &seen);
	while (r > 0);
	assert_int_equal(r, 0);
	return seen;
}

static void make_files(struct client *c, unsigned int from, unsigned int to)
{
	char name[32];

	for (; from < to; from++) {
		snprintf(name, sizeof(name), "f%u", from);
		host_write(c, name, "");
	}
}

static void assert_each_once(const struct seen *seen, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(seen->file[i], 1);
	assert_int_equal(seen->dots, 2);
}

static void test_many(void **state)
{
	struct client *c = *state;
	static const uint32_t sizes[] = {4096, 600, 128 * 1024};
	uint64_t fh = open_dir(c, ROOT);

	make_files(c, 0, MANY);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct seen seen = list_all(c, false, ROOT, fh, sizes[i]);

		assert_each_once(&seen, MANY);
		assert_int_equal(seen.other, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct seen seen = list_all(c, true, ROOT, fh, sizes[i]);

		assert_each_once(&seen, MANY);
		assert_int_equal(seen.nodes, MANY);
	}
	assert_int_equal(do_release(c, FUSE_RELEASEDIR, ROOT, fh), 0);
}

/* Files that are there all the time are listed once, whatever happens beside them. */
static void test_come_and_go(void **state)
{
	struct client *c = *state;
	struct seen seen = {0};
	unsigned int next = 1000, gone = 500;
	uint64_t fh = open_dir(c, ROOT);
	char name[32];
	int r;

	make_files(c, 0, 1000);
	do {
		r = list_some(c, next % 2, ROOT, fh, seen.last_offset, 2048, &seen);
		make_files(c, next, next + 3);
		next += 3;
		if (gone < 1000) {
			snprintf(name, sizeof(name), "f%u", gone++);
			assert_int_equal(unlink(host(c, name)), 0);
		}
	} while (r > 0);
	assert_int_equal(r, 0);
	for (unsigned int i = 0; i < 500; i++)
		assert_int_equal(seen.file[i], 1);
	for (unsigned int i = 500; i < MANY * 2; i++)
		assert_true(seen.file[i] <= 1);
	/* From the start again, it is what the host has now. */
	seen = list_all(c, false, ROOT, fh, 4096);
	for (unsigned int i = 0; i < MANY * 2; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(seen.file[i], access(host(c, name), F_OK) == 0);
	}
}

/* Offsets are cookies: the guest may come back to any of them, on any handle. */
static void test_offsets(void **state)
{
	struct client *c = *state;
	struct seen seen = {0}, rest;
	uint64_t fh = open_dir(c, ROOT), other = open_dir(c, ROOT), cookie;

	make_files(c, 0, 300);
	assert_true(list_some(c, false, ROOT, fh, 0, 2000, &seen) > 0);
	cookie = seen.last_offset;
	list_all(c, false, ROOT, fh, 4096);
	rest = seen;
	while (list_some(c, false, ROOT, fh, rest.last_offset, 3000, &rest) > 0)
		;
	assert_each_once(&rest, 300);
	seen.last_offset = cookie;
	while (list_some(c, true, ROOT, other, seen.last_offset, 3000, &seen) > 0)
		;
	assert_each_once(&seen, 300);
}

/*
 * A guest that has the listing cached may ask a new handle for what comes after the end, and rewind
 * then: it is all there (what went wrong was ext4).
 */
static void test_end_comes_first(void **state)
{
	struct client *c = *state;
	struct seen seen = {0};
	uint64_t fh = open_dir(c, ROOT), other = open_dir(c, ROOT), end;

	make_files(c, 0, 10);
	end = list_all(c, false, ROOT, fh, 4096).last_offset;
	assert_int_equal(list_some(c, false, ROOT, other, end, 4096, &seen), 0);
	seen = list_all(c, false, ROOT, other, 4096);
	assert_each_once(&seen, 10);
	assert_int_equal(list_some(c, true, ROOT, other, end, 4096, &seen), 0);
	seen = list_all(c, true, ROOT, other, 4096);
	assert_each_once(&seen, 10);
}

static void test_small_buffers_and_errors(void **state)
{
	struct client *c = *state;
	struct fuse_open_out out;
	struct seen seen = {0};
	char name[256];
	uint64_t fh, node;

	memset(name, 'n', 255);
	name[255] = '\0';
	host_write(c, name, "");
	fh = open_dir(c, ROOT);
	assert_int_equal(list_some(c, false, ROOT, fh, 0, 16, &seen), -EINVAL);
	/* Too small for the long name alone, which must not be passed over, nor end the listing. */
	for (;;) {
		int r = list_some(c, false, ROOT, fh, seen.last_offset, 100, &seen);

		if (r < 0) {
			assert_int_equal(r, -EINVAL);
			break;
		}
		assert_true(r > 0);
	}
	assert_int_equal(seen.other, 0);
	while (list_some(c, false, ROOT, fh, seen.last_offset, 280, &seen) > 0)
		;
	assert_int_equal(seen.other, 1);
	assert_int_equal(seen.dots, 2);

	host_write(c, "f1", "");
	node = node_of(c, ROOT, "f1");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &out), 0);
	assert_int_equal(list_some(c, false, node, out.fh, 0, 4096, &seen), -ENOTDIR);
	assert_int_equal(list_some(c, false, ROOT, fh + 5, 0, 4096, &seen), -EBADF);
	assert_true(list_some(c, false, ROOT, fh, UINT64_MAX, 4096, &seen) <= 0);
	seen = list_all(c, false, ROOT, fh, 4096);
	assert_each_once(&seen, 0);
}

/* What READDIRPLUS counts is what the guest has to forget, no more and no less. */
static void test_plus_counts(void **state)
{
	struct client *c = *state;
	struct fuse_attr attr;
	struct seen seen = {0};
	uint64_t fh = open_dir(c, ROOT), nodeid;

	host_write(c, "f0", "");
	assert_true(list_some(c, true, ROOT, fh, 0, 4096, &seen) > 0);
	assert_int_equal(seen.nodes, 1);
	nodeid = node_of(c, ROOT, "f0");
	do_forget(c, nodeid, 1);
	assert_int_equal(do_getattr(c, nodeid, &attr), 0);
	do_forget(c, nodeid, 1);
	assert_int_equal(do_getattr(c, nodeid, &attr), -ESTALE);
	/* A buffer that has no room for f0: it is not counted. */
	memset(&seen, 0, sizeof(seen));
	while (list_some(c, true, ROOT, fh, seen.last_offset, 160, &seen) > 0)
		;
	assert_int_equal(seen.nodes, 1);
	nodeid = node_of(c, ROOT, "f0");
	do_forget(c, nodeid, 2);
	assert_int_equal(do_getattr(c, nodeid, &attr), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_many),
		CLIENT_TEST(test_come_and_go),
		CLIENT_TEST(test_offsets),
		CLIENT_TEST(test_end_comes_first),
		CLIENT_TEST(test_small_buffers_and_errors),
		CLIENT_TEST(test_plus_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
