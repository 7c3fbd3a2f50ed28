/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault: a front-end that errs once, while eight mappings are asked for together.
 *
 * Who is hurt must be exactly who the error is about: each scenario says what becomes of the fifth
 * mapping and of the other seven, and after it files are read and written as before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define PLACE     (16 * (uint64_t)FT_PAGE)
#define N         8u
#define HURT      4u /* of the eight */
#define WAIT_MS   20000
#define LATE_MS   1000
#define AT_ONCE   500 /* ms */
#define SPARE_GPA UINT64_C(0x800000000)

struct eight {
	struct ft_file file;
	struct fu_request *requests[N];
	int results[N];
	int first[N]; /* before anything was tried again */
	int64_t sent;
};

static void send_eight(struct ft_run *run, struct eight *eight)
{
	eight->sent = vu_now_ms();
	for (unsigned int i = 0; i < N; i++)
		eight->requests[i] = fu_send_map(
			run->client, eight->file.nodeid, i * PLACE, PLACE, FT_RW, i * PLACE);
}

static void wait_eight(struct ft_run *run, struct eight *eight)
{
	for (unsigned int i = 0; i < N; i++)
		eight->results[i] = eight->requests[i] ? fu_wait(run->client, eight->requests[i],
								 WAIT_MS, NULL, 0, NULL)
						       : FU_NO_ROOM;
	memcpy(eight->first, eight->results, sizeof(eight->first));
}

/* A mapping that succeeded shows the file, one that failed shows nothing. */
static void look(struct ft_run *run, const struct eight *eight)
{
	uint8_t wanted[FT_PAGE], got[FT_PAGE];

	for (unsigned int i = 0; i < N; i++) {
		int r = fw_window_load(run->window, i * PLACE, got, FT_PAGE);

		ft_pattern(run, eight->file.number, i * PLACE / FT_PAGE, wanted);
		if (eight->results[i] == 0)
			ft_check(run, r == 0 && !memcmp(wanted, got, FT_PAGE),
				"mapping %u was made, but is not there", i + 1);
		else if (run->options->fault == FW_FAULT_REFUSE)
			ft_check(run, r == -EFAULT, "mapping %u failed, but is there", i + 1);
	}
}

static void goes_on(struct ft_run *run, const struct eight *eight)
{
	uint8_t wanted[FT_PAGE], got[FT_PAGE];

	ft_pattern(run, eight->file.number, 1, wanted);
	ft_check(run, fu_ping(run->client) == 0, "GETATTR after the fault");
	ft_check(run,
		fu_write(run->client, eight->file.nodeid, eight->file.fh, FT_PAGE, wanted,
			FT_PAGE) == (int)FT_PAGE,
		"WRITE after the fault");
	ft_check(run,
		fu_read(run->client, eight->file.nodeid, eight->file.fh, FT_PAGE, got, FT_PAGE) ==
				(int)FT_PAGE &&
			!memcmp(wanted, got, FT_PAGE),
		"READ after the fault");
}

/* ---- scenarios ---- */

static void all_succeed(struct ft_run *run, const struct eight *eight)
{
	for (unsigned int i = 0; i < N; i++)
		ft_check(run, eight->results[i] == 0, "mapping %u: %s", i + 1,
			ft_result(eight->results[i]));
	look(run, eight);
}

static void refuse(struct ft_run *run, struct eight *eight)
{
	send_eight(run, eight);
	wait_eight(run, eight);
	for (unsigned int i = 0; i < N; i++)
		ft_check(run, eight->results[i] == (i == HURT ? -ENOSPC : 0), "mapping %u: %s",
			i + 1, ft_result(eight->results[i]));
	look(run, eight);
	/* It was refused for good; now it is not. */
	fw_channel_fault(run->channel, FW_FAULT_NONE, 0, 0);
	eight->results[HURT] =
		fu_map(run->client, eight->file.nodeid, HURT * PLACE, PLACE, FT_RW, HURT * PLACE);
	all_succeed(run, eight);
}

static void wait_for_fault(const struct ft_run *run)
{
	int64_t end = vu_now_ms() + WAIT_MS;

	while (fw_channel_stats(run->channel)->faults == 0 && vu_now_ms() < end)
		(void)fu_wait_any(run->client, 1);
}

