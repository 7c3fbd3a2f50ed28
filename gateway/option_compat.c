/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What virtiofsd takes beside long options: -o lists, short options, former names.
 *
 * A -o list is one argument, "source=/srv,cache=none,xattr". Each item is looked up as a long
 * option, with '-' for '_'; only what is called otherwise, or has other values, is in a table here.
 * So an option that gains a row in option_table.c can be said by -o at once, and "no_NAME" takes
 * back what the row of NAME set (or the other way round, where the row is that of "no-NAME").
 *
 * Commas within a value: "\," as libfuse reads it, and ",," as libvirt writes it.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"

/* Items of C or Rust virtiofsd that are no long option as they stand. */
static const struct compat {
	const char *name;    /* with '-' for '_' */
	const char *value;   /* this one only; NULL: whatever it is */
	const char *option;  /* the long one; NULL: it is taken and does nothing */
	const char *becomes; /* the long one's value, '*' being the item's; NULL: just that */
} compat_items[] = {
	{"source", NULL, "shared-dir", NULL},
	{"vhost-user-socket", NULL, "socket-path", NULL},
	{"cache", "none", "cache", "never"},
	{"debug", NULL, "log-level", "debug"},
	{"loglevel", "err", "log-level", "error"},
	{"loglevel", NULL, "log-level", NULL},
	{"log-level", "err", "log-level", "error"},
	{"timeout", NULL, "timeout", "attr=*,entry=*"}, /* one number for both */
	{"allow-root", NULL, NULL, NULL},       /* of mounts by fusermount */
	{"max-idle-threads", NULL, NULL, NULL}, /* idle threads end by themselves */
};

static const struct {
	const char *name, *now;
} former_names[] = {
	{"socket", "socket-path"},
};

const char *gw_compat_name(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(former_names); i++) {
		if (strlen(former_names[i].name) == len &&
			memcmp(former_names[i].name, name, len) == 0)
			return former_names[i].now;
	}
	return NULL;
}

static const struct compat *find_compat(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(compat_items); i++) {
		const struct compat *compat = &compat_items[i];

		/* A value with '=' in it is already in the long option's own form. */
		if (strcmp(compat->name, name) == 0 &&
			(!compat->value || (value && strcmp(compat->value, value) == 0)) &&
			(!compat->becomes || !value || !strchr(value, '=')))
			return compat;
	}
	return NULL;
}

/* Takes back what an option set. -ENOENT for one that cannot be taken back. */
static int turn_off(struct gw_options *options, const struct gw_option *option)
{
	if (option && option->set == gw_set_flag) {
		*(bool *)((char *)options + option->offset) = false;
		return 0;
	}
	if (option && option->argument && strstr(option->argument, "never"))
		return option->set(option, options, "never");
	return -ENOENT;
}

/* The opposite of an option that has a row: NAME for "no-NAME", and "no-NAME" for NAME. */
static int take_opposite(struct gw_options *options, const char *name)
{
	char no[64];

	if (strncmp(name, "no-", 3) == 0)
		return turn_off(options, gw_option_find(name + 3, strlen(name + 3)));
	snprintf(no, sizeof(no), "no-%s", name);
	return turn_off(options, gw_option_find(no, strlen(no)));
}

/* The long option's value for an item's, in `text` if it has to be put together. */
static const char *value_for(
	const struct compat *compat, const char *value, char *text, size_t size)
{
	const char *form = compat ? compat->becomes : NULL;
	size_t len = 0;

	if (!form)
		return value;
	if (!value || !strchr(form, '*'))
		return form;
	text[0] = '\0';
	for (; *form && len < size; form++)
		len += (size_t)snprintf(text + len, size - len, "%.*s", *form == '*' ? INT_MAX : 1,
			*form == '*' ? value : form);
	return text;
}

/* One item of a -o list; it is ours to write to. */
static int take_item(struct gw_options *options, char *item, char *why, size_t size)
{
	char *equals = strchr(item, '='), text[256];
	const char *value = equals ? equals + 1 : NULL;
	const struct gw_option *option;
	const struct compat *compat;
	char spelled[64];

	if (equals)
		*equals = '\0';
	snprintf(spelled, sizeof(spelled), "-o %s", item);
	for (char *c = item; *c; c++)
		*c = *c == '_' ? '-' : *c;
	compat = find_compat(item, value);
	if (compat && !compat->option)
		return 0;
	value = value_for(compat, value, text, sizeof(text));
	option = compat ? gw_option_find(compat->option, strlen(compat->option))
			: gw_option_find(item, strlen(item));
	if (option) {
		int r = gw_option_take(options, option, spelled, value, why, size);

		/* Where both are options, the last one counts. */
		if (!r && !option->argument)
			(void)take_opposite(options, item);
		return r;
	}
	if (!value && take_opposite(options, item) == 0)
		return 0;
	snprintf(why, size, "there is no option '%s'; see --help", spelled);
	return -EINVAL;
}

/*
 * Copies the next item of the list, without what stands for its commas, to the options' own
 * memory. Moves *list to what follows it; NULL when there is no room.
 */
static char *next_item(struct gw_options *options, const char **list)
{
	char *item = options->list + options->list_used;
	const char *from = *list;
	size_t len = 0, room = sizeof(options->list) - options->list_used;

	while (*from && (*from != ',' || from[1] == ',')) {
		if ((*from == '\\' || *from == ',') && from[1])
			from++;
		if (len + 1 >= room)
			return NULL;
		item[len++] = *from++;
	}
	if (room == 0)
		return NULL;
	item[len] = '\0';
	options->list_used += len + 1;
	*list = *from ? from + 1 : from;
	return item;
}

static int take_list(struct gw_options *options, const char *list, char *why, size_t size)
{
	int r = 0;

	while (*list && !r) {
		char *item = next_item(options, &list);

		if (!item) {
			snprintf(why, size, "the lists behind -o are too long: %d bytes at most",
				GW_LIST_MAX);
			return -EINVAL;
		}
		if (*item)
			r = take_item(options, item, why, size);
	}
	return r;
}

static int take_long(struct gw_options *options, const char *name, const char *value)
{
	const struct gw_option *option = gw_option_find(name, strlen(name));

	return option->set(option, options, value);
}

/* One letter that takes no value; -f does nothing: we stay in the foreground. */
static void take_letter(struct gw_options *options, char letter)
{
	if (letter == 'd')
		(void)take_long(options, "log-level", "debug");
	else if (letter == 'V')
		(void)take_long(options, "version", NULL);
	else if (letter == 'h')
		(void)take_long(options, "help", NULL);
}

int gw_compat_short(
	struct gw_options *options, int argc, char **argv, int *at, char *why, size_t size)
{
	size_t letters;
	const char *rest;

	if (argv[*at][0] != '-')
		return -ENOENT;
	letters = strspn(argv[*at] + 1, "fdVh");
	rest = argv[*at] + 1 + letters;
	if ((!letters && *rest != 'o') || (*rest && *rest != 'o'))
		return -ENOENT;
	for (size_t i = 0; i < letters; i++)
		take_letter(options, argv[*at][1 + i]);
	if (!*rest)
		return 0;
	if (rest[1])
		return take_list(options, rest + 1, why, size);
	if (*at + 1 < argc)
		return take_list(options, argv[++*at], why, size);
	snprintf(why, size, "-o needs a value: options with commas between");
	return -EINVAL;
}
