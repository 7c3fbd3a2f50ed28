/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window in service: a struct dax_window on the main loop, and what was negotiated for it.
 *
 * It is made once and outlives connections; one front-end at a time has it. All functions are for
 * the main loop's thread, but what fs does with the struct dax_window itself.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dax/window.h"
#include "gateway/options.h"
#include "vhostuser/backend.h"

struct gw_window;

/*
 * The window that the options ask for; *window is NULL when they ask for none. Not before the
 * threads that serve may call it: gw_window_start() comes first. -ENOMEM.
 */
int gw_window_new(const struct gw_options *options, struct gw_window **window);

/* True when the options ask for a window. */
bool gw_window_wanted(const struct gw_options *options);

/* File descriptors that the window may hold open, about; 0 without one. */
unsigned int gw_window_fds(const struct gw_options *options);

/* Nothing may be in flight any more. NULL is fine. */
void gw_window_free(struct gw_window *window);

/* For fs; NULL for a NULL window. */
struct dax_window *gw_window_dax(struct gw_window *window);

/* There is no view, so nothing is ever mapped: the log says nothing else. Before the start. */
void gw_window_set_idle(struct gw_window *window);

/*
 * The views are of a user namespace that has not all users and groups: no other may touch what is
 * mapped, or it dies of SIGBUS. Before the start.
 */
void gw_window_set_partial(struct gw_window *window);

/* A front-end came, by this socket (borrowed). */
void gw_window_connected(struct gw_window *window, int socket);

/* Joins the loop / leaves it. NULL is fine. */
void gw_window_start(struct gw_window *window, struct ev_loop *loop);
void gw_window_stop(struct gw_window *window);

/* Adds the protocol features that the window needs to those of a connection, its size too. */
void gw_window_describe(const struct gw_window *window, struct vu_backend_config *config);

/*
 * What the front-end did, in any order: it agreed on protocol features, gave us its channel (fd
 * consumed; -errno), asked for the window's size. When all is there that the dialect needs, the
 * window is attached to it, which is logged.
 */
void gw_window_negotiated(struct gw_window *window, uint64_t protocol_features);
int gw_window_channel(struct gw_window *window, int fd);
void gw_window_asked(struct gw_window *window);

/* It is gone: operations under way fail. Logs what there was. */
void gw_window_disconnect(struct gw_window *window);

/* At least one ring is started, or none. */
void gw_window_set_running(struct gw_window *window, bool running);

/* RESET_DEVICE. */
void gw_window_reset(struct gw_window *window);

/* See vu_backend_ops.refuses. */
bool gw_window_refuses(struct gw_window *window, const struct dax_region *region);

/* See vu_backend_ops.is_window. */
bool gw_window_region(
	struct gw_window *window, dev_t dev, ino_t ino, uint64_t offset, uint64_t size);
