/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of rows. */
#include "gateway/frontend/bench_rows.h"

#include <string.h>

#include "vhostuser/checked.h"

#define ROW(name, about, row)                                                                      \
	name, about, fb_##row##_prepare, fb_##row##_submit, fb_##row##_check, fb_##row##_undo
#define IO(name, about, submit, block)                                                             \
	name, about, fb_io_prepare, submit, fb_io_check, fb_io_undo, block

const struct fb_row fb_rows[] = {
	{ROW("getattr", "attributes of 64 files", getattr)},
	{ROW("lookup", "64 names that are known", lookup)},
	{ROW("lookup-miss", "names that are not there", miss)},
	{ROW("open-release", "a file opened and closed: two requests", open)},
	{IO("read4k", "4 KiB at random places of 32 MiB", fb_io_submit, FB_PAGE)},
	{IO("write4k", "the same, written", fb_write_submit, FB_PAGE)},
	{IO("mixed4k", "seven reads for three writes", fb_mixed_submit, FB_PAGE)},
	{IO("read1m", "1 MiB, one after the other", fb_read_next_submit, FB_BLOCK_MAX)},
	{IO("write1m", "the same, written", fb_write_next_submit, FB_BLOCK_MAX)},
	{ROW("fsync", "4 KiB written, then fsync: two requests", fsync), .block = FB_PAGE},
	{ROW("create-unlink", "a file made, closed and removed: three requests", create)},
	{ROW("rename", "a file within its directory, there and back", rename)},
	{ROW("symlink", "a link made and removed: two requests", symlink)},
	{ROW("readdirplus", "10,000 entries, each one an operation; latency is a listing's", list),
		.weight = FB_ENTRIES},
	{ROW("statfs", "the file system's numbers", statfs)},
	{ROW("map", "64 KiB of the DAX window mapped, unmapped: two requests", map),
		.window = true},
	{ROW("map-batch", "the same, eight in flight for each of --depth, unmapped by eight",
		 map_batch),
		.weight = FB_MAP_BATCH, .times = FB_MAP_BATCH, .window = true},
};
const unsigned int fb_n_rows = ARRAY_SIZE(fb_rows);

const struct fb_row *fb_row_find(const char *name)
{
	for (unsigned int i = 0; i < fb_n_rows; i++)
		if (!strcmp(name, fb_rows[i].name))
			return &fb_rows[i];
	return NULL;
}
