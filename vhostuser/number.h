/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers in text that others wrote: digits alone, no sign, no space, no prefix. */
#pragma once

#include <stdint.h>

/*
 * Reads the digits of `base` (2 to 10) at *text, which moves behind them. -EINVAL, and *text stays:
 * there are none, or the number is above `max`. Any thread.
 */
int vu_number_read(const char **text, unsigned int base, uint64_t max, uint64_t *number);

/* The same where nothing may follow the digits. */
int vu_number_parse(const char *text, unsigned int base, uint64_t max, uint64_t *number);
