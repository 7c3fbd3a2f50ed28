/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks: what is refused, what ends a lock and a wait. Waits are run by the test, one step at a
 * time.
 */
#include "tests/unit/lock_client.h"

#include <sys/file.h>

#include "fuse/lock.h"

/* Waits that were started, in order. */
static struct fs_wait *waits[FS_LOCK_WAITS_MAX + 8];
static size_t n_waits;
static bool no_threads;

static int hold_wait(void *ctx, struct fs_wait *wait)
{
	(void)ctx;
	if (no_threads)
		return -EAGAIN;
	assert_true(n_waits < ARRAY_SIZE(waits));
	waits[n_waits++] = wait;
	return 0;
}

static void note_interrupt(void *ctx, struct fs_wait *wait)
{
	(void)ctx;
	atomic_store(&wait->interrupted, true);
}

/* Runs a wait whose lock is free, or that was interrupted. */
static void run_wait(size_t i)
{
	struct fs_wait *wait = waits[i];

	assert_non_null(wait);
	waits[i] = NULL;
	wait->block(wait);
	wait->done(wait);
}

static int setup(void **state)
{
	struct lock_guest *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	n_waits = 0;
	no_threads = false;
	g->c = client_new(FS_CACHE_AUTO, false, 0);
	lock_serve(g->c, hold_wait, note_interrupt);
	host_write(g->c, "f", "0123456789");
	lock_open(g, "f");
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct lock_guest *g = *state;

	client_free(g->c);
	free(g);
	return 0;
}

/* Can a stranger of the host's lock this much? */
static bool host_can_lock(struct lock_guest *g, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_start = start, .l_len = len};
	int fd = open(host(g->c, "f"), O_RDWR), r;

	assert_true(fd >= 0);
	r = fcntl(fd, F_OFD_SETLK, &fl);
	close(fd);
	return r == 0;
}

static bool host_can_flock(struct lock_guest *g, int operation)
{
	int fd = open(host(g->c, "f"), O_RDWR), r;

	assert_true(fd >= 0);
	r = flock(fd, operation | LOCK_NB);
	close(fd);
	return r == 0;
}

static void release(struct lock_guest *g, size_t handle, uint32_t flags, uint64_t owner)
{
	struct fuse_release_in in = {
		.fh = g->fh[handle],
		.release_flags = flags,
		.lock_owner = owner,
	};

	assert_int_equal(ask(g->c, FUSE_RELEASE, g->nodeid, &in, sizeof(in), NULL, NULL), 0);
}

/* ---- what is refused ---- */

