/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes, ACLs and labels through the socket; also by the peer, where it has them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/integration/fusexattr.h"
#include "tests/integration/harness.h"

#define ROOT        FUSE_ROOT_ID
#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

#define EXTRA(...)                                                                                 \
	{                                                                                          \
		.be = {.extra = (const char *const[]){__VA_ARGS__, NULL} }                         \
	}

static struct it_options with_xattr = EXTRA("--xattr");
static struct it_options with_map = EXTRA("--xattrmap", ":map:trusted.:user.v.:");
/* Not all of security.*: the peer does not start when its own capabilities are denied. */
#define RULES ":unsupported:all:a.:a.: :bad:all:security.x:security.x: /ok/all///"
static struct it_options with_rules = EXTRA("--xattrmap", RULES);
#define SIDES                                                                                      \
	":prefix:client:user.:user.p.: :prefix:server::user.s.: :ok:server::user.p.: "             \
	":ok:all:security.capability:security.capability: :bad:all:::"
static struct it_options with_sides = EXTRA("--xattrmap", SIDES);
static struct it_options with_acl = EXTRA("--posix-acl");
static struct it_options with_label =
	EXTRA("--security-label", "--xattrmap=:map:security.selinux:user.v.:");
static struct it_options with_admin = EXTRA("--xattr", "--modcaps", "+sys_admin");
static struct it_options with_trusted =
	EXTRA("--xattrmap", ":map::trusted.guest.:", "--modcaps", "+sys_admin");
static struct it_options with_host_label =
	EXTRA("--security-label", "--xattr", "--modcaps=+sys_admin");
static struct it_options with_moved_label = EXTRA("--security-label",
	"--xattrmap=:map:security.selinux:trusted.virtiofs.:", "--modcaps=+sys_admin");
static struct it_options with_label_alone = EXTRA("--security-label");
static struct it_options with_queues = {
	.be = {.request_queues = 4, .extra = (const char *const[]){ "--xattr", NULL } },
	.fc = {.request_queues = 4 },
};

/* The peer has its own spelling. */
static void spell_for_peer(void)
{
	static const char *const xattr[] = { "-o", "xattr", NULL };
	static const char *const map[] = { "-o", "xattrmap=:map:trusted.:user.v.:", NULL };
	static const char *const rules[] = { "-o", "xattrmap=" RULES, NULL };
	static const char *const sides[] = { "-o", "xattrmap=" SIDES, NULL };
	static const char *const acl[] = { "-o", "xattr,posix_acl", NULL };
	static const char *const label[] = { "-o",
		"xattr,security_label,xattrmap=:map:security.selinux:user.v.:", NULL };

	static const char *const admin[] = { "-o", "xattr,modcaps=+sys_admin", NULL };
	static const char *const trusted[] = { "-o",
		"xattr,modcaps=+sys_admin,xattrmap=:map::trusted.guest.:", NULL };
	static const char *const host_label[] = { "-o",
		"xattr,security_label,modcaps=+sys_admin", NULL };
	static const char *const moved_label[] = { "-o", "xattr,security_label,"
		"modcaps=+sys_admin,xattrmap=:map:security.selinux:trusted.virtiofs.:", NULL };
	static const char *const label_alone[] = { "-o", "xattr,security_label", NULL };

	with_xattr.be.extra = xattr;
	with_queues.be.extra = xattr;
	with_map.be.extra = map;
	with_rules.be.extra = rules;
	with_sides.be.extra = sides;
	with_acl.be.extra = acl;
	with_label.be.extra = label;
	with_admin.be.extra = admin;
	with_trusted.be.extra = trusted;
	with_host_label.be.extra = host_label;
	with_moved_label.be.extra = moved_label;
	with_label_alone.be.extra = label_alone;
}

/* In the form that the session has agreed on. */
static int set(struct it *it, struct fc_queue *q, uint64_t node, const char *name,
	const void *value, uint32_t size)
{
	return fc_setxattr(q, node, name, value, size, it->init.flags & FUSE_SETXATTR_EXT);
}

