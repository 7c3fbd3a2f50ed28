/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A user namespace for the service.
 *
 * Theory of operation. Someone who is not root may make a user namespace, and have in it all rights
 * over what its ids reach. Which those are is written once to /proc/PID/{uid,gid}_map. A process
 * may write there for itself one line: its own id. Everything else takes rights outside of the
 * namespace: root's, or those of newuidmap(1) and newgidmap(1), which give what /etc/subuid and
 * /etc/subgid grant. So a helper is forked before the namespace is made, stays outside, and writes
 * the maps when it is told that the namespace exists; its exit status says whether that worked.
 */
#include "gateway/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/cred.h"
#include "gateway/options.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* Room for the longest map as text. */
#define MAP_TEXT (GW_IDMAP_MAX * 36)

/* How the kernel calls an id that the namespace does not have, if nobody configured another. */
#define NOBODY 65534

/* One of the two kinds of id. */
struct side {
	const struct gw_idmap *map;
	struct gw_idmap own;       /* one to one, when there is no map */
	uint32_t self;             /* the effective id */
	const char *file, *helper; /* of /proc/PID; the program that may write it */
};

bool gw_userns_wanted(const struct gw_options *options)
{
	return options->uid_map.n || options->gid_map.n ||
	       (options->sandbox == GW_SANDBOX_NAMESPACE && geteuid() != 0);
}

/* What a process may write for itself. */
static bool is_trivial(const struct side *side)
{
	return side->map->n == 1 && side->map->ranges[0].count == 1 &&
	       side->map->ranges[0].outside == side->self;
}

