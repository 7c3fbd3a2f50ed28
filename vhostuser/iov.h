/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded cursor over an iovec array: the only way that guest memory is copied.
 *
 * The cursor never writes to the array it walks. Memory behind it belongs to a guest and may
 * change at any time: each byte is read once, into private memory.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

struct vu_iov {
	const struct iovec *iov; /* current segment */
	size_t n;                /* segments from the current one on */
	size_t offset;           /* bytes of the current segment already passed */
	size_t left;             /* bytes from here to the end; may be lowered to end earlier */
};

/* A cursor over all bytes of iov[0..n). */
struct vu_iov vu_iov_init(const struct iovec *iov, size_t n);

/* Copies up to `size` bytes out of the cursor and advances it; returns how many. */
size_t vu_iov_read(struct vu_iov *cursor, void *data, size_t size);

/* Copies up to `size` bytes into the cursor's memory and advances it; returns how many. */
size_t vu_iov_write(struct vu_iov *cursor, const void *data, size_t size);

/* Passes up to `size` bytes; returns how many. */
size_t vu_iov_skip(struct vu_iov *cursor, size_t size);

/*
 * Fills out[0..max) with the segments of the next `size` bytes, for preadv/pwritev, without
 * advancing; *n gets their number. Returns the bytes they cover: fewer than `size` when the
 * cursor ends or `max` segments are used up first.
 */
size_t vu_iov_slice(
	const struct vu_iov *cursor, size_t size, struct iovec *out, size_t max, size_t *n);
