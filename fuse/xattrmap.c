/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules for the names of extended attributes: the parser, and the two directions.
 *
 * A map is an array of rules, in the order in which they were written; a `map` rule is written out
 * into those that it stands for. A name goes through them until one matches.
 */
#include "fuse/xattrmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhostuser/checked.h"

enum rule_type { RULE_PREFIX, RULE_OK, RULE_BAD, RULE_UNSUPPORTED };

#define SCOPE_CLIENT (1U << 0)
#define SCOPE_SERVER (1U << 1)
#define SCOPE_ALL    (SCOPE_CLIENT | SCOPE_SERVER)

struct rule {
	enum rule_type type;
	unsigned int scope;
	char key[FS_XATTR_NAME_SIZE];
	char prepend[FS_XATTR_NAME_SIZE];
};

struct fs_xattrmap {
	struct rule *rules;
	size_t n, capacity;
};

struct parser {
	const char *rules, *at; /* at: the next character */
	char separator;         /* of this rule */
	char *why;
	size_t size;
};

/* A field of a rule, not terminated. */
struct field {
	const char *text;
	size_t len;
};

/* Says what is wrong at `where`; characters are counted from 1. */
__attribute__((format(printf, 3, 4))) static void complain(
	const struct parser *p, const char *where, const char *format, ...)
{
	int n = snprintf(
		p->why, p->size, "character %zu of the rules: ", (size_t)(where - p->rules) + 1);
	va_list ap;

	va_start(ap, format);
	if (n >= 0 && (size_t)n < p->size)
		(void)vsnprintf(p->why + n, p->size - (size_t)n, format, ap);
	va_end(ap);
}

/* A macro, for compilers that must see that no caller goes on. */
#define WRONG(p, where, ...) (complain((p), (where), __VA_ARGS__), -EINVAL)

static void skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

/* `what` names the field. */
static int take_field(struct parser *p, const char *what, struct field *field)
{
	const char *end = strchr(p->at, p->separator);

	*field = (struct field){p->at, 0};
	if (!end)
		return WRONG(p, p->at,
			"the rule's %s does not end with '%c', the rule's first character and so "
			"its separator",
			what, p->separator);
	field->len = (size_t)(end - p->at);
	if (field->len > XATTR_NAME_MAX)
		return WRONG(p, p->at, "the rule's %s is longer than %d characters", what,
			XATTR_NAME_MAX);
	p->at = end + 1;
	return 0;
}

static bool is_word(const struct field *field, const char *word)
{
	return strlen(word) == field->len && memcmp(word, field->text, field->len) == 0;
}

static int take_scope(struct parser *p, unsigned int *scope)
{
	struct field field;
	int r = take_field(p, "scope", &field);

	if (r < 0)
		return r;
	if (is_word(&field, "client"))
		*scope = SCOPE_CLIENT;
	else if (is_word(&field, "server"))
		*scope = SCOPE_SERVER;
	else if (is_word(&field, "all"))
		*scope = SCOPE_ALL;
	else
		return WRONG(p, field.text, "'%.*s' is no scope: it is client, server or all",
			(int)field.len, field.text);
	return 0;
}

static int add(struct fs_xattrmap *map, enum rule_type type, unsigned int scope, struct field key,
	struct field prepend)
{
	struct rule *rule;

	if (map->n == map->capacity) {
		size_t capacity = map->capacity ? 2 * map->capacity : 8;
		struct rule *rules = reallocarray(map->rules, capacity, sizeof(*rules));

		if (!rules)
			return -ENOMEM;
		map->rules = rules;
		map->capacity = capacity;
	}
	rule = &map->rules[map->n++];
	*rule = (struct rule){.type = type, .scope = scope};
	memcpy(rule->key, key.text, key.len);
	memcpy(rule->prepend, prepend.text, prepend.len);
	return 0;
}

/*
 * What the guest calls key* is prepend+key* on the host. Neither side gets at the other's names
 * directly: the host's own key* are hidden, and the guest may not say prepend*.
 */
static int add_map(struct fs_xattrmap *map, struct field key, struct field prepend)
{
	const struct field any = {"", 0};
	int r = add(map, RULE_PREFIX, SCOPE_ALL, key, prepend);

	if (r == 0 && key.len == 0)
		return add(map, RULE_BAD, SCOPE_ALL, any, any);
	if (r == 0)
		r = add(map, RULE_BAD, SCOPE_SERVER, any, key);
	if (r == 0)
		r = add(map, RULE_BAD, SCOPE_CLIENT, prepend, any);
	if (r == 0)
		r = add(map, RULE_OK, SCOPE_ALL, any, any);
	return r;
}

