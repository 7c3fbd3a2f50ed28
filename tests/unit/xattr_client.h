/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of extended attributes: a client of a service that is set up for them, and requests. */
#pragma once

#include "tests/unit/fs_client.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#include "fuse/xattrmap.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Starts the client's service anew with what its config says now. */
static inline void client_restart(struct client *c)
{
	fs_free(c->f->fs);
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	assert_int_equal(do_init(c->f), 0);
}

/* The caller frees the map, after the client. */
static inline struct fs_xattrmap *client_map(struct client *c, const char *rules)
{
	struct fs_xattrmap *map = NULL;
	char why[256];

	assert_int_equal(fs_xattrmap_new(rules, &map, why, sizeof(why)), 0);
	c->f->config.xattrmap = map;
	client_restart(c);
	return map;
}

/* False where the host's file system has no attributes of this kind, or they are not for us. */
static inline bool host_has(struct client *c, const char *name)
{
	return setxattr(c->f->dir, name, "x", 1, 0) == 0 && removexattr(c->f->dir, name) == 0;
}

/* In the form that the session agreed on; `extra` only in the longer one. */
static inline int do_setxattr(struct client *c, uint64_t nodeid, const char *name,
	const void *value, size_t size, uint32_t flags, uint32_t extra)
{
	struct fuse_setxattr_in in = {
		.size = (uint32_t)size, .flags = flags, .setxattr_flags = extra};
	size_t in_size = c->f->config.posix_acl ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
	size_t name_size = strlen(name) + 1, len = in_size + name_size + size;
	char *args = malloc(len);
	int r;

	assert_non_null(args);
	memcpy(args, &in, in_size);
	memcpy(args + in_size, name, name_size);
	if (size)
		memcpy(args + in_size + name_size, value, size);
	r = ask(c, FUSE_SETXATTR, nodeid, args, len, NULL, NULL);
	free(args);
	return r;
}

static inline int do_set(struct client *c, uint64_t nodeid, const char *name, const char *value)
{
	return do_setxattr(c, nodeid, name, value, strlen(value), 0, 0);
}

/* The length, with the value in c->rep unless size is 0; or the error. */
static inline int ask_length(
	struct client *c, uint32_t opcode, uint64_t nodeid, const char *name, uint32_t size)
{
	struct fuse_getxattr_in in = {.size = size};
	struct fuse_getxattr_out out;
	int r = ask(c, opcode, nodeid, &in, sizeof(in), name, NULL);

	if (r || size)
		return r ? r : (int)c->rep_len;
	assert_int_equal(c->rep_len, sizeof(out));
	memcpy(&out, c->rep, sizeof(out));
	return (int)out.size;
}

static inline int do_getxattr(struct client *c, uint64_t nodeid, const char *name, uint32_t size)
{
	return ask_length(c, FUSE_GETXATTR, nodeid, name, size);
}

static inline int do_listxattr(struct client *c, uint64_t nodeid, uint32_t size)
{
	return ask_length(c, FUSE_LISTXATTR, nodeid, NULL, size);
}

static inline int do_removexattr(struct client *c, uint64_t nodeid, const char *name)
{
	return ask(c, FUSE_REMOVEXATTR, nodeid, NULL, 0, name, NULL);
}

/* True when the guest's list, which is asked for in both ways, has the name. */
static inline bool is_listed(struct client *c, uint64_t nodeid, const char *name)
{
	int len = do_listxattr(c, nodeid, 0);
	const char *list = (const char *)c->rep;

	assert_true(len >= 0);
	assert_int_equal(do_listxattr(c, nodeid, 65536), len);
	for (int at = 0; at < len; at += (int)strlen(list + at) + 1)
		if (!strcmp(list + at, name))
			return true;
	return false;
}

static inline void assert_value(
	struct client *c, uint64_t nodeid, const char *name, const char *value)
{
	assert_int_equal(do_getxattr(c, nodeid, name, 0), strlen(value));
	assert_int_equal(do_getxattr(c, nodeid, name, 65536), strlen(value));
	assert_memory_equal(c->rep, value, strlen(value));
}

static inline void assert_host_value(
	struct client *c, const char *file, const char *name, const char *value)
{
	char buf[256];

	assert_int_equal(lgetxattr(host(c, file), name, buf, sizeof(buf)), strlen(value));
	assert_memory_equal(buf, value, strlen(value));
}

static inline void assert_host_none(struct client *c, const char *file, const char *name)
{
	assert_int_equal(lgetxattr(host(c, file), name, NULL, 0), -1);
	assert_int_equal(errno, ENODATA);
}
