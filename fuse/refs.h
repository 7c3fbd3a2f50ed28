/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking a reference on what may be dying: for tables that are read with no lock. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Raises the count. False when it is zero: the object is not to be used. Any thread. */
static inline bool fs_refs_try(_Atomic uint32_t *refs)
{
	uint32_t n = atomic_load_explicit(refs, memory_order_relaxed);

	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		refs, &n, n + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}
