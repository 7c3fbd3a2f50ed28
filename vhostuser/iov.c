/* SPDX-License-Identifier: BSD-3-Clause */
/* A bounded cursor over an iovec array. */
#include "vhostuser/iov.h"

#include <string.h>

#include "vhostuser/checked.h"

struct vu_iov vu_iov_init(const struct iovec *iov, size_t n)
{
	struct vu_iov cursor = {.iov = iov, .n = n};

	for (size_t i = 0; i < n; i++)
		cursor.left += iov[i].iov_len;
	return cursor;
}

/* The next contiguous bytes, at most `size` of them; empty segments are passed. */
static size_t span(struct vu_iov *cursor, size_t size, unsigned char **data)
{
	while (cursor->n > 0 && cursor->offset == cursor->iov->iov_len) {
		cursor->iov++;
		cursor->n--;
		cursor->offset = 0;
	}
	if (cursor->n == 0 || cursor->left == 0)
		return 0;

	*data = (unsigned char *)cursor->iov->iov_base + cursor->offset;
	size = MIN(size, cursor->left);
	return MIN(size, cursor->iov->iov_len - cursor->offset);
}

static void advance(struct vu_iov *cursor, size_t size)
{
	cursor->offset += size;
	cursor->left -= size;
}

size_t vu_iov_read(struct vu_iov *cursor, void *data, size_t size)
{
	size_t done = 0, part;
	unsigned char *from;

	while (done < size && (part = span(cursor, size - done, &from)) > 0) {
		memcpy((unsigned char *)data + done, from, part);
		advance(cursor, part);
		done += part;
	}
	return done;
}

size_t vu_iov_write(struct vu_iov *cursor, const void *data, size_t size)
{
	size_t done = 0, part;
	unsigned char *to;

	while (done < size && (part = span(cursor, size - done, &to)) > 0) {
		memcpy(to, (const unsigned char *)data + done, part);
		advance(cursor, part);
		done += part;
	}
	return done;
}

size_t vu_iov_skip(struct vu_iov *cursor, size_t size)
{
	size_t done = 0, part;
	unsigned char *ignored;

	while (done < size && (part = span(cursor, size - done, &ignored)) > 0) {
		advance(cursor, part);
		done += part;
	}
	return done;
}

size_t vu_iov_slice(
	const struct vu_iov *cursor, size_t size, struct iovec *out, size_t max, size_t *n)
{
	struct vu_iov walk = *cursor;
	size_t done = 0, part;
	unsigned char *from;

	*n = 0;
	while (done < size && *n < max && (part = span(&walk, size - done, &from)) > 0) {
		out[*n] = (struct iovec){.iov_base = from, .iov_len = part};
		(*n)++;
		advance(&walk, part);
		done += part;
	}
	return done;
}
