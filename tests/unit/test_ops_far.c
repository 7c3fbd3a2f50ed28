/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is not RAM: what only system calls may touch (here: an inaccessible page, so
 * that a CPU's access is a crash), and what only the front-end can reach. The window is a double.
 */
#include "tests/unit/dax_client.h"

#include <sys/mman.h>
#include <time.h>

#include "vhostuser/virtqueue.h"

#define SEGMENTS_MAX 12
#define BUFFER_MAX   6000

/* A guest's buffer, cut at random into RAM and foreign segments; `bytes` is what it holds. */
struct buffer {
	struct iovec iov[SEGMENTS_MAX + 1]; /* the first: headers */
	struct vq_foreign foreign[SEGMENTS_MAX];
	size_t n, n_foreign, size;
	uint32_t flags; /* of the guest's file */
	char ram[BUFFER_MAX];
};

static void cut(struct buffer *b, size_t size, size_t at0)
{
	size_t at = 0;

	b->n = 1;
	b->n_foreign = 0;
	b->size = size;
	while (at < size) {
		size_t len = b->n == SEGMENTS_MAX ? size - at : (size_t)rand() % (size - at) + 1;
		bool foreign = rand() % 2;

		if (rand() % 8 == 0 && b->n < SEGMENTS_MAX - 2)
			b->iov[b->n++] = (struct iovec){.iov_base = b->ram, .iov_len = 0};
		if (foreign)
			b->foreign[b->n_foreign++] =
				(struct vq_foreign){.at = at0 + b->n, .gpa = 1000 + at * 2};
		b->iov[b->n++] = (struct iovec){
			.iov_base = foreign ? VQ_FOREIGN : b->ram + at,
			.iov_len = len,
		};
		at += len;
	}
}

/* One byte of the buffer as the guest sees it. */
static char *byte_of(struct buffer *b, size_t at)
{
	size_t start = 0, i = 1;

	while (at - start >= b->iov[i].iov_len)
		start += b->iov[i++].iov_len;
	if (b->iov[i].iov_base != VQ_FOREIGN)
		return b->ram + at;
	return window.gpa + 1000 + start * 2 + (at - start);
}

/* READ or WRITE with the buffer; *bytes gets how many were carried. */
static int transfer(struct client *c, uint32_t opcode, uint64_t node, uint64_t fh, uint64_t offset,
	struct buffer *b, size_t *bytes)
{
	struct fuse_write_in in = {
		.fh = fh, .offset = offset, .size = (uint32_t)b->size, .flags = b->flags};
	struct {
		struct fuse_in_header header;
		struct fuse_write_in in;
	} head = {.header = {.opcode = opcode, .unique = ++c->unique, .nodeid = node}, .in = in};
	struct {
		struct fuse_out_header header;
		struct fuse_write_out out;
	} answer = {0};
	bool write = opcode == FUSE_WRITE;
	struct iovec other = write ? (struct iovec){&answer, sizeof(answer)}
				   : (struct iovec){&head, sizeof(head)};
	struct call call = {0};

	head.header.len = (uint32_t)(sizeof(head) + (write ? b->size : 0));
	b->iov[0] = write ? (struct iovec){&head, sizeof(head)}
			  : (struct iovec){&answer.header, sizeof(answer.header)};
	call.io = (struct fs_io){
		.req = write ? b->iov : &other,
		.rep = write ? &other : b->iov,
		.n_req = write ? b->n : 1,
		.n_rep = write ? 1 : b->n,
		.req_len = head.header.len,
		.rep_len = write ? sizeof(answer) : sizeof(answer.header) + b->size,
		.req_ram = sizeof(head),
		.rep_ram = write ? sizeof(answer) : sizeof(answer.header),
		.foreign = b->foreign,
		.n_foreign = b->n_foreign,
		.complete = call_on_complete,
		.drop = call_on_drop,
	};
	fs_submit(c->f->fs, &call.io);
	fixture_pump(c->f);
	assert_int_equal(call.completed, 1);
	assert_int_equal(answer.header.unique, head.header.unique);
	assert_int_equal(answer.header.len, call.len);
	if (answer.header.error == 0)
		*bytes = write ? answer.out.size : call.len - sizeof(answer.header);
	return answer.header.error;
}

static struct client *far_client(uint64_t *node, uint64_t *fh, uint32_t flags)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	window.dialect = dax_dialect_find("fs-v2");
	assert_int_equal(do_create(c, ROOT, "file", flags, 0600, &entry, &open), 0);
	*node = entry.nodeid;
	*fh = open.fh;
	return c;
}

