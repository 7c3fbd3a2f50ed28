/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that go for what others rely on: ids that a map forbids, a read-only share, attributes
 * that are hidden, owners that are kept, limits. What they get is an error, and the host's tree is
 * looked at afterwards.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "fuse/wire.h"
#include "tests/integration/fusexattr.h"
#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define ACCESS_ACL  "system.posix_acl_access"
#define DEFAULT_ACL "system.posix_acl_default"

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* ---- requests that fuseops.h has not ---- */

static int mount_with(struct it *it, uint64_t more)
{
	struct fuse_init_out out;
	const uint64_t flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC |
			       FUSE_BIG_WRITES | FUSE_INIT_EXT | FUSE_HANDLE_KILLPRIV_V2;

	return fc_init(it->q, FUSE_KERNEL_VERSION, 38, flags | more, &out);
}

static int set_ioctl(struct it *it, uint64_t nodeid, uint64_t fh, uint32_t cmd, const void *data,
	uint32_t size)
{
	struct fuse_ioctl_in in = { .fh = fh, .cmd = cmd, .in_size = size };

	return fc_call(it->q, &(struct fc_call){ .opcode = FUSE_IOCTL,
				      .nodeid = nodeid,
				      .args = &in,
				      .args_len = sizeof(in),
				      .data = data,
				      .data_len = size,
				      .room = sizeof(struct fuse_ioctl_out) }, NULL);
}

static int make_tmpfile(struct it *it, uint64_t dir)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };

	return fc_call(it->q, &(struct fc_call){ .opcode = FUSE_TMPFILE,
				      .nodeid = dir,
				      .args = &in,
				      .args_len = sizeof(in),
				      .name = "/",
				      .room = sizeof(struct fuse_entry_out) +
					      sizeof(struct fuse_open_out) }, NULL);
}

/* As the guest's kernel writes back what it has cached. */
static int write_back(struct it *it, uint64_t nodeid, uint64_t fh)
{
	struct fuse_write_in in = { .fh = fh, .size = 4,
		.write_flags = FUSE_WRITE_CACHE | FUSE_WRITE_KILL_SUIDGID };

	return fc_call(it->q, &(struct fc_call){ .opcode = FUSE_WRITE,
				      .nodeid = nodeid,
				      .args = &in,
				      .args_len = sizeof(in),
				      .data = "evil",
				      .data_len = 4,
				      .room = sizeof(struct fuse_write_out) }, NULL);
}

/* MKDIR with one supplementary group of the caller's. */
static int mkdir_in_group(struct it *it, const char *name, uint32_t gid)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	const struct {
		struct fuse_ext_header ext;
		uint32_t n, gid;
	} groups = { { 16, FS_EXT_GROUPS }, 1, gid };

	return fc_call(it->q, &(struct fc_call){ .opcode = FUSE_MKDIR,
				      .nodeid = ROOT,
				      .args = &in,
				      .args_len = sizeof(in),
				      .name = name,
				      .data = &groups,
				      .data_len = sizeof(groups),
				      .room = sizeof(struct fuse_entry_out) }, NULL);
}

/* An ACL that gives something to this user and this group; its length. */
static uint32_t acl_for(uint8_t *value, uint32_t uid, uint32_t gid)
{
	const struct {
		uint16_t tag;
		uint32_t id;
	} entries[] = { { ACL_USER_OBJ, UINT32_MAX }, { ACL_USER, uid },
		{ ACL_GROUP_OBJ, UINT32_MAX }, { ACL_GROUP, gid }, { ACL_MASK, UINT32_MAX },
		{ ACL_OTHER, UINT32_MAX } };
	struct posix_acl_xattr_header header = { htole32(POSIX_ACL_XATTR_VERSION) };
	uint32_t len = sizeof(header);

	memcpy(value, &header, sizeof(header));
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		struct posix_acl_xattr_entry entry = { htole16(entries[i].tag), htole16(6),
			htole32(entries[i].id) };

		memcpy(value + len, &entry, sizeof(entry));
		len += sizeof(entry);
	}
	return len;
}

/* ---- ids ---- */

static struct it_options mapped = {
	.be = { .extra = ARGS("--posix-acl=auto", "--translate-uid=map:0:200000:1000",
			"--translate-uid=forbid-guest:1000:4294966295",
			"--translate-gid=map:0:300000:1000",
			"--translate-gid=forbid-guest:1000:4294966295") },
	.no_mount = true,
};

