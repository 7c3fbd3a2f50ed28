/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What guests and the host must agree on in less common cases: found by tests/oracle, which needs
 * a kernel on both sides.
 */
#include "tests/unit/fs_client.h"

static int write_as(struct client *c, uint64_t node, const struct fuse_open_out *file,
	uint64_t offset, const char *text, uint32_t flags, uint32_t write_flags)
{
	struct {
		struct fuse_write_in in;
		char data[16];
	} args = {.in = {.fh = file->fh,
			  .offset = offset,
			  .size = (uint32_t)strlen(text),
			  .flags = flags,
			  .write_flags = write_flags}};

	memcpy(args.data, text, args.in.size);
	return ask(c, FUSE_WRITE, node, &args, sizeof(args.in) + args.in.size, NULL, NULL);
}

static void assert_text(struct client *c, const char *name, const char *text)
{
	char data[64] = {0};
	int fd = open(host(c, name), O_RDONLY);

	assert_true(read(fd, data, sizeof(data) - 1) >= 0);
	close(fd);
	assert_string_equal(data, text);
}

/* A page that was stored to by a mapping goes back to its place, also by a file of O_APPEND. */
static void test_write_back_by_append(void **state)
{
	struct client *c = *state;
	struct fuse_open_out file = {0};
	uint64_t node;

	host_write(c, "f", "0123456789");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_RDWR | O_APPEND, &file), 0);
	assert_int_equal(write_as(c, node, &file, 2, "ab", 0, FUSE_WRITE_CACHE), 0);
	assert_text(c, "f", "01ab456789");
	assert_int_equal(write_as(c, node, &file, 4, "cd", O_APPEND, FUSE_WRITE_CACHE), 0);
	assert_text(c, "f", "01abcd6789");
	assert_int_equal(write_as(c, node, &file, 0, "end", O_RDWR | O_APPEND, 0), 0);
	assert_text(c, "f", "01abcd6789end");
}

/* fcntl() in the guest takes O_APPEND off an open file and sets it: only WRITE tells of it. */
static void test_append_comes_and_goes(void **state)
{
	struct client *c = *state;
	struct fuse_open_out file = {0};
	uint64_t node;

	host_write(c, "f", "0123");
	node = node_of(c, ROOT, "f");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY | O_APPEND, &file), 0);
	assert_int_equal(write_as(c, node, &file, 1, "x", O_WRONLY, 0), 0);
	assert_text(c, "f", "0x23");
	assert_int_equal(do_open(c, FUSE_OPEN, node, O_WRONLY, &file), 0);
	assert_int_equal(write_as(c, node, &file, 1, "y", O_WRONLY | O_APPEND, 0), 0);
	assert_text(c, "f", "0x23y");
}

static void test_whiteout_owner(void **state)
{
	struct client *c = *state;

	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(host(c, "."), 0777), 0);
	host_write(c, "f", "");
	host_write(c, "g", "");
	assert_int_equal(chown(host(c, "f"), 1234, 1234), 0);
	c->uid = 1234;
	c->gid = 1235;
	assert_int_equal(do_rename(c, ROOT, "f", ROOT, "new", RENAME_WHITEOUT), 0);
	assert_true(S_ISCHR(host_stat(c, "f").st_mode));
	assert_int_equal(host_stat(c, "f").st_uid, 1234);
	assert_int_equal(host_stat(c, "f").st_gid, 1235);
	assert_int_equal(host_stat(c, "new").st_uid, 1234);
	/* The gateway's own rights are back. */
	assert_int_equal(do_rename(c, ROOT, "g", ROOT, "h", 0), 0);
	assert_int_equal(host_stat(c, "h").st_uid, 0);
}

/* Linux sends chown(-1, -1) as a SETATTR that sets nothing. */
static void test_chown_of_nobody(void **state)
{
	struct client *c = *state;
	struct fuse_setattr_in in = {0};
	struct stat before, after;

	host_write(c, "f", "");
	assert_int_equal(chmod(host(c, "f"), 04755), 0);
	before = host_stat(c, "f");
	usleep(20 * 1000);
	assert_int_equal(do_setattr(c, node_of(c, ROOT, "f"), &in), 0);
	after = host_stat(c, "f");
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_mode & 07777, 0755);
	assert_true(memcmp(&after.st_ctim, &before.st_ctim, sizeof(after.st_ctim)) != 0);

	/* Others cannot take the bits away by that. */
	if (getuid() != 0)
		return;
	assert_int_equal(chmod(host(c, "f"), 06755), 0);
	c->uid = c->gid = 1234;
	assert_int_equal(do_setattr(c, node_of(c, ROOT, "f"), &in), 0);
	assert_int_equal(host_stat(c, "f").st_mode & 07777, 06755);
	/* Nor those who do not say who they are (FUSE_ALLOW_IDMAP). */
	c->uid = c->gid = (uint32_t)-1;
	assert_int_equal(do_setattr(c, node_of(c, ROOT, "f"), &in), 0);
	assert_int_equal(host_stat(c, "f").st_mode & 07777, 06755);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_write_back_by_append),
		CLIENT_TEST(test_append_comes_and_goes),
		CLIENT_TEST(test_whiteout_owner),
		CLIENT_TEST(test_chown_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
