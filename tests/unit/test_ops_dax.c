/* SPDX-License-Identifier: BSD-3-Clause */
/* SETUPMAPPING, REMOVEMAPPING, FSYNC of mapped files, and FUSE_ATTR_DAX. The window is a double. */
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "tests/unit/dax_client.h"

#define R    FUSE_SETUPMAPPING_FLAG_READ
#define W    FUSE_SETUPMAPPING_FLAG_WRITE
#define SLOT (UINT64_C(2) << 20)

static bool is_root(void)
{
	return geteuid() == 0;
}

/* False where the file system does not know it. */
static bool append_only(const char *path, bool on)
{
	int flags, fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;

	if (done) {
		flags = on ? flags | FS_APPEND_FL : flags & ~FS_APPEND_FL;
		done = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	}
	if (fd >= 0)
		close(fd);
	return done;
}

static void test_maps(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct stat st;
	uint64_t node;
	int fds;

	(void)state;
	host_write(c, "file", "data");
	st = host_stat(c, "file");
	node = node_of(c, ROOT, "file");
	fds = count_fds();
	assert_int_equal(do_map(c, node, 4096, 2 * SLOT, SLOT, R), 0);
	assert_int_equal(window.maps, 1);
	assert_int_equal(window.key, node);
	assert_int_equal(window.entry.fd_offset, 4096);
	assert_int_equal(window.entry.window_offset, 2 * SLOT);
	assert_int_equal(window.entry.len, SLOT);
	assert_int_equal(window.entry.access, DAX_READ);
	assert_int_equal(window.fd_flags & O_ACCMODE, O_RDWR);
	assert_true(window.fd_dev == st.st_dev && window.fd_ino == st.st_ino);

	/* Reading is implied, also when nothing is asked for. */
	assert_int_equal(do_map(c, node, 0, WINDOW_SIZE - SLOT, SLOT, W), 0);
	assert_int_equal(window.entry.access, DAX_READ | DAX_WRITE);
	assert_int_equal(do_map(c, node, 0, 0, WINDOW_SIZE, 0), 0);
	assert_int_equal(window.entry.access, DAX_READ);
	assert_int_equal(do_map(c, node, 0, 0, 4096, R | W), 0);
	/* No fd is left: the double closed what it got. */
	assert_int_equal(count_fds(), fds);
	assert_int_equal(view.opens, 4);
	client_free(c);
}

/* The guest hears what the front-end said, when it said it; and nothing holds a thread meanwhile.
 */
static void test_answers_late(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_setupmapping_in in = {.len = SLOT, .flags = R};
	static const int errors[] = {0, -ENOSPC, -EIO, -ETIMEDOUT, -ENOMEM, -EFAULT};
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	window.hold = true;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct call *call =
			call_request(FUSE_SETUPMAPPING, 5, node, &in, sizeof(in), HEADER_SIZE);

		fs_submit(c->f->fs, &call->io);
		assert_int_equal(fixture_pump(c->f), 0);
		assert_int_equal(call->completed, 0);
		assert_int_equal(fs_inflight(c->f->fs), 1);
		double_finish(&window, errors[i]);
		assert_int_equal(call_answer(call).error, errors[i]);
		assert_int_equal(call_answer(call).len, HEADER_SIZE);
		call_free(call);
	}
	client_free(c);
}

static unsigned int n_parked;

static void on_park(struct fs_io *io)
{
	struct call *call = container_of(io, struct call, io);

	assert_int_equal(call->completed + call->dropped, 0);
	n_parked++;
}

static void test_parks_once(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_setupmapping_in in = {.len = SLOT, .flags = R};
	struct call *call;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	n_parked = 0;
	call = call_request(FUSE_SETUPMAPPING, 5, node, &in, sizeof(in), HEADER_SIZE);
	call->io.park = on_park;
	assert_int_equal(call_run(c->f, call), 0);
	assert_int_equal(n_parked, 1);
	call_free(call);

	/* What never gets to the window is not parked. */
	in.len = 1;
	call = call_request(FUSE_SETUPMAPPING, 5, node, &in, sizeof(in), HEADER_SIZE);
	call->io.park = on_park;
	assert_int_equal(call_run(c->f, call), -EINVAL);
	assert_int_equal(n_parked, 1);
	call_free(call);
	client_free(c);
}

