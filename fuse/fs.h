/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system service: FUSE requests in, answers out. The face of this floor.
 *
 * It knows no rings and no sockets: a request is a struct fs_io, iovecs in guest memory and a way
 * to finish. It starts no threads: work that may block is handed to the owner's `defer`.
 * Requests are submitted from any number of threads at once.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fuse/feature.h"

struct fs;

enum fs_cache { FS_CACHE_NEVER, FS_CACHE_METADATA, FS_CACHE_AUTO, FS_CACHE_ALWAYS };

/* Which files guests are told to map: none, those of at least dax_threshold bytes, all regular. */
enum fs_dax { FS_DAX_NEVER, FS_DAX_INODE, FS_DAX_ALWAYS };

/* What a guest must be asked for: never offered, used where it can, insisted on. */
enum fs_offer { FS_OFFER_NEVER, FS_OFFER_AUTO, FS_OFFER_ALWAYS };

/* Whether inodes are kept by file handles, so that they need no fd: where it works; never; or else
 * not at all. */
enum fs_handle_use { FS_HANDLES_PREFER, FS_HANDLES_NEVER, FS_HANDLES_MANDATORY };

struct dax_view;
struct dax_window;
struct fs_ids;
struct fs_xattrmap;

/* A piece of work for another thread: run(work) exactly once. Memory stays the fs's own. */
struct fs_work {
	struct fs_work *next; /* for the queue of whoever holds it */
	void (*run)(struct fs_work *work);
};

/*
 * A wait for what may never come, in a system call, on a thread of its own: block(wait), during
 * which fs_config.interrupt makes system calls end in EINTR, and then, where it does not, exactly
 * once done(wait). Memory stays the fs's own; after done() has begun only the fs touches it.
 */
struct fs_wait {
	void (*block)(struct fs_wait *wait);
	void (*done)(struct fs_wait *wait);
	int error; /* for done(): 0, or why there was no way to block, -errno */
	/* The owner's of the threads, zero before fs_config.wait. */
	void *_Atomic thread;
	_Atomic bool interrupted;
};

struct fs_config {
	int root_fd; /* the shared directory, O_RDONLY | O_DIRECTORY; borrowed */
	int proc_fd; /* /proc/self/fd, O_PATH; borrowed: O_PATH fds are reopened by it */
	enum fs_cache cache;
	bool readonly;         /* every change is EROFS */
	unsigned int fd_limit; /* fds that this fs may hold open for the guest, all told */
	enum fs_handle_use file_handles;
	const struct fs_ids *ids; /* borrowed; NULL: ids are the same in guest and host */
	bool one_uid, one_gid;    /* the host has no user or group for us but our own */
	bool owner_xattr;         /* owners and modes are kept in an attribute: owner.h */
	struct fs_features features;
	enum fs_dax dax;
	uint64_t dax_threshold;    /* bytes */
	struct dax_window *window; /* borrowed; NULL: no DAX */
	struct dax_view *view;     /* borrowed; NULL: no DAX */

	bool xattr;                         /* extended attributes are served */
	const struct fs_xattrmap *xattrmap; /* borrowed; NULL: names pass as they are */
	enum fs_offer posix_acl;            /* but for NEVER, `xattr` is true */
	enum fs_offer security_label;       /* the same */

	/* Runs `work` soon on a thread that may block. Never fails, never runs it in place. */
	void (*defer)(void *ctx, struct fs_work *work);
	void *ctx;
	bool posix_lock; /* fcntl() locks of guests are the host's */
	bool flock;      /* and so are flock()'s */
	/*
	 * Starts a wait. Never runs it in place. -EAGAIN when there are as many as may be, or the
	 * system has no thread to give: nothing of it is called then. NULL: there are never any.
	 */
	int (*wait)(void *ctx, struct fs_wait *wait);
	/*
	 * Has block() of a wait that was started, or is just being, and is not done, end soon: its
	 * system calls end in EINTR again and again. Never blocks. Any thread.
	 */
	void (*interrupt)(void *ctx, struct fs_wait *wait);
};

/*
 * One request, owned by the caller until complete or drop is called, exactly once, on any thread
 * (also from within fs_submit). The iovecs point to guest memory, which stays valid until then;
 * its contents may change at any time.
 */
struct fs_io {
	const struct iovec *req; /* device-readable */
	const struct iovec *rep; /* device-writable */
	size_t n_req, n_rep;
	size_t req_len, rep_len;
	/* Bytes of each part that lie in RAM; later ones only system calls may touch (vq_elem). */
	size_t req_ram, rep_ram;
	const struct vq_foreign *foreign; /* segments that the front-end alone can reach (FS_IO) */
	size_t n_foreign;
	bool hiprio; /* on the hiprio queue: only FORGET, BATCH_FORGET, INTERRUPT */
	/* `len` bytes were written to rep (0 for a request without an answer). */
	void (*complete)(struct fs_io *io, uint32_t len);
	/*
	 * It waits for the front-end, or for a lock, from now on: whoever stops a queue need not
	 * wait for it. Called at most once, before complete or drop.
	 */
	void (*park)(struct fs_io *io);
	/*
	 * May it keep its place in the ring for as long as others like? False when those that do
	 * so already would leave too little of the ring to the rest, one of which may be what they
	 * wait for. Asked before park, at most once. NULL: it may.
	 */
	bool (*linger)(struct fs_io *io);
	/* The session is over: the guest must not hear of it. */
	void (*drop)(struct fs_io *io);
};

/* Opens the service on a directory. -errno when it cannot be served: logged. */
int fs_new(const struct fs_config *config, struct fs **fs);

/* True when inodes of the shared directory's own file system are kept by file handles. */
bool fs_keeps_handles(const struct fs *fs);

/*
 * Ends the session (RESET_DEVICE, the front-end is gone): requests in flight are dropped when
 * their system calls return, inodes and handles go with the last of them. Does not block: files
 * that are open are closed on a deferred thread.
 */
void fs_reset(struct fs *fs);

/*
 * The guest's driver begins anew, and will INIT when it likes: ends the session as that would.
 */
void fs_renew(struct fs *fs);

/* Ends the session and frees the service. Nothing may be in flight any more. May block. */
void fs_free(struct fs *fs);

/*
 * Carries out one request: checks it (gate 3), and either answers it before returning or keeps it
 * for a deferred thread. May block in system calls on the shared directory that usually do not.
 */
void fs_submit(struct fs *fs, struct fs_io *io);

/* Requests between fs_submit and complete/drop, and sessions being closed. Any thread. */
unsigned int fs_inflight(const struct fs *fs);
