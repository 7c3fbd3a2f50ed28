/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations that libfuse does not carry: STATX, TMPFILE, COPY_FILE_RANGE_64, IOCTL. */
#include "tests/unit/fs_client.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include "fuse/wire.h"

static int do_statx(
	struct client *c, uint64_t nodeid, const struct fs_statx_in *in, struct fs_statx_out *out)
{
	int r = ask(c, FS_OP_STATX, nodeid, in, sizeof(*in), NULL, NULL);

	*out = (struct fs_statx_out){0};
	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*out));
		memcpy(out, c->rep, sizeof(*out));
	}
	return r;
}

static void assert_same_statx(struct client *c, const struct fs_statx *got, const char *name)
{
	struct statx stx;

	assert_int_equal(statx(AT_FDCWD, host(c, name), AT_SYMLINK_NOFOLLOW,
				 STATX_BASIC_STATS | STATX_BTIME, &stx),
		0);
	assert_int_equal(got->mask & STATX_BTIME, stx.stx_mask & STATX_BTIME);
	assert_int_equal(got->mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	assert_int_equal(got->btime.tv_sec, stx.stx_btime.tv_sec);
	assert_int_equal(got->btime.tv_nsec, stx.stx_btime.tv_nsec);
	assert_int_equal(got->mtime.tv_sec, stx.stx_mtime.tv_sec);
	assert_int_equal(got->mtime.tv_nsec, stx.stx_mtime.tv_nsec);
	assert_int_equal(got->ctime.tv_nsec, stx.stx_ctime.tv_nsec);
	assert_int_equal(got->atime.tv_nsec, stx.stx_atime.tv_nsec);
	assert_int_equal(got->ino, stx.stx_ino);
	assert_int_equal(got->mode, stx.stx_mode);
	assert_int_equal(got->nlink, stx.stx_nlink);
	assert_int_equal(got->uid, stx.stx_uid);
	assert_int_equal(got->gid, stx.stx_gid);
	assert_int_equal(got->size, stx.stx_size);
	assert_int_equal(got->blocks, stx.stx_blocks);
	assert_int_equal(got->blksize, stx.stx_blksize);
	assert_int_equal(got->rdev_major, stx.stx_rdev_major);
	assert_int_equal(got->rdev_minor, stx.stx_rdev_minor);
}

static void test_statx(void **state)
{
	struct client *c = *state;
	struct fs_statx_in in = {.sx_mask = STATX_BTIME};
	struct fs_statx_out out;
	struct fuse_open_out open;

	host_write(c, "f", "hello");
	assert_int_equal(symlink("away", host(c, "l")), 0);
	assert_int_equal(mkdir(host(c, "d"), 0711), 0);
	for (const char *const *name = (const char *const[]){"f", "l", "d", NULL}; *name; name++) {
		assert_int_equal(do_statx(c, node_of(c, ROOT, *name), &in, &out), 0);
		assert_same_statx(c, &out.stat, *name);
		assert_int_equal(out.attr_valid, 1);
	}
	/* By the open file, also when the name is gone. */
	assert_int_equal(do_open(c, FUSE_OPEN, node_of(c, ROOT, "f"), O_RDONLY, &open), 0);
	in = (struct fs_statx_in){.getattr_flags = FUSE_GETATTR_FH, .fh = open.fh};
	assert_int_equal(do_statx(c, node_of(c, ROOT, "f"), &in, &out), 0);
	assert_same_statx(c, &out.stat, "f");
	in.fh++;
	assert_int_equal(do_statx(c, node_of(c, ROOT, "f"), &in, &out), -EBADF);
	in = (struct fs_statx_in){.sx_flags = AT_STATX_FORCE_SYNC};
	assert_int_equal(do_statx(c, ROOT, &in, &out), 0);
	in.sx_flags = AT_STATX_SYNC_TYPE;
	assert_int_equal(do_statx(c, ROOT, &in, &out), -EINVAL);
	assert_int_equal(do_statx(c, 12345, &in, &out), -ESTALE);
}

static int do_tmpfile(struct client *c, uint64_t dir, uint32_t flags, uint32_t mode,
	struct fuse_entry_out *entry, struct fuse_open_out *open)
{
	struct fuse_create_in in = {.flags = flags, .mode = mode};
	int r = ask(c, FUSE_TMPFILE, dir, &in, sizeof(in), "/", NULL);

	*entry = (struct fuse_entry_out){0};
	*open = (struct fuse_open_out){0};
	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*entry) + sizeof(*open));
		memcpy(entry, c->rep, sizeof(*entry));
		memcpy(open, c->rep + sizeof(*entry), sizeof(*open));
	}
	return r;
}

