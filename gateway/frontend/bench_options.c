/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of `virtiofs-frontend bench`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/text.h"
#include "vhostuser/checked.h"

enum {
	OPT_CONNECT = 256,
	OPT_LISTEN,
	OPT_ROWS,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_BLOCK,
	OPT_SECONDS,
	OPT_COUNT,
	OPT_WAIT,
	OPT_PID,
	OPT_JSON
};

/* What a value may be, where it is refused. */
static const struct {
	struct option option;
	const char *rule;
} known[] = {
	{{"connect", required_argument, NULL, OPT_CONNECT}, "one socket, once"},
	{{"listen", required_argument, NULL, OPT_LISTEN}, "one socket, once"},
	{{"rows", required_argument, NULL, OPT_ROWS},
		"names of rows, NAME or NAME@DEPTH, by comma"},
	{{"depth", required_argument, NULL, OPT_DEPTH}, "a number from 1 to 64"},
	{{"queues", required_argument, NULL, OPT_QUEUES}, "a number from 1 to 64"},
	{{"block", required_argument, NULL, OPT_BLOCK}, "a multiple of 4096 up to 1M"},
	{{"seconds", required_argument, NULL, OPT_SECONDS}, "a number from 0.01 to 86400"},
	{{"count", required_argument, NULL, OPT_COUNT}, "a number from 1 on"},
	{{"wait", required_argument, NULL, OPT_WAIT}, "event or poll"},
	{{"pid", required_argument, NULL, OPT_PID}, "a process's number"},
	{{"json", no_argument, NULL, OPT_JSON}, "nothing"},
	{{"help", no_argument, NULL, 'h'}, "nothing"},
};

static bool take_number(const char *text, uint64_t min, uint64_t max, unsigned int *value)
{
	uint64_t n;

	if (!ft_number(text, "KM", min, max, &n))
		return false;
	*value = (unsigned int)n;
	return true;
}

static bool take_seconds(struct fb_options *o, const char *text)
{
	char *end;

	o->seconds = strtod(text, &end);
	return end != text && !*end && o->seconds >= 0.01 && o->seconds <= 86400;
}

/* NAME or NAME@DEPTH. */
static bool take_row(struct fb_options *o, char *word)
{
	char *at = strchr(word, '@');
	struct fb_pick pick = {0};

	if (at) {
		*at = '\0';
		if (!take_number(at + 1, 1, FB_DEPTH_MAX, &pick.depth))
			return false;
	}
	pick.row = fb_row_find(word);
	if (!pick.row || o->n_picks == FB_PICKS_MAX)
		return false;
	o->picks[o->n_picks++] = pick;
	return true;
}

static bool take_rows(struct fb_options *o, const char *list)
{
	char *copy = strdup(list), *at = copy, *word;
	bool good = copy != NULL;

	o->n_picks = 0;
	o->named = true;
	while (good && (word = strsep(&at, ",")) != NULL)
		good = take_row(o, word);
	free(copy);
	return good;
}

static bool take_option(struct fb_options *o, int opt, const char *value)
{
	unsigned int n = 0;
	bool good = true;

	switch (opt) {
	case OPT_CONNECT:
	case OPT_LISTEN:
		good = !o->socket;
		o->socket = value;
		o->listen = opt == OPT_LISTEN;
		break;
	case OPT_ROWS:
		return take_rows(o, value);
	case OPT_DEPTH:
		return take_number(value, 1, FB_DEPTH_MAX, &o->depth);
	case OPT_QUEUES:
		return take_number(value, 1, FB_QUEUES_MAX, &o->queues);
	case OPT_BLOCK:
		good = take_number(value, FB_PAGE, FB_BLOCK_MAX, &n) && n % FB_PAGE == 0;
		o->block = n;
		break;
	case OPT_SECONDS:
		return take_seconds(o, value);
	case OPT_COUNT:
		return ft_number(value, "KM", 1, UINT64_MAX, &o->count);
	case OPT_WAIT:
		o->poll = !strcmp(value, "poll");
		return o->poll || !strcmp(value, "event");
	case OPT_PID:
		good = take_number(value, 1, INT32_MAX, &n);
		o->pid = (pid_t)n;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case 'h':
		o->help = true;
		break;
	default:
		good = false;
		break;
	}
	return good;
}

/* What only shows when all options are known. */
static const char *complete(struct fb_options *o, int argc, char **argv)
{
	if (!o->socket && optind < argc)
		o->socket = argv[optind++];
	if (!o->socket)
		return "the socket is missing: SOCKET, --connect SOCKET or --listen SOCKET";
	if (optind < argc)
		return "there is one argument too many";
	for (unsigned int i = 0; !o->named && i < fb_n_rows && i < FB_PICKS_MAX; i++)
		o->picks[o->n_picks++] = (struct fb_pick){.row = &fb_rows[i]};
	return NULL;
}

int fb_options_parse(struct fb_options *options, int argc, char **argv, char *why, size_t size)
{
	struct option longs[ARRAY_SIZE(known) + 1] = {0};
	const char *wrong;
	int opt, index = -1;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		longs[i] = known[i].option;
	*options = (struct fb_options){.depth = 1, .queues = 1, .seconds = 2};
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "h", longs, &index)) != -1) {
		if (!take_option(options, opt, optarg)) {
			if (opt == '?')
				snprintf(why, size, "%s: unknown, or its value is missing",
					argv[optind - 1]);
			else
				snprintf(why, size, "--%s takes %s, not '%s'",
					known[index].option.name, known[index].rule,
					optarg ? optarg : "");
			return -EINVAL;
		}
		if (options->help)
			return 0;
	}
	wrong = complete(options, argc, argv);
	if (wrong)
		snprintf(why, size, "%s", wrong);
	return wrong ? -EINVAL : 0;
}
