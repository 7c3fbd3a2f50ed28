/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests over one ring.
 *
 * Guest memory is one region: two rings, then the slots {arguments, data, reply}. A slot is taken
 * by fu_send() and freed by fu_wait(). A request that never got its reply keeps its slot, since the
 * device may still write there.
 */
#include "gateway/frontend/fuse_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define RING      256u
#define RING_AREA 16384u
#define ARGS      16384u
#define PAGE      4096u
#define SLOT      (ARGS + FU_DATA_MAX + PAGE + FU_DATA_MAX)
#define WAIT_MS   20000

struct fu_request {
	bool busy, done;
	uint64_t unique;
	uint32_t room, used;
	uint64_t gpa;
	uint8_t *args, *data, *head, *body;
};

struct fu_client {
	struct vq_driver *ring;
	uint64_t next_unique;
	struct fu_request slots[FU_DEPTH_MAX];
};

int fu_open(struct vu_frontend *fe, struct fu_client **out)
{
	struct fu_client *client = calloc(1, sizeof(*client));
	struct vq_driver *hiprio;
	uint64_t gpa = FU_MEMORY_GPA;
	int r;

	if (!client)
		return -ENOMEM;
	client->next_unique = 2;
	r = vu_frontend_add_memory(fe, gpa, 2 * RING_AREA + FU_DEPTH_MAX * (uint64_t)SLOT);
	if (r >= 0)
		r = vu_frontend_ring_start(fe, 0, RING, gpa, &hiprio);
	if (r >= 0)
		r = vu_frontend_ring_start(fe, FU_QUEUE, RING, gpa + RING_AREA, &client->ring);
	gpa += 2 * RING_AREA;
	for (unsigned int i = 0; r >= 0 && i < FU_DEPTH_MAX; i++, gpa += SLOT) {
		struct fu_request *slot = &client->slots[i];

		slot->gpa = gpa;
		slot->args = vu_frontend_host(fe, gpa, SLOT);
		slot->data = slot->args + ARGS;
		slot->head = slot->data + FU_DATA_MAX;
		slot->body = slot->head + PAGE;
	}
	if (r < 0) {
		free(client);
		return r;
	}
	*out = client;
	return 0;
}

void fu_close(struct fu_client *client)
{
	free(client);
}

/* ---- requests ---- */

static size_t fill(struct fu_client *client, struct fu_request *slot, const struct fu_call *call,
	struct vq_buf *bufs)
{
	uint32_t name_len = call->name ? (uint32_t)strlen(call->name) + 1 : 0;
	struct fuse_in_header h = {
		.len = (uint32_t)sizeof(h) + call->args_len + name_len + call->data_len,
		.opcode = call->opcode,
		.unique = client->next_unique,
		.nodeid = call->nodeid,
		.pid = 1,
	};
	uint64_t head_gpa = slot->gpa + ARGS + FU_DATA_MAX;
	uint32_t args = (uint32_t)sizeof(h);
	size_t n = 0;

	memcpy(slot->args, &h, sizeof(h));
	if (call->args_len)
		memcpy(slot->args + args, call->args, call->args_len);
	args += call->args_len;
	if (name_len)
		memcpy(slot->args + args, call->name, name_len);
	bufs[n++] = (struct vq_buf){slot->gpa, args + name_len, false};
	if (call->data)
		memcpy(slot->data, call->data, call->data_len);
	if (call->data_len)
		bufs[n++] = (struct vq_buf){
			call->data_gpa ? call->data_gpa : slot->gpa + ARGS, call->data_len, false};
	bufs[n++] = (struct vq_buf){head_gpa, sizeof(struct fuse_out_header), true};
	if (call->room)
		bufs[n++] = (struct vq_buf){
			call->reply_gpa ? call->reply_gpa : head_gpa + PAGE, call->room, true};
	return n;
}

struct fu_request *fu_send(struct fu_client *client, const struct fu_call *call)
{
	struct fu_request *slot = NULL;
	struct vq_buf bufs[4];
	size_t n;

