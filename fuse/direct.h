/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O on files that are open with O_DIRECT. No state; threads that may block.
 *
 * The host wants memory, offsets and lengths that are aligned. What lies in the guest's hands,
 * offsets and lengths, stays its own affair: EINVAL as on the host. Where its buffer lies in the
 * request is not: data behind FUSE's headers need not be aligned, and then goes through a private
 * buffer of at most FS_DIRECT_MAX bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vhostuser/iov.h"

/* Bytes of the private buffer, one for each thread at work: what a guest writes at once. */
#define FS_DIRECT_MAX (1024 * 1024)

/*
 * Reads up to `size` bytes into *room, which moves past them; a short read is the end. `ram`: the
 * room may be touched by us, not by system calls alone. 0 and *done, or -errno.
 */
int fs_direct_read(
	int fd, struct vu_iov *room, size_t size, off_t offset, bool ram, size_t *done);

/*
 * Writes all of *payload, which moves past what was written, also on errors. `rwf`: RWF_APPEND, or
 * 0. 0 or -errno.
 */
int fs_direct_write(int fd, struct vu_iov *payload, off_t offset, int rwf, bool ram);
