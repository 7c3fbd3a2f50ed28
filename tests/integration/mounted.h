/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end mounted on this machine by `virtiofs-frontend mount`, for the tests of that: the
 * program runs as a child that dies with us, by which its mount ends too.
 */
#pragma once

#include <sys/types.h>

#include "tests/integration/harness.h"

/* How a test wants its mount, beside the back-end. */
struct mt_options {
	struct it_options it;    /* with no_client */
	const char *const *args; /* more arguments, NULL-terminated */
	bool unmounted;          /* the test starts the program itself */
};

/* What a test gets as *state. */
struct mt {
	const struct mt_options *options;
	struct it *it;
	pid_t pid; /* the program; 0 when it has been reaped */
	char dir[128], out[128], log[128];
};

int mt_setup(void **state);
int mt_teardown(void **state);

#define MT_TEST(fn, opt)                                                                           \
	{                                                                                          \
#fn, fn, mt_setup, mt_teardown, (void *)&(opt)                                     \
	}

/* Starts the program on the back-end's socket and m->dir with these arguments (NULL: none). */
void mt_start(struct mt *m, const char *const *args);
/* Starts it with nothing but these arguments. */
void mt_start_raw(struct mt *m, const char *const *argv);
/* Waits until it says that it is mounted. */
void mt_wait_mounted(struct mt *m);
/* Its exit status, 1000 + the signal that ended it, or -ETIMEDOUT. */
int mt_wait(struct mt *m, int timeout_ms);
/* The line of the list of mounts for m->dir is there and, with `text`, has that in it. */
bool mt_is_mounted(const struct mt *m, const char *text);
/* Its log has this text. */
bool mt_log_says(const struct mt *m, const char *text);
/* A path below the mount, in a ring of static buffers. */
const char *mt_path(const struct mt *m, const char *name);

/* A process of the test's own that runs `run`; its exit status is what that returns. */
pid_t mt_fork(int (*run)(struct mt *m, unsigned int i), struct mt *m, unsigned int i);
/* The exit status, or 1000 + a signal. */
int mt_join(pid_t pid);

/* `size` bytes that depend on the seed. */
void mt_fill(unsigned char *data, size_t size, unsigned int seed);

/*
 * it_main() where this process can mount, for which it has to be root, with /dev/fuse. Elsewhere
 * says that all is skipped and returns 77.
 */
int mt_main(int argc, char **argv, const char *suite, const struct CMUnitTest *tests, size_t n,
	const struct it_difference *differences, size_t n_differences);
