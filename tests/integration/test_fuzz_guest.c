/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that send random requests on several queues at once, and change them while they are under
 * way (fuzzguest.h). Whatever they say, each request comes back, once; the service lives, and the
 * sanitizers are content. TEST_SCALE=100 lasts for half a minute each; FUZZ_SEED repeats a run, as
 * far as threads can.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "fuse/wire.h"
#include "tests/integration/fuzzguest.h"
#include "tests/integration/harness.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define QUEUES 4
#define DEPTH  24

/* No file grows beyond this, whatever a guest asks for. */
#define LIMIT "--fsize=16777216"

static struct it_options root = {
	.be = { .request_queues = QUEUES,
		.keep_listening = true,
		.prefix = ARGS("prlimit", LIMIT),
		.extra = ARGS("--xattr", "--posix-acl=auto", "--security-label=auto", "-o",
			"flock,posix_lock,writeback", "--allow-direct-io") },
	.fc = { .request_queues = QUEUES, .depth = DEPTH, .room = 65536 },
	.no_client = true,
};
static struct it_options mapped = {
	.be = { .request_queues = QUEUES,
		.keep_listening = true,
		.prefix = ARGS("prlimit", LIMIT),
		.extra = ARGS("--xattrmap=:prefix:all:trusted.:user.virtiofs.:"
				":bad:client:security.::"
				":ok:all:::",
			"--posix-acl=auto", "--translate-uid=map:0:100000:60000",
			"--translate-gid=squash-guest:0:7:60000",
			"--translate-gid=forbid-guest:65534:1", "-o", "flock,posix_lock",
			"--cache=never", "--inode-file-handles=never", "--rlimit-nofile=200") },
	.fc = { .request_queues = QUEUES, .depth = DEPTH, .room = 65536 },
	.no_client = true,
};
static struct it_options kept = {
	.be = { .request_queues = QUEUES,
		.keep_listening = true,
		.socket = BE_FD_LISTENING,
		.prefix = ARGS("prlimit", LIMIT, "sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--owner-xattr", "--xattr", "--cache=always", "-o",
			"flock,posix_lock") },
	.fc = { .request_queues = QUEUES, .depth = DEPTH, .room = 65536 },
	.no_client = true,
};

struct guest {
	struct fc_queue *q;
	struct fz fz;
	int64_t end; /* ms */
	struct fc_req *reqs[DEPTH];
	uint32_t opcodes[DEPTH], lens[DEPTH];
	bool calm[DEPTH];
	uint64_t sent, good;
	int failed;           /* FC_*: what went wrong, for the main thread */
	uint32_t failed_with; /* the opcode */
};

/* Takes the answer, if it is there or comes in time. */
static void take(struct guest *g, unsigned int i, int timeout_ms)
{
	struct fuse_in_header header;
	struct fc_reply reply;
	int r;

	if (!g->reqs[i] || (!timeout_ms && !fc_poll(g->reqs[i])))
		return;
	memcpy(&header, g->reqs[i]->req, sizeof(header));
	r = fc_wait(g->reqs[i], timeout_ms, &reply);
	if (r == FC_TIMEOUT || r == FC_BROKEN || r == FC_BAD_USED) {
		g->failed = r;
		g->failed_with = g->opcodes[i];
		return;
	}
	if (r == 0 && !g->reqs[i]->no_reply) {
		g->good++;
		fz_learn(&g->fz, g->opcodes[i], header.nodeid, reply.body, reply.len);
	}
	g->reqs[i] = NULL;
}

/* Another byte of a request that the device may be reading: not what it is
 * known by. */
static void disturb(struct guest *g, unsigned int i)
{
	const uint32_t from = offsetof(struct fuse_in_header, nodeid);
	uint32_t at = from + fz_below(&g->fz, MAX(g->lens[i], from + 1) - from);

	if (g->reqs[i] && !g->calm[i])
		((volatile uint8_t *)g->reqs[i]->req)[at] ^=
			(uint8_t)(1u << fz_below(&g->fz, 8));
}

static void send_one(struct guest *g, unsigned int i, struct fz_request *request)
{
	fz_make(&g->fz, request);
	g->reqs[i] = fc_send_raw(g->q, request->bytes, request->len, request->room);
	g->opcodes[i] = request->opcode;
	g->lens[i] = request->len;
	g->calm[i] = request->calm;
	g->sent += g->reqs[i] != NULL;
	if (fz_below(&g->fz, 8) == 0)
		disturb(g, i);
}

/* Those that wait for a lock are told to give up. */
static void interrupt(struct guest *g, unsigned int i)
{
	struct fc_req *req = g->reqs[i];

	if (req && g->opcodes[i] == FUSE_SETLKW)
		(void)fc_interrupt(g->q, req->unique);
}

static void *run_guest(void *arg)
{
	struct guest *g = arg;
	struct fz_request *request = malloc(sizeof(*request));

	while (it_now_ms() < g->end && !g->failed && request) {
		unsigned int free_slots = 0;

		for (unsigned int i = 0; i < DEPTH - 1 && !g->failed; i++) {
			take(g, i, 0);
			free_slots += !g->reqs[i];
			if (!g->reqs[i] && fz_below(&g->fz, 4))
				send_one(g, i, request);
		}
		if (free_slots == 0 && fz_below(&g->fz, 64) == 0)
			disturb(g, fz_below(&g->fz, DEPTH - 1));
		for (unsigned int i = 0; free_slots < 4 && i < DEPTH - 1; i++)
			interrupt(g, i);
	}
	free(request);
	return NULL;
}

