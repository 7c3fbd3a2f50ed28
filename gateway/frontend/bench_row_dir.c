/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READDIRPLUS of a large directory. An operation is a whole listing from the first entry on, and
 * counts as its entries; each slot has a handle of its own. All nodes are known beforehand, as in
 * a guest that has them in its cache. Every entry is checked against the node that was made; that
 * none is missing or comes twice shows by their number and sum.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define ENTRIES FB_ENTRIES
#define SIZE    32768u /* of a READDIRPLUS's buffer */
#define NAME    "directory"

struct list {
	uint64_t dir;
	unsigned int n, n_fhs;
	struct {
		uint64_t nodeid;
		_Atomic uint64_t lookups;
	} of[ENTRIES];
	struct {
		uint64_t fh;
		uint64_t sum; /* of the numbers of entries that were seen */
	} slots[];
};

static int open_all(struct fb_work *work, struct list *list)
{
	int r = 0;

	for (unsigned int i = 0; i < work->slots && r == 0; i++) {
		r = fb_open(work->device, list->dir, true, &list->slots[i].fh);
		list->n_fhs += r == 0;
	}
	return r;
}

int fb_list_prepare(struct fb_work *work)
{
	struct list *list = calloc(1, sizeof(*list) + work->slots * sizeof(list->slots[0]));
	char name[FB_NAME_MAX];
	int r;

	work->own = list;
	if (!list)
		return -ENOMEM;
	r = fb_mkdir(work->device, work->device->dir, NAME, &list->dir);
	for (unsigned int i = 0; i < ENTRIES && r == 0; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		r = fb_make(work->device, list->dir, name, &list->of[i].nodeid, NULL);
		list->of[i].lookups = 1;
		list->n += r == 0;
	}
	return r < 0 ? r : open_all(work, list);
}

void fb_list_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct list *list = work->own;
	struct fuse_read_in in = {.fh = list->slots[slot->index].fh, .size = SIZE};
	struct fb_ask ask = {.opcode = FUSE_READDIRPLUS,
		.nodeid = list->dir,
		.args = &in,
		.args_len = sizeof(in),
		.room = SIZE,
		.bulk = true};

	if (slot->step == 0) {
		slot->at = 0;
		slot->count = 0;
		list->slots[slot->index].sum = 0;
	}
	in.offset = slot->at;
	fb_queue_ask(queue, slot, &ask);
}

static bool is_dots(const char *name, uint32_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* The number in "e123", or ENTRIES. */
static uint32_t number_of(const char *name, uint32_t len)
{
	uint32_t n = 0;

	if (len < 2 || len > 8 || name[0] != 'e')
		return ENTRIES;
	for (uint32_t i = 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return ENTRIES;
		n = n * 10 + (uint32_t)(name[i] - '0');
	}
	return MIN(n, ENTRIES);
}

/* One entry; false when it is none that was made. */
static bool take_entry(struct list *list, struct fb_slot *slot, const struct fuse_direntplus *plus)
{
	const struct fuse_dirent *dirent = &plus->dirent;
	uint32_t n;

	slot->at = dirent->off;
	if (is_dots(dirent->name, dirent->namelen))
		return true;
	n = number_of(dirent->name, dirent->namelen);
	if (n == ENTRIES || plus->entry_out.nodeid != list->of[n].nodeid)
		return false;
	atomic_fetch_add_explicit(&list->of[n].lookups, 1, memory_order_relaxed);
	list->slots[slot->index].sum += n;
	slot->count++;
	return true;
}

static enum fb_next take_all(struct fb_work *work, struct fb_slot *slot, uint32_t len)
{
	for (uint32_t at = 0; at < len;) {
		const struct fuse_direntplus *plus = (const void *)(slot->payload + at);
		uint32_t left = len - at;

		if (left < FUSE_NAME_OFFSET_DIRENTPLUS || !plus->dirent.namelen ||
			plus->dirent.namelen > left - FUSE_NAME_OFFSET_DIRENTPLUS ||
			FUSE_DIRENTPLUS_SIZE(plus) > left)
			return fb_wrong(work, "an entry that does not fit into the reply");
		if (!take_entry(work->own, slot, plus))
			return fb_wrong(work, "%.*s, node %llu: not what was made",
				(int)plus->dirent.namelen, plus->dirent.name,
				(unsigned long long)plus->entry_out.nodeid);
		at += (uint32_t)FUSE_DIRENTPLUS_SIZE(plus);
	}
	return FB_MORE;
}

enum fb_next fb_list_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	const struct list *list = work->own;

	if (error || len > SIZE)
		return fb_wrong(work, "READDIRPLUS: %s", ft_result(error));
	slot->step++;
	if (len)
		return take_all(work, slot, len);
	if (slot->count != ENTRIES ||
		list->slots[slot->index].sum != (uint64_t)ENTRIES * (ENTRIES - 1) / 2)
		return fb_wrong(work, "%u entries, not %u", slot->count, ENTRIES);
	return FB_DONE;
}

void fb_list_undo(struct fb_work *work)
{
	struct list *list = work->own;
	char name[FB_NAME_MAX];
	int r;

	if (!list)
		return;
	for (unsigned int i = 0; i < list->n_fhs; i++)
		(void)fb_release(work->device, list->dir, list->slots[i].fh, true);
	for (unsigned int i = 0; i < list->n; i++) {
		struct fuse_forget_one one = {list->of[i].nodeid, list->of[i].lookups};

		snprintf(name, sizeof(name), "e%u", i);
		r = fb_unlink(work->device, list->dir, name, false);
		if (r < 0)
			(void)fb_wrong(work, "%s is not removed: %s", name, ft_result(r));
		fb_forget(work->device, &one, 1);
	}
	r = list->dir ? fb_unlink(work->device, work->device->dir, NAME, true) : 0;
	if (r < 0)
		(void)fb_wrong(work, "the directory is not removed: %s", ft_result(r));
}
