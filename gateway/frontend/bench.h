/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of `virtiofs-frontend bench` share: options, the device, rows, results.
 *
 * A row is one kind of work. What it needs is made through the device itself, before and without a
 * clock; then each slot begins an operation as soon as its last one is over, an operation being one
 * or more requests; every reply is checked; at the end the state that is left is checked and
 * removed.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/frontend/bench_hist.h"
#include "gateway/frontend/bench_queue.h"
#include "gateway/frontend/exit.h"

#define FB_PICKS_MAX 64u
#define FB_BLOCK_MAX (1u << 20)
#define FB_PAGE      4096u

struct fb_row;
struct fb_window;

/* A row to be run. */
struct fb_pick {
	const struct fb_row *row;
	unsigned int depth; /* requests in flight on each queue; 0: as --depth says */
};

/* Strings are borrowed from argv. */
struct fb_options {
	const char *socket;
	bool listen; /* for a back-end that connects */
	struct fb_pick picks[FB_PICKS_MAX];
	unsigned int n_picks;
	bool named; /* by --rows: one that the back-end cannot do is an error */
	unsigned int depth, queues;
	uint32_t block; /* bytes of the rows that read and write; 0: each row's own */
	double seconds;
	uint64_t count; /* operations a row; 0: by time */
	bool poll;      /* look instead of sleep */
	bool json, help;
	pid_t pid; /* the back-end's; 0: whoever listens */
};

/*
 * Parses what follows `bench`. 0, or -EINVAL with one sentence, without a newline, in `why` (size
 * bytes).
 */
int fb_options_parse(struct fb_options *options, int argc, char **argv, char *why, size_t size);

/* A device under test. The main thread's, but for its queues, each of which is one thread's. */
struct fb_device {
	const struct fb_options *options;
	struct vu_frontend *fe;
	struct fuse_init_out init;
	struct fb_queue *queues;
	unsigned int n_queues;
	unsigned int depth; /* slots that each queue has */
	uint32_t payload;   /* bytes of a slot */
	struct vq_driver *hiprio;
	struct fb_slot *hiprio_slots;
	uint64_t hiprio_free; /* a bit for each free slot */
	pthread_mutex_t lock; /* of hiprio and what is said below */
	atomic_bool broken;
	struct fb_window *window; /* NULL: none is had */
	pid_t pid;                /* the back-end's; 0: unknown */
	uint64_t dir;             /* the directory that rows work in */
	char dir_name[FB_NAME_MAX];
	char error[256]; /* what ended it early */
};

