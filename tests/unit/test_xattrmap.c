/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules for the names of extended attributes: the documented examples, errors, a naive model. */
#include "fuse/xattrmap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vhostuser/checked.h"

static char why[256];

static struct fs_xattrmap *make(const char *rules)
{
	struct fs_xattrmap *map = NULL;

	if (fs_xattrmap_new(rules, &map, why, sizeof(why)) != 0)
		fail_msg("'%s': %s", rules, why);
	assert_non_null(map);
	return map;
}

/* `host`: the name, or NULL for `error`. */
static void to_host(const struct fs_xattrmap *map, const char *guest, const char *host, int error)
{
	char name[FS_XATTR_NAME_SIZE];

	assert_int_equal(fs_xattrmap_to_host(map, guest, name), host ? 0 : error);
	if (host)
		assert_string_equal(name, host);
}

static void to_guest(const struct fs_xattrmap *map, const char *host, const char *guest)
{
	const char *name = fs_xattrmap_to_guest(map, host);

	if (guest)
		assert_string_equal(name, guest);
	else
		assert_null(name);
}

static void test_no_map(void **state)
{
	(void)state;
	to_host(NULL, "trusted.x", "trusted.x", 0);
	to_guest(NULL, "trusted.x", "trusted.x");
	assert_true(fs_xattrmap_keeps(NULL, "system.posix_acl_access"));
}

/* "Prefix all attributes": both spellings. */
static void test_prefix_all(void **state)
{
	static const char *const spellings[] = {
		":prefix:all::user.virtiofs.::bad:all:::",
		":map::user.virtiofs.:",
		"  xmapxxuser.virtiofs.x\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct fs_xattrmap *map = make(spellings[i]);

		to_host(map, "trusted.x", "user.virtiofs.trusted.x", 0);
		to_host(map, "user.virtiofs.x", "user.virtiofs.user.virtiofs.x", 0);
		to_guest(map, "user.virtiofs.trusted.x", "trusted.x");
		to_guest(map, "trusted.x", NULL);
		to_guest(map, "user.virtiofs.", NULL);
		to_guest(map, "user.virtiofs", NULL);
		assert_false(fs_xattrmap_keeps(map, "system.posix_acl_access"));
		fs_xattrmap_free(map);
	}
}

/* "Prefix 'trusted.' attributes, allow others through". */
static void test_prefix_some(void **state)
{
	static const char *const spellings[] = {
		"/prefix/all/trusted./user.virtiofs./\n /bad/server//trusted./\n"
		" /bad/client/user.virtiofs.//\n /ok/all///",
		"/map/trusted./user.virtiofs./",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct fs_xattrmap *map = make(spellings[i]);

		to_host(map, "trusted.x", "user.virtiofs.trusted.x", 0);
		to_host(map, "user.x", "user.x", 0);
		to_host(map, "user.virtiofs.trusted.x", NULL, -EPERM);
		to_guest(map, "user.virtiofs.trusted.x", "trusted.x");
		to_guest(map, "trusted.x", NULL);
		to_guest(map, "user.x", "user.x");
		assert_true(fs_xattrmap_keeps(map, "system.posix_acl_access"));
		fs_xattrmap_free(map);
	}
}

static void test_hide_and_deny(void **state)
{
	struct fs_xattrmap *map = make("/bad/all/security./security./ /ok/all///");

	(void)state;
	to_host(map, "security.selinux", NULL, -EPERM);
	to_guest(map, "security.selinux", NULL);
	to_host(map, "user.x", "user.x", 0);
	to_guest(map, "user.x", "user.x");
	fs_xattrmap_free(map);

	map = make(":unsupported:all:trusted.:trusted.::ok:client:user.::");
	to_host(map, "trusted.x", NULL, -EOPNOTSUPP);
	to_guest(map, "trusted.x", NULL);
	to_host(map, "user.x", "user.x", 0);
	/* What no rule knows is refused, and hidden. */
	to_host(map, "security.x", NULL, -EPERM);
	to_guest(map, "user.x", NULL);
	assert_false(fs_xattrmap_keeps(map, "user.x"));
	fs_xattrmap_free(map);
}

