/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify: what goes in at one end of the window comes out at the other.
 *
 * Each step leaves the window empty. Two files with patterns of their own serve all steps; what a
 * step stores it writes back, so that the next may rely on the patterns.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define UNIT    (16 * (uint64_t)FT_PAGE)
#define UNITS   16
#define WAIT_MS 20000
#define PLUG    (24 * UNIT) /* the smallest window has 64 */

/* What was loaded from `pages` of the window is the file's pattern. */
static bool loads(struct ft_run *run, uint64_t moffset, const struct ft_file *file, uint64_t page,
	uint64_t pages, const char *step)
{
	uint8_t wanted[FT_PAGE], got[FT_PAGE];
	int r = 0;

	for (uint64_t i = 0; i < pages && r == 0; i++) {
		ft_pattern(run, file->number, page + i, wanted);
		r = fw_window_load(run->window, moffset + i * FT_PAGE, got, FT_PAGE);
		if (!ft_check(run, r == 0 && !memcmp(wanted, got, FT_PAGE),
			    "%s: window page 0x%llx is not page %llu of the file (%s)", step,
			    (unsigned long long)(moffset / FT_PAGE + i),
			    (unsigned long long)(page + i), r ? "no mapping" : "other bytes"))
			return false;
	}
	return true;
}

static bool faults(struct ft_run *run, uint64_t moffset)
{
	uint8_t byte;

	return fw_window_load(run->window, moffset, &byte, 1) == -EFAULT;
}

static int unmap(struct ft_run *run, const struct ft_file *file, uint64_t moffset, uint64_t len)
{
	struct fuse_removemapping_one one = {moffset, len};

	return fu_unmap(run->client, file->nodeid, &one, 1);
}

/*
 * Holds up the answer to one mapping, far behind all others, for so long; what is asked for
 * meanwhile gathers.
 */
static struct fu_request *plug(struct ft_run *run, const struct ft_file *file, unsigned int ms)
{
	const struct fw_stats *stats = fw_channel_stats(run->channel);
	uint64_t before = stats->faults;
	struct fu_request *request;
	int64_t end = vu_now_ms() + WAIT_MS;

	fw_channel_fault(run->channel, FW_FAULT_DELAY, PLUG, ms);
	request = fu_send_map(run->client, file->nodeid, 0, UNIT, FT_RO, PLUG);
	while (request && stats->faults == before && vu_now_ms() < end)
		usleep(1000);
	return request;
}

static bool map_done(struct ft_run *run, struct fu_request *request, const char *what)
{
	int r = request ? fu_wait(run->client, request, WAIT_MS, NULL, 0, NULL) : FU_NO_ROOM;

	return ft_check(run, r == 0, "%s: %s", what, ft_result(r));
}

/* n mappings asked for at once, then all gone by one request. */
static void map_together(
	struct ft_run *run, const struct ft_file *file, unsigned int n, unsigned int ms)
{
	struct fu_request *requests[UNITS], *plugged = plug(run, file, ms);
	struct fuse_removemapping_one ones[UNITS + 1];

	for (unsigned int i = 0; i < n; i++) {
		requests[i] = fu_send_map(
			run->client, file->nodeid, i * UNIT, UNIT, FT_RO, (n - 1 - i) * UNIT);
		ones[i] = (struct fuse_removemapping_one){i * UNIT, UNIT};
	}
	ones[n] = (struct fuse_removemapping_one){PLUG, UNIT};
	map_done(run, plugged, "the mapping before");
	for (unsigned int i = 0; i < n; i++) {
		if (map_done(run, requests[i], "a mapping of several"))
			loads(run, (n - 1 - i) * UNIT, file, i * UNIT / FT_PAGE, UNIT / FT_PAGE,
				"together");
	}
	ft_check(run, fu_unmap(run->client, file->nodeid, ones, n + 1) == 0, "unmapping %u", n);
	for (unsigned int i = 0; i < n; i++)
		ft_check(run, faults(run, i * UNIT), "unmapped, but still there");
	ft_check(run, fw_window_mapped(run->window) == 0, "something stayed mapped");
}

