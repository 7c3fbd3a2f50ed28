/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of a mount's queue share; private to mount_queue.c and mount_answer.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "gateway/frontend/mount_queue.h"

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
	enum fm_end end;
	struct fm_slot slots[];
};

/* The slot is free again. */
void fm_slot_free(struct fm_queue *queue, struct fm_slot *slot);

/* Takes all answers that are there to /dev/fuse; true when there was one at least. */
bool fm_answers(struct fm_queue *queue);
