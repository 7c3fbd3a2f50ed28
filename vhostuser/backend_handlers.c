/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each request of the front-end does, once the gate in backend.c let it pass.
 *
 * Sizes, fd counts, features, states and ring indices are checked there by the request's row; here
 * only meaning remains. A handler returns a verdict (backend_private.h), and with OWN in its row it
 * also leaves an answer.
 */
#include "vhostuser/backend_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vhostuser/log.h"

/* The one flag of SET_VRING_ADDR: log dirty pages of the used ring. */
#define ADDR_F_LOG 0x1u

static int answer(struct vu_backend *backend, const void *data, size_t size)
{
	memcpy(backend->answer, data, size);
	backend->answer_size = size;
	return VU_DONE;
}

static int answer_u64(struct vu_backend *backend, uint64_t value)
{
	return answer(backend, &value, sizeof(value));
}

static uint64_t payload_u64(const struct vu_message *message)
{
	uint64_t value;

	memcpy(&value, message->payload, sizeof(value));
	return value;
}

static struct vu_vring_state payload_state(const struct vu_message *message)
{
	struct vu_vring_state state;

	memcpy(&state, message->payload, sizeof(state));
	return state;
}

/* ---- features and ownership ---- */

static int handle_get_features(struct vu_backend *backend, struct vu_message *message)
{
	return answer_u64(backend, backend->config.features);
}

static bool any_started(const struct vu_backend *backend)
{
	for (size_t i = 0; i < backend->n_rings; i++) {
		if (vu_ring_started(&backend->rings[i]))
			return true;
	}
	return false;
}

/* Without bit 30 there is no SET_VRING_ENABLE and rings are born enabled. */
static bool born_enabled(const struct vu_backend *backend)
{
	return (backend->features & VU_BIT(VU_F_PROTOCOL_FEATURES)) == 0;
}

static int handle_set_features(struct vu_backend *backend, struct vu_message *message)
{
	uint64_t features = payload_u64(message);
	bool first = backend->state == VU_CONN_OWNED, born, changed;
	int ret = VU_DONE;

	if (features & ~backend->config.features)
		return vu_fault(backend, -EPROTO, "features that were not offered: 0x%" PRIx64,
			features & ~backend->config.features);
	if (features != backend->features && any_started(backend))
		return vu_fault(backend, -EPROTO, "other features while a ring is started");

	born = !first && born_enabled(backend);
	backend->features = features;
	if (first)
		vu_conn_move(backend, VU_CONN_READY);

	changed = born != born_enabled(backend);
	for (size_t i = 0; changed && i < backend->n_rings; i++) {
		int verdict = vu_ring_enable(backend, &backend->rings[i], !born);

		if (ret == VU_DONE)
			ret = verdict;
	}
	return ret;
}

static int handle_set_owner(struct vu_backend *backend, struct vu_message *message)
{
	/* Saying it again does no harm; some do after RESET_OWNER. */
	if (backend->state == VU_CONN_NEW)
		vu_conn_move(backend, VU_CONN_OWNED);
	return VU_DONE;
}

static int handle_get_protocol(struct vu_backend *backend, struct vu_message *message)
{
	return answer_u64(backend, backend->config.protocol_features);
}

static int handle_set_protocol(struct vu_backend *backend, struct vu_message *message)
{
	uint64_t features = payload_u64(message);

	if (features & ~backend->config.protocol_features)
		return vu_fault(backend, -EPROTO,
			"protocol features that were not offered: 0x%" PRIx64,
			features & ~backend->config.protocol_features);
	backend->protocol_features = features;
	if (backend->config.ops->protocol_features)
		backend->config.ops->protocol_features(backend->config.ctx, features);
	return VU_DONE;
}

static int handle_get_queue_num(struct vu_backend *backend, struct vu_message *message)
{
	return answer_u64(backend, backend->n_rings);
}

/* ---- resets: every ring comes to rest first, and then the device is as new ---- */

static int reset_complete(struct vu_backend *backend, struct vu_message *message)
{
	for (size_t i = 0; i < backend->n_rings; i++)
		vu_ring_forget(&backend->rings[i],
			backend->state == VU_CONN_READY && born_enabled(backend));
	backend->config.ops->reset(backend->config.ctx);
	return VU_DONE;
}

