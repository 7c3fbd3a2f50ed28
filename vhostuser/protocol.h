/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user wire format: message codes, payloads, protocol features.
 *
 * One list of requests (VU_FRONTEND_REQUESTS) gives the enum, the names, the back-end's dispatch
 * table and the tests' dictionary. All integers are of the host's byte order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostuser/checked.h"
#include "vhostuser/state.h"

#define VU_VERSION         0x1u
#define VU_FLAG_VERSION    0x3u /* mask */
#define VU_FLAG_REPLY      0x4u
#define VU_FLAG_NEED_REPLY 0x8u

/* A payload is at most this long; the longest we take is a memory table of 8 regions. */
#define VU_PAYLOAD_MAX 4096u

/* Most regions in a SET_MEM_TABLE: the fds that one message may carry. */
#define VU_MEM_TABLE_MAX 8

/* Most fds that one message may carry. */
#define VU_MSG_FDS_MAX 8

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
} __attribute__((packed));
WIRE_SIZE(struct vu_header, 12);
WIRE_OFFSET(struct vu_header, size, 8);

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
} __attribute__((packed));
WIRE_SIZE(struct vu_vring_state, 8);
WIRE_OFFSET(struct vu_vring_state, num, 4);

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
} __attribute__((packed));
WIRE_SIZE(struct vu_vring_addr, 40);
WIRE_OFFSET(struct vu_vring_addr, desc, 8);
WIRE_OFFSET(struct vu_vring_addr, used, 16);
WIRE_OFFSET(struct vu_vring_addr, avail, 24);
WIRE_OFFSET(struct vu_vring_addr, log, 32);

struct vu_mem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
} __attribute__((packed));
WIRE_SIZE(struct vu_mem_region, 32);
WIRE_OFFSET(struct vu_mem_region, user_addr, 16);

struct vu_mem_table {
	uint32_t n_regions;
	uint32_t padding;
	struct vu_mem_region regions[VU_MEM_TABLE_MAX]; /* n_regions of them on the wire */
} __attribute__((packed));
WIRE_SIZE(struct vu_mem_table, 8 + 32 * VU_MEM_TABLE_MAX);
WIRE_OFFSET(struct vu_mem_table, regions, 8);

struct vu_mem_reg_msg {
	uint64_t padding;
	struct vu_mem_region region;
} __attribute__((packed));
WIRE_SIZE(struct vu_mem_reg_msg, 40);
WIRE_OFFSET(struct vu_mem_reg_msg, region, 8);

#define VU_CONFIG_MAX 256
struct vu_config_msg {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_CONFIG_MAX]; /* `size` of them on the wire */
} __attribute__((packed));
WIRE_SIZE(struct vu_config_msg, 12 + VU_CONFIG_MAX);
WIRE_OFFSET(struct vu_config_msg, data, 12);

/* The answer to GET_SHMEM_CONFIG: how large each shared memory region is; 0 is none. */
#define VU_SHMEM_REGIONS 256
struct vu_shmem_config {
	uint32_t n_regions;
	uint32_t padding;
	uint64_t sizes[VU_SHMEM_REGIONS]; /* all of them on the wire */
} __attribute__((packed));
WIRE_SIZE(struct vu_shmem_config, 2056);
WIRE_OFFSET(struct vu_shmem_config, sizes, 8);

/* SET_VRING_KICK, _CALL, _ERR: a u64 of index and a flag. */
#define VU_VRING_INDEX_MASK 0xffu
#define VU_VRING_NOFD       0x100u

/* Protocol features (bit numbers). */
enum vu_protocol_feature {
	VU_PROTOCOL_F_MQ = 0,
	VU_PROTOCOL_F_LOG_SHMFD = 1,
	VU_PROTOCOL_F_RARP = 2,
	VU_PROTOCOL_F_REPLY_ACK = 3,
	VU_PROTOCOL_F_MTU = 4,
	VU_PROTOCOL_F_BACKEND_REQ = 5,
	VU_PROTOCOL_F_CROSS_ENDIAN = 6,
	VU_PROTOCOL_F_CRYPTO_SESSION = 7,
	VU_PROTOCOL_F_PAGEFAULT = 8,
	VU_PROTOCOL_F_CONFIG = 9,
	VU_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VU_PROTOCOL_F_HOST_NOTIFIER = 11,
	VU_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VU_PROTOCOL_F_RESET_DEVICE = 13,
	VU_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VU_PROTOCOL_F_STATUS = 16,
	VU_PROTOCOL_F_XEN_MMAP = 17,
	VU_PROTOCOL_F_SHARED_OBJECT = 18,
	VU_PROTOCOL_F_DEVICE_STATE = 19,
	VU_PROTOCOL_F_SHMEM = 22,
};

