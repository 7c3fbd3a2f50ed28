/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on names and attributes through the socket, compared with direct system calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID

static void assert_attr(const struct it *it, const struct fuse_attr *attr, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(it_path(it, name), &st), 0);
	assert_int_equal(attr->ino, st.st_ino);
	assert_int_equal(attr->mode, st.st_mode);
	assert_int_equal(attr->nlink, st.st_nlink);
	assert_int_equal(attr->uid, st.st_uid);
	assert_int_equal(attr->gid, st.st_gid);
	assert_int_equal(attr->size, st.st_size);
	assert_int_equal(attr->blocks, st.st_blocks);
	assert_int_equal(attr->mtime, st.st_mtim.tv_sec);
	assert_int_equal(attr->mtimensec, st.st_mtim.tv_nsec);
	assert_int_equal(attr->ctime, st.st_ctim.tv_sec);
	assert_int_equal(attr->ctimensec, st.st_ctim.tv_nsec);
	assert_int_equal(attr->atime, st.st_atim.tv_sec);
	assert_int_equal(attr->atimensec, st.st_atim.tv_nsec);
	assert_int_equal(attr->rdev, st.st_rdev);
}

static uint64_t node(const struct it *it, const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(fc_lookup(it->q, ROOT, name, &entry), 0);
	assert_true(entry.nodeid != 0 && entry.nodeid != ROOT);
	assert_attr(it, &entry.attr, name);
	return entry.nodeid;
}

