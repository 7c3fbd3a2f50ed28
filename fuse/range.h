/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Byte ranges that one lock owner holds of one file, as fcntl() keeps them: sorted, apart, and
 * neighbours of one type are one range. No system calls; the caller has the lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The last byte that a lock can cover: a range that ends here has no end. */
#define FS_RANGE_END ((uint64_t)INT64_MAX)

struct fs_range {
	uint64_t start, end; /* both inclusive, at most FS_RANGE_END */
	uint32_t type;       /* F_RDLCK, F_WRLCK; F_UNLCK only where said */
	uint32_t pid;        /* of the guest's process that asked */
};

/* Zero is an empty set. */
struct fs_ranges {
	struct fs_range *at; /* owned */
	size_t n, cap;
};

/* Room for what the next fs_ranges_set may add. -ENOMEM. */
int fs_ranges_reserve(struct fs_ranges *ranges);

/*
 * Takes `range` up, in place of whatever was there; F_UNLCK takes it out. Cannot fail: room must
 * have been reserved.
 */
void fs_ranges_set(struct fs_ranges *ranges, const struct fs_range *range);

/* True when taking `range` out would leave a piece of one range on either side: one more. */
bool fs_ranges_split(const struct fs_ranges *ranges, const struct fs_range *range);

/* The first one that another owner may not have together with `range`; NULL: none. */
const struct fs_range *fs_ranges_conflict(
	const struct fs_ranges *ranges, const struct fs_range *range);

/* Forgets all of them and gives the memory back. */
void fs_ranges_clear(struct fs_ranges *ranges);