#define VU_BIT(n) (UINT64_C(1) << (n))

/* virtio feature bit 30: the back-end speaks protocol features. */
#define VU_F_PROTOCOL_FEATURES 30

/*
 * The requests of a front-end that our back-end serves: one row is the whole contract of one.
 *
 *   code     number on the wire
 *   handler  handle_<handler>() in backend_handlers.c
 *   payload  VU_PAYLOAD_<payload>: its shape, hence its size (vu_payload_size_min/max)
 *   fds      fewest and most that may come with it
 *   needs    VU_NEED_<needs>: what must have been negotiated
 *   states   VU_IN_<states>: connection states in which it is legal
 *   rings    VU_RING_IN_<rings>: states of the ring that it names; NONE: it names none
 *   answer   ACK: only when NEED_REPLY asks for it; OWN: always, with its own payload
 *
 * SET_OWNER need not come first: a front-end sets up its back-end request channel, calls and
 * errors before it (wire.md 4.1).
 */
/* clang-format off */
#define VU_FRONTEND_REQUESTS(X)                                                                    \
/* name                  code  handler            payload    fds   needs    states rings  answer */\
  X(GET_FEATURES,           1, get_features,      NONE,      0, 0, NOTHING, ANY,   NONE,    OWN) \
  X(SET_FEATURES,           2, set_features,      U64,       0, 0, NOTHING, OWNED, NONE,    ACK) \
  X(SET_OWNER,              3, set_owner,         NONE,      0, 0, NOTHING, ANY,   NONE,    ACK) \
  X(RESET_OWNER,            4, reset,             NONE,      0, 0, NOTHING, ANY,   NONE,    ACK) \
  X(SET_MEM_TABLE,          5, set_mem_table,     MEM_TABLE, 0, 8, NOTHING, OWNED, NONE,    ACK) \
  X(SET_VRING_NUM,          8, set_vring_num,     STATE,     0, 0, NOTHING, READY, STOPPED, ACK) \
  X(SET_VRING_ADDR,         9, set_vring_addr,    ADDR,      0, 0, NOTHING, READY, ANY,     ACK) \
  X(SET_VRING_BASE,        10, set_vring_base,    STATE,     0, 0, NOTHING, READY, STOPPED, ACK) \
  X(GET_VRING_BASE,        11, get_vring_base,    STATE,     0, 0, NOTHING, READY, ANY,     OWN) \
  X(SET_VRING_KICK,        12, set_vring_kick,    VRING_FD,  0, 1, NOTHING, READY, ANY,     ACK) \
  X(SET_VRING_CALL,        13, set_vring_call,    VRING_FD,  0, 1, NOTHING, ANY,   ANY,     ACK) \
  X(SET_VRING_ERR,         14, set_vring_err,     VRING_FD,  0, 1, NOTHING, ANY,   ANY,     ACK) \
  X(GET_PROTOCOL_FEATURES, 15, get_protocol,      NONE,      0, 0, OFFERED, ANY,   NONE,    OWN) \
  X(SET_PROTOCOL_FEATURES, 16, set_protocol,      U64,       0, 0, OFFERED, ANY,   NONE,    ACK) \
  X(GET_QUEUE_NUM,         17, get_queue_num,     NONE,      0, 0, MQ,      ANY,   NONE,    OWN) \
  X(SET_VRING_ENABLE,      18, set_vring_enable,  STATE,     0, 0, ACKED,   READY, ANY,     ACK) \
  X(SET_BACKEND_REQ_FD,    21, backend_req_fd,    NONE,      1, 1, BACKEND, ANY,   NONE,    ACK) \
  X(GET_CONFIG,            24, get_config,        CONFIG,    0, 0, CONFIG,  ANY,   NONE,    OWN) \
  X(SET_CONFIG,            25, set_config,        CONFIG,    0, 0, CONFIG,  ANY,   NONE,    ACK) \
  X(RESET_DEVICE,          34, reset,             NONE,      0, 0, RESET,   ANY,   NONE,    ACK) \
  X(GET_MAX_MEM_SLOTS,     36, get_max_mem_slots, NONE,      0, 0, SLOTS,   ANY,   NONE,    OWN) \
  X(ADD_MEM_REG,           37, add_mem_reg,       MEM_REG,   1, 1, SLOTS,   OWNED, NONE,    ACK) \
  X(REM_MEM_REG,           38, rem_mem_reg,       MEM_REG,   0, 1, SLOTS,   OWNED, NONE,    ACK) \
  X(GET_SHMEM_CONFIG,      44, get_shmem_config,  NONE,      0, 0, SHMEM,   ANY,   NONE,    OWN)

