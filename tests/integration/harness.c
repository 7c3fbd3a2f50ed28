/* SPDX-License-Identifier: BSD-3-Clause */
/* The suites' common ground: fixture, time limit, differences of the peer. */
#include "tests/integration/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct it_options it_defaults;

static void on_alarm(int signo)
{
	static const char text[] = "\n[  FAILED  ] time limit of the test is over\n";

	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

struct vu_frontend *it_frontend(struct it *it)
{
	enum be_socket role = it->options->be.socket;
	struct vu_frontend *fe = NULL;
	int r;

	if (role == BE_CONNECT)
		r = vu_frontend_accept(it->be.sock, 5000, &fe);
	else if (role == BE_FD_CONNECTED) {
		r = vu_frontend_from_fd(it->be.fd, &fe);
		it->be.fd = -1;
	} else
		r = vu_frontend_connect(it->be.sock, 5000, &fe);
	if (r < 0) {
		char *log = be_read_log(&it->be);

		print_error("no connection (%s); the back-end's log:\n%s\n", strerror(-r), log);
		free(log);
	}
	assert_int_equal(r, 0);
	return fe;
}

struct fc *it_connect(struct it *it, const struct fc_options *options)
{
	struct vu_frontend *fe = it_frontend(it);
	int r = fc_new(fe, options, &it->fc);

	if (r < 0) {
		char *log = be_read_log(&it->be);

		print_error("device not opened (%s); the back-end's log:\n%s\n", strerror(-r), log);
		free(log);
	}
	assert_int_equal(r, 0);
	it->hp = &it->fc->queue[0];
	it->q = &it->fc->queue[1];
	return it->fc;
}

void it_disconnect(struct it *it)
{
	fc_free(it->fc);
	it->fc = NULL;
	it->q = it->hp = NULL;
}

int it_setup(void **state)
{
	struct it *it = calloc(1, sizeof(*it));

	assert_non_null(it);
	it->options = *state;
	it->started = it_now_ms();
	it->be.fd = -1;
	*state = it;
	alarm(IT_TIME_LIMIT);
	assert_int_equal(be_start(&it->be, &it->options->be), 0);
	if (it->options->no_client)
		return 0;
	it_connect(it, &it->options->fc);
	if (!it->options->no_mount)
		assert_int_equal(fc_mount(it->q, &it->init), 0);
	return 0;
}

/* How the back-end ended: its exit status, asked to go when it stays by itself. */
static int end_backend(struct it *it)
{
	int r;

	if (it->options->be.keep_listening || it->options->no_client || !it->fc)
		r = be_stop(&it->be, 5000);
	else {
		it_disconnect(it);
		r = be_wait(&it->be, 5000);
	}
	return r;
}

int it_setup_bare(void **state)
{
	static struct it it;

	it = (struct it){ .started = it_now_ms() };
	*state = &it;
	return be_peer ? 0 : be_scratch(&it.be);
}

int it_teardown_bare(void **state)
{
	struct it *it = *state;

	if (!be_peer)
		be_free(&it->be);
	return 0;
}

int it_teardown(void **state)
{
	struct it *it = *state;
	int r = end_backend(it);
	bool clean = be_log_is_clean(&it->be);
	bool fine = be_peer || it->options->bad_exit_fine || r == it->options->expect_exit;

	if (!clean || !fine) {
		char *log = be_read_log(&it->be);

		print_error("the back-end ended with %d; its log:\n%s\n", r, log);
		free(log);
	}
	it_disconnect(it);
	be_free(&it->be);
	free(it);
	alarm(0);
	return clean && fine ? 0 : -1;
}

const char *it_path(const struct it *it, const char *name)
{
	static char paths[8][512];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", it->be.share, name);
	return path;
}

void it_file(const struct it *it, const char *name, const char *content)
{
	int fd = open(it_path(it, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(content);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, len), len);
	close(fd);
}

void it_assert_alive(struct fc_queue *q)
{
	struct fuse_attr_out attr;

	assert_int_equal(fc_getattr(q, FUSE_ROOT_ID, &attr), 0);
	assert_true(S_ISDIR(attr.attr.mode));
}

static void skip_on_peer(void **state)
{
	const struct it_difference *difference = *state;

	print_message("skipped on the peer: %s: %s\n", difference->test,
		be_rust_path ? difference->rust : difference->reason);
	skip();
}

static const struct it_difference *difference_of(
	const char *test, const struct it_difference *differences, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(test, differences[i].test) &&
			(be_rust_path ? differences[i].rust : differences[i].reason))
			return &differences[i];
	return NULL;
}

int it_main(int argc, char **argv, const char *suite, const struct CMUnitTest *tests, size_t n,
	const struct it_difference *differences, size_t n_differences)
{
	struct CMUnitTest *chosen = calloc(n, sizeof(*chosen));
	const char *backend = getenv("BACKEND"), *filter = getenv("TEST_FILTER");
	struct sigaction sa = { .sa_handler = on_alarm };
	size_t n_chosen = 0;

	be_rust_path = backend && !strcmp(backend, "rust") ? getenv("PEER") : NULL;
	be_peer = be_rust_path || (backend && !strcmp(backend, "peer"));
	be_gateway_path = argc > 1 ? argv[1] : getenv("GATEWAY");
	if (!chosen || (!be_peer && !be_gateway_path)) {
		fprintf(stderr, "usage: %s GATEWAY, or BACKEND=peer\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0022);
	for (size_t i = 0; i < n; i++) {
		const struct it_difference *difference =
			be_peer && !getenv("PEER_ALL")
				? difference_of(tests[i].name, differences, n_differences)
				: NULL;

		if (filter && fnmatch(filter, tests[i].name, 0))
			continue;
		chosen[n_chosen] = tests[i];
		if (difference) {
			chosen[n_chosen].test_func = skip_on_peer;
			chosen[n_chosen].setup_func = chosen[n_chosen].teardown_func = NULL;
			chosen[n_chosen].initial_state = (void *)(uintptr_t)difference;
		}
		n_chosen++;
	}
	int failed = _cmocka_run_group_tests(suite, chosen, n_chosen, NULL, NULL);
	free(chosen);
	return failed ? 1 : 0;
}
