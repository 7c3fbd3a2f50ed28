/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE client: slots, chains, replies.
 *
 * Guest memory is one region: for each queue its ring, then its slots {indirect table, readable
 * area, writable area}, and at the end a scratch area for hostile tests. In the readable area the
 * parts of a request lie apart from each other, as in a real guest. In the writable area the
 * reply's header ends at a page boundary where the body starts, so that it reads as one piece here.
 */
#include "tests/integration/fusecli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"

#define PAGE         4096u
#define TABLE_SIZE   8192u /* 512 indirect descriptors */
#define ARGS_OFFSET  64u
#define NAMES_OFFSET 1024u
#define DATA_OFFSET  (4u * PAGE)
#define BODY_OFFSET  PAGE
#define CHUNK        65536u /* of a payload in one descriptor */
#define SCRATCH      (UINT64_C(4) << 20)
#define MAX_BUFS     300
#define CRUMB        13u

#define OUT_HEADER ((uint32_t)sizeof(struct fuse_out_header))

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static uint64_t req_size(const struct fc *fc)
{
	return DATA_OFFSET + page_up(fc->options.room) + PAGE;
}

static uint64_t rep_size(const struct fc *fc)
{
	return BODY_OFFSET + page_up(fc->options.room) + PAGE;
}

static uint64_t slot_size(const struct fc *fc)
{
	return TABLE_SIZE + req_size(fc) + rep_size(fc);
}

static uint64_t queue_size(const struct fc *fc)
{
	return page_up(vq_driver_size(fc->options.ring_size)) + fc->options.depth * slot_size(fc);
}

static void slot_free(struct fc_req *req)
{
	struct fc_queue *q = req->queue;

	req->next = NULL;
	if (q->free_tail)
		q->free_tail->next = req;
	else
		q->free_head = req;
	q->free_tail = req;
}

static struct fc_req *slot_take(struct fc_queue *q)
{
	struct fc_req *req = q->free_head;

	if (!req)
		return NULL;
	q->free_head = req->next;
	if (!q->free_head)
		q->free_tail = NULL;
	req->done = req->no_reply = false;
	req->used = 0;
	return req;
}

static int queue_init(struct fc *fc, unsigned int index)
{
	struct fc_queue *q = &fc->queue[index];
	uint64_t gpa = FC_MEMORY_BASE + index * queue_size(fc);
	int r;

	q->fc = fc;
	q->index = index;
	q->pid = 4711;
	q->ring_gpa = gpa;
	q->next_unique = ((uint64_t)index << 32) + 2;
	q->reqs = calloc(fc->options.depth, sizeof(*q->reqs));
	if (!q->reqs)
		return -ENOMEM;
	r = vu_frontend_ring_start(fc->fe, index, fc->options.ring_size, gpa, &q->vq);
	if (r < 0)
		return r;
	gpa += page_up(vq_driver_size(fc->options.ring_size));
	for (unsigned int i = 0; i < fc->options.depth; i++, gpa += slot_size(fc)) {
		struct fc_req *req = &q->reqs[i];

		req->queue = q;
		req->table_gpa = gpa;
		req->req_gpa = gpa + TABLE_SIZE;
		req->rep_gpa = req->req_gpa + req_size(fc) + BODY_OFFSET - OUT_HEADER;
		req->table = fc_host(fc, req->table_gpa, TABLE_SIZE);
		req->req = fc_host(fc, req->req_gpa, req_size(fc));
		req->rep = fc_host(fc, req->rep_gpa, OUT_HEADER);
		if (!req->table || !req->req || !req->rep)
			return -EFAULT;
		slot_free(req);
	}
	return 0;
}

static void default_options(struct fc_options *o)
{
	o->request_queues = o->request_queues ? o->request_queues : 1;
	o->ring_size = o->ring_size ? o->ring_size : 128;
	o->depth = o->depth ? o->depth : 16;
	o->room = o->room ? o->room : 1u << 20;
	if (o->no_memory_slots)
		o->without_protocol |= VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}

