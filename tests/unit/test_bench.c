/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark's histogram, options, rows, replies, and what a process has used. */
#include "gateway/frontend/bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/frontend/bench_rows.h"
#include "gateway/frontend/bench_usage.h"
#include "vhostuser/checked.h"

/* ---- histogram ---- */

#define SAMPLES 20000

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void parts_are_near_those_of_a_sorted_list(void **state)
{
	static const double parts[] = {0.01, 0.5, 0.9, 0.99, 0.999, 1};
	uint64_t *list = calloc(SAMPLES, sizeof(*list)), sum = 0;
	struct fb_hist *hist = calloc(1, sizeof(*hist)), *half = calloc(1, sizeof(*half));
	struct fb_queue random = {.random = 4711};

	for (unsigned int i = 0; i < SAMPLES; i++) {
		/* All magnitudes alike. */
		list[i] = fb_random(&random, UINT64_C(1) << (1 + fb_random(&random, 40)));
		sum += list[i];
		fb_hist_add(i % 2 ? hist : half, list[i]);
	}
	fb_hist_merge(hist, half);
	qsort(list, SAMPLES, sizeof(*list), by_value);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t rank = (size_t)(parts[i] * SAMPLES + 0.5);
		uint64_t exact = list[rank - 1], said = fb_hist_part(hist, parts[i]);

		assert_true(said >= exact);
		assert_true(said - exact <= exact / 64);
	}
	assert_int_equal(hist->n, SAMPLES);
	assert_int_equal(hist->max, list[SAMPLES - 1]);
	assert_int_equal((uint64_t)(fb_hist_mean(hist) * SAMPLES + 0.5), sum);
	free(list);
	free(hist);
	free(half);
}

static void extremes_have_a_bucket(void **state)
{
	struct fb_hist *hist = calloc(1, sizeof(*hist));

	assert_int_equal(fb_hist_part(hist, 0.5), 0);
	assert_true(fb_hist_mean(hist) == 0);
	fb_hist_add(hist, 0);
	assert_int_equal(fb_hist_part(hist, 1), 0);
	fb_hist_add(hist, UINT64_MAX);
	assert_true(fb_hist_part(hist, 1) == UINT64_MAX);
	assert_int_equal(fb_hist_part(hist, 0.5), 0);
	for (uint64_t ns = 1; ns; ns <<= 1) {
		struct fb_hist *one = calloc(1, sizeof(*one));

		fb_hist_add(one, ns);
		assert_true(fb_hist_part(one, 0.5) == ns);
		free(one);
	}
	free(hist);
}

/* ---- options ---- */

static int parse(struct fb_options *o, char *why, const char *line)
{
	char *copy = strdup(line), *at = copy, *argv[24] = {(char[]){"bench"}};
	int argc = 1, r;

	while ((argv[argc] = strsep(&at, " ")) != NULL)
		argc++;
	r = fb_options_parse(o, argc, argv, why, 256);
	free(copy); /* what points into it is not used */
	return r;
}

static void options_are_taken(void **state)
{
	struct fb_options o;
	char why[256];

	assert_int_equal(parse(&o, why, "sock"), 0);
	assert_int_equal(o.n_picks, fb_n_rows);
	assert_false(o.named || o.poll || o.json);
	assert_int_equal(o.depth, 1);
	assert_int_equal(o.queues, 1);
	assert_int_equal(parse(&o, why,
				 "sock --rows getattr,read4k@32 --depth 64 --queues 3 --block 64k "
				 "--seconds 0.5 --count 7 --wait poll --json --pid 17"),
		0);
	assert_int_equal(o.n_picks, 2);
	assert_ptr_equal(o.picks[0].row, fb_row_find("getattr"));
	assert_int_equal(o.picks[0].depth, 0);
	assert_ptr_equal(o.picks[1].row, fb_row_find("read4k"));
	assert_int_equal(o.picks[1].depth, 32);
	assert_int_equal(o.depth, 64);
	assert_int_equal(o.queues, 3);
	assert_int_equal(o.block, 65536);
	assert_true(o.seconds > 0.49 && o.seconds < 0.51);
	assert_int_equal(o.count, 7);
	assert_int_equal(o.pid, 17);
	assert_true(o.named && o.poll && o.json && !o.listen);
	assert_int_equal(parse(&o, why, "--listen sock --wait event"), 0);
	assert_true(o.listen && !o.poll);
	assert_int_equal(parse(&o, why, "--help"), 0);
	assert_true(o.help);
	assert_int_equal(parse(&o, why, "-h"), 0);
	assert_true(o.help);
}