static void test_hostile_values(void **state)
{
	struct lock_guest *g = *state;
	static const struct {
		uint64_t start, end;
		uint32_t type, flags;
		int error;
	} rows[] = {
		{0, 9, 3, 0, -EINVAL},
		{0, 9, UINT32_MAX, 0, -EINVAL},
		{10, 9, F_RDLCK, 0, -EINVAL},
		{UINT64_MAX, UINT64_MAX, F_RDLCK, 0, -EINVAL},
		{LOCK_END + 1, UINT64_MAX, F_RDLCK, 0, -EINVAL},
		{0, 9, F_RDLCK, 2, -EINVAL},
		{0, 9, F_RDLCK, UINT32_MAX, -EINVAL},
		{0, 9, 3, FUSE_LK_FLOCK, -EINVAL},
		{LOCK_END, LOCK_END, F_WRLCK, 0, 0},
		{LOCK_END, UINT64_MAX, F_WRLCK, 0, 0},
		{0, UINT64_MAX, F_WRLCK, 0, 0},
		{0, LOCK_END, F_UNLCK, 0, 0},
		{0, 0, F_RDLCK, 0, 0},
		/* flock() has no range, whatever is said. */
		{10, 9, F_WRLCK, FUSE_LK_FLOCK, 0},
		{UINT64_MAX, 0, F_UNLCK, FUSE_LK_FLOCK, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fuse_lk_in in =
			lock_in(g->fh[0], 1, rows[i].type, rows[i].start, rows[i].end);

		in.lk_flags = rows[i].flags;
		assert_int_equal(do_lock(g, FUSE_SETLK, &in), rows[i].error);
		assert_int_equal(do_lock(g, FUSE_SETLKW, &in), rows[i].error);
		/* GETLK is fcntl()'s alone, and asks for a lock. */
		if (rows[i].flags || rows[i].type == F_UNLCK || rows[i].error)
			assert_int_equal(do_lock(g, FUSE_GETLK, &in), -EINVAL);
		else
			assert_int_equal(do_lock(g, FUSE_GETLK, &in), 0);
	}
	assert_int_equal(n_waits, 0);
}

static void test_wrong_handles(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0] + 77, 1, F_RDLCK, 0, 9);
	struct fuse_open_out out;

	assert_int_equal(do_lock(g, FUSE_SETLK, &in), -EBADF);
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), -EBADF);
	assert_int_equal(do_lock(g, FUSE_GETLK, &in), -EBADF);
	assert_int_equal(do_open(g->c, FUSE_OPEN, g->nodeid, O_RDONLY, &out), 0);
	in = lock_in(out.fh, 1, F_WRLCK, 0, 9);
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), -EBADF);
	in.lk.type = F_RDLCK;
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), 0);
	assert_int_equal(do_open(g->c, FUSE_OPEN, g->nodeid, O_WRONLY, &out), 0);
	in.fh = out.fh;
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), -EBADF);
	in.lk.type = F_WRLCK;
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), 0);
	/* A directory can be locked by flock() only. */
	assert_int_equal(do_open(g->c, FUSE_OPENDIR, ROOT, O_RDONLY, &out), 0);
	in = lock_in(out.fh, 1, F_RDLCK, 0, LOCK_END);
	assert_int_equal(ask(g->c, FUSE_SETLK, ROOT, &in, sizeof(in), NULL, NULL), -EINVAL);
	in.lk_flags = FUSE_LK_FLOCK;
	in.lk.type = F_WRLCK;
	assert_int_equal(ask(g->c, FUSE_SETLK, ROOT, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(do_release(g->c, FUSE_RELEASEDIR, ROOT, out.fh), 0);
}

/* Each kind is there only if it was agreed on. */
static void test_off(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_init_in init = init_in(38);
	struct fuse_lk_in in;
	size_t room = sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out);

	init.flags &= ~(uint32_t)FUSE_FLOCK_LOCKS;
	assert_int_equal(exchange(g->c->f, FUSE_INIT, 0, &init, sizeof(init), room), 0);
	lock_open(g, "f");
	in = lock_in(g->fh[0], 1, F_RDLCK, 0, 9);
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), 0);
	in.lk_flags = FUSE_LK_FLOCK;
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), -ENOSYS);

	init.flags |= FUSE_FLOCK_LOCKS;
	init.flags &= ~(uint32_t)FUSE_POSIX_LOCKS;
	assert_int_equal(exchange(g->c->f, FUSE_INIT, 0, &init, sizeof(init), room), 0);
	lock_open(g, "f");
	in.fh = g->fh[0];
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), 0);
	in.lk_flags = 0;
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), -ENOSYS);
	assert_int_equal(do_lock(g, FUSE_GETLK, &in), -ENOSYS);
}

static void test_limits(void **state)
{
	struct lock_guest *g = *state;
	const uint64_t far = UINT64_C(1) << 40;
	struct fuse_lk_in in = lock_in(g->fh[0], 5, F_WRLCK, far, far);
	struct call *call;
	uint64_t owner = 1, i;
	int r;

	/* Fds: three quarters of 256 may last, some are taken. */
	while ((r = set_lock(g, owner, F_RDLCK, 0, 0)) == 0)
		owner++;
	assert_int_equal(r, -ENOLCK);
	assert_in_range(owner, 150, 192);
	while (--owner > 0)
		assert_int_equal(do_flush(g, 0, owner), 0);

	/* A wait that was given its lock when there was room, and finds none any more. */
	assert_int_equal(set_lock(g, 4, F_WRLCK, far, far), 0);
	assert_int_equal(set_lock(g, 5, F_WRLCK, far + 9, far + 9), 0);
	call = send_lock_wait(g, &in, 1000);
	assert_int_equal(do_flush(g, 0, 4), 0);
	waits[0]->block(waits[0]);

	for (i = 1; i < FS_LOCK_RANGES_MAX; i++)
		assert_int_equal(set_lock(g, 1 + i % 2, F_RDLCK, 2 * i, 2 * i), 0);
	assert_false(host_can_lock(g, F_WRLCK, (off_t)far, 1));
	waits[0]->done(waits[0]);
	assert_int_equal(call_answer(call).error, -ENOLCK);
	call_free(call);
	assert_true(host_can_lock(g, F_WRLCK, (off_t)far, 1));
	assert_false(host_can_lock(g, F_WRLCK, (off_t)far + 9, 1));
	assert_int_equal(set_lock(g, 1, F_RDLCK, 2 * i, 2 * i), -ENOLCK);
	assert_int_equal(set_lock(g, 3, F_RDLCK, 0, 0), -ENOLCK);
	/* To unlock is possible, and makes room, unless it takes some itself. */
	assert_int_equal(set_lock(g, 1, F_UNLCK, 4, 4), 0);
	assert_int_equal(set_lock(g, 1, F_RDLCK, 2 * i, 2 * i + 9), 0);
	assert_int_equal(set_lock(g, 1, F_UNLCK, 2 * i + 2, 2 * i + 3), -ENOLCK);
	assert_int_equal(set_lock(g, 1, F_UNLCK, 0, LOCK_END), 0);
	assert_int_equal(do_flush(g, 0, 2), 0);
	assert_int_equal(do_flush(g, 0, 5), 0);
	assert_true(host_can_lock(g, F_WRLCK, 0, 0));
}

