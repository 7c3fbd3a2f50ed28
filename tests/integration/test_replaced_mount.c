/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same with this machine's kernel as the guest: programs that walk paths, hold files, a
 * directory to start from (as a working directory is) or a directory stream, while the host
 * replaces, renames and removes. ESTALE never comes of a path, and never another file's bytes.
 *
 * With --cache never each answer is the model's. With auto the kernel may be a second behind: then
 * it is only certain that whatever answers is one object, and that all is right a second later.
 * (Linux says ELOOP where a directory turns up below one that it still believes to be within it.)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/mounted.h"
#include "tests/integration/replaced.h"

#define HELD 8u

static struct mt_options prefer = {
	.it = {.no_client = true, .be = {.cache = "never", .extra = ARGS(FEW)}}};
static struct mt_options never = {.it = {.no_client = true,
	.be = {.cache = "never", .extra = ARGS(FEW, "--inode-file-handles=never")}}};
static struct mt_options nobody = {.it = {.no_client = true,
	.be = {.cache = "never", .socket = BE_FD_LISTENING, .extra = ARGS(FEW),
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh")}}};
static struct mt_options prefer_auto = {.it = {.no_client = true, .be = {.extra = ARGS(FEW)}}};
static struct mt_options never_auto = {.it = {.no_client = true,
	.be = {.extra = ARGS(FEW, "--inode-file-handles=never")}}};

/* A directory that a program is in: what it was, and where. */
struct held {
	struct twin_object *dir;
	char path[256];
	int fd;      /* O_PATH */
	DIR *stream; /* or NULL */
};

struct app {
	struct mt *m;
	struct twin *t;
	bool exact; /* nothing is cached */
	struct held held[HELD];
};

/* The same name below the mount. */
static const char *below(const struct app *a, const char *host)
{
	static char paths[4][400];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s%s", a->m->dir, host + strlen(a->t->it->be.share));
	return path;
}

/* What a path may come to. Exact: `expected` alone (0: no error). */
static void judge(const struct app *a, const char *what, int error, int expected)
{
	if (a->exact ? error != expected
		     : error && error != ENOENT && error != EEXIST && error != ENOTDIR &&
				error != EISDIR && error != ELOOP)
		twin_fail(a->t, "%s: %s, not %s", what, strerror(error), strerror(expected));
}

/* Whose bytes these are; they are all of one file, whose inode number it has. */
static struct twin_object *whose(struct app *a, int fd)
{
	char data[64 * TWIN_RECORD + 1] = "", record[TWIN_RECORD + 1];
	ssize_t n = pread(fd, data, sizeof(data) - 1, 0);
	unsigned int id = 0;
	struct stat st;

	if (n < (ssize_t)TWIN_RECORD || sscanf(data, "object %8u\n", &id) != 1 ||
		id >= a->t->n_objects)
		twin_fail(a->t, "read: %zd bytes, \"%.15s\"", n, data);
	twin_record(record, id);
	for (ssize_t i = 0; i + (ssize_t)TWIN_RECORD <= n; i += TWIN_RECORD)
		assert_memory_equal(data + i, record, TWIN_RECORD);
	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_ino != a->t->object[id]->ino || n != a->t->object[id]->n_records * TWIN_RECORD)
		twin_fail(a->t, "object %u is inode %llu of %zd bytes", id,
			(unsigned long long)st.st_ino, n);
	return a->t->object[id];
}

/* Goes on with a file that is open: it is the one that it was, with a name or without. */
static void use_file(struct app *a, struct twin_object *o, int fd)
{
	char record[TWIN_RECORD + 1];

	assert_ptr_equal(whose(a, fd), o);
	if (o->n_records < 60) {
		twin_record(record, o->id);
		assert_int_equal(pwrite(fd, record, TWIN_RECORD,
					 (off_t)o->n_records * TWIN_RECORD), TWIN_RECORD);
		o->n_records++;
		assert_ptr_equal(whose(a, fd), o);
	}
}

static void close_file(struct twin_object *o)
{
	if (o->open)
		assert_int_equal(close((int)o->fh), 0);
	o->open = false;
}

static unsigned int count_open(const struct app *a)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < a->t->n_objects; i++)
		n += a->t->object[i]->open;
	return n;
}

static void open_path(struct app *a, struct twin_object *dir, uint32_t name)
{
	struct twin_object *o = dir->entry[name], *found;
	int fd = open(below(a, twin_path(a->t, dir, name)), O_RDWR | O_CLOEXEC);

	judge(a, "open", fd < 0 ? errno : 0, !o ? ENOENT : o->dir ? EISDIR : 0);
	if (fd < 0)
		return;
	found = whose(a, fd);
	if (a->exact && found != o)
		twin_fail(a->t, "opened object %u, not %u", found->id, o->id);
	use_file(a, found, fd);
	close_file(found);
	found->open = count_open(a) < 12 && twin_random(a->t, 3) == 0;
	found->fh = (uint64_t)fd;
	if (!found->open)
		assert_int_equal(close(fd), 0);
}

