/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The semantics oracle: one random list of system calls, run on two directories by the same set of
 * processes, must give the same results and the same trees.
 *
 * An operation is complete in itself: nothing of it depends on what happened before, so a list
 * stays meaningful when operations are taken out of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define OR_WHO   5    /* processes on each side */
#define OR_SLOTS 4    /* open files of each */
#define OR_PATH  64   /* bytes of a path as it is written, see or_path() */
#define OR_TEXT  1800 /* bytes of a result that are kept for reading */
#define OR_DATA  (256 * 1024)
#define OR_WALK  250 /* operations between two walks */

enum or_side { OR_A, OR_B };

/* What an operation works on; its kind's `takes` says which of these mean something. */
struct or_op {
	uint32_t seq; /* its number, which also makes what it writes its own */
	uint16_t kind;
	uint8_t who, slot, slot2;
	char path[OR_PATH], path2[OR_PATH];
	int64_t a, b, c;
};

/* What came of it. `hash` covers all of the text, also what did not fit. */
struct or_result {
	int64_t ret;
	int32_t err;
	uint32_t length;
	uint64_t hash;
	char text[OR_TEXT];
};

struct or_me;
struct or_kind;

typedef void or_run(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res);

/* A kind of operation: one system call with one combination of flags. */
struct or_kind {
	const char *name;
	const char *group; /* for --without */
	const char *takes; /* letters of list.c: what is generated, printed and parsed */
	int weight;
	or_run *run;
	int64_t arg, arg2; /* the flags */
};

extern const struct or_kind or_kinds[];
extern const int or_n_kinds;

struct or_list {
	struct or_op *ops;
	int n;
};

struct or_options {
	const char *dir[2];
	const char *backing; /* the directory that is behind A, walked at the end too, or NULL */
	int count, round;
	int walk_every; /* 0: not said */
	uint64_t seed;
	int shrink_seconds;
	const char *without, *only, *replay, *out, *inject;
	bool fuse, writeback, privileged, mapped, kills, verbose, stats;
};

/* How a run of a list ended. index -1: no difference. */
struct or_verdict {
	int index; /* the operation after which the difference showed */
	bool tree; /* in the tree, not in a result */
	int kind;
	char key[32]; /* the first value that differs */
	char *report; /* for reading, on the heap */
};

/* ---- list.c: generating, writing and reading operations ---- */

/* Fills list->ops[0..n) from the seed; kinds out of the groups in `o` only. */
void or_generate(struct or_list *list, const struct or_options *o, uint64_t seed, int n);
void or_print_op(FILE *to, const struct or_op *op);
int or_read_list(struct or_list *list, const char *file);
/* A path as it is used: "@255" in it stands for a name of 255 bytes. `room` is OR_LONG bytes. */
#define OR_LONG 4400
const char *or_path(const char *written, char *room);

/* ---- worker.c, team.c: the processes ---- */

struct or_team;
struct or_team *or_team_start(const struct or_options *o, int number);
void or_team_stop(struct or_team *team);
/* Runs one operation on both sides. -1: a process died or hangs; the results say so. */
int or_team_run(struct or_team *team, const struct or_op *op, const struct or_result *res[2]);
/* The directory of a side that the processes take for their root. */
int or_team_root(const struct or_team *team, enum or_side side);
const char *or_team_name(const struct or_team *team);

/* ---- walk.c: a whole tree as text ---- */

struct or_walk {
	char **lines; /* sorted by path */
	int n;
};

/* The names in a directory, sorted, one behind the other; an empty one ends them. On the heap. */
char *or_names(int dir);
void or_walk(struct or_walk *walk, int root);
void or_walk_free(struct or_walk *walk);
/* The differences as text on the heap, NULL if there are none. */
char *or_walk_compare(const struct or_walk *a, const struct or_walk *b);

/* ---- known.c: where a FUSE mount differs by design ---- */

bool or_known_left_out(const struct or_kind *kind);
/* Is this difference of results a known one? Counts it. */
bool or_known(const struct or_op *op, const struct or_result *a, const struct or_result *b);
void or_known_report(FILE *to);

/* ---- play.c, shrink.c ---- */

/*
 * Walks both trees after operations whose numbers are multiples of `every`, and at the end: a walk
 * goes with its operation when others are taken out. INT_MAX: at the end only.
 */
struct or_verdict or_play(const struct or_options *o, const struct or_list *list, int every);
/* Takes operations out of the list while the same difference shows. */
struct or_verdict or_shrink(const struct or_options *o, struct or_list *list,
	struct or_verdict verdict);
/* What or_play ran so far, a line a kind: runs, successes. */
void or_stats(FILE *to);
bool or_in_list(const char *list, const char *word);
