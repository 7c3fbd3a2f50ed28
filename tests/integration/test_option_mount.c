/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What options do to programs: those of the gateway and those of the mount, by system calls
 * through this machine's kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/integration/mounted.h"

#define NOBODY 65534

/* A back-end with these arguments, mounted. */
#define BE(...)                                                                                    \
	{                                                                                          \
		.it = {                                                                            \
			.be = {.extra = (const char *const[]){__VA_ARGS__, NULL}},                 \
			.no_client = true,                                                         \
		}                                                                                  \
	}

static void host_write(const struct mt *m, const char *name, const char *content)
{
	it_file(m->it, name, content);
}

/* The first byte of a file of the mount, opened anew. */
static char first_byte(const struct mt *m, const char *name)
{
	int fd = open(mt_path(m, name), O_RDONLY | O_CLOEXEC);
	char byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	return byte;
}

/* ---- what the kernel believes, and how long ---- */

struct belief {
	struct mt_options options; /* first: what a test gets as its options */
	bool entry;                /* a name that the host took away */
	bool dir;                  /* a directory's */
	bool negative;             /* that there is none, when there is */
	bool attr;                 /* an open file's size */
	bool data;                 /* what a file has, opened anew */
	bool shared_map;           /* MAP_SHARED works */
};

/* Long times, so that a slow machine does not matter. */
static struct belief never = {BE("--cache=never")};
static struct belief metadata = {BE("--cache=metadata"), .entry = true, .dir = true, .attr = true};
static struct belief automatic = {BE("--cache=auto", "--timeout=attr=600,entry=600"),
	.entry = true, .dir = true, .attr = true, .shared_map = true};
static struct belief always = {BE("--cache=always"), .entry = true, .dir = true, .attr = true,
	.data = true, .shared_map = true};
static struct belief only_attr = {BE("--cache=never", "--timeout", "attr=600"), .attr = true};
static struct belief only_entry = {
	BE("--cache=never", "--timeout", "entry=600"), .entry = true, .dir = true};
static struct belief only_negative = {
	BE("--cache=never", "--timeout=negative=600"), .negative = true};
static struct belief only_dir = {BE("--cache=never", "--timeout=dir=600"), .dir = true};
static struct belief not_dir = {
	BE("--cache=always", "--timeout=dir=0"), .entry = true, .attr = true, .data = true,
	.shared_map = true};
static struct belief nothing = {BE("--cache=always", "--timeout=attr=0,entry=0"), .data = true,
	.shared_map = true};
static struct belief as_c = {BE("-o", "cache=none,timeout=600"), .entry = true, .dir = true,
	.attr = true};
static struct belief mapped = {BE("--cache=never", "--allow-mmap"), .shared_map = true};
static struct belief mapped_metadata = {BE("--cache=metadata", "--allow-mmap"), .entry = true,
	.dir = true, .attr = true, .shared_map = true};

static bool is_there(const struct mt *m, const char *name)
{
	struct stat st;

	return stat(mt_path(m, name), &st) == 0;
}

static bool believes_names(struct mt *m, const char *name, bool dir)
{
	if (dir)
		assert_int_equal(mkdir(it_path(m->it, name), 0755), 0);
	else
		host_write(m, name, "x");
	assert_true(is_there(m, name));
	assert_int_equal(rename(it_path(m->it, name), it_path(m->it, "elsewhere")), 0);
	assert_int_equal(remove(it_path(m->it, "elsewhere")), 0);
	return is_there(m, name);
}

static bool believes_absence(struct mt *m)
{
	assert_false(is_there(m, "later"));
	host_write(m, "later", "x");
	return !is_there(m, "later");
}

