/* SPDX-License-Identifier: BSD-3-Clause */
/* User namespaces: when one is made, what is mapped, who one is in it. */
#include "gateway/userns.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/options.h"
#include "vhostuser/checked.h"

static struct gw_options options;

static void map_ids(struct gw_idmap *map, uint32_t inside, uint32_t outside, uint32_t count)
{
	map->ranges[map->n++] = (struct gw_idrange){inside, outside, count};
}

static void test_wanted(void **state)
{
	bool root = geteuid() == 0;

	options = (struct gw_options){.sandbox = GW_SANDBOX_AUTO};
	assert_false(gw_userns_wanted(&options));
	options.sandbox = GW_SANDBOX_NAMESPACE;
	assert_int_equal(gw_userns_wanted(&options), !root);
	options.sandbox = GW_SANDBOX_NONE;
	assert_false(gw_userns_wanted(&options));
	map_ids(&options.gid_map, 0, 0, 1);
	assert_true(gw_userns_wanted(&options));
}

/* True when the file's first line of numbers is this. */
static bool maps(const char *path, unsigned int inside, unsigned int outside, unsigned int count)
{
	FILE *file = fopen(path, "re");
	unsigned int a, b, c;
	bool same = file && fscanf(file, "%u %u %u", &a, &b, &c) == 3 && a == inside &&
		    b == outside && c == count;

	if (file)
		fclose(file);
	return same;
}

/* Runs in a process of its own, as `uid`; its exit status. */
static int in_child(int (*run)(void), uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (uid && (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
			_exit(100);
		/* As if it were started by that user: else its /proc files are root's. */
		prctl(PR_SET_DUMPABLE, 1);
		_exit(run());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int enter_own(void)
{
	bool one_uid = false, one_gid = false;

	options = (struct gw_options){.sandbox = GW_SANDBOX_NAMESPACE};
	if (gw_userns_enter(&options))
		return 1;
	gw_userns_count(&one_uid, &one_gid);
	if (!one_uid || !one_gid || geteuid() != 65534 || getegid() != 65534)
		return 2;
	return maps("/proc/self/uid_map", 65534, 65534, 1) ? 0 : 3;
}

static int enter_as_root(void)
{
	options = (struct gw_options){.sandbox = GW_SANDBOX_NONE};
	map_ids(&options.uid_map, 0, 65534, 1);
	if (gw_userns_enter(&options))
		return 1;
	if (geteuid() != 0 || getegid() != 65534)
		return 2;
	return maps("/proc/self/gid_map", 65534, 65534, 1) ? 0 : 3;
}

static int enter_foreign(void)
{
	options = (struct gw_options){.sandbox = GW_SANDBOX_NONE};
	map_ids(&options.uid_map, 0, 300000, 10);
	return gw_userns_enter(&options) < 0 ? 0 : 1;
}

/* By root every map goes; several lines, and the first user is no root. */
static int enter_by_root(void)
{
	bool one_uid = true, one_gid = true;

	options = (struct gw_options){.sandbox = GW_SANDBOX_NONE};
	map_ids(&options.uid_map, 5, 300000, 10);
	map_ids(&options.uid_map, 100, 400000, 10);
	map_ids(&options.gid_map, 0, 300000, 10);
	if (gw_userns_enter(&options))
		return 1;
	gw_userns_count(&one_uid, &one_gid);
	/* Not root inside: whatever the map has, files cannot be given to others. */
	if (geteuid() != 5 || getegid() != 0 || !one_uid || !one_gid)
		return 2;
	return maps("/proc/self/uid_map", 5, 300000, 10) ? 0 : 3;
}

static int count_here(void)
{
	bool one_uid = false, one_gid = false;

	gw_userns_count(&one_uid, &one_gid);
	return one_uid + 2 * one_gid;
}

static void test_enter(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(enter_own, 65534), 0);
	assert_int_equal(in_child(enter_as_root, 65534), 0);
	assert_int_equal(in_child(enter_foreign, 65534), 0);
	assert_int_equal(in_child(enter_by_root, 0), 0);
	assert_int_equal(in_child(count_here, 0), 0);
	assert_int_equal(in_child(count_here, 65534), 3);
}

/* Of root, seen from a user namespace that has one other user. */
static int roots_socket[2];

static int look_at_peers(void)
{
	int own[2];

	options = (struct gw_options){.sandbox = GW_SANDBOX_NAMESPACE};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, own) || !gw_userns_has_peer(roots_socket[0]))
		return 1;
	if (gw_userns_enter(&options) || !gw_userns_is_partial())
		return 2;
	if (gw_userns_has_peer(roots_socket[0]))
		return 3;
	return gw_userns_has_peer(own[0]) && !gw_userns_has_peer(-1) ? 0 : 4;
}

static void test_peers(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(gw_userns_is_partial(), !maps("/proc/self/uid_map", 0, 0, UINT32_MAX));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, roots_socket), 0);
	assert_int_equal(in_child(look_at_peers, 4242), 0);
	close(roots_socket[0]);
	close(roots_socket[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
