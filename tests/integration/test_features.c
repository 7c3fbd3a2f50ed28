/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations and options that not every guest uses, through the socket. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/wire.h"
#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID

/* One request; the reply's body, up to `size` bytes, goes to *out. */
static int call(struct it *it, uint32_t opcode, uint64_t nodeid, const void *args,
	uint32_t args_len, const char *name, void *out, uint32_t size)
{
	struct fc_call request = {
		.opcode = opcode,
		.nodeid = nodeid,
		.args = args,
		.args_len = args_len,
		.name = name,
		.room = size,
	};
	struct fc_reply reply;
	int r = fc_call(it->q, &request, &reply);

	if (r == 0 && out)
		memcpy(out, reply.body, reply.len < size ? reply.len : size);
	return r;
}

static uint64_t node(struct it *it, const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(fc_walk(it->q, name, &entry), 0);
	return entry.nodeid;
}

static void birth_time(void **state)
{
	struct it *it = *state;
	struct fs_statx_in in = {.sx_mask = STATX_BTIME};
	struct fs_statx_out out;
	struct statx stx;

	it_file(it, "file", "hello");
	assert_int_equal(
		call(it, FS_OP_STATX, node(it, "file"), &in, sizeof(in), NULL, &out, sizeof(out)),
		0);
	assert_int_equal(statx(AT_FDCWD, it_path(it, "file"), 0, STATX_BTIME, &stx), 0);
	assert_int_equal(out.stat.mask & STATX_BTIME, stx.stx_mask & STATX_BTIME);
	assert_int_equal(out.stat.btime.tv_sec, stx.stx_btime.tv_sec);
	assert_int_equal(out.stat.btime.tv_nsec, stx.stx_btime.tv_nsec);
	assert_int_equal(out.stat.size, 5);
}

struct created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static void nameless_file(void **state)
{
	struct it *it = *state;
	struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
	struct created made;
	struct fuse_entry_out linked;
	struct stat st;

	it->q->uid = 77;
	it->q->gid = 78;
	assert_int_equal(
		call(it, FUSE_TMPFILE, ROOT, &in, sizeof(in), "/", &made, sizeof(made)), 0);
	assert_int_equal(fc_write(it->q, made.entry.nodeid, made.open.fh, 0, "data", 4), 4);
	assert_int_equal(fc_release(it->q, made.entry.nodeid, made.open.fh), 0);
	assert_int_equal(fc_link(it->q, made.entry.nodeid, ROOT, "named", &linked), 0);
	assert_int_equal(linked.nodeid, made.entry.nodeid);
	assert_int_equal(stat(it_path(it, "named"), &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_nlink, 1);
	if (geteuid() == 0)
		assert_true(st.st_uid == 77 && st.st_gid == 78);
}

static void file_flags(void **state)
{
	struct it *it = *state;
	struct {
		struct fuse_ioctl_in in;
		int flags;
	} set = {.in = {.cmd = FS_IOC_SETFLAGS, .in_size = 4}};
	struct {
		struct fuse_ioctl_out out;
		int flags;
	} got = {.flags = 0};
	struct fuse_ioctl_in get = {.cmd = FS_IOC_GETFLAGS, .out_size = 4};
	struct fuse_open_out open_out;
	int want = 0, r, fd;
	uint64_t nodeid;

	it_file(it, "file", "hello");
	nodeid = node(it, "file");
	fd = open(it_path(it, "file"), O_RDONLY | O_CLOEXEC);
	r = ioctl(fd, FS_IOC_GETFLAGS, &want) < 0 ? -errno : 0;
	assert_int_equal(fc_open(it->q, nodeid, O_RDONLY, &open_out), 0);
	get.fh = set.in.fh = open_out.fh;
	assert_int_equal(
		call(it, FUSE_IOCTL, nodeid, &get, sizeof(get), NULL, &got, sizeof(got)), r);
	assert_int_equal(got.flags, want);
	set.flags = want | FS_NODUMP_FL;
	assert_int_equal(call(it, FUSE_IOCTL, nodeid, &set, sizeof(set.in) + 4, NULL, NULL,
				 sizeof(struct fuse_ioctl_out)),
		r);
	if (r == 0) {
		assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &want), 0);
		assert_int_equal(want, set.flags);
	}
	close(fd);
}

