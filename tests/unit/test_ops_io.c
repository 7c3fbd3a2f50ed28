/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on open files: data in and out, errors in the middle, and what is handed over.
 */
#include "tests/unit/fs_client.h"

#define BIG (100 * 1024)

/* Data that differs from place to place. */
static void fill(uint8_t *data, size_t size)
{
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		data[i] = (uint8_t)x;
	}
}

static struct fuse_open_out open_as(struct client *c, const char *name, uint32_t flags)
{
	struct fuse_open_out out = {0};

	assert_int_equal(do_open(c, FUSE_OPEN, node_of(c, ROOT, name), flags, &out), 0);
	return out;
}

static void test_read_write(void **state)
{
	static uint8_t data[BIG], back[BIG];
	struct client *c = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out out;
	int fd;

	fill(data, sizeof(data));
	assert_int_equal(do_create(c, ROOT, "f", O_RDWR, 0644, &entry, &out), 0);
	assert_int_equal(do_write(c, entry.nodeid, out.fh, 0, data, BIG), BIG);
	fd = open(host(c, "f"), O_RDWR);
	assert_int_equal(pread(fd, back, BIG, 0), BIG);
	assert_memory_equal(back, data, BIG);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, 0, BIG), BIG);
	assert_memory_equal(c->rep, data, BIG);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, 12345, BIG), BIG - 12345);
	assert_memory_equal(c->rep, data + 12345, BIG - 12345);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, BIG, 100), 0);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, BIG * 10, 100), 0);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, 5, 0), 0);
	assert_int_equal(do_write(c, entry.nodeid, out.fh, 5, "", 0), 0);
	/* The host's changes show at once: nothing is cached here. */
	assert_int_equal(pwrite(fd, "host", 4, 50), 4);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, 50, 4), 4);
	assert_memory_equal(c->rep, "host", 4);
	assert_int_equal(do_write(c, entry.nodeid, out.fh, 1 << 20, "end", 3), 3);
	assert_int_equal(host_stat(c, "f").st_size, (1 << 20) + 3);

	/* Offsets that no file has. */
	assert_int_equal(do_read(c, entry.nodeid, out.fh, INT64_MAX, 10), -EINVAL);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, UINT64_MAX - 3, 10), -EINVAL);
	assert_int_equal(do_write(c, entry.nodeid, out.fh, UINT64_MAX - 3, "x", 1), -EFBIG);
	assert_int_equal(do_write(c, entry.nodeid, out.fh, INT64_MAX, "x", 1), -EFBIG);
	close(fd);
}

/* Cold pages: the read in place gives up, the other thread gets it all. */
static void test_cold_read(void **state)
{
	static uint8_t data[BIG];
	struct client *c = *state;
	struct fuse_open_out out;
	int fd = open(host(c, "cold"), O_RDWR | O_CREAT, 0644);

	fill(data, sizeof(data));
	assert_int_equal(write(fd, data, BIG), BIG);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 8192, BIG, POSIX_FADV_DONTNEED), 0);
	out = open_as(c, "cold", O_RDONLY);
	assert_int_equal(do_read(c, node_of(c, ROOT, "cold"), out.fh, 0, BIG + 10), BIG);
	assert_memory_equal(c->rep, data, BIG);
	close(fd);
}

