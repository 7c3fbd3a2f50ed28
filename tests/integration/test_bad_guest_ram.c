/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is cut short under the device, and is not the window: a file that the gateway
 * did not send, or not so. It is RAM like any other, and its touch the end of the connection; the
 * service lives.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/integration/winfront.h"
#include "vhostuser/fd.h"

#define ROOT  FUSE_ROOT_ID
#define PAGE  WF_PAGE
#define RANGE WF_RANGE

/* A region that is no part of the window. */
#define OTHER_GPA (UINT64_C(1) << 42)
#define OTHER_UVA (UINT64_C(1) << 43)

#define HEADER ((uint32_t)sizeof(struct fuse_in_header))

WF_OPTIONS(fs_v2, "fs-v2", WF_BITS, false);
WF_OPTIONS(shmem, "shmem", WF_BITS | VU_BIT(VU_PROTOCOL_F_SHMEM), false);

static const struct fuse_getattr_in getattr;

static void touch_header(struct wf *w)
{
	struct fc_req *req = wf_request(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr));
	const struct vq_buf bufs[] = {
		{OTHER_GPA, HEADER + sizeof(getattr), false}, {req->rep_gpa, PAGE, true}};

	assert_true(fc_publish(req, bufs, ARRAY_SIZE(bufs), false));
}

static void touch_answer(struct wf *w)
{
	struct fc_req *req = wf_request(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr));
	const struct vq_buf bufs[] = {
		{req->req_gpa, HEADER + sizeof(getattr), false}, {OTHER_GPA, PAGE, true}};

	assert_true(fc_publish(req, bufs, ARRAY_SIZE(bufs), false));
}

static void touch_table(struct wf *w)
{
	struct fc_req *req = wf_request(w, FUSE_GETATTR, ROOT, &getattr, sizeof(getattr));
	const struct vq_buf bufs[] = {
		{req->req_gpa, HEADER + sizeof(getattr), false}, {req->rep_gpa, PAGE, true}};
	struct vq_driver *vq = w->it->q->vq;

	assert_int_equal(vq_driver_add_indirect(vq, bufs, 2, req->table, req->table_gpa, req), 0);
	vq->desc[vq->avail->ring[(vq->avail_idx - 1) & (vq->num - 1)]].addr = OTHER_GPA;
	vq_driver_kick(vq);
}

static void touch_ring(struct wf *w)
{
	uint64_t one = 1;

	assert_int_equal(write(w->victim->vq->kick, &one, sizeof(one)), sizeof(one));
}

static void (*const touches[])(struct wf *w) = {
	touch_header, touch_answer, touch_table, touch_ring};

/* A file of nobody's, one of the share, and the mapped one, but not as it was mapped. */
static const char *const files[] = {NULL, "other", "mapped"};

static bool is_closed(struct vu_frontend *fe)
{
	struct pollfd poll_fd = {.fd = vu_frontend_fd(fe), .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) == 1;
}

static void cut_ram(struct wf *w, const char *name, void (*touch)(struct wf *w))
{
	const struct vu_mem_region region = {OTHER_GPA, RANGE / 2, OTHER_UVA, 0};
	const struct vu_vring_addr addr = {.index = WF_VICTIM,
		.desc = OTHER_UVA,
		.avail = OTHER_UVA + 2 * PAGE,
		.used = OTHER_UVA + 4 * PAGE};
	CLEANUP_FD int fd = name ? open(it_path(w->it, name), O_RDWR | O_CLOEXEC)
				 : memfd_create("ram", MFD_CLOEXEC);
	static const uint8_t zeros[RANGE / 2];
	uint16_t base;

	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	wf_tell(w, VU_ADD_MEM_REG, &region, fd);
	if (touch == touch_ring) {
		assert_int_equal(vu_frontend_ring_stop(w->it->fc->fe, WF_VICTIM, &base), 0);
		assert_int_equal(wf_ring_start(w, &addr), 0);
	}
	wf_assert_others_go_on(w);
	assert_int_equal(ftruncate(fd, 0), 0);
	touch(w);
	it_until(is_closed(w->it->fc->fe), 5000);
}

static void ram_is_cut(void **state)
{
	struct wf w = wf_open(*state);
	pid_t service = be_service(&w.it->be);

	for (int i = 0; i < (int)(ARRAY_SIZE(files) * ARRAY_SIZE(touches)); i++) {
		struct wf_map map = wf_map(&w, 0, RANGE);

		cut_ram(&w, files[(size_t)i / ARRAY_SIZE(touches)],
			touches[(size_t)i % ARRAY_SIZE(touches)]);
		close(map.fd);
		assert_int_equal(be_log_lines(&w.it->be, "guest memory was cut short"), i + 1);
		it_disconnect(w.it);
		it_connect(w.it, &w.it->options->fc);
		wf_begin(&w);
		wf_assert_others_go_on(&w);
		wf_assert_table_right(&w);
		assert_int_equal(be_service(&w.it->be), service);
	}
}

#define TEST(fn, options)                                                                          \
	{                                                                                          \
#fn " " #options, fn, it_setup, it_teardown, &(options).it                         \
	}
static const struct CMUnitTest tests[] = {
	TEST(ram_is_cut, fs_v2),
	TEST(ram_is_cut, shmem),
};

#define NO_WINDOW "the C virtiofsd has no DAX window"
static const struct it_difference differences[] = {
	{"ram_is_cut fs_v2", NO_WINDOW},
	{"ram_is_cut shmem", NO_WINDOW},
};

IT_MAIN("bad_guest_ram", tests, differences)
