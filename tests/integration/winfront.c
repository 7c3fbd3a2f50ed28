/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end with a DAX window; see winfront.h. */
#include "tests/integration/winfront.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhostuser/fd.h"

/* A place of "mapped" that no test uses. */
#define APART (8 * WF_RANGE)

uint8_t wf_pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 12) + 1);
}

static void fill(const struct it *it, const char *name)
{
	uint8_t *bytes = malloc(WF_RANGE);
	int fd = open(it_path(it, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_non_null(bytes);
	for (uint64_t i = 0; i < WF_RANGE; i++)
		bytes[i] = wf_pattern(i);
	assert_int_equal(pwrite(fd, bytes, WF_RANGE, 0), WF_RANGE);
	close(fd);
	free(bytes);
}

void wf_begin(struct wf *w)
{
	struct it *it = w->it;
	uint64_t sizes[VU_SHMEM_REGIONS];
	struct fuse_entry_out entry;
	struct fuse_open_out file;

	if (w->shmem)
		assert_int_equal(vu_frontend_get_shmem(it->fc->fe, sizes), 1);
	assert_int_equal(vu_frontend_open_channel(it->fc->fe, &w->channel), 0);
	assert_int_equal(fc_init(it->q, FUSE_KERNEL_VERSION, 38,
				 FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX |
					 FUSE_AUTO_INVAL_DATA,
				 &it->init),
		0);
	w->victim = &it->fc->queue[WF_VICTIM];
	fill(it, "mapped");
	fill(it, "other");
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "mapped", &entry), 0);
	w->nodeid = entry.nodeid;
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "other", &entry), 0);
	w->other = entry.nodeid;
	assert_int_equal(fc_open(it->q, w->other, O_RDWR, &file), 0);
	w->fh = file.fh;
}

struct wf wf_open(struct it *it)
{
	const struct wf_options *options = (const void *)it->options;
	struct wf w = {.it = it, .dialect = dax_dialect_find(options->dialect)};

	w.shmem = strcmp(options->dialect, "shmem") == 0;
	w.takes_none = options->takes_none;
	wf_begin(&w);
	return w;
}

/* ---- the back-end's messages ---- */

struct call {
	struct vu_header header;
	enum dax_op op;
	struct dax_entry entry;
	int fd; /* the taker's, or -1 */
};

static struct call receive(struct wf *w)
{
	struct pollfd poll_fd = {.fd = w->channel, .events = POLLIN};
	struct dax_entry entries[DAX_BATCH_MAX];
	uint8_t payload[DAX_PAYLOAD_MAX];
	struct vu_fds fds = {0};
	struct call call;
	size_t size, n;

	assert_int_equal(poll(&poll_fd, 1, 5000), 1);
	assert_int_equal(vu_frontend_channel_recv(w->it->fc->fe, &call.header, payload,
				 sizeof(payload), &size, &fds),
		0);
	assert_int_equal(
		dax_decode(w->dialect, call.header.request, payload, size, &call.op, entries, &n),
		0);
	assert_int_equal(n, 1);
	call.entry = entries[0];
	assert_int_equal(fds.n, call.op == DAX_OP_MAP || call.op == DAX_OP_IO ? 1 : 0);
	call.fd = fds.n ? fds_take(&fds, 0) : -1;
	return call;
}

static void answer(struct wf *w, const struct call *call, int64_t value)
{
	assert_int_equal(
		vu_frontend_channel_reply(w->it->fc->fe, &call->header, (uint64_t)value), 0);
}

void wf_tell(struct wf *w, uint32_t code, const struct vu_mem_region *region, int fd)
{
	assert_int_equal(vu_frontend_send_region(w->it->fc->fe, code, region, fd, true), 0);
	assert_int_equal(vu_frontend_take_ack(w->it->fc->fe, code), 0);
}

bool wf_offer(struct wf *w, const struct vu_mem_region *region, int fd)
{
	struct vu_frontend *fe = w->it->fc->fe;
	int r;

	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, region, fd, true), 0);
	r = vu_frontend_take_ack(fe, VU_ADD_MEM_REG);
	assert_true(r == 0 || r == -EREMOTEIO);
	return r == 0;
}

