/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: a big directory whose entries come and go while it is listed. */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		die(errno, "open %s", path);
	return fd;
}

static void make(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	if (fd < 0 || close(fd))
		die(errno, "create %s", name);
}

int cmd_entries(int argc, char **argv)
{
	uint64_t count = number(argv[2]);
	int dir = open_dir(argv[0]);
	char name[NAME_MAX + 1];

	(void)argc;
	for (uint64_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%llu", argv[1], (unsigned long long)i);
		make(dir, name);
	}
	close(dir);
	return 0;
}

/* Up to 500 entries exist at a time: each step makes the next and removes the oldest. */
int cmd_churn(int argc, char **argv)
{
	enum { WINDOW = 500 };
	time_t end = time(NULL) + (time_t)number(argv[2]);
	int dir = open_dir(argv[0]);
	char name[NAME_MAX + 1];
	uint64_t made = 0, gone = 0;

	(void)argc;
	while (time(NULL) < end || gone < made) {
		if (time(NULL) < end) {
			snprintf(name, sizeof(name), "%s%llu", argv[1], (unsigned long long)made++);
			make(dir, name);
			if (made - gone <= WINDOW)
				continue;
		}
		snprintf(name, sizeof(name), "%s%llu", argv[1], (unsigned long long)gone++);
		if (unlinkat(dir, name, 0))
			die(errno, "unlink %s", name);
	}
	close(dir);
	printf("%llu came and went\n", (unsigned long long)made);
	return 0;
}

/* Lists once. Every entry PREFIX0 to PREFIX(count-1) must come exactly once; no name twice at all
 * can be asked only of those that stay. */
static void list_once(const char *path, const char *prefix, unsigned char *seen, uint64_t count)
{
	size_t prefix_len = strlen(prefix);
	uint64_t found = 0;
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		die(errno, "opendir %s", path);
	memset(seen, 0, count);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		uint64_t i;

		if (strncmp(entry->d_name, prefix, prefix_len))
			continue;
		i = number(entry->d_name + prefix_len);
		if (i >= count || seen[i]++)
			die(0, "%s: %s listed twice, or never made", path, entry->d_name);
		found++;
	}
	if (errno)
		die(errno, "readdir %s", path);
	if (found != count)
		die(0, "%s: %llu entries listed, not %llu", path, (unsigned long long)found,
			(unsigned long long)count);
	closedir(dir);
}

int cmd_list_check(int argc, char **argv)
{
	uint64_t count = number(argv[2]), rounds = 0;
	time_t end = time(NULL) + (time_t)number(argv[3]);
	unsigned char *seen = malloc(count + 1);

	(void)argc;
	if (!seen)
		die(ENOMEM, "%llu entries", (unsigned long long)count);
	do {
		list_once(argv[0], argv[1], seen, count);
		rounds++;
	} while (time(NULL) < end);
	free(seen);
	printf("%llu rounds\n", (unsigned long long)rounds);
	return 0;
}
