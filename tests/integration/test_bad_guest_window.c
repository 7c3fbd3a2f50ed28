/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that puts into the DAX window what belongs into RAM, while the file there is cut short.
 *
 * Each attack is made twice, on the whole file and on the empty one: what is refused is refused by
 * where it lies, whatever is there. Where the window is shared back, the processor's touch of the
 * empty one would be a SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/winfront.h"
#include "vhostuser/fd.h"

#define ROOT  FUSE_ROOT_ID
#define PAGE  WF_PAGE
#define RANGE WF_RANGE

#define HEADER ((uint32_t)sizeof(struct fuse_in_header))
#define OUT    ((uint32_t)sizeof(struct fuse_out_header))

WF_OPTIONS(seed, "seed", WF_BITS, true);
WF_OPTIONS(fs_v2, "fs-v2", WF_BITS, false);
WF_OPTIONS(fs_count, "fs-count", WF_BITS, false);
WF_OPTIONS(shmem, "shmem", WF_BITS | VU_BIT(VU_PROTOCOL_F_SHMEM), false);
/* No region of the window is in the table, as after QEMU's start: data there goes by the file. */
WF_OPTIONS(refused, "shmem", WF_BITS | VU_BIT(VU_PROTOCOL_F_SHMEM), false, .takes_none = true);

/* The file behind the window's start is empty. */
static bool gone;

/* ---- parts of requests in the window ---- */

/* What the guest would find there if it were used. */
static void put(struct wf *w, uint64_t at, const void *bytes, size_t len)
{
	int fd = open(it_path(w->it, "mapped"), O_WRONLY | O_CLOEXEC);

	if (!gone)
		assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
	close(fd);
}

/* No answer is possible, or wanted: the chain comes back with nothing in it. */
static void expect_silence(struct wf *w, struct fc_req *req, const struct vq_buf *bufs, size_t n)
{
	req->no_reply = true;
	assert_int_equal(wf_ask(w, req, bufs, n), 0);
}

static const struct fuse_getattr_in getattr;

/* Its first `ram` bytes are no part of it. */
static void header_there(struct wf *w, uint32_t ram)
{
	struct fc_req *req = wf_request(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr));
	uint32_t len = HEADER + sizeof(getattr);
	const struct vq_buf bufs[] = {{req->req_gpa, ram, false}, {WF_GPA + ram, len - ram, false},
		{req->rep_gpa, 2 * PAGE, true}};

	put(w, 0, req->req, len);
	expect_silence(w, req, bufs + (ram ? 0 : 1), ram ? 3 : 2);
}

static void headers_there(struct wf *w)
{
	header_there(w, 0);
	header_there(w, 1);
	header_there(w, HEADER - 1);
}

/* With every kind of argument: `len` bytes of which `fixed` are in RAM. */
static int args_from_window(struct wf *w, uint32_t opcode, uint64_t nodeid, const void *args,
	uint32_t len, uint32_t fixed)
{
	struct fc_req *req = wf_request(w, opcode, nodeid, args, len);
	const struct vq_buf bufs[] = {{req->req_gpa, HEADER + fixed, false},
		{WF_GPA + 5, len - fixed, false}, {req->rep_gpa, 2 * PAGE, true}};

	put(w, 5, (const uint8_t *)args + fixed, len - fixed);
	return wf_ask(w, req, bufs, ARRAY_SIZE(bufs));
}

