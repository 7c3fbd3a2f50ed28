/* SPDX-License-Identifier: BSD-3-Clause */
/* What options do, as the socket and the host show it; those that other suites are not about. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"
#include "vhostuser/frontend.h"

#define ROOT FUSE_ROOT_ID

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define EXTRA(...)                                                                                 \
	{                                                                                          \
		.be = {.extra = (const char *const[]){__VA_ARGS__, NULL} }                         \
	}

/* ---- flags of open files ---- */

/* The flags of the host's open file of this name; -1 when the service has none. */
static int host_flags(const struct it *it, const char *name)
{
	pid_t pid = be_service(&it->be);
	char path[64], line[128];
	struct stat want, st;
	int flags = -1;

	assert_int_equal(stat(it_path(it, name), &want), 0);
	for (int fd = 0; fd < 256 && flags < 0; fd++) {
		int candidate = -1;
		FILE *info;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		if (stat(path, &st) || st.st_ino != want.st_ino || st.st_dev != want.st_dev)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
		info = fopen(path, "re");
		while (info && fgets(line, sizeof(line), info))
			(void)sscanf(line, "flags: %o", (unsigned int *)&candidate);
		if (info)
			fclose(info);
		if (candidate >= 0 && !(candidate & O_PATH))
			flags = candidate;
	}
	return flags;
}

/* Opens a file of 8 KiB with these flags: those that the host's file has; or an error. */
static int opened_with(struct it *it, int flags, struct fuse_entry_out *entry,
	struct fuse_open_out *open_out)
{
	int r;

	it_file(it, "file", "");
	assert_int_equal(truncate(it_path(it, "file"), 8192), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", entry), 0);
	r = fc_open(it->q, entry->nodeid, (uint32_t)flags, open_out);
	return r ? r : host_flags(it, "file");
}

static struct it_options direct_io = EXTRA("--allow-direct-io");
static struct it_options no_direct_io = EXTRA("-o", "no_allow_direct_io");

static void direct_io_is_allowed(void **state)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;
	int flags = opened_with(*state, O_RDWR | O_DIRECT, &entry, &open_out);

	if (flags == -EINVAL)
		skip(); /* a file system without O_DIRECT */
	assert_true(flags >= 0 && flags & O_DIRECT);
}

/* Nor do its rules hold: any offset will do. */
static void direct_io_is_not_allowed(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;
	char data[100];
	int flags = opened_with(it, O_RDWR | O_DIRECT, &entry, &open_out);

	assert_true(flags >= 0 && !(flags & O_DIRECT));
	assert_int_equal(fc_read(it->q, entry.nodeid, open_out.fh, 7, data, 100), 100);
	assert_int_equal(fc_write(it->q, entry.nodeid, open_out.fh, 7, data, 100), 100);
}

/* The access time that the host gives a file of last week which is read with O_NOATIME. */
static bool atime_moves(struct it *it)
{
	const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 2000000}};
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;
	struct stat st;
	char data[10];

	assert_true(opened_with(it, O_RDONLY | O_NOATIME, &entry, &open_out) >= 0);
	assert_int_equal(utimensat(AT_FDCWD, it_path(it, "file"), old, 0), 0);
	assert_int_equal(fc_read(it->q, entry.nodeid, open_out.fh, 0, data, 10), 10);
	assert_int_equal(stat(it_path(it, "file"), &st), 0);
	return st.st_atim.tv_sec != old[0].tv_sec;
}

static struct it_options noatime = EXTRA("--preserve-noatime");

static void noatime_is_preserved(void **state)
{
	assert_false(atime_moves(*state));
	assert_true(host_flags(*state, "file") & O_NOATIME);
}

static void noatime_is_ignored(void **state)
{
	bool moves = atime_moves(*state);

	assert_false(host_flags(*state, "file") & O_NOATIME);
	/* A temporary directory may be mounted with noatime. */
	if (!moves)
		skip();
}

/* ---- what a session agrees on ---- */

static uint64_t agreed(struct it *it, uint64_t offered)
{
	struct fuse_init_out out;

	assert_int_equal(fc_init(it->q, 7, 38, FUSE_INIT_EXT | offered, &out), 0);
	return out.flags | (uint64_t)out.flags2 << 32;
}

static struct it_options no_killpriv = EXTRA("--no-killpriv-v2");