static int take_names(struct parser *p, struct field *key, struct field *prepend)
{
	int r = take_field(p, "key", key);

	return r < 0 ? r : take_field(p, "prepend", prepend);
}

static int take_map(struct parser *p, struct fs_xattrmap *map)
{
	struct field key, prepend;
	int r = take_names(p, &key, &prepend);

	if (r < 0)
		return r;
	skip_space(p);
	if (*p->at)
		return WRONG(p, p->at, "nothing may follow a map rule");
	return add_map(map, key, prepend);
}

static int take_rule(struct parser *p, struct fs_xattrmap *map)
{
	static const char *const types[] = {
		[RULE_PREFIX] = "prefix",
		[RULE_OK] = "ok",
		[RULE_BAD] = "bad",
		[RULE_UNSUPPORTED] = "unsupported",
	};
	struct field word, key, prepend;
	unsigned int scope, type;
	int r;

	p->separator = *p->at++;
	r = take_field(p, "type", &word);
	if (r < 0)
		return r;
	if (is_word(&word, "map"))
		return take_map(p, map);
	for (type = 0; type < ARRAY_SIZE(types) && !is_word(&word, types[type]);)
		type++;
	if (type == ARRAY_SIZE(types))
		return WRONG(p, word.text,
			"'%.*s' is no type: it is prefix, ok, bad, unsupported or map",
			(int)word.len, word.text);
	r = take_scope(p, &scope);
	if (r == 0)
		r = take_names(p, &key, &prepend);
	return r < 0 ? r : add(map, (enum rule_type)type, scope, key, prepend);
}

int fs_xattrmap_new(const char *rules, struct fs_xattrmap **out, char *why, size_t size)
{
	struct parser p = {.rules = rules, .at = rules, .why = why, .size = size};
	struct fs_xattrmap *map = calloc(1, sizeof(*map));
	int r = map ? 0 : -ENOMEM;

	for (skip_space(&p); r == 0 && *p.at; skip_space(&p))
		r = take_rule(&p, map);
	if (r == 0 && map->n == 0)
		r = WRONG(&p, p.at, "there is no rule");
	if (r == -ENOMEM)
		snprintf(why, size, "no memory for the rules");
	if (r < 0) {
		fs_xattrmap_free(map);
		return r;
	}
	*out = map;
	return 0;
}

void fs_xattrmap_free(struct fs_xattrmap *map)
{
	if (!map)
		return;
	free(map->rules);
	free(map);
}

/* NULL when `name` does not begin with `start`, else what follows it. */
static const char *after(const char *name, const char *start)
{
	size_t len = strlen(start);

	return strncmp(name, start, len) == 0 ? name + len : NULL;
}

int fs_xattrmap_to_host(
	const struct fs_xattrmap *map, const char *name, char host[FS_XATTR_NAME_SIZE])
{
	const char *prepend = "";
	size_t i = 0;

	if (map) {
		while (i < map->n &&
			!(map->rules[i].scope & SCOPE_CLIENT && after(name, map->rules[i].key)))
			i++;
		if (i == map->n || map->rules[i].type == RULE_BAD)
			return -EPERM;
		if (map->rules[i].type == RULE_UNSUPPORTED)
			return -EOPNOTSUPP;
		if (map->rules[i].type == RULE_PREFIX)
			prepend = map->rules[i].prepend;
	}
	if (strlen(prepend) + strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	(void)stpcpy(stpcpy(host, prepend), name);
	return 0;
}

const char *fs_xattrmap_to_guest(const struct fs_xattrmap *map, const char *name)
{
	for (size_t i = 0; map && i < map->n; i++) {
		const struct rule *rule = &map->rules[i];
		const char *rest = rule->scope & SCOPE_SERVER ? after(name, rule->prepend) : NULL;

		if (!rest)
			continue;
		if (rule->type == RULE_OK)
			return name;
		/* Nothing but the prefix is no name. */
		return rule->type == RULE_PREFIX && *rest ? rest : NULL;
	}
	return map ? NULL : name;
}

bool fs_xattrmap_keeps(const struct fs_xattrmap *map, const char *name)
{
	char host[FS_XATTR_NAME_SIZE];
	const char *guest = fs_xattrmap_to_guest(map, name);

	return fs_xattrmap_to_host(map, name, host) == 0 && strcmp(host, name) == 0 && guest &&
	       strcmp(guest, name) == 0;
}
