/* SPDX-License-Identifier: BSD-3-Clause */
/* The permission bits of ACLs; and ACLs where owners and modes are kept in an attribute. */
#include "tests/unit/fs_client.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "fuse/acl.h"

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry at[6];
};

static void put(struct acl *acl, size_t i, uint16_t tag, uint16_t perm, uint32_t id)
{
	acl->at[i].e_tag = htole16(tag);
	acl->at[i].e_perm = htole16(perm);
	acl->at[i].e_id = htole32(id);
}

static size_t size_of(size_t entries)
{
	return sizeof(struct posix_acl_xattr_header) +
	       entries * sizeof(struct posix_acl_xattr_entry);
}

static struct acl with_mask(void)
{
	struct acl acl = {.head.a_version = htole32(POSIX_ACL_XATTR_VERSION)};

	put(&acl, 0, ACL_USER_OBJ, 6, ACL_UNDEFINED_ID);
	put(&acl, 1, ACL_USER, 7, 1234);
	put(&acl, 2, ACL_GROUP_OBJ, 5, ACL_UNDEFINED_ID);
	put(&acl, 3, ACL_MASK, 4, ACL_UNDEFINED_ID);
	put(&acl, 4, ACL_OTHER, 1, ACL_UNDEFINED_ID);
	return acl;
}

static void test_bits(void **state)
{
	struct acl acl = with_mask();

	(void)state;
	assert_int_equal(fs_acl_bits(&acl, size_of(5)), 0641);
	/* Without the mask the group counts. */
	put(&acl, 3, ACL_OTHER, 2, ACL_UNDEFINED_ID);
	assert_int_equal(fs_acl_bits(&acl, size_of(4)), 0652);
}

static void test_set_bits(void **state)
{
	struct acl acl = with_mask(), was = acl;

	(void)state;
	assert_int_equal(fs_acl_set_bits(&acl, size_of(5), S_IFREG | 07375), 0);
	assert_int_equal(fs_acl_bits(&acl, size_of(5)), 0375);
	assert_memory_equal(&acl.at[1], &was.at[1], 2 * sizeof(acl.at[0]));
}

static void test_hostile(void **state)
{
	struct acl acl = with_mask();

	(void)state;
	assert_int_equal(fs_acl_bits("", 0), -EINVAL);
	assert_int_equal(fs_acl_bits(&acl, size_of(0)), -EINVAL);
	for (size_t size = 0; size < size_of(5); size++) {
		uint8_t *copy = malloc(size ? size : 1);

		memcpy(copy, &acl, size);
		if (size == size_of(0) || (size - size_of(0)) % sizeof(acl.at[0])) {
			assert_int_equal(fs_acl_bits(copy, size), -EINVAL);
			assert_int_equal(fs_acl_set_bits(copy, size, 0), -EINVAL);
		} else if (size > size_of(0)) {
			assert_true(fs_acl_bits(copy, size) >= 0);
		}
		free(copy);
	}
	put(&acl, 0, 0xffff, 0xffff, 0);
	assert_int_equal(fs_acl_bits(&acl, size_of(5)), 0041);
	put(&acl, 4, ACL_OTHER, 0xffff, 0);
	assert_int_equal(fs_acl_bits(&acl, size_of(5)), 0047);
	acl.head.a_version = 0;
	assert_int_equal(fs_acl_bits(&acl, size_of(5)), -EINVAL);
}

/* ---- with --owner-xattr ---- */

static int setup(void **state)
{
	struct client *c = client_new(FS_CACHE_AUTO, false, 0);

	fs_free(c->f->fs);
	c->f->config.owner_xattr = true;
	c->f->config.posix_acl = FS_OFFER_AUTO;
	assert_int_equal(fs_new(&c->f->config, &c->f->fs), 0);
	assert_int_equal(do_init(c->f), 0);
	*state = c;
	return 0;
}

static int set_acl(struct client *c, uint64_t node, const char *name, const struct acl *acl,
	uint32_t flags)
{
	struct {
		struct fuse_setxattr_in in;
		char tail[XATTR_NAME_MAX + sizeof(*acl)];
	} args = {.in = {.size = (uint32_t)size_of(5), .setxattr_flags = flags}};
	size_t n = strlen(name) + 1;

	memcpy(args.tail, name, n);
	memcpy(args.tail + n, acl, size_of(5));
	return ask(c, FUSE_SETXATTR, node, &args, sizeof(args.in) + n + size_of(5), NULL, NULL);
}

/* The bits of the ACL that the guest sees, and of the mode. */
static int bits_seen(struct client *c, uint64_t node)
{
	struct fuse_getxattr_in in = {.size = 256};
	int r = ask(c, FUSE_GETXATTR, node, &in, sizeof(in), FS_ACL_ACCESS, NULL);

	return r < 0 ? r : fs_acl_bits(c->rep, c->rep_len);
}

static uint32_t mode_seen(struct client *c, uint64_t node)
{
	struct fuse_attr attr;

	assert_int_equal(do_getattr(c, node, &attr), 0);
	return attr.mode & 07777;
}

static void test_kept(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = S_IFREG | 02070};
	struct acl acl = with_mask();
	struct fuse_entry_out made;
	uint64_t dir, node;
	int r;

	c->uid = c->gid = 1234;
	assert_int_equal(do_mkdir(c, ROOT, "d", 0755, &made), 0);
	dir = made.nodeid;
	r = set_acl(c, dir, FS_ACL_DEFAULT, &acl, 0);
	if (r == -EOPNOTSUPP)
		skip(); /* a file system without */
	assert_int_equal(r, 0);
	assert_int_equal(mode_seen(c, dir), 0755);

	/* What is made there has the bits of the default ACL that it was made with, and one. */
	assert_int_equal(do_mknod(c, dir, "f", S_IFREG | 0671, 0, &made), 0);
	node = made.nodeid;
	assert_int_equal(made.attr.mode, S_IFREG | 0641);
	assert_int_equal(bits_seen(c, node), 0641);

	/* A mode is an ACL's too, also where the host's file has more for the gateway. */
	assert_int_equal(do_setattr(c, node, &mode), 0);
	assert_int_equal(mode_seen(c, node), 02070);
	assert_int_equal(bits_seen(c, node), 0070);

	/* And an ACL is the mode. */
	put(&acl, 0, ACL_USER_OBJ, 1, ACL_UNDEFINED_ID);
	assert_int_equal(set_acl(c, node, FS_ACL_ACCESS, &acl, 0), 0);
	assert_int_equal(mode_seen(c, node), 02141);
	assert_int_equal(bits_seen(c, node), 0141);
	assert_int_equal(
		set_acl(c, node, FS_ACL_ACCESS, &acl, FUSE_SETXATTR_ACL_KILL_SGID), 0);
	assert_int_equal(mode_seen(c, node), 0141);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_set_bits),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test_setup_teardown(test_kept, setup, client_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
