/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that breaks the rules of FUSE: an error reply (silence where there is none), the service
 * goes on, nothing outside of the share is touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT   FUSE_ROOT_ID
#define HEADER ((uint32_t)sizeof(struct fuse_in_header))

static bool is_silent(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

/* Whatever was sent, it came back in an orderly way. */
static bool orderly(uint32_t opcode, int r)
{
	if (r <= 0 && r >= -4095)
		return true;
	return r == FC_BAD_REPLY && is_silent(opcode); /* no bytes written, none wanted */
}

/* Mounted again when the attack was a DESTROY or an INIT in disguise. */
static void assert_goes_on(struct it *it)
{
	struct fuse_attr_out attr;
	int r = fc_getattr(it->q, ROOT, &attr);

	if (r == -EIO)
		assert_int_equal(fc_mount(it->q, NULL), 0);
	else
		assert_int_equal(r, 0);
}

struct raw {
	struct fuse_in_header h;
	uint8_t args[4096];
};

/* What the guest may hold on to: something of each kind. */
struct things {
	struct fuse_entry_out file, dir, link, fifo;
	struct fuse_open_out fh, dh;
};

static void get_things(struct it *it, struct things *t)
{
	it_file(it, "file", "0123456789");
	(void)mkdir(it_path(it, "dir"), 0755);
	(void)symlink("file", it_path(it, "link"));
	(void)mkfifo(it_path(it, "fifo"), 0644);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &t->file), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "dir", &t->dir), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "link", &t->link), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "fifo", &t->fifo), 0);
	assert_int_equal(fc_open(it->q, t->file.nodeid, O_RDWR, &t->fh), 0);
	assert_int_equal(fc_opendir(it->q, t->dir.nodeid, &t->dh), 0);
}

/* Every opcode with every length of arguments, empty and full ones. */
static void every_opcode_every_length(void **state)
{
	struct it *it = *state;
	static const uint8_t fills[] = { 0x00, 0xff, 0x2f, 0x61 };
	struct raw raw;

	for (uint32_t opcode = 0; opcode <= 64; opcode++) {
		for (uint32_t args = 0; args <= 136; args += args < 16 ? 1 : 4) {
			for (size_t fill = 0; fill < sizeof(fills); fill++) {
				int r;

				memset(raw.args, fills[fill], sizeof(raw.args));
				fc_header(it->q, &raw.h, opcode, ROOT, HEADER + args);
				r = fc_call_raw(it->q, &raw, HEADER + args, 256);
				if (!orderly(opcode, r))
					fail_msg("opcode %u, %u bytes of 0x%02x: %d", opcode, args,
						fills[fill], r);
			}
		}
		assert_goes_on(it);
	}
}

/* header.len against what is really there. */
static void header_lengths(void **state)
{
	struct it *it = *state;
	static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_GETATTR, FUSE_READ, FUSE_WRITE,
		FUSE_MKDIR, FUSE_RENAME, FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_SETATTR, FUSE_SYMLINK,
		1000 };
	static const uint32_t lengths[] = { 0, 1, 39, 40, 41, 55, 57, 100, 4096, 65536, 1u << 20,
		1u << 31, UINT32_MAX };
	struct raw raw;

	memset(&raw, 0, sizeof(raw));
	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			int r;

			fc_header(it->q, &raw.h, opcodes[o], ROOT, lengths[l]);
			r = fc_call_raw(it->q, &raw, HEADER + 16, 512);
			if (!orderly(opcodes[o], r))
				fail_msg("opcode %u, length %u: %d", opcodes[o], lengths[l], r);
			if (lengths[l] > HEADER + 16 || lengths[l] < HEADER)
				assert_int_not_equal(r, 0);
		}
	}
	assert_goes_on(it);
}

