/* SPDX-License-Identifier: BSD-3-Clause */
/* The FUSE client's operations on extended attributes. Errors as those of fusecli.h. */
#pragma once

#include "tests/integration/fusecli.h"

/* `extended`: in the form that FUSE_SETXATTR_EXT has the guest use. */
int fc_setxattr(struct fc_queue *q, uint64_t nodeid, const char *name, const void *value,
	uint32_t size, bool extended);
int fc_removexattr(struct fc_queue *q, uint64_t nodeid, const char *name);

/* The length in bytes, of what is then in `value` (names: each with its NUL), unless size is 0. */
int fc_getxattr(struct fc_queue *q, uint64_t nodeid, const char *name, void *value, uint32_t size);
int fc_listxattr(struct fc_queue *q, uint64_t nodeid, char *names, uint32_t size);

/* True when the name is one of those that fc_listxattr gave. */
bool fc_in_list(const char *names, int len, const char *name);
