/* SPDX-License-Identifier: BSD-3-Clause */
/* A sorted array: owners hold few ranges, and the host walks a list of them anyway. */
#include "fuse/range.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 4

/* The most that one set adds: the new range and the second half of the one that it splits. */
#define GROWTH 2

int fs_ranges_reserve(struct fs_ranges *ranges)
{
	size_t cap = ranges->cap ? ranges->cap : FIRST_CAP;
	struct fs_range *at;

	if (ranges->n + GROWTH <= ranges->cap)
		return 0;
	while (cap < ranges->n + GROWTH)
		cap *= 2;
	at = reallocarray(ranges->at, cap, sizeof(*at));
	if (!at)
		return -ENOMEM;
	ranges->at = at;
	ranges->cap = cap;
	return 0;
}

/* The index of the first range that ends at `pos` or later. */
static size_t find(const struct fs_ranges *ranges, uint64_t pos)
{
	size_t low = 0, high = ranges->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->at[middle].end < pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts `n` pieces where the ranges from `low` up to `high` (excluded) are. */
static void replace(
	struct fs_ranges *ranges, size_t low, size_t high, const struct fs_range *pieces, size_t n)
{
	struct fs_range *at = ranges->at;

	if (ranges->n > high)
		memmove(at + low + n, at + high, (ranges->n - high) * sizeof(*at));
	if (n)
		memcpy(at + low, pieces, n * sizeof(*at));
	ranges->n = ranges->n + n - (high - low);
}

void fs_ranges_set(struct fs_ranges *ranges, const struct fs_range *range)
{
	const struct fs_range *at = ranges->at;
	size_t low = find(ranges, range->start), high = low, n = 0;
	struct fs_range pieces[3], fresh = *range, right = {.type = F_UNLCK};

	while (high < ranges->n && at[high].start <= range->end)
		high++;
	if (high > low && at[high - 1].end > range->end) {
		right = at[high - 1];
		right.start = range->end + 1;
	} else if (high < ranges->n && range->type != F_UNLCK && at[high].type == range->type &&
		   at[high].start == range->end + 1) {
		right = at[high++];
	}
	if (low < high && at[low].start < range->start) {
		pieces[0] = at[low];
		pieces[n++].end = range->start - 1;
	} else if (low > 0 && at[low - 1].end + 1 == range->start) {
		pieces[n++] = at[--low];
	}
	if (n && pieces[0].type == range->type)
		fresh.start = pieces[--n].start;
	if (right.type == fresh.type)
		fresh.end = right.end;
	if (fresh.type != F_UNLCK)
		pieces[n++] = fresh;
	if (right.type != F_UNLCK && right.type != fresh.type)
		pieces[n++] = right;
	replace(ranges, low, high, pieces, n);
}

bool fs_ranges_split(const struct fs_ranges *ranges, const struct fs_range *range)
{
	size_t i = find(ranges, range->start);

	return i < ranges->n && ranges->at[i].start < range->start &&
	       ranges->at[i].end > range->end;
}

const struct fs_range *fs_ranges_conflict(
	const struct fs_ranges *ranges, const struct fs_range *range)
{
	for (size_t i = find(ranges, range->start); i < ranges->n; i++) {
		const struct fs_range *held = &ranges->at[i];

		if (held->start > range->end)
			break;
		if (held->type == F_WRLCK || range->type == F_WRLCK)
			return held;
	}
	return NULL;
}

void fs_ranges_clear(struct fs_ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct fs_ranges){0};
}
