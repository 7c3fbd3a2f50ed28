/* SPDX-License-Identifier: BSD-3-Clause */
/* --owner-xattr: a gateway of nobody's, whose guests see the owners that they set. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define NOBODY 65534
static struct it_options kept = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--owner-xattr", "--translate-uid=forbid-guest:500:1") },
};
static struct it_options never = {
	.be = { .socket = BE_FD_LISTENING,
		.cache = "never",
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--owner-xattr", "--translate-uid=host:65534:1000:1") },
};
static struct it_options translated = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--translate-uid=host:65534:1000:1",
			"--translate-uid=forbid-guest:700:1") },
};
static struct it_options as_root = { .be = { .extra = ARGS("--owner-xattr") } };

/* Root's tests only, and where the file system of the scratch directory has such attributes. */
static void need(const struct it *it)
{
	if (geteuid() != 0 ||
		(setxattr(it->be.share, "user.test", "", 0, 0) < 0 && errno == EOPNOTSUPP))
		skip();
}

static void assert_attr(struct it *it, uint64_t nodeid, uint32_t uid, uint32_t gid, uint32_t mode)
{
	struct fuse_attr_out out;

	assert_int_equal(fc_getattr(it->q, nodeid, &out), 0);
	assert_int_equal(out.attr.uid, uid);
	assert_int_equal(out.attr.gid, gid);
	assert_int_equal(out.attr.mode, mode);
}

static void assert_host(const struct it *it, const char *name, uint32_t mode, const char *value)
{
	char text[128] = "";
	struct stat st;

	assert_int_equal(lstat(it_path(it, name), &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	assert_int_equal(st.st_gid, NOBODY);
	assert_int_equal(st.st_mode, mode);
	assert_true(getxattr(it_path(it, name), "user.virtiofs.owner", text, sizeof(text) - 1) >=
		0);
	assert_string_equal(text, value);
}

static void made_by_guests(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry, again;
	struct fuse_attr_out out;
	struct fuse_open_out open;
	char data[4] = "";

	need(it);
	it->q->uid = 1000;
	it->q->gid = 100;
	assert_int_equal(fc_create(it->q, FUSE_ROOT_ID, "file", O_WRONLY, 0444, &entry, &open), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(entry.attr.gid, 100);
	assert_int_equal(entry.attr.mode, S_IFREG | 0444);
	assert_int_equal(fc_write(it->q, entry.nodeid, open.fh, 0, "abc", 3), 3);
	/* The fd is as it was asked for. */
	assert_int_equal(fc_read(it->q, entry.nodeid, open.fh, 0, data, 3), -EBADF);
	assert_int_equal(fc_getattr_fh(it->q, entry.nodeid, open.fh, &out), 0);
	assert_int_equal(out.attr.uid, 1000);
	assert_int_equal(fc_release(it->q, entry.nodeid, open.fh), 0);
	assert_host(it, "file", S_IFREG | 0644, "1000:100:100444");
	assert_attr(it, entry.nodeid, 1000, 100, S_IFREG | 0444);

	/* A second lookup of a known inode. */
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &again), 0);
	assert_int_equal(again.nodeid, entry.nodeid);
	assert_int_equal(again.attr.uid, 1000);

	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "dir", 01755, &entry), 0);
	assert_attr(it, entry.nodeid, 1000, 100, S_IFDIR | 01755);
	assert_host(it, "dir", S_IFDIR | 0755, "1000:100:41755");
	/* A link has no such attribute: it is as it is on the host. */
	assert_int_equal(fc_symlink(it->q, FUSE_ROOT_ID, "link", "file", &entry), 0);
	assert_int_equal(entry.attr.uid, NOBODY);

	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "file", 0755, &entry), -EEXIST);
	assert_int_equal(fc_mknod(it->q, FUSE_ROOT_ID, "file", S_IFREG, 0, &entry), -EEXIST);
	it->q->uid = 500;
	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "forbidden", 0755, &entry), -EPERM);
	it->q->uid = UINT32_MAX;
	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "forbidden", 0755, &entry), -EINVAL);
	assert_int_equal(access(it_path(it, "forbidden"), F_OK), -1);
}

struct found {
	uint32_t type, mode, rdev;
};

static bool note(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	if (strcmp(name, "null") == 0)
		*(struct found *)ctx =
			(struct found){ dirent->type, entry->attr.mode, entry->attr.rdev };
	return true;
}