static void stat_path(struct app *a, struct twin_object *dir, uint32_t name)
{
	const struct twin_object *o = dir->entry[name];
	struct stat st;
	int r = lstat(below(a, twin_path(a->t, dir, name)), &st);

	judge(a, "stat", r < 0 ? errno : 0, o ? 0 : ENOENT);
	if (r < 0 || !a->exact)
		return;
	assert_int_equal(st.st_ino, o->ino);
	assert_int_equal(S_ISDIR(st.st_mode), o->dir);
	assert_true(o->dir || st.st_nlink == o->n_names);
}

/* Where the kernel's idea of a path led: the directory in which `name` came or went. */
static struct twin_object *where(struct app *a, uint32_t name, bool came)
{
	struct stat st;

	for (unsigned int i = 0; i < a->t->n_objects; i++) {
		struct twin_object *dir = a->t->object[i];

		if (dir->dir && dir->alive && !dir->entry[name] == came &&
			(lstat(twin_path(a->t, dir, name), &st) == 0) == came)
			return dir;
	}
	twin_fail(a->t, "a file %s nowhere", came ? "was made" : "went");
	return NULL;
}

static void create_path(struct app *a, struct twin_object *dir, uint32_t name)
{
	int fd = open(below(a, twin_path(a->t, dir, name)),
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	struct twin_object *o, *in;
	char record[TWIN_RECORD + 1];

	judge(a, "create", fd < 0 ? errno : 0, dir->entry[name] ? EEXIST : 0);
	if (fd < 0)
		return;
	in = where(a, name, true);
	assert_true(!a->exact || in == dir);
	o = twin_made(a->t, in, name, false);
	twin_record(record, o->id);
	assert_int_equal(pwrite(fd, record, TWIN_RECORD, 0), TWIN_RECORD);
	use_file(a, o, fd);
	assert_int_equal(close(fd), 0);
}

static void unlink_path(struct app *a, struct twin_object *dir, uint32_t name)
{
	const struct twin_object *o = dir->entry[name];
	struct twin_object *in;
	int r = unlink(below(a, twin_path(a->t, dir, name)));

	judge(a, "unlink", r < 0 ? errno : 0, !o ? ENOENT : o->dir ? EISDIR : 0);
	if (r < 0)
		return;
	in = where(a, name, false);
	assert_true(!a->exact || in == dir);
	twin_unlinked(in, name);
}

/* ---- a directory that a program is in ---- */

static bool is_where_it_was(const struct app *a, const struct held *h)
{
	return h->dir->alive && strcmp(twin_path(a->t, h->dir, 0), h->path) == 0;
}

/* When it was moved, and names are all there is, it may be lost: nobody knows its new name. */
static bool may_be_lost(const struct app *a, const struct held *h)
{
	return !h->dir->alive || (!a->t->handles && !h->stream && !is_where_it_was(a, h));
}

static void enter(struct app *a, struct held *h, struct twin_object *dir)
{
	const char *host = twin_path(a->t, dir, 0);
	char path[400];
	struct stat st;

	if (h->stream)
		closedir(h->stream);
	if (h->dir)
		close(h->fd);
	*h = (struct held){.fd = -1};
	snprintf(path, sizeof(path), "%s", below(a, host));
	path[strlen(path) - 2] = '\0';
	h->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	judge(a, "enter", h->fd < 0 ? errno : 0, 0);
	if (h->fd < 0 || fstat(h->fd, &st) < 0)
		return;
	/* The kernel may take it for what was there a second ago. */
	if (st.st_ino != dir->ino) {
		assert_false(a->exact);
		close(h->fd);
		return;
	}
	h->dir = dir;
	snprintf(h->path, sizeof(h->path), "%s", host);
	if (twin_random(a->t, 2))
		h->stream = opendir(path);
}

static void list(struct app *a, struct held *h)
{
	struct dirent *d;
	uint32_t seen = 0, all = 0;

	rewinddir(h->stream);
	errno = 0;
	while ((d = readdir(h->stream))) {
		uint32_t i = (uint32_t)(unsigned char)d->d_name[0] - 'a';

		if (i >= TWIN_NAMES || d->d_name[1])
			continue;
		if (!h->dir->entry[i] || d->d_ino != h->dir->entry[i]->ino)
			twin_fail(a->t, "\"%s\" is listed in object %u", d->d_name, h->dir->id);
		seen |= 1u << i;
	}
	if (errno && (h->dir->alive || errno != ENOENT))
		twin_fail(a->t, "readdir: %s", strerror(errno));
	for (uint32_t i = 0; i < TWIN_NAMES; i++)
		all |= h->dir->entry[i] ? 1u << i : 0;
	if (h->dir->alive && seen != all)
		twin_fail(a->t, "object %u lists %x, not %x", h->dir->id, seen, all);
}

static void use_held(struct app *a, struct held *h)
{
	uint32_t name = twin_random(a->t, TWIN_NAMES);
	const struct twin_object *o = h->dir->entry[name];
	char text[2] = {(char)('a' + name), '\0'};
	int fd, expected = !o ? ENOENT : o->dir ? EISDIR : 0;

	if (h->stream && a->exact && twin_random(a->t, 2)) {
		list(a, h);
		return;
	}
	fd = openat(h->fd, text, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ESTALE || errno == ENOENT) && may_be_lost(a, h)) {
		a->t->stale += errno == ESTALE;
		return;
	}
	if (fd < 0 && errno == ELOOP && o && o->dir && !is_where_it_was(a, h))
		return;
	judge(a, "openat", fd < 0 ? errno : 0, expected);
	if (fd < 0)
		return;
	if (whose(a, fd) != o && a->exact)
		twin_fail(a->t, "object %u opened below object %u", whose(a, fd)->id, h->dir->id);
	assert_int_equal(close(fd), 0);
}

