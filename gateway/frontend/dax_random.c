/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify's last part: random maps, unmaps, loads, stores, READs and WRITEs against a naive model.
 *
 * The model is the files' bytes and, for each page of the window, which page of which file is
 * there and whether it may be stored to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define FILES        3
#define FILE_PAGES   64
#define WINDOW_PAGES 256 /* used of it */
#define MAP_PAGES    24

struct place {
	uint8_t file; /* 1 on; 0: nothing */
	bool write;
	uint16_t page;
};

struct model {
	struct ft_file files[FILES];
	uint8_t bytes[FILES][FILE_PAGES * FT_PAGE];
	struct place window[WINDOW_PAGES];
};

static void op_map(struct ft_run *run, struct model *model)
{
	uint64_t n = 1 + ft_random(run, MAP_PAGES), file = ft_random(run, FILES);
	uint64_t from = ft_random(run, FILE_PAGES - n + 1);
	uint64_t to = ft_random(run, WINDOW_PAGES - n + 1);
	bool write = ft_random(run, 2);
	int r = fu_map(run->client, model->files[file].nodeid, from * FT_PAGE, n * FT_PAGE,
		write ? FT_RW : FT_RO, to * FT_PAGE);

	if (!ft_check(run, r == 0, "random map: %s", ft_result(r)))
		return;
	for (uint64_t i = 0; i < n; i++)
		model->window[to + i] =
			(struct place){(uint8_t)(file + 1), write, (uint16_t)(from + i)};
}

static void op_unmap(struct ft_run *run, struct model *model)
{
	struct fuse_removemapping_one ones[12];
	uint32_t n = 1 + (uint32_t)ft_random(run, ARRAY_SIZE(ones));
	int r;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t pages = 1 + ft_random(run, MAP_PAGES);
		uint64_t at = ft_random(run, WINDOW_PAGES - pages + 1);

		ones[i] = (struct fuse_removemapping_one){at * FT_PAGE, pages * FT_PAGE};
		memset(&model->window[at], 0, pages * sizeof(model->window[0]));
	}
	r = fu_unmap(run->client, model->files[0].nodeid, ones, n);
	ft_check(run, r == 0, "random unmap: %s", ft_result(r));
}

/* A load or a store of some bytes within one page of the window. */
static void op_touch(struct ft_run *run, struct model *model)
{
	uint64_t page = ft_random(run, WINDOW_PAGES), at = ft_random(run, FT_PAGE);
	uint64_t len = 1 + ft_random(run, FT_PAGE - at), offset = page * FT_PAGE + at;
	const struct place *place = &model->window[page];
	uint8_t bytes[FT_PAGE], *wanted = NULL;
	int r;

	if (place->file)
		wanted = model->bytes[place->file - 1] + place->page * (size_t)FT_PAGE + at;
	if (ft_random(run, 2)) {
		memset(bytes, (int)ft_random(run, 256), len);
		r = fw_window_store(run->window, offset, bytes, len);
		/* In shmem what is asked for reading may be mapped for both. */
		if (!place->file || place->write || !run->options->shmem)
			ft_check(run, r == (place->file && place->write ? 0 : -EFAULT),
				"random store: %s", ft_result(r));
		if (r == 0 && wanted)
			memcpy(wanted, bytes, len);
		return;
	}
	r = fw_window_load(run->window, offset, bytes, len);
	ft_check(run, r == (wanted ? 0 : -EFAULT), "random load: %s", ft_result(r));
	if (r == 0 && wanted)
		ft_check(run, !memcmp(bytes, wanted, len), "random load: wrong bytes at 0x%llx",
			(unsigned long long)offset);
}

