/* SPDX-License-Identifier: BSD-3-Clause */
/* What rows make and remove while no clock runs: one request after the other. */
#include "gateway/frontend/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vhostuser/checked.h"

#define WAIT_MS 20000
#define LOOK_MS 200

struct fb_slot *fb_call_slot(struct fb_device *device)
{
	return &device->queues[0].slots[0];
}

bool fb_device_gone(struct fb_device *device)
{
	struct pollfd fds[FB_QUEUES_MAX + 1] = {
		{.fd = vu_frontend_fd(device->fe), .events = POLLRDHUP}};
	unsigned int n = 1;

	for (unsigned int i = 0; i < device->n_queues; i++)
		fds[n++] = (struct pollfd){.fd = device->queues[i].ring->err, .events = POLLIN};
	return poll(fds, n, 0) > 0;
}

int fb_call_wait(struct fb_device *device)
{
	struct fb_queue *queue = &device->queues[0];
	int r = FU_TIMEOUT;

	if (atomic_load(&device->broken))
		return FU_BROKEN;
	for (int waited = 0; r == FU_TIMEOUT && waited < WAIT_MS; waited += LOOK_MS) {
		r = fb_queue_wait(queue, LOOK_MS);
		if (r == 0 && !fb_queue_take(queue))
			r = FU_TIMEOUT;
		else if (r == FU_TIMEOUT && fb_device_gone(device))
			r = FU_BROKEN;
	}
	/* Whatever came later would be taken for the reply to something else. */
	if (r < 0)
		atomic_store(&device->broken, true);
	return r;
}

int fb_call(struct fb_device *device, const struct fb_ask *ask, void *body, uint32_t size,
	uint32_t *len)
{
	struct fb_queue *queue = &device->queues[0];
	struct fb_slot *slot = fb_call_slot(device);
	uint32_t got = 0;
	int r;

	if (atomic_load(&device->broken))
		return FU_BROKEN;
	fb_queue_ask(queue, slot, ask);
	r = fb_call_wait(device);
	if (r == 0)
		r = fb_slot_reply(slot, &got);
	if (r == 0 && body)
		memcpy(body, ask->bulk ? slot->payload : slot->body, MIN(got, size));
	if (len)
		*len = got;
	return r;
}

/* A call whose reply's body has one size. */
static int exact(struct fb_device *device, struct fb_ask *ask, void *body, uint32_t size)
{
	uint32_t len = 0;
	int r;

	ask->room = size;
	r = fb_call(device, ask, body, size, &len);
	return r == 0 && len != size ? FU_BAD_REPLY : r;
}

int fb_make(
	struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid, uint64_t *fh)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | 0644};
	struct fb_ask ask = {.opcode = FUSE_CREATE,
		.nodeid = dir,
		.args = &in,
		.args_len = sizeof(in),
		.name = name};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = exact(device, &ask, &out, sizeof(out));

	if (r < 0)
		return r;
	*nodeid = out.entry.nodeid;
	if (!fh)
		return fb_release(device, out.entry.nodeid, out.open.fh, false);
	*fh = out.open.fh;
	return 0;
}

static int entry_call(struct fb_device *device, struct fb_ask *ask, uint64_t *nodeid)
{
	struct fuse_entry_out out;
	int r = exact(device, ask, &out, sizeof(out));

	if (r == 0)
		*nodeid = out.nodeid;
	return r;
}

int fb_lookup(struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid)
{
	struct fb_ask ask = {.opcode = FUSE_LOOKUP, .nodeid = dir, .name = name};

	return entry_call(device, &ask, nodeid);
}

int fb_mkdir(struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid)
{
	struct fuse_mkdir_in in = {.mode = 0755};
	struct fb_ask ask = {.opcode = FUSE_MKDIR,
		.nodeid = dir,
		.args = &in,
		.args_len = sizeof(in),
		.name = name};

	return entry_call(device, &ask, nodeid);
}

int fb_unlink(struct fb_device *device, uint64_t dir, const char *name, bool directory)
{
	struct fb_ask ask = {
		.opcode = directory ? FUSE_RMDIR : FUSE_UNLINK, .nodeid = dir, .name = name};

	return exact(device, &ask, NULL, 0);
}

int fb_open(struct fb_device *device, uint64_t nodeid, bool directory, uint64_t *fh)
{
	struct fuse_open_in in = {.flags = directory ? O_RDONLY | O_DIRECTORY : O_RDWR};
	struct fb_ask ask = {.opcode = directory ? FUSE_OPENDIR : FUSE_OPEN,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in)};
	struct fuse_open_out out;
	int r = exact(device, &ask, &out, sizeof(out));

	if (r == 0)
		*fh = out.fh;
	return r;
}

int fb_release(struct fb_device *device, uint64_t nodeid, uint64_t fh, bool directory)
{
	struct fuse_release_in in = {.fh = fh};
	struct fb_ask ask = {.opcode = directory ? FUSE_RELEASEDIR : FUSE_RELEASE,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in)};

	return exact(device, &ask, NULL, 0);
}

enum fb_next fb_wrong(struct fb_work *work, const char *format, ...)
{
	char text[256];
	va_list args;

	if (atomic_fetch_add(&work->failures, 1) >= 20)
		return FB_FAILED;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "WRONG: %s: %s\n", work->row->name, text);
	return FB_FAILED;
}
