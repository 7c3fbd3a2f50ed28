/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a split virtqueue (VIRTIO 2.7).
 *
 * The rings live in guest memory; what we know of them (next avail index to pop, next used index
 * to write) lives here and is never read back. States:
 *
 *     stopped --vq_start--> attached <--vq_set_memory--> resting
 *        ^                      |                           |
 *        +------- vq_stop ------+---------------------------+
 *
 * (resting: the rings are not in the memory table), and `broken` on top of attached, which only
 * a stop ends. Only attached and unbroken touches guest memory. Completions that come in while
 * stopped or resting are kept in order and pushed when the ring is attached again, unless it is
 * another ring by then: each start that does not find base and used index as they were left is a
 * new incarnation, and elements remember theirs.
 *
 * Order between the two sides hangs on the atomics themselves: [A] avail->idx, the driver's
 * release with our acquire; [B] used->idx, our release with the driver's acquire; and for
 * notifications each side stores what it did, then loads what the other wants, both sequentially
 * consistent: [C] used->idx then used_event (or avail->flags); [D] avail_event (or used->flags)
 * then avail->idx.
 */
#include "vhostuser/virtqueue.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>

#include "vhostuser/chain.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* Elements in flight beside a ring's own: what stuck requests of earlier rings may hold. */
#define STALE_MAX 1024u

struct vq {
	char name[16]; /* for the log */
	size_t priv_size;
	struct vq_config config;
	struct vu_memory *memory; /* while running */
	struct vq_table table;
	struct vring_avail *avail;
	struct vring_used *used;
	bool running;
	bool attached; /* running, and the pointers into guest memory are good */
	bool event_idx;
	bool resumable;    /* stopped in good order: base and used index may be found again */
	bool force_notify; /* what the driver wants is unknown since the last start */
	const char *broken;
	uint16_t last_avail; /* next to pop */
	uint16_t avail_idx;  /* avail->idx as last seen */
	uint16_t used_idx;   /* next to write */
	uint32_t n_pushed;   /* since the last vq_should_notify() */
	uint32_t incarnation;
	uint32_t owed; /* chains of this incarnation that are not in the used ring yet */
	unsigned int inflight;
	struct vq_elem *free;
	struct vq_elem *kept, **kept_tail;
};

/* ---- ring memory: every access to it is in here or in chain.c ---- */

static uint16_t avail_idx_acquire(const struct vq *vq)
{
	return le16toh(__atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE)); /* [A] */
}

static uint16_t avail_idx_seq_cst(const struct vq *vq)
{
	return le16toh(__atomic_load_n(&vq->avail->idx, __ATOMIC_SEQ_CST)); /* [A] [D] */
}

static uint16_t avail_flags(const struct vq *vq)
{
	return le16toh(__atomic_load_n(&vq->avail->flags, __ATOMIC_SEQ_CST)); /* [C] */
}

static uint16_t avail_entry(const struct vq *vq, uint16_t i)
{
	const __virtio16 *at = &vq->avail->ring[i & (vq->table.num - 1)];

	return le16toh(__atomic_load_n(at, __ATOMIC_RELAXED));
}

static uint16_t used_event(const struct vq *vq)
{
	return le16toh(
		__atomic_load_n(&vq->avail->ring[vq->table.num], __ATOMIC_SEQ_CST)); /* [C] */
}

static void avail_event_store(struct vq *vq, uint16_t value)
{
	__virtio16 *at = (__virtio16 *)(void *)&vq->used->ring[vq->table.num];

	__atomic_store_n(at, htole16(value), __ATOMIC_SEQ_CST); /* [D] */
}

static void used_flags_store(struct vq *vq, uint16_t value)
{
	__atomic_store_n(&vq->used->flags, htole16(value), __ATOMIC_SEQ_CST); /* [D] */
}

static void used_write(struct vq *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem *at = &vq->used->ring[vq->used_idx & (vq->table.num - 1)];

	__atomic_store_n(&at->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&at->len, htole32(len), __ATOMIC_RELAXED);
	vq->used_idx++;
	__atomic_store_n(&vq->used->idx, htole16(vq->used_idx), __ATOMIC_RELEASE); /* [B] */
	vq->n_pushed++;
	vq->owed--;
}

/* ---- elements ---- */

static struct vq_elem *elem_take(struct vq *vq)
{
	struct vq_elem *elem = vq->free;

	if (elem)
		vq->free = elem->next;
	else
		elem = calloc(1, sizeof(*elem) + vq->priv_size);
	return elem;
}

static void elem_recycle(struct vq *vq, struct vq_elem *elem)
{
	vq_chain_clear(elem);
	elem->next = vq->free;
	vq->free = elem;
}

static void elems_free(struct vq_elem *elem)
{
	while (elem) {
		struct vq_elem *next = elem->next;

		vq_chain_fini(elem);
		free(elem);
		elem = next;
	}
}

