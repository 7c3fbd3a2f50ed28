/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `virtiofs-frontend mount`: system calls of real processes through the host's kernel, and every
 * way in which a mount ends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/integration/mounted.h"

#define ENTRIES   10000u
#define PROCESSES 8u
#define ROUNDS    60u
#define BIG       (24u << 20)

/* The statuses of virtiofs-frontend. */
enum { ENDED = 0, FAILED = 1, USAGE = 2, PROTOCOL = 3 };

#define BACKEND .it = {.no_client = true}

static const char *const two_queues[] = {"--queues", "2", NULL};
static const char *const readonly[] = {"-o", "ro,nosuid,nodev,noexec,noatime,source=thing", NULL};
static struct mt_options plain = {BACKEND};
static struct mt_options queues = {BACKEND, .args = two_queues};
static struct mt_options read_only = {BACKEND, .args = readonly};
static struct mt_options by_hand = {BACKEND, .unmounted = true};
static struct mt_options doomed = {.it = {.no_client = true, .bad_exit_fine = true}};
static struct mt_options connecting = {.it = {.be = {.socket = BE_CONNECT}, .no_client = true}};

static void write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(close(fd), 0);
}

static void expect_file(const char *path, const unsigned char *data, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *got = malloc(size + 1);
	size_t n = 0;

	assert_true(fd >= 0);
	assert_non_null(got);
	while (n <= size) {
		ssize_t r = read(fd, got + n, size + 1 - n);

		assert_true(r >= 0);
		if (r == 0)
			break;
		n += (size_t)r;
	}
	assert_int_equal(n, size);
	assert_memory_equal(got, data, size);
	free(got);
	close(fd);
}

/* ---- what works ---- */

