/* SPDX-License-Identifier: BSD-3-Clause */
/* The request table, and what can be said of a payload without any state. */
#include "vhostuser/protocol.h"

#include <string.h>

#define VU_SIZES_NONE      .size_min = 0, .size_max = 0
#define VU_SIZES_U64       .size_min = 8, .size_max = 8
#define VU_SIZES_STATE     .size_min = 8, .size_max = sizeof(struct vu_vring_state)
#define VU_SIZES_ADDR      .size_min = 40, .size_max = sizeof(struct vu_vring_addr)
#define VU_SIZES_VRING_FD  .size_min = 8, .size_max = 8
#define VU_SIZES_MEM_TABLE .size_min = 8, .size_max = sizeof(struct vu_mem_table)
#define VU_SIZES_MEM_REG   .size_min = 40, .size_max = sizeof(struct vu_mem_reg_msg)
#define VU_SIZES_CONFIG    .size_min = 12, .size_max = sizeof(struct vu_config_msg)

#define VU_ANSWER_ACK false
#define VU_ANSWER_OWN true

const struct vu_request vu_requests[] = {
#define X(name_, code_, handler_, payload_, fds_min_, fds_max_, needs_, states_, rings_, answer_)  \
	{                                                                                          \
		.name = #name_,                                                                    \
		.code = (code_),                                                                   \
		.payload = VU_PAYLOAD_##payload_,                                                  \
		VU_SIZES_##payload_,                                                               \
		.fds_min = (fds_min_),                                                             \
		.fds_max = (fds_max_),                                                             \
		.own_reply = VU_ANSWER_##answer_,                                                  \
		.states = VU_IN_##states_,                                                         \
		.rings = VU_RING_IN_##rings_,                                                      \
		.needs = VU_NEED_##needs_,                                                         \
	},
	VU_FRONTEND_REQUESTS(X)
#undef X
};
const size_t vu_n_requests = ARRAY_SIZE(vu_requests);

static_assert(sizeof(struct vu_mem_table) <= VU_PAYLOAD_MAX, "the longest payload fits");
static_assert(sizeof(struct vu_shmem_config) <= VU_PAYLOAD_MAX, "the longest answer fits");

const struct vu_request *vu_request_find(uint32_t code)
{
	for (size_t i = 0; i < vu_n_requests; i++) {
		if (vu_requests[i].code == code)
			return &vu_requests[i];
	}
	return NULL;
}

const char *vu_request_name(uint32_t code)
{
	/* A number given to two requests would not compile here. */
	switch (code) {
#define X(name, code_, ...)                                                                        \
	case (code_):                                                                              \
		return #name;
		VU_FRONTEND_REQUESTS(X)
		VU_OTHER_REQUESTS(X)
#undef X
	default:
		return NULL;
	}
}

static const char *check_region(const struct vu_mem_region *region)
{
	uint64_t end;

	if (region->size == 0)
		return "empty memory region";
	if (add_overflows(region->gpa, region->size, &end) ||
		add_overflows(region->user_addr, region->size, &end) ||
		add_overflows(region->mmap_offset, region->size, &end))
		return "memory region wraps around";
	return NULL;
}

static const char *check_mem_table(const void *payload, uint32_t size, size_t n_fds)
{
	struct vu_mem_table table;

	memcpy(&table, payload, size);
	if (table.n_regions > VU_MEM_TABLE_MAX)
		return "more than 8 memory regions";
	if (size != offsetof(struct vu_mem_table, regions) +
			table.n_regions * sizeof(struct vu_mem_region))
		return "payload does not match its number of regions";
	if (table.n_regions > 0 && n_fds == 0)
		return VU_NOT_SHARED;
	if (n_fds != table.n_regions)
		return "as many fds as regions are needed";

	for (uint32_t i = 0; i < table.n_regions; i++) {
		const char *why = check_region(&table.regions[i]);

		if (why)
			return why;
	}
	return NULL;
}

static const char *check_mem_reg(const void *payload)
{
	struct vu_mem_reg_msg msg;

	memcpy(&msg, payload, sizeof(msg));
	return check_region(&msg.region);
}

static const char *check_vring_fd(const void *payload, size_t n_fds)
{
	uint64_t value;

	memcpy(&value, payload, sizeof(value));
	if (value & ~(uint64_t)(VU_VRING_INDEX_MASK | VU_VRING_NOFD))
		return "reserved bits set";
	if ((value & VU_VRING_NOFD) && n_fds > 0)
		return "an fd came although the payload says none";
	if (!(value & VU_VRING_NOFD) && n_fds == 0)
		return "no fd came although the payload says one";
	return NULL;
}

static const char *check_config(const void *payload, uint32_t size)
{
	uint32_t len;

	memcpy(&len, (const char *)payload + offsetof(struct vu_config_msg, size), sizeof(len));
	if (size - offsetof(struct vu_config_msg, data) != len)
		return "payload does not match its size field";
	return NULL;
}

const char *vu_payload_check(
	const struct vu_request *request, const void *payload, uint32_t size, size_t n_fds)
{
	switch (request->payload) {
	case VU_PAYLOAD_MEM_TABLE:
		return check_mem_table(payload, size, n_fds);
	case VU_PAYLOAD_MEM_REG:
		return check_mem_reg(payload);
	case VU_PAYLOAD_VRING_FD:
		return check_vring_fd(payload, n_fds);
	case VU_PAYLOAD_CONFIG:
		return check_config(payload, size);
	case VU_PAYLOAD_NONE:
	case VU_PAYLOAD_U64:
	case VU_PAYLOAD_STATE:
	case VU_PAYLOAD_ADDR:
		break;
	}
	return NULL;
}

uint32_t vu_payload_ring(const struct vu_request *request, const void *payload)
{
	uint32_t index;

	if (request->payload == VU_PAYLOAD_VRING_FD) {
		uint64_t value;

		memcpy(&value, payload, sizeof(value));
		return (uint32_t)(value & VU_VRING_INDEX_MASK);
	}
	memcpy(&index, payload, sizeof(index));
	return index;
}
