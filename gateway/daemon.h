/* SPDX-License-Identifier: BSD-3-Clause */
/* --daemonize: whoever started the gateway goes on when it is ready, or hears why it is not. */
#pragma once

#include "gateway/exitcode.h"

/*
 * Splits the process in two, before anything is opened and there are threads. In the background
 * returns 0. In the process that was started returns 1 when the background is ready or gone, with
 * what to exit with; until then it shows the background's log as its own. -errno: logged.
 */
int gw_daemon_start(enum gw_exit *status);

/* In the background, or a child of it: ready. Without gw_daemon_start() it does nothing. */
void gw_daemon_ready(void);
