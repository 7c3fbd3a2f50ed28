/* SPDX-License-Identifier: BSD-3-Clause */
/* What options turn on in the service, and what a session agrees on. */
#include "tests/unit/fs_client.h"

#include "fuse/wire.h"

static int teardown(void **state)
{
	if (*state)
		client_free(*state);
	return 0;
}

static const struct fs_features killpriv = {.killpriv_v2 = true};

static bool is_root(void)
{
	return geteuid() == 0;
}

/* A file whose both bits are set, with a mode in which both count. */
static void make_setuid(struct client *c, const char *name)
{
	host_write(c, name, "0123456789");
	assert_int_equal(chmod(host(c, name), 06777), 0);
}

#define KEPT                   06777
#define KILLED                 0777
#define mode_of(c, name)       ((int)(host_stat(c, name).st_mode & 07777))
#define assert_kept(c, name)   assert_int_equal(mode_of(c, name), KEPT)
#define assert_killed(c, name) assert_int_equal(mode_of(c, name), KILLED)

static int write_with(struct client *c, uint64_t node, uint64_t fh, uint32_t write_flags)
{
	struct {
		struct fuse_write_in in;
		char data[8];
	} args = {.in = {.fh = fh, .size = 8, .write_flags = write_flags}, .data = "datadat"};

	return ask(c, FUSE_WRITE, node, &args, sizeof(args.in) + 8, NULL, NULL);
}

static int open_with(struct client *c, uint64_t node, uint32_t flags, uint32_t open_flags)
{
	struct fuse_open_in in = {.flags = flags, .open_flags = open_flags};

	return ask(c, FUSE_OPEN, node, &in, sizeof(in), NULL, NULL);
}

/* The node of a setuid file "f", open for reading and writing. */
static uint64_t open_setuid(struct client *c, struct fuse_open_out *out)
{
	uint64_t node;

	make_setuid(c, "f");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, out), 0);
	return node;
}

/* Each request that has a flag, without and with it. */
static void test_killpriv_v2(void **state)
{
	struct client *c = *state = client_with(FS_CACHE_AUTO, &killpriv, 0);
	struct fuse_setattr_in cut = {.valid = FATTR_SIZE, .size = 3};
	struct fuse_create_in create = {.flags = O_CREAT | O_RDWR | O_TRUNC, .mode = 0644};
	struct fuse_open_out out;
	uint64_t node;

	if (!is_root())
		return;
	node = open_setuid(c, &out);

	assert_int_equal(write_with(c, node, out.fh, 0), 0);
	assert_kept(c, "f");
	assert_int_equal(write_with(c, node, out.fh, FUSE_WRITE_KILL_SUIDGID), 0);
	assert_killed(c, "f");

	make_setuid(c, "f");
	assert_int_equal(do_setattr(c, node, &cut), 0);
	assert_kept(c, "f");
	cut.valid |= FATTR_KILL_SUIDGID;
	cut.size = 2;
	assert_int_equal(do_setattr(c, node, &cut), 0);
	assert_killed(c, "f");

	make_setuid(c, "f");
	assert_int_equal(open_with(c, node, O_WRONLY | O_TRUNC, 0), 0);
	assert_kept(c, "f");
	make_setuid(c, "f");
	assert_int_equal(open_with(c, node, O_WRONLY, FUSE_OPEN_KILL_SUIDGID), 0);
	assert_kept(c, "f");
	assert_int_equal(open_with(c, node, O_WRONLY | O_TRUNC, FUSE_OPEN_KILL_SUIDGID), 0);
	assert_killed(c, "f");

	make_setuid(c, "f");
	create.open_flags = FUSE_OPEN_KILL_SUIDGID;
	assert_int_equal(ask(c, FUSE_CREATE, ROOT, &create, sizeof(create), "f", NULL), 0);
	assert_killed(c, "f");
}

/*
 * Those without a flag: of who is not root. And the thread has its capability back after each, so
 * that root's keep the bits, as root's on the host do.
 */
