/* SPDX-License-Identifier: BSD-3-Clause */
/* The supervisor: its service ends in time, whatever a thread of it is stuck in. */
#include "gateway/supervisor.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/hanging_file.h"
#include "vhostuser/log.h"

/* What the service does once it is ready. */
enum behaviour { WAIT_FOR_TERM, EXIT_PROTOCOL, CRASH, IGNORE_TERM };

#define EXIT_UNEXPECTED 99

static char socket_path[64];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *get_stuck(void *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? NULL : path;
}

static enum gw_exit service(enum behaviour behaviour)
{
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	switch (behaviour) {
	case EXIT_PROTOCOL:
		return GW_EXIT_PROTOCOL;
	case CRASH:
		kill(getpid(), SIGKILL);
		break;
	case IGNORE_TERM:
		for (;;)
			pause();
	case WAIT_FOR_TERM:
		break;
	}
	sigwait(&set, &number);
	return GW_EXIT_OK;
}

/* As main.c: the process that a launcher would start. */
static void run_program(enum behaviour behaviour, char *stuck_path, int ready)
{
	const struct gw_options options = { .socket_path = socket_path, .fd = -1 };
	struct gw_share share = { .root_fd = -1, .proc_fd = -1 };
	struct gw_supervised supervised;
	struct gw_endpoint endpoint;
	enum gw_exit status;
	pthread_t thread;
	int r;

	if (gw_endpoint_open(&endpoint, &options))
		_exit(EXIT_UNEXPECTED);
	r = gw_supervise(&endpoint, &share, &status, &supervised);
	if (r == 1)
		_exit(status);
	if (r < 0 || !gw_supervisor_tie(&supervised))
		_exit(EXIT_UNEXPECTED);
	if (stuck_path) {
		if (pthread_create(&thread, NULL, get_stuck, stuck_path) != 0)
			_exit(EXIT_UNEXPECTED);
		usleep(100000);
	}
	if (write(ready, "r", 1) != 1)
		_exit(EXIT_UNEXPECTED);
	status = service(behaviour);
	gw_supervisor_report(&supervised, status);
	_exit(status);
}

static pid_t start_program(enum behaviour behaviour, char *stuck_path)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_program(behaviour, stuck_path, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* Its exit status, or 1000 + the signal; *seconds that it took from now. */
static int wait_program(pid_t pid, double *seconds)
{
	double began = now();
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	*seconds = now() - began;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool socket_there(void)
{
	return access(socket_path, F_OK) == 0;
}

static void test_status_is_passed_on(void **state)
{
	double seconds;
	pid_t pid = start_program(EXIT_PROTOCOL, NULL);

	assert_int_equal(wait_program(pid, &seconds), GW_EXIT_PROTOCOL);
	assert_true(seconds < 0.5);
	assert_false(socket_there());
}

static void test_crash(void **state)
{
	double seconds;
	pid_t pid = start_program(CRASH, NULL);

	assert_int_equal(wait_program(pid, &seconds), GW_EXIT_INTERNAL);
	assert_true(seconds < 0.5);
	assert_false(socket_there());
}

static void signal_ends_it(int number, enum behaviour behaviour, double bound)
{
	double seconds;
	pid_t pid = start_program(behaviour, NULL);

	assert_true(socket_there());
	kill(pid, number);
	assert_int_equal(wait_program(pid, &seconds), GW_EXIT_OK);
	assert_true(seconds < bound);
	assert_false(socket_there());
}

static void test_signals(void **state)
{
	signal_ends_it(SIGTERM, WAIT_FOR_TERM, 0.5);
	/* A service that does not listen is killed. */
	signal_ends_it(SIGTERM, IGNORE_TERM, 1.0);
	signal_ends_it(SIGINT, IGNORE_TERM, 1.0);
	signal_ends_it(SIGHUP, IGNORE_TERM, 1.0);
}

static void test_dies_with_its_parent(void **state)
{
	double seconds;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	pid_t pid = start_program(WAIT_FOR_TERM, NULL);
	int r = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	kill(pid, SIGKILL);
	assert_int_equal(wait_program(pid, &seconds), 1000 + SIGKILL);
	/* The service held the listening socket: refused means that it is gone too. */
	strcpy(addr.sun_path, socket_path);
	for (int tries = 0; tries < 1000 && r == 0; tries++) {
		usleep(1000);
		r = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
		close(fd);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	assert_int_equal(r, -1);
	close(fd);
	unlink(socket_path);
}

static void test_anothers_socket_stays(void **state)
{
	double seconds;
	int fd;
	pid_t pid = start_program(WAIT_FOR_TERM, NULL);

	unlink(socket_path);
	fd = creat(socket_path, 0600);
	assert_true(fd >= 0);
	close(fd);
	kill(pid, SIGTERM);
	assert_int_equal(wait_program(pid, &seconds), GW_EXIT_OK);
	assert_true(socket_there());
	unlink(socket_path);
}

static void stuck_service(enum behaviour behaviour, int number, int expected)
{
	struct hanging_file hanging;
	double seconds;
	int status;
	pid_t pid;

	if (!hanging_file_start(&hanging))
		skip();
	pid = start_program(behaviour, hanging.path);
	if (number)
		kill(pid, number);
	status = wait_program(pid, &seconds);
	hanging_file_stop(&hanging);
	assert_int_equal(status, expected);
	/* It was stuck, or this test shows nothing; and yet it was over in time. */
	assert_true(seconds > GW_SUPERVISOR_PATIENCE_MS / 1000. / 2);
	assert_true(seconds < 1.0);
	assert_false(socket_there());
}

static void test_stuck_sigterm(void **state)
{
	stuck_service(WAIT_FOR_TERM, SIGTERM, GW_EXIT_OK);
}

static void test_stuck_end_of_its_own(void **state)
{
	stuck_service(EXIT_PROTOCOL, 0, GW_EXIT_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_is_passed_on),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_dies_with_its_parent),
		cmocka_unit_test(test_anothers_socket_stays),
		cmocka_unit_test(test_stuck_sigterm),
		cmocka_unit_test(test_stuck_end_of_its_own),
	};

	snprintf(socket_path, sizeof(socket_path), "/tmp/gw-supervisor.%d", (int)getpid());
	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
