/* SPDX-License-Identifier: BSD-3-Clause */
/* The state tables are the drawings in state.h: every edge written out again, and no other. */
#include "vhostuser/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vhostuser/checked.h"

struct edge {
	unsigned int from, to;
};

static void check(const struct vu_state *table, unsigned int n, const struct edge *edges,
	size_t n_edges)
{
	for (unsigned int from = 0; from < n; from++) {
		assert_non_null(table[from].name);
		for (unsigned int to = 0; to < n; to++) {
			bool drawn = false;

			for (size_t i = 0; i < n_edges; i++)
				drawn |= edges[i].from == from && edges[i].to == to;
			assert_int_equal(vu_state_may_move(table, from, to), drawn);
		}
	}
}

static void test_connection(void **state)
{
	static const struct edge edges[] = {
		{VU_CONN_NEW, VU_CONN_OWNED},
		{VU_CONN_OWNED, VU_CONN_READY},
		{VU_CONN_READY, VU_CONN_STOPPING},
		{VU_CONN_STOPPING, VU_CONN_READY},
		{VU_CONN_NEW, VU_CONN_DEAD},
		{VU_CONN_OWNED, VU_CONN_DEAD},
		{VU_CONN_READY, VU_CONN_DEAD},
		{VU_CONN_STOPPING, VU_CONN_DEAD},
	};

	check(vu_conn_states, VU_CONN_STATES, edges, ARRAY_SIZE(edges));
}

static void test_ring(void **state)
{
	static const struct edge edges[] = {
		{VU_RING_IDLE, VU_RING_RUNNING},
		{VU_RING_IDLE, VU_RING_BROKEN},
		{VU_RING_RUNNING, VU_RING_PAUSED},
		{VU_RING_PAUSED, VU_RING_RUNNING},
		{VU_RING_RUNNING, VU_RING_STOPPING},
		{VU_RING_PAUSED, VU_RING_STOPPING},
		{VU_RING_STOPPING, VU_RING_IDLE},
		{VU_RING_BROKEN, VU_RING_IDLE},
	};

	check(vu_ring_states, VU_RING_STATES, edges, ARRAY_SIZE(edges));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
