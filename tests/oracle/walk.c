/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole tree as text: one line a name, in the order of names, with all that must be the same.
 * Inode numbers become the number of the line in which the inode was seen first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/oracle/me.h"

#define HEAD (1 << 20) /* of a longer file so much is compared, and its end */
#define TAIL (64 << 10)

struct seen {
	uint64_t ino;
	int line;
};

struct walker {
	struct or_walk *walk;
	struct seen *seen;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *or_names(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char *sorted[500], *names;
	size_t length = 1, n = 0, at = 0;
	struct dirent *e;

	while (d && n < 500 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		length += strlen(e->d_name) + 1;
		sorted[n++] = strdup(e->d_name);
	}
	if (d)
		closedir(d);
	qsort(sorted, n, sizeof(sorted[0]), by_name);
	names = calloc(1, length);
	for (size_t i = 0; i < n; i++) {
		memcpy(names + at, sorted[i], strlen(sorted[i]));
		at += strlen(sorted[i]) + 1;
		free(sorted[i]);
	}
	return names;
}

static uint64_t hash_range(int fd, uint64_t hash, off_t from, off_t to)
{
	static char data[64 << 10];

	while (from < to) {
		ssize_t n = pread(fd, data, sizeof(data), from);

		if (n <= 0)
			return hash ^ (n < 0 ? (uint64_t)errno : 0);
		hash = or_hash(hash, data, (size_t)n);
		from += n;
	}
	return hash;
}

static void contents(int fd, off_t size, struct or_result *text)
{
	uint64_t hash = hash_range(fd, 1, 0, size < HEAD ? size : HEAD);

	if (size > HEAD)
		hash = hash_range(fd, hash, size - TAIL, size);
	or_say(text, "data=%016llx", (unsigned long long)hash);
}

static void value(int fd, const char *name, struct or_result *text)
{
	static char data[65536];
	ssize_t n = fgetxattr(fd, name, data, sizeof(data));

	if (n < 0)
		or_say(text, "%.40s=%s", name, strerrorname_np(errno));
	else
		or_say(text, "%.40s=%zd:%08x", name, n, (unsigned int)or_hash(1, data, (size_t)n));
}

/* All are compared, but for ACLs in the form that xfs shows as trusted.* a second time. */
static void attributes(int fd, struct or_result *text)
{
	char names[16384], *sorted[200];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	size_t count = 0;

	for (char *at = names; at < names + n && count < 200; at += strlen(at) + 1)
		sorted[count++] = at;
	qsort(sorted, count, sizeof(sorted[0]), by_name);
	for (size_t i = 0; i < count; i++)
		if (strncmp(sorted[i], "trusted.SGI_ACL_", 16) != 0)
			value(fd, sorted[i], text);
}

static void inode(struct walker *w, const struct stat *st, struct or_result *text)
{
	int i = 0;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return;
	for (; i < w->walk->n; i++)
		if (w->seen[i].ino == st->st_ino)
			break;
	or_say(text, "inode=%d", i);
}

static void add(struct walker *w, const char *path, struct or_result *text, uint64_t ino)
{
	struct or_walk *walk = w->walk;
	size_t n = (size_t)walk->n + 1;

	walk->lines = realloc(walk->lines, n * sizeof(walk->lines[0]));
	w->seen = realloc(w->seen, n * sizeof(w->seen[0]));
	if (!walk->lines || !w->seen ||
		asprintf(&walk->lines[walk->n], "%s %s hash=%08x", path, text->text,
			(unsigned int)text->hash) < 0)
		abort();
	w->seen[walk->n++].ino = ino;
}

static void go(struct walker *w, int dir, const char *path);

static void visit(struct walker *w, int dir, const char *name, const char *path)
{
	struct or_result text = {0};
	struct stat st;
	char link[5000];
	int fd = -1;
	ssize_t n;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		or_say(&text, "lstat=%s", strerrorname_np(errno));
		add(w, path, &text, 0);
		return;
	}
	or_say_stat(&text, &st);
	inode(w, &st, &text);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, name, link, sizeof(link));
		or_say(&text, "link=%zd:%08x", n,
			n < 0 ? 0 : (unsigned int)or_hash(1, link, (size_t)n));
	} else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
		if (fd < 0)
			or_say(&text, "open=%s", strerrorname_np(errno));
		else
			attributes(fd, &text);
	}
	if (S_ISREG(st.st_mode) && fd >= 0)
		contents(fd, st.st_size, &text);
	add(w, path, &text, st.st_ino);
	if (S_ISDIR(st.st_mode) && fd >= 0)
		go(w, fd, path);
	if (fd >= 0)
		close(fd);
}

static void go(struct walker *w, int dir, const char *path)
{
	char *names = or_names(dir), *below = NULL;

	for (char *name = names; *name; name += strlen(name) + 1) {
		if (asprintf(&below, "%s/%.20s%s", path, name, strlen(name) > 20 ? "..." : "") < 0)
			abort();
		visit(w, dir, name, below);
		free(below);
	}
	free(names);
}

void or_walk(struct or_walk *walk, int root)
{
	struct walker w = {.walk = walk};

	*walk = (struct or_walk){0};
	go(&w, root, "");
	free(w.seen);
}

void or_walk_free(struct or_walk *walk)
{
	for (int i = 0; i < walk->n; i++)
		free(walk->lines[i]);
	free(walk->lines);
}

char *or_walk_compare(const struct or_walk *a, const struct or_walk *b)
{
	char *report = NULL;
	size_t size;
	FILE *to = open_memstream(&report, &size);
	int shown = 0;

	for (int i = 0, j = 0; (i < a->n || j < b->n) && shown < 6;) {
		const char *p = i < a->n ? a->lines[i] : NULL, *q = j < b->n ? b->lines[j] : NULL;
		int order = !p ? 1 : !q ? -1
				 : strncmp(p, q, strcspn(p, " ") + 1);

		if (order == 0 && strcmp(p, q) == 0) {
			i++, j++;
			continue;
		}
		shown++;
		fprintf(to, "  A: %s\n  B: %s\n", order <= 0 ? p : "(not there)",
			order >= 0 ? q : "(not there)");
		i += order <= 0;
		j += order >= 0;
	}
	fclose(to);
	if (shown)
		return report;
	free(report);
	return NULL;
}
