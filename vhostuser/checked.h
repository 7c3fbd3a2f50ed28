/* SPDX-License-Identifier: BSD-3-Clause */
/* Checked arithmetic, array sizes, wire asserts: what every floor needs and no state at all. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Layout of a struct that goes over a wire: asserted right after its definition. */
#define WIRE_SIZE(type, size)             static_assert(sizeof(type) == (size), #type " size")
#define WIRE_OFFSET(type, member, offset) static_assert(offsetof(type, member) == (offset), #type)

/* *sum = a + b; true when that does not fit (then *sum is not to be used). */
static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
	return __builtin_add_overflow(a, b, sum);
}

static inline bool mul_overflows(uint64_t a, uint64_t b, uint64_t *product)
{
	return __builtin_mul_overflow(a, b, product);
}

/* True when [start, start + len) is a range that does not wrap and lies within [0, limit). */
static inline bool range_within(uint64_t start, uint64_t len, uint64_t limit)
{
	return start <= limit && len <= limit - start;
}
