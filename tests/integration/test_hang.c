/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls that hang in the host's file system hold up nothing but themselves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/hangfs.h"
#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID

/* The bound of a ring's stop (500 ms) and what a loaded machine adds. */
#define STOP_BOUND_MS 1500
#define END_BOUND_MS  1000

struct hang {
	struct it *it;
	struct hangfs fs;
	uint64_t nodeid, fh; /* of "hang" */
	uint64_t ok_node, ok_fh;
};

static int hang_setup(void **state)
{
	struct hang *h = calloc(1, sizeof(*h));
	struct fuse_entry_out mnt, entry;
	struct fuse_open_out fh;
	void *inner = *state;

	assert_non_null(h);
	assert_int_equal(it_setup(&inner), 0);
	h->it = inner;
	*state = h;
	assert_int_equal(mkdir(it_path(h->it, "mnt"), 0755), 0);
	assert_int_equal(hangfs_start(&h->fs, it_path(h->it, "mnt")), 0);
	assert_int_equal(fc_lookup(h->it->q, ROOT, "mnt", &mnt), 0);
	assert_int_equal(fc_lookup(h->it->q, mnt.nodeid, "hang", &entry), 0);
	assert_int_equal(fc_open(h->it->q, entry.nodeid, O_RDWR, &fh), 0);
	h->nodeid = entry.nodeid;
	h->fh = fh.fh;
	assert_int_equal(fc_lookup(h->it->q, mnt.nodeid, "ok", &entry), 0);
	assert_int_equal(fc_open(h->it->q, entry.nodeid, O_RDWR, &fh), 0);
	h->ok_node = entry.nodeid;
	h->ok_fh = fh.fh;
	return 0;
}

static int hang_teardown(void **state)
{
	struct hang *h = *state;
	void *inner = h->it;
	int r;

	hangfs_stop(&h->fs);
	r = it_teardown(&inner);
	free(h);
	return r;
}

static struct fc_req *send_read(struct fc_queue *q, uint64_t nodeid, uint64_t fh)
{
	struct fuse_read_in in = { .fh = fh, .size = 4096 };
	struct fc_req *req = fc_send(q, &(struct fc_call){ .opcode = FUSE_READ,
						.nodeid = nodeid,
						.args = &in,
						.args_len = sizeof(in),
						.room = 4096 });

	assert_non_null(req);
	return req;
}

/* A read that is known to hang. */
static struct fc_req *hang_one(struct hang *h)
{
	struct fc_req *req = send_read(h->it->q, h->nodeid, h->fh);

	assert_int_equal(hangfs_wait(&h->fs, 1, 5000), 0);
	return req;
}

static void assert_serves(struct hang *h)
{
	char data[16];

	it_assert_alive(h->it->q);
	assert_int_equal(
		fc_read(h->it->q, h->ok_node, h->ok_fh, 0, data, sizeof(data)), sizeof(data));
	assert_int_equal(fc_forget(h->it->hp, 77777, 1), 0);
}

static void assert_late_reply(struct fc_req *req)
{
	struct fc_reply reply;
	char want[4096];

	memset(want, 'h', sizeof(want));
	assert_int_equal(fc_wait(req, FC_WAIT_MS, &reply), 0);
	assert_int_equal(reply.len, sizeof(want));
	assert_memory_equal(reply.body, want, sizeof(want));
}

static void others_go_on(void **state)
{
	struct hang *h = *state;
	struct fc_req *req = hang_one(h);

	for (int i = 0; i < 50; i++)
		assert_serves(h);
	assert_false(fc_poll(req));
	assert_int_equal(hangfs_release(&h->fs), 0);
	assert_late_reply(req);
	assert_serves(h);
}

