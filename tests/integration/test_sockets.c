/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets in both directions, the service's end, and what a user gets wrong: each mistake is one
 * helpful sentence and the documented exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"
#include "vhostuser/socket.h"

#define END_BOUND_MS 1000

static void serves(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	it_file(it, "file", "x");
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	it_assert_alive(it->q);
}

static struct it_options path = { .be = { .socket = BE_SOCKET_PATH } };
static struct it_options fd_listening = { .be = { .socket = BE_FD_LISTENING } };
static struct it_options fd_connected = { .be = { .socket = BE_FD_CONNECTED } };
static struct it_options connecting = { .be = { .socket = BE_CONNECT } };

static void pair_listens_on_path(void **state)
{
	serves(state);
}

static void pair_listens_on_fd(void **state)
{
	serves(state);
}

static void pair_connected_fd(void **state)
{
	serves(state);
}

static void pair_connects(void **state)
{
	serves(state);
}

/* ---- the end ---- */

static bool socket_exists(const struct it *it)
{
	return access(it->be.sock, F_OK) == 0;
}

static void assert_ends(struct it *it, int signo)
{
	int64_t before = it_now_ms();

	assert_int_equal(be_signal(&it->be, signo), 0);
	assert_int_equal(be_wait(&it->be, 3 * END_BOUND_MS), 0);
	assert_true(it_now_ms() - before <= END_BOUND_MS);
	assert_false(socket_exists(it));
}

static struct it_options alone = { .no_client = true };
static struct it_options keep = { .be = { .keep_listening = true } };
static struct it_options keep_alone = { .be = { .keep_listening = true }, .no_client = true };
static struct it_options keep_connecting = {
	.be = { .keep_listening = true, .socket = BE_CONNECT },
};

static void sigterm_before_anybody_came(void **state)
{
	struct it *it = *state;

	it_until(socket_exists(it), 5000);
	it_until(be_log_lines(&it->be, "ready") == 1, 5000);
	assert_ends(it, SIGTERM);
}

static void sigterm_in_service(void **state)
{
	assert_ends(*state, SIGTERM);
}

static void sigint_in_service(void **state)
{
	assert_ends(*state, SIGINT);
}

/* Whose terminal was closed. */
static void sighup_in_service(void **state)
{
	assert_ends(*state, SIGHUP);
}

static struct it_options below_nohup = {
	.be = { .prefix = (const char *const[]){ "nohup", NULL } } };

static void nohup_has_it_stay(void **state)
{
	struct it *it = *state;

	assert_int_equal(be_signal(&it->be, SIGHUP), 0);
	assert_int_equal(kill(be_service(&it->be), SIGHUP), 0);
	assert_int_equal(be_wait(&it->be, 300), -ETIMEDOUT);
	it_assert_alive(it->q);
}

/* Who connects to a gateway that serves another gets no answer: the log says why, once. */
static void a_second_front_end_is_said(void **state)
{
	struct it *it = *state;
	int first, second;

	assert_int_equal(be_log_lines(&it->be, "another one waits"), 0);
	assert_int_equal(vu_socket_connect(it->be.sock, &first), 0);
	it_until(be_log_lines(&it->be, "WARN front-end: another one waits") == 1, 3000);
	assert_int_equal(vu_socket_connect(it->be.sock, &second), 0);
	it_assert_alive(it->q);
	assert_int_equal(be_log_lines(&it->be, "another one waits"), 1);
	close(first);
	close(second);
}

static void sigterm_while_retrying(void **state)
{
	struct it *it = *state;

	it_until(be_log_lines(&it->be, "ready") == 1, 5000);
	assert_ends(it, SIGTERM);
}

static struct it_options retrying = { .be = { .socket = BE_CONNECT }, .no_client = true };

static void front_end_leaves(void **state)
{
	struct it *it = *state;

	it_disconnect(it);
	assert_int_equal(be_wait(&it->be, 3000), 0);
	assert_false(socket_exists(it));
}

/* Whoever kills the one that was started leaves nobody behind. */
static void sigkill_leaves_no_process(void **state)
{
	struct it *it = *state;
	pid_t service = be_service(&it->be);

	assert_true(service > 0);
	assert_int_equal(be_signal(&it->be, SIGKILL), 0);
	assert_int_equal(be_wait(&it->be, 3000), 1000 + SIGKILL);
	it_until(kill(service, 0) < 0 && errno == ESRCH, 3000);
}

