/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on open files and directories through the socket, compared with direct system calls.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID
#define MIB  (1u << 20)

struct file {
	uint64_t nodeid, fh;
};

static struct file open_file(struct it *it, const char *name, uint32_t flags)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	assert_int_equal(fc_lookup(it->q, ROOT, name, &entry), 0);
	assert_int_equal(fc_open(it->q, entry.nodeid, flags, &open), 0);
	return (struct file){ entry.nodeid, open.fh };
}

static struct file create_file(struct it *it, const char *name)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	assert_int_equal(
		fc_create(it->q, ROOT, name, O_CREAT | O_EXCL | O_RDWR, 0644, &entry, &open), 0);
	return (struct file){ entry.nodeid, open.fh };
}

static void release(struct it *it, struct file f)
{
	assert_int_equal(fc_flush(it->q, f.nodeid, f.fh), 0);
	assert_int_equal(fc_release(it->q, f.nodeid, f.fh), 0);
}

static void fill(uint8_t *data, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 11);
}

static void assert_host_content(
	const struct it *it, const char *name, uint64_t offset, const void *data, size_t n)
{
	int fd = open(it_path(it, name), O_RDONLY | O_CLOEXEC);
	uint8_t *got = malloc(n + 1);

	assert_true(fd >= 0);
	assert_non_null(got);
	assert_int_equal(pread(fd, got, n, (off_t)offset), n);
	assert_memory_equal(got, data, n);
	free(got);
	close(fd);
}

/* Sizes around everything that has an edge, at odd offsets, in every layout, both ways. */
static void read_write_sizes(void **state)
{
	struct it *it = *state;
	static const uint32_t sizes[] = { 0, 1, 13, 4095, 4096, 4097, 65535, 65537, MIB - 1, MIB };
	static const enum fc_layout layouts[] = { FC_DIRECT, FC_INDIRECT, FC_WHOLE };
	struct file f = create_file(it, "f");
	uint8_t *out = malloc(MIB), *in = malloc(MIB);

	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		it->q->layout = layouts[l];
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint64_t offset = i * 4097 + l;

			fill(out, sizes[i], (unsigned int)(i + l));
			memset(in, 0, MIB);
			assert_int_equal(
				fc_write(it->q, f.nodeid, f.fh, offset, out, sizes[i]), sizes[i]);
			assert_host_content(it, "f", offset, out, sizes[i]);
			assert_int_equal(
				fc_read(it->q, f.nodeid, f.fh, offset, in, sizes[i]), sizes[i]);
			assert_memory_equal(in, out, sizes[i]);
		}
	}
	release(it, f);
	free(out);
	free(in);
}

static void read_write_in_crumbs(void **state)
{
	struct it *it = *state;
	struct file f = create_file(it, "f");
	uint8_t out[1500], in[1500];

	it->q->layout = FC_CRUMBS;
	fill(out, sizeof(out), 3);
	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 5, out, sizeof(out)), sizeof(out));
	assert_host_content(it, "f", 5, out, sizeof(out));
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 5, in, sizeof(in)), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	release(it, f);
}

static void reads_around_the_end(void **state)
{
	struct it *it = *state;
	char data[100];

	it_file(it, "f", "0123456789");
	struct file f = open_file(it, "f", O_RDONLY);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 0, data, 100), 10);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 7, data, 100), 3);
	assert_memory_equal(data, "789", 3);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 10, data, 100), 0);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, UINT64_C(1) << 40, data, 100), 0);
	assert_refused(fc_read(it->q, f.nodeid, f.fh, UINT64_MAX - 5, data, 100));
	release(it, f);
}