static bool in_range(uint32_t id, uint32_t from)
{
	return id >= from && id < from + 1000;
}

static void assert_acl_in_ranges(const char *path, const char *name)
{
	uint8_t value[512];
	ssize_t n = getxattr(path, name, value, sizeof(value));
	struct posix_acl_xattr_entry entry;

	for (size_t at = sizeof(struct posix_acl_xattr_header); n > 0 && at < (size_t)n;
		at += sizeof(entry)) {
		memcpy(&entry, value + at, sizeof(entry));
		if (le16toh(entry.e_tag) == ACL_USER)
			assert_true(in_range(le32toh(entry.e_id), 200000));
		if (le16toh(entry.e_tag) == ACL_GROUP)
			assert_true(in_range(le32toh(entry.e_id), 300000));
	}
}

/* The entries are in acl_for()'s order. */
static void assert_acl_is(const char *path, uint32_t uid, uint32_t gid)
{
	struct posix_acl_xattr_entry entries[6];
	uint8_t value[512];

	assert_int_equal(getxattr(path, ACCESS_ACL, value, sizeof(value)),
		sizeof(struct posix_acl_xattr_header) + sizeof(entries));
	memcpy(entries, value + sizeof(struct posix_acl_xattr_header), sizeof(entries));
	assert_int_equal(le32toh(entries[1].e_id), uid);
	assert_int_equal(le32toh(entries[3].e_id), gid);
}

static void assert_owned_in_ranges(const struct it *it, const char *name)
{
	const char *path = it_path(it, name);
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_true(in_range(st.st_uid, 200000) && in_range(st.st_gid, 300000));
	assert_acl_in_ranges(path, ACCESS_ACL);
	assert_acl_in_ranges(path, DEFAULT_ACL);
}

/* Every way to have a file belong to somebody, as somebody who may not be. */
static void assert_forbidden(struct it *it, uint32_t uid, uint32_t gid, uint64_t mine)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = uid };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint8_t acl[256];
	uint32_t len = acl_for(acl, uid, gid);

	it->q->uid = uid;
	it->q->gid = gid;
	assert_refused(fc_create(it->q, ROOT, "n", O_RDWR, 0644, &entry, &open));
	assert_refused(fc_mkdir(it->q, ROOT, "n", 0755, &entry));
	assert_refused(fc_mknod(it->q, ROOT, "n", S_IFIFO | 0644, 0, &entry));
	assert_refused(fc_symlink(it->q, ROOT, "n", "t", &entry));
	assert_refused(make_tmpfile(it, ROOT));
	it->q->uid = it->q->gid = 0;
	if (uid >= 1000)
		assert_refused(fc_setattr(it->q, mine, &in, &attr));
	in = (struct fuse_setattr_in){ .valid = FATTR_GID, .gid = gid };
	if (gid >= 1000)
		assert_refused(fc_setattr(it->q, mine, &in, &attr));
	assert_refused(fc_setxattr(it->q, mine, ACCESS_ACL, acl, len, true));
	assert_refused(fc_setxattr(it->q, mine, DEFAULT_ACL, acl, len, true));
}

static void no_id_escapes_its_map(void **state)
{
	static const struct {
		uint32_t uid, gid;
	} bad[] = { { 1000, 0 }, { 0, 1000 }, { 200000, 0 }, { 0, 300000 }, { 65534, 65534 },
		{ UINT32_MAX - 1, 0 }, { 0, UINT32_MAX - 1 }, { UINT32_MAX, 0 },
		{ 0, UINT32_MAX } };
	struct it *it = *state;
	struct fuse_entry_out entry;
	uint8_t acl[256];
	uint32_t len;

	need_root();
	assert_int_equal(mount_with(it, FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT |
						FUSE_CREATE_SUPP_GROUP), 0);
	assert_int_equal(chmod(it->be.share, 0777), 0);
	it->q->uid = 5;
	it->q->gid = 6;
	assert_int_equal(fc_mkdir(it->q, ROOT, "mine", 0755, &entry), 0);
	assert_owned_in_ranges(it, "mine");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_forbidden(it, bad[i].uid, bad[i].gid, entry.nodeid);
	assert_int_equal(access(it_path(it, "n"), F_OK), -1);
	it->q->uid = 5;
	it->q->gid = 6;
	assert_int_equal(mkdir_in_group(it, "g", 1000), -EPERM);
	assert_int_equal(mkdir_in_group(it, "g", 999), 0);
	assert_owned_in_ranges(it, "g");
	/* And what is allowed is translated, the default ACL of what it begets too. */
	len = acl_for(acl, 7, 8);
	if (fc_setxattr(it->q, entry.nodeid, ACCESS_ACL, acl, len, true) == -EOPNOTSUPP)
		return; /* the scratch directory's file system has none */
	assert_acl_is(it_path(it, "mine"), 200007, 300008);
	assert_int_equal(fc_setxattr(it->q, entry.nodeid, DEFAULT_ACL, acl, len, true), 0);
	assert_owned_in_ranges(it, "mine");
	assert_int_equal(fc_mkdir(it->q, entry.nodeid, "child", 0755, &entry), 0);
	assert_owned_in_ranges(it, "mine/child");
}

