/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mapping table.
 *
 * It holds at most what the front-end can map (some hundred ranges), so a sorted array that is
 * searched by halves and moved by memmove serves. The caller asks for the room before he changes
 * anything; then nothing here can fail.
 */
#include "dax/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"

static uint64_t end_of(const struct dax_entry *entry)
{
	return entry->window_offset + entry->len;
}

struct dax_entry dax_entry_part(const struct dax_entry *entry, uint64_t start, uint64_t end)
{
	return (struct dax_entry){
		.fd_offset = entry->fd_offset + (start - entry->window_offset),
		.window_offset = start,
		.len = end - start,
		.access = entry->access,
	};
}

int dax_table_init(
	struct dax_table *table, size_t max, void (*get)(void *owner), void (*put)(void *owner))
{
	/* One more, for the moment between a cut and what fills it. */
	*table = (struct dax_table){.cap = max + 1, .get = get, .put = put};
	table->slots = calloc(table->cap, sizeof(*table->slots));
	return table->slots ? 0 : -ENOMEM;
}

void dax_table_fini(struct dax_table *table)
{
	dax_table_clear(table);
	free(table->slots);
	table->slots = NULL;
}

size_t dax_table_first(const struct dax_table *table, uint64_t offset)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (end_of(&table->slots[middle].entry) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

size_t dax_table_touched(const struct dax_table *table, uint64_t start, uint64_t len, size_t *first)
{
	size_t i = dax_table_first(table, start), n = 0;

	*first = i;
	while (i + n < table->n && table->slots[i + n].entry.window_offset < start + len)
		n++;
	return n;
}

/* Of the ranges that a cut touches, what is left before and behind it. */
static void remains(const struct dax_table *table, size_t first, size_t touched, uint64_t start,
	uint64_t len, bool *before, bool *behind)
{
	*before = touched && table->slots[first].entry.window_offset < start;
	*behind = touched && end_of(&table->slots[first + touched - 1].entry) > start + len;
}

size_t dax_table_after_cut(const struct dax_table *table, uint64_t start, uint64_t len)
{
	bool before, behind;
	size_t first, n = dax_table_touched(table, start, len, &first);

	remains(table, first, n, start, len, &before, &behind);
	return table->n - n + before + behind;
}

/* Makes the n slots at `at` become m, whose contents are then the caller's to set. */
static void resize(struct dax_table *table, size_t at, size_t n, size_t m)
{
	memmove(&table->slots[at + m], &table->slots[at + n],
		(table->n - at - n) * sizeof(*table->slots));
	table->n = table->n - n + m;
}

void dax_table_cut(struct dax_table *table, uint64_t start, uint64_t len)
{
	bool before, behind;
	size_t first, n = dax_table_touched(table, start, len, &first);
	struct dax_slot left, right;

	if (n == 0)
		return;
	remains(table, first, n, start, len, &before, &behind);
	left = table->slots[first];
	right = table->slots[first + n - 1];
	if (before)
		table->get(left.owner);
	if (behind)
		table->get(right.owner);
	for (size_t i = 0; i < n; i++)
		table->put(table->slots[first + i].owner);
	left.entry = dax_entry_part(&left.entry, left.entry.window_offset, start);
	right.entry = dax_entry_part(&right.entry, start + len, end_of(&right.entry));
	resize(table, first, n, (size_t)before + behind);
	if (before)
		table->slots[first] = left;
	if (behind)
		table->slots[first + before] = right;
}

void dax_table_insert(struct dax_table *table, const struct dax_slot *slot)
{
	size_t at = dax_table_first(table, slot->entry.window_offset);

	resize(table, at, 0, 1);
	table->slots[at] = *slot;
	table->get(slot->owner);
}

void dax_table_remove(struct dax_table *table, bool (*chosen)(const void *owner))
{
	size_t kept = 0;

	for (size_t i = 0; i < table->n; i++) {
		if (chosen(table->slots[i].owner))
			table->put(table->slots[i].owner);
		else
			table->slots[kept++] = table->slots[i];
	}
	table->n = kept;
}

static bool every(const void *owner)
{
	return true;
}

void dax_table_clear(struct dax_table *table)
{
	dax_table_remove(table, every);
}

bool dax_table_valid(const struct dax_table *table, uint64_t size, uint64_t align)
{
	uint64_t end = 0;

	if (table->n > table->cap)
		return false;
	for (size_t i = 0; i < table->n; i++) {
		const struct dax_entry *entry = &table->slots[i].entry;

		if (entry->len == 0 || entry->window_offset < end ||
			!range_within(entry->window_offset, entry->len, size) ||
			entry->window_offset % align || entry->len % align ||
			entry->fd_offset % align)
			return false;
		end = end_of(entry);
	}
	return true;
}