/* Room for the answer from none up to what it needs. */
static void no_room_for_the_answer(void **state)
{
	struct it *it = *state;
	struct things t;
	struct raw raw;

	get_things(it, &t);
	static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_GETATTR, FUSE_OPEN, FUSE_STATFS,
		FUSE_READLINK, FUSE_CREATE, FUSE_MKDIR, FUSE_INIT, FUSE_DESTROY };
	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
		for (uint32_t room = 1; room < 180; room += 5) {
			uint64_t nodeid = opcodes[o] == FUSE_READLINK ? t.link.nodeid : ROOT;
			struct fc_req *req;

			memset(raw.args, 0, sizeof(raw.args));
			strcpy((char *)raw.args + (opcodes[o] == FUSE_MKDIR           ? 8
							  : opcodes[o] == FUSE_CREATE ? 16
										      : 0),
				"new");
			fc_header(it->q, &raw.h, opcodes[o], nodeid, HEADER + 20);
			req = fc_send_raw(it->q, &raw, HEADER + 20, room);
			assert_non_null(req);
			int r = fc_wait(req, FC_WAIT_MS, NULL);
			/* Fewer than a header's bytes: nothing can be said at all. */
			if (room < 16)
				assert_true(r == FC_BAD_REPLY && req->used == 0);
			else if (!orderly(opcodes[o], r))
				fail_msg("opcode %u, room %u: %d", opcodes[o], room, r);
			(void)unlink(it_path(it, "new"));
			(void)rmdir(it_path(it, "new"));
		}
	}
	assert_goes_on(it);
}

/* ---- names ---- */

/* Sends `args` bytes of arguments and then `len` bytes of name, NUL or not. */
static int with_name(struct it *it, uint32_t opcode, uint64_t nodeid, uint32_t args,
	const void *name, uint32_t len)
{
	struct raw raw;

	memset(&raw, 0, sizeof(raw));
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2)
		memcpy(raw.args, &nodeid, sizeof(nodeid));
	else if (opcode == FUSE_CREATE)
		raw.args[0] = O_RDWR;
	else if (opcode == FUSE_MKNOD || opcode == FUSE_MKDIR) {
		uint32_t mode = opcode == FUSE_MKNOD ? S_IFREG | 0644 : 0755;

		memcpy(raw.args, &mode, sizeof(mode));
	}
	memcpy(raw.args + args, name, len);
	fc_header(it->q, &raw.h, opcode, nodeid, HEADER + args + len);
	return fc_call_raw(it->q, &raw, HEADER + args + len, 512);
}

static const struct {
	uint32_t opcode, args;
} named[] = {
	{ FUSE_LOOKUP, 0 },
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in) },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in) },
	{ FUSE_UNLINK, 0 },
	{ FUSE_RMDIR, 0 },
	{ FUSE_CREATE, sizeof(struct fuse_create_in) },
	{ FUSE_SYMLINK, 0 },
	{ FUSE_LINK, sizeof(struct fuse_link_in) },
	{ FUSE_RENAME, sizeof(struct fuse_rename_in) },
	{ FUSE_RENAME2, sizeof(struct fuse_rename2_in) },
};

static void bad_names(void **state)
{
	struct it *it = *state;
	char long_name[300];
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "/etc/passwd", "../outside",
		"dir/x", "dir/../../outside", "./x", "..//", "x/" };

	memset(long_name, 'l', sizeof(long_name));
	long_name[299] = '\0';
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		uint32_t opcode = named[i].opcode;

		for (size_t b = 0; b < ARRAY_SIZE(bad); b++) {
			int r = with_name(it, opcode, ROOT, named[i].args, bad[b],
				(uint32_t)strlen(bad[b]) + 1);

			if (r >= 0 || r < -4095)
				fail_msg("opcode %u, name '%s': %d", opcode, bad[b], r);
		}
		/* No NUL at its end; a second name that is missing; bytes after the last one. */
		assert_refused(with_name(it, opcode, ROOT, named[i].args, "nonul", 5));
		assert_refused(with_name(it, opcode, ROOT, named[i].args, "x\0y", 3));
		assert_refused(with_name(it, opcode, ROOT, named[i].args, "x\0y\0z", 5));
		assert_refused(with_name(it, opcode, ROOT, named[i].args, long_name, 300));
		assert_refused(
			with_name(it, opcode, ROOT, named[i].args, long_name + 299 - 256, 257));
	}
	assert_refused(with_name(it, FUSE_RENAME, ROOT, 8, "dir\0../out", 11));
	assert_refused(with_name(it, FUSE_RENAME2, ROOT, 16, "dir\0..", 7));
	assert_refused(with_name(it, FUSE_SYMLINK, ROOT, 0, "link\0", 6)); /* an empty target */
	assert_goes_on(it);
}

/* ---- the way out: symbolic links, renames and what lies beside the share ---- */

static void assert_outside_untouched(const struct it *it)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/outside", it->be.root);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_nlink, 2);
	snprintf(path, sizeof(path), "%s/outside/secret", it->be.root);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
}

static void make_outside(const struct it *it)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[160];

	snprintf(path, sizeof(path), "%s/outside", it->be.root);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/outside/secret", it->be.root);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "secret", 6), 6);
	futimens(fd, times);
	close(fd);
}

