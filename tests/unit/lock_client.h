/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of locks: a guest with locks on, files open, and lock requests. */
#pragma once

#include "tests/unit/fs_client.h"

#define LOCK_END UINT64_C(0x7fffffffffffffff)

struct lock_guest {
	struct client *c;
	uint64_t nodeid; /* of "f" */
	uint64_t fh[2];  /* open for both */
};

/* A service on the directory of `c`'s own with these ways to wait, and a session. */
static inline void lock_serve(struct client *c, int (*wait)(void *ctx, struct fs_wait *wait),
	void (*interrupt)(void *ctx, struct fs_wait *wait))
{
	fs_free(c->f->fs);
	c->f->config.posix_lock = c->f->config.flock = true;
	c->f->config.wait = wait;
	c->f->config.interrupt = interrupt;
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	assert_int_equal(do_init(c->f), 0);
}

static inline void lock_open(struct lock_guest *g, const char *name)
{
	struct fuse_open_out out;

	g->nodeid = node_of(g->c, ROOT, name);
	for (size_t i = 0; i < ARRAY_SIZE(g->fh); i++) {
		assert_int_equal(do_open(g->c, FUSE_OPEN, g->nodeid, O_RDWR, &out), 0);
		g->fh[i] = out.fh;
	}
}

static inline struct fuse_lk_in lock_in(
	uint64_t fh, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return (struct fuse_lk_in){
		.fh = fh,
		.owner = owner,
		.lk = {.start = start, .end = end, .type = type, .pid = (uint32_t)(100 + owner)},
	};
}

static inline int do_lock(struct lock_guest *g, uint32_t opcode, const struct fuse_lk_in *in)
{
	return ask(g->c, opcode, g->nodeid, in, sizeof(*in), NULL, NULL);
}

/* SETLK by the first handle. */
static inline int set_lock(
	struct lock_guest *g, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	struct fuse_lk_in in = lock_in(g->fh[0], owner, type, start, end);

	return do_lock(g, FUSE_SETLK, &in);
}

static inline int set_flock(struct lock_guest *g, size_t handle, uint64_t owner, uint32_t type)
{
	struct fuse_lk_in in = lock_in(g->fh[handle], owner, type, 0, LOCK_END);

	in.lk_flags = FUSE_LK_FLOCK;
	return do_lock(g, FUSE_SETLK, &in);
}

static inline int get_lock(struct lock_guest *g, uint64_t owner, uint32_t type, uint64_t start,
	uint64_t end, struct fuse_file_lock *found)
{
	struct fuse_lk_in in = lock_in(g->fh[0], owner, type, start, end);
	int r = do_lock(g, FUSE_GETLK, &in);

	if (r == 0) {
		assert_int_equal(g->c->rep_len, sizeof(struct fuse_lk_out));
		memcpy(found, g->c->rep, sizeof(*found));
	}
	return r;
}

static inline int do_flush(struct lock_guest *g, size_t handle, uint64_t owner)
{
	struct fuse_flush_in in = {.fh = g->fh[handle], .lock_owner = owner};

	return ask(g->c, FUSE_FLUSH, g->nodeid, &in, sizeof(in), NULL, NULL);
}

/* SETLKW, which may not be answered yet; call_free() it in the end. */
static inline struct call *send_lock_wait(
	struct lock_guest *g, const struct fuse_lk_in *in, uint64_t unique)
{
	struct call *call =
		call_request(FUSE_SETLKW, unique, g->nodeid, in, sizeof(*in), HEADER_SIZE);

	fs_submit(g->c->f->fs, &call->io);
	return call;
}

static inline void send_interrupt(struct lock_guest *g, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};
	struct call *call = call_request(FUSE_INTERRUPT, unique | 1, 0, &in, sizeof(in), 0);

	call->io.hiprio = true;
	fs_submit(g->c->f->fs, &call->io);
	assert_int_equal(call->completed, 1);
	call_free(call);
}
