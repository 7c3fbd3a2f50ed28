/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: one line each, levels, no control bytes, and a guest that cannot flood it. */
#include "vhostuser/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char captured[65536];
static int saved_stderr, pipe_fds[2];

static void capture_start(void)
{
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
}

/* What was logged since; each write is at most one pipe's worth in these tests. */
static const char *capture_end(void)
{
	ssize_t n;
	size_t len = 0;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], captured + len, sizeof(captured) - 1 - len)) > 0)
		len += (size_t)n;
	close(pipe_fds[0]);
	captured[len] = '\0';
	return captured;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_line(void **state)
{
	capture_start();
	log_warn("queue 1", "%d of %s", 3, "three");
	assert_string_equal(capture_end(), "WARN queue 1: 3 of three\n");
}

static void test_levels(void **state)
{
	enum log_level level;

	capture_start();
	for (int i = LOG_LEVEL_OFF; i <= LOG_LEVEL_DEBUG; i++) {
		atomic_store(&vu_log_level, i);
		log_error("o", "%d", i);
		log_warn("o", "%d", i);
		log_info("o", "%d", i);
		log_debug("o", "%d", i);
	}
	atomic_store(&vu_log_level, LOG_LEVEL_INFO);
	assert_string_equal(capture_end(), "ERROR o: 1\n"
					   "ERROR o: 2\nWARN o: 2\n"
					   "ERROR o: 3\nWARN o: 3\nINFO o: 3\n"
					   "ERROR o: 4\nWARN o: 4\nINFO o: 4\nDEBUG o: 4\n");

	assert_int_equal(vu_log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(vu_log_level_parse("off", &level), 0);
	assert_int_equal(level, LOG_LEVEL_OFF);
	assert_int_equal(vu_log_level_parse("", &level), -EINVAL);
	assert_int_equal(vu_log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(vu_log_level_parse("debugg", &level), -EINVAL);
}

static void test_control_bytes(void **state)
{
	capture_start();
	log_error("name", "a\nERROR forged: b\x1b[31m\x7f\xc3\xa9");
	assert_string_equal(capture_end(), "ERROR name: a?ERROR forged: b?[31m?\xc3\xa9\n");
}

static void test_long_line(void **state)
{
	char text[5000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture_start();
	log_error("o", "%s", text);
	line = capture_end();
	assert_int_equal(strlen(line), 1024);
	assert_int_equal(line[1023], '\n');
	assert_int_equal(count_lines(line), 1);

	capture_start();
	log_error(text, "object too long");
	assert_int_equal(count_lines(capture_end()), 1);
}

static void test_errno_kept(void **state)
{
	capture_start();
	close(STDERR_FILENO);
	errno = ENOTTY;
	log_error("o", "nowhere to go");
	assert_int_equal(errno, ENOTTY);
	capture_end();
}

static void test_flood(void **state)
{
	static struct vu_log_site site;
	size_t open = 0;

	capture_start();
	for (int i = 0; i < 1000; i++)
		open += (size_t)vu_log_site_open(&site, "guest");
	capture_end();
	/* five a second, and this may run over the edge of one */
	assert_in_range(open, 5, 15);
	assert_int_equal(atomic_load(&site.swallowed) + open, 1000);

	/* the next window tells what was swallowed in this one */
	uint32_t swallowed = atomic_load(&site.swallowed);
	char expect[100];

	atomic_store(&site.window, 1);
	capture_start();
	assert_int_equal(vu_log_site_open(&site, "guest"), 1);
	snprintf(expect, sizeof(expect),
		"WARN guest: %u more lines like the next one were not logged\n", swallowed);
	assert_string_equal(capture_end(), expect);
	assert_int_equal(atomic_load(&site.swallowed), 0);
}

static void test_log_guest(void **state)
{
	size_t n;

	capture_start();
	for (int i = 0; i < 1000; i++)
		log_guest("guest", "line %d", i);
	n = count_lines(capture_end());
	assert_in_range(n, 5, 20);

	atomic_store(&vu_log_level, LOG_LEVEL_ERROR);
	capture_start();
	log_guest("guest", "below the level");
	atomic_store(&vu_log_level, LOG_LEVEL_INFO);
	assert_string_equal(capture_end(), "");
}

/* A datagram a line for the system's log, and standard error once nobody listens there. */
static void test_syslog(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char line[512], expected[64];
	int logger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ssize_t n;

	assert_int_equal(vu_log_to_syslog("/nonexistent/log", "me"), -ENOENT);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(vu_log_to_syslog(line, "me"), -ENAMETOOLONG);
	capture_start();
	log_info("object", "still here");
	assert_string_equal(capture_end(), "INFO object: still here\n");

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/log-test-%d", (int)getpid());
	assert_int_equal(bind(logger, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(vu_log_to_syslog(address.sun_path, "me"), 0);
	unlink(address.sun_path);
	capture_start();
	log_error("object", "bad\nname");
	assert_string_equal(capture_end(), "");
	n = recv(logger, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = '\0';
	/* Facility 3 (daemon), severity 3 (error): 27. The stamp is 15 characters. */
	assert_int_equal(strncmp(line, "<27>", 4), 0);
	snprintf(expected, sizeof(expected), " me[%d]: ERROR object: bad?name", (int)getpid());
	assert_string_equal(line + 4 + 15, expected);

	/* Nobody reads: what there is no room for is not waited for. */
	capture_start();
	for (int i = 0; i < 100000 && poll(&(struct pollfd){pipe_fds[0], POLLIN, 0}, 1, 0) == 0;
		i++)
		log_info("object", "no room");
	assert_non_null(strstr(capture_end(), "INFO object: no room\n"));

	close(logger);
	capture_start();
	log_info("object", "nobody there");
	assert_string_equal(capture_end(), "INFO object: nobody there\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_control_bytes),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_errno_kept),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_log_guest),
		cmocka_unit_test(test_syslog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
