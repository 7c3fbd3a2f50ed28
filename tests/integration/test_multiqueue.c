/* SPDX-License-Identifier: BSD-3-Clause */
/* Several request queues at once, each driven by a thread of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT    FUSE_ROOT_ID
#define THREADS 4
#define ROUNDS  150
#define BLOCK   8192

static struct it_options four = {
	.be = { .request_queues = THREADS, .tag = "four" },
	.fc = { .request_queues = THREADS, .depth = 8, .room = 65536 },
};

struct worker {
	struct fc_queue *q;
	unsigned int index;
	const char *failed; /* what went wrong; asserts belong to the main thread */
	int error;
};

#define CHECK(worker, call, want)                                                                  \
	do {                                                                                       \
		int r_ = (call);                                                                   \
		if (r_ != (want)) {                                                                \
			(worker)->failed = #call;                                                  \
			(worker)->error = r_;                                                      \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* A life in one directory: create, write, read, rename, list, remove. */
static void one_round(struct worker *w, uint64_t dir, unsigned int round, uint8_t *out, uint8_t *in)
{
	struct fuse_entry_out entry, again;
	struct fuse_open_out open;
	char name[32], name2[32];

	snprintf(name, sizeof(name), "f%u", round);
	snprintf(name2, sizeof(name2), "g%u", round);
	memset(out, (int)(round * 7 + w->index), BLOCK);
	CHECK(w, fc_create(w->q, dir, name, O_CREAT | O_EXCL | O_RDWR, 0644, &entry, &open), 0);
	CHECK(w, fc_write(w->q, entry.nodeid, open.fh, 0, out, BLOCK), BLOCK);
	CHECK(w, fc_read(w->q, entry.nodeid, open.fh, 0, in, BLOCK), BLOCK);
	CHECK(w, memcmp(in, out, BLOCK), 0);
	CHECK(w, fc_rename(w->q, dir, name, dir, name2), 0);
	CHECK(w, fc_lookup(w->q, dir, name2, &again), 0);
	CHECK(w, again.nodeid != entry.nodeid, 0);
	CHECK(w, fc_lookup(w->q, dir, name, &again), -ENOENT);
	if (round % 3 == 0)
		CHECK(w, fc_fsync(w->q, entry.nodeid, open.fh, true), 0);
	CHECK(w, fc_release(w->q, entry.nodeid, open.fh), 0);
	CHECK(w, fc_unlink(w->q, dir, name2), 0);
	CHECK(w, fc_forget(w->q, entry.nodeid, 2), 0);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	struct fuse_entry_out entry;
	uint8_t *out = malloc(BLOCK), *in = malloc(BLOCK);
	char name[32];

	snprintf(name, sizeof(name), "dir-%u", w->index);
	int r = fc_mkdir(w->q, ROOT, name, 0755, &entry);
	if (r < 0) {
		w->failed = "mkdir";
		w->error = r;
	}
	for (unsigned int round = 0; round < ROUNDS && !w->failed; round++)
		one_round(w, entry.nodeid, round, out, in);
	free(out);
	free(in);
	return NULL;
}

static void run_workers(struct it *it, unsigned int n)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned int i = 0; i < n; i++) {
		workers[i] = (struct worker){ .q = &it->fc->queue[1 + i], .index = i };
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < n; i++)
		if (workers[i].failed)
			fail_msg("queue %u: %s: %d", i + 1, workers[i].failed, workers[i].error);
}

static void four_threads(void **state)
{
	run_workers(*state, THREADS);
}

static void config_space(void **state)
{
	struct it *it = *state;
	struct {
		char tag[36];
		uint32_t num_request_queues;
		uint32_t notify_buf_size;
	} config;

	assert_int_equal(vu_frontend_get_config(it->fc->fe, 0, &config, sizeof(config)), 0);
	assert_string_equal(config.tag, "four");
	assert_int_equal(config.num_request_queues, THREADS);
	assert_int_equal(config.notify_buf_size, 0);
	uint32_t n = 0;
	assert_int_equal(vu_frontend_get_config(it->fc->fe, 36, &n, 4), 0);
	assert_int_equal(n, THREADS);
}

