/* SPDX-License-Identifier: BSD-3-Clause */
/* The four operations on extended attributes, compared with the host's view; ACLs; the map. */
#include "tests/unit/xattr_client.h"

#define NEEDS(c, name)                                                                             \
	do {                                                                                       \
		if (!host_has(c, name))                                                            \
			skip();                                                                    \
	} while (0)

static void test_off(void **state)
{
	struct client *c = *state;

	c->f->config.xattr = false;
	client_restart(c);
	assert_int_equal(do_set(c, ROOT, "user.x", "1"), -ENOSYS);
	assert_int_equal(do_getxattr(c, ROOT, "user.x", 0), -ENOSYS);
	assert_int_equal(do_listxattr(c, ROOT, 0), -ENOSYS);
	assert_int_equal(do_removexattr(c, ROOT, "user.x"), -ENOSYS);
}

static void test_all_four(void **state)
{
	struct client *c = *state;
	struct fuse_entry_out dir;
	uint64_t nodes[2];

	NEEDS(c, "user.x");
	host_write(c, "file", "");
	assert_int_equal(do_mkdir(c, ROOT, "dir", 0755, &dir), 0);
	nodes[0] = node_of(c, ROOT, "file");
	nodes[1] = dir.nodeid;
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "dir" : "file";

		assert_int_equal(do_getxattr(c, nodes[i], "user.x", 100), -ENODATA);
		assert_int_equal(do_removexattr(c, nodes[i], "user.x"), -ENODATA);
		assert_int_equal(do_set(c, nodes[i], "user.x", "value"), 0);
		assert_host_value(c, name, "user.x", "value");
		assert_value(c, nodes[i], "user.x", "value");
		assert_int_equal(do_set(c, nodes[i], "user.empty", ""), 0);
		assert_host_value(c, name, "user.empty", "");
		assert_value(c, nodes[i], "user.empty", "");
		assert_true(is_listed(c, nodes[i], "user.x"));
		assert_true(is_listed(c, nodes[i], "user.empty"));
		assert_int_equal(do_removexattr(c, nodes[i], "user.x"), 0);
		assert_host_none(c, name, "user.x");
		assert_false(is_listed(c, nodes[i], "user.x"));
	}
	/* Attributes of the share's root, and odd names. */
	assert_int_equal(do_set(c, ROOT, "user./.. \xff\n", "1"), 0);
	assert_host_value(c, ".", "user./.. \xff\n", "1");
}

static void test_sizes_and_flags(void **state)
{
	struct client *c = *state;
	uint64_t node;

	NEEDS(c, "user.x");
	host_write(c, "file", "");
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_set(c, node, "user.x", "0123456789"), 0);
	for (uint32_t size = 1; size < 10; size++)
		assert_int_equal(do_getxattr(c, node, "user.x", size), -ERANGE);
	assert_int_equal(do_getxattr(c, node, "user.x", 10), 10);
	assert_int_equal(do_getxattr(c, node, "user.x", UINT32_MAX), 10);
	assert_int_equal(do_listxattr(c, node, 1), -ERANGE);
	assert_int_equal(do_listxattr(c, node, UINT32_MAX), do_listxattr(c, node, 0));

	assert_int_equal(do_setxattr(c, node, "user.x", "1", 1, XATTR_CREATE, 0), -EEXIST);
	assert_int_equal(do_setxattr(c, node, "user.y", "1", 1, XATTR_REPLACE, 0), -ENODATA);
	assert_int_equal(do_setxattr(c, node, "user.y", "1", 1, XATTR_CREATE, 0), 0);
	assert_int_equal(do_setxattr(c, node, "user.y", "2", 1, XATTR_REPLACE, 0), 0);
	assert_int_equal(do_setxattr(c, node, "user.y", "3", 1, 4, 0), -EINVAL);
	assert_int_equal(do_setxattr(c, node, "user.y", "3", 1, 1u << 31, 0), -EINVAL);
	assert_host_value(c, "file", "user.y", "2");
	assert_int_equal(do_set(c, node, "bogus.x", "1"), -EOPNOTSUPP);
	assert_int_equal(do_getxattr(c, node, "bogus.x", 0), -EOPNOTSUPP);
}

