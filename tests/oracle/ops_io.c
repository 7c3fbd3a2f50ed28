/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on the contents of open files. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

static void took(struct or_me *me, struct or_result *res, ssize_t n)
{
	if (or_done(res, n))
		or_say_data(res, me->data, (size_t)n);
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static void gave(struct or_me *me, const struct or_op *op, struct or_result *res, int64_t n)
{
	or_done(res, n);
	if (me->fds[op->slot] < 0)
		return;
	or_say_fd(res, me->fds[op->slot]);
	if (is_directory(me->fds[op->slot]))
		return;
	or_say(res, "at=%lld", (long long)lseek(me->fds[op->slot], 0, SEEK_CUR));
}

/* One buffer in three uneven pieces. */
static int pieces(struct or_me *me, size_t length, struct iovec v[3])
{
	size_t one = length / 5, two = length / 2;

	v[0] = (struct iovec){me->data, one};
	v[1] = (struct iovec){me->data + one, two};
	v[2] = (struct iovec){me->data + one + two, length - one - two};
	return 3;
}

void or_read(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	took(me, res, read(me->fds[op->slot], me->data, (size_t)op->a));
}

void or_pread(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	took(me, res, pread(me->fds[op->slot], me->data, (size_t)op->a, op->b));
}

void or_readv(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct iovec v[3];

	took(me, res, readv(me->fds[op->slot], v, pieces(me, (size_t)op->a, v)));
}

void or_write(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (or_unclear(me, me->fds[op->slot]))
		return;
	or_fill(me, op, (size_t)op->a);
	gave(me, op, res, write(me->fds[op->slot], me->data, (size_t)op->a));
}

void or_pwrite(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (or_unclear(me, me->fds[op->slot]))
		return;
	or_fill(me, op, (size_t)op->a);
	gave(me, op, res, pwrite(me->fds[op->slot], me->data, (size_t)op->a, op->b));
}

void or_writev(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct iovec v[3];
	int n = pieces(me, (size_t)op->a, v);

	if (or_unclear(me, me->fds[op->slot]))
		return;
	or_fill(me, op, (size_t)op->a);
	gave(me, op, res, writev(me->fds[op->slot], v, n));
}

void or_pwritev2(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct iovec v[3];
	int n = pieces(me, (size_t)op->a, v);

	if (or_unclear(me, me->fds[op->slot]))
		return;
	or_fill(me, op, (size_t)op->a);
	gave(me, op, res, pwritev2(me->fds[op->slot], v, n, op->b, (int)kind->arg));
}

/* Not of directories, where offsets are the file system's own, and no numbers. */
void or_lseek(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = me->fds[op->slot];
	off_t before = lseek(fd, 0, SEEK_CUR);

	if (is_directory(fd))
		return;
	or_done(res, lseek(fd, op->b, (int)kind->arg));
	/* A known difference must not make more of them. */
	if (kind->arg == SEEK_HOLE || kind->arg == SEEK_DATA)
		lseek(fd, before, SEEK_SET);
}

void or_ftruncate(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (or_unclear(me, me->fds[op->slot]))
		return;
	gave(me, op, res, ftruncate(me->fds[op->slot], op->a));
}

/* What XFS leaves as it is when it is truncated. */
static bool is_empty_setid(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size == 0 && st.st_mode & (S_ISUID | S_ISGID);
}

/* With a write-back cache the client keeps its own time where the size stays; some hosts do not. */
static bool keeps_time(const struct or_me *me, const char *path, off_t size)
{
	struct stat st;

	return me->writeback && stat(path, &st) == 0 && st.st_size == size;
}

void or_truncate(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (or_unclear_path(me, or_p(me, op)) || (me->kills && is_empty_setid(or_p(me, op))) ||
		keeps_time(me, or_p(me, op), op->a))
		return;
	or_done(res, truncate(or_p(me, op), op->a));
	or_say_path(me, res, or_p(me, op));
}

/*
 * With --fuse: does it begin where the file has ended? A FUSE client takes setuid bits off before
 * it asks, and one with a write-back cache sets the time, but the host's file system may find that
 * there is nothing to do: btrfs also when it punches into a hole (the time is set below, by those
 * who may).
 */
static bool for_nothing(struct or_me *me, const struct or_op *op, int fd, bool punches)
{
	struct stat to, from;
	bool kills, others;

	if (!me->fuse || fstat(me->fds[op->slot], &to) < 0 || fstat(fd, &from) < 0)
		return false;
	kills = geteuid() != 0 && to.st_mode & (S_ISUID | S_ISGID);
	others = me->writeback && geteuid() != 0 && geteuid() != to.st_uid;
	if (punches && (kills || others))
		return true;
	return (me->writeback || kills) && (op->a == 0 || op->b >= from.st_size);
}

void or_fallocate(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const struct timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
	int n, error;

	if (or_unclear(me, me->fds[op->slot]) || for_nothing(me, op, me->fds[op->slot],
						   kind->arg & FALLOC_FL_PUNCH_HOLE))
		return;
	n = fallocate(me->fds[op->slot], (int)kind->arg, op->b, op->a);
	error = errno;
	/* The client's own time, which btrfs leaves when it punches into a hole. */
	if (me->writeback)
		(void)futimens(me->fds[op->slot], now);
	errno = error;
	gave(me, op, res, n);
}

/* arg: with explicit offsets, or from and to where the files stand. */
void or_copy_range(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	off64_t from = op->b, to = op->c;
	bool given = kind->arg;

	if (or_unclear(me, me->fds[op->slot]) || for_nothing(me, op, me->fds[op->slot2], false))
		return;
	or_done(res, copy_file_range(me->fds[op->slot2], given ? &from : NULL, me->fds[op->slot],
		given ? &to : NULL, (size_t)op->a, 0));
	or_say(res, "from=%lld to=%lld", (long long)from, (long long)to);
	gave(me, op, res, res->err ? (errno = res->err, -1) : res->ret);
}

/*
 * Does it write what it is still to read, or into a fifo, where it lies until somebody reads it?
 * Pages of a cache are passed on as they are, so what is written to the file meanwhile is read; but
 * what is read directly is a copy, and a hole of tmpfs the page of zeros.
 */
static bool changes_on_the_way(struct or_me *me, const struct or_op *op)
{
	int fd = me->fds[op->slot];
	struct stat from, to;
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (fstat(me->fds[op->slot2], &from) < 0 || fstat(fd, &to) < 0)
		return false;
	if (S_ISFIFO(to.st_mode))
		return true;
	if (from.st_ino != to.st_ino || !S_ISREG(to.st_mode))
		return false;
	if (fcntl(fd, F_GETFL) & O_APPEND)
		at = to.st_size;
	return op->b - at < op->a && at - op->b < op->a;
}

void or_sendfile(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	off_t from = op->b;

	if (or_unclear(me, me->fds[op->slot]) || (me->fuse && changes_on_the_way(me, op)))
		return;
	gave(me, op, res, sendfile(me->fds[op->slot], me->fds[op->slot2], &from, (size_t)op->a));
	or_say(res, "from=%lld", (long long)from);
}

void or_sync(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = me->fds[op->slot];

	or_done(res, kind->arg == 0 ? fsync(fd) : kind->arg == 1 ? fdatasync(fd) : syncfs(fd));
}
