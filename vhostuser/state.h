/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two state machines of a vhost-user back-end: the connection and a ring.
 *
 * Which request is legal in which state is a column of the request table (protocol.h), so a
 * front-end's misstep is refused at the gate, and a move that these tables do not allow can only be
 * our own fault.
 *
 * Connection:
 *
 *     NEW --SET_OWNER--> OWNED --SET_FEATURES--> READY <--all rings at rest--+
 *                                                  |                         |
 *                                                  +--a ring must stop--> STOPPING
 *     any of them --protocol error, socket error, end of file--> DEAD
 *
 * While STOPPING (GET_VRING_BASE or a reset waits for a ring to come to rest) nothing is read.
 *
 * Ring:
 *
 *     IDLE --has all it needs--> RUNNING <--ENABLE--> PAUSED
 *      |  ^                         |                    |
 *      |  |                         +----> STOPPING <----+   GET_VRING_BASE, reset
 *      |  +---------- at rest ----------------+
 *      +--the device refuses it--> BROKEN --GET_VRING_BASE, reset--> IDLE
 *
 * A ring has all it needs with a size, addresses, a kick fd, and when it is enabled. A ring that
 * breaks later, by what the guest writes, is the device's matter: for the connection it runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum vu_conn_state {
	VU_CONN_NEW,
	VU_CONN_OWNED,
	VU_CONN_READY,
	VU_CONN_STOPPING,
	VU_CONN_DEAD,
	VU_CONN_STATES,
};

enum vu_ring_state {
	VU_RING_IDLE,
	VU_RING_RUNNING,
	VU_RING_PAUSED,
	VU_RING_STOPPING,
	VU_RING_BROKEN,
	VU_RING_STATES,
};

#define VU_STATE_BIT(state) (1u << (state))

/* Sets of connection states, for the request table. */
#define VU_IN_READY VU_STATE_BIT(VU_CONN_READY)
#define VU_IN_OWNED (VU_STATE_BIT(VU_CONN_OWNED) | VU_IN_READY)
#define VU_IN_ANY   (VU_STATE_BIT(VU_CONN_NEW) | VU_IN_OWNED)

/* Sets of ring states, for the request table. */
#define VU_RING_IN_NONE    0u
#define VU_RING_IN_STOPPED (VU_STATE_BIT(VU_RING_IDLE) | VU_STATE_BIT(VU_RING_BROKEN))
#define VU_RING_IN_STARTED (VU_STATE_BIT(VU_RING_RUNNING) | VU_STATE_BIT(VU_RING_PAUSED))
#define VU_RING_IN_ANY     (VU_RING_IN_STOPPED | VU_RING_IN_STARTED)

/* One row: a state's name and the states that may follow it. */
struct vu_state {
	const char *name;
	uint8_t next; /* VU_STATE_BITs */
};

extern const struct vu_state vu_conn_states[VU_CONN_STATES];
extern const struct vu_state vu_ring_states[VU_RING_STATES];

/* True when the table allows the step. */
static inline bool vu_state_may_move(
	const struct vu_state *table, unsigned int from, unsigned int to)
{
	return (table[from].next & VU_STATE_BIT(to)) != 0;
}