static void test_lengths(void **state)
{
	struct fs_xattrmap *map = make(":map::user.virtiofs.:");
	char name[XATTR_NAME_MAX + 1], host[FS_XATTR_NAME_SIZE];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[XATTR_NAME_MAX - strlen("user.virtiofs.")] = '\0';
	assert_int_equal(fs_xattrmap_to_host(map, name, host), 0);
	assert_int_equal(strlen(host), XATTR_NAME_MAX);
	name[XATTR_NAME_MAX - strlen("user.virtiofs.")] = 'n';
	name[XATTR_NAME_MAX - strlen("user.virtiofs.") + 1] = '\0';
	assert_int_equal(fs_xattrmap_to_host(map, name, host), -ERANGE);
	memset(name, 'n', XATTR_NAME_MAX);
	name[XATTR_NAME_MAX] = '\0';
	assert_int_equal(fs_xattrmap_to_host(map, name, host), -ERANGE);
	assert_int_equal(fs_xattrmap_to_host(NULL, name, host), 0);
	assert_string_equal(host, name);
	fs_xattrmap_free(map);
}

/* Each is refused with one sentence that says where. */
static void test_errors(void **state)
{
	static const struct {
		const char *rules, *says;
	} rows[] = {
		{"", "character 1 of the rules: there is no rule"},
		{" \n ", "character 4 of the rules: there is no rule"},
		{":", "character 2 of the rules: the rule's type does not end with ':'"},
		{":ok", "character 2 of the rules: the rule's type does not end with ':'"},
		{":ok:", "character 5 of the rules: the rule's scope does not end"},
		{":ok:all:a", "character 9 of the rules: the rule's key does not end"},
		{":ok:all:a:b", "character 11 of the rules: the rule's prepend does not end"},
		{":fine:all:::", "character 2 of the rules: 'fine' is no type"},
		{"::all:::", "'' is no type"},
		{":OK:all:::", "'OK' is no type"},
		{":ok:some:::", "character 5 of the rules: 'some' is no scope"},
		{":ok:al:::", "'al' is no scope"},
		{":ok:all::: /bad/all///x", "character 24 of the rules: the rule's type"},
		{":map:a", "the rule's key does not end"},
		{"foo", "type does not end with 'f', the rule's first character and so its sep"},
		{":map:a:b", "the rule's prepend does not end"},
		{":map:a:b: :ok:all:::", "character 11 of the rules: nothing may follow a map"},
		{":map:a:b::map:a:b:", "nothing may follow a map"},
		{":ok:all:::map:a:b:", "character 12 of the rules: the rule's type does not"},
	};
	struct fs_xattrmap *map;
	char rules[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		map = NULL;
		assert_int_equal(fs_xattrmap_new(rows[i].rules, &map, why, sizeof(why)), -EINVAL);
		assert_null(map);
		if (!strstr(why, rows[i].says))
			fail_msg("'%s': '%s' lacks '%s'", rows[i].rules, why, rows[i].says);
		assert_null(strchr(why, '\n'));
		/* However little room there is for the sentence. */
		for (size_t size = 1; size < 40; size++) {
			assert_int_equal(fs_xattrmap_new(rows[i].rules, &map, why, size), -EINVAL);
			assert_true(strlen(why) < size);
		}
	}
	for (int len = 254; len <= 257; len++) {
		snprintf(rules, sizeof(rules), ":ok:all:%0*d::", len, 0);
		assert_int_equal(fs_xattrmap_new(rules, &map, why, sizeof(why)),
			len <= XATTR_NAME_MAX ? 0 : -EINVAL);
		if (len <= XATTR_NAME_MAX)
			fs_xattrmap_free(map);
	}
}

/* The model: rules as what was put into the text, the manual's words as code. */
struct model_rule {
	const char *type, *scope, *key, *prepend;
};

struct model {
	struct model_rule rules[12];
	size_t n;
};

static uint32_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static const char *pick_name(void)
{
	static const char *const names[] = {"", "", "u", "us", "user.", "user.v.", "user.v.user.",
		"trusted.", "security.", "t", "s", "user.v"};

	return names[pick(ARRAY_SIZE(names))];
}

static void pick_model(struct model *model)
{
	static const char *const types[] = {"prefix", "ok", "bad", "unsupported"};
	static const char *const scopes[] = {"client", "server", "all"};

	for (model->n = 0; model->n < 1 + pick(6); model->n++)
		model->rules[model->n] = (struct model_rule){types[pick(ARRAY_SIZE(types))],
			scopes[pick(ARRAY_SIZE(scopes))], pick_name(), pick_name()};
}

static void write_rules(const struct model *model, char *text, size_t size)
{
	static const char separators[] = ":/,x|\xff";
	size_t len = 0;

	for (size_t i = 0; i < model->n; i++) {
		const struct model_rule *r = &model->rules[i];
		char c = separators[pick(sizeof(separators) - 1)];

		/* 'x' is in a type's name. */
		if (c == 'x')
			c = ';';
		len += (size_t)snprintf(text + len, size - len, "%s%c%s%c%s%c%s%c%s%c",
			pick(2) ? " \n" : "", c, r->type, c, r->scope, c, r->key, c, r->prepend, c);
	}
}

