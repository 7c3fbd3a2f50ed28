/* SPDX-License-Identifier: BSD-3-Clause */
/* INIT, DESTROY and INIT again: what is agreed on, and what a session's end takes with it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID

#define ALL_FLAGS UINT64_MAX

static struct it_options unmounted = { .no_mount = true };

static void init_answers(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_mount(it->q, &out), 0);
	assert_int_equal(out.major, FUSE_KERNEL_VERSION);
	assert_true(out.minor >= 31 && out.minor <= 38);
	assert_true(out.max_write >= 128 << 10);
	assert_true(out.flags & FUSE_BIG_WRITES);
	assert_true(out.flags & FUSE_ASYNC_READ);
	it_assert_alive(it->q);
}

/* Exact: what the next issues add must be seen here. */
static void init_flags_of_the_gateway(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_mount(it->q, &out), 0);
	assert_int_equal(out.max_write, 1 << 20);
	assert_true(out.flags & FUSE_MAX_PAGES);
	assert_int_equal(out.max_pages, 256);
	assert_int_equal(out.time_gran, 1);
	assert_int_equal(out.map_alignment, 0);
	assert_true(out.max_background > 0);
	assert_int_equal(out.flags, FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
					    FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |
					    FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
					    FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_INIT_EXT |
					    FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2);
	assert_int_equal(out.flags2, 0);
}

/* A flag that was not offered is never answered, whatever else is. */
static void init_never_answers_more_than_was_offered(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_init(it->q, 7, 38, ALL_FLAGS, &out), 0);
	it_assert_alive(it->q);
	assert_int_equal(fc_init(it->q, 7, 38, 0, &out), 0);
	assert_int_equal(out.flags & ~(uint32_t)FUSE_BIG_WRITES, 0);
	assert_int_equal(out.flags2, 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t flags = (UINT64_C(1) << bit) | FUSE_INIT_EXT;

		assert_int_equal(fc_init(it->q, 7, 38, flags, &out), 0);
		uint64_t got = out.flags | (uint64_t)out.flags2 << 32;
		assert_int_equal(got & ~flags & ~(uint64_t)FUSE_BIG_WRITES, 0);
	}
	it_assert_alive(it->q);
}

static void every_minor(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	for (uint32_t minor = 0; minor < 64; minor++) {
		int r = fc_init(it->q, 7, minor, ALL_FLAGS, &out);

		if (minor < 31) {
			assert_int_equal(r, -EPROTO);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(out.major, 7);
		assert_true(out.minor >= 31);
		it_assert_alive(it->q);
	}
	assert_int_equal(fc_init(it->q, 7, UINT32_MAX, ALL_FLAGS, &out), 0);
	it_assert_alive(it->q);
}

/* A newer major is told ours and asks again; an older one is refused. */
static void other_majors(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_init(it->q, 6, 38, ALL_FLAGS, &out), -EPROTO);
	assert_int_equal(fc_init(it->q, 0, 0, 0, &out), -EPROTO);
	assert_int_equal(fc_init(it->q, 8, 0, ALL_FLAGS, &out), 0);
	assert_int_equal(out.major, 7);
	assert_int_equal(fc_init(it->q, UINT32_MAX, UINT32_MAX, ALL_FLAGS, &out), 0);
	assert_int_equal(out.major, 7);
	assert_int_equal(fc_mount(it->q, &out), 0);
	it_assert_alive(it->q);
}

static void init_of_every_length(void **state)
{
	struct it *it = *state;
	struct {
		struct fuse_in_header h;
		struct fuse_init_in in;
		uint8_t more[64];
	} message;

	for (uint32_t len = 0; len <= sizeof(message); len++) {
		int r;

		memset(&message, 0, sizeof(message));
		fc_header(it->q, &message.h, FUSE_INIT, 0, len);
		message.in.major = 7;
		message.in.minor = 38;
		if (len == 0)
			continue;
		r = fc_call_raw(it->q, &message, len, 16 + sizeof(struct fuse_init_out));
		if (len >= sizeof(message.h) + sizeof(message.in))
			assert_int_equal(r, 0);
		else
			assert_in_range(-r, 0, 4095);
	}
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
}

