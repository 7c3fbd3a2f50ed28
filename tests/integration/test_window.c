/* SPDX-License-Identifier: BSD-3-Clause */
/* The DAX window over a real socket: batches, answers late, wrong and never. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dax/dialect.h"
#include "tests/integration/harness.h"
#include "vhostuser/fd.h"

#define ROOT   FUSE_ROOT_ID
#define PAGE   UINT64_C(4096)
#define RANGE  (UINT64_C(2) << 20)
#define WINDOW (UINT64_C(64) << 20)

#define CHANNEL (VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD))

static const char *const fs_v2[] = {"--dax-window=64M", "--dax-dialect=fs-v2", NULL};
static const char *const fs_count[] = {"--dax-window=64M", "--dax-dialect=fs-count", NULL};
static const char *const seed[] = {"--dax-window=64M", "--dax-dialect=seed", NULL};
static const char *const shmem[] = {"--dax-window=64M", "--tag=t", "--dax-view=direct", NULL};

#define WITH(name, list, bits, ...)                                                                \
	static struct it_options name = {                                                          \
		.be.extra = (list),                                                                \
		.fc = {.depth = 64,                                                                \
			.ring_size = 1024,                                                         \
			.room = 8192,                                                              \
			.with_protocol = (bits),                                                   \
			__VA_ARGS__},                                                              \
		.no_mount = true,                                                                  \
	}
WITH(with_fs_v2, fs_v2, CHANNEL, .no_memory_slots = false);
WITH(with_fs_count, fs_count, CHANNEL, .no_memory_slots = false);
WITH(with_seed, seed, CHANNEL, .no_memory_slots = true);
/* Without CONFIGURE_MEM_SLOTS mappings do not come back as memory: as crosvm does it. */
WITH(with_shmem, shmem, CHANNEL | VU_BIT(VU_PROTOCOL_F_SHMEM), .no_memory_slots = true);

struct window {
	struct it *it;
	const struct dax_dialect *dialect;
	int channel;
	uint64_t nodeid;
};

/* One message of the back-end's. */
struct message {
	struct vu_header header;
	enum dax_op op;
	struct dax_entry entries[DAX_BATCH_MAX];
	size_t n;
};

static void ask_for_window(struct vu_frontend *fe)
{
	uint64_t sizes[VU_SHMEM_REGIONS];

	assert_int_equal(vu_frontend_get_shmem(fe, sizes), 1);
	assert_int_equal(sizes[0], WINDOW);
	for (size_t i = 1; i < VU_SHMEM_REGIONS; i++)
		assert_int_equal(sizes[i], 0);
}

static struct window open_window(void **state, const char *dialect)
{
	struct window w = {.it = *state, .dialect = dax_dialect_find(dialect)};
	struct fuse_entry_out entry;

	if (strcmp(dialect, "shmem") == 0)
		ask_for_window(w.it->fc->fe);
	assert_int_equal(vu_frontend_open_channel(w.it->fc->fe, &w.channel), 0);
	assert_int_equal(fc_init(w.it->q, FUSE_KERNEL_VERSION, 38,
				 FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX |
					 FUSE_AUTO_INVAL_DATA,
				 &w.it->init),
		0);
	it_file(w.it, "f", "begin");
	assert_int_equal(truncate(it_path(w.it, "f"), (off_t)WINDOW), 0);
	assert_int_equal(fc_lookup(w.it->q, ROOT, "f", &entry), 0);
	assert_true(entry.attr.flags & FUSE_ATTR_DAX);
	w.nodeid = entry.nodeid;
	return w;
}

static struct fc_req *send_map_of(
	struct window *w, uint64_t nodeid, const struct fuse_setupmapping_in *in)
{
	struct fc_req *req = fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_SETUPMAPPING,
						       .nodeid = nodeid,
						       .args = in,
						       .args_len = sizeof(*in)});

	assert_non_null(req);
	return req;
}

static struct fc_req *send_map(struct window *w, uint64_t at, uint64_t len)
{
	const struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX,
		.foffset = at,
		.len = len,
		.flags = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE,
		.moffset = at,
	};

	return send_map_of(w, w->nodeid, &in);
}

/* REMOVEMAPPING of n ranges of len, side by side from 0; the request claims another number. */
static struct fc_req *send_unmap(struct window *w, uint32_t n, uint64_t len, uint32_t claimed)
{
	const struct fuse_removemapping_in in = {.count = claimed};
	struct fuse_removemapping_one ranges[256];
	struct fc_req *req;

