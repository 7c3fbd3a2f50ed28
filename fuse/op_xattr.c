/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR.
 *
 * All of them go through the name that the inode's O_PATH fd has in /proc/self/fd (place.h), so
 * nothing is opened, and symbolic links, devices and files that nobody may read are like all
 * others. They run with the gateway's own credentials, as SETATTR does: the guest's kernel has
 * checked its caller's rights. What the gateway itself may not do (trusted.* takes CAP_SYS_ADMIN),
 * the host's kernel refuses or hides.
 */
#include "fuse/xattr.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse/acl.h"
#include "fuse/caller.h"
#include "fuse/cred.h"
#include "fuse/idmap.h"
#include "fuse/op.h"
#include "fuse/owner.h"
#include "fuse/place.h"
#include "fuse/shape.h"
#include "fuse/walk.h"
#include "fuse/xattrmap.h"
#include "vhostuser/checked.h"

#define CLEANUP_FREE __attribute__((cleanup(free_data)))

static void free_data(char **data)
{
	free(*data);
}

static bool is_acl(const char *name)
{
	return !strcmp(name, FS_ACL_ACCESS) || !strcmp(name, FS_ACL_DEFAULT);
}

/* A guest that does not know of ACLs would neither heed them nor keep them right. */
static bool is_blocked(const struct fs_slot *slot, const char *name)
{
	return is_acl(name) && !(slot->session->init_flags & FUSE_POSIX_ACL);
}

int fs_xattr_name(const struct fs_slot *slot, const char *name, char host[FS_XATTR_NAME_SIZE])
{
	int r;

	if (is_blocked(slot, name))
		return -EOPNOTSUPP;
	r = fs_xattrmap_to_host(fs_config_of(slot)->xattrmap, name, host);
	return r == 0 && fs_owner_hides(fs_config_of(slot), host) ? -EPERM : r;
}

/* Users and groups in an ACL are translated as all others are. */
static int translate(const struct fs_slot *slot, const char *name, enum fs_idmap_way way,
	void *value, size_t size)
{
	return is_acl(name) ? fs_idmap_acl(fs_config_of(slot)->ids, way, value, size) : 0;
}

/* The inode, this thread's place, and the host's name of the attribute (unless `name` is NULL). */
static int begin(
	struct fs_slot *slot, const char *name, struct fs_node *node, char host[FS_XATTR_NAME_SIZE])
{
	int r = fs_config_of(slot)->xattr ? 0 : -ENOSYS;

	if (r == 0 && name)
		r = fs_xattr_name(slot, name, host);
	if (r == 0)
		r = fs_node_get(slot, slot->header.nodeid, node);
	return r < 0 ? r : fs_place_take(node->tree);
}

static ssize_t outcome(ssize_t n)
{
	return n < 0 ? -errno : n;
}

/* Answers a question for `size` bytes, 0 for the length alone, with `n` bytes or an error. */
static void answer_value(struct fs_slot *slot, size_t size, ssize_t n, const char *data)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)MAX(n, 0)};

	if (n >= 0 && size > 0 && (size_t)n > size)
		n = -ERANGE;
	if (n < 0)
		fs_reply_err(slot, (int)n);
	else if (size == 0)
		fs_reply_data(slot, &out, sizeof(out));
	else
		fs_reply_data(slot, data, (size_t)n);
}

/* What the guest asks for: never more than its buffers hold, or than there can be. */
static size_t size_for(const struct fs_slot *slot, uint32_t asked, size_t most)
{
	return asked == 0 ? 0 : MIN(MIN(asked, most), MAX(fs_slot_reply_room(slot).left, 1u));
}

/*
 * For the ACLs the guest asks with every check of a right, and takes no error for "there is none":
 * where the host's file system has no ACLs at all, nobody could open anything.
 */
static int get_error(const struct fs_slot *slot, const char *name, int error)
{
	if (error == -EPERM || (error == -EOPNOTSUPP && is_acl(name) && !is_blocked(slot, name)))
		return -ENODATA;
	return error;
}

static ssize_t get(struct fs_slot *slot, const char *name, char *value, size_t size)
{
	CLEANUP_NODE struct fs_node node = {0};
	char host[FS_XATTR_NAME_SIZE];
	ssize_t n = begin(slot, name, &node, host);

	if (n == 0)
		n = outcome(
			TEMP_FAILURE_RETRY(getxattr(fs_fd_name(node.fd).text, host, value, size)));
	if (n > 0 && size > 0 && translate(slot, name, FS_IDMAP_TO_GUEST, value, (size_t)n) < 0)
		n = -EIO;
	if (n > 0 && size > 0)
		fs_kept_acl_show(&node, name, value, (size_t)n);
	return n < 0 ? get_error(slot, name, (int)n) : n;
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t nodeid, const char *name, size_t asked)
{
	struct fs_slot *slot = fs_slot_claim(req);
	size_t size = size_for(slot, (uint32_t)MIN(asked, UINT32_MAX), XATTR_SIZE_MAX);
	CLEANUP_FREE char *value = size ? malloc(size) : NULL;

	if (size && !value)
		fs_reply_err(slot, -ENOMEM);
	else
		answer_value(slot, size, get(slot, name, value, size), value);
}