/* Against a plain array: random cuts, offsets and sizes, past the end of the file too. */
static void test_random_transfers(void **state)
{
	static struct buffer b;
	static char model[3 * BUFFER_MAX];
	unsigned int seed = (unsigned int)time(NULL);
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR);
	size_t end = 0, bytes = 0;
	int fds = count_fds();

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 2000; round++) {
		size_t size = (size_t)rand() % BUFFER_MAX + 1, offset = (size_t)rand() % BUFFER_MAX;

		if (rand() % 2) {
			cut(&b, size, 0);
			for (size_t i = 0; i < size; i++)
				*byte_of(&b, i) = model[offset + i] = (char)rand();
			assert_int_equal(transfer(c, FUSE_WRITE, node, fh, offset, &b, &bytes), 0);
			assert_int_equal(bytes, size);
			end = MAX(end, offset + size);
		} else {
			cut(&b, size, 1);
			assert_int_equal(transfer(c, FUSE_READ, node, fh, offset, &b, &bytes), 0);
			assert_int_equal(bytes, offset >= end ? 0 : MIN(size, end - offset));
			for (size_t i = 0; i < bytes; i++)
				assert_int_equal(*byte_of(&b, i), model[offset + i]);
		}
	}
	assert_true(window.ios > 0);
	assert_int_equal(count_fds(), fds);
	client_free(c);
}

static void two_segments(struct buffer *b, size_t at0, bool foreign_first)
{
	*b = (struct buffer){.n = 3, .size = 20, .n_foreign = 1};
	b->iov[1] = (struct iovec){.iov_base = b->ram, .iov_len = 10};
	b->iov[2] = (struct iovec){.iov_base = b->ram + 10, .iov_len = 10};
	b->iov[foreign_first ? 1 : 2].iov_base = VQ_FOREIGN;
	b->foreign[0] = (struct vq_foreign){.at = at0 + (foreign_first ? 1 : 2), .gpa = 50};
}

/* The window's bytes by its own file, some at a time. */
static void test_reach(void **state)
{
	static struct buffer b;
	static char model[3 * BUFFER_MAX];
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR);
	size_t bytes = 0;
	int fds;

	(void)state;
	window.dialect = dax_dialect_find("shmem");
	window.placed = true;
	window.io_max = 1000;
	window.reach_fd = memfd_create("window", MFD_CLOEXEC);
	assert_int_equal(ftruncate(window.reach_fd, sizeof(window.gpa)), 0);
	fds = count_fds();
	for (int round = 0; round < 500; round++) {
		size_t size = (size_t)rand() % BUFFER_MAX + 1, offset = (size_t)rand() % BUFFER_MAX;

		cut(&b, size, 0);
		for (size_t i = 0; i < size; i++)
			*byte_of(&b, i) = model[offset + i] = (char)rand();
		assert_int_equal(pwrite(window.reach_fd, window.gpa, sizeof(window.gpa), 0),
			sizeof(window.gpa));
		assert_int_equal(transfer(c, FUSE_WRITE, node, fh, offset, &b, &bytes), 0);
		assert_int_equal(bytes, size);
		cut(&b, size, 1);
		assert_int_equal(transfer(c, FUSE_READ, node, fh, offset, &b, &bytes), 0);
		assert_int_equal(bytes, size);
		assert_int_equal(pread(window.reach_fd, window.gpa, sizeof(window.gpa), 0),
			sizeof(window.gpa));
		for (size_t i = 0; i < size; i++)
			assert_int_equal(*byte_of(&b, i), model[offset + i]);
	}
	assert_true(window.reaches > 500);
	assert_int_equal(window.ios, 0);
	assert_int_equal(count_fds(), fds);

	/* A file that was cut, and what no mapping holds. */
	assert_int_equal(ftruncate(window.reach_fd, 0), 0);
	two_segments(&b, 0, true);
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), -EFAULT);
	b.foreign[0].gpa = UINT64_MAX;
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), -EFAULT);
	two_segments(&b, 1, true);
	assert_int_equal(transfer(c, FUSE_READ, node, fh, 0, &b, &bytes), -EFAULT);
	close(window.reach_fd);
	client_free(c);
}