	for (unsigned int i = 0; i < FU_DEPTH_MAX && !slot; i++)
		slot = client->slots[i].busy ? NULL : &client->slots[i];
	if (!slot || call->args_len + (call->name ? strlen(call->name) : 0) + 64 > ARGS ||
		call->data_len > FU_DATA_MAX || call->room > FU_DATA_MAX)
		return NULL;
	n = fill(client, slot, call, bufs);
	if (vq_driver_add(client->ring, bufs, n, slot) < 0)
		return NULL;
	slot->busy = true;
	slot->done = false;
	slot->unique = client->next_unique;
	slot->room = (uint32_t)sizeof(struct fuse_out_header) + call->room;
	client->next_unique += 2;
	vq_driver_kick(client->ring);
	return slot;
}

static void take(struct fu_client *client)
{
	uint32_t used;
	void *cookie;

	while (vq_driver_take(client->ring, &cookie, &used)) {
		struct fu_request *slot = cookie;

		if (!slot)
			continue;
		slot->used = used;
		slot->done = true;
	}
}

bool fu_done(struct fu_client *client, const struct fu_request *request)
{
	if (!request->done)
		take(client);
	return request->done;
}

int fu_wait_any(struct fu_client *client, int timeout_ms)
{
	int r = vq_driver_wait(client->ring, timeout_ms);

	if (r == 0)
		take(client);
	return r == 0 ? 0 : r == -ETIMEDOUT ? FU_TIMEOUT : FU_BROKEN;
}

static int check(const struct fu_request *request, uint32_t *len)
{
	struct fuse_out_header out;

	if (request->used < sizeof(out) || request->used > request->room)
		return FU_BAD_REPLY;
	memcpy(&out, request->head, sizeof(out));
	if (out.len != request->used || out.unique != request->unique || out.error > 0 ||
		out.error < -4095 || (out.error && out.len != sizeof(out)))
		return FU_BAD_REPLY;
	*len = out.len - (uint32_t)sizeof(out);
	return out.error;
}

int fu_wait(struct fu_client *client, struct fu_request *request, int timeout_ms, void *body,
	uint32_t size, uint32_t *len)
{
	int64_t deadline = vu_now_ms() + timeout_ms;
	uint32_t got = 0;
	int r;

	while (!fu_done(client, request)) {
		int64_t left = deadline - vu_now_ms();

		r = fu_wait_any(client, left > 0 ? (int)left : 0);
		if (r < 0)
			return r;
	}
	r = check(request, &got);
	if (r == 0 && body)
		memcpy(body, request->body, MIN(got, size));
	if (len)
		*len = got;
	request->busy = false;
	return r;
}

int fu_call(struct fu_client *client, const struct fu_call *call, void *body, uint32_t size,
	uint32_t *len)
{
	struct fu_request *request = fu_send(client, call);

	return request ? fu_wait(client, request, WAIT_MS, body, size, len) : FU_NO_ROOM;
}

/* ---- operations ---- */

/* A call whose reply's body has one size. */
static int exact(struct fu_client *client, struct fu_call *call, void *body, uint32_t size)
{
	uint32_t len = 0;
	int r;

	call->room = size;
	r = fu_call(client, call, body, size, &len);
	return r == 0 && len != size ? FU_BAD_REPLY : r;
}

int fu_init(struct fu_client *client, struct fuse_init_out *out)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 131072,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_MAP_ALIGNMENT |
			 FUSE_DO_READDIRPLUS | FUSE_AUTO_INVAL_DATA | FUSE_INIT_EXT,
		.flags2 = (uint32_t)(FUSE_HAS_INODE_DAX >> 32),
	};
	struct fu_call call = {.opcode = FUSE_INIT, .args = &in, .args_len = sizeof(in)};

	return exact(client, &call, out, sizeof(*out));
}

int fu_destroy(struct fu_client *client)
{
	struct fu_call call = {.opcode = FUSE_DESTROY};

	return exact(client, &call, NULL, 0);
}

int fu_create(struct fu_client *client, uint64_t dir, const char *name, uint64_t *nodeid,
	uint64_t *fh, uint32_t *attr_flags)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_TRUNC, .mode = S_IFREG | 0644};
	struct fu_call call = {.opcode = FUSE_CREATE,
		.nodeid = dir,
		.args = &in,
		.args_len = sizeof(in),
		.name = name};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = exact(client, &call, &out, sizeof(out));

	if (r == 0) {
		*nodeid = out.entry.nodeid;
		*fh = out.open.fh;
		*attr_flags = out.entry.attr.flags;
	}
	return r;
}

