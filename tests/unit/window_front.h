/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the window: a channel in this process and the front-end at its other end, which
 * keeps what each page of its window shows, by the rules of the front-ends of each dialect:
 *
 *   seed       closes the file after the first entry of a MAP: the second one fails
 *   fs-v2, fs-count  a refused MAP leaves none of its ranges mapped
 *   shmem      no MAP over a mapping, no UNMAP but of a whole one
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dax/window.h"
#include "tests/unit/fds.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

#define FRONT_PAGES 64u
#define PAGE        ((uint64_t)DAX_ALIGN)
#define FRONT_FILES 3u

struct page {
	bool mapped;
	size_t file;
	uint64_t offset;
	uint32_t access;
	uint64_t start; /* shmem: the mapping's first page and pages */
	uint64_t count;
};

struct request_seen {
	uint32_t code;
	uint8_t payload[DAX_PAYLOAD_MAX];
	size_t size;
	int fd;
	uint64_t cookie;
	bool answered;
	uint64_t value;
};

/* The one front-end of a test, with its channel. */
struct vu_channel {
	const struct dax_dialect *dialect;
	bool seed, exact;
	struct request_seen queue[VU_CHANNEL_MAX];
	size_t n;
	struct page pages[FRONT_PAGES];
	int files[FRONT_FILES];
	bool (*refuse)(const struct dax_entry *entry); /* NULL: nothing */
	uint64_t refusal;
	bool broken, open, full;
	/* What it mapped last (shmem): its region. */
	struct dax_entry regions[256];
	size_t region_files[256];
	size_t n_regions;
	size_t batches_of[DAX_BATCH_MAX + 1];
	bool whole_seen;
};

static struct vu_channel front;

int vu_channel_new(int fd, struct vu_channel **channel)
{
	fd_close(&fd);
	front.open = true;
	*channel = &front;
	return 0;
}

void vu_channel_free(struct vu_channel *channel)
{
	if (!channel)
		return;
	for (size_t i = 0; i < channel->n; i++)
		fd_close(&channel->queue[i].fd);
	channel->n = 0;
	channel->open = false;
}

int vu_channel_fd(const struct vu_channel *channel)
{
	return channel->open ? 0 : -1;
}

short vu_channel_events(const struct vu_channel *channel)
{
	return channel->open ? 1 : 0;
}

int vu_channel_send(struct vu_channel *channel, uint32_t code, const void *payload, size_t size,
	int fd, uint64_t cookie)
{
	struct request_seen *seen = &channel->queue[channel->n];

	if (channel->broken)
		return -ECONNRESET;
	if (channel->n == VU_CHANNEL_MAX || channel->full)
		return -EAGAIN;
	*seen = (struct request_seen){.code = code, .size = size, .fd = -1, .cookie = cookie};
	memcpy(seen->payload, payload, size);
	if (fd >= 0) {
		seen->fd = dup(fd);
		assert_true(seen->fd >= 0);
	}
	channel->n++;
	return 0;
}

int vu_channel_receive(
	struct vu_channel *channel, uint64_t *cookie, uint64_t *value, const char **why)
{
	if (channel->broken)
		return -ECONNRESET;
	if (channel->n == 0 || !channel->queue[0].answered)
		return 0;
	*cookie = channel->queue[0].cookie;
	*value = channel->queue[0].value;
	channel->n--;
	memmove(&channel->queue[0], &channel->queue[1], channel->n * sizeof(channel->queue[0]));
	return 1;
}

size_t vu_channel_unanswered(const struct vu_channel *channel)
{
	return channel->n;
}

/* ---- the front-end ---- */

static size_t front_file(int fd)
{
	struct stat st, other;

	if (fd < 0 || fstat(fd, &st))
		return FRONT_FILES;
	for (size_t i = 0; i < FRONT_FILES; i++) {
		assert_int_equal(fstat(front.files[i], &other), 0);
		if (st.st_ino == other.st_ino && st.st_dev == other.st_dev)
			return i;
	}
	return FRONT_FILES;
}

