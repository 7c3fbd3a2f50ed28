/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the window share; window.c says how they work together. */
#pragma once

#include <pthread.h>

#include "dax/table.h"
#include "dax/window.h"

/* Steps that may be queued by guests' operations; past it they fail with -ENOMEM. */
#define WINDOW_STEPS_MAX 16384

/*
 * A mapping, as one MAP entry makes it.
 *
 *     QUEUED --sent--> SENT --answered (and its region is there)--> LIVE
 *        |              |                                            |
 *        +---refused, timed out, the session is over----> DEAD       +--unmapped--> (freed)
 *
 * DEAD: its MAP is of no more use, and so are steps that were to follow it.
 */
enum mapping_state { MAPPING_QUEUED, MAPPING_SENT, MAPPING_LIVE, MAPPING_DEAD };

/* A file that is handed to the front-end; shared by the pieces of one mapping. */
struct file {
	size_t refs;
	int fd;
	uint32_t access; /* what its fd allows */
	dev_t dev;
	ino_t ino;
};

struct mapping {
	size_t refs;
	enum mapping_state state;
	uint64_t key;
	struct dax_entry entry; /* as it is sent */
	struct file *file;      /* exact: while it lives; else until it is answered */
	struct mapping *parent; /* exact: of which it is a piece; until it is answered */
	bool replaces;          /* something was mapped there before */
	bool region_seen;
	bool awaited; /* a STEP_WAIT wants it */
	bool held;    /* exact: in window->held, the front-end has it or may have it */
	struct mapping *held_next, *held_prev;
};

enum step_kind { STEP_MAP, STEP_UNMAP, STEP_SYNC, STEP_IO, STEP_WAIT };

/* What one operation wants of the front-end in one place: an entry of one message. */
struct step {
	struct step *next;
	enum step_kind kind; /* as enum dax_op, but for STEP_WAIT: until its mapping is answered */
	struct dax_entry entry;
	struct mapping *map;    /* MAP: its own; UNMAP: what it ends (exact); WAIT: of whom */
	struct file *file;      /* IO */
	uint64_t key;           /* MAP */
	struct dax_request *op; /* NULL: nobody waits for it (any more) */
	int64_t deadline;
	bool single;   /* a refused batch's: goes alone */
	bool cleaning; /* ends what is in doubt: a refusal says that nothing was there */
};

struct steps {
	struct step *first, **last;
	size_t n;
};

struct message {
	uint64_t cookie;
	struct step *steps[DAX_BATCH_MAX];
	size_t n;
	int64_t deadline;
	bool in_doubt; /* nobody waits for it; its answer says what there is to clean */
};

struct dax_window {
	struct dax_window_config config;
	bool exact;   /* mappings never overlap and are ended whole, one a message (shmem) */
	size_t batch; /* entries a message */

	pthread_mutex_t lock; /* of all below */
	struct vu_channel *channel;
	bool regions, running;
	bool singles;    /* the front-end takes no batches */
	bool impossible; /* it maps nothing */
	bool dirty;      /* it may have mappings (not exact) */
	bool broken;     /* no memory for what cannot fail */
	bool changed;    /* a MAP or UNMAP was done, and no region has come since */
	bool placed;     /* `base` is known */
	uint64_t base;   /* where the guest sees the window (gpa) */
	int64_t paused_at;
	uint64_t cookie;

	struct dax_table table;
	struct steps queue;
	struct steps waiting; /* answered MAPs that want their region */
	struct message messages[DAX_BATCH_MAX];
	size_t n_messages;
	struct mapping *held;
	size_t n_held;
	size_t probe_left; /* of the refused batch: steps that are resent */
	bool probe_failed;

	struct dax_request *done_first, **done_last;
	struct dax_counters counters;
};

/* ---- window.c; all of these with the lock held ---- */

/* One step of the operation is through; the last one puts it on the list of those to be told. */
void window_complete(struct dax_window *w, struct dax_request *op, int error);
/* Takes the answers that are there; -errno of the channel, and why. */
int window_take_answers(struct dax_window *w, const char **why);
/* The time, which stands still while the device does not run. */
int64_t window_now(const struct dax_window *w);

/* ---- window_queue.c; with the lock held ---- */

/* Consumes the fd. NULL: no memory, or it is no fd. */
struct file *window_file_new(int fd);
/* Drops a reference; the last one closes the fd. NULL is fine. */
void window_file_put(struct file *file);
/* With one reference, and one of its own of the file. NULL: no memory. */
struct mapping *window_mapping_new(struct file *file, uint64_t key, const struct dax_entry *entry);
/* References, as the table wants them. */
void window_mapping_get(void *mapping);
/* Frees with the last one; NULL is fine. */
void window_mapping_put(void *mapping);
/* For dax_table_remove(). */
bool window_mapping_dead(const void *mapping);
/* The front-end has this mapping, or may have it, until it is released. */
void window_hold(struct dax_window *w, struct mapping *map);
/* It has it no more; nothing to do for one that is not held. */
void window_release(struct dax_window *w, struct mapping *map);

/* Lists of steps: they own what is in them. */
void steps_init(struct steps *steps);
/* At the end. */
void steps_push(struct steps *steps, struct step *step);
/* Ahead of all. */
void steps_push_first(struct steps *steps, struct step *step);
/* Unlinks *at and returns it. */
struct step *steps_unlink(struct steps *steps, struct step **at);

/* References of map and file are the step's. NULL when there is no memory. */
struct step *window_step_new(
	enum step_kind kind, const struct dax_entry *entry, struct mapping *map);
/*
 * Of a refused batch's step, which is over: did it go through alone? When all did, it was not one
 * entry that was wrong but that there were several.
 */
void window_verdict(struct dax_window *w, struct step *step, bool ok);
/* Frees a step, with a verdict. */
void window_step_free(struct dax_window *w, struct step *step, bool ok);

/* True when the two share a page of the window. */
bool ranges_overlap(const struct dax_entry *a, const struct dax_entry *b);
/* Drops what is queued for dead mappings; whoever waits for one fails with `error`. */
void window_sweep(struct dax_window *w, int error);
/* Fails what waited too long. */
void window_expire(struct dax_window *w, int64_t now);
/* The session is over: what is queued fails, the table is dropped. */
void window_drop_queue(struct dax_window *w, bool unmaps_too);
/* Ends all mappings by messages. */
void window_queue_unmap_all(struct dax_window *w);

/* ---- window_send.c; with the lock held ---- */

/* Sends what may go now. -errno of the channel. */
int window_send(struct dax_window *w);
/* Takes one answer; a cookie that is not known is of no one. */
void window_answer(struct dax_window *w, uint64_t cookie, uint64_t value);
/* Mappings whose region has come are complete. */
void window_take_regions(struct dax_window *w);
/* Nobody waits for the steps of this message any more. */
void window_doubt(struct dax_window *w, struct message *message, int error);
/* Turns a MAP that may or may not have been done into an UNMAP ahead of all others. */
void window_clean(struct dax_window *w, struct step *step);
