/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows that make and remove names. Each slot has names of its own.
 *
 * What was made is forgotten once its name is gone, as a kernel does; many at a time, so that the
 * thread that the back-end may have for hiprio is seldom woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define FORGET_MAX 64u
#define TARGET     "target/of/a/link"

/* A queue's, its thread's. */
struct forgets {
	struct fuse_forget_one ones[FORGET_MAX];
	unsigned int n;
};

static int forgets_new(struct fb_work *work)
{
	work->own = calloc(work->queues, sizeof(struct forgets));
	return work->own ? 0 : -ENOMEM;
}

static void forget(struct fb_work *work, const struct fb_queue *queue, uint64_t nodeid)
{
	struct forgets *list = &((struct forgets *)work->own)[queue - work->device->queues];

	list->ones[list->n++] = (struct fuse_forget_one){nodeid, 1};
	if (list->n < FORGET_MAX)
		return;
	fb_forget(work->device, list->ones, list->n);
	list->n = 0;
}

static void forgets_end(struct fb_work *work)
{
	struct forgets *lists = work->own;

	for (unsigned int i = 0; lists && i < work->queues; i++)
		fb_forget(work->device, lists[i].ones, lists[i].n);
}

static void ask_unlink(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, const char *name)
{
	struct fb_ask ask = {.opcode = FUSE_UNLINK, .nodeid = work->device->dir, .name = name};

	fb_queue_ask(queue, slot, &ask);
}

/* ---- create-unlink ---- */

int fb_create_prepare(struct fb_work *work)
{
	return forgets_new(work);
}

static void ask_create(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, const char *name)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = S_IFREG | 0644};
	struct fb_ask ask = {.opcode = FUSE_CREATE,
		.nodeid = work->device->dir,
		.args = &in,
		.args_len = sizeof(in),
		.name = name,
		.room = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)};

	fb_queue_ask(queue, slot, &ask);
}

void fb_create_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct fuse_release_in in = {.fh = slot->fh, .flags = O_RDWR};
	struct fb_ask release = {.opcode = FUSE_RELEASE,
		.nodeid = slot->nodeid,
		.args = &in,
		.args_len = sizeof(in)};
	char name[FB_NAME_MAX];

	fb_slot_name(slot, 'c', name);
	if (slot->step == 0)
		ask_create(work, queue, slot, name);
	else if (slot->step == 1)
		fb_queue_ask(queue, slot, &release);
	else
		ask_unlink(work, queue, slot, name);
}

enum fb_next fb_create_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;

	if (!fb_good(work, slot, error, len, slot->step ? 0 : sizeof(out)))
		return FB_FAILED;
	if (slot->step == 0) {
		memcpy(&out, slot->body, sizeof(out));
		if (!out.entry.nodeid || out.entry.attr.mode != (S_IFREG | 0644) ||
			out.entry.attr.size)
			return fb_wrong(work, "what was made has mode %#o", out.entry.attr.mode);
		slot->nodeid = out.entry.nodeid;
		slot->fh = out.open.fh;
	}
	if (slot->step++ < 2)
		return FB_MORE;
	forget(work, queue, slot->nodeid);
	return FB_DONE;
}

/* That nothing is left shows when the directory is removed. */
void fb_create_undo(struct fb_work *work)
{
	forgets_end(work);
}

/* ---- symlink ---- */

int fb_symlink_prepare(struct fb_work *work)
{
	return forgets_new(work);
}

void fb_symlink_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	char name[FB_NAME_MAX];
	struct fb_ask ask = {.opcode = FUSE_SYMLINK,
		.nodeid = work->device->dir,
		.name = name,
		.name2 = TARGET,
		.room = sizeof(struct fuse_entry_out)};

	fb_slot_name(slot, 'l', name);
	if (slot->step == 0)
		fb_queue_ask(queue, slot, &ask);
	else
		ask_unlink(work, queue, slot, name);
}

enum fb_next fb_symlink_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_entry_out out;

	if (!fb_good(work, slot, error, len, slot->step ? 0 : sizeof(out)))
		return FB_FAILED;
	if (slot->step++) {
		forget(work, queue, slot->nodeid);
		return FB_DONE;
	}
	memcpy(&out, slot->body, sizeof(out));
	if (!out.nodeid || !S_ISLNK(out.attr.mode) || out.attr.size != strlen(TARGET))
		return fb_wrong(work, "the link has mode %#o and %llu bytes", out.attr.mode,
			(unsigned long long)out.attr.size);
	slot->nodeid = out.nodeid;
	return FB_MORE;
}

void fb_symlink_undo(struct fb_work *work)
{
	forgets_end(work);
}

/* ---- rename: there and back again ---- */

struct renamed {
	unsigned int n;
	struct {
		uint64_t nodeid;
		bool away;
	} of[];
};

int fb_rename_prepare(struct fb_work *work)
{
	struct renamed *own = calloc(1, sizeof(*own) + work->slots * sizeof(own->of[0]));
	int r = own ? 0 : -ENOMEM;

	work->own = own;
	for (unsigned int i = 0; i < work->slots && r == 0; i++) {
		struct fb_slot slot = {.index = i};
		char name[FB_NAME_MAX];

		fb_slot_name(&slot, 'a', name);
		r = fb_make(work->device, work->device->dir, name, &own->of[i].nodeid, NULL);
		own->n += r == 0;
	}
	return r;
}

void fb_rename_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	const struct renamed *own = work->own;
	bool away = own->of[slot->index].away;
	struct fuse_rename_in in = {.newdir = work->device->dir};
	char from[FB_NAME_MAX], to[FB_NAME_MAX];
	struct fb_ask ask = {.opcode = FUSE_RENAME,
		.nodeid = work->device->dir,
		.args = &in,
		.args_len = sizeof(in),
		.name = from,
		.name2 = to};

	fb_slot_name(slot, away ? 'b' : 'a', from);
	fb_slot_name(slot, away ? 'a' : 'b', to);
	fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_rename_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct renamed *own = work->own;

	if (!fb_good(work, slot, error, len, 0))
		return FB_FAILED;
	own->of[slot->index].away = !own->of[slot->index].away;
	return FB_DONE;
}

/* Each file has the name that it got last, and is the one that it was. */
void fb_rename_undo(struct fb_work *work)
{
	struct renamed *own = work->own;

	for (unsigned int i = 0; own && i < own->n; i++) {
		struct fb_slot slot = {.index = i};
		struct fuse_forget_one one = {own->of[i].nodeid, 1};
		char name[FB_NAME_MAX];
		uint64_t nodeid = 0;
		int r;

		fb_slot_name(&slot, own->of[i].away ? 'b' : 'a', name);
		r = fb_lookup(work->device, work->device->dir, name, &nodeid);
		if (r < 0 || nodeid != one.nodeid)
			(void)fb_wrong(work, "%s is another file: %s", name, ft_result(r));
		else
			one.nlookup++;
		fb_drop_name(work, name);
		fb_forget(work->device, &one, 1);
	}
}
