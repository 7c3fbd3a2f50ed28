/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on files by mapping them. A load or store past the last page is SIGBUS on both sides,
 * or on none. Nothing is stored behind the end in the last page: file systems differ in what
 * becomes of that. What is stored is synced at once: when a mount writes it back otherwise is its
 * own affair.
 */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct touch {
	struct or_me *me;
	char *at;
	size_t length;
};

static void load(void *arg)
{
	struct touch *t = arg;

	memcpy(t->me->data, t->at, t->length);
}

static void store(void *arg)
{
	struct touch *t = arg;

	memcpy(t->at, t->me->data, t->length);
}

static struct or_map map_it(struct or_me *me, const struct or_op *op, int prot, int flags)
{
	struct or_map map = {.length = (size_t)op->a, .writable = prot & PROT_WRITE,
		.from = op->b & ~4095,
		.fd = me->fds[op->slot]};

	map.at = mmap(NULL, map.length, prot, flags, me->fds[op->slot], op->b & ~4095);
	return map;
}

/* arg: MAP_SHARED or MAP_PRIVATE */
void or_map_load(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct or_map map = map_it(me, op, PROT_READ, (int)kind->arg);
	struct touch t = {me, map.at, map.length};

	if (!or_done(res, map.at == MAP_FAILED ? -1 : 0))
		return;
	if (or_touch(load, &t))
		or_say_data(res, me->data, t.length);
	else
		or_say(res, "SIGBUS");
	munmap(map.at, map.length);
}

static void store_and_sync(struct or_me *me, const struct or_op *op, struct or_result *res,
	struct or_map map, int how)
{
	struct touch t = {me, map.at, map.length};
	struct stat st;

	if (fstat(map.fd, &st) == 0 && st.st_size > map.from &&
		st.st_size < map.from + (off_t)t.length)
		t.length = (size_t)(st.st_size - map.from);
	or_fill(me, op, t.length);
	if (!or_touch(store, &t))
		or_say(res, "SIGBUS");
	or_done(res, msync(map.at, map.length, how));
}

/* arg: MS_SYNC or MS_ASYNC */
void or_map_store(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct or_map map = map_it(me, op, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (!or_done(res, map.at == MAP_FAILED ? -1 : 0))
		return;
	store_and_sync(me, op, res, map, (int)kind->arg);
	munmap(map.at, map.length);
	or_say_fd(res, me->fds[op->slot]);
}

static int forget(struct or_me *me)
{
	int r = me->map.at ? munmap(me->map.at, me->map.length) : 0;

	if (me->map.at)
		close(me->map.fd);
	me->map = (struct or_map){0};
	return r;
}

/* A mapping that stays, while other operations change the file. */
void or_map_keep(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct or_map map = map_it(me, op, (int)kind->arg, MAP_SHARED);

	if (!or_done(res, map.at == MAP_FAILED ? -1 : 0))
		return;
	forget(me);
	me->map = map;
	me->map.fd = fcntl(map.fd, F_DUPFD_CLOEXEC, 20);
}

void or_map_peek(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct touch t = {me, me->map.at, me->map.length};

	if (!t.at)
		return;
	if (or_touch(load, &t))
		or_say_data(res, me->data, t.length);
	else
		or_say(res, "SIGBUS");
}

void or_map_poke(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (me->map.at && me->map.writable)
		store_and_sync(me, op, res, me->map, MS_SYNC);
}

void or_map_drop(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	or_done(res, forget(me));
}
