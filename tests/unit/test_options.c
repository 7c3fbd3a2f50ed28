/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. */
#include "gateway/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vhostuser/checked.h"
#include "vhostuser/log.h"

static char why[512];

static int parse(struct gw_options *options, const char *const *args)
{
	char *argv[32] = { (char *)(uintptr_t) "virtiofs-gateway" };
	int argc = 1;

	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	why[0] = '\0';
	return gw_options_parse(options, argc, argv, why, sizeof(why));
}

#define PARSE(options, ...) parse((options), (const char *const[]){ __VA_ARGS__, NULL })

static void test_defaults(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--shared-dir", "/srv", "--socket-path=/tmp/s"), 0);
	assert_int_equal(o.action, GW_SERVE);
	assert_string_equal(o.shared_dir, "/srv");
	assert_string_equal(o.socket_path, "/tmp/s");
	assert_null(o.connect);
	assert_int_equal(o.fd, -1);
	assert_null(o.tag);
	assert_int_equal(o.cache, FS_CACHE_AUTO);
	assert_false(o.readonly);
	assert_false(o.xattr);
	assert_null(o.xattrmap);
	assert_int_equal(o.posix_acl, FS_OFFER_NEVER);
	assert_int_equal(o.security_label, FS_OFFER_NEVER);
	assert_int_equal(o.sandbox, GW_SANDBOX_AUTO);
	assert_int_equal(o.dax, FS_DAX_INODE);
	assert_int_equal(o.dax_threshold, 32 << 10);
	assert_int_equal(o.dax_window, 0);
	assert_ptr_equal(o.dialect, dax_dialect_find("shmem"));
	assert_int_equal(o.dax_view, GW_VIEW_AUTO);
	assert_int_equal(o.request_queues, 1);
	assert_false(o.keep_listening);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
}

static void test_timeouts(void **state)
{
	static const char *const bad[] = {"", "attr", "attr=", "attr=.5", "attr=1.", "attr=-1",
		"attr=1,", ",attr=1", "attr=1,attr=2", "attr=1.1234567890", "attr=1 ", "dirs=1",
		"attr=2147483648", "attr=99999999999999999999", "attr=1e3", "=1", "attr,entry=1"};
	struct fs_timeout *given;
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3"), 0);
	for (size_t i = 0; i < FS_TIMEOUTS; i++)
		assert_false(o.features.timeouts[i].set);
	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3", "--timeout",
				 "attr=1.5,negative=0,dir=2147483647.123456789"),
		0);
	given = o.features.timeouts;
	assert_int_equal(given[FS_TIMEOUT_ATTR].sec, 1);
	assert_int_equal(given[FS_TIMEOUT_ATTR].nsec, 500000000);
	assert_false(given[FS_TIMEOUT_ENTRY].set);
	assert_true(given[FS_TIMEOUT_NEGATIVE].set);
	assert_int_equal(given[FS_TIMEOUT_NEGATIVE].sec, 0);
	assert_int_equal(given[FS_TIMEOUT_DIR].sec, INT32_MAX);
	assert_int_equal(given[FS_TIMEOUT_DIR].nsec, 123456789);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			PARSE(&o, "--shared-dir=/srv", "--fd=3", "--timeout", bad[i]), -EINVAL);
}

/* Pairs of which the last one counts. */
static void test_pairs(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3"), 0);
	assert_true(o.features.killpriv_v2);
	assert_int_equal(
		PARSE(&o, "--shared-dir=/srv", "--fd=3", "--no-killpriv-v2", "--killpriv-v2"), 0);
	assert_true(o.features.killpriv_v2);
	assert_int_equal(
		PARSE(&o, "--shared-dir=/srv", "--fd=3", "--killpriv-v2", "--no-killpriv-v2"), 0);
	assert_false(o.features.killpriv_v2);
	assert_int_equal(
		PARSE(&o, "--shared-dir=/srv", "--fd=3", "--no-killpriv-v2=1"), -EINVAL);
	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3"), 0);
	assert_int_equal(o.features.readdirplus, FS_READDIRPLUS_AUTO);
	assert_true(o.features.submounts);
	assert_int_equal(
		PARSE(&o, "--shared-dir=/srv", "--fd=3", "--no-announce-submounts"), 0);
	assert_false(o.features.submounts);
	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3", "--announce-submounts"), 0);
	assert_true(o.features.submounts);
	assert_false(o.features.writeback || o.features.direct_io || o.features.direct_mmap ||
		     o.features.noatime);
	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3", "--no-readdirplus",
				 "--readdirplus", "--writeback", "--allow-mmap",
				 "--allow-direct-io", "--preserve-noatime"),
		0);
	assert_int_equal(o.features.readdirplus, FS_READDIRPLUS_ON);
	assert_true(o.features.writeback && o.features.direct_io && o.features.direct_mmap &&
		    o.features.noatime);
	assert_int_equal(PARSE(&o, "--shared-dir=/srv", "--fd=3", "--no-readdirplus"), 0);
	assert_int_equal(o.features.readdirplus, FS_READDIRPLUS_OFF);
}