/* However much the guest asks for, the answer stays within its buffers. */
static void test_reply_room(void **state)
{
	struct client *c = *state;
	struct {
		struct fuse_getxattr_in in;
		char name[7];
	} args = {.in.size = 65536, .name = "user.x"};

	NEEDS(c, "user.x");
	assert_int_equal(do_set(c, ROOT, "user.x", "0123456789"), 0);
	for (size_t room = 16; room < 40; room++) {
		int r = exchange(c->f, FUSE_GETXATTR, ROOT, &args, 15, room);

		assert_int_equal(r, room < 26 ? -ERANGE : 0);
		r = exchange(c->f, FUSE_LISTXATTR, ROOT, &args, 8, room);
		assert_int_equal(r, room < 16 + 7 ? -ERANGE : 0);
	}
	args.in.size = 0;
	for (size_t room = 16; room < 40; room++)
		assert_int_equal(
			exchange(c->f, FUSE_GETXATTR, ROOT, &args, 15, room), room < 24 ? -EIO : 0);
}

/* What cannot or must not be opened: links, devices, fifos, files that nobody may read. */
static void test_special_files(void **state)
{
	static const char *const names[] = {"fifo", "link", "null", "secret"};
	struct client *c = *state;
	bool root = host_has(c, "trusted.x");

	assert_int_equal(mkfifo(host(c, "fifo"), 0600), 0);
	assert_int_equal(symlink("/nowhere", host(c, "link")), 0);
	host_write(c, "null", "");
	if (root) {
		assert_int_equal(unlink(host(c, "null")), 0);
		assert_int_equal(mknod(host(c, "null"), S_IFCHR | 0600, makedev(1, 3)), 0);
	}
	host_write(c, "secret", "");
	assert_int_equal(chmod(host(c, "secret"), 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t node = node_of(c, ROOT, names[i]);

		assert_true(do_listxattr(c, node, 0) >= 0);
		if (i < 2) {
			assert_int_equal(do_getxattr(c, node, "user.x", 0), -ENODATA);
			assert_int_equal(do_set(c, node, "user.x", "1"), -EPERM);
		}
		if (!root)
			continue;
		assert_int_equal(do_set(c, node, "trusted.x", names[i]), 0);
		assert_host_value(c, names[i], "trusted.x", names[i]);
		assert_value(c, node, "trusted.x", names[i]);
		assert_true(is_listed(c, node, "trusted.x"));
		assert_int_equal(do_removexattr(c, node, "trusted.x"), 0);
		assert_host_none(c, names[i], "trusted.x");
	}
}

static void test_readonly(void **state)
{
	struct client *c = *state;

	NEEDS(c, "user.x");
	assert_int_equal(do_set(c, ROOT, "user.x", "1"), 0);
	c->f->config.readonly = true;
	client_restart(c);
	assert_int_equal(do_set(c, ROOT, "user.x", "2"), -EROFS);
	assert_int_equal(do_removexattr(c, ROOT, "user.x"), -EROFS);
	assert_value(c, ROOT, "user.x", "1");
}

/* Requests that no kernel sends, in both forms of SETXATTR. */
static void test_hostile(void **state)
{
	struct client *c = *state;
	char *args = calloc(1, 140000);
	struct fuse_setxattr_in in = {.size = 3};

	assert_non_null(args);
	for (int extended = 0; extended < 2; extended++) {
		size_t in_size = extended ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE;

		c->f->config.posix_acl = extended ? FS_OFFER_AUTO : FS_OFFER_NEVER;
		client_restart(c);
		memset(args, 'v', 140000);
		memcpy(args, &in, in_size);
		memcpy(args + in_size, "u.x", 4);
		/* EOPNOTSUPP is the host's: only the right length gets so far. */
		for (size_t len = 0; len < in_size + 4 + 8; len++)
			assert_int_equal(ask(c, FUSE_SETXATTR, ROOT, args, len, NULL, NULL),
				len == in_size + 4 + 3 ? -EOPNOTSUPP : -EINVAL);
		/* The value's length is a lie. */
		for (uint32_t size = 4; size; size <<= 1) {
			memcpy(args, &size, sizeof(size));
			assert_int_equal(ask(c, FUSE_SETXATTR, ROOT, args, in_size + 7, NULL, NULL),
				size > XATTR_SIZE_MAX ? -E2BIG : -EINVAL);
		}
		memset(args + in_size, 'n', 300);
		assert_int_equal(
			ask(c, FUSE_SETXATTR, ROOT, args, in_size + 300, NULL, NULL), -EINVAL);
		args[in_size + XATTR_NAME_MAX + 1] = '\0';
		assert_int_equal(
			ask(c, FUSE_SETXATTR, ROOT, args, in_size + 300, NULL, NULL), -ERANGE);
		assert_int_equal(ask(c, FUSE_SETXATTR, ROOT, args, 100000, NULL, NULL), -E2BIG);
	}
	/* Unknown bits of the longer form. */
	assert_int_equal(do_setxattr(c, ROOT, "user.x", "1", 1, 0, 2), -EINVAL);

	memset(args, 'n', 300);
	args[XATTR_NAME_MAX + 1] = '\0';
	assert_int_equal(do_removexattr(c, ROOT, args), -ERANGE);
	assert_int_equal(do_getxattr(c, ROOT, args, 0), -ERANGE);
	assert_int_equal(do_removexattr(c, ROOT, ""), -EINVAL);
	assert_int_equal(do_getxattr(c, ROOT, "", 0), -EINVAL);
	assert_int_equal(ask(c, FUSE_REMOVEXATTR, ROOT, "a\0b", 4, NULL, NULL), -EINVAL);
	assert_int_equal(ask(c, FUSE_REMOVEXATTR, ROOT, "ab", 2, NULL, NULL), -EINVAL);
	assert_int_equal(do_listxattr(c, 4711, 0), -ESTALE);
	assert_int_equal(do_getxattr(c, 4711, "user.x", 0), -ESTALE);
	assert_int_equal(do_removexattr(c, 4711, "user.x"), -ESTALE);
	assert_int_equal(do_set(c, 4711, "user.x", ""), -ESTALE);
	free(args);
}

static void test_map(void **state)
{
	struct client *c = *state;
	struct fs_xattrmap *map;
	char name[XATTR_NAME_MAX + 1];

	NEEDS(c, "user.x");
	map = client_map(c, ":map::user.v.:");
	assert_int_equal(setxattr(c->f->dir, "user.own", "1", 1, 0), 0);
	assert_int_equal(setxattr(c->f->dir, "user.v.", "1", 1, 0), 0);
	assert_int_equal(do_listxattr(c, ROOT, 0), 0);
	assert_int_equal(do_listxattr(c, ROOT, 1000), 0);
	assert_int_equal(do_getxattr(c, ROOT, "user.own", 0), -ENODATA);

	assert_int_equal(do_set(c, ROOT, "trusted.overlay.opaque", "y"), 0);
	assert_host_value(c, ".", "user.v.trusted.overlay.opaque", "y");
	assert_value(c, ROOT, "trusted.overlay.opaque", "y");
	assert_true(is_listed(c, ROOT, "trusted.overlay.opaque"));
	/* The length is that of the guest's names: asked for with it, the list fits. */
	assert_int_equal(do_listxattr(c, ROOT, 0), sizeof("trusted.overlay.opaque"));
	assert_int_equal(do_listxattr(c, ROOT, sizeof("trusted.overlay.opaque")),
		sizeof("trusted.overlay.opaque"));
	assert_int_equal(do_listxattr(c, ROOT, sizeof("trusted.overlay.opaque") - 1), -ERANGE);
	assert_int_equal(do_removexattr(c, ROOT, "trusted.overlay.opaque"), 0);
	assert_host_none(c, ".", "user.v.trusted.overlay.opaque");

	memset(name, 'n', sizeof(name));
	name[XATTR_NAME_MAX] = '\0';
	assert_int_equal(do_set(c, ROOT, name, "1"), -ERANGE);
	fs_xattrmap_free(map);

	map = client_map(c, ":unsupported:client:a.:: :bad:all:security.:security.: :ok:all:::");
	assert_int_equal(do_set(c, ROOT, "a.x", "1"), -EOPNOTSUPP);
	assert_int_equal(do_getxattr(c, ROOT, "a.x", 0), -EOPNOTSUPP);
	assert_int_equal(do_set(c, ROOT, "security.x", "1"), -EPERM);
	assert_int_equal(do_removexattr(c, ROOT, "security.x"), -EPERM);
	/* Asked for, what is denied is not there. */
	assert_int_equal(do_getxattr(c, ROOT, "security.x", 0), -ENODATA);
	assert_value(c, ROOT, "user.own", "1");
	c->f->config.xattrmap = NULL;
	client_restart(c);
	fs_xattrmap_free(map);
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[5];
};

/* The owner, user 1234, the group, a mask, others. */
static struct acl make_acl(uint16_t owner, uint16_t user, uint16_t group, uint16_t others)
{
	uint16_t mask = user | group;

	return (struct acl){{POSIX_ACL_XATTR_VERSION},
		{{ACL_USER_OBJ, owner, ACL_UNDEFINED_ID}, {ACL_USER, user, 1234},
			{ACL_GROUP_OBJ, group, ACL_UNDEFINED_ID},
			{ACL_MASK, mask, ACL_UNDEFINED_ID}, {ACL_OTHER, others, ACL_UNDEFINED_ID}}};
}

static bool host_has_acls(struct client *c)
{
	struct acl acl = make_acl(7, 7, 5, 0);

	return setxattr(c->f->dir, ACL_DEFAULT, &acl, sizeof(acl), 0) == 0 &&
	       removexattr(c->f->dir, ACL_DEFAULT) == 0;
}

/* A guest that has not agreed on ACLs neither sees nor sets any. */
static void test_acls_hidden(void **state)
{
	struct client *c = *state;
	struct acl acl = make_acl(7, 7, 5, 0);

	if (!host_has_acls(c))
		skip();
	assert_int_equal(setxattr(c->f->dir, ACL_DEFAULT, &acl, sizeof(acl), 0), 0);
	assert_false(is_listed(c, ROOT, ACL_DEFAULT));
	assert_int_equal(do_getxattr(c, ROOT, ACL_DEFAULT, 0), -EOPNOTSUPP);
	assert_int_equal(do_removexattr(c, ROOT, ACL_DEFAULT), -EOPNOTSUPP);
	assert_int_equal(do_setxattr(c, ROOT, ACL_ACCESS, &acl, sizeof(acl), 0, 0), -EOPNOTSUPP);
	assert_int_equal(getxattr(c->f->dir, ACL_DEFAULT, NULL, 0), sizeof(acl));
}

static void with_acls(struct client *c)
{
	if (!host_has_acls(c))
		skip();
	c->f->config.posix_acl = FS_OFFER_ALWAYS;
	client_restart(c);
}

static void test_acls(void **state)
{
	struct client *c = *state;
	struct acl acl = make_acl(6, 6, 4, 0);
	uint64_t node;

	with_acls(c);
	host_write(c, "file", "");
	assert_int_equal(symlink("file", host(c, "link")), 0);
	node = node_of(c, ROOT, "file");
	assert_int_equal(do_getxattr(c, node, ACL_ACCESS, 0), -ENODATA);
	assert_int_equal(do_setxattr(c, node, ACL_ACCESS, &acl, sizeof(acl), 0, 0), 0);
	assert_true(is_listed(c, node, ACL_ACCESS));
	assert_int_equal(do_getxattr(c, node, ACL_ACCESS, 1000), sizeof(acl));
	assert_memory_equal(c->rep, &acl, sizeof(acl));
	/* The group's bits are the mask now. */
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 0660);
	/* What has no ACLs has none: an error would make it unusable. */
	assert_int_equal(do_getxattr(c, node_of(c, ROOT, "link"), ACL_ACCESS, 1000), -ENODATA);
	assert_int_equal(
		do_setxattr(c, node_of(c, ROOT, "link"), ACL_ACCESS, &acl, sizeof(acl), 0, 0),
		-EOPNOTSUPP);
	/* Noise for an ACL. */
	assert_int_equal(do_setxattr(c, node, ACL_ACCESS, "\2\0\0\0x", 5, 0, 0), -EINVAL);
}