static const char *const killpriv[] = {"--killpriv-v2", NULL};
static const char *const peer_killpriv[] = {"-o", "killpriv_v2", NULL};
static struct it_options with_killpriv = {.be = {.extra = killpriv, .peer = peer_killpriv}};

static void setuid_bits(void **state)
{
	struct it *it = *state;
	struct {
		struct fuse_write_in in;
		char data[4];
	} write = {.in = {.size = 4}};
	struct fuse_write_out out;
	struct fuse_open_out open_out;
	struct stat st;
	uint64_t nodeid;

	assert_true(it->init.flags & FUSE_HANDLE_KILLPRIV_V2);
	assert_false(it->init.flags & FUSE_HANDLE_KILLPRIV);
	it_file(it, "file", "hello");
	assert_int_equal(chmod(it_path(it, "file"), 06755), 0);
	nodeid = node(it, "file");
	assert_int_equal(fc_open(it->q, nodeid, O_WRONLY, &open_out), 0);
	write.in.fh = open_out.fh;
	if (geteuid() == 0) {
		/* A caller that may keep them. */
		assert_int_equal(call(it, FUSE_WRITE, nodeid, &write, sizeof(write.in) + 4, NULL,
					 &out, sizeof(out)),
			0);
		assert_int_equal(stat(it_path(it, "file"), &st), 0);
		assert_int_equal(st.st_mode & 07777, 06755);
	}
	write.in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	assert_int_equal(call(it, FUSE_WRITE, nodeid, &write, sizeof(write.in) + 4, NULL, &out,
				 sizeof(out)),
		0);
	assert_int_equal(stat(it_path(it, "file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

static const char *const writeback[] = {"--writeback", NULL};
static const char *const peer_writeback[] = {"-o", "writeback", NULL};
static struct it_options with_writeback = {.be = {.extra = writeback, .peer = peer_writeback}};

static void write_only_reads(void **state)
{
	struct it *it = *state;
	struct fuse_open_out open_out;
	uint64_t nodeid;
	char data[16];

	assert_true(it->init.flags & FUSE_WRITEBACK_CACHE);
	it_file(it, "file", "0123456789");
	nodeid = node(it, "file");
	assert_int_equal(fc_open(it->q, nodeid, O_WRONLY | O_APPEND, &open_out), 0);
	assert_int_equal(fc_read(it->q, nodeid, open_out.fh, 0, data, 16), 10);
	assert_int_equal(fc_write(it->q, nodeid, open_out.fh, 4, "xy", 2), 2);
	assert_int_equal(fc_read(it->q, nodeid, open_out.fh, 0, data, 16), 10);
	assert_memory_equal(data, "0123xy6789", 10);
}

static const char *const flags_on[] = {"--readdirplus", "--allow-mmap", NULL};
static struct it_options with_flags_on = {.be = {.extra = flags_on, .cache = "never"}};
static const char *const flags_off[] = {"--no-readdirplus", NULL};
static struct it_options with_flags_off = {.be = {.extra = flags_off}};

static void flags_agreed_on(void **state)
{
	struct it *it = *state;

	assert_int_equal(fc_init(it->q, 7, 38, ~UINT64_C(0), &it->init), 0);
	assert_true(it->init.flags & FUSE_DO_READDIRPLUS);
	assert_true(it->init.flags2 & (uint32_t)(FUSE_DIRECT_IO_ALLOW_MMAP >> 32));
	assert_false(it->init.flags & FUSE_WRITEBACK_CACHE);
}

static void flags_not_agreed_on(void **state)
{
	struct it *it = *state;

	assert_int_equal(fc_init(it->q, 7, 38, ~UINT64_C(0), &it->init), 0);
	assert_false(it->init.flags & (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO));
	assert_false(it->init.flags2 & (uint32_t)(FUSE_DIRECT_IO_ALLOW_MMAP >> 32));
}

static const char *const direct_io[] = {"--allow-direct-io", NULL};
static const char *const peer_direct_io[] = {"-o", "allow_direct_io", NULL};
static struct it_options with_direct_io = {.be = {.extra = direct_io, .peer = peer_direct_io}};

/* In every layout: with one descriptor for all, the data is anything but aligned. */
static void direct_io_is_aligned(void **state)
{
	static const enum fc_layout layouts[] = {
		FC_MIXED, FC_DIRECT, FC_INDIRECT, FC_WHOLE, FC_MIXED};
	static char data[8 * 4096], back[sizeof(data)];
	struct it *it = *state;
	struct fuse_open_out open_out;
	uint64_t nodeid;
	int r;

	it_file(it, "file", "");
	nodeid = node(it, "file");
	r = fc_open(it->q, nodeid, O_RDWR | O_DIRECT, &open_out);
	if (r == -EINVAL)
		skip(); /* a file system without O_DIRECT */
	assert_int_equal(r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		it->q->layout = layouts[i];
		memset(data, 'a' + (int)i, sizeof(data));
		assert_int_equal(fc_write(it->q, nodeid, open_out.fh, 0, data, sizeof(data)),
			sizeof(data));
		assert_int_equal(fc_read(it->q, nodeid, open_out.fh, 0, back, sizeof(back)),
			sizeof(back));
		assert_memory_equal(back, data, sizeof(data));
	}
	assert_int_equal(fc_read(it->q, nodeid, open_out.fh, 1, back, 4096), -EINVAL);
}

/* A file system of its own at "a mount", and the share's own directory once more at "bound". */
static bool mount_two(struct it *it)
{
	assert_int_equal(mkdir(it_path(it, "a mount"), 0755), 0);
	assert_int_equal(mkdir(it_path(it, "bound"), 0755), 0);
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	if (mount("tmpfs", it_path(it, "a mount"), "tmpfs", 0, "size=1m"))
		return false;
	assert_int_equal(mount(it_path(it, "dir"), it_path(it, "bound"), NULL, MS_BIND, NULL), 0);
	return true;
}

static void unmount_two(struct it *it)
{
	umount2(it_path(it, "a mount"), MNT_DETACH);
	umount2(it_path(it, "bound"), MNT_DETACH);
}

static uint32_t flags_of(struct it *it, const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(fc_lookup(it->q, ROOT, name, &entry), 0);
	return entry.attr.flags;
}

static bool count_submounts(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	unsigned int *n = ctx;

	*n += entry->nodeid && entry->attr.flags & FUSE_ATTR_SUBMOUNT;
	return true;
}

static void submounts(void **state)
{
	struct it *it = *state;
	struct fuse_open_out open_out;
	struct fuse_statfs_out out;
	bool announced = it->init.flags & FUSE_SUBMOUNTS;
	uint32_t want = announced ? FUSE_ATTR_SUBMOUNT : 0;
	unsigned int n = 0;
	uint64_t offset = 0, inner;

	if (!mount_two(it))
		skip(); /* not allowed to mount */
	assert_int_equal(flags_of(it, "a mount"), want);
	assert_int_equal(flags_of(it, "bound"), want);
	assert_int_equal(flags_of(it, "dir"), 0);
	assert_int_equal(fc_opendir(it->q, ROOT, &open_out), 0);
	assert_true(fc_readdir(it->q, ROOT, open_out.fh, true, 16384, &offset, count_submounts,
			    &n) > 0);
	assert_int_equal(n, announced ? 2 : 0);
	inner = node(it, "a mount");
	assert_int_equal(fc_statfs(it->q, inner, &out), 0);
	assert_int_equal(out.st.blocks * out.st.bsize, 1 << 20);
	assert_int_equal(fc_syncfs(it->q, inner), 0);
	assert_int_equal(fc_syncfs(it->q, ROOT), 0);
	unmount_two(it);
}

/* Once the guest has forgotten what it saw there, the host may unmount it. */
static void submount_let_go(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out top, file;
	bool gone = false;

	assert_int_equal(mkdir(it_path(it, "a mount"), 0755), 0);
	if (mount("tmpfs", it_path(it, "a mount"), "tmpfs", 0, "size=1m"))
		skip(); /* not allowed to mount */
	it_file(it, "a mount/file", "x");
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(fc_lookup(it->q, ROOT, "a mount", &top), 0);
		assert_int_equal(fc_lookup(it->q, top.nodeid, "file", &file), 0);
		assert_int_equal(fc_syncfs(it->q, ROOT), 0);
		assert_int_equal(fc_forget(it->hp, file.nodeid, 1), 0);
		assert_int_equal(fc_forget(it->hp, top.nodeid, 1), 0);
	}
	for (int i = 0; i < 300 && !gone; i++) {
		usleep(10000);
		gone = umount2(it_path(it, "a mount"), UMOUNT_NOFOLLOW) == 0;
	}
	if (!gone)
		umount2(it_path(it, "a mount"), MNT_DETACH);
	assert_true(gone);
	assert_int_equal(fc_lookup(it->q, ROOT, "a mount", &top), 0);
	assert_int_equal(fc_lookup(it->q, top.nodeid, "file", &file), -ENOENT);
}

static const char *const peer_submounts[] = {"-o", "announce_submounts", NULL};
static struct it_options with_submounts = {.be = {.peer = peer_submounts}};

static const char *const no_submounts[] = {"--no-announce-submounts", NULL};
static const char *const peer_no_submounts[] = {NULL};
static struct it_options without_submounts = {
	.be = {.extra = no_submounts, .peer = peer_no_submounts}};

static void submounts_not_announced(void **state)
{
	struct it *it = *state;

	assert_false(it->init.flags & FUSE_SUBMOUNTS);
	submounts(state);
}

static const char *const submounts_again[] = {
	"--no-announce-submounts", "--announce-submounts", NULL};
static struct it_options with_submounts_again = {
	.be = {.extra = submounts_again, .peer = peer_submounts}};

/* The last word counts. */
static void submounts_announced_again(void **state)
{
	struct it *it = *state;

	assert_true(it->init.flags & FUSE_SUBMOUNTS);
	submounts(state);
}

static void newest_flags(void **state)
{
	struct it *it = *state;

	assert_int_equal(fc_init(it->q, 7, 45, ~UINT64_C(0), &it->init), 0);
	assert_int_equal(it->init.flags2,
		(uint32_t)((FUSE_CREATE_SUPP_GROUP | FUSE_ALLOW_IDMAP) >> 32));
}

static const struct CMUnitTest tests[] = {
	IT_TEST(birth_time),
	IT_TEST(nameless_file),
	IT_TEST(file_flags),
	IT_TEST_WITH(setuid_bits, with_killpriv),
	IT_TEST_WITH(write_only_reads, with_writeback),
	IT_TEST_WITH(direct_io_is_aligned, with_direct_io),
	IT_TEST_WITH(submounts, with_submounts),
	IT_TEST_WITH(submounts_announced_again, with_submounts_again),
	IT_TEST_WITH(submounts_not_announced, without_submounts),
	IT_TEST_WITH(submount_let_go, without_submounts),
	IT_TEST(newest_flags),
	IT_TEST_WITH(flags_agreed_on, with_flags_on),
	IT_TEST_WITH(flags_not_agreed_on, with_flags_off),
};

static const struct it_difference differences[] = {
	{ "birth_time", "it has no STATX", "nor has the Rust one" },
	{ "nameless_file", "it has no TMPFILE", "nor has the Rust one" },
	{ "file_flags", "it carries no ioctl", "nor does the Rust one" },
	{ "direct_io_is_aligned", "data in one piece with its headers is EINVAL there",
		"and there" },
	{ "submounts", "it announces a plain directory as one, too",
		"ENOENT for a mount with a space in its name" },
	{ "submounts_announced_again", "it announces a plain directory as one, too",
		"ENOENT for a mount with a space in its name" },
	{ "submounts_not_announced", NULL, "they are offered all the same" },
	{ "submount_let_go", NULL, "ENOENT for a mount with a space in its name" },
	{ "newest_flags", "it knows none of them" },
	{ "flags_agreed_on", "it takes no such options", "it has no --readdirplus" },
	{ "flags_not_agreed_on", "it takes no such options" },
};

IT_MAIN("features", tests, differences)