static bool believes_attributes(struct mt *m)
{
	struct stat st;
	int fd;

	host_write(m, "attr", "1");
	fd = open(mt_path(m, "attr"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 1);
	host_write(m, "attr", "12345");
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return st.st_size == 1;
}

/* The same size and times, so that only the data could tell. */
static bool believes_data(struct mt *m)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	host_write(m, "data", "old");
	assert_int_equal(utimensat(AT_FDCWD, it_path(m->it, "data"), times, 0), 0);
	assert_int_equal(first_byte(m, "data"), 'o');
	host_write(m, "data", "new");
	assert_int_equal(utimensat(AT_FDCWD, it_path(m->it, "data"), times, 0), 0);
	return first_byte(m, "data") == 'o';
}

static bool can_map_shared(struct mt *m)
{
	char *map, byte = 0;
	int fd;

	host_write(m, "map", "content");
	fd = open(mt_path(m, "map"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	map = mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		assert_int_equal(errno, ENODEV);
		close(fd);
		return false;
	}
	map[0] = 'C';
	assert_int_equal(msync(map, 7, MS_SYNC), 0);
	assert_int_equal(munmap(map, 7), 0);
	close(fd);
	fd = open(it_path(m->it, "map"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'C');
	close(fd);
	return true;
}

/* The kernel that FUSE_DIRECT_IO_ALLOW_MMAP came with. */
static bool kernel_maps_direct_files(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	return major > 6 || (major == 6 && minor >= 6);
}

static void test_beliefs(void **state)
{
	struct mt *m = *state;
	const struct belief *want = (const struct belief *)m->options;

	assert_int_equal(believes_names(m, "file", false), want->entry);
	assert_int_equal(believes_names(m, "dir", true), want->dir);
	assert_int_equal(believes_absence(m), want->negative);
	assert_int_equal(believes_attributes(m), want->attr);
	assert_int_equal(believes_data(m), want->data);
	if (kernel_maps_direct_files())
		assert_int_equal(can_map_shared(m), want->shared_map);
}

/* A time that is over is over; that of the mode auto is a second. */
static struct mt_options auto_mode = BE("--cache=auto");

static void test_a_second_ends(void **state)
{
	struct mt *m = *state;

	host_write(m, "file", "x");
	assert_true(is_there(m, "file"));
	assert_int_equal(unlink(it_path(m->it, "file")), 0);
	it_until(!is_there(m, "file"), 10000);
}

/* ---- lists of names ---- */

static struct mt_options plus = BE("--readdirplus", "--cache=never", "--log-level=debug");
static struct mt_options plus_default = BE("--log-level=debug");
static struct mt_options no_plus = BE("--no-readdirplus", "--log-level=debug");
static struct mt_options no_plus_default = BE("--cache=never", "--log-level=debug");

static int list_names(struct mt *m)
{
	struct dirent *d;
	DIR *dir;
	int n = 0;

	host_write(m, "a", "x");
	host_write(m, "b", "x");
	dir = opendir(m->dir);
	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(n, 2);
	return be_log_lines(&m->it->be, "op=READDIRPLUS");
}

static void test_lists_with_attributes(void **state)
{
	assert_true(list_names(*state) > 0);
}

static void test_lists_without_attributes(void **state)
{
	assert_int_equal(list_names(*state), 0);
	assert_true(be_log_lines(&((struct mt *)*state)->it->be, "op=READDIR ") > 0);
}

/* ---- writing ---- */

static struct mt_options back = BE("--writeback");
static struct mt_options back_but_not_cached = BE("--writeback", "--cache=never");
static struct mt_options through = BE("--cache=auto");

static off_t host_size(const struct mt *m, const char *name)
{
	struct stat st;

	assert_int_equal(stat(it_path(m->it, name), &st), 0);
	return st.st_size;
}

/* What is written through this mount, and by the host in between, to a file's end. */
static void append_in_turns(struct mt *m, char *content, size_t size)
{
	int here = open(mt_path(m, "file"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int there = open(it_path(m->it, "file"), O_RDWR | O_APPEND | O_CLOEXEC);

	assert_true(here >= 0 && there >= 0);
	assert_int_equal(write(here, "a", 1), 1);
	assert_int_equal(fsync(here), 0);
	assert_int_equal(write(there, "HOST", 4), 4);
	assert_int_equal(write(here, "b", 1), 1);
	assert_int_equal(fsync(here), 0);
	memset(content, 0, size);
	assert_true(pread(there, content, size - 1, 0) > 0);
	close(here);
	close(there);
}

static void test_writes_are_kept_back(void **state)
{
	struct mt *m = *state;
	char content[16];
	int fd = open(mt_path(m, "new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(host_size(m, "new"), 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(host_size(m, "new"), 100);
	close(fd);
	/* To where the guest takes the end to be. */
	append_in_turns(m, content, sizeof(content));
	assert_string_equal(content, "abOST");
}

static void test_writes_go_through(void **state)
{
	struct mt *m = *state;
	char content[16];
	int fd = open(mt_path(m, "new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(host_size(m, "new"), 1);
	close(fd);
	append_in_turns(m, content, sizeof(content));
	assert_string_equal(content, "aHOSTb");
}

static struct mt_options readonly = BE("--readonly");

static void test_nothing_is_changed(void **state)
{
	struct mt *m = *state;

	host_write(m, "file", "x");
	assert_int_equal(first_byte(m, "file"), 'x');
	assert_int_equal(open(mt_path(m, "file"), O_WRONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(mkdir(mt_path(m, "dir"), 0755), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(chmod(mt_path(m, "file"), 0600), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(truncate(mt_path(m, "file"), 0), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(host_size(m, "file"), 1);
}

/* ---- setuid bits ---- */

static struct mt_options kill_here = BE("--killpriv-v2");
static struct mt_options kill_there = BE("--no-killpriv-v2");

static int write_as_nobody(struct mt *m, unsigned int i)
{
	int fd;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	fd = open(mt_path(m, "file"), O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, "y", 1) == 1 && fsync(fd) == 0 ? 0 : 2;
}

/* Whoever does it, a write by another user takes them away. */
static void test_setuid_is_cleared(void **state)
{
	struct mt *m = *state;
	struct stat st;

	host_write(m, "file", "x");
	assert_int_equal(chmod(it_path(m->it, "file"), 06777), 0);
	assert_int_equal(mt_join(mt_fork(write_as_nobody, m, 0)), 0);
	assert_int_equal(stat(it_path(m->it, "file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
}

/* ---- attributes, ACLs ---- */

static struct mt_options xattr = BE("--xattr");
static struct mt_options no_xattr = BE("-o", "no_xattr");
static struct mt_options acl = BE("--posix-acl=auto");
static struct mt_options acl_always = BE("--posix-acl");
static struct mt_options no_acl = BE("--posix-acl=never", "--xattr");

static void test_attributes_are_kept(void **state)
{
	struct mt *m = *state;
	char value[8];

	host_write(m, "file", "x");
	if (setxattr(it_path(m->it, "file"), "user.h", "1", 1, 0))
		skip(); /* the host's file system has none */
	assert_int_equal(setxattr(mt_path(m, "file"), "user.x", "value", 5, 0), 0);
	assert_int_equal(getxattr(it_path(m->it, "file"), "user.x", value, sizeof(value)), 5);
	assert_int_equal(getxattr(mt_path(m, "file"), "user.h", value, sizeof(value)), 1);
}

static void test_there_are_no_attributes(void **state)
{
	struct mt *m = *state;

	host_write(m, "file", "x");
	assert_int_equal(setxattr(mt_path(m, "file"), "user.x", "value", 5, 0), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(listxattr(mt_path(m, "file"), NULL, 0), -1);
	assert_int_equal(errno, EOPNOTSUPP);
}

static int read_as_nobody(struct mt *m, unsigned int i)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	if (open(mt_path(m, "file"), O_RDONLY | O_CLOEXEC) >= 0)
		return 10;
	return errno == EACCES ? 11 : 2;
}

/* A file that only its ACL lets nobody read: 10 if it does. */
static int acl_lets_nobody_read(struct mt *m)
{
	static const struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[5];
	} list = {{POSIX_ACL_XATTR_VERSION},
		{{ACL_USER_OBJ, 6, ACL_UNDEFINED_ID}, {ACL_USER, 4, NOBODY},
			{ACL_GROUP_OBJ, 0, ACL_UNDEFINED_ID}, {ACL_MASK, 4, ACL_UNDEFINED_ID},
			{ACL_OTHER, 0, ACL_UNDEFINED_ID}}};

	host_write(m, "file", "x");
	if (setxattr(it_path(m->it, "file"), "system.posix_acl_access", &list, sizeof(list), 0))
		skip();
	return mt_join(mt_fork(read_as_nobody, m, 0));
}

static void test_acls_count(void **state)
{
	assert_int_equal(acl_lets_nobody_read(*state), 10);
}

static void test_acls_do_not_count(void **state)
{
	assert_int_equal(acl_lets_nobody_read(*state), 11);
}

/* ---- locks ---- */

static struct mt_options posix_lock = BE("--posix-lock");
static struct mt_options flock_only = BE("--flock");
static struct mt_options no_locks = BE("-o", "no_posix_lock,no_flock");

/* Which kinds of a lock taken through the mount exclude the host's programs: 1 fcntl, 2 flock. */
static unsigned int locks_that_reach_the_host(struct mt *m)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	unsigned int kinds = 0;
	int here, there;

	host_write(m, "file", "x");
	here = open(mt_path(m, "file"), O_RDWR | O_CLOEXEC);
	there = open(it_path(m->it, "file"), O_RDWR | O_CLOEXEC);
	assert_true(here >= 0 && there >= 0);
	assert_int_equal(fcntl(here, F_SETLK, &whole), 0);
	kinds |= fcntl(there, F_OFD_SETLK, &whole) ? 1 : 0;
	assert_int_equal(flock(here, LOCK_EX | LOCK_NB), 0);
	kinds |= flock(there, LOCK_EX | LOCK_NB) ? 2 : 0;
	close(here);
	close(there);
	return kinds;
}

static void test_fcntl_locks_reach_the_host(void **state)
{
	assert_int_equal(locks_that_reach_the_host(*state), 1);
}

static void test_flock_locks_reach_the_host(void **state)
{
	assert_int_equal(locks_that_reach_the_host(*state), 2);
}

static void test_no_locks_reach_the_host(void **state)
{
	assert_int_equal(locks_that_reach_the_host(*state), 0);
}

/* ---- the mount's own ---- */

static struct mt_options by_hand = {.it = {.no_client = true}, .unmounted = true};
static struct mt_options by_hand_kept = {
	.it = {.be = {.keep_listening = true}, .no_client = true}, .unmounted = true};

static void test_words_of_mount(void **state)
{
	static const struct {
		const char *words, *shown, *not_shown;
	} rows[] = {
		{"rw,suid,dev,exec,async", " rw,", "nosuid"},
		{"ro", " ro,", " rw,"},
		{"ro,rw", " rw,", " ro,"},
		{"nosuid", ",nosuid,", "nodev"},
		{"nodev", ",nodev,", "nosuid"},
		{"noexec", ",noexec,", "nodev"},
		{"noatime", ",noatime,", "relatime"},
		{"noatime,atime", ",relatime,", "noatime"},
		{"nodiratime", ",nodiratime,", "noatime"},
		{"nodiratime,diratime", ",relatime,", "nodiratime"},
		{"noatime,relatime", ",relatime,", "noatime"},
		{"strictatime", " rw,", "relatime"},
		{"sync", ",sync,", "dirsync"},
		{"dirsync", ",dirsync,", ",sync,"},
		{"nosuid,defaults", " rw,", "nosuid"},
		{"source=one,nodev", "one /", "two /"},
	};
	struct mt *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *args[] = {"-o", rows[i].words, NULL};

		(void)unlink(m->out); /* of the time before */
		mt_start(m, args);
		mt_wait_mounted(m);
		if (!mt_is_mounted(m, rows[i].shown) || mt_is_mounted(m, rows[i].not_shown))
			fail_msg("-o %s", rows[i].words);
		assert_int_equal(umount2(m->dir, 0), 0);
		assert_int_equal(mt_wait(m, 10000), 0);
	}
}

/* Status 2, and one sentence with the option's name. */
static void test_wrong_words_of_mount(void **state)
{
	static const struct {
		const char *args[3], *says;
	} rows[] = {
		{{"-o", "bogus"}, "-o bogus"},
		{{"-o", "ro=1"}, "-o ro=1"},
		{{"-o", "source="}, "-o source="},
		{{"-o", "nodev,dax=always"}, "-o dax=always"},
		{{"-o"}, "-o"},
		{{"--queues"}, "--queues"},
		{{"--queues", ""}, "--queues"},
		{{"--queues", "0"}, "--queues"},
		{{"--queues", "65"}, "--queues"},
		{{"--queues=-1"}, "--queues"},
		{{"--queues=1x"}, "--queues"},
		{{"--queues=99999999999999999999"}, "--queues"},
		{{"--foreground=yes"}, "--foreground"},
		{{"--bogus"}, "--bogus"},
		{{"--listen", "/tmp/s"}, "one socket"},
	};
	struct mt *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char log[1024] = "";
		int fd;

		mt_start(m, rows[i].args);
		assert_int_equal(mt_wait(m, 5000), 2);
		fd = open(m->log, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0 && read(fd, log, sizeof(log) - 1) > 0);
		close(fd);
		if (!strstr(log, rows[i].says) || strchr(log, '\n') != strrchr(log, '\n'))
			fail_msg("%s: %s", rows[i].says, log);
	}
}

#define BELIEF(row)                                                                                \
	{                                                                                          \
		"beliefs_" #row, test_beliefs, mt_setup, mt_teardown, &(row)                       \
	}

static const struct CMUnitTest tests[] = {
	BELIEF(never),
	BELIEF(metadata),
	BELIEF(automatic),
	BELIEF(always),
	BELIEF(only_attr),
	BELIEF(only_entry),
	BELIEF(only_negative),
	BELIEF(only_dir),
	BELIEF(not_dir),
	BELIEF(nothing),
	BELIEF(as_c),
	BELIEF(mapped),
	BELIEF(mapped_metadata),
	MT_TEST(test_a_second_ends, auto_mode),
	MT_TEST(test_lists_with_attributes, plus),
	MT_TEST(test_lists_with_attributes, plus_default),
	MT_TEST(test_lists_without_attributes, no_plus),
	MT_TEST(test_lists_without_attributes, no_plus_default),
	MT_TEST(test_writes_are_kept_back, back),
	MT_TEST(test_writes_go_through, through),
	MT_TEST(test_writes_go_through, back_but_not_cached),
	MT_TEST(test_nothing_is_changed, readonly),
	MT_TEST(test_setuid_is_cleared, kill_here),
	MT_TEST(test_setuid_is_cleared, kill_there),
	MT_TEST(test_attributes_are_kept, xattr),
	MT_TEST(test_there_are_no_attributes, no_xattr),
	MT_TEST(test_acls_count, acl),
	MT_TEST(test_acls_count, acl_always),
	MT_TEST(test_acls_do_not_count, no_acl),
	MT_TEST(test_fcntl_locks_reach_the_host, posix_lock),
	MT_TEST(test_flock_locks_reach_the_host, flock_only),
	MT_TEST(test_no_locks_reach_the_host, no_locks),
	MT_TEST(test_words_of_mount, by_hand_kept),
	MT_TEST(test_wrong_words_of_mount, by_hand),
};

int main(int argc, char **argv)
{
	const char *backend = getenv("BACKEND");

	if (backend && strcmp(backend, "gateway") != 0) {
		print_message("1..0 # skipped: the gateway's own options\n");
		return 77;
	}
	return mt_main(argc, argv, "option_mount", tests, ARRAY_SIZE(tests), NULL, 0);
}