static void the_guest_clears_setuid(void **state)
{
	assert_false(agreed(*state, ~UINT64_C(0)) & FUSE_HANDLE_KILLPRIV_V2);
}

static void setuid_is_cleared_here(void **state)
{
	assert_true(agreed(*state, ~UINT64_C(0)) & FUSE_HANDLE_KILLPRIV_V2);
	assert_false(agreed(*state, 0) & FUSE_HANDLE_KILLPRIV_V2);
}

static struct it_options acl_auto = EXTRA("--posix-acl=auto");
static struct it_options acl_never = EXTRA("--posix-acl=never", "--xattr");
static struct it_options label_auto = EXTRA("--security-label=auto");
static struct it_options label_always = EXTRA("--security-label=always");
static struct it_options label_never = EXTRA("--security-label=never", "--xattr");

static void acl_where_the_guest_has_them(void **state)
{
	assert_true(agreed(*state, ~UINT64_C(0)) & FUSE_POSIX_ACL);
	assert_false(agreed(*state, 0) & FUSE_POSIX_ACL);
	it_assert_alive(((struct it *)*state)->q);
}

/* And nobody gets at them as attributes, behind the kernel's back. */
static void acl_never_at_all(void **state)
{
	struct it *it = *state;
	struct fuse_getxattr_in in = {.size = 0};

	assert_false(agreed(it, ~UINT64_C(0)) & FUSE_POSIX_ACL);
	assert_refused(fc_call(it->q,
		&(struct fc_call){.opcode = FUSE_GETXATTR,
			.nodeid = ROOT,
			.args = &in,
			.args_len = sizeof(in),
			.name = "system.posix_acl_access",
			.room = sizeof(struct fuse_getxattr_out)},
		NULL));
}

static void labels_where_the_guest_has_them(void **state)
{
	assert_true(agreed(*state, ~UINT64_C(0)) & FUSE_SECURITY_CTX);
	assert_false(agreed(*state, 0) & FUSE_SECURITY_CTX);
	it_assert_alive(((struct it *)*state)->q);
}

static void labels_or_no_session(void **state)
{
	struct it *it = *state;
	struct fuse_init_out out;

	assert_int_equal(fc_init(it->q, 7, 38, FUSE_INIT_EXT, &out), -EPROTO);
	assert_true(agreed(it, ~UINT64_C(0)) & FUSE_SECURITY_CTX);
	it_assert_alive(it->q);
}

static void labels_never(void **state)
{
	assert_false(agreed(*state, ~UINT64_C(0)) & FUSE_SECURITY_CTX);
}

/* ---- confinement, open files ---- */

/* The service's root directory is the share. */
static bool is_confined(const struct it *it)
{
	struct stat root, share;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)be_service(&it->be));
	assert_int_equal(stat(path, &root), 0);
	assert_int_equal(stat(it->be.share, &share), 0);
	return root.st_dev == share.st_dev && root.st_ino == share.st_ino;
}

static struct it_options in_chroot = EXTRA("--sandbox=chroot");
static struct it_options in_namespace = EXTRA("--sandbox=namespace");
static struct it_options unconfined = EXTRA("--sandbox=none");

static void the_share_is_its_root(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_true(is_confined(*state));
	it_assert_alive(((struct it *)*state)->q);
}

static void it_stays_where_it_was(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_false(is_confined(*state));
	it_assert_alive(((struct it *)*state)->q);
}

#define FEW_FDS "--rlimit-nofile=256"
static struct it_options prefer = EXTRA("--inode-file-handles=prefer", FEW_FDS);
static struct it_options fallback = EXTRA("--inode-file-handles=fallback", FEW_FDS);
static struct it_options mandatory = EXTRA("--inode-file-handles=mandatory", FEW_FDS);
static struct it_options never = EXTRA("--inode-file-handles=never", FEW_FDS);

/* More inodes than fds, of which the host renames the first: what is it to the guest? */
static int renamed_by_the_host(struct it *it)
{
	struct fuse_entry_out first = {0}, entry;
	struct fuse_attr_out attr;
	char name[16];

	if (geteuid() != 0)
		skip();
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		it_file(it, name, "");
		assert_int_equal(fc_lookup(it->q, ROOT, name, i ? &entry : &first), 0);
	}
	assert_in_range(be_fds(&it->be), 0, 256);
	assert_int_equal(rename(it_path(it, "f0"), it_path(it, "elsewhere")), 0);
	return fc_getattr(it->q, first.nodeid, &attr);
}