/* One file written through all queues: each byte range belongs to one of them. */
static void one_file_from_all_queues(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out fh;
	struct fc_req *reqs[THREADS][8];
	uint8_t data[4096];

	assert_int_equal(fc_create(it->q, ROOT, "f", O_CREAT | O_RDWR, 0644, &entry, &fh), 0);
	for (unsigned int t = 0; t < THREADS; t++) {
		for (unsigned int i = 0; i < 8; i++) {
			struct fuse_write_in in = { .fh = fh.fh,
				.offset = (i * THREADS + t) * sizeof(data),
				.size = sizeof(data) };

			memset(data, (int)(t * 16 + i), sizeof(data));
			reqs[t][i] = fc_send(&it->fc->queue[1 + t],
				&(struct fc_call){ .opcode = FUSE_WRITE,
					.nodeid = entry.nodeid,
					.args = &in,
					.args_len = sizeof(in),
					.data = data,
					.data_len = sizeof(data),
					.room = sizeof(struct fuse_write_out) });
			assert_non_null(reqs[t][i]);
		}
	}
	for (unsigned int t = 0; t < THREADS; t++)
		for (unsigned int i = 0; i < 8; i++)
			assert_int_equal(fc_wait(reqs[t][i], FC_WAIT_MS, NULL), 0);
	int fd = open(it_path(it, "f"), O_RDONLY | O_CLOEXEC);
	for (unsigned int block = 0; block < THREADS * 8; block++) {
		uint8_t want = (uint8_t)(block % THREADS * 16 + block / THREADS);

		assert_int_equal(pread(fd, data, sizeof(data), block * sizeof(data)), sizeof(data));
		for (size_t i = 0; i < sizeof(data); i++)
			assert_int_equal(data[i], want);
	}
	close(fd);
}

static struct it_options most = {
	.be = { .request_queues = 64 },
	.fc = { .request_queues = 64, .depth = 2, .room = 4096, .ring_size = 16 },
};

/* All 65 rings, started and stopped one by one and all together, serving in between. */
static void sixty_four_rings(void **state)
{
	struct it *it = *state;
	uint16_t base[65];

	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 1; i < it->fc->n_queues; i++)
			it_assert_alive(&it->fc->queue[i]);
		for (unsigned int i = 0; i < it->fc->n_queues; i++)
			assert_int_equal(vu_frontend_ring_stop(it->fc->fe, i, &base[i]), 0);
		for (unsigned int i = 0; i < it->fc->n_queues; i++)
			assert_int_equal(vu_frontend_ring_resume(it->fc->fe, i, base[i]), 0);
	}
	for (unsigned int i = 1; i < it->fc->n_queues; i++) {
		assert_int_equal(vu_frontend_ring_stop(it->fc->fe, i, &base[i]), 0);
		it_assert_alive(&it->fc->queue[i == 1 ? 2 : 1]);
		assert_int_equal(vu_frontend_ring_resume(it->fc->fe, i, base[i]), 0);
		it_assert_alive(&it->fc->queue[i]);
	}
}

static void queue_num(void **state)
{
	struct it *it = *state;
	uint64_t n = 0;

	assert_int_equal(vu_frontend_get_u64(it->fc->fe, VU_GET_QUEUE_NUM, &n), 0);
	assert_int_equal(n, 65);
}

/* Rings stop and go on while other rings are under load. */
static void stops_under_load(void **state)
{
	struct it *it = *state;
	struct worker workers[2];
	pthread_t threads[2];

	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = (struct worker){ .q = &it->fc->queue[1 + i], .index = i };
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
	}
	for (int round = 0; round < 50; round++) {
		for (unsigned int i = 1; i <= THREADS; i++) {
			uint16_t base;

			assert_int_equal(vu_frontend_ring_stop(it->fc->fe, i, &base), 0);
			assert_int_equal(vu_frontend_ring_resume(it->fc->fe, i, base), 0);
		}
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < 2; i++)
		if (workers[i].failed)
			fail_msg("queue %u: %s: %d", i + 1, workers[i].failed, workers[i].error);
}

static const char *const one_tree[] = { "--no-announce-submounts", NULL };
static const char *const peer_one_tree[] = { NULL };
static struct it_options submounts = {
	.be = { .request_queues = THREADS, .extra = one_tree, .peer = peer_one_tree },
	.fc = { .request_queues = THREADS, .depth = 8, .room = 65536 },
};

/* Two of the queues find and forget what is mounted there, another syncs all there is meanwhile. */
static void visit(struct worker *w, unsigned int round)
{
	struct fuse_entry_out top, file;

	if (w->index >= 2) {
		CHECK(w, round < ROUNDS / 10 ? fc_syncfs(w->q, ROOT) : 0, 0);
		return;
	}
	CHECK(w, fc_lookup(w->q, ROOT, "a mount", &top), 0);
	CHECK(w, fc_lookup(w->q, top.nodeid, "file", &file), 0);
	CHECK(w, file.attr.size == 1, true);
	CHECK(w, fc_forget(w->q, top.nodeid, 1), 0);
	CHECK(w, fc_forget(w->q, file.nodeid, 1), 0);
}

