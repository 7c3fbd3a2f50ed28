/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows that map: a place of the window for each mapping, loaded from once it is there, then
 * unmapped. `map` asks for one at a time and unmaps it by itself. `map-batch` has eight slots for
 * each of --depth, so that the back-end may join what comes together, and each unmaps eight by one
 * message; it counts as its mappings.
 */
#include <errno.h>
#include <string.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/bench_window.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define PLACE  65536u
#define PLACES FB_MAP_BATCH /* of a slot */
/* At once: each takes a memory slot of the guest's, of which a back-end knows some 500. */
#define MAPPINGS 384u

static uint64_t place_of(const struct fb_slot *slot, unsigned int i)
{
	return (uint64_t)(slot->index * PLACES + i) * PLACE;
}

/* A page at the head of each place, which says where it is. */
static int fill(struct fb_work *work, uint64_t at)
{
	struct fb_file *file = &work->files[0];
	struct fuse_write_in in = {.fh = file->fh, .offset = at, .size = FB_PAGE};
	struct fb_ask ask = {.opcode = FUSE_WRITE,
		.nodeid = file->nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.data_len = FB_PAGE,
		.room = sizeof(struct fuse_write_out)};

	memcpy(fb_call_slot(work->device)->payload, &at, sizeof(at));
	return fb_call(work->device, &ask, NULL, 0, NULL);
}

int fb_map_prepare(struct fb_work *work)
{
	uint64_t size = (uint64_t)work->slots * PLACES * PLACE;
	int r;

	if (fb_window_size(work->device) < size || work->slots * PLACES > MAPPINGS) {
		fb_device_error(work->device, "%s: the window is too small for %u in flight",
			work->row->name, work->slots);
		return -ENOSPC;
	}
	r = fb_files_make(work, 1, true);
	/* Also behind the last one, so that all of a place is in the file. */
	for (uint64_t at = 0; at <= size && r == 0; at += PLACE)
		r = fill(work, at);
	return r;
}

static void ask_map(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, unsigned int place)
{
	struct fuse_setupmapping_in in = {.fh = UINT64_MAX,
		.foffset = place_of(slot, place),
		.len = PLACE,
		.flags = FT_RW,
		.moffset = place_of(slot, place)};
	struct fb_ask ask = {.opcode = FUSE_SETUPMAPPING,
		.nodeid = work->files[0].nodeid,
		.args = &in,
		.args_len = sizeof(in)};

	fb_queue_ask(queue, slot, &ask);
}

static void ask_unmap(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, unsigned int places)
{
	struct fuse_removemapping_one ones[PLACES];
	struct fuse_removemapping_in in = {.count = places};
	struct fb_ask ask = {.opcode = FUSE_REMOVEMAPPING,
		.nodeid = work->files[0].nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.data_len = places * (uint32_t)sizeof(ones[0])};

	for (unsigned int i = 0; i < places; i++)
		ones[i] = (struct fuse_removemapping_one){place_of(slot, i), PLACE};
	memcpy(slot->payload, ones, ask.data_len);
	fb_queue_ask(queue, slot, &ask);
}

static void submit(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, unsigned int places)
{
	if (slot->step < places)
		ask_map(work, queue, slot, slot->step);
	else
		ask_unmap(work, queue, slot, places);
}

static enum fb_next check(
	struct fb_work *work, struct fb_slot *slot, int error, uint32_t len, unsigned int places)
{
	uint64_t at = place_of(slot, slot->step), word = ~at;

	if (!fb_good(work, slot, error, len, 0))
		return FB_FAILED;
	if (slot->step++ == places)
		return FB_DONE;
	if (fb_window_load(work->device, at, &word, sizeof(word)) < 0 || word != at)
		return fb_wrong(work, "the window has other bytes at %#llx than the file",
			(unsigned long long)at);
	return FB_MORE;
}

void fb_map_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	submit(work, queue, slot, 1);
}

enum fb_next fb_map_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	return check(work, slot, error, len, 1);
}

void fb_map_undo(struct fb_work *work)
{
	fb_files_drop(work);
}

int fb_map_batch_prepare(struct fb_work *work)
{
	return fb_map_prepare(work);
}

void fb_map_batch_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	submit(work, queue, slot, PLACES);
}

enum fb_next fb_map_batch_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	return check(work, slot, error, len, PLACES);
}

void fb_map_batch_undo(struct fb_work *work)
{
	fb_files_drop(work);
}