int fu_lookup(struct fu_client *client, uint64_t dir, const char *name, uint64_t *nodeid,
	uint32_t *attr_flags)
{
	struct fu_call call = {.opcode = FUSE_LOOKUP, .nodeid = dir, .name = name};
	struct fuse_entry_out out;
	int r = exact(client, &call, &out, sizeof(out));

	if (r == 0) {
		*nodeid = out.nodeid;
		*attr_flags = out.attr.flags;
	}
	return r;
}

int fu_unlink(struct fu_client *client, uint64_t dir, const char *name)
{
	struct fu_call call = {.opcode = FUSE_UNLINK, .nodeid = dir, .name = name};

	return exact(client, &call, NULL, 0);
}

int fu_release(struct fu_client *client, uint64_t nodeid, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};
	struct fu_call call = {
		.opcode = FUSE_RELEASE, .nodeid = nodeid, .args = &in, .args_len = sizeof(in)};

	return exact(client, &call, NULL, 0);
}

static int do_write(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint64_t gpa, uint32_t len)
{
	struct fuse_write_in in = {.fh = fh, .offset = offset, .size = len};
	struct fu_call call = {.opcode = FUSE_WRITE,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.data = data,
		.data_len = len,
		.data_gpa = gpa};
	struct fuse_write_out out;
	int r = exact(client, &call, &out, sizeof(out));

	return r < 0 ? r : (int)out.size;
}

static int do_read(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset,
	void *data, uint64_t gpa, uint32_t len)
{
	struct fuse_read_in in = {.fh = fh, .offset = offset, .size = len};
	struct fu_call call = {.opcode = FUSE_READ,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.room = len,
		.reply_gpa = gpa};
	uint32_t got = 0;
	int r = fu_call(client, &call, gpa ? NULL : data, len, &got);

	return r < 0 ? r : (int)got;
}

int fu_write(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t len)
{
	return do_write(client, nodeid, fh, offset, data, 0, len);
}

int fu_read(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset, void *data,
	uint32_t len)
{
	return do_read(client, nodeid, fh, offset, data, 0, len);
}

int fu_io_at(struct fu_client *client, bool write, uint64_t nodeid, uint64_t fh, uint64_t offset,
	uint64_t gpa, uint32_t len)
{
	return write ? do_write(client, nodeid, fh, offset, NULL, gpa, len)
		     : do_read(client, nodeid, fh, offset, NULL, gpa, len);
}

int fu_ping(struct fu_client *client)
{
	struct fuse_getattr_in in = {0};
	struct fu_call call = {.opcode = FUSE_GETATTR,
		.nodeid = FUSE_ROOT_ID,
		.args = &in,
		.args_len = sizeof(in)};
	struct fuse_attr_out out;

	return exact(client, &call, &out, sizeof(out));
}

struct fu_request *fu_send_map(struct fu_client *client, uint64_t nodeid, uint64_t foffset,
	uint64_t len, uint64_t flags, uint64_t moffset)
{
	/* As Linux asks: by the node, not by a handle. */
	struct fuse_setupmapping_in in = {.fh = UINT64_MAX,
		.foffset = foffset,
		.len = len,
		.flags = flags,
		.moffset = moffset};
	struct fu_call call = {
		.opcode = FUSE_SETUPMAPPING, .nodeid = nodeid, .args = &in, .args_len = sizeof(in)};

	return fu_send(client, &call);
}

int fu_map(struct fu_client *client, uint64_t nodeid, uint64_t foffset, uint64_t len,
	uint64_t flags, uint64_t moffset)
{
	struct fu_request *request = fu_send_map(client, nodeid, foffset, len, flags, moffset);

	return request ? fu_wait(client, request, WAIT_MS, NULL, 0, NULL) : FU_NO_ROOM;
}

struct fu_request *fu_send_unmap(struct fu_client *client, uint64_t nodeid,
	const struct fuse_removemapping_one *ones, uint32_t n)
{
	struct fuse_removemapping_in in = {.count = n};
	struct fu_call call = {.opcode = FUSE_REMOVEMAPPING,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.data = ones,
		.data_len = n * (uint32_t)sizeof(*ones)};

	return n <= 256 ? fu_send(client, &call) : NULL;
}

int fu_unmap(struct fu_client *client, uint64_t nodeid, const struct fuse_removemapping_one *ones,
	uint32_t n)
{
	struct fu_request *request = fu_send_unmap(client, nodeid, ones, n);

	return request ? fu_wait(client, request, WAIT_MS, NULL, 0, NULL) : FU_NO_ROOM;
}
