/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules that give extended attributes other names on the host than in the guest (--xattrmap).
 *
 * The syntax and the meaning are virtiofsd's. A rule is `:type:scope:key:prepend:`, where any
 * character may stand for the colon; the first rule that matches decides, and a name that none
 * matches is refused. `type` is prefix, ok, bad or unsupported; `scope` says in which direction the
 * rule counts: client (`key` begins a name of the guest's), server (`prepend` begins one of the
 * host's) or all. `:map:key:prepend:` is short for several rules, and the last one.
 *
 * A map is constant once made: any thread may use it.
 */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A name and its NUL. */
#define FS_XATTR_NAME_SIZE (XATTR_NAME_MAX + 1)

struct fs_xattrmap;

/*
 * Reads the rules. -EINVAL: they make no sense; one sentence, without a newline, is in `why` (size
 * bytes), and says at which character. -ENOMEM: the same. The caller frees *map.
 */
int fs_xattrmap_new(const char *rules, struct fs_xattrmap **map, char *why, size_t size);
/* NULL is ignored. */
void fs_xattrmap_free(struct fs_xattrmap *map);

/*
 * The host's name for the guest's `name`, which is no longer than XATTR_NAME_MAX; without a map
 * (NULL) the same. -EPERM: a rule forbids it, or none knows it; -EOPNOTSUPP: a rule says so;
 * -ERANGE: the host's name would be too long for it.
 */
int fs_xattrmap_to_host(
	const struct fs_xattrmap *map, const char *name, char host[FS_XATTR_NAME_SIZE]);

/* The guest's name for the host's `name`: a part of it. NULL: the guest does not see it. */
const char *fs_xattrmap_to_guest(const struct fs_xattrmap *map, const char *name);

/* True when the attribute is the same one on both sides. */
bool fs_xattrmap_keeps(const struct fs_xattrmap *map, const char *name);
