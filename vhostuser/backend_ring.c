/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring's life as the front-end configures it: the moves of the ring machine in state.h.
 *
 * The device owns what happens inside a started ring; here is only whether there is one.
 */
#include "vhostuser/backend_private.h"

#include <errno.h>
#include <string.h>

#include "vhostuser/log.h"

void vu_ring_init(struct vu_ring *ring, unsigned int index)
{
	*ring = (struct vu_ring){
		.state = VU_RING_IDLE,
		.index = index,
		.kick = -1,
		.call = -1,
		.err = -1,
	};
}

void vu_ring_fini(struct vu_ring *ring)
{
	fd_close(&ring->kick);
	fd_close(&ring->call);
	fd_close(&ring->err);
}

static void move(struct vu_ring *ring, enum vu_ring_state to)
{
	assert(vu_state_may_move(vu_ring_states, ring->state, to));
	log_debug("front-end", "ring %u: %s -> %s", ring->index, vu_ring_states[ring->state].name,
		vu_ring_states[to].name);
	ring->state = to;
}

bool vu_ring_started(const struct vu_ring *ring)
{
	return (VU_STATE_BIT(ring->state) & VU_RING_IN_STARTED) != 0;
}

static bool configured(const struct vu_ring *ring)
{
	return ring->has_num && ring->has_addr;
}

static bool startable(const struct vu_backend *backend, const struct vu_ring *ring)
{
	return backend->state == VU_CONN_READY && configured(ring) && ring->kick >= 0 &&
		ring->enabled;
}

bool vu_ring_valid(const struct vu_backend *backend, const struct vu_ring *ring)
{
	switch (ring->state) {
	case VU_RING_IDLE:
		return !startable(backend, ring);
	case VU_RING_RUNNING:
		return configured(ring) && ring->enabled && ring->kick < 0;
	case VU_RING_PAUSED:
		return configured(ring) && !ring->enabled && ring->kick < 0;
	case VU_RING_STOPPING:
		return configured(ring) && ring->kick < 0;
	case VU_RING_BROKEN:
		return true;
	case VU_RING_STATES:
		break;
	}
	return false;
}

/* The front-end learns from the err eventfd that a ring is of no use. */
static void signal_err(const struct vu_ring *ring)
{
	int ret = ring->err < 0 ? 0 : fd_signal(ring->err);

	/* A full or closed counter is the front-end's own doing. */
	if (ret < 0)
		log_debug("front-end", "ring %u: err eventfd: %s", ring->index, strerror(-ret));
}

static int break_ring(struct vu_ring *ring, int verdict)
{
	move(ring, VU_RING_BROKEN);
	signal_err(ring);
	return verdict;
}

int vu_ring_try_start(struct vu_backend *backend, struct vu_ring *ring)
{
	int ret;

	if (ring->state != VU_RING_IDLE || !startable(backend, ring))
		return VU_DONE;

	/* A front-end whose memory cannot be shared says nothing of it: this is where it shows. */
	if (backend->memory->n == 0) {
		vu_fault(backend, VU_FAILED, "ring %u: %s", ring->index, VU_NOT_SHARED);
		return break_ring(ring, VU_FAILED);
	}

	ring->config.features = backend->features;
	ring->config.foreign = backend->config.foreign;
	ret = backend->config.ops->ring_start(backend->config.ctx, ring->index, &ring->config,
		backend->memory, fd_steal(&ring->kick), ring->call, ring->err);
	if (ret == -EFAULT || ret == -EINVAL)
		return break_ring(ring, VU_FAILED); /* the ring's own check has logged it */
	if (ret < 0) {
		vu_fault(backend, ret, "ring %u cannot start: %s", ring->index, strerror(-ret));
		return break_ring(ring, ret);
	}
	ring->left = ring->stood = 0;
	move(ring, VU_RING_RUNNING);
	return VU_DONE;
}

void vu_ring_stop(struct vu_backend *backend, struct vu_ring *ring)
{
	if (!vu_ring_started(ring))
		return;
	move(ring, VU_RING_STOPPING);
	backend->n_stopping++;
	backend->config.ops->ring_stop(backend->config.ctx, ring->index);
}

/* When a device is stopped, all of its rings are. */
static void note_standstill(struct vu_backend *backend)
{
	for (size_t i = 0; i < backend->n_rings; i++) {
		if (vu_ring_started(&backend->rings[i]))
			return;
	}
	for (size_t i = 0; i < backend->n_rings; i++)
		backend->rings[i].stood = backend->rings[i].left;
}

bool vu_ring_at_rest(struct vu_backend *backend, struct vu_ring *ring, uint16_t base)
{
	if (ring->state != VU_RING_STOPPING)
		return false;
	ring->config.base = base;
	ring->left = base;
	backend->n_stopping--;
	move(ring, VU_RING_IDLE);
	if (backend->n_stopping == 0)
		note_standstill(backend);
	return true;
}

int vu_ring_enable(struct vu_backend *backend, struct vu_ring *ring, bool enable)
{
	if (ring->enabled == enable)
		return VU_DONE;
	ring->enabled = enable;
	if (!vu_ring_started(ring))
		return vu_ring_try_start(backend, ring);
	move(ring, enable ? VU_RING_RUNNING : VU_RING_PAUSED);
	backend->config.ops->ring_enable(backend->config.ctx, ring->index, enable);
	return VU_DONE;
}

int vu_ring_set_kick(struct vu_backend *backend, struct vu_ring *ring, int kick)
{
	if (vu_ring_started(ring)) {
		backend->config.ops->ring_kick(backend->config.ctx, ring->index, kick);
		return VU_DONE;
	}
	fd_move(&ring->kick, &kick);
	return vu_ring_try_start(backend, ring);
}

int vu_ring_set_notifier(struct vu_backend *backend, struct vu_ring *ring, int *slot, int fd)
{
	int old = *slot, ret = 0;

	*slot = fd;
	if (vu_ring_started(ring))
		ret = backend->config.ops->ring_fds(
			backend->config.ctx, ring->index, ring->call, ring->err);
	if (ret < 0) {
		fd_move(slot, &old); /* which the device still uses */
		return vu_fault(backend, ret, "ring %u cannot take another eventfd: %s",
			ring->index, strerror(-ret));
	}
	fd_close(&old); /* only now did the device let go of it */
	return VU_DONE;
}

void vu_ring_rest(struct vu_ring *ring)
{
	fd_close(&ring->kick);
	if (ring->state == VU_RING_BROKEN)
		move(ring, VU_RING_IDLE);
}

void vu_ring_forget(struct vu_ring *ring, bool enabled)
{
	vu_ring_rest(ring);
	ring->config = (struct vq_config){0};
	ring->left = ring->stood = 0;
	ring->has_num = false;
	ring->has_addr = false;
	ring->enabled = enabled;
}
