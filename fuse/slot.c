/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slots.
 *
 * A table of chunks that are allocated when needed and stay until the table goes, so that a pointer
 * to a slot never moves and an index can be looked up with no lock. Free slots form a stack: the
 * one used last is the warmest. A slot's big buffer, if it had one, goes when the slot is put.
 */
#include "fuse/slot.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fuse/core.h"
#include "fuse/session.h"
#include "vhostuser/checked.h"

#define CHUNK_SLOTS 32
#define CHUNKS      (FS_SLOTS_MAX / CHUNK_SLOTS)

static_assert(FS_SLOTS_MAX % CHUNK_SLOTS == 0, "whole chunks");

struct fs_slots {
	struct fs *fs;
	pthread_mutex_t lock;
	struct fs_slot *free;                     /* lock */
	uint32_t n_chunks;                        /* lock */
	uint32_t n_used;                          /* lock */
	_Atomic(struct fs_slot *) chunks[CHUNKS]; /* set once each, under lock */
};

int fs_slots_new(struct fs *fs, struct fs_slots **slots)
{
	struct fs_slots *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fs = fs;
	pthread_mutex_init(&s->lock, NULL);
	*slots = s;
	return 0;
}

void fs_slots_free(struct fs_slots *slots)
{
	if (!slots)
		return;
	for (uint32_t i = 0; i < slots->n_chunks; i++)
		free(atomic_load_explicit(&slots->chunks[i], memory_order_relaxed));
	pthread_mutex_destroy(&slots->lock);
	free(slots);
}

/* Adds a chunk to the free stack, lowest index on top. Lock held. */
static void grow(struct fs_slots *slots)
{
	struct fs_slot *chunk;

	if (slots->n_chunks == CHUNKS)
		return;
	chunk = calloc(CHUNK_SLOTS, sizeof(*chunk));
	if (!chunk)
		return;
	for (uint32_t i = CHUNK_SLOTS; i-- > 0;) {
		chunk[i].index = slots->n_chunks * CHUNK_SLOTS + i;
		chunk[i].fs = slots->fs;
		chunk[i].next_free = slots->free;
		slots->free = &chunk[i];
	}
	atomic_store_explicit(&slots->chunks[slots->n_chunks], chunk, memory_order_release);
	slots->n_chunks++;
}

struct fs_slot *fs_slot_get(struct fs_slots *slots, bool hiprio)
{
	uint32_t max = hiprio ? FS_SLOTS_MAX : FS_SLOTS_MAX - FS_SLOTS_HIPRIO;
	struct fs_slot *slot = NULL;

	pthread_mutex_lock(&slots->lock);
	if (slots->n_used < max) {
		if (!slots->free)
			grow(slots);
		slot = slots->free;
	}
	if (slot) {
		slots->free = slot->next_free;
		slots->n_used++;
	}
	pthread_mutex_unlock(&slots->lock);
	if (!slot)
		return NULL;

	slot->session = NULL;
	slot->io = NULL;
	slot->req = NULL;
	slot->claimed = NULL;
	slot->answered = false;
	slot->parked = false;
	slot->error = 0;
	slot->copy = slot->small;
	slot->copy_cap = sizeof(slot->small);
	slot->copy_len = 0;
	slot->payload = (struct vu_iov){0};
	slot->deferred = NULL;
	return slot;
}

void fs_slot_put(struct fs_slots *slots, struct fs_slot *slot)
{
	if (slot->copy != slot->small)
		free(slot->copy);
	slot->copy = NULL;
	pthread_mutex_lock(&slots->lock);
	slot->next_free = slots->free;
	slots->free = slot;
	slots->n_used--;
	pthread_mutex_unlock(&slots->lock);
}

struct fs_slot *fs_slot_find(const struct fs_slots *slots, uint32_t index)
{
	struct fs_slot *chunk;

	if (index >= FS_SLOTS_MAX)
		return NULL;
	chunk = atomic_load_explicit(&slots->chunks[index / CHUNK_SLOTS], memory_order_acquire);
	return chunk ? &chunk[index % CHUNK_SLOTS] : NULL;
}

int fs_slot_reserve(struct fs_slot *slot, size_t len)
{
	if (len > FS_COPY_MAX)
		return -E2BIG;
	if (len + 1 > slot->copy_cap) {
		uint8_t *copy = malloc(len + 1);

		if (!copy)
			return -ENOMEM;
		slot->copy = copy;
		slot->copy_cap = len + 1;
	}
	slot->copy[len] = '\0';
	slot->copy_len = len;
	return 0;
}

struct fs_slot *fs_slot_claim(struct fuse_req *req)
{
	const struct fs_session *session = fuse_req_userdata(req);
	uint32_t index = (uint32_t)fuse_req_ctx(req)->pid - 1;
	struct fs_slot *slot = fs_slot_find(session->fs->slots, index);

	slot->req = req;
	*slot->claimed = true;
	slot->claimed = NULL;
	return slot;
}

void fs_slot_park(struct fs_slot *slot)
{
	if (slot->io->park && !slot->parked)
		slot->io->park(slot->io);
	slot->parked = true;
}

static void run_deferred(struct fs_work *work)
{
	struct fs_slot *slot = container_of(work, struct fs_slot, work);

	slot->deferred(slot);
}

void fs_slot_defer(struct fs_slot *slot, void (*fn)(struct fs_slot *slot))
{
	const struct fs_config *config = &slot->fs->config;

	slot->deferred = fn;
	slot->work.next = NULL;
	slot->work.run = run_deferred;
	config->defer(config->ctx, &slot->work);
}