	for (uint32_t i = 0; i < n; i++)
		ranges[i] = (struct fuse_removemapping_one){.moffset = i * len, .len = len};
	req = fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_REMOVEMAPPING,
					.nodeid = w->nodeid,
					.args = &in,
					.args_len = sizeof(in),
					.data = ranges,
					.data_len = n * (uint32_t)sizeof(ranges[0])});
	assert_non_null(req);
	return req;
}

static bool has_message(const struct window *w, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = w->channel, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* *fd: the file that came with it, or -1; NULL: closed. */
static struct message receive_with(struct window *w, int *fd)
{
	uint8_t payload[DAX_PAYLOAD_MAX];
	struct vu_fds fds = {0};
	struct message m;
	size_t size;

	assert_true(has_message(w, 5000));
	assert_int_equal(vu_frontend_channel_recv(
				 w->it->fc->fe, &m.header, payload, sizeof(payload), &size, &fds),
		0);
	assert_true(m.header.flags & VU_FLAG_NEED_REPLY);
	assert_int_equal(
		dax_decode(w->dialect, m.header.request, payload, size, &m.op, m.entries, &m.n), 0);
	assert_int_equal(fds.n, m.op == DAX_OP_MAP ? 1 : 0);
	if (fd)
		*fd = fds_take(&fds, 0);
	fds_close(&fds);
	return m;
}

static struct message receive(struct window *w)
{
	return receive_with(w, NULL);
}

static void answer(struct window *w, const struct message *m, uint64_t value)
{
	assert_int_equal(vu_frontend_channel_reply(w->it->fc->fe, &m->header, value), 0);
}

/* Takes and grants messages until there is none for a while; how many, and their entries. */
static unsigned int serve_all(struct window *w, enum dax_op op, unsigned int *entries)
{
	unsigned int n = 0;

	*entries = 0;
	while (has_message(w, 300)) {
		struct message m = receive(w);

		assert_int_equal(m.op, op);
		n++;
		*entries += (unsigned int)m.n;
		answer(w, &m, 0);
	}
	return n;
}

static void assert_replies(struct fc_req **reqs, size_t n, int expected)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), expected);
}

/* Thirty-two maps of one file at once are five messages at most; 256 unmaps are 32. */
static void test_batches(void **state)
{
	struct window w = open_window(state, "fs-v2");
	struct fc_req *reqs[32], *unmap;
	unsigned int entries, messages;
	struct message first;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	first = receive(&w);
	/* What the guest asks for meanwhile waits for this answer, and goes out together. */
	usleep(300000);
	answer(&w, &first, 0);
	messages = 1 + serve_all(&w, DAX_OP_MAP, &entries);
	assert_int_equal(entries + first.n, 32);
	assert_in_range(messages, 4, 5);
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);

	unmap = send_unmap(&w, 32, RANGE, 32);
	assert_int_equal(serve_all(&w, DAX_OP_UNMAP, &entries), 4);
	assert_replies(&unmap, 1, 0);

	for (unsigned int done = 0; done < 256; done += 32) {
		for (unsigned int i = 0; i < 32; i++)
			reqs[i] = send_map(&w, (done + i) * PAGE, PAGE);
		serve_all(&w, DAX_OP_MAP, &entries);
		assert_int_equal(entries, 32);
		assert_replies(reqs, 32, 0);
	}
	unmap = send_unmap(&w, 256, PAGE, 256);
	messages = serve_all(&w, DAX_OP_UNMAP, &entries);
	assert_int_equal(entries, 256);
	assert_int_equal(messages, 32);
	assert_replies(&unmap, 1, 0);
}

/* In shmem each is a message of its own, and eight of them are under way together. */
static void test_shmem_in_flight(void **state)
{
	struct window w = open_window(state, "shmem");
	struct message m[8];
	struct fc_req *reqs[12];
	unsigned int entries;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = receive(&w);
	assert_false(has_message(&w, 200));
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		answer(&w, &m[i], 0);
	assert_int_equal(serve_all(&w, DAX_OP_MAP, &entries), 4);
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);
}

/* Entry `bad` of a file's eight is refused, in whatever message it comes. */
static void answer_but(struct window *w, const struct message *m, uint64_t bad, uint64_t value)
{
	bool hit = false;

	for (size_t i = 0; i < m->n; i++)
		hit |= m->entries[i].window_offset == bad;
	answer(w, m, hit ? value : 0);
}

static void refuse_one(struct window *w, uint64_t bad, uint64_t value)
{
	while (has_message(w, 300)) {
		struct message m = receive(w);

		answer_but(w, &m, bad, value);
	}
}

