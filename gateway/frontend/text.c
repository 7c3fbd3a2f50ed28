/* SPDX-License-Identifier: BSD-3-Clause */
/* What the front-end's command lines and summaries have in common. No state. */
#include "gateway/frontend/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"

bool ft_number(const char *text, const char *units, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t unit = 1;
	const char *found;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (end == text || errno || *text == '-')
		return false;
	found = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (found) {
		unit <<= 10 * (found - units + 1);
		end++;
	}
	return !*end && !mul_overflows(*value, unit, value) && *value >= min && *value <= max;
}

void ft_print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned int)*text);
		else
			putchar(*text);
	}
	putchar('"');
}
