/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtiofsd's options, as far as the service shows them: what is in force, and what is said of what
 * is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"
#include "vhostuser/frontend.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_serves(struct it *it)
{
	struct fuse_entry_out entry;

	it_file(it, "file", "x");
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	it_assert_alive(it->q);
}

static void assert_logged(const struct it *it, const char *text)
{
	char *log = be_read_log(&it->be);

	if (be_log_lines(&it->be, text) != 1)
		fail_msg("the log does not say '%s' once:\n%s", text, log);
	free(log);
}

/* A number out of a line of /proc/PID/status or /proc/PID/limits. */
static unsigned long long proc_number(pid_t pid, const char *file, const char *line, int base)
{
	char path[64], text[256];
	unsigned long long number = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	assert_non_null(f);
	while (!found && fgets(text, sizeof(text), f)) {
		found = strncmp(text, line, strlen(line)) == 0;
		if (found)
			number = strtoull(text + strlen(line), NULL, base);
	}
	fclose(f);
	assert_true(found);
	return number;
}

static bool has_cap(const struct it *it, int cap)
{
	return proc_number(be_service(&it->be), "status", "CapPrm:", 16) >> cap & 1;
}

/* ---- what libvirt of old says ---- */

static struct it_options list = {
	.be = { .socket = BE_FD_LISTENING,
		.extra = ARGS("-o", "cache=none,sandbox=chroot", "--thread-pool-size=16", "-d") },
};

static void old_list(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_logged(it, "sandbox chroot");
	assert_logged(it, "--thread-pool-size 16");
	assert_true(be_log_lines(&it->be, "DEBUG") > 0);
}

static struct it_options not_there = {
	.be = { .extra = ARGS("--sandbox", "namespace", "--seccomp=kill", "--migration-mode",
			"find-paths") },
};

/* Taken, served, and each said not to be in force. */
static void taken_but_not_in_force(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_logged(it, "WARN sandbox: --sandbox namespace");
	assert_logged(it, "WARN sandbox: --seccomp");
	assert_logged(it, "WARN migration: --migration-*");
	assert_logged(it, "sandbox chroot, seccomp none");
}

static struct it_options much = {
	.be = { .cache = "always",
		.extra = ARGS("--timeout", "attr=0.5,dir=2147483647", "--readonly", "--writeback",
			"--xattrmap=:map::user.v.:", "--security-label=auto", "--flock",
			"--request-queues=3", "--rlimit-nofile=999",
			"--modcaps=+sys_admin:-mknod") },
};

static void all_in_force_is_said(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_logged(it, "cache always attr=0.5 dir=2147483647, read-only, writeback, "
			  "xattr mapped, labels where guests know them, locks flock on the host, "
			  "3 request queues, 999 open files");
	if (geteuid() == 0)
		assert_logged(it, ", capabilities +sys_admin -mknod");
}

static struct it_options little = { .be = { .cache = "never", .extra = ARGS("--writeback") } };

static void what_is_not_in_force_is_not_said(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_logged(it, "cache never, no xattr, locks the guest's own, 1 request queue, ");
	assert_int_equal(be_log_lines(&it->be, "capabilities"), 0);
}

/* ---- capabilities, open files ---- */

static struct it_options modcaps = {
	.be = { .extra = ARGS("--modcaps=+sys_admin:-mknod:-CAP_SETFCAP") },
};

static void modcaps_are_applied(void **state)
{
	struct it *it = *state;

	if (geteuid() != 0)
		skip();
	assert_serves(it);
	assert_true(has_cap(it, CAP_SYS_ADMIN));
	assert_true(has_cap(it, CAP_CHOWN));
	assert_false(has_cap(it, CAP_MKNOD));
	assert_false(has_cap(it, CAP_SETFCAP));
	assert_false(has_cap(it, CAP_NET_ADMIN));
}

static struct it_options few_fds = {
	.be = { .prefix = ARGS("sh", "-c", "ulimit -n 256; exec \"$@\"", "sh") },
};

