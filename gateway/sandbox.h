/* SPDX-License-Identifier: BSD-3-Clause */
/* Confinement: what the service can no longer do once it serves. */
#pragma once

#include "gateway/options.h"

/* What the options come to for this process: GW_SANDBOX_NONE or GW_SANDBOX_CHROOT. */
enum gw_sandbox gw_sandbox_choose(const struct gw_options *options);

/*
 * Confines the calling process, which has one thread, as the options say: root directory (chroot to
 * the share, which stays open as root_fd), supplementary groups, capabilities, no_new_privs.
 * -errno: logged.
 */
int gw_sandbox_enter(const struct gw_options *options, int root_fd);

/* What the supervisor drops: all but the right to remove a socket in any directory. */
int gw_sandbox_enter_supervisor(void);

/* What the broker drops: all but CAP_SYS_ADMIN (broker.h). */
int gw_sandbox_enter_broker(void);