static void test_killpriv_without_flag(void **state)
{
	struct client *c = *state = client_with(FS_CACHE_AUTO, &killpriv, 0);
	struct fuse_fallocate_in allocate = {.length = 100};
	struct fuse_copy_file_range_in copy = {.len = 4};
	struct fuse_open_out from, to;
	uint64_t node, node_from;

	if (!is_root())
		return;
	node = open_setuid(c, &to);
	host_write(c, "from", "0123");
	node_from = node_of(c, ROOT, "from");
	assert_int_equal(do_open(c, FUSE_OPEN, node_from, O_RDONLY, &from), 0);
	allocate.fh = to.fh;
	copy.fh_in = from.fh;
	copy.fh_out = to.fh;
	copy.nodeid_out = node;
	for (int root = 0; root <= 1; root++) {
		c->uid = root ? 0 : 1000;
		assert_int_equal(
			ask(c, FUSE_FALLOCATE, node, &allocate, sizeof(allocate), NULL, NULL), 0);
		assert_int_equal(mode_of(c, "f"), root ? KEPT : KILLED);
		make_setuid(c, "f");
		assert_int_equal(ask(c, FUSE_COPY_FILE_RANGE, node_from, &copy, sizeof(copy), NULL,
					 NULL),
			0);
		assert_int_equal(mode_of(c, "f"), root ? KEPT : KILLED);
		make_setuid(c, "f");
	}
	assert_int_equal(write_with(c, node, to.fh, 0), 0);
	assert_kept(c, "f");
}

/* Guests before 5.11 have only version 1: each write kills, whoever wrote. */
static void test_killpriv_v1(void **state)
{
	struct client *c = *state =
		client_with(FS_CACHE_AUTO, &killpriv, FUSE_HANDLE_KILLPRIV_V2);
	struct fuse_setattr_in cut = {.valid = FATTR_SIZE, .size = 3};
	struct fuse_open_out out;
	uint64_t node;

	if (!is_root())
		return;
	node = open_setuid(c, &out);
	assert_int_equal(write_with(c, node, out.fh, 0), 0);
	assert_killed(c, "f");
	make_setuid(c, "f");
	assert_int_equal(do_setattr(c, node, &cut), 0);
	assert_killed(c, "f");
	make_setuid(c, "f");
	assert_int_equal(open_with(c, node, O_WRONLY | O_TRUNC, 0), 0);
	assert_killed(c, "f");
}

/* Without the option the guest clears the bits itself; a flag on a write is still heeded. */
static void test_no_killpriv(void **state)
{
	struct client *c = *state = client_new(FS_CACHE_AUTO, false, 0);
	struct fuse_open_out out;
	uint64_t node;

	if (!is_root())
		return;
	node = open_setuid(c, &out);
	assert_int_equal(write_with(c, node, out.fh, 0), 0);
	assert_kept(c, "f");
	assert_int_equal(write_with(c, node, out.fh, FUSE_WRITE_KILL_SUIDGID), 0);
	assert_killed(c, "f");
}

static const struct fs_features writeback = {.writeback = true};

/* The guest says where an append goes and reads around what it writes. */
static void test_writeback(void **state)
{
	struct client *c = *state = client_with(FS_CACHE_AUTO, &writeback, 0);
	struct fuse_entry_out entry;
	struct fuse_open_out out;
	uint64_t node;

	host_write(c, "f", "0123456789");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &out), 0);
	assert_int_equal(do_read(c, node, out.fh, 2, 4), 4);
	assert_memory_equal(c->rep, "2345", 4);
	assert_int_equal(do_append(c, node, out.fh, 3, "xyz", 3), 3);
	assert_int_equal(host_stat(c, "f").st_size, 10);
	assert_int_equal(do_read(c, node, out.fh, 0, 10), 10);
	assert_memory_equal(c->rep, "012xyz6789", 10);
	assert_int_equal(
		do_create(c, ROOT, "new", O_WRONLY | O_APPEND, 0200, &entry, &out), 0);
	assert_int_equal(do_append(c, entry.nodeid, out.fh, 4, "w", 1), 1);
	assert_int_equal(do_read(c, entry.nodeid, out.fh, 0, 9), 5);
}