/* More than one, on a queue that is not idle in between. */
static void many_hang(void **state)
{
	struct hang *h = *state;
	struct fc_req *reqs[12];

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++) {
		reqs[i] = hang_one(h);
		assert_serves(h);
	}
	assert_int_equal(hangfs_release(&h->fs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		assert_late_reply(reqs[i]);
	/* The threads that were needed do not stay for ever, nor are they all gone at once. */
	assert_serves(h);
}

/* All at once in one batch of the ring, with good requests between them. */
static void a_batch_hangs(void **state)
{
	struct hang *h = *state;
	struct fc_req *hanging[5], *fine[5];

	for (size_t i = 0; i < 5; i++) {
		hanging[i] = send_read(h->it->q, h->nodeid, h->fh);
		fine[i] = send_read(h->it->q, h->ok_node, h->ok_fh);
	}
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(fc_wait(fine[i], FC_WAIT_MS, NULL), 0);
	assert_int_equal(hangfs_wait(&h->fs, 5, 5000), 0);
	assert_int_equal(hangfs_release(&h->fs), 0);
	for (size_t i = 0; i < 5; i++)
		assert_late_reply(hanging[i]);
}

static void fsync_hangs(void **state)
{
	struct hang *h = *state;
	struct fuse_fsync_in in = { .fh = h->fh };
	struct fc_req *req = fc_send(h->it->q, &(struct fc_call){ .opcode = FUSE_FSYNC,
						       .nodeid = h->nodeid,
						       .args = &in,
						       .args_len = sizeof(in) });

	assert_non_null(req);
	assert_int_equal(hangfs_wait(&h->fs, 1, 5000), 0);
	assert_serves(h);
	assert_false(fc_poll(req));
	assert_int_equal(hangfs_release(&h->fs), 0);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
}

/* GET_VRING_BASE has its bound; what completes after it is there when the ring goes on. */
static void stop_and_resume(void **state)
{
	struct hang *h = *state;
	struct fc_req *req = hang_one(h);
	int64_t before = it_now_ms();
	uint16_t base;

	assert_int_equal(vu_frontend_ring_stop(h->it->fc->fe, 1, &base), 0);
	assert_true(it_now_ms() - before < STOP_BOUND_MS);
	assert_int_equal(base, h->it->q->vq->avail_idx);
	assert_int_equal(hangfs_release(&h->fs), 0);
	/* The read ends now, but a stopped ring must not be written to. */
	for (int i = 0; i < 100; i++) {
		it_nap();
		assert_false(fc_poll(req));
	}
	assert_int_equal(vu_frontend_ring_resume(h->it->fc->fe, 1, base), 0);
	assert_late_reply(req);
	assert_serves(h);
}

/* The same, resumed while it still hangs. */
static void stop_and_resume_while_it_hangs(void **state)
{
	struct hang *h = *state;
	struct fc_req *req = hang_one(h);
	uint16_t base;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(vu_frontend_ring_stop(h->it->fc->fe, 1, &base), 0);
		assert_int_equal(vu_frontend_ring_resume(h->it->fc->fe, 1, base), 0);
		assert_serves(h);
	}
	assert_int_equal(hangfs_release(&h->fs), 0);
	assert_late_reply(req);
	assert_serves(h);
}

/* A reset guest mounts again: the old read's reply must never come. */
static void init_again_drops_the_late_reply(void **state)
{
	struct hang *h = *state;
	struct fc_req *req = hang_one(h);
	struct fuse_entry_out entry;

	assert_int_equal(fc_mount(h->it->q, NULL), 0);
	it_assert_alive(h->it->q);
	assert_int_equal(hangfs_release(&h->fs), 0);
	for (int i = 0; i < 200; i++) {
		it_nap();
		assert_false(fc_poll(req));
	}
	assert_int_equal(fc_walk(h->it->q, "mnt/hang", &entry), 0);
	it_assert_alive(h->it->q);
}

static bool socket_exists(const struct hang *h)
{
	return access(h->it->be.sock, F_OK) == 0;
}

static void assert_ends(struct hang *h, int signo)
{
	int64_t before = it_now_ms();

	assert_int_equal(be_signal(&h->it->be, signo), 0);
	assert_int_equal(be_wait(&h->it->be, 3 * END_BOUND_MS), 0);
	assert_true(it_now_ms() - before <= END_BOUND_MS);
	assert_false(socket_exists(h));
}

