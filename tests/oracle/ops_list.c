/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations that list directories. A listing is a set: its order is the file system's own. */
#include "tests/oracle/ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 200

struct listing {
	char *lines[ENTRIES];
	int n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One entry: its name, its type, and whether its inode number is that of lstat. */
static void add(struct or_me *me, struct listing *all, int fd, const char *name,
	unsigned int type, uint64_t ino)
{
	bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	const char *inode = "";
	struct stat st;
	char line[128];

	if (all->n == ENTRIES)
		return;
	if (!dots && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		inode = st.st_ino == ino ? "=" : "!";
	/* "Unknown" is no wrong answer. */
	if (me->fuse && *inode && type == DT_UNKNOWN)
		type = IFTODT(st.st_mode);
	snprintf(line, sizeof(line), "%.12s%s/%zu/%u", name, inode, strlen(name), type);
	all->lines[all->n++] = strdup(line);
}

static void say_all(struct listing *all, struct or_result *res)
{
	qsort(all->lines, (size_t)all->n, sizeof(all->lines[0]), by_text);
	or_say(res, "entries=%d", all->n);
	for (int i = 0; i < all->n; i++) {
		or_say(res, "%s", all->lines[i]);
		free(all->lines[i]);
	}
}

static int list(struct or_me *me, int fd, struct or_result *res)
{
	struct listing all = {.n = 0};
	long n;

	while ((n = syscall(SYS_getdents64, fd, me->data, 4096)) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64 *d = (struct dirent64 *)(void *)(me->data + at);

			add(me, &all, fd, d->d_name, d->d_type, d->d_ino);
			at += d->d_reclen;
		}
	}
	or_done(res, n);
	say_all(&all, res);
	return 0;
}

void or_list_path(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = open(or_p(me, op), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!or_done(res, fd < 0 ? -1 : 0))
		return;
	list(me, fd, res);
	close(fd);
}

/* arg: from the start, after whatever changed meanwhile; else what is left. */
void or_list_slot(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	int fd = me->fds[op->slot];
	struct stat st;

	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		return;
	if (kind->arg && lseek(fd, 0, SEEK_SET) < 0)
		or_say(res, "rewind=%d", errno);
	list(me, fd, res);
}

/* Remembers a place, reads on, comes back: is it the same entry? */
void or_dir_seek(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	DIR *dir = opendir(or_p(me, op));
	char name[300] = "";
	struct dirent *d;
	long place = 0;
	int n = 0;

	if (!or_done(res, dir ? 0 : -1))
		return;
	for (; n < op->c && readdir(dir); n++)
		;
	place = telldir(dir);
	d = readdir(dir);
	if (d)
		snprintf(name, sizeof(name), "%s", d->d_name);
	while (readdir(dir))
		n++;
	seekdir(dir, place);
	d = readdir(dir);
	or_say(res, "entries=%d same=%d", n, strcmp(d ? d->d_name : "", name) == 0);
	rewinddir(dir);
	for (n = 0; readdir(dir); n++)
		;
	or_say(res, "again=%d", n);
	closedir(dir);
}

/* A buffer for one entry or two: is it filled as far? */
void or_dir_next(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	struct stat st;
	long n;

	if (fstat(me->fds[op->slot], &st) == 0 && !S_ISDIR(st.st_mode))
		return;
	n = syscall(SYS_getdents64, me->fds[op->slot], me->data, kind->arg);
	or_done(res, n > 0 ? 0 : n);
}
