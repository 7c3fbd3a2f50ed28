/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of `virtiofs-frontend dax` share: options, a connected device, checks. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/frontend/channel.h"
#include "gateway/frontend/exit.h"
#include "gateway/frontend/fuse_client.h"
#include "gateway/frontend/window.h"
#include "vhostuser/frontend.h"

enum ft_verb { FT_VERIFY, FT_STORM, FT_FAULT, FT_HELP };

/* Strings are borrowed from argv. */
struct ft_options {
	enum ft_verb verb;
	enum ft_verb help; /* with FT_HELP: of which verb; FT_HELP: of all */
	const char *socket;
	bool listen; /* for a back-end that connects */
	const struct dax_dialect *dialect;
	bool shmem;
	uint64_t window; /* bytes; in shmem what the back-end says */
	unsigned int seconds;
	uint64_t count; /* random operations */
	uint64_t seed;
	unsigned int depth; /* requests in flight */
	enum fw_fault fault;
	bool json;
};

/*
 * Parses what follows `dax`. 0, or -EINVAL with one sentence, without a newline, in `why` (size
 * bytes).
 */
int ft_options_parse(struct ft_options *options, int argc, char **argv, char *why, size_t size);

/* What --help prints: of one verb, or FT_HELP: of all. */
void ft_help(FILE *out, enum ft_verb verb);

/* As --fault has it. */
const char *ft_fault_name(enum fw_fault fault);

/* A device under test. */
struct ft_run {
	const struct ft_options *options;
	struct vu_frontend *fe;
	pthread_mutex_t lock; /* of the main connection */
	struct fw_window *window;
	struct fw_channel *channel;
	struct fu_client *client;
	struct fuse_init_out init;
	bool regions; /* mappings become memory regions */
	uint64_t checks, failures, operations;
	int64_t began, told; /* ms */
	uint64_t random;     /* the generator's state */
	char error[256];     /* what ended the run early; empty: nothing */
	/* What a storm adds to the summary; 0: nothing. */
	double per_second;
	double mean_us, p50_us, p99_us;
};

/* Connects, negotiates, opens window, channel, rings and the FUSE session. An exit status. */
enum ft_exit ft_open(struct ft_run *run, const struct ft_options *options);
/* Takes all down again, also after a failed ft_open(). */
void ft_close(struct ft_run *run);
/* The summary, in words to stderr and with --json as one object to stdout. */
void ft_summary(struct ft_run *run, enum ft_exit status);

/* Counts a check; a failed one is told in words (printf). Returns `good`. */
bool ft_check(struct ft_run *run, bool good, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Tells what ends the run before it could check anything (printf), also in the summary. */
void ft_error(struct ft_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The name of what a function of fuse_client.h returned: "ENOSPC", "no reply in time". */
const char *ft_result(int r);
/* One line of progress, at most once a second (printf). */
void ft_progress(struct ft_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Milliseconds since ft_open(). */
int64_t ft_elapsed(const struct ft_run *run);

/* Anything below n (> 0), from the seed. */
uint64_t ft_random(struct ft_run *run, uint64_t n);
/* The pattern of a page of a file: 4096 bytes. */
void ft_pattern(const struct ft_run *run, unsigned int file, uint64_t page, uint8_t *to);

struct ft_file {
	unsigned int number;
	uint64_t nodeid, fh, size;
	char name[48];
};

/*
 * Makes a file in the share's root, filled with its pattern. 0, or as fu_*: then it is told, and
 * nothing is left of the file.
 */
int ft_file_make(struct ft_run *run, struct ft_file *file, unsigned int number, uint64_t size);
/* Releases and unlinks it. */
void ft_file_drop(struct ft_run *run, struct ft_file *file);
/* The exit status when a file could not be made. */
enum ft_exit ft_no_files(const struct ft_run *run);
/* Waits until nothing is mapped; false when that takes over `ms`. */
bool ft_wait_unmapped(struct ft_run *run, unsigned int ms);

/* The verbs. */
enum ft_exit ft_verify(struct ft_run *run);
/* Random operations against a model: the last part of verify. */
void ft_random_ops(struct ft_run *run);
/* See above. */
enum ft_exit ft_storm(struct ft_run *run);
/* See above. */
enum ft_exit ft_fault(struct ft_run *run);

/* How SETUPMAPPING is asked for reading, and for both. */
#define FT_RO FUSE_SETUPMAPPING_FLAG_READ
#define FT_RW (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

#define FT_PAGE 4096u
