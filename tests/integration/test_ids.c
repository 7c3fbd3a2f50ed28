/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ids: translated between guest and host, mapped by a user namespace, or just one of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define NOBODY 65534

static bool is_root(void)
{
	return geteuid() == 0;
}

static struct stat host_stat(const struct it *it, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(it_path(it, name), &st), 0);
	return st;
}

/* Makes a file as this user of the guest's: 0 or the error. */
static int make_as(struct it *it, uint32_t uid, uint32_t gid, const char *name,
	struct fuse_entry_out *entry)
{
	struct fuse_open_out open;
	int r;

	it->q->uid = uid;
	it->q->gid = gid;
	r = fc_create(it->q, FUSE_ROOT_ID, name, O_RDWR, 0640, entry, &open);
	if (r == 0)
		assert_int_equal(fc_release(it->q, entry->nodeid, open.fh), 0);
	return r;
}

static void assert_made(struct it *it, uint32_t uid, uint32_t gid, const char *name,
	uint32_t host_uid, uint32_t host_gid)
{
	struct fuse_entry_out entry;
	struct stat st;

	assert_int_equal(make_as(it, uid, gid, name, &entry), 0);
	assert_int_equal(entry.attr.uid, uid);
	assert_int_equal(entry.attr.gid, gid);
	st = host_stat(it, name);
	assert_int_equal(st.st_uid, host_uid);
	assert_int_equal(st.st_gid, host_gid);
}

/* ---- translation ---- */

static struct it_options translated = {
	.be = { .extra = ARGS("--translate-uid=map:1000:101000:10", "--translate-gid",
			"map:2000:102000:10", "--translate-uid=forbid-guest:500:10",
			"--translate-gid=forbid-guest:600:1",
			"--translate-uid=squash-guest:0:107:1",
			"--translate-uid=squash-host:107:0:1",
			"--translate-uid=guest:3000:103000:1",
			"--translate-uid=host:104000:4000:1") },
};

static void new_files(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	if (!is_root())
		skip();
	assert_made(it, 1000, 2000, "mapped", 101000, 102000);
	assert_made(it, 1009, 2009, "last", 101009, 102009);
	assert_made(it, 1010, 2010, "behind", 1010, 2010);
	assert_made(it, 0, 0, "squashed", 107, 0);
	/* One way only: what comes back is the host's. */
	assert_int_equal(make_as(it, 3000, 0, "one-way", &entry), 0);
	assert_int_equal(entry.attr.uid, 103000);

	assert_int_equal(make_as(it, 500, 0, "forbidden", &entry), -EPERM);
	assert_int_equal(make_as(it, 1000, 600, "forbidden", &entry), -EPERM);
	assert_int_equal(access(it_path(it, "forbidden"), F_OK), -1);
	it->q->uid = 509;
	assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, "forbidden", 0755, &entry), -EPERM);
	assert_int_equal(fc_symlink(it->q, FUSE_ROOT_ID, "forbidden", "x", &entry), -EPERM);
	assert_int_equal(
		fc_mknod(it->q, FUSE_ROOT_ID, "forbidden", S_IFIFO | 0600, 0, &entry), -EPERM);
}

static void changed_owners(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 1001, .gid = 2001 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct stat st;

	if (!is_root())
		skip();
	assert_int_equal(make_as(it, 1000, 2000, "file", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.uid, 1001);
	assert_int_equal(out.attr.gid, 2001);
	st = host_stat(it, "file");
	assert_int_equal(st.st_uid, 101001);
	assert_int_equal(st.st_gid, 102001);

	in.valid = FATTR_GID;
	in.gid = 7;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(host_stat(it, "file").st_uid, 101001);
	assert_int_equal(host_stat(it, "file").st_gid, 7);
	in.gid = 600;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	in.valid = FATTR_UID;
	in.uid = 505;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	assert_int_equal(host_stat(it, "file").st_uid, 101001);
	assert_int_equal(host_stat(it, "file").st_gid, 7);
}

static bool note_owner(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	if (strcmp(name, "file") == 0)
		*(struct fuse_attr *)ctx = entry->attr;
	return true;
}

static void shown_owners(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	struct fuse_attr listed = { 0 };
	struct fuse_open_out dir;
	uint64_t offset = 0;

	if (!is_root())
		skip();
	it_file(it, "file", "");
	assert_int_equal(chown(it_path(it, "file"), 104000, 102003), 0);
	assert_int_equal(chmod(it_path(it, "file"), 0640), 0);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "file", &entry), 0);
	assert_int_equal(entry.attr.uid, 4000);
	assert_int_equal(entry.attr.gid, 2003);
	assert_int_equal(fc_getattr(it->q, entry.nodeid, &out), 0);
	assert_int_equal(out.attr.uid, 4000);
	assert_int_equal(fc_opendir(it->q, FUSE_ROOT_ID, &dir), 0);
	while (fc_readdir(it->q, FUSE_ROOT_ID, dir.fh, true, 4096, &offset, note_owner, &listed) >
		0)
		;
	assert_int_equal(listed.uid, 4000);
	assert_int_equal(listed.gid, 2003);

	/* ACCESS goes by what the guest sees. */
	it->q->uid = 4000;
	it->q->gid = 1;
	assert_int_equal(fc_access(it->q, entry.nodeid, W_OK), 0);
	it->q->uid = 104000;
	assert_int_equal(fc_access(it->q, entry.nodeid, R_OK), -EACCES);
	it->q->gid = 2003;
	assert_int_equal(fc_access(it->q, entry.nodeid, R_OK), 0);
}

