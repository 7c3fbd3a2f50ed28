/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers in text. strtoull() would take signs and spaces, and depends on errno. */
#include "vhostuser/number.h"

#include <errno.h>

#include "vhostuser/checked.h"

int vu_number_read(const char **text, unsigned int base, uint64_t max, uint64_t *number)
{
	const char *at = *text;
	uint64_t value = 0;

	for (; *at >= '0' && (unsigned int)(*at - '0') < base; at++) {
		if (mul_overflows(value, base, &value) ||
			add_overflows(value, (uint64_t)(*at - '0'), &value) || value > max)
			return -EINVAL;
	}
	if (at == *text)
		return -EINVAL;
	*text = at;
	*number = value;
	return 0;
}

int vu_number_parse(const char *text, unsigned int base, uint64_t max, uint64_t *number)
{
	int r = vu_number_read(&text, base, max, number);

	return r == 0 && *text ? -EINVAL : r;
}
