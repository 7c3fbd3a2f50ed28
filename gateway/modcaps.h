/* SPDX-License-Identifier: BSD-3-Clause */
/* --modcaps: changes to the capabilities that the service keeps. */
#pragma once

#include <stdint.h>

/* Sets of capabilities, bit N for capability number N (<linux/capability.h>). None is in both. */
struct gw_modcaps {
	uint64_t add, drop;
};

/*
 * Adds a list as virtiofsd takes it: "+name" or "-name" with ':' between, in any case, with or
 * without "cap_"; the last word about a capability counts. NULL; or where in the list the word is
 * that is none, *modcaps unchanged.
 */
const char *gw_modcaps_parse(struct gw_modcaps *modcaps, const char *list);
