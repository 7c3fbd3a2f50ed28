/* SPDX-License-Identifier: BSD-3-Clause */
/* ACLs as values: their entries, and the permission bits of a mode. */
#include "fuse/acl.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <linux/posix_acl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Where in a mode the bits of these entries are. */
#define OWNER_SHIFT 6
#define GROUP_SHIFT 3
#define OTHER_SHIFT 0

int fs_acl_count(const void *value, size_t size)
{
	struct posix_acl_xattr_header header;

	if (size < sizeof(header) ||
		(size - sizeof(header)) % sizeof(struct posix_acl_xattr_entry))
		return -EINVAL;
	memcpy(&header, value, sizeof(header));
	if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	size = (size - sizeof(header)) / sizeof(struct posix_acl_xattr_entry);
	return size > INT_MAX ? -EINVAL : (int)size;
}

static size_t place_of(int i)
{
	return sizeof(struct posix_acl_xattr_header) +
	       (size_t)i * sizeof(struct posix_acl_xattr_entry);
}

struct posix_acl_xattr_entry fs_acl_get(const void *value, int i)
{
	struct posix_acl_xattr_entry entry;

	memcpy(&entry, (const uint8_t *)value + place_of(i), sizeof(entry));
	return entry;
}

void fs_acl_put(void *value, int i, struct posix_acl_xattr_entry entry)
{
	memcpy((uint8_t *)value + place_of(i), &entry, sizeof(entry));
}

static bool has_mask(const void *value, int n)
{
	for (int i = 0; i < n; i++) {
		if (le16toh(fs_acl_get(value, i).e_tag) == ACL_MASK)
			return true;
	}
	return false;
}

/* How far to shift the permissions of an entry with this tag for a mode; -1: they are in none. */
static int shift_of(uint16_t tag, bool mask)
{
	switch (tag) {
	case ACL_USER_OBJ:
		return OWNER_SHIFT;
	case ACL_GROUP_OBJ:
		return mask ? -1 : GROUP_SHIFT;
	case ACL_MASK:
		return GROUP_SHIFT;
	case ACL_OTHER:
		return OTHER_SHIFT;
	default:
		return -1;
	}
}

int fs_acl_bits(const void *value, size_t size)
{
	int n = fs_acl_count(value, size), bits = 0;
	bool mask;

	if (n <= 0)
		return -EINVAL;
	mask = has_mask(value, n);
	for (int i = 0; i < n; i++) {
		struct posix_acl_xattr_entry entry = fs_acl_get(value, i);
		int shift = shift_of(le16toh(entry.e_tag), mask);

		if (shift >= 0)
			bits |= (le16toh(entry.e_perm) & 7) << shift;
	}
	return bits;
}

int fs_acl_set_bits(void *value, size_t size, mode_t mode)
{
	int n = fs_acl_count(value, size);
	bool mask;

	if (n <= 0)
		return -EINVAL;
	mask = has_mask(value, n);
	for (int i = 0; i < n; i++) {
		struct posix_acl_xattr_entry entry = fs_acl_get(value, i);
		int shift = shift_of(le16toh(entry.e_tag), mask);

		if (shift < 0)
			continue;
		entry.e_perm = htole16((uint16_t)(mode >> shift & 7));
		fs_acl_put(value, i, entry);
	}
	return 0;
}