/* ---- one user ---- */

static struct it_options nobody = {
	.be = { .socket = BE_FD_LISTENING, .prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh") },
};
static struct it_options nobody_namespace = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--sandbox=namespace") },
};
static struct it_options nobody_as_root = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh"),
		.extra = ARGS("--uid-map=:0:65534:1:", "--gid-map=:0:65534:1:") },
};

static void assert_one_user(struct it *it, uint32_t seen)
{
	static const uint32_t ids[] = { 0, 1000, 65534 };
	struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = 4711 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;
	char name[16];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		snprintf(name, sizeof(name), "file%zu", i);
		assert_int_equal(make_as(it, ids[i], ids[i], name, &entry), 0);
		assert_int_equal(entry.attr.uid, seen);
		assert_int_equal(entry.attr.gid, seen);
		assert_int_equal(host_stat(it, name).st_uid, NOBODY);
		assert_int_equal(host_stat(it, name).st_gid, NOBODY);
		snprintf(name, sizeof(name), "dir%zu", i);
		assert_int_equal(fc_mkdir(it->q, FUSE_ROOT_ID, name, 0755, &entry), 0);
		assert_int_equal(
			fc_symlink(it->q, entry.nodeid, "link", "x", &entry), 0);
	}
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	assert_int_equal(be_log_lines(&it->be, "all new files belong to user"), 1);
}

static void as_nobody(void **state)
{
	struct it *it = *state;

	if (!is_root())
		skip();
	assert_one_user(it, NOBODY);
	assert_int_equal(be_log_lines(&it->be, "in a user namespace"), 0);
}

/* The chroot is there indeed: no root would be needed for it outside. */
static void as_nobody_in_a_namespace(void **state)
{
	struct it *it = *state;
	char path[64], root[256] = "";

	if (!is_root())
		skip();
	assert_one_user(it, NOBODY);
	assert_int_equal(be_log_lines(&it->be, "sandbox chroot in a user namespace"), 1);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)be_service(&it->be));
	assert_true(readlink(path, root, sizeof(root) - 1) > 0);
	assert_string_equal(root, it->be.share);
}

static void as_nobody_who_is_root_inside(void **state)
{
	if (!is_root())
		skip();
	assert_one_user(*state, 0);
}

/* Root in name only, as in a container that has dropped everything (KubeVirt). */
static struct it_options bare_root = {
	.be = { .prefix = ARGS("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
		.extra = ARGS("--sandbox=none") },
};

static void root_without_capabilities(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;

	if (!is_root())
		skip();
	assert_int_equal(make_as(it, 1000, 1000, "file", &entry), 0);
	assert_int_equal(entry.attr.uid, 0);
	assert_int_equal(host_stat(it, "file").st_uid, 0);
	assert_int_equal(be_log_lines(&it->be, "all new files belong to user 0"), 1);
	assert_int_equal(be_log_lines(&it->be, "file handles not kept"), 1);
}

/* Root of a container that has one user (unshare -r, rootless Podman without subordinate ids). */
static struct it_options container = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh", "unshare", "-r") },
};

static void root_of_a_container_of_one(void **state)
{
	if (!is_root())
		skip();
	assert_one_user(*state, 0);
}

/* ---- many users ---- */

static struct it_options subids = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("unshare", "-m", "sh", "-c", IT_WITH_SUBIDS, "sh"),
		.extra = ARGS("--uid-map=:0:65534:1:", "--uid-map=:1:200000:65535:",
			"--gid-map=:0:65534:1:", "--gid-map=:1:200000:65535:") },
};
static struct it_options root_maps = {
	.be = { .extra = ARGS("--uid-map=:0:0:1:", "--uid-map=:1:300000:1000:",
			"--gid-map=:0:0:1:", "--gid-map=:1:400000:1000:") },
};

static void many_users_of_nobody(void **state)
{
	struct it *it = *state;
	struct fuse_setattr_in in = {
		.valid = FATTR_UID | FATTR_MODE | FATTR_SIZE, .uid = 6, .mode = 0600, .size = 9 };
	struct fuse_entry_out entry;
	struct fuse_attr_out out;

	assert_made(it, 0, 0, "root", NOBODY, NOBODY);
	assert_made(it, 5, 7, "five", 200004, 200006);
	assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "five", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), 0);
	assert_int_equal(out.attr.uid, 6);
	assert_int_equal(out.attr.mode, S_IFREG | 0600);
	assert_int_equal(out.attr.size, 9);
	assert_int_equal(host_stat(it, "five").st_uid, 200005);
	in.valid = FATTR_UID;
	in.uid = 70000;
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &out), -EPERM);
	/* An id that the namespace does not have. */
	assert_int_equal(make_as(it, 70000, 0, "none", &entry), -EPERM);
	assert_int_equal(be_log_lines(&it->be, "one user"), 0);
}