/* As the host's kernel lists them: trusted ones to root alone, if we are told who asks. */
static bool is_listed(const struct fs_slot *slot, const char *name)
{
	return !is_blocked(slot, name) &&
	       (!fs_caller_is_user(slot) || strncmp(name, "trusted.", 8) != 0);
}

/* Leaves in list[0..n) what the guest sees, under its names; returns how long that is. */
static ssize_t filter(const struct fs_slot *slot, char *list, ssize_t n)
{
	char *from = list, *to = list, *end = list + n;

	while (from < end) {
		char *next = from + strlen(from) + 1;
		const char *name = fs_xattrmap_to_guest(fs_config_of(slot)->xattrmap, from);

		if (name && is_listed(slot, name) && !fs_owner_hides(fs_config_of(slot), from)) {
			size_t len = strlen(name) + 1;

			memmove(to, name, len);
			to += len;
		}
		from = next;
	}
	return to - list;
}

static ssize_t list(struct fs_slot *slot, char names[XATTR_LIST_MAX + 1])
{
	CLEANUP_NODE struct fs_node node = {0};
	ssize_t n = begin(slot, NULL, &node, NULL);

	if (n == 0)
		n = outcome(TEMP_FAILURE_RETRY(
			listxattr(fs_fd_name(node.fd).text, names, XATTR_LIST_MAX)));
	if (n < 0)
		return n;
	names[n] = '\0';
	return filter(slot, names, n);
}

/* Always the whole list, since what the guest sees of it is shorter. */
void fs_op_listxattr(fuse_req_t req, fuse_ino_t nodeid, size_t asked)
{
	struct fs_slot *slot = fs_slot_claim(req);
	size_t size = size_for(slot, (uint32_t)MIN(asked, UINT32_MAX), XATTR_LIST_MAX);
	CLEANUP_FREE char *names = malloc(XATTR_LIST_MAX + 1);

	if (!names)
		fs_reply_err(slot, -ENOMEM);
	else
		answer_value(slot, size, list(slot, names), names);
}

struct setting {
	const char *name;
	void *value; /* in the slot's private copy */
	size_t size;
	int flags;
	uint32_t extra; /* FUSE_SETXATTR_ACL_KILL_SGID: as chmod does for who is not in the group */
};

/* What gate 3 has passed, in the form that was agreed on. */
static struct setting setting_of(const struct fs_slot *slot)
{
	const struct fuse_setxattr_in *in = fs_slot_args(slot);
	bool extended = slot->session->init_flags & FUSE_SETXATTR_EXT;
	struct setting what = {.size = in->size, .flags = (int)in->flags};

	what.name =
		(const char *)in + (extended ? sizeof(*in) : (size_t)FUSE_COMPAT_SETXATTR_IN_SIZE);
	what.value = (char *)(uintptr_t)what.name + strlen(what.name) + 1;
	what.extra = extended ? in->setxattr_flags : 0;
	return what;
}

static int set(struct fs_slot *slot)
{
	CLEANUP_NODE struct fs_node node = {0};
	const struct setting what = setting_of(slot);
	char host[FS_XATTR_NAME_SIZE];
	struct fs_cred cred;
	int r = fs_config_of(slot)->xattr ? fs_may_change(slot) : -ENOSYS;

	if (r == 0 && (what.flags & ~(XATTR_CREATE | XATTR_REPLACE) ||
			      what.extra & ~(uint32_t)FUSE_SETXATTR_ACL_KILL_SGID))
		r = -EINVAL;
	if (r == 0)
		r = begin(slot, what.name, &node, host);
	if (r == 0)
		r = translate(slot, what.name, FS_IDMAP_TO_HOST, what.value, what.size);
	if (r == 0 && what.extra)
		r = fs_cred_enter_group(node.tree, slot->header.gid, &cred);
	if (r < 0)
		return r;
	r = (int)outcome(TEMP_FAILURE_RETRY(
		setxattr(fs_fd_name(node.fd).text, host, what.value, what.size, what.flags)));
	if (what.extra)
		fs_cred_leave(&cred);
	return r < 0 ? r : fs_kept_acl_set(&node, what.name, what.value, what.size, what.extra);
}

/* Not by libfuse, whose versions differ in what they make of the longer form. */
void fs_op_setxattr(struct fs_slot *slot)
{
	fs_reply_err(slot, set(slot));
}

static int remove_one(struct fs_slot *slot, const char *name)
{
	CLEANUP_NODE struct fs_node node = {0};
	char host[FS_XATTR_NAME_SIZE];
	struct fs_cred cred = {0};
	int r = fs_config_of(slot)->xattr ? fs_may_change(slot) : -ENOSYS;

	if (r == 0)
		r = begin(slot, name, &node, host);
	/* Without an ACL some hosts' file systems look at the setgid bit as with a new one. */
	if (r == 0 && is_acl(name) && slot->header.uid != 0)
		r = fs_cred_enter_group(node.tree, slot->header.gid, &cred);
	if (r < 0)
		return r;
	r = (int)outcome(TEMP_FAILURE_RETRY(removexattr(fs_fd_name(node.fd).text, host)));
	fs_cred_leave(&cred);
	return r;
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t nodeid, const char *name)
{
	struct fs_slot *slot = fs_slot_claim(req);

	fs_reply_err(slot, remove_one(slot, name));
}
