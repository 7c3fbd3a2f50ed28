/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An eventfd of the front-end's that we signal (call, err), shared by counted references.
 *
 * A reference is taken under a lock and the signal sent after it, so that no lock is ever held
 * over a write to a descriptor that the front-end chose, and none is written to once its number
 * was given to something else. All functions are for any thread; NULL stands for "no eventfd".
 */
#pragma once

struct gw_event;

/* A duplicate of `fd` (borrowed, non-blocking). fd -1: *event is NULL. -errno, -ENOMEM. */
int gw_event_new(int fd, struct gw_event **event);
struct gw_event *gw_event_get(struct gw_event *event);
void gw_event_put(struct gw_event *event);

/* Signals it; a full counter or a dead peer is the front-end's own affair. */
void gw_event_signal(struct gw_event *event);
