/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small FUSE client over a front-end's rings: what a guest's kernel would ask, with no guest.
 *
 * One request queue with several requests in flight, one thread. Functions return 0, the reply's
 * -errno, or one of FU_* when there was no proper reply.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <linux/fuse.h>

#include "vhostuser/frontend.h"

#define FU_TIMEOUT   (-10001) /* no reply in time */
#define FU_BROKEN    (-10002) /* the device signalled its err eventfd */
#define FU_BAD_REPLY (-10003) /* a reply that no device may give */
#define FU_NO_ROOM   (-10004) /* no free slot, or it does not fit into one */

#define FU_DEPTH_MAX 64
#define FU_DATA_MAX  65536u
#define FU_QUEUE     1u /* the request queue's ring */

/* The guest's memory starts here. */
#define FU_MEMORY_GPA UINT64_C(0x40000000)

struct fu_client;
struct fu_request;

struct fu_call {
	uint32_t opcode;
	uint64_t nodeid;
	const void *args;
	uint32_t args_len;
	const char *name;
	const void *data;
	uint32_t data_len;
	uint64_t data_gpa;  /* data is there already, `data` is NULL; 0: in the slot */
	uint32_t room;      /* for the reply's body */
	uint64_t reply_gpa; /* where the body goes; 0: in the slot */
};

/*
 * Shares memory with a negotiated back-end and starts hiprio and one request queue. The front-end
 * is borrowed. -errno.
 */
int fu_open(struct vu_frontend *fe, struct fu_client **client);
/* NULL is fine; before the front-end is freed. */
void fu_close(struct fu_client *client);

/* Asks; the device is kicked. NULL: no room. */
struct fu_request *fu_send(struct fu_client *client, const struct fu_call *call);
/*
 * Waits for the reply and frees the slot, also after a timeout is over (the slot then stays taken
 * for ever). The body's first `size` bytes go to `body`; *len (may be NULL) is its whole length.
 */
int fu_wait(struct fu_client *client, struct fu_request *request, int timeout_ms, void *body,
	uint32_t size, uint32_t *len);
/* True when fu_wait() would not wait. */
bool fu_done(struct fu_client *client, const struct fu_request *request);
/* Waits until any reply has come. 0, FU_TIMEOUT, FU_BROKEN. */
int fu_wait_any(struct fu_client *client, int timeout_ms);
/* Both at once. */
int fu_call(struct fu_client *client, const struct fu_call *call, void *body, uint32_t size,
	uint32_t *len);

/* ---- one operation each ---- */

/* INIT as Linux asks it, DAX flags included. */
int fu_init(struct fu_client *client, struct fuse_init_out *out);
/* See above. */
int fu_destroy(struct fu_client *client);
/* Makes (O_TRUNC: or empties) a file in a directory and opens it. */
int fu_create(struct fu_client *client, uint64_t dir, const char *name, uint64_t *nodeid,
	uint64_t *fh, uint32_t *attr_flags);
/* See fu_create(). */
int fu_lookup(struct fu_client *client, uint64_t dir, const char *name, uint64_t *nodeid,
	uint32_t *attr_flags);
/* See above. */
int fu_unlink(struct fu_client *client, uint64_t dir, const char *name);
/* See above. */
int fu_release(struct fu_client *client, uint64_t nodeid, uint64_t fh);
/* At most FU_DATA_MAX bytes; those moved (>= 0), or an error. */
int fu_write(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t len);
/* See fu_write(). */
int fu_read(struct fu_client *client, uint64_t nodeid, uint64_t fh, uint64_t offset, void *data,
	uint32_t len);
/* A READ or WRITE whose buffer is guest memory at `gpa`. */
int fu_io_at(struct fu_client *client, bool write, uint64_t nodeid, uint64_t fh, uint64_t offset,
	uint64_t gpa, uint32_t len);
/* The root's attributes: is anybody there? */
int fu_ping(struct fu_client *client);
/* SETUPMAPPING, to be waited for. `flags`: FUSE_SETUPMAPPING_FLAG_*. NULL: no room. */
struct fu_request *fu_send_map(struct fu_client *client, uint64_t nodeid, uint64_t foffset,
	uint64_t len, uint64_t flags, uint64_t moffset);
/* The same, waited for. */
int fu_map(struct fu_client *client, uint64_t nodeid, uint64_t foffset, uint64_t len,
	uint64_t flags, uint64_t moffset);
/* REMOVEMAPPING of n (at most 256) ranges. NULL: no room. */
struct fu_request *fu_send_unmap(struct fu_client *client, uint64_t nodeid,
	const struct fuse_removemapping_one *ones, uint32_t n);
/* The same, waited for. */
int fu_unmap(struct fu_client *client, uint64_t nodeid, const struct fuse_removemapping_one *ones,
	uint32_t n);
