/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on names and attributes, each compared with what the host says.
 */
#include "tests/unit/fs_client.h"

static void test_lookup(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out a, b;
	struct fuse_attr attr;
	struct stat st;

	host_write(c, "file", "hello");
	assert_int_equal(do_lookup(c, ROOT, "file", &a), 0);
	st = host_stat(c, "file");
	assert_same_attr(&a.attr, &st);
	assert_int_not_equal(a.nodeid, ROOT);
	assert_int_equal(link(host(c, "file"), host(c, "other")), 0);
	assert_int_equal(do_lookup(c, ROOT, "other", &b), 0);
	assert_int_equal(b.nodeid, a.nodeid);
	assert_int_equal(b.attr.nlink, 2);

	assert_int_equal(do_lookup(c, ROOT, "nothing", &b), -ENOENT);
	assert_int_equal(do_lookup(c, a.nodeid, "x", &b), -ENOTDIR);
	assert_int_equal(do_lookup(c, 12345, "x", &b), -ESTALE);
	assert_int_equal(do_lookup(c, 0, "x", &b), -ESTALE);
	assert_int_equal(do_lookup(c, UINT64_MAX, "x", &b), -ESTALE);

	/* Two lookups are counted: it is there until both are forgotten. */
	do_forget(c, a.nodeid, 1);
	assert_int_equal(do_getattr(c, a.nodeid, &attr), 0);
	do_forget(c, a.nodeid, 1);
	assert_int_equal(do_getattr(c, a.nodeid, &attr), -ESTALE);
	/* A stale nodeid, again and too much, hurts nobody; nor does the root's. */
	do_forget(c, a.nodeid, UINT64_MAX);
	do_forget(c, ROOT, UINT64_MAX);
	assert_int_equal(do_getattr(c, ROOT, &attr), 0);
	assert_int_equal(do_lookup(c, ROOT, "file", &b), 0);
	assert_int_not_equal(b.nodeid, a.nodeid);
}

static void test_symlink_is_not_followed(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out out;
	struct fuse_open_out open_out;
	struct fuse_setattr_in in = {.valid = FATTR_UID | FATTR_ATIME, .uid = 3, .atime = 77};

	assert_int_equal(ask_entry(c, FUSE_SYMLINK, ROOT, NULL, 0, "link", "/etc", &out), 0);
	assert_true(S_ISLNK(out.attr.mode));
	assert_int_equal(ask(c, FUSE_READLINK, out.nodeid, NULL, 0, NULL, NULL), 0);
	assert_int_equal(c->rep_len, 4);
	assert_memory_equal(c->rep, "/etc", 4);
	assert_int_equal(ask(c, FUSE_READLINK, ROOT, NULL, 0, NULL, NULL), -EINVAL);

	assert_int_equal(do_open(c, FUSE_OPEN, out.nodeid, O_RDONLY, &open_out), -ELOOP);
	assert_int_equal(do_open(c, FUSE_OPENDIR, out.nodeid, O_RDONLY, &open_out), -ENOTDIR);
	assert_int_equal(do_lookup(c, out.nodeid, "passwd", &out), -ENOTDIR);
	assert_int_equal(do_lookup(c, ROOT, "link", &out), 0);
	if (getuid() == 0) {
		struct stat before, after;

		assert_int_equal(stat("/etc", &before), 0);
		assert_int_equal(do_setattr(c, out.nodeid, &in), 0);
		assert_int_equal(host_stat(c, "link").st_uid, 3);
		assert_int_equal(host_stat(c, "link").st_atime, 77);
		assert_int_equal(stat("/etc", &after), 0);
		assert_int_equal(before.st_uid, after.st_uid);
		assert_int_equal(before.st_atime, after.st_atime);
	}
	in = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0600};
	assert_int_equal(do_setattr(c, out.nodeid, &in), -EOPNOTSUPP);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE};
	assert_int_equal(do_setattr(c, out.nodeid, &in), -EINVAL);
	/* CREATE through it neither. */
	assert_int_equal(symlink("/tmp/fs-test-must-not-appear", host(c, "trap")), 0);
	{
		struct fuse_entry_out entry;

		assert_int_equal(
			do_create(c, ROOT, "trap", O_RDWR, 0600, &entry, &open_out), -ELOOP);
	}
	assert_int_equal(access("/tmp/fs-test-must-not-appear", F_OK), -1);
}