static void test_fh_checks(void **state)
{
	struct client *c = *state;
	struct fuse_getattr_in in = {.getattr_flags = FUSE_GETATTR_FH};
	struct fuse_open_out out, dir;
	uint64_t node, other;

	host_write(c, "f", "data");
	host_write(c, "g", "DATA");
	node = node_of(c, ROOT, "f");
	other = node_of(c, ROOT, "g");
	out = open_as(c, "f", O_RDONLY);
	assert_int_equal(do_read(c, node, out.fh, 0, 4), 4);
	assert_int_equal(do_read(c, other, out.fh, 0, 4), -EBADF);
	assert_int_equal(do_read(c, node, out.fh + 1, 0, 4), -EBADF);
	assert_int_equal(do_read(c, node, out.fh ^ UINT64_C(1) << 40, 0, 4), -EBADF);
	assert_int_equal(do_read(c, node, 0, 0, 4), -EBADF);
	assert_int_equal(do_read(c, node, UINT64_MAX, 0, 4), -EBADF);
	assert_int_equal(do_write(c, node, out.fh, 0, "x", 1), -EBADF);
	assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &dir), 0);
	assert_int_equal(do_read(c, ROOT, dir.fh, 0, 4), -EISDIR);
	in.fh = out.fh;
	assert_int_equal(ask(c, FUSE_GETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(ask(c, FUSE_GETATTR, other, &in, sizeof(in), NULL, NULL), -EBADF);
	assert_int_equal(do_release(c, FUSE_RELEASE, other, out.fh), -EBADF);
	assert_int_equal(do_release(c, FUSE_RELEASE, node, out.fh), 0);
	assert_int_equal(do_release(c, FUSE_RELEASE, node, out.fh), -EBADF);
	assert_int_equal(do_read(c, node, out.fh, 0, 4), -EBADF);
}

static void test_append_and_truncate(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .size = 3};
	struct fuse_open_out out;
	uint64_t node;

	host_write(c, "f", "0123456789");
	node = node_of(c, ROOT, "f");
	out = open_as(c, "f", O_WRONLY | O_APPEND);
	assert_int_equal(do_append(c, node, out.fh, 2, "ab", 2), 2);
	assert_int_equal(host_stat(c, "f").st_size, 12);
	in.fh = out.fh;
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "f").st_size, 3);
	in.fh = 77;
	assert_int_equal(do_setattr(c, node, &in), -EBADF);
	in.fh = open_as(c, "f", O_RDONLY).fh;
	in.size = 2;
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "f").st_size, 2);
	open_as(c, "f", O_RDWR | O_TRUNC);
	assert_int_equal(host_stat(c, "f").st_size, 0);
	/* O_DIRECT would want aligned buffers, which a guest's are not. */
	out = open_as(c, "f", O_RDWR | O_DIRECT | O_NOATIME);
	assert_int_equal(do_write(c, node, out.fh, 1, "z", 1), 1);
}

/* Synchronous files make every write wait for the disk: never in place. */
static void test_sync_is_handed_over(void **state)
{
	struct client *c = *state;
	struct fuse_open_out out;
	struct call *call;
	char args[sizeof(struct fuse_write_in) + 3] = {0};
	struct fuse_write_in in = {.size = 3};

	host_write(c, "f", "");
	out = open_as(c, "f", O_RDWR | O_DSYNC);
	in.fh = out.fh;
	memcpy(args, &in, sizeof(in));
	memcpy(args + sizeof(in), "abc", 3);
	call = call_request(FUSE_WRITE, 5, node_of(c, ROOT, "f"), args, sizeof(args), 64);
	fs_submit(c->f->fs, &call->io);
	assert_int_equal(c->f->n_held, 1);
	assert_int_equal(call->completed, 0);
	assert_int_equal(host_stat(c, "f").st_size, 0);
	assert_int_equal(fixture_pump(c->f), 1);
	assert_int_equal(call_answer(call).error, 0);
	assert_int_equal(host_stat(c, "f").st_size, 3);
	call_free(call);
}

/* READ into, or WRITE from, many small pieces of guest memory, the last of which is not there. */
static int scattered(struct client *c, uint32_t opcode, uint64_t node, uint64_t fh, uint32_t size,
	void *memory, size_t piece, size_t n_pieces, bool hole, uint32_t *count)
{
	struct fuse_in_header header = {.opcode = opcode, .unique = 9, .nodeid = node};
	struct fuse_out_header out;
	struct fuse_write_in in = {.fh = fh, .size = size};
	struct fuse_write_out written;
	struct iovec *iov = calloc(n_pieces + 3, sizeof(*iov));
	bool write = opcode == FUSE_WRITE;
	uint8_t *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct call call = {.io = {.complete = call_on_complete, .drop = call_on_drop}};
	struct iovec req[1] = {{NULL, 0}},
		     rep[2] = {{&out, sizeof(out)}, {&written, sizeof(written)}};
	uint8_t head[sizeof(header) + sizeof(in)];
	size_t i, n = 0;

	iov[n++] = write ? (struct iovec){head, sizeof(head)} : (struct iovec){&out, sizeof(out)};
	for (i = 0; i < n_pieces; i++)
		iov[n++] = (struct iovec){(uint8_t *)memory + i * piece, piece};
	if (hole)
		iov[n++] = (struct iovec){nothing, 4096};
	header.len = (uint32_t)sizeof(head) + (write ? size : 0);
	memcpy(head, &header, sizeof(header));
	memcpy(head + sizeof(header), &in, sizeof(in));
	req[0] = (struct iovec){head, sizeof(head)};
	call.io.req = write ? iov : req;
	call.io.n_req = write ? n : 1;
	call.io.rep = write ? rep : iov;
	call.io.n_rep = write ? 2 : n;
	for (i = 0; i < call.io.n_req; i++)
		call.io.req_len += call.io.req[i].iov_len;
	for (i = 0; i < call.io.n_rep; i++)
		call.io.rep_len += call.io.rep[i].iov_len;
	if (!write) {
		header.len = sizeof(header) + sizeof(struct fuse_read_in);
		memcpy(head, &header, sizeof(header));
		req[0].iov_len = header.len;
		call.io.req_len = header.len;
	}
	call.io.req_ram = call.io.req_len;
	call.io.rep_ram = call.io.rep_len;
	fs_submit(c->f->fs, &call.io);
	fixture_pump(c->f);
	assert_int_equal(call.completed, 1);
	*count = write && out.error == 0 ? written.size : call.len - (uint32_t)sizeof(out);
	munmap(nothing, 4096);
	free(iov);
	return out.error;
}