static void test_both_spellings(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--fd", "7", "--shared-dir=/a=b", "--tag=t", "--cache", "never",
				 "--readonly", "--sandbox=none", "--request-queues", "64",
				 "--log-level=debug", "--keep-listening"),
		0);
	assert_int_equal(o.fd, 7);
	assert_string_equal(o.shared_dir, "/a=b");
	assert_string_equal(o.tag, "t");
	assert_int_equal(o.cache, FS_CACHE_NEVER);
	assert_true(o.readonly);
	assert_int_equal(o.sandbox, GW_SANDBOX_NONE);
	assert_int_equal(o.request_queues, 64);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_true(o.keep_listening);

	assert_int_equal(PARSE(&o, "--connect", "/tmp/s", "--shared-dir=.", "--sandbox", "chroot",
				 "--cache=always"),
		0);
	assert_string_equal(o.connect, "/tmp/s");
	assert_int_equal(o.sandbox, GW_SANDBOX_CHROOT);
	assert_int_equal(o.cache, FS_CACHE_ALWAYS);
}

/* Locks are off unless asked for, each kind by itself. */
static void test_locks(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a"), 0);
	assert_false(o.posix_lock || o.flock);
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--posix-lock"), 0);
	assert_true(o.posix_lock && !o.flock);
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--flock"), 0);
	assert_true(o.flock && !o.posix_lock);
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--flock=yes"), -EINVAL);
}

static void test_window(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--tag=t", "--dax-window=128M",
				 "--dax", "always", "--dax-threshold", "0", "--dax-view=cached",
				 "--readonly"),
		0);
	assert_int_equal(o.dax_window, 128 << 20);
	assert_int_equal(o.dax, FS_DAX_ALWAYS);
	assert_int_equal(o.dax_threshold, 0);
	assert_int_equal(o.dax_view, GW_VIEW_CACHED);

	/* The other front-ends' windows have other sizes, and they have a tag of their own. */
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--dax-window=6M",
				 "--dax-dialect=fs-v2", "--dax-threshold=5000"),
		0);
	assert_int_equal(o.dax_window, 6 << 20);
	assert_int_equal(o.dax_threshold, 5000);
	assert_string_equal(dax_dialect_name(o.dialect), "fs-v2");
	assert_string_equal(o.dax_idle_options[0], "dax-dialect");
	assert_string_equal(o.dax_idle_options[1], "dax-threshold");
	assert_null(o.dax_idle_options[2]);

	/* What the service warns of, when there is no window. */
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--dax-view=cached"), 0);
	assert_string_equal(o.dax_idle_options[0], "dax-view");
	assert_null(o.dax_idle_options[1]);
	/* Each once, all of them. */
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--dax-view=cached", "--dax=always",
				 "--dax-view=direct", "--dax-threshold=1", "--dax-dialect=shmem",
				 "--dax=inode"),
		0);
	assert_string_equal(o.dax_idle_options[0], "dax-view");
	assert_string_equal(o.dax_idle_options[1], "dax");
	assert_string_equal(o.dax_idle_options[3], "dax-dialect");
	/* What asks for nothing. */
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--dax-dialect=auto", "--dax=never",
				 "--dax-view=auto"),
		0);
	assert_null(o.dax_idle_options[0]);

	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--dax-dialect=off"), 0);
	assert_null(o.dialect);
}

