/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O on files that are open with O_DIRECT: from and to guest memory where that is aligned well
 * enough, which the host says by not refusing, else through a private buffer.
 */
#include "fuse/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vhostuser/checked.h"

#define SEGMENTS 512

/* No device of Linux wants more of memory. */
#define ALIGNMENT 4096

static ssize_t read_bounced(int fd, struct vu_iov *room, size_t size, off_t offset)
{
	void *buffer;
	ssize_t n;

	if (posix_memalign(&buffer, ALIGNMENT, size))
		return -ENOMEM;
	do {
		n = pread(fd, buffer, size, offset);
	} while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : n;
	if (n > 0)
		n = (ssize_t)vu_iov_write(room, buffer, (size_t)n);
	free(buffer);
	return n;
}

/* Bytes read, in *asked how many there might have been, or -errno. */
static ssize_t read_some(
	int fd, struct vu_iov *room, size_t size, off_t offset, bool ram, size_t *asked)
{
	struct iovec iov[SEGMENTS];
	size_t segments;
	ssize_t n;

	*asked = vu_iov_slice(room, size, iov, SEGMENTS, &segments);
	if (*asked == 0)
		return 0;
	do {
		n = preadv2(fd, iov, (int)segments, offset, 0);
	} while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : n;
	if (n != -EINVAL || !ram) {
		vu_iov_skip(room, n > 0 ? (size_t)n : 0);
		return n;
	}
	*asked = MIN(MIN(size, room->left), (size_t)FS_DIRECT_MAX);
	return read_bounced(fd, room, *asked, offset);
}

int fs_direct_read(int fd, struct vu_iov *room, size_t size, off_t offset, bool ram, size_t *done)
{
	*done = 0;
	while (*done < size) {
		size_t asked;
		ssize_t n = read_some(
			fd, room, size - *done, offset + (off_t)*done, ram, &asked);

		if (n < 0)
			return (int)n;
		*done += (size_t)n;
		/* Going on from an end that is not aligned would be an error. */
		if ((size_t)n < asked || n == 0)
			break;
	}
	return 0;
}

static ssize_t write_bounced(int fd, const struct vu_iov *payload, off_t offset, int rwf)
{
	struct vu_iov from = *payload;
	size_t size = MIN(payload->left, (size_t)FS_DIRECT_MAX);
	struct iovec iov;
	void *buffer;
	ssize_t n;

	if (posix_memalign(&buffer, ALIGNMENT, size))
		return -ENOMEM;
	iov = (struct iovec){.iov_base = buffer, .iov_len = vu_iov_read(&from, buffer, size)};
	do {
		n = pwritev2(fd, &iov, 1, offset, rwf);
	} while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : n;
	free(buffer);
	return n;
}

int fs_direct_write(int fd, struct vu_iov *payload, off_t offset, int rwf, bool ram)
{
	size_t size = payload->left;

	while (payload->left) {
		off_t at = offset + (off_t)(size - payload->left);
		struct iovec iov[SEGMENTS];
		size_t segments;
		ssize_t n;

		vu_iov_slice(payload, payload->left, iov, SEGMENTS, &segments);
		n = pwritev2(fd, iov, (int)segments, at, rwf);
		if (n < 0 && errno == EINTR)
			continue;
		n = n < 0 ? -errno : n;
		if (n == -EINVAL && ram)
			n = write_bounced(fd, payload, at, rwf);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		vu_iov_skip(payload, (size_t)n);
	}
	return 0;
}