static bool is_listed(struct fc_queue *q, uint64_t node, const char *name)
{
	char list[4096];
	int most = fc_listxattr(q, node, NULL, 0), len;

	/* Asked for the length alone, the peer counts what it hides, too. */
	assert_in_range(most, 0, sizeof(list));
	len = fc_listxattr(q, node, list, sizeof(list));
	assert_in_range(len, be_peer ? 0 : most, most);
	return fc_in_list(list, len, name);
}

static void needs(const struct it *it, const char *name)
{
	if (setxattr(it->be.share, name, "x", 1, 0) || removexattr(it->be.share, name))
		skip();
}

static void round_trip(struct it *it, struct fc_queue *q, const char *file)
{
	struct fuse_entry_out entry;
	char value[100];

	assert_int_equal(fc_lookup(q, ROOT, file, &entry), 0);
	assert_int_equal(fc_getxattr(q, entry.nodeid, "user.x", value, sizeof(value)), -ENODATA);
	assert_int_equal(set(it, q, entry.nodeid, "user.x", "value", 5), 0);
	assert_int_equal(getxattr(it_path(it, file), "user.x", value, sizeof(value)), 5);
	assert_memory_equal(value, "value", 5);
	memset(value, 0, sizeof(value));
	assert_int_equal(fc_getxattr(q, entry.nodeid, "user.x", NULL, 0), 5);
	assert_int_equal(fc_getxattr(q, entry.nodeid, "user.x", value, 4), -ERANGE);
	assert_int_equal(fc_getxattr(q, entry.nodeid, "user.x", value, sizeof(value)), 5);
	assert_memory_equal(value, "value", 5);
	assert_true(is_listed(q, entry.nodeid, "user.x"));
	assert_int_equal(fc_removexattr(q, entry.nodeid, "user.x"), 0);
	assert_int_equal(fc_removexattr(q, entry.nodeid, "user.x"), -ENODATA);
	assert_false(is_listed(q, entry.nodeid, "user.x"));
	assert_int_equal(getxattr(it_path(it, file), "user.x", value, sizeof(value)), -1);
}

static void attributes_of_files_and_directories(void **state)
{
	struct it *it = *state;

	needs(it, "user.x");
	it_file(it, "file", "x");
	assert_int_equal(mkdir(it_path(it, "dir"), 0700), 0);
	round_trip(it, it->q, "file");
	round_trip(it, it->q, "dir");
}

static void attributes_of_what_is_not_opened(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	needs(it, "user.x");
	assert_int_equal(symlink("/etc/passwd", it_path(it, "link")), 0);
	assert_int_equal(mkfifo(it_path(it, "fifo"), 0600), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "link", &entry), 0);
	assert_int_equal(set(it, it->q, entry.nodeid, "user.x", "1", 1), -EPERM);
	assert_int_equal(fc_getxattr(it->q, entry.nodeid, "user.x", NULL, 0), -ENODATA);
	assert_int_equal(fc_lookup(it->q, ROOT, "fifo", &entry), 0);
	assert_int_equal(set(it, it->q, entry.nodeid, "user.x", "1", 1), -EPERM);
	assert_false(is_listed(it->q, entry.nodeid, "user.x"));
	it_assert_alive(it->q);
}

/* Each queue has a thread, and each thread its own place in /proc/self/fd. */
static void attributes_on_every_queue(void **state)
{
	struct it *it = *state;

	needs(it, "user.x");
	it_file(it, "file", "x");
	for (unsigned int i = 1; i < it->fc->n_queues; i++)
		round_trip(it, &it->fc->queue[i], "file");
}

static void none_without_the_option(void **state)
{
	struct it *it = *state;

	assert_int_equal(set(it, it->q, ROOT, "user.x", "1", 1), -ENOSYS);
	assert_int_equal(fc_getxattr(it->q, ROOT, "user.x", NULL, 0), -ENOSYS);
	assert_int_equal(fc_listxattr(it->q, ROOT, NULL, 0), -ENOSYS);
	assert_int_equal(fc_removexattr(it->q, ROOT, "user.x"), -ENOSYS);
}

