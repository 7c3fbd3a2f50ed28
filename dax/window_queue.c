/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings, the steps that are queued for them, and what becomes of both when something fails.
 *
 * A step owns a reference of its mapping. When a mapping dies, one sweep over the queue drops what
 * was to follow it: pieces that were to be made of it (a parent is always queued before its pieces,
 * so one pass sees all descendants), its UNMAP where mappings are exact, those who wait for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "dax/window_private.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"

struct file *window_file_new(int fd)
{
	struct file *file = calloc(1, sizeof(*file));
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (!file || flags < 0 || fstat(fd, &st)) {
		fd_close(&fd);
		free(file);
		return NULL;
	}
	file->refs = 1;
	file->fd = fd;
	file->access = (flags & O_ACCMODE) == O_RDWR     ? DAX_READ | DAX_WRITE
		       : (flags & O_ACCMODE) == O_RDONLY ? DAX_READ
							 : DAX_WRITE;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return file;
}

void window_file_put(struct file *file)
{
	if (!file || --file->refs)
		return;
	fd_close(&file->fd);
	free(file);
}

struct mapping *window_mapping_new(struct file *file, uint64_t key, const struct dax_entry *entry)
{
	struct mapping *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->refs = 1;
	map->key = key;
	map->entry = *entry;
	map->file = file;
	file->refs++;
	return map;
}

void window_mapping_get(void *mapping)
{
	struct mapping *map = mapping;

	map->refs++;
}

void window_mapping_put(void *mapping)
{
	struct mapping *map = mapping;

	/* A piece of a piece of a piece: no recursion, the chain is as long as the guest likes. */
	while (map && --map->refs == 0) {
		struct mapping *parent = map->parent;

		window_file_put(map->file);
		free(map);
		map = parent;
	}
}

bool window_mapping_dead(const void *mapping)
{
	const struct mapping *map = mapping;

	return map->state == MAPPING_DEAD;
}

void window_hold(struct dax_window *w, struct mapping *map)
{
	window_mapping_get(map);
	map->held = true;
	map->held_prev = NULL;
	map->held_next = w->held;
	if (w->held)
		w->held->held_prev = map;
	w->held = map;
	w->n_held++;
}

void window_release(struct dax_window *w, struct mapping *map)
{
	if (!map || !map->held)
		return;
	map->held = false;
	if (map->held_prev)
		map->held_prev->held_next = map->held_next;
	else
		w->held = map->held_next;
	if (map->held_next)
		map->held_next->held_prev = map->held_prev;
	w->n_held--;
	window_mapping_put(map);
}

void steps_init(struct steps *steps)
{
	*steps = (struct steps){.last = &steps->first};
}

void steps_push(struct steps *steps, struct step *step)
{
	step->next = NULL;
	*steps->last = step;
	steps->last = &step->next;
	steps->n++;
}

void steps_push_first(struct steps *steps, struct step *step)
{
	step->next = steps->first;
	if (!steps->first)
		steps->last = &step->next;
	steps->first = step;
	steps->n++;
}

struct step *steps_unlink(struct steps *steps, struct step **at)
{
	struct step *step = *at;

	*at = step->next;
	if (steps->last == &step->next)
		steps->last = at;
	step->next = NULL;
	steps->n--;
	return step;
}

struct step *window_step_new(
	enum step_kind kind, const struct dax_entry *entry, struct mapping *map)
{
	struct step *step = calloc(1, sizeof(*step));

	if (!step)
		return NULL;
	step->kind = kind;
	step->entry = *entry;
	step->map = map;
	if (map) {
		window_mapping_get(map);
		step->key = map->key;
	}
	return step;
}

void window_verdict(struct dax_window *w, struct step *step, bool ok)
{
	if (step->single && w->probe_left) {
		w->probe_failed |= !ok;
		if (--w->probe_left == 0 && !w->probe_failed)
			w->singles = true;
	}
	step->single = false;
}

void window_step_free(struct dax_window *w, struct step *step, bool ok)
{
	window_verdict(w, step, ok);
	window_mapping_put(step->map);
	window_file_put(step->file);
	free(step);
}

bool ranges_overlap(const struct dax_entry *a, const struct dax_entry *b)
{
	return a->window_offset < b->window_offset + b->len &&
	       b->window_offset < a->window_offset + a->len;
}

