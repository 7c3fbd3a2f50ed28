/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of fuse/: a service on a temporary directory, and requests from guarded memory. Each
 * part of a request ends right before an inaccessible page, so that a byte read or written beyond
 * it is a crash.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/fs.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

#define GUARD_SIZE (256 * 1024)

struct fixture {
	char dir[64];
	struct fs_config config;
	struct fs *fs;
	pthread_mutex_t lock;
	struct fs_work *held, **held_tail; /* lock: deferred work that waits for fixture_pump */
	unsigned int n_held;               /* lock */
};

/* One request and what became of it. */
struct call {
	struct fs_io io;
	struct iovec req, rep;
	_Atomic int completed, dropped;
	uint32_t len; /* as completed */
};

static inline void fixture_defer(void *ctx, struct fs_work *work)
{
	struct fixture *f = ctx;

	pthread_mutex_lock(&f->lock);
	work->next = NULL;
	*f->held_tail = work;
	f->held_tail = &work->next;
	f->n_held++;
	pthread_mutex_unlock(&f->lock);
}

/* Runs all deferred work, also what that defers in turn; returns how much there was. */
static inline unsigned int fixture_pump(struct fixture *f)
{
	unsigned int n = 0;

	for (;;) {
		struct fs_work *work;

		pthread_mutex_lock(&f->lock);
		work = f->held;
		if (work) {
			f->held = work->next;
			if (!f->held)
				f->held_tail = &f->held;
			f->n_held--;
		}
		pthread_mutex_unlock(&f->lock);
		if (!work)
			return n;
		work->run(work);
		n++;
	}
}

/* Makes a directory, names it in `dir`, and a configuration that serves it. */
static inline void fixture_dir_new(char dir[64], struct fs_config *config, unsigned int fd_limit)
{
	strcpy(dir, "/tmp/fs-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	*config = (struct fs_config){
		.root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.proc_fd = open("/proc/self/fd", O_PATH | O_CLOEXEC),
		.fd_limit = fd_limit,
	};
	assert_true(config->root_fd >= 0 && config->proc_fd >= 0);
}

static inline int fixture_unlink(
	const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline void fixture_dir_free(const char *dir, const struct fs_config *config)
{
	close(config->root_fd);
	close(config->proc_fd);
	nftw(dir, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct fixture *fixture_new(enum fs_cache cache)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_dir_new(f->dir, &f->config, 256);
	f->config.cache = cache;
	f->config.xattr = true;
	f->config.defer = fixture_defer;
	f->config.ctx = f;
	pthread_mutex_init(&f->lock, NULL);
	f->held_tail = &f->held;
	assert_int_equal(fs_new(&f->config, &f->fs), 0);
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	fixture_pump(f);
	assert_int_equal(fs_inflight(f->fs), 0);
	fs_free(f->fs);
	fixture_dir_free(f->dir, &f->config);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static inline void call_on_complete(struct fs_io *io, uint32_t len)
{
	struct call *c = container_of(io, struct call, io);

	c->len = len;
	atomic_fetch_add(&c->completed, 1);
}

static inline void call_on_drop(struct fs_io *io)
{
	struct call *c = container_of(io, struct call, io);

	atomic_fetch_add(&c->dropped, 1);
}

/* `size` bytes that end right before a page that cannot be touched. */
static inline void *guard_new(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *area;

	assert_true(size <= GUARD_SIZE);
	area = mmap(NULL, GUARD_SIZE + page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(area != MAP_FAILED);
	assert_int_equal(mprotect(area + GUARD_SIZE, page, PROT_NONE), 0);
	return area + GUARD_SIZE - size;
}

static inline void guard_free(void *data, size_t size)
{
	munmap((char *)data - (GUARD_SIZE - size), GUARD_SIZE + (size_t)sysconf(_SC_PAGESIZE));
}

/* A request of `req_len` readable bytes (from `req`) and `rep_len` writable ones. */
static inline struct call *call_new(const void *req, size_t req_len, size_t rep_len)
{
	struct call *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->req = (struct iovec){.iov_base = guard_new(req_len), .iov_len = req_len};
	c->rep = (struct iovec){.iov_base = guard_new(rep_len), .iov_len = rep_len};
	if (req_len > 0)
		memcpy(c->req.iov_base, req, req_len);
	memset(c->rep.iov_base, 0xee, rep_len);
	c->io = (struct fs_io){
		.req = &c->req,
		.rep = &c->rep,
		.n_req = 1,
		.n_rep = 1,
		.req_len = req_len,
		.rep_len = rep_len,
		.req_ram = req_len,
		.rep_ram = rep_len,
		.complete = call_on_complete,
		.drop = call_on_drop,
	};
	return c;
}

static inline void call_free(struct call *c)
{
	guard_free(c->req.iov_base, c->req.iov_len);
	guard_free(c->rep.iov_base, c->rep.iov_len);
	free(c);
}

/* The usual request: a header for `opcode` and then `args`. */
static inline struct call *call_request(uint32_t opcode, uint64_t unique, uint64_t nodeid,
	const void *args, size_t args_len, size_t rep_len)
{
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + args_len),
		.opcode = opcode,
		.unique = unique,
		.nodeid = nodeid,
		.uid = getuid(),
		.gid = getgid(),
		.pid = 4711,
	};
	char *req = malloc(sizeof(header) + args_len);
	struct call *c;

	assert_non_null(req);
	memcpy(req, &header, sizeof(header));
	if (args_len > 0)
		memcpy(req + sizeof(header), args, args_len);
	c = call_new(req, sizeof(header) + args_len, rep_len);
	free(req);
	return c;
}

/* The answer's header; the call must have been answered, and well. */
static inline struct fuse_out_header call_answer(const struct call *c)
{
	struct fuse_out_header out;

	assert_int_equal(c->completed, 1);
	assert_int_equal(c->dropped, 0);
	assert_true(c->len >= sizeof(out) && c->len <= c->rep.iov_len);
	memcpy(&out, c->rep.iov_base, sizeof(out));
	assert_int_equal(out.len, c->len);
	return out;
}

/* Submits, runs what was deferred, and returns the error of the answer. */
static inline int call_run(struct fixture *f, struct call *c)
{
	struct fuse_in_header in;

	fs_submit(f->fs, &c->io);
	fixture_pump(f);
	memcpy(&in, c->req.iov_base, sizeof(in));
	assert_int_equal(call_answer(c).unique, in.unique);
	return call_answer(c).error;
}

/* A whole exchange of which only the error matters. */
static inline int exchange(struct fixture *f, uint32_t opcode, uint64_t nodeid, const void *args,
	size_t args_len, size_t rep_len)
{
	struct call *c = call_request(opcode, 99, nodeid, args, args_len, rep_len);
	int error = call_run(f, c);

	call_free(c);
	return error;
}

static inline struct fuse_init_in init_in(uint32_t minor)
{
	return (struct fuse_init_in){
		.major = 7,
		.minor = minor,
		.max_readahead = 65536,
		.flags = 0xffffffffU & ~(1U << 31),
		.flags2 = 0xffffffffU,
	};
}

/* An INIT as a present Linux guest sends it. */
static inline int do_init(struct fixture *f)
{
	struct fuse_init_in in = init_in(38);

	return exchange(f, FUSE_INIT, 0, &in, sizeof(in),
		sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out));
}

/* How many fds this process has open. */
static inline int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n++;
	return n;
}
