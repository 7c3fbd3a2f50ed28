/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security context among a request's extensions (ext.h; FUSE_SECURITY_CTX): labels for a file
 * that it makes. Its type is their number, its data so many times
 *
 *     fuse_secctx, name, NUL, value, up to 8 bytes
 *
 * No state; any thread. Names and values are borrowed from the list.
 */
#pragma once

#include <linux/fuse.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "fuse/ext.h"

/* A label: the name of an extended attribute, with its NUL, and the value. */
struct fs_label {
	const char *name;
	const void *value;
	size_t size;
};

/* Where a walk over labels is. */
struct fs_labels {
	const char *at, *end;
	unsigned int left;
};

/*
 * Gate 3 for one extension, private memory. -EINVAL: it is of another kind, or not what it says, or
 * has no label's name in it; -ERANGE, -E2BIG: a name or a value is too long.
 */
int fs_secctx_check(const struct fs_ext *ext);

/* The labels of the first security context in a list that was checked; of none, without one. */
struct fs_labels fs_secctx_labels(const void *list, size_t len);
/* The next one; false after the last. */
bool fs_secctx_next(struct fs_labels *labels, struct fs_label *label);