/* One message of n entries; how long a machine takes to ask for them, nobody knows. */
static void step_together(struct ft_run *run, const struct ft_file *file, unsigned int n)
{
	const struct fw_stats *stats = fw_channel_stats(run->channel);
	uint64_t before = stats->batch[DAX_OP_MAP][n];

	map_together(run, file, n, 50);
	if (run->options->shmem)
		return;
	for (unsigned int ms = 100; ms <= 3200 && stats->batch[DAX_OP_MAP][n] == before; ms *= 2)
		map_together(run, file, n, ms);
	ft_check(run, stats->batch[DAX_OP_MAP][n] > before, "no message carried %u mappings", n);
}

/* Thirty-two at once: while the first message waits, the others gather in full ones. */
static void step_batches(struct ft_run *run, const struct ft_file *file)
{
	const struct fw_stats *stats = fw_channel_stats(run->channel);
	uint64_t before = stats->messages[DAX_OP_MAP];
	struct fu_request *requests[32];
	struct fuse_removemapping_one all = {0, 32 * (uint64_t)FT_PAGE};

	fw_channel_fault(run->channel, FW_FAULT_DELAY, 0, 200);
	for (unsigned int i = 0; i < 32; i++)
		requests[i] = fu_send_map(run->client, file->nodeid, i * (uint64_t)FT_PAGE, FT_PAGE,
			FT_RW, i * (uint64_t)FT_PAGE);
	for (unsigned int i = 0; i < 32; i++)
		ft_check(run,
			requests[i] && !fu_wait(run->client, requests[i], WAIT_MS, NULL, 0, NULL),
			"mapping %u of 32", i);
	loads(run, 0, file, 0, 32, "batches");
	before = stats->messages[DAX_OP_MAP] - before;
	if (!run->options->shmem)
		ft_check(run, before <= 5, "32 mappings took %llu messages",
			(unsigned long long)before);
	ft_check(run, fu_unmap(run->client, file->nodeid, &all, 1) == 0, "unmapping 32");
	ft_check(run, fw_window_mapped(run->window) == 0, "something stayed mapped");
}

static void step_many_unmaps(struct ft_run *run, const struct ft_file *file)
{
	const struct fw_stats *stats = fw_channel_stats(run->channel);
	struct fuse_removemapping_one ones[UNITS * 16];
	uint64_t before;
	int r = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(ones); i++) {
		/* Files' pages backwards, so that no two mappings are one. */
		uint64_t at = i * (uint64_t)FT_PAGE, from = file->size - at - FT_PAGE;

		ones[i] = (struct fuse_removemapping_one){at, FT_PAGE};
		if (r == 0)
			r = fu_map(run->client, file->nodeid, from, FT_PAGE, FT_RO, at);
	}
	ft_check(run, r == 0, "256 mappings: %s", ft_result(r));
	before = stats->messages[DAX_OP_UNMAP];
	r = fu_unmap(run->client, file->nodeid, ones, ARRAY_SIZE(ones));
	ft_check(run, r == 0, "256 unmappings: %s", ft_result(r));
	before = stats->messages[DAX_OP_UNMAP] - before;
	ft_check(run, before == (run->options->shmem ? 256u : 32u),
		"256 unmappings took %llu messages", (unsigned long long)before);
	ft_check(run, fw_window_mapped(run->window) == 0, "something stayed mapped");
}