static void handles_find_what_moved(void **state)
{
	struct it *it = *state;

	if (be_log_lines(&it->be, "file handles not kept"))
		skip();
	assert_int_equal(renamed_by_the_host(it), 0);
}

static void names_do_not_find_it(void **state)
{
	assert_refused(renamed_by_the_host(*state));
}

static struct rlimit limit_of(const struct it *it)
{
	struct rlimit limit;

	assert_int_equal(prlimit(be_service(&it->be), RLIMIT_NOFILE, NULL, &limit), 0);
	return limit;
}

static struct it_options few = {
	.be = {.prefix = ARGS("sh", "-c", "ulimit -S -n 300; exec \"$@\"", "sh")}};
static struct it_options too_many = EXTRA("--rlimit-nofile=2147483647");

static void all_that_are_allowed(void **state)
{
	struct rlimit limit = limit_of(*state);

	assert_true(limit.rlim_cur > 300);
	assert_true(limit.rlim_cur == limit.rlim_max);
}

static void more_than_allowed_is_cut(void **state)
{
	struct it *it = *state;
	struct rlimit limit = limit_of(it);

	assert_true(limit.rlim_cur < 2147483647 && limit.rlim_cur == limit.rlim_max);
	assert_int_equal(be_log_lines(&it->be, "WARN open files: --rlimit-nofile 2147483647"), 1);
	it_assert_alive(it->q);
}

/* ---- ids: the six kinds, for groups; test_ids.c has them for users ---- */

static struct it_options groups = EXTRA("--translate-gid=guest:10:110:2",
	"--translate-gid=squash-guest:20:120:2", "--translate-gid=forbid-guest:30:2",
	"--translate-gid=map:40:140:2", "--translate-gid=host:150:50:2",
	"--translate-gid=squash-host:160:60:2");

static void six_kinds_of_groups(void **state)
{
	static const struct {
		uint32_t guest, host, seen;
	} rows[] = {
		{11, 111, 111},
		{21, 120, 120},
		{41, 141, 41},
		{51, 51, 51},
		{151, 151, 51},
		{161, 161, 60},
		{9, 9, 9},
	};
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct stat st;
	char name[16];

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(name, sizeof(name), "d%zu", i);
		it->q->gid = rows[i].guest;
		assert_int_equal(fc_mkdir(it->q, ROOT, name, 0755, &entry), 0);
		assert_int_equal(stat(it_path(it, name), &st), 0);
		assert_int_equal(st.st_gid, rows[i].host);
		assert_int_equal(entry.attr.gid, rows[i].seen);
	}
	it->q->gid = 31;
	assert_int_equal(fc_mkdir(it->q, ROOT, "forbidden", 0755, &entry), -EPERM);
}

/* ---- the tag, the window ---- */

static struct it_options tagged = {.be = {.tag = "name"}};

static void a_tag_is_offered(void **state)
{
	struct it *it = *state;

	assert_true(vu_frontend_protocol_features(it->fc->fe) & VU_BIT(VU_PROTOCOL_F_CONFIG));
}

static void no_tag_is_offered(void **state)
{
	struct it *it = *state;

	assert_false(vu_frontend_protocol_features(it->fc->fe) & VU_BIT(VU_PROTOCOL_F_CONFIG));
}

#define WINDOW(...)                                                                                \
	{                                                                                          \
		.be = {.extra = (const char *const[]){"--dax-window=64M", __VA_ARGS__, NULL} },    \
		.fc = {.with_protocol = VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) |                        \
					VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD) }                    \
	}
static struct it_options dax_never = WINDOW("--dax-dialect=fs-v2", "--dax=never");
static struct it_options dax_inode = WINDOW("--dax-dialect=fs-v2");
static struct it_options dax_threshold =
	WINDOW("--dax-dialect=fs-v2", "--dax=inode", "--dax-threshold=4K");
static struct it_options dax_always = WINDOW("--dax-dialect=fs-v2", "--dax=always");
static struct it_options dax_off = WINDOW("--dax-dialect=off", "--tag=t");
static struct it_options dax_auto = WINDOW("--dax-dialect=auto", "--tag=t", "--dax-view=direct");

