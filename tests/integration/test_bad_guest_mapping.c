/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SETUPMAPPING and REMOVEMAPPING as no guest may ask: an errno for each, in every dialect, and not
 * a word to the front-end.
 */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include "tests/integration/winfront.h"

#define ROOT  FUSE_ROOT_ID
#define PAGE  WF_PAGE
#define RANGE WF_RANGE

WF_OPTIONS(seed, "seed", WF_BITS, true);
WF_OPTIONS(fs_v2, "fs-v2", WF_BITS, false);
WF_OPTIONS(fs_count, "fs-count", WF_BITS, false);
WF_OPTIONS(shmem, "shmem", WF_BITS | VU_BIT(VU_PROTOCOL_F_SHMEM), false);

static int ask_map(struct wf *w, uint64_t nodeid, struct fuse_setupmapping_in in)
{
	return fc_call(w->it->q,
		&(struct fc_call){.opcode = FUSE_SETUPMAPPING,
			.nodeid = nodeid,
			.args = &in,
			.args_len = sizeof(in)},
		NULL);
}

/* `n` ranges, in a request that speaks of `count`. */
static int ask_unmap(
	struct wf *w, const struct fuse_removemapping_one *ones, uint32_t n, uint32_t count)
{
	const struct fuse_removemapping_in in = {.count = count};

	return fc_call(w->it->q,
		&(struct fc_call){.opcode = FUSE_REMOVEMAPPING,
			.nodeid = w->nodeid,
			.args = &in,
			.args_len = sizeof(in),
			.data = ones,
			.data_len = n * (uint32_t)sizeof(*ones)},
		NULL);
}

/* Unaligned, beyond the window, past the end of numbers. */
static const uint64_t bad[] = {1, PAGE - 1, PAGE + 1, WF_WINDOW - 1, WF_WINDOW + PAGE,
	UINT64_C(1) << 63, (UINT64_C(1) << 63) - PAGE, UINT64_MAX - PAGE + 1, UINT64_MAX};

static void bad_maps(struct wf *w)
{
	const struct fuse_setupmapping_in good = {.fh = UINT64_MAX, .len = RANGE, .flags = 3};
	struct fuse_setupmapping_in in;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		in = good;
		in.moffset = bad[i];
		assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
		in.foffset = bad[i];
		assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
		in.moffset = 0;
		if (bad[i] != WF_WINDOW + PAGE) /* files may be larger than the window */
			assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
		in = good;
		in.len = bad[i];
		assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
	}
	in = good;
	in.len = 0;
	assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
	in = good;
	in.moffset = WF_WINDOW - PAGE;
	assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
	in.moffset = WF_WINDOW;
	assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
	for (unsigned int bit = 2; bit < 64; bit++) {
		in = good;
		in.flags |= UINT64_C(1) << bit;
		assert_int_equal(ask_map(w, w->nodeid, in), -EINVAL);
	}
}

static void bad_nodes(struct wf *w)
{
	const struct fuse_setupmapping_in good = {.fh = UINT64_MAX, .len = RANGE, .flags = 1};
	struct fuse_entry_out entry;

	assert_int_equal(ask_map(w, ROOT, good), -EINVAL);
	assert_int_equal(fc_mknod(w->it->q, ROOT, "fifo", S_IFIFO | 0600, 0, &entry), 0);
	assert_int_equal(ask_map(w, entry.nodeid, good), -EACCES);
	assert_int_equal(fc_symlink(w->it->q, ROOT, "link", "mapped", &entry), 0);
	assert_int_equal(ask_map(w, entry.nodeid, good), -EACCES);
	it_file(w->it, "stale", "x");
	assert_int_equal(fc_lookup(w->it->q, ROOT, "stale", &entry), 0);
	assert_int_equal(fc_forget(w->it->hp, entry.nodeid, 1), 0);
	assert_int_equal(ask_map(w, entry.nodeid, good), -ESTALE);
	assert_int_equal(ask_map(w, 0, good), -ESTALE);
	assert_int_equal(ask_map(w, UINT64_MAX, good), -ESTALE);
}

static void bad_unmaps(struct wf *w)
{
	static const uint32_t lies[] = {0, 1, 3, 256, UINT32_MAX, 0x10000002};
	struct fuse_removemapping_one ones[257] = {{0, RANGE}, {RANGE, RANGE}};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		assert_int_equal(ask_unmap(w, ones, 2, lies[i]), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		/* The first is right, and stays all the same. */
		ones[1] = (struct fuse_removemapping_one){bad[i], RANGE};
		assert_int_equal(ask_unmap(w, ones, 2, 2), -EINVAL);
		ones[1] = (struct fuse_removemapping_one){0, bad[i]};
		assert_int_equal(ask_unmap(w, ones, 2, 2), -EINVAL);
	}
	ones[1] = (struct fuse_removemapping_one){0, 0};
	assert_int_equal(ask_unmap(w, ones, 2, 2), -EINVAL);
	assert_int_equal(ask_unmap(w, ones, 0, 0), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(ones); i++)
		ones[i] = (struct fuse_removemapping_one){i * PAGE, PAGE};
	assert_int_equal(ask_unmap(w, ones, 257, 257), -EINVAL);
}

/* An errno for each, no word to the front-end; what was mapped still is, to be unmapped once. */
static void words_are_checked(void **state)
{
	struct wf w = wf_open(*state);
	struct wf_map map = wf_map(&w, 0, RANGE);
	struct pollfd poll_fd = {.fd = w.channel, .events = POLLIN};

	bad_maps(&w);
	bad_nodes(&w);
	bad_unmaps(&w);
	assert_int_equal(poll(&poll_fd, 1, 100), 0);
	wf_unmap(&w, &map);
	wf_drop(&w, &map);
	wf_assert_table_right(&w);
	wf_assert_others_go_on(&w);
}

#define TEST(fn, options)                                                                          \
	{                                                                                          \
#fn " " #options, fn, it_setup, it_teardown, &(options).it                         \
	}
static const struct CMUnitTest tests[] = {
	TEST(words_are_checked, seed),
	TEST(words_are_checked, fs_v2),
	TEST(words_are_checked, fs_count),
	TEST(words_are_checked, shmem),
};

#define NO_WINDOW "the C virtiofsd has no DAX window"
static const struct it_difference differences[] = {
	{"words_are_checked seed", NO_WINDOW},
	{"words_are_checked fs_v2", NO_WINDOW},
	{"words_are_checked fs_count", NO_WINDOW},
	{"words_are_checked shmem", NO_WINDOW},
};

IT_MAIN("bad_guest_mapping", tests, differences)