static void wrong_options_are_told(void **state)
{
	static const char *const lines[] = {"--json", "sock more", "--connect a --listen b",
		"sock --rows", "sock --rows ", "sock --rows getattr,", "sock --rows nothing",
		"sock --rows getattr@0", "sock --rows getattr@65", "sock --rows getattr@",
		"sock --depth 0", "sock --depth 65", "sock --depth -1", "sock --queues 65",
		"sock --block 4095", "sock --block 2M", "sock --block 4k1", "sock --seconds 0",
		"sock --seconds x", "sock --seconds nan", "sock --count 0", "sock --wait long",
		"sock --pid 0", "sock --json=1", "sock --nothing"};
	struct fb_options o;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char why[256] = "";

		assert_int_equal(parse(&o, why, lines[i]), -EINVAL);
		assert_true(strlen(why) > 10);
		assert_null(strchr(why, '\n'));
	}
}

static void no_more_rows_than_fit(void **state)
{
	char line[16 + 8 * (FB_PICKS_MAX + 1)] = "sock --rows ", why[256];
	struct fb_options o;

	for (unsigned int i = 0; i < FB_PICKS_MAX; i++)
		strcat(line, i ? ",getattr" : "getattr");
	assert_int_equal(parse(&o, why, line), 0);
	strcat(line, ",getattr");
	assert_int_equal(parse(&o, why, line), -EINVAL);
}

/* ---- rows ---- */

static void rows_are_whole(void **state)
{
	for (unsigned int i = 0; i < fb_n_rows; i++) {
		const struct fb_row *row = &fb_rows[i];

		assert_ptr_equal(fb_row_find(row->name), row);
		assert_non_null(row->about);
		assert_true(row->prepare && row->submit && row->check && row->undo);
		assert_true(row->block % FB_PAGE == 0 && row->block <= FB_BLOCK_MAX);
		assert_null(strpbrk(row->name, "@, \"\\"));
	}
	assert_null(fb_row_find("none"));
}

struct replied {
	_Alignas(8) uint8_t args[4096];
	struct fb_slot slot;
};

static void reply(struct replied *r, uint32_t used, struct fuse_out_header out)
{
	fb_slot_init(&r->slot, r->args, 0);
	r->slot.room = 16 + 104;
	r->slot.unique = 8;
	r->slot.used = used;
	memcpy(r->slot.head, &out, sizeof(out));
}

static void bad_replies_are_none(void **state)
{
	static const struct {
		uint32_t used;
		struct fuse_out_header out;
		int result;
	} cases[] = {
		{120, {120, 0, 8}, 0},
		{16, {16, 0, 8}, 0},
		{16, {16, -ENOENT, 8}, -ENOENT},
		{15, {15, 0, 8}, FU_BAD_REPLY},
		{0, {0, 0, 8}, FU_BAD_REPLY},
		{121, {121, 0, 8}, FU_BAD_REPLY},
		{UINT32_MAX, {UINT32_MAX, 0, 8}, FU_BAD_REPLY},
		{120, {119, 0, 8}, FU_BAD_REPLY},
		{120, {120, 0, 10}, FU_BAD_REPLY},
		{16, {16, 2, 8}, FU_BAD_REPLY},
		{16, {16, -4096, 8}, FU_BAD_REPLY},
		{120, {120, -ENOENT, 8}, FU_BAD_REPLY},
	};
	struct replied r = {0};
	uint32_t len;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reply(&r, cases[i].used, cases[i].out);
		assert_int_equal(fb_slot_reply(&r.slot, &len), cases[i].result);
	}
}

