/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A user namespace for the service, and how many ids there are to work with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gw_options;

/* As many as the kernel takes. */
#define GW_IDMAP_MAX 340

struct gw_idrange {
	uint32_t inside, outside, count;
};

/* What --uid-map or --gid-map say. */
struct gw_idmap {
	unsigned int n; /* 0: not given */
	struct gw_idrange ranges[GW_IDMAP_MAX];
};

/*
 * True when the options ask for a user namespace: by a map, or because somebody who is not root
 * asks for namespaces.
 */
bool gw_userns_wanted(const struct gw_options *options);

/*
 * Takes the calling process, which has one thread, into a new user namespace if one is wanted, and
 * makes it root there, if its maps know a root. -errno: logged, one sentence.
 */
int gw_userns_enter(const struct gw_options *options);

/*
 * Whether this process can give files no owner, no group but its own: it has not the right to, or
 * its user namespace has no other. Needs /proc.
 */
void gw_userns_count(bool *one_uid, bool *one_gid);

/* True when this process' user namespace has not all users and groups. Needs /proc. */
bool gw_userns_is_partial(void);

/*
 * False when the process at the other end of the socket, as it was when they were connected, is of
 * a user or a group that our user namespace does not have, or calls nobody, which looks the same.
 */
bool gw_userns_has_peer(int socket);
