/* SPDX-License-Identifier: BSD-3-Clause */
/* Room for answers, INIT's masks, and the command line of the mount. */
#include "gateway/frontend/mount_shape.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mount.h>

#include "gateway/frontend/mount.h"
#include "gateway/frontend/mount_init.h"
#include "vhostuser/checked.h"

static struct fm_shape shape(uint32_t opcode, const void *args, size_t len)
{
	struct fuse_in_header header = {.opcode = opcode};
	uint8_t head[FM_HEAD] = {0};

	memcpy(head, &header, sizeof(header));
	if (len)
		memcpy(head + sizeof(header), args, len);
	return fm_shape_of(head);
}

static void room_is_what_the_kernel_takes(void **state)
{
	struct fuse_read_in read = {.size = 12345};
	struct fuse_getxattr_in xattr = {.size = 300}, ask = {.size = 0};
	struct fuse_ioctl_in ioctl = {.out_size = 64};

	assert_int_equal(shape(FUSE_LOOKUP, NULL, 0).room, sizeof(struct fuse_entry_out));
	assert_int_equal(shape(FUSE_CREATE, NULL, 0).room,
		sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
	assert_int_equal(shape(FUSE_UNLINK, NULL, 0).room, 0);
	assert_int_equal(shape(FUSE_READ, &read, sizeof(read)).room, 12345);
	assert_int_equal(shape(FUSE_READDIRPLUS, &read, sizeof(read)).room, 12345);
	assert_int_equal(shape(FUSE_GETXATTR, &xattr, sizeof(xattr)).room, 300);
	assert_int_equal(
		shape(FUSE_LISTXATTR, &ask, sizeof(ask)).room, sizeof(struct fuse_getxattr_out));
	assert_int_equal(
		shape(FUSE_IOCTL, &ioctl, sizeof(ioctl)).room, sizeof(struct fuse_ioctl_out) + 64);
	assert_true(shape(FUSE_WRITE, NULL, 0).data);
	assert_true(shape(FUSE_BATCH_FORGET, NULL, 0).hiprio);
	assert_false(shape(FUSE_SETLKW, NULL, 0).hiprio);
}

static void room_has_a_limit(void **state)
{
	struct fuse_read_in read = {.size = UINT32_MAX};

	assert_int_equal(shape(FUSE_READ, &read, sizeof(read)).room, FM_PAYLOAD);
	read.size = FM_PAYLOAD;
	assert_int_equal(shape(FUSE_READ, &read, sizeof(read)).room, FM_PAYLOAD);
}

static void what_is_not_known_gets_all_room(void **state)
{
	static const uint32_t opcodes[] = {0, 7, 19, 52, 53, 54, 1000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct fm_shape s = shape(opcodes[i], NULL, 0);

		assert_int_equal(s.room, FM_PAYLOAD);
		assert_false(s.hiprio || s.data);
	}
}

static void an_offer_is_masked(void **state)
{
	uint64_t high = UINT64_C(1) << 37 | UINT64_C(1) << 39 | UINT64_C(1) << 41;
	struct fuse_init_in in = {.flags = UINT32_MAX, .flags2 = UINT32_MAX};
	uint64_t left = fm_init_offer(&in, sizeof(in));
	uint64_t low = FUSE_SPLICE_READ | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE;

	assert_int_equal(left, ~(high | low));
	assert_int_equal(in.flags, (uint32_t)left);
	assert_int_equal(in.flags2, (uint32_t)(left >> 32));
	/* Without INIT_EXT, or in a short request, there are no more than 32. */
	in = (struct fuse_init_in){.flags = FUSE_ASYNC_READ, .flags2 = UINT32_MAX};
	assert_int_equal(fm_init_offer(&in, sizeof(in)), FUSE_ASYNC_READ);
	in = (struct fuse_init_in){.flags = FUSE_INIT_EXT, .flags2 = UINT32_MAX};
	assert_int_equal(fm_init_offer(&in, 16), FUSE_INIT_EXT);
}

static void an_answer_keeps_what_fits(void **state)
{
	struct fuse_init_out out = {.major = 7, .flags = FUSE_ASYNC_READ, .flags2 = 3}, was;

	out.max_write = 65536;
	out.max_pages = 16;
	was = out;
	fm_init_accept(&out, UINT64_MAX);
	assert_memory_equal(&out, &was, sizeof(out));
	/* A kernel that is to come again with another version gets it as it is. */
	out.major = 8;
	out.max_write = UINT32_MAX;
	was = out;
	fm_init_accept(&out, 0);
	assert_memory_equal(&out, &was, sizeof(out));
	/* One that ends behind its flags, or before flags2, may claim no more than a whole one. */
	out = (struct fuse_init_out){.major = 7, .flags = FUSE_ASYNC_READ | FUSE_POSIX_ACL};
	out.max_pages = UINT16_MAX;
	fm_init_accept(&out, FUSE_ASYNC_READ);
	assert_int_equal(out.flags, FUSE_ASYNC_READ);
	assert_int_equal(out.max_write, 0);
	assert_true(out.max_pages <= FM_PAYLOAD / 4096);
}

/* ---- the command line ---- */

static struct fm_options parsed;
static char why[256];

static int parse(const char *const *args)
{
	char *argv[16] = {NULL}, *copies[16];
	int argc = 0, r;

	for (; args[argc]; argc++)
		argv[argc] = copies[argc] = strdup(args[argc]);
	r = fm_options_parse(&parsed, argc, argv, why, sizeof(why));
	/* The strings are the caller's: what is kept of them is only compared before this. */
	for (int i = 0; i < argc; i++)
		free(copies[i]);
	return r;
}

#define PARSE(...) parse((const char *const[]){"mount", __VA_ARGS__, NULL})

static void options_are_mount_s(void **state)
{
	assert_int_equal(PARSE("sock", "dir"), 0);
	assert_int_equal(parsed.flags, 0);
	assert_int_equal(parsed.queues, 1);
	assert_string_equal(parsed.source, "sock");
	assert_int_equal(PARSE("sock", "dir", "-o", "ro,nosuid,nodev", "-onoexec,dirsync,sync"), 0);
	assert_int_equal(parsed.flags,
		MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_DIRSYNC | MS_SYNCHRONOUS);
	assert_int_equal(PARSE("sock", "dir", "-o", "ro,rw,noatime,relatime,nodiratime"), 0);
	assert_int_equal(parsed.flags, MS_RELATIME | MS_NODIRATIME);
	assert_int_equal(PARSE("sock", "dir", "-o", "fsname=a b,x-systemd.automount,defaults"), 0);
	assert_string_equal(parsed.source, "a b");
	assert_int_equal(PARSE("--listen", "sock", "--queues=64", "--foreground", "dir"), 0);
	assert_true(parsed.listen);
	assert_int_equal(parsed.queues, 64);
	assert_int_equal(PARSE("--help"), 0);
	assert_true(parsed.help);
	assert_int_equal(PARSE("-h"), 0);
	assert_true(parsed.help);
}

static void what_cannot_be_is_said(void **state)
{
	assert_int_equal(PARSE("sock"), -EINVAL);
	assert_non_null(strstr(why, "directory"));
	assert_int_equal(parse((const char *const[]){"mount", NULL}), -EINVAL);
	assert_non_null(strstr(why, "socket"));
	assert_int_equal(PARSE("a", "b", "c"), -EINVAL);
	assert_int_equal(PARSE("--listen", "a", "--connect", "b", "c"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--bogus"), -EINVAL);
	assert_non_null(strstr(why, "--bogus"));
	assert_int_equal(PARSE("a", "b", "-o", "ro,bogus"), -EINVAL);
	assert_non_null(strstr(why, "bogus"));
	assert_int_equal(PARSE("a", "b", "-o", "dax"), -EINVAL);
	assert_non_null(strstr(why, "DAX"));
	assert_int_equal(PARSE("a", "b", "-o", "dax=inode"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "-o", "source="), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--queues", "0"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--queues", "65"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--queues", "-1"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--queues", "2x"), -EINVAL);
	assert_int_equal(PARSE("a", "b", "--queues"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_what_the_kernel_takes),
		cmocka_unit_test(room_has_a_limit),
		cmocka_unit_test(what_is_not_known_gets_all_room),
		cmocka_unit_test(an_offer_is_masked),
		cmocka_unit_test(an_answer_keeps_what_fits),
		cmocka_unit_test(options_are_mount_s),
		cmocka_unit_test(what_cannot_be_is_said),
	};

	return cmocka_run_group_tests_name("mount_shape", tests, NULL, NULL);
}