static void test_one_refused(void **state)
{
	struct window w = open_window(state, "fs-v2");
	struct fc_req *reqs[9];
	struct message first;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	first = receive(&w);
	usleep(300000);
	/* On a busy machine there is more than one in it. */
	answer_but(&w, &first, 5 * RANGE, (uint64_t)-ENOSPC);
	refuse_one(&w, 5 * RANGE, (uint64_t)-ENOSPC);
	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), i == 5 ? -ENOSPC : 0);
	it_assert_alive(w.it->q);
}

/* A front-end that refuses batches, as the first one did, gets single entries from then on. */
static void test_refuses_batches(void **state)
{
	struct window w = open_window(state, "seed");
	struct fc_req *reqs[16];
	unsigned int wide = 0;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	while (has_message(&w, 400)) {
		struct message m = receive(&w);

		if (wide == 0 && m.n == 1)
			usleep(300000); /* the rest queues up behind the first */
		wide += m.n > 1;
		answer(&w, &m, m.n > 1 ? 1 : 0);
	}
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);
	assert_int_equal(wide, 1);
}

/* GET_VRING_BASE does not wait for the front-end's own answers, nor do memory messages. */
static void test_stop_in_flight(void **state)
{
	struct window w = open_window(state, "shmem");
	struct vu_frontend *fe = w.it->fc->fe;
	struct fc_req *reqs[12];
	struct message m[8];
	unsigned int entries;
	uint16_t base[2];
	int64_t started;
	int slot;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = receive(&w);
	slot = vu_frontend_add_memory(fe, UINT64_C(1) << 40, 1 << 20);
	assert_true(slot >= 0);
	assert_int_equal(vu_frontend_remove_memory(fe, slot), 0);
	started = it_now_ms();
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(vu_frontend_ring_stop(fe, i, &base[i]), 0);
	/* The bound for what hangs on the host is 500 ms, which this must not be taken for. */
	assert_true(it_now_ms() - started < 450);

	/* Late answers are taken; nothing is sent while the rings are stopped. */
	for (size_t i = 0; i < 4; i++)
		answer(&w, &m[i], 0);
	assert_false(has_message(&w, 200));
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(vu_frontend_ring_resume(fe, i, base[i]), 0);
	for (size_t i = 4; i < ARRAY_SIZE(m); i++)
		answer(&w, &m[i], 0);
	assert_int_equal(serve_all(&w, DAX_OP_MAP, &entries), 4);
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);
}

/* A front-end that says nothing costs the request; others go on. */
static void test_never_answered(void **state)
{
	struct window w = open_window(state, "fs-v2");
	struct fc_req *req = send_map(&w, 0, RANGE);
	struct message m = receive(&w), late;

	it_assert_alive(w.it->q);
	assert_int_equal(fc_wait(req, 9000, NULL), -ETIMEDOUT);
	it_assert_alive(w.it->q);
	/* It was mapped after all: what is in doubt goes before the place is used again. */
	answer(&w, &m, 0);
	req = send_map(&w, 0, RANGE);
	do {
		late = receive(&w);
		answer(&w, &late, 0);
	} while (late.op != DAX_OP_MAP);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
}

/* The channel's end is the end of DAX, not of the share. */
static void test_channel_closed(void **state)
{
	struct window w = open_window(state, "fs-v2");
	struct fc_req *req = send_map(&w, 0, RANGE);

	receive(&w);
	assert_int_equal(shutdown(w.channel, SHUT_RDWR), 0);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), -EIO);
	it_assert_alive(w.it->q);
	assert_refused(fc_wait(send_map(&w, 0, RANGE), FC_WAIT_MS, NULL));
}

/* Everything is unmapped at the session's end, in one message where the dialect can say so. */
static void session_end(void **state, const char *dialect)
{
	struct window w = open_window(state, dialect);
	struct fc_req *req = send_map(&w, 2 * RANGE, RANGE);
	unsigned int entries;
	struct message m;

	serve_all(&w, DAX_OP_MAP, &entries);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	assert_int_equal(fc_destroy(w.it->q), 0);
	m = receive(&w);
	assert_int_equal(m.op, DAX_OP_UNMAP);
	assert_int_equal(m.n, 1);
	assert_int_equal(m.entries[0].window_offset, 0);
	assert_true(m.entries[0].len == UINT64_MAX);
	answer(&w, &m, 0);
}

static void test_session_end(void **state)
{
	session_end(state, "fs-v2");
}

static void test_count_session_end(void **state)
{
	session_end(state, "fs-count");
}

static void test_seed_session_end(void **state)
{
	session_end(state, "seed");
}

