/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls - the benchmark's system calls alone: calls DIRECTORY SECONDS ROW[@DEPTH]...
 *
 * What the bare loop does for each operation, with no ring, no front-end and no other process: for
 * each request one write and one read of an eventfd (a kick, or a call, and who sleeps in it), as
 * many fewer as a batch has requests, and the operation's own system calls. Prints what
 * `virtiofs-frontend bench --json` does, as far as there is something to say.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILES   64
#define ENTRIES 10000
#define SIZE    (32 << 20)
#define LARGE   (1 << 20)
#define SAMPLES 65536u

struct bench {
	int dir, event;
	unsigned int depth, requests; /* of a batch; since the last event */
	int files[FILES];             /* O_PATH */
	int fd;                       /* of f0, for both */
	uint64_t random, turn;
	char data[LARGE];
};

/* One request came and was answered. */
static void request(struct bench *b)
{
	uint64_t count = 1;

	if (++b->requests < b->depth)
		return;
	b->requests = 0;
	if (write(b->event, &count, sizeof(count)) < 0 || read(b->event, &count, sizeof(count)) < 0)
		abort();
}

static uint64_t any(struct bench *b, uint64_t n)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random % n;
}

static bool do_getattr(struct bench *b)
{
	struct stat st;

	request(b);
	return fstat(b->files[any(b, FILES)], &st) == 0;
}