static void symlinks_do_not_lead_out(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in chmod_in = { .valid = FATTR_MODE, .mode = 0777 };
	struct fuse_setattr_in trunc = { .valid = FATTR_SIZE, .size = 0 };
	struct fuse_setattr_in times = { .valid = FATTR_MTIME, .mtime = 5 };
	char target[200];
	struct fuse_entry_out dir, file, e;
	struct fuse_open_out fh;
	struct fuse_attr_out attr;

	make_outside(it);
	snprintf(target, sizeof(target), "%s/outside", it->be.root);
	assert_int_equal(fc_symlink(it->q, ROOT, "dirlink", target, &dir), 0);
	assert_int_equal(fc_symlink(it->q, ROOT, "filelink", "../outside/secret", &file), 0);
	assert_true(S_ISLNK(dir.attr.mode) && S_ISLNK(file.attr.mode));
	assert_refused(fc_lookup(it->q, dir.nodeid, "secret", &e));
	assert_refused(fc_create(it->q, dir.nodeid, "new", O_CREAT | O_RDWR, 0644, &e, &fh));
	assert_refused(fc_mkdir(it->q, dir.nodeid, "new", 0755, &e));
	assert_refused(fc_unlink(it->q, dir.nodeid, "secret"));
	assert_refused(fc_rename(it->q, dir.nodeid, "secret", ROOT, "got"));
	assert_refused(fc_rename(it->q, ROOT, "filelink", dir.nodeid, "gone"));
	assert_refused(fc_opendir(it->q, dir.nodeid, &fh));
	assert_refused(fc_open(it->q, file.nodeid, O_RDWR, &fh));
	assert_refused(fc_open(it->q, file.nodeid, O_RDONLY | O_TRUNC, &fh));
	assert_refused(fc_setattr(it->q, file.nodeid, &trunc, &attr));
	(void)fc_setattr(it->q, file.nodeid, &chmod_in, &attr);
	(void)fc_setattr(it->q, file.nodeid, &times, &attr);
	(void)fc_create(it->q, ROOT, "filelink", O_CREAT | O_RDWR | O_TRUNC, 0644, &e, &fh);
	assert_outside_untouched(it);
	/* The host swaps a known directory for a link, as a racing guest could have it done. */
	assert_int_equal(fc_mkdir(it->q, ROOT, "d", 0755, &e), 0);
	assert_int_equal(rmdir(it_path(it, "d")), 0);
	assert_int_equal(symlink(target, it_path(it, "d")), 0);
	assert_refused(fc_create(it->q, e.nodeid, "new", O_CREAT | O_RDWR, 0644, &dir, &fh));
	assert_refused(fc_lookup(it->q, e.nodeid, "secret", &dir));
	assert_refused(fc_unlink(it->q, e.nodeid, "secret"));
	assert_outside_untouched(it);
	assert_goes_on(it);
}

static void directories_moved_out(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out d, e;
	char path[200];

	make_outside(it);
	assert_int_equal(fc_mkdir(it->q, ROOT, "d", 0755, &d), 0);
	assert_int_equal(fc_mkdir(it->q, d.nodeid, "sub", 0755, &e), 0);
	/* The host moves it out of the share while the guest holds it: '..' of it is outside now.
	 */
	snprintf(path, sizeof(path), "%s/moved", it->be.root);
	assert_int_equal(rename(it_path(it, "d"), path), 0);
	assert_refused(fc_lookup(it->q, d.nodeid, "..", &e));
	assert_refused(fc_lookup(it->q, ROOT, "..", &e));
	assert_refused(fc_rename(it->q, d.nodeid, "sub", d.nodeid, "../outside/sub"));
	assert_outside_untouched(it);
	assert_goes_on(it);
}

/* ---- nodeids and handles ---- */