/* Of files with 4095, 4096, 32767 and 32768 bytes: those announced for mapping, as bits. */
static unsigned int mapped_files(struct it *it)
{
	static const off_t sizes[] = {4095, 4096, 32767, 32768};
	struct fuse_entry_out entry;
	unsigned int bits = 0;
	char name[16];
	int channel;

	assert_int_equal(vu_frontend_open_channel(it->fc->fe, &channel), 0);
	agreed(it, FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		it_file(it, name, "");
		assert_int_equal(truncate(it_path(it, name), sizes[i]), 0);
		assert_int_equal(fc_lookup(it->q, ROOT, name, &entry), 0);
		bits |= entry.attr.flags & FUSE_ATTR_DAX ? 1u << i : 0;
	}
	close(channel);
	return bits;
}

static void no_file_is_mapped(void **state)
{
	assert_int_equal(mapped_files(*state), 0);
}

static void large_files_are_mapped(void **state)
{
	assert_int_equal(mapped_files(*state), 8);
}

static void files_past_the_threshold_are_mapped(void **state)
{
	assert_int_equal(mapped_files(*state), 2 | 4 | 8);
}

static void every_file_is_mapped(void **state)
{
	assert_int_equal(mapped_files(*state), 1 | 2 | 4 | 8);
}

static uint64_t offered(struct it *it)
{
	uint64_t bits = 0;

	assert_int_equal(vu_frontend_get_u64(it->fc->fe, VU_GET_PROTOCOL_FEATURES, &bits), 0);
	return bits;
}

static void no_window_is_offered(void **state)
{
	assert_false(offered(*state) & VU_BIT(VU_PROTOCOL_F_SHMEM));
	assert_false(offered(*state) & VU_BIT(VU_PROTOCOL_F_BACKEND_REQ));
}

static void a_window_is_offered(void **state)
{
	assert_true(offered(*state) & VU_BIT(VU_PROTOCOL_F_SHMEM));
	assert_true(offered(*state) & VU_BIT(VU_PROTOCOL_F_BACKEND_REQ));
}

/* ---- the log ---- */

/* Ends with an error, and before that a warning. */
static void the_log_of_a_failure(void **state)
{
	static const struct {
		const char *level;
		int errors, warnings;
	} rows[] = {{"off", 0, 0}, {"error", 1, 0}, {"warn", 1, 1}, {"info", 1, 1}, {"debug", 1, 1},
		{"trace", 1, 1}};
	struct it *it = *state;
	char level[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(level, sizeof(level), "--log-level=%s", rows[i].level);
		assert_int_equal(be_spawn(&it->be,
					 ARGS("--fd=0", "--shared-dir=/no/such/directory",
						 "--rlimit-nofile=2147483647", level)),
			0);
		assert_int_equal(be_wait(&it->be, 5000), GW_EXIT_CONFIG);
		assert_int_equal(be_log_lines(&it->be, "ERROR"), rows[i].errors);
		assert_int_equal(be_log_lines(&it->be, "WARN"), rows[i].warnings);
		assert_int_equal(be_log_lines(&it->be, ""), rows[i].errors + rows[i].warnings);
		(void)unlink(it->be.log);
	}
}

static struct it_options log_warn = EXTRA("--log-level=warn");
static struct it_options log_info = EXTRA("--log-level=info");
static struct it_options log_debug = EXTRA("--log-level=debug");

static void a_quiet_log(void **state)
{
	struct it *it = *state;

	it_assert_alive(it->q);
	assert_int_equal(be_log_lines(&it->be, ""), 0);
}

static void an_ordinary_log(void **state)
{
	struct it *it = *state;

	it_assert_alive(it->q);
	assert_true(be_log_lines(&it->be, "INFO") > 0);
	assert_int_equal(be_log_lines(&it->be, "DEBUG"), 0);
}

static void a_log_of_each_request(void **state)
{
	struct it *it = *state;

	it_assert_alive(it->q);
	it_until(be_log_lines(&it->be, "op=GETATTR") == 1, 5000);
}

/* ---- taken, and not in force ---- */

