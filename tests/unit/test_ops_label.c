/* SPDX-License-Identifier: BSD-3-Clause */
/* Labels that come with the request that makes a file: set with it, or nothing is made. */
#include "tests/unit/xattr_client.h"

#define SELINUX "security.selinux"
#define LABEL   "system_u:object_r:etc_t:s0"

/* The requests that make something, by what they make. */
struct making {
	uint32_t opcode;
	const char *name, *target;
	size_t in_size;
	union {
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_create_in create;
	} in;
};

static const struct making makings[] = {
	{FUSE_MKNOD, "mknod", NULL, sizeof(struct fuse_mknod_in), {.mknod = {S_IFREG | 0600}}},
	{FUSE_MKDIR, "mkdir", NULL, sizeof(struct fuse_mkdir_in), {.mkdir = {0700}}},
	{FUSE_CREATE, "create", NULL, sizeof(struct fuse_create_in),
		{.create = {O_CREAT | O_WRONLY, 0600}}},
	{FUSE_SYMLINK, "symlink", "target", 0, {.mkdir = {0}}},
	{FUSE_MKNOD, "fifo", NULL, sizeof(struct fuse_mknod_in), {.mknod = {S_IFIFO | 0600}}},
};
/* The first ones may have attributes of users. */
#define N_PLAIN 3

static int setup(void **state)
{
	struct client *c = client_new(FS_CACHE_AUTO, false, 0);

	c->f->config.security_label = FS_OFFER_ALWAYS;
	client_restart(c);
	*state = c;
	return 0;
}

/* The request with a label behind it; `name` NULL: with the word that there is none. */
static int make(struct client *c, const struct making *m, const char *name, const char *value)
{
	struct fuse_secctx_header head = {sizeof(head), name ? 1 : 0};
	struct fuse_secctx one = {.size = (uint32_t)strlen(value)};
	char args[1024] = {0};
	size_t at = m->in_size;

	memcpy(args, &m->in, m->in_size);
	at += (size_t)(stpcpy(args + at, m->name) - (args + at)) + 1;
	if (m->target)
		at += (size_t)(stpcpy(args + at, m->target) - (args + at)) + 1;
	if (name)
		head.size += (uint32_t)FUSE_REC_ALIGN(sizeof(one) + strlen(name) + 1 + one.size);
	memcpy(args + at, &head, sizeof(head));
	if (name) {
		memcpy(args + at + sizeof(head), &one, sizeof(one));
		strcpy(args + at + sizeof(head) + sizeof(one), name);
		memcpy(args + at + sizeof(head) + sizeof(one) + strlen(name) + 1, value, one.size);
	}
	return ask(c, m->opcode, ROOT, args, at + head.size, NULL, NULL);
}

static bool exists(struct client *c, const char *name)
{
	struct stat st;

	return lstat(host(c, name), &st) == 0;
}

/* Moved below user.*, which anybody may set, on what may have those. */
static void test_mapped(void **state)
{
	struct client *c = *state;
	struct fs_xattrmap *map;

	if (!host_has(c, "user.x"))
		skip();
	map = client_map(c, ":map:security.:user.l.:");
	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		int r = make(c, &makings[i], SELINUX, LABEL);

		assert_int_equal(r, i < N_PLAIN ? 0 : -EPERM);
		assert_int_equal(exists(c, makings[i].name), i < N_PLAIN);
		if (i < N_PLAIN)
			assert_host_value(c, makings[i].name, "user.l." SELINUX, LABEL);
	}
	c->f->config.xattrmap = NULL;
	client_restart(c);
	fs_xattrmap_free(map);
}

/* With the right to it every kind of file can have one. */
static void test_every_kind(void **state)
{
	struct client *c = *state;
	struct fs_xattrmap *map;

	if (!host_has(c, "trusted.x"))
		skip();
	map = client_map(c, ":map:security.selinux:trusted.l.:");
	c->uid = 1000;
	c->gid = 1000;
	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		if (i == 0)
			assert_int_equal(chmod(c->f->dir, 0777), 0);
		assert_int_equal(make(c, &makings[i], SELINUX, LABEL), 0);
		assert_host_value(c, makings[i].name, "trusted.l." SELINUX, LABEL);
		assert_int_equal(host_stat(c, makings[i].name).st_uid, 1000);
	}
	c->f->config.xattrmap = NULL;
	client_restart(c);
	fs_xattrmap_free(map);
}

/* When it cannot be set, the file is not there, and its name can be used. */
static void test_taken_back(void **state)
{
	struct client *c = *state;
	struct fs_xattrmap *map = client_map(c, ":bad:all:security.:security.::ok:all:::");
	int fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		assert_int_equal(make(c, &makings[i], SELINUX, LABEL), -EPERM);
		assert_false(exists(c, makings[i].name));
	}
	assert_int_equal(count_fds(), fds);
	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		assert_int_equal(make(c, &makings[i], NULL, ""), 0);
		assert_true(exists(c, makings[i].name));
		/* What was there before stays: it is not ours to take back. */
		if (makings[i].opcode != FUSE_CREATE)
			assert_int_equal(make(c, &makings[i], SELINUX, LABEL), -EEXIST);
		assert_true(exists(c, makings[i].name));
	}
	c->f->config.xattrmap = NULL;
	client_restart(c);
	fs_xattrmap_free(map);
}

static void test_not_agreed_on(void **state)
{
	struct client *c = *state;

	c->f->config.security_label = FS_OFFER_NEVER;
	client_restart(c);
	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		assert_int_equal(make(c, &makings[i], SELINUX, LABEL), -EINVAL);
		assert_int_equal(make(c, &makings[i], NULL, ""), -EINVAL);
		assert_false(exists(c, makings[i].name));
	}
}

static void test_hostile(void **state)
{
	struct client *c = *state;
	char args[64] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
		assert_int_equal(make(c, &makings[i], "user.x", LABEL), -EINVAL);
		assert_int_equal(make(c, &makings[i], "", LABEL), -EINVAL);
		assert_false(exists(c, makings[i].name));
	}
	/* Other requests have no extensions. */
	strcpy(args, "name");
	args[5] = 8;
	assert_int_equal(ask(c, FUSE_LOOKUP, ROOT, args, 5 + 8, NULL, NULL), -EINVAL);
	assert_int_equal(ask(c, FUSE_UNLINK, ROOT, args, 5 + 8, NULL, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mapped, setup, client_teardown),
		cmocka_unit_test_setup_teardown(test_every_kind, setup, client_teardown),
		cmocka_unit_test_setup_teardown(test_taken_back, setup, client_teardown),
		cmocka_unit_test_setup_teardown(test_not_agreed_on, setup, client_teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, client_teardown),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