/* Connects, negotiates, opens rings, window and session, makes the directory. */
enum ft_exit fb_device_open(struct fb_device *device, const struct fb_options *options);
/* Removes the directory and takes all down, also after a failed fb_device_open(). */
void fb_device_close(struct fb_device *device);
/* Tells what went wrong (printf), the first time. Any thread. */
void fb_device_error(struct fb_device *device, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * One request on the first queue, waited for; while nothing else is in flight there. The body's
 * first `size` bytes go to `body` (NULL: they stay in the slot), its length to *len (may be NULL).
 * 0, -errno or FU_*.
 */
int fb_call(struct fb_device *device, const struct fb_ask *ask, void *body, uint32_t size,
	uint32_t *len);
/* The slot that fb_call() uses, for its payload. */
struct fb_slot *fb_call_slot(struct fb_device *device);
/* Waits for the reply of that slot, which was asked: 0; FU_* also ends all later calls. */
int fb_call_wait(struct fb_device *device);
/* True when the back-end closed its socket, or gave a queue up. */
bool fb_device_gone(struct fb_device *device);
/* Sends a FORGET of many nodes on the hiprio queue. Any thread. */
void fb_forget(struct fb_device *device, const struct fuse_forget_one *ones, unsigned int n);

/* ---- set-up, by fb_call() ---- */

/* Makes an empty file in the directory and opens it for both. *fh may be NULL: then it is closed.
 */
int fb_make(
	struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid, uint64_t *fh);
/* Looks a name up. *nodeid gets what it is, which counts as one lookup. */
int fb_lookup(struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid);
/* See above. */
int fb_mkdir(struct fb_device *device, uint64_t dir, const char *name, uint64_t *nodeid);
/* See above. */
int fb_unlink(struct fb_device *device, uint64_t dir, const char *name, bool directory);
/* Opens a node, as a directory or for both. */
int fb_open(struct fb_device *device, uint64_t nodeid, bool directory, uint64_t *fh);
/* See above. */
int fb_release(struct fb_device *device, uint64_t nodeid, uint64_t fh, bool directory);

/* ---- a row's run ---- */

#define FB_FILES_MAX 64u

struct fb_file {
	uint64_t nodeid, fh;
	char name[FB_NAME_MAX];
	_Atomic uint64_t lookups; /* that are to be forgotten */
};

/* What a row has while it runs. Files are the row's to make and to remove. */
struct fb_work {
	struct fb_device *device;
	const struct fb_row *row;
	unsigned int depth, queues;
	unsigned int slots; /* depth * queues */
	uint32_t block;
	struct fb_file files[FB_FILES_MAX];
	unsigned int n_files;
	void *own; /* the row's, freed with the work */
	_Atomic uint64_t failures;
};

/* What the row's check says of a reply. */
enum fb_next {
	FB_DONE,   /* the operation is over */
	FB_MORE,   /* its next request is to be sent: slot->step was counted up */
	FB_FAILED, /* fb_wrong() told why; it is over */
};

struct fb_row {
	const char *name;
	const char *about;
	/* Makes what it needs. 0, -errno or FU_*. */
	int (*prepare)(struct fb_work *work);
	/* Sends the request of the slot's step. */
	void (*submit)(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot);
	/* Judges the reply: `error` is 0 or -errno, `len` its body's bytes. */
	enum fb_next (*check)(struct fb_work *work, struct fb_queue *queue, struct fb_slot *slot,
		int error, uint32_t len);
	/* Checks what is left, by fb_wrong(), and removes it; also after a failed prepare. */
	void (*undo)(struct fb_work *work);
	uint32_t block;      /* bytes that an operation moves, which --block sets; 0: none */
	unsigned int weight; /* operations that one counts as; 0: one */
	unsigned int times;  /* as many requests in flight for each of --depth; 0: one */
	bool window;         /* needs a DAX window */
};

/* A wrong reply or state (printf). The first 20 are told. Returns FB_FAILED. Any thread. */
enum fb_next fb_wrong(struct fb_work *work, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

extern const struct fb_row fb_rows[];
extern const unsigned int fb_n_rows;
/* NULL: there is none of this name. */
const struct fb_row *fb_row_find(const char *name);

/* What a run measured. */
struct fb_result {
	const struct fb_row *row;
	unsigned int depth, queues;
	uint32_t block;
	uint64_t operations, failures;
	double seconds;
	struct fb_hist hist; /* of operations; a weight is not counted */
	uint64_t kicks, calls;
	bool usage;                /* the back-end's is known */
	uint64_t cpu_ns, switches; /* the back-end's */
	const char *skipped;       /* why it was not run */
};

/* Runs one row. 0, or what ended it: FU_* or -errno; a wrong reply is in result->failures. */
int fb_run(struct fb_device *device, const struct fb_pick *pick, struct fb_result *result);

/* The columns' titles, and one row's line, on stdout. */
void fb_report_title(const struct fb_options *options);
/* See above. `first`: of the JSON array. */
void fb_report_row(const struct fb_options *options, const struct fb_result *result, bool first);
/* What comes after the last row. */
void fb_report_end(const struct fb_options *options, enum ft_exit status, const char *error);

/* `virtiofs-frontend bench`: from the command line to the exit status. */
enum ft_exit fb_main(int argc, char **argv);
