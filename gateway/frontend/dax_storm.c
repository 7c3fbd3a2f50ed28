/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * storm: how many mappings a second, in how few messages, and how long each takes.
 *
 * `depth` SETUPMAPPINGs are always in flight, each for a place of its own, as from many readers of
 * one file; each place is unmapped along with its neighbours once it was mapped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define PLACE   (16 * (uint64_t)FT_PAGE)
#define PLACES  4 /* of a lane: while one is asked for, others are mapped */
#define SAMPLES (1u << 20)
#define WAIT_MS 20000

struct lane {
	struct fu_request *request;
	uint64_t sent_ns;
	unsigned int mapped; /* places from the lane's first on */
	bool unmapping;
};

struct storm {
	struct lane lanes[FU_DEPTH_MAX];
	struct ft_file file;
	uint32_t *samples; /* ns of each mapping, the last SAMPLES of them */
	uint64_t n_samples, errors;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void lane_send(struct ft_run *run, struct storm *storm, unsigned int index)
{
	struct lane *lane = &storm->lanes[index];
	uint64_t first = index * PLACES * PLACE;

	lane->unmapping = lane->mapped == PLACES;
	lane->sent_ns = now_ns();
	if (lane->unmapping) {
		struct fuse_removemapping_one ones[PLACES];

		for (unsigned int i = 0; i < PLACES; i++)
			ones[i] = (struct fuse_removemapping_one){first + i * PLACE, PLACE};
		lane->request = fu_send_unmap(run->client, storm->file.nodeid, ones, PLACES);
	} else
		lane->request = fu_send_map(run->client, storm->file.nodeid,
			lane->mapped * 2 * PLACE, PLACE, FT_RW, first + lane->mapped * PLACE);
}

static void lane_take(struct ft_run *run, struct storm *storm, struct lane *lane)
{
	int r = fu_wait(run->client, lane->request, WAIT_MS, NULL, 0, NULL);

	lane->request = NULL;
	storm->errors += r < 0;
	if (lane->unmapping)
		lane->mapped = 0;
	else {
		uint64_t ns = now_ns() - lane->sent_ns;

		storm->samples[storm->n_samples++ % SAMPLES] = (uint32_t)MIN(ns, UINT32_MAX);
		lane->mapped++;
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void evaluate(struct ft_run *run, struct storm *storm, double seconds)
{
	uint64_t n = MIN(storm->n_samples, SAMPLES), sum = 0;

	if (!n)
		return;
	qsort(storm->samples, n, sizeof(storm->samples[0]), by_value);
	for (uint64_t i = 0; i < n; i++)
		sum += storm->samples[i];
	run->operations = storm->n_samples;
	run->per_second = (double)storm->n_samples / seconds;
	run->mean_us = (double)sum / (double)n / 1000;
	run->p50_us = (double)storm->samples[n / 2] / 1000;
	run->p99_us = (double)storm->samples[n * 99 / 100] / 1000;
}

/* A reply may have come while other lanes were looked at. */
static bool any_done(struct ft_run *run, const struct storm *storm)
{
	for (unsigned int i = 0; i < run->options->depth; i++)
		if (storm->lanes[i].request && fu_done(run->client, storm->lanes[i].request))
			return true;
	return false;
}

/* Keeps all lanes busy until the time is over, then waits for the last ones. */
static void blow(struct ft_run *run, struct storm *storm)
{
	uint64_t end = now_ns() + run->options->seconds * UINT64_C(1000000000);
	unsigned int depth = run->options->depth, busy;

	do {
		bool over = now_ns() >= end;

		busy = 0;
		for (unsigned int i = 0; i < depth; i++) {
			struct lane *lane = &storm->lanes[i];

			if (lane->request && fu_done(run->client, lane->request))
				lane_take(run, storm, lane);
			if (!lane->request && !over)
				lane_send(run, storm, i);
			busy += lane->request != NULL;
		}
		if (busy && !any_done(run, storm) && fu_wait_any(run->client, WAIT_MS) < 0) {
			storm->errors++;
			return;
		}
		ft_progress(run, "%llu mappings", (unsigned long long)storm->n_samples);
	} while (busy);
}

enum ft_exit ft_storm(struct ft_run *run)
{
	struct storm *storm = calloc(1, sizeof(*storm));
	uint64_t began;
	int r = -ENOMEM;

	if (storm)
		storm->samples = calloc(SAMPLES, sizeof(storm->samples[0]));
	if (storm && storm->samples &&
		ft_check(run, fw_window_size(run->window) >= run->options->depth * PLACES * PLACE,
			"the window is too small for this depth"))
		r = ft_file_make(run, &storm->file, 1, 2 * PLACES * PLACE);
	if (r == 0) {
		began = now_ns();
		blow(run, storm);
		evaluate(run, storm, (double)(now_ns() - began) / 1e9);
		ft_check(run, storm->errors == 0, "%llu requests failed",
			(unsigned long long)storm->errors);
		ft_file_drop(run, &storm->file);
		ft_check(run, fu_destroy(run->client) == 0, "DESTROY");
		ft_check(run, ft_wait_unmapped(run, 5000), "the session's end leaves mappings");
	}
	if (storm)
		free(storm->samples);
	free(storm);
	if (r < 0 && !run->failures)
		return ft_no_files(run);
	return run->failures ? FT_EXIT_FAILED : FT_EXIT_OK;
}
