/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of ids between guest and host, as virtiofsd's --translate-uid and --translate-gid
 * have it: ranges, each for one direction (or both), and what is in no range stays what it is.
 * Pure: no system calls, no locks. A map that is filled may be read by any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ranges for each direction: as many as the kernel takes for a user namespace. */
#define FS_IDMAP_MAX 340

enum fs_idmap_kind {
	FS_IDMAP_GUEST,        /* guest from.. becomes host to.., one to one */
	FS_IDMAP_HOST,         /* host from.. becomes guest to.., one to one */
	FS_IDMAP_SQUASH_GUEST, /* every guest id of the range becomes host `to` */
	FS_IDMAP_SQUASH_HOST,  /* every host id of the range becomes guest `to` */
	FS_IDMAP_FORBID_GUEST, /* guest ids that nothing may belong to (`to` is ignored) */
	FS_IDMAP_MAP,          /* GUEST, and HOST the other way round */
};

enum fs_idmap_way { FS_IDMAP_TO_HOST, FS_IDMAP_TO_GUEST };

struct fs_idrange {
	uint32_t from, count, to;
	enum { FS_IDRANGE_SHIFT, FS_IDRANGE_SQUASH, FS_IDRANGE_FORBID } how;
};

/* Ordered by `from`; they do not overlap and are not empty. */
struct fs_idtable {
	unsigned int n;
	struct fs_idrange ranges[FS_IDMAP_MAX];
};

/* All zero: every id is itself. */
struct fs_idmap {
	struct fs_idtable table[2]; /* by enum fs_idmap_way */
};

struct fs_ids {
	struct fs_idmap uid, gid;
};

/*
 * Adds a range; a count of 0 adds nothing. -EEXIST: overlaps with a range of the same direction;
 * -EINVAL: reaches beyond the last id (2^32 - 2); -E2BIG: more than FS_IDMAP_MAX. Nothing is
 * changed then.
 */
int fs_idmap_add(struct fs_idmap *map, enum fs_idmap_kind kind, uint32_t from, uint32_t to,
	uint32_t count);

/* True when there is no range at all. */
bool fs_idmap_is_empty(const struct fs_idmap *map);

/* The host's id for a guest's. -EPERM when it is forbidden. The id -1, which is none, stays. */
int fs_idmap_to_host(const struct fs_idmap *map, uint32_t guest, uint32_t *host);

/* The guest's id for one of the host's. */
uint32_t fs_idmap_to_guest(const struct fs_idmap *map, uint32_t host);

/* True when neither users nor groups have a range. */
bool fs_ids_are_empty(const struct fs_ids *ids);

/* Both of a guest's ids into the host's, in place; `ids` may be NULL: nothing to do. -EPERM. */
int fs_ids_to_host(const struct fs_ids *ids, uint32_t *uid, uint32_t *gid);

/* The other way. */
void fs_ids_to_guest(const struct fs_ids *ids, uint32_t *uid, uint32_t *gid);

/*
 * Translates the users and groups in the value of a POSIX ACL's extended attribute
 * (system.posix_acl_access, system.posix_acl_default; <linux/posix_acl_xattr.h>), in place. `ids`
 * may be NULL: nothing to do. -EINVAL for what is no such value, -EPERM for a forbidden id; the
 * value is spoilt then.
 */
int fs_idmap_acl(const struct fs_ids *ids, enum fs_idmap_way way, void *value, size_t size);
