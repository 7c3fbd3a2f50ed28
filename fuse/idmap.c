/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of ids: two ordered tables of ranges for each kind of id, searched by halves.
 */
#include "fuse/idmap.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <string.h>

#include "fuse/acl.h"

/* How many ids there are: -1 is none. */
#define IDS UINT32_MAX

/* The first range that ends behind `id`: the one that has it, or the next one. */
static unsigned int search(const struct fs_idtable *table, uint32_t id)
{
	unsigned int low = 0, high = table->n;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;
		const struct fs_idrange *range = &table->ranges[middle];

		/* Ranges end at IDS at the latest, so the sum is one of 32 bits. */
		if (range->from + range->count <= id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct fs_idrange *range_of(const struct fs_idtable *table, uint32_t id)
{
	unsigned int at = search(table, id);

	return at < table->n && table->ranges[at].from <= id ? &table->ranges[at] : NULL;
}

static int check(const struct fs_idtable *table, const struct fs_idrange *range)
{
	unsigned int at;

	if (range->count > IDS - range->from || range->to == UINT32_MAX)
		return -EINVAL;
	if (range->how == FS_IDRANGE_SHIFT && range->count > IDS - range->to)
		return -EINVAL;
	at = search(table, range->from);
	if (at < table->n && table->ranges[at].from < range->from + range->count)
		return -EEXIST;
	return table->n == FS_IDMAP_MAX ? -E2BIG : 0;
}

static void insert(struct fs_idtable *table, const struct fs_idrange *range)
{
	unsigned int at = search(table, range->from);

	memmove(&table->ranges[at + 1], &table->ranges[at],
		(table->n - at) * sizeof(table->ranges[0]));
	table->ranges[at] = *range;
	table->n++;
}

/* The same range the other way. */
static int add_both(struct fs_idmap *map, const struct fs_idrange *range)
{
	struct fs_idrange back = {range->to, range->count, range->from, FS_IDRANGE_SHIFT};
	int r = check(&map->table[FS_IDMAP_TO_HOST], range);

	if (r == 0)
		r = check(&map->table[FS_IDMAP_TO_GUEST], &back);
	if (r == 0) {
		insert(&map->table[FS_IDMAP_TO_HOST], range);
		insert(&map->table[FS_IDMAP_TO_GUEST], &back);
	}
	return r;
}

int fs_idmap_add(struct fs_idmap *map, enum fs_idmap_kind kind, uint32_t from, uint32_t to,
	uint32_t count)
{
	struct fs_idrange range = {from, count, to, FS_IDRANGE_SHIFT};
	struct fs_idtable *table = &map->table[FS_IDMAP_TO_HOST];
	int r;

	if (count == 0)
		return 0;
	switch (kind) {
	case FS_IDMAP_MAP:
		return add_both(map, &range);
	case FS_IDMAP_GUEST:
		break;
	case FS_IDMAP_HOST:
		table = &map->table[FS_IDMAP_TO_GUEST];
		break;
	case FS_IDMAP_SQUASH_GUEST:
		range.how = FS_IDRANGE_SQUASH;
		break;
	case FS_IDMAP_SQUASH_HOST:
		table = &map->table[FS_IDMAP_TO_GUEST];
		range.how = FS_IDRANGE_SQUASH;
		break;
	case FS_IDMAP_FORBID_GUEST:
		range.how = FS_IDRANGE_FORBID;
		range.to = 0;
		break;
	}
	r = check(table, &range);
	if (r == 0)
		insert(table, &range);
	return r;
}

bool fs_idmap_is_empty(const struct fs_idmap *map)
{
	return map->table[FS_IDMAP_TO_HOST].n == 0 && map->table[FS_IDMAP_TO_GUEST].n == 0;
}

static int translate(const struct fs_idtable *table, uint32_t *id)
{
	const struct fs_idrange *range = range_of(table, *id);

	if (!range)
		return 0;
	switch (range->how) {
	case FS_IDRANGE_SHIFT:
		*id = range->to + (*id - range->from);
		break;
	case FS_IDRANGE_SQUASH:
		*id = range->to;
		break;
	case FS_IDRANGE_FORBID:
		return -EPERM;
	}
	return 0;
}

int fs_idmap_to_host(const struct fs_idmap *map, uint32_t guest, uint32_t *host)
{
	*host = guest;
	return translate(&map->table[FS_IDMAP_TO_HOST], host);
}

uint32_t fs_idmap_to_guest(const struct fs_idmap *map, uint32_t host)
{
	/* No range of this direction forbids. */
	(void)translate(&map->table[FS_IDMAP_TO_GUEST], &host);
	return host;
}

bool fs_ids_are_empty(const struct fs_ids *ids)
{
	return fs_idmap_is_empty(&ids->uid) && fs_idmap_is_empty(&ids->gid);
}

int fs_ids_to_host(const struct fs_ids *ids, uint32_t *uid, uint32_t *gid)
{
	int r = 0;

	if (ids)
		r = translate(&ids->uid.table[FS_IDMAP_TO_HOST], uid);
	if (ids && r == 0)
		r = translate(&ids->gid.table[FS_IDMAP_TO_HOST], gid);
	return r;
}

void fs_ids_to_guest(const struct fs_ids *ids, uint32_t *uid, uint32_t *gid)
{
	if (!ids)
		return;
	*uid = fs_idmap_to_guest(&ids->uid, *uid);
	*gid = fs_idmap_to_guest(&ids->gid, *gid);
}

static int translate_entry(
	const struct fs_ids *ids, enum fs_idmap_way way, struct posix_acl_xattr_entry *entry)
{
	uint32_t id = le32toh(entry->e_id);
	int r = 0;

	switch (le16toh(entry->e_tag)) {
	case ACL_USER:
		r = translate(&ids->uid.table[way], &id);
		break;
	case ACL_GROUP:
		r = translate(&ids->gid.table[way], &id);
		break;
	case ACL_USER_OBJ:
	case ACL_GROUP_OBJ:
	case ACL_MASK:
	case ACL_OTHER:
		break; /* their id means nothing */
	default:
		return -EINVAL;
	}
	entry->e_id = htole32(id);
	return r;
}

int fs_idmap_acl(const struct fs_ids *ids, enum fs_idmap_way way, void *value, size_t size)
{
	int n = 0, r = 0;

	if (ids && size > 0)
		n = fs_acl_count(value, size);
	for (int i = 0; i < n && r == 0; i++) {
		struct posix_acl_xattr_entry entry = fs_acl_get(value, i);

		r = translate_entry(ids, way, &entry);
		fs_acl_put(value, i, entry);
	}
	return n < 0 ? n : r;
}