static void nothing_before_init(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	struct fuse_statfs_out statfs;

	assert_int_equal(fc_lookup(it->q, ROOT, "x", &entry), -EIO);
	assert_int_equal(fc_getattr(it->q, ROOT, &attr), -EIO);
	assert_int_equal(fc_opendir(it->q, ROOT, &open), -EIO);
	assert_int_equal(fc_statfs(it->q, ROOT, &statfs), -EIO);
	assert_int_equal(fc_mkdir(it->q, ROOT, "x", 0755, &entry), -EIO);
	assert_int_equal(fc_write(it->q, ROOT, 1, 0, "x", 1), -EIO);
	assert_int_equal(fc_syncfs(it->q, ROOT), -EIO);
	assert_int_equal(fc_forget(it->hp, 12345, 1), 0);
	assert_true(access(it_path(it, "x"), F_OK) < 0);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
}

struct old {
	struct fuse_entry_out file, dir;
	struct fuse_open_out fh, dh;
};

static void leave_things_open(struct it *it, struct old *old)
{
	it_file(it, "file", "0123456789");
	(void)mkdir(it_path(it, "dir"), 0755);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &old->file), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "dir", &old->dir), 0);
	assert_int_equal(fc_open(it->q, old->file.nodeid, O_RDWR, &old->fh), 0);
	assert_int_equal(fc_opendir(it->q, old->dir.nodeid, &old->dh), 0);
}

static void assert_dead(struct it *it, const struct old *old)
{
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	uint64_t offset = 0;
	char data[16];

	assert_refused(fc_getattr(it->q, old->file.nodeid, &attr));
	assert_refused(fc_read(it->q, old->file.nodeid, old->fh.fh, 0, data, 10));
	assert_refused(fc_write(it->q, old->file.nodeid, old->fh.fh, 0, "evil", 4));
	assert_refused(
		fc_readdir(it->q, old->dir.nodeid, old->dh.fh, false, 4096, &offset, NULL, NULL));
	assert_refused(fc_open(it->q, old->file.nodeid, O_RDONLY, &open));
	assert_in_range(-fc_release(it->q, old->file.nodeid, old->fh.fh), 0, 4095);
}

static void destroy_ends_the_session(void **state)
{
	struct it *it = *state;
	struct fuse_attr_out attr;
	struct old old;

	leave_things_open(it, &old);
	assert_int_equal(fc_destroy(it->q), 0);
	assert_int_equal(fc_getattr(it->q, ROOT, &attr), -EIO);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	assert_dead(it, &old);
	leave_things_open(it, &old);
}

/* A guest that was reset sends INIT out of the blue. */
static void init_again_ends_the_session(void **state)
{
	struct it *it = *state;
	struct old old;

	leave_things_open(it, &old);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	assert_dead(it, &old);
	assert_int_equal(fc_destroy(it->q), 0);
	assert_int_equal(fc_destroy(it->q), -EIO);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
}

static void many_sessions_leak_nothing(void **state)
{
	struct it *it = *state;
	struct old old;
	int fds;

	leave_things_open(it, &old);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	fds = be_fds(&it->be);
	assert_true(fds > 0);
	for (int i = 0; i < 100; i++) {
		leave_things_open(it, &old);
		if (i % 2)
			assert_int_equal(fc_destroy(it->q), 0);
		assert_int_equal(fc_mount(it->q, NULL), 0);
	}
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
}

/*
 * INIT on the heels of requests, again and again: each request is answered or dropped, the INIT is
 * answered, and what comes after it is served.
 */