static void kept_drop(struct vq *vq)
{
	while (vq->kept) {
		struct vq_elem *elem = vq->kept;

		vq->kept = elem->next;
		elem_recycle(vq, elem);
	}
	vq->kept_tail = &vq->kept;
}

static void kept_push(struct vq *vq)
{
	for (struct vq_elem *elem = vq->kept; elem; elem = elem->next)
		used_write(vq, elem->head, elem->kept_len);
	kept_drop(vq);
}

/* ---- life ---- */

static bool usable(const struct vq *vq)
{
	return vq->attached && !vq->broken;
}

static int break_queue(struct vq *vq, const char *why, unsigned int value)
{
	vq->broken = why;
	log_guest(vq->name, "broken: %s (%u)", why, value);
	return -EPROTO;
}

int vq_new(unsigned int index, size_t priv_size, struct vq **out)
{
	struct vq *vq = calloc(1, sizeof(*vq));

	if (!vq)
		return -ENOMEM;
	(void)snprintf(vq->name, sizeof(vq->name), "queue %u", index);
	vq->priv_size = priv_size;
	vq->kept_tail = &vq->kept;
	*out = vq;
	return 0;
}

void vq_free(struct vq *vq)
{
	if (!vq)
		return;
	assert(vq->inflight == 0);
	kept_drop(vq);
	elems_free(vq->free);
	vu_memory_put(vq->memory);
	free(vq);
}

static int ring_translate(
	const struct vu_memory *memory, uint64_t addr, uint64_t len, uintptr_t align, void **host)
{
	struct vu_region *region;

	/* We touch rings ourselves: in the window a file that is cut short would be SIGBUS. */
	if (vu_memory_translate_user(memory, addr, len, host, &region) < 0 || region->desc.window)
		return -EFAULT;
	return (uintptr_t)*host % align ? -EINVAL : 0;
}

/* Finds the three rings in `memory`, whose reference the queue takes over its old one's. */
static int attach(struct vq *vq, const struct vq_config *config, struct vu_memory *memory)
{
	uint64_t num = config->num;
	uint64_t event = vq->event_idx ? sizeof(__virtio16) : 0;
	void *desc, *avail, *used;
	struct vu_memory *old = vq->memory;
	int r;

	vq->attached = false;
	vq->table.cache = NULL;
	vq->memory = vu_memory_get(memory);
	vu_memory_put(old);
	r = ring_translate(memory, config->desc_addr, num * sizeof(struct vring_desc),
		VRING_DESC_ALIGN_SIZE, &desc);
	if (r == 0)
		r = ring_translate(memory, config->avail_addr,
			sizeof(struct vring_avail) + num * sizeof(__virtio16) + event,
			VRING_AVAIL_ALIGN_SIZE, &avail);
	if (r == 0)
		r = ring_translate(memory, config->used_addr,
			sizeof(struct vring_used) + num * sizeof(struct vring_used_elem) + event,
			VRING_USED_ALIGN_SIZE, &used);
	if (r < 0)
		return r;
	vq->avail = avail;
	vq->used = used;
	vq->table.desc = desc;
	vq->table.num = config->num;
	vq->table.memory = memory;
	vq->attached = true;
	return 0;
}

/* Another ring than before: nothing that was popped so far belongs to it. */
static void new_incarnation(struct vq *vq, uint16_t base, uint16_t used_idx)
{
	kept_drop(vq);
	vq->incarnation++;
	vq->owed = 0;
	vq->n_pushed = 0;
	vq->last_avail = base;
	vq->used_idx = used_idx;
}

