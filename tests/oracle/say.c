/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operation tells: values that must be the same on both sides, so no times but the set. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/oracle/me.h"

/* No test sets a time as late as this; what is later was "now" once. */
#define NOW_BEGINS 1700000000

uint64_t or_hash(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ p[i]) * 0x100000001b3u;
	return hash ^ hash >> 29;
}

void or_say(struct or_result *res, const char *format, ...)
{
	char line[1200];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	res->hash = or_hash(res->hash, line, (size_t)n);
	if (res->length + (size_t)n + 2 > sizeof(res->text))
		return;
	if (res->length)
		res->text[res->length++] = ' ';
	memcpy(res->text + res->length, line, (size_t)n + 1);
	res->length += (uint32_t)n;
}

bool or_done(struct or_result *res, int64_t ret)
{
	res->ret = ret;
	res->err = ret < 0 ? errno : 0;
	return ret >= 0;
}

const char *or_say_time(const struct timespec *t, char *room, size_t size)
{
	if (t->tv_sec >= NOW_BEGINS)
		snprintf(room, size, "now");
	else
		snprintf(room, size, "%lld.%09ld", (long long)t->tv_sec, t->tv_nsec);
	return room;
}

void or_say_stat(struct or_result *res, const struct stat *st)
{
	char m[40], a[40];

	or_say(res, "mode=%o nlink=%lu own=%u:%u", st->st_mode, (unsigned long)st->st_nlink,
		st->st_uid, st->st_gid);
	if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
		or_say(res, "size=%lld", (long long)st->st_size);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		or_say(res, "rdev=%u:%u", major(st->st_rdev), minor(st->st_rdev));
	/* A fifo's times are its own kernel's affair: a FUSE server never hears of it. */
	if (S_ISFIFO(st->st_mode))
		return;
	or_say(res, "mtime=%s", or_say_time(&st->st_mtim, m, sizeof(m)));
	or_say(res, "atime=%s", or_say_time(&st->st_atim, a, sizeof(a)));
}

void or_say_path(struct or_me *me, struct or_result *res, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		or_say(res, "lstat=%s", strerrorname_np(errno));
	else
		or_say_stat(res, &st);
}

void or_say_fd(struct or_result *res, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		or_say(res, "fstat=%s", strerrorname_np(errno));
	else
		or_say_stat(res, &st);
}

void or_say_data(struct or_result *res, const char *data, size_t length)
{
	or_say(res, "data=%016llx", (unsigned long long)or_hash(1, data, length));
}

void or_slot_put(struct or_me *me, int slot, int fd)
{
	if (me->fds[slot] >= 0)
		close(me->fds[slot]);
	me->fds[slot] = fd;
}

void or_fill(struct or_me *me, const struct or_op *op, size_t length)
{
	uint32_t x = op->seq * 2654435761u + 1;

	for (size_t i = 0; i < length; i++) {
		me->data[i] = (char)(x >> 24);
		x = x * 1664525u + 1013904223u;
	}
}

/* By another group than the one that requests tell. */
static bool is_extra(gid_t group)
{
	gid_t groups[8];
	int n = getgroups(8, groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == group && group != getegid())
			return geteuid() != 0;
	return false;
}

/* A client that takes bits off by itself leaves such a bit to everybody. */
static bool unclear(const struct or_me *me, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_mode & (S_ISGID | S_IXGRP)) == S_ISGID &&
		(is_extra(st->st_gid) || (me->kills && geteuid() != 0));
}

bool or_unclear(const struct or_me *me, int fd)
{
	struct stat st;

	return me->fuse && fstat(fd, &st) == 0 && unclear(me, &st);
}

bool or_unclear_path(const struct or_me *me, const char *path)
{
	struct stat st;

	return me->fuse && stat(path, &st) == 0 && unclear(me, &st);
}

bool or_unclear_acl(const struct or_me *me, const char *path)
{
	struct stat st;

	return me->fuse && stat(path, &st) == 0 && st.st_mode & S_ISGID &&
		(is_extra(st.st_gid) || me->kills);
}

const char *or_p(struct or_me *me, const struct or_op *op)
{
	return or_path(op->path, me->long_path[0]);
}

const char *or_q(struct or_me *me, const struct or_op *op)
{
	return or_path(op->path2, me->long_path[1]);
}