static void test_setattr(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFREG | 04751};
	struct fuse_attr attr;
	struct stat st;
	uint64_t node;
	time_t now = time(NULL);

	host_write(c, "file", "0123456789");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "file").st_mode, S_IFREG | 04751);

	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 4};
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "file").st_size, 4);
	in.size = 100000;
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "file").st_size, 100000);
	in.size = UINT64_MAX;
	assert_int_equal(do_setattr(c, node, &in), -EINVAL);
	assert_int_equal(do_setattr(c, ROOT, &in), -EISDIR);

	in = (struct fuse_setattr_in){.valid = FATTR_ATIME | FATTR_MTIME | FATTR_CTIME,
		.atime = 5,
		.atimensec = 123456789,
		.mtime = (uint64_t)-7,
		.mtimensec = 999999999,
		.ctime = 9};
	assert_int_equal(do_setattr(c, node, &in), 0);
	st = host_stat(c, "file");
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_atim.tv_nsec, 123456789);
	assert_int_equal(st.st_mtim.tv_sec, -7);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
	in = (struct fuse_setattr_in){.valid = FATTR_MTIME | FATTR_MTIME_NOW};
	assert_int_equal(do_setattr(c, node, &in), 0);
	st = host_stat(c, "file");
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_true(st.st_mtim.tv_sec >= now);
	/* utimensat's own magic numbers are not the guest's to send. */
	in = (struct fuse_setattr_in){.valid = FATTR_ATIME, .atimensec = UTIME_OMIT};
	assert_int_equal(do_setattr(c, node, &in), -EINVAL);

	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_same_attr(&attr, &st);
	if (getuid() != 0)
		return;
	in = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID | FATTR_MODE,
		.uid = 1234,
		.gid = 4321,
		.mode = 04755};
	assert_int_equal(do_setattr(c, node, &in), 0);
	st = host_stat(c, "file");
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 04755);
	in = (struct fuse_setattr_in){.valid = FATTR_GID, .gid = 7};
	assert_int_equal(do_setattr(c, node, &in), 0);
	assert_int_equal(host_stat(c, "file").st_uid, 1234);
	assert_int_equal(host_stat(c, "file").st_gid, 7);
	in.gid = UINT32_MAX;
	assert_int_equal(do_setattr(c, node, &in), -EINVAL);
}

static void test_make(void **state)
{
	struct client *c = *state;
	struct fuse_link_in link_in;
	struct fuse_entry_out out;
	struct stat st;
	uint64_t dir;

	assert_int_equal(do_mkdir(c, ROOT, "dir", 0751, &out), 0);
	dir = out.nodeid;
	st = host_stat(c, "dir");
	assert_same_attr(&out.attr, &st);
	assert_int_equal(st.st_mode, S_IFDIR | 0751);
	assert_int_equal(do_mkdir(c, ROOT, "dir", 0751, &out), -EEXIST);

	assert_int_equal(do_mknod(c, dir, "fifo", S_IFIFO | 0640, 0, &out), 0);
	assert_int_equal(host_stat(c, "dir/fifo").st_mode, S_IFIFO | 0640);
	assert_int_equal(do_mknod(c, dir, "sock", S_IFSOCK | 0600, 0, &out), 0);
	assert_int_equal(host_stat(c, "dir/sock").st_mode, S_IFSOCK | 0600);
	assert_int_equal(do_mknod(c, dir, "file", S_IFREG | 0604, 0, &out), 0);
	assert_int_equal(host_stat(c, "dir/file").st_mode, S_IFREG | 0604);
	assert_int_equal(do_mknod(c, dir, "d", S_IFDIR | 0700, 0, &out), -EINVAL);
	assert_int_equal(do_mknod(c, dir, "l", S_IFLNK | 0700, 0, &out), -EINVAL);
	if (getuid() == 0) {
		/* Major 259, minor 70000: both parts of the minor are used. */
		uint32_t rdev = (70000 & 0xff) | 259 << 8 | (70000u & ~0xffu) << 12;

		assert_int_equal(do_mknod(c, dir, "dev", S_IFBLK | 0600, rdev, &out), 0);
		st = host_stat(c, "dir/dev");
		assert_int_equal(major(st.st_rdev), 259);
		assert_int_equal(minor(st.st_rdev), 70000);
		assert_int_equal(out.attr.rdev, rdev);
	}
	link_in.oldnodeid = node_of(c, dir, "fifo");
	assert_int_equal(
		ask_entry(c, FUSE_LINK, ROOT, &link_in, sizeof(link_in), "pipe", NULL, &out), 0);
	assert_int_equal(out.nodeid, link_in.oldnodeid);
	assert_int_equal(host_stat(c, "pipe").st_ino, host_stat(c, "dir/fifo").st_ino);
	assert_int_equal(symlink("target", host(c, "sym")), 0);
	link_in.oldnodeid = node_of(c, ROOT, "sym");
	assert_int_equal(
		ask_entry(c, FUSE_LINK, ROOT, &link_in, sizeof(link_in), "sym2", NULL, &out), 0);
	assert_true(S_ISLNK(host_stat(c, "sym2").st_mode));
	link_in.oldnodeid = dir;
	assert_int_equal(ask(c, FUSE_LINK, ROOT, &link_in, sizeof(link_in), "dir2", NULL), -EPERM);
	link_in.oldnodeid = 999999;
	assert_int_equal(ask(c, FUSE_LINK, ROOT, &link_in, sizeof(link_in), "x", NULL), -ESTALE);
}

