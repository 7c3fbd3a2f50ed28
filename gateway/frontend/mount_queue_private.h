/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of a mount's queue share: mount_queue.c, mount_answer.c and mount_wait.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/frontend/mount_locks.h"
#include "gateway/frontend/mount_queue.h"
#include "gateway/frontend/mount_shape.h"

#define OUT_HEADER sizeof(struct fuse_out_header)

/* One request under way, or room for one. */
struct fm_slot {
	struct fm_slot *next; /* free */
	uint8_t *base, *request, *answer;
	uint64_t base_gpa, request_gpa, answer_gpa;
	uint64_t unique;
	uint32_t opcode;
	uint32_t room;  /* for the answer, its header included */
	uint32_t moved; /* bytes of memory that it may have touched */
	int fuse_fd;    /* where its answer goes */
	bool waits;           /* for a lock, and is counted as such */
	struct fm_lock *lock; /* or it is one's try */
};

/* All of it is the queue's thread's. */
struct fm_queue {
	struct fm_queue_config config;
	int epoll;
	bool not_reading; /* /dev/fuse is watched for the mount's end only */
	char name[16];
	struct fm_slot *free;
	uint64_t offered;  /* INIT's flags */
	uint32_t unkicked; /* bytes of requests that the device was not kicked for */
	uint32_t in_flight;
	uint32_t n_waiting; /* of them, for locks */
	enum fm_end end;
	struct fm_slot slots[];
};

/* The slot is free again. */
void fm_slot_free(struct fm_queue *queue, struct fm_slot *slot);

/* Takes all answers that are there to /dev/fuse; true when there was one at least. */
bool fm_answers(struct fm_queue *queue);

/* Publishes the request of `len` bytes that is in the slot. */
void fm_publish(struct fm_queue *queue, struct fm_slot *slot, const struct fuse_in_header *header,
	const struct fm_shape *shape, uint32_t len);

/* Answers a request with an error of our own. */
void fm_refuse(int fuse_fd, uint64_t unique, int error);

/* mount_wait.c */

/* Sends a SETLKW of `len` bytes, which is in the slot, to wait there or to be tried first. */
void fm_wait_send(struct fm_queue *queue, struct fm_slot *slot, struct fuse_in_header *header,
	const struct fm_shape *shape, uint32_t len);
/* A slot's answer has come. False when the kernel is not to have it yet. */
bool fm_wait_answered(struct fm_queue *queue, struct fm_slot *slot, struct fuse_out_header *out);
/* Sends those that were kept and whose turn it is. */
void fm_wait_resend(struct fm_queue *queue);
/* An INTERRUPT's request; false: it goes to the device. */
bool fm_wait_interrupt(struct fm_queue *queue, const uint8_t head[FM_HEAD]);
