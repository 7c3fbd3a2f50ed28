/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of DAX in fuse/: a guest whose share has a window, which is a double. */
#pragma once

#include "tests/unit/fs_client.h"

#include "tests/unit/dax_double.h"

#define WINDOW_SIZE (UINT64_C(8) << 20)
#define INODE_DAX   (UINT64_C(1) << 33)

static struct dax_window window;
static struct dax_view view;

/* A fresh window and view; the service is made anew with them. */
static inline void dax_fixture(
	struct fixture *f, enum dax_view_kind kind, bool readonly, enum fs_dax dax)
{
	window = (struct dax_window){
		.dialect = dax_dialect_find("seed"),
		.size = WINDOW_SIZE,
		.ready = true,
		.io_max = UINT64_MAX,
	};
	view = (struct dax_view){.kind = kind};
	fs_free(f->fs);
	f->config.readonly = readonly;
	f->config.dax = dax;
	f->config.window = &window;
	f->config.view = &view;
	assert_int_equal(fs_new(&f->config, &f->fs), 0);
}

static inline struct client *dax_client(enum dax_view_kind kind, bool readonly, enum fs_dax dax)
{
	struct client *c = client_new(FS_CACHE_AUTO, false, 0);

	dax_fixture(c->f, kind, readonly, dax);
	assert_int_equal(do_init(c->f), 0);
	return c;
}

static inline int do_map(struct client *c, uint64_t nodeid, uint64_t foffset, uint64_t moffset,
	uint64_t len, uint64_t flags)
{
	struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX,
		.foffset = foffset,
		.len = len,
		.flags = flags,
		.moffset = moffset,
	};

	return ask(c, FUSE_SETUPMAPPING, nodeid, &in, sizeof(in), NULL, NULL);
}