static void init_with_requests_in_flight(void **state)
{
	struct it *it = *state;
	struct fuse_getattr_in getattr = { .fh = 0 };
	uint8_t data[4096];

	it_file(it, "file", "0123456789");
	for (int round = 0; round < 100; round++) {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
		struct fc_req *reqs[12];

		assert_int_equal(fc_lookup(it->q, ROOT, "file", &entry), 0);
		assert_int_equal(fc_open(it->q, entry.nodeid, O_RDWR, &open), 0);
		struct fuse_write_in write = { .fh = open.fh, .size = sizeof(data) };
		struct fuse_fsync_in fsync = { .fh = open.fh };
		const struct fc_call calls[] = {
			{ .opcode = FUSE_WRITE,
				.nodeid = entry.nodeid,
				.args = &write,
				.args_len = sizeof(write),
				.data = data,
				.data_len = sizeof(data),
				.room = sizeof(struct fuse_write_out) },
			{ .opcode = FUSE_GETATTR,
				.nodeid = entry.nodeid,
				.args = &getattr,
				.args_len = sizeof(getattr),
				.room = sizeof(struct fuse_attr_out) },
			{ .opcode = FUSE_FSYNC,
				.nodeid = entry.nodeid,
				.args = &fsync,
				.args_len = sizeof(fsync) },
		};
		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++) {
			reqs[i] = fc_send(it->q, &calls[i % ARRAY_SIZE(calls)]);
			assert_non_null(reqs[i]);
		}
		assert_int_equal(fc_mount(it->q, NULL), 0);
		it_assert_alive(it->q);
		unsigned int lost = 0;
		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++) {
			if (fc_poll(reqs[i]))
				fc_wait(reqs[i], 0, NULL);
			else
				lost++;
		}
		/* A dropped request keeps its slot, here as in a guest: take a new device then. */
		if (lost) {
			it_disconnect(it);
			it_connect(it, NULL);
			assert_int_equal(fc_mount(it->q, NULL), 0);
		}
	}
}

/* The front-end resets the device: the session is gone, rings start anew. */
static void reset_device(void **state)
{
	struct it *it = *state;
	struct fuse_attr_out attr;
	struct old old;

	leave_things_open(it, &old);
	assert_int_equal(vu_frontend_request(it->fc->fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	for (unsigned int i = 0; i < it->fc->n_queues; i++) {
		struct fc_queue *q = &it->fc->queue[i];

		assert_int_equal(vu_frontend_ring_start(it->fc->fe, i, it->fc->options.ring_size,
					 q->ring_gpa, &q->vq),
			0);
	}
	assert_int_equal(fc_getattr(it->q, ROOT, &attr), -EIO);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	assert_dead(it, &old);
}

/* Stop and resume of the rings (a paused VM) leave the session as it is. */
static void pause_keeps_the_session(void **state)
{
	struct it *it = *state;
	struct old old;
	char data[16];

	leave_things_open(it, &old);
	for (int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < it->fc->n_queues; i++) {
			uint16_t base;

			assert_int_equal(vu_frontend_ring_stop(it->fc->fe, i, &base), 0);
			assert_int_equal(base, it->fc->queue[i].vq->avail_idx);
			assert_int_equal(vu_frontend_ring_resume(it->fc->fe, i, base), 0);
		}
		assert_int_equal(fc_read(it->q, old.file.nodeid, old.fh.fh, 0, data, 10), 10);
		assert_int_equal(fc_forget(it->hp, 999999, 1), 0);
	}
}

static struct it_options keep = { .be = { .keep_listening = true } };

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(init_answers, unmounted),
	IT_TEST_WITH(init_flags_of_the_gateway, unmounted),
	IT_TEST_WITH(init_never_answers_more_than_was_offered, unmounted),
	IT_TEST_WITH(every_minor, unmounted),
	IT_TEST_WITH(other_majors, unmounted),
	IT_TEST_WITH(init_of_every_length, unmounted),
	IT_TEST_WITH(nothing_before_init, unmounted),
	IT_TEST(destroy_ends_the_session),
	IT_TEST(init_again_ends_the_session),
	IT_TEST(many_sessions_leak_nothing),
	IT_TEST_WITH(init_with_requests_in_flight, keep),
	IT_TEST(reset_device),
	IT_TEST(pause_keeps_the_session),
};

#define HANDLES_SURVIVE "its open handles outlive the session (their fds leak)"
static const struct it_difference differences[] = {
	{ "init_flags_of_the_gateway", "it agrees on other features" },
	{ "every_minor", "it answers EINVAL to some minors that it could serve" },
	{ "destroy_ends_the_session", HANDLES_SURVIVE },
	{ "init_again_ends_the_session", HANDLES_SURVIVE },
	{ "many_sessions_leak_nothing", HANDLES_SURVIVE },
	{ "reset_device", "it has no RESET_DEVICE" },
	{ "other_majors", "it answers EINVAL to a newer major" },
	{ "init_of_every_length", "it exits on a request shorter than a header" },
};

IT_MAIN("session", tests, differences)