static void files_come_and_go(void **state)
{
	struct mt *m = *state;
	struct stat st;
	char target[16] = "";

	write_file(mt_path(m, "a"), "hello", 5);
	expect_file(it_path(m->it, "a"), (const unsigned char *)"hello", 5);
	assert_int_equal(mkdir(mt_path(m, "d"), 0700), 0);
	assert_int_equal(rename(mt_path(m, "a"), mt_path(m, "d/b")), 0);
	assert_int_equal(link(mt_path(m, "d/b"), mt_path(m, "c")), 0);
	assert_int_equal(symlink("d/b", mt_path(m, "s")), 0);
	assert_int_equal(readlink(mt_path(m, "s"), target, sizeof(target)), 3);
	assert_string_equal(target, "d/b");
	assert_int_equal(chmod(mt_path(m, "s"), 0640), 0);
	assert_int_equal(chown(mt_path(m, "c"), 12, 34), 0);
	assert_int_equal(truncate(mt_path(m, "c"), 4), 0);
	assert_int_equal(stat(it_path(m->it, "d/b"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(unlink(mt_path(m, "s")), 0);
	assert_int_equal(rmdir(mt_path(m, "d")), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(unlink(mt_path(m, "d/b")), 0);
	assert_int_equal(rmdir(mt_path(m, "d")), 0);
	assert_int_equal(access(it_path(m->it, "d"), F_OK), -1);
	expect_file(it_path(m->it, "c"), (const unsigned char *)"hell", 4);
}

static void large_files_are_whole(void **state)
{
	struct mt *m = *state;
	unsigned char *data = malloc(BIG);
	static unsigned char direct[4u << 20] __attribute__((aligned(4096)));
	int fd;

	assert_non_null(data);
	mt_fill(data, BIG, 1);
	write_file(mt_path(m, "big"), data, BIG);
	expect_file(it_path(m->it, "big"), data, BIG);
	write_file(it_path(m->it, "other"), data, BIG - 12345);
	expect_file(mt_path(m, "other"), data, BIG - 12345);

	/* Without a page cache, in pieces that are longer than any request. */
	fd = open(mt_path(m, "direct"), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	memcpy(direct, data, sizeof(direct));
	assert_int_equal(write(fd, direct, sizeof(direct)), sizeof(direct));
	expect_file(it_path(m->it, "direct"), data, sizeof(direct));
	memset(direct, 0, sizeof(direct));
	assert_int_equal(pread(fd, direct, sizeof(direct), 0), sizeof(direct));
	assert_memory_equal(direct, data, sizeof(direct));
	close(fd);
	free(data);
}

static void mapped_files_are_written_back(void **state)
{
	struct mt *m = *state;
	size_t size = 3u << 20;
	unsigned char *data = malloc(size), *map;
	int fd = open(mt_path(m, "mapped"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	assert_non_null(data);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	mt_fill(data, size, 2);
	memcpy(map, data, size);
	assert_int_equal(msync(map, size, MS_SYNC), 0);
	expect_file(it_path(m->it, "mapped"), data, size);
	/* The rest goes with the mapping. */
	map[size / 2] ^= 1;
	data[size / 2] ^= 1;
	assert_int_equal(munmap(map, size), 0);
	fd = open(mt_path(m, "mapped"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	expect_file(it_path(m->it, "mapped"), data, size);
	free(data);
}

static unsigned int count_entries(DIR *dir, unsigned char *seen)
{
	unsigned int n = 0, number;
	struct dirent *entry;
	char end;

	memset(seen, 0, ENTRIES);
	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, "entry-%u%c", &number, &end) != 1 || number >= ENTRIES)
			continue;
		assert_false(seen[number]);
		seen[number] = 1;
		n++;
	}
	return n;
}

static void a_long_directory_is_listed(void **state)
{
	struct mt *m = *state;
	static unsigned char seen[ENTRIES];
	char name[32];
	DIR *dir;

	/* Tens of thousands of calls: 10 s under a sanitizer, more on a busy machine. */
	alarm(4 * IT_TIME_LIMIT);
	assert_int_equal(mkdir(mt_path(m, "many"), 0755), 0);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		int fd;

		snprintf(name, sizeof(name), "many/entry-%u", i);
		/* Half of them by the mount itself. */
		fd = open(i % 2 ? mt_path(m, name) : it_path(m->it, name),
			O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
	dir = opendir(mt_path(m, "many"));
	assert_non_null(dir);
	assert_int_equal(count_entries(dir, seen), ENTRIES);
	rewinddir(dir);
	assert_int_equal(count_entries(dir, seen), ENTRIES);
	closedir(dir);
	/* The kernel forgets what it has looked up: thousands of nodes at once. */
	assert_int_equal(mount(NULL, m->dir, NULL, MS_REMOUNT, NULL), 0);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "many/entry-%u", i);
		assert_int_equal(unlink(mt_path(m, name)), 0);
	}
	assert_int_equal(rmdir(mt_path(m, "many")), 0);
}

static void open_files_outlive_their_names(void **state)
{
	struct mt *m = *state;
	char buf[16] = "";
	struct stat st;
	int fd;

	write_file(mt_path(m, "name"), "before", 6);
	fd = open(mt_path(m, "name"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(rename(mt_path(m, "name"), mt_path(m, "other")), 0);
	assert_int_equal(pwrite(fd, "after!", 6, 0), 6);
	expect_file(mt_path(m, "other"), (const unsigned char *)"after!", 6);
	write_file(mt_path(m, "name"), "new", 3);
	assert_int_equal(rename(mt_path(m, "name"), mt_path(m, "other")), 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 6);
	assert_string_equal(buf, "after!");
	assert_int_equal(unlink(mt_path(m, "other")), 0);
	assert_int_equal(pwrite(fd, "unseen", 6, 6), 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 12);
	close(fd);
	assert_int_equal(access(it_path(m->it, "other"), F_OK), -1);
}

static void statfs_is_the_hosts(void **state)
{
	struct mt *m = *state;
	struct statfs ours, hosts;

	assert_int_equal(statfs(m->dir, &ours), 0);
	assert_int_equal(statfs(m->it->be.share, &hosts), 0);
	assert_int_equal(ours.f_type, 0x65735546);
	assert_int_equal(ours.f_blocks, hosts.f_blocks);
	assert_int_equal(ours.f_files, hosts.f_files);
	assert_int_equal(ours.f_namelen, hosts.f_namelen);
}

/* One of many: makes, writes, renames, checks and removes files of its own in a common place. */
static int busy(struct mt *m, unsigned int i)
{
	static unsigned char data[300000], got[sizeof(data)];
	char name[64], other[64];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		size_t size = 1 + (round * 7919 + i * 104729) % sizeof(data);
		int fd;

		mt_fill(data, size, i * ROUNDS + round);
		snprintf(name, sizeof(name), "common/%u-%u", i, round);
		snprintf(other, sizeof(other), "common/%u-%u.done", i, round);
		fd = open(mt_path(m, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
			rename(mt_path(m, name), mt_path(m, other)) < 0 || close(fd) < 0)
			return 1;
		fd = open(mt_path(m, other), O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, got, sizeof(got)) != (ssize_t)size ||
			memcmp(data, got, size) != 0 || close(fd) < 0)
			return 2;
		if (round % 3 && unlink(mt_path(m, other)) < 0)
			return 3;
	}
	return 0;
}

static void run_busy(struct mt *m)
{
	pid_t pids[PROCESSES];
	unsigned int left = 0;
	DIR *dir;

	assert_int_equal(mkdir(mt_path(m, "common"), 0755), 0);
	for (unsigned int i = 0; i < PROCESSES; i++)
		pids[i] = mt_fork(busy, m, i);
	for (unsigned int i = 0; i < PROCESSES; i++)
		assert_int_equal(mt_join(pids[i]), 0);
	dir = opendir(it_path(m->it, "common"));
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		left += entry->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(left, PROCESSES * ((ROUNDS + 2) / 3));
}

static void many_processes_at_once(void **state)
{
	run_busy(*state);
}

static void two_queues_at_once(void **state)
{
	run_busy(*state);
}

static void options_reach_the_kernel(void **state)
{
	struct mt *m = *state;
	struct statvfs st;

	assert_true(mt_is_mounted(m, "thing "));
	assert_true(mt_is_mounted(m, " fuse.virtiofs ro,nosuid,nodev,noexec,noatime,"));
	assert_true(mt_is_mounted(m, "default_permissions,allow_other"));
	assert_int_equal(statvfs(m->dir, &st), 0);
	assert_true(st.f_flag & ST_RDONLY);
	it_file(m->it, "file", "content");
	expect_file(mt_path(m, "file"), (const unsigned char *)"content", 7);
	assert_int_equal(open(mt_path(m, "new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(unlink(mt_path(m, "file")), -1);
	assert_int_equal(errno, EROFS);
}

static void a_back_end_may_connect(void **state)
{
	struct mt *m = *state;

	write_file(mt_path(m, "a"), "hello", 5);
	expect_file(it_path(m->it, "a"), (const unsigned char *)"hello", 5);
}

/* The kernel checks permissions, for everybody. */
static int as_nobody(struct mt *m, unsigned int i)
{
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	if (open(mt_path(m, "open"), O_RDONLY | O_CLOEXEC) < 0)
		return 2;
	if (open(mt_path(m, "secret"), O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 3;
	return 0;
}

static void others_see_what_they_may(void **state)
{
	struct mt *m = *state;

	write_file(mt_path(m, "open"), "x", 1);
	write_file(mt_path(m, "secret"), "x", 1);
	assert_int_equal(chmod(mt_path(m, "secret"), 0600), 0);
	assert_int_equal(mt_join(mt_fork(as_nobody, m, 0)), 0);
}

/* ---- how it ends ---- */

static void a_signal_unmounts(void **state)
{
	struct mt *m = *state;

	assert_true(mt_is_mounted(m, NULL));
	kill(m->pid, SIGINT);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	assert_false(mt_is_mounted(m, NULL));
}

/* Whose terminal was closed. */
static void a_hangup_unmounts(void **state)
{
	struct mt *m = *state;

	kill(m->pid, SIGHUP);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	assert_false(mt_is_mounted(m, NULL));
}

/* As below nohup(1). */
static void an_ignored_hangup_does_not(void **state)
{
	struct mt *m = *state;

	signal(SIGHUP, SIG_IGN);
	mt_start(m, NULL);
	signal(SIGHUP, SIG_DFL);
	mt_wait_mounted(m);
	kill(m->pid, SIGHUP);
	assert_int_equal(mt_wait(m, 300), -ETIMEDOUT);
	write_file(mt_path(m, "a"), "hello", 5);
	expect_file(it_path(m->it, "a"), (const unsigned char *)"hello", 5);
	assert_true(mt_is_mounted(m, NULL));
}

static void unmounting_ends_it(void **state)
{
	struct mt *m = *state;

	write_file(mt_path(m, "a"), "hello", 5);
	assert_int_equal(umount2(m->dir, 0), 0);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	expect_file(it_path(m->it, "a"), (const unsigned char *)"hello", 5);
}

/* timeout(1) and closed terminals send their signal twice: that is not impatience. */
static void two_quick_signals_are_one(void **state)
{
	struct mt *m = *state;

	write_file(mt_path(m, "a"), "hello", 5);
	kill(m->pid, SIGTERM);
	usleep(2000);
	kill(m->pid, SIGINT);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	assert_false(mt_is_mounted(m, NULL));
	assert_false(mt_log_says(m, "given up"));
	assert_false(mt_log_says(m, "not all was written"));
	expect_file(it_path(m->it, "a"), (const unsigned char *)"hello", 5);
}

static void a_busy_mount_is_detached(void **state)
{
	struct mt *m = *state;
	int fd = open(mt_path(m, "mapped"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	unsigned char *map, data[8192];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(data)), 0);
	map = mmap(NULL, sizeof(data), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	mt_fill(data, sizeof(data), 3);
	memcpy(map, data, sizeof(data));
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	assert_false(mt_is_mounted(m, NULL));
	assert_true(mt_log_says(m, "is in use: detached"));
	/* What was in memory only is not lost. */
	expect_file(it_path(m->it, "mapped"), data, sizeof(data));
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, ENOTCONN);
	munmap(map, sizeof(data));
	close(fd);
}

/* Another namespace has the mount as well, so ours is not busy, and goes without being written. */
static int hold_a_copy(struct mt *m, unsigned int i)
{
	unsigned char *map, data[8192];
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	fd = open(mt_path(m, "mapped"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(data)) < 0)
		return 2;
	map = mmap(NULL, sizeof(data), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 3;
	mt_fill(data, sizeof(data), 4);
	memcpy(map, data, sizeof(data));
	write_file(it_path(m->it, "started"), "", 0);
	for (int n = 0; n < 10000 && pwrite(fd, "", 0, 0) == 0 && access(m->dir, F_OK) == 0; n++) {
		struct stat st;

		if (stat(mt_path(m, "none"), &st) < 0 && errno == ENOTCONN)
			return 0;
		it_nap();
	}
	return 4;
}

static void a_copy_in_a_namespace_does_not_matter(void **state)
{
	struct mt *m = *state;
	pid_t pid = mt_fork(hold_a_copy, m, 0);
	unsigned char data[8192];

	it_until(access(it_path(m->it, "started"), F_OK) == 0, 5000);
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 10000), ENDED);
	assert_false(mt_log_says(m, "in use"));
	assert_int_equal(mt_join(pid), 0);
	mt_fill(data, sizeof(data), 4);
	expect_file(it_path(m->it, "mapped"), data, sizeof(data));
}

/* Calls until one fails; what it fails with decides. "started-I" on the host: it has begun. */
static int until_the_end(struct mt *m, unsigned int i)
{
	char name[32], started[40], byte = 0;
	int fd;

	snprintf(name, sizeof(name), "file-%u", i);
	snprintf(started, sizeof(started), "started-%u", i);
	fd = open(mt_path(m, name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0) {
		write_file(it_path(m->it, started), "", 0);
		while (pwrite(fd, &byte, 1, 0) == 1 && fsync(fd) == 0) {
		}
	}
	return errno == ENOTCONN || errno == ECONNABORTED || errno == EIO ? 0 : errno;
}

/* One that opens its file when the mount is gone would go on for ever below it. */
static void wait_until_started(const struct mt *m, unsigned int n)
{
	char started[40];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(started, sizeof(started), "started-%u", i);
		it_until(access(it_path(m->it, started), F_OK) == 0, 5000);
	}
}

static void a_killed_back_end_ends_calls(void **state)
{
	struct mt *m = *state;
	pid_t pids[PROCESSES], service = be_service(&m->it->be);

	for (unsigned int i = 0; i < PROCESSES; i++)
		pids[i] = mt_fork(until_the_end, m, i);
	wait_until_started(m, PROCESSES);
	kill(service > 0 ? service : m->it->be.pid, SIGKILL);
	for (unsigned int i = 0; i < PROCESSES; i++)
		assert_int_equal(mt_join(pids[i]), 0);
	assert_int_equal(mt_wait(m, 10000), PROTOCOL);
	assert_false(mt_is_mounted(m, NULL));
	assert_true(mt_log_says(m, "the back-end is gone"));
	assert_true(mt_log_says(m, "what was under way ended with ECONNABORTED"));
}

/* Stopped, it answers nothing, and the call can only be ended from outside. */
static void a_second_signal_ends_a_hanging_mount(void **state)
{
	struct mt *m = *state;
	pid_t service = be_service(&m->it->be), pid = mt_fork(until_the_end, m, 0);

	wait_until_started(m, 1);
	kill(service > 0 ? service : m->it->be.pid, SIGSTOP);
	usleep(50000);
	kill(m->pid, SIGTERM);
	/* As timeout(1) does it: this is no second one. */
	usleep(10000);
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 1000), -ETIMEDOUT);
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 10000), FAILED);
	assert_true(mt_log_says(m, "a second signal: unmounting is given up"));
	assert_false(mt_log_says(m, "ERROR"));
	assert_int_equal(mt_join(pid), 0);
	assert_false(mt_is_mounted(m, NULL));
	kill(service > 0 ? service : m->it->be.pid, SIGCONT);
}

/* The number of the eventfd that is open as `fd` there; -1: it is none. */
static int eventfd_id(pid_t pid, int fd)
{
	char path[64], line[128];
	FILE *file;
	int id = -1;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	file = fopen(path, "re");
	while (file && id < 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "eventfd-id: %d", &id);
	if (file)
		fclose(file);
	return id;
}

/*
 * The back-end's copies of the rings' eventfds are the same objects as the mounter's, which makes
 * them in threes: kick, call, err. Has every write to a kick block; how many there are.
 */
static unsigned int block_kicks(pid_t pid, pid_t mounter)
{
	int pidfd = pidfd_open(pid, 0);
	unsigned int shared = 0;

	for (int fd = 0; fd < 64; fd++) {
		int id = eventfd_id(mounter, fd), here = 0, copy;

		while (id >= 0 && here < 256 && eventfd_id(pid, here) != id)
			here++;
		/* Those that it keeps to itself do not count. */
		if (id < 0 || here == 256 || shared++ % 3 != 0)
			continue;
		copy = pidfd_getfd(pidfd, here, 0);
		assert_true(copy >= 0);
		assert_int_equal(write(copy, &(uint64_t){UINT64_MAX - 1}, 8), 8);
		assert_int_equal(fcntl(copy, F_SETFL, O_RDWR), 0);
		close(copy);
	}
	close(pidfd);
	return shared / 3;
}

/* A back-end that is not just silent: it has us hang where no signal of the user's goes. */
static void an_eventfd_that_blocks_does_not_hold_it(void **state)
{
	struct mt *m = *state;
	pid_t service = be_service(&m->it->be), pid;

	service = service > 0 ? service : m->it->be.pid;
	kill(service, SIGSTOP);
	usleep(50000);
	assert_int_equal(block_kicks(service, m->pid), 2);
	pid = mt_fork(until_the_end, m, 0);
	usleep(100000);
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 1000), -ETIMEDOUT);
	kill(m->pid, SIGTERM);
	assert_int_equal(mt_wait(m, 10000), FAILED);
	assert_int_equal(mt_join(pid), 0);
	assert_false(mt_is_mounted(m, NULL));
	kill(service, SIGKILL);
}

static int status_of(struct mt *m, const char *const *args)
{
	mt_start(m, args);
	return mt_wait(m, 20000);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void usage_is_said(void **state)
{
	struct mt *m = *state;

	assert_int_equal(status_of(m, ARGS("-o", "dax")), USAGE);
	assert_true(mt_log_says(m, "DAX is for virtual machines"));
	assert_int_equal(status_of(m, ARGS("-o", "ro,bogus")), USAGE);
	assert_int_equal(status_of(m, ARGS("--queues", "65")), USAGE);
	assert_int_equal(status_of(m, ARGS("one too many")), USAGE);
	mt_start_raw(m, ARGS("virtiofs-frontend", "mount", m->it->be.sock));
	assert_int_equal(mt_wait(m, 5000), USAGE);
	mt_start_raw(m, ARGS("virtiofs-frontend", "mount", "--help"));
	assert_int_equal(mt_wait(m, 5000), ENDED);
}

static void no_directory_is_said(void **state)
{
	struct mt *m = *state;

	mt_start_raw(m, ARGS("virtiofs-frontend", "mount", m->it->be.sock, "/no/such/directory"));
	assert_int_equal(mt_wait(m, 20000), FAILED);
	assert_true(mt_log_says(m, "/no/such/directory"));
}

static void more_queues_than_there_are(void **state)
{
	struct mt *m = *state;
	bool many = !be_peer;

	/* The gateway serves 64, the peer has one. */
	mt_start(m, ARGS("--queues", "64"));
	if (many)
		mt_wait_mounted(m);
	else
		assert_int_equal(mt_wait(m, 20000), PROTOCOL);
}

static const struct it_difference differences[] = {
	{"two_queues_at_once", "it has one request queue", "the same"},
	{"a_back_end_may_connect", "it only listens", "the same"},
};

static const struct CMUnitTest tests[] = {
	MT_TEST(files_come_and_go, plain),
	MT_TEST(large_files_are_whole, plain),
	MT_TEST(mapped_files_are_written_back, plain),
	MT_TEST(a_long_directory_is_listed, plain),
	MT_TEST(open_files_outlive_their_names, plain),
	MT_TEST(statfs_is_the_hosts, plain),
	MT_TEST(many_processes_at_once, plain),
	MT_TEST(two_queues_at_once, queues),
	MT_TEST(options_reach_the_kernel, read_only),
	MT_TEST(a_back_end_may_connect, connecting),
	MT_TEST(others_see_what_they_may, plain),
	MT_TEST(a_signal_unmounts, plain),
	MT_TEST(a_hangup_unmounts, plain),
	MT_TEST(an_ignored_hangup_does_not, by_hand),
	MT_TEST(unmounting_ends_it, plain),
	MT_TEST(two_quick_signals_are_one, plain),
	MT_TEST(a_busy_mount_is_detached, plain),
	MT_TEST(a_copy_in_a_namespace_does_not_matter, plain),
	MT_TEST(a_killed_back_end_ends_calls, doomed),
	MT_TEST(a_second_signal_ends_a_hanging_mount, plain),
	MT_TEST(an_eventfd_that_blocks_does_not_hold_it, doomed),
	MT_TEST(usage_is_said, by_hand),
	MT_TEST(no_directory_is_said, by_hand),
	MT_TEST(more_queues_than_there_are, by_hand),
};

int main(int argc, char **argv)
{
	return mt_main(argc, argv, "mount", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
}
