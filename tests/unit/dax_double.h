/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of fuse/: a window and a view that do nothing but note what they were asked, and answer
 * when and what the test says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dax/view.h"
#include "dax/window.h"

struct dax_window {
	/* What the test says. */
	const struct dax_dialect *dialect;
	uint64_t size;
	bool ready;
	bool hold;       /* operations wait for double_finish() */
	int answer;      /* else they end at once with this */
	uint64_t io_max; /* dax_io carries no more than this of each */
	uint64_t blinks; /* the key for which dax_window_blinks() */

	bool placed; /* dax_window_reach: bytes of this file, by io_max */
	int reach_fd;

	/* What was asked: the last of each. */
	unsigned int maps, unmaps, unmap_alls, syncs, ios, reaches;
	uint64_t key;
	struct dax_entry entry;
	int fd_flags; /* F_GETFL of the fd, which is closed */
	dev_t fd_dev;
	ino_t fd_ino;
	struct dax_entry ranges[300];
	size_t n_ranges;
	struct dax_request *held;
	char gpa[65536]; /* the memory that dax_io reaches: guest physical address 0 on */
};

struct dax_view {
	enum dax_view_kind kind;
	int error; /* of dax_view_open */
	unsigned int opens, changed;
};

/* Ends the operation that waits. */
void double_finish(struct dax_window *window, int error);
