/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Right and wrong values of every option in the table, as `--name=value`, `--name value` and
 * `-o name=value`. An option that takes a value and has no row here fails the test.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"

#define MOST 20

/* No number. */
#define JUNK "", "x", "-1", "+3", "3x", " 3", "3 ", "0x3", "3.0", "99999999999999999999"
#define WORD "x", "never-ever"
#define NO_TRANSLATION                                                                             \
	"", "x", "map", "map:", "map:1", "map:1:2", "map:1:2:3:", "map:1:2:-3", "map:1:2:3x",      \
		"map:1:2:4294967296", "map:4294967295:0:2", "map:1:2:0", "forbid-guest:1:0",    \
		"bogus:1:2:3", "forbid-guest:1:2:3"
#define TRANSLATION "map:0:10:2", "squash-guest:5:6:7"
#define NO_MAP "", "x", ":", ":1", ":1:2:3", ":1:2:3:x", ":-1:2:3:", ":1:2:4294967296:", ":1:2:0:"
#define MAP    ":0:10:2:", ":5:20:7:"

static const struct row {
	const char *name;
	const char *right[MOST];
	const char *wrong[MOST];
} rows[] = {
	{"shared-dir", {"/a", "."}, {""}},
	{"socket-path", {"/s", "s"}, {""}},
	{"connect", {"/s", "s"}, {""}},
	{"socket-group", {"kvm", "0"}, {""}},
	{"fd", {"0", "2147483647"}, {JUNK, "2147483648"}},
	{"tag", {"t", "0123456789abcdef0123456789abcdef0123"},
		{"", "0123456789abcdef0123456789abcdef01234"}},
	{"cache", {"never", "metadata", "auto", "always"}, {WORD}},
	{"timeout", {"attr=1", "entry=0.5,negative=2,dir=0"},
		{"", "x", "attr", "attr=", "attr=x", "attr=-1", "attr=1x", "attr=1,attr=2",
			"attr=1,", "=1", "bogus=1", "attr=2147483648", "attr=0.1234567890"}},
	{"xattrmap", {":map::user.v.:", ":ok:all:::"},
		{"", "x", ":", ":bogus:all:::", ":ok:some:::", ":ok:all::", ":ok:all:::x",
			":map:a:b:c"}},
	{"posix-acl", {"never", "auto", "always"}, {WORD}},
	{"security-label", {"never", "auto", "always"}, {WORD}},
	{"sandbox", {"none", "chroot", "namespace"}, {WORD}},
	{"seccomp", {"none", "kill", "log", "trap"}, {WORD}},
	{"modcaps", {"+sys_admin", "-mknod:+chown"},
		{"", "x", "+", "-", "sys_admin", "+bogus", "+sys_admin:", "+sys_admin,-chown"}},
	{"inode-file-handles", {"never", "prefer", "mandatory", "fallback"}, {WORD}},
	{"rlimit-nofile", {"0", "1000000"}, {JUNK, "2147483648"}},
	{"thread-pool-size", {"0", "64"}, {JUNK, "2147483648"}},
	{"translate-uid", {TRANSLATION}, {NO_TRANSLATION}},
	{"translate-gid", {TRANSLATION}, {NO_TRANSLATION}},
	{"uid-map", {MAP}, {NO_MAP}},
	{"gid-map", {MAP}, {NO_MAP}},
	{"migration-mode", {"find-paths", "file-handles"}, {WORD}},
	{"migration-on-error", {"abort", "guest-error"}, {WORD}},
	{"dax-window", {"2M", "512M", "0"},
		{JUNK, "1", "2M ", "2m", "3M", "2MM", "16777216T", "18014398509481984K"}},
	{"dax", {"never", "inode", "always"}, {WORD}},
	{"dax-threshold", {"0", "4K", "1G"}, {JUNK, "4k", "4KB", "9223372036854775808"}},
	{"dax-view", {"auto", "direct", "passthrough", "cached"}, {WORD}},
	{"dax-dialect", {"auto", "seed", "fs-v2", "fs-count", "shmem", "off"}, {WORD}},
	{"request-queues", {"1", "64"}, {JUNK, "0", "65"}},
	{"log-level", {"error", "warn", "info", "debug", "off", "trace"}, {WORD}},
};

