/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window.
 *
 * One mutex guards a mapping table and a queue of steps. An operation (window_submit.c) is applied
 * to the table at once, which so is what will be when all that is queued has succeeded, and leaves
 * the steps that bring the front-end there: MAPs and UNMAPs of one range each. The main loop's
 * thread makes messages of them and takes the answers (window_send.c); where one fails, what was
 * built on it goes too (window_queue.c), and its range is unmapped for guests and front-end alike.
 *
 * Requests that are through are put on a list, and told when the lock is not held.
 *
 * Front-ends differ in one way that matters here. Those of the fs dialects replace pages: a MAP may
 * lie over another, an UNMAP may cut one. Others ("exact") refuse overlap and unmap what was
 * mapped, whole: there a replaced or cut mapping is ended, and what remains of it made anew, for
 * which it keeps its file.
 */
#include "dax/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dax/window_private.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"
#include "vhostuser/log.h"

int64_t window_now(const struct dax_window *w)
{
	return w->running ? vu_now_ms() : w->paused_at;
}

void window_complete(struct dax_window *w, struct dax_request *op, int error)
{
	if (!op)
		return;
	if (error && !op->error)
		op->error = error;
	if (--op->left)
		return;
	op->next = NULL;
	*w->done_last = op;
	w->done_last = &op->next;
}

/* Unlocks, and tells those whose operations are through. */
static void unlock_and_tell(struct dax_window *w)
{
	struct dax_request *op = w->done_first;

	w->done_first = NULL;
	w->done_last = &w->done_first;
	pthread_mutex_unlock(&w->lock);
	while (op) {
		struct dax_request *next = op->next;

		op->done(op, op->error);
		op = next;
	}
}

int dax_window_new(const struct dax_window_config *config, struct dax_window **window)
{
	struct dax_window *w;

	if (!config->dialect || config->size == 0 || config->size % DAX_ALIGN ||
		config->maps_max == 0)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	if (dax_table_init(&w->table, config->maps_max, window_mapping_get, window_mapping_put)) {
		free(w);
		return -ENOMEM;
	}
	w->config = *config;
	w->batch = dax_dialect_batch(config->dialect);
	w->exact = w->batch == 1;
	w->paused_at = vu_now_ms();
	w->done_last = &w->done_first;
	steps_init(&w->queue);
	steps_init(&w->waiting);
	pthread_mutex_init(&w->lock, NULL);
	*window = w;
	return 0;
}

/* Fails what waits for its region; the front-end has dropped the mapping, or is gone. */
static void drop_waiting(struct dax_window *w)
{
	while (w->waiting.first) {
		struct step *step = steps_unlink(&w->waiting, &w->waiting.first);

		step->map->state = MAPPING_DEAD;
		window_complete(w, step->op, -EIO);
		window_step_free(w, step, false);
	}
}

/* Forgets the front-end and all that was for it. Lock held. */
static void detach(struct dax_window *w)
{
	drop_waiting(w);
	for (size_t i = 0; i < w->n_messages; i++) {
		window_doubt(w, &w->messages[i], -EIO);
		for (size_t j = 0; j < w->messages[i].n; j++)
			window_step_free(w, w->messages[i].steps[j], false);
	}
	w->n_messages = 0;
	window_drop_queue(w, true);
	dax_table_clear(&w->table);
	while (w->held)
		window_release(w, w->held);
	vu_channel_free(w->channel);
	w->channel = NULL;
	w->regions = w->singles = w->impossible = w->dirty = w->broken = false;
	w->changed = w->placed = false;
}

void dax_window_free(struct dax_window *window)
{
	if (!window)
		return;
	pthread_mutex_lock(&window->lock);
	detach(window);
	unlock_and_tell(window);
	dax_table_fini(&window->table);
	pthread_mutex_destroy(&window->lock);
	free(window);
}

uint64_t dax_window_size(const struct dax_window *window)
{
	return window->config.size;
}

const struct dax_dialect *dax_window_dialect(const struct dax_window *window)
{
	return window->config.dialect;
}

void dax_window_attach(struct dax_window *window, struct vu_channel *channel, bool regions)
{
	pthread_mutex_lock(&window->lock);
	detach(window);
	window->channel = channel;
	window->regions = regions && window->exact;
	unlock_and_tell(window);
}