static int fc_open_device(struct fc *fc)
{
	uint64_t features = VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES) |
			    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	uint64_t protocol = VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
			    VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) | VU_BIT(VU_PROTOCOL_F_CONFIG) |
			    VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	uint64_t size = fc->n_queues * queue_size(fc) + SCRATCH;
	int r;

	r = vu_frontend_negotiate(fc->fe, features & ~fc->options.without_features,
		(protocol | fc->options.with_protocol) & ~fc->options.without_protocol);
	if (r < 0)
		return r;
	r = vu_frontend_add_memory(fc->fe, FC_MEMORY_BASE, size);
	if (r < 0)
		return r;
	fc->memory_slot = r;
	fc->memory_end = FC_MEMORY_BASE + size;
	fc->scratch_gpa = fc->memory_end - SCRATCH;
	fc->scratch_size = SCRATCH;
	for (unsigned int i = 0; i < fc->n_queues; i++) {
		r = queue_init(fc, i);
		if (r < 0)
			return r;
	}
	return 0;
}

int fc_new(struct vu_frontend *fe, const struct fc_options *options, struct fc **result)
{
	struct fc *fc = calloc(1, sizeof(*fc));
	int r = -ENOMEM;

	if (!fc) {
		vu_frontend_free(fe);
		return r;
	}
	fc->fe = fe;
	if (options)
		fc->options = *options;
	default_options(&fc->options);
	fc->n_queues = 1 + fc->options.request_queues;
	fc->queue = calloc(fc->n_queues, sizeof(*fc->queue));
	if (fc->queue)
		r = fc_open_device(fc);
	if (r < 0) {
		fc_free(fc);
		return r;
	}
	*result = fc;
	return 0;
}

void fc_free(struct fc *fc)
{
	if (!fc)
		return;
	vu_frontend_free(fc->fe);
	for (unsigned int i = 0; fc->queue && i < fc->n_queues; i++)
		free(fc->queue[i].reqs);
	free(fc->queue);
	free(fc);
}

void *fc_host(struct fc *fc, uint64_t gpa, uint64_t len)
{
	return vu_frontend_host(fc->fe, gpa, len);
}

/* ---- chains ---- */

struct chain {
	struct vq_buf bufs[MAX_BUFS];
	size_t n;
	bool too_long;
};

static void chain_add(
	struct chain *chain, uint64_t gpa, uint32_t len, bool writable, uint32_t piece)
{
	while (len) {
		uint32_t part = MIN(len, piece);

		if (chain->n == MAX_BUFS) {
			chain->too_long = true;
			return;
		}
		chain->bufs[chain->n++] = (struct vq_buf){ gpa, part, writable };
		gpa += part;
		len -= part;
	}
}

static enum fc_layout pick_layout(const struct fc_queue *q)
{
	static const enum fc_layout cycle[] = { FC_INDIRECT, FC_DIRECT, FC_WHOLE };
	enum fc_layout layout = q->layout;

	if (layout == FC_MIXED)
		layout = cycle[q->next_unique / 2 % ARRAY_SIZE(cycle)];
	return layout;
}

bool fc_publish(struct fc_req *req, const struct vq_buf *bufs, size_t n, bool indirect)
{
	struct fc_queue *q = req->queue;
	int r;

	indirect = indirect && (q->vq->features & VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)) != 0;
	if (indirect)
		r = vq_driver_add_indirect(q->vq, bufs, n, req->table, req->table_gpa, req);
	else
		r = vq_driver_add(q->vq, bufs, n, req);
	if (r < 0)
		return false;
	vq_driver_kick(q->vq);
	return true;
}

struct fc_req *fc_slot(struct fc_queue *q)
{
	return slot_take(q);
}

void fc_cancel(struct fc_req *req)
{
	slot_free(req);
}

static bool publish(struct fc_req *req, const struct chain *chain, bool indirect)
{
	return !chain->too_long && fc_publish(req, chain->bufs, chain->n, indirect);
}

