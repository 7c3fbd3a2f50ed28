/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool tree-make: a reproducible tree of files with odd names, kinds, modes, owners and
 * times. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PER_DIRECTORY = 40, DEPTH_MAX = 4 };

struct maker {
	struct rng rng;
	char **dirs; /* all made so far, parents before children */
	size_t dir_count;
	char *last_file; /* a regular file to link to */
};

static const char *const stems[] = {
	"plain",
	"with space",
	" leading and trailing ",
	"-rf",
	"line\nbreak",
	"tab\tand\x01",
	"quote'\"`$HOME\\",
	"*?[a-z]",
	"\xc3\xa4\xc3\xb6\xc3\xbc-\xe6\xbc\xa2\xe5\xad\x97-\xf0\x9f\x90\xa7",
	"not utf-8 \xff\xfe",
	"..almost",
	".hidden",
};

/* Writes the name of entry number i: every 16th is NAME_MAX bytes long, every other one of those in
 * characters of three bytes. */
static void odd_name(char name[NAME_MAX + 1], size_t i)
{
	const size_t count = sizeof(stems) / sizeof(stems[0]);
	int len = snprintf(name, NAME_MAX + 1, "%s %zu", stems[i % count], i);

	if (i % 16 != 7)
		return;
	if (i % 32 == 7) {
		memset(name + len, 'x', (size_t)(NAME_MAX - len));
	} else {
		while (NAME_MAX - len >= 3) {
			memcpy(name + len, "\xe2\x82\xac", 3);
			len += 3;
		}
		memset(name + len, 'y', (size_t)(NAME_MAX - len));
	}
	name[NAME_MAX] = '\0';
}

static void set_attributes(struct maker *maker, const char *path, bool directory)
{
	static const mode_t modes[] = {
		0644, 0600, 0755, 0400, 0000, 0777, 01777, 02755, 04711, 0222};
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	bool symlink_itself;
	struct stat st;

	if (lstat(path, &st))
		die(errno, "lstat %s", path);
	symlink_itself = S_ISLNK(st.st_mode);
	if (geteuid() == 0 && rng_below(&maker->rng, 4) == 0 &&
		lchown(path, (uid_t)rng_below(&maker->rng, 70000),
			(gid_t)rng_below(&maker->rng, 70000)))
		die(errno, "lchown %s", path);
	if (!symlink_itself) {
		mode_t mode = modes[rng_below(&maker->rng, sizeof(modes) / sizeof(modes[0]))];

		if (directory)
			mode |= 0700; /* makers that are not root go on inside */
		if (chmod(path, mode))
			die(errno, "chmod %s", path);
	}
	/* 1938 to 2065: before the epoch and past 2038, as ext4 and the like can keep. */
	times[1].tv_sec = (time_t)rng_below(&maker->rng, 4000000000u) - 1000000000;
	times[1].tv_nsec = (long)rng_below(&maker->rng, 1000000000u);
	if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
		die(errno, "utimensat %s", path);
}

static void make_regular(struct maker *maker, const char *path, bool sparse)
{
	static unsigned char buf[1 << 18];
	uint64_t seed = rng_next(&maker->rng);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd < 0)
		die(errno, "create %s", path);
	if (sparse) {
		for (size_t i = 0; i < 4; i++) {
			pattern(seed, i, buf, 4096);
			full_pwrite(fd, buf, 4096, rng_below(&maker->rng, 16) * 65536, path);
		}
		if (ftruncate(fd, 16 * 65536 + 1))
			die(errno, "ftruncate %s", path);
	} else {
		/* Mostly small, some empty, a few of more than one request. */
		size_t limit = rng_below(&maker->rng, 50) ? 8192 : sizeof(buf);
		size_t len = rng_below(&maker->rng, limit);

		pattern(seed, 0, buf, len);
		full_write(fd, buf, len, path);
	}
	if (close(fd))
		die(errno, "close %s", path);
}

static void make_symlink(struct maker *maker, const char *path, size_t i)
{
	static char target[PATH_MAX];
	size_t len = i % 3 == 0 ? PATH_MAX - 1 : 1 + rng_below(&maker->rng, 100);

	if (i % 3 == 1) {
		snprintf(target, sizeof(target), "../%s", maker->last_file ? "elsewhere" : ".");
	} else {
		memset(target, 't', len);
		target[len] = '\0';
	}
	if (symlink(target, path))
		die(errno, "symlink %s", path);
}

static void make_directory(struct maker *maker, const char *path)
{
	if (mkdir(path, 0700))
		die(errno, "mkdir %s", path);
	maker->dirs = realloc(maker->dirs, (maker->dir_count + 1) * sizeof(*maker->dirs));
	if (!maker->dirs)
		die(ENOMEM, "directories");
	maker->dirs[maker->dir_count] = strdup(path);
	if (!maker->dirs[maker->dir_count++])
		die(ENOMEM, "directories");
}

static void make_entry(struct maker *maker, const char *path, size_t i)
{
	switch (i % 20) {
	case 3:
	case 11:
		make_symlink(maker, path, i);
		break;
	case 5:
		if (mkfifo(path, 0600))
			die(errno, "mkfifo %s", path);
		break;
	case 8:
		if (mknod(path, S_IFSOCK | 0600, 0))
			die(errno, "mknod socket %s", path);
		break;
	case 13:
		if (maker->last_file) {
			if (link(maker->last_file, path))
				die(errno, "link %s", path);
			return; /* an inode's attributes are set once */
		}
		make_regular(maker, path, false);
		break;
	case 17:
		make_regular(maker, path, true);
		break;
	default:
		make_regular(maker, path, false);
		free(maker->last_file);
		maker->last_file = strdup(path);
		break;
	}
	set_attributes(maker, path, false);
}

int cmd_tree_make(int argc, char **argv)
{
	struct maker maker = {0};
	uint64_t count = number(argv[1]);
	char name[NAME_MAX + 1], path[PATH_MAX];

	(void)argc;
	umask(0);
	rng_init(&maker.rng, number(argv[2]));
	make_directory(&maker, argv[0]);
	for (size_t i = 1; i < count; i++) {
		/* A new directory now and then, below a random one of the first few: a broad tree.
		 */
		size_t few = maker.dir_count < DEPTH_MAX ? maker.dir_count : DEPTH_MAX;
		const char *dir = i % PER_DIRECTORY ? maker.dirs[maker.dir_count - 1]
						    : maker.dirs[rng_below(&maker.rng, few)];

		odd_name(name, i);
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
			die(ENAMETOOLONG, "%s", dir);
		if (i % PER_DIRECTORY == 0)
			make_directory(&maker, path);
		else
			make_entry(&maker, path, i);
	}
	/* Children first: making an entry changes its directory's time. */
	while (maker.dir_count > 0) {
		set_attributes(&maker, maker.dirs[--maker.dir_count], true);
		free(maker.dirs[maker.dir_count]);
	}
	free(maker.dirs);
	free(maker.last_file);
	return 0;
}