/* The service dies: the one that waits for it says so, and says it by its status. */
static void a_killed_service_is_reported(void **state)
{
	struct it *it = *state;

	assert_int_equal(kill(be_service(&it->be), SIGKILL), 0);
	assert_int_equal(be_wait(&it->be, 3000), GW_EXIT_INTERNAL);
	assert_int_equal(be_log_lines(&it->be, "ERROR"), 1);
	assert_false(socket_exists(it));
}

static struct it_options killed = { .expect_exit = GW_EXIT_INTERNAL };
static struct it_options any_exit = { .bad_exit_fine = true };

/* ---- one after the other ---- */

static void hundred_connects(void **state)
{
	struct it *it = *state;
	int fds;

	it_disconnect(it);
	it_connect(it, NULL);
	fds = be_fds(&it->be);
	for (int i = 0; i < 100; i++) {
		it_disconnect(it);
		it_connect(it, NULL);
		if (i % 10 == 0) {
			assert_int_equal(fc_mount(it->q, NULL), 0);
			it_assert_alive(it->q);
		}
	}
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

/* Connects and hangs up without a word. */
static void hundred_silent_connects(void **state)
{
	struct it *it = *state;

	for (int i = 0; i < 100; i++)
		vu_frontend_free(it_frontend(it));
	it_connect(it, NULL);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	assert_int_equal(be_log_lines(&it->be, "ERROR"), 0);
}

/* The second waits its turn. */
static void second_front_end_waits(void **state)
{
	struct it *it = *state;
	struct vu_frontend *second;
	struct fc *fc;

	assert_int_equal(vu_frontend_connect(it->be.sock, 1000, &second), 0);
	vu_frontend_set_timeout(second, 200);
	uint64_t features;
	assert_int_equal(vu_frontend_get_u64(second, VU_GET_FEATURES, &features), -ETIMEDOUT);
	it_assert_alive(it->q);
	vu_frontend_free(second);
	assert_int_equal(vu_frontend_connect(it->be.sock, 1000, &second), 0);
	it_disconnect(it);
	assert_int_equal(fc_new(second, NULL, &fc), 0);
	it->fc = fc;
	it->q = &fc->queue[1];
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
}

static void reconnects_to_a_front_end(void **state)
{
	struct it *it = *state;

	for (int i = 0; i < 3; i++) {
		it_disconnect(it);
		it_connect(it, NULL);
		assert_int_equal(fc_mount(it->q, NULL), 0);
		it_assert_alive(it->q);
	}
}

/* ---- mistakes ---- */

/* The scratch directory of a test that runs the program by itself. */
static int bare_setup(void **state)
{
	struct be *be = calloc(1, sizeof(*be));

	assert_non_null(be);
	alarm(IT_TIME_LIMIT);
	*state = be;
	return be_scratch(be);
}

static int bare_teardown(void **state)
{
	be_free(*state);
	free(*state);
	alarm(0);
	return 0;
}

#define ARGS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

/* It ends with this status after saying one sentence with `text` in it. */
static void assert_mistake(struct be *be, const char *const *args, int status, const char *text)
{
	int lines = be_log_lines(be, "");

	assert_int_equal(be_spawn(be, args), 0);
	int r = be_wait(be, 5000);
	char *log = be_read_log(be);
	if (r != status || be_log_lines(be, "") != lines + 1 || !strstr(log, text))
		fail_msg("%s ...: ended with %d, not %d (wanted '%s'):\n%s", args[0], r, status,
			text, log);
	free(log);
	(void)unlink(be->log);
}

static char *option(char *buffer, const char *name, const char *value)
{
	sprintf(buffer, "--%s=%s", name, value);
	return buffer;
}

static void usage_mistakes(void **state)
{
	struct be *be = *state;
	char dir[256], sock[256];

	option(dir, "shared-dir", be->share);
	option(sock, "socket-path", be->sock);
	assert_mistake(be, ARGS(dir, sock, "--frobnicate"), GW_EXIT_USAGE, "frobnicate");
	assert_mistake(be, ARGS(dir, sock, "extra"), GW_EXIT_USAGE, "extra");
	assert_mistake(be, ARGS(sock), GW_EXIT_USAGE, "shared-dir");
	assert_mistake(be, ARGS(dir), GW_EXIT_USAGE, "socket-path");
	assert_mistake(be, ARGS(dir, sock, "--fd=3"), GW_EXIT_USAGE, "one of");
	assert_mistake(be, ARGS(dir, sock, "--cache=sometimes"), GW_EXIT_USAGE, "sometimes");
	assert_mistake(be, ARGS(dir, sock, "--request-queues=0"), GW_EXIT_USAGE, "request-queues");
	assert_mistake(be, ARGS(dir, sock, "--request-queues=65"), GW_EXIT_USAGE, "request-queues");
	assert_mistake(be, ARGS(dir, sock, "--tag=0123456789012345678901234567890123456"),
		GW_EXIT_USAGE, "tag");
	assert_mistake(be, ARGS(dir, sock, "--sandbox"), GW_EXIT_USAGE, "sandbox");
	assert_true(access(be->sock, F_OK) < 0);
}

static void directory_mistakes(void **state)
{
	struct be *be = *state;
	char dir[256], sock[256];

	option(sock, "socket-path", be->sock);
	assert_mistake(be, ARGS("--shared-dir=/nonexistent/dir", sock), GW_EXIT_CONFIG,
		"--shared-dir: there is no directory '/nonexistent/dir'");
	option(dir, "shared-dir", "/etc/passwd");
	assert_mistake(be, ARGS(dir, sock), GW_EXIT_CONFIG,
		"--shared-dir: '/etc/passwd' is not a directory");
	assert_true(access(be->sock, F_OK) < 0);
}

static void socket_mistakes(void **state)
{
	struct be *be = *state;
	char dir[256], sock[256], text[200];

	option(dir, "shared-dir", be->share);
	memset(text, 's', sizeof(text));
	text[0] = '/';
	text[150] = '\0';
	assert_mistake(be, ARGS(dir, option(sock, "socket-path", text)), GW_EXIT_SOCKET,
		"--socket-path: the path is too long");
	assert_mistake(be, ARGS(dir, "--socket-path=/nonexistent/dir/sock"), GW_EXIT_SOCKET,
		"--socket-path: ");
	/* What is there and is no socket is not touched. */
	sprintf(text, "%s/file", be->root);
	close(open(text, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_mistake(
		be, ARGS(dir, option(sock, "socket-path", text)), GW_EXIT_SOCKET, "not a socket");
	assert_int_equal(access(text, F_OK), 0);
	assert_mistake(be, ARGS(dir, "--fd=77"), GW_EXIT_SOCKET, "--fd: fd 77");
	assert_mistake(be, ARGS(dir, "--fd=0"), GW_EXIT_SOCKET, "--fd: fd 0 is not");
	assert_mistake(
		be, ARGS(dir, "--connect=/nonexistent/dir/sock"), GW_EXIT_SOCKET, "--connect: ");
	memset(text, 's', 120);
	text[120] = '\0';
	assert_mistake(be, ARGS(dir, option(sock, "connect", text)), GW_EXIT_SOCKET,
		"--connect: the name is too long");
	assert_mistake(be, ARGS(dir, "--connect=/tmp/"), GW_EXIT_SOCKET, "--connect: ");
}

static int listen_at(const char *at)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.107s", at);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void socket_in_use_and_left_over(void **state)
{
	struct be *be = *state;
	char dir[256], sock[256];
	struct vu_frontend *fe;
	struct stat before, after;
	uint64_t features;

	option(dir, "shared-dir", be->share);
	option(sock, "socket-path", be->sock);
	int fd = listen_at(be->sock);
	assert_int_equal(stat(be->sock, &before), 0);
	assert_mistake(be, ARGS(dir, sock), GW_EXIT_SOCKET, "in use");
	assert_int_equal(stat(be->sock, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	/* Its owner is gone, the file is still there: it is replaced. */
	close(fd);
	assert_int_equal(be_spawn(be, ARGS(dir, sock)), 0);
	assert_int_equal(vu_frontend_connect(be->sock, 5000, &fe), 0);
	assert_int_equal(vu_frontend_get_u64(fe, VU_GET_FEATURES, &features), 0);
	vu_frontend_free(fe);
	assert_int_equal(be_wait(be, 3000), 0);
	assert_true(access(be->sock, F_OK) < 0);
}

/* A newer service's socket under the same name is not ours to remove. */
static void a_foreign_socket_is_not_removed(void **state)
{
	struct it *it = *state;
	struct stat st;

	assert_int_equal(unlink(it->be.sock), 0);
	int fd = listen_at(it->be.sock);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	assert_int_equal(stat(it->be.sock, &st), 0);
	close(fd);
}

static void socket_is_private(void **state)
{
	struct it *it = *state;
	struct stat st;

	assert_int_equal(stat(it->be.sock, &st), 0);
	assert_int_equal(st.st_mode & 0077, 0);
}

/* As an ordinary user, without rights on the directory. */
static void no_permission(void **state)
{
	struct be *be = *state;
	char dir[256], sock[256];
	pid_t pid;
	int status;

	option(dir, "shared-dir", be->share);
	option(sock, "socket-path", be->sock);
	assert_int_equal(chmod(be->share, 0700), 0);
	assert_int_equal(chmod(be->root, 0777), 0);
	pid = fork();
	if (pid == 0) {
		int log = open(be->log, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);

		dup2(log, 2);
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(99);
		execl(be_gateway_path, be_gateway_path, dir, sock, (char *)NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 98)
		skip(); /* the program is not reachable for other users */
	assert_int_equal(WEXITSTATUS(status), GW_EXIT_CONFIG);
	assert_int_equal(be_log_lines(be, "ermission"), 1);
	assert_int_equal(be_log_lines(be, ""), 1);
}

static void prints_and_exits(void **state)
{
	struct be *be = *state;
	static const struct {
		const char *option, *text;
	} cases[] = {
		{ "--help", "--shared-dir" },
		{ "--version", "virtiofs-gateway" },
		{ "--print-capabilities", "\"type\": \"fs\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(be_spawn(be, ARGS(cases[i].option)), 0);
		assert_int_equal(be_wait(be, 3000), 0);
		assert_true(be_log_lines(be, cases[i].text) >= 1);
		(void)unlink(be->log);
	}
	/* Management tools ask with all kinds of things around it. */
	assert_int_equal(be_spawn(be, ARGS("--bogus", "--print-capabilities", "x")), 0);
	assert_int_equal(be_wait(be, 3000), 0);
}

#define BARE_TEST(fn) { #fn, fn, bare_setup, bare_teardown, NULL }

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(pair_listens_on_path, path),
	IT_TEST_WITH(pair_listens_on_fd, fd_listening),
	IT_TEST_WITH(pair_connected_fd, fd_connected),
	IT_TEST_WITH(pair_connects, connecting),
	IT_TEST_WITH(sigterm_before_anybody_came, alone),
	IT_TEST(sigterm_in_service),
	IT_TEST(sigint_in_service),
	IT_TEST(sighup_in_service),
	IT_TEST_WITH(a_second_front_end_is_said, path),
	IT_TEST_WITH(nohup_has_it_stay, below_nohup),
	IT_TEST_WITH(sigterm_in_service, keep),
	IT_TEST_WITH(sigterm_while_retrying, retrying),
	IT_TEST(front_end_leaves),
	IT_TEST_WITH(sigkill_leaves_no_process, any_exit),
	IT_TEST_WITH(a_killed_service_is_reported, killed),
	IT_TEST_WITH(hundred_connects, keep),
	IT_TEST_WITH(hundred_silent_connects, keep_alone),
	IT_TEST_WITH(second_front_end_waits, keep),
	IT_TEST_WITH(reconnects_to_a_front_end, keep_connecting),
	IT_TEST_WITH(a_foreign_socket_is_not_removed, keep),
	IT_TEST(socket_is_private),
	BARE_TEST(usage_mistakes),
	BARE_TEST(directory_mistakes),
	BARE_TEST(socket_mistakes),
	BARE_TEST(socket_in_use_and_left_over),
	BARE_TEST(no_permission),
	BARE_TEST(prints_and_exits),
};

#define STAYS "it leaves its socket behind"
#define ENDS  "it ends with its first front-end"
#define OWN   "the gateway's own command line"
static const struct it_difference differences[] = {
	{ "pair_connected_fd", "it takes listening sockets only" },
	{ "pair_connects", "it cannot connect" },
	{ "sigterm_before_anybody_came", "it does not say when it is ready" },
	{ "sigterm_in_service", STAYS },
	{ "sigint_in_service", STAYS },
	{ "sighup_in_service", STAYS },
	{ "a_second_front_end_is_said", "it has no words for it" },
	{ "nohup_has_it_stay", STAYS },
	{ "sigterm_while_retrying", "it cannot connect" },
	{ "front_end_leaves", STAYS },
	{ "a_killed_service_is_reported", "it has no supervisor" },
	{ "hundred_connects", ENDS },
	{ "hundred_silent_connects", ENDS },
	{ "second_front_end_waits", ENDS },
	{ "reconnects_to_a_front_end", ENDS },
	{ "usage_mistakes", OWN },
	{ "directory_mistakes", OWN },
	{ "socket_mistakes", OWN },
	{ "socket_in_use_and_left_over", OWN },
	{ "no_permission", OWN },
	{ "prints_and_exits", OWN },
};

IT_MAIN("sockets", tests, differences)