/* Each by itself has a line of its own, or, where it asks for what is the case, none. */
static void what_is_not_in_force_is_said(void **state)
{
	static const struct {
		const char *option, *said; /* NULL: nothing is */
	} rows[] = {
		{"--seccomp=none", NULL},
		{"--seccomp=kill", "WARN sandbox: --seccomp"},
		{"--seccomp=log", "WARN sandbox: --seccomp"},
		{"--seccomp=trap", "WARN sandbox: --seccomp"},
		{"--sandbox=namespace", "WARN sandbox: --sandbox namespace"},
		{"--migration-mode=find-paths", "WARN migration: --migration-*"},
		{"--migration-mode=file-handles", "WARN migration: --migration-*"},
		{"--migration-on-error=abort", "WARN migration: --migration-*"},
		{"--migration-on-error=guest-error", "WARN migration: --migration-*"},
		{"--migration-verify-handles", "WARN migration: --migration-*"},
		{"--migration-confirm-paths", "WARN migration: --migration-*"},
		{"--thread-pool-size=0", "INFO threads: --thread-pool-size 0"},
		{"--thread-pool-size=64", "INFO threads: --thread-pool-size 64"},
	};
	struct it *it = *state;
	char dir[160], sock[160];

	snprintf(dir, sizeof(dir), "--shared-dir=%s", it->be.share);
	snprintf(sock, sizeof(sock), "--socket-path=%s", it->be.sock);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *said = rows[i].said;

		assert_int_equal(be_spawn(&it->be, ARGS(dir, sock, rows[i].option)), 0);
		it_until(be_log_lines(&it->be, "ready") == 1, 5000);
		if (be_log_lines(&it->be, said ? said : "WARN") != (said ? 1 : 0))
			fail_msg("%s", rows[i].option);
		assert_int_equal(be_stop(&it->be, 5000), GW_EXIT_OK);
		(void)unlink(it->be.log);
	}
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(direct_io_is_allowed, direct_io),
	IT_TEST_WITH(direct_io_is_not_allowed, no_direct_io),
	IT_TEST_WITH(noatime_is_preserved, noatime),
	IT_TEST(noatime_is_ignored),
	IT_TEST_WITH(the_guest_clears_setuid, no_killpriv),
	IT_TEST(setuid_is_cleared_here),
	IT_TEST_WITH(acl_where_the_guest_has_them, acl_auto),
	IT_TEST_WITH(acl_never_at_all, acl_never),
	IT_TEST_WITH(labels_where_the_guest_has_them, label_auto),
	IT_TEST_WITH(labels_or_no_session, label_always),
	IT_TEST_WITH(labels_never, label_never),
	IT_TEST_WITH(the_share_is_its_root, in_chroot),
	IT_TEST_WITH(the_share_is_its_root, in_namespace),
	IT_TEST_WITH(it_stays_where_it_was, unconfined),
	IT_TEST_WITH(handles_find_what_moved, prefer),
	IT_TEST_WITH(handles_find_what_moved, fallback),
	IT_TEST_WITH(handles_find_what_moved, mandatory),
	IT_TEST_WITH(names_do_not_find_it, never),
	IT_TEST_WITH(all_that_are_allowed, few),
	IT_TEST_WITH(more_than_allowed_is_cut, too_many),
	IT_TEST_WITH(six_kinds_of_groups, groups),
	IT_TEST_WITH(a_tag_is_offered, tagged),
	IT_TEST(no_tag_is_offered),
	IT_TEST_WITH(no_file_is_mapped, dax_never),
	IT_TEST_WITH(large_files_are_mapped, dax_inode),
	IT_TEST_WITH(files_past_the_threshold_are_mapped, dax_threshold),
	IT_TEST_WITH(every_file_is_mapped, dax_always),
	IT_TEST_WITH(no_window_is_offered, dax_off),
	IT_TEST_WITH(a_window_is_offered, dax_auto),
	IT_BARE_TEST(the_log_of_a_failure),
	IT_BARE_TEST(what_is_not_in_force_is_said),
	IT_TEST_WITH(a_quiet_log, log_warn),
	IT_TEST_WITH(an_ordinary_log, log_info),
	IT_TEST_WITH(a_log_of_each_request, log_debug),
};

int main(int argc, char **argv)
{
	const char *backend = getenv("BACKEND");

	/* Its options have other names. */
	if (backend && strcmp(backend, "gateway") != 0) {
		print_message("1..0 # skipped: the gateway's own options\n");
		return 77;
	}
	return it_main(argc, argv, "options", tests, ARRAY_SIZE(tests), NULL, 0);
}