static void test_xattr(void **state)
{
	static const struct {
		const char *option;
		enum fs_offer acl, label;
	} rows[] = {
		{ "--xattr", FS_OFFER_NEVER, FS_OFFER_NEVER },
		{ "--xattrmap=:map::user.v.:", FS_OFFER_NEVER, FS_OFFER_NEVER },
		{ "--posix-acl", FS_OFFER_ALWAYS, FS_OFFER_NEVER },
		{ "--posix-acl=auto", FS_OFFER_AUTO, FS_OFFER_NEVER },
		{ "--posix-acl=always", FS_OFFER_ALWAYS, FS_OFFER_NEVER },
		{ "--security-label", FS_OFFER_NEVER, FS_OFFER_ALWAYS },
		{ "--security-label=auto", FS_OFFER_NEVER, FS_OFFER_AUTO },
	};
	struct gw_options o;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(PARSE(&o, rows[i].option, "--fd=7", "--shared-dir=/a"), 0);
		assert_true(o.xattr);
		assert_int_equal(o.posix_acl, rows[i].acl);
		assert_int_equal(o.security_label, rows[i].label);
	}
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--posix-acl=never",
				 "--security-label=never"),
		0);
	assert_false(o.xattr);
	/* What leaves ACLs alone goes together with them. */
	assert_int_equal(PARSE(&o, "--fd=7", "--shared-dir=/a", "--posix-acl", "--xattrmap",
				 ":map:security.selinux:trusted.v.:"),
		0);
	assert_string_equal(o.xattrmap, ":map:security.selinux:trusted.v.:");
}

/* Each is refused with one line that names what is wrong. */
static void test_refused(void **state)
{
	static const struct {
		const char *args[7];
		const char *says;
	} rows[] = {
		{ { "--shared-dir=/a" }, "--socket-path" },
		{ { "--socket-path=/s" }, "--shared-dir" },
		{ { NULL }, "--shared-dir" },
		{ { "--shared-dir=/a", "--socket-path=/s", "--fd=3" }, "more than one" },
		{ { "--shared-dir=/a", "--connect=/s", "--fd=3" }, "more than one" },
		{ { "--shared-dir" }, "needs a value" },
		{ { "--shared-dir=" }, "--shared-dir" },
		{ { "--bogus" }, "'--bogus'" },
		{ { "--bogus=3" }, "'--bogus'" },
		{ { "--shared" }, "'--shared'" },
		{ { "--" }, "'--'" },
		{ { "-x" }, "'-x'" },
		{ { "/srv" }, "'/srv'" },
		{ { "" }, "''" },
		{ { "--fd", "-1" }, "--fd" },
		{ { "--fd", "3x" }, "--fd" },
		{ { "--fd", " 3" }, "--fd" },
		{ { "--fd", "99999999999999999999" }, "--fd" },
		{ { "--request-queues", "0" }, "--request-queues" },
		{ { "--request-queues", "65" }, "--request-queues" },
		{ { "--cache", "sometimes" }, "never|metadata|auto|always" },
		{ { "--sandbox", "jail" }, "none|chroot|namespace" },
		{ { "--log-level", "loud" }, "error|warn|info|debug|off" },
		{ { "--readonly=yes" }, "no value" },
		{ { "--tag=" }, "--tag" },
		{ { "--dax", "often" }, "never|inode|always" },
		{ { "--dax-view", "wide" }, "auto|direct|passthrough|cached" },
		{ { "--dax-dialect", "c1" }, "auto|seed|fs-v2|fs-count|shmem|off" },
		{ { "--dax-window", "128T" }, "a power of two from 2M to 512M" },
		{ { "--dax-window", "-2M" }, "--dax-window" },
		{ { "--dax-window", "2Mx" }, "--dax-window" },
		{ { "--dax-window", "3M" }, "a power of two from 2M to 512M" },
		{ { "--dax-window", "18446744073709551616" }, "--dax-window" },
		{ { "--dax-window", "18014398509481984K" }, "--dax-window" },
		{ { "--dax-threshold", "" }, "--dax-threshold" },
		{ { "--dax-threshold", "8E" }, "--dax-threshold" },
		{ { "--shared-dir=/a", "--fd=3", "--dax-dialect=seed" }, "--dax-window" },
		{ { "--shared-dir=/a", "--fd=3", "--dax-window=4M" }, "add --tag TAG" },
		{ { "--shared-dir=/a", "--fd=3", "--tag=t", "--dax-window=6M" }, "power of two" },
		{ { "--shared-dir=/a", "--fd=3", "--tag=t", "--dax-window=1G" }, "512M" },
		{ { "--shared-dir=/a", "--fd=3", "--dax-dialect=seed", "--dax-window=2M",
			  "--dax-view=cached" },
			"needs --readonly" },
		{ { "--readonly", "--fd=3", "--shared-dir=/a", "--dax-dialect=seed",
			  "--dax-window=2M", "--dax-view=passthrough" },
			"with --readonly" },
		{ { "--tag=0123456789012345678901234567890123456" }, "36" },
		{ { "--xattr=yes" }, "no value" },
		{ { "--posix-acl=" }, "never|auto|always" },
		{ { "--posix-acl=yes" }, "never|auto|always" },
		{ { "--security-label=on" }, "never|auto|always" },
		{ { "--posix-acl", "always" }, "'always'" },
		{ { "--xattrmap" }, "needs a value" },
		{ { "--xattrmap=" }, "--xattrmap" },
		{ { "--shared-dir=/a", "--fd=3", "--xattrmap=:ok:all:::x" }, "character 12" },
		{ { "--shared-dir=/a", "--fd=3", "--xattrmap=:map::user.v.:", "--posix-acl=auto" },
			"posix_acl_access" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gw_options o;

		assert_int_equal(parse(&o, rows[i].args), -EINVAL);
		assert_non_null(strstr(why, rows[i].says));
		assert_null(strchr(why, '\n'));
	}
}

static void test_tag_of_36_bytes(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--shared-dir=/a", "--fd=3",
				 "--tag=012345678901234567890123456789012345"),
		0);
}