static void test_no_more_waits(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
	struct call *calls[FS_LOCK_WAITS_MAX];

	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
	no_threads = true;
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), -ENOLCK);
	no_threads = false;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		calls[i] = send_lock_wait(g, &in, 1000 + 2 * i);
	assert_int_equal(n_waits, FS_LOCK_WAITS_MAX);
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), -ENOLCK);
	assert_int_equal(set_lock(g, 1, F_UNLCK, 0, LOCK_END), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		run_wait(i);
		assert_int_equal(call_answer(calls[i]).error, 0);
		call_free(calls[i]);
	}
}

/* ---- what ends a lock ---- */

static void test_flush_is_the_owners(void **state)
{
	struct lock_guest *g = *state;

	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
	assert_int_equal(set_lock(g, 2, F_WRLCK, 20, 29), 0);
	assert_int_equal(set_flock(g, 0, 1, F_WRLCK), 0);
	/* By any handle, since a close() is the process's. */
	assert_int_equal(do_flush(g, 1, 1), 0);
	assert_true(host_can_lock(g, F_WRLCK, 0, 10));
	assert_false(host_can_lock(g, F_WRLCK, 20, 10));
	assert_false(host_can_flock(g, LOCK_SH));
	release(g, 0, FUSE_RELEASE_FLOCK_UNLOCK, 1);
	assert_true(host_can_flock(g, LOCK_EX));
	/* And what was locked by the handle, though no FLUSH came. */
	assert_true(host_can_lock(g, F_WRLCK, 20, 10));
}

static void test_flock(void **state)
{
	struct lock_guest *g = *state;
	int fds;

	assert_int_equal(set_flock(g, 0, 1, F_RDLCK), 0);
	assert_int_equal(set_flock(g, 1, 2, F_RDLCK), 0);
	assert_int_equal(set_flock(g, 1, 3, F_WRLCK), -EAGAIN);
	/* The other kind of lock is another space. */
	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, LOCK_END), 0);
	/* A conversion that fails loses what there was, as flock() does, and its description. */
	fds = count_fds();
	assert_int_equal(set_flock(g, 0, 1, F_WRLCK), -EAGAIN);
	assert_int_equal(count_fds(), fds - 1);
	assert_int_equal(set_flock(g, 1, 2, F_WRLCK), 0);
	assert_false(host_can_flock(g, LOCK_SH));
	assert_int_equal(set_flock(g, 1, 2, F_UNLCK), 0);
	assert_int_equal(set_flock(g, 1, 2, F_UNLCK), 0);
	assert_true(host_can_flock(g, LOCK_EX));
	/* RELEASE alone ends it too. */
	assert_int_equal(set_flock(g, 0, 1, F_WRLCK), 0);
	release(g, 0, 0, 0);
	assert_true(host_can_flock(g, LOCK_EX));
}