static void fill_share(const struct it *it)
{
	it_file(it, "file", "0123456789");
	assert_int_equal(mkdir(it_path(it, "dir"), 0755), 0);
	assert_int_equal(symlink("/etc/passwd", it_path(it, "link")), 0);
	assert_int_equal(mkfifo(it_path(it, "fifo"), 0644), 0);
	(void)setxattr(it_path(it, "file"), "user.a", "value", 5, 0);
	(void)setxattr(it_path(it, "dir"), "user.virtiofs.owner", "7:7:40755", 9, 0);
}

static int mount_all(struct fc_queue *q)
{
	const uint64_t flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC |
			       FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |
			       FUSE_DO_READDIRPLUS | FUSE_WRITEBACK_CACHE | FUSE_POSIX_ACL |
			       FUSE_MAX_PAGES | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 |
			       FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_SECURITY_CTX |
			       FUSE_CREATE_SUPP_GROUP;
	struct fuse_init_out out;

	return fc_init(q, FUSE_KERNEL_VERSION, 41, flags, &out);
}

/* The end of the session ends every wait, so that all have to come back. */
static void collect(struct it *it, struct guest *guests)
{
	assert_int_equal(fc_destroy(it->q), 0);
	for (unsigned int t = 0; t < QUEUES; t++) {
		struct guest *g = &guests[t];

		for (unsigned int i = 0; i < DEPTH && !g->failed; i++)
			take(g, i, FC_WAIT_MS);
		if (g->failed)
			fail_msg("queue %u: opcode %u: %d", t + 1, g->failed_with, g->failed);
	}
}

/*
 * The first queue belongs to nobody else here: it begins sessions and ends them, so that requests
 * and waits of the other queues are in flight at every end. What is in flight at an INIT is dropped
 * and comes back never.
 */
static void storm(struct it *it, int64_t end)
{
	unsigned int n = 0;

	while (it_now_ms() < end) {
		if (n++ % 2)
			assert_int_equal(fc_destroy(it->q), 0);
		assert_int_equal(mount_all(it->q), 0);
		usleep(n % 7 * 1000);
	}
}

/* One connection: `first` queues have no guest of their own. */
static void one_session(struct it *it, uint64_t seed, int64_t ms, unsigned int first,
	uint64_t *sent, uint64_t *good)
{
	static struct guest guests[QUEUES];
	static struct fz_pool pool;
	pthread_t threads[QUEUES];

	memset(&pool, 0, sizeof(pool));
	memset(guests, 0, sizeof(guests));
	it_connect(it, &it->options->fc);
	assert_int_equal(mount_all(it->q), 0);
	for (unsigned int t = first; t < QUEUES; t++) {
		guests[t] = (struct guest){ .q = &it->fc->queue[1 + t], .end = it_now_ms() + ms };
		guests[t].fz = (struct fz){ .pool = &pool,
			.random = (seed + t) * UINT64_C(0x9e3779b97f4a7c15) | 1,
			.unique = 1000000 * (t + 1),
			.with_ext = true };
		assert_int_equal(pthread_create(&threads[t], NULL, run_guest, &guests[t]), 0);
	}
	if (first)
		storm(it, it_now_ms() + ms);
	for (unsigned int t = first; t < QUEUES; t++)
		pthread_join(threads[t], NULL);
	/* Those of a storm are left behind, as by a guest that dies. */
	if (!first)
		collect(it, guests);
	for (unsigned int t = 0; t < QUEUES; t++) {
		*sent += guests[t].sent;
		*good += guests[t].good;
	}
	it_disconnect(it);
}

/* Nothing that a guest of the share may have done leads here. */
static void assert_outside_untouched(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(listxattr(path, NULL, 0), 0);
}

static void random_requests(void **state, unsigned int first)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	const char *scale = getenv("TEST_SCALE"), *seed_text = getenv("FUZZ_SEED");
	unsigned int rounds = scale && atoi(scale) >= 100 ? 30 : 2;
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
	uint64_t sent = 0, good = 0;
	struct it *it = *state;
	char outside[160];
	int fd;

	if (geteuid() != 0)
		skip();
	alarm(IT_TIME_LIMIT * 6);
	fill_share(it);
	snprintf(outside, sizeof(outside), "%s/outside", it->be.root);
	fd = open(outside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "secret", 6), 6);
	futimens(fd, times);
	close(fd);
	print_message("FUZZ_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned int i = 0; i < rounds; i++)
		one_session(it, seed + i * QUEUES, 1000, first, &sent, &good);
	print_message("%llu requests, %llu of them fine\n", (unsigned long long)sent,
		(unsigned long long)good);
	/* In a storm most of what was learned is of a session that is over. */
	assert_true(good > (first ? 0 : sent / 40));
	assert_outside_untouched(outside);
	it_connect(it, &it->options->fc);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
}

static void as_root(void **state)
{
	random_requests(state, 0);
}

static void while_sessions_end(void **state)
{
	random_requests(state, 1);
}

static void with_maps(void **state)
{
	random_requests(state, 0);
}

static void with_kept_owners(void **state)
{
	random_requests(state, 0);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(as_root, root),
	IT_TEST_WITH(while_sessions_end, root),
	IT_TEST_WITH(with_maps, mapped),
	IT_TEST_WITH(with_kept_owners, kept),
};

static const struct it_difference differences[] = {
	{ "as_root", "its options are not all the peer's" },
	{ "while_sessions_end", "its options are not all the peer's" },
	{ "with_maps", "the peer translates no ids" },
	{ "with_kept_owners", "the peer keeps no owners" },
};

IT_MAIN("fuzz_guest", tests, differences)