static uint32_t put(uint8_t *at, const void *bytes, uint32_t len)
{
	if (len)
		memcpy(at, bytes, len);
	return len;
}

/* One readable piece after the other in the slot, contiguous. */
static uint32_t fill_whole(
	struct fc_req *req, const struct fuse_in_header *h, const struct fc_call *call)
{
	uint32_t at = put(req->req, h, sizeof(*h));

	at += put(req->req + at, call->args, call->args_len);
	if (call->name)
		at += put(req->req + at, call->name, (uint32_t)strlen(call->name) + 1);
	if (call->name2)
		at += put(req->req + at, call->name2, (uint32_t)strlen(call->name2) + 1);
	at += put(req->req + at, call->data, call->data_len);
	return at;
}

static void fill_apart(struct fc_req *req, const struct fuse_in_header *h,
	const struct fc_call *call, struct chain *chain)
{
	const char *names[2] = { call->name, call->name2 };
	uint32_t at = NAMES_OFFSET;

	chain_add(chain, req->req_gpa, put(req->req, h, sizeof(*h)), false, CHUNK);
	chain_add(chain, req->req_gpa + ARGS_OFFSET,
		put(req->req + ARGS_OFFSET, call->args, call->args_len), false, CHUNK);
	for (unsigned int i = 0; i < 2; i++) {
		if (!names[i])
			continue;
		uint32_t len = put(req->req + at, names[i], (uint32_t)strlen(names[i]) + 1);

		chain_add(chain, req->req_gpa + at, len, false, CHUNK);
		at += len + 3;
	}
	chain_add(chain, req->req_gpa + DATA_OFFSET,
		put(req->req + DATA_OFFSET, call->data, call->data_len), false, CHUNK);
}

void fc_header(struct fc_queue *q, struct fuse_in_header *h, uint32_t opcode, uint64_t nodeid,
	uint32_t len)
{
	memset(h, 0, sizeof(*h));
	h->len = len;
	h->opcode = opcode;
	h->unique = q->next_unique;
	h->nodeid = nodeid;
	h->uid = q->uid;
	h->gid = q->gid;
	h->pid = q->pid;
	q->next_unique += 2;
}

static uint32_t call_len(const struct fc_call *call)
{
	size_t len = sizeof(struct fuse_in_header) + call->args_len + call->data_len;

	len += call->name ? strlen(call->name) + 1 : 0;
	len += call->name2 ? strlen(call->name2) + 1 : 0;
	return (uint32_t)len;
}

static bool fits(const struct fc_queue *q, const struct fc_call *call)
{
	size_t names = (call->name ? strlen(call->name) + 4 : 0) +
		       (call->name2 ? strlen(call->name2) + 4 : 0);

	return call->args_len <= NAMES_OFFSET - ARGS_OFFSET &&
	       names <= DATA_OFFSET - NAMES_OFFSET && call->data_len <= q->fc->options.room &&
	       call->room <= q->fc->options.room + PAGE;
}

/* The writable part, header and body apart unless the layout says otherwise. */
static void chain_reply(
	struct chain *chain, struct fc_req *req, uint32_t room, enum fc_layout layout)
{
	req->room = room;
	memset(req->rep, 0xa5, MIN(room, OUT_HEADER));
	if (layout == FC_WHOLE || layout == FC_CRUMBS || room <= OUT_HEADER) {
		chain_add(
			chain, req->rep_gpa, room, true, layout == FC_CRUMBS ? CRUMB : UINT32_MAX);
		return;
	}
	chain_add(chain, req->rep_gpa, OUT_HEADER, true, CHUNK);
	chain_add(chain, req->rep_gpa + OUT_HEADER, room - OUT_HEADER, true, CHUNK);
}

struct fc_req *fc_send(struct fc_queue *q, const struct fc_call *call)
{
	struct chain chain = { .n = 0 };
	enum fc_layout layout = pick_layout(q);
	struct fuse_in_header h;
	struct fc_req *req;