static void special_files(void **state)
{
	static const struct {
		const char *name;
		uint32_t mode, rdev;
		const char *value;
	} rows[] = {
		{ "null", S_IFCHR | 0666, 1 << 8 | 3, "0:0:20666:1,3" },
		{ "sda300", S_IFBLK | 0660, 8 << 8 | (300 & 0xff) | (300 & ~0xff) << 12,
			"0:0:60660:8,300" },
		{ "fifo", S_IFIFO | 0600, 0, "0:0:10600" },
		{ "socket", S_IFSOCK | 0777, 0, "0:0:140777" },
	};
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_MODE, .uid = 7, .mode = 0640 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct fuse_open_out dir;
	struct found found = { 0 };
	uint64_t offset = 0;

	need(it);
	it->q->uid = it->q->gid = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(fc_mknod(it->q, FUSE_ROOT_ID, rows[i].name, rows[i].mode,
					 rows[i].rdev, &entry), 0);
		assert_int_equal(entry.attr.mode, rows[i].mode);
		assert_int_equal(entry.attr.rdev, rows[i].rdev);
		assert_attr(it, entry.nodeid, 0, 0, rows[i].mode);
		assert_host(it, rows[i].name, S_IFREG | 0600, rows[i].value);
	}
	assert_int_equal(fc_mknod(it->q, FUSE_ROOT_ID, "bad", S_IFLNK | 0777, 0, &entry), -EINVAL);
	assert_int_equal(fc_mknod(it->q, FUSE_ROOT_ID, "bad", 0170000, 0, &entry), -EOPNOTSUPP);
	assert_int_equal(access(it_path(it, "bad"), F_OK), -1);
	/* No type means a regular file; bits beyond a mode's mean nothing. */
	assert_int_equal(fc_mknod(it->q, FUSE_ROOT_ID, "odd", 0x7fff0000 | 0644, 0, &entry),
		0);
	assert_int_equal(entry.attr.mode, S_IFREG | 0644);
	assert_int_equal(entry.attr.uid, 0);

	/* A device stays one when its owner changes. */
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "null", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.mode, S_IFCHR | 0640);
	assert_int_equal(out.attr.rdev, 1 << 8 | 3);
	assert_host(it, "null", S_IFREG | 0600, "7:0:20640:1,3");

	/* A listing does not claim that it is a regular file; one with attributes knows better. */
	assert_int_equal(fc_opendir(it->q, FUSE_ROOT_ID, &dir), 0);
	while (fc_readdir(it->q, FUSE_ROOT_ID, dir.fh, false, 4096, &offset, note, &found) > 0)
		;
	assert_int_equal(found.type, DT_UNKNOWN);
	offset = 0;
	while (fc_readdir(it->q, FUSE_ROOT_ID, dir.fh, true, 4096, &offset, note, &found) > 0)
		;
	assert_int_equal(found.type, DT_CHR);
	assert_int_equal(found.mode, S_IFCHR | 0640);
	assert_int_equal(found.rdev, 1 << 8 | 3);
}

static void changed_by_guests(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 33, .gid = 44 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;

	need(it);
	/* The host's own file, which its owner may not even write. */
	it_file(it, "file", "x");
	assert_int_equal(chown(it_path(it, "file"), NOBODY, NOBODY), 0);
	assert_int_equal(chmod(it_path(it, "file"), 06555), 0);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	assert_int_equal(entry.attr.uid, NOBODY);
	assert_int_equal(entry.attr.mode, S_IFREG | 06555);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.uid, 33);
	assert_int_equal(out.attr.gid, 44);
	assert_int_equal(out.attr.mode, S_IFREG | 0555);
	assert_host(it, "file", S_IFREG | 0755, "33:44:100555");

	in = (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = S_IFREG | 04000 };
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_attr(it, entry.nodeid, 33, 44, S_IFREG | 04000);
	assert_host(it, "file", S_IFREG | 0600, "33:44:104000");
	/* Mode 0 is for the guest to mind: data still comes. */
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 100 };
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.size, 100);

	in = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 500 };
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	in.uid = UINT32_MAX;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EINVAL);
	assert_attr(it, entry.nodeid, 33, 44, S_IFREG | 04000);

	/* The root itself, and what its setgid bit hands down. */
	in = (struct fuse_setattr_in){
		.valid = FATTR_UID | FATTR_GID | FATTR_MODE, .uid = 0, .gid = 50, .mode = 02775 };
	assert_int_equal(fc_setattr(it->q, FUSE_ROOT_ID, &in, &out), 0);
	it->q->uid = it->q->gid = 1000;
	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "dir", 0755, &entry), 0);
	assert_attr(it, entry.nodeid, 1000, 50, S_IFDIR | 02755);

	/* A link cannot be given away. */
	assert_int_equal(fc_symlink(it->q, FUSE_ROOT_ID, "link", "file", &entry), 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 33 };
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
}

