/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool tree-list and tree-copy: what a tree holds, as sorted text; and an exact copy of it.
 */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char buffer[1 << 17];

static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

/* Bytewise, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void join(char path[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		die(ENAMETOOLONG, "%s", dir);
}

static void print_escaped(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c <= ' ' || c == '\\' || c >= 0x7f)
			printf("\\%03o", c);
		else
			putchar(c);
	}
}

static void print_segment(void *arg, uint64_t start, uint64_t end)
{
	(void)arg;
	printf(" %llu-%llu", (unsigned long long)start, (unsigned long long)end);
}

static void list_regular(const char *path, const struct stat *st)
{
	uint64_t hash = FNV_START;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		die(errno, "open %s", path);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		hash = fnv(hash, buffer, (size_t)n);
	if (n < 0)
		die(errno, "read %s", path);
	printf(" size=%lld hash=%016llx data=", (long long)st->st_size, (unsigned long long)hash);
	for_each_segment(fd, (uint64_t)st->st_size, print_segment, NULL, path);
	close(fd);
}

static void list_symlink(const char *path)
{
	ssize_t n = readlink(path, buffer, sizeof(buffer) - 1);

	if (n < 0)
		die(errno, "readlink %s", path);
	buffer[n] = '\0';
	printf(" -> ");
	print_escaped(buffer);
}

static void list(const char *path, const char *shown)
{
	struct dirent **entries;
	const char *first;
	struct stat st;
	int count;

	if (lstat(path, &st))
		die(errno, "lstat %s", path);
	print_escaped(shown);
	printf(" %06o %u:%u %lld.%09ld", st.st_mode, st.st_uid, st.st_gid,
		(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (!S_ISDIR(st.st_mode)) {
		printf(" links=%lu", (unsigned long)st.st_nlink);
		first = st.st_nlink > 1 ? link_seen(st.st_dev, st.st_ino, shown) : NULL;
		if (first) {
			printf(" same-as=");
			print_escaped(first);
		}
	}
	if (S_ISREG(st.st_mode))
		list_regular(path, &st);
	else if (S_ISLNK(st.st_mode))
		list_symlink(path);
	putchar('\n');
	if (!S_ISDIR(st.st_mode))
		return;

	count = scandir(path, &entries, no_dots, by_name);
	if (count < 0)
		die(errno, "scandir %s", path);
	for (int i = 0; i < count; i++) {
		char child[PATH_MAX], name[PATH_MAX];

		join(child, path, entries[i]->d_name);
		join(name, shown, entries[i]->d_name);
		list(child, name);
		free(entries[i]);
	}
	free(entries);
}

int cmd_tree_list(int argc, char **argv)
{
	(void)argc;
	list(argv[0], ".");
	if (fflush(stdout) || ferror(stdout))
		die(errno, "stdout");
	return 0;
}

struct copy {
	int from, to;
	const char *path;
};

static void copy_segment(void *arg, uint64_t start, uint64_t end)
{
	const struct copy *copy = arg;

	while (start < end) {
		size_t part = end - start < sizeof(buffer) ? end - start : sizeof(buffer);

		full_pread(copy->from, buffer, part, start, copy->path);
		full_pwrite(copy->to, buffer, part, start, copy->path);
		start += part;
	}
}

static void copy_regular(const char *from, const char *to, const struct stat *st)
{
	struct copy copy = {.from = open(from, O_RDONLY), .path = to};

	if (copy.from < 0)
		die(errno, "open %s", from);
	copy.to = open(to, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (copy.to < 0)
		die(errno, "create %s", to);
	for_each_segment(copy.from, (uint64_t)st->st_size, copy_segment, &copy, from);
	if (ftruncate(copy.to, st->st_size))
		die(errno, "ftruncate %s", to);
	if (close(copy.to) || close(copy.from))
		die(errno, "close %s", to);
}

static void copy_attributes(const char *to, const struct stat *st)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (lchown(to, st->st_uid, st->st_gid))
		die(errno, "lchown %s", to);
	if (!S_ISLNK(st->st_mode) && chmod(to, st->st_mode & 07777))
		die(errno, "chmod %s", to);
	if (utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW))
		die(errno, "utimensat %s", to);
}

static void copy_tree(const char *from, const char *to);

static void copy_children(const char *from, const char *to)
{
	struct dirent **entries;
	int count = scandir(from, &entries, no_dots, by_name);

	if (count < 0)
		die(errno, "scandir %s", from);
	for (int i = 0; i < count; i++) {
		char child_from[PATH_MAX], child_to[PATH_MAX];

		join(child_from, from, entries[i]->d_name);
		join(child_to, to, entries[i]->d_name);
		copy_tree(child_from, child_to);
		free(entries[i]);
	}
	free(entries);
}

static void copy_tree(const char *from, const char *to)
{
	const char *first;
	struct stat st;

	if (lstat(from, &st))
		die(errno, "lstat %s", from);
	first = !S_ISDIR(st.st_mode) && st.st_nlink > 1 ? link_seen(st.st_dev, st.st_ino, to)
							: NULL;
	if (first) {
		if (link(first, to))
			die(errno, "link %s", to);
		return;
	}
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		if (mkdir(to, 0700))
			die(errno, "mkdir %s", to);
		copy_children(from, to);
		break;
	case S_IFREG:
		copy_regular(from, to, &st);
		break;
	case S_IFLNK: {
		ssize_t n = readlink(from, buffer, sizeof(buffer) - 1);

		if (n < 0)
			die(errno, "readlink %s", from);
		buffer[n] = '\0';
		if (symlink(buffer, to))
			die(errno, "symlink %s", to);
		break;
	}
	default:
		if (mknod(to, st.st_mode & (S_IFMT | 0600), st.st_rdev))
			die(errno, "mknod %s", to);
		break;
	}
	copy_attributes(to, &st);
}

int cmd_tree_copy(int argc, char **argv)
{
	(void)argc;
	umask(0);
	copy_tree(argv[0], argv[1]);
	return 0;
}