/*
 * What a mapping of ours caused is refused (dax/window_region.c), which makes it complete; what
 * comes unasked, as when a device starts, is taken.
 */
static void share_back(struct wf *w, const struct wf_map *map)
{
	assert_false(wf_offer(w, &map->region, map->fd));
	if (!w->takes_none)
		assert_true(wf_offer(w, &map->region, map->fd));
}

struct wf_map wf_map(struct wf *w, uint64_t at, uint64_t len)
{
	const struct fuse_setupmapping_in in = {.fh = UINT64_MAX,
		.foffset = at,
		.len = len,
		.flags = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE,
		.moffset = at};
	struct fc_req *req = fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_SETUPMAPPING,
						       .nodeid = w->nodeid,
						       .args = &in,
						       .args_len = sizeof(in)});
	struct wf_map map = {.region = {WF_GPA + at, len, WF_UVA + at, 0}};
	struct call call;

	assert_non_null(req);
	call = receive(w);
	assert_int_equal(call.op, DAX_OP_MAP);
	assert_int_equal(call.entry.window_offset, at);
	assert_int_equal(call.entry.len, len);
	map.fd = call.fd;
	map.region.mmap_offset = call.entry.fd_offset;
	answer(w, &call, 0);
	if (w->shmem)
		share_back(w, &map);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	return map;
}

void wf_unmap(struct wf *w, const struct wf_map *map)
{
	const struct fuse_removemapping_in in = {.count = 1};
	const struct fuse_removemapping_one one = {
		.moffset = map->region.gpa - WF_GPA, .len = map->region.size};
	struct fc_req *req = fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_REMOVEMAPPING,
						       .nodeid = w->nodeid,
						       .args = &in,
						       .args_len = sizeof(in),
						       .data = &one,
						       .data_len = sizeof(one)});
	struct call call;

	assert_non_null(req);
	call = receive(w);
	assert_int_equal(call.op, DAX_OP_UNMAP);
	assert_int_equal(call.entry.window_offset, one.moffset);
	assert_int_equal(call.entry.len, one.len);
	answer(w, &call, 0);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
}

void wf_drop(struct wf *w, struct wf_map *map)
{
	if (w->shmem && !w->takes_none)
		wf_tell(w, VU_REM_MEM_REG, &map->region, -1);
	fd_close(&map->fd);
}

