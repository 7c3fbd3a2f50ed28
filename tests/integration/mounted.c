/* SPDX-License-Identifier: BSD-3-Clause */
/* The fixture of the mount's tests. */
#include "tests/integration/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

static void to_file(const char *path, int fd)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (file < 0 || dup2(file, fd) < 0)
		_exit(126);
}

void mt_start_raw(struct mt *m, const char *const *argv)
{
	const char *program = getenv("FRONTEND");
	pid_t parent = getpid();

	assert_non_null(program);
	fflush(stdout);
	m->pid = fork();
	assert_true(m->pid >= 0);
	if (m->pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	to_file(m->out, STDOUT_FILENO);
	to_file(m->log, STDERR_FILENO);
	syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	alarm(0);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

void mt_start(struct mt *m, const char *const *args)
{
	bool listens = m->it->be.listens;
	const char *argv[16] = {"virtiofs-frontend", "mount", listens ? "--connect" : "--listen",
		m->it->be.sock, m->dir};
	size_t n = 5;

	while (args && *args && n + 1 < ARRAY_SIZE(argv))
		argv[n++] = *args++;
	mt_start_raw(m, argv);
}

static char *read_file(const char *path)
{
	char *text = calloc(1, 65536);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_non_null(text);
	if (fd >= 0) {
		(void)!read(fd, text, 65535);
		close(fd);
	}
	return text;
}

static bool file_says(const char *path, const char *text)
{
	char *content = read_file(path);
	bool says = strstr(content, text) != NULL;

	free(content);
	return says;
}

bool mt_log_says(const struct mt *m, const char *text)
{
	return file_says(m->log, text);
}

void mt_wait_mounted(struct mt *m)
{
	int64_t end = it_now_ms() + 20000;

	while (!file_says(m->out, "mounted\n") && it_now_ms() < end &&
		waitpid(m->pid, NULL, WNOHANG) == 0)
		it_nap();
	if (!file_says(m->out, "mounted\n")) {
		char *log = read_file(m->log), *other = be_read_log(&m->it->be);

		print_error("not mounted; the logs:\n%s\n%s\n", log, other);
		free(log);
		free(other);
		fail();
	}
}

int mt_wait(struct mt *m, int timeout_ms)
{
	int64_t end = it_now_ms() + timeout_ms;
	int status;

	while (waitpid(m->pid, &status, WNOHANG) == 0) {
		if (it_now_ms() >= end)
			return -ETIMEDOUT;
		it_nap();
	}
	m->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

bool mt_is_mounted(const struct mt *m, const char *text)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[1024], dir[160];
	bool found = false;

	assert_non_null(mounts);
	snprintf(dir, sizeof(dir), " %s ", m->dir);
	while (fgets(line, sizeof(line), mounts))
		found = found || (strstr(line, dir) && (!text || strstr(line, text)));
	fclose(mounts);
	return found;
}

const char *mt_path(const struct mt *m, const char *name)
{
	static char paths[8][512];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", m->dir, name);
	return path;
}

int mt_setup(void **state)
{
	const struct mt_options *options = *state;
	void *it = (void *)(uintptr_t)&options->it;
	struct mt *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->options = options;
	assert_int_equal(it_setup(&it), 0);
	m->it = it;
	*state = m;
	snprintf(m->dir, sizeof(m->dir), "%s/mnt", m->it->be.root);
	snprintf(m->out, sizeof(m->out), "%s/out", m->it->be.root);
	snprintf(m->log, sizeof(m->log), "%s/mount.log", m->it->be.root);
	assert_int_equal(mkdir(m->dir, 0755), 0);
	if (options->unmounted)
		return 0;
	mt_start(m, options->args);
	mt_wait_mounted(m);
	return 0;
}

/* The program has to end well by itself, when the test has not seen to its end. */
int mt_teardown(void **state)
{
	struct mt *m = *state;
	void *it = m->it;
	int r = 0, left;

	if (m->pid) {
		kill(m->pid, SIGTERM);
		r = mt_wait(m, 10000);
	}
	if (r) {
		char *log = read_file(m->log);

		print_error("the mount's program ended with %d; its log:\n%s\n", r, log);
		free(log);
	}
	if (m->pid) {
		kill(m->pid, SIGKILL);
		(void)mt_wait(m, 5000);
	}
	left = umount2(m->dir, MNT_DETACH);
	if (left == 0)
		print_error("%s was still mounted\n", m->dir);
	left = it_teardown(&it) || left == 0 ? -1 : 0;
	free(m);
	return r ? -1 : left;
}

pid_t mt_fork(int (*run)(struct mt *m, unsigned int i), struct mt *m, unsigned int i)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	_exit(run(m, i));
}

int mt_join(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void mt_fill(unsigned char *data, size_t size, unsigned int seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (unsigned char)(x >> 24);
	}
}

int mt_main(int argc, char **argv, const char *suite, const struct CMUnitTest *tests, size_t n,
	const struct it_difference *differences, size_t n_differences)
{
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0) {
		print_message("1..0 # skipped: mounting needs root and /dev/fuse\n");
		return 77;
	}
	return it_main(argc, argv, suite, tests, n, differences, n_differences);
}