static void assert_node_refused(struct it *it, uint64_t nodeid)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0 };
	struct fuse_entry_out e;
	struct fuse_attr_out attr;
	struct fuse_open_out fh;
	struct fuse_statfs_out statfs;
	char target[4200];

	assert_refused(fc_getattr(it->q, nodeid, &attr));
	assert_refused(fc_setattr(it->q, nodeid, &in, &attr));
	assert_refused(fc_lookup(it->q, nodeid, "file", &e));
	assert_refused(fc_open(it->q, nodeid, O_RDONLY, &fh));
	assert_refused(fc_opendir(it->q, nodeid, &fh));
	assert_refused(fc_mkdir(it->q, nodeid, "x", 0755, &e));
	assert_refused(fc_create(it->q, nodeid, "x", O_CREAT | O_RDWR, 0644, &e, &fh));
	assert_refused(fc_readlink(it->q, nodeid, target, sizeof(target)));
	assert_refused(fc_link(it->q, nodeid, ROOT, "x", &e));
	assert_refused(fc_rename(it->q, nodeid, "file", ROOT, "x"));
	assert_refused(fc_rename(it->q, ROOT, "file", nodeid, "x"));
	assert_refused(fc_unlink(it->q, nodeid, "file"));
	assert_refused(fc_access(it->q, nodeid, R_OK));
	assert_refused(fc_statfs(it->q, nodeid, &statfs));
	assert_int_equal(fc_forget(it->hp, nodeid, 1), 0);
	assert_int_equal(fc_forget(it->hp, nodeid, UINT64_MAX), 0);
}

static void unknown_nodeids(void **state)
{
	struct it *it = *state;
	struct things t;

	get_things(it, &t);
	const uint64_t ids[] = { 0, 999999, t.file.nodeid ^ UINT64_C(1) << 63,
		t.file.nodeid + (UINT64_C(1) << 32), UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 32,
		UINT64_C(1) << 32 | ROOT, UINT32_MAX, 0x7fffffffffffffff };
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_node_refused(it, ids[i]);
	/* Forgotten, then its slot used by somebody else: the old number stays dead. */
	uint64_t old = t.dir.nodeid;
	assert_int_equal(fc_releasedir(it->q, old, t.dh.fh), 0);
	assert_int_equal(fc_forget(it->hp, old, 1), 0);
	assert_node_refused(it, old);
	struct fuse_entry_out e;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(fc_lookup(it->q, ROOT, "dir", &e), 0);
		assert_true(e.nodeid != old);
		assert_int_equal(fc_forget(it->hp, e.nodeid, 1), 0);
	}
	assert_node_refused(it, old);
	assert_int_equal(
		fc_getattr(it->q, t.file.nodeid, &(struct fuse_attr_out){ .dummy = 0 }), 0);
}

static void assert_handle_refused(struct it *it, uint64_t nodeid, uint64_t fh, bool dir)
{
	uint64_t offset = 0, result;
	char data[64];

	if (!dir) {
		assert_refused(fc_read(it->q, nodeid, fh, 0, data, sizeof(data)));
		assert_refused(fc_write(it->q, nodeid, fh, 0, "evil", 4));
		assert_refused(fc_fallocate(it->q, nodeid, fh, 0, 4096, 0));
		assert_refused(fc_lseek(it->q, nodeid, fh, 0, SEEK_DATA, &result));
		assert_refused(fc_copy_file_range(it->q, nodeid, fh, 0, nodeid, fh, 100, 4));
		assert_refused(fc_fsync(it->q, nodeid, fh, false));
	} else {
		assert_refused(fc_readdir(it->q, nodeid, fh, false, 4096, &offset, NULL, NULL));
		assert_refused(fc_readdir(it->q, nodeid, fh, true, 4096, &offset, NULL, NULL));
		assert_refused(fc_fsyncdir(it->q, nodeid, fh));
	}
}

static void wrong_handles(void **state)
{
	struct it *it = *state;
	struct things t;
	char data[16];

	get_things(it, &t);
	const uint64_t bad[] = { 0, 12345, t.fh.fh + (UINT64_C(1) << 32),
		t.fh.fh ^ UINT64_C(1) << 63, UINT64_MAX, UINT32_MAX, UINT64_C(1) << 32 };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_handle_refused(it, t.file.nodeid, bad[i], false);
		assert_handle_refused(it, t.dir.nodeid, bad[i], true);
	}
	/* A directory's handle for a file and the other way round. */
	assert_handle_refused(it, t.file.nodeid, t.dh.fh, false);
	assert_handle_refused(it, t.dir.nodeid, t.fh.fh, true);
	/* Closed, closed twice, and its slot used by another. */
	assert_int_equal(fc_release(it->q, t.file.nodeid, t.fh.fh), 0);
	assert_handle_refused(it, t.file.nodeid, t.fh.fh, false);
	assert_in_range(-fc_release(it->q, t.file.nodeid, t.fh.fh), 0, 4095);
	struct fuse_open_out again;
	assert_int_equal(fc_open(it->q, t.file.nodeid, O_RDWR, &again), 0);
	assert_true(again.fh != t.fh.fh);
	assert_handle_refused(it, t.file.nodeid, t.fh.fh, false);
	assert_int_equal(fc_read(it->q, t.file.nodeid, again.fh, 0, data, 10), 10);
	assert_memory_equal(data, "0123456789", 10);
	/* Special files are the guest's kernel's business: never opened here. */
	assert_refused(fc_open(it->q, t.fifo.nodeid, O_RDONLY, &again));
	assert_refused(fc_open(it->q, t.fifo.nodeid, O_RDWR | O_NONBLOCK, &again));
	assert_refused(fc_open(it->q, t.link.nodeid, O_RDONLY, &again));
	assert_goes_on(it);
}