static int write_file(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

static int write_map(const char *pid, const struct side *side)
{
	char path[64], *text = malloc(MAP_TEXT);
	size_t len = 0;
	int r;

	if (!text)
		return -ENOMEM;
	text[0] = '\0';
	for (unsigned int i = 0; i < side->map->n; i++) {
		const struct gw_idrange *range = &side->map->ranges[i];

		len += (size_t)snprintf(text + len, MAP_TEXT - len, "%u %u %u\n", range->inside,
			range->outside, range->count);
	}
	snprintf(path, sizeof(path), "/proc/%s/%s", pid, side->file);
	r = write_file(path, text);
	free(text);
	return r;
}

/* newuidmap PID INSIDE OUTSIDE COUNT...; returns when it cannot be run. It speaks for itself. */
static void exec_helper(const char *pid, const struct side *side)
{
	size_t n = 2 + 3 * (size_t)side->map->n;
	char **argv = calloc(n + 1, sizeof(*argv));
	char *numbers = malloc(n * 12);

	if (!argv || !numbers)
		return;
	argv[0] = (char *)(uintptr_t)side->helper;
	argv[1] = (char *)(uintptr_t)pid;
	for (size_t i = 2; i < n; i++) {
		const struct gw_idrange *range = &side->map->ranges[(i - 2) / 3];
		const uint32_t parts[] = {range->inside, range->outside, range->count};

		argv[i] = numbers + 12 * i;
		snprintf(argv[i], 12, "%u", parts[(i - 2) % 3]);
	}
	execvp(argv[0], argv);
	log_error("user namespace",
		"%s cannot be run (%s): it writes the map; Debian's package 'uidmap' has it",
		side->helper, strerrordesc_np(errno));
}

static bool run_helper(const char *pid, const struct side *side)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		exec_helper(pid, side);
		_exit(1);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The helper: waits for the namespace of `pid`, writes the maps that are not trivial; a status. */
static int help(pid_t pid, int go, struct side *sides, size_t n)
{
	bool good = true;
	char name[16], byte;

	snprintf(name, sizeof(name), "%d", (int)pid);
	if (read(go, &byte, 1) != 1)
		return 1;
	for (size_t i = 0; i < n && good; i++) {
		if (is_trivial(&sides[i]))
			continue;
		if (geteuid() != 0) {
			good = run_helper(name, &sides[i]);
			continue;
		}
		good = write_map(name, &sides[i]) == 0;
	}
	return good ? 0 : 1;
}

/* Forks the helper; *go is where it waits for a byte. -errno. */
static pid_t start_helper(struct side *sides, size_t n, int *go)
{
	pid_t self = getpid(), helper;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	helper = fork();
	if (helper == 0) {
		close(ends[1]);
		_exit(help(self, ends[0], sides, n));
	}
	close(ends[0]);
	*go = ends[1];
	if (helper < 0)
		fd_close(go);
	return helper < 0 ? -errno : helper;
}

/* Has the helper do its work and ends it. */
static int ask_helper(pid_t helper, int *go)
{
	int status = 0;
	bool told = write(*go, "", 1) == 1;

	fd_close(go);
	while (waitpid(helper, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (told && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_error("user namespace", "its ids cannot be mapped as --uid-map and --gid-map say: "
				    "see /etc/subuid and /etc/subgid, or leave the maps out");
	return -EPERM;
}

/* A group map of one's own takes giving up setgroups. */
static int write_own_maps(const struct side *sides, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!is_trivial(&sides[i]))
			continue;
		if (strcmp(sides[i].file, "gid_map") == 0)
			(void)write_file("/proc/self/setgroups", "deny");
		r = write_map("self", &sides[i]);
		if (r)
			log_error("user namespace", "--uid-map, --gid-map: %s: %s", sides[i].file,
				strerrordesc_np(-r));
	}
	return r;
}

/* The id to go on with: root's, else the first that there is. */
static uint32_t id_inside(const struct gw_idmap *map)
{
	for (unsigned int i = 0; i < map->n; i++) {
		if (map->ranges[i].inside == 0)
			return 0;
	}
	return map->ranges[0].inside;
}

static int become(const struct side *sides)
{
	uint32_t uid = id_inside(sides[0].map), gid = id_inside(sides[1].map);

	if (setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0)
		return 0;
	log_error("user namespace", "cannot become user %u and group %u: %s", uid, gid,
		strerrordesc_np(errno));
	return -errno;
}

static void own_map(struct side *side)
{
	if (side->map->n)
		return;
	side->own.n = 1;
	side->own.ranges[0] = (struct gw_idrange){side->self, side->self, 1};
	side->map = &side->own;
}

int gw_userns_enter(const struct gw_options *options)
{
	static struct side sides[2];
	pid_t helper;
	int go = -1, r;

	if (!gw_userns_wanted(options))
		return 0;
	sides[0] = (struct side){&options->uid_map, {0}, geteuid(), "uid_map", "newuidmap"};
	sides[1] = (struct side){&options->gid_map, {0}, getegid(), "gid_map", "newgidmap"};
	own_map(&sides[0]);
	own_map(&sides[1]);
	helper = start_helper(sides, 2, &go);
	r = helper < 0 ? helper : 0;
	if (r == 0 && unshare(CLONE_NEWUSER) != 0)
		r = -errno;
	if (r) {
		log_error("user namespace",
			"cannot be made: %s; --sandbox none without maps needs none",
			strerrordesc_np(-r));
		fd_close(&go); /* the helper's end, too */
		return r;
	}
	r = ask_helper(helper, &go);
	if (r == 0)
		r = write_own_maps(sides, 2);
	return r ? r : become(sides);
}

/* How many ids the map in this file of /proc has. */
static unsigned long long count_ids(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long inside, outside, count, all = 0;

	while (file && fscanf(file, "%llu %llu %llu", &inside, &outside, &count) == 3)
		all += count;
	if (file)
		fclose(file);
	return all;
}

void gw_userns_count(bool *one_uid, bool *one_gid)
{
	bool able = fs_cred_usable();

	*one_uid = !able || count_ids("/proc/self/uid_map") == 1;
	*one_gid = !able || count_ids("/proc/self/gid_map") == 1;
}

bool gw_userns_is_partial(void)
{
	/* The last one is none. */
	return count_ids("/proc/self/uid_map") < UINT32_MAX ||
	       count_ids("/proc/self/gid_map") < UINT32_MAX;
}

bool gw_userns_has_peer(int socket)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid != NOBODY && peer.gid != NOBODY;
}