static void below_610_open_files(void **state)
{
	struct it *it = *state;
	struct fuse_open_out open[200];
	struct fuse_entry_out entry;
	unsigned int n = 0;

	assert_serves(it);
	assert_int_equal(
		proc_number(be_service(&it->be), "limits", "Max open files", 10), 256);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	while (n < ARRAY_SIZE(open) && fc_open(it->q, entry.nodeid, O_RDONLY, &open[n]) == 0)
		n++;
	/* So many are enough for work, and then comes an error, no end. */
	assert_in_range(n, 50, 199);
	assert_int_equal(fc_open(it->q, entry.nodeid, O_RDONLY, &open[n]), -ENFILE);
	while (n > 0)
		assert_int_equal(fc_release(it->q, entry.nodeid, open[--n].fh), 0);
	it_assert_alive(it->q);
}

/* Too few to serve anybody: said at once, and by whose word. */
static void too_few_open_files(void **state)
{
	struct it *it = *state;

	assert_int_equal(be_spawn(&it->be, ARGS("--shared-dir=/", "--connect=/nonexistent",
				       "--rlimit-nofile=99")), 0);
	assert_int_equal(be_wait(&it->be, 5000), GW_EXIT_USAGE);
	assert_int_equal(be_log_lines(&it->be, ""), 1);
	assert_int_equal(be_log_lines(&it->be, "the limit is 99 (--rlimit-nofile)"), 1);
}

/* The least that is taken serves a guest that opens what it may, with a word of warning. */
static struct it_options least_fds = { .be = { .extra = ARGS("--rlimit-nofile=100") } };

static void the_least_open_files(void **state)
{
	struct it *it = *state;
	struct fuse_open_out open[10], dir;
	struct fuse_entry_out entry;

	assert_serves(it);
	assert_logged(it, "WARN open files: few: the limit is 100");
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		assert_int_equal(fc_open(it->q, entry.nodeid, O_RDONLY, &open[i]), 0);
	assert_int_equal(fc_opendir(it->q, FUSE_ROOT_ID, &dir), 0);
	it_assert_alive(it->q);
}

static struct it_options limit = { .be = { .extra = ARGS("--rlimit-nofile=777") } };

static void limit_of_open_files(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_int_equal(
		proc_number(be_service(&it->be), "limits", "Max open files", 10), 777);
}

static struct it_options limit_kept = {
	.be = { .extra = ARGS("--rlimit-nofile=0"),
		.prefix = ARGS("sh", "-c", "ulimit -S -n 300; exec \"$@\"", "sh") },
};

static void limit_of_open_files_is_kept(void **state)
{
	struct it *it = *state;

	assert_serves(it);
	assert_int_equal(
		proc_number(be_service(&it->be), "limits", "Max open files", 10), 300);
}

/* ---- file handles ---- */

static int fds_for_100_inodes(struct it *it)
{
	struct fuse_entry_out entry;
	int before = be_fds(&it->be);
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		it_file(it, name, "");
		assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, name, &entry), 0);
		assert_int_equal(fc_getattr(it->q, entry.nodeid, &(struct fuse_attr_out){ 0 }), 0);
	}
	return be_fds(&it->be) - before;
}

static struct it_options never = { .be = { .extra = ARGS("--inode-file-handles=never") } };
static struct it_options mandatory = { .be = { .extra = ARGS("--inode-file-handles=mandatory") } };

static void handles_never(void **state)
{
	assert_true(fds_for_100_inodes(*state) >= 100);
	assert_logged(*state, "file handles not kept");
}

static void handles_mandatory(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_serves(*state);
	assert_logged(*state, "file handles kept");
}

/* ---- the socket's neighbourhood ---- */

/* Runs into an error: its status, and the one sentence. */
static void assert_fails(struct it *it, const char *const *args, int status, const char *text)
{
	assert_int_equal(be_spawn(&it->be, args), 0);
	int r = be_wait(&it->be, 5000);
	char *log = be_read_log(&it->be);

	if (r != status || be_log_lines(&it->be, "") != 1 || !strstr(log, text))
		fail_msg("ended with %d, not %d (wanted '%s'):\n%s", r, status, text, log);
	free(log);
	(void)unlink(it->be.log);
}