static void arguments_there(struct wf *w)
{
	const struct fuse_read_in read = {.fh = w->fh, .size = 100};
	const struct fuse_write_in write = {.fh = w->fh};
	struct {
		struct fuse_removemapping_in in;
		struct fuse_removemapping_one one;
	} __attribute__((packed)) remove = {{1}, {0, RANGE}};
	struct fuse_rename_in rename = {.newdir = ROOT};
	uint8_t names[sizeof(rename) + 12];

	memcpy(names, &rename, sizeof(rename));
	memcpy(names + sizeof(rename), "other\0moved", 12);
	assert_int_equal(
		args_from_window(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr), 0), -EFAULT);
	assert_int_equal(args_from_window(w, FUSE_READ, w->other, &read, sizeof(read), 8), -EFAULT);
	assert_int_equal(
		args_from_window(w, FUSE_WRITE, w->other, &write, sizeof(write), 39), -EFAULT);
	assert_int_equal(args_from_window(w, FUSE_LOOKUP, ROOT, "other", 6, 3), -EFAULT);
	assert_int_equal(args_from_window(w, FUSE_RENAME, ROOT, names, sizeof(names), 13), -EFAULT);
	assert_int_equal(access(it_path(w->it, "other"), F_OK), 0);
	assert_int_equal(args_from_window(w, FUSE_REMOVEMAPPING, w->nodeid, &remove, sizeof(remove),
				 sizeof(remove.in)),
		-EFAULT);
}

/* Of requests that have no answer. */
static void forgets_there(struct wf *w)
{
	const struct fuse_forget_in forget = {.nlookup = 1};
	struct fc_req *req = wf_request(w, FUSE_FORGET, w->other, &forget, sizeof(forget));
	const struct vq_buf bufs[] = {
		{req->req_gpa, HEADER, false}, {WF_GPA, sizeof(forget), false}};

	put(w, 0, &forget, sizeof(forget));
	expect_silence(w, req, bufs, ARRAY_SIZE(bufs));
}

/* An answer, but for its first `ram` bytes. */
static void answer_there(struct wf *w, uint32_t ram)
{
	struct fc_req *req = wf_request(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr));
	const struct vq_buf bufs[] = {{req->req_gpa, HEADER + sizeof(getattr), false},
		{ram ? req->rep_gpa : WF_GPA, ram ? ram : PAGE, true}, {WF_GPA + PAGE, PAGE, true}};

	if (ram < OUT)
		expect_silence(w, req, bufs, ARRAY_SIZE(bufs));
	else
		assert_int_equal(wf_ask(w, req, bufs, ARRAY_SIZE(bufs)), -EFAULT);
}

static void answers_there(struct wf *w)
{
	answer_there(w, 0);
	answer_there(w, 1);
	answer_there(w, OUT - 1);
	answer_there(w, OUT);
	answer_there(w, OUT + sizeof(struct fuse_attr_out) - 1);
}

/* Answers whose length nobody knows before. */
static void listing_there(struct wf *w)
{
	struct fuse_read_in read = {.size = PAGE};
	struct fuse_open_out dir;
	struct fc_req *req;

	assert_int_equal(fc_opendir(w->it->q, ROOT, &dir), 0);
	read.fh = dir.fh;
	req = wf_request(w, FUSE_READDIR, ROOT, &read, sizeof(read));
	const struct vq_buf bufs[] = {{req->req_gpa, HEADER + sizeof(read), false},
		{req->rep_gpa, OUT, true}, {WF_GPA, PAGE, true}};
	assert_int_equal(wf_ask(w, req, bufs, ARRAY_SIZE(bufs)), -EFAULT);
	assert_int_equal(fc_releasedir(w->it->q, ROOT, dir.fh), 0);
}

static int read_to_window(struct wf *w, uint32_t in_ram)
{
	const struct fuse_read_in read = {.fh = w->fh, .offset = 64, .size = PAGE};
	struct fc_req *req = wf_request(w, FUSE_READ, w->other, &read, sizeof(read));
	const struct vq_buf bufs[] = {{req->req_gpa, HEADER + sizeof(read), false},
		{req->rep_gpa, OUT + in_ram, true}, {WF_GPA + PAGE, PAGE - in_ram, true}};

	return wf_ask(w, req, bufs, ARRAY_SIZE(bufs));
}