/* A row's word on a reply that has this body. */
static enum fb_next judge(const char *name, int error, const void *body, uint32_t len)
{
	const struct fb_row *row = fb_row_find(name);
	struct fb_work work = {.row = row, .n_files = 1, .files = {{.nodeid = 7}}};
	struct replied r = {0};

	reply(&r, 16 + len, (struct fuse_out_header){16 + len, error, 8});
	if (len)
		memcpy(r.slot.body, body, len);
	return row->check(&work, NULL, &r.slot, error, len);
}

static void wrong_answers_are_noticed(void **state)
{
	struct fuse_attr_out attr = {.attr = {.mode = S_IFREG | 0644, .nlink = 1}};
	struct fuse_entry_out entry = {.nodeid = 7, .attr.mode = S_IFREG | 0644};
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .blocks = 10, .bfree = 5}};

	assert_int_equal(judge("getattr", 0, &attr, sizeof(attr)), FB_DONE);
	assert_int_equal(judge("getattr", 0, &attr, sizeof(attr) - 8), FB_FAILED);
	assert_int_equal(judge("getattr", -EIO, &attr, 0), FB_FAILED);
	attr.attr.size = 1;
	assert_int_equal(judge("getattr", 0, &attr, sizeof(attr)), FB_FAILED);

	assert_int_equal(judge("lookup", 0, &entry, sizeof(entry)), FB_DONE);
	assert_int_equal(judge("lookup-miss", 0, &entry, sizeof(entry)), FB_FAILED);
	entry.nodeid = 8;
	assert_int_equal(judge("lookup", 0, &entry, sizeof(entry)), FB_FAILED);
	entry.nodeid = 0;
	assert_int_equal(judge("lookup-miss", 0, &entry, sizeof(entry)), FB_DONE);
	assert_int_equal(judge("lookup-miss", -ENOENT, NULL, 0), FB_DONE);
	assert_int_equal(judge("lookup-miss", -EACCES, NULL, 0), FB_FAILED);

	assert_int_equal(judge("statfs", 0, &statfs, sizeof(statfs)), FB_DONE);
	statfs.st.bfree = 11;
	assert_int_equal(judge("statfs", 0, &statfs, sizeof(statfs)), FB_FAILED);
}

/* ---- what a process has used ---- */

static void use_processor(unsigned int ms)
{
	struct fb_usage now, then;

	assert_int_equal(fb_usage_read(getpid(), &then), 0);
	do
		assert_int_equal(fb_usage_read(getpid(), &now), 0);
	while (now.cpu_ns - then.cpu_ns < ms * UINT64_C(1000000));
}

static void usage_is_that_of_the_tree(void **state)
{
	struct fb_usage alone, tree;
	int status, said[2];
	pid_t child;
	char byte;

	assert_int_equal(fb_usage_read(getpid(), &alone), 0);
	assert_true(alone.cpu_ns > 0);
	assert_int_equal(pipe(said), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		use_processor(50);
		(void)!write(said[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(said[0], &byte, 1), 1);
	assert_int_equal(fb_usage_read(getpid(), &tree), 0);
	assert_true(tree.cpu_ns - alone.cpu_ns >= 50 * UINT64_C(1000000));
	assert_true(tree.switches > alone.switches); /* at least ours, in read() */
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(fb_usage_read(child, &tree), -ESRCH);
	close(said[0]);
	close(said[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_near_those_of_a_sorted_list),
		cmocka_unit_test(extremes_have_a_bucket),
		cmocka_unit_test(options_are_taken),
		cmocka_unit_test(wrong_options_are_told),
		cmocka_unit_test(no_more_rows_than_fit),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(bad_replies_are_none),
		cmocka_unit_test(wrong_answers_are_noticed),
		cmocka_unit_test(usage_is_that_of_the_tree),
	};

	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
