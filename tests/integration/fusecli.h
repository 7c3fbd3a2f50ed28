/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's FUSE client with no guest: requests over our own front-end's rings.
 *
 * Every request has a slot of guest memory of its own (an indirect table, a readable and a
 * writable area), so several can be in flight. Replies are checked as a guest's kernel would
 * (unique, length against used length). One thread a queue; unlike queues may be used by unlike
 * threads.
 *
 * Functions return 0, the reply's -errno, or one of FC_* when there was no proper reply at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/fuse.h>

#include "vhostuser/frontend.h"

#define FC_TIMEOUT   (-10001) /* no reply in time */
#define FC_BROKEN    (-10002) /* the device signalled the err eventfd */
#define FC_BAD_REPLY (-10003) /* a reply that no device may give */
#define FC_NO_ROOM   (-10004) /* no free slot, or it does not fit into one */
#define FC_BAD_USED  (-10005) /* a used chain that was not in flight */

#define FC_WAIT_MS 5000

/* How a request is cut into descriptors. */
enum fc_layout {
	FC_MIXED,    /* a different one of the next three each time */
	FC_DIRECT,   /* header, arguments, each name and payload on their own */
	FC_INDIRECT, /* the same through an indirect table */
	FC_WHOLE,    /* one readable and one writable buffer */
	FC_CRUMBS,   /* pieces of 13 bytes (only for small requests) */
};

struct fc_options {
	unsigned int request_queues; /* default 1 */
	uint16_t ring_size;          /* default 128 */
	unsigned int depth;          /* slots a queue, default 16 */
	uint32_t room;               /* payload bytes a slot, default 1 MiB */
	uint64_t without_features;   /* virtio features not to ask for */
	uint64_t without_protocol;   /* protocol features not to ask for */
	uint64_t with_protocol;      /* and those to ask for besides */
	bool no_memory_slots;        /* the same for CONFIGURE_MEM_SLOTS, for short */
};

struct fc;
struct fc_queue;

/* One request's guest memory and its fate. */
struct fc_req {
	struct fc_queue *queue;
	struct fc_req *next; /* in the free list */
	uint64_t unique;
	uint32_t used; /* what the device says it wrote */
	uint32_t room; /* of the writable part, header included */
	bool done;
	bool no_reply; /* FORGET and friends: used must be 0 */
	void *table;   /* host addresses */
	uint8_t *req, *rep;
	uint64_t table_gpa, req_gpa, rep_gpa;
};

struct fc_queue {
	struct fc *fc;
	unsigned int index;
	struct vq_driver *vq;
	uint32_t uid, gid, pid; /* the caller in each request's header */
	enum fc_layout layout;
	uint64_t next_unique;
	uint64_t ring_gpa;
	struct fc_req *reqs, *free_head, *free_tail;
};

struct fc {
	struct vu_frontend *fe;
	struct fc_options options;
	unsigned int n_queues;  /* hiprio included */
	struct fc_queue *queue; /* [0] is hiprio */
	uint64_t scratch_gpa;   /* memory that no slot uses, for hostile tests */
	uint64_t scratch_size;
	uint64_t memory_end; /* first guest physical address past the memory */
	int memory_slot;
};

/* What is asked. Names go with their NUL; the payload comes last. */
struct fc_call {
	uint32_t opcode;
	uint64_t nodeid;
	const void *args;
	uint32_t args_len;
	const char *name, *name2;
	const void *data;
	uint32_t data_len;
	uint32_t room;   /* bytes for the reply's body */
	bool no_reply;   /* no writable part at all */
	uint64_t unique; /* 0: the queue's next */
};

struct fc_reply {
	uint32_t len;     /* bytes of the body */
	const void *body; /* in guest memory, until the slot is used again */
	uint64_t unique;
};

#define FC_MEMORY_BASE UINT64_C(0x40000000)

/*
 * Negotiates on a fresh connection (consumed, also on error), shares memory and starts hiprio and
 * the request queues.
 */
int fc_new(struct vu_frontend *fe, const struct fc_options *options, struct fc **fc);
/* Leaves without a word, as a front-end that dies. */
void fc_free(struct fc *fc);

/* Our address of guest memory (NULL outside of it). */
void *fc_host(struct fc *fc, uint64_t gpa, uint64_t len);

/* ---- requests ---- */

/* Builds and publishes a request; the device is kicked. NULL: no slot or no descriptors. */
struct fc_req *fc_send(struct fc_queue *q, const struct fc_call *call);
/* Any `len` bytes as the readable part, and `room` writable bytes (0: none). */
struct fc_req *fc_send_raw(struct fc_queue *q, const void *bytes, uint32_t len, uint32_t room);
/*
 * Waits for this request's reply (others' are kept for their own fc_wait) and frees the slot; not
 * when it has no reply yet (FC_TIMEOUT, FC_BROKEN, FC_BAD_USED).
 */
int fc_wait(struct fc_req *req, int timeout_ms, struct fc_reply *reply);
/* Takes what is there without waiting; true when this one has its reply (then fc_wait returns at
 * once). */
bool fc_poll(struct fc_req *req);
/* fc_send and fc_wait. `reply` may be NULL. */
int fc_call(struct fc_queue *q, const struct fc_call *call, struct fc_reply *reply);
/* fc_send_raw and fc_wait. */
int fc_call_raw(struct fc_queue *q, const void *bytes, uint32_t len, uint32_t room);

