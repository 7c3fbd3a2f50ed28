/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests in a ring.
 *
 * A slot's guest memory is a page {arguments, the reply's header, a small body} and the payload.
 * While a queue is driven it sleeps in one read of its call eventfd, which is blocking then;
 * whoever sets `broken` writes there to wake it.
 */
#include "gateway/frontend/bench_queue.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define PAGE   4096u
#define HEAD   2048u /* where the reply's header is in the page */
#define BODY   2176u
#define SPINS  256
#define SMALL  (PAGE - BODY)
#define NAME_H ((uint32_t)sizeof(struct fuse_in_header))

uint64_t fb_slot_size(uint32_t payload)
{
	return PAGE + ((uint64_t)payload + PAGE - 1) / PAGE * PAGE;
}

void fb_slot_init(struct fb_slot *slot, void *host, uint64_t gpa)
{
	*slot = (struct fb_slot){.gpa = gpa, .args = host};
	slot->head = slot->args + HEAD;
	slot->body = slot->args + BODY;
	slot->payload = slot->args + PAGE;
}

static uint32_t put_name(struct fb_slot *slot, uint32_t at, const char *name)
{
	uint32_t len = name ? (uint32_t)strlen(name) + 1 : 0;

	if (len)
		memcpy(slot->args + at, name, len);
	return at + len;
}

void fb_queue_ask(struct fb_queue *queue, struct fb_slot *slot, const struct fb_ask *ask)
{
	struct fuse_in_header h = {
		.opcode = ask->opcode,
		.unique = queue->next_unique,
		.nodeid = ask->nodeid,
		.pid = 1,
	};
	uint32_t at = NAME_H;
	struct vq_buf bufs[4];
	size_t n = 0;

	if (ask->args_len)
		memcpy(slot->args + at, ask->args, ask->args_len);
	at = put_name(slot, at + ask->args_len, ask->name);
	at = put_name(slot, at, ask->name2);
	h.len = at + ask->data_len;
	memcpy(slot->args, &h, sizeof(h));
	bufs[n++] = (struct vq_buf){slot->gpa, at, false};
	if (ask->data_len)
		bufs[n++] = (struct vq_buf){slot->gpa + PAGE, ask->data_len, false};
	bufs[n++] = (struct vq_buf){slot->gpa + HEAD, sizeof(struct fuse_out_header), true};
	if (ask->room)
		bufs[n++] = (struct vq_buf){slot->gpa + (ask->bulk ? PAGE : BODY), ask->room, true};
	slot->unique = h.unique;
	slot->room = (uint32_t)sizeof(struct fuse_out_header) + ask->room;
	queue->next_unique += 2;
	/* The ring has room for all slots. */
	(void)vq_driver_add(queue->ring, bufs, n, slot);
	queue->added = true;
}

struct fb_slot *fb_queue_take(struct fb_queue *queue)
{
	struct fb_slot *slot;
	void *cookie;
	uint32_t used;

	while (vq_driver_take(queue->ring, &cookie, &used)) {
		slot = cookie;
		if (!slot) {
			/* A chain that nobody asked for: no driver may go on with this device. */
			atomic_store(queue->broken, true);
			return NULL;
		}
		slot->used = used;
		return slot;
	}
	return NULL;
}

static int look(struct fb_queue *queue, int64_t deadline)
{
	for (unsigned int i = 1;; i++) {
		if (vq_driver_ready(queue->ring))
			return 0;
		if (i % SPINS)
			continue;
		if (atomic_load(queue->broken))
			return FU_BROKEN;
		if (deadline >= 0 && vu_now_ms() > deadline)
			return FU_TIMEOUT;
		(void)sched_yield(); /* who answers may need this processor */
	}
}

static int poll_call(struct fb_queue *queue, int64_t deadline)
{
	struct pollfd fds[] = {{.fd = queue->ring->call, .events = POLLIN},
		{.fd = queue->ring->err, .events = POLLIN}};
	int64_t left = deadline < 0 ? 1000 : deadline - vu_now_ms();
	int n = poll(fds, ARRAY_SIZE(fds), left > 0 ? (int)left : 0);

	if (n > 0 && (fds[1].revents & POLLIN))
		return FU_BROKEN;
	return n == 0 && deadline >= 0 ? FU_TIMEOUT : 0;
}

int fb_queue_wait(struct fb_queue *queue, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? -1 : vu_now_ms() + timeout_ms;
	uint64_t count;
	int r = 0;

	if (queue->added)
		queue->kicks += vq_driver_kick(queue->ring);
	queue->added = false;
	if (queue->poll)
		return look(queue, deadline);
	while (r == 0 && !vq_driver_arm(queue->ring)) {
		if (atomic_load(queue->broken))
			return FU_BROKEN;
		/* Blocking only where there is no deadline. */
		if (deadline >= 0)
			r = poll_call(queue, deadline);
		if (r == 0 && read(queue->ring->call, &count, sizeof(count)) == sizeof(count))
			queue->calls += count;
		else if (r == 0 && errno == EAGAIN)
			r = poll_call(queue, deadline);
	}
	return r;
}

int fb_slot_reply(const struct fb_slot *slot, uint32_t *len)
{
	struct fuse_out_header out;

	if (slot->used < sizeof(out) || slot->used > slot->room)
		return FU_BAD_REPLY;
	memcpy(&out, slot->head, sizeof(out));
	if (out.len != slot->used || out.unique != slot->unique || out.error > 0 ||
		out.error < -4095 || (out.error && out.len != sizeof(out)))
		return FU_BAD_REPLY;
	*len = out.len - (uint32_t)sizeof(out);
	return out.error;
}