/* However a session ends, at once, and though a request of it does not. */
static void test_session_ends(void **state)
{
	struct lock_guest *g = *state;
	struct fs_work *stuck;

	for (int how = 0; how < 4; how++) {
		struct fuse_fsync_in fsync = {.fh = g->fh[0]};
		struct call *call =
			call_request(FUSE_FSYNC, 5, g->nodeid, &fsync, sizeof(fsync), HEADER_SIZE);
		int fds;

		fs_submit(g->c->f->fs, &call->io);
		stuck = g->c->f->held;
		g->c->f->held = NULL;
		g->c->f->held_tail = &g->c->f->held;
		fds = count_fds();
		assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
		assert_int_equal(set_flock(g, 0, 1, F_WRLCK), 0);
		if (how == 0)
			fs_reset(g->c->f->fs);
		else if (how == 1)
			assert_int_equal(do_init(g->c->f), 0);
		else if (how == 2)
			fs_renew(g->c->f->fs);
		else
			assert_int_equal(exchange(g->c->f, FUSE_DESTROY, 0, NULL, 0, 16), 0);
		assert_true(host_can_lock(g, F_WRLCK, 0, 0));
		assert_true(host_can_flock(g, LOCK_EX));
		stuck->run(stuck);
		fixture_pump(g->c->f);
		assert_in_range(count_fds(), 0, fds + 3);
		call_free(call);
		assert_int_equal(do_init(g->c->f), 0);
		lock_open(g, "f");
	}
}

/* Of readers' locks that overlap, the one that is in the way is told with its own process. */
static void test_whose_lock(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_file_lock found;

	assert_int_equal(set_lock(g, 1, F_RDLCK, 5, 7), 0);
	assert_int_equal(set_lock(g, 3, F_RDLCK, 3, 5), 0);
	for (uint64_t at = 3; at <= 7; at += 4) {
		assert_int_equal(get_lock(g, 2, F_WRLCK, at, at, &found), 0);
		assert_int_equal(found.start, at == 3 ? 3 : 5);
		assert_int_equal(found.end, at == 3 ? 5 : 7);
		assert_int_equal(found.pid, at == 3 ? 103 : 101);
	}
}

/* ---- waiting ---- */

static void test_wait_is_granted(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 5, 15);
	struct fuse_file_lock found;
	struct call *call;

	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
	call = send_lock_wait(g, &in, 10);
	assert_int_equal(n_waits, 1);
	assert_int_equal(call->completed, 0);
	/* Nobody else waits meanwhile. */
	assert_int_equal(set_lock(g, 3, F_WRLCK, 20, 29), 0);
	assert_int_equal(do_flush(g, 1, 1), 0);
	run_wait(0);
	assert_int_equal(call_answer(call).error, 0);
	assert_false(host_can_lock(g, F_RDLCK, 5, 1));
	assert_true(host_can_lock(g, F_RDLCK, 0, 5));
	assert_int_equal(get_lock(g, 3, F_RDLCK, 0, LOCK_END, &found), 0);
	assert_int_equal(found.start, 5);
	assert_int_equal(found.end, 15);
	assert_int_equal(found.pid, 102);
	call_free(call);
}

static void test_interrupt(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
	struct call *call;

	assert_int_equal(set_lock(g, 2, F_RDLCK, 0, 9), 0);
	assert_int_equal(set_lock(g, 1, F_RDLCK, 0, 9), 0);
	call = send_lock_wait(g, &in, 10);
	send_interrupt(g, 8);
	assert_false(atomic_load(&waits[0]->interrupted));
	send_interrupt(g, 10);
	assert_true(atomic_load(&waits[0]->interrupted));
	run_wait(0);
	assert_int_equal(call_answer(call).error, -EINTR);
	call_free(call);
	/* It still has what it had. */
	assert_int_equal(do_flush(g, 0, 1), 0);
	assert_false(host_can_lock(g, F_WRLCK, 0, 9));
	assert_int_equal(do_flush(g, 0, 2), 0);
	assert_true(host_can_lock(g, F_WRLCK, 0, 9));

	/* One that was faster than its request. */
	assert_int_equal(set_lock(g, 1, F_RDLCK, 0, 9), 0);
	send_interrupt(g, 20);
	call = send_lock_wait(g, &in, 20);
	assert_int_equal(call_answer(call).error, -EINTR);
	call_free(call);
	/* It is used up. */
	call = send_lock_wait(g, &in, 20);
	assert_int_equal(n_waits, 2);
	send_interrupt(g, 20);
	run_wait(1);
	call_free(call);
}

