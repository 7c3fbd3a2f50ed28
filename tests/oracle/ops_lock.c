/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on locks. Those that wait are interrupted after a while: nobody can come to unlock. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>

/* How long to wait; again and again, as it may end before the waiting begins. */
#define WAIT_US 50000

static struct flock asked(const struct or_op *op, const struct or_kind *kind)
{
	return (struct flock){
		.l_type = (short)kind->arg, .l_whence = SEEK_SET, .l_start = op->a, .l_len = op->b};
}

/* Whose lock it is: the number of the process among ours. */
static int owner(const struct or_me *me, pid_t pid)
{
	for (int i = 0; i < OR_WHO; i++)
		if (me->pids[i] == pid)
			return i;
	return pid == -1 ? -1 : 99;
}

static void on_alarm(int signal)
{
}

static void limit(bool on)
{
	struct itimerval timer = {{0, on ? WAIT_US : 0}, {0, on ? WAIT_US : 0}};
	struct sigaction action = {.sa_handler = on ? on_alarm : SIG_IGN}; /* no SA_RESTART */

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void lock(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res, int command)
{
	struct flock l = asked(op, kind);

	limit(kind->arg2);
	or_done(res, fcntl(me->fds[op->slot], command, &l));
	limit(false);
}

static void ask(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res, int command)
{
	struct flock l = asked(op, kind);

	if (!or_done(res, fcntl(me->fds[op->slot], command, &l)))
		return;
	or_say(res, "type=%d", l.l_type);
	if (l.l_type != F_UNLCK)
		or_say(res, "range=%lld+%lld owner=%d", (long long)l.l_start, (long long)l.l_len,
			owner(me, l.l_pid));
}

void or_posix_lock(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	lock(me, op, kind, res, kind->arg2 ? F_SETLKW : F_SETLK);
}

void or_posix_getlk(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	ask(me, op, kind, res, F_GETLK);
}

void or_ofd_lock(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	lock(me, op, kind, res, kind->arg2 ? F_OFD_SETLKW : F_OFD_SETLK);
}

void or_ofd_getlk(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	ask(me, op, kind, res, F_OFD_GETLK);
}

void or_flock(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	limit(kind->arg2);
	or_done(res, flock(me->fds[op->slot], (int)kind->arg | (kind->arg2 ? 0 : LOCK_NB)));
	limit(false);
}