/* With one's own group in it, a user namespace lets nobody change supplementary groups. */
static struct it_options own_group = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("unshare", "-m", "sh", "-c", IT_WITH_SUBIDS, "sh"),
		.extra = ARGS("--uid-map=:0:65534:1:", "--uid-map=:1:200000:65535:",
			"--gid-map=:0:65534:1:", "--gid-map=:1:200000:65535:") },
	.no_mount = true,
};
static struct it_options one_group = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("unshare", "-m", "sh", "-c", IT_WITH_SUBIDS, "sh"),
		.extra = ARGS("--uid-map=:0:65534:1:", "--uid-map=:1:200000:65535:",
			"--gid-map=:0:65534:1:") },
	.no_mount = true,
};

/* Without newuidmap there would be no service to connect to. */
static bool may_map(void)
{
	return geteuid() == 0 && access("/usr/bin/newuidmap", X_OK) == 0 &&
	       access("/etc/subuid", F_OK) == 0;
}

static int map_setup(void **state)
{
	return may_map() ? it_setup(state) : 0;
}

static int map_teardown(void **state)
{
	return may_map() ? it_teardown(state) : 0;
}

/* Whoever says that he is in a group may not get more by it, but not less either. */
static void groups_that_cannot_be_taken(void **state)
{
	struct it *it = *state;

	if (!may_map())
		skip();
	assert_int_equal(mount_with(it, FUSE_CREATE_SUPP_GROUP), 0);
	assert_int_equal(chmod(it->be.share, 0777), 0);
	it->q->uid = 5;
	it->q->gid = 0;
	assert_int_equal(mkdir_in_group(it, "a", 9), 0);
	assert_int_equal(mkdir_in_group(it, "b", 9), 0);
	it_assert_alive(it->q);
}

static void one_group_alone(void **state)
{
	groups_that_cannot_be_taken(state);
}

/* ---- a read-only share ---- */

static struct it_options readonly = {
	.be = { .readonly = true,
		.extra = ARGS("--posix-acl=auto", "--security-label=auto", "--flock",
			"--posix-lock", "--writeback", "--allow-direct-io") },
	.no_mount = true,
};

static void assert_untouched(const struct it *it, const char *name)
{
	struct statx stx;

	assert_int_equal(statx(AT_FDCWD, it_path(it, name), AT_SYMLINK_NOFOLLOW,
				 STATX_BASIC_STATS, &stx), 0);
	assert_int_equal(stx.stx_atime.tv_sec, 1000);
	assert_int_equal(stx.stx_mtime.tv_sec, 2000);
}