static bool has_uidmap(void)
{
	return access("/usr/bin/newuidmap", X_OK) == 0 && access("/etc/subuid", F_OK) == 0;
}

static int subids_setup(void **state)
{
	/* Without newuidmap there would be no service to connect to. */
	return is_root() && has_uidmap() ? it_setup(state) : 0;
}

static int subids_teardown(void **state)
{
	return is_root() && has_uidmap() ? it_teardown(state) : 0;
}

static void newuidmap_gives_many_users(void **state)
{
	if (!is_root() || !has_uidmap())
		skip();
	many_users_of_nobody(state);
}

/* Nobody's process runs as 200000 now: it is still nobody's to end, and dies with its parent. */
static struct it_options only_subids = {
	.be = { .socket = BE_FD_LISTENING,
		.prefix = ARGS("unshare", "-m", "sh", "-c", IT_WITH_SUBIDS, "sh"),
		.extra = ARGS("--uid-map=:0:200000:65536:", "--gid-map=:0:200000:65536:") },
	.bad_exit_fine = true,
};

static void another_user_ends_in_time(void **state)
{
	struct it *it = *state;
	int64_t before = it_now_ms();

	if (!is_root() || !has_uidmap())
		skip();
	it_assert_alive(it->q);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	assert_true(it_now_ms() - before <= 1000);
}

static void another_user_dies_with_its_parent(void **state)
{
	struct it *it = *state;
	pid_t service;

	if (!is_root() || !has_uidmap())
		skip();
	service = be_service(&it->be);
	assert_true(service > 0);
	assert_int_equal(be_signal(&it->be, SIGKILL), 0);
	it_until(kill(service, 0) < 0 && errno == ESRCH, 3000);
}

static void root_gives_many_users(void **state)
{
	struct it *it = *state;

	if (!is_root())
		skip();
	assert_made(it, 0, 0, "root", 0, 0);
	assert_made(it, 5, 7, "five", 300004, 400006);
}

/* ---- what cannot be ---- */

/* Ids that nobody was given: status 5, and what to do. */
static void ids_that_are_not_ours(void **state)
{
	struct it *it = *state;
	char dir[160];
	const char *gateway = be_gateway_path;

	if (!is_root())
		skip();
	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	be_gateway_path = "sh";
	assert_int_equal(be_spawn(&it->be, ARGS("-c", IT_AS_NOBODY, "sh", gateway, dir,
				       "--connect=/nonexistent", "--uid-map=:0:300000:10:")), 0);
	be_gateway_path = gateway;
	assert_int_equal(be_wait(&it->be, 5000), GW_EXIT_SANDBOX);
	assert_int_equal(be_log_lines(&it->be, "its ids cannot be mapped"), 1);
}


static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(new_files, translated),
	IT_TEST_WITH(changed_owners, translated),
	IT_TEST_WITH(shown_owners, translated),
	IT_TEST_WITH(as_nobody, nobody),
	IT_TEST_WITH(as_nobody_in_a_namespace, nobody_namespace),
	IT_TEST_WITH(as_nobody_who_is_root_inside, nobody_as_root),
	IT_TEST_WITH(root_without_capabilities, bare_root),
	IT_TEST_WITH(root_of_a_container_of_one, container),
	{ "newuidmap_gives_many_users", newuidmap_gives_many_users, subids_setup, subids_teardown,
		&subids },
	{ "another_user_ends_in_time", another_user_ends_in_time, subids_setup, subids_teardown,
		&only_subids },
	{ "another_user_dies_with_its_parent", another_user_dies_with_its_parent, subids_setup,
		subids_teardown, &only_subids },
	IT_TEST_WITH(root_gives_many_users, root_maps),
	IT_BARE_TEST(ids_that_are_not_ours),
};

#define OPTIONS "it has no such options"
static const struct it_difference differences[] = {
	{ "new_files", OPTIONS },
	{ "changed_owners", OPTIONS },
	{ "shown_owners", OPTIONS },
	{ "as_nobody", "it needs root" },
	{ "as_nobody_in_a_namespace", "it needs root" },
	{ "as_nobody_who_is_root_inside", OPTIONS },
	{ "root_without_capabilities", "it needs rights" },
	{ "root_of_a_container_of_one", "it needs more users" },
	{ "newuidmap_gives_many_users", OPTIONS },
	{ "another_user_ends_in_time", OPTIONS },
	{ "another_user_dies_with_its_parent", OPTIONS },
	{ "root_gives_many_users", OPTIONS },
	{ "ids_that_are_not_ours", OPTIONS },
};

IT_MAIN("ids", tests, differences)