static void test_writeback_needs_a_cache(void **state)
{
	static const enum fs_cache modes[] = {FS_CACHE_NEVER, FS_CACHE_METADATA};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct client *c = *state = client_with(modes[i], &writeback, 0);
		struct fuse_open_out out;

		host_write(c, "f", "0123456789");
		assert_int_equal(do_open(c, FUSE_OPEN, node_of(c, ROOT, "f"),
					 O_WRONLY | O_APPEND, &out),
			0);
		assert_int_equal(
			do_append(c, node_of(c, ROOT, "f"), out.fh, 0, "end", 3), 3);
		assert_int_equal(host_stat(c, "f").st_size, 13);
		client_free(c);
		*state = NULL;
	}
}

/* The times are the guest's too. */
static void test_writeback_times(void **state)
{
	struct client *c = *state = client_with(FS_CACHE_AUTO, &writeback, 0);
	struct fuse_setattr_in in = {
		.valid = FATTR_MTIME | FATTR_CTIME, .mtime = 1000, .mtimensec = 5, .ctime = 1001};
	struct stat st;

	host_write(c, "f", "x");
	assert_int_equal(do_setattr(c, node_of(c, ROOT, "f"), &in), 0);
	st = host_stat(c, "f");
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
}

/* Not agreed on: two writers append, and nothing is lost; what is for writing only stays so. */
static void appends(struct client *c)
{
	struct fuse_open_out a, b;
	uint64_t node;

	host_write(c, "f", "");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &a), 0);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR | O_APPEND, &b), 0);
	assert_int_equal(do_append(c, node, a.fh, 0, "aa", 2), 2);
	assert_int_equal(do_append(c, node, b.fh, 0, "bb", 2), 2);
	assert_int_equal(do_append(c, node, a.fh, 2, "AA", 2), 2);
	assert_int_equal(do_read(c, node, b.fh, 0, 100), 6);
	assert_memory_equal(c->rep, "aabbAA", 6);
	assert_int_equal(do_read(c, node, a.fh, 0, 100), -EBADF);
}

static void test_append(void **state)
{
	struct client *c = *state = client_new(FS_CACHE_AUTO, false, 0);

	appends(c);
}

static void test_writeback_not_agreed(void **state)
{
	struct client *c = *state =
		client_with(FS_CACHE_AUTO, &writeback, FUSE_WRITEBACK_CACHE);

	appends(c);
}

/* What the file is open with on the host, of the latest fd of ours on it. */
static int host_flags(struct client *c, const char *name)
{
	struct stat want = host_stat(c, name), st;
	int flags = -1;

	for (int fd = 0; fd < 1024; fd++) {
		int got = fcntl(fd, F_GETFL);

		if (got >= 0 && !(got & O_PATH) && fstat(fd, &st) == 0 &&
			st.st_ino == want.st_ino && st.st_dev == want.st_dev)
			flags = got;
	}
	return flags;
}

static void test_noatime(void **state)
{
	static const struct fs_features noatime = {.noatime = true};
	struct client *c = *state = client_with(FS_CACHE_AUTO, &noatime, 0);
	struct fuse_open_out out;

	host_write(c, "f", "x");
	assert_int_equal(
		do_open(c, FUSE_OPEN, node_of(c, ROOT, "f"), O_RDONLY | O_NOATIME, &out), 0);
	assert_true(host_flags(c, "f") & O_NOATIME);
	client_free(c);
	c = *state = client_new(FS_CACHE_AUTO, false, 0);
	host_write(c, "f", "x");
	assert_int_equal(do_open(c, FUSE_OPEN, node_of(c, ROOT, "f"),
				 O_RDONLY | O_NOATIME | O_DIRECT, &out),
		0);
	assert_false(host_flags(c, "f") & (O_NOATIME | O_DIRECT));
}

/* A block size that each test's file system takes, and buffers that are aligned badly. */
#define BLOCK 4096u

/* READ with the answer's data at an odd address: what behind the headers is anything but aligned.
 */
