/* SPDX-License-Identifier: BSD-3-Clause */
/* `virtiofs-frontend mount`: the host's own kernel on top of a vhost-user-fs socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/frontend/exit.h"

#define FM_QUEUES_MAX 64

/* Strings are borrowed from argv. */
struct fm_options {
	const char *socket;
	const char *dir;
	bool listen; /* for a back-end that connects */
	bool help;
	unsigned int queues; /* request queues */
	unsigned long flags; /* mount(2)'s */
	char source[256];    /* what the list of mounts says */
};

/*
 * Parses what follows `mount`. 0, or -EINVAL with one sentence, without a newline, in `why` (size
 * bytes).
 */
int fm_options_parse(struct fm_options *options, int argc, char **argv, char *why, size_t size);

/* Mounts, serves until the mount or the back-end ends, unmounts. The program's exit status. */
enum ft_exit fm_mount(const struct fm_options *options);

/* `virtiofs-frontend mount ...`. */
enum ft_exit fm_main(int argc, char **argv);