static void step_stores(struct ft_run *run, const struct ft_file *file)
{
	uint8_t wanted[FT_PAGE], got[FT_PAGE];
	uint64_t at = 3 * (uint64_t)FT_PAGE;

	memset(wanted, 0x5a, sizeof(wanted));
	ft_check(run, fu_map(run->client, file->nodeid, 0, UNIT, FT_RW, UNIT) == 0, "a mapping");
	ft_check(run, fw_window_store(run->window, UNIT + at, wanted, FT_PAGE) == 0, "a store");
	ft_check(run,
		fu_read(run->client, file->nodeid, file->fh, at, got, FT_PAGE) == (int)FT_PAGE &&
			!memcmp(wanted, got, FT_PAGE),
		"READ does not see what was stored");
	ft_pattern(run, file->number, 3, wanted);
	ft_check(run,
		fu_write(run->client, file->nodeid, file->fh, at, wanted, FT_PAGE) == (int)FT_PAGE,
		"WRITE beside a mapping");
	loads(run, UNIT, file, 0, UNIT / FT_PAGE, "what WRITE wrote");
	ft_check(run, unmap(run, file, UNIT, UNIT) == 0, "unmapping");
}

/* As Linux does: mapped for reading, then the same place again for both; and back. */
static void step_upgrade(struct ft_run *run, const struct ft_file *file)
{
	uint8_t page[FT_PAGE];

	ft_pattern(run, file->number, 0, page);
	ft_check(run, fu_map(run->client, file->nodeid, 0, UNIT, FT_RO, 0) == 0, "a mapping");
	/* In shmem, where no map goes over another, a back-end may map for both from the start. */
	if (!run->options->shmem)
		ft_check(run, fw_window_store(run->window, 0, page, FT_PAGE) == -EFAULT,
			"a mapping for reading takes a store");
	ft_check(run, fu_map(run->client, file->nodeid, 0, UNIT, FT_RW, 0) == 0, "the upgrade");
	ft_check(run, fw_window_store(run->window, 0, page, FT_PAGE) == 0,
		"an upgraded mapping takes no store");
	loads(run, 0, file, 0, UNIT / FT_PAGE, "upgrade");
	ft_check(run, fu_map(run->client, file->nodeid, 0, UNIT, FT_RO, 0) == 0, "the downgrade");
	if (!run->options->shmem)
		ft_check(run, fw_window_store(run->window, 0, page, FT_PAGE) == -EFAULT,
			"a downgraded mapping takes a store");
	loads(run, 0, file, 0, UNIT / FT_PAGE, "downgrade");
	ft_check(run, unmap(run, file, 0, UNIT) == 0, "unmapping");
	ft_check(run, fw_window_mapped(run->window) == 0, "something stayed mapped");
}

static void step_overlap(struct ft_run *run, const struct ft_file *a, const struct ft_file *b)
{
	const uint64_t page = FT_PAGE;

	ft_check(run, fu_map(run->client, a->nodeid, 0, UNIT, FT_RO, 0) == 0, "a mapping");
	ft_check(run, fu_map(run->client, b->nodeid, 2 * page, 4 * page, FT_RW, 6 * page) == 0,
		"a mapping over a part of another");
	loads(run, 0, a, 0, 6, "overlap, before");
	loads(run, 6 * page, b, 2, 4, "overlap");
	loads(run, 10 * page, a, 10, 6, "overlap, behind");
	ft_check(run, unmap(run, a, 4 * page, 4 * page) == 0, "unmapping parts of two");
	loads(run, 0, a, 0, 4, "split, before");
	for (uint64_t i = 4; i < 8; i++)
		ft_check(run, faults(run, i * page), "unmapped in the middle, but still there");
	loads(run, 8 * page, b, 4, 2, "split");
	loads(run, 10 * page, a, 10, 6, "split, behind");
	ft_check(run, unmap(run, a, 0, UNIT) == 0, "unmapping what is full of holes");
	ft_check(run, fw_window_mapped(run->window) == 0, "something stayed mapped");
}