static void lookup_every_type(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	it_file(it, "file", "hello");
	assert_int_equal(chmod(it_path(it, "file"), 06751), 0);
	assert_int_equal(mkdir(it_path(it, "dir"), 01777), 0);
	assert_int_equal(symlink("nowhere/at all", it_path(it, "link")), 0);
	assert_int_equal(mkfifo(it_path(it, "fifo"), 0640), 0);
	assert_int_equal(mknod(it_path(it, "sock"), S_IFSOCK | 0600, 0), 0);
	assert_int_equal(mknod(it_path(it, "null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	assert_int_equal(mknod(it_path(it, "disk"), S_IFBLK | 0660, makedev(254, 77)), 0);
	assert_int_equal(lchown(it_path(it, "link"), 12, 13), 0);
	static const char *const names[] = { "file", "dir", "link", "fifo", "sock", "null",
		"disk" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t nodeid = node(it, names[i]);

		assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
		assert_attr(it, &attr.attr, names[i]);
		assert_int_equal(node(it, names[i]), nodeid);
	}
	assert_int_equal(fc_lookup(it->q, ROOT, "missing", &entry), -ENOENT);
	assert_int_equal(fc_lookup(it->q, node(it, "file"), "x", &entry), -ENOTDIR);
	assert_int_equal(fc_getattr(it->q, ROOT, &attr), 0);
	assert_attr(it, &attr.attr, "");
}

static void lookup_odd_names(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	char long_name[257];

	memset(long_name, 'n', sizeof(long_name));
	long_name[255] = '\0';
	const char *const names[] = { "with space", "-rf", "\xe6\x97\xa5\xe6\x9c\xac", "a\nb",
		"\x01\xff", "...", ".hidden", "back\\slash", "%s%n", long_name };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		it_file(it, names[i], "x");
		node(it, names[i]);
	}
	long_name[255] = 'n';
	long_name[256] = '\0';
	assert_int_equal(fc_lookup(it->q, ROOT, long_name, &entry), -ENAMETOOLONG);
	assert_int_equal(fc_mkdir(it->q, ROOT, long_name, 0755, &entry), -ENAMETOOLONG);
}

static void walk_deep(void **state)
{
	struct it *it = *state;
	char path[256] = "";
	struct fuse_entry_out entry;

	for (int depth = 0; depth < 30; depth++) {
		snprintf(path + strlen(path), sizeof(path) - strlen(path), depth ? "/d%d" : "d%d",
			depth);
		assert_int_equal(mkdir(it_path(it, path), 0755), 0);
	}
	assert_int_equal(fc_walk(it->q, path, &entry), 0);
	assert_attr(it, &entry.attr, path);
}

static int setattr(struct it *it, uint64_t nodeid, struct fuse_setattr_in in, const char *name)
{
	struct fuse_attr_out out;
	int r = fc_setattr(it->q, nodeid, &in, &out);

	if (!r)
		assert_attr(it, &out.attr, name);
	return r;
}

#define SETATTR(...) setattr(it, nodeid, (struct fuse_setattr_in){ __VA_ARGS__ }, "f")

static void setattr_each_field(void **state)
{
	struct it *it = *state;
	struct stat st;

	it_file(it, "f", "0123456789");
	uint64_t nodeid = node(it, "f");
	assert_int_equal(SETATTR(.valid = FATTR_MODE, .mode = S_IFREG | 0604), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	assert_int_equal(SETATTR(.valid = FATTR_UID, .uid = 1234), 0);
	assert_int_equal(SETATTR(.valid = FATTR_GID, .gid = 4321), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(SETATTR(.valid = FATTR_UID | FATTR_GID, .uid = 7, .gid = 8), 0);
	assert_int_equal(SETATTR(.valid = FATTR_SIZE, .size = 4), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(SETATTR(.valid = FATTR_SIZE, .size = UINT64_C(5) << 30), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_size, INT64_C(5) << 30);
	assert_true(st.st_blocks < 1000);
	/* How large a file may be, the host's file system says: tmpfs takes this, ext4 not. */
	int huge = truncate(it_path(it, "f"), INT64_C(1) << 62) < 0 ? -errno : 0;
	assert_int_equal(SETATTR(.valid = FATTR_SIZE, .size = UINT64_C(1) << 62), huge);
	assert_refused(SETATTR(.valid = FATTR_SIZE, .size = UINT64_MAX));
}

static void setattr_times(void **state)
{
	struct it *it = *state;
	struct stat st;

	it_file(it, "f", "x");
	uint64_t nodeid = node(it, "f");
	assert_int_equal(
		SETATTR(.valid = FATTR_ATIME | FATTR_MTIME, .atime = 1000000001,
			.atimensec = 123456789, .mtime = 1500000002, .mtimensec = 987654321),
		0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_atim.tv_sec, 1000000001);
	assert_int_equal(st.st_atim.tv_nsec, 123456789);
	assert_int_equal(st.st_mtim.tv_sec, 1500000002);
	assert_int_equal(st.st_mtim.tv_nsec, 987654321);
	assert_int_equal(SETATTR(.valid = FATTR_MTIME, .mtime = 77, .mtimensec = 1), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_atim.tv_sec, 1000000001);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(SETATTR(.valid = FATTR_ATIME, .atime = 78, .atimensec = 2), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_atim.tv_sec, 78);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(SETATTR(.valid = FATTR_MTIME | FATTR_MTIME_NOW), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_atim.tv_sec, 78);
	assert_true(st.st_mtim.tv_sec > 1700000000);
	assert_int_equal(SETATTR(.valid = FATTR_MTIME, .mtime = (uint64_t)-5), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_mtim.tv_sec, -5);
}

static void setattr_by_handle_and_of_links(void **state)
{
	struct it *it = *state;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
	struct stat st;

	it_file(it, "f", "0123456789");
	uint64_t nodeid = node(it, "f");
	assert_int_equal(fc_open(it->q, nodeid, O_RDWR, &open), 0);
	assert_int_equal(SETATTR(.valid = FATTR_SIZE | FATTR_FH, .fh = open.fh, .size = 3), 0);
	assert_int_equal(SETATTR(.valid = FATTR_MODE | FATTR_FH, .fh = open.fh, .mode = 0600), 0);
	assert_int_equal(fc_getattr_fh(it->q, nodeid, open.fh, &attr), 0);
	assert_attr(it, &attr.attr, "f");
	assert_int_equal(unlink(it_path(it, "f")), 0);
	assert_int_equal(fc_getattr_fh(it->q, nodeid, open.fh, &attr), 0);
	assert_int_equal(attr.attr.nlink, 0);
	assert_int_equal(attr.attr.size, 3);
	assert_int_equal(fc_release(it->q, nodeid, open.fh), 0);

	assert_int_equal(symlink("target", it_path(it, "f")), 0);
	nodeid = node(it, "f");
	assert_int_equal(SETATTR(.valid = FATTR_UID | FATTR_GID, .uid = 5, .gid = 6), 0);
	assert_int_equal(SETATTR(.valid = FATTR_MTIME, .mtime = 99, .mtimensec = 5), 0);
	lstat(it_path(it, "f"), &st);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_mtim.tv_sec, 99);
}

/* What the kernel makes of it when this user asks directly, in a twin directory. */
static void oracle(
	const struct it *it, uid_t uid, gid_t gid, const char *path, mode_t mode, bool dir)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		umask(0);
		if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(1);
		if (dir)
			_exit(mkdir(it_path(it, path), mode) != 0);
		_exit(open(it_path(it, path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void assert_like_oracle(const struct it *it, const char *path, const char *twin)
{
	struct stat a, b;

	assert_int_equal(lstat(it_path(it, path), &a), 0);
	assert_int_equal(lstat(it_path(it, twin), &b), 0);
	assert_int_equal(a.st_mode, b.st_mode);
	assert_int_equal(a.st_uid, b.st_uid);
	assert_int_equal(a.st_gid, b.st_gid);
}

/* Files and directories of several callers and modes, in plain and in setgid directories. */
static void create_owner_and_mode(void **state)
{
	struct it *it = *state;
	static const struct {
		mode_t dir_mode;
		gid_t dir_gid;
	} dirs[] = { { 0777, 0 }, { 02777, 5555 }, { 03777, 1001 } };
	static const mode_t modes[] = { 0644, 0600, 0777, 02755, 04755, 06711, 02644, 01755 };
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char path[64], twin[64];

	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++) {
		const char *names[2] = { "d", "twin" };

		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(mkdir(it_path(it, names[i]), 0777), 0);
			assert_int_equal(chown(it_path(it, names[i]), 0, dirs[d].dir_gid), 0);
			assert_int_equal(chmod(it_path(it, names[i]), dirs[d].dir_mode), 0);
		}
		uint64_t nodeid = node(it, "d");
		for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
			for (unsigned int kind = 0; kind < 2; kind++) {
				it->q->uid = m % 2 ? 1000 : 0;
				it->q->gid = m % 2 ? 1001 : 0;
				snprintf(path, sizeof(path), "d/%zu-%u", m, kind);
				snprintf(twin, sizeof(twin), "twin/%zu-%u", m, kind);
				if (kind)
					assert_int_equal(
						fc_mkdir(it->q, nodeid, path + 2, modes[m], &entry),
						0);
				else
					assert_int_equal(fc_create(it->q, nodeid, path + 2,
								 O_CREAT | O_EXCL | O_RDWR,
								 S_IFREG | modes[m], &entry, &open),
						0);
				assert_attr(it, &entry.attr, path);
				oracle(it, it->q->uid, it->q->gid, twin, modes[m], kind == 1);
				assert_like_oracle(it, path, twin);
				if (!kind)
					assert_int_equal(
						fc_release(it->q, entry.nodeid, open.fh), 0);
			}
		}
		it->q->uid = it->q->gid = 0;
		fc_forget(it->hp, nodeid, 1);
		it_remove_tree(it_path(it, "d"));
		it_remove_tree(it_path(it, "twin"));
	}
}

static void create_flags(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	it_file(it, "there", "content");
	assert_int_equal(
		fc_create(it->q, ROOT, "there", O_CREAT | O_EXCL | O_RDWR, 0644, &entry, &open),
		-EEXIST);
	assert_int_equal(
		fc_create(it->q, node(it, "there"), "x", O_CREAT | O_RDWR, 0644, &entry, &open),
		-ENOTDIR);
}

/* Without O_EXCL what is there is opened: the guest may not know yet that it is. */
static void create_opens_what_is_there(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char data[32];

	it_file(it, "there", "content");
	assert_int_equal(fc_create(it->q, ROOT, "there", O_CREAT | O_RDWR, 0600, &entry, &open), 0);
	assert_attr(it, &entry.attr, "there");
	assert_int_equal(fc_read(it->q, entry.nodeid, open.fh, 0, data, sizeof(data)), 7);
	assert_int_equal(fc_release(it->q, entry.nodeid, open.fh), 0);
	assert_int_equal(
		fc_create(it->q, ROOT, "there", O_CREAT | O_TRUNC | O_RDWR, 0600, &entry, &open),
		0);
	assert_int_equal(entry.attr.size, 0);
	assert_int_equal(fc_release(it->q, entry.nodeid, open.fh), 0);
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	assert_int_equal(
		fc_create(it->q, ROOT, "dir", O_CREAT | O_RDWR, 0644, &entry, &open), -EISDIR);
	assert_int_equal(
		fc_create(it->q, ROOT, "dir", O_CREAT | O_RDONLY, 0644, &entry, &open), -EISDIR);
	/* Neither through a symbolic link nor into a device: a guest's kernel would not ask. */
	assert_int_equal(symlink("there", it_path(it, "link")), 0);
	assert_refused(fc_create(it->q, ROOT, "link", O_CREAT | O_RDWR, 0644, &entry, &open));
	assert_int_equal(mkfifo(it_path(it, "fifo"), 0644), 0);
	assert_refused(fc_create(it->q, ROOT, "fifo", O_CREAT | O_RDWR, 0644, &entry, &open));
}

static void mknod_every_type(void **state)
{
	struct it *it = *state;
	static const struct {
		const char *name;
		mode_t mode;
		unsigned int major, minor;
	} nodes[] = { { "r", S_IFREG | 0640, 0, 0 }, { "p", S_IFIFO | 0644, 0, 0 },
		{ "s", S_IFSOCK | 0755, 0, 0 }, { "c", S_IFCHR | 0600, 5, 1 },
		{ "b", S_IFBLK | 0660, 8, 1000 } };
	struct fuse_entry_out entry;
	struct stat st;

	assert_int_equal(chmod(it->be.share, 0777), 0);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		dev_t dev = makedev(nodes[i].major, nodes[i].minor);

		it->q->uid = 0;
		it->q->gid = i % 2 ? 31 : 0;
		assert_int_equal(
			fc_mknod(it->q, ROOT, nodes[i].name, nodes[i].mode, (uint32_t)dev, &entry),
			0);
		assert_attr(it, &entry.attr, nodes[i].name);
		assert_int_equal(lstat(it_path(it, nodes[i].name), &st), 0);
		assert_int_equal(st.st_mode, nodes[i].mode);
		assert_int_equal(st.st_rdev, dev);
		assert_int_equal(st.st_gid, it->q->gid);
		assert_int_equal(
			fc_mknod(it->q, ROOT, nodes[i].name, nodes[i].mode, (uint32_t)dev, &entry),
			-EEXIST);
	}
}

static void removals(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	assert_int_equal(fc_mkdir(it->q, ROOT, "d", 0755, &entry), 0);
	assert_attr(it, &entry.attr, "d");
	assert_int_equal(fc_mkdir(it->q, ROOT, "d", 0755, &entry), -EEXIST);
	it_file(it, "d/f", "x");
	assert_int_equal(fc_rmdir(it->q, ROOT, "d"), -ENOTEMPTY);
	assert_int_equal(fc_unlink(it->q, ROOT, "d"), -EISDIR);
	assert_int_equal(fc_walk(it->q, "d/f", &entry), 0);
	assert_int_equal(fc_rmdir(it->q, node(it, "d"), "f"), -ENOTDIR);
	assert_int_equal(fc_unlink(it->q, node(it, "d"), "f"), 0);
	assert_int_equal(fc_rmdir(it->q, ROOT, "d"), 0);
	assert_int_equal(access(it_path(it, "d"), F_OK), -1);
}

/* What the host removed behind the guest's back, and names that the guest never looked up. */
static void names_not_looked_up(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	assert_int_equal(fc_unlink(it->q, ROOT, "missing"), -ENOENT);
	assert_int_equal(fc_rmdir(it->q, ROOT, "missing"), -ENOENT);
	assert_int_equal(fc_rename(it->q, ROOT, "missing", ROOT, "x"), -ENOENT);
	assert_int_equal(fc_rename2(it->q, ROOT, "missing", ROOT, "x", RENAME_EXCHANGE), -ENOENT);
	it_file(it, "gone", "x");
	assert_int_equal(fc_lookup(it->q, ROOT, "gone", &entry), 0);
	assert_int_equal(unlink(it_path(it, "gone")), 0);
	assert_int_equal(fc_unlink(it->q, ROOT, "gone"), -ENOENT);
	it_file(it, "a", "x");
	it_file(it, "b", "y");
	assert_int_equal(fc_rename2(it->q, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fc_rename(it->q, ROOT, "a", ROOT, "b"), 0);
	assert_int_equal(fc_unlink(it->q, ROOT, "b"), 0);
}

static void symlinks(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	char target[4096], got[4200], host[4200];

	memset(target, 't', sizeof(target));
	target[4000] = '\0';
	const char *const targets[] = { "x", "/etc/passwd", "../../..", "a b\nc", target };
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		char name[8] = { (char)('a' + i) };
		ssize_t n;

		assert_int_equal(fc_symlink(it->q, ROOT, name, targets[i], &entry), 0);
		assert_attr(it, &entry.attr, name);
		assert_int_equal(fc_readlink(it->q, entry.nodeid, got, sizeof(got)), 0);
		assert_string_equal(got, targets[i]);
		n = readlink(it_path(it, name), host, sizeof(host) - 1);
		assert_true(n > 0);
		host[n] = '\0';
		assert_string_equal(host, targets[i]);
		assert_int_equal(fc_symlink(it->q, ROOT, name, "y", &entry), -EEXIST);
	}
	it_file(it, "file", "x");
	int r = fc_readlink(it->q, node(it, "file"), got, sizeof(got));
	assert_true(r == -EINVAL || r == -ENOENT); /* the kernel's own two answers */
}

static void hard_links(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	it_file(it, "one", "x");
	uint64_t nodeid = node(it, "one");
	assert_int_equal(fc_link(it->q, nodeid, ROOT, "two", &entry), 0);
	assert_int_equal(entry.nodeid, nodeid);
	assert_int_equal(entry.attr.nlink, 2);
	assert_attr(it, &entry.attr, "two");
	assert_int_equal(node(it, "two"), nodeid);
	assert_int_equal(fc_link(it->q, nodeid, ROOT, "two", &entry), -EEXIST);
	assert_int_equal(fc_unlink(it->q, ROOT, "one"), 0);
	assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
	assert_attr(it, &attr.attr, "two");
	assert_int_equal(symlink("one", it_path(it, "sym")), 0);
	assert_int_equal(fc_link(it->q, node(it, "sym"), ROOT, "sym2", &entry), 0);
	assert_true(S_ISLNK(entry.attr.mode));
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	assert_int_equal(fc_link(it->q, node(it, "dir"), ROOT, "dir2", &entry), -EPERM);
}

static bool exists(const struct it *it, const char *name)
{
	struct stat st;

	return lstat(it_path(it, name), &st) == 0;
}

static void renames(void **state)
{
	struct it *it = *state;
	struct fuse_attr_out attr;

	it_file(it, "a", "aaa");
	it_file(it, "b", "bbbb");
	assert_int_equal(mkdir(it_path(it, "d"), 0755), 0);
	assert_int_equal(mkdir(it_path(it, "d/sub"), 0755), 0);
	uint64_t a = node(it, "a"), d = node(it, "d");
	node(it, "b");
	assert_int_equal(fc_rename(it->q, ROOT, "a", d, "moved"), 0);
	assert_false(exists(it, "a"));
	assert_int_equal(fc_getattr(it->q, a, &attr), 0);
	assert_attr(it, &attr.attr, "d/moved");
	struct fuse_entry_out entry;
	assert_int_equal(fc_walk(it->q, "d/moved", &entry), 0);
	assert_int_equal(entry.nodeid, a);
	assert_int_equal(fc_rename(it->q, d, "moved", ROOT, "b"), 0);
	node(it, "b");
	assert_int_equal(fc_getattr(it->q, a, &attr), 0);
	assert_attr(it, &attr.attr, "b");
	assert_int_equal(fc_rename(it->q, ROOT, "d", d, "inside"), -EINVAL);
	assert_int_equal(fc_rename(it->q, ROOT, "b", ROOT, "d"), -EISDIR);
	assert_int_equal(fc_rename(it->q, ROOT, "d", ROOT, "b"), -ENOTDIR);
	assert_int_equal(fc_rename(it->q, ROOT, "b", ROOT, "b"), 0);
}

static void rename_flags(void **state)
{
	struct it *it = *state;
	struct stat st;

	it_file(it, "a", "a");
	it_file(it, "b", "bb");
	node(it, "a");
	node(it, "b");
	assert_int_equal(fc_rename2(it->q, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fc_rename2(it->q, ROOT, "a", ROOT, "c", RENAME_NOREPLACE), 0);
	assert_true(!exists(it, "a") && exists(it, "c"));
	uint64_t b = node(it, "b"), c = node(it, "c");
	assert_int_equal(fc_rename2(it->q, ROOT, "b", ROOT, "c", RENAME_EXCHANGE), 0);
	assert_int_equal(lstat(it_path(it, "b"), &st), 0);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(node(it, "b"), c);
	assert_int_equal(node(it, "c"), b);
	assert_int_equal(fc_rename2(it->q, ROOT, "b", ROOT, "w", RENAME_WHITEOUT), 0);
	assert_int_equal(lstat(it_path(it, "b"), &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	node(it, "w");
	assert_int_equal(
		fc_rename2(it->q, ROOT, "w", ROOT, "x", RENAME_NOREPLACE | RENAME_EXCHANGE),
		-EINVAL);
	assert_int_equal(fc_rename2(it->q, ROOT, "w", ROOT, "x", 1u << 20), -EINVAL);
	assert_int_equal(fc_rename2(it->q, ROOT, "w", ROOT, "x", 0), 0);
}

static void statfs_like_the_host(void **state)
{
	struct it *it = *state;
	struct fuse_statfs_out out;
	struct statvfs vfs;

	assert_int_equal(fc_statfs(it->q, ROOT, &out), 0);
	assert_int_equal(statvfs(it->be.share, &vfs), 0);
	assert_int_equal(out.st.bsize, vfs.f_bsize);
	assert_int_equal(out.st.frsize, vfs.f_frsize);
	assert_int_equal(out.st.blocks, vfs.f_blocks);
	assert_int_equal(out.st.files, vfs.f_files);
	assert_int_equal(out.st.namelen, vfs.f_namemax);
}

static void access_by_caller(void **state)
{
	struct it *it = *state;

	it_file(it, "f", "x");
	assert_int_equal(chmod(it_path(it, "f"), 0640), 0);
	assert_int_equal(chown(it_path(it, "f"), 10, 20), 0);
	uint64_t nodeid = node(it, "f");
	it->q->uid = 10;
	it->q->gid = 99;
	assert_int_equal(fc_access(it->q, nodeid, R_OK | W_OK), 0);
	assert_int_equal(fc_access(it->q, nodeid, X_OK), -EACCES);
	it->q->uid = 11;
	it->q->gid = 20;
	assert_int_equal(fc_access(it->q, nodeid, R_OK), 0);
	assert_int_equal(fc_access(it->q, nodeid, W_OK), -EACCES);
	it->q->gid = 21;
	assert_int_equal(fc_access(it->q, nodeid, R_OK), -EACCES);
	assert_int_equal(fc_access(it->q, nodeid, F_OK), 0);
	it->q->uid = it->q->gid = 0;
	assert_int_equal(fc_access(it->q, nodeid, R_OK | W_OK), 0);
	assert_int_equal(fc_access(it->q, nodeid, X_OK), -EACCES);
}

/* Lookup counts: as many forgets as lookups, then the nodeid is dead; reused ones are not the old.
 */
static void forgets(void **state)
{
	struct it *it = *state;
	struct fuse_attr_out attr;
	struct fuse_forget_one batch[3];

	it_file(it, "f", "x");
	uint64_t nodeid = node(it, "f");
	node(it, "f");
	node(it, "f");
	assert_int_equal(fc_forget(it->hp, nodeid, 2), 0);
	assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
	assert_int_equal(fc_forget(it->hp, nodeid, 1), 0);
	assert_refused(fc_getattr(it->q, nodeid, &attr));
	it_file(it, "g", "y");
	for (unsigned int i = 0; i < 3; i++)
		batch[i] =
			(struct fuse_forget_one){ .nodeid = node(it, i ? "f" : "g"), .nlookup = 1 };
	assert_int_equal(fc_batch_forget(it->hp, batch, 2), 0);
	assert_refused(fc_getattr(it->q, batch[0].nodeid, &attr));
	assert_int_equal(fc_getattr(it->q, batch[1].nodeid, &attr), 0);
}

static void root_is_never_forgotten(void **state)
{
	struct it *it = *state;

	assert_int_equal(fc_forget(it->hp, ROOT, 1000), 0);
	it_assert_alive(it->q);
	assert_int_equal(fc_forget(it->hp, ROOT, UINT64_MAX), 0);
	it_assert_alive(it->q);
}

static void host_changes_are_seen(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), -ENOENT);
	it_file(it, "f", "x");
	uint64_t nodeid = node(it, "f");
	it_file(it, "f", "longer than before");
	assert_int_equal(fc_getattr(it->q, nodeid, &attr), 0);
	assert_attr(it, &attr.attr, "f");
	/* Another file under the name is another node, whatever number it got. */
	assert_int_equal(unlink(it_path(it, "f")), 0);
	it_file(it, "f", "new");
	assert_true(node(it, "f") != nodeid);
	assert_int_equal(rename(it_path(it, "f"), it_path(it, "g")), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), -ENOENT);
	node(it, "g");
}

static struct it_options readonly = { .be = { .readonly = true } };

static void readonly_refuses_every_change(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	char data[8];

	it_file(it, "f", "x");
	assert_int_equal(mkdir(it_path(it, "d"), 0755), 0);
	uint64_t nodeid = node(it, "f");
	assert_int_equal(
		fc_create(it->q, ROOT, "n", O_CREAT | O_RDWR, 0644, &entry, &open), -EROFS);
	assert_int_equal(fc_mkdir(it->q, ROOT, "n", 0755, &entry), -EROFS);
	assert_int_equal(fc_mknod(it->q, ROOT, "n", S_IFIFO | 0644, 0, &entry), -EROFS);
	assert_int_equal(fc_symlink(it->q, ROOT, "n", "t", &entry), -EROFS);
	assert_int_equal(fc_link(it->q, nodeid, ROOT, "n", &entry), -EROFS);
	assert_int_equal(fc_unlink(it->q, ROOT, "f"), -EROFS);
	assert_int_equal(fc_rmdir(it->q, ROOT, "d"), -EROFS);
	assert_int_equal(fc_rename(it->q, ROOT, "f", ROOT, "n"), -EROFS);
	assert_int_equal(fc_rename2(it->q, ROOT, "f", ROOT, "n", RENAME_NOREPLACE), -EROFS);
	assert_int_equal(SETATTR(.valid = FATTR_MODE, .mode = 0600), -EROFS);
	assert_int_equal(SETATTR(.valid = FATTR_SIZE, .size = 0), -EROFS);
	assert_int_equal(fc_open(it->q, nodeid, O_RDWR, &open), -EROFS);
	assert_int_equal(fc_open(it->q, nodeid, O_WRONLY, &open), -EROFS);
	assert_int_equal(fc_open(it->q, nodeid, O_RDONLY | O_TRUNC, &open), -EROFS);
	assert_int_equal(fc_access(it->q, nodeid, W_OK), -EROFS);
	assert_int_equal(fc_open(it->q, nodeid, O_RDONLY, &open), 0);
	assert_int_equal(fc_read(it->q, nodeid, open.fh, 0, data, sizeof(data)), 1);
	assert_refused(fc_write(it->q, nodeid, open.fh, 0, "y", 1));
	assert_refused(fc_fallocate(it->q, nodeid, open.fh, 0, 4096, 0));
	assert_int_equal(fc_release(it->q, nodeid, open.fh), 0);
	assert_false(exists(it, "n"));
	assert_true(exists(it, "f") && exists(it, "d"));
}

static const struct CMUnitTest tests[] = {
	IT_TEST(lookup_every_type),
	IT_TEST(lookup_odd_names),
	IT_TEST(walk_deep),
	IT_TEST(setattr_each_field),
	IT_TEST(setattr_times),
	IT_TEST(setattr_by_handle_and_of_links),
	IT_TEST(create_owner_and_mode),
	IT_TEST(create_flags),
	IT_TEST(create_opens_what_is_there),
	IT_TEST(mknod_every_type),
	IT_TEST(removals),
	IT_TEST(names_not_looked_up),
	IT_TEST(symlinks),
	IT_TEST(hard_links),
	IT_TEST(renames),
	IT_TEST(rename_flags),
	IT_TEST(statfs_like_the_host),
	IT_TEST(access_by_caller),
	IT_TEST(forgets),
	IT_TEST(root_is_never_forgotten),
	IT_TEST(host_changes_are_seen),
	IT_TEST_WITH(readonly_refuses_every_change, readonly),
};

static const struct it_difference differences[] = {
	{ "create_opens_what_is_there", "it aborts: O_CREAT without a mode", "no O_TRUNC" },
	{ "names_not_looked_up", "it answers EIO for names that have no inode in its table" },
	{ "access_by_caller", "it has no ACCESS (ENOSYS: the guest's kernel decides)" },
	{ "root_is_never_forgotten", "it aborts: assertion on the lookup count of the root",
		"EBADF: it forgets the root" },
	{ "rename_flags", NULL, "it takes flags that there are not" },
	{ "readonly_refuses_every_change", "C virtiofsd has no read-only mode",
		"RENAME2 is EINVAL there" },
};

IT_MAIN("ops", tests, differences)