/* Linux leaves setuid bits to us when a file is truncated as it is opened. */
static void truncated_by_open(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = {
		.valid = FATTR_UID | FATTR_MODE, .uid = 33, .mode = S_IFREG | 06755 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct fuse_open_out open;

	need(it);
	it_file(it, "file", "x");
	assert_int_equal(chown(it_path(it, "file"), NOBODY, NOBODY), 0);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	it->q->uid = it->q->gid = 0;
	assert_int_equal(fc_open(it->q, entry.nodeid, O_WRONLY | O_TRUNC, &open), 0);
	assert_host(it, "file", S_IFREG | 0755, "33:65534:106755");
	it->q->uid = it->q->gid = 33;
	assert_int_equal(fc_open(it->q, entry.nodeid, O_WRONLY, &open), 0);
	assert_host(it, "file", S_IFREG | 0755, "33:65534:106755");
	assert_int_equal(fc_open(it->q, entry.nodeid, O_WRONLY | O_TRUNC, &open), 0);
	assert_host(it, "file", S_IFREG | 0755, "33:65534:100755");
}

/* ACCESS goes by what is kept; a file without the attribute is the host's, translated. */
static void seen_by_guests(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = {
		.valid = FATTR_UID | FATTR_GID | FATTR_MODE, .uid = 5, .gid = 6, .mode = 0640 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct fuse_open_out open;

	need(it);
	it_file(it, "file", "x");
	assert_int_equal(chown(it_path(it, "file"), NOBODY, NOBODY), 0);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	it->q->uid = 5;
	assert_int_equal(fc_access(it->q, entry.nodeid, R_OK | W_OK), 0);
	it->q->uid = 4;
	assert_int_equal(fc_access(it->q, entry.nodeid, R_OK), -EACCES);
	it->q->gid = 6;
	assert_int_equal(fc_access(it->q, entry.nodeid, R_OK), 0);
	assert_int_equal(fc_access(it->q, entry.nodeid, W_OK), -EACCES);

	/* CREATE of what is there already. */
	assert_int_equal(fc_create(it->q, FUSE_ROOT_ID, "file", O_RDWR, 0600, &entry, &open), 0);
	assert_int_equal(entry.attr.uid, 5);
	assert_int_equal(entry.attr.mode, S_IFREG | 0640);

	/* Whatever the host writes there, it is one of the two. */
	assert_int_equal(
		setxattr(it_path(it, "file"), "user.virtiofs.owner", "0:0:40755", 9, 0), 0);
	assert_int_equal(fc_getattr(it->q, entry.nodeid, &out), 0);
	assert_int_equal(out.attr.uid, 1000);
	assert_true(S_ISREG(out.attr.mode));
}

/* A link has no attribute: chown to the owner that it shows is nothing to do, to another EPERM. */
static void links_as_shown(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 1000, .gid = NOBODY };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct stat st;

	need(it);
	it->q->uid = it->q->gid = 0;
	assert_int_equal(fc_symlink(it->q, FUSE_ROOT_ID, "link", "file", &entry), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.uid, 1000);
	assert_int_equal(out.attr.gid, NOBODY);
	in.uid = 5;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	assert_int_equal(lstat(it_path(it, "link"), &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
}

/* The same for any file where there is one user. */
static void files_as_shown(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = 1000 };
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr_out out;

	if (geteuid() != 0)
		skip();
	it->q->uid = it->q->gid = 0;
	assert_int_equal(fc_create(it->q, FUSE_ROOT_ID, "file", O_WRONLY, 0444, &entry, &open), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_attr(it, entry.nodeid, 1000, NOBODY, S_IFREG | 0444);
	in.uid = 700;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
}

/* As root a link's owner is the host's affair, as it is without the option. */
static void links_as_root(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = 5 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct stat st;

	need(it);
	assert_int_equal(fc_symlink(it->q, FUSE_ROOT_ID, "link", "file", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.uid, 5);
	assert_int_equal(lstat(it_path(it, "link"), &st), 0);
	assert_int_equal(st.st_uid, 5);
}

/* ---- where there are no such attributes ---- */

static void no_attributes(void **state)
{
	struct it *it = *state;

	assert_int_equal(be_spawn(&it->be, ARGS("--shared-dir=/proc", "--connect=/nonexistent",
				       "--owner-xattr", "--log-level=error")), 0);
	assert_int_equal(be_wait(&it->be, 5000), GW_EXIT_CONFIG);
	assert_int_equal(be_log_lines(&it->be, ""), 1);
	assert_int_equal(be_log_lines(&it->be, "--owner-xattr cannot be kept"), 1);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(made_by_guests, kept),
	IT_TEST_WITH(special_files, kept),
	IT_TEST_WITH(changed_by_guests, kept),
	IT_TEST_WITH(truncated_by_open, kept),
	IT_TEST_WITH(seen_by_guests, never),
	IT_TEST_WITH(links_as_shown, never),
	IT_TEST_WITH(files_as_shown, translated),
	IT_TEST_WITH(links_as_root, as_root),
	IT_BARE_TEST(no_attributes),
};

#define OPTIONS "it has no such option"
static const struct it_difference differences[] = {
	{ "made_by_guests", OPTIONS },
	{ "special_files", OPTIONS },
	{ "changed_by_guests", OPTIONS },
	{ "truncated_by_open", OPTIONS },
	{ "seen_by_guests", OPTIONS },
	{ "links_as_shown", OPTIONS },
	{ "files_as_shown", OPTIONS },
	{ "links_as_root", OPTIONS },
	{ "no_attributes", OPTIONS },
};

IT_MAIN("owner", tests, differences)