static void names_are_mapped(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "user.x");
	assert_int_equal(set(it, it->q, ROOT, "trusted.x", "1", 1), 0);
	assert_int_equal(getxattr(it->be.share, "user.v.trusted.x", value, sizeof(value)), 1);
	assert_int_equal(fc_getxattr(it->q, ROOT, "trusted.x", value, sizeof(value)), 1);
	assert_true(is_listed(it->q, ROOT, "trusted.x"));
	assert_false(is_listed(it->q, ROOT, "user.v.trusted.x"));
	/* The guest's users must not get there by the back door. */
	assert_int_equal(set(it, it->q, ROOT, "user.v.trusted.x", "2", 1), -EPERM);
	assert_int_equal(fc_removexattr(it->q, ROOT, "user.v.trusted.x"), -EPERM);
	assert_int_equal(
		fc_getxattr(it->q, ROOT, "user.v.trusted.x", value, sizeof(value)), -ENODATA);
	assert_int_equal(set(it, it->q, ROOT, "user.y", "3", 1), 0);
	assert_int_equal(getxattr(it->be.share, "user.y", value, sizeof(value)), 1);
	assert_int_equal(fc_removexattr(it->q, ROOT, "trusted.x"), 0);
	assert_int_equal(getxattr(it->be.share, "user.v.trusted.x", value, sizeof(value)), -1);
}

static void rules_deny_and_hide(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "user.x");
	assert_int_equal(set(it, it->q, ROOT, "a.x", "1", 1), -EOPNOTSUPP);
	assert_int_equal(fc_getxattr(it->q, ROOT, "a.x", value, sizeof(value)), -EOPNOTSUPP);
	assert_int_equal(fc_removexattr(it->q, ROOT, "a.x"), -EOPNOTSUPP);
	assert_int_equal(set(it, it->q, ROOT, "security.x", "1", 1), -EPERM);
	assert_int_equal(fc_getxattr(it->q, ROOT, "security.x", value, sizeof(value)), -ENODATA);
	assert_int_equal(fc_removexattr(it->q, ROOT, "security.x"), -EPERM);
	assert_int_equal(set(it, it->q, ROOT, "user.x", "1", 1), 0);
	assert_true(is_listed(it->q, ROOT, "user.x"));
	if (setxattr(it->be.share, "security.x", "1", 1, 0) == 0)
		assert_false(is_listed(it->q, ROOT, "security.x"));
}

/* Each way by itself: `client` for names that come, `server` for those that are listed. */
static void rules_for_one_side(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "user.x");
	assert_int_equal(set(it, it->q, ROOT, "user.c", "1", 1), 0);
	assert_int_equal(getxattr(it->be.share, "user.p.user.c", value, sizeof(value)), 1);
	assert_int_equal(setxattr(it->be.share, "user.s.user.y", "12", 2, 0), 0);
	assert_true(is_listed(it->q, ROOT, "user.y"));
	assert_false(is_listed(it->q, ROOT, "user.s.user.y"));
	assert_true(is_listed(it->q, ROOT, "user.p.user.c"));
	assert_int_equal(fc_getxattr(it->q, ROOT, "user.c", value, sizeof(value)), 1);
	assert_int_equal(set(it, it->q, ROOT, "trusted.x", "1", 1), -EPERM);
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[5];
};

static const struct acl acl = { { POSIX_ACL_XATTR_VERSION },
	{ { ACL_USER_OBJ, 7, ACL_UNDEFINED_ID }, { ACL_USER, 7, 1234 },
		{ ACL_GROUP_OBJ, 5, ACL_UNDEFINED_ID }, { ACL_MASK, 7, ACL_UNDEFINED_ID },
		{ ACL_OTHER, 0, ACL_UNDEFINED_ID } } };

