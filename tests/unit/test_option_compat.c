/* SPDX-License-Identifier: BSD-3-Clause */
/* virtiofsd's command lines: -o lists, short options, former names, and its launchers' lines. */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/option.h"
#include "gateway/options.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

static struct gw_options o;
static char why[512];

/* Parses a line as a shell would split it. */
static int parse_line(const char *line)
{
	static char text[4096];
	char *argv[64] = { text }, *end;
	int argc = 1;

	snprintf(text, sizeof(text), "virtiofs-gateway %s", line);
	(void)strtok_r(text, " ", &end);
	while (argc < 63 && (argv[argc] = strtok_r(NULL, " ", &end)))
		argc++;
	argv[argc] = NULL;
	why[0] = '\0';
	return gw_options_parse(&o, argc, argv, why, sizeof(why));
}

static bool has_option(const char *name)
{
	return gw_option_find(name, strlen(name));
}

static void test_list(void **state)
{
	assert_int_equal(parse_line("--fd=3 -o source=/srv,cache=none,sandbox=namespace"), 0);
	assert_string_equal(o.shared_dir, "/srv");
	assert_int_equal(o.cache, FS_CACHE_NEVER);
	assert_int_equal(o.sandbox, GW_SANDBOX_NAMESPACE);

	/* Several lists, the value attached to it, '_' or '-', empty items. */
	assert_int_equal(parse_line("-o source=/a,, --fd=3"), 0);
	assert_string_equal(o.shared_dir, "/a,");
	assert_int_equal(parse_line("-osource=/a, -o inode_file_handles=never,seccomp=kill --fd 3"),
		0);
	assert_string_equal(o.shared_dir, "/a");
	assert_int_equal(o.file_handles, FS_HANDLES_NEVER);
	assert_int_equal(o.seccomp, GW_SECCOMP_KILL);
	assert_int_equal(parse_line("--fd=3 -o source=/a -o vhost_user_socket=/s"), -EINVAL);
	assert_non_null(strstr(why, "more than one"));

	/* The last one counts, wherever it stands. */
	assert_int_equal(parse_line("--fd=3 --cache=always -o source=/a,cache=none,cache=auto"), 0);
	assert_int_equal(o.cache, FS_CACHE_AUTO);

	assert_int_equal(parse_line("--fd=3 -o source=/a,log_level=err"), 0);
	assert_int_equal(o.log_level, LOG_LEVEL_ERROR);
	assert_int_equal(parse_line("--fd=3 -o source=/a,loglevel=debug"), 0);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(parse_line("--fd=3 -o source=/a,debug"), 0);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(parse_line("--fd=3 -o source=/a,allow_root,max_idle_threads=3"), 0);
}

/* "no_NAME" takes back what NAME has set, for any row that is a flag. */
static void test_taken_back(void **state)
{
	assert_int_equal(parse_line("--fd=3 -o source=/a,readonly"), 0);
	assert_true(o.readonly);
	assert_int_equal(parse_line("--fd=3 --readonly -o source=/a,no_readonly"), 0);
	assert_false(o.readonly);
	assert_int_equal(parse_line("--fd=3 -o source=/a,syslog,no_syslog"), 0);
	assert_false(o.syslog);
	assert_int_equal(parse_line("--fd=3 -o source=/a,no_tag"), -EINVAL);
	assert_int_equal(parse_line("--fd=3 -o source=/a,no_syslog=1"), -EINVAL);
}

static void test_commas(void **state)
{
	assert_int_equal(parse_line("--fd=3 -o source=/a\\,b,readonly"), 0);
	assert_string_equal(o.shared_dir, "/a,b");
	assert_true(o.readonly);
	assert_int_equal(parse_line("--fd=3 -o source=/a,,b,readonly"), 0);
	assert_string_equal(o.shared_dir, "/a,b");
	assert_true(o.readonly);
	assert_int_equal(parse_line("--fd=3 -o source=/a=b\\\\"), 0);
	assert_string_equal(o.shared_dir, "/a=b\\");
}

