/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the command line is made of: rows of one table (option_table.c), each with the function
 * that takes its value, and functions for the usual kinds of value (option_value.c). Only
 * options.c, which goes through the table, and the table itself include this.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/options.h"

struct gw_option;

/*
 * Takes a value into *options. `value` is NULL for an option that takes none, and for one whose
 * value is optional and was left out. Returns 0, or -EINVAL when the value is not one that the
 * option's help describes, by gw_wrong() where that does not tell enough; for an option that adds
 * up: -EEXIST when it contradicts an earlier value, -E2BIG when there are too many; -ERANGE for a
 * window's size (GW_WINDOW_RULE).
 */
typedef int (*gw_option_set)(
	const struct gw_option *option, struct gw_options *options, const char *value);

/* A word that an option takes as its value, and what it stands for. */
struct gw_word {
	const char *name;
	int value;
};

struct gw_option {
	const char *name;
	const char *argument; /* as --help calls it; NULL: takes none; "[=...]": may be left out */
	const char *standard; /* the default, as --help says it; NULL: none */
	const char *help;
	gw_option_set set;
	size_t offset;               /* in struct gw_options, of the field that `set` changes */
	const struct gw_word *words; /* for gw_set_word; ended by a NULL name */
	uint64_t min, max;           /* for gw_set_number and gw_set_size */
};

/* The table; ended by a NULL name. */
extern const struct gw_option gw_option_table[];

/* The row of this name (`len` bytes), by virtiofsd's former spellings too; NULL: there is none. */
const struct gw_option *gw_option_find(const char *name, size_t len);

/* True when the option cannot do without a value. */
bool gw_option_needs_value(const struct gw_option *option);

/*
 * Gives the option its value (NULL: none). -EINVAL with one sentence in `why`, where the option is
 * called as it was `spelled`: by its "--name" or "-o name".
 */
int gw_option_take(struct gw_options *options, const struct gw_option *option, const char *spelled,
	const char *value, char *why, size_t size);

/* Says what is wrong with a value, for the message (printf). Returns -EINVAL. */
int gw_wrong(struct gw_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* option_compat.c: what virtiofsd takes beside its long options. */

/* What an option that had another name once is called now; NULL: it is none. */
const char *gw_compat_name(const char *name, size_t len);
/*
 * Takes argv[*at], a short option, and the next one if that is its value. -ENOENT when there is no
 * such short option; -EINVAL with a sentence in `why`.
 */
int gw_compat_short(
	struct gw_options *options, int argc, char **argv, int *at, char *why, size_t size);

/* option_ids.c: adds to a struct fs_idmap. -EEXIST, -E2BIG: of that. */
int gw_set_translation(
	const struct gw_option *option, struct gw_options *options, const char *value);
/* Adds to a struct gw_idmap; -E2BIG, and -EEXIST for ids that are there already. */
int gw_set_namespace_map(
	const struct gw_option *option, struct gw_options *options, const char *value);

/* bool: true. Takes no value. */
int gw_set_flag(const struct gw_option *option, struct gw_options *options, const char *value);
/* bool: false. Takes no value. */
int gw_clear_flag(const struct gw_option *option, struct gw_options *options, const char *value);
/* An enum: the row's min. Takes no value. */
int gw_set_value(const struct gw_option *option, struct gw_options *options, const char *value);
/* const char *: a string that is not empty, borrowed. */
int gw_set_string(const struct gw_option *option, struct gw_options *options, const char *value);
/* An enum: one of the row's words. */
int gw_set_word(const struct gw_option *option, struct gw_options *options, const char *value);
/* int or unsigned int: a decimal number from the row's min to its max. */
int gw_set_number(const struct gw_option *option, struct gw_options *options, const char *value);
/* fs_features.timeouts: "attr=SECS,entry=SECS,...", replacing what was given before. */
int gw_set_timeouts(const struct gw_option *option, struct gw_options *options, const char *value);
/* uint64_t: a number of bytes, with K, M or G (powers of 1024) behind it, a multiple of the row's
 * min if that is not 0, up to its max. */
int gw_set_size(const struct gw_option *option, struct gw_options *options, const char *value);