/* Now, or when the last ring is at rest. */
static int after_stops(struct vu_backend *backend, struct vu_message *message, vu_handler complete)
{
	if (backend->n_stopping == 0)
		return complete(backend, message);
	backend->complete = complete;
	return VU_LATER;
}

static int handle_reset(struct vu_backend *backend, struct vu_message *message)
{
	for (size_t i = 0; i < backend->n_rings; i++)
		vu_ring_stop(backend, &backend->rings[i]);
	return after_stops(backend, message, reset_complete);
}

/* ---- memory ---- */

static int handle_get_max_mem_slots(struct vu_backend *backend, struct vu_message *message)
{
	return answer_u64(backend, VU_MEMORY_SLOTS);
}

/* Consumes `memory`. */
static void use_memory(struct vu_backend *backend, struct vu_memory *memory)
{
	struct vu_memory *old = backend->memory;

	backend->memory = memory;
	backend->config.ops->memory(backend->config.ctx, memory);
	vu_memory_put(old);
}

static struct vu_region_desc region_desc(const struct vu_mem_region *region)
{
	return (struct vu_region_desc){
		.gpa = region->gpa,
		.size = region->size,
		.user_addr = region->user_addr,
		.mmap_offset = region->mmap_offset,
	};
}

static int region_fault(struct vu_backend *backend, const struct vu_mem_region *region, int err)
{
	const char *why;

	switch (err) {
	case -EINVAL:
		why = "not within its file, or badly aligned";
		break;
	case -EEXIST:
		why = "overlaps another one";
		break;
	case -ENOSPC:
		why = "all slots are taken";
		break;
	case -ENOENT:
		why = "there is none like it";
		break;
	default:
		why = strerror(-err);
		break;
	}
	return vu_fault(backend, err, "memory region at 0x%" PRIx64 ", 0x%" PRIx64 " bytes: %s",
		region->gpa, region->size, why);
}

static bool is_window(const struct vu_backend *backend, const struct vu_region_desc *desc, int fd)
{
	const struct vu_backend_ops *ops = backend->config.ops;
	struct stat st;

	return ops->is_window && fstat(fd, &st) == 0 &&
	       ops->is_window(backend->config.ctx, st.st_dev, st.st_ino, desc->mmap_offset,
		       desc->size, desc->gpa);
}

/* Replaces *memory (a reference of the caller's) by one that also has this region. */
static int add_region(struct vu_backend *backend, struct vu_memory **memory,
	const struct vu_mem_region *wire, int fd)
{
	struct vu_region_desc desc = region_desc(wire);
	struct vu_memory *larger = NULL;
	struct vu_region *region;
	int ret;

	desc.window = is_window(backend, &desc, fd);
	ret = vu_region_map(&desc, fd, &region);
	if (ret == 0) {
		ret = vu_memory_add(*memory, region, &larger);
		vu_region_put(region);
	}
	if (ret < 0)
		return region_fault(backend, wire, ret);
	vu_memory_put(*memory);
	*memory = larger;
	return VU_DONE;
}

static int handle_set_mem_table(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_memory *memory = vu_memory_new();
	struct vu_mem_table table;
	int ret = VU_DONE;

	if (!memory)
		return vu_fault(backend, -ENOMEM, "%s", strerror(ENOMEM));

	memcpy(&table, message->payload, message->size);
	for (uint32_t i = 0; ret == VU_DONE && i < table.n_regions; i++)
		ret = add_region(backend, &memory, &table.regions[i], message->fds->fd[i]);

	if (ret == VU_DONE)
		use_memory(backend, memory);
	else
		vu_memory_put(memory);
	return ret;
}

static bool refuses(const struct vu_backend *backend, const struct vu_message *message,
	const struct vu_mem_region *region)
{
	const struct vu_backend_ops *ops = backend->config.ops;
	struct stat st;

	return ops->refuses && vu_reply_asked(backend) && fstat(message->fds->fd[0], &st) == 0 &&
	       ops->refuses(backend->config.ctx, st.st_dev, st.st_ino, region->mmap_offset,
		       region->size, region->gpa);
}