static void test_hostile_arguments(void **state)
{
	static const uint64_t odd[] = {1, 2, 4095, 4097, UINT64_MAX, (UINT64_C(1) << 63) + 1};
	const uint64_t top = UINT64_C(1) << 63;
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		assert_int_equal(do_map(c, node, odd[i], 0, SLOT, R), -EINVAL);
		assert_int_equal(do_map(c, node, 0, odd[i], SLOT, R), -EINVAL);
		assert_int_equal(do_map(c, node, 0, 0, odd[i], R), -EINVAL);
	}
	assert_int_equal(do_map(c, node, 0, 0, 0, R), -EINVAL);
	assert_int_equal(do_map(c, node, top, 0, SLOT, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, top, SLOT, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, 0, top, R), -EINVAL);
	assert_int_equal(do_map(c, node, top, top, top, R), -EINVAL);
	assert_int_equal(do_map(c, node, -SLOT, 0, SLOT, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, -SLOT, SLOT, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, WINDOW_SIZE, 4096, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, WINDOW_SIZE - 4096, 8192, R), -EINVAL);
	assert_int_equal(do_map(c, node, 0, 4096, WINDOW_SIZE, R), -EINVAL);
	for (unsigned int bit = 2; bit < 64; bit++)
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R | UINT64_C(1) << bit), -EINVAL);
	assert_int_equal(window.maps, 0);
	assert_int_equal(view.opens, 0);
	client_free(c);
}

static void test_only_regular_files(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_entry_out entry;
	uint64_t node;

	(void)state;
	assert_int_equal(do_map(c, ROOT, 0, 0, SLOT, R), -EINVAL);
	assert_int_equal(do_mknod(c, ROOT, "fifo", S_IFIFO | 0600, 0, &entry), 0);
	assert_int_equal(do_map(c, entry.nodeid, 0, 0, SLOT, R), -EACCES);
	assert_int_equal(do_map(c, entry.nodeid, 0, 0, SLOT, W), -EACCES);
	assert_int_equal(do_mknod(c, ROOT, "sock", S_IFSOCK | 0600, 0, &entry), 0);
	assert_int_equal(do_map(c, entry.nodeid, 0, 0, SLOT, R), -EACCES);
	assert_int_equal(symlink("fifo", host(c, "link")), 0);
	node = node_of(c, ROOT, "link");
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), -EACCES);

	assert_int_equal(do_map(c, 0, 0, 0, SLOT, R), -ESTALE);
	assert_int_equal(do_map(c, UINT64_MAX, 0, 0, SLOT, R), -ESTALE);
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	do_forget(c, node, 1);
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), -ESTALE);
	assert_int_equal(window.maps, 0);
	assert_int_equal(view.opens, 0);
	client_free(c);
}

/* A file that the guest has unlinked and still has open. */
static void test_unlinked_file(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_open_out open;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &open), 0);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, NULL, 0, "file", NULL), 0);
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R | W), 0);
	assert_int_equal(window.maps, 1);
	client_free(c);
}

static void test_read_only(void **state)
{
	static const enum dax_view_kind kinds[] = {DAX_VIEW_DIRECT, DAX_VIEW_CACHED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct client *c = dax_client(kinds[i], true, FS_DAX_ALWAYS);
		uint64_t node;

		host_write(c, "file", "data");
		node = node_of(c, ROOT, "file");
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
		assert_int_equal(window.fd_flags & O_ACCMODE, O_RDONLY);
		assert_int_equal(do_map(c, node, 0, 0, SLOT, W), -EROFS);
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R | W), -EROFS);
		assert_int_equal(window.maps, 1);
		client_free(c);
	}
}

/* A file that cannot be opened for writing: what is read of it can be mapped. */
static void test_busy_file(void **state)
{
	static const enum dax_view_kind kinds[] = {DAX_VIEW_DIRECT, DAX_VIEW_PASSTHROUGH};

	(void)state;
	if (is_root())
		return; /* root opens it all the same */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct client *c = dax_client(kinds[i], false, FS_DAX_ALWAYS);
		uint64_t node;

		host_write(c, "file", "data");
		assert_int_equal(chmod(host(c, "file"), 0400), 0);
		node = node_of(c, ROOT, "file");
		assert_int_equal(do_map(c, node, 0, 0, SLOT, W), -EACCES);
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
		assert_int_equal(window.maps, 1);
		assert_int_equal(window.fd_flags & O_ACCMODE, O_RDONLY);
		client_free(c);
	}
}

