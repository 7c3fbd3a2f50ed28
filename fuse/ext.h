/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extensions of requests that make something (FUSE 7.36 and 7.38): what stands behind the names.
 *
 * The area is a list of records, each with a header {size, type} and padded to 8 bytes. Its length
 * is what the names leave of the request: guests of 7.36 and 7.37 do not announce it, and what
 * those of 7.38 announce (total_extlen) is no more to be believed. Gate 3 checks the list before
 * an op sees it. What an extension means is agreed on at INIT: an op looks only for those.
 *
 * No state; any thread; nothing is aligned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list's length: a security context is 64 KiB at most, a guest sends one group. */
#define FS_EXT_MAX (80 * 1024)

/* Groups of one request that are looked at; more are EINVAL. Linux sends one. */
#define FS_EXT_GROUPS_MAX 32

/* One extension, in the slot's copy. */
struct fs_ext {
	uint32_t type;       /* up to FUSE_MAX_NR_SECCTX: that many security contexts */
	const uint8_t *data; /* after the header; borrowed */
	size_t size;         /* of the data, padding included where the guest counts it */
};

/* Checks a whole list: 0, or -EINVAL for records that overlap or end outside of it. */
int fs_ext_check(const void *list, size_t len);

/* The next extension from *at (0 at first), which moves behind it; false at the end. Of a list that
 * was checked. */
bool fs_ext_next(const void *list, size_t len, size_t *at, struct fs_ext *ext);

/*
 * The groups that a checked list carries, in gids[FS_EXT_GROUPS_MAX]. Their number, 0 without any;
 * -EINVAL for a record that is not what it says, or for too many.
 */
int fs_ext_groups(const void *list, size_t len, uint32_t *gids);
