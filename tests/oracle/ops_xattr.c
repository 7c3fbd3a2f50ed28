/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on extended attributes, and on ACLs in the form in which they are attributes. */
#include "tests/oracle/ops.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * The server's privilege, not the caller's: a gateway without CAP_SYS_ADMIN may not set these. And
 * what names can be is another question where they are mapped.
 */
static bool servers_own(const struct or_me *me, const struct or_op *op)
{
	if (me->mapped && strcmp(op->path2, "user.one") && strcmp(op->path2, "user.two") &&
		strcmp(op->path2, "user.three"))
		return true;
	return me->fuse && !me->privileged && (strncmp(op->path2, "trusted.", 8) == 0 ||
				   strncmp(op->path2, "security.", 9) == 0);
}

/* Small ones where the names are longer behind the mount, or one more is there: room is limited. */
static size_t size_of(const struct or_me *me, const struct or_op *op)
{
	return (size_t)(me->mapped || me->kills ? op->a % 600 : op->a);
}

/* arg: CREATE or REPLACE; arg2: of the link itself. */
void or_setxattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const char *path = or_p(me, op), *name = or_q(me, op);

	if (servers_own(me, op))
		return;
	or_fill(me, op, size_of(me, op));
	or_done(res, (kind->arg2 ? lsetxattr : setxattr)(path, name, me->data, size_of(me, op),
		(int)kind->arg));
}

void or_fsetxattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (servers_own(me, op))
		return;
	or_fill(me, op, size_of(me, op));
	or_done(res, fsetxattr(me->fds[op->slot], or_q(me, op), me->data, size_of(me, op),
		(int)kind->arg));
}

static void got(struct or_me *me, const struct or_op *op, struct or_result *res, ssize_t n)
{
	if (or_done(res, n) && op->c > 0)
		or_say_data(res, me->data, (size_t)n);
}

void or_getxattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const char *path = or_p(me, op), *name = or_q(me, op);

	if (me->mapped && servers_own(me, op))
		return;
	got(me, op, res, (kind->arg2 ? lgetxattr : getxattr)(path, name, me->data,
		(size_t)op->c));
}

void or_fgetxattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	if (me->mapped && servers_own(me, op))
		return;
	got(me, op, res, fgetxattr(me->fds[op->slot], or_q(me, op), me->data, (size_t)op->c));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* arg: 0 by path, 1 by an open file. The names are a set. */
void or_listxattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	/*
	 * Seeing trusted.* takes the server's privilege, and btrfs shows it to anybody: no names of
	 * it, and so no sizes.
	 */
	bool hidden = me->fuse && me->privileged == (geteuid() != 0);
	size_t room = hidden ? sizeof(me->data) : (size_t)op->c;
	ssize_t n = kind->arg ? flistxattr(me->fds[op->slot], me->data, room)
			      : llistxattr(or_p(me, op), me->data, room);
	char *names[200];
	size_t count = 0;

	if (!or_done(res, hidden && n > 0 ? 0 : n) || room == 0)
		return;
	for (char *at = me->data; at < me->data + n && count < 200; at += strlen(at) + 1)
		if (!hidden || strncmp(at, "trusted.", 8) != 0)
			names[count++] = at;
	qsort(names, count, sizeof(names[0]), by_text);
	for (size_t i = 0; i < count; i++)
		or_say(res, "%.40s", names[i]);
}

/* arg: 0 by path, 1 of the link itself, 2 by an open file. */
void or_removexattr(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const char *name = or_q(me, op);

	if (servers_own(me, op))
		return;
	or_done(res, kind->arg == 2 ? fremovexattr(me->fds[op->slot], name)
		: kind->arg == 1    ? lremovexattr(or_p(me, op), name)
				    : removexattr(or_p(me, op), name));
}

/* ACLs by number: minimal ones, with users and groups of ours, and some that are invalid. */
struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

#define ANY ACL_UNDEFINED_ID

static const struct entry acls[][7] = {
	{{ACL_USER_OBJ, 7, ANY}, {ACL_GROUP_OBJ, 5, ANY}, {ACL_OTHER, 5, ANY}},
	{{ACL_USER_OBJ, 6, ANY}, {ACL_USER, 7, 1001}, {ACL_GROUP_OBJ, 4, ANY}, {ACL_MASK, 7, ANY},
		{ACL_OTHER, 0, ANY}},
	{{ACL_USER_OBJ, 7, ANY}, {ACL_USER, 0, 1001}, {ACL_GROUP_OBJ, 7, ANY},
		{ACL_GROUP, 6, 1003}, {ACL_MASK, 7, ANY}, {ACL_OTHER, 7, ANY}},
	{{ACL_USER_OBJ, 7, ANY}, {ACL_USER, 7, 1002}, {ACL_GROUP_OBJ, 0, ANY},
		{ACL_GROUP, 7, 1001}, {ACL_MASK, 4, ANY}, {ACL_OTHER, 1, ANY}},
	{{ACL_USER_OBJ, 7, ANY}, {ACL_GROUP_OBJ, 7, ANY}, {ACL_MASK, 0, ANY}, {ACL_OTHER, 7, ANY}},
	{{ACL_USER_OBJ, 7, ANY}, {ACL_USER, 7, 1001}, {ACL_GROUP_OBJ, 7, ANY}, {ACL_OTHER, 7, ANY}},
	{{ACL_OTHER, 7, ANY}, {ACL_USER_OBJ, 7, ANY}, {ACL_GROUP_OBJ, 7, ANY}},
	{{0, 0, 0}},
};

void or_set_acl(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const struct entry *from = acls[(uint64_t)op->a % (sizeof(acls) / sizeof(acls[0]))];
	const char *name = kind->arg ? XATTR_NAME_POSIX_ACL_DEFAULT : XATTR_NAME_POSIX_ACL_ACCESS;
	struct {
		struct posix_acl_xattr_header head;
		struct posix_acl_xattr_entry entries[7];
	} acl = {.head.a_version = POSIX_ACL_XATTR_VERSION};
	size_t n = 0;

	if (!from->tag && or_unclear_acl(me, or_p(me, op)))
		return;
	for (; n < 7 && from[n].tag; n++)
		acl.entries[n] = (struct posix_acl_xattr_entry){from[n].tag, from[n].perm,
			from[n].id};
	or_done(res, setxattr(or_p(me, op), name, &acl,
		sizeof(acl.head) + n * sizeof(acl.entries[0]), (int)kind->arg2));
	or_say_path(me, res, or_p(me, op));
}

/* arg: the default one; arg2: remove it. */
void or_get_acl(struct or_me *me, const struct or_op *op, const struct or_kind *kind,
	struct or_result *res)
{
	const char *name = kind->arg ? XATTR_NAME_POSIX_ACL_DEFAULT : XATTR_NAME_POSIX_ACL_ACCESS;
	ssize_t n;

	if (kind->arg2 && !kind->arg && or_unclear_acl(me, or_p(me, op)))
		return;
	if (kind->arg2) {
		or_done(res, removexattr(or_p(me, op), name));
		or_say_path(me, res, or_p(me, op));
		return;
	}
	n = getxattr(or_p(me, op), name, me->data, (size_t)op->c);
	if (or_done(res, n) && op->c > 0)
		or_say_data(res, me->data, (size_t)n);
}
