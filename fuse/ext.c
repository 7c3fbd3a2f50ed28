/* SPDX-License-Identifier: BSD-3-Clause */
/* Extensions of requests: one bounded walk, and what is in the lists of groups. */
#include "fuse/ext.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "fuse/wire.h"
#include "vhostuser/checked.h"

/* Records begin at multiples of this, counted from the list's begin. */
#define ALIGNMENT 8

/* The record at `at`: 0, or -EINVAL when it is none that lies within. */
static int parse(const uint8_t *list, size_t len, size_t at, struct fs_ext *ext, size_t *next)
{
	struct fuse_ext_header header;
	size_t left = len - at;

	if (left < sizeof(header))
		return -EINVAL;
	memcpy(&header, list + at, sizeof(header));
	if (header.size < sizeof(header) || header.size > left)
		return -EINVAL;
	ext->type = header.type;
	ext->data = list + at + sizeof(header);
	ext->size = header.size - sizeof(header);
	/* The last one's padding may be left out. */
	*next = at + MIN(((size_t)header.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, left);
	return 0;
}

int fs_ext_check(const void *list, size_t len)
{
	struct fs_ext ext;
	size_t at = 0;
	int r = len > FS_EXT_MAX ? -EINVAL : 0;

	while (r == 0 && at < len)
		r = parse(list, len, at, &ext, &at);
	return r;
}

bool fs_ext_next(const void *list, size_t len, size_t *at, struct fs_ext *ext)
{
	return *at < len && parse(list, len, *at, ext, at) == 0;
}

static int read_groups(const struct fs_ext *ext, uint32_t *gids)
{
	struct fs_supp_groups head;
	uint64_t size;

	if (ext->size < sizeof(head))
		return -EINVAL;
	memcpy(&head, ext->data, sizeof(head));
	size = (uint64_t)head.nr_groups * sizeof(gids[0]);
	if (head.nr_groups > FS_EXT_GROUPS_MAX || size > ext->size - sizeof(head))
		return -EINVAL;
	memcpy(gids, ext->data + sizeof(head), (size_t)size);
	return (int)head.nr_groups;
}

int fs_ext_groups(const void *list, size_t len, uint32_t *gids)
{
	struct fs_ext ext;
	size_t at = 0;

	while (fs_ext_next(list, len, &at, &ext)) {
		if (ext.type == FS_EXT_GROUPS)
			return read_groups(&ext, gids);
	}
	return 0;
}