enum spelling { EQUALS, APART, LIST, SPELLINGS };

static struct gw_options o;
static char why[512];

/* A line that says all that has to be said but for the option under test. */
static int parse(const char *name, char *const *args, size_t n)
{
	static const char *const standard[] = {"gateway", "--shared-dir=/a", "--tag=t"};
	bool has_window = !strcmp(name, "dax-dialect"), has_socket = !strcmp(name, "fd") ||
		!strcmp(name, "connect") || !strcmp(name, "socket-path");
	char *argv[16];
	int argc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		argv[argc++] = (char *)(uintptr_t)standard[i];
	if (!has_socket)
		argv[argc++] = (char *)(uintptr_t) "--socket-path=/s";
	if (has_window)
		argv[argc++] = (char *)(uintptr_t) "--dax-window=2M";
	for (size_t i = 0; i < n; i++)
		argv[argc++] = args[i];
	argv[argc] = NULL;
	why[0] = '\0';
	return gw_options_parse(&o, argc, argv, why, sizeof(why));
}

/* Puts one option into args[0] and, APART and LIST, args[1]: their number. */
static size_t spell(enum spelling spelling, const char *name, const char *value, char **args)
{
	char *text = malloc(2 * strlen(value) + strlen(name) + 4);
	size_t len;

	assert_non_null(text);
	args[0] = text;
	args[1] = NULL;
	if (spelling == EQUALS) {
		sprintf(text, "--%s=%s", name, value);
		return 1;
	}
	if (spelling == APART) {
		sprintf(text, "--%s", name);
		args[1] = strdup(value);
		return 2;
	}
	len = (size_t)sprintf(text, "%s=", name);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			text[len++] = '\\';
		text[len++] = *value;
	}
	text[len] = '\0';
	args[0] = strdup("-o");
	args[1] = text;
	return 2;
}

static int parse_one(enum spelling spelling, const char *name, const char *value)
{
	char *args[2];
	size_t n = spell(spelling, name, value, args);
	int r = parse(name, args, n);

	free(args[0]);
	free(args[1]);
	return r;
}

/* One sentence, which names the option. */
static void assert_named(const char *name, const char *value)
{
	char named[2][48];

	snprintf(named[0], sizeof(named[0]), "--%s", name);
	snprintf(named[1], sizeof(named[1]), "-o %s", name);
	if (!strstr(why, named[0]) && !strstr(why, named[1]))
		fail_msg("%s '%s': '%s' does not name it", name, value, why);
	assert_null(strpbrk(why, "\n\t"));
	assert_in_range(strlen(why), 1, sizeof(why) - 2);
}

static void assert_wrong(const char *name, const char *value)
{
	const struct gw_option *option = gw_option_find(name, strlen(name));

	for (enum spelling s = EQUALS; s < SPELLINGS; s++) {
		if (s == APART && !gw_option_needs_value(option))
			continue;
		if (parse_one(s, name, value) != -EINVAL)
			fail_msg("--%s takes '%s' (spelling %d)", name, value, (int)s);
		assert_named(name, value);
		/* The rules have sentences of their own, which say where. */
		if ((strcmp(name, "xattrmap") != 0 || !*value) && !strstr(why, option->argument))
			fail_msg("--%s '%s': '%s' does not say what it takes", name, value, why);
	}
}

static void test_right_values(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct gw_option *option = gw_option_find(row->name, strlen(row->name));

		for (size_t j = 0; j < MOST && row->right[j]; j++) {
			for (enum spelling s = EQUALS; s < SPELLINGS; s++) {
				if (s == APART && !gw_option_needs_value(option))
					continue;
				if (parse_one(s, row->name, row->right[j]))
					fail_msg("%s", why);
			}
		}
	}
}

