/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows that read and write.
 *
 * One file, whose blocks are shared out: a slot has those whose number is its own modulo the number
 * of slots, so nobody else writes there and what a read must give is known exactly. A page is the
 * block's generation and place in its first word, and in the others what is the same in all pages:
 * cheap to make and to check. A short block is compared whole, a long one by both ends of each
 * page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define FILE_MIN (UINT64_C(32) << 20)
#define FILE_MAX (UINT64_C(4) << 30)
#define WHOLE    (16 * FB_PAGE) /* the longest block that is compared whole */
#define WORD     sizeof(uint64_t)

struct io {
	uint64_t blocks;
	uint64_t each; /* blocks of a slot */
	uint8_t page[FB_PAGE];
	uint32_t generation[]; /* of each block */
};

static uint64_t first_word(uint64_t page, uint32_t generation)
{
	return page * UINT64_C(0x9e3779b97f4a7c15) + generation;
}

static void fill_rest(const struct io *io, uint8_t *to, uint32_t len)
{
	for (uint32_t at = 0; at < len; at += FB_PAGE)
		memcpy(to + at, io->page, FB_PAGE);
}

static void fill_first(uint8_t *to, uint64_t at, uint32_t len, uint32_t generation)
{
	for (uint32_t i = 0; i < len; i += FB_PAGE) {
		uint64_t word = first_word((at + i) / FB_PAGE, generation);

		memcpy(to + i, &word, WORD);
	}
}

static bool page_is(
	const struct io *io, const uint8_t *data, uint64_t page, uint32_t generation, bool whole)
{
	uint64_t word = first_word(page, generation);

	if (memcmp(data, &word, WORD) != 0)
		return false;
	return whole ? !memcmp(data + WORD, io->page + WORD, FB_PAGE - WORD)
		     : !memcmp(data + FB_PAGE - WORD, io->page + FB_PAGE - WORD, WORD);
}

static bool block_is(struct fb_work *work, const uint8_t *data, uint64_t block, bool whole)
{
	const struct io *io = work->own;
	uint64_t at = block * work->block;

	for (uint32_t i = 0; i < work->block; i += FB_PAGE)
		if (!page_is(io, data + i, (at + i) / FB_PAGE, io->generation[block], whole))
			return false;
	return true;
}

static void ask_io(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	const struct fb_file *file = &work->files[0];
	struct fuse_write_in w = {.fh = file->fh, .offset = slot->at, .size = work->block};
	struct fuse_read_in r = {.fh = file->fh, .offset = slot->at, .size = work->block};
	struct fb_ask ask = {.opcode = slot->write ? FUSE_WRITE : FUSE_READ,
		.nodeid = file->nodeid,
		.args = slot->write ? (const void *)&w : &r,
		.args_len = slot->write ? sizeof(w) : sizeof(r),
		.data_len = slot->write ? work->block : 0,
		.room = slot->write ? sizeof(struct fuse_write_out) : work->block,
		.bulk = !slot->write};

	fb_queue_ask(queue, slot, &ask);
}

/* A block of this slot's: the turn-th, or any. */
static void aim(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, bool next)
{
	const struct io *io = work->own;
	uint64_t i = next ? slot->turn % io->each : fb_random(queue, io->each);

	slot->at = (i * work->slots + slot->index) * work->block;
}

static void submit_write(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct io *io = work->own;
	uint32_t *generation = &io->generation[slot->at / work->block];

	slot->write = true;
	fill_first(slot->payload, slot->at, work->block, ++*generation);
	ask_io(work, queue, slot);
}

static void submit_read(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	/* What was there before is never taken for what was read. */
	memset(slot->payload, 0, WORD);
	slot->write = false;
	ask_io(work, queue, slot);
}

void fb_io_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	aim(work, queue, slot, false);
	submit_read(work, queue, slot);
}

void fb_write_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	aim(work, queue, slot, false);
	submit_write(work, queue, slot);
}

void fb_mixed_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	aim(work, queue, slot, false);
	if (fb_random(queue, 10) < 3)
		submit_write(work, queue, slot);
	else
		submit_read(work, queue, slot);
}

void fb_read_next_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	aim(work, queue, slot, true);
	submit_read(work, queue, slot);
}