static void *run_visitor(void *arg)
{
	struct worker *w = arg;

	for (unsigned int round = 0; round < 10 * ROUNDS && !w->failed; round++)
		visit(w, round);
	return NULL;
}

static void submounts_come_and_go(void **state)
{
	struct it *it = *state;
	struct worker workers[3];
	pthread_t threads[ARRAY_SIZE(workers)];

	assert_int_equal(mkdir(it_path(it, "a mount"), 0755), 0);
	if (mount("tmpfs", it_path(it, "a mount"), "tmpfs", 0, "size=1m"))
		skip(); /* not allowed to mount */
	it_file(it, "a mount/file", "x");
	for (unsigned int i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i] = (struct worker){ .q = &it->fc->queue[1 + i], .index = i };
		assert_int_equal(pthread_create(&threads[i], NULL, run_visitor, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(workers); i++)
		pthread_join(threads[i], NULL);
	umount2(it_path(it, "a mount"), MNT_DETACH);
	for (unsigned int i = 0; i < ARRAY_SIZE(workers); i++)
		if (workers[i].failed)
			fail_msg("queue %u: %s: %d", i + 1, workers[i].failed, workers[i].error);
	it_assert_alive(it->q);
}

static struct it_options more = { .fc = { .request_queues = 3 } };

/* They are served, and the setting that does not fit is said once. */
static void more_queues_than_announced(void **state)
{
	struct it *it = *state;

	for (unsigned int i = 1; i < it->fc->n_queues; i++)
		it_assert_alive(&it->fc->queue[i]);
	assert_int_equal(be_log_lines(&it->be, "more request queues than --request-queues 1"), 1);
}

static struct it_options no_client = {
	.be = { .request_queues = THREADS, .tag = "four", .keep_listening = true },
	.no_client = true,
};

/* As QEMU: it names its rings when it connects, and reads the config space for the guest. */
static void name_rings(const struct it *it, unsigned int n)
{
	const uint64_t bits = VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_CONFIG);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct vu_frontend *fe;
	uint32_t queues;

	assert_true(fd >= 0);
	assert_int_equal(vu_frontend_connect(it->be.sock, 5000, &fe), 0);
	assert_int_equal(vu_frontend_negotiate(fe, VU_BIT(VU_F_PROTOCOL_FEATURES), bits), 0);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(vu_frontend_request(
					 fe, VU_SET_VRING_CALL, &i, sizeof(i), &fd, 1),
			0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(vu_frontend_get_config(fe, 36, &queues, sizeof(queues)), 0);
	vu_frontend_free(fe);
	close(fd);
}

/* Enough, none yet, and too few, which is said once. */
static void fewer_queues_than_announced(void **state)
{
	struct it *it = *state;

	name_rings(it, 1 + THREADS);
	name_rings(it, 0);
	assert_int_equal(be_log_lines(&it->be, "the guest's driver may not start"), 0);
	name_rings(it, THREADS);
	assert_int_equal(be_log_lines(&it->be, "WARN front-end: has 4 queues"), 1);
	assert_int_equal(be_log_lines(&it->be, "the guest's driver may not start"), 1);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(four_threads, four),
	IT_TEST_WITH(config_space, four),
	IT_TEST_WITH(one_file_from_all_queues, four),
	IT_TEST_WITH(submounts_come_and_go, submounts),
	IT_TEST_WITH(more_queues_than_announced, more),
	IT_TEST_WITH(fewer_queues_than_announced, no_client),
	IT_TEST_WITH(stops_under_load, four),
	IT_TEST_WITH(sixty_four_rings, most),
	IT_TEST_WITH(queue_num, most),
};

#define ONE_QUEUE "it serves one request queue"
static const struct it_difference differences[] = {
	{ "four_threads", ONE_QUEUE },
	{ "config_space", "it has no config space" },
	{ "one_file_from_all_queues", ONE_QUEUE },
	{ "submounts_come_and_go", ONE_QUEUE },
	{ "more_queues_than_announced", ONE_QUEUE },
	{ "fewer_queues_than_announced", "it has no config space" },
	{ "stops_under_load", ONE_QUEUE },
	{ "sixty_four_rings", ONE_QUEUE },
	{ "queue_num", ONE_QUEUE },
};

IT_MAIN("multiqueue", tests, differences)