static void test_shmem_session_end(void **state)
{
	struct window w = open_window(state, "shmem");
	struct fc_req *reqs[3];
	unsigned int entries;

	for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
		reqs[i] = send_map(&w, i * RANGE, RANGE);
	serve_all(&w, DAX_OP_MAP, &entries);
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);
	assert_int_equal(fc_destroy(w.it->q), 0);
	assert_int_equal(serve_all(&w, DAX_OP_UNMAP, &entries), 3);
}

/* Two mappings, then fsync: what the front-end says of their sync is the guest's answer. */
static void fsync_of_mapped(void **state, const char *dialect, uint64_t value, int expected)
{
	struct window w = open_window(state, dialect);
	struct fc_req *reqs[] = {send_map(&w, 0, RANGE), send_map(&w, 4 * RANGE, RANGE)}, *req;
	struct fuse_fsync_in in = {0};
	struct fuse_open_out file;
	unsigned int entries;

	serve_all(&w, DAX_OP_MAP, &entries);
	assert_replies(reqs, ARRAY_SIZE(reqs), 0);
	assert_int_equal(fc_open(w.it->q, w.nodeid, O_RDWR, &file), 0);
	in.fh = file.fh;
	req = fc_send(w.it->q, &(struct fc_call){.opcode = FUSE_FSYNC,
				       .nodeid = w.nodeid,
				       .args = &in,
				       .args_len = sizeof(in)});
	assert_non_null(req);
	for (uint64_t seen = 0; dax_dialect_code(w.dialect, DAX_OP_SYNC) && seen < 2;) {
		struct message m = receive(&w);

		assert_int_equal(m.op, DAX_OP_SYNC);
		for (size_t i = 0; i < m.n; i++) {
			assert_int_equal(m.entries[i].window_offset % (4 * RANGE), 0);
			assert_int_equal(m.entries[i].len, RANGE);
		}
		/* Refused together they come again one by one. */
		seen += m.n > 1 && value ? 0 : m.n;
		assert_int_equal(fc_wait(req, 50, NULL), FC_TIMEOUT);
		answer(&w, &m, value);
	}
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), expected);
	assert_false(has_message(&w, 100));
}

static void test_fsync_syncs(void **state)
{
	fsync_of_mapped(state, "fs-v2", 0, 0);
}

static void test_fsync_of_seed_syncs(void **state)
{
	fsync_of_mapped(state, "seed", 0, 0);
}

static void test_fsync_fails_with_it(void **state)
{
	fsync_of_mapped(state, "fs-v2", (uint64_t)-EDQUOT, -EDQUOT);
}

/* Where there is no such message the file's own fsync is all. */
static void test_fsync_without_message(void **state)
{
	fsync_of_mapped(state, "fs-count", 0, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IT_TEST_WITH(test_batches, with_fs_v2),
		IT_TEST_WITH(test_shmem_in_flight, with_shmem),
		IT_TEST_WITH(test_one_refused, with_fs_v2),
		IT_TEST_WITH(test_refuses_batches, with_seed),
		IT_TEST_WITH(test_stop_in_flight, with_shmem),
		IT_TEST_WITH(test_never_answered, with_fs_v2),
		IT_TEST_WITH(test_channel_closed, with_fs_v2),
		IT_TEST_WITH(test_session_end, with_fs_v2),
		IT_TEST_WITH(test_count_session_end, with_fs_count),
		IT_TEST_WITH(test_seed_session_end, with_seed),
		IT_TEST_WITH(test_shmem_session_end, with_shmem),
		IT_TEST_WITH(test_fsync_syncs, with_fs_v2),
		IT_TEST_WITH(test_fsync_of_seed_syncs, with_seed),
		IT_TEST_WITH(test_fsync_fails_with_it, with_fs_v2),
		IT_TEST_WITH(test_fsync_without_message, with_fs_count),
	};
	static const struct it_difference differences[] = {
#define DIFFERENT(test) {#test, "the C virtiofsd has no DAX window"}
		DIFFERENT(test_batches),
		DIFFERENT(test_shmem_in_flight),
		DIFFERENT(test_one_refused),
		DIFFERENT(test_refuses_batches),
		DIFFERENT(test_stop_in_flight),
		DIFFERENT(test_never_answered),
		DIFFERENT(test_channel_closed),
		DIFFERENT(test_session_end),
		DIFFERENT(test_count_session_end),
		DIFFERENT(test_seed_session_end),
		DIFFERENT(test_shmem_session_end),
		DIFFERENT(test_fsync_syncs),
		DIFFERENT(test_fsync_of_seed_syncs),
		DIFFERENT(test_fsync_fails_with_it),
		DIFFERENT(test_fsync_without_message),
	};

	return it_main(argc, argv, "window", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
}
