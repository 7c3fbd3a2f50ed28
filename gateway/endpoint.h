/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the front-end is to be met: a socket that we listen on, one that we were given, or one of
 * the front-end's that we connect to.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "gateway/options.h"

enum gw_role {
	GW_LISTENING, /* fd listens; front-ends come one after another */
	GW_CONNECTED, /* fd is the one connection that there will be */
	GW_CONNECTING /* no fd; `path` is tried until it answers */
};

struct gw_endpoint {
	enum gw_role role;
	int fd;           /* owned; -1: none (GW_CONNECTING) */
	int dir_fd;       /* owned, O_PATH: the directory of `path`; -1: none */
	const char *path; /* borrowed; NULL with --fd */
	const char *name; /* of the socket in dir_fd; points into path */
	dev_t dev;        /* of the socket file that we made: what may be removed */
	ino_t ino;
	bool made;
	int pid_fd; /* owned: the locked SOCKET.pid; -1: none */
};

/* Opens what the options name. -errno: logged, one sentence. */
int gw_endpoint_open(struct gw_endpoint *endpoint, const struct gw_options *options);
void gw_endpoint_close(struct gw_endpoint *endpoint);

/* Service: closes what only the supervisor needs, the way to the socket's directory. */
void gw_endpoint_confine(struct gw_endpoint *endpoint);

/* Removes the socket file, and SOCKET.pid, if we made it and it is still the same one. */
void gw_endpoint_remove(struct gw_endpoint *endpoint);

/* One try to connect (GW_CONNECTING); the errors of vu_socket_connect. Works from a chroot. */
int gw_endpoint_connect(const struct gw_endpoint *endpoint, int *fd);