/* ---- uniques, sizes, counts, queues ---- */

static void uniques(void **state)
{
	struct it *it = *state;
	struct fuse_getattr_in in = { .fh = 0 };
	struct fc_req *reqs[8];
	struct raw raw;

	memset(&raw, 0, sizeof(raw));
	fc_header(it->q, &raw.h, FUSE_GETATTR, ROOT, HEADER + 16);
	raw.h.unique = 0;
	assert_refused(fc_call_raw(it->q, &raw, HEADER + 16, 256));
	/* The same for several at once, and one that looks like ours inside. */
	for (uint64_t unique = 1; unique < 5; unique++) {
		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++) {
			reqs[i] = fc_send(
				it->q, &(struct fc_call){ .opcode = FUSE_GETATTR,
					       .nodeid = ROOT,
					       .args = &in,
					       .args_len = sizeof(in),
					       .room = sizeof(struct fuse_attr_out),
					       .unique = unique == 4 ? UINT64_MAX : unique });
			assert_non_null(reqs[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
	}
	for (uint64_t unique = 0; unique < 100; unique++)
		assert_int_equal(fc_interrupt(it->hp, unique), 0);
	assert_int_equal(fc_interrupt(it->q, UINT64_MAX), 0);
	assert_goes_on(it);
}

/* Sizes that have nothing to do with the buffers. */
static void absurd_sizes(void **state)
{
	struct it *it = *state;
	static const uint32_t sizes[] = { 0, 1u << 20, 1u << 24, 0x7fffffff, 0x80000000,
		UINT32_MAX };
	struct things t;

	get_things(it, &t);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static const uint32_t opcodes[] = { FUSE_READ, FUSE_WRITE, FUSE_READDIR,
			FUSE_READDIRPLUS };

		for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
			bool dir = opcodes[o] >= FUSE_READDIR;
			struct fuse_write_in in = { .fh = dir ? t.dh.fh : t.fh.fh,
				.size = sizes[i] };
			struct fc_reply reply;
			int r = fc_call(it->q,
				&(struct fc_call){ .opcode = opcodes[o],
					.nodeid = dir ? t.dir.nodeid : t.file.nodeid,
					.args = &in,
					.args_len = sizeof(in),
					.data = opcodes[o] == FUSE_WRITE ? "ABCD" : NULL,
					.data_len = opcodes[o] == FUSE_WRITE ? 4 : 0,
					.room = 512 },
				&reply);

			if (r > 0 || r < -4095)
				fail_msg("opcode %u, size %u: %d", opcodes[o], sizes[i], r);
			if (opcodes[o] == FUSE_WRITE && sizes[i] > 4)
				assert_int_not_equal(r, 0);
		}
	}
	assert_goes_on(it);
}

static void batch_forget_counts(void **state)
{
	struct it *it = *state;
	static const uint32_t counts[] = { 0, 2, 4, 1000, 0x0fffffff, 0x10000000, 0x10000001,
		UINT32_MAX };
	struct {
		struct fuse_in_header h;
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[3];
	} message;
	struct fuse_attr_out attr;
	struct things t;

	get_things(it, &t);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		memset(&message, 0, sizeof(message));
		fc_header(it->hp, &message.h, FUSE_BATCH_FORGET, 0, sizeof(message));
		message.in.count = counts[i];
		for (size_t f = 0; f < 3; f++)
			message.one[f].nodeid = t.file.nodeid, message.one[f].nlookup = 0;
		assert_int_equal(fc_call_raw(it->hp, &message, sizeof(message), 0), 0);
		assert_int_equal(fc_getattr(it->q, t.file.nodeid, &attr), 0);
	}
	/* As many as go into a request: one lookup, forgotten a thousand times. */
	struct fuse_forget_one *many = calloc(4000, sizeof(*many));
	for (size_t i = 0; i < 4000; i++)
		many[i] =
			(struct fuse_forget_one){ .nodeid = t.link.nodeid, .nlookup = UINT64_MAX };
	assert_int_equal(fc_batch_forget(it->hp, many, 4000), 0);
	free(many);
	assert_refused(fc_getattr(it->q, t.link.nodeid, &attr));
	assert_goes_on(it);
}