/* What the main connection is asked meanwhile is answered at once. */
static void main_connection_lives(struct ft_run *run)
{
	int64_t began = vu_now_ms();
	uint16_t base = 0;
	int slot, r;

	pthread_mutex_lock(&run->lock);
	slot = vu_frontend_add_memory(run->fe, SPARE_GPA, 1u << 20);
	ft_check(run, slot >= 0, "memory could not be added meanwhile: %s", ft_result(slot));
	r = slot < 0 ? slot : vu_frontend_remove_memory(run->fe, slot);
	ft_check(run, r == 0, "memory could not be removed meanwhile: %s", ft_result(r));
	r = vu_frontend_ring_stop(run->fe, FU_QUEUE, &base);
	ft_check(run, r == 0, "GET_VRING_BASE meanwhile: %s", ft_result(r));
	ft_check(run, vu_now_ms() - began < AT_ONCE, "the main connection took %lld ms",
		(long long)(vu_now_ms() - began));
	if (r == 0)
		r = vu_frontend_ring_resume(run->fe, FU_QUEUE, base);
	ft_check(run, r == 0, "the ring did not start again: %s", ft_result(r));
	pthread_mutex_unlock(&run->lock);
}

static void delay(struct ft_run *run, struct eight *eight)
{
	send_eight(run, eight);
	wait_for_fault(run);
	ft_check(run, fu_ping(run->client) == 0 && vu_now_ms() - eight->sent < LATE_MS,
		"GETATTR waits for a late answer");
	main_connection_lives(run);
	wait_eight(run, eight);
	ft_check(run, vu_now_ms() - eight->sent >= LATE_MS, "nothing waited for a late answer");
	all_succeed(run, eight);
}

static void late_region(struct ft_run *run, struct eight *eight)
{
	int r;

	send_eight(run, eight);
	r = fu_wait(run->client, eight->requests[HURT], WAIT_MS, NULL, 0, NULL);
	ft_check(run, !run->regions || vu_now_ms() - eight->sent >= LATE_MS,
		"a mapping was there before its memory region");
	eight->requests[HURT] = NULL;
	wait_eight(run, eight);
	eight->results[HURT] = eight->first[HURT] = r;
	all_succeed(run, eight);
}

/* The channel is of no more use: who waits gets an errno, and so does who comes later. */
static void channel_lost(struct ft_run *run, struct eight *eight)
{
	int64_t limit = run->options->fault == FW_FAULT_DROP ? 15000 : 5000;

	send_eight(run, eight);
	wait_for_fault(run);
	ft_check(run, fu_ping(run->client) == 0, "GETATTR meanwhile");
	wait_eight(run, eight);
	ft_check(run, vu_now_ms() - eight->sent < limit, "it took %lld ms",
		(long long)(vu_now_ms() - eight->sent));
	ft_check(run, eight->results[HURT] < 0 && eight->results[HURT] > FU_TIMEOUT,
		"mapping %u: %s", HURT + 1, ft_result(eight->results[HURT]));
	for (unsigned int i = 0; i < N; i++)
		ft_check(run, eight->results[i] > FU_TIMEOUT, "mapping %u: %s", i + 1,
			ft_result(eight->results[i]));
	if (run->options->fault != FW_FAULT_DROP)
		ft_check(run,
			fu_map(run->client, eight->file.nodeid, 0, PLACE, FT_RO, N * PLACE) < 0,
			"a mapping was made without a channel");
}

/* One line: which of the eight were made, and what was served all the same. */
static void tell(const struct ft_run *run, const struct eight *eight, bool served)
{
	unsigned int made = N;

	fprintf(stderr, "%s:", ft_fault_name(run->options->fault));
	for (unsigned int i = 0; i < N; i++) {
		if (eight->first[i] == 0)
			continue;
		fprintf(stderr, "%s %u (%s)", made == N ? " failed: mapping" : ",", i + 1,
			ft_result(eight->first[i]));
		made--;
	}
	fprintf(stderr, "%s made: %u of %u mappings; GETATTR, READ and WRITE after it %s\n",
		made < N ? ";" : "", made, N, served ? "were not hurt" : "were HURT");
}

enum ft_exit ft_fault(struct ft_run *run)
{
	static void (*const scenarios[FW_FAULTS])(struct ft_run *, struct eight *) = {
		[FW_FAULT_REFUSE] = refuse,
		[FW_FAULT_DELAY] = delay,
		[FW_FAULT_ACK_LATE_REGION] = late_region,
		[FW_FAULT_DROP] = channel_lost,
		[FW_FAULT_SHORT] = channel_lost,
		[FW_FAULT_DIE] = channel_lost,
	};
	struct eight eight = {0};
	uint64_t failures;

	if (ft_file_make(run, &eight.file, 1, N * PLACE) < 0)
		return ft_no_files(run);
	fw_channel_fault(run->channel, run->options->fault, HURT * PLACE, LATE_MS);
	scenarios[run->options->fault](run, &eight);
	ft_check(run, fw_channel_stats(run->channel)->faults > 0, "the fault was never committed");
	failures = run->failures;
	goes_on(run, &eight);
	tell(run, &eight, run->failures == failures);
	ft_file_drop(run, &eight.file);
	ft_check(run, fu_destroy(run->client) == 0, "DESTROY after the fault");
	return run->failures ? FT_EXIT_FAILED : FT_EXIT_OK;
}