static uint32_t mkdir_with_umask(struct it *it, uint64_t parent, const char *name, uint32_t mask)
{
	struct fuse_mkdir_in in = { .mode = 0777, .umask = mask };
	struct fuse_entry_out entry;
	struct fc_reply reply;

	assert_int_equal(fc_call(it->q,
				 &(struct fc_call){ .opcode = FUSE_MKDIR,
					 .nodeid = parent,
					 .args = &in,
					 .args_len = sizeof(in),
					 .name = name,
					 .room = sizeof(entry) },
				 &reply),
		0);
	memcpy(&entry, reply.body, sizeof(entry));
	return entry.attr.mode & 07777;
}

static void acls_are_inherited(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out dir, file;
	struct fuse_open_out open;
	struct acl got;

	if (setxattr(it->be.share, ACL_DEFAULT, &acl, sizeof(acl), 0) ||
		removexattr(it->be.share, ACL_DEFAULT))
		skip();
	assert_true(it->init.flags & FUSE_POSIX_ACL);
	assert_true(it->init.flags & FUSE_DONT_MASK);
	assert_int_equal(mkdir_with_umask(it, ROOT, "plain", 022), 0755);
	assert_int_equal(fc_mkdir(it->q, ROOT, "dir", 0777, &dir), 0);
	assert_int_equal(fc_getxattr(it->q, dir.nodeid, ACL_DEFAULT, &got, sizeof(got)), -ENODATA);
	assert_int_equal(set(it, it->q, dir.nodeid, ACL_DEFAULT, &acl, sizeof(acl)), 0);
	assert_int_equal(
		fc_getxattr(it->q, dir.nodeid, ACL_DEFAULT, &got, sizeof(got)), sizeof(got));
	assert_memory_equal(&got, &acl, sizeof(got));
	/* The default ACL counts, and the umask does not. */
	assert_int_equal(mkdir_with_umask(it, dir.nodeid, "sub", 077), 0770);
	assert_int_equal(fc_create(it->q, dir.nodeid, "file", O_CREAT | O_EXCL | O_RDWR, 0666,
				 &file, &open),
		0);
	assert_int_equal(file.attr.mode & 07777, 0660);
	assert_true(is_listed(it->q, file.nodeid, ACL_ACCESS));
	assert_int_equal(getxattr(it_path(it, "dir/sub"), ACL_DEFAULT, &got, sizeof(got)),
		sizeof(got));
}

/* A request that makes something, with a label; `target` for a SYMLINK. */
static int label_new(struct it *it, const struct fc_call *call, const char *target,
	const char *label, const char *value)
{
	size_t size = sizeof(struct fuse_secctx) + strlen(label) + 1 + strlen(value);
	struct fuse_secctx_header head = {
		(uint32_t)(sizeof(head) + FUSE_REC_ALIGN(size)), 1
	};
	struct fuse_secctx one = { .size = (uint32_t)strlen(value) };
	size_t before = target ? strlen(target) + 1 : 0;
	struct fc_call full = *call;
	char data[300] = { 0 }, *ext = data + before;

	if (target)
		strcpy(data, target);
	memcpy(ext, &head, sizeof(head));
	memcpy(ext + sizeof(head), &one, sizeof(one));
	strcpy(ext + sizeof(head) + sizeof(one), label);
	memcpy(ext + sizeof(head) + sizeof(one) + strlen(label) + 1, value, strlen(value));
	full.nodeid = ROOT;
	full.data = data;
	full.data_len = (uint32_t)before + head.size;
	full.room = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out);
	return fc_call(it->q, &full, NULL);
}

/* MKDIR with a label. */
static int make_labelled(struct it *it, const char *dir, const char *label, const char *value)
{
	struct fuse_mkdir_in in = { .mode = 0755 };

	return label_new(it,
		&(struct fc_call){
			.opcode = FUSE_MKDIR, .args = &in, .args_len = sizeof(in), .name = dir },
		NULL, label, value);
}