/* Only FORGET, BATCH_FORGET and INTERRUPT belong on hiprio: the rest must not be carried out there.
 */
static void requests_on_hiprio(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out e;
	struct fuse_attr_out attr;

	assert_refused(fc_mkdir(it->hp, ROOT, "x", 0755, &e));
	assert_refused(fc_getattr(it->hp, ROOT, &attr));
	assert_refused(fc_mount(it->hp, NULL));
	assert_refused(fc_destroy(it->hp));
	assert_true(access(it_path(it, "x"), F_OK) < 0);
	it_assert_alive(it->q);
}

/* Random requests: plausible ones with some bytes wrong. */
static void random_requests(void **state)
{
	struct it *it = *state;
	struct things t;
	struct raw raw;
	uint32_t seed = 0xdecafbad;

	make_outside(it);
	get_things(it, &t);
	for (int i = 0; i < 6000; i++) {
		uint32_t opcode, len;

		memset(&raw, 0, sizeof(raw));
		for (size_t b = 0; b < 96; b++) {
			seed = seed * 1664525 + 1013904223;
			if (seed >> 28 < 5)
				raw.args[b] = (uint8_t)(seed >> 16);
		}
		seed = seed * 1664525 + 1013904223;
		opcode = seed >> 16 & 63;
		if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
			continue;
		len = seed >> 8 & 63;
		uint64_t nodes[] = { ROOT, t.file.nodeid, t.dir.nodeid, t.link.nodeid };
		if (seed & 1)
			memcpy(raw.args,
				opcode >= FUSE_OPENDIR && opcode < FUSE_FSYNCDIR ? &t.dh.fh
										 : &t.fh.fh,
				8);
		fc_header(it->q, &raw.h, opcode, nodes[seed >> 24 & 3], HEADER + len);
		int r = fc_call_raw(it->q, &raw, HEADER + len, 4096);
		if (!orderly(opcode, r))
			fail_msg("round %d, opcode %u: %d", i, opcode, r);
	}
	assert_goes_on(it);
	assert_outside_untouched(it);
}

static struct it_options in_chroot = { .be = { .sandbox = "chroot" } };
static struct it_options unconfined = { .be = { .sandbox = "none" } };

static const struct CMUnitTest tests[] = {
	IT_TEST(every_opcode_every_length),
	IT_TEST(header_lengths),
	IT_TEST(no_room_for_the_answer),
	IT_TEST(bad_names),
	IT_TEST_WITH(symlinks_do_not_lead_out, unconfined),
	IT_TEST_WITH(symlinks_do_not_lead_out, in_chroot),
	IT_TEST_WITH(directories_moved_out, unconfined),
	IT_TEST(unknown_nodeids),
	IT_TEST(wrong_handles),
	IT_TEST(uniques),
	IT_TEST(absurd_sizes),
	IT_TEST(batch_forget_counts),
	IT_TEST(requests_on_hiprio),
	IT_TEST_WITH(random_requests, unconfined),
};

static const struct it_difference differences[] = {
	{ "every_opcode_every_length", "it asserts on the lookup count of a FORGET" },
	{ "header_lengths", "it obeys requests that are shorter than they say" },
	{ "no_room_for_the_answer", "it writes half an answer" },
	{ "bad_names", "it looks up '.' and '..'" },
	{ "directories_moved_out",
		"its '..' of a directory that was moved leads out of the share" },
	{ "unknown_nodeids", "it gives a nodeid to the next inode at once" },
	{ "wrong_handles", "it takes a directory's handle for a file's" },
	{ "uniques", "it asserts that a unique is not 0" },
	{ "absurd_sizes",
		"it allocates the 4 GiB that a READDIR asks for: late under load" },
	{ "batch_forget_counts", "it asserts on the lookup count of a FORGET" },
	{ "requests_on_hiprio", "it carries out any request there" },
	{ "random_requests", "it asserts that a request is answered once only" },
};

IT_MAIN("bad_guest_fuse", tests, differences)