static void open_modes(void **state)
{
	struct it *it = *state;
	struct stat st;
	char data[16];

	it_file(it, "f", "0123456789");
	struct file r = open_file(it, "f", O_RDONLY), w = open_file(it, "f", O_WRONLY);
	assert_int_equal(fc_write(it->q, r.nodeid, r.fh, 0, "x", 1), -EBADF);
	assert_int_equal(fc_read(it->q, w.nodeid, w.fh, 0, data, 1), -EBADF);
	release(it, r);
	release(it, w);
	struct file t = open_file(it, "f", O_RDWR | O_TRUNC);
	assert_int_equal(stat(it_path(it, "f"), &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(fc_write(it->q, t.nodeid, t.fh, 0, "abc", 3), 3);
	release(it, t);
	struct fuse_open_out dir;
	assert_int_equal(fc_open(it->q, ROOT, O_RDWR, &dir), -EISDIR);
	/* A handle is good for many requests and dead after its release. */
	assert_refused(fc_read(it->q, t.nodeid, t.fh, 0, data, 1));
	assert_in_range(-fc_release(it->q, t.nodeid, t.fh), 0, 4095);
}

/* Two guests' kernels append through their own handles: O_APPEND is the host's then. */
static void append(void **state)
{
	struct it *it = *state;

	it_file(it, "f", "host:");
	struct file f = open_file(it, "f", O_WRONLY | O_APPEND);
	assert_int_equal(fc_append(it->q, f.nodeid, f.fh, 5, "one", 3), 3);
	int fd = open(it_path(it, "f"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "host", 4), 4);
	close(fd);
	assert_int_equal(fc_append(it->q, f.nodeid, f.fh, 8, "two", 3), 3);
	assert_host_content(it, "f", 0, "host:onehosttwo", 15);
	release(it, f);
}

static void unlinked_and_replaced_while_open(void **state)
{
	struct it *it = *state;
	char data[16];

	it_file(it, "gone", "still here");
	struct file f = open_file(it, "gone", O_RDWR);
	assert_int_equal(fc_unlink(it->q, ROOT, "gone"), 0);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 0, data, 10), 10);
	assert_memory_equal(data, "still here", 10);
	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 0, "STILL", 5), 5);
	/* The inode is reachable without its name, as ftruncate and a second open by /proc need. */
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = 5 };
	struct fuse_attr_out attr;
	assert_int_equal(fc_setattr(it->q, f.nodeid, &in, &attr), 0);
	assert_int_equal(attr.attr.size, 5);
	struct fuse_open_out again;
	assert_int_equal(fc_open(it->q, f.nodeid, O_RDONLY, &again), 0);
	assert_int_equal(fc_read(it->q, f.nodeid, again.fh, 0, data, 10), 5);
	assert_int_equal(fc_release(it->q, f.nodeid, again.fh), 0);
	release(it, f);

	it_file(it, "old", "old content");
	it_file(it, "new", "new content");
	f = open_file(it, "old", O_RDONLY);
	release(it, open_file(it, "new", O_RDONLY));
	assert_int_equal(fc_rename(it->q, ROOT, "new", ROOT, "old"), 0);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 0, data, 11), 11);
	assert_memory_equal(data, "old content", 11);
	release(it, f);
	f = open_file(it, "old", O_RDONLY);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 0, data, 11), 11);
	assert_memory_equal(data, "new content", 11);
	release(it, f);
}

/* lseek and fallocate: the host's own answers are the measure. */
static void assert_seek(struct it *it, struct file f, int host, uint64_t offset, uint32_t whence)
{
	off_t want = lseek(host, (off_t)offset, (int)whence);
	int error = want < 0 ? -errno : 0;
	uint64_t got = 0;

	assert_int_equal(fc_lseek(it->q, f.nodeid, f.fh, offset, whence, &got), error);
	if (!error)
		assert_int_equal(got, want);
}

static void sparse_files(void **state)
{
	struct it *it = *state;
	struct file f = create_file(it, "f");
	int host = open(it_path(it, "f"), O_RDWR | O_CLOEXEC);
	struct stat st;
	char zeros[4096] = "", data[4096];

	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 64 << 20, "tail", 4), 4);
	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 1 << 20, "middle", 6), 6);
	assert_int_equal(fstat(host, &st), 0);
	assert_int_equal(st.st_size, (64 << 20) + 4);
	assert_true(st.st_blocks < 64);
	assert_int_equal(fc_read(it->q, f.nodeid, f.fh, 10 << 20, data, 4096), 4096);
	assert_memory_equal(data, zeros, 4096);
	static const uint64_t offsets[] = { 0, 1 << 20, (1 << 20) + 1, 2 << 20, 64 << 20,
		(64 << 20) + 4, UINT64_C(1) << 40 };
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		assert_seek(it, f, host, offsets[i], SEEK_DATA);
		assert_seek(it, f, host, offsets[i], SEEK_HOLE);
	}
	uint64_t ignored;
	assert_int_equal(fc_lseek(it->q, f.nodeid, f.fh, 0, 77, &ignored), -EINVAL);
	close(host);
	release(it, f);
}