static int do_link(struct client *c, uint64_t nodeid, const char *name, struct fuse_entry_out *out)
{
	struct fuse_link_in in = {.oldnodeid = nodeid};

	return ask_entry(c, FUSE_LINK, ROOT, &in, sizeof(in), name, NULL, out);
}

static void test_tmpfile(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out entry, linked;
	struct fuse_open_out open;
	struct fuse_attr attr;
	struct stat st;

	c->uid = 1234;
	c->gid = 5678;
	assert_int_equal(do_tmpfile(c, ROOT, O_RDWR, 0640, &entry, &open), 0);
	/* Nobody can ask for it by name, whatever the cache mode says of names. */
	assert_int_equal(entry.entry_valid, UINT32_MAX);
	assert_int_equal(entry.attr.nlink, 0);
	assert_int_equal(entry.attr.mode, S_IFREG | 0640);
	assert_int_equal(do_write(c, entry.nodeid, open.fh, 0, "secret", 6), 6);
	assert_int_equal(do_getattr(c, entry.nodeid, &attr), 0);
	assert_int_equal(attr.size, 6);
	/* Closed and still remembered: it can still be given a name. */
	assert_int_equal(do_release(c, FUSE_RELEASE, entry.nodeid, open.fh), 0);
	assert_int_equal(do_getattr(c, entry.nodeid, &attr), 0);
	assert_int_equal(do_link(c, entry.nodeid, "named", &linked), 0);
	assert_int_equal(linked.nodeid, entry.nodeid);
	assert_int_equal(linked.attr.nlink, 1);
	st = host_stat(c, "named");
	assert_int_equal(st.st_size, 6);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 5678);
	}
	do_forget(c, entry.nodeid, 2);
	assert_int_equal(node_of(c, ROOT, "named") != 0, 1);
}

static void test_tmpfile_refused(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int fds = count_fds();

	host_write(c, "f", "");
	assert_int_equal(do_tmpfile(c, node_of(c, ROOT, "f"), O_RDWR, 0600, &entry, &open),
		-ENOTDIR);
	assert_int_equal(do_tmpfile(c, ROOT, O_RDONLY, 0600, &entry, &open), -EINVAL);
	assert_int_equal(do_tmpfile(c, 999, O_RDWR, 0600, &entry, &open), -ESTALE);
	/* One that must never have a name. */
	assert_int_equal(do_tmpfile(c, ROOT, O_RDWR | O_EXCL, 0600, &entry, &open), 0);
	assert_int_equal(do_link(c, entry.nodeid, "named", &entry), -ENOENT);
	do_forget(c, node_of(c, ROOT, "f"), 2);
	assert_true(count_fds() <= fds + 4);
}

/* Nameless files until there is no room: an error, and the service goes on. */
static void test_tmpfile_many(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	unsigned int n = 0;
	int r;

	while ((r = do_tmpfile(c, ROOT, O_RDWR, 0600, &entry, &open)) == 0 && n < 1000)
		n++;
	assert_int_equal(r, -ENFILE);
	assert_in_range(n, 50, 300);
	assert_int_equal(do_release(c, FUSE_RELEASE, entry.nodeid, open.fh), -EBADF);
	host_write(c, "f", "x");
	assert_int_equal(node_of(c, ROOT, "f") != 0, 1);
}