static void test_short(void **state)
{
	assert_int_equal(parse_line("--fd=3 --shared-dir=/a -f"), 0);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
	assert_int_equal(parse_line("--fd=3 --shared-dir=/a -d"), 0);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(parse_line("-V"), 0);
	assert_int_equal(o.action, GW_SHOW_VERSION);
	assert_int_equal(parse_line("-h"), 0);
	assert_int_equal(o.action, GW_HELP);
	assert_int_equal(parse_line("--shared-dir /a --socket /s"), 0);
	assert_string_equal(o.socket_path, "/s");
}

static void test_virtiofsd_values(void **state)
{
	assert_int_equal(parse_line("--fd=3 --shared-dir=/a"), 0);
	assert_int_equal(o.thread_pool_size, -1);
	assert_int_equal(o.rlimit_nofile, -1);
	assert_int_equal(o.file_handles, FS_HANDLES_PREFER);
	assert_int_equal(o.seccomp, GW_SECCOMP_NONE);
	assert_false(o.syslog);
	assert_null(o.socket_group);

	assert_int_equal(parse_line("--socket-path=/s --shared-dir=/a --socket-group kvm --syslog "
				    "--thread-pool-size=0 --rlimit-nofile 0 --log-level trace "
				    "--inode-file-handles=fallback --migration-mode file-handles "
				    "--migration-on-error=guest-error --migration-verify-handles "
				    "--migration-confirm-paths"),
		0);
	assert_string_equal(o.socket_group, "kvm");
	assert_true(o.syslog);
	assert_int_equal(o.thread_pool_size, 0);
	assert_int_equal(o.rlimit_nofile, 0);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(o.file_handles, FS_HANDLES_PREFER);
	assert_true(o.migration_mode >= 0 && o.migration_on_error >= 0);
	assert_true(o.migration_verify_handles && o.migration_confirm_paths);
}

static void test_modcaps(void **state)
{
	struct gw_modcaps caps = {0};

	assert_null(gw_modcaps_parse(&caps, "+sys_admin:-chown"));
	assert_int_equal(caps.add, CAP_BIT(CAP_SYS_ADMIN));
	assert_int_equal(caps.drop, CAP_BIT(CAP_CHOWN));
	/* The last word counts; case and prefix do not. */
	assert_null(gw_modcaps_parse(&caps, "-CAP_SYS_ADMIN:+Chown"));
	assert_int_equal(caps.add, CAP_BIT(CAP_CHOWN));
	assert_int_equal(caps.drop, CAP_BIT(CAP_SYS_ADMIN));

	static const char *const bad[] = { "", "sys_admin", "+", "-", "+cap_", "+sys_admin:",
		":+chown", "+sys_admin,-chown", "+bogus", "+chown:*mknod", "+1",
		"+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_non_null(gw_modcaps_parse(&caps, bad[i]));
		assert_int_equal(caps.add, CAP_BIT(CAP_CHOWN));
	}
}

static void test_ids(void **state)
{
	uint32_t host;

	assert_int_equal(parse_line("--fd=3 --shared-dir=/a"), 0);
	assert_true(fs_idmap_is_empty(&o.ids.uid) && fs_idmap_is_empty(&o.ids.gid));
	assert_int_equal(parse_line("--fd=3 --shared-dir=/a --translate-uid guest:0:1000:10 "
				    "--translate-uid=host:2000:20:10 --translate-uid "
				    "squash-guest:10:5:10 --translate-uid squash-host:3000:30:10 "
				    "--translate-uid forbid-guest:20:10 "
				    "--translate-uid map:30:4000:10 --translate-gid map:7:8:1"),
		0);
	assert_int_equal(fs_idmap_to_host(&o.ids.uid, 9, &host), 0);
	assert_int_equal(host, 1009);
	assert_int_equal(fs_idmap_to_guest(&o.ids.uid, 2009), 29);
	assert_int_equal(fs_idmap_to_host(&o.ids.uid, 19, &host), 0);
	assert_int_equal(host, 5);
	assert_int_equal(fs_idmap_to_guest(&o.ids.uid, 3009), 30);
	assert_int_equal(fs_idmap_to_host(&o.ids.uid, 29, &host), -EPERM);
	assert_int_equal(fs_idmap_to_host(&o.ids.uid, 39, &host), 0);
	assert_int_equal(host, 4009);
	assert_int_equal(fs_idmap_to_guest(&o.ids.uid, 4009), 39);
	assert_int_equal(fs_idmap_to_host(&o.ids.gid, 7, &host), 0);
	assert_int_equal(host, 8);

	assert_int_equal(o.uid_map.n, 0);
	assert_int_equal(parse_line("--fd=3 --shared-dir=/a --uid-map=:0:1000:1: --uid-map "
				    "/1/100000/65536/ --gid-map=:0:100:1:"),
		0);
	assert_int_equal(o.uid_map.n, 2);
	assert_int_equal(o.uid_map.ranges[1].inside, 1);
	assert_int_equal(o.uid_map.ranges[1].outside, 100000);
	assert_int_equal(o.uid_map.ranges[1].count, 65536);
	assert_int_equal(o.gid_map.n, 1);
}