/* One of each kind, all with one label; the first error. */
static int make_all_labelled(struct it *it, const char *label)
{
	struct fuse_create_in file = { .flags = O_RDWR, .mode = S_IFREG | 0644 };
	struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0644 };
	const struct fc_call create = { .opcode = FUSE_CREATE,
		.args = &file, .args_len = sizeof(file), .name = "file" };
	const struct fc_call mknod = { .opcode = FUSE_MKNOD,
		.args = &fifo, .args_len = sizeof(fifo), .name = "fifo" };
	const struct fc_call link = { .opcode = FUSE_SYMLINK, .name = "link" };
	const int results[] = {
		make_labelled(it, "dir", label, "a:b:c:s0"),
		label_new(it, &create, NULL, label, "a:b:c:s0"),
		label_new(it, &mknod, NULL, label, "a:b:c:s0"),
		label_new(it, &link, "target", label, "a:b:c:s0"),
	};

	for (size_t i = 1; i < ARRAY_SIZE(results); i++)
		assert_int_equal(results[i], results[0]);
	return results[0];
}

static void labels_come_with_new_files(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "user.x");
	assert_true(it->init.flags2 & (uint32_t)(FUSE_SECURITY_CTX >> 32));
	assert_int_equal(make_labelled(it, "dir", "security.selinux", "a:b:c:s0"), 0);
	assert_int_equal(getxattr(it_path(it, "dir"), "user.v.security.selinux", value,
				 sizeof(value)),
		8);
	assert_memory_equal(value, "a:b:c:s0", 8);
}

static void bad_labels_make_nothing(void **state)
{
	struct it *it = *state;

	assert_refused(make_labelled(it, "dir", "user.v.x", "a:b:c:s0"));
	assert_refused(make_labelled(it, "dir", "", "a:b:c:s0"));
	assert_int_equal(access(it_path(it, "dir"), F_OK), -1);
	it_assert_alive(it->q);
}

static const char *const kinds[] = { "dir", "file", "fifo", "link" };

/* The kernel's own name for it, set as a host with SELinux has it. */
static void labels_are_the_hosts(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "security.selinux");
	assert_int_equal(make_all_labelled(it, "security.selinux"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(lgetxattr(it_path(it, kinds[i]), "security.selinux", value,
					 sizeof(value)),
			8);
		assert_memory_equal(value, "a:b:c:s0", 8);
	}
}

/* Moved to where the host's own labels are not, as README has it. */
static void labels_may_be_moved(void **state)
{
	struct it *it = *state;
	char value[100];

	needs(it, "trusted.x");
	assert_int_equal(make_all_labelled(it, "security.selinux"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *path = it_path(it, kinds[i]);

		assert_int_equal(lgetxattr(path, "trusted.virtiofs.security.selinux", value,
					 sizeof(value)),
			8);
		assert_int_equal(lgetxattr(path, "security.selinux", value, sizeof(value)), -1);
	}
}

/*
 * Without the right to label, nothing is made. (SELinux without a policy lets owners set its own
 * label; nobody's module lets them set one that there is not.)
 */
static void no_label_no_file(void **state)
{
	struct it *it = *state;
	struct stat st;

	needs(it, "security.nobody");
	assert_int_equal(make_all_labelled(it, "security.nobody"), -EPERM);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (lstat(it_path(it, kinds[i]), &st) == 0)
			fail_msg("%s is there", kinds[i]);
	it_assert_alive(it->q);
}

static void trusted_takes_sys_admin(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	char value[10];

	needs(it, "trusted.x");
	it_file(it, "f", "");
	assert_int_equal(setxattr(it_path(it, "f"), "trusted.host", "1", 1, 0), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), 0);
	assert_int_equal(set(it, it->q, entry.nodeid, "trusted.x", "v", 1), -EPERM);
	assert_false(is_listed(it->q, entry.nodeid, "trusted.host"));
	assert_int_equal(getxattr(it_path(it, "f"), "trusted.x", value, sizeof(value)), -1);
}