static void model_add(
	struct model *model, const char *type, const char *scope, const char *key, const char *pre)
{
	model->rules[model->n++] = (struct model_rule){type, scope, key, pre};
}

/* What `map` stands for, in the manual's examples. */
static void model_map(struct model *model, const char *key, const char *prepend)
{
	model_add(model, "prefix", "all", key, prepend);
	if (!*key) {
		model_add(model, "bad", "all", "", "");
		return;
	}
	model_add(model, "bad", "server", "", key);
	model_add(model, "bad", "client", prepend, "");
	model_add(model, "ok", "all", "", "");
}

/* The host's name as a new string; NULL with *error. */
static char *model_to_host(const struct model *model, const char *guest, int *error)
{
	char *name;

	*error = -EPERM;
	for (size_t i = 0; i < model->n; i++) {
		const struct model_rule *r = &model->rules[i];

		if (!strcmp(r->scope, "server") || strstr(guest, r->key) != guest)
			continue;
		if (!strcmp(r->type, "bad"))
			return NULL;
		if (!strcmp(r->type, "unsupported")) {
			*error = -EOPNOTSUPP;
			return NULL;
		}
		if (!strcmp(r->type, "ok"))
			return strdup(guest);
		assert_true(asprintf(&name, "%s%s", r->prepend, guest) >= 0);
		return name;
	}
	return NULL;
}

static const char *model_to_guest(const struct model *model, const char *host)
{
	for (size_t i = 0; i < model->n; i++) {
		const struct model_rule *r = &model->rules[i];

		if (!strcmp(r->scope, "client") || strstr(host, r->prepend) != host)
			continue;
		if (!strcmp(r->type, "bad") || !strcmp(r->type, "unsupported"))
			return NULL;
		if (!strcmp(r->type, "ok"))
			return host;
		host += strlen(r->prepend);
		return *host ? host : NULL;
	}
	return NULL;
}

static void compare(const struct fs_xattrmap *map, const struct model *model, const char *name)
{
	const char *guest = model_to_guest(model, name);
	int error;
	char *host = model_to_host(model, name, &error);

	to_guest(map, name, guest);
	to_host(map, name, host, error);
	assert_int_equal(fs_xattrmap_keeps(map, name),
		host && guest && !strcmp(host, name) && !strcmp(guest, name));
	free(host);
}

static void test_property(void **state)
{
	static const char *const tails[] = {"x", "user.x", "v.x", ".", "rusted.a", "user.v.user.b"};

	(void)state;
	for (seed = 1; seed < 20000;) {
		uint32_t began = seed;
		struct fs_xattrmap *map;
		struct model model;
		char text[1024], name[64];

		pick_model(&model);
		write_rules(&model, text, sizeof(text));
		if (pick(3) == 0) {
			const char *key = pick_name(), *prepend = pick_name();
			size_t len = strlen(text);

			snprintf(text + len, sizeof(text) - len, "|map|%s|%s| ", key, prepend);
			model_map(&model, key, prepend);
		}
		map = make(text);
		for (int i = 0; i < 20; i++) {
			snprintf(name, sizeof(name), "%s%s", pick_name(),
				tails[pick(ARRAY_SIZE(tails))]);
			compare(map, &model, name);
		}
		fs_xattrmap_free(map);
		seed = began + 1;
	}
}

/* Whatever the text: an error or a map, and no access outside of it. */
static void test_any_text(void **state)
{
	static const char *const words[] = {":", ":", ":", "ok", "all", "bad", "map", "prefix",
		"client", "server", "user.", " ", "\n", "/", "\xff", "unsupported"};

	(void)state;
	for (uint32_t n = 1; n < 20000; n++) {
		struct fs_xattrmap *map = NULL;
		char *text = calloc(1, 256), host[FS_XATTR_NAME_SIZE];
		int r;

		assert_non_null(text);
		seed = n;
		for (uint32_t left = 1 + pick(16); left > 0; left--)
			strcat(text, words[pick(ARRAY_SIZE(words))]);
		/* Of its exact size, for the sanitizer. */
		text = realloc(text, strlen(text) + 1);
		assert_non_null(text);
		r = fs_xattrmap_new(text, &map, why, sizeof(why));
		assert_true(r == 0 || r == -EINVAL);
		if (r == 0) {
			(void)fs_xattrmap_to_host(map, "user.x", host);
			(void)fs_xattrmap_to_guest(map, "user.x");
		}
		fs_xattrmap_free(map);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_map),
		cmocka_unit_test(test_prefix_all),
		cmocka_unit_test(test_prefix_some),
		cmocka_unit_test(test_hide_and_deny),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_any_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
