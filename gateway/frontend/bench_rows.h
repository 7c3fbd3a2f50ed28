/* SPDX-License-Identifier: BSD-3-Clause */
/* What rows have in common, and what the table of rows names: see fb_row for each function. */
#pragma once

#include "gateway/frontend/bench.h"

#define FB_ENTRIES   10000u /* of the directory that is listed */
#define FB_MAP_BATCH 8u

/* Makes n files "f0", "f1", ...; opened where `open` says so. */
int fb_files_make(struct fb_work *work, unsigned int n, bool open);
/* Closes, forgets and removes them. */
void fb_files_drop(struct fb_work *work);
/* Removes a name that rows made. */
void fb_drop_name(struct fb_work *work, const char *name);
/* A name of this slot's: a letter and its number. */
void fb_slot_name(const struct fb_slot *slot, char letter, char name[FB_NAME_MAX]);
/* True when the reply is a success of this length; else fb_wrong() told what it is. */
bool fb_good(
	struct fb_work *work, const struct fb_slot *slot, int error, uint32_t len, uint32_t want);

/* The functions of rows, by what they do. */
#define FB_ROW_FUNCTIONS(row)                                                                      \
	int fb_##row##_prepare(struct fb_work *work);                                              \
	void fb_##row##_submit(                                                                    \
		struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);               \
	enum fb_next fb_##row##_check(struct fb_work *work, struct fb_queue *queue,                \
		struct fb_slot *slot, int error, uint32_t len);                                    \
	void fb_##row##_undo(struct fb_work *work)

FB_ROW_FUNCTIONS(getattr);
FB_ROW_FUNCTIONS(lookup);
FB_ROW_FUNCTIONS(miss);
FB_ROW_FUNCTIONS(open);
FB_ROW_FUNCTIONS(statfs);
FB_ROW_FUNCTIONS(io);
FB_ROW_FUNCTIONS(fsync);
FB_ROW_FUNCTIONS(create);
FB_ROW_FUNCTIONS(symlink);
FB_ROW_FUNCTIONS(rename);
FB_ROW_FUNCTIONS(list);
FB_ROW_FUNCTIONS(map);
FB_ROW_FUNCTIONS(map_batch);

/* WRITE, both, and one after the other: in the place of fb_io_submit(). */
void fb_write_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);
/* See above. */
void fb_mixed_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);
/* See above. */
void fb_read_next_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);
/* See above. */
void fb_write_next_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);