static void shift(struct steps *steps, int64_t by)
{
	for (struct step *step = steps->first; step; step = step->next)
		step->deadline += by;
}

void dax_window_set_running(struct dax_window *window, bool running)
{
	struct dax_window *w = window;

	pthread_mutex_lock(&w->lock);
	if (running && !w->running) {
		int64_t by = vu_now_ms() - w->paused_at;

		shift(&w->queue, by);
		shift(&w->waiting, by);
		for (size_t i = 0; i < w->n_messages; i++)
			w->messages[i].deadline += by;
	} else if (!running && w->running) {
		w->paused_at = vu_now_ms();
	}
	w->running = running;
	pthread_mutex_unlock(&w->lock);
	if (running)
		w->config.wake(w->config.ctx);
}

int window_take_answers(struct dax_window *w, const char **why)
{
	uint64_t cookie, value;
	int got;

	while ((got = vu_channel_receive(w->channel, &cookie, &value, why)) == 1)
		window_answer(w, cookie, value);
	return got;
}

static int earliest(const struct dax_window *w)
{
	int64_t first = INT64_MAX, now = window_now(w);

	for (size_t i = 0; i < w->n_messages; i++)
		if (!w->messages[i].in_doubt)
			first = MIN(first, w->messages[i].deadline);
	for (const struct step *step = w->waiting.first; step; step = step->next)
		first = MIN(first, step->deadline);
	for (const struct step *step = w->queue.first; step; step = step->next)
		if (step->op)
			first = MIN(first, step->deadline);
	if (!w->running || first == INT64_MAX)
		return -1;
	return (int)MAX(first - now, 0);
}

/* A front-end that goes away closes its channel too; nothing is wrong then. */
static void log_end(int err, const char *why)
{
	if (err == -ECONNRESET)
		log_info("DAX window", "the front-end closed its channel");
	else
		log_error("DAX window", "the front-end's channel is of no more use: %s",
			why ? why : strerror(-err));
}

int dax_window_run(struct dax_window *window, int *next_ms)
{
	struct dax_window *w = window;
	const char *why = NULL;
	int err = 0;

	*next_ms = -1;
	pthread_mutex_lock(&w->lock);
	if (w->channel) {
		err = window_take_answers(w, &why);
		window_take_regions(w);
		if (!err && w->running)
			window_expire(w, window_now(w));
		if (!err)
			err = window_send(w);
		if (!err && w->broken)
			err = -ENOMEM;
		if (err) {
			log_end(err, why);
			detach(w);
		} else {
			*next_ms = earliest(w);
		}
	}
	unlock_and_tell(w);
	return err;
}

int dax_window_fd(const struct dax_window *window)
{
	return window->channel ? vu_channel_fd(window->channel) : -1;
}

short dax_window_events(const struct dax_window *window)
{
	return window->channel ? vu_channel_events(window->channel) : 0;
}

/* The front-end drops its mappings itself; those that it may make yet stay in doubt. */
static void forget_held(struct dax_window *w)
{
	while (w->held)
		window_release(w, w->held);
	for (size_t i = 0; i < w->n_messages; i++)
		for (size_t j = 0; j < w->messages[i].n; j++)
			if (w->messages[i].steps[j]->kind == STEP_MAP)
				window_hold(w, w->messages[i].steps[j]->map);
}

void dax_window_reset(struct dax_window *window)
{
	struct dax_window *w = window;

	pthread_mutex_lock(&w->lock);
	drop_waiting(w);
	for (size_t i = 0; i < w->n_messages; i++)
		window_doubt(w, &w->messages[i], -EIO);
	window_drop_queue(w, true);
	if (w->exact) {
		dax_table_clear(&w->table);
		forget_held(w);
	} else {
		window_queue_unmap_all(w);
	}
	unlock_and_tell(w);
	w->config.wake(w->config.ctx);
}

void dax_unmap_all(struct dax_window *window)
{
	pthread_mutex_lock(&window->lock);
	window_drop_queue(window, !window->exact);
	window_queue_unmap_all(window);
	pthread_mutex_unlock(&window->lock);
	window->config.wake(window->config.ctx);
}