static void test_too_many_maps(void **state)
{
	char *argv[GW_IDMAP_MAX + 3], maps[GW_IDMAP_MAX + 1][32];
	int n = 0;

	argv[n++] = why;
	for (; n <= GW_IDMAP_MAX + 1; n++) {
		snprintf(maps[n - 1], sizeof(maps[0]), "--uid-map=:%d:%d:1:", n, n);
		argv[n] = maps[n - 1];
	}
	argv[n] = NULL;
	assert_int_equal(gw_options_parse(&o, n, argv, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "--uid-map is given too often"));
}

/* Each is refused with one line that names the option as it was written. */
static void test_refused(void **state)
{
	static const struct {
		const char *line, *says;
	} rows[] = {
		{ "-o", "-o needs a value" },
		{ "-o bogus", "'-o bogus'" },
		{ "-o bogus=1", "'-o bogus'" },
		{ "-o no_bogus", "'-o no_bogus'" },
		{ "-o =1", "'-o '" },
		{ "-o cache=never-ever", "-o cache: it takes never|metadata|auto|always" },
		{ "-o cache", "-o cache needs a value" },
		{ "-o readonly=1", "-o readonly takes no value" },
		{ "-o sandbox=jail", "-o sandbox" },
		{ "-o loglevel=loud", "-o loglevel" },
		{ "-ocache=loud", "-o cache" },
		{ "-dx", "'-dx'" },
		{ "-dfo", "-o needs a value" },
		{ "-x", "'-x'" },
		{ "-", "'-'" },
		{ "--socket", "--socket-path needs a value" },
		{ "--seccomp=maybe", "--seccomp: it takes none|kill|log|trap" },
		{ "--modcaps=sys_admin", "--modcaps" },
		{ "--inode-file-handles=maybe", "--inode-file-handles" },
		{ "--rlimit-nofile=-1", "--rlimit-nofile" },
		{ "--rlimit-nofile=many", "--rlimit-nofile" },
		{ "--thread-pool-size=-1", "--thread-pool-size" },
		{ "--migration-mode=fast", "--migration-mode" },
		{ "--migration-on-error=cry", "--migration-on-error" },
		{ "--shared-dir=/a --fd=3 --socket-group=kvm", "--socket-group needs" },
		{ "--translate-uid", "--translate-uid needs a value" },
		{ "--translate-uid map:0:0", "--translate-uid" },
		{ "--translate-uid map:0:0:1:2", "--translate-uid" },
		{ "--translate-uid map::0:1", "--translate-uid" },
		{ "--translate-uid map:0:-1:1", "--translate-uid" },
		{ "--translate-uid map:0:0:4294967296", "--translate-uid" },
		{ "--translate-uid guest:1:0:4294967295", "--translate-uid" },
		{ "--translate-uid forbid-guest:1:2:3", "--translate-uid" },
		{ "--translate-uid bogus:1:2:3", "--translate-uid" },
		{ "--translate-uid :0:5:3:", "--translate-uid" },
		{ "--translate-gid map:0:0:10 --translate-gid forbid-guest:5:10",
			"--translate-gid: 'forbid-guest:5:10' overlaps" },
		{ "--uid-map 0:0:1", "--uid-map" },
		{ "--uid-map :0:0:1", "--uid-map" },
		{ "--uid-map :0:0:", "--uid-map" },
		{ "--uid-map :0:0:0:", "--uid-map" },
		{ "--uid-map :0:0:2: --uid-map :1:5:1:", "--uid-map: ':1:5:1:' overlaps" },
		{ "--gid-map :0:0:2: --gid-map :5:1:1:", "--gid-map: ':5:1:1:' overlaps" },
		{ "--uid-map :0:0:1:x", "--uid-map" },
		{ "--uid-map :4294967295:0:2:", "--uid-map" },
		{ "--gid-map :", "--gid-map" },
		/* Which part of the value is wrong, and why. */
		{ "--timeout attr=1,entry=-1", "entry: '-1' is no number of seconds from 0 to" },
		{ "--timeout attr=1e9", "attr: '1e9' is no number" },
		{ "--timeout attr=1,attr=2", "attr is there twice" },
		{ "--timeout attr=1,", "'' is no KIND=SECONDS" },
		{ "--timeout atr=1", "'atr' is no kind" },
		{ "--translate-uid map:0:4294967290:10", "ends beyond the last id, 4294967294" },
		{ "--translate-uid map:0:1000:0", "COUNT is 0" },
		{ "--translate-gid forbid-guest:1", "2 numbers must follow forbid-guest:" },
		{ "--translate-gid mapp:0:0:1", "KIND is guest, host," },
		{ "--uid-map :0:4294967290:10:", "ends beyond the last id" },
		{ "--uid-map :0:0:0:", "COUNT is 0" },
		{ "--modcaps +chown:-foo", "there is no capability '-foo'" },
		{ "--modcaps mknod", "'mknod' begins with neither + nor -" },
		{ "--posix-acl auto", "a value of --posix-acl stands behind '='" },
		{ "--gid-map=", "--gid-map" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse_line(rows[i].line), -EINVAL);
		if (!strstr(why, rows[i].says))
			fail_msg("'%s': '%s' instead of '%s'", rows[i].line, why, rows[i].says);
		assert_null(strchr(why, '\n'));
	}
}