static void attack_readonly(struct it *it, const struct fuse_entry_out *file, uint64_t fh)
{
	struct fuse_setattr_in nothing = { .valid = 0 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint8_t acl[256];
	uint32_t len = acl_for(acl, 7, 8);
	struct fsxattr fsx = { 0 };
	int flags = FS_NODUMP_FL;

	assert_int_equal(fc_setxattr(it->q, file->nodeid, "user.b", "1", 1, true), -EROFS);
	assert_int_equal(fc_setxattr(it->q, file->nodeid, ACCESS_ACL, acl, len, true), -EROFS);
	assert_int_equal(fc_removexattr(it->q, file->nodeid, "user.a"), -EROFS);
	assert_int_equal(fc_setattr(it->q, file->nodeid, &nothing, &attr), -EROFS);
	assert_int_equal(make_tmpfile(it, ROOT), -EROFS);
	assert_int_equal(set_ioctl(it, file->nodeid, fh, FS_IOC_SETFLAGS, &flags, 4), -EROFS);
	assert_int_equal(
		set_ioctl(it, file->nodeid, fh, FS_IOC_FSSETXATTR, &fsx, sizeof(fsx)), -EROFS);
	assert_refused(fc_fallocate(it->q, file->nodeid, fh, 0, 4096, 1));
	assert_refused(fc_copy_file_range(it->q, file->nodeid, fh, 0, file->nodeid, fh, 100, 4));
	/* For writing, which the guest's cache would also like to read; by any flag. */
	for (unsigned int bit = 0; bit < 32; bit++) {
		int r = fc_open(it->q, file->nodeid, 1u << bit, &open);

		assert_true(r == -EROFS || r == 0);
		if (r == 0) {
			assert_refused(fc_write(it->q, file->nodeid, open.fh, 0, "y", 1));
			assert_refused(write_back(it, file->nodeid, open.fh));
		}
		r = fc_create(it->q, ROOT, "file", 1u << bit, 0644, &entry, &open);
		assert_int_equal(r, -EROFS);
	}
}

static void a_readonly_share_stays_as_it_is(void **state)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct it *it = *state;
	struct fuse_entry_out file, dir;
	struct fuse_open_out fh, dh;
	uint64_t offset = 0;
	char data[16];

	need_root();
	it_file(it, "file", "0123456789");
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	(void)setxattr(it_path(it, "file"), "user.a", "1", 1, 0);
	assert_int_equal(utimensat(AT_FDCWD, it_path(it, "file"), times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, it_path(it, "dir"), times, 0), 0);
	assert_int_equal(mount_with(it, FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT |
						FUSE_WRITEBACK_CACHE | FUSE_SECURITY_CTX), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &file), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "dir", &dir), 0);
	assert_int_equal(fc_open(it->q, file.nodeid, O_RDONLY, &fh), 0);
	attack_readonly(it, &file, fh.fh);
	/* Not even that somebody read it. */
	assert_int_equal(fc_read(it->q, file.nodeid, fh.fh, 0, data, sizeof(data)), 10);
	assert_int_equal(fc_opendir(it->q, dir.nodeid, &dh), 0);
	assert_true(fc_readdir(it->q, dir.nodeid, dh.fh, false, 4096, &offset, NULL, NULL) >= 0);
	assert_untouched(it, "file");
	assert_untouched(it, "dir");
	assert_int_equal(getxattr(it_path(it, "file"), "user.b", data, sizeof(data)), -1);
}

/* ---- hidden attributes ---- */

static struct it_options hiding = {
	.be = { .extra = ARGS("--xattrmap=:map:trusted.:user.virtiofs.:") },
	.no_mount = true,
};

/* A prefix may not carry a name past 255 bytes, nor anything lead to what it hides. */
static void names_stay_behind_their_map(void **state)
{
	static const char *const hidden[] = { "user.virtiofs.x", "user.virtiofs.trusted.x",
		"user.virtiofs.", "user.virtiofs.owner" };
	struct it *it = *state;
	struct fuse_entry_out e;
	char name[XATTR_NAME_MAX + 2], list[4096];
	int len;

	need_root();
	it_file(it, "file", "x");
	if (setxattr(it_path(it, "file"), "user.virtiofs.trusted.x", "1", 1, 0) < 0)
		skip();
	(void)setxattr(it_path(it, "file"), "trusted.host", "1", 1, 0);
	assert_int_equal(mount_with(it, 0), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		assert_int_equal(fc_setxattr(it->q, e.nodeid, hidden[i], "2", 1, false), -EPERM);
		assert_int_equal(fc_removexattr(it->q, e.nodeid, hidden[i]), -EPERM);
	}
	len = fc_listxattr(it->q, e.nodeid, list, sizeof(list));
	assert_true(len > 0 && fc_in_list(list, len, "trusted.x"));
	assert_false(fc_in_list(list, len, "trusted.host"));
	assert_int_equal(fc_removexattr(it->q, e.nodeid, "trusted.host"), -ENODATA);
	for (unsigned int n = XATTR_NAME_MAX - 16; n <= XATTR_NAME_MAX + 1; n++) {
		bool fits = n + strlen("user.virtiofs.") <= XATTR_NAME_MAX;

		memset(name, 'n', n);
		memcpy(name, "trusted.", 8);
		name[n] = '\0';
		assert_int_equal(
			fc_setxattr(it->q, e.nodeid, name, "", 0, false), fits ? 0 : -ERANGE);
		assert_int_equal(fc_removexattr(it->q, e.nodeid, name), fits ? 0 : -ERANGE);
	}
	assert_int_equal(getxattr(it_path(it, "file"), "user.virtiofs.trusted.x", list, 1), 1);
	assert_int_equal(list[0], '1');
}

