/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of the connection's and the ring's state machine; drawn in state.h. */
#include "vhostuser/state.h"

#define TO(state) VU_STATE_BIT(state)

const struct vu_state vu_conn_states[VU_CONN_STATES] = {
	[VU_CONN_NEW] = {"new", TO(VU_CONN_OWNED) | TO(VU_CONN_DEAD)},
	[VU_CONN_OWNED] = {"owned", TO(VU_CONN_READY) | TO(VU_CONN_DEAD)},
	[VU_CONN_READY] = {"ready", TO(VU_CONN_STOPPING) | TO(VU_CONN_DEAD)},
	[VU_CONN_STOPPING] = {"stopping", TO(VU_CONN_READY) | TO(VU_CONN_DEAD)},
	[VU_CONN_DEAD] = {"dead", 0},
};

const struct vu_state vu_ring_states[VU_RING_STATES] = {
	[VU_RING_IDLE] = {"idle", TO(VU_RING_RUNNING) | TO(VU_RING_BROKEN)},
	[VU_RING_RUNNING] = {"running", TO(VU_RING_PAUSED) | TO(VU_RING_STOPPING)},
	[VU_RING_PAUSED] = {"paused", TO(VU_RING_RUNNING) | TO(VU_RING_STOPPING)},
	[VU_RING_STOPPING] = {"stopping", TO(VU_RING_IDLE)},
	[VU_RING_BROKEN] = {"broken", TO(VU_RING_IDLE)},
};
