/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations that make or end open files. All opens are O_NONBLOCK: a fifo must not hold us up. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

static void opened(struct or_me *me, const struct or_op *op, struct or_result *res, int fd)
{
	if (!or_done(res, fd < 0 ? -1 : 0))
		return;
	or_say(res, "getfl=%o", fcntl(fd, F_GETFL));
	or_say_fd(res, fd);
	or_slot_put(me, op->slot, fd);
}

void or_open(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (kind->arg & O_TRUNC && or_unclear_path(me, or_p(me, op)))
		return;
	opened(me, op, res, open(or_p(me, op), (int)kind->arg | O_NONBLOCK | O_CLOEXEC,
		(mode_t)op->a));
}

void or_openat2(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct open_how how = {.flags = (uint64_t)kind->arg | O_NONBLOCK | O_CLOEXEC,
		.resolve = (uint64_t)kind->arg2};
	int fd;

	/* Somebody has renamed something, somewhere. */
	do
		fd = (int)syscall(SYS_openat2, AT_FDCWD, or_p(me, op), &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN);
	opened(me, op, res, fd);
}

/* A file that is open and has no name any more. */
void or_open_unlink(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = open(or_p(me, op), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC,
		(mode_t)op->a);

	if (fd >= 0)
		or_say(res, "unlink=%d", unlink(or_p(me, op)) ? errno : 0);
	opened(me, op, res, fd);
}

void or_close(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, close(me->fds[op->slot]));
	me->fds[op->slot] = -1;
}

void or_dup(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = fcntl(me->fds[op->slot], F_DUPFD_CLOEXEC, 10);

	if (or_done(res, fd < 0 ? -1 : 0))
		or_slot_put(me, op->slot2, fd);
}

/* Opens anew what is open: another description of the same file, also of one without a name. */
void or_dup_from(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	char name[16];

	if (kind->arg & O_TRUNC && or_unclear(me, me->fds[op->slot]))
		return;
	snprintf(name, sizeof(name), "%d", me->fds[op->slot]);
	opened(me, op, res, openat(me->proc, name, (int)kind->arg | O_NONBLOCK | O_CLOEXEC));
}
