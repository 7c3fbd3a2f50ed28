/* SPDX-License-Identifier: BSD-3-Clause */
/* A window and a view that note what they were asked. */
#include "tests/unit/dax_double.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhostuser/checked.h"

uint64_t dax_window_size(const struct dax_window *window)
{
	return window->size;
}

const struct dax_dialect *dax_window_dialect(const struct dax_window *window)
{
	return window->dialect;
}

bool dax_window_ready(struct dax_window *window)
{
	return window->ready;
}

bool dax_window_blinks(
	struct dax_window *window, uint64_t key, uint64_t window_offset, uint64_t len)
{
	(void)window_offset;
	(void)len;
	return key == window->blinks;
}

static void end(struct dax_window *window, struct dax_request *op)
{
	if (!window->hold) {
		op->done(op, window->answer);
		return;
	}
	if (window->held)
		abort(); /* one at a time is all that the tests need */
	window->held = op;
}

void double_finish(struct dax_window *window, int error)
{
	struct dax_request *op = window->held;

	window->held = NULL;
	op->done(op, error);
}

static void note_fd(struct dax_window *window, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	window->fd_flags = fcntl(fd, F_GETFL);
	window->fd_dev = st.st_dev;
	window->fd_ino = st.st_ino;
}

void dax_map(struct dax_window *window, uint64_t key, int fd, const struct dax_entry *entry,
	struct dax_request *op)
{
	window->maps++;
	window->key = key;
	window->entry = *entry;
	note_fd(window, fd);
	close(fd);
	end(window, op);
}

void dax_unmap(
	struct dax_window *window, const struct dax_entry *ranges, size_t n, struct dax_request *op)
{
	window->unmaps++;
	window->n_ranges = n;
	memcpy(window->ranges, ranges, MIN(n, ARRAY_SIZE(window->ranges)) * sizeof(*ranges));
	end(window, op);
}

void dax_unmap_all(struct dax_window *window)
{
	window->unmap_alls++;
}

void dax_sync(struct dax_window *window, uint64_t key, struct dax_request *op)
{
	window->syncs++;
	window->key = key;
	end(window, op);
}

void dax_io(
	struct dax_window *window, int fd, const struct dax_entry *entry, struct dax_request *op)
{
	size_t len = (size_t)MIN(entry->len, window->io_max);
	char *at = window->gpa + entry->window_offset;
	ssize_t n;

	window->ios++;
	window->entry = *entry;
	if (!range_within(entry->window_offset, entry->len, sizeof(window->gpa)))
		abort();
	if (entry->access == DAX_READ)
		n = pread(fd, at, len, (off_t)entry->fd_offset);
	else
		n = pwrite(fd, at, len, (off_t)entry->fd_offset);
	close(fd);
	op->bytes = n > 0 ? (uint64_t)n : 0;
	end(window, op);
}

bool dax_window_placed(struct dax_window *window)
{
	return window->placed;
}

int dax_window_reach(struct dax_window *window, uint64_t gpa, uint64_t len, struct dax_reach *reach)
{
	if (!range_within(gpa, len, sizeof(window->gpa)))
		return -EFAULT;
	window->reaches++;
	*reach = (struct dax_reach){
		.fd = fcntl(window->reach_fd, F_DUPFD_CLOEXEC, 0),
		.offset = gpa,
		.len = MIN(len, window->io_max),
	};
	return reach->fd < 0 ? -errno : 0;
}

enum dax_view_kind dax_view_kind(const struct dax_view *view)
{
	return view->kind;
}

int dax_view_open(struct dax_view *view, int fd, int *out)
{
	view->opens++;
	if (view->error) {
		close(fd);
		return view->error;
	}
	*out = fd;
	return 0;
}

void dax_view_changed(struct dax_view *view, dev_t dev, ino_t ino)
{
	(void)dev;
	(void)ino;
	view->changed++;
}