static void fallocate_modes(void **state)
{
	struct it *it = *state;
	static const struct {
		uint64_t offset, len;
		int mode;
	} cases[] = {
		{ 0, 65536, 0 },
		{ 65536, 65536, FALLOC_FL_KEEP_SIZE },
		{ 8192, 8192, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
		{ 20000, 8192, FALLOC_FL_ZERO_RANGE },
		{ 100000, 8192, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
		{ 8192, 8192, FALLOC_FL_PUNCH_HOLE },
		{ 4096, 8192, FALLOC_FL_COLLAPSE_RANGE },
		{ 8192, 4096, FALLOC_FL_INSERT_RANGE },
		{ 0, 8192, FALLOC_FL_UNSHARE_RANGE },
		{ 100, 4096, FALLOC_FL_COLLAPSE_RANGE },
		{ 0, 4096, FALLOC_FL_INSERT_RANGE | FALLOC_FL_KEEP_SIZE },
		{ 0, 0, 0 },
		{ 0, 4096, 0x40000000 },
		{ UINT64_MAX - 10, 100, 0 },
	};
	struct file f = create_file(it, "f");
	uint8_t *data = malloc(MIB);
	struct stat a, b;

	fill(data, MIB, 9);
	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 0, data, 50000), 50000);
	int twin = open(it_path(it, "twin"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(twin, data, 50000), 50000);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int want =
			fallocate(twin, cases[i].mode, (off_t)cases[i].offset, (off_t)cases[i].len);

		want = want < 0 ? -errno : 0;
		assert_int_equal(fc_fallocate(it->q, f.nodeid, f.fh, cases[i].offset, cases[i].len,
					 (uint32_t)cases[i].mode),
			want);
		assert_int_equal(stat(it_path(it, "f"), &a), 0);
		assert_int_equal(fstat(twin, &b), 0);
		assert_int_equal(a.st_size, b.st_size);
		assert_int_equal(pread(twin, data, MIB, 0), b.st_size);
		assert_host_content(it, "f", 0, data, (size_t)b.st_size);
	}
	free(data);
	close(twin);
	release(it, f);
}

static void copy_file_ranges(void **state)
{
	struct it *it = *state;
	uint8_t *data = malloc(MIB);
	struct file a = create_file(it, "a"), b = create_file(it, "b");

	fill(data, MIB, 17);
	assert_int_equal(fc_write(it->q, a.nodeid, a.fh, 0, data, MIB), MIB);
	assert_int_equal(
		fc_copy_file_range(it->q, a.nodeid, a.fh, 1000, b.nodeid, b.fh, 77, 300000),
		300000);
	assert_host_content(it, "b", 77, data + 1000, 300000);
	assert_int_equal(
		fc_copy_file_range(it->q, a.nodeid, a.fh, MIB - 10, b.nodeid, b.fh, 0, 300000), 10);
	assert_int_equal(fc_copy_file_range(it->q, a.nodeid, a.fh, MIB, b.nodeid, b.fh, 0, 100), 0);
	assert_int_equal(
		fc_copy_file_range(it->q, a.nodeid, a.fh, 0, a.nodeid, a.fh, 10, 100), -EINVAL);
	release(it, a);
	release(it, b);
	free(data);
}

static void syncs(void **state)
{
	struct it *it = *state;
	struct file f = create_file(it, "f");
	struct fuse_open_out dir;

	assert_int_equal(fc_write(it->q, f.nodeid, f.fh, 0, "x", 1), 1);
	assert_int_equal(fc_fsync(it->q, f.nodeid, f.fh, false), 0);
	assert_int_equal(fc_fsync(it->q, f.nodeid, f.fh, true), 0);
	assert_int_equal(fc_syncfs(it->q, ROOT), 0);
	assert_int_equal(fc_opendir(it->q, ROOT, &dir), 0);
	assert_int_equal(fc_fsyncdir(it->q, ROOT, dir.fh), 0);
	assert_int_equal(fc_releasedir(it->q, ROOT, dir.fh), 0);
	release(it, f);
}

/* ---- directories ---- */

#define MAX_SEEN 4000

struct listing {
	struct it *it;
	char (*names)[256];
	uint64_t offsets[MAX_SEEN];
	unsigned int n;
	bool plus;
};