/*
 * For hostile chains: a slot to put bytes into (req, rep and table are its memory), and publishing
 * any descriptors under it. A slot that was published comes back by fc_wait, else by fc_cancel.
 */
struct fc_req *fc_slot(struct fc_queue *q);
bool fc_publish(struct fc_req *req, const struct vq_buf *bufs, size_t n, bool indirect);
void fc_cancel(struct fc_req *req);

/* Fills in a header for raw requests: len is that of the whole request. */
void fc_header(struct fc_queue *q, struct fuse_in_header *h, uint32_t opcode, uint64_t nodeid,
	uint32_t len);

/* ---- operations ---- */

int fc_init(struct fc_queue *q, uint32_t major, uint32_t minor, uint64_t flags,
	struct fuse_init_out *out);
/* What Linux 6.1 offers, minor 38: the usual start of a session. */
int fc_mount(struct fc_queue *q, struct fuse_init_out *out);
int fc_destroy(struct fc_queue *q);
int fc_lookup(struct fc_queue *q, uint64_t parent, const char *name, struct fuse_entry_out *out);
/* Walks "a/b/c" from the root; forgets what lies between. */
int fc_walk(struct fc_queue *q, const char *path, struct fuse_entry_out *out);
int fc_forget(struct fc_queue *q, uint64_t nodeid, uint64_t nlookup);
int fc_batch_forget(struct fc_queue *q, const struct fuse_forget_one *forgets, uint32_t n);
int fc_getattr(struct fc_queue *q, uint64_t nodeid, struct fuse_attr_out *out);
int fc_getattr_fh(struct fc_queue *q, uint64_t nodeid, uint64_t fh, struct fuse_attr_out *out);
int fc_setattr(struct fc_queue *q, uint64_t nodeid, const struct fuse_setattr_in *in,
	struct fuse_attr_out *out);
int fc_readlink(struct fc_queue *q, uint64_t nodeid, char *target, size_t size);
int fc_symlink(struct fc_queue *q, uint64_t parent, const char *name, const char *target,
	struct fuse_entry_out *out);
int fc_mknod(struct fc_queue *q, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
	struct fuse_entry_out *out);
int fc_mkdir(struct fc_queue *q, uint64_t parent, const char *name, uint32_t mode,
	struct fuse_entry_out *out);
int fc_unlink(struct fc_queue *q, uint64_t parent, const char *name);
int fc_rmdir(struct fc_queue *q, uint64_t parent, const char *name);
int fc_rename(
	struct fc_queue *q, uint64_t parent, const char *name, uint64_t parent2, const char *name2);
int fc_rename2(struct fc_queue *q, uint64_t parent, const char *name, uint64_t parent2,
	const char *name2, uint32_t flags);
int fc_link(struct fc_queue *q, uint64_t nodeid, uint64_t parent, const char *name,
	struct fuse_entry_out *out);
int fc_open(struct fc_queue *q, uint64_t nodeid, uint32_t flags, struct fuse_open_out *out);
int fc_opendir(struct fc_queue *q, uint64_t nodeid, struct fuse_open_out *out);
int fc_create(struct fc_queue *q, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
	struct fuse_entry_out *entry, struct fuse_open_out *out);
/* Bytes read (>= 0) or an error. */
int fc_read(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, void *data,
	uint32_t size);
/* Bytes written (>= 0) or an error. */
int fc_write(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *data,
	uint32_t size);
/* By a file of O_APPEND. */
int fc_append(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *data,
	uint32_t size);
int fc_flush(struct fc_queue *q, uint64_t nodeid, uint64_t fh);
int fc_release(struct fc_queue *q, uint64_t nodeid, uint64_t fh);
int fc_releasedir(struct fc_queue *q, uint64_t nodeid, uint64_t fh);
int fc_fsync(struct fc_queue *q, uint64_t nodeid, uint64_t fh, bool data_only);
int fc_fsyncdir(struct fc_queue *q, uint64_t nodeid, uint64_t fh);
int fc_statfs(struct fc_queue *q, uint64_t nodeid, struct fuse_statfs_out *out);
int fc_access(struct fc_queue *q, uint64_t nodeid, uint32_t mask);
int fc_fallocate(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, uint64_t len,
	uint32_t mode);
int fc_lseek(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, uint32_t whence,
	uint64_t *result);
/* Bytes copied (>= 0) or an error. */
int fc_copy_file_range(struct fc_queue *q, uint64_t node_in, uint64_t fh_in, uint64_t off_in,
	uint64_t node_out, uint64_t fh_out, uint64_t off_out, uint64_t len);
int fc_syncfs(struct fc_queue *q, uint64_t nodeid);
int fc_interrupt(struct fc_queue *q, uint64_t unique);

/* One name out of READDIR or READDIRPLUS; the entry only with READDIRPLUS (else zero). False stops.
 */
typedef bool (*fc_dirent_fn)(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry);
/*
 * One READDIR(PLUS) of `size` bytes from *offset, which moves past the last entry. Number of
 * entries, 0 at the end, or an error.
 */
int fc_readdir(struct fc_queue *q, uint64_t nodeid, uint64_t fh, bool plus, uint32_t size,
	uint64_t *offset, fc_dirent_fn fn, void *ctx);
