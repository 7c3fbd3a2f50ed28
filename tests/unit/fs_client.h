/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the operations: a guest that sends one request after the other, and the host's view
 * of the same directory to compare with.
 */
#pragma once

#include "tests/unit/fs_fixture.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define ROOT        FUSE_ROOT_ID
#define CLIENT_ROOM (192 * 1024)
#define HEADER_SIZE sizeof(struct fuse_out_header)

struct client {
	struct fixture *f;
	uint32_t uid, gid;
	uint64_t unique;
	uint8_t rep[CLIENT_ROOM]; /* the last answer's data */
	size_t rep_len;
};

static inline struct client *client_new(enum fs_cache cache, bool readonly, unsigned int fd_limit)
{
	struct client *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->f = fixture_new(cache);
	/* As the program does: the guest applies the umask. */
	umask(0);
	if (readonly || fd_limit) {
		fs_free(c->f->fs);
		c->f->config.readonly = readonly;
		c->f->config.fd_limit = fd_limit ? fd_limit : 256;
		assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	}
	assert_int_equal(do_init(c->f), 0);
	return c;
}

/* A client of a service with these features, in a session with these INIT flags not offered. */
static inline struct client *client_with(
	enum fs_cache cache, const struct fs_features *features, uint32_t without)
{
	struct client *c = client_new(cache, false, 0);
	struct fuse_init_in in = init_in(38);

	fs_free(c->f->fs);
	c->f->config.features = *features;
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	in.flags &= ~without;
	assert_int_equal(exchange(c->f, FUSE_INIT, 0, &in, sizeof(in),
				 HEADER_SIZE + sizeof(struct fuse_init_out)),
		0);
	return c;
}

static inline void client_free(struct client *c)
{
	fixture_free(c->f);
	free(c);
}

/* Sends args and then up to two names; 0 or the answer's error. The answer's data is in c->rep. */
static inline int ask(struct client *c, uint32_t opcode, uint64_t nodeid, const void *args,
	size_t args_len, const char *name, const char *name2)
{
	size_t n1 = name ? strlen(name) + 1 : 0, n2 = name2 ? strlen(name2) + 1 : 0;
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + args_len + n1 + n2),
		.opcode = opcode,
		.unique = ++c->unique,
		.nodeid = nodeid,
		.uid = c->uid,
		.gid = c->gid,
	};
	char *req = malloc(header.len), *at = req;
	struct call *call;
	int error;

	assert_non_null(req);
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	if (args_len)
		memcpy(at, args, args_len);
	if (n1)
		memcpy(at + args_len, name, n1);
	if (n2)
		memcpy(at + args_len + n1, name2, n2);
	call = call_new(req, header.len, CLIENT_ROOM);
	error = call_run(c->f, call);
	c->rep_len = call->len - HEADER_SIZE;
	memcpy(c->rep, (char *)call->rep.iov_base + HEADER_SIZE, c->rep_len);
	call_free(call);
	free(req);
	return error;
}

static inline int ask_entry(struct client *c, uint32_t opcode, uint64_t nodeid, const void *args,
	size_t args_len, const char *name, const char *name2, struct fuse_entry_out *out)
{
	int r = ask(c, opcode, nodeid, args, args_len, name, name2);

	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*out));
		memcpy(out, c->rep, sizeof(*out));
	}
	return r;
}

static inline int do_lookup(
	struct client *c, uint64_t dir, const char *name, struct fuse_entry_out *out)
{
	return ask_entry(c, FUSE_LOOKUP, dir, NULL, 0, name, NULL, out);
}

/* A lookup that must succeed. */
static inline uint64_t node_of(struct client *c, uint64_t dir, const char *name)
{
	struct fuse_entry_out out;

	assert_int_equal(do_lookup(c, dir, name, &out), 0);
	return out.nodeid;
}

static inline int do_getattr(struct client *c, uint64_t nodeid, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {0};
	int r = ask(c, FUSE_GETATTR, nodeid, &in, sizeof(in), NULL, NULL);

	/* Written in any case, for compilers that cannot see a test end where it does. */
	*attr = r == 0 ? ((struct fuse_attr_out *)(void *)c->rep)->attr : (struct fuse_attr){0};
	return r;
}

static inline int do_mkdir(
	struct client *c, uint64_t dir, const char *name, uint32_t mode, struct fuse_entry_out *out)
{
	struct fuse_mkdir_in in = {.mode = mode};

	return ask_entry(c, FUSE_MKDIR, dir, &in, sizeof(in), name, NULL, out);
}

static inline int do_mknod(struct client *c, uint64_t dir, const char *name, uint32_t mode,
	uint32_t rdev, struct fuse_entry_out *out)
{
	struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};

	return ask_entry(c, FUSE_MKNOD, dir, &in, sizeof(in), name, NULL, out);
}

static inline int do_create(struct client *c, uint64_t dir, const char *name, uint32_t flags,
	uint32_t mode, struct fuse_entry_out *entry, struct fuse_open_out *open)
{
	struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = mode};
	int r = ask(c, FUSE_CREATE, dir, &in, sizeof(in), name, NULL);

	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*entry) + sizeof(*open));
		memcpy(entry, c->rep, sizeof(*entry));
		memcpy(open, c->rep + sizeof(*entry), sizeof(*open));
	}
	return r;
}