static void test_scattered(void **state)
{
	static uint8_t data[96 * 1024], back[96 * 1024];
	struct client *c = *state;
	struct fuse_open_out out;
	uint32_t count;
	uint64_t node;

	fill(data, sizeof(data));
	host_write(c, "f", "");
	node = node_of(c, ROOT, "f");
	out = open_as(c, "f", O_RDWR);
	/* 1,536 pieces: more than one system call takes. */
	assert_int_equal(scattered(c, FUSE_WRITE, node, out.fh, sizeof(data), data, 64,
				 sizeof(data) / 64, false, &count),
		0);
	assert_int_equal(count, sizeof(data));
	assert_int_equal(scattered(c, FUSE_READ, node, out.fh, sizeof(back), back, 64,
				 sizeof(back) / 64, false, &count),
		0);
	assert_int_equal(count, sizeof(back));
	assert_memory_equal(back, data, sizeof(data));

	/* A short read would be the file's end to the guest: all of it fails instead. */
	assert_int_equal(
		scattered(c, FUSE_READ, node, out.fh, 4096 * 3, back, 4096, 2, true, &count),
		-EFAULT);
	/* Not so when the file ends before that place. */
	assert_int_equal(truncate(host(c, "f"), 8192), 0);
	assert_int_equal(
		scattered(c, FUSE_READ, node, out.fh, 4096 * 3, back, 4096, 2, true, &count), 0);
	assert_int_equal(count, 8192);
	/* A write reports what it did. */
	assert_int_equal(
		scattered(c, FUSE_WRITE, node, out.fh, 4096 * 3, data, 4096, 2, true, &count), 0);
	assert_int_equal(count, 8192);
	assert_int_equal(
		scattered(c, FUSE_WRITE, node, out.fh, 4096, data, 4096, 0, true, &count), -EFAULT);
}

static void test_sparse(void **state)
{
	struct client *c = *state;
	struct fuse_fallocate_in falloc_in = {.length = 1 << 20};
	struct fuse_lseek_in seek_in = {.whence = SEEK_DATA};
	struct fuse_open_out out, dir;
	uint64_t node;

	host_write(c, "f", "");
	node = node_of(c, ROOT, "f");
	out = open_as(c, "f", O_RDWR);
	falloc_in.fh = seek_in.fh = out.fh;
	assert_int_equal(do_write(c, node, out.fh, 1 << 20, "x", 1), 1);
	assert_int_equal(ask(c, FUSE_LSEEK, node, &seek_in, sizeof(seek_in), NULL, NULL), 0);
	assert_int_equal(((struct fuse_lseek_out *)(void *)c->rep)->offset, 1 << 20);
	seek_in.whence = SEEK_HOLE;
	assert_int_equal(ask(c, FUSE_LSEEK, node, &seek_in, sizeof(seek_in), NULL, NULL), 0);
	assert_int_equal(((struct fuse_lseek_out *)(void *)c->rep)->offset, 0);
	seek_in.whence = SEEK_DATA;
	seek_in.offset = (1 << 20) + 5;
	assert_int_equal(ask(c, FUSE_LSEEK, node, &seek_in, sizeof(seek_in), NULL, NULL), -ENXIO);
	seek_in.whence = SEEK_SET;
	assert_int_equal(ask(c, FUSE_LSEEK, node, &seek_in, sizeof(seek_in), NULL, NULL), -EINVAL);
	assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &dir), 0);
	seek_in.fh = dir.fh;
	seek_in.whence = SEEK_DATA;
	assert_int_equal(ask(c, FUSE_LSEEK, ROOT, &seek_in, sizeof(seek_in), NULL, NULL), -EINVAL);

	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &falloc_in, sizeof(falloc_in), NULL, NULL), 0);
	assert_true(host_stat(c, "f").st_blocks >= 2048);
	falloc_in.mode = 0x3; /* punch a hole, keep the size */
	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &falloc_in, sizeof(falloc_in), NULL, NULL), 0);
	assert_true(host_stat(c, "f").st_blocks < 2048);
	assert_int_equal(host_stat(c, "f").st_size, (1 << 20) + 1);
	falloc_in.mode = 0x40000000;
	assert_int_equal(ask(c, FUSE_FALLOCATE, node, &falloc_in, sizeof(falloc_in), NULL, NULL),
		-EOPNOTSUPP);
}