static void sigterm_while_it_hangs(void **state)
{
	struct hang *h = *state;

	hang_one(h);
	hang_one(h);
	assert_ends(h, SIGTERM);
}

static void sigint_while_fsync_hangs(void **state)
{
	struct hang *h = *state;
	struct fuse_fsync_in in = { .fh = h->fh };

	assert_non_null(fc_send(h->it->q, &(struct fc_call){ .opcode = FUSE_FSYNC,
						  .nodeid = h->nodeid,
						  .args = &in,
						  .args_len = sizeof(in) }));
	assert_int_equal(hangfs_wait(&h->fs, 1, 5000), 0);
	assert_ends(h, SIGINT);
}

static void front_end_leaves_while_it_hangs(void **state)
{
	struct hang *h = *state;
	int64_t before = it_now_ms();

	hang_one(h);
	it_disconnect(h->it);
	assert_int_equal(be_wait(&h->it->be, 5000), 0);
	assert_true(it_now_ms() - before < 3000);
	assert_false(socket_exists(h));
}

static void next_front_end_while_it_hangs(void **state)
{
	struct hang *h = *state;
	char data[16];
	struct fuse_entry_out entry;
	struct fuse_open_out fh;

	for (int round = 0; round < 3; round++) {
		hang_one(h);
		it_disconnect(h->it);
		it_connect(h->it, NULL);
		assert_int_equal(fc_mount(h->it->q, NULL), 0);
		assert_int_equal(fc_walk(h->it->q, "mnt/hang", &entry), 0);
		assert_int_equal(fc_open(h->it->q, entry.nodeid, O_RDWR, &fh), 0);
		h->nodeid = entry.nodeid;
		h->fh = fh.fh;
	}
	assert_int_equal(hangfs_release(&h->fs), 0);
	assert_int_equal(fc_read(h->it->q, h->nodeid, h->fh, 0, data, sizeof(data)), sizeof(data));
}

#define HANG_TEST(fn, opt) { #fn, fn, hang_setup, hang_teardown, (void *)&(opt) }

static struct it_options keep = { .be = { .keep_listening = true } };

static const struct CMUnitTest tests[] = {
	HANG_TEST(others_go_on, it_defaults),
	HANG_TEST(many_hang, it_defaults),
	HANG_TEST(a_batch_hangs, it_defaults),
	HANG_TEST(fsync_hangs, it_defaults),
	HANG_TEST(stop_and_resume, it_defaults),
	HANG_TEST(stop_and_resume_while_it_hangs, it_defaults),
	HANG_TEST(init_again_drops_the_late_reply, it_defaults),
	HANG_TEST(sigterm_while_it_hangs, it_defaults),
	HANG_TEST(sigint_while_fsync_hangs, it_defaults),
	HANG_TEST(front_end_leaves_while_it_hangs, it_defaults),
	HANG_TEST(next_front_end_while_it_hangs, keep),
};

#define ONE_THREAD "its queue's one thread is stuck with the request"
static const struct it_difference differences[] = {
	{ "others_go_on", ONE_THREAD },
	{ "many_hang", ONE_THREAD },
	{ "a_batch_hangs", ONE_THREAD },
	{ "fsync_hangs", ONE_THREAD },
	{ "stop_and_resume", ONE_THREAD },
	{ "stop_and_resume_while_it_hangs", ONE_THREAD },
	{ "init_again_drops_the_late_reply", ONE_THREAD },
	{ "sigterm_while_it_hangs", "it cannot be ended while a thread is stuck" },
	{ "sigint_while_fsync_hangs", "it cannot be ended while a thread is stuck" },
	{ "front_end_leaves_while_it_hangs", "it waits for the stuck thread" },
	{ "next_front_end_while_it_hangs", "it serves one front-end only" },
};

IT_MAIN("hang", tests, differences)