void fb_write_next_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	aim(work, queue, slot, true);
	submit_write(work, queue, slot);
}

static enum fb_next check_write(struct fb_work *work, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_write_out out;

	if (!fb_good(work, slot, error, len, sizeof(out)))
		return FB_FAILED;
	memcpy(&out, slot->body, sizeof(out));
	if (out.size != work->block)
		return fb_wrong(work, "%u bytes were written, not %u", out.size, work->block);
	return FB_DONE;
}

enum fb_next fb_io_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	if (slot->write)
		return check_write(work, slot, error, len);
	if (!fb_good(work, slot, error, len, work->block))
		return FB_FAILED;
	if (!block_is(work, slot->payload, slot->at / work->block, work->block <= WHOLE))
		return fb_wrong(work, "other bytes at %llu than were written",
			(unsigned long long)slot->at);
	return FB_DONE;
}

/* ---- the file ---- */

/* One block, by fb_call()'s slot. */
static int call_io(struct fb_work *work, bool write, uint64_t block)
{
	struct fb_queue *queue = &work->device->queues[0];
	struct fb_slot *slot = fb_call_slot(work->device);
	uint32_t len;
	int r;

	if (atomic_load(&work->device->broken))
		return FU_BROKEN;
	slot->at = block * work->block;
	slot->step = 0;
	if (write)
		submit_write(work, queue, slot);
	else
		submit_read(work, queue, slot);
	r = fb_call_wait(work->device);
	if (r == 0)
		r = fb_slot_reply(slot, &len);
	if (r < 0)
		return r;
	return fb_io_check(work, queue, slot, r, len) == FB_DONE ? 0 : FU_BAD_REPLY;
}

static struct io *io_new(const struct fb_work *work)
{
	uint64_t size = MAX(FILE_MIN, 2 * (uint64_t)work->slots * work->block);
	uint64_t blocks = size / work->block;
	struct io *io = size > FILE_MAX ? NULL : calloc(1, sizeof(*io) + blocks * sizeof(uint32_t));

	if (!io)
		return NULL;
	io->each = blocks / work->slots;
	io->blocks = io->each * work->slots;
	for (uint32_t i = 0; i < FB_PAGE / WORD; i++) {
		uint64_t word = UINT64_C(0x0123456789abcdef) * (i + 1);

		memcpy(io->page + i * WORD, &word, WORD);
	}
	return io;
}

int fb_io_prepare(struct fb_work *work)
{
	struct io *io = io_new(work);
	int r;

	work->own = io;
	r = io ? fb_files_make(work, 1, true) : -ENOMEM;
	for (unsigned int q = 0; r == 0 && q < work->queues; q++)
		for (unsigned int i = 0; i < work->depth; i++)
			fill_rest(io, work->device->queues[q].slots[i].payload, work->block);
	for (uint64_t i = 0; r == 0 && i < io->blocks; i++)
		r = call_io(work, true, i);
	return r;
}

/* What the file holds in the end is what was written last to each block. */
void fb_io_undo(struct fb_work *work)
{
	const struct io *io = work->own;

	for (uint64_t i = 0; work->n_files && i < io->blocks; i++)
		if (call_io(work, false, i) < 0) {
			(void)fb_wrong(work, "block %llu is lost", (unsigned long long)i);
			break;
		}
	fb_files_drop(work);
}

/* ---- fsync: of a block that was just written ---- */

int fb_fsync_prepare(struct fb_work *work)
{
	return fb_io_prepare(work);
}

void fb_fsync_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	const struct fb_file *file = &work->files[0];
	struct fuse_fsync_in in = {.fh = file->fh};
	struct fb_ask ask = {
		.opcode = FUSE_FSYNC, .nodeid = file->nodeid, .args = &in, .args_len = sizeof(in)};

	if (slot->step == 0)
		fb_write_submit(work, queue, slot);
	else
		fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_fsync_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	if (slot->step == 0) {
		if (check_write(work, slot, error, len) != FB_DONE)
			return FB_FAILED;
		slot->step++;
		return FB_MORE;
	}
	return fb_good(work, slot, error, len, 0) ? FB_DONE : FB_FAILED;
}

void fb_fsync_undo(struct fb_work *work)
{
	fb_io_undo(work);
}