/* What the sweep does with one step: true when it is to be dropped, *error is its operation's. */
static bool swept(const struct dax_window *w, struct step *step, int *error)
{
	struct mapping *map = step->map;

	if (!map)
		return false;
	switch (step->kind) {
	case STEP_MAP:
		if (map->parent && map->parent->state == MAPPING_DEAD)
			map->state = MAPPING_DEAD;
		/* The mapping is gone, which is all that a cut of it could want. */
		*error = 0;
		return map->state == MAPPING_DEAD;
	case STEP_UNMAP:
		*error = 0;
		return w->exact && !step->cleaning && map->state == MAPPING_DEAD;
	case STEP_WAIT:
		return map->state == MAPPING_DEAD;
	case STEP_SYNC:
	case STEP_IO:
		break;
	}
	return false;
}

void window_sweep(struct dax_window *w, int error)
{
	struct step **at = &w->queue.first;

	while (*at) {
		int its = error;

		if (swept(w, *at, &its)) {
			struct step *step = steps_unlink(&w->queue, at);

			window_complete(w, step->op, its);
			window_step_free(w, step, false);
		} else {
			at = &(*at)->next;
		}
	}
	dax_table_remove(&w->table, window_mapping_dead);
}

/*
 * Fails a queued step, which stays in the queue if something must still be undone by it; true when
 * it is to be freed. Dead mappings are left to the sweep.
 */
static bool fail_queued(struct dax_window *w, struct step *step, int error)
{
	window_complete(w, step->op, error);
	step->op = NULL;
	switch (step->kind) {
	case STEP_MAP:
		step->map->state = MAPPING_DEAD;
		if (w->exact || !(step->map->replaces || step->single))
			return true;
		/* What it was to replace is no mapping of the guest's any more. */
		window_verdict(w, step, false);
		step->kind = STEP_UNMAP;
		step->cleaning = true;
		step->entry.fd_offset = 0;
		step->entry.access = 0;
		window_mapping_put(step->map);
		step->map = NULL;
		return false;
	case STEP_UNMAP:
		return false;
	case STEP_WAIT:
	case STEP_SYNC:
	case STEP_IO:
		break;
	}
	return true;
}

/* Fails the queued steps whose time is over, or (always) all; true when one did. */
static bool fail_steps(struct dax_window *w, int64_t now, bool always, int error)
{
	struct step **at = &w->queue.first;
	bool any = false;

	while (*at) {
		struct step *step = *at;

		if (!always && (!step->op || step->deadline > now)) {
			at = &step->next;
			continue;
		}
		any = true;
		if (fail_queued(w, step, error))
			window_step_free(w, steps_unlink(&w->queue, at), false);
		else
			at = &step->next;
	}
	return any;
}

static bool expire_waiting(struct dax_window *w, int64_t now)
{
	struct step **at = &w->waiting.first;
	bool any = false;

	while (*at) {
		struct step *step = *at;

		if (step->map->region_seen || step->deadline > now) {
			at = &step->next;
			continue;
		}
		any = true;
		step = steps_unlink(&w->waiting, at);
		window_complete(w, step->op, -ETIMEDOUT);
		step->map->state = MAPPING_DEAD;
		w->counters.timed_out++;
		window_clean(w, step);
	}
	return any;
}

void window_expire(struct dax_window *w, int64_t now)
{
	bool any = false;

	for (size_t i = 0; i < w->n_messages; i++) {
		if (w->messages[i].in_doubt || w->messages[i].deadline > now)
			continue;
		window_doubt(w, &w->messages[i], -ETIMEDOUT);
		w->counters.timed_out++;
		any = true;
	}
	any |= expire_waiting(w, now);
	any |= fail_steps(w, now, false, -ETIMEDOUT);
	if (any)
		window_sweep(w, -ETIMEDOUT);
}

void window_drop_queue(struct dax_window *w, bool unmaps_too)
{
	struct step **at = &w->queue.first;

	fail_steps(w, 0, true, -EIO);
	window_sweep(w, -EIO);
	while (*at) {
		if (unmaps_too)
			window_step_free(w, steps_unlink(&w->queue, at), false);
		else
			at = &(*at)->next;
	}
	w->probe_left = 0;
}

static void queue_unmap(struct dax_window *w, const struct dax_entry *entry, struct mapping *map)
{
	struct step *step = window_step_new(STEP_UNMAP, entry, map);

	if (!step) {
		w->broken = true;
		return;
	}
	steps_push(&w->queue, step);
}

void window_queue_unmap_all(struct dax_window *w)
{
	const struct dax_entry whole = {.len = UINT64_MAX};

	if (w->exact) {
		for (size_t i = 0; i < w->table.n; i++)
			queue_unmap(w, &w->table.slots[i].entry, w->table.slots[i].owner);
	} else if (w->dirty) {
		queue_unmap(w, &whole, NULL);
	}
	dax_table_clear(&w->table);
}
