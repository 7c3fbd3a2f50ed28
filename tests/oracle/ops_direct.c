/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * O_DIRECT as disks have it: whole blocks of memory and file. The open file of the slot is opened
 * once more for that, so that it is used both ways.
 */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

static int64_t whole(int64_t n)
{
	return n / BLOCK * BLOCK;
}

static void transfer(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res, int fd)
{
	size_t length = (size_t)whole(op->a);
	char *data = aligned_alloc(BLOCK, length + BLOCK);
	ssize_t n;

	if (kind->arg) {
		or_fill(me, op, length);
		memcpy(data, me->data, length);
		n = pwrite(fd, data, length, whole(op->b));
	} else {
		n = pread(fd, data, length, whole(op->b));
	}
	if (or_done(res, n) && !kind->arg)
		or_say_data(res, data, (size_t)n);
	free(data);
}

/* arg: writes; arg2: O_APPEND, of a file that ends with a block. */
void or_direct(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int flags = (kind->arg ? O_RDWR : O_RDONLY) | (int)kind->arg2 | O_DIRECT | O_CLOEXEC, fd;
	struct stat st;
	char name[16];

	if (or_unclear(me, me->fds[op->slot]) || fstat(me->fds[op->slot], &st) < 0 ||
		!S_ISREG(st.st_mode) || (kind->arg2 && st.st_size % BLOCK))
		return;
	snprintf(name, sizeof(name), "%d", me->fds[op->slot]);
	fd = openat(me->proc, name, flags);
	if (!or_done(res, fd < 0 ? -1 : 0))
		return;
	transfer(me, op, kind, res, fd);
	or_say_fd(res, fd);
	close(fd);
}