/* RELEASE ends the waits by its handle; what was given meanwhile goes too. */
static void test_release_ends_waits(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
	struct call *one, *two;

	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
	/* By the handle that stays. */
	assert_int_equal(do_flush(g, 0, 1), 0);
	in.fh = g->fh[1];
	in.owner = 1;
	assert_int_equal(do_lock(g, FUSE_SETLK, &in), 0);

	in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
	one = send_lock_wait(g, &in, 10);
	in.fh = g->fh[1];
	in.owner = 3;
	two = send_lock_wait(g, &in, 12);
	release(g, 0, 0, 0);
	assert_true(atomic_load(&waits[0]->interrupted));
	assert_false(atomic_load(&waits[1]->interrupted));
	run_wait(0);
	assert_int_equal(call_answer(one).error, -EINTR);
	assert_int_equal(do_flush(g, 1, 1), 0);
	assert_true(host_can_lock(g, F_WRLCK, 0, 9));
	run_wait(1);
	assert_int_equal(call_answer(two).error, 0);
	assert_false(host_can_lock(g, F_WRLCK, 0, 9));
	call_free(one);
	call_free(two);
}

/* The host has given the lock when the handle, or the session, is found to be gone. */
static void test_granted_too_late(void **state)
{
	struct lock_guest *g = *state;

	for (int how = 0; how < 2; how++) {
		struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
		struct fs_wait *wait;
		struct call *call;

		in.fh = g->fh[1];
		in.owner = 1;
		assert_int_equal(do_lock(g, FUSE_SETLK, &in), 0);
		in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
		call = send_lock_wait(g, &in, 10);
		assert_int_equal(do_flush(g, 1, 1), 0);
		wait = waits[n_waits - 1];
		wait->block(wait);
		assert_false(host_can_lock(g, F_WRLCK, 0, 9));
		if (how == 0)
			release(g, 0, 0, 0);
		else
			fs_reset(g->c->f->fs);
		wait->done(wait);
		assert_true(host_can_lock(g, F_WRLCK, 0, 9));
		if (how == 0)
			assert_int_equal(call_answer(call).error, -EINTR);
		else
			assert_int_equal(call->dropped, 1);
		call_free(call);
		fixture_pump(g->c->f);
		assert_int_equal(do_init(g->c->f), 0);
		lock_open(g, "f");
	}
}

/* Between the host's grant and our note of it the owner's other thread unlocks: it waits again. */
static void test_granted_and_lost(void **state)
{
	struct lock_guest *g = *state;
	struct fuse_lk_in in = lock_in(g->fh[0], 2, F_WRLCK, 0, 9);
	struct fs_wait *wait;
	struct call *call;

	assert_int_equal(set_lock(g, 1, F_WRLCK, 0, 9), 0);
	call = send_lock_wait(g, &in, 10);
	assert_int_equal(do_flush(g, 0, 1), 0);
	wait = waits[0];
	wait->block(wait);
	assert_int_equal(do_flush(g, 0, 2), 0);
	assert_int_equal(set_lock(g, 3, F_WRLCK, 0, 9), 0);
	wait->done(wait);
	assert_int_equal(call->completed, 0);
	assert_int_equal(n_waits, 2);
	assert_int_equal(do_flush(g, 0, 3), 0);
	run_wait(1);
	assert_int_equal(call_answer(call).error, 0);
	assert_false(host_can_lock(g, F_WRLCK, 0, 9));
	call_free(call);
}

static void test_deadlocks(void **state)
{
	struct lock_guest *g = *state;
	struct call *calls[3];
	struct fuse_lk_in in;

	/* Owner i has byte i, and waits for the next one's. */
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(set_lock(g, i, F_WRLCK, i, i), 0);
	for (uint64_t i = 0; i < 3; i++) {
		in = lock_in(g->fh[0], i, F_WRLCK, i + 1, i + 1);
		calls[i] = send_lock_wait(g, &in, 10 + i);
		assert_int_equal(calls[i]->completed, 0);
	}
	in = lock_in(g->fh[0], 3, F_WRLCK, 0, 0);
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), -EDEADLK);
	/* Not if it need not wait for those. */
	in = lock_in(g->fh[0], 3, F_WRLCK, 100, 100);
	assert_int_equal(do_lock(g, FUSE_SETLKW, &in), 0);
	for (uint64_t i = 4; i-- > 1;) {
		assert_int_equal(do_flush(g, 0, i), 0);
		run_wait(i - 1);
		assert_int_equal(call_answer(calls[i - 1]).error, 0);
		call_free(calls[i - 1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hostile_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_handles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_more_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_is_the_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_session_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whose_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_is_granted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_ends_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_granted_too_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_granted_and_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadlocks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