static void test_actions(void **state)
{
	struct gw_options o;

	assert_int_equal(PARSE(&o, "--help"), 0);
	assert_int_equal(o.action, GW_HELP);
	assert_int_equal(PARSE(&o, "--version"), 0);
	assert_int_equal(o.action, GW_SHOW_VERSION);
	/* All else is ignored, wrong or not. */
	assert_int_equal(PARSE(&o, "--bogus", "--fd=x", "--print-capabilities"), 0);
	assert_int_equal(o.action, GW_CAPABILITIES);
}

static char *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static void test_printed(void **state)
{
	static const char *const names[] = { "seccomp", "modcaps", "inode-file-handles",
		"rlimit-nofile", "socket-group", "thread-pool-size", "syslog", "migration-mode",
		"migration-on-error", "migration-verify-handles", "migration-confirm-paths",
		"translate-uid", "translate-gid", "owner-xattr", "uid-map", "gid-map",
		"shared-dir", "socket-path", "fd", "connect", "tag",
		"cache", "readonly", "xattr", "xattrmap", "posix-acl", "security-label", "sandbox",
		"dax-window", "dax", "dax-threshold", "dax-view",
		"dax-dialect", "request-queues", "keep-listening", "log-level",
		"print-capabilities", "version", "help" };
	char *text = printed(gw_options_help);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char option[32];

		snprintf(option, sizeof(option), "\n  --%s", names[i]);
		assert_non_null(strstr(text, option));
	}
	assert_non_null(strstr(text, "Exit status"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 100);
	free(text);

	text = printed(gw_options_version);
	assert_string_equal(text, "virtiofs-gateway " GW_VERSION "\n");
	free(text);
	text = printed(gw_options_capabilities);
	assert_non_null(strstr(text, "\"type\": \"fs\""));
	/* Spelled as management tools look for them. */
	assert_non_null(strstr(text, "\"separate-options\""));
	assert_non_null(strstr(text, "\"posix-acl-negotiation-mode\""));
	assert_non_null(strstr(text, "\"security-label-negotiation-mode\""));
	free(text);
}

/* The words that --help gives for an option are those that it takes. */
static void test_words_of_help(void **state)
{
	char *text = printed(gw_options_help), *line_end, *word_end;
	unsigned int n = 0;

	for (char *line = strtok_r(text, "\n", &line_end); line;
		line = strtok_r(NULL, "\n", &line_end)) {
		char name[32], words[64], option[100];
		struct gw_options o;

		if (sscanf(line, " --%31s %63[a-z0-9|-]", name, words) != 2 || !strchr(words, '|'))
			continue;
		for (char *word = strtok_r(words, "|", &word_end); word;
			word = strtok_r(NULL, "|", &word_end)) {
			snprintf(option, sizeof(option), "--%s=%s", name, word);
			/* That one is for a read-only share. */
			assert_int_equal(PARSE(&o, "--shared-dir=/", "--fd=0", "--tag=t",
						 "--dax-window=2M", option,
						 strcmp(word, "cached") ? "--xattr" : "--readonly"),
				0);
			n++;
		}
	}
	/* cache, sandbox, dax, view, dialect, log; seccomp, handles, migration */
	assert_int_equal(n, 4 + 3 + 3 + 4 + 6 + 5 + 4 + 3 + 2 + 2);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_both_spellings),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_xattr),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_tag_of_36_bytes),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_printed),
		cmocka_unit_test(test_words_of_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