static void test_append(void **state)
{
	static struct buffer b;
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR | O_APPEND);
	char data[41] = {0};
	size_t bytes = 0;
	FILE *file;

	(void)state;
	for (int i = 0; i < 2; i++) {
		two_segments(&b, 0, i);
		b.flags = O_RDWR | O_APPEND;
		memcpy(b.ram, "aaaaaaaaaabbbbbbbbbb", 20);
		memcpy(window.gpa + 50, "cccccccccc", 10);
		assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), 0);
		assert_int_equal(bytes, 20);
	}
	file = fopen(host(c, "file"), "r");
	assert_non_null(file);
	assert_int_equal(fread(data, 1, sizeof(data), file), 40);
	fclose(file);
	assert_string_equal(data, "aaaaaaaaaaccccccccccccccccccccbbbbbbbbbb");
	client_free(c);
}

/* By a file that is open for reading nothing is written, and the front-end gets no fd to do it. */
static void test_not_for_writing(void **state)
{
	static struct buffer b;
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR);
	struct fuse_open_out open;
	size_t bytes = 0;

	(void)state;
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &open), 0);
	for (int i = 0; i < 2; i++) {
		two_segments(&b, 0, true);
		b.flags = i ? O_APPEND : 0;
		assert_int_equal(transfer(c, FUSE_WRITE, node, open.fh, 0, &b, &bytes), -EBADF);
	}
	assert_int_equal(window.ios, 0);
	assert_int_equal(host_stat(c, "file").st_size, 0);
	client_free(c);
}

/* What comes short ends the transfer; an error after some bytes is a short write. */
static void test_short_and_failed(void **state)
{
	static struct buffer b;
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR);
	size_t bytes = 0;

	(void)state;
	two_segments(&b, 0, true);
	window.io_max = 4;
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), 0);
	assert_int_equal(bytes, 4);
	assert_int_equal(host_stat(c, "file").st_size, 4);
	two_segments(&b, 0, false);
	window.io_max = UINT64_MAX;
	window.answer = -ENOSPC;
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), 0);
	assert_int_equal(bytes, 10);
	two_segments(&b, 0, true);
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), -ENOSPC);
	two_segments(&b, 1, false);
	assert_int_equal(transfer(c, FUSE_READ, node, fh, 0, &b, &bytes), -ENOSPC);
	window.answer = 0;
	/* A segment that nobody told the address of. */
	two_segments(&b, 1, true);
	b.foreign[0].at = 7;
	assert_int_equal(transfer(c, FUSE_READ, node, fh, 0, &b, &bytes), -EFAULT);
	two_segments(&b, 1, true);
	assert_int_equal(transfer(c, FUSE_READ, node, 4711, 0, &b, &bytes), -EBADF);
	assert_int_equal(transfer(c, FUSE_READ, node, fh, UINT64_MAX, &b, &bytes), -EINVAL);
	two_segments(&b, 0, true);
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, UINT64_MAX, &b, &bytes), -EFBIG);
	client_free(c);
}

/* What waits for the front-end holds a file: it is counted, until the answer, also of a failure. */
static void test_files_are_counted(void **state)
{
	static struct buffer b;
	uint64_t node, fh, last = 0;
	struct client *c = far_client(&node, &fh, O_RDWR);
	struct fuse_open_out open;
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		window.answer = i % 2 ? -ENOSPC : 0;
		two_segments(&b, 0, true);
		assert_int_equal(
			transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), window.answer);
	}
	window.answer = 0;
	while (do_open(c, FUSE_OPEN, node, O_RDONLY, &open) == 0)
		last = open.fh;
	two_segments(&b, 0, true);
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), -ENFILE);
	assert_int_equal(do_release(c, FUSE_RELEASE, node, last), 0);
	two_segments(&b, 0, true);
	assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), 0);
	client_free(c);
}