/* The bits of what MKNOD, MKDIR and CREATE make with umask 027; O is the first one's name. */
static void make_three(struct client *c, uint64_t dir, uint32_t modes[3])
{
	static const char *const names[] = {"mknod", "mkdir", "create"};
	struct fuse_mknod_in mknod_in = {.mode = S_IFREG | 0666, .umask = 027};
	struct fuse_mkdir_in mkdir_in = {.mode = 0777, .umask = 027};
	struct fuse_create_in create_in = {.flags = O_CREAT | O_RDWR, .mode = 0666, .umask = 027};
	struct fuse_attr attr;

	assert_int_equal(ask(c, FUSE_MKNOD, dir, &mknod_in, sizeof(mknod_in), names[0], NULL), 0);
	assert_int_equal(ask(c, FUSE_MKDIR, dir, &mkdir_in, sizeof(mkdir_in), names[1], NULL), 0);
	assert_int_equal(
		ask(c, FUSE_CREATE, dir, &create_in, sizeof(create_in), names[2], NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(do_getattr(c, node_of(c, dir, names[i]), &attr), 0);
		modes[i] = attr.mode & 07777;
	}
}

static void test_umask(void **state)
{
	struct client *c = *state;
	struct acl acl = make_acl(7, 7, 5, 0);
	struct fuse_entry_out plain, inherits;
	uint32_t modes[3];

	/* Without ACLs the guest has applied it. */
	make_three(c, ROOT, modes);
	assert_true(modes[0] == 0666 && modes[1] == 0777 && modes[2] == 0666);

	with_acls(c);
	assert_int_equal(do_mkdir(c, ROOT, "plain", 0777, &plain), 0);
	assert_int_equal(do_mkdir(c, ROOT, "inherits", 0777, &inherits), 0);
	make_three(c, plain.nodeid, modes);
	assert_true(modes[0] == 0640 && modes[1] == 0750 && modes[2] == 0640);

	assert_int_equal(do_setxattr(c, inherits.nodeid, ACL_DEFAULT, &acl, sizeof(acl), 0, 0), 0);
	make_three(c, inherits.nodeid, modes);
	assert_true(modes[0] == 0660 && modes[1] == 0770 && modes[2] == 0660);
	assert_true(is_listed(c, node_of(c, inherits.nodeid, "mknod"), ACL_ACCESS));
	assert_true(is_listed(c, node_of(c, inherits.nodeid, "create"), ACL_ACCESS));
	assert_true(is_listed(c, node_of(c, inherits.nodeid, "mkdir"), ACL_DEFAULT));
	/* The thread has the gateway's umask again. */
	assert_int_equal(umask(0), 0);
}

static void test_acl_kills_setgid(void **state)
{
	struct client *c = *state;
	struct acl acl = make_acl(7, 7, 5, 0);
	uint64_t node;

	if (getuid() != 0)
		skip();
	with_acls(c);
	host_write(c, "file", "");
	assert_int_equal(chown(host(c, "file"), 1000, 5678), 0);
	assert_int_equal(chmod(host(c, "file"), 02755), 0);
	node = node_of(c, ROOT, "file");
	c->uid = 1000;
	c->gid = 1000;
	assert_int_equal(do_setxattr(c, node, ACL_ACCESS, &acl, sizeof(acl), 0, 0), 0);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 02770);
	assert_int_equal(
		do_setxattr(c, node, ACL_ACCESS, &acl, sizeof(acl), 0, FUSE_SETXATTR_ACL_KILL_SGID),
		0);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 0770);
	/* And has its own rights back: they keep the bit. */
	assert_int_equal(chmod(host(c, "file"), 02755), 0);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 02755);
	assert_int_equal(do_setxattr(c, node, ACL_ACCESS, &acl, sizeof(acl), 0, 0), 0);
	assert_int_equal(host_stat(c, "file").st_mode & 07777, 02770);
	c->gid = UINT32_MAX;
	assert_int_equal(
		do_setxattr(c, node, ACL_ACCESS, &acl, sizeof(acl), 0, FUSE_SETXATTR_ACL_KILL_SGID),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_off),
		CLIENT_TEST(test_all_four),
		CLIENT_TEST(test_sizes_and_flags),
		CLIENT_TEST(test_reply_room),
		CLIENT_TEST(test_special_files),
		CLIENT_TEST(test_readonly),
		CLIENT_TEST(test_hostile),
		CLIENT_TEST(test_map),
		CLIENT_TEST(test_acls_hidden),
		CLIENT_TEST(test_acls),
		CLIENT_TEST(test_umask),
		CLIENT_TEST(test_acl_kills_setgid),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
