/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row's run.
 *
 * Each queue has a thread that keeps its slots busy until the time is over, then waits for the last
 * replies. The first tenth of the time is for warming up and not counted. Meanwhile the main thread
 * looks whether the back-end is still there and whether anything moves, and tells how it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/bench_usage.h"
#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define LOOK_MS  200
#define STUCK_NS UINT64_C(20000000000)
#define WARM     10  /* of the time or count, its part */
#define WRONG    100 /* wrong replies that end a row */

/* A queue's thread. */
struct lane {
	struct fb_work *work;
	struct fb_queue *queue;
	pthread_t thread;
	bool started;
	uint64_t end_ns;  /* no operation begins after it; 0: by count */
	uint64_t left;    /* operations that may still begin, when by count */
	atomic_bool over; /* the thread's last word */
	_Atomic uint64_t done;
	struct fb_hist hist;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Begins the slot's next operation; false when there is none any more. */
static bool begin(struct lane *lane, struct fb_slot *slot, uint64_t now)
{
	if (lane->end_ns ? now >= lane->end_ns : !lane->left)
		return false;
	lane->left -= lane->left > 0;
	slot->began_ns = now;
	slot->step = 0;
	slot->turn++;
	lane->work->row->submit(lane->work, lane->queue, slot);
	return true;
}

/* One reply. True while its slot has something in flight. */
static bool step(struct lane *lane, struct fb_slot *slot)
{
	const struct fb_row *row = lane->work->row;
	uint32_t len = 0;
	int r = fb_slot_reply(slot, &len);
	uint64_t now = now_ns();
	enum fb_next next = FB_FAILED;

	if (r <= FU_TIMEOUT)
		(void)fb_wrong(lane->work, "%s", ft_result(r));
	else
		next = row->check(lane->work, lane->queue, slot, r, len);
	if (next == FB_MORE) {
		row->submit(lane->work, lane->queue, slot);
		return true;
	}
	if (next == FB_DONE) {
		fb_hist_add(&lane->hist, now - slot->began_ns);
		atomic_store_explicit(&lane->done, lane->hist.n, memory_order_relaxed);
	}
	if (atomic_load_explicit(&lane->work->failures, memory_order_relaxed) >= WRONG)
		return false;
	return begin(lane, slot, now);
}

static void *drive(void *ctx)
{
	struct lane *lane = ctx;
	unsigned int busy = 0;
	struct fb_slot *slot;
	int r = 0;

	for (unsigned int i = 0; i < lane->work->depth; i++)
		busy += begin(lane, &lane->queue->slots[i], now_ns());
	while (busy && r == 0) {
		while ((slot = fb_queue_take(lane->queue)) != NULL)
			busy -= !step(lane, slot);
		if (busy)
			r = fb_queue_wait(lane->queue, -1);
	}
	atomic_store(&lane->over, true);
	return NULL;
}

/* ---- the main thread ---- */

static void set_blocking(const struct fb_queue *queue, bool blocking)
{
	int flags = fcntl(queue->ring->call, F_GETFL);

	if (flags >= 0)
		(void)fcntl(queue->ring->call, F_SETFL,
			blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* Has all threads end, whatever they wait for. */
static void give_up(struct fb_device *device, const char *why)
{
	uint64_t one = 1;

	fb_device_error(device, "%s", why);
	atomic_store(&device->broken, true);
	for (unsigned int i = 0; i < device->n_queues; i++)
		(void)!write(device->queues[i].ring->call, &one, sizeof(one));
}

static uint64_t done_by(const struct lane *lanes, unsigned int n, bool *over)
{
	uint64_t sum = 0;

	*over = true;
	for (unsigned int i = 0; i < n; i++) {
		sum += atomic_load_explicit(&lanes[i].done, memory_order_relaxed);
		*over = *over && atomic_load(&lanes[i].over);
	}
	return sum;
}

static void watch(struct fb_work *work, const struct lane *lanes)
{
	uint64_t last = 0, moved = now_ns(), told = moved, now, done;
	bool over;

	for (unsigned int nap = 1;; nap = MIN(nap * 2, LOOK_MS)) {
		done = done_by(lanes, work->queues, &over);
		if (over)
			return;
		now = now_ns();
		if (done != last)
			moved = now;
		if (fb_device_gone(work->device))
			give_up(work->device, "the back-end went away or gave a queue up");
		else if (now - moved > STUCK_NS)
			give_up(work->device, "no reply in 20 seconds");
		if (now - told >= 1000000000u) {
			fprintf(stderr, "  %s: %llu operations/s\n", work->row->name,
				(unsigned long long)((done - last) * 1000000000u / (now - told)));
			told = now;
			last = done;
		}
		(void)poll(NULL, 0, (int)nap);
	}
}

/* Runs all lanes to their end. */
static int drive_all(struct fb_work *work, struct lane *lanes)
{
	int r = 0;

	for (unsigned int i = 0; i < work->queues; i++) {
		set_blocking(lanes[i].queue, true);
		lanes[i].queue->poll = work->device->options->poll;
	}
	for (unsigned int i = 0; i < work->queues && r == 0; i++) {
		r = -pthread_create(&lanes[i].thread, NULL, drive, &lanes[i]);
		lanes[i].started = r == 0;
	}
	if (r == 0)
		watch(work, lanes);
	else
		give_up(work->device, "no thread for a queue");
	for (unsigned int i = 0; i < work->queues; i++) {
		if (lanes[i].started)
			pthread_join(lanes[i].thread, NULL);
		set_blocking(lanes[i].queue, false);
		lanes[i].queue->poll = false;
	}
	return r < 0 ? r : atomic_load(&work->device->broken) ? FU_BROKEN : 0;
}

/* One phase: all lanes, for this part of the whole. */
static int phase(struct fb_work *work, struct lane *lanes, double part)
{
	const struct fb_options *o = work->device->options;
	unsigned int weight = work->row->weight ? work->row->weight : 1;
	uint64_t n = work->queues;
	uint64_t count = MAX((uint64_t)((double)o->count * part / weight), n);

	for (unsigned int i = 0; i < n; i++) {
		memset(&lanes[i], 0, sizeof(lanes[i]));
		lanes[i].work = work;
		lanes[i].queue = &work->device->queues[i];
		if (o->count)
			lanes[i].left = count / n + (i < count % n);
		else
			lanes[i].end_ns = now_ns() + (uint64_t)(o->seconds * part * 1e9);
	}
	return drive_all(work, lanes);
}

static void collect(struct fb_work *work, const struct lane *lanes, struct fb_result *result)
{
	unsigned int weight = work->row->weight ? work->row->weight : 1;

	for (unsigned int i = 0; i < work->queues; i++) {
		fb_hist_merge(&result->hist, &lanes[i].hist);
		result->kicks += lanes[i].queue->kicks;
		result->calls += lanes[i].queue->calls;
	}
	result->operations = result->hist.n * weight;
}

static int measure(struct fb_work *work, struct lane *lanes, struct fb_result *result)
{
	struct fb_usage before, after;
	pid_t pid = work->device->pid;
	uint64_t began;
	int r;

	r = phase(work, lanes, 1.0 / WARM);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < work->queues; i++)
		lanes[i].queue->kicks = lanes[i].queue->calls = 0;
	result->usage = pid > 0 && fb_usage_read(pid, &before) == 0;
	began = now_ns();
	r = phase(work, lanes, 1);
	result->seconds = (double)(now_ns() - began) / 1e9;
	result->usage = result->usage && fb_usage_read(pid, &after) == 0;
	if (result->usage) {
		result->cpu_ns = after.cpu_ns - before.cpu_ns;
		/* Those of a thread that ended are lost: see fb_usage. */
		result->switches = after.switches - MIN(before.switches, after.switches);
	}
	collect(work, lanes, result);
	return r;
}

static void number_slots(struct fb_work *work)
{
	for (unsigned int q = 0; q < work->queues; q++) {
		for (unsigned int i = 0; i < work->depth; i++) {
			struct fb_slot *slot = &work->device->queues[q].slots[i];

			slot->index = i * work->queues + q;
			slot->turn = 0;
		}
	}
}

int fb_run(struct fb_device *device, const struct fb_pick *pick, struct fb_result *result)
{
	const struct fb_row *row = pick->row;
	unsigned int depth = pick->depth ? pick->depth : device->options->depth;
	struct fb_work work = {.device = device,
		.row = row,
		.depth = MIN(depth * (row->times ? row->times : 1), FB_DEPTH_MAX),
		.queues = device->n_queues,
		.block =
			row->block && device->options->block ? device->options->block : row->block};
	struct lane *lanes = calloc(work.queues, sizeof(*lanes));
	int r = lanes ? 0 : -ENOMEM;

	work.slots = work.depth * work.queues;
	*result = (struct fb_result){
		.row = row, .depth = depth, .queues = work.queues, .block = work.block};
	number_slots(&work);
	if (r == 0)
		r = row->prepare(&work);
	if (r == 0)
		r = measure(&work, lanes, result);
	else
		fb_device_error(device, "%s: it was not prepared: %s", row->name, ft_result(r));
	if (!atomic_load(&device->broken))
		row->undo(&work);
	if (r == 0 && atomic_load(&device->broken)) {
		fb_device_error(device, "%s: the back-end went away at its end", row->name);
		r = FU_BROKEN;
	}
	result->failures = atomic_load(&work.failures);
	free(work.own);
	free(lanes);
	return r;
}
