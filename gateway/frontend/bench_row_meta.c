/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows that change nothing: attributes, names, opening, the file system's numbers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define FORGET_MAX 64u

/* ---- what rows share ---- */

int fb_files_make(struct fb_work *work, unsigned int n, bool open)
{
	int r = 0;

	for (unsigned int i = 0; i < n && r == 0; i++) {
		struct fb_file *file = &work->files[i];

		snprintf(file->name, sizeof(file->name), "f%u", i);
		r = fb_make(work->device, work->device->dir, file->name, &file->nodeid,
			open ? &file->fh : NULL);
		if (r < 0)
			return r;
		file->lookups = 1;
		work->n_files++;
	}
	return r;
}

void fb_drop_name(struct fb_work *work, const char *name)
{
	int r = fb_unlink(work->device, work->device->dir, name, false);

	if (r < 0)
		(void)fb_wrong(work, "%s is not removed: %s", name, ft_result(r));
}

void fb_files_drop(struct fb_work *work)
{
	struct fuse_forget_one ones[FB_FILES_MAX];

	for (unsigned int i = 0; i < work->n_files; i++) {
		struct fb_file *file = &work->files[i];

		if (file->fh && fb_release(work->device, file->nodeid, file->fh, false) < 0)
			(void)fb_wrong(work, "%s is not released", file->name);
		fb_drop_name(work, file->name);
		ones[i] = (struct fuse_forget_one){file->nodeid, file->lookups};
	}
	fb_forget(work->device, ones, work->n_files);
	work->n_files = 0;
}
static_assert(FB_FILES_MAX * sizeof(struct fuse_forget_one) < 2000, "a hiprio slot holds it");

void fb_slot_name(const struct fb_slot *slot, char letter, char name[FB_NAME_MAX])
{
	snprintf(name, FB_NAME_MAX, "%c%u", letter, slot->index);
}

bool fb_good(
	struct fb_work *work, const struct fb_slot *slot, int error, uint32_t len, uint32_t want)
{
	if (error == 0 && len == want)
		return true;
	if (error)
		(void)fb_wrong(
			work, "request %u of an operation: %s", slot->step, ft_result(error));
	else
		(void)fb_wrong(work, "request %u of an operation: %u bytes, not %u", slot->step,
			len, want);
	return false;
}

/* ---- getattr ---- */

int fb_getattr_prepare(struct fb_work *work)
{
	return fb_files_make(work, FB_FILES_MAX, false);
}

void fb_getattr_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct fuse_getattr_in in = {0};
	struct fb_ask ask = {.opcode = FUSE_GETATTR,
		.nodeid = work->files[fb_random(queue, work->n_files)].nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(struct fuse_attr_out)};

	fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_getattr_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_attr_out out;

	if (!fb_good(work, slot, error, len, sizeof(out)))
		return FB_FAILED;
	memcpy(&out, slot->body, sizeof(out));
	if (out.attr.mode != (S_IFREG | 0644) || out.attr.size || out.attr.nlink != 1)
		return fb_wrong(work, "mode %#o, %llu bytes, %u links", out.attr.mode,
			(unsigned long long)out.attr.size, out.attr.nlink);
	return FB_DONE;
}

void fb_getattr_undo(struct fb_work *work)
{
	fb_files_drop(work);
}

/* ---- lookup ---- */

int fb_lookup_prepare(struct fb_work *work)
{
	return fb_files_make(work, FB_FILES_MAX, false);
}