/* ---- all together ---- */

/* Takes the gateway's fds for other files. */
static void churn(const struct app *a)
{
	char name[32];

	for (unsigned int i = 0; i < TWIN_CHURN; i++) {
		int fd;

		snprintf(name, sizeof(name), "churn/%u", i);
		fd = open(mt_path(a->m, name), O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		close(fd);
	}
}

static void app_step(struct app *a)
{
	struct twin *t = a->t;
	struct held *h = &a->held[twin_random(t, HELD)];
	struct twin_object *dir = twin_pick(t, true, false), *o;
	uint32_t name = twin_random(t, TWIN_NAMES), kind = twin_random(t, 100);

	if (kind < 2) {
		churn(a);
	} else if (kind < 8) {
		enter(a, h, dir);
	} else if (kind < 30 && h->dir) {
		use_held(a, h);
	} else if (kind < 55) {
		open_path(a, dir, name);
	} else if (kind < 65) {
		stat_path(a, dir, name);
	} else if (kind < 75) {
		create_path(a, dir, name);
	} else if (kind < 80) {
		unlink_path(a, dir, name);
	} else {
		o = t->object[twin_random(t, t->n_objects)];
		if (o->open && !o->dir)
			use_file(a, o, (int)o->fh);
		if (o->open && !o->dir && twin_random(t, 4) == 0)
			close_file(o);
	}
}

static void close_all(struct app *a)
{
	for (unsigned int i = 0; i < a->t->n_objects; i++) {
		if (!a->t->object[i]->dir)
			close_file(a->t->object[i]);
	}
}

/* Everything by its path, when the kernel has forgotten what it thought. */
static void all_is_right(struct app *a)
{
	bool exact = a->exact;

	usleep(1200000);
	a->exact = true;
	for (unsigned int i = 0; i < a->t->n_objects; i++) {
		struct twin_object *dir = a->t->object[i];

		for (uint32_t name = 0; dir->dir && dir->alive && name < TWIN_NAMES; name++)
			stat_path(a, dir, name);
		for (uint32_t name = 0; dir->dir && dir->alive && name < TWIN_NAMES; name++)
			open_path(a, dir, name);
	}
	close_all(a);
	a->exact = exact;
}

static void leave_all(struct app *a)
{
	close_all(a);
	for (unsigned int i = 0; i < HELD; i++) {
		if (a->held[i].stream)
			closedir(a->held[i].stream);
		if (a->held[i].dir)
			close(a->held[i].fd);
	}
}

static void programs_and_host_at_random(void **state)
{
	struct mt *m = *state;
	struct app a = {.m = m, .exact = m->it->options->be.cache};
	unsigned int n = twin_scaled(1300);
	struct twin *t = twin_new(m->it, twin_seed(), m->options == &prefer ||
							      m->options == &prefer_auto);

	a.t = t;
	for (t->step = 0; t->step < n; t->step++) {
		if (twin_random(t, 4) == 0)
			twin_host(t);
		else
			app_step(&a);
	}
	leave_all(&a);
	all_is_right(&a);
	twin_check(t);
	print_message("# %u objects; a directory was lost %u times\n", t->n_objects, t->stale);
	twin_free(t);
}

static const struct CMUnitTest tests[] = {
	MT_TEST(programs_and_host_at_random, prefer),
	MT_TEST(programs_and_host_at_random, never),
	MT_TEST(programs_and_host_at_random, nobody),
	MT_TEST(programs_and_host_at_random, prefer_auto),
	MT_TEST(programs_and_host_at_random, never_auto),
};

static const struct it_difference differences[] = {
	{"programs_and_host_at_random", "it keeps an fd of each file, and has too few"},
};

int main(int argc, char **argv)
{
	int r;

	twin_fs_make();
	r = mt_main(argc, argv, "replaced_mount", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
	twin_fs_remove();
	return r;
}
