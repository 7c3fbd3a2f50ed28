/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations: what a guest asks for, checked, applied to the table and made into steps.
 *
 * All that can fail (checks, room, memory) comes before the first change. A request that fails
 * there, or has nothing to wait for, is told from within the call.
 */
#include <errno.h>
#include <stdlib.h>

#include "dax/window_private.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"

static uint64_t end_of(const struct dax_entry *entry)
{
	return entry->window_offset + entry->len;
}

static bool in_window(const struct dax_window *w, const struct dax_entry *entry)
{
	return entry->len != 0 && entry->len % DAX_ALIGN == 0 &&
	       entry->window_offset % DAX_ALIGN == 0 &&
	       range_within(entry->window_offset, entry->len, w->config.size);
}

static bool may_map(const struct dax_window *w, const struct dax_entry *entry)
{
	uint64_t end;

	return in_window(w, entry) && entry->fd_offset % DAX_ALIGN == 0 &&
	       !add_overflows(entry->fd_offset, entry->len, &end) && entry->access &&
	       !(entry->access & ~(DAX_READ | DAX_WRITE));
}

static int room(const struct dax_window *w, size_t steps)
{
	if (!w->channel)
		return -EIO;
	return w->queue.n + w->waiting.n + steps > WINDOW_STEPS_MAX ? -ENOMEM : 0;
}

static void begin(struct dax_request *op)
{
	op->left = 0;
	op->error = 0;
	op->bytes = 0;
}

/* Appends a list of steps to the queue; those that are the operation's are counted in it. */
static void enqueue(struct dax_window *w, struct steps *steps)
{
	int64_t deadline = window_now(w) + DAX_ANSWER_MS;

	while (steps->first) {
		struct step *step = steps_unlink(steps, &steps->first);

		step->deadline = deadline;
		if (step->op)
			step->op->left++;
		steps_push(&w->queue, step);
	}
}

static void discard(struct dax_window *w, struct steps *steps)
{
	while (steps->first)
		window_step_free(w, steps_unlink(steps, &steps->first), true);
}

static int add_step(struct steps *steps, enum step_kind kind, const struct dax_entry *entry,
	struct mapping *map, struct dax_request *op)
{
	struct step *step = window_step_new(kind, entry, map);

	if (!step)
		return -ENOMEM;
	step->op = op;
	steps_push(steps, step);
	return 0;
}

/* exact: the step that makes what is left of a mapping, [start, end), anew. */
static int add_piece(struct steps *steps, struct mapping *of, uint64_t start, uint64_t end,
	struct dax_request *op)
{
	struct dax_entry entry = dax_entry_part(&of->entry, start, end);
	struct mapping *map = window_mapping_new(of->file, of->key, &entry);
	int err;

	if (!map)
		return -ENOMEM;
	map->parent = of;
	window_mapping_get(of);
	err = add_step(steps, STEP_MAP, &entry, map, op);
	window_mapping_put(map);
	return err;
}

/* exact: the steps that cut [start, end) out of the mappings it touches. */
static int plan_cut(struct dax_window *w, uint64_t start, uint64_t end, struct dax_request *op,
	struct steps *steps)
{
	size_t first, n = dax_table_touched(&w->table, start, end - start, &first);
	int err = 0;

	for (size_t i = first; i < first + n && !err; i++) {
		struct mapping *map = w->table.slots[i].owner;

		err = add_step(steps, STEP_UNMAP, &map->entry, map, op);
		if (!err && map->entry.window_offset < start)
			err = add_piece(steps, map, map->entry.window_offset, start, op);
		if (!err && end_of(&map->entry) > end)
			err = add_piece(steps, map, end, end_of(&map->entry), op);
	}
	return err;
}

static void insert(struct dax_window *w, struct mapping *map)
{
	struct dax_slot slot = {map->entry, map->key, map};

	dax_table_insert(&w->table, &slot);
}

/* Does to the table what the steps will do to the front-end. */
static void apply_cut(
	struct dax_window *w, const struct dax_entry *range, const struct steps *steps)
{
	size_t first, n = dax_table_touched(&w->table, range->window_offset, range->len, &first);