static bool on_entry(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	struct listing *listing = ctx;
	struct it *it = listing->it;
	bool dots = !strcmp(name, ".") || !strcmp(name, "..");
	struct stat st;

	assert_true(listing->n < MAX_SEEN);
	strcpy(listing->names[listing->n], name);
	listing->offsets[listing->n++] = dirent->off;
	if (dots) {
		assert_int_equal(dirent->type, DT_DIR);
		assert_int_equal(entry->nodeid, 0);
		return true;
	}
	if (lstat(it_path(it, name), &st) < 0)
		return true;
	assert_int_equal(dirent->ino, st.st_ino);
	assert_int_equal(dirent->type, IFTODT(st.st_mode));
	if (listing->plus && entry->nodeid) {
		assert_int_equal(entry->attr.ino, st.st_ino);
		assert_int_equal(entry->attr.mode, st.st_mode);
		fc_forget(it->hp, entry->nodeid, 1);
	}
	return true;
}

static void listing_init(struct listing *listing, struct it *it, bool plus)
{
	listing->it = it;
	listing->n = 0;
	listing->plus = plus;
	listing->names = calloc(MAX_SEEN, sizeof(*listing->names));
	assert_non_null(listing->names);
}

static int list_from(struct listing *listing, uint64_t fh, uint32_t size, uint64_t offset)
{
	struct fc_queue *q = listing->it->q;
	int r;

	do
		r = fc_readdir(q, ROOT, fh, listing->plus, size, &offset, on_entry, listing);
	while (r > 0);
	return r;
}

static unsigned int seen(const struct listing *listing, const char *name)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < listing->n; i++)
		n += !strcmp(listing->names[i], name);
	return n;
}

static void list_whole(struct it *it, unsigned int n_files, bool plus, uint32_t size)
{
	struct listing *listing = malloc(sizeof(*listing));
	struct fuse_open_out dir;
	char name[32];

	listing_init(listing, it, plus);
	assert_int_equal(fc_opendir(it->q, ROOT, &dir), 0);
	assert_int_equal(list_from(listing, dir.fh, size, 0), 0);
	assert_int_equal(listing->n, n_files + 2);
	assert_int_equal(seen(listing, "."), 1);
	assert_int_equal(seen(listing, ".."), 1);
	for (unsigned int i = 0; i < n_files; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		assert_int_equal(seen(listing, name), 1);
	}
	/* From any cookie the rest comes, in the same order. */
	unsigned int middle = listing->n / 2, before = listing->n;
	assert_int_equal(list_from(listing, dir.fh, size, listing->offsets[middle]), 0);
	assert_int_equal(listing->n - before, before - middle - 1);
	for (unsigned int i = before; i < listing->n; i++)
		assert_string_equal(listing->names[i], listing->names[middle + 1 + i - before]);
	assert_int_equal(fc_releasedir(it->q, ROOT, dir.fh), 0);
	free(listing->names);
	free(listing);
}

static void fill_directory(struct it *it, unsigned int n)
{
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		if (i % 10 == 0)
			assert_int_equal(mkdir(it_path(it, name), 0755), 0);
		else if (i % 10 == 1)
			assert_int_equal(symlink("x", it_path(it, name)), 0);
		else
			it_file(it, name, "");
	}
}

static void readdir_whole(void **state)
{
	struct it *it = *state;

	fill_directory(it, 500);
	list_whole(it, 500, false, 4096);
	list_whole(it, 500, false, 300);
	list_whole(it, 500, false, 65536);
}

static void readdirplus_whole(void **state)
{
	struct it *it = *state;

	fill_directory(it, 500);
	list_whole(it, 500, true, 4096);
	list_whole(it, 500, true, 420);
	list_whole(it, 500, true, 65536);
}

/* A buffer too small for one entry is an error or empty, never half an entry. */
static void readdir_tiny_buffers(void **state)
{
	struct it *it = *state;
	struct fuse_open_out dir;

	it_file(it, "a-name-of-some-length", "");
	assert_int_equal(fc_opendir(it->q, ROOT, &dir), 0);
	for (uint32_t size = 8; size < 240; size += 8) {
		uint64_t offset = 0;
		int r = fc_readdir(it->q, ROOT, dir.fh, size % 16 == 0, size, &offset, NULL, NULL);

		if (!(r > 0 || r == 0 || r == -EINVAL))
			fail_msg("size %u: %d", size, r);
	}
	assert_int_equal(fc_releasedir(it->q, ROOT, dir.fh), 0);
}