static void step_tail(struct ft_run *run)
{
	const uint64_t size = 12 * (uint64_t)FT_PAGE + 1234;
	uint8_t page[FT_PAGE], wanted[FT_PAGE];
	struct ft_file file;
	int r;

	if (ft_file_make(run, &file, 9, size) < 0)
		return;
	r = fu_map(run->client, file.nodeid, 0, UNIT, FT_RW, 0);
	if (ft_check(run, r == 0, "mapping past an odd end: %s", ft_result(r))) {
		ft_pattern(run, 9, 12, wanted);
		memset(wanted + 1234, 0, FT_PAGE - 1234);
		loads(run, 0, &file, 0, 12, "odd tail");
		r = fw_window_load(run->window, 12 * (uint64_t)FT_PAGE, page, FT_PAGE);
		ft_check(run, r == 0 && !memcmp(page, wanted, FT_PAGE), "the odd tail: %s",
			ft_result(r));
		ft_check(run, !fw_window_store(run->window, size - 1, "\x42", 1), "a last byte");
		ft_check(run,
			fu_read(run->client, file.nodeid, file.fh, size - 1, page, FT_PAGE) == 1 &&
				page[0] == 0x42,
			"the last byte, or the size, is wrong after a store");
		ft_check(run, unmap(run, &file, 0, UNIT) == 0, "unmapping");
	}
	ft_file_drop(run, &file);
}

/* READ and WRITE whose buffer is the window itself. */
static void step_inside(struct ft_run *run, const struct ft_file *a, const struct ft_file *b)
{
	bool can = dax_dialect_code(run->options->dialect, DAX_OP_IO) || run->regions;
	uint64_t gpa = fw_window_gpa(run->window);
	uint8_t page[FT_PAGE], wanted[FT_PAGE];
	int r;

	ft_check(run, fu_map(run->client, a->nodeid, 0, UNIT, FT_RW, 0) == 0, "a mapping");
	r = fu_io_at(run->client, true, b->nodeid, b->fh, 0, gpa + FT_PAGE, FT_PAGE);
	ft_check(run, r == (can ? (int)FT_PAGE : -EFAULT), "WRITE out of the window: %s",
		ft_result(r));
	if (can) {
		ft_pattern(run, a->number, 1, wanted);
		r = fu_read(run->client, b->nodeid, b->fh, 0, page, FT_PAGE);
		ft_check(run, r == (int)FT_PAGE && !memcmp(page, wanted, FT_PAGE),
			"WRITE out of the window wrote other bytes");
	}
	r = fu_io_at(run->client, false, b->nodeid, b->fh, FT_PAGE, gpa + 2 * FT_PAGE, FT_PAGE);
	ft_check(run, r == (can ? (int)FT_PAGE : -EFAULT), "READ into the window: %s",
		ft_result(r));
	if (can)
		loads(run, 2 * FT_PAGE, b, 1, 1, "READ into the window");
	ft_check(run, fu_io_at(run->client, false, b->nodeid, b->fh, 0, gpa + 64 * FT_PAGE, 64) < 0,
		"READ into a hole of the window");
	ft_check(run, unmap(run, a, 0, UNIT) == 0, "unmapping");
	for (unsigned int i = 0; i < 3; i++) {
		ft_pattern(run, a->number, i, page);
		(void)fu_write(run->client, a->nodeid, a->fh, i * FT_PAGE, page, FT_PAGE);
		ft_pattern(run, b->number, i, page);
		(void)fu_write(run->client, b->nodeid, b->fh, i * FT_PAGE, page, FT_PAGE);
	}
}

