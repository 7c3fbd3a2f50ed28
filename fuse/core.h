/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the service: what slot, reply, session, init and fs share. No op includes this.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/fs.h"

struct fs_session;
struct fs_slot;
struct fs_slots;

/*
 * Sessions that are not freed yet. Old ones wait for their requests, which may hang in the host's
 * file system, while the guest reboots; past this an INIT is answered EBUSY.
 */
#define FS_SESSIONS_MAX 32

/*
 * Sessions are numbered from 1. The cut tells which of them the guest has left behind: what their
 * requests answer is dropped. A session that ended by DESTROY is not cut, since the guest still
 * waits for what is in flight; it is when the next INIT or a reset comes.
 */
struct fs {
	struct fs_config config; /* constant */
	struct fs_slots *slots;  /* constant; any thread */
	bool handles;            /* constant: of the shared directory, see fs_keeps_handles() */
	_Atomic unsigned int inflight;
	_Atomic unsigned int sessions; /* not freed yet */
	bool closing;                  /* by fs_free(), when no other thread is left */
	pthread_mutex_t lock;          /* held for a few loads and stores only */
	struct fs_session *session;    /* lock: the live one, counted; NULL before INIT */
	uint64_t epoch;                /* lock: number of the latest session */
	_Atomic uint64_t cut;          /* written under lock, read by any thread */
};

/* The live session, referenced for the caller; NULL when there is none. */
struct fs_session *fs_current(struct fs *fs);

/*
 * Starts the next epoch: the live session ends and, with `cut`, all before the new one are cut.
 * Returns the new session's number.
 */
uint64_t fs_epoch_next(struct fs *fs, bool cut);

/* Makes `session` the live one (takes a reference of its own), unless its epoch is over already. */
void fs_publish(struct fs *fs, struct fs_session *session);

/* Hands the slot's request to libfuse; answers it if no op claims it. */
void fs_dispatch(struct fs_slot *slot);
