/* SPDX-License-Identifier: BSD-3-Clause */
/* The permission bits of ACLs. */
#include "fuse/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Where in a mode the bits of these entries are. */
#define OWNER_SHIFT 6
#define GROUP_SHIFT 3
#define OTHER_SHIFT 0

static bool is_acl(const void *value, size_t size)
{
	struct posix_acl_xattr_header header;

	if (size <= sizeof(header) ||
		(size - sizeof(header)) % sizeof(struct posix_acl_xattr_entry))
		return false;
	memcpy(&header, value, sizeof(header));
	return le32toh(header.a_version) == POSIX_ACL_XATTR_VERSION;
}

static bool has_mask(const uint8_t *at, const uint8_t *end)
{
	struct posix_acl_xattr_entry entry;

	for (; at < end; at += sizeof(entry)) {
		memcpy(&entry, at, sizeof(entry));
		if (le16toh(entry.e_tag) == ACL_MASK)
			return true;
	}
	return false;
}

/* How far to shift this entry's permissions for a mode; -1: they are in none. */
static int shift_of(const struct posix_acl_xattr_entry *entry, bool mask)
{
	switch (le16toh(entry->e_tag)) {
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
	const uint8_t *at = value, *end = at + size;
	struct posix_acl_xattr_entry entry;
	int bits = 0;
	bool mask;

	if (!is_acl(value, size))
		return -EINVAL;
	at += sizeof(struct posix_acl_xattr_header);
	mask = has_mask(at, end);
	for (; at < end; at += sizeof(entry)) {
		int shift;

		memcpy(&entry, at, sizeof(entry));
		shift = shift_of(&entry, mask);
		if (shift >= 0)
			bits |= (le16toh(entry.e_perm) & 7) << shift;
	}
	return bits;
}

int fs_acl_set_bits(void *value, size_t size, mode_t mode)
{
	uint8_t *at = value, *end = at + size;
	struct posix_acl_xattr_entry entry;
	bool mask;

	if (!is_acl(value, size))
		return -EINVAL;
	at += sizeof(struct posix_acl_xattr_header);
	mask = has_mask(at, end);
	for (; at < end; at += sizeof(entry)) {
		int shift;

		memcpy(&entry, at, sizeof(entry));
		shift = shift_of(&entry, mask);
		if (shift < 0)
			continue;
		entry.e_perm = htole16((uint16_t)(mode >> shift & 7));
		memcpy(at, &entry, sizeof(entry));
	}
	return 0;
}
