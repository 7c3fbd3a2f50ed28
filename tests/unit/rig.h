/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end between a scripted front-end (the other end of a socketpair) and a device that writes
 * down what it is told.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/fds.h"
#include "vhostuser/backend.h"
#include "vhostuser/log.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"
#include "vhostuser/state.h"

#define RIG_QUEUES   3
#define RIG_F_30     VU_BIT(VU_F_PROTOCOL_FEATURES)
#define RIG_FEATURES (RIG_F_30 | VU_BIT(32) | VU_BIT(29) | VU_BIT(28))
#define RIG_PROTOCOL                                                                               \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |                              \
		VU_BIT(VU_PROTOCOL_F_CONFIG) | VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) |                \
		VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) |    \
		VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD) | VU_BIT(VU_PROTOCOL_F_SHMEM))
#define RIG_SHMEM  UINT64_C(0x40000000)
#define RIG_NO_ACK (RIG_PROTOCOL & ~VU_BIT(VU_PROTOCOL_F_REPLY_ACK))

struct rig {
	int front; /* the front-end's end */
	struct vu_backend *backend;
	char told[2048]; /* what the device was told, in words */
	bool hold_stop;  /* the device does not stop at once */
	int start_error;
	int fds_error;
	int channel_error;
	int channel;      /* the fd of the last one, or -1 */
	uint64_t agreed;  /* protocol features */
	ino_t window_ino; /* regions of this file are in the window */
	bool refuses;     /* and not wanted */
	int kick[RIG_QUEUES];
	size_t n_regions;
	struct vu_memory *memory; /* the back-end's */
	int saved_stderr, log;
};

__attribute__((format(printf, 2, 3))) static inline void rig_note(
	struct rig *rig, const char *format, ...)
{
	size_t len = strlen(rig->told);
	va_list args;

	va_start(args, format);
	vsnprintf(rig->told + len, sizeof(rig->told) - len, format, args);
	va_end(args);
}

/* What the device was told since the last time. */
static inline void rig_expect_told(struct rig *rig, const char *expect)
{
	assert_string_equal(rig->told, expect);
	rig->told[0] = '\0';
}

static inline int rig_ring_start(void *ctx, unsigned int index, const struct vq_config *config,
	struct vu_memory *memory, int kick, int call, int err)
{
	struct rig *rig = ctx;

	assert_true(fcntl(kick, F_GETFL) & O_NONBLOCK);
	rig_note(rig, "start %u num %u base %u desc %llx call %d err %d regions %zu;", index,
		config->num, config->base, (unsigned long long)config->desc_addr, call >= 0,
		err >= 0, memory->n);
	if (rig->start_error) {
		close(kick);
		return rig->start_error;
	}
	rig->kick[index] = kick;
	return 0;
}

static inline void rig_ring_stop(void *ctx, unsigned int index)
{
	struct rig *rig = ctx;

	rig_note(rig, "stop %u;", index);
	fd_close(&rig->kick[index]);
	if (!rig->hold_stop)
		vu_backend_ring_stopped(rig->backend, index, (uint16_t)(100 + index));
}

static inline int rig_ring_fds(void *ctx, unsigned int index, int call, int err)
{
	assert_true(call < 0 || fcntl(call, F_GETFD) >= 0);
	assert_true(err < 0 || fcntl(err, F_GETFD) >= 0);
	rig_note(ctx, "fds %u call %d err %d;", index, call >= 0, err >= 0);
	return ((struct rig *)ctx)->fds_error;
}

static inline void rig_ring_kick(void *ctx, unsigned int index, int kick)
{
	struct rig *rig = ctx;

	fd_move(&rig->kick[index], &kick);
	rig_note(rig, "kick %u;", index);
}

static inline void rig_ring_enable(void *ctx, unsigned int index, bool enable)
{
	rig_note(ctx, "%s %u;", enable ? "resume" : "pause", index);
}

static inline void rig_memory(void *ctx, struct vu_memory *memory)
{
	struct rig *rig = ctx;

	rig->n_regions = memory->n;
	rig->memory = memory;
	rig_note(rig, "memory %zu;", memory->n);
}

static inline void rig_reset(void *ctx)
{
	rig_note(ctx, "reset;");
}

static inline void rig_renewed(void *ctx)
{
	rig_note(ctx, "renewed;");
}

static inline void rig_protocol_features(void *ctx, uint64_t features)
{
	((struct rig *)ctx)->agreed = features;
}

static inline int rig_channel(void *ctx, int fd)
{
	struct rig *rig = ctx;

	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	rig_note(rig, "channel;");
	fd_move(&rig->channel, &fd);
	return rig->channel_error;
}