static void test_direct(void **state)
{
	static const struct fs_features direct = {.direct_io = true};
	struct client *c = *state = client_with(FS_CACHE_AUTO, &direct, 0);
	static uint8_t data[16 * BLOCK], back[16 * BLOCK];
	struct fuse_open_out out;
	uint64_t node;
	int fd, r;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	host_write(c, "f", "");
	fd = open(host(c, "f"), O_RDONLY);
	node = node_of(c, ROOT, "f");
	r = do_open(c, FUSE_OPEN, node, O_RDWR | O_DIRECT, &out);
	if (r == -EINVAL) {
		close(fd); /* a file system without O_DIRECT says so */
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(do_write(c, node, out.fh, 0, data, sizeof(data)), sizeof(data));
	assert_int_equal(pread(fd, back, sizeof(back), 0), sizeof(back));
	assert_memory_equal(back, data, sizeof(data));
	assert_int_equal(do_read(c, node, out.fh, BLOCK, 15 * BLOCK), 15 * BLOCK);
	assert_memory_equal(c->rep, data + BLOCK, 15 * BLOCK);
	/* Offsets and lengths are the caller's. */
	assert_int_equal(do_write(c, node, out.fh, 3, data, BLOCK), -EINVAL);
	assert_int_equal(do_write(c, node, out.fh, 0, data, 100), -EINVAL);
	assert_int_equal(do_read(c, node, out.fh, 3, BLOCK), -EINVAL);
	/* A file that ends within a block: its tail can be read, and is the end. */
	assert_int_equal(truncate(host(c, "f"), 2 * BLOCK + 100), 0);
	assert_int_equal(do_read(c, node, out.fh, 0, 16 * BLOCK), 2 * BLOCK + 100);
	assert_memory_equal(c->rep, data, 2 * BLOCK + 100);
	assert_int_equal(do_read(c, node, out.fh, 4 * BLOCK, BLOCK), 0);
	close(fd);
}

/* A page of the guest's cache that ends with the file, through a file open with O_DIRECT. */
static void test_direct_from_cache(void **state)
{
	static const struct fs_features direct = {.direct_io = true};
	struct client *c = *state = client_with(FS_CACHE_AUTO, &direct, 0);
	struct {
		struct fuse_write_in in;
		char data[8];
	} args = {.in = {.offset = 3, .size = 8, .write_flags = FUSE_WRITE_CACHE},
		.data = "datadat"};
	struct fuse_open_out out;
	uint64_t node;

	host_write(c, "f", "0123456789a");
	node = node_of(c, ROOT, "f");
	if (do_open(c, FUSE_OPEN, node, O_RDWR | O_DIRECT, &out) == -EINVAL)
		return;
	args.in.fh = out.fh;
	assert_int_equal(
		ask(c, FUSE_WRITE, node, &args, sizeof(args.in) + 8, NULL, NULL), 0);
	assert_int_equal(host_stat(c, "f").st_size, 11);
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDONLY, &out), 0);
	assert_int_equal(do_read(c, node, out.fh, 0, 100), 11);
	assert_memory_equal(c->rep, "012datadat", 11);
}

/* Memory that only system calls may touch is not bounced: the host's refusal is the answer. */
static void test_direct_not_ram(void **state)
{
	static const struct fs_features direct = {.direct_io = true};
	struct client *c = *state = client_with(FS_CACHE_AUTO, &direct, 0);
	struct fuse_read_in in = {.size = BLOCK};
	struct fuse_open_out out;
	struct call *call;

	host_write(c, "f", "0123456789a");
	if (do_open(c, FUSE_OPEN, node_of(c, ROOT, "f"), O_RDONLY | O_DIRECT, &out) == -EINVAL)
		return;
	in.fh = out.fh;
	call = call_request(FUSE_READ, 5, node_of(c, ROOT, "f"), &in, sizeof(in),
		HEADER_SIZE + BLOCK + 1);
	call->io.rep_ram = HEADER_SIZE;
	assert_int_equal(call_run(c->f, call), -EINVAL);
	call_free(call);
}