static int write_from_window(struct wf *w, uint32_t in_ram)
{
	const struct fuse_write_in write = {.fh = w->fh, .offset = RANGE, .size = PAGE};
	struct fc_req *req = wf_request(w, FUSE_WRITE, w->other, &write, sizeof(write));
	struct fuse_in_header *header = (void *)req->req;
	const struct vq_buf bufs[] = {{req->req_gpa, HEADER + sizeof(write) + in_ram, false},
		{WF_GPA + PAGE, PAGE - in_ram, false}, {req->rep_gpa, 2 * PAGE, true}};

	header->len += PAGE;
	return wf_ask(w, req, bufs, ARRAY_SIZE(bufs));
}

static void assert_other_ends_at(struct wf *w, uint64_t end)
{
	const char *path = it_path(w->it, "other");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, end);
	assert_int_equal(truncate(path, (off_t)RANGE), 0);
}

/* Only payload may lie there; then it is what is there that decides. */
static void payload_there(struct wf *w)
{
	bool reached = !gone && (w->shmem || dax_dialect_code(w->dialect, DAX_OP_IO));
	int wanted = reached ? 0 : -EFAULT, r;
	uint8_t bytes[PAGE];

	assert_int_equal(read_to_window(w, 0), wanted);
	assert_int_equal(write_from_window(w, 0), wanted);
	if (reached) {
		int fd = open(it_path(w->it, "other"), O_RDONLY | O_CLOEXEC);

		/* Into the window and out of it again. */
		assert_int_equal(pread(fd, bytes, PAGE, RANGE), PAGE);
		for (unsigned int i = 0; i < PAGE; i++)
			assert_int_equal(bytes[i], wf_pattern(64 + i));
		close(fd);
	}
	assert_other_ends_at(w, RANGE + (reached ? PAGE : 0));
	/* Beginning in RAM, a write may say how far it came. */
	assert_int_equal(read_to_window(w, 100), wanted);
	r = write_from_window(w, 100);
	if (reached || r == 0)
		assert_other_ends_at(w, RANGE + (reached ? PAGE : 100));
	else
		assert_int_equal(r, -EFAULT);
}

/* ---- rings and tables in the window: the queue breaks ---- */

static void table_there(struct wf *w)
{
	struct fc_queue *q = w->victim;
	struct fc_req *req = fc_slot(q);
	struct fuse_in_header header;
	uint32_t len = HEADER + sizeof(getattr);
	uint16_t head;

	assert_non_null(req);
	fc_header(q, &header, FUSE_GETATTR, ROOT, len);
	memcpy(req->req, &header, HEADER);
	const struct vq_buf bufs[] = {{req->req_gpa, len, false}, {req->rep_gpa, PAGE, true}};
	assert_int_equal(
		vq_driver_add_indirect(q->vq, bufs, 2, req->table, req->table_gpa, req), 0);
	put(w, 0, req->table, 2 * sizeof(struct vring_desc));
	head = q->vq->avail->ring[(q->vq->avail_idx - 1) & (q->vq->num - 1)];
	q->vq->desc[head].addr = WF_GPA;
	vq_driver_kick(q->vq);
	assert_true(wf_breaks(w));
	fc_cancel(req);
	wf_assert_others_go_on(w);
	wf_revive(w);
}

static struct vu_vring_addr addresses(const struct fc_queue *q)
{
	return (struct vu_vring_addr){
		.index = WF_VICTIM,
		.desc = (uintptr_t)q->vq->desc,
		.avail = (uintptr_t)q->vq->avail,
		.used = (uintptr_t)q->vq->used,
	};
}

static void rings_there(struct wf *w)
{
	static const uint8_t zeros[PAGE];

	put(w, 0, zeros, sizeof(zeros));
	for (unsigned int part = 1; part < 8; part++) {
		struct vu_vring_addr addr = addresses(w->victim);
		uint16_t base;

		if (part & 1)
			addr.desc = WF_UVA;
		if (part & 2)
			addr.avail = WF_UVA + 2 * PAGE;
		if (part & 4)
			addr.used = WF_UVA + 4 * PAGE;
		assert_int_equal(vu_frontend_ring_stop(w->it->fc->fe, WF_VICTIM, &base), 0);
		if (wf_ring_start(w, &addr) != -EREMOTEIO)
			fail_msg("parts %u of a ring lie in the window", part);
		assert_true(wf_breaks(w));
		wf_assert_others_go_on(w);
		wf_revive(w);
	}
}

