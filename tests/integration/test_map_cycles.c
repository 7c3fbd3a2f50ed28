/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings made and unmade, on and on in one session: no fd, no region, no memory is left of them.
 *
 * With TEST_SCALE=100 or more (tests/run long) a million in fs-v2 and a tenth of it in shmem, where
 * each is a message of its own and a region is offered for it; else a fiftieth. What the gateway's
 * processes hold is counted between rounds, when nothing is mapped.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/winfront.h"
#include "vhostuser/fd.h"

#define CYCLES_FS_V2 1000000u
#define CYCLES_SHMEM 100000u

/* Asked for together: two full messages. Then all go by one request. */
#define BATCH 16u
#define LEN   (16 * (uint64_t)WF_PAGE)

/* Until everything that is made once (threads, buffers) is there. */
#define WARM_ROUNDS 100u

/* What may come and go by itself: pieces of heaps, and some regions until their tables are dropped.
 */
#define SLACK_LINES 64
#define SLACK_KIB   512

/* Seconds that a run may take. */
#define RUN_LIMIT 1000

WF_OPTIONS(fs_v2, "fs-v2", WF_BITS, false);
WF_OPTIONS(shmem, "shmem", WF_BITS | VU_BIT(VU_PROTOCOL_F_SHMEM), false);

/* ---- what the gateway's processes hold ---- */

struct usage {
	int fds, lines, anon_kib;
};

static int count_fds(int pid)
{
	char path[64];
	DIR *dir;
	int n = -2; /* "." and ".." */

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Lines of a file of the process, and what the one that begins with `key` says. */
static int count_lines(int pid, const char *file, const char *key, int *value)
{
	char path[64], line[4096];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	assert_non_null(f);
	for (; fgets(line, sizeof(line), f); n++)
		if (key && !strncmp(line, key, strlen(key)))
			*value += atoi(line + strlen(key));
	fclose(f);
	return n;
}

/* Of a process and of all that come from it. */
static void add_usage(int pid, struct usage *sum)
{
	char path[64];
	FILE *f;
	int child;

	sum->fds += count_fds(pid);
	sum->lines += count_lines(pid, "maps", NULL, NULL);
	count_lines(pid, "status", "RssAnon:", &sum->anon_kib);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fscanf(f, "%d", &child) == 1)
		add_usage(child, sum);
	fclose(f);
}

/* Once it rests: a closed view's file is given back a little later. */
static struct usage usage_of(const struct wf *w)
{
	int64_t end = it_now_ms() + 3000;
	struct usage sum = {0}, last;

	do {
		last = sum;
		usleep(100000);
		sum = (struct usage){0};
		add_usage(w->it->be.pid, &sum);
	} while ((sum.fds != last.fds || sum.lines != last.lines) && it_now_ms() < end);
	return sum;
}

/* ---- cycles ---- */

/* One message of the back-end's, granted; how many mappings are more or fewer by it. */
static int serve(struct wf *w)
{
	struct pollfd poll_fd = {.fd = w->channel, .events = POLLIN};
	struct dax_entry entries[DAX_BATCH_MAX];
	struct vu_frontend *fe = w->it->fc->fe;
	uint8_t payload[DAX_PAYLOAD_MAX];
	struct vu_header header;
	struct vu_fds fds = {0};
	enum dax_op op;
	size_t size, n;
	bool map;

	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	assert_int_equal(
		vu_frontend_channel_recv(fe, &header, payload, sizeof(payload), &size, &fds), 0);
	assert_int_equal(
		dax_decode(w->dialect, header.request, payload, size, &op, entries, &n), 0);
	map = op == DAX_OP_MAP;
	assert_true(map || op == DAX_OP_UNMAP);
	assert_int_equal(fds.n, map ? 1 : 0);
	assert_int_equal(vu_frontend_channel_reply(fe, &header, 0), 0);
	for (size_t i = 0; w->shmem && i < n; i++) {
		const struct vu_mem_region region = {WF_GPA + entries[i].window_offset,
			entries[i].len, WF_UVA + entries[i].window_offset,
			map ? entries[i].fd_offset : 0};

		/* Refused: it has the file, and need not hear of the end. */
		if (map)
			assert_false(wf_offer(w, &region, fds.fd[0]));
	}
	fds_close(&fds);
	return map ? (int)n : -(int)n;
}

