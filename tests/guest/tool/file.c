/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: single files. Contents, holes, mappings, renames, unlinks, direct I/O, credentials.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static unsigned char block[BLOCK] __attribute__((aligned(4096)));
static unsigned char wanted[BLOCK];

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0)
		die(errno, "open %s", path);
	return fd;
}

static void close_file(int fd, const char *path)
{
	if (close(fd))
		die(errno, "close %s", path);
}

int cmd_fill(int argc, char **argv)
{
	uint64_t seed = number(argv[1]), size = number(argv[2]);
	int fd = strcmp(argv[0], "-") ? open_file(argv[0], O_CREAT | O_TRUNC | O_WRONLY)
				      : STDOUT_FILENO;

	(void)argc;
	for (uint64_t at = 0; at < size; at += BLOCK) {
		size_t part = size - at < BLOCK ? size - at : BLOCK;

		pattern(seed, at, block, part);
		full_write(fd, block, part, argv[0]);
	}
	close_file(fd, argv[0]);
	return 0;
}

static void compare(const char *path, uint64_t seed, uint64_t at, const void *got, size_t len)
{
	pattern(seed, at, wanted, len);
	for (size_t i = 0; i < len; i++)
		if (((const unsigned char *)got)[i] != wanted[i])
			die(0, "%s differs at %llu", path, (unsigned long long)(at + i));
}

static void check_size(int fd, const char *path, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st))
		die(errno, "fstat %s", path);
	if ((uint64_t)st.st_size != size)
		die(0, "%s has %lld bytes, not %llu", path, (long long)st.st_size,
			(unsigned long long)size);
}

int cmd_verify(int argc, char **argv)
{
	uint64_t seed = number(argv[1]), size = number(argv[2]);
	int fd = open_file(argv[0], O_RDONLY);

	(void)argc;
	check_size(fd, argv[0], size);
	for (uint64_t at = 0; at < size; at += BLOCK) {
		size_t part = size - at < BLOCK ? size - at : BLOCK;

		full_pread(fd, block, part, at, argv[0]);
		compare(argv[0], seed, at, block, part);
	}
	close_file(fd, argv[0]);
	return 0;
}

static void print_segment(void *arg, uint64_t start, uint64_t end)
{
	(void)arg;
	printf("%llu %llu\n", (unsigned long long)start, (unsigned long long)end);
}

int cmd_segments(int argc, char **argv)
{
	int fd = open_file(argv[0], O_RDONLY);
	struct stat st;

	(void)argc;
	if (fstat(fd, &st))
		die(errno, "fstat %s", argv[0]);
	for_each_segment(fd, (uint64_t)st.st_size, print_segment, NULL, argv[0]);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_punch(int argc, char **argv)
{
	int fd = open_file(argv[0], O_WRONLY);

	(void)argc;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)number(argv[1]),
		    (off_t)number(argv[2])))
		die(errno, "punch a hole in %s", argv[0]);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_mmap_write(int argc, char **argv)
{
	uint64_t seed = number(argv[1]), size = number(argv[2]);
	int fd = open_file(argv[0], O_CREAT | O_RDWR);
	void *map;

	(void)argc;
	if (ftruncate(fd, (off_t)size))
		die(errno, "ftruncate %s", argv[0]);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die(errno, "mmap %s", argv[0]);
	pattern(seed, 0, map, size);
	if (msync(map, size, MS_SYNC))
		die(errno, "msync %s", argv[0]);
	/* The mapping and the file stay open: what the host sees now, msync brought there. */
	puts("synced");
	if (fflush(stdout))
		die(errno, "stdout");
	if (getchar() == EOF && ferror(stdin))
		die(errno, "stdin");
	if (munmap(map, size))
		die(errno, "munmap %s", argv[0]);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_mmap_check(int argc, char **argv)
{
	uint64_t seed = number(argv[1]), size = number(argv[2]);
	int fd = open_file(argv[0], O_RDONLY);
	const unsigned char *map;

	(void)argc;
	check_size(fd, argv[0], size);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die(errno, "mmap %s", argv[0]);
	for (uint64_t at = 0; at < size; at += BLOCK)
		compare(argv[0], seed, at, map + at, size - at < BLOCK ? size - at : BLOCK);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_rename2(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned int flag;
	} flags[] = {
		{"noreplace", RENAME_NOREPLACE},
		{"exchange", RENAME_EXCHANGE},
		{"whiteout", RENAME_WHITEOUT},
	};

	(void)argc;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(flags[i].name, argv[0]))
			continue;
		if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], flags[i].flag))
			die(errno, "renameat2 %s %s", argv[0], argv[1]);
		return 0;
	}
	die(0, "no rename flag %s", argv[0]);
}

/* FROM and TO hold different things of the same length. After the rename the open TO still reads as
 * before, and the path reads as FROM did. */