/* Fixtures: a client in *state, of a share that may be written or not. */
static inline int client_setup(void **state)
{
	*state = client_new(FS_CACHE_AUTO, false, 0);
	return 0;
}

static inline int client_setup_readonly(void **state)
{
	*state = client_new(FS_CACHE_AUTO, true, 0);
	return 0;
}

static inline int client_teardown(void **state)
{
	client_free(*state);
	return 0;
}

#define CLIENT_TEST(fn) cmocka_unit_test_setup_teardown(fn, client_setup, client_teardown)
#define CLIENT_TEST_READONLY(fn)                                                                   \
	cmocka_unit_test_setup_teardown(fn, client_setup_readonly, client_teardown)

static inline int do_open(struct client *c, uint32_t opcode, uint64_t nodeid, uint32_t flags,
	struct fuse_open_out *out)
{
	struct fuse_open_in in = {.flags = flags};
	int r = ask(c, opcode, nodeid, &in, sizeof(in), NULL, NULL);

	if (r == 0) {
		assert_int_equal(c->rep_len, sizeof(*out));
		memcpy(out, c->rep, sizeof(*out));
	}
	return r;
}

static inline int do_release(struct client *c, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};

	return ask(c, opcode, nodeid, &in, sizeof(in), NULL, NULL);
}

/* The count, with the data in c->rep, or the error. */
static inline int do_read(
	struct client *c, uint64_t nodeid, uint64_t fh, uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
	int r = ask(c, FUSE_READ, nodeid, &in, sizeof(in), NULL, NULL);

	return r ? r : (int)c->rep_len;
}

static inline int do_write_as(struct client *c, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t size, uint32_t flags)
{
	struct fuse_write_in in = {.fh = fh, .offset = offset, .size = size, .flags = flags};
	char *args = malloc(sizeof(in) + size);
	int r;

	assert_non_null(args);
	memcpy(args, &in, sizeof(in));
	memcpy(args + sizeof(in), data, size);
	r = ask(c, FUSE_WRITE, nodeid, args, sizeof(in) + size, NULL, NULL);
	free(args);
	return r ? r : (int)((struct fuse_write_out *)(void *)c->rep)->size;
}

static inline int do_write(struct client *c, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t size)
{
	return do_write_as(c, nodeid, fh, offset, data, size, O_RDWR);
}

static inline int do_append(struct client *c, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t size)
{
	return do_write_as(c, nodeid, fh, offset, data, size, O_RDWR | O_APPEND);
}

static inline int do_setattr(struct client *c, uint64_t nodeid, const struct fuse_setattr_in *in)
{
	return ask(c, FUSE_SETATTR, nodeid, in, sizeof(*in), NULL, NULL);
}

static inline int do_rename(struct client *c, uint64_t from, const char *name, uint64_t to,
	const char *new_name, uint32_t flags)
{
	struct fuse_rename2_in in = {.newdir = to, .flags = flags};

	return ask(c, FUSE_RENAME2, from, &in, sizeof(in), name, new_name);
}

/* FORGET has no answer. */
static inline void do_forget(struct client *c, uint64_t nodeid, uint64_t n)
{
	struct fuse_forget_in in = {.nlookup = n};
	struct call *call = call_request(FUSE_FORGET, 1, nodeid, &in, sizeof(in), 0);

	fs_submit(c->f->fs, &call->io);
	assert_int_equal(call->completed, 1);
	assert_int_equal(call->len, 0);
	call_free(call);
}

/* A path on the host. */
static inline const char *host(struct client *c, const char *name)
{
	static char path[4][512];
	static unsigned int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", c->f->dir, name);
	return path[next];
}

static inline void host_write(struct client *c, const char *name, const char *data)
{
	int fd = open(host(c, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, strlen(data)), strlen(data));
	close(fd);
}

static inline struct stat host_stat(struct client *c, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(host(c, name), &st), 0);
	return st;
}

/* The guest's attributes are the host's. */
static inline void assert_same_attr(const struct fuse_attr *attr, const struct stat *st)
{
	assert_int_equal(attr->ino, st->st_ino);
	assert_int_equal(attr->mode, st->st_mode);
	assert_int_equal(attr->nlink, st->st_nlink);
	assert_int_equal(attr->uid, st->st_uid);
	assert_int_equal(attr->gid, st->st_gid);
	assert_int_equal(attr->size, st->st_size);
	assert_int_equal(attr->blocks, st->st_blocks);
	assert_int_equal(attr->blksize, st->st_blksize);
	assert_int_equal(attr->rdev, st->st_rdev);
	assert_int_equal(attr->atime, st->st_atim.tv_sec);
	assert_int_equal(attr->mtime, st->st_mtim.tv_sec);
	assert_int_equal(attr->ctime, st->st_ctim.tv_sec);
	assert_int_equal(attr->atimensec, st->st_atim.tv_nsec);
	assert_int_equal(attr->mtimensec, st->st_mtim.tv_nsec);
	assert_int_equal(attr->ctimensec, st->st_ctim.tv_nsec);
}

/* Turns one effective capability of this thread off or on; false when it was not to be had. */
static inline bool set_cap(unsigned int cap, bool on)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0 || !(data[0].permitted & (1u << cap)))
		return false;
	if (on)
		data[0].effective |= 1u << cap;
	else
		data[0].effective &= ~(1u << cap);
	return syscall(SYS_capset, &head, data) == 0;
}