static void serve_io(struct wf *w)
{
	struct call call = receive(w);
	int fd = open(it_path(w->it, "mapped"), O_RDWR | O_CLOEXEC);
	uint8_t *window = mmap(NULL, WF_RANGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t at = call.entry.window_offset - WF_GPA;
	ssize_t n;

	assert_ptr_not_equal(window, MAP_FAILED);
	assert_int_equal(call.op, DAX_OP_IO);
	assert_true(at < WF_RANGE && call.entry.len <= WF_RANGE - at);
	if (call.entry.access & DAX_READ)
		n = pread(call.fd, window + at, call.entry.len, (off_t)call.entry.fd_offset);
	else
		n = pwrite(call.fd, window + at, call.entry.len, (off_t)call.entry.fd_offset);
	answer(w, &call, n < 0 ? -errno : n);
	munmap(window, WF_RANGE);
	close(call.fd);
	close(fd);
}

struct fc_req *wf_request(
	struct wf *w, uint32_t opcode, uint64_t nodeid, const void *args, uint32_t len)
{
	struct fc_req *req = fc_slot(w->it->q);
	struct fuse_in_header header;

	assert_non_null(req);
	fc_header(w->it->q, &header, opcode, nodeid, (uint32_t)sizeof(header) + len);
	memcpy(req->req, &header, sizeof(header));
	memcpy(req->req + sizeof(header), args, len);
	req->unique = header.unique;
	req->room = 2 * WF_PAGE;
	return req;
}

int wf_ask(struct wf *w, struct fc_req *req, const struct vq_buf *bufs, size_t n)
{
	struct pollfd poll_fd = {.fd = w->channel, .events = POLLIN};
	int64_t end = it_now_ms() + FC_WAIT_MS;

	assert_true(fc_publish(req, bufs, n, false));
	while (!fc_poll(req) && it_now_ms() < end)
		if (poll(&poll_fd, 1, 1) == 1)
			serve_io(w);
	return fc_wait(req, 0, NULL);
}

/* ---- rings ---- */

int wf_ring_start(struct wf *w, const struct vu_vring_addr *addr)
{
	const struct vq_driver *vq = w->victim->vq;
	const struct vu_vring_state num = {WF_VICTIM, vq->num}, base = {WF_VICTIM, 0};
	const struct vu_vring_state enable = {WF_VICTIM, 1};
	const uint64_t index = WF_VICTIM;
	const struct {
		uint32_t code;
		const void *payload;
		uint32_t size;
		const int *fd;
	} messages[] = {
		{VU_SET_VRING_NUM, &num, sizeof(num), NULL},
		{VU_SET_VRING_BASE, &base, sizeof(base), NULL},
		{VU_SET_VRING_ADDR, addr, sizeof(*addr), NULL},
		{VU_SET_VRING_CALL, &index, sizeof(index), &vq->call},
		{VU_SET_VRING_ERR, &index, sizeof(index), &vq->err},
		{VU_SET_VRING_KICK, &index, sizeof(index), &vq->kick},
		{VU_SET_VRING_ENABLE, &enable, sizeof(enable), NULL},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(messages) && r == 0; i++)
		r = vu_frontend_request(w->it->fc->fe, messages[i].code, messages[i].payload,
			messages[i].size, messages[i].fd, messages[i].fd ? 1 : 0);
	return r;
}

bool wf_breaks(const struct wf *w)
{
	struct pollfd poll_fd = {.fd = w->victim->vq->err, .events = POLLIN};

	return poll(&poll_fd, 1, 2000) == 1;
}

void wf_revive(struct wf *w)
{
	struct fc_queue *q = w->victim;
	uint16_t base;

	assert_int_equal(vu_frontend_ring_stop(w->it->fc->fe, q->index, &base), 0);
	assert_int_equal(vu_frontend_ring_start(w->it->fc->fe, q->index,
				 w->it->fc->options.ring_size, q->ring_gpa, &q->vq),
		0);
	it_assert_alive(q);
}

/* ---- what must be true afterwards ---- */

static void assert_is_the_file(struct wf *w, const struct wf_map *map, unsigned int shift)
{
	uint8_t *bytes = mmap(NULL, WF_RANGE, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd,
		(off_t)map->region.mmap_offset);
	int fd = open(it_path(w->it, "mapped"), O_RDONLY | O_CLOEXEC);

	assert_ptr_not_equal(bytes, MAP_FAILED);
	for (uint64_t i = 0; i < WF_RANGE; i += 512)
		bytes[i] = wf_pattern(i + shift);
	for (uint64_t i = 0; i < WF_RANGE; i += 512) {
		uint8_t byte = 0;

		assert_int_equal(pread(fd, &byte, 1, (off_t)(APART + i)), 1);
		assert_int_equal(byte, wf_pattern(i + shift));
	}
	munmap(bytes, WF_RANGE);
	close(fd);
}

void wf_assert_table_right(struct wf *w)
{
	const char *path = it_path(w->it, "mapped");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, (off_t)(APART + WF_RANGE)), 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct wf_map map = wf_map(w, APART, WF_RANGE);

		assert_is_the_file(w, &map, i);
		wf_unmap(w, &map);
		wf_drop(w, &map);
	}
	assert_int_equal(truncate(path, st.st_size), 0);
}

void wf_assert_others_go_on(struct wf *w)
{
	const uint64_t at = WF_RANGE - 300;
	uint8_t bytes[100];

	it_assert_alive(w->it->q);
	assert_int_equal(
		fc_read(w->it->q, w->other, w->fh, at, bytes, sizeof(bytes)), sizeof(bytes));
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], wf_pattern(at + i));
	assert_int_equal(fc_forget(w->it->hp, 1234567, 1), 0);
}