static bool do_lookup(struct bench *b)
{
	struct stat st;
	char name[32];

	request(b);
	snprintf(name, sizeof(name), "f%u", (unsigned int)any(b, FILES));
	return fstatat(b->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool do_miss(struct bench *b)
{
	struct stat st;

	request(b);
	return fstatat(b->dir, "absent", &st, AT_SYMLINK_NOFOLLOW) < 0;
}

static bool do_open(struct bench *b)
{
	char name[32];
	int fd;

	request(b);
	snprintf(name, sizeof(name), "f%u", (unsigned int)any(b, FILES));
	fd = openat(b->dir, name, O_RDWR | O_CLOEXEC);
	request(b);
	return close(fd) == 0;
}

static bool do_read(struct bench *b)
{
	request(b);
	return pread(b->fd, b->data, 4096, (off_t)any(b, SIZE / 4096) * 4096) == 4096;
}

static bool do_write(struct bench *b)
{
	request(b);
	return pwrite(b->fd, b->data, 4096, (off_t)any(b, SIZE / 4096) * 4096) == 4096;
}

static bool do_mixed(struct bench *b)
{
	return any(b, 10) < 3 ? do_write(b) : do_read(b);
}

static bool do_read1m(struct bench *b)
{
	request(b);
	return pread(b->fd, b->data, LARGE, (off_t)(b->turn++ % (SIZE / LARGE)) * LARGE) == LARGE;
}

static bool do_write1m(struct bench *b)
{
	request(b);
	return pwrite(b->fd, b->data, LARGE, (off_t)(b->turn++ % (SIZE / LARGE)) * LARGE) == LARGE;
}

static bool do_fsync(struct bench *b)
{
	bool good = do_write(b);

	request(b);
	return fsync(b->fd) == 0 && good;
}

static bool do_create(struct bench *b)
{
	struct stat st;
	int fd, path;

	request(b);
	fd = openat(b->dir, "c0", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	path = openat(b->dir, "c0", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0 || fstat(path, &st) < 0)
		return false;
	request(b);
	close(fd);
	request(b);
	return unlinkat(b->dir, "c0", 0) == 0 && close(path) == 0;
}

static bool do_symlink(struct bench *b)
{
	struct stat st;
	int path;

	request(b);
	if (symlinkat("target/of/a/link", b->dir, "l0") < 0)
		return false;
	path = openat(b->dir, "l0", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0 || fstat(path, &st) < 0)
		return false;
	request(b);
	return unlinkat(b->dir, "l0", 0) == 0 && close(path) == 0;
}

static bool do_rename(struct bench *b)
{
	bool away = b->turn++ % 2;

	request(b);
	return renameat(b->dir, away ? "b0" : "a0", b->dir, away ? "a0" : "b0") == 0;
}

static bool do_statfs(struct bench *b)
{
	struct statfs st;

	request(b);
	return fstatfs(b->files[0], &st) == 0;
}

/* A listing by 200 entries a request, as they fit into 32 KiB. */
static bool do_list(struct bench *b)
{
	unsigned int n = 0;
	struct stat st;
	long len;

	lseek(b->fd, 0, SEEK_SET);
	while ((len = syscall(SYS_getdents64, b->fd, b->data, 65536)) > 0) {
		for (long at = 0; at < len;) {
			const struct dirent64 *entry = (const void *)(b->data + at);

			if (n++ % 200 == 0)
				request(b);
			if (fstatat(b->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				return false;
			at += entry->d_reclen;
		}
	}
	return n == ENTRIES + 2;
}

/* ---- what they need ---- */

static bool make(int dir, const char *format, unsigned int n)
{
	char name[32];
	int fd;

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%.8s%u", format, i);
		fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return false;
		close(fd);
	}
	return true;
}

static void drop(int dir, const char *format, unsigned int n)
{
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%.8s%u", format, i);
		unlinkat(dir, name, 0);
	}
}

static bool need_files(struct bench *b)
{
	char name[32];

	if (!make(b->dir, "f", FILES))
		return false;
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		b->files[i] = openat(b->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	b->fd = openat(b->dir, "f0", O_RDWR | O_CLOEXEC);
	return b->fd >= 0;
}

static bool need_data(struct bench *b)
{
	bool good = need_files(b);

	for (unsigned int i = 0; good && i < SIZE / LARGE; i++)
		good = write(b->fd, b->data, LARGE) == LARGE;
	return good;
}

static bool need_name(struct bench *b)
{
	return need_files(b) && make(b->dir, "a", 1);
}

static bool need_directory(struct bench *b)
{
	if (!need_files(b) || mkdirat(b->dir, "directory", 0755) < 0)
		return false;
	close(b->fd);
	b->fd = openat(b->dir, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->fd >= 0 && make(b->fd, "e", ENTRIES);
}

static void clean(struct bench *b)
{
	int dir = openat(b->dir, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0) {
		drop(dir, "e", ENTRIES);
		close(dir);
		unlinkat(b->dir, "directory", AT_REMOVEDIR);
	}
	drop(b->dir, "f", FILES);
	drop(b->dir, "a", 1);
	drop(b->dir, "b", 1);
	for (unsigned int i = 0; i < FILES; i++)
		if (b->files[i] > 0)
			close(b->files[i]);
	close(b->fd);
	close(b->dir);
	close(b->event);
}

static const struct row {
	const char *name;
	bool (*need)(struct bench *b);
	bool (*once)(struct bench *b);
	unsigned int weight; /* operations that it counts as */
	unsigned int each;   /* so many together have one look at the clock */
} rows[] = {
	{"getattr", need_files, do_getattr, 1, 16},
	{"lookup", need_files, do_lookup, 1, 16},
	{"lookup-miss", need_files, do_miss, 1, 16},
	{"open-release", need_files, do_open, 1, 16},
	{"read4k", need_data, do_read, 1, 16},
	{"write4k", need_data, do_write, 1, 16},
	{"mixed4k", need_data, do_mixed, 1, 16},
	{"read1m", need_data, do_read1m, 1, 1},
	{"write1m", need_data, do_write1m, 1, 1},
	{"fsync", need_data, do_fsync, 1, 1},
	{"create-unlink", need_files, do_create, 1, 16},
	{"rename", need_name, do_rename, 1, 16},
	{"symlink", need_files, do_symlink, 1, 16},
	{"readdirplus", need_directory, do_list, ENTRIES, 1},
	{"statfs", need_files, do_statfs, 1, 16},
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct figures {
	double rate, p50_us; /* operations a second; of single ones, by what a few took together */
};

static bool run(const struct row *row, struct bench *b, double seconds, struct figures *out)
{
	static double samples[SAMPLES];
	double began = now(), at = began, before;
	uint64_t n = 0;

	do {
		before = at;
		for (unsigned int i = 0; i < row->each; i++)
			if (!row->once(b))
				return false;
		at = now();
		samples[n++ % SAMPLES] = (at - before) / row->each;
	} while (at < began + seconds);
	out->rate = (double)(n * row->each * row->weight) / (at - began);
	n = n < SAMPLES ? n : SAMPLES;
	qsort(samples, n, sizeof(samples[0]), by_value);
	out->p50_us = samples[n / 2] * 1e6;
	return true;
}

static int measure(const char *path, double seconds, const char *pick, bool first)
{
	static struct bench b;
	const char *at = strchr(pick, '@');
	size_t len = at ? (size_t)(at - pick) : strlen(pick);
	const struct row *row = NULL;
	struct figures figures;
	bool good;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == len && !memcmp(rows[i].name, pick, len))
			row = &rows[i];
	if (!row)
		return 2;
	memset(&b, 0, sizeof(b));
	b.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b.event = eventfd(0, EFD_CLOEXEC);
	b.depth = at ? (unsigned int)strtoul(at + 1, NULL, 10) : 1;
	b.random = UINT64_C(0x9e3779b97f4a7c15);
	good = row->need(&b) && run(row, &b, seconds / 10, &figures) &&
	       run(row, &b, seconds, &figures);
	clean(&b);
	if (!good) {
		fprintf(stderr, "calls: %s: %s\n", row->name, strerror(errno));
		return 1;
	}
	printf("%s\n{\"row\":\"%s\",\"depth\":%u,\"per_second\":%.1f,\"p50_us\":%.2f}",
		first ? "" : ",", row->name, b.depth, figures.rate, figures.p50_us);
	return 0;
}

int main(int argc, char **argv)
{
	int status = argc > 3 ? 0 : 2;

	if (status == 0)
		printf("{\"rows\":[");
	for (int i = 3; i < argc && status == 0; i++)
		status = measure(argv[1], strtod(argv[2], NULL), argv[i], i == 3);
	if (status == 2)
		fprintf(stderr, "usage: calls DIRECTORY SECONDS ROW[@DEPTH]...\n");
	else
		printf("\n],\"status\":%d}\n", status);
	return status;
}
