/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that users wrote, and strings for JSON. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A whole number, decimal, octal or hexadecimal as in C, with one of `units` (of "KMG", each 1024
 * of the one before it) behind it or not, in any case. False when it is none, or not from min to
 * max.
 */
bool ft_number(const char *text, const char *units, uint64_t min, uint64_t max, uint64_t *value);

/* Prints a string of JSON to stdout; paths may hold any byte. */
void ft_print_string(const char *text);
