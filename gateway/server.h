/* SPDX-License-Identifier: BSD-3-Clause */
/* The main loop: meets front-ends, one after another, and serves each. */
#pragma once

#include "fuse/fs.h"
#include "gateway/endpoint.h"
#include "gateway/exitcode.h"
#include "gateway/options.h"
#include "gateway/window.h"

struct gw_server_config {
	const struct gw_options *options; /* borrowed */
	struct gw_endpoint *endpoint;     /* borrowed */
	struct fs *fs;                    /* borrowed; outlives requests that are stuck */
	struct gw_window *window;         /* borrowed, as long; NULL: no DAX window */
};

/*
 * Serves until a signal, the front-end's end (without --keep-listening) or a failure. Needs
 * SIGTERM and SIGINT blocked, and takes them from then on. Requests may still be in flight
 * when it returns.
 */
enum gw_exit gw_server_run(const struct gw_server_config *config);