/* What no guest may ask; what is mapped stays. */
static void step_bad(struct ft_run *run, const struct ft_file *file)
{
	static const struct {
		uint64_t foffset, len, flags, moffset;
	} bad[] = {
		{1, FT_PAGE, FT_RO, UNIT},
		{0, FT_PAGE, FT_RO, UNIT + 1},
		{0, 0, FT_RO, UNIT},
		{0, FT_PAGE, FT_RO, UINT64_MAX - FT_PAGE + 1},
		{UINT64_MAX - FT_PAGE + 1, 2 * FT_PAGE, FT_RO, UNIT},
		{0, UINT64_C(1) << 63, FT_RO, UNIT},
		{0, FT_PAGE, FT_RO | UINT64_C(1) << 60, UNIT},
	};
	int r;

	ft_check(run, fu_map(run->client, file->nodeid, 0, UNIT, FT_RO, 0) == 0, "a mapping");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		r = fu_map(run->client, file->nodeid, bad[i].foffset, bad[i].len, bad[i].flags,
			bad[i].moffset);
		ft_check(run, r < 0 && r > FU_TIMEOUT, "bad mapping %u: %s", i, ft_result(r));
	}
	r = fu_map(run->client, file->nodeid, 0, FT_PAGE, FT_RO, fw_window_size(run->window));
	ft_check(run, r < 0 && r > FU_TIMEOUT, "a mapping beyond the window: %s", ft_result(r));
	r = fu_map(run->client, FUSE_ROOT_ID, 0, FT_PAGE, FT_RO, UNIT);
	ft_check(run, r < 0 && r > FU_TIMEOUT, "a mapping of a directory: %s", ft_result(r));
	r = unmap(run, file, fw_window_size(run->window), FT_PAGE);
	ft_check(run, r < 0 && r > FU_TIMEOUT, "unmapping beyond the window: %s", ft_result(r));
	loads(run, 0, file, 0, UNIT / FT_PAGE, "after bad requests");
	ft_check(run, fw_window_mapped(run->window) == UNIT, "bad requests changed the window");
	ft_check(run, unmap(run, file, 0, UNIT) == 0, "unmapping");
}

static void step_destroy(struct ft_run *run, const struct ft_file *file)
{
	for (uint64_t i = 0; i < 8; i++)
		ft_check(run,
			fu_map(run->client, file->nodeid, i * UNIT, UNIT, FT_RO, 2 * i * UNIT) == 0,
			"a mapping");
	ft_check(run, fw_window_mapped(run->window) == 8 * UNIT, "what is mapped");
	ft_check(run, fu_destroy(run->client) == 0, "DESTROY");
	ft_check(run, ft_wait_unmapped(run, 5000), "the session's end leaves mappings");
}

static void steps(struct ft_run *run, const struct ft_file *a, const struct ft_file *b)
{
	for (unsigned int n = 1; n <= DAX_BATCH_MAX; n++)
		step_together(run, a, n);
	step_batches(run, a);
	step_many_unmaps(run, a);
	step_stores(run, a);
	step_upgrade(run, b);
	step_overlap(run, a, b);
	step_tail(run);
	step_inside(run, a, b);
	step_bad(run, a);
}

enum ft_exit ft_verify(struct ft_run *run)
{
	struct ft_file a = {0}, b = {0};
	int r;

	if (ft_file_make(run, &a, 1, UNITS * UNIT) < 0 ||
		ft_file_make(run, &b, 2, UNITS * UNIT) < 0) {
		ft_file_drop(run, &a);
		return ft_no_files(run);
	}
	r = fu_map(run->client, a.nodeid, 0, UNIT, FT_RO, 0);
	if (r == -ENOSYS || r == -EOPNOTSUPP || r <= FU_TIMEOUT) {
		ft_error(run,
			"the back-end maps nothing: %s: another --dialect, or its log says why",
			ft_result(r));
		ft_file_drop(run, &a);
		ft_file_drop(run, &b);
		return FT_EXIT_PROTOCOL;
	}
	if (ft_check(run, r == 0, "the first mapping: %s", ft_result(r))) {
		ft_check(run, unmap(run, &a, 0, UNIT) == 0, "the first unmapping");
		steps(run, &a, &b);
		ft_random_ops(run);
	}
	ft_file_drop(run, &b);
	/* An unlinked file stays mappable while it is open; the session's end closes it. */
	ft_check(run, fu_unlink(run->client, FUSE_ROOT_ID, a.name) == 0, "unlinking");
	if (r == 0)
		step_destroy(run, &a);
	ft_check(run, fw_channel_stats(run->channel)->malformed == 0, "malformed messages came");
	ft_check(run, fw_channel_stats(run->channel)->region_errors == 0, "regions were refused");
	return run->failures ? FT_EXIT_FAILED : FT_EXIT_OK;
}
