/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line, as one table that also prints --help. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "dax/dialect.h"
#include "fuse/fs.h"

#define GW_TAG_MAX            36 /* VIRTIO 5.11.4: bytes of the tag in the config space */
#define GW_REQUEST_QUEUES_MAX 64

enum gw_sandbox { GW_SANDBOX_AUTO, GW_SANDBOX_NONE, GW_SANDBOX_CHROOT };

/* The most that a shmem front-end gets as its window: QEMU aborts past 512 memory regions. */
#define GW_SHMEM_WINDOW_MAX (UINT64_C(512) << 20)
/* And the most that any gets: what other front-ends' address spaces have room for. */
#define GW_WINDOW_MAX (UINT64_C(1) << 40)

enum gw_dax_view { GW_VIEW_AUTO, GW_VIEW_DIRECT, GW_VIEW_PASSTHROUGH, GW_VIEW_CACHED };

/* What to do instead of serving. */
enum gw_action { GW_SERVE, GW_HELP, GW_SHOW_VERSION, GW_CAPABILITIES };

/* Strings are borrowed from argv. */
struct gw_options {
	enum gw_action action;
	const char *shared_dir;
	const char *socket_path; /* one of these three, the others NULL or -1 */
	const char *connect;
	int fd;
	const char *tag; /* NULL: none */
	enum fs_cache cache;
	bool readonly;
	enum gw_sandbox sandbox;
	struct fs_features features;
	enum fs_dax dax;
	uint64_t dax_threshold;            /* bytes */
	uint64_t dax_window;               /* bytes; 0: none */
	const struct dax_dialect *dialect; /* shmem for auto; NULL: off */
	enum gw_dax_view dax_view;
	unsigned int request_queues;
	bool keep_listening;
	int log_level;
};

/*
 * Parses the command line. 0, or -EINVAL with one helpful sentence, without a newline, in
 * `why` (size bytes).
 */
int gw_options_parse(struct gw_options *options, int argc, char **argv, char *why, size_t size);

/* What --help, --version and --print-capabilities print. */
void gw_options_help(FILE *out);
void gw_options_version(FILE *out);
void gw_options_capabilities(FILE *out);