static inline void rig_shmem_asked(void *ctx)
{
	rig_note(ctx, "shmem;");
}

static inline bool rig_is_window(
	void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa)
{
	struct rig *rig = ctx;

	if (ino != rig->window_ino)
		return false;
	rig_note(rig, "window %llx at %llx from %llx;", (unsigned long long)size,
		(unsigned long long)gpa, (unsigned long long)offset);
	return true;
}

static inline bool rig_refuses(
	void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa)
{
	struct rig *rig = ctx;

	if (ino != rig->window_ino || !rig->refuses)
		return false;
	rig_note(rig, "refused %llx at %llx from %llx;", (unsigned long long)size,
		(unsigned long long)gpa, (unsigned long long)offset);
	return true;
}

static inline int rig_get_config(void *ctx, uint32_t offset, void *data, uint32_t size)
{
	if (!range_within(offset, size, 44))
		return -EINVAL;
	for (uint32_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = (uint8_t)(offset + i);
	return 0;
}

static inline void rig_init(struct rig *rig, uint64_t features, uint64_t protocol_features)
{
	static const struct vu_backend_ops ops = {
		.ring_start = rig_ring_start,
		.ring_stop = rig_ring_stop,
		.ring_fds = rig_ring_fds,
		.ring_kick = rig_ring_kick,
		.ring_enable = rig_ring_enable,
		.memory = rig_memory,
		.reset = rig_reset,
		.renewed = rig_renewed,
		.protocol_features = rig_protocol_features,
		.channel = rig_channel,
		.shmem_asked = rig_shmem_asked,
		.is_window = rig_is_window,
		.refuses = rig_refuses,
		.get_config = rig_get_config,
	};
	struct vu_backend_config config = {
		.features = features,
		.protocol_features = protocol_features,
		.n_queues = RIG_QUEUES,
		.shmem_size = RIG_SHMEM,
		.ops = &ops,
		.ctx = rig,
	};
	int pair[2];

	*rig = (struct rig){.kick = {-1, -1, -1}, .channel = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig->front = pair[0];
	assert_int_equal(vu_backend_new(pair[1], &config, &rig->backend), 0);
}

static inline void rig_fini(struct rig *rig)
{
	vu_backend_free(rig->backend);
	fd_close(&rig->front);
	fd_close(&rig->channel);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		fd_close(&rig->kick[i]);
}

/* ---- the front-end's side ---- */

static inline void rig_send(struct rig *rig, uint32_t code, uint32_t flags, const void *payload,
	uint32_t size, const int *fds, size_t n_fds)
{
	struct vu_header header = {.request = code, .flags = VU_VERSION | flags, .size = size};
	char message[sizeof(header) + VU_PAYLOAD_MAX];

	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), payload, size);
	assert_int_equal(vu_socket_send(rig->front, message, sizeof(header) + size, fds, n_fds),
		sizeof(header) + size);
}

static inline int rig_pump(struct rig *rig)
{
	return vu_backend_on_ready(rig->backend);
}

/* An answer is there, and it is exactly this. */
static inline void rig_expect_answer(
	struct rig *rig, uint32_t code, const void *data, uint32_t size)
{
	struct vu_receiver in = {0};

	assert_int_equal(vu_receive_header(rig->front, &in), 0);
	assert_int_equal(vu_receive_payload(rig->front, &in), 0);
	assert_int_equal(in.header.request, code);
	assert_int_equal(in.header.flags, 0x5);
	assert_int_equal(in.header.size, size);
	assert_int_equal(in.fds.n, 0);
	if (size)
		assert_memory_equal(in.payload, data, size);
	vu_receiver_reset(&in);
}

static inline void rig_expect_u64(struct rig *rig, uint32_t code, uint64_t value)
{
	rig_expect_answer(rig, code, &value, sizeof(value));
}

static inline void rig_expect_silence(struct rig *rig)
{
	struct vu_receiver in = {0};

	assert_int_equal(vu_receive_header(rig->front, &in), -EAGAIN);
}

/* A request that is not answered. */
static inline void rig_do(struct rig *rig, uint32_t code, const void *payload, uint32_t size)
{
	rig_send(rig, code, 0, payload, size, NULL, 0);
	assert_int_equal(rig_pump(rig), 0);
}

static inline void rig_do_u64(struct rig *rig, uint32_t code, uint64_t value)
{
	rig_do(rig, code, &value, sizeof(value));
}