/* Those that it does not serve, for their numbers and names. */
#define VU_OTHER_REQUESTS(X)                                                                       \
	X(SET_LOG_BASE, 6) X(SET_LOG_FD, 7) X(SEND_RARP, 19) X(NET_SET_MTU, 20)                    \
	X(IOTLB_MSG, 22) X(SET_VRING_ENDIAN, 23) X(CREATE_CRYPTO_SESSION, 26)                      \
	X(CLOSE_CRYPTO_SESSION, 27) X(POSTCOPY_ADVISE, 28) X(POSTCOPY_LISTEN, 29)                  \
	X(POSTCOPY_END, 30) X(GET_INFLIGHT_FD, 31) X(SET_INFLIGHT_FD, 32)                          \
	X(GPU_SET_SOCKET, 33) X(VRING_KICK, 35) X(SET_STATUS, 39) X(GET_STATUS, 40)                \
	X(GET_SHARED_OBJECT, 41) X(SET_DEVICE_STATE_FD, 42) X(CHECK_DEVICE_STATE, 43)              \
	X(GET_VRING_BASE_SKIP_DRAIN, 45)
/* clang-format on */

enum vu_frontend_request {
#define X(name, code, ...) VU_##name = (code),
	VU_FRONTEND_REQUESTS(X) VU_OTHER_REQUESTS(X)
#undef X
};

/* Shapes of payloads; each has its sizes and its check in protocol.c. */
enum vu_payload {
	VU_PAYLOAD_NONE,
	VU_PAYLOAD_U64,
	VU_PAYLOAD_STATE,     /* struct vu_vring_state */
	VU_PAYLOAD_ADDR,      /* struct vu_vring_addr */
	VU_PAYLOAD_VRING_FD,  /* u64 of index and VU_VRING_NOFD */
	VU_PAYLOAD_MEM_TABLE, /* struct vu_mem_table, cut after n_regions */
	VU_PAYLOAD_MEM_REG,   /* struct vu_mem_reg_msg */
	VU_PAYLOAD_CONFIG,    /* struct vu_config_msg, cut after size */
};

/* What a request needs: protocol features by their bit, and two conditions on virtio bit 30. */
#define VU_NEED_NOTHING UINT64_C(0)
#define VU_NEED_MQ      VU_BIT(VU_PROTOCOL_F_MQ)
#define VU_NEED_CONFIG  VU_BIT(VU_PROTOCOL_F_CONFIG)
#define VU_NEED_RESET   VU_BIT(VU_PROTOCOL_F_RESET_DEVICE)
#define VU_NEED_SLOTS   VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS)
#define VU_NEED_BACKEND VU_BIT(VU_PROTOCOL_F_BACKEND_REQ)
#define VU_NEED_SHMEM   VU_BIT(VU_PROTOCOL_F_SHMEM)
#define VU_NEED_OFFERED VU_BIT(62) /* we offer VU_F_PROTOCOL_FEATURES */
#define VU_NEED_ACKED   VU_BIT(63) /* the front-end set it */

/* The most frequent mistake of all, so it says what to do. */
#define VU_NOT_SHARED                                                                              \
	"guest memory is not shared (it came without an fd): share it, with QEMU by "            \
	"-object memory-backend-memfd,id=mem,size=...,share=on -numa node,memdev=mem"

/* One row of the table, with the sizes that follow from its payload. */
struct vu_request {
	const char *name;
	uint32_t code;
	enum vu_payload payload;
	uint32_t size_min, size_max;
	uint8_t fds_min, fds_max;
	bool own_reply;
	uint8_t states; /* VU_IN_* */
	uint8_t rings;  /* VU_RING_IN_*; 0: names no ring */
	uint64_t needs;
};

/* The row for a code; NULL when our back-end does not serve it. */
const struct vu_request *vu_request_find(uint32_t code);

/* All rows, for tests and tools. */
extern const struct vu_request vu_requests[];
extern const size_t vu_n_requests;

/* The name of any request of the protocol, served or not; NULL when there is none. */
const char *vu_request_name(uint32_t code);

/*
 * What no size tells: contradictions inside a payload, or between it and the fds that came with it.
 * `size` bytes that fit the row; NULL when all is well, else the reason (a constant string).
 */
const char *vu_payload_check(
	const struct vu_request *request, const void *payload, uint32_t size, size_t n_fds);

/* The ring that a payload names; only for rows with `rings`. */
uint32_t vu_payload_ring(const struct vu_request *request, const void *payload);