	if (!fits(q, call))
		return NULL;
	req = slot_take(q);
	if (!req)
		return NULL;
	fc_header(q, &h, call->opcode, call->nodeid, call_len(call));
	if (call->unique)
		h.unique = call->unique;
	req->unique = h.unique;
	req->no_reply = call->no_reply;
	if (layout == FC_WHOLE || layout == FC_CRUMBS)
		chain_add(&chain, req->req_gpa, fill_whole(req, &h, call), false,
			layout == FC_CRUMBS ? CRUMB : UINT32_MAX);
	else
		fill_apart(req, &h, call, &chain);
	if (!call->no_reply)
		chain_reply(&chain, req, OUT_HEADER + call->room, layout);
	if (publish(req, &chain, layout == FC_INDIRECT || layout == FC_CRUMBS))
		return req;
	slot_free(req);
	return NULL;
}

struct fc_req *fc_send_raw(struct fc_queue *q, const void *bytes, uint32_t len, uint32_t room)
{
	struct chain chain = { .n = 0 };
	struct fuse_in_header h = { .len = 0 };
	struct fc_req *req;

	if (len > req_size(q->fc) || room > q->fc->options.room)
		return NULL;
	req = slot_take(q);
	if (!req)
		return NULL;
	chain_add(&chain, req->req_gpa, put(req->req, bytes, len), false, UINT32_MAX);
	/* What a device can know of it when the header is cut short. */
	memcpy(&h, bytes, MIN(len, sizeof(h)));
	req->unique = h.unique;
	req->no_reply = room == 0;
	if (room)
		chain_reply(&chain, req, room, FC_DIRECT);
	if (chain.n && publish(req, &chain, false))
		return req;
	slot_free(req);
	return NULL;
}

/* ---- replies ---- */

static int take_used(struct fc_queue *q)
{
	uint32_t len;
	void *cookie;

	while (vq_driver_take(q->vq, &cookie, &len)) {
		struct fc_req *req = cookie;

		if (!req || req->done)
			return FC_BAD_USED;
		req->used = len;
		req->done = true;
	}
	return 0;
}

bool fc_poll(struct fc_req *req)
{
	if (!req->done)
		take_used(req->queue);
	return req->done;
}

static int check_reply(const struct fc_req *req, struct fc_reply *reply)
{
	struct fuse_out_header out;

	if (req->no_reply)
		return req->used == 0 ? 0 : FC_BAD_REPLY;
	if (req->used < sizeof(out) || req->used > req->room)
		return FC_BAD_REPLY;
	memcpy(&out, req->rep, sizeof(out));
	if (out.len != req->used || out.unique != req->unique || out.error > 0 || out.error < -4095)
		return FC_BAD_REPLY;
	if (out.error && out.len != sizeof(out))
		return FC_BAD_REPLY;
	if (reply) {
		reply->len = out.len - OUT_HEADER;
		reply->body = req->rep + OUT_HEADER;
		reply->unique = out.unique;
	}
	return out.error;
}

int fc_wait(struct fc_req *req, int timeout_ms, struct fc_reply *reply)
{
	int r;

	while (!req->done) {
		r = vq_driver_wait(req->queue->vq, timeout_ms);
		if (r == -ETIMEDOUT)
			return FC_TIMEOUT;
		if (r < 0)
			return FC_BROKEN;
		r = take_used(req->queue);
		if (r < 0)
			return r;
	}
	r = check_reply(req, reply);
	slot_free(req);
	return r;
}

int fc_call(struct fc_queue *q, const struct fc_call *call, struct fc_reply *reply)
{
	struct fc_req *req = fc_send(q, call);

	return req ? fc_wait(req, FC_WAIT_MS, reply) : FC_NO_ROOM;
}

int fc_call_raw(struct fc_queue *q, const void *bytes, uint32_t len, uint32_t room)
{
	struct fc_req *req = fc_send_raw(q, bytes, len, room);

	return req ? fc_wait(req, FC_WAIT_MS, NULL) : FC_NO_ROOM;
}
