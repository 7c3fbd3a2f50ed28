/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in force of what the options asked for. */
#pragma once

#include "fuse/fs.h"
#include "gateway/options.h"
#include "gateway/share.h"

/*
 * Says in the log what is in force, in two lines: what confines the service and whose ids it works
 * with; what guests get. Warns of each option that was taken and is not in force. By the service,
 * once it is confined.
 */
void gw_in_force_log(
	const struct gw_options *options, const struct gw_share *share, const struct fs *fs);
