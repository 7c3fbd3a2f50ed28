/* SPDX-License-Identifier: BSD-3-Clause */
/* What backend.c, backend_ring.c and backend_handlers.c share; nobody else includes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostuser/backend.h"
#include "vhostuser/fd.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"
#include "vhostuser/state.h"

/* All the rings that a vring fd message can name. */
#define VU_RINGS_MAX (VU_VRING_INDEX_MASK + 1)

/* The longest answer: GET_SHMEM_CONFIG's. */
#define VU_ANSWER_MAX sizeof(struct vu_shmem_config)

/* One ring as the front-end configured it. */
struct vu_ring {
	enum vu_ring_state state;
	unsigned int index;
	struct vq_config config;
	bool has_num, has_addr, enabled;
	uint16_t left;  /* the base that it stopped at; 0: it is started, or new */
	uint16_t stood; /* the same, once all rings were stopped together */
	int kick;      /* owned until the ring starts, then the device's: -1 */
	int call, err; /* owned; the device borrows them while the ring is started */
};

/* One message that passed the gate. */
struct vu_message {
	const struct vu_request *request;
	bool need_reply;
	const void *payload;
	uint32_t size;
	struct vu_fds *fds;   /* what a handler does not take is closed */
	struct vu_ring *ring; /* the one it names, if it does */
};

/*
 * A handler's verdict. 0: done. -EPROTO: the message contradicts itself or the state, the
 * connection ends. Another -errno: well-formed, but we cannot do it; NEED_REPLY is told so, and
 * the connection ends when nobody asked. All but 0 come with a reason from vu_fault().
 */
enum vu_verdict {
	VU_DONE = 0,
	VU_LATER = 1,  /* the answer follows when the last stopping ring is at rest */
	VU_FAILED = 2, /* a guest's fault: NEED_REPLY is told, the connection goes on in any case */
};

typedef int (*vu_handler)(struct vu_backend *backend, struct vu_message *message);

struct vu_backend {
	int fd;
	enum vu_conn_state state;
	int error; /* once DEAD: what vu_backend_on_ready() returns */
	struct vu_backend_config config;
	uint64_t features, protocol_features; /* as the front-end set them */
	struct vu_memory *memory;
	struct vu_receiver in;
	char why[320]; /* reason of a verdict; empty: somebody logged it already */

	/* An answer's payload, filled by a handler; then the whole message on its way out. */
	uint8_t answer[VU_ANSWER_MAX];
	size_t answer_size;
	uint8_t out[sizeof(struct vu_header) + VU_ANSWER_MAX];
	size_t out_size, out_sent;

	/* The request that waits for rings to come to rest (state STOPPING). */
	unsigned int n_stopping;
	struct vu_message waiting;
	vu_handler complete;

	size_t n_rings;
	struct vu_ring rings[];
};

/* The handler of a request in the table. */
vu_handler vu_handler_find(uint32_t code);

/* Notes why and returns `verdict`. */
int vu_fault(struct vu_backend *backend, int verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* True when the front-end waits to hear how the message at work ended. */
bool vu_reply_asked(const struct vu_backend *backend);

/* A step of the connection that state.h draws (asserted). */
void vu_conn_move(struct vu_backend *backend, enum vu_conn_state to);

/* backend_ring.c */

/* An idle ring without fds. */
void vu_ring_init(struct vu_ring *ring, unsigned int index);
/* Closes its fds. */
void vu_ring_fini(struct vu_ring *ring);

/* True when the ring's fields are what its state says; `backend` is between two messages. */
bool vu_ring_valid(const struct vu_backend *backend, const struct vu_ring *ring);
bool vu_ring_started(const struct vu_ring *ring);

/* Starts the ring if it has all it needs; a verdict. */
int vu_ring_try_start(struct vu_backend *backend, struct vu_ring *ring);

/* Asks the device to stop a started ring; nothing for others. */
void vu_ring_stop(struct vu_backend *backend, struct vu_ring *ring);

/* The device's answer to that; false when nobody asked. */
bool vu_ring_at_rest(struct vu_backend *backend, struct vu_ring *ring, uint16_t base);

/* A started ring is paused or goes on, another becomes (in)eligible to start; a verdict. */
int vu_ring_enable(struct vu_backend *backend, struct vu_ring *ring, bool enable);

/* Takes another kick fd; a verdict. */
int vu_ring_set_kick(struct vu_backend *backend, struct vu_ring *ring, int kick);

/* Takes another call (or err) fd into *slot, which is the ring's; a verdict. */
int vu_ring_set_notifier(struct vu_backend *backend, struct vu_ring *ring, int *slot, int fd);

/* A stopped ring waits for a new kick fd; one that was broken gets another chance. */
void vu_ring_rest(struct vu_ring *ring);

/* ... and for a new configuration. Call and err fds stay: QEMU sends err only once. */
void vu_ring_forget(struct vu_ring *ring, bool enabled);
