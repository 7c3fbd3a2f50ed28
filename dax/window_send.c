/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of the window: which steps go out together, and what their answer means.
 *
 * A step is sent when no step ahead of it, queued or unanswered, touches its range: so a range's
 * steps have their effect in order, whatever else overtakes them, and when an answer comes nothing
 * that depends on it has been sent. Where a message carries eight, one is under way at a time, and
 * what is queued meanwhile fills the next; where it carries one, eight are.
 *
 * An unanswered MAP that nobody waits for any more is in doubt: its range stays taken until the
 * late answer, and is then unmapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dax/window_private.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* How many steps that must wait a search for one that need not looks past. */
#define SKIP_MAX 128

static bool has_range(const struct step *step)
{
	return step->kind != STEP_IO && step->kind != STEP_WAIT;
}

static bool touches(const struct step *step, struct step *const *others, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_range(others[i]) && ranges_overlap(&step->entry, &others[i]->entry))
			return true;
	return false;
}

/* True when something unanswered touches the range of the step. */
static bool busy(const struct dax_window *w, const struct step *step)
{
	for (size_t i = 0; i < w->n_messages; i++)
		if (touches(step, w->messages[i].steps, w->messages[i].n))
			return true;
	for (struct step *other = w->waiting.first; other; other = other->next)
		if (touches(step, &other, 1))
			return true;
	return false;
}

static bool joins(const struct step *step, const struct message *message)
{
	const struct step *first = message->steps[0];

	if (message->n == 0)
		return true;
	if (step->kind != first->kind || step->single)
		return false;
	return step->kind != STEP_MAP ||
	       (step->key == first->key && !(step->entry.access & ~first->map->file->access));
}

static size_t batch_of(const struct dax_window *w, const struct step *first)
{
	return w->singles || first->single || first->kind == STEP_IO ? 1 : w->batch;
}

static bool may_go(const struct dax_window *w, const struct step *step)
{
	if (step->kind == STEP_WAIT)
		return false;
	if (step->kind == STEP_IO)
		return true;
	if (w->exact && step->kind == STEP_MAP && w->n_held >= w->config.maps_max)
		return false;
	return !busy(w, step);
}

/* The steps of the next message; they stay in the queue. */
static void choose(const struct dax_window *w, struct message *message)
{
	struct step *skipped[SKIP_MAX];
	size_t n_skipped = 0;

	message->n = 0;
	for (struct step *step = w->queue.first; step; step = step->next) {
		bool ranged = has_range(step);

		if (!joins(step, message) || !may_go(w, step) ||
			(ranged && (touches(step, skipped, n_skipped) ||
					   touches(step, message->steps, message->n)))) {
			if (!ranged)
				continue;
			if (n_skipped == SKIP_MAX)
				return;
			skipped[n_skipped++] = step;
			continue;
		}
		message->steps[message->n++] = step;
		if (message->n == batch_of(w, message->steps[0]))
			return;
	}
}

static int fd_of(const struct step *step)
{
	if (step->kind == STEP_MAP)
		return step->map->file->fd;
	return step->kind == STEP_IO ? step->file->fd : -1;
}

/* Takes the steps of the message, which is in the channel now, out of the queue. */
static void sent(struct dax_window *w, const struct message *message)
{
	enum step_kind kind = message->steps[0]->kind;
	size_t left = message->n;

	for (struct step **at = &w->queue.first; left;) {
		struct step *step = *at;

		if (step != message->steps[message->n - left]) {
			at = &step->next;
			continue;
		}
		left--;
		steps_unlink(&w->queue, at);
		if (kind == STEP_UNMAP && step->entry.len == UINT64_MAX)
			w->dirty = false;
		if (kind != STEP_MAP)
			continue;
		step->map->state = MAPPING_SENT;
		w->dirty = true;
		if (w->exact)
			window_hold(w, step->map);
	}
	w->messages[w->n_messages++] = *message;
	w->counters.messages[kind]++;
	w->counters.entries[kind] += message->n;
	w->counters.in_flight_max = MAX(w->counters.in_flight_max, w->n_messages);
}

int window_send(struct dax_window *w)
{
	size_t limit = w->exact ? DAX_BATCH_MAX : 1;

	while (w->running && w->n_messages < limit) {
		struct message message = {.cookie = w->cookie + 1};
		struct dax_entry entries[DAX_BATCH_MAX];
		uint8_t payload[DAX_PAYLOAD_MAX];
		enum dax_op op;
		size_t size;
		int err;

		choose(w, &message);
		if (message.n == 0)
			return 0;
		op = (enum dax_op)message.steps[0]->kind;
		for (size_t i = 0; i < message.n; i++)
			entries[i] = message.steps[i]->entry;
		err = dax_encode(w->config.dialect, op, entries, message.n, payload, &size);
		if (!err)
			err = vu_channel_send(w->channel, dax_dialect_code(w->config.dialect, op),
				payload, size, fd_of(message.steps[0]), message.cookie);
		if (err)
			return err == -EAGAIN ? 0 : err;
		w->cookie++;
		message.deadline = window_now(w) + DAX_ANSWER_MS;
		sent(w, &message);
	}
	return 0;
}

/* The front-end's value as an error: a negative errno, or something that tells nothing. */
static int error_of(uint64_t value)
{
	return value == 0 ? 0 : value >= (uint64_t)-4095 ? (int)(int64_t)value : -EIO;
}

