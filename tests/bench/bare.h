/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bare loop: what a virtio-fs back-end costs that does nothing but the unavoidable.
 *
 * One thread serves, with no confinement and no checks, for a front-end that is trusted to be
 * `virtiofs-frontend bench`: a chain is {header, arguments and names; payload; reply's header;
 * reply's body}. It is a yardstick, and no service.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <linux/fuse.h>

/* A request as the ring gives it: pointers into guest memory, none of them checked. */
struct bare_request {
	const struct fuse_in_header *in;
	const void *args;
	struct iovec payload; /* what is to be written */
	struct fuse_out_header *out;
	struct iovec body; /* where the reply's body goes */
};

/* Opens the share, which is node 1. 0 or -errno. */
int bare_fuse_open(const char *share);
/* Carries a request out; the bytes of its reply. */
uint32_t bare_fuse_serve(const struct bare_request *request);

struct bare_node {
	int fd;        /* O_PATH; -1: free */
	uint32_t next; /* of the same hash, or the next free one */
	uint64_t lookups;
	dev_t dev;
	ino_t ino;
	_Alignas(8) uint8_t handle[32]; /* struct file_handle; no bytes: not asked for yet */
};

/* The node, or NULL: of this number; of this identity. */
struct bare_node *bare_node(uint64_t nodeid);
/* See above. */
uint64_t bare_node_find(dev_t dev, ino_t ino);
/* Takes a node for an O_PATH fd (consumed). 0: the table is full. */
uint64_t bare_node_new(int fd, dev_t dev, ino_t ino);
/* Forgets a node n times; with the last it is closed. */
void bare_node_forget(uint64_t nodeid, uint64_t n);