static void start(struct it *it, const char *const *args)
{
	assert_int_equal(be_spawn(&it->be, args), 0);
	it_until(be_log_lines(&it->be, "ready") == 1, 5000);
}

static void socket_group(void **state)
{
	struct it *it = *state;
	char dir[160], sock[160];
	struct stat st;

	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	assert_fails(it, ARGS(dir, sock, "--socket-group=no-such-group"), GW_EXIT_SOCKET,
		"there is no group 'no-such-group'");
	assert_int_equal(stat(it->be.sock, &st), -1);
	if (geteuid() != 0)
		skip();

	start(it, ARGS(dir, sock, "--socket-group", "nogroup"));
	assert_int_equal(stat(it->be.sock, &st), 0);
	assert_int_equal(st.st_gid, 65534);
	assert_int_equal(st.st_mode & 07777, 0770);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	(void)unlink(it->be.log);

	start(it, ARGS(dir, sock, "--socket-group", "12345"));
	assert_int_equal(stat(it->be.sock, &st), 0);
	assert_int_equal(st.st_gid, 12345);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	(void)unlink(it->be.log);

	start(it, ARGS(dir, sock));
	assert_int_equal(stat(it->be.sock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(be_stop(&it->be, 3000), 0);
}

static void pid_file(void **state)
{
	struct it *it = *state;
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[160], dir[160], sock[160], text[32] = "";
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s.pid", it->be.sock);
	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	start(it, ARGS(dir, sock));
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_int_equal(atoi(text), it->be.pid);
	assert_non_null(strchr(text, '\n'));
	assert_int_equal(fcntl(fd, F_GETLK, &whole), 0);
	assert_int_equal(whole.l_type, F_WRLCK);
	assert_int_equal(whole.l_pid, it->be.pid);
	close(fd);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(it->be.sock, F_OK), -1);

	/* Nor is one written to that has another name, */
	it_file(it, "victim", "content");
	assert_int_equal(link(it_path(it, "victim"), path), 0);
	(void)unlink(it->be.log);
	start(it, ARGS(dir, sock));
	assert_int_equal(be_log_lines(&it->be, "sock.pid cannot be written"), 1);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	assert_int_equal(stat(it_path(it, "victim"), &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(unlink(path), 0);

	/* and one that is no file is left alone: service goes on. */
	assert_int_equal(mkdir(path, 0700), 0);
	(void)unlink(it->be.log);
	start(it, ARGS(dir, sock));
	assert_int_equal(be_log_lines(&it->be, "sock.pid cannot be written"), 1);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
}

/* A /dev of its own, in which the log is our socket. */
static void system_log(void **state)
{
	static const char script[] = "mount -t tmpfs tmpfs /dev && ln -s \"$1\" /dev/log && "
				     "shift && exec \"$@\"";
	struct it *it = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[160], sock[160], line[1200] = "";
	int logger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ready = false;
	const char *gateway = be_gateway_path;

	if (geteuid() != 0)
		skip();
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/syslog", it->be.root);
	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	assert_int_equal(bind(logger, (struct sockaddr *)&address, sizeof(address)), 0);
	be_gateway_path = "unshare";
	assert_int_equal(be_spawn(&it->be, ARGS("-m", "sh", "-c", script, "sh", address.sun_path,
				       gateway, "--syslog", dir, sock)), 0);
	be_gateway_path = gateway;
	for (int64_t end = it_now_ms() + 5000; !ready && it_now_ms() < end; it_nap()) {
		ssize_t n = recv(logger, line, sizeof(line) - 1, 0);

		if (n > 0)
			line[n] = '\0';
		ready = n > 0 && strstr(line, "virtiofs-gateway[") && strstr(line, "ready");
	}
	assert_true(ready);
	assert_int_equal(be_log_lines(&it->be, ""), 0);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	close(logger);
}

/* What was started ends when the rest is ready, and tells whether it is. */
static void in_the_background(void **state)
{
	struct it *it = *state;
	struct vu_frontend *fe = NULL;
	char path[160], dir[160], sock[160], text[32] = "";
	int fd, pid;

	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	assert_fails(it, ARGS(dir, "--socket-path=/nonexistent/dir/sock", "--daemonize"),
		GW_EXIT_SOCKET, "--socket-path: ");
	assert_fails(it, ARGS("--shared-dir=/no/such", sock, "--daemonize"), GW_EXIT_CONFIG,
		"--shared-dir: ");

	assert_int_equal(be_spawn(&it->be, ARGS(dir, sock, "--daemonize")), 0);
	assert_int_equal(be_wait(&it->be, 10000), 0);
	assert_int_equal(be_log_lines(&it->be, "ready"), 1);
	snprintf(path, sizeof(path), "%s.pid", it->be.sock);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	pid = atoi(text);
	assert_int_equal(getsid(pid), pid);
	assert_int_equal(vu_frontend_connect(it->be.sock, 5000, &fe), 0);
	vu_frontend_free(fe);
	/* The front-end left. */
	it_until(access(path, F_OK) != 0 && access(it->be.sock, F_OK) != 0, 5000);
}

/* As a user that may not open file handles. */
static void mandatory_handles_that_are_not_there(void **state)
{
	struct it *it = *state;
	char dir[160], sock[160];
	const char *gateway = be_gateway_path;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(it->be.root, 0777), 0);
	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	be_gateway_path = "setpriv";
	assert_int_equal(be_spawn(&it->be, ARGS("--reuid=65534", "--regid=65534", "--clear-groups",
				       gateway, dir, sock, "--inode-file-handles=mandatory",
				       "--log-level=error")), 0);
	be_gateway_path = gateway;
	assert_int_equal(be_wait(&it->be, 5000), GW_EXIT_CONFIG);
	assert_int_equal(be_log_lines(&it->be, ""), 1);
	assert_int_equal(be_log_lines(&it->be, "--inode-file-handles=mandatory cannot be kept"), 1);
}


static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(old_list, list),
	IT_TEST_WITH(taken_but_not_in_force, not_there),
	IT_TEST_WITH(modcaps_are_applied, modcaps),
	IT_TEST_WITH(below_610_open_files, few_fds),
	IT_TEST_WITH(limit_of_open_files, limit),
	IT_TEST_WITH(limit_of_open_files_is_kept, limit_kept),
	IT_TEST_WITH(handles_never, never),
	IT_TEST_WITH(handles_mandatory, mandatory),
	IT_TEST_WITH(all_in_force_is_said, much),
	IT_TEST_WITH(what_is_not_in_force_is_not_said, little),
	IT_TEST_WITH(the_least_open_files, least_fds),
	IT_BARE_TEST(too_few_open_files),
	IT_BARE_TEST(socket_group),
	IT_BARE_TEST(pid_file),
	IT_BARE_TEST(system_log),
	IT_BARE_TEST(in_the_background),
	IT_BARE_TEST(mandatory_handles_that_are_not_there),
};

#define OWN "the gateway's log, limits and files"
static const struct it_difference differences[] = {
	{ "old_list", OWN },
	{ "taken_but_not_in_force", OWN },
	{ "modcaps_are_applied", OWN },
	{ "below_610_open_files", OWN },
	{ "all_in_force_is_said", OWN },
	{ "what_is_not_in_force_is_not_said", OWN },
	{ "the_least_open_files", OWN },
	{ "too_few_open_files", OWN },
	{ "limit_of_open_files", OWN },
	{ "limit_of_open_files_is_kept", OWN },
	{ "handles_never", OWN },
	{ "handles_mandatory", OWN },
	{ "socket_group", OWN },
	{ "pid_file", OWN },
	{ "system_log", OWN },
	{ "in_the_background", OWN },
	{ "mandatory_handles_that_are_not_there", OWN },
};

IT_MAIN("drop_in", tests, differences)
