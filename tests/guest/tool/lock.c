/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest-tool lock-*: locks of both kinds, KIND being fcntl or flock, on a whole file.
 *
 * Status: 0 for a lock that was got, 3 for one that somebody else has.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUSY = 3 };

static bool is_flock(const char *kind)
{
	if (strcmp(kind, "flock") && strcmp(kind, "fcntl"))
		die(0, "%s is no kind of lock", kind);
	return !strcmp(kind, "flock");
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		die(errno, "%s", path);
	return fd;
}

/* False when it is busy, which with `wait` it never is. */
static bool lock(int fd, const char *kind, bool wait)
{
	struct flock fl = {.l_type = F_WRLCK};
	int r = is_flock(kind) ? flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB)
			       : fcntl(fd, wait ? F_SETLKW : F_SETLK, &fl);

	if (r < 0 && (wait || (errno != EAGAIN && errno != EACCES)))
		die(errno, "%s", kind);
	return r == 0;
}

static void unlock(int fd, const char *kind)
{
	struct flock fl = {.l_type = F_UNLCK};

	if ((is_flock(kind) ? flock(fd, LOCK_UN) : fcntl(fd, F_SETLK, &fl)) < 0)
		die(errno, "unlock %s", kind);
}

int cmd_lock_try(int argc, char **argv)
{
	(void)argc;
	return lock(open_file(argv[1]), argv[0], false) ? 0 : BUSY;
}

int cmd_lock_hold(int argc, char **argv)
{
	(void)argc;
	lock(open_file(argv[1]), argv[0], true);
	close(open_file(argv[2]));
	for (;;)
		pause();
}

int cmd_lock_owner(int argc, char **argv)
{
	struct flock fl = {.l_type = F_WRLCK};

	(void)argc;
	if (fcntl(open_file(argv[0]), F_GETLK, &fl) < 0)
		die(errno, "F_GETLK");
	if (fl.l_type == F_UNLCK)
		return 0;
	printf("%d\n", (int)fl.l_pid);
	return BUSY;
}

int cmd_lock_deadlock(int argc, char **argv)
{
	struct flock fl = {.l_type = F_WRLCK, .l_len = 1};
	int fd = open_file(argv[0]), told = 0, status;
	pid_t child;
	int ready[2];
	char byte;

	(void)argc;
	if (pipe(ready) < 0 || (child = fork()) < 0)
		die(errno, "fork");
	fl.l_start = child ? 0 : 1;
	if (fcntl(fd, F_SETLK, &fl) < 0)
		die(errno, "the first lock");
	/* Both have theirs. */
	if (!child && write(ready[1], "", 1) != 1)
		die(errno, "pipe");
	if (child && read(ready[0], &byte, 1) != 1)
		die(errno, "pipe");
	usleep(child ? 0 : 200000);
	fl.l_start = child ? 1 : 0;
	if (fcntl(fd, F_SETLKW, &fl) < 0) {
		if (errno != EDEADLK)
			die(errno, "the second lock");
		told = 1;
	}
	if (!child)
		_exit(told);
	/* Who was told gives way, and the other one gets what it wants. */
	if (told)
		close(fd);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		die(errno, "the child");
	told += WEXITSTATUS(status);
	if (told != 1)
		die(0, "%d were told of the deadlock", told);
	return 0;
}

static void count(const char *kind, const char *path, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		int fd = open_file(path);
		uint64_t n = 0;

		lock(fd, kind, true);
		if (pread(fd, &n, sizeof(n), 0) < 0)
			die(errno, "read %s", path);
		n++;
		full_pwrite(fd, &n, sizeof(n), 0, path);
		unlock(fd, kind);
		close(fd);
	}
}

int cmd_lock_count(int argc, char **argv)
{
	uint64_t workers = number(argv[2]);
	int status, bad = 0;

	(void)argc;
	for (uint64_t i = 0; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die(errno, "fork");
		if (pid == 0) {
			count(argv[0], argv[1], number(argv[3]));
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status != 0;
	return bad;
}

int cmd_lock_sum(int argc, char **argv)
{
	uint64_t n;

	(void)argc;
	full_pread(open_file(argv[0]), &n, sizeof(n), 0, argv[0]);
	printf("%llu\n", (unsigned long long)n);
	return 0;
}