/* However long and odd a list is, it is read within its bounds. */
static void test_any_list(void **state)
{
	static const char bytes[] = "a_-,,,\\==on0";
	char *list = malloc(2 * GW_LIST_MAX);
	char *argv[] = { why, why, list, NULL };

	argv[1] = (char *)(uintptr_t) "-o";
	memset(list, ',', 2 * GW_LIST_MAX);
	list[2 * GW_LIST_MAX - 1] = '\0';
	assert_int_equal(gw_options_parse(&o, 3, argv, why, sizeof(why)), -EINVAL);
	memset(list, 'a', 2 * GW_LIST_MAX - 1);
	assert_int_equal(gw_options_parse(&o, 3, argv, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "too long"));
	srandom(4);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)random() % 24;

		for (size_t j = 0; j < len; j++)
			list[j] = bytes[(size_t)random() % (sizeof(bytes) - 1)];
		list[len] = '\0';
		assert_int_equal(gw_options_parse(&o, 3, argv, why, sizeof(why)), -EINVAL);
		assert_true(o.list_used <= sizeof(o.list));
	}
	free(list);
}

/*
 * What programs that start virtiofsd pass to it. `needs`: options that the line cannot do without;
 * while one of them is not there, neither is the test.
 */
static const struct launcher {
	const char *name, *line, *needs[12];
} launchers[] = {
	{ "libvirt, -o, plain", "--fd=25 -o source=/srv/share", { NULL } },
	{ "libvirt, -o", "--fd=25 -o source=/srv/share,cache=always,sandbox=chroot", { NULL } },
	{ "libvirt, -o, namespace, pool",
		"--fd=25 -o source=/srv/share,cache=none,sandbox=namespace --thread-pool-size=16 "
		"-d",
		{ NULL } },
	{ "libvirt, -o, xattr and locks",
		"--fd=25 -o source=/srv/share,cache=always,sandbox=namespace,xattr,flock,"
		"posix_lock",
		{ "xattr", "flock", "posix-lock" } },
	{ "libvirt, -o, no locks",
		"--fd=25 -o source=/srv/share,xattr,no_flock,no_posix_lock",
		{ "xattr", "flock", "posix-lock" } },
	{ "libvirt, long options",
		"--fd=25 --shared-dir /srv/share --cache always --sandbox chroot "
		"--thread-pool-size 16 --readonly --inode-file-handles=prefer",
		{ NULL } },
	{ "libvirt, open files", "--fd=25 --shared-dir /srv/share --rlimit-nofile=10000",
		{ NULL } },
	{ "libvirt, id map",
		"--fd=25 --shared-dir /srv/share --uid-map=:0:100000:65536: "
		"--gid-map=:0:100000:65536:",
		{ "uid-map", "gid-map" } },
	{ "Kata, Go",
		"--syslog --cache=auto --shared-dir=/run/kata --fd=3 --thread-pool-size=1 "
		"--announce-submounts",
		{ "announce-submounts" } },
	{ "Kata, Rust",
		"--socket-path /run/kata.sock --shared-dir /run/kata --cache auto "
		"--thread-pool-size=1 -o announce_submounts --xattr",
		{ "announce-submounts", "xattr" } },
	{ "Kata, Rust, no sandbox",
		"--socket-path /run/kata.sock --shared-dir /run/kata --cache never "
		"--sandbox none --seccomp none --thread-pool-size=1",
		{ NULL } },
	{ "Proxmox VE",
		"--fd=4 --shared-dir=/mnt/data --xattr --posix-acl --announce-submounts "
		"--allow-direct-io --cache=auto --syslog",
		{ "xattr", "posix-acl", "announce-submounts", "allow-direct-io" } },
	{ "incus", "--fd=3 --cache=never --shared-dir=/srv/share", { NULL } },
	{ "incus, metadata", "--fd=3 --cache=metadata --shared-dir=/srv/share", { NULL } },
	{ "incus, ACLs", "--fd=3 --cache=never --shared-dir=/srv/share --posix-acl=auto",
		{ "posix-acl" } },
	{ "incus, older", "--fd=3 --cache=never --shared-dir=/srv/share --posix-acl",
		{ "posix-acl" } },
	{ "incus, ids",
		"--fd=3 --cache=never --shared-dir=/srv/share "
		"--translate-uid=map:0:1000000:65536 "
		"--translate-uid=forbid-guest:65536:4294901759 "
		"--translate-gid=map:0:1000000:65536 "
		"--translate-gid=forbid-guest:65536:4294901759",
		{ "translate-uid", "translate-gid" } },
	{ "KubeVirt", "--socket-path=/var/run/s --shared-dir=/srv --sandbox=none --cache=auto",
		{ NULL } },
	{ "KubeVirt, privileged",
		"--socket-path /var/run/s --shared-dir /srv --cache auto --sandbox chroot "
		"--modcaps=+dac_read_search:-mknod --inode-file-handles=prefer "
		"--migration-mode=file-handles --migration-on-error=guest-error "
		"--translate-uid=squash-guest:0:107:4294967295 "
		"--translate-gid=squash-guest:0:107:4294967295 --xattr",
		{ "xattr", "translate-uid" } },
	{ "Lima", "--socket-path /tmp/lima.sock --shared-dir /home/user", { NULL } },
	{ "Unraid",
		"--syslog --inode-file-handles=mandatory --announce-submounts --fd=36 "
		"--shared-dir /mnt/user --cache always --sandbox chroot --xattr",
		{ "announce-submounts", "xattr" } },
	{ "virtme-ng", "--socket-path=/tmp/s --shared-dir / --sandbox none -o cache=always",
		{ NULL } },
	{ "virtme-ng, read-only",
		"--socket-path=/tmp/s --shared-dir / --sandbox none -o cache=always --readonly",
		{ NULL } },
	{ "microvm.nix",
		"--socket-path=/tmp/s --socket-group=kvm --shared-dir=/nix/store "
		"--rlimit-nofile 1048576 --thread-pool-size 4 --posix-acl --xattr "
		"--cache=auto --inode-file-handles=prefer",
		{ "posix-acl", "xattr" } },
	{ "QEMU's C virtiofsd, its manual",
		"--socket-path=/var/run/vm001-vhost-fs.sock -o source=/var/lib/fs/vm001",
		{ NULL } },
	{ "Rust virtiofsd, all -o",
		"--socket /s -f -d -o source=/a,cache=metadata,loglevel=err,sandbox=chroot,"
		"xattrmap=:map::user.virtiofs.:,modcaps=+sys_admin:-chown,xattr,readdirplus,"
		"no_readdirplus,writeback,no_writeback,allow_direct_io,no_allow_direct_io,"
		"announce_submounts,killpriv_v2,no_killpriv_v2,no_posix_acl,security_label,"
		"no_security_label,no_posix_lock,no_flock -o no_xattr",
		{ "xattr", "xattrmap", "posix-acl", "security-label", "writeback",
			"allow-direct-io", "announce-submounts", "killpriv-v2",
			"no-readdirplus", "posix-lock", "flock" } },
	{ "Rust virtiofsd, capitals, letters together",
		"--socket-path=/s --shared-dir=/a --cache=Always --sandbox CHROOT --log-level=INFO "
		"-fdo xattr",
		{ NULL } },
	{ "Rust virtiofsd, all long options",
		"--socket-path=/s --shared-dir=/a --tag=t --socket-group=kvm --xattr "
		"--posix-acl=auto --security-label --xattrmap=:map:trusted.:user.virtiofs.: "
		"--readonly --seccomp=trap --no-announce-submounts --announce-submounts "
		"--inode-file-handles=never --cache=never --allow-mmap --no-readdirplus "
		"--writeback --allow-direct-io --no-killpriv-v2 --killpriv-v2 "
		"--preserve-noatime --log-level=off --rlimit-nofile=0",
		{ "xattr", "xattrmap", "posix-acl", "security-label", "writeback",
			"allow-direct-io", "announce-submounts", "killpriv-v2",
			"no-readdirplus", "allow-mmap", "preserve-noatime" } },
	{ "QEMU's C virtiofsd, time-outs", "--socket-path=/s -o source=/a,timeout=2.5",
		{ "timeout" } },
	{ "QEMU's C virtiofsd, all -o",
		"--syslog -f --socket-path=/s --thread-pool-size=64 -o "
		"source=/a,cache=none,log_level=info,max_idle_threads=10,sandbox=chroot,"
		"no_writeback,no_allow_direct_io,modcaps=+sys_admin:-chown,allow_root",
		{ "writeback", "allow-direct-io" } },
};

static void test_launcher(void **state)
{
	const struct launcher *launcher = *state;

	for (size_t i = 0; i < ARRAY_SIZE(launcher->needs) && launcher->needs[i]; i++) {
		if (!has_option(launcher->needs[i])) {
			print_message("there is no option --%s yet\n", launcher->needs[i]);
			skip();
		}
	}
	if (parse_line(launcher->line))
		fail_msg("%s", why);
	assert_int_equal(o.action, GW_SERVE);
	assert_non_null(o.shared_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_commas),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_virtiofsd_values),
		cmocka_unit_test(test_modcaps),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_too_many_maps),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_any_list),
	};
	struct CMUnitTest lines[ARRAY_SIZE(launchers)];
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(launchers); i++)
		lines[i] = (struct CMUnitTest){
			.name = launchers[i].name,
			.test_func = test_launcher,
			.initial_state = (void *)(uintptr_t)&launchers[i],
		};
	return failed + cmocka_run_group_tests_name("launchers", lines, NULL, NULL);
}
