/* SPDX-License-Identifier: BSD-3-Clause */
/* --modcaps: from names to sets of capabilities. */
#include "gateway/modcaps.h"

#include <cap-ng.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "vhostuser/checked.h"

/* The longest name is checkpoint_restore. */
#define NAME_MAX_LEN 32

/* The number of a capability; -1 for a name that is none. */
static int number_of(const char *name, size_t len)
{
	char copy[NAME_MAX_LEN];

	if (len > 4 && strncasecmp(name, "cap_", 4) == 0) {
		name += 4;
		len -= 4;
	}
	if (len == 0 || len >= sizeof(copy))
		return -1;
	for (size_t i = 0; i < len; i++)
		copy[i] = (char)tolower((unsigned char)name[i]);
	copy[len] = '\0';
	return capng_name_to_capability(copy);
}

const char *gw_modcaps_parse(struct gw_modcaps *modcaps, const char *list)
{
	struct gw_modcaps fresh = *modcaps;
	const char *end;

	for (;; list = end + 1) {
		uint64_t bit;
		int number;

		end = strchrnul(list, ':');
		if (*list != '+' && *list != '-')
			return list;
		number = number_of(list + 1, (size_t)(end - list) - 1);
		if (number < 0 || number > 63)
			return list;
		bit = UINT64_C(1) << number;
		fresh.add = *list == '+' ? fresh.add | bit : fresh.add & ~bit;
		fresh.drop = *list == '-' ? fresh.drop | bit : fresh.drop & ~bit;
		if (!*end)
			break;
	}
	*modcaps = fresh;
	return NULL;
}
