/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes of both sides. Each id is two processes, one on each side, with the same ids,
 * groups and umask. An operation goes to both at once, the next one only after both have answered.
 *
 * The tree is a fresh directory DIR/tN-PID on each side, the processes' root; they start in its
 * directory "r".
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/oracle/me.h"

#define HANG_MS 60000

static const struct who {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	int n_groups;
	gid_t groups[2];
} whos[OR_WHO] = {
	{0, 0, 0022, 0, {0}},
	{1001, 1001, 0002, 2, {1001, 1003}},
	{1002, 1002, 0077, 1, {1002, 0}},
	{0, 0, 0000, 0, {0}},
	{1001, 1001, 0022, 1, {1001, 0}},
};

struct shared {
	struct or_op op;
	struct or_result results[2][OR_WHO];
	pid_t pids[2][OR_WHO];
};

struct or_team {
	char name[64];
	int dir[2], root[2];
	int channels[2][OR_WHO];
	struct shared *shared;
	const struct or_options *options;
	int injections;
};

static void become(const struct who *who)
{
	umask(who->umask);
	if (setgroups((size_t)who->n_groups, who->groups) < 0 ||
		setresgid(who->gid, who->gid, who->gid) < 0 ||
		setresuid(who->uid, who->uid, who->uid) < 0) {
		perror("oracle: cannot become another user; it must be root");
		_exit(2);
	}
}

static void child(struct or_team *team, enum or_side side, int who, int channel)
{
	struct or_me *me = calloc(1, sizeof(*me));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2 * OR_WHO; i++)
		if (team->channels[i / OR_WHO][i % OR_WHO] >= 0)
			close(team->channels[i / OR_WHO][i % OR_WHO]);
	if (!me)
		_exit(2);
	me->who = who;
	me->side = side;
	me->fuse = team->options->fuse;
	me->writeback = team->options->writeback;
	me->privileged = team->options->privileged;
	me->mapped = team->options->mapped;
	me->kills = team->options->kills;
	me->pids = team->shared->pids[side];
	me->proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fchdir(team->root[side]) < 0 || chroot(".") < 0 || chdir("/r") < 0) {
		perror("oracle: cannot enter the tree");
		_exit(2);
	}
	me->home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	become(&whos[who]);
	or_worker(me, channel, &team->shared->op, &team->shared->results[side][who]);
	_exit(0);
}

static int make_root(struct or_team *team, enum or_side side)
{
	int dir = open(team->options->dir[side], O_RDONLY | O_DIRECTORY | O_CLOEXEC), root;

	team->dir[side] = dir;
	umask(0);
	if (dir < 0 || mkdirat(dir, team->name, 0755) < 0)
		return -1;
	root = openat(dir, team->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	team->root[side] = root;
	return root < 0 || mkdirat(root, "r", 0777) < 0 ? -1 : 0;
}

static int start_one(struct or_team *team, enum or_side side, int who)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		child(team, side, who, pair[1]);
	}
	close(pair[1]);
	team->channels[side][who] = pair[0];
	team->shared->pids[side][who] = pid;
	return pid < 0 ? -1 : 0;
}

struct or_team *or_team_start(const struct or_options *o, int number)
{
	struct or_team *team = calloc(1, sizeof(*team));

	if (!team)
		return NULL;
	team->options = o;
	memset(team->channels, 0xff, sizeof(team->channels));
	snprintf(team->name, sizeof(team->name), "t%d-%d", number, getpid());
	team->shared = mmap(NULL, sizeof(*team->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (team->shared == MAP_FAILED)
		return NULL;
	for (int side = 0; side < 2; side++) {
		if (make_root(team, side) < 0) {
			fprintf(stderr, "oracle: %s: %s\n", o->dir[side], strerror(errno));
			return NULL;
		}
		for (int who = 0; who < OR_WHO; who++)
			if (start_one(team, side, who) < 0)
				return NULL;
	}
	return team;
}

/* Removes what is below, of this one file system and by no link. */
static void empty(int dir)
{
	char *names = or_names(dir);

	for (char *name = names; *name; name += strlen(name) + 1) {
		int sub;

		if (unlinkat(dir, name, 0) == 0)
			continue;
		sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0) {
			empty(sub);
			close(sub);
		}
		if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
			fprintf(stderr, "oracle: cannot remove %.40s: %s\n", name,
				strerror(errno));
	}
	free(names);
}

void or_team_stop(struct or_team *team)
{
	for (int i = 0; i < 2 * OR_WHO; i++) {
		int side = i / OR_WHO, who = i % OR_WHO;

		close(team->channels[side][who]);
		kill(team->shared->pids[side][who], SIGKILL);
		waitpid(team->shared->pids[side][who], NULL, 0);
	}
	for (int side = 0; side < 2; side++) {
		empty(team->root[side]);
		close(team->root[side]);
		if (unlinkat(team->dir[side], team->name, AT_REMOVEDIR) < 0)
			fprintf(stderr, "oracle: cannot remove %s/%s: %s\n",
				team->options->dir[side], team->name, strerror(errno));
		close(team->dir[side]);
	}
	munmap(team->shared, sizeof(*team->shared));
	free(team);
}

static int answer(int channel)
{
	struct pollfd ready = {.fd = channel, .events = POLLIN};
	char byte;

	if (poll(&ready, 1, HANG_MS) != 1)
		return -ETIMEDOUT;
	return read(channel, &byte, 1) == 1 ? 0 : -EPIPE;
}

/* --inject KIND: on B its fifth run gives another result; skip:KIND: is not run there. */
static bool injected(struct or_team *team, const struct or_op *op, bool skip)
{
	const char *kind = team->options->inject;

	if (!kind || (strncmp(kind, "skip:", 5) == 0) != skip)
		return false;
	return strcmp(kind + (skip ? 5 : 0), or_kinds[op->kind].name) == 0 &&
		++team->injections >= 5;
}

int or_team_run(struct or_team *team, const struct or_op *op, const struct or_result *res[2])
{
	bool skip = injected(team, op, true);
	int r = 0;

	team->shared->op = *op;
	for (int side = 0; side < 2; side++) {
		res[side] = &team->shared->results[side][op->who];
		if (write(team->channels[side][op->who], skip && side == OR_B ? "s" : "r", 1) != 1)
			r = -1;
	}
	for (int side = 0; side < 2; side++) {
		struct or_result *result = &team->shared->results[side][op->who];
		int s = answer(team->channels[side][op->who]);

		if (s < 0) {
			*result = (struct or_result){.ret = -1, .err = -s};
			or_say(result, s == -EPIPE ? "the process died" : "the process hangs");
			r = -1;
		}
	}
	if (skip)
		team->shared->results[OR_B][op->who] = team->shared->results[OR_A][op->who];
	if (injected(team, op, false))
		team->shared->results[OR_B][op->who].ret += 1;
	return r;
}

int or_team_root(const struct or_team *team, enum or_side side)
{
	return team->root[side];
}

const char *or_team_name(const struct or_team *team)
{
	return team->name;
}