static inline void rig_do_state(struct rig *rig, uint32_t code, uint32_t index, uint32_t num)
{
	struct vu_vring_state payload = {.index = index, .num = num};

	rig_do(rig, code, &payload, sizeof(payload));
}

/* A new eventfd for a ring. */
static inline void rig_do_fd(struct rig *rig, uint32_t code, uint32_t index)
{
	CLEANUP_FD int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t value = index;

	rig_send(rig, code, 0, &value, sizeof(value), &fd, 1);
	assert_int_equal(rig_pump(rig), 0);
}

static inline struct vu_vring_addr rig_addr(uint32_t index)
{
	uint64_t base = 0x7f0000000000 + index * UINT64_C(0x10000);

	return (struct vu_vring_addr){
		.index = index,
		.desc = base,
		.avail = base + 0x1000,
		.used = base + 0x2000,
	};
}

static inline void rig_do_addr(struct rig *rig, uint32_t index)
{
	struct vu_vring_addr addr = rig_addr(index);

	rig_do(rig, VU_SET_VRING_ADDR, &addr, sizeof(addr));
}

static inline int rig_memfd(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static inline struct vu_mem_region rig_region(unsigned int i)
{
	return (struct vu_mem_region){
		.gpa = i * UINT64_C(0x100000),
		.size = 0x100000,
		.user_addr = 0x7f0000000000 + i * UINT64_C(0x100000),
	};
}

static inline void rig_do_memory(struct rig *rig, unsigned int n)
{
	struct vu_mem_table table = {.n_regions = n};
	CLEANUP_FD int fd = rig_memfd(0x100000);
	int fds[VU_MEM_TABLE_MAX];

	for (unsigned int i = 0; i < n; i++) {
		table.regions[i] = rig_region(i);
		fds[i] = fd;
	}
	rig_send(rig, VU_SET_MEM_TABLE, 0, &table, 8 + 32 * n, fds, n);
	assert_int_equal(rig_pump(rig), 0);
}

/* Brings a fresh connection to a state with these protocol and virtio features set. */
static inline void rig_open(
	struct rig *rig, enum vu_conn_state state, uint64_t protocol, uint64_t features)
{
	if (protocol)
		rig_do_u64(rig, VU_SET_PROTOCOL_FEATURES, protocol);
	if (state >= VU_CONN_OWNED)
		rig_do(rig, VU_SET_OWNER, NULL, 0);
	if (state >= VU_CONN_READY)
		rig_do_u64(rig, VU_SET_FEATURES, features);
	rig_expect_silence(rig);
}

/* ... and one of its rings to run. */
static inline void rig_run(struct rig *rig, uint32_t index)
{
	rig_do_state(rig, VU_SET_VRING_NUM, index, 8);
	rig_do_state(rig, VU_SET_VRING_BASE, index, 3);
	rig_do_addr(rig, index);
	rig_do_fd(rig, VU_SET_VRING_KICK, index);
	rig_do_fd(rig, VU_SET_VRING_CALL, index);
	rig_do_state(rig, VU_SET_VRING_ENABLE, index, 1);
}

/* ---- what is logged meanwhile ---- */

static inline void rig_log_start(struct rig *rig)
{
	rig->log = memfd_create("log", MFD_CLOEXEC);
	rig->saved_stderr = dup(STDERR_FILENO);
	dup2(rig->log, STDERR_FILENO);
}

/* Ends it: the text, valid until the next call; *lines gets its number of lines. */
static inline const char *rig_log_end(struct rig *rig, size_t *lines)
{
	static char text[4096];
	ssize_t n;

	dup2(rig->saved_stderr, STDERR_FILENO);
	close(rig->saved_stderr);
	n = pread(rig->log, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(rig->log);
	*lines = 0;
	for (const char *p = text; *p; p++)
		*lines += *p == '\n';
	return text;
}

/*
 * What was sent ends the connection with `err` and one line that begins as said and has `why` in
 * it.
 */
static inline void rig_expect_end(struct rig *rig, int err, const char *name, const char *why)
{
	char begin[80];
	const char *text;
	size_t lines;
	int ret;

	rig_log_start(rig);
	ret = rig_pump(rig);
	text = rig_log_end(rig, &lines);
	snprintf(begin, sizeof(begin), "ERROR front-end: %s: ", name);
	if (ret != err || lines != 1 || strncmp(text, begin, strlen(begin)) != 0 ||
		!strstr(text, why))
		fail_msg("%s: expected %d and one line with '%s', got %d and %zu: %s", name, err,
			why, ret, lines, text);
	assert_int_equal(rig_pump(rig), err); /* and it stays so */
}