static void test_copy_64(void **state)
{
	struct client *c = *state;
	struct fuse_open_out from, to;
	struct fuse_copy_file_range_in in = {.len = UINT64_MAX};
	uint64_t node = 0;

	host_write(c, "from", "0123456789");
	host_write(c, "to", "");
	node = node_of(c, ROOT, "from");
	in.nodeid_out = node_of(c, ROOT, "to");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &from), 0);
	assert_int_equal(do_open(c, FUSE_OPEN, in.nodeid_out, O_WRONLY, &to), 0);
	in.fh_in = from.fh;
	in.fh_out = to.fh;
	in.off_in = 2;
	assert_int_equal(ask(c, FS_OP_COPY_FILE_RANGE_64, node, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(c->rep_len, sizeof(uint64_t));
	assert_int_equal(*(uint64_t *)(void *)c->rep, 8);
	assert_int_equal(host_stat(c, "to").st_size, 8);
	in.flags = 1;
	assert_int_equal(
		ask(c, FS_OP_COPY_FILE_RANGE_64, node, &in, sizeof(in), NULL, NULL), -EINVAL);
}

/* One IOCTL; what comes back is in c->rep after the out-struct. */
static int do_ioctl(struct client *c, uint64_t nodeid, const struct fuse_ioctl_in *in,
	const void *data, size_t size)
{
	char args[sizeof(*in) + 8192];

	memcpy(args, in, sizeof(*in));
	if (size)
		memcpy(args + sizeof(*in), data, size);
	return ask(c, FUSE_IOCTL, nodeid, args, sizeof(*in) + size, NULL, NULL);
}

static int get_flags(struct client *c, uint64_t node, uint64_t fh, uint32_t cmd, int *flags)
{
	struct fuse_ioctl_in in = {.fh = fh, .cmd = cmd, .out_size = 4};
	struct fuse_ioctl_out *out = (void *)c->rep;
	int r = do_ioctl(c, node, &in, NULL, 0);

	*flags = 0;
	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*out) + 4);
		assert_int_equal(out->result, 0);
		assert_int_equal(out->flags, 0);
		memcpy(flags, out + 1, sizeof(*flags));
	}
	return r;
}

/* The host's own answer is the measure: not every file system has flags. */
static void check_flags(struct client *c, const char *name, uint32_t opcode)
{
	uint64_t node = node_of(c, ROOT, name);
	struct fuse_open_out open_out;
	struct fuse_ioctl_in set = {.cmd = FS_IOC_SETFLAGS, .in_size = 4};
	int fd = open(host(c, name), O_RDONLY), want = 0, got, r;

	assert_int_equal(do_open(c, opcode, node, O_RDONLY, &open_out), 0);
	r = ioctl(fd, FS_IOC_GETFLAGS, &want) < 0 ? -errno : 0;
	assert_int_equal(get_flags(c, node, open_out.fh, FS_IOC_GETFLAGS, &got), r);
	assert_int_equal(got, want);
	assert_int_equal(get_flags(c, node, open_out.fh, FS_IOC32_GETFLAGS, &got), r);
	assert_int_equal(got, want);
	want |= FS_NODUMP_FL;
	set.fh = open_out.fh;
	assert_int_equal(do_ioctl(c, node, &set, &want, 4), r);
	if (r == 0) {
		assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &got), 0);
		assert_int_equal(got, want);
	}
	close(fd);
}

static void test_flags(void **state)
{
	struct client *c = *state;

	host_write(c, "f", "x");
	assert_int_equal(mkdir(host(c, "d"), 0755), 0);
	check_flags(c, "f", FUSE_OPEN);
	check_flags(c, "d", FUSE_OPENDIR);
}

static void test_fsxattr(void **state)
{
	struct client *c = *state;
	struct fuse_ioctl_in in = {.cmd = FS_IOC_FSGETXATTR, .out_size = sizeof(struct fsxattr)};
	struct fsxattr want = {0}, got;
	struct fuse_open_out out;
	uint64_t node;
	int fd, flags, r;

	host_write(c, "f", "x");
	fd = open(host(c, "f"), O_RDONLY);
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &out), 0);
	in.fh = out.fh;
	r = ioctl(fd, FS_IOC_FSGETXATTR, &want) < 0 ? -errno : 0;
	assert_int_equal(do_ioctl(c, node, &in, NULL, 0), r);
	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(struct fuse_ioctl_out) + sizeof(got));
		memcpy(&got, c->rep + sizeof(struct fuse_ioctl_out), sizeof(got));
		assert_memory_equal(&got, &want, sizeof(got));
		want.fsx_xflags |= FS_XFLAG_NODUMP;
		in = (struct fuse_ioctl_in){.fh = out.fh, .cmd = FS_IOC_FSSETXATTR,
			.in_size = sizeof(want)};
		assert_int_equal(do_ioctl(c, node, &in, &want, sizeof(want)), 0);
		assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &got), 0);
		assert_true(got.fsx_xflags & FS_XFLAG_NODUMP);
		/* To leave the project would be to leave its quota. */
		got.fsx_projid++;
		assert_int_equal(do_ioctl(c, node, &in, &got, sizeof(got)), -EINVAL);
		got.fsx_projid--;
		got.fsx_xflags ^= FS_XFLAG_PROJINHERIT;
		assert_int_equal(do_ioctl(c, node, &in, &got, sizeof(got)), -EINVAL);
		in = (struct fuse_ioctl_in){.fh = out.fh, .cmd = FS_IOC_SETFLAGS, .in_size = 4};
		if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
			flags ^= FS_PROJINHERIT_FL;
			assert_int_equal(do_ioctl(c, node, &in, &flags, 4), -EINVAL);
		}
	}
	close(fd);
}

