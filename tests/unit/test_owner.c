/* SPDX-License-Identifier: BSD-3-Clause */
/* Owners kept in an attribute: the value, the host's mode, and files that have or lack it. */
#include "fuse/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse/idmap.h"
#include "fuse/inode.h"
#include "fuse/walk.h"
#include "vhostuser/checked.h"

static int parse(const char *text, struct fs_owner *owner)
{
	return fs_owner_parse(text, strlen(text), owner);
}

static void test_value(void **state)
{
	struct fs_owner owner = {1000, 100, S_IFREG | 04755, 0, 0};
	char text[FS_OWNER_TEXT];

	assert_int_equal(fs_owner_print(&owner, text), strlen("1000:100:104755"));
	assert_string_equal(text, "1000:100:104755");
	owner = (struct fs_owner){0, 6, S_IFBLK | 0660, 8, 1};
	fs_owner_print(&owner, text);
	assert_string_equal(text, "0:6:60660:8,1");
	assert_int_equal(parse("0:6:60660:8,1", &owner), 0);
	assert_int_equal(owner.gid, 6);
	assert_int_equal(owner.mode, S_IFBLK | 0660);
	assert_int_equal(owner.major, 8);
	assert_int_equal(owner.minor, 1);

	static const char *const bad[] = { "", ":", "1", "1:2", "1:2:", "1:2:100644:", "1:2:3:4,5",
		"1:2:100644 ", " 1:2:100644", "+1:2:100644", "1:-2:100644", "1:2:100648",
		"4294967295:0:100644", "0:4294967295:100644", "99999999999999999999:0:100644",
		"1:2:1000644", "1:2:60660", "1:2:60660:8", "1:2:60660:8,", "1:2:60660:8,1,",
		"1:2:100644:8,1", "1,2,100644", "0x1:2:100644",
		"1:2:0000000000000000000000000000000000000000000000000000000100644" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &owner) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
	assert_int_equal(fs_owner_parse("1:2:100644\0x", 12, &owner), -EINVAL);
	assert_int_equal(fs_owner_parse("1:2:100644\0", 11, &owner), -EINVAL);
}

/* What is printed is read back the same; and any bytes are read within their bounds. */
static void test_property(void **state)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK };
	static const char bytes[] = "0123456789:::,, \0x";

	srandom(5);
	for (int i = 0; i < 20000; i++) {
		uint32_t type = types[(size_t)random() % ARRAY_SIZE(types)];
		bool device = type == S_IFCHR || type == S_IFBLK;
		struct fs_owner owner = {
			.uid = (uint32_t)random() << (random() & 1),
			.gid = (uint32_t)random(),
			.mode = type | ((uint32_t)random() & 07777),
			.major = device ? (uint32_t)random() & 0xfff : 0,
			.minor = device ? (uint32_t)random() & 0xfffff : 0,
		}, back;
		char text[FS_OWNER_TEXT], *garbage;
		size_t len = fs_owner_print(&owner, text);

		assert_true(len < sizeof(text));
		assert_int_equal(fs_owner_parse(text, len, &back), 0);
		assert_memory_equal(&owner, &back, sizeof(owner));

		len = (size_t)random() % (FS_OWNER_TEXT + 8);
		garbage = malloc(len);
		for (size_t j = 0; j < len; j++)
			garbage[j] = bytes[(size_t)random() % sizeof(bytes)];
		(void)fs_owner_parse(garbage, len, &back);
		free(garbage);
	}
}

static void test_host_mode(void **state)
{
	assert_int_equal(fs_owner_host_mode(S_IFREG | 04755), 0755);
	assert_int_equal(fs_owner_host_mode(S_IFREG | 0044), 0644);
	assert_int_equal(fs_owner_host_mode(S_IFDIR | 03000), 0700);
	assert_int_equal(fs_owner_host_mode(S_IFCHR | 0666), 0600);
	assert_int_equal(fs_owner_host_mode(S_IFIFO | 0777), 0600);
}