static void test_wrong_values(void **state)
{
	char longest[1000];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		for (size_t j = 0; j < MOST && row->wrong[j]; j++)
			assert_wrong(row->name, row->wrong[j]);
		/* More of what is right is not, but for paths and names. */
		if (!row->wrong[1])
			continue;
		assert_wrong(row->name, "");
		assert_wrong(row->name, longest);
		if (strcmp(row->name, "tag") != 0)
			assert_wrong(row->name, "one\nline");
	}
}

/* Words neither with something behind them nor before; capitals are no matter. */
static void test_words_are_whole(void **state)
{
	static const char *const forms[] = {"%sx", "%s ", " %s", "%s,", "%s|off"};
	char value[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		if (!row->wrong[0] || strcmp(row->wrong[0], "x") != 0)
			continue;
		for (size_t j = 0; row->right[j]; j++) {
			for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
				snprintf(value, sizeof(value), forms[k], row->right[j]);
#pragma GCC diagnostic pop
				assert_wrong(row->name, value);
			}
			snprintf(value, sizeof(value), "%s", row->right[j]);
			value[0] = (char)(value[0] - 'a' + 'A');
			/* virtiofsd has no such option. */
			if (strcmp(row->name, "dax-dialect") != 0)
				assert_int_equal(parse_one(EQUALS, row->name, value), 0);
		}
	}
}

/* The row of this option, or none for one that takes no value. */
static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

/* The last word of the line, and of the list. */
static void test_missing_values(void **state)
{
	for (const struct gw_option *option = gw_option_table; option->name; option++) {
		char word[48], list[] = "-o";
		char *apart[] = {word}, *listed[] = {list, word};

		if ((option->argument != NULL) != (find_row(option->name) != NULL))
			fail_msg("--%s is not tested", option->name);
		if (!option->argument || !gw_option_needs_value(option))
			continue;
		snprintf(word, sizeof(word), "--%s", option->name);
		assert_int_equal(parse(option->name, apart, 1), -EINVAL);
		assert_named(option->name, "");
		assert_non_null(strstr(why, option->argument));
		snprintf(word, sizeof(word), "%s", option->name);
		assert_int_equal(parse(option->name, listed, 2), -EINVAL);
		assert_named(option->name, "");
		assert_non_null(strstr(why, option->argument));
	}
}

/* What takes no value, with one; and twice, which is as good as once. */
static void test_flags(void **state)
{
	static const char *const values[] = {"", "1", "true", "no", "never"};

	for (const struct gw_option *option = gw_option_table; option->name; option++) {
		char word[48];
		char *twice[] = {word, word};

		if (option->argument)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			assert_int_equal(parse_one(EQUALS, option->name, values[i]), -EINVAL);
			assert_named(option->name, values[i]);
			assert_int_equal(parse_one(LIST, option->name, values[i]), -EINVAL);
			assert_named(option->name, values[i]);
		}
		snprintf(word, sizeof(word), "--%s", option->name);
		assert_int_equal(parse(option->name, twice, 2), 0);
	}
}

/* The field of an option whose value is one number or one string. */
static uint64_t field(const struct gw_option *option)
{
	const char *at = (const char *)&o + option->offset;
	unsigned int number;
	uint64_t large;

	memcpy(&number, at, sizeof(number));
	memcpy(&large, at, sizeof(large));
	return option->set == gw_set_size ? large : number;
}

/* The last one counts, however it is spelled. */
static void test_repeated(void **state)
{
	for (const struct row *row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		const struct gw_option *option = gw_option_find(row->name, strlen(row->name));
		uint64_t last, first;
		char *args[4];
		size_t n;

		if (option->set != gw_set_word && option->set != gw_set_number &&
			option->set != gw_set_size)
			continue;
		assert_int_equal(parse_one(EQUALS, row->name, row->right[0]), 0);
		first = field(option);
		assert_int_equal(parse_one(EQUALS, row->name, row->right[1]), 0);
		last = field(option);
		assert_true(first != last);
		n = spell(EQUALS, row->name, row->right[0], args);
		n += spell(LIST, row->name, row->right[1], args + n);
		assert_int_equal(parse(row->name, args, n), 0);
		assert_int_equal(field(option), last);
		while (n > 0)
			free(args[--n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_values),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_words_are_whole),
		cmocka_unit_test(test_missing_values),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