/* Copies a program into the share and runs it there: nobody can open it for writing then. */
static pid_t run_in_share(struct client *c, const char *name)
{
	int from = open("/bin/sleep", O_RDONLY | O_CLOEXEC);
	int to = open(host(c, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	struct stat st;
	pid_t pid;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	while (st.st_size > 0) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)st.st_size, 0);

		assert_true(n > 0);
		st.st_size -= n;
	}
	close(from);
	close(to);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(host(c, name), "sleep", "60", NULL);
		_exit(127);
	}
	for (int ms = 0; ms < 5000; ms++) {
		to = open(host(c, name), O_RDWR | O_CLOEXEC);
		if (to < 0 && errno == ETXTBSY)
			return pid;
		if (to >= 0)
			close(to);
		usleep(1000);
	}
	fail_msg("the program does not run");
	return pid;
}

/* A program that runs on the host is mapped as a copy, under a key of its own. */
static void test_running_program(void **state)
{
	struct client *c = dax_client(DAX_VIEW_PASSTHROUGH, false, FS_DAX_ALWAYS);
	pid_t pid = run_in_share(c, "program");
	struct fuse_attr attr;
	uint64_t node, key;

	(void)state;
	node = node_of(c, ROOT, "program");
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R | W), -ETXTBSY);
	assert_int_equal(window.maps, 0);
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
	key = window.key;
	assert_true(key != node);
	assert_int_equal(window.fd_flags & O_ACCMODE, O_RDONLY);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);

	/* What replaces the copy is the file, unless the copy would go before that is there. */
	window.blinks = key;
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R | W), -ETXTBSY);
	assert_int_equal(window.maps, 1);
	window.blinks = 0;
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R | W), 0);
	assert_int_equal(window.key, node);

	/* Changes by the host show with the attributes, changes by the guest at once. */
	view.changed = 0;
	host_write(c, "program", "new");
	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(view.changed, 1);
	client_free(c);
}

/* An append-only file grows by what guests write: copies are fetched anew before that is told. */
static void test_copy_grows(void **state)
{
	struct client *c = dax_client(DAX_VIEW_PASSTHROUGH, false, FS_DAX_ALWAYS);
	struct fuse_open_out out;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &out), 0);
	assert_int_equal(do_write(c, node, out.fh, 4, "more", 4), 4);
	assert_int_equal(view.changed, 0);
	if (!is_root())
		assert_int_equal(chmod(host(c, "file"), 0400), 0);
	else if (!append_only(host(c, "file"), true))
		skip(); /* not on this file system */
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
	assert_int_equal(window.fd_flags & O_ACCMODE, O_RDONLY);
	assert_int_equal(do_append(c, node, out.fh, 8, "more", 4), 4);
	assert_int_equal(view.changed, 1);
	/* It can be opened so, and not otherwise. */
	if (is_root()) {
		assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY, &out), -EPERM);
		assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &out), 0);
		assert_int_equal(do_append(c, node, out.fh, 12, "end", 3), 3);
	}
	(void)append_only(host(c, "file"), false);
	client_free(c);
}

static void test_view_that_fails(void **state)
{
	struct client *c = dax_client(DAX_VIEW_PASSTHROUGH, false, FS_DAX_ALWAYS);
	uint64_t node;
	int fds;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	fds = count_fds();
	view.error = -ETXTBSY;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R), -ETXTBSY);
	assert_int_equal(count_fds(), fds);
	view.error = 0;
	/* No room for fds got lost: there were 256 in all. */
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
	client_free(c);
}

static int do_unmap(struct client *c, const struct fuse_removemapping_one *ones, uint32_t count)
{
	size_t size = count * sizeof(*ones);
	char *args = malloc(4 + size);
	int r;

	assert_non_null(args);
	memcpy(args, &count, 4);
	if (size)
		memcpy(args + 4, ones, size);
	r = ask(c, FUSE_REMOVEMAPPING, ROOT, args, 4 + size, NULL, NULL);
	free(args);
	return r;
}