static int handle_add_mem_reg(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_memory *memory;
	struct vu_mem_reg_msg msg;
	int ret;

	memcpy(&msg, message->payload, sizeof(msg));
	if (refuses(backend, message, &msg.region))
		return VU_FAILED;
	memory = vu_memory_get(backend->memory);
	ret = add_region(backend, &memory, &msg.region, message->fds->fd[0]);
	if (ret == VU_DONE)
		use_memory(backend, memory);
	else
		vu_memory_put(memory);
	return ret;
}

static int handle_rem_mem_reg(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_region_desc desc;
	struct vu_memory *memory;
	struct vu_mem_reg_msg msg;
	int ret;

	memcpy(&msg, message->payload, sizeof(msg));
	desc = region_desc(&msg.region);
	ret = vu_memory_remove(backend->memory, &desc, &memory);
	if (ret < 0)
		return region_fault(backend, &msg.region, ret);
	use_memory(backend, memory);
	return VU_DONE;
}

/* ---- rings ---- */

static int handle_set_vring_num(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_ring *ring = message->ring;

	/* The guest chooses it; whether it is a good one shows when the ring starts. */
	ring->config.num = payload_state(message).num;
	ring->has_num = true;
	return vu_ring_try_start(backend, ring);
}

static int handle_set_vring_addr(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_ring *ring = message->ring;
	struct vq_config *config = &ring->config;
	struct vu_vring_addr addr;

	memcpy(&addr, message->payload, sizeof(addr));
	if (addr.flags & ~ADDR_F_LOG)
		return vu_fault(backend, -EPROTO, "unknown flags 0x%x", addr.flags);

	/* QEMU sends the same addresses again to switch the log on and off. */
	if (vu_ring_started(ring)) {
		if (addr.desc != config->desc_addr || addr.avail != config->avail_addr ||
			addr.used != config->used_addr)
			return vu_fault(backend, -EPROTO, "ring %u is started and cannot move",
				ring->index);
		return VU_DONE;
	}
	config->desc_addr = addr.desc;
	config->avail_addr = addr.avail;
	config->used_addr = addr.used;
	ring->has_addr = true;
	return vu_ring_try_start(backend, ring);
}

/*
 * All rings were stopped. One that goes on, goes on where it stood; one that begins anew has a new
 * driver: the machine was reset, or the driver loaded again. Front-ends that send no RESET_DEVICE
 * (QEMU 7.2) stop the rings for that as they do for a pause, and this is the first that tells the
 * two apart.
 */
static int handle_set_vring_base(struct vu_backend *backend, struct vu_message *message)
{
	const struct vu_backend_ops *ops = backend->config.ops;
	struct vu_ring *ring = message->ring;
	uint32_t base = payload_state(message).num;

	if (base > UINT16_MAX)
		return vu_fault(backend, -EPROTO, "base %u of a split ring", base);
	ring->config.base = (uint16_t)base;
	if (base != 0 || ring->stood == 0)
		return VU_DONE;
	log_debug("front-end", "ring %u begins anew: so does the driver", ring->index);
	/* Once: the driver may be at work when the next ring is told. */
	for (size_t i = 0; i < backend->n_rings; i++)
		backend->rings[i].stood = 0;
	if (ops->renewed)
		ops->renewed(backend->config.ctx);
	return VU_DONE;
}

static int get_vring_base_complete(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_vring_state state = {
		.index = message->ring->index,
		.num = message->ring->config.base,
	};

	vu_ring_rest(message->ring);
	return answer(backend, &state, sizeof(state));
}

static int handle_get_vring_base(struct vu_backend *backend, struct vu_message *message)
{
	vu_ring_stop(backend, message->ring);
	return after_stops(backend, message, get_vring_base_complete);
}

/*
 * The eventfd of a vring fd message, or -1. Nothing else will do: who shares a pipe or a socket can
 * hold its lock for as long as a page fault of his takes, and a directory is readable for ever.
 */
