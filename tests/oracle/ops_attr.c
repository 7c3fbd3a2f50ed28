/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on attributes. Each says whether ctime moved: no system call sets that. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Times that utimensat sets, by number; the last two are its own words. */
static const struct timespec times[] = {
	{0, 0},
	{1000000000, 123456789},
	{86400, 999999999},
	{1500000000, 1},
	{-1, 0},
	{0, UTIME_NOW},
	{0, UTIME_OMIT},
};

static const struct timespec *time_of(int64_t number)
{
	return &times[(uint64_t)number % (sizeof(times) / sizeof(times[0]))];
}

/* A client with a write-back cache has its own clock for it, of a few milliseconds. */
static void moved(struct or_me *me, struct or_result *res, const struct stat *before,
	const struct stat *after)
{
	if (me->writeback)
		return;
	or_say(res, "ctime=%s", memcmp(&before->st_ctim, &after->st_ctim,
		sizeof(before->st_ctim)) ? "moved" : "stayed");
}

static void changed(struct or_me *me, struct or_result *res, const char *path,
	const struct stat *before)
{
	struct stat after;

	if (lstat(path, &after) < 0)
		return;
	or_say_stat(res, &after);
	moved(me, res, before, &after);
}

static void fchanged(struct or_me *me, struct or_result *res, int fd,
	const struct stat *before)
{
	struct stat after;

	if (fd < 0 || fstat(fd, &after) < 0)
		return;
	or_say_stat(res, &after);
	moved(me, res, before, &after);
}

static struct stat before_of(const char *path, int fd)
{
	struct stat st = {0};

	if (path ? lstat(path, &st) < 0 : fstat(fd, &st) < 0)
		memset(&st, 0, sizeof(st));
	return st;
}

void or_stat(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat st;

	if (or_done(res, fstatat(AT_FDCWD, or_p(me, op), &st, (int)kind->arg)))
		or_say_stat(res, &st);
}

void or_fstat(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat st;
	int fd = me->fds[op->slot];

	if (or_done(res, kind->arg ? fstatat(fd, "", &st, (int)kind->arg) : fstat(fd, &st)))
		or_say_stat(res, &st);
}

/* Is the name still that of the open file, and is there a time of birth? */
void or_statx(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct statx x, open;

	if (!or_done(res, statx(AT_FDCWD, or_p(me, op), (int)kind->arg,
			STATX_BASIC_STATS | (unsigned int)kind->arg2, &x)))
		return;
	or_say(res, "mode=%o own=%u:%u nlink=%u", x.stx_mode, x.stx_uid, x.stx_gid, x.stx_nlink);
	if (kind->arg2)
		or_say(res, "birth=%d", !!(x.stx_mask & STATX_BTIME));
	if (statx(me->fds[op->slot], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &open) == 0)
		or_say(res, "same=%d", open.stx_ino == x.stx_ino);
}

void or_access(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, faccessat(AT_FDCWD, or_p(me, op), (int)op->a, (int)kind->arg));
}

void or_chmod(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat before = before_of(or_p(me, op), -1);

	if (kind->arg)
		or_done(res, syscall(SYS_fchmodat2, AT_FDCWD, or_p(me, op),
				     (mode_t)op->a, kind->arg));
	else
		or_done(res, chmod(or_p(me, op), (mode_t)op->a));
	changed(me, res, or_p(me, op), &before);
}

void or_fchmod(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat before = before_of(NULL, me->fds[op->slot]);

	or_done(res, fchmod(me->fds[op->slot], (mode_t)op->a));
	fchanged(me, res, me->fds[op->slot], &before);
}

void or_chown(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat before = before_of(or_p(me, op), -1);

	if (or_unclear_path(me, or_p(me, op)) || (me->fuse && op->a == -1 && op->b == -1))
		return;
	or_done(res, fchownat(AT_FDCWD, or_p(me, op), (uid_t)op->a, (gid_t)op->b,
		(int)kind->arg));
	changed(me, res, or_p(me, op), &before);
}

void or_fchown(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat before = before_of(NULL, me->fds[op->slot]);

	if (or_unclear(me, me->fds[op->slot]) || (me->fuse && op->a == -1 && op->b == -1))
		return;
	or_done(res, fchown(me->fds[op->slot], (uid_t)op->a, (gid_t)op->b));
	fchanged(me, res, me->fds[op->slot], &before);
}

/* arg2: both times are now, by the short form of the call. */
void or_utimens(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct timespec both[2] = {*time_of(op->a), *time_of(op->b)};
	struct stat before = before_of(or_p(me, op), -1);

	or_done(res, utimensat(AT_FDCWD, or_p(me, op), kind->arg2 ? NULL : both, (int)kind->arg));
	changed(me, res, or_p(me, op), &before);
}

void or_futimens(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct timespec both[2] = {*time_of(op->a), *time_of(op->b)};
	struct stat before = before_of(NULL, me->fds[op->slot]);

	or_done(res, futimens(me->fds[op->slot], both));
	fchanged(me, res, me->fds[op->slot], &before);
}

static void said_statfs(struct or_result *res, const struct statfs *s)
{
	or_say(res, "namelen=%ld frsize=%ld blocks=%lu", (long)s->f_namelen, (long)s->f_frsize,
		(unsigned long)s->f_blocks);
}

void or_statfs(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct statfs s;

	if (or_done(res, statfs(or_p(me, op), &s)))
		said_statfs(res, &s);
}

void or_fstatfs(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct statfs s;

	if (or_done(res, fstatfs(me->fds[op->slot], &s)))
		said_statfs(res, &s);
}

void or_umask(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, umask((mode_t)op->a & 0077));
}