static int front_open(size_t file, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", front.files[file]);
	fd = open(path, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void front_clear(uint64_t offset, uint64_t len)
{
	for (uint64_t i = offset / PAGE; i < FRONT_PAGES && i < offset / PAGE + len / PAGE; i++)
		front.pages[i].mapped = false;
}

static uint64_t front_map_one(const struct dax_entry *entry, int fd)
{
	uint64_t first = entry->window_offset / PAGE, count = entry->len / PAGE;
	size_t file = front_file(fd);
	int mode = fd >= 0 ? fcntl(fd, F_GETFL) & O_ACCMODE : 0;

	if (file == FRONT_FILES)
		return (uint64_t)-EBADF;
	if (front.refuse && front.refuse(entry))
		return front.refusal;
	if ((entry->access & DAX_WRITE) && mode != O_RDWR)
		return (uint64_t)-EACCES;
	assert_true(entry->window_offset + entry->len <= FRONT_PAGES * PAGE);
	for (uint64_t i = first; front.exact && i < first + count; i++)
		if (front.pages[i].mapped)
			return 1;
	for (uint64_t i = first; i < first + count; i++)
		front.pages[i] = (struct page){true, file, entry->fd_offset + (i - first) * PAGE,
			entry->access, first, count};
	if (front.exact && front.n_regions < ARRAY_SIZE(front.regions)) {
		front.region_files[front.n_regions] = file;
		front.regions[front.n_regions++] = *entry;
	}
	return 0;
}

static uint64_t front_map(const struct dax_entry *entries, size_t n, int *fd)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && !value; i++) {
		value = front_map_one(&entries[i], *fd);
		if (front.seed)
			fd_close(fd);
	}
	for (size_t i = 0; i < n && value && !front.seed && !front.exact; i++)
		front_clear(entries[i].window_offset, entries[i].len);
	return front.seed && value ? 1 : value;
}

static uint64_t front_unmap(const struct dax_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct page *page = &front.pages[entries[i].window_offset / PAGE];

		if (front.exact && (!page->mapped || page->count * PAGE != entries[i].len ||
					   page->start * PAGE != entries[i].window_offset))
			return 1;
		if (entries[i].len == UINT64_MAX)
			front.whole_seen = true;
		front_clear(entries[i].window_offset, entries[i].len);
	}
	return 0;
}

/* Serves the oldest request that was not; false when there is none. */
static bool front_serve(void)
{
	struct dax_entry entries[DAX_BATCH_MAX];
	struct request_seen *seen = front.queue;
	enum dax_op op;
	size_t n;

	while (seen < front.queue + front.n && seen->answered)
		seen++;
	if (seen == front.queue + front.n)
		return false;
	assert_int_equal(
		dax_decode(front.dialect, seen->code, seen->payload, seen->size, &op, entries, &n),
		0);
	front.batches_of[n]++;
	if (op == DAX_OP_MAP)
		seen->value = front_map(entries, n, &seen->fd);
	else if (op == DAX_OP_UNMAP)
		seen->value = front_unmap(entries, n);
	else if (op == DAX_OP_IO)
		seen->value = entries[0].len / 2;
	fd_close(&seen->fd);
	seen->answered = true;
	return true;
}

static void front_init(const char *dialect)
{
	front = (struct vu_channel){.dialect = dax_dialect_find(dialect), .refusal = 1};
	front.seed = !strcmp(dialect, "seed");
	front.exact = !strcmp(dialect, "shmem");
	for (size_t i = 0; i < FRONT_FILES; i++) {
		front.files[i] = memfd_create("file", MFD_CLOEXEC);
		assert_true(front.files[i] >= 0);
	}
}

static void front_fini(void)
{
	for (size_t i = 0; i < FRONT_FILES; i++)
		fd_close(&front.files[i]);
}

/* Tells the window of the next region that came of a mapping; false when there is none. */
static inline bool front_region(struct dax_window *window)
{
	struct stat st;

	if (front.n_regions == 0)
		return false;
	front.n_regions--;
	assert_int_equal(fstat(front.files[front.region_files[front.n_regions]], &st), 0);
	(void)dax_window_region(window, st.st_dev, st.st_ino,
		front.regions[front.n_regions].fd_offset, front.regions[front.n_regions].len);
	return true;
}

/* The front-end's pages are those of the window's table. */
static void front_check(struct dax_window *window)
{
	struct dax_mapping list[FRONT_PAGES];
	struct page pages[FRONT_PAGES] = {0};
	size_t n = dax_window_list(window, list, FRONT_PAGES);

	for (size_t i = 0; i < n; i++)
		for (uint64_t p = 0; p < list[i].entry.len / PAGE; p++)
			pages[list[i].entry.window_offset / PAGE + p] =
				(struct page){.mapped = true,
					.file = list[i].key,
					.offset = list[i].entry.fd_offset + p * PAGE,
					.access = list[i].entry.access};
	for (size_t i = 0; i < FRONT_PAGES; i++) {
		assert_int_equal(pages[i].mapped, front.pages[i].mapped);
		if (!pages[i].mapped)
			continue;
		assert_int_equal(pages[i].file, front.pages[i].file);
		assert_int_equal(pages[i].offset, front.pages[i].offset);
		assert_int_equal(pages[i].access, front.pages[i].access);
	}
}