static int take_eventfd(struct vu_backend *backend, struct vu_message *message, int *fd)
{
	int ret;

	*fd = -1;
	if (message->fds->n == 0)
		return VU_DONE;
	if (!fd_is_eventfd(message->fds->fd[0]))
		return vu_fault(backend, -EPROTO, "the fd is not an eventfd");
	ret = fd_nonblock(message->fds->fd[0]);
	if (ret < 0)
		return vu_fault(backend, ret, "the fd is of no use: %s", strerror(-ret));
	*fd = fds_take(message->fds, 0);
	return VU_DONE;
}

static int handle_set_vring_kick(struct vu_backend *backend, struct vu_message *message)
{
	int fd, ret;

	ret = take_eventfd(backend, message, &fd);
	if (ret < 0)
		return ret;
	if (fd < 0)
		return vu_fault(backend, -EOPNOTSUPP,
			"ring %u comes without a kick fd, and polling is not supported",
			message->ring->index);
	return vu_ring_set_kick(backend, message->ring, fd);
}

static int handle_set_vring_call(struct vu_backend *backend, struct vu_message *message)
{
	int fd, ret;

	ret = take_eventfd(backend, message, &fd);
	if (ret < 0)
		return ret;
	if (backend->config.ops->ring_named)
		backend->config.ops->ring_named(backend->config.ctx, message->ring->index);
	return vu_ring_set_notifier(backend, message->ring, &message->ring->call, fd);
}

static int handle_set_vring_err(struct vu_backend *backend, struct vu_message *message)
{
	int fd, ret;

	ret = take_eventfd(backend, message, &fd);
	if (ret < 0)
		return ret;
	return vu_ring_set_notifier(backend, message->ring, &message->ring->err, fd);
}

static int handle_set_vring_enable(struct vu_backend *backend, struct vu_message *message)
{
	uint32_t enable = payload_state(message).num;

	if (enable > 1)
		return vu_fault(backend, -EPROTO, "neither 0 nor 1: %u", enable);
	return vu_ring_enable(backend, message->ring, enable == 1);
}

/* ---- config space ---- */

static int handle_get_config(struct vu_backend *backend, struct vu_message *message)
{
	struct vu_config_msg msg = {0};
	int ret;

	memcpy(&msg, message->payload, offsetof(struct vu_config_msg, data));
	ret = backend->config.ops->get_config(backend->config.ctx, msg.offset, msg.data, msg.size);
	if (ret < 0) {
		/* An empty answer is this message's way to say no. */
		log_guest("front-end", "%s: %u bytes at %u: %s", message->request->name, msg.size,
			msg.offset, strerror(-ret));
		return answer(backend, &msg, 0);
	}
	return answer(backend, &msg, message->size);
}

static int handle_set_config(struct vu_backend *backend, struct vu_message *message)
{
	return vu_fault(backend, VU_FAILED, "the config space is read-only");
}

/* ---- the DAX window ---- */

static int handle_backend_req_fd(struct vu_backend *backend, struct vu_message *message)
{
	const struct vu_backend_ops *ops = backend->config.ops;
	int ret;

	if (!ops->channel)
		return VU_DONE; /* nothing would ever be asked there */
	ret = ops->channel(backend->config.ctx, fds_take(message->fds, 0));
	if (ret < 0)
		return vu_fault(backend, ret, "the fd is of no use: %s", strerror(-ret));
	return VU_DONE;
}

static int handle_get_shmem_config(struct vu_backend *backend, struct vu_message *message)
{
	const struct vu_backend_config *config = &backend->config;
	struct vu_shmem_config msg = {.n_regions = config->shmem_size ? 1 : 0};

	msg.sizes[0] = config->shmem_size;
	if (config->shmem_size && config->ops->shmem_asked)
		config->ops->shmem_asked(config->ctx);
	return answer(backend, &msg, sizeof(msg));
}

vu_handler vu_handler_find(uint32_t code)
{
	switch (code) {
#define X(name, code_, handler, ...)                                                               \
	case (code_):                                                                              \
		return handle_##handler;
		VU_FRONTEND_REQUESTS(X)
#undef X
	default:
		return NULL;
	}
}
