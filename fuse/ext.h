/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extensions of requests: what follows the names of one that makes a file. FUSE knows several; the
 * one that we agree on is the security context (FUSE_SECURITY_CTX): labels for the new file.
 *
 *     fuse_secctx_header, then `nr_secctx` times: fuse_secctx, name, NUL, value, up to 8 bytes
 */
#pragma once

#include <linux/fuse.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>

/* The longest: one label with all that an extended attribute may be. */
#define FS_EXT_MAX                                                                                 \
	(sizeof(struct fuse_secctx_header) +                                                       \
		FUSE_REC_ALIGN(sizeof(struct fuse_secctx) + XATTR_NAME_MAX + 1 + XATTR_SIZE_MAX))

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
 * Gate 3 for `len` bytes of extensions, private memory. -EINVAL: they are not what the header says,
 * or of a kind that was not agreed on, or no label's name; -ERANGE, -E2BIG: a name or a value is
 * too long.
 */
int fs_ext_check(const void *ext, size_t len);

/* The labels of extensions that were checked; of none, when len is 0. */
struct fs_labels fs_ext_labels(const void *ext, size_t len);
/* The next one; false after the last. */
bool fs_ext_next(struct fs_labels *labels, struct fs_label *label);