/* ---- owners that are kept ---- */

static struct it_options kept = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--owner-xattr", "--xattr",
			"--translate-uid=forbid-guest:0:1") },
};

static void kept_owners_are_the_guests_word(void **state)
{
	static const char *const absurd[] = { "0:0:177777", "0:0:140777:1,1", "0:0:60666",
		"4294967294:4294967294:104777", "0:0:40755", "0:0:120777" };
	struct it *it = *state;
	struct fuse_setattr_in chgrp = { .valid = FATTR_GID, .gid = 50 };
	struct fuse_entry_out e;
	struct fuse_attr_out out;
	struct fuse_open_out open;

	need_root();
	if (setxattr(it->be.share, "user.test", "", 0, 0) < 0)
		skip();
	it->q->uid = it->q->gid = 1000;
	assert_int_equal(fc_create(it->q, ROOT, "file", O_RDWR, 0600, &e, &open), 0);
	/* User 0 is forbidden, which is no reason to refuse another group. */
	assert_int_equal(fc_setattr(it->q, e.nodeid, &chgrp, &out), 0);
	assert_int_equal(out.attr.gid, 50);
	/* It is the gateway's to write. */
	assert_int_equal(
		fc_setxattr(it->q, e.nodeid, "user.virtiofs.owner", "0:0:104755", 10, false),
		-EPERM);
	assert_int_equal(fc_removexattr(it->q, e.nodeid, "user.virtiofs.owner"), -EPERM);
	/* The host's users write what they like: a regular file is never more than it can be. */
	for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
		assert_int_equal(setxattr(it_path(it, "file"), "user.virtiofs.owner", absurd[i],
					 strlen(absurd[i]), 0), 0);
		assert_int_equal(fc_getattr(it->q, e.nodeid, &out), 0);
		assert_false(S_ISDIR(out.attr.mode) || S_ISLNK(out.attr.mode));
		assert_int_equal(fc_write(it->q, e.nodeid, open.fh, 0, "x", 1), 1);
	}
	it_assert_alive(it->q);
}

/* ---- limits ---- */

static struct it_options small_files = {
	.be = { .prefix = ARGS("prlimit", "--fsize=1048576") },
};

/* Past the limit of file sizes the host sends a signal that ends a process, unless it minds. */
static void a_limit_of_sizes_does_not_end_it(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = 1 << 21 };
	struct fuse_entry_out e;
	struct fuse_attr_out attr;
	struct fuse_open_out open;

	assert_int_equal(fc_create(it->q, ROOT, "file", O_RDWR, 0600, &e, &open), 0);
	assert_int_equal(fc_write(it->q, e.nodeid, open.fh, 1 << 20, "x", 1), -EFBIG);
	assert_int_equal(fc_setattr(it->q, e.nodeid, &in, &attr), -EFBIG);
	assert_int_equal(fc_fallocate(it->q, e.nodeid, open.fh, 0, 1 << 21, 0), -EFBIG);
	it_assert_alive(it->q);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(no_id_escapes_its_map, mapped),
	{ "groups_that_cannot_be_taken", groups_that_cannot_be_taken, map_setup, map_teardown,
		(void *)&own_group },
	{ "one_group_alone", one_group_alone, map_setup, map_teardown, (void *)&one_group },
	IT_TEST_WITH(a_readonly_share_stays_as_it_is, readonly),
	IT_TEST_WITH(names_stay_behind_their_map, hiding),
	IT_TEST_WITH(kept_owners_are_the_guests_word, kept),
	IT_TEST_WITH(a_limit_of_sizes_does_not_end_it, small_files),
};

static const struct it_difference differences[] = {
	{ "no_id_escapes_its_map", "the peer translates no ids" },
	{ "groups_that_cannot_be_taken", "the peer has no user namespace" },
	{ "one_group_alone", "the peer has no user namespace" },
	{ "a_readonly_share_stays_as_it_is", "the peer has no read-only mode" },
	{ "names_stay_behind_their_map", "the peer's sandbox hides attributes" },
	{ "kept_owners_are_the_guests_word", "the peer keeps no owners" },
	{ "a_limit_of_sizes_does_not_end_it", "the peer is not started by itself" },
};

IT_MAIN("attack", tests, differences)