/* A ring that runs in RAM whose place is the window's, of a sudden: nobody touches it then. */
static void ring_becomes_window(void **state)
{
	struct wf w = wf_open(*state);
	const struct vu_mem_region ram = {WF_GPA, RANGE, WF_UVA, 0};
	const struct vu_vring_addr addr = {.index = WF_VICTIM,
		.desc = WF_UVA,
		.avail = WF_UVA + 2 * PAGE,
		.used = WF_UVA + 4 * PAGE};
	CLEANUP_FD int file = memfd_create("ram", MFD_CLOEXEC);
	static const uint8_t zeros[8 * PAGE]; /* a ring with nothing in it */
	struct wf_map map;
	uint64_t one = 1;
	uint16_t base;

	gone = false;
	put(&w, 0, zeros, sizeof(zeros));
	assert_int_equal(ftruncate(file, RANGE), 0);
	wf_tell(&w, VU_ADD_MEM_REG, &ram, file);
	assert_int_equal(vu_frontend_ring_stop(w.it->fc->fe, WF_VICTIM, &base), 0);
	assert_int_equal(wf_ring_start(&w, &addr), 0);
	wf_tell(&w, VU_REM_MEM_REG, &ram, -1);
	map = wf_map(&w, 0, RANGE);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(write(w.victim->vq->kick, &one, sizeof(one)), sizeof(one));
		wf_assert_others_go_on(&w);
		assert_int_equal(truncate(it_path(w.it, "mapped"), 0), 0);
	}
	wf_revive(&w);
	wf_unmap(&w, &map);
	wf_drop(&w, &map);
	wf_assert_table_right(&w);
}

/* ---- all of them ---- */

static void (*const attacks[])(struct wf *w) = {headers_there, arguments_there, answers_there,
	listing_there, forgets_there, payload_there, table_there, rings_there};

static void every_attack(struct wf *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		attacks[i](w);
		wf_assert_others_go_on(w);
	}
}

static void cut(struct wf *w)
{
	assert_int_equal(truncate(it_path(w->it, "mapped"), 0), 0);
	gone = true;
}

static void window_is_no_ram(void **state)
{
	struct wf w = wf_open(*state);
	pid_t service = be_service(&w.it->be);
	struct wf_map map = wf_map(&w, 0, RANGE);

	gone = false;
	every_attack(&w);
	wf_assert_table_right(&w);
	cut(&w);
	every_attack(&w);
	wf_assert_table_right(&w);
	wf_unmap(&w, &map);
	/* The mapping is gone, the region is not yet: it stays what it was. */
	every_attack(&w);
	wf_drop(&w, &map);
	wf_assert_table_right(&w);
	assert_int_equal(be_service(&w.it->be), service);
	assert_int_equal(be_log_lines(&w.it->be, "guest memory was cut short"), 0);
}

#define TEST(fn, options)                                                                          \
	{                                                                                          \
#fn " " #options, fn, it_setup, it_teardown, &(options).it                         \
	}
static const struct CMUnitTest tests[] = {
	TEST(window_is_no_ram, seed),
	TEST(window_is_no_ram, fs_v2),
	TEST(window_is_no_ram, fs_count),
	TEST(window_is_no_ram, shmem),
	TEST(window_is_no_ram, refused),
	TEST(ring_becomes_window, shmem),
};

#define NO_WINDOW "the C virtiofsd has no DAX window"
static const struct it_difference differences[] = {
	{"window_is_no_ram seed", NO_WINDOW},
	{"window_is_no_ram fs_v2", NO_WINDOW},
	{"window_is_no_ram fs_count", NO_WINDOW},
	{"window_is_no_ram shmem", NO_WINDOW},
	{"window_is_no_ram refused", NO_WINDOW},
	{"ring_becomes_window shmem", NO_WINDOW},
};

IT_MAIN("bad_guest_window", tests, differences)