static void test_special_files_are_not_opened(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out out;
	struct fuse_open_out open_out;

	/* Opening a fifo for reading would block for ever. */
	assert_int_equal(mkfifo(host(c, "fifo"), 0600), 0);
	assert_int_equal(
		do_open(c, FUSE_OPEN, node_of(c, ROOT, "fifo"), O_RDONLY, &open_out), -ENXIO);
	assert_int_equal(do_create(c, ROOT, "fifo", O_WRONLY, 0600, &out, &open_out), -ENXIO);
	assert_int_equal(do_open(c, FUSE_OPEN, ROOT, O_RDONLY, &open_out), -EISDIR);
	if (getuid() == 0) {
		assert_int_equal(mknod(host(c, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
		assert_int_equal(
			do_open(c, FUSE_OPEN, node_of(c, ROOT, "null"), O_RDWR, &open_out), -ENXIO);
	}
}

static void test_credentials(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out out;
	struct fuse_open_out open_out;
	struct stat st;
	uint64_t closed, shared;

	if (getuid() != 0)
		skip();
	assert_int_equal(do_mkdir(c, ROOT, "shared", 0777, &out), 0);
	shared = out.nodeid;
	assert_int_equal(do_mkdir(c, ROOT, "closed", 0700, &out), 0);
	closed = out.nodeid;

	c->uid = 1001;
	c->gid = 1002;
	assert_int_equal(do_mkdir(c, shared, "dir", 0750, &out), 0);
	assert_int_equal(out.attr.uid, 1001);
	assert_int_equal(out.attr.gid, 1002);
	assert_int_equal(do_create(c, shared, "file", O_RDWR, 0444, &out, &open_out), 0);
	st = host_stat(c, "shared/file");
	assert_int_equal(st.st_uid, 1001);
	assert_int_equal(st.st_gid, 1002);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(ask_entry(c, FUSE_SYMLINK, shared, NULL, 0, "link", "x", &out), 0);
	assert_int_equal(host_stat(c, "shared/link").st_uid, 1001);
	/* The guest has checked: its caller may be in a group that we know nothing of. */
	assert_int_equal(do_create(c, closed, "file", O_RDWR, 0600, &out, &open_out), 0);
	assert_int_equal(host_stat(c, "closed/file").st_uid, 1001);
	/* No id at all. */
	c->uid = UINT32_MAX;
	assert_int_equal(do_mkdir(c, shared, "nobody", 0750, &out), -EINVAL);

	/* A directory with the setgid bit gives its group away, and to directories the bit. */
	c->uid = c->gid = 0;
	assert_int_equal(chown(host(c, "shared"), 0, 77), 0);
	assert_int_equal(chmod(host(c, "shared"), 02777), 0);
	c->uid = 1001;
	c->gid = 1002;
	assert_int_equal(do_mkdir(c, shared, "sub", 0750, &out), 0);
	assert_int_equal(out.attr.gid, 77);
	assert_int_equal(out.attr.mode & 07777, 02750);
	/* A setgid program of a group that the caller is not in loses the bit. */
	assert_int_equal(do_create(c, shared, "prog", O_RDWR, 02755, &out, &open_out), 0);
	assert_int_equal(out.attr.gid, 77);
	assert_int_equal(out.attr.mode & 07777, 0755);
	/* And all is as it was. */
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	c->uid = c->gid = 0;
	assert_int_equal(do_mkdir(c, closed, "roots", 0700, &out), 0);
	assert_int_equal(out.attr.uid, 0);
}

static void test_create(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out entry, again;
	struct fuse_open_out open_out, second;

	assert_int_equal(do_create(c, ROOT, "new", O_RDWR, 0640, &entry, &open_out), 0);
	assert_int_equal(host_stat(c, "new").st_mode, S_IFREG | 0640);
	assert_int_equal(do_write(c, entry.nodeid, open_out.fh, 0, "abc", 3), 3);
	assert_int_equal(node_of(c, ROOT, "new"), entry.nodeid);
	assert_int_equal(
		do_create(c, ROOT, "new", O_RDWR | O_EXCL, 0640, &again, &second), -EEXIST);
	assert_int_equal(do_create(c, ROOT, "new", O_RDONLY, 0640, &again, &second), 0);
	assert_int_equal(again.nodeid, entry.nodeid);
	assert_int_equal(do_read(c, entry.nodeid, second.fh, 0, 10), 3);
	assert_memory_equal(c->rep, "abc", 3);
	assert_int_equal(do_release(c, FUSE_RELEASE, entry.nodeid, second.fh), 0);
	assert_int_equal(do_create(c, ROOT, "new", O_RDWR | O_TRUNC, 0640, &again, &second), 0);
	assert_int_equal(host_stat(c, "new").st_size, 0);
	assert_int_equal(do_create(c, ROOT, "x", O_ACCMODE, 0640, &again, &second), -EINVAL);
}

static void test_remove(void **state)
{
	struct client *c = *state;
	struct fuse_open_out open_out;
	struct fuse_attr attr;
	uint64_t node, dir;

	host_write(c, "file", "still here");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &open_out), 0);
	assert_int_equal(ask(c, FUSE_RMDIR, ROOT, NULL, 0, "file", NULL), -ENOTDIR);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "file", NULL), 0);
	assert_int_equal(access(host(c, "file"), F_OK), -1);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "file", NULL), -ENOENT);
	assert_int_equal(do_read(c, node, open_out.fh, 0, 100), 10);
	assert_int_equal(do_write(c, node, open_out.fh, 10, "!", 1), 1);
	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(attr.size, 11);
	assert_int_equal(do_release(c, FUSE_RELEASE, node, open_out.fh), 0);
	/* Not open any more, but the guest may still have it (O_PATH, a working directory). */
	assert_int_equal(do_getattr(c, node, &attr), 0);
	do_forget(c, node, 1);
	assert_int_equal(do_getattr(c, node, &attr), -ESTALE);

	assert_int_equal(mkdir(host(c, "dir"), 0755), 0);
	host_write(c, "dir/x", "");
	dir = node_of(c, ROOT, "dir");
	assert_int_equal(ask(c, FUSE_RMDIR, ROOT, NULL, 0, "dir", NULL), -ENOTEMPTY);
	assert_int_equal(ask(c, FUSE_UNLINK, dir, NULL, 0, "x", NULL), 0);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "dir", NULL), -EISDIR);
	assert_int_equal(ask(c, FUSE_RMDIR, ROOT, NULL, 0, "dir", NULL), 0);
	assert_int_equal(do_getattr(c, dir, &attr), 0);
	assert_int_equal(attr.nlink, 0);
}