/* Entries that stay are listed exactly once while others come and go. */
static void readdir_while_it_changes(void **state)
{
	struct it *it = *state;
	struct listing *listing = malloc(sizeof(*listing));
	struct fuse_open_out dir;
	uint64_t offset = 0;
	char name[32];
	int r, round = 0;

	listing_init(listing, it, true);
	fill_directory(it, 300);
	assert_int_equal(fc_opendir(it->q, ROOT, &dir), 0);
	do {
		r = fc_readdir(it->q, ROOT, dir.fh, true, 4096, &offset, on_entry, listing);
		assert_true(r >= 0);
		snprintf(name, sizeof(name), "new-%d", round);
		it_file(it, name, "");
		snprintf(name, sizeof(name), "new-%d", round - 2);
		unlink(it_path(it, name));
		round++;
	} while (r > 0 && round < 200);
	assert_int_equal(r, 0);
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		assert_int_equal(seen(listing, name), 1);
	}
	assert_int_equal(fc_releasedir(it->q, ROOT, dir.fh), 0);
	free(listing->names);
	free(listing);
}

static bool keep_node(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	uint64_t *nodeid = ctx;

	(void)dirent;
	if (!strcmp(name, "f"))
		*nodeid = entry->nodeid;
	return true;
}

/* READDIRPLUS counts a lookup for each entry that it returned, and only for those. */
static void readdirplus_counts_lookups(void **state)
{
	struct it *it = *state;
	struct fuse_open_out dir;
	struct fuse_attr_out attr;
	struct fuse_entry_out entry;
	uint64_t offset = 0, nodeid = 0;

	it_file(it, "f", "x");
	assert_int_equal(fc_opendir(it->q, ROOT, &dir), 0);
	assert_int_equal(
		fc_readdir(it->q, ROOT, dir.fh, true, 4096, &offset, keep_node, &nodeid), 3);
	assert_true(nodeid != 0);
	assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), 0);
	assert_int_equal(entry.nodeid, nodeid);
	assert_int_equal(fc_forget(it->hp, nodeid, 1), 0);
	assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
	assert_int_equal(fc_forget(it->hp, nodeid, 1), 0);
	assert_refused(fc_getattr(it->q, nodeid, &attr));
	assert_int_equal(fc_releasedir(it->q, ROOT, dir.fh), 0);
}

/* ---- several at once ---- */

static void many_in_flight(void **state)
{
	struct it *it = *state;
	struct file f = create_file(it, "f");
	struct fc_req *reqs[16];
	uint8_t block[4096];

	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < 16; i++) {
			struct fuse_write_in in = {
				.fh = f.fh, .offset = i * sizeof(block), .size = sizeof(block)
			};

			memset(block, (int)(round + i), sizeof(block));
			reqs[i] = fc_send(it->q, &(struct fc_call){ .opcode = FUSE_WRITE,
							 .nodeid = f.nodeid,
							 .args = &in,
							 .args_len = sizeof(in),
							 .data = block,
							 .data_len = sizeof(block),
							 .room = sizeof(struct fuse_write_out) });
			assert_non_null(reqs[i]);
		}
		for (unsigned int i = 16; i-- > 0;)
			assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
		for (unsigned int i = 0; i < 16; i++) {
			memset(block, (int)(round + i), sizeof(block));
			assert_host_content(it, "f", i * sizeof(block), block, sizeof(block));
		}
	}
	release(it, f);
}

static struct it_options plain_ring = {
	.fc = { .without_features =
			VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX),
		.no_memory_slots = true,
		.ring_size = 16 },
};

static struct it_options large_ring = { .fc = { .ring_size = 1024, .depth = 64, .room = 65536 } };

static const struct CMUnitTest tests[] = {
	IT_TEST(read_write_sizes),
	IT_TEST_WITH(many_in_flight, large_ring),
	IT_TEST(read_write_in_crumbs),
	IT_TEST(reads_around_the_end),
	IT_TEST(open_modes),
	IT_TEST(append),
	IT_TEST(unlinked_and_replaced_while_open),
	IT_TEST(sparse_files),
	IT_TEST(fallocate_modes),
	IT_TEST(copy_file_ranges),
	IT_TEST(syncs),
	IT_TEST(readdir_whole),
	IT_TEST_WITH(readdirplus_whole, plain_ring),
	IT_TEST(readdirplus_whole),
	IT_TEST(readdir_tiny_buffers),
	IT_TEST(readdir_while_it_changes),
	IT_TEST(readdirplus_counts_lookups),
};

static const struct it_difference differences[] = {
	{ "reads_around_the_end", NULL, "no answer to a READ beyond the largest offset" },
};

IT_MAIN("io", tests, differences)