static void test_unmaps(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_removemapping_one ones[257] = {0};
	uint32_t lies[] = {0, 2, 256, UINT32_MAX, 0x10000001};
	char args[4 + 16] = {0};

	(void)state;
	for (uint64_t i = 0; i < 257; i++)
		ones[i] = (struct fuse_removemapping_one){.moffset = i << 40 | i, .len = ~i};
	for (uint32_t n = 1; n <= 256; n += n < 3 ? 1 : 23) {
		assert_int_equal(do_unmap(c, ones, n), 0);
		assert_int_equal(window.n_ranges, n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(window.ranges[i].window_offset, ones[i].moffset);
			assert_int_equal(window.ranges[i].len, ones[i].len);
		}
	}
	window.unmaps = 0;
	assert_int_equal(do_unmap(c, ones, 0), -EINVAL);
	assert_int_equal(do_unmap(c, ones, 257), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		memcpy(args, &lies[i], 4);
		assert_int_equal(
			ask(c, FUSE_REMOVEMAPPING, ROOT, args, sizeof(args), NULL, NULL), -EINVAL);
	}
	assert_int_equal(window.unmaps, 0);
	window.answer = -EINVAL;
	assert_int_equal(do_unmap(c, ones, 3), -EINVAL);
	client_free(c);
}

static void test_no_window(void **state)
{
	static const struct {
		enum dax_view_kind kind;
		bool readonly;
		enum fs_dax dax;
		bool ready;
		int map, unmap;
	} rows[] = {
		{DAX_VIEW_DIRECT, false, FS_DAX_NEVER, true, -ENOSYS, 0},
		{DAX_VIEW_NONE, false, FS_DAX_ALWAYS, true, -ENOSYS, 0},
		{DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS, false, -ENOSYS, -ENOSYS},
		{DAX_VIEW_CACHED, false, FS_DAX_ALWAYS, true, -ENOSYS, 0},
		{DAX_VIEW_PASSTHROUGH, true, FS_DAX_ALWAYS, true, -ENOSYS, 0},
	};
	struct fuse_removemapping_one one = {.len = 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *c = dax_client(rows[i].kind, rows[i].readonly, rows[i].dax);
		struct fuse_attr attr;
		uint64_t node;

		window.ready = rows[i].ready;
		host_write(c, "file", "data");
		node = node_of(c, ROOT, "file");
		assert_int_equal(do_map(c, node, 0, 0, SLOT, R), rows[i].map);
		assert_int_equal(do_unmap(c, &one, 1), rows[i].unmap);
		assert_int_equal(do_getattr(c, node, &attr), 0);
		assert_int_equal(attr.flags, 0);
		client_free(c);
	}
}

