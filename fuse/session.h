/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: one mount epoch of the guest, from its INIT to DESTROY, the next INIT or a reset.
 *
 *     (none) --INIT--> LIVE --DESTROY, INIT, reset--> ENDED --last reference--> freed
 *
 * A session owns its libfuse session, its inodes and its handles. Each request holds a reference.
 * A session ended by INIT or a reset is also cut: its requests are dropped when they finish. After
 * a DESTROY they are answered, until an INIT or a reset comes.
 */
#pragma once

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuse/fs.h"

struct fs;
struct fs_slot;
struct fs_tree;
struct fuse_session;

struct fs_session {
	_Atomic uint32_t refs;
	struct fs *fs;
	uint64_t epoch;          /* its number, see core.h */
	pthread_mutex_t drain;   /* the reading end of the pair */
	struct fuse_session *se; /* libfuse's */
	int reply_fd;            /* our end of the pair that libfuse answers on by itself */
	struct fs_tree *tree;    /* inodes and handles of this epoch */
	struct fs_work burial;   /* defers the end of a session that has files open */
	struct fs_work unlock;   /* defers the release of locks that a server has */
	uint64_t init_flags;     /* what was agreed on: the INIT reply's flags and flags2 */
	uint32_t minor;          /* that both speak */
};

/*
 * A session on the service's directory, with one reference for the caller; it knows no guest until
 * its INIT went through libfuse. -errno (logged).
 */
int fs_session_new(struct fs *fs, uint64_t epoch, struct fs_session **session);

/*
 * Any thread. The last put closes and frees everything that the session owns; where files are open,
 * on a deferred thread, since closing one may hang. Until then it counts as in flight.
 */
struct fs_session *fs_session_get(struct fs_session *session);
void fs_session_put(struct fs_session *session);

/*
 * The session is over, whatever is still in flight: its locks are released, those that wait for
 * one are told. Never blocks: what a server has is unlocked on a deferred thread.
 */
void fs_session_end(struct fs_session *session);

/* True when the guest has left this session behind and must not hear from it any more. */
bool fs_session_is_cut(const struct fs_session *session);

/*
 * Reads one of libfuse's own answers off the pair into data[0..size). Returns its full length, or
 * -EAGAIN when there is none.
 */
ssize_t fs_session_receive(struct fs_session *session, void *data, size_t size);

/*
 * For a slot that no op claimed: reads all of libfuse's answers, notes them in the slots they are
 * meant for, and returns what this one's said: 0 or -errno, -EIO when there is none.
 */
int fs_session_drain(struct fs_session *session, struct fs_slot *slot);

/* Sends libfuse's messages to our log. Once in a process is enough; again is harmless. */
void fs_session_log_setup(void);
