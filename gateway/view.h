/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kind of view the service hands to the front-end, and the thread that serves it. */
#pragma once

#include <stdbool.h>

#include "dax/view.h"
#include "gateway/options.h"

struct gw_view;

/*
 * What takes privilege: the private mount and the broker. Before confinement and before there is a
 * second thread. What cannot be had is told by gw_view_start(); -errno only without memory.
 * `dialect`, static, is the name of one whose front-ends map past a file's end, NULL of others.
 */
int gw_view_prepare(
	enum gw_dax_view requested, const char *dialect, bool readonly, struct gw_view **view);

/*
 * After confinement: starts the serving thread, tries a view of a file on the share (root_fd,
 * borrowed) and logs one line: what is used, or what is missing. Returns the view, owned by
 * `view`; NULL when there is none, so no window either.
 */
struct dax_view *gw_view_start(struct gw_view *view, int root_fd);

/* True when the views are of a user namespace that has not all users and groups. */
bool gw_view_is_partial(const struct gw_view *view);

/*
 * Ends the mount, the thread and the broker. Nobody may be in a call of the view any more, but
 * may wait in one for the host: then all is left as it is, for the process to end with. NULL is
 * fine.
 */
void gw_view_free(struct gw_view *view);