void fb_lookup_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct fb_ask ask = {.opcode = FUSE_LOOKUP,
		.nodeid = work->device->dir,
		.room = sizeof(struct fuse_entry_out)};

	slot->count = (uint32_t)fb_random(queue, work->n_files);
	ask.name = work->files[slot->count].name;
	fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_lookup_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fb_file *file = &work->files[slot->count];
	struct fuse_entry_out out;

	if (!fb_good(work, slot, error, len, sizeof(out)))
		return FB_FAILED;
	memcpy(&out, slot->body, sizeof(out));
	if (out.nodeid != file->nodeid || out.attr.mode != (S_IFREG | 0644))
		return fb_wrong(work, "node %llu, not %llu, mode %#o",
			(unsigned long long)out.nodeid, (unsigned long long)file->nodeid,
			out.attr.mode);
	atomic_fetch_add_explicit(&file->lookups, 1, memory_order_relaxed);
	return FB_DONE;
}

void fb_lookup_undo(struct fb_work *work)
{
	fb_files_drop(work);
}

/* ---- lookup-miss ---- */

int fb_miss_prepare(struct fb_work *work)
{
	return 0;
}

void fb_miss_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	char name[FB_NAME_MAX];
	struct fb_ask ask = {.opcode = FUSE_LOOKUP,
		.nodeid = work->device->dir,
		.name = name,
		.room = sizeof(struct fuse_entry_out)};

	snprintf(name, sizeof(name), "absent%u-%u", slot->index, (unsigned int)slot->turn);
	fb_queue_ask(queue, slot, &ask);
}

/* Some answer with no node, which may be cached for a while. */
enum fb_next fb_miss_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_entry_out out;

	if (error == -ENOENT)
		return FB_DONE;
	if (!fb_good(work, slot, error, len, sizeof(out)))
		return FB_FAILED;
	memcpy(&out, slot->body, sizeof(out));
	return out.nodeid ? fb_wrong(work, "a name that nobody made is there") : FB_DONE;
}

void fb_miss_undo(struct fb_work *work)
{
}

/* ---- open-release ---- */

int fb_open_prepare(struct fb_work *work)
{
	return fb_files_make(work, FB_FILES_MAX, false);
}

static void ask_release(struct fb_queue *queue, struct fb_slot *slot)
{
	struct fuse_release_in in = {.fh = slot->fh, .flags = O_RDWR};
	struct fb_ask ask = {.opcode = FUSE_RELEASE,
		.nodeid = slot->nodeid,
		.args = &in,
		.args_len = sizeof(in)};

	fb_queue_ask(queue, slot, &ask);
}

void fb_open_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct fuse_open_in in = {.flags = O_RDWR};
	struct fb_ask ask = {.opcode = FUSE_OPEN,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(struct fuse_open_out)};

	if (slot->step) {
		ask_release(queue, slot);
		return;
	}
	slot->nodeid = ask.nodeid = work->files[fb_random(queue, work->n_files)].nodeid;
	fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_open_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_open_out out;

	if (!fb_good(work, slot, error, len, slot->step ? 0 : sizeof(out)))
		return FB_FAILED;
	if (slot->step++)
		return FB_DONE;
	memcpy(&out, slot->body, sizeof(out));
	slot->fh = out.fh;
	return FB_MORE;
}

void fb_open_undo(struct fb_work *work)
{
	fb_files_drop(work);
}

/* ---- statfs ---- */

int fb_statfs_prepare(struct fb_work *work)
{
	return 0;
}

void fb_statfs_submit(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot)
{
	struct fb_ask ask = {.opcode = FUSE_STATFS,
		.nodeid = work->device->dir,
		.room = sizeof(struct fuse_statfs_out)};

	fb_queue_ask(queue, slot, &ask);
}

enum fb_next fb_statfs_check(
	struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot, int error, uint32_t len)
{
	struct fuse_statfs_out out;

	if (!fb_good(work, slot, error, len, sizeof(out)))
		return FB_FAILED;
	memcpy(&out, slot->body, sizeof(out));
	if (!out.st.bsize || out.st.bfree > out.st.blocks)
		return fb_wrong(work, "blocks of %u bytes, %llu free of %llu", out.st.bsize,
			(unsigned long long)out.st.bfree, (unsigned long long)out.st.blocks);
	return FB_DONE;
}

void fb_statfs_undo(struct fb_work *work)
{
}