static void trusted_with_sys_admin(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	char value[10];

	needs(it, "trusted.x");
	it_file(it, "f", "");
	assert_int_equal(setxattr(it_path(it, "f"), "trusted.host", "1", 1, 0), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), 0);
	assert_true(is_listed(it->q, entry.nodeid, "trusted.host"));
	assert_int_equal(fc_getxattr(it->q, entry.nodeid, "trusted.host", value, sizeof(value)), 1);
	assert_int_equal(set(it, it->q, entry.nodeid, "trusted.x", "v", 1), 0);
	assert_int_equal(getxattr(it_path(it, "f"), "trusted.x", value, sizeof(value)), 1);
	assert_int_equal(value[0], 'v');
	assert_true(is_listed(it->q, entry.nodeid, "trusted.x"));
	assert_int_equal(fc_removexattr(it->q, entry.nodeid, "trusted.x"), 0);
	assert_int_equal(getxattr(it_path(it, "f"), "trusted.x", value, sizeof(value)), -1);
}

/* All that the guest names lies below trusted. on the host, also for what has no user.*. */
static void names_are_mapped_to_trusted(void **state)
{
	static const char host[] = "trusted.guest.user.x";
	struct it *it = *state;
	struct fuse_entry_out entry;
	char value[10];

	needs(it, "trusted.x");
	assert_int_equal(symlink("nowhere", it_path(it, "link")), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "link", &entry), 0);
	assert_int_equal(set(it, it->q, entry.nodeid, "user.x", "v", 1), 0);
	assert_int_equal(lgetxattr(it_path(it, "link"), host, value, sizeof(value)), 1);
	assert_int_equal(fc_getxattr(it->q, entry.nodeid, "user.x", value, sizeof(value)), 1);
	assert_true(is_listed(it->q, entry.nodeid, "user.x"));
	assert_false(is_listed(it->q, entry.nodeid, host));
	assert_int_equal(fc_removexattr(it->q, entry.nodeid, "user.x"), 0);
	assert_int_equal(lgetxattr(it_path(it, "link"), host, value, sizeof(value)), -1);
}

/* What is insisted on, a guest has, or it has no session. */
static void a_guest_without_acls_is_refused(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_init(it->q, 7, 38, FUSE_INIT_EXT | FUSE_POSIX_ACL, &out), -EPROTO);
	assert_int_equal(fc_mount(it->q, &out), 0);
	it_assert_alive(it->q);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(attributes_of_files_and_directories, with_xattr),
	IT_TEST_WITH(attributes_of_what_is_not_opened, with_xattr),
	IT_TEST_WITH(attributes_on_every_queue, with_queues),
	IT_TEST(none_without_the_option),
	IT_TEST_WITH(names_are_mapped, with_map),
	IT_TEST_WITH(rules_deny_and_hide, with_rules),
	IT_TEST_WITH(rules_for_one_side, with_sides),
	IT_TEST_WITH(acls_are_inherited, with_acl),
	IT_TEST_WITH(labels_come_with_new_files, with_label),
	IT_TEST_WITH(bad_labels_make_nothing, with_label),
	IT_TEST_WITH(a_guest_without_acls_is_refused, with_acl),
	IT_TEST_WITH(trusted_takes_sys_admin, with_xattr),
	IT_TEST_WITH(trusted_with_sys_admin, with_admin),
	IT_TEST_WITH(names_are_mapped_to_trusted, with_trusted),
	IT_TEST_WITH(labels_are_the_hosts, with_host_label),
	IT_TEST_WITH(labels_may_be_moved, with_moved_label),
	IT_TEST_WITH(no_label_no_file, with_label_alone),
};

static const struct it_difference differences[] = {
	{ "attributes_on_every_queue", "it has one queue", "and so has the Rust one" },
};

int main(int argc, char **argv)
{
	const char *backend = getenv("BACKEND");

	if (backend && !strcmp(backend, "peer"))
		spell_for_peer();
	return it_main(argc, argv, "xattr", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
}
