/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The privileged part of views: making the private mount, and the process that opens backing ids
 * for it after the service has given up its rights.
 */
#pragma once

#include "dax/view.h"

struct gw_broker;

/*
 * Makes the private mount, detached: it is in no mount namespace, and gone with its last fd.
 * *mount is the caller's. Before confinement: it takes CAP_SYS_ADMIN. -EPERM: without that;
 * -EACCES: /dev/fuse may not be opened; -ENOENT, -ENODEV, -ENXIO: there is no FUSE; -errno.
 */
int gw_broker_mount(struct dax_mount *mount);

/*
 * Forks the broker, which shares mount->fuse_fd. Before confinement, and before the process has
 * a second thread. It ends when gw_broker_free() is called or the service ends. -errno.
 */
int gw_broker_start(const struct dax_mount *mount, struct gw_broker **broker);

/* Ends the broker. NULL is fine. */
void gw_broker_free(struct gw_broker *broker);

/*
 * For dax_view_new(), with the broker as ctx. Any thread. open() answers -EACCES for what is not a
 * regular file that is open for reading and writing, what the kernel says else (-EPERM: no right,
 * -ELOOP: too many file systems above each other, -ENOTTY: no passthrough), -EPIPE when the
 * broker is gone, -ETIMEDOUT when it does not answer.
 */
const struct dax_backing_ops *gw_broker_ops(void);