static void test_rename(void **state)
{
	struct client *c = *state;
	struct fuse_rename_in old_in = {.newdir = ROOT};
	struct fuse_open_out open_out;
	struct fuse_attr attr;
	uint64_t a, b, dir;

	host_write(c, "a", "aaa");
	host_write(c, "b", "bb");
	assert_int_equal(mkdir(host(c, "dir"), 0755), 0);
	a = node_of(c, ROOT, "a");
	b = node_of(c, ROOT, "b");
	dir = node_of(c, ROOT, "dir");
	assert_int_equal(do_open(c, FUSE_OPEN, b, O_RDONLY, &open_out), 0);
	assert_int_equal(do_rename(c, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(do_rename(c, ROOT, "a", ROOT, "b", RENAME_EXCHANGE), 0);
	assert_int_equal(node_of(c, ROOT, "b"), a);
	assert_int_equal(node_of(c, ROOT, "a"), b);
	/* Over an open file: a is called "a" again, and b has no name. */
	assert_int_equal(do_rename(c, ROOT, "b", ROOT, "a", 0), 0);
	assert_int_equal(node_of(c, ROOT, "a"), a);
	assert_int_equal(do_read(c, b, open_out.fh, 0, 10), 2);
	assert_memory_equal(c->rep, "bb", 2);
	assert_int_equal(do_getattr(c, b, &attr), 0);
	assert_int_equal(attr.nlink, 0);

	assert_int_equal(do_rename(c, ROOT, "a", dir, "inside", RENAME_NOREPLACE), 0);
	assert_int_equal(host_stat(c, "dir/inside").st_size, 3);
	assert_int_equal(ask(c, FUSE_RENAME, dir, &old_in, sizeof(old_in), "inside", "out"), 0);
	assert_int_equal(node_of(c, ROOT, "out"), a);
	assert_int_equal(do_rename(c, ROOT, "dir", dir, "x", 0), -EINVAL);
	assert_int_equal(do_rename(c, ROOT, "out", dir, "x", 0x80), -EINVAL);
	assert_int_equal(do_rename(c, ROOT, "out", 4444, "x", 0), -ESTALE);
	if (getuid() == 0) {
		assert_int_equal(do_rename(c, ROOT, "out", dir, "x", RENAME_WHITEOUT), 0);
		assert_true(S_ISCHR(host_stat(c, "out").st_mode));
		assert_int_equal(host_stat(c, "out").st_rdev, 0);
	}
}

static void test_statfs_and_access(void **state)
{
	struct client *c = *state;
	struct fuse_statfs_out out;
	struct fuse_access_in in = {.mask = W_OK};
	uint64_t node;

	assert_int_equal(ask(c, FUSE_STATFS, ROOT, NULL, 0, NULL, NULL), 0);
	assert_int_equal(c->rep_len, sizeof(out));
	memcpy(&out, c->rep, sizeof(out));
	assert_true(out.st.blocks > 0 && out.st.bsize > 0 && out.st.namelen == 255);

	host_write(c, "file", "x");
	assert_int_equal(chmod(host(c, "file"), 0640), 0);
	node = node_of(c, ROOT, "file");
	c->uid = getuid();
	assert_int_equal(ask(c, FUSE_ACCESS, node, &in, sizeof(in), NULL, NULL), 0);
	c->uid = c->gid = 54321;
	assert_int_equal(ask(c, FUSE_ACCESS, node, &in, sizeof(in), NULL, NULL), -EACCES);
	in.mask = F_OK;
	assert_int_equal(ask(c, FUSE_ACCESS, node, &in, sizeof(in), NULL, NULL), 0);
	in.mask = 8;
	assert_int_equal(ask(c, FUSE_ACCESS, node, &in, sizeof(in), NULL, NULL), -EINVAL);
	c->gid = host_stat(c, "file").st_gid;
	in.mask = R_OK;
	assert_int_equal(ask(c, FUSE_ACCESS, node, &in, sizeof(in), NULL, NULL), 0);
}

static void test_readonly(void **state)
{
	struct client *c = *state;
	struct fuse_access_in access_in = {.mask = W_OK};
	struct fuse_setattr_in set_in = {.valid = FATTR_MODE};
	struct fuse_link_in link_in;
	struct fuse_fallocate_in falloc_in = {.length = 10};
	struct fuse_entry_out out;
	struct fuse_open_out open_out;
	uint64_t node;

	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	link_in.oldnodeid = node;
	assert_int_equal(do_mkdir(c, ROOT, "d", 0755, &out), -EROFS);
	assert_int_equal(do_mknod(c, ROOT, "n", S_IFREG | 0644, 0, &out), -EROFS);
	assert_int_equal(ask(c, FUSE_SYMLINK, ROOT, NULL, 0, "s", "t"), -EROFS);
	assert_int_equal(ask(c, FUSE_LINK, ROOT, &link_in, sizeof(link_in), "l", NULL), -EROFS);
	assert_int_equal(do_create(c, ROOT, "c", O_RDONLY, 0644, &out, &open_out), -EROFS);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "file", NULL), -EROFS);
	assert_int_equal(ask(c, FUSE_RMDIR, ROOT, NULL, 0, "file", NULL), -EROFS);
	assert_int_equal(do_rename(c, ROOT, "file", ROOT, "g", 0), -EROFS);
	assert_int_equal(do_setattr(c, node, &set_in), -EROFS);
	assert_int_equal(
		ask(c, FUSE_ACCESS, node, &access_in, sizeof(access_in), NULL, NULL), -EROFS);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &open_out), -EROFS);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY, &open_out), -EROFS);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_TRUNC, &open_out), -EROFS);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &open_out), 0);
	falloc_in.fh = open_out.fh;
	assert_int_equal(
		ask(c, FUSE_FALLOCATE, node, &falloc_in, sizeof(falloc_in), NULL, NULL), -EROFS);
	assert_true(do_write(c, node, open_out.fh, 0, "x", 1) < 0);
	assert_int_equal(do_read(c, node, open_out.fh, 0, 10), 4);
	assert_int_equal(ask(c, FUSE_STATFS, ROOT, NULL, 0, NULL, NULL), 0);
	assert_int_equal(host_stat(c, "file").st_size, 4);
}

