/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be seen of the window from outside, and its invariant. */
#include "dax/window_private.h"
#include "vhostuser/checked.h"

bool dax_window_ready(struct dax_window *window)
{
	bool ready;

	pthread_mutex_lock(&window->lock);
	ready = window->channel && !window->impossible;
	pthread_mutex_unlock(&window->lock);
	return ready;
}

bool dax_window_blinks(
	struct dax_window *window, uint64_t key, uint64_t window_offset, uint64_t len)
{
	bool blinks = false;
	size_t first, n;

	pthread_mutex_lock(&window->lock);
	n = dax_table_touched(&window->table, window_offset, len, &first);
	for (size_t i = first; window->exact && i < first + n; i++)
		blinks |= window->table.slots[i].key == key;
	pthread_mutex_unlock(&window->lock);
	return blinks;
}

void dax_window_counters(struct dax_window *window, struct dax_counters *counters)
{
	pthread_mutex_lock(&window->lock);
	*counters = window->counters;
	counters->live = window->table.n;
	pthread_mutex_unlock(&window->lock);
}

size_t dax_window_list(struct dax_window *window, struct dax_mapping *list, size_t max)
{
	size_t n;

	pthread_mutex_lock(&window->lock);
	n = MIN(window->table.n, max);
	for (size_t i = 0; i < n; i++)
		list[i] = (struct dax_mapping){
			window->table.slots[i].key, window->table.slots[i].entry};
	pthread_mutex_unlock(&window->lock);
	return n;
}

/* How many unanswered (or else: queued) MAP steps are there of this mapping? */
static size_t steps_of(const struct dax_window *w, const struct mapping *map, bool unanswered)
{
	const struct step *step = unanswered ? w->waiting.first : w->queue.first;
	size_t n = 0;

	for (; step; step = step->next)
		n += step->kind == STEP_MAP && step->map == map;
	for (size_t i = 0; unanswered && i < w->n_messages; i++)
		for (size_t j = 0; j < w->messages[i].n; j++)
			n += w->messages[i].steps[j]->kind == STEP_MAP &&
			     w->messages[i].steps[j]->map == map;
	return n;
}

static bool slot_valid(const struct dax_window *w, const struct dax_slot *slot)
{
	const struct mapping *map = slot->owner;
	uint64_t skip = slot->entry.window_offset - map->entry.window_offset;

	if (slot->key != map->key || slot->entry.access != map->entry.access ||
		!range_within(skip, slot->entry.len, map->entry.len) ||
		slot->entry.fd_offset != map->entry.fd_offset + skip)
		return false;
	if (w->exact && (slot->entry.len != map->entry.len || !map->file))
		return false;
	return map->state != MAPPING_DEAD &&
	       steps_of(w, map, false) == (map->state == MAPPING_QUEUED) &&
	       steps_of(w, map, true) == (map->state == MAPPING_SENT) &&
	       (!w->exact || map->held == (map->state != MAPPING_QUEUED));
}

static bool held_valid(const struct dax_window *w)
{
	size_t n = 0;

	for (const struct mapping *map = w->held; map; map = map->held_next) {
		if (!map->held || (map->held_next && map->held_next->held_prev != map))
			return false;
		n++;
	}
	return n == w->n_held && n <= w->config.maps_max;
}

static bool steps_valid(const struct steps *steps)
{
	struct step *const *at = &steps->first;
	size_t n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	return n == steps->n && at == steps->last;
}

static bool window_valid(const struct dax_window *w)
{
	if (!dax_table_valid(&w->table, w->config.size, DAX_ALIGN) ||
		w->table.n > w->config.maps_max || !held_valid(w) || !steps_valid(&w->queue) ||
		!steps_valid(&w->waiting) || w->n_messages > DAX_BATCH_MAX)
		return false;
	for (size_t i = 0; i < w->table.n; i++)
		if (!slot_valid(w, &w->table.slots[i]))
			return false;
	return true;
}

bool dax_window_valid(struct dax_window *window)
{
	bool valid;

	pthread_mutex_lock(&window->lock);
	valid = window_valid(window);
	pthread_mutex_unlock(&window->lock);
	return valid;
}