static void op_file(struct ft_run *run, struct model *model)
{
	uint64_t file = ft_random(run, FILES), at = ft_random(run, FILE_PAGES * FT_PAGE);
	uint32_t len = 1 + (uint32_t)ft_random(run, 3 * FT_PAGE);
	const struct ft_file *f = &model->files[file];
	uint8_t bytes[3 * FT_PAGE];
	int r;

	len = (uint32_t)MIN(len, FILE_PAGES * FT_PAGE - at);
	if (ft_random(run, 2)) {
		memset(bytes, (int)ft_random(run, 256), len);
		r = fu_write(run->client, f->nodeid, f->fh, at, bytes, len);
		memcpy(model->bytes[file] + at, bytes, len);
	} else {
		r = fu_read(run->client, f->nodeid, f->fh, at, bytes, len);
		ft_check(run, r < 0 || !memcmp(bytes, model->bytes[file] + at, (size_t)r),
			"random READ: wrong bytes");
	}
	ft_check(run, r == (int)len, "random READ or WRITE: %d of %u", r, len);
}

/* The whole window and all files. */
static void compare(struct ft_run *run, const struct model *model)
{
	uint8_t bytes[FT_PAGE];
	uint64_t mapped = 0;

	for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
		const struct place *place = &model->window[i];
		int r = fw_window_load(run->window, i * FT_PAGE, bytes, FT_PAGE);
		const uint8_t *wanted;

		mapped += place->file ? FT_PAGE : 0;
		ft_check(run, r == (place->file ? 0 : -EFAULT), "window page %llu: %s",
			(unsigned long long)i, ft_result(r));
		if (r < 0 || !place->file)
			continue;
		wanted = model->bytes[place->file - 1] + place->page * (size_t)FT_PAGE;
		ft_check(run, !memcmp(bytes, wanted, FT_PAGE), "window page %llu: wrong bytes",
			(unsigned long long)i);
	}
	ft_check(run, fw_window_mapped(run->window) == mapped, "mapped: %llu, should be %llu",
		(unsigned long long)fw_window_mapped(run->window), (unsigned long long)mapped);
	for (unsigned int f = 0; f < FILES; f++) {
		for (uint64_t at = 0; at < FILE_PAGES * FT_PAGE; at += FT_PAGE) {
			int r = fu_read(run->client, model->files[f].nodeid, model->files[f].fh, at,
				bytes, FT_PAGE);

			ft_check(run,
				r == (int)FT_PAGE && !memcmp(bytes, model->bytes[f] + at, FT_PAGE),
				"file %u: wrong bytes at 0x%llx", f, (unsigned long long)at);
		}
	}
}

static void one_operation(struct ft_run *run, struct model *model)
{
	uint64_t kind = ft_random(run, 10);

	if (kind < 2)
		op_map(run, model);
	else if (kind < 3)
		op_unmap(run, model);
	else if (kind < 9)
		op_touch(run, model);
	else
		op_file(run, model);
}

void ft_random_ops(struct ft_run *run)
{
	struct model *model = calloc(1, sizeof(*model));
	struct fuse_removemapping_one all = {0, WINDOW_PAGES * FT_PAGE};
	int r = model ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < FILES && r == 0; i++) {
		r = ft_file_make(run, &model->files[i], 20 + i, FILE_PAGES * FT_PAGE);
		for (uint64_t page = 0; page < FILE_PAGES; page++)
			ft_pattern(run, 20 + i, page, model->bytes[i] + page * FT_PAGE);
	}
	for (uint64_t i = 0; r == 0 && i < run->options->count && run->failures < 20; i++) {
		one_operation(run, model);
		run->operations++;
		if (i % 10000 == 9999)
			compare(run, model);
		ft_progress(run, "%llu random operations, %llu failures",
			(unsigned long long)run->operations, (unsigned long long)run->failures);
	}
	if (r == 0) {
		compare(run, model);
		r = fu_unmap(run->client, model->files[0].nodeid, &all, 1);
		ft_check(run, r == 0 && fw_window_mapped(run->window) == 0, "unmapping all: %s",
			ft_result(r));
	}
	for (unsigned int i = 0; model && i < FILES; i++)
		ft_file_drop(run, &model->files[i]);
	free(model);
}