int vq_start(struct vq *vq, const struct vq_config *config, struct vu_memory *memory)
{
	uint16_t used_idx;
	int r;

	if (vq->running)
		return -EBUSY;
	if (!config->num || config->num > VQ_SIZE_MAX || (config->num & (config->num - 1))) {
		log_guest(vq->name, "ring size %u is not a power of two up to %u", config->num,
			VQ_SIZE_MAX);
		return -EINVAL;
	}
	vq->event_idx = config->features & (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	vq->table.foreign = config->foreign;
	vq->table.indirect = config->features & (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	r = attach(vq, config, memory);
	if (r < 0) {
		log_guest(vq->name, "ring addresses are %s",
			r == -EINVAL ? "not aligned" : "outside guest RAM");
		vu_memory_put(vq->memory);
		vq->memory = NULL;
		return r;
	}
	/* SET_VRING_BASE gives the avail index only; the used index is the ring's own. */
	used_idx = le16toh(__atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE));
	if (!vq->resumable || config->num != vq->config.num || config->base != vq->last_avail ||
		used_idx != vq->used_idx)
		new_incarnation(vq, config->base, used_idx);
	vq->config = *config;
	vq->avail_idx = vq->last_avail;
	vq->broken = NULL;
	vq->running = true;
	vq->force_notify = true;
	kept_push(vq);
	return 0;
}

uint16_t vq_stop(struct vq *vq)
{
	if (vq->running)
		vq->resumable = !vq->broken;
	vq->running = vq->attached = false;
	vu_memory_put(vq->memory);
	vq->memory = NULL;
	return vq->last_avail;
}

void vq_reset(struct vq *vq)
{
	(void)vq_stop(vq);
	vq->resumable = false;
	vq->broken = NULL;
	new_incarnation(vq, 0, 0);
}

int vq_set_memory(struct vq *vq, struct vu_memory *memory)
{
	int r;

	if (!vq->running)
		return 0;
	r = attach(vq, &vq->config, memory);
	if (r < 0) {
		log_guest(vq->name, "rests: its rings are not in the new memory table");
		return -EFAULT;
	}
	if (!vq->broken)
		kept_push(vq);
	return 0;
}

/* ---- chains ---- */

/* How many chains the driver has published; refused when that cannot be. */
static int refresh_avail(struct vq *vq)
{
	uint16_t idx = avail_idx_acquire(vq);
	uint16_t n = (uint16_t)(idx - vq->last_avail);

	if (n > vq->table.num)
		return break_queue(vq, "avail index jumped by more than the ring's size", idx);
	vq->avail_idx = idx;
	return n;
}

int vq_pop(struct vq *vq, struct vq_elem **out)
{
	const char *why = NULL;
	struct vq_elem *elem;
	uint16_t head;
	int r;

	if (!usable(vq))
		return 0;
	if (vq->avail_idx == vq->last_avail) {
		r = refresh_avail(vq);
		if (r <= 0)
			return r;
	}
	if (vq->owed >= vq->table.num)
		return break_queue(vq, "more chains in flight than the ring has", vq->owed);
	if (vq->inflight >= vq->table.num + STALE_MAX)
		return -ENOMEM;
	head = avail_entry(vq, vq->last_avail);
	if (head >= vq->table.num)
		return break_queue(vq, "head outside the descriptor table", head);
	elem = elem_take(vq);
	if (!elem)
		return -ENOMEM;
	r = vq_chain_read(&vq->table, head, elem, &why);
	if (r < 0) {
		elem_recycle(vq, elem);
		return r == -EPROTO ? break_queue(vq, why, head) : r;
	}
	vq->last_avail++;
	vq->owed++;
	vq->inflight++;
	elem->incarnation = vq->incarnation;
	*out = elem;
	return 1;
}

void vq_push(struct vq *vq, struct vq_elem *elem, uint32_t len)
{
	if (elem->incarnation != vq->incarnation || vq->broken) {
		vq_drop(vq, elem);
		return;
	}
	vq->inflight--;
	if (vq->attached) {
		used_write(vq, elem->head, len);
		elem_recycle(vq, elem);
		return;
	}
	vq_chain_clear(elem);
	elem->kept_len = len;
	elem->next = NULL;
	*vq->kept_tail = elem;
	vq->kept_tail = &elem->next;
}

void vq_drop(struct vq *vq, struct vq_elem *elem)
{
	if (elem->incarnation == vq->incarnation)
		vq->owed--;
	vq->inflight--;
	elem_recycle(vq, elem);
}

/* ---- notifications ---- */

bool vq_should_notify(struct vq *vq)
{
	uint32_t n = vq->n_pushed;

	if (!usable(vq) || !n)
		return false;
	vq->n_pushed = 0;
	/* Stored again, now in one order with the load that follows: [C]. */
	__atomic_store_n(&vq->used->idx, htole16(vq->used_idx), __ATOMIC_SEQ_CST);
	if (vq->force_notify || n > UINT16_MAX) {
		vq->force_notify = false;
		return true;
	}
	if (!vq->event_idx)
		return !(avail_flags(vq) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(used_event(vq), vq->used_idx, (uint16_t)(vq->used_idx - n));
}

void vq_suppress_kicks(struct vq *vq)
{
	/* With EVENT_IDX avail_event stays where the driver passed it: no kick till it moves. */
	if (usable(vq) && !vq->event_idx)
		used_flags_store(vq, VRING_USED_F_NO_NOTIFY);
}

bool vq_wait_kick(struct vq *vq)
{
	if (!usable(vq))
		return false;
	if (vq->event_idx)
		avail_event_store(vq, vq->last_avail);
	else
		used_flags_store(vq, 0);
	return avail_idx_seq_cst(vq) != vq->last_avail;
}

unsigned int vq_inflight(const struct vq *vq)
{
	return vq->inflight;
}

bool vq_running(const struct vq *vq)
{
	return vq->running;
}

const char *vq_broken(const struct vq *vq)
{
	return vq->broken;
}

bool vq_pending(const struct vq *vq)
{
	return usable(vq) && avail_idx_acquire(vq) != vq->last_avail;
}
