/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parent process: makes the service end in time, whatever its threads are stuck in.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "gateway/endpoint.h"
#include "gateway/exitcode.h"
#include "gateway/share.h"

/* A service that was told to end gets this long; a busy machine may add to it up to a second. */
#define GW_SUPERVISOR_PATIENCE_MS 700

/*
 * The signals that end the service: SIGTERM, SIGINT, and SIGHUP unless whoever started us had it
 * ignored, as nohup(1) has.
 */
void gw_end_signals(sigset_t *set);

/* The child's side of it. */
struct gw_supervised {
	pid_t parent;
	int report_fd; /* owned */
};

/*
 * Splits the process in two, before there are threads. In the child returns 0 at once, with
 * gw_end_signals() blocked and *supervised filled in. In the parent
 * returns 1 when the child is gone, the socket file removed, and *status what to exit with;
 * it has closed its copies of `endpoint` and `share`. -errno: logged.
 */
int gw_supervise(struct gw_endpoint *endpoint, struct gw_share *share, enum gw_exit *status,
	struct gw_supervised *supervised);

/*
 * Child, when it has its privileges for good: dies with its parent from now on (the kernel
 * forgets it when privileges change). False when the parent is gone already.
 */
bool gw_supervisor_tie(const struct gw_supervised *supervised);

/* Child, as its last act: says what it exits with, and that it is about to. */
void gw_supervisor_report(const struct gw_supervised *supervised, enum gw_exit status);
