/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's end of a vhost-user connection: drives any back-end, with no VM.
 *
 * Synchronous: each call sends its message and waits for the answer, at most the connection's
 * timeout. Made for tools and tests, so the raw level (any bytes, any fds) is public too. One
 * thread at a time, except that rings (driver.h) may each have a thread of their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostuser/driver.h"
#include "vhostuser/fd.h"
#include "vhostuser/protocol.h"

struct vu_frontend;

/* Connects to a listening back-end, retrying for up to `timeout_ms`; -errno of the last try. */
int vu_frontend_connect(const char *path, int timeout_ms, struct vu_frontend **fe);

/* Listens on `path` and takes the first back-end that connects (unlinks the path again). */
int vu_frontend_accept(const char *path, int timeout_ms, struct vu_frontend **fe);

/* Takes a connected socket (consumed). */
int vu_frontend_from_fd(int fd, struct vu_frontend **fe);

/* Closes the connection and frees memory, rings and channel. NULL is fine. */
void vu_frontend_free(struct vu_frontend *fe);

/* Milliseconds that an answer may take (default 5000), then -ETIMEDOUT. */
void vu_frontend_set_timeout(struct vu_frontend *fe, int timeout_ms);
int vu_frontend_fd(const struct vu_frontend *fe);

/* ---- raw level: -ECONNRESET when the back-end closed the connection, -ETIMEDOUT ---- */

/* Sends header {code, flags|version, size} + payload + fds (borrowed) as one message. */
int vu_frontend_send(struct vu_frontend *fe, uint32_t code, uint32_t flags, const void *payload,
	uint32_t size, const int *fds, size_t n_fds);
/* Sends any bytes with any fds. */
int vu_frontend_send_raw(
	struct vu_frontend *fe, const void *data, size_t size, const int *fds, size_t n_fds);
/*
 * Receives one message of at most `max` payload bytes (else -EMSGSIZE); *size gets its payload's
 * size. fds may be NULL (then any are closed); else its owner is the caller, also after an error.
 * -EPROTO: it closed within a message, or fds were lost. After -ETIMEDOUT it may be called again.
 */
int vu_frontend_recv(struct vu_frontend *fe, struct vu_header *header, void *payload, size_t max,
	size_t *size, struct vu_fds *fds);

/* ---- message level: each checks the answer's code, flags (exactly 0x5) and size ---- */

/* A message without a payload that is answered by a u64. */
int vu_frontend_get_u64(struct vu_frontend *fe, uint32_t code, uint64_t *value);
/* A message without an answer of its own, by vu_frontend_request(). */
int vu_frontend_set_u64(struct vu_frontend *fe, uint32_t code, uint64_t value);
/*
 * With REPLY_ACK negotiated: sends NEED_REPLY and waits; a non-zero answer is -EREMOTEIO. Without:
 * 0 once it is sent, and a refusal shows as -ECONNRESET in a later call.
 */
int vu_frontend_request(struct vu_frontend *fe, uint32_t code, const void *payload, uint32_t size,
	const int *fds, size_t n_fds);

/*
 * The usual opening: GET_FEATURES, GET/SET_PROTOCOL_FEATURES, SET_OWNER, SET_FEATURES. What is
 * wanted is masked by what is offered; the results are readable below. Virtio bit 30 is wanted
 * along with any protocol feature.
 */
int vu_frontend_negotiate(struct vu_frontend *fe, uint64_t features, uint64_t protocol_features);
uint64_t vu_frontend_features(const struct vu_frontend *fe);
uint64_t vu_frontend_protocol_features(const struct vu_frontend *fe);

/*
 * A memfd of `size` bytes at `gpa`, mapped here and shared with the back-end: by ADD_MEM_REG when
 * CONFIGURE_MEM_SLOTS is negotiated, else by a new SET_MEM_TABLE. Returns the slot's number (>= 0),
 * -EEXIST on overlap, -ENOSPC without room for it (eight slots in a table).
 */
int vu_frontend_add_memory(struct vu_frontend *fe, uint64_t gpa, uint64_t size);
int vu_frontend_remove_memory(struct vu_frontend *fe, int slot);
/*
 * Our address of [gpa, gpa + len), NULL when it is not in one slot. Memory is at the same address
 * until it is removed, so that ring threads keep what they looked up.
 */
void *vu_frontend_host(struct vu_frontend *fe, uint64_t gpa, uint64_t len);

/*
 * Sends ADD_MEM_REG or REM_MEM_REG (`code`) for a region of any file (`fd` is borrowed; -1: none),
 * of which nothing is kept or mapped here: what a VMM does with what it maps into its window. With
 * `ack` an answer is due, for vu_frontend_take_ack() before any other request; several may be.
 * -EOPNOTSUPP: `ack` without REPLY_ACK.
 */
int vu_frontend_send_region(struct vu_frontend *fe, uint32_t code,
	const struct vu_mem_region *region, int fd, bool ack);
/* The oldest answer that is due, to a request of this code; a non-zero one is -EREMOTEIO. */
int vu_frontend_take_ack(struct vu_frontend *fe, uint32_t code);

/*
 * Sets up ring `index` with `num` entries in guest memory at `gpa` (page-aligned; see
 * vq_driver_size()) and starts it: NUM, BASE, ADDR, CALL, ERR, KICK, ENABLE. The driver belongs to
 * fe.
 */
int vu_frontend_ring_start(struct vu_frontend *fe, unsigned int index, uint16_t num, uint64_t gpa,
	struct vq_driver **driver);
/*
 * ENABLE(0), GET_VRING_BASE; *base gets the answer. The driver's state stays, for a resume; a
 * vu_frontend_ring_start() instead frees it.
 */
int vu_frontend_ring_stop(struct vu_frontend *fe, unsigned int index, uint16_t *base);
/* Starts a stopped ring where it stood. */
int vu_frontend_ring_resume(struct vu_frontend *fe, unsigned int index, uint16_t base);

/* GET_CONFIG: `size` bytes of the config space (at most VU_CONFIG_MAX) from `offset`. */
int vu_frontend_get_config(struct vu_frontend *fe, uint32_t offset, void *data, uint32_t size);

/*
 * Opens the back-end request channel (SET_BACKEND_REQ_FD) in the place of a former one: our end,
 * owned by fe, on which the back-end's requests arrive; it may be polled. -EOPNOTSUPP when
 * BACKEND_REQ was not negotiated.
 */
int vu_frontend_open_channel(struct vu_frontend *fe, int *fd);
/*
 * GET_SHMEM_CONFIG: the sizes of the shared memory regions; how many there are (0..256), or -errno.
 * -EOPNOTSUPP when SHMEM was not negotiated.
 */
int vu_frontend_get_shmem(struct vu_frontend *fe, uint64_t sizes[VU_SHMEM_REGIONS]);
/* One request off the channel; the caller owns the fds in `fds`. */
int vu_frontend_channel_recv(struct vu_frontend *fe, struct vu_header *header, void *payload,
	size_t max, size_t *size, struct vu_fds *fds);
int vu_frontend_channel_reply(
	struct vu_frontend *fe, const struct vu_header *request, uint64_t value);