static void test_dialects_without_io(void **state)
{
	static struct buffer b;
	uint64_t node, fh;
	struct client *c = far_client(&node, &fh, O_RDWR);
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		window.dialect = dax_dialect_find(i ? "shmem" : "seed");
		if (i == 2) {
			window.dialect = dax_dialect_find("fs-v2");
			window.ready = false;
		}
		two_segments(&b, 0, true);
		assert_int_equal(transfer(c, FUSE_WRITE, node, fh, 0, &b, &bytes), -EFAULT);
		two_segments(&b, 1, false);
		assert_int_equal(transfer(c, FUSE_READ, node, fh, 0, &b, &bytes), -EFAULT);
	}
	assert_int_equal(window.ios, 0);
	assert_int_equal(host_stat(c, "file").st_size, 0);
	client_free(c);
}

/* Nothing past the RAM of either part is touched, whatever the opcode. */
static void test_outside_ram(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	char args[256] = {0};

	(void)state;
	for (uint32_t op = 1; op < 60; op++) {
		for (size_t ram = 0; ram <= 200; ram += ram < 56 ? 8 : 48) {
			struct call *call = call_request(op, 5, ROOT, args, 160, 200);
			struct iovec rep[2];

			if (op == FUSE_DESTROY || op == FUSE_INIT)
				ram = 0;
			/* Readable. */
			call->io.req_ram = ram;
			fs_submit(c->f->fs, &call->io);
			fixture_pump(c->f);
			assert_int_equal(call->completed, 1);
			if (ram < 40)
				assert_int_equal(call->len, 0);
			call_free(call);

			/* Writable: after its RAM comes a page that cannot be touched. */
			call = call_request(op, 5, ROOT, args, 0, ram);
			rep[0] = call->rep;
			rep[1] = (struct iovec){(char *)call->rep.iov_base + ram, 4096};
			call->io.rep = rep;
			call->io.n_rep = 2;
			call->io.rep_len = ram + 4096;
			fs_submit(c->f->fs, &call->io);
			fixture_pump(c->f);
			assert_int_equal(call->completed, 1);
			if (ram < HEADER_SIZE)
				assert_int_equal(call->len, 0);
			call_free(call);
			if (op == FUSE_DESTROY || op == FUSE_INIT)
				break;
		}
	}
	client_free(c);
}

static void test_answer_outside_ram(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_open_out open;
	struct fuse_read_in in = {.size = 4096};
	struct call *call;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	assert_int_equal(symlink("target", host(c, "link")), 0);
	node = node_of(c, ROOT, "link");
	call = call_request(FUSE_READLINK, 5, node, NULL, 0, HEADER_SIZE + 100);
	call->io.rep_ram = HEADER_SIZE + 5;
	assert_int_equal(call_run(c->f, call), -EFAULT);
	call_free(call);

	assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &open), 0);
	in.fh = open.fh;
	call = call_request(FUSE_READDIR, 5, ROOT, &in, sizeof(in), HEADER_SIZE + 4096);
	call->io.rep_ram = HEADER_SIZE;
	assert_int_equal(call_run(c->f, call), -EFAULT);
	call_free(call);

	/* Data of a file comes by a system call. */
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &open), 0);
	in.fh = open.fh;
	call = call_request(FUSE_READ, 5, node, &in, sizeof(in), HEADER_SIZE + 4096);
	call->io.rep_ram = HEADER_SIZE;
	assert_int_equal(call_run(c->f, call), 0);
	assert_memory_equal((char *)call->rep.iov_base + HEADER_SIZE, "data", 4);
	call_free(call);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_transfers),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_not_for_writing),
		cmocka_unit_test(test_short_and_failed),
		cmocka_unit_test(test_files_are_counted),
		cmocka_unit_test(test_dialects_without_io),
		cmocka_unit_test(test_outside_ram),
		cmocka_unit_test(test_answer_outside_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