int cmd_rename_over_open(int argc, char **argv)
{
	unsigned char from[4096], to[4096], got[4096];
	int fd = open_file(argv[1], O_RDONLY), other = open_file(argv[0], O_RDONLY);

	(void)argc;
	full_pread(fd, to, sizeof(to), 0, argv[1]);
	full_pread(other, from, sizeof(from), 0, argv[0]);
	if (!memcmp(from, to, sizeof(from)))
		die(0, "%s and %s are alike", argv[0], argv[1]);
	if (rename(argv[0], argv[1]))
		die(errno, "rename %s", argv[0]);
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(errno, "fadvise %s", argv[1]);
	full_pread(fd, got, sizeof(got), 0, argv[1]);
	if (memcmp(got, to, sizeof(got)))
		die(0, "the open file changed with the rename");
	close_file(other, argv[0]);
	other = open_file(argv[1], O_RDONLY);
	full_pread(other, got, sizeof(got), 0, argv[1]);
	if (memcmp(got, from, sizeof(got)))
		die(0, "%s does not hold what was renamed over it", argv[1]);
	if (access(argv[0], F_OK) == 0 || errno != ENOENT)
		die(0, "%s is still there", argv[0]);
	close_file(other, argv[1]);
	close_file(fd, argv[1]);
	return 0;
}

int cmd_unlink_open(int argc, char **argv)
{
	int fd = open_file(argv[0], O_CREAT | O_TRUNC | O_RDWR);
	struct stat st;

	(void)argc;
	pattern(1, 0, block, BLOCK);
	full_pwrite(fd, block, BLOCK, 0, argv[0]);
	if (unlink(argv[0]))
		die(errno, "unlink %s", argv[0]);
	if (access(argv[0], F_OK) == 0 || errno != ENOENT)
		die(0, "%s is still there", argv[0]);
	/* Out of the page cache: the reads must reach the back-end. */
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(errno, "fsync %s", argv[0]);
	full_pread(fd, block, BLOCK, 0, argv[0]);
	compare(argv[0], 1, 0, block, BLOCK);
	pattern(1, BLOCK, block, BLOCK);
	full_pwrite(fd, block, BLOCK, BLOCK, argv[0]);
	if (fchmod(fd, 0600) || ftruncate(fd, BLOCK + 10) || fsync(fd) || fstat(fd, &st))
		die(errno, "the unlinked %s", argv[0]);
	if (st.st_nlink != 0 || st.st_size != BLOCK + 10 || (st.st_mode & 0777) != 0600)
		die(0, "the unlinked %s has %lu links, %lld bytes, mode %o", argv[0],
			(unsigned long)st.st_nlink, (long long)st.st_size, st.st_mode);
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(errno, "fadvise %s", argv[0]);
	full_pread(fd, block, 10, BLOCK, argv[0]);
	compare(argv[0], 1, BLOCK, block, 10);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_direct(int argc, char **argv)
{
	uint64_t seed = number(argv[1]), size = number(argv[2]);
	int fd = open_file(argv[0], O_CREAT | O_TRUNC | O_RDWR | O_DIRECT);

	(void)argc;
	for (uint64_t at = 0; at < size; at += BLOCK) {
		pattern(seed, at, block, BLOCK);
		full_pwrite(fd, block, size - at < BLOCK ? size - at : BLOCK, at, argv[0]);
	}
	for (uint64_t at = 0; at < size; at += BLOCK) {
		size_t part = size - at < BLOCK ? size - at : BLOCK;

		memset(block, 0, BLOCK);
		full_pread(fd, block, part, at, argv[0]);
		compare(argv[0], seed, at, block, part);
	}
	close_file(fd, argv[0]);
	return 0;
}

int cmd_reread(int argc, char **argv)
{
	int fd = open_file(argv[0], O_RDONLY);

	(void)argc;
	for (uint64_t times = number(argv[1]); times > 0; times--)
		full_pread(fd, block, 4096, 0, argv[0]);
	close_file(fd, argv[0]);
	return 0;
}

int cmd_as(int argc, char **argv)
{
	(void)argc;
	umask((mode_t)strtoul(argv[2], NULL, 8));
	if (setgroups(0, NULL) || setgid((gid_t)number(argv[1])) || setuid((uid_t)number(argv[0])))
		die(errno, "set credentials");
	execvp(argv[3], argv + 3);
	die(errno, "run %s", argv[3]);
}

/*
 * Buffers that lie in the window: what the file system is given to write, and to read to, is the
 * mapping of a DAX file. PLAIN is small enough to be none itself.
 */
int cmd_daxbuffer(int argc, char **argv)
{
	enum { MAP = 256 << 10, PART = 16 << 10, TO = 64 << 10 };
	uint64_t seed = number(argv[2]);
	static unsigned char want[PART];
	int file = open_file(argv[0], O_RDWR);
	int plain = open_file(argv[1], O_CREAT | O_TRUNC | O_RDWR | O_DIRECT);
	unsigned char *map = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	(void)argc;
	if (map == MAP_FAILED)
		die(errno, "mmap %s", argv[0]);
	pattern(seed, 0, map, PART);
	full_pwrite(plain, map, PART, 0, argv[1]);
	memset(map + TO, 0, PART);
	full_pread(plain, map + TO, PART, 0, argv[1]);
	pattern(seed, 0, want, PART);
	if (memcmp(map + TO, want, PART) != 0)
		die(0, "%s: what came into the window is not what went out of it", argv[1]);
	munmap(map, MAP);
	close_file(plain, argv[1]);
	close_file(file, argv[0]);
	return 0;
}