static struct fc_req *send_map(struct wf *w, uint64_t foffset, uint64_t moffset)
{
	const struct fuse_setupmapping_in in = {.fh = UINT64_MAX,
		.foffset = foffset,
		.len = LEN,
		.flags = FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE,
		.moffset = moffset};

	return fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_SETUPMAPPING,
					 .nodeid = w->nodeid,
					 .args = &in,
					 .args_len = sizeof(in)});
}

static void round_of(struct wf *w, uint64_t number)
{
	const struct fuse_removemapping_in in = {.count = BATCH};
	struct fuse_removemapping_one ones[BATCH];
	struct fc_req *reqs[BATCH], *req;
	int live = 0;

	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t place = (number * 7 + i) * LEN % WF_WINDOW;

		ones[i] = (struct fuse_removemapping_one){place, LEN};
		reqs[i] = send_map(w, (number * 3 + i * 5) * LEN % WF_WINDOW, place);
		assert_non_null(reqs[i]);
	}
	while (live < (int)BATCH)
		live += serve(w);
	for (unsigned int i = 0; i < BATCH; i++)
		assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
	req = fc_send(w->it->q, &(struct fc_call){.opcode = FUSE_REMOVEMAPPING,
					.nodeid = w->nodeid,
					.args = &in,
					.args_len = sizeof(in),
					.data = ones,
					.data_len = sizeof(ones)});
	assert_non_null(req);
	while (live > 0)
		live += serve(w);
	assert_int_equal(live, 0);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
}

static unsigned int scaled(unsigned int cycles)
{
	const char *scale = getenv("TEST_SCALE");

	return scale && atoi(scale) >= 100 ? cycles : cycles / 50;
}

static void cycle(struct wf *w, unsigned int cycles)
{
	struct usage before, after;
	uint64_t round = 0;
	int64_t began;

	alarm(RUN_LIMIT);
	assert_int_equal(truncate(it_path(w->it, "mapped"), (off_t)WF_WINDOW), 0);
	while (round < WARM_ROUNDS)
		round_of(w, round++);
	before = usage_of(w);
	began = it_now_ms();
	while (round < WARM_ROUNDS + cycles / BATCH)
		round_of(w, round++);
	began = it_now_ms() - began;
	after = usage_of(w);
	print_message("%u cycles in %lld ms: %d to %d fds, %d to %d maps, %d to %d KiB\n", cycles,
		(long long)began, before.fds, after.fds, before.lines, after.lines, before.anon_kib,
		after.anon_kib);
	assert_true(after.fds <= before.fds);
	assert_true(after.lines <= before.lines + SLACK_LINES);
	if (!be_sanitized())
		assert_true(after.anon_kib <= before.anon_kib + SLACK_KIB);
	/* What the gateway itself counts. */
	it_disconnect(w->it);
	it_until(be_log_lines(&w->it->be, " live=0"), 3000);
}

static void cycles_in_fs_v2(void **state)
{
	struct wf w = wf_open(*state);

	cycle(&w, scaled(CYCLES_FS_V2));
}

static void cycles_in_shmem(void **state)
{
	struct wf w = wf_open(*state);

	cycle(&w, scaled(CYCLES_SHMEM));
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(cycles_in_fs_v2, fs_v2.it),
	IT_TEST_WITH(cycles_in_shmem, shmem.it),
};

static const struct it_difference differences[] = {
	{"cycles_in_fs_v2", "the C virtiofsd has no DAX window"},
	{"cycles_in_shmem", "the C virtiofsd has no DAX window"},
};

IT_MAIN("map_cycles", tests, differences)
