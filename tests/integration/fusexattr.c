/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests for extended attributes. */
#include "tests/integration/fusexattr.h"

#include <string.h>

int fc_setxattr(struct fc_queue *q, uint64_t nodeid, const char *name, const void *value,
	uint32_t size, bool extended)
{
	struct fuse_setxattr_in in = {.size = size};
	struct fc_call call = {
		.opcode = FUSE_SETXATTR,
		.nodeid = nodeid,
		.args = &in,
		.args_len = extended ? (uint32_t)sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE,
		.name = name,
		.data = value,
		.data_len = size,
	};

	return fc_call(q, &call, NULL);
}

int fc_removexattr(struct fc_queue *q, uint64_t nodeid, const char *name)
{
	struct fc_call call = {.opcode = FUSE_REMOVEXATTR, .nodeid = nodeid, .name = name};

	return fc_call(q, &call, NULL);
}

static int ask(struct fc_queue *q, uint32_t opcode, uint64_t nodeid, const char *name, void *value,
	uint32_t size)
{
	struct fuse_getxattr_in in = {.size = size};
	struct fuse_getxattr_out out;
	struct fc_call call = {
		.opcode = opcode,
		.nodeid = nodeid,
		.args = &in,
		.args_len = sizeof(in),
		.name = name,
		.room = size ? size : (uint32_t)sizeof(out),
	};
	struct fc_reply reply;
	int r = fc_call(q, &call, &reply);

	if (r)
		return r;
	if (size) {
		memcpy(value, reply.body, reply.len);
		return (int)reply.len;
	}
	if (reply.len != sizeof(out))
		return FC_BAD_REPLY;
	memcpy(&out, reply.body, sizeof(out));
	return (int)out.size;
}

int fc_getxattr(struct fc_queue *q, uint64_t nodeid, const char *name, void *value, uint32_t size)
{
	return ask(q, FUSE_GETXATTR, nodeid, name, value, size);
}

int fc_listxattr(struct fc_queue *q, uint64_t nodeid, char *names, uint32_t size)
{
	return ask(q, FUSE_LISTXATTR, nodeid, NULL, names, size);
}

bool fc_in_list(const char *names, int len, const char *name)
{
	size_t left = len > 0 ? (size_t)len : 0;

	while (left > 0) {
		size_t n = strnlen(names, left);

		if (n == strlen(name) && n < left && memcmp(names, name, n) == 0)
			return true;
		if (n == left)
			break;
		names += n + 1;
		left -= n + 1;
	}
	return false;
}