/* Timeouts and open flags are Rust virtiofsd's. */
static void test_cache_modes(void **state)
{
	static const struct {
		enum fs_cache cache;
		uint64_t valid;
		uint32_t file, dir;
	} modes[] = {
		{FS_CACHE_NEVER, 0, FOPEN_DIRECT_IO, 0},
		{FS_CACHE_METADATA, 86400, FOPEN_DIRECT_IO, FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE},
		{FS_CACHE_AUTO, 1, 0, 0},
		{FS_CACHE_ALWAYS, 86400, FOPEN_KEEP_CACHE, FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct client *c = client_new(modes[i].cache, false, 0);
		struct fuse_getattr_in in = {0};
		struct fuse_entry_out entry;
		struct fuse_open_out out;

		assert_int_equal(do_create(c, ROOT, "file", O_RDWR, 0644, &entry, &out), 0);
		assert_int_equal(entry.entry_valid, modes[i].valid);
		assert_int_equal(entry.attr_valid, modes[i].valid);
		assert_int_equal(entry.entry_valid_nsec, 0);
		assert_int_equal(out.open_flags, modes[i].file);
		assert_int_equal(do_open(c, FUSE_OPEN, entry.nodeid, O_RDONLY, &out), 0);
		assert_int_equal(out.open_flags, modes[i].file);
		assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &out), 0);
		assert_int_equal(out.open_flags, modes[i].dir);
		assert_int_equal(ask(c, FUSE_GETATTR, ROOT, &in, sizeof(in), NULL, NULL), 0);
		assert_int_equal(
			((struct fuse_attr_out *)(void *)c->rep)->attr_valid, modes[i].valid);
		client_free(c);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_lookup),
		CLIENT_TEST(test_symlink_is_not_followed),
		CLIENT_TEST(test_setattr),
		CLIENT_TEST(test_make),
		CLIENT_TEST(test_special_files_are_not_opened),
		CLIENT_TEST(test_credentials),
		CLIENT_TEST(test_create),
		CLIENT_TEST(test_remove),
		CLIENT_TEST(test_rename),
		CLIENT_TEST(test_statfs_and_access),
		CLIENT_TEST_READONLY(test_readonly),
		cmocka_unit_test(test_cache_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