	if (!w->exact) {
		dax_table_cut(&w->table, range->window_offset, range->len);
		return;
	}
	if (n)
		dax_table_cut(&w->table, w->table.slots[first].entry.window_offset,
			end_of(&w->table.slots[first + n - 1].entry) -
				w->table.slots[first].entry.window_offset);
	for (const struct step *step = steps->first; step; step = step->next)
		if (step->kind == STEP_MAP)
			insert(w, step->map);
}

/*
 * What is mapped serves who asks for this access. With less asked for than there is, the guest
 * means its stores to fault from now on; exact mappings have all that their file allows anyway, and
 * could give it up only by an unmap that readers would notice.
 */
static bool serves(const struct dax_window *w, uint32_t mapped, uint32_t asked)
{
	return w->exact ? !(asked & ~mapped) : asked == mapped;
}

/* The mapping that is all of this already, if there is one. */
static struct mapping *same(const struct dax_window *w, uint64_t key, const struct dax_entry *entry)
{
	size_t i = dax_table_first(&w->table, entry->window_offset);
	const struct dax_slot *slot = &w->table.slots[i];

	if (i == w->table.n || slot->key != key ||
		slot->entry.window_offset != entry->window_offset ||
		slot->entry.len != entry->len || slot->entry.fd_offset != entry->fd_offset ||
		!serves(w, slot->entry.access, entry->access))
		return NULL;
	return slot->owner;
}

static int submit_same(struct dax_window *w, struct mapping *map, struct dax_request *op)
{
	struct steps steps;

	if (map->state == MAPPING_LIVE)
		return 0;
	steps_init(&steps);
	if (add_step(&steps, STEP_WAIT, &map->entry, map, op))
		return -ENOMEM;
	map->awaited = true;
	enqueue(w, &steps);
	return 0;
}

static int plan_map(struct dax_window *w, struct file *file, uint64_t key,
	const struct dax_entry *entry, struct dax_request *op, struct steps *steps)
{
	struct mapping *map;
	size_t first;
	int err = 0;

	if (w->exact)
		err = plan_cut(w, entry->window_offset, end_of(entry), NULL, steps);
	if (err)
		return err;
	map = window_mapping_new(file, key, entry);
	if (!map)
		return -ENOMEM;
	map->replaces = dax_table_touched(&w->table, entry->window_offset, entry->len, &first) != 0;
	/* A front-end that looks at the fd maps it so anyway, and no upgrade need be sent. */
	if (w->exact && file->access == (DAX_READ | DAX_WRITE))
		map->entry.access = file->access;
	err = add_step(steps, STEP_MAP, &map->entry, map, op);
	window_mapping_put(map);
	return err;
}

static int submit_map(struct dax_window *w, struct file *file, uint64_t key,
	const struct dax_entry *entry, struct dax_request *op)
{
	struct steps steps;
	struct mapping *map;
	int err = room(w, 1);

	if (err)
		return err;
	map = same(w, key, entry);
	if (map)
		return submit_same(w, map, op);
	if (dax_table_after_cut(&w->table, entry->window_offset, entry->len) + 1 >
		w->config.maps_max)
		return -ENOSPC;
	steps_init(&steps);
	err = plan_map(w, file, key, entry, op, &steps);
	if (!err)
		err = room(w, steps.n);
	if (err) {
		discard(w, &steps);
		return err;
	}
	apply_cut(w, entry, &steps);
	if (!w->exact)
		insert(w, steps.first->map);
	enqueue(w, &steps);
	return 0;
}

/* Unlocks; tells the request if it has nothing to wait for. */
static void finish(struct dax_window *w, struct dax_request *op, int err)
{
	bool waits = op->left != 0;

	pthread_mutex_unlock(&w->lock);
	if (waits)
		w->config.wake(w->config.ctx);
	else
		op->done(op, err);
}

void dax_map(struct dax_window *window, uint64_t key, int fd, const struct dax_entry *entry,
	struct dax_request *op)
{
	struct file *file;
	int err;