static void test_hides(void **state)
{
	struct fs_config config = {.owner_xattr = true};

	assert_true(fs_owner_hides(&config, "user.virtiofs.owner"));
	assert_false(fs_owner_hides(&config, "user.virtiofs.owners"));
	config.owner_xattr = false;
	assert_false(fs_owner_hides(&config, "user.virtiofs.owner"));
}

struct place {
	char dir[32];
	int dir_fd, fd, path_fd;
	struct fs_tree tree;
	struct fs_ids ids;
};

static int place_new(void **state)
{
	static struct place place;

	memset(&place, 0, sizeof(place));
	strcpy(place.dir, "/tmp/owner-XXXXXX");
	if (!mkdtemp(place.dir))
		return -1;
	place.dir_fd = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place.fd = openat(place.dir_fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	place.path_fd = openat(place.dir_fd, "file", O_PATH | O_CLOEXEC);
	place.tree.config.owner_xattr = true;
	place.tree.config.ids = &place.ids;
	place.tree.config.proc_fd = open("/proc/self/fd", O_PATH | O_CLOEXEC);
	*state = &place;
	return 0;
}

static int place_free(void **state)
{
	struct place *place = *state;

	unlinkat(place->dir_fd, "file", 0);
	rmdir(place->dir);
	close(place->fd);
	close(place->path_fd);
	close(place->dir_fd);
	close(place->tree.config.proc_fd);
	return 0;
}

static struct statx shown(const struct place *place, int fd)
{
	struct statx stx;

	assert_int_equal(fs_stat_at(fd, "", &stx), 0);
	assert_int_equal(fs_owner_show(&place->tree, fd, &stx), 0);
	return stx;
}

static void assert_ids(const struct place *place, const struct statx *stx, uint32_t u, uint32_t g)
{
	uint32_t uid, gid;

	fs_owner_ids(&place->tree, stx, &uid, &gid);
	assert_int_equal(uid, u);
	assert_int_equal(gid, g);
}

static void test_kept(void **state)
{
	struct place *place = *state;
	struct fs_owner owner = {1000, 2000, S_IFREG | 04711, 0, 0};
	struct statx stx;
	struct stat st;

	if (fs_owner_probe(place->dir_fd) < 0)
		skip();
	/* Not kept yet: the host's, translated; what is kept is the guest's word. */
	assert_int_equal(fs_idmap_add(&place->ids.uid, FS_IDMAP_HOST, getuid(), 77, 1), 0);
	assert_int_equal(fs_idmap_add(&place->ids.uid, FS_IDMAP_HOST, 1000, 88, 1), 0);
	stx = shown(place, place->path_fd);
	assert_ids(place, &stx, 77, getgid());
	assert_int_equal(fs_owner_keep(&place->tree, place->path_fd, &owner), 0);
	stx = shown(place, place->path_fd);
	assert_ids(place, &stx, 1000, 2000);
	assert_int_equal(stx.stx_mode, S_IFREG | 04711);
	stx = shown(place, place->fd);
	assert_ids(place, &stx, 1000, 2000);
	assert_int_equal(fstat(place->fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0711);
	assert_int_equal(st.st_uid, getuid());

	/* It is replaced as a whole, and a device may stand where a file is. */
	owner = (struct fs_owner){5, 6, S_IFCHR | 0666, 1, 3};
	assert_int_equal(fs_owner_keep(&place->tree, place->fd, &owner), 0);
	stx = shown(place, place->path_fd);
	assert_int_equal(stx.stx_mode, S_IFCHR | 0666);
	assert_int_equal(stx.stx_rdev_major, 1);
	assert_int_equal(stx.stx_rdev_minor, 3);
	owner.mode = S_IFDIR | 0755;
	assert_int_equal(fs_owner_keep(&place->tree, place->fd, &owner), -EOPNOTSUPP);

	/* What makes no sense, or is not asked for, counts for nothing. */
	static const char *const bad[] = { "", "x", "0:0:40755", "0:0:120777", "0:0:0" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			fsetxattr(place->fd, FS_OWNER_XATTR, bad[i], strlen(bad[i]), 0), 0);
		stx = shown(place, place->path_fd);
		assert_ids(place, &stx, 77, getgid());
		assert_int_equal(stx.stx_mode & S_IFMT, S_IFREG);
	}
	assert_int_equal(fsetxattr(place->fd, FS_OWNER_XATTR, "1:2:100600", 10, 0), 0);
	place->tree.config.owner_xattr = false;
	stx = shown(place, place->path_fd);
	assert_ids(place, &stx, 77, getgid());
}

static void test_handed_down(void **state)
{
	struct place *place = *state;
	struct fs_owner dir = {0, 50, S_IFDIR | 02775, 0, 0};
	struct fs_owner file = {1000, 1000, S_IFREG | 0664, 0, 0};
	struct statx stx;

	if (fs_owner_probe(place->dir_fd) < 0)
		skip();
	assert_int_equal(
		fs_owner_keep_new(&place->tree, place->dir_fd, place->fd, &file, NULL, 0), 0);
	stx = shown(place, place->fd);
	assert_ids(place, &stx, 1000, 1000);
	assert_int_equal(fs_owner_keep(&place->tree, place->dir_fd, &dir), 0);
	assert_int_equal(
		fs_owner_keep_new(&place->tree, place->dir_fd, place->fd, &file, NULL, 0), 0);
	stx = shown(place, place->fd);
	assert_ids(place, &stx, 1000, 50);
	assert_int_equal(stx.stx_mode, S_IFREG | 0664);
}

/* With a group that its maker is not in, a program would lend rights that nobody gave. */
static void test_setgid_not_handed_out(void **state)
{
	static const struct {
		uint32_t uid, gid, mode, gids[2];
		bool stays;
	} cases[] = {
		{1000, 1000, 02775, {7, 8}, false},
		{1000, 50, 02775, {7, 8}, true},
		{1000, 1000, 02775, {7, 50}, true},
		{0, 1000, 02775, {7, 8}, true},
		{1000, 1000, 02764, {7, 8}, true}, /* no program of the group's */
	};
	struct place *place = *state;
	struct fs_owner dir = {0, 50, S_IFDIR | 02775, 0, 0};

	if (fs_owner_probe(place->dir_fd) < 0)
		skip();
	assert_int_equal(fs_owner_keep(&place->tree, place->dir_fd, &dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fs_owner file = {
			cases[i].uid, cases[i].gid, S_IFREG | cases[i].mode, 0, 0};
		uint32_t mode = cases[i].mode & ~(cases[i].stays ? 0u : (uint32_t)S_ISGID);

		assert_int_equal(fs_owner_keep_new(&place->tree, place->dir_fd, place->fd, &file,
			cases[i].gids, ARRAY_SIZE(cases[i].gids)), 0);
		assert_int_equal(shown(place, place->fd).stx_mode, S_IFREG | mode);
	}
}

/* What cannot be told is an error: the host's owner and mode would be taken for the guest's. */
static void test_not_told(void **state)
{
	struct place *place = *state;
	struct fs_owner owner = {0, 0, S_IFREG | 0600, 0, 0};
	struct rlimit before;
	struct statx stx;

	if (fs_owner_probe(place->dir_fd) < 0)
		skip();
	assert_int_equal(fs_owner_keep(&place->tree, place->path_fd, &owner), 0);
	assert_int_equal(fs_stat_at(place->path_fd, "", &stx), 0);
	assert_true(fs_owner_show(&place->tree, -1, &stx) < 0);
	/* When fds have run out it is told all the same. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}), 0);
	assert_int_equal(open("/", O_PATH | O_CLOEXEC), -1);
	assert_int_equal(fs_owner_show(&place->tree, place->path_fd, &stx), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_ids(place, &stx, 0, 0);
	assert_int_equal(stx.stx_mode, S_IFREG | 0600);
}

static void test_probe(void **state)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fs_owner_probe(proc) < 0);
	close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_host_mode),
		cmocka_unit_test(test_hides),
		cmocka_unit_test_setup_teardown(test_kept, place_new, place_free),
		cmocka_unit_test_setup_teardown(test_handed_down, place_new, place_free),
		cmocka_unit_test_setup_teardown(test_setgid_not_handed_out, place_new, place_free),
		cmocka_unit_test_setup_teardown(test_not_told, place_new, place_free),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
