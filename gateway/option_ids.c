/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --translate-uid, --translate-gid, --uid-map, --gid-map: each may be given again and again.
 */
#include <errno.h>
#include <string.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"
#include "vhostuser/number.h"

/* Reads `n` numbers of 32 bits with `separator` between; *end is what follows. */
static int parse_numbers(
	const char *text, char separator, uint32_t *numbers, size_t n, const char **end)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t number;

		if (i > 0 && *text++ != separator)
			return -EINVAL;
		if (vu_number_read(&text, 10, UINT32_MAX, &number))
			return -EINVAL;
		numbers[i] = (uint32_t)number;
	}
	*end = text;
	return 0;
}

/* A count of 0 would do nothing, in silence. */
static int add(struct fs_idmap *map, struct gw_options *options, enum fs_idmap_kind kind,
	uint32_t from, uint32_t to, uint32_t count)
{
	int r = count ? fs_idmap_add(map, kind, from, to, count) : -EINVAL;

	if (r == -EINVAL)
		return count ? gw_wrong(options, "the range ends beyond the last id, %u",
				       UINT32_MAX - 1)
			     : gw_wrong(options, "COUNT is 0");
	return r;
}

int gw_set_translation(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	static const struct {
		const char *name;
		enum fs_idmap_kind kind;
	} kinds[] = {
		{"guest:", FS_IDMAP_GUEST},
		{"host:", FS_IDMAP_HOST},
		{"squash-guest:", FS_IDMAP_SQUASH_GUEST},
		{"squash-host:", FS_IDMAP_SQUASH_HOST},
		{"forbid-guest:", FS_IDMAP_FORBID_GUEST},
		{"map:", FS_IDMAP_MAP},
	};
	struct fs_idmap *map = (struct fs_idmap *)((char *)options + option->offset);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool forbids = kinds[i].kind == FS_IDMAP_FORBID_GUEST;
		size_t len = strlen(kinds[i].name);
		uint32_t n[3] = {0};
		const char *end;

		if (strncmp(value, kinds[i].name, len) != 0)
			continue;
		if (parse_numbers(value + len, ':', n, forbids ? 2 : 3, &end) || *end)
			return gw_wrong(options, "%d numbers must follow %s, none above %u",
				forbids ? 2 : 3, kinds[i].name, UINT32_MAX);
		return add(map, options, kinds[i].kind, n[0], forbids ? 0 : n[1],
			forbids ? n[1] : n[2]);
	}
	return gw_wrong(options, "KIND is guest, host, squash-guest, squash-host, forbid-guest or "
				 "map");
}

/* Ids may stand once on each side of a map. */
static bool overlaps(const struct gw_idmap *map, uint32_t inside, uint32_t outside, uint32_t count)
{
	for (unsigned int i = 0; i < map->n; i++) {
		const struct gw_idrange *range = &map->ranges[i];

		if ((inside < range->inside + range->count && range->inside < inside + count) ||
			(outside < range->outside + range->count &&
				range->outside < outside + count))
			return true;
	}
	return false;
}

/* ":inside:outside:count:"; like virtiofsd, whatever stands first is what stands between. */
int gw_set_namespace_map(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	struct gw_idmap *map = (struct gw_idmap *)((char *)options + option->offset);
	char separator = *value;
	uint32_t n[3];
	const char *end;

	if (!separator || (separator >= '0' && separator <= '9') ||
		parse_numbers(value + 1, separator, n, 3, &end) || end[0] != separator || end[1])
		return gw_wrong(options, "the same sign stands before, between and behind the "
					 "three numbers");
	if (n[2] == 0)
		return gw_wrong(options, "COUNT is 0");
	if (n[2] > UINT32_MAX - n[0] || n[2] > UINT32_MAX - n[1])
		return gw_wrong(options, "the range ends beyond the last id, %u", UINT32_MAX - 1);
	if (map->n == ARRAY_SIZE(map->ranges))
		return -E2BIG;
	if (overlaps(map, n[0], n[1], n[2]))
		return -EEXIST;
	map->ranges[map->n++] = (struct gw_idrange){n[0], n[1], n[2]};
	return 0;
}