static void test_session_ends(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_setupmapping_in in = {.len = SLOT, .flags = R};
	struct call *call;
	unsigned int before;
	uint64_t node;

	(void)state;
	before = window.unmap_alls;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	assert_int_equal(ask(c, FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
	assert_int_equal(window.unmap_alls, before + 1);
	assert_int_equal(do_init(c->f), 0);
	assert_int_equal(window.unmap_alls, before + 2);
	/* A reset is the gateway's affair: the front-end may have dropped all by itself. */
	fs_reset(c->f->fs);
	assert_int_equal(window.unmap_alls, before + 2);

	/* One that waits for the front-end then is not answered. */
	assert_int_equal(do_init(c->f), 0);
	node = node_of(c, ROOT, "file");
	call = call_request(FUSE_SETUPMAPPING, 5, node, &in, sizeof(in), HEADER_SIZE);
	window.hold = true;
	fs_submit(c->f->fs, &call->io);
	fixture_pump(c->f);
	assert_int_equal(window.maps, 1);
	fs_reset(c->f->fs);
	double_finish(&window, -EIO);
	assert_int_equal(call->dropped, 1);
	assert_int_equal(call->completed, 0);
	call_free(call);
	client_free(c);
}

static void test_fsync(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_fsync_in in = {0};
	struct fuse_open_out open;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR, &open), 0);
	in.fh = open.fh;
	assert_int_equal(ask(c, FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(window.syncs, 1);
	assert_int_equal(window.key, node);
	window.answer = -ENOSPC;
	assert_int_equal(ask(c, FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL), -ENOSPC);
	window.dialect = dax_dialect_find("shmem");
	assert_int_equal(ask(c, FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL), 0);
	window.dialect = dax_dialect_find("seed");
	window.ready = false;
	assert_int_equal(ask(c, FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL), 0);
	window.ready = true;
	in.fh = 12345;
	assert_int_equal(ask(c, FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL), -EBADF);
	assert_int_equal(window.syncs, 2);
	client_free(c);
}

static bool is_dax(struct client *c, const char *name)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;

	assert_int_equal(do_lookup(c, ROOT, name, &entry), 0);
	assert_int_equal(do_getattr(c, entry.nodeid, &attr), 0);
	assert_int_equal(attr.flags, entry.attr.flags);
	assert_int_equal(attr.flags & ~(uint32_t)FUSE_ATTR_DAX, 0);
	return attr.flags;
}

static void test_attributes(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_setattr_in set = {.valid = FATTR_SIZE, .size = 8192};
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr attr;

	(void)state;
	assert_int_equal(do_create(c, ROOT, "new", O_RDWR, 0600, &entry, &open), 0);
	assert_int_equal(entry.attr.flags, FUSE_ATTR_DAX);
	assert_int_equal(do_setattr(c, entry.nodeid, &set), 0);
	attr = ((struct fuse_attr_out *)(void *)c->rep)->attr;
	assert_int_equal(attr.flags, FUSE_ATTR_DAX);
	assert_int_equal(do_mknod(c, ROOT, "reg", S_IFREG | 0600, 0, &entry), 0);
	assert_int_equal(entry.attr.flags, FUSE_ATTR_DAX);
	assert_int_equal(do_mknod(c, ROOT, "fifo", S_IFIFO | 0600, 0, &entry), 0);
	assert_int_equal(entry.attr.flags, 0);
	assert_int_equal(do_mkdir(c, ROOT, "dir", 0700, &entry), 0);
	assert_int_equal(entry.attr.flags, 0);
	assert_true(is_dax(c, "new"));
	window.ready = false; /* the front-end refused a map */
	assert_false(is_dax(c, "new"));
	client_free(c);

	/* From a size on. */
	c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_INODE);
	host_write(c, "file", "12345678");
	assert_true(is_dax(c, "file"));
	fs_free(c->f->fs);
	c->f->config.dax_threshold = 9;
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	assert_int_equal(do_init(c->f), 0);
	assert_false(is_dax(c, "file"));
	host_write(c, "file", "123456789");
	assert_true(is_dax(c, "file"));
	client_free(c);
}

/* Pages of a copy are fetched anew before the guest hears that the file has changed. */
static void test_cached_view(void **state)
{
	struct client *c = dax_client(DAX_VIEW_CACHED, true, FS_DAX_ALWAYS);
	struct fuse_attr attr;
	unsigned int changed;
	uint64_t node;

	(void)state;
	host_write(c, "file", "data");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(view.changed, 0); /* nothing is mapped */
	assert_int_equal(do_map(c, node, 0, 0, SLOT, R), 0);
	usleep(50000);
	assert_int_equal(do_getattr(c, node, &attr), 0);
	changed = view.changed;
	for (int i = 0; i < 10; i++)
		assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(view.changed, changed);
	host_write(c, "file", "atad");
	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(view.changed, changed + 1);
	/* So soon after a change another one may not show. */
	host_write(c, "file", "tada");
	assert_int_equal(do_getattr(c, node, &attr), 0);
	assert_int_equal(view.changed, changed + 2);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_answers_late),
		cmocka_unit_test(test_parks_once),
		cmocka_unit_test(test_hostile_arguments),
		cmocka_unit_test(test_only_regular_files),
		cmocka_unit_test(test_unlinked_file),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_busy_file),
		cmocka_unit_test(test_running_program),
		cmocka_unit_test(test_copy_grows),
		cmocka_unit_test(test_view_that_fails),
		cmocka_unit_test(test_unmaps),
		cmocka_unit_test(test_no_window),
		cmocka_unit_test(test_session_ends),
		cmocka_unit_test(test_fsync),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_cached_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