/* CREATE with a group in an extension; the answer's mode, or the error. */
static int make_in(struct client *c, uint64_t dir, const char *name, uint32_t group)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = 02775};
	struct {
		struct fuse_ext_header header;
		uint32_t nr, gid;
	} ext = {.header = {.size = sizeof(ext), .type = FS_EXT_GROUPS}, .nr = 1, .gid = group};
	struct fuse_entry_out out;
	char args[sizeof(in) + 8 + sizeof(ext)] = "";
	int r;

	assert_int_equal(strlen(name), 7);
	memcpy(args, &in, sizeof(in));
	memcpy(args + sizeof(in), name, 8);
	memcpy(args + sizeof(in) + 8, &ext, sizeof(ext));
	r = ask(c, FUSE_CREATE, dir, args, group ? sizeof(args) : sizeof(in) + 8, NULL, NULL);
	memcpy(&out, c->rep, sizeof(out));
	return r ? r : (int)(out.attr.mode & 07777);
}

/* A setgid directory of group 4321, of which the caller from now on is not. */
static uint64_t directory_of_group(struct client *c)
{
	uint64_t dir;

	assert_int_equal(mkdir(host(c, "d"), 0777), 0);
	assert_int_equal(chown(host(c, "d"), 0, 4321), 0);
	assert_int_equal(chmod(host(c, "d"), 02777), 0);
	dir = node_of(c, ROOT, "d");
	c->uid = 1234;
	c->gid = 5678;
	return dir;
}

/* In a setgid directory of a group that is the caller's by supplement: the setgid bit may stay. */
static void test_groups(void **state)
{
	struct client *c = *state = client_new(FS_CACHE_AUTO, false, 0);
	uint64_t dir;
	gid_t before[256], after[256];
	int n = getgroups(256, before);

	if (!is_root())
		return;
	dir = directory_of_group(c);
	assert_int_equal(make_in(c, dir, "without", 0), 0775);
	assert_int_equal(make_in(c, dir, "another", 4322), 0775);
	assert_int_equal(make_in(c, dir, "with-it", 4321), 02775);
	assert_int_equal(make_in(c, dir, "and-not", 0), 0775);
	assert_int_equal(host_stat(c, "d/with-it").st_gid, 4321);
	assert_int_equal(host_stat(c, "d/with-it").st_uid, 1234);
	assert_int_equal(getgroups(256, after), n);
	assert_memory_equal(before, after, (size_t)n * sizeof(gid_t));
}

/* Not agreed on: such a list means nothing, and one that lies is an error only if it is meant. */
static void test_groups_not_agreed(void **state)
{
	struct client *c = *state =
		client_with(FS_CACHE_AUTO, &killpriv, FUSE_INIT_EXT);
	uint64_t dir;

	if (!is_root())
		return;
	dir = directory_of_group(c);
	assert_int_equal(make_in(c, dir, "with-it", 4321), -EINVAL);
	assert_int_equal(make_in(c, dir, "without", 0), 0775);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_killpriv_v2, teardown),
		cmocka_unit_test_teardown(test_killpriv_without_flag, teardown),
		cmocka_unit_test_teardown(test_killpriv_v1, teardown),
		cmocka_unit_test_teardown(test_no_killpriv, teardown),
		cmocka_unit_test_teardown(test_writeback, teardown),
		cmocka_unit_test_teardown(test_writeback_needs_a_cache, teardown),
		cmocka_unit_test_teardown(test_writeback_times, teardown),
		cmocka_unit_test_teardown(test_append, teardown),
		cmocka_unit_test_teardown(test_writeback_not_agreed, teardown),
		cmocka_unit_test_teardown(test_noatime, teardown),
		cmocka_unit_test_teardown(test_groups, teardown),
		cmocka_unit_test_teardown(test_groups_not_agreed, teardown),
		cmocka_unit_test_teardown(test_direct, teardown),
		cmocka_unit_test_teardown(test_direct_from_cache, teardown),
		cmocka_unit_test_teardown(test_direct_not_ram, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