static void test_copy_file_range(void **state)
{
	struct client *c = *state;
	struct fuse_copy_file_range_in in = {.off_in = 2, .off_out = 1, .len = UINT64_MAX};
	struct fuse_open_out from, to;
	char back[16] = {0};
	int fd;

	host_write(c, "from", "0123456789");
	host_write(c, "to", "abc");
	from = open_as(c, "from", O_RDONLY);
	to = open_as(c, "to", O_RDWR);
	in.fh_in = from.fh;
	in.fh_out = to.fh;
	in.nodeid_out = node_of(c, ROOT, "to");
	assert_int_equal(
		ask(c, FUSE_COPY_FILE_RANGE, node_of(c, ROOT, "from"), &in, sizeof(in), NULL, NULL),
		0);
	assert_int_equal(((struct fuse_write_out *)(void *)c->rep)->size, 8);
	fd = open(host(c, "to"), O_RDONLY);
	assert_int_equal(read(fd, back, sizeof(back)), 9);
	assert_memory_equal(back, "a23456789", 9);
	close(fd);
	in.flags = 1;
	assert_int_equal(
		ask(c, FUSE_COPY_FILE_RANGE, node_of(c, ROOT, "from"), &in, sizeof(in), NULL, NULL),
		-EINVAL);
	in.flags = 0;
	in.nodeid_out = ROOT;
	assert_int_equal(
		ask(c, FUSE_COPY_FILE_RANGE, node_of(c, ROOT, "from"), &in, sizeof(in), NULL, NULL),
		-EBADF);
}

static void test_flush_and_sync(void **state)
{
	struct client *c = *state;
	struct fuse_flush_in flush_in = {0};
	struct fuse_fsync_in sync_in = {0};
	struct fuse_syncfs_in syncfs_in = {0};
	struct fuse_open_out out, dir;
	uint64_t node;
	int fds;

	host_write(c, "f", "x");
	node = node_of(c, ROOT, "f");
	out = open_as(c, "f", O_RDWR);
	flush_in.fh = sync_in.fh = out.fh;
	fds = count_fds();
	assert_int_equal(ask(c, FUSE_FLUSH, node, &flush_in, sizeof(flush_in), NULL, NULL), 0);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(ask(c, FUSE_FSYNC, node, &sync_in, sizeof(sync_in), NULL, NULL), 0);
	sync_in.fsync_flags = FUSE_FSYNC_FDATASYNC;
	assert_int_equal(ask(c, FUSE_FSYNC, node, &sync_in, sizeof(sync_in), NULL, NULL), 0);
	assert_int_equal(ask(c, FUSE_FSYNC, ROOT, &sync_in, sizeof(sync_in), NULL, NULL), -EBADF);
	assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &dir), 0);
	sync_in.fh = dir.fh;
	assert_int_equal(ask(c, FUSE_FSYNCDIR, ROOT, &sync_in, sizeof(sync_in), NULL, NULL), 0);
	assert_int_equal(ask(c, FUSE_SYNCFS, ROOT, &syncfs_in, sizeof(syncfs_in), NULL, NULL), 0);
	assert_int_equal(
		ask(c, FUSE_SYNCFS, 999, &syncfs_in, sizeof(syncfs_in), NULL, NULL), -ESTALE);
	flush_in.fh = 1;
	assert_int_equal(ask(c, FUSE_FLUSH, node, &flush_in, sizeof(flush_in), NULL, NULL), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_read_write),
		CLIENT_TEST(test_cold_read),
		CLIENT_TEST(test_fh_checks),
		CLIENT_TEST(test_append_and_truncate),
		CLIENT_TEST(test_sync_is_handed_over),
		CLIENT_TEST(test_scattered),
		CLIENT_TEST(test_sparse),
		CLIENT_TEST(test_copy_file_range),
		CLIENT_TEST(test_flush_and_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