	begin(op);
	if (!may_map(window, entry)) {
		fd_close(&fd);
		op->done(op, -EINVAL);
		return;
	}
	file = window_file_new(fd);
	if (!file) {
		op->done(op, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&window->lock);
	window->counters.maps++;
	err = submit_map(window, file, key, entry, op);
	window_file_put(file);
	finish(window, op, err);
}

/* Room in the table for what the cuts may split. */
static int room_to_cut(const struct dax_window *w, const struct dax_entry *ranges, size_t n)
{
	size_t after = w->table.n;

	for (size_t i = 0; i < n; i++) {
		size_t one = dax_table_after_cut(&w->table, ranges[i].window_offset, ranges[i].len);

		after += one > w->table.n;
	}
	return after > w->config.maps_max ? -ENOSPC : room(w, n);
}

static int submit_range(struct dax_window *w, const struct dax_entry *range, struct dax_request *op)
{
	struct dax_entry entry = {.window_offset = range->window_offset, .len = range->len};
	struct steps steps;
	size_t first;
	int err;

	if (!dax_table_touched(&w->table, range->window_offset, range->len, &first))
		return 0;
	steps_init(&steps);
	if (w->exact)
		err = plan_cut(w, range->window_offset, end_of(range), op, &steps);
	else
		err = add_step(&steps, STEP_UNMAP, &entry, NULL, op);
	if (!err)
		err = room(w, steps.n);
	if (err) {
		discard(w, &steps);
		return err;
	}
	apply_cut(w, range, &steps);
	enqueue(w, &steps);
	return 0;
}

void dax_unmap(
	struct dax_window *window, const struct dax_entry *ranges, size_t n, struct dax_request *op)
{
	int err = 0;

	begin(op);
	for (size_t i = 0; i < n; i++)
		if (!in_window(window, &ranges[i]))
			err = -EINVAL;
	if (err) {
		op->done(op, err);
		return;
	}
	pthread_mutex_lock(&window->lock);
	window->counters.unmaps++;
	err = room_to_cut(window, ranges, n);
	for (size_t i = 0; i < n && !err; i++)
		err = submit_range(window, &ranges[i], op);
	/* No memory half-way: what is queued is done, and then told as failed. */
	op->error = err;
	finish(window, op, err);
}

static int submit_sync(struct dax_window *w, uint64_t key, struct dax_request *op)
{
	struct steps steps;
	int err = room(w, 0);

	steps_init(&steps);
	for (size_t i = 0; i < w->table.n && !err; i++) {
		const struct dax_slot *slot = &w->table.slots[i];
		struct dax_entry entry = {
			.window_offset = slot->entry.window_offset, .len = slot->entry.len};

		if (slot->key == key)
			err = add_step(&steps, STEP_SYNC, &entry, NULL, op);
	}
	if (!err)
		err = room(w, steps.n);
	if (err)
		discard(w, &steps);
	else
		enqueue(w, &steps);
	return err;
}

void dax_sync(struct dax_window *window, uint64_t key, struct dax_request *op)
{
	begin(op);
	if (!dax_dialect_code(window->config.dialect, DAX_OP_SYNC)) {
		op->done(op, 0);
		return;
	}
	pthread_mutex_lock(&window->lock);
	finish(window, op, submit_sync(window, key, op));
}

static int submit_io(struct dax_window *w, struct file *file, const struct dax_entry *entry,
	struct dax_request *op)
{
	struct steps steps;
	int err = room(w, 1);

	steps_init(&steps);
	if (!err)
		err = add_step(&steps, STEP_IO, entry, NULL, op);
	if (err)
		return err;
	steps.first->file = file;
	file->refs++;
	enqueue(w, &steps);
	return 0;
}

static bool may_carry(const struct dax_entry *entry)
{
	uint64_t end;

	return entry->len && !add_overflows(entry->fd_offset, entry->len, &end) &&
	       !add_overflows(entry->window_offset, entry->len, &end) &&
	       (entry->access == DAX_READ || entry->access == DAX_WRITE);
}

void dax_io(
	struct dax_window *window, int fd, const struct dax_entry *entry, struct dax_request *op)
{
	bool known = dax_dialect_code(window->config.dialect, DAX_OP_IO) != 0;
	struct file *file;
	int err;

	begin(op);
	if (!known || !may_carry(entry)) {
		fd_close(&fd);
		op->done(op, known ? -EINVAL : -EOPNOTSUPP);
		return;
	}
	file = window_file_new(fd);
	if (!file) {
		op->done(op, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&window->lock);
	err = submit_io(window, file, entry, op);
	window_file_put(file);
	finish(window, op, err);
}
