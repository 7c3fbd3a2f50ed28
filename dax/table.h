/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mapping table: which part of which file lies where in the window. No locks, no I/O.
 *
 * A sorted array of ranges that do not overlap. Each belongs to an owner, of which the table holds
 * a reference for every range: a range that is cut in two has two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dax/dialect.h"

struct dax_slot {
	struct dax_entry entry;
	uint64_t key;
	void *owner;
};

struct dax_table {
	struct dax_slot *slots;
	size_t n, cap;
	void (*get)(void *owner);
	void (*put)(void *owner);
};

/* A table for up to `max` ranges. -ENOMEM. */
int dax_table_init(
	struct dax_table *table, size_t max, void (*get)(void *owner), void (*put)(void *owner));
void dax_table_fini(struct dax_table *table);

/* The first range that ends beyond `offset`; table->n when there is none. */
size_t dax_table_first(const struct dax_table *table, uint64_t offset);

/* How many ranges [start, start + len) touches; *first is the index of the first one. */
size_t dax_table_touched(
	const struct dax_table *table, uint64_t start, uint64_t len, size_t *first);

/* How many ranges there would be after a cut. */
size_t dax_table_after_cut(const struct dax_table *table, uint64_t start, uint64_t len);

/* Removes [start, start + len) from all ranges. There must be room: dax_table_after_cut(). */
void dax_table_cut(struct dax_table *table, uint64_t start, uint64_t len);

/* Adds a range where nothing is, with a reference of its owner. There must be room. */
void dax_table_insert(struct dax_table *table, const struct dax_slot *slot);

/* Removes the ranges whose owner is chosen. */
void dax_table_remove(struct dax_table *table, bool (*chosen)(const void *owner));
void dax_table_clear(struct dax_table *table);

/* Sorted, not overlapping, not empty, within the window, aligned. */
bool dax_table_valid(const struct dax_table *table, uint64_t size, uint64_t align);

/* The part of an entry that is [start, end) of the window. */
struct dax_entry dax_entry_part(const struct dax_entry *entry, uint64_t start, uint64_t end);
