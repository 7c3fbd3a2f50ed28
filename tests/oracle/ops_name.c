/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on names. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void or_mkdir(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, mkdir(or_p(me, op), (mode_t)op->a));
	or_say_path(me, res, or_p(me, op));
}

void or_rmdir(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, rmdir(or_p(me, op)));
	or_say_path(me, res, or_p(me, op));
}

void or_mknod(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	mode_t type = (mode_t)kind->arg;

	or_done(res, mknod(or_p(me, op), type | (mode_t)op->a,
		type == S_IFCHR ? makedev(1, 3) : 0));
	or_say_path(me, res, or_p(me, op));
}

void or_symlink(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, symlink(or_q(me, op), or_p(me, op)));
	or_say_path(me, res, or_p(me, op));
}

void or_readlink(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	ssize_t n = readlink(or_p(me, op), me->data, (size_t)op->c);

	if (or_done(res, n))
		or_say(res, "\"%.*s\"", (int)(n < 40 ? n : 40), me->data);
}

/* The names' link counts, and whether they are one file. */
static void two_names(struct or_me *me, const struct or_op *op, struct or_result *res)
{
	struct stat a, b;
	bool p = lstat(or_p(me, op), &a) == 0, q = lstat(or_q(me, op), &b) == 0;

	if (p)
		or_say_stat(res, &a);
	or_say(res, "|");
	if (q)
		or_say_stat(res, &b);
	if (p && q)
		or_say(res, "same=%d", a.st_ino == b.st_ino);
}

void or_link(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, linkat(AT_FDCWD, or_p(me, op), AT_FDCWD, or_q(me, op), (int)kind->arg));
	two_names(me, op, res);
}

/* Gives an open file a name, by /proc/self/fd or (arg) by AT_EMPTY_PATH. */
void or_link_fd(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = me->fds[op->slot];
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	if (kind->arg)
		or_done(res, linkat(fd, "", AT_FDCWD, or_p(me, op), AT_EMPTY_PATH));
	else
		or_done(res, linkat(me->proc, name, AT_FDCWD, or_p(me, op), AT_SYMLINK_FOLLOW));
	or_say_path(me, res, or_p(me, op));
}

void or_unlink(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, unlinkat(AT_FDCWD, or_p(me, op), (int)kind->arg));
	or_say_path(me, res, or_p(me, op));
}

void or_rename(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat before = {0}, after;

	if (lstat(or_p(me, op), &before) < 0)
		memset(&before, 0, sizeof(before));
	or_done(res, renameat2(AT_FDCWD, or_p(me, op), AT_FDCWD, or_q(me, op),
		(unsigned int)kind->arg));
	if (res->ret == 0 && lstat(or_q(me, op), &after) == 0)
		or_say(res, "moved=%d", after.st_ino == before.st_ino);
	two_names(me, op, res);
}

void or_chdir(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, chdir(or_p(me, op)));
}

void or_fchdir(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, fchdir(me->fds[op->slot]));
}

void or_home(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, fchdir(me->home));
}

void or_getcwd(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	long n = syscall(SYS_getcwd, me->data, sizeof(me->data));

	if (or_done(res, n))
		or_say(res, "\"%.100s\"", me->data);
}
