/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Views: what is handed to the front-end for a file of the share (design.md §9, "Views").
 *
 *   direct       the file itself: where mappings may pass its end
 *   passthrough  a file of a private FUSE mount with a huge size and FUSE_PASSTHROUGH to the real
 *                one: the front-end's size check passes, its mmap is of the real page cache
 *   cached       the same without passthrough: reads only, for read-only shares
 *
 * A passthrough view of a file that is open for reading only is a cached one: a copy.
 *
 * The private mount is detached: it has no mount point and ends with its last fd. A tiny FUSE
 * server answers it (dax_view_serve_one) and takes no lock of the service.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum dax_view_kind { DAX_VIEW_NONE, DAX_VIEW_DIRECT, DAX_VIEW_PASSTHROUGH, DAX_VIEW_CACHED };

/* What every file of a private mount says of its size. */
#define DAX_VIEW_SIZE (UINT64_C(1) << 46)

/*
 * The private mount as whoever has the privilege made it (gateway/broker.h), before confinement.
 * All fds are owned by whoever holds the struct; -1: none.
 */
struct dax_mount {
	int fuse_fd; /* /dev/fuse, connected to the mount */
	int root_fd; /* the mount's root, O_PATH | O_DIRECTORY: files are opened below it */
};

/*
 * Opens a backing id for `fd` (borrowed) and returns it (> 0), or closes one; -errno. Called on
 * the thread that serves, or the one that opens a view; may block for a short while.
 */
struct dax_backing_ops {
	int (*open)(void *ctx, int fd);
	void (*close)(void *ctx, int id);
};

struct dax_view;

/*
 * kind DIRECT: mount and ops are NULL. PASSTHROUGH, CACHED: `mount` is consumed, also on error;
 * somebody must call dax_view_serve_one() on a thread of its own from now on. -errno.
 */
int dax_view_new(enum dax_view_kind kind, struct dax_mount *mount,
	const struct dax_backing_ops *ops, void *ctx, struct dax_view **view);

/* Ends the mount. NULL is fine. The serving thread has ended, or was never started. */
void dax_view_free(struct dax_view *view);

/* What it was made as. Any thread. */
enum dax_view_kind dax_view_kind(const struct dax_view *view);

/* Answers one request of the private mount; blocks for it. 0: go on; -ENODEV: the mount ended. */
int dax_view_serve_one(struct dax_view *view);

/* Makes dax_view_serve_one() return -ENODEV soon. Any thread. */
void dax_view_stop(struct dax_view *view);

/*
 * Any thread but the serving one: an fd for the front-end out of `fd` (consumed, in any case): a
 * regular file opened O_RDWR or O_RDONLY; a cached view takes either as O_RDONLY, and of what is
 * opened so a passthrough view gives a copy. *out is the caller's. -errno of the backing open: the
 * caller may answer it to the guest.
 */
int dax_view_open(struct dax_view *view, int fd, int *out);

/*
 * The file (as it is on the host) has changed: pages of copies that front-ends see of it are
 * fetched anew. Nothing to do, and cheap, when there is no copy. Any thread but the serving one,
 * for which it may wait.
 */
void dax_view_changed(struct dax_view *view, dev_t dev, ino_t ino);

/*
 * Views in use: by an fd, and on most file systems by a mapping. Leaks are measured by it. Any
 * thread.
 */
unsigned int dax_view_count(struct dax_view *view);