void window_clean(struct dax_window *w, struct step *step)
{
	window_verdict(w, step, false);
	step->kind = STEP_UNMAP;
	step->cleaning = true;
	step->op = NULL;
	step->entry.access = 0;
	step->entry.fd_offset = w->exact ? step->entry.fd_offset : 0;
	if (!w->exact) {
		window_mapping_put(step->map);
		step->map = NULL;
	}
	steps_push_first(&w->queue, step);
}

/* A mapping is made, and so is what waits for that. */
static void live(struct dax_window *w, struct step *step)
{
	struct mapping *map = step->map, *parent = map->parent;
	struct step **at = &w->queue.first;

	map->state = MAPPING_LIVE;
	map->parent = NULL;
	window_mapping_put(parent);
	if (!w->exact) {
		window_file_put(map->file);
		map->file = NULL;
	}
	window_complete(w, step->op, 0);
	while (map->awaited && *at) {
		struct step *other = *at;

		if (other->kind != STEP_WAIT || other->map != map) {
			at = &other->next;
			continue;
		}
		steps_unlink(&w->queue, at);
		window_complete(w, other->op, 0);
		window_step_free(w, other, true);
	}
	window_step_free(w, step, true);
}

static void refused_map(struct dax_window *w, struct step *step, int error)
{
	bool clean = !w->exact && (step->map->replaces || step->single);

	log_guest("DAX window", "the front-end refused a mapping: %s", strerror(-error));
	if (error == -ENOSYS || error == -EOPNOTSUPP)
		w->impossible = true;
	window_complete(w, step->op, error);
	step->map->state = MAPPING_DEAD;
	window_release(w, step->map);
	if (clean)
		window_clean(w, step);
	else
		window_step_free(w, step, false);
	window_sweep(w, error);
}

static void answered_map(struct dax_window *w, struct step *step, int error)
{
	if (error) {
		refused_map(w, step, error);
	} else if (w->exact && w->regions && !step->map->region_seen) {
		step->deadline = window_now(w) + DAX_ANSWER_MS;
		steps_push(&w->waiting, step);
	} else {
		live(w, step);
	}
}

static void answered_io(struct dax_window *w, struct step *step, uint64_t value)
{
	int error = 0;

	if (value >= (uint64_t)-4095)
		error = error_of(value);
	else if (value > step->entry.len)
		error = -EIO;
	else if (step->op)
		step->op->bytes = value;
	window_complete(w, step->op, error);
	window_step_free(w, step, true);
}

/* The late answer of a message that nobody waits for. */
static void answered_late(struct dax_window *w, struct step *step, int error)
{
	if (step->kind == STEP_MAP && (!w->exact || !error)) {
		window_clean(w, step);
		return;
	}
	w->dirty |= error && step->kind == STEP_UNMAP;
	window_release(w, step->map);
	window_step_free(w, step, !error);
}

static void answered(
	struct dax_window *w, struct step *step, const struct message *message, uint64_t value)
{
	int error = error_of(value);

	if (message->in_doubt) {
		answered_late(w, step, error);
		return;
	}
	switch (step->kind) {
	case STEP_MAP:
		answered_map(w, step, error);
		return;
	case STEP_IO:
		answered_io(w, step, value);
		return;
	case STEP_UNMAP:
		/* Refused: the front-end knows of no such mapping. */
		window_release(w, step->map);
		w->dirty |= error != 0;
		break;
	case STEP_SYNC:
	case STEP_WAIT:
		break;
	}
	window_complete(w, step->op, step->cleaning ? 0 : error);
	window_step_free(w, step, !error);
}

/* A batch was refused: each of its entries gets a verdict of its own, before anything else. */
static void resend(struct dax_window *w, const struct message *message)
{
	int64_t deadline = window_now(w) + DAX_ANSWER_MS;

	w->probe_left = message->n;
	w->probe_failed = false;
	for (size_t i = message->n; i-- > 0;) {
		struct step *step = message->steps[i];

		step->single = true;
		step->deadline = deadline;
		if (step->kind == STEP_MAP)
			step->map->state = MAPPING_QUEUED;
		steps_push_first(&w->queue, step);
	}
}

void window_answer(struct dax_window *w, uint64_t cookie, uint64_t value)
{
	struct message message;
	const struct step *first;
	size_t i = 0;

	while (i < w->n_messages && w->messages[i].cookie != cookie)
		i++;
	if (i == w->n_messages)
		return;
	message = w->messages[i];
	w->n_messages--;
	memmove(&w->messages[i], &w->messages[i + 1], (w->n_messages - i) * sizeof(w->messages[0]));
	first = message.steps[0];
	/* Nobody waits for a session's mappings to end; a machine that was reset has none. */
	if (value && first->kind != STEP_IO && (first->kind != STEP_UNMAP || first->op))
		w->counters.refused++;
	if (!value && (first->kind == STEP_MAP || first->kind == STEP_UNMAP))
		w->changed = true;
	if (value && message.n > 1 && !(message.in_doubt && message.steps[0]->kind == STEP_MAP)) {
		resend(w, &message);
		return;
	}
	for (i = 0; i < message.n; i++)
		answered(w, message.steps[i], &message, value);
}

void window_take_regions(struct dax_window *w)
{
	struct step **at = &w->waiting.first;

	while (*at) {
		if ((*at)->map->region_seen)
			live(w, steps_unlink(&w->waiting, at));
		else
			at = &(*at)->next;
	}
}

void window_doubt(struct dax_window *w, struct message *message, int error)
{
	message->in_doubt = true;
	for (size_t i = 0; i < message->n; i++) {
		struct step *step = message->steps[i];

		window_complete(w, step->op, error);
		step->op = NULL;
		if (step->kind == STEP_MAP)
			step->map->state = MAPPING_DEAD;
	}
}