static void test_bad_ioctls(void **state)
{
	struct client *c = *state;
	struct fuse_open_out out;
	struct fuse_ioctl_in in = {.in_size = 4, .out_size = 4};
	char data[8192] = "";
	uint64_t node;

	host_write(c, "f", "x");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &out), 0);
	in.fh = out.fh;
	/* FICLONE, FITRIM, FS_IOC_FSSETXATTR's number with another size, TIOCSTI, BLKDISCARD... */
	for (const uint32_t *cmd = (const uint32_t[]){FICLONE, FITRIM, FIFREEZE, FIGETBSZ, FIONREAD,
			     _IOW('X', 32, int), 0x5412, BLKDISCARD, FS_IOC_GETVERSION, 1, 0};
		*cmd; cmd++) {
		in.cmd = *cmd;
		assert_int_equal(do_ioctl(c, node, &in, data, 4), -ENOTTY);
	}
	/* No data of the guest's addresses; too little of it; more than it says. */
	in = (struct fuse_ioctl_in){.fh = out.fh, .cmd = FS_IOC_GETFLAGS, .out_size = 4};
	in.flags = FUSE_IOCTL_UNRESTRICTED;
	assert_int_equal(do_ioctl(c, node, &in, NULL, 0), -ENOTTY);
	in.flags = 0;
	in.out_size = 3;
	assert_int_equal(do_ioctl(c, node, &in, NULL, 0), -EINVAL);
	in.out_size = 4;
	in.in_size = 1;
	assert_int_equal(do_ioctl(c, node, &in, NULL, 0), -EINVAL);
	assert_int_equal(do_ioctl(c, node, &in, data, 2), -EINVAL);
	in.in_size = 4097;
	assert_int_equal(do_ioctl(c, node, &in, data, 4097), -EINVAL);
	in.in_size = UINT32_MAX;
	assert_int_equal(do_ioctl(c, node, &in, data, 4), -EINVAL);
	in = (struct fuse_ioctl_in){.fh = out.fh, .cmd = FS_IOC_FSSETXATTR, .in_size = 27};
	assert_int_equal(do_ioctl(c, node, &in, data, 27), -EINVAL);
	in = (struct fuse_ioctl_in){.fh = 77, .cmd = FS_IOC_GETFLAGS, .out_size = 4};
	assert_int_equal(do_ioctl(c, node, &in, NULL, 0), -EBADF);
}

static void test_readonly(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out out;
	struct fuse_ioctl_in in = {.cmd = FS_IOC_SETFLAGS, .in_size = 4};

	assert_int_equal(do_tmpfile(c, ROOT, O_RDWR, 0600, &entry, &out), -EROFS);
	assert_int_equal(do_open(c, FUSE_OPENDIR, ROOT, O_RDONLY, &out), 0);
	in.fh = out.fh;
	assert_int_equal(do_ioctl(c, ROOT, &in, "\0\0\0", 4), -EROFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_statx),
		CLIENT_TEST(test_tmpfile),
		CLIENT_TEST(test_tmpfile_refused),
		CLIENT_TEST(test_tmpfile_many),
		CLIENT_TEST(test_copy_64),
		CLIENT_TEST(test_flags),
		CLIENT_TEST(test_fsxattr),
		CLIENT_TEST(test_bad_ioctls),
		CLIENT_TEST_READONLY(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
