/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPU time and context switches of a tree of processes.
 *
 * Time is by the process's own clock, which has nanoseconds and counts threads that have ended;
 * switches are only told by thread, so those of a thread that ends meanwhile are lost.
 */
#include "gateway/frontend/bench_usage.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vhostuser/checked.h"

#define PROCESSES 64

static uint64_t clock_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Both kinds of switches in a thread's status. */
static uint64_t switches_of(pid_t pid, const char *tid)
{
	char path[64], line[128];
	uint64_t sum = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)pid, tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, "ctxt_switches:");

		if (at)
			sum += strtoull(at + strlen("ctxt_switches:"), NULL, 10);
	}
	if (file)
		fclose(file);
	return sum;
}

static int add(pid_t pid, struct fb_usage *usage)
{
	const struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	usage->cpu_ns += clock_of(pid);
	while ((entry = readdir(dir)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			usage->switches += switches_of(pid, entry->d_name);
	closedir(dir);
	return 0;
}

/* 0: it is gone. */
static pid_t parent_of(const char *pid)
{
	char path[64], line[512];
	const char *end;
	FILE *file;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* Its name may hold anything, also a parenthesis. */
	if (fgets(line, sizeof(line), file) && (end = strrchr(line, ')')) != NULL)
		(void)sscanf(end + 1, " %*c %d", &parent);
	fclose(file);
	return parent;
}

/* Adds the children of those in `tree` that are not there yet; how many. */
static size_t children(pid_t *tree, size_t n)
{
	const struct dirent *entry;
	DIR *dir = opendir("/proc");
	size_t before = n;

	while (dir && (entry = readdir(dir)) != NULL && n < PROCESSES) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		pid_t parent = pid > 0 ? parent_of(entry->d_name) : 0;
		bool is_child = false, known = false;

		for (size_t i = 0; i < n; i++) {
			is_child |= parent > 0 && tree[i] == parent;
			known |= tree[i] == pid;
		}
		if (is_child && !known)
			tree[n++] = pid;
	}
	if (dir)
		closedir(dir);
	return n - before;
}

int fb_usage_read(pid_t pid, struct fb_usage *usage)
{
	pid_t tree[PROCESSES] = {pid};
	size_t n = 1, more;
	int r;

	*usage = (struct fb_usage){0};
	do {
		more = children(tree, n);
		n += more;
	} while (more && n < PROCESSES);
	r = add(pid, usage);
	if (r == -ENOENT)
		r = -ESRCH;
	for (size_t i = 1; i < n; i++)
		(void)add(tree[i], usage);
	return r;
}
