/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of `virtiofs-frontend dax`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/frontend/dax.h"
#include "gateway/frontend/text.h"
#include "vhostuser/checked.h"

enum {
	OPT_CONNECT = 256,
	OPT_LISTEN,
	OPT_DIALECT,
	OPT_WINDOW,
	OPT_SECONDS,
	OPT_COUNT,
	OPT_SEED,
	OPT_DEPTH,
	OPT_FAULT,
	OPT_JSON,
	OPT_HELP
};
#define BIT_OF(opt) (UINT32_C(1) << ((opt)-OPT_CONNECT))

static const struct option longs[] = {
	{"connect", required_argument, NULL, OPT_CONNECT},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"dialect", required_argument, NULL, OPT_DIALECT},
	{"window", required_argument, NULL, OPT_WINDOW},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"count", required_argument, NULL, OPT_COUNT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"fault", required_argument, NULL, OPT_FAULT},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const char *const verbs[] = {"verify", "storm", "fault"};

static const char *const faults[FW_FAULTS] = {
	[FW_FAULT_REFUSE] = "refuse",
	[FW_FAULT_DELAY] = "delay",
	[FW_FAULT_ACK_LATE_REGION] = "ack-late-region",
	[FW_FAULT_DROP] = "drop",
	[FW_FAULT_SHORT] = "short",
	[FW_FAULT_DIE] = "die",
};

/* What a value may be, where it is refused. */
static const struct {
	int opt;
	const char *rule;
} rules[] = {
	{OPT_CONNECT, "one socket, once"},
	{OPT_LISTEN, "one socket, once"},
	{OPT_DIALECT, "seed, fs-v2, fs-count or shmem"},
	{OPT_WINDOW, "a multiple of 4096 from 4M to 1024G"},
	{OPT_SECONDS, "a number from 1 to 86400"},
	{OPT_COUNT, "a number from 1 on"},
	{OPT_SEED, "a number"},
	{OPT_DEPTH, "a number from 1 to 64"},
	{OPT_FAULT, "refuse, delay, ack-late-region, drop, short or die"},
};
static_assert(FU_DEPTH_MAX == 64, "the rule says so");

static const char *rule_of(int opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].opt == opt)
			return rules[i].rule;
	return "nothing";
}

const char *ft_fault_name(enum fw_fault fault)
{
	return faults[fault];
}

static bool fault_named(const char *name, enum fw_fault *fault)
{
	for (unsigned int i = 1; i < FW_FAULTS; i++) {
		if (!strcmp(name, faults[i])) {
			*fault = (enum fw_fault)i;
			return true;
		}
	}
	return false;
}

static bool take_option(struct ft_options *o, int opt, const char *value)
{
	uint64_t n = 0;
	bool good = true;

	switch (opt) {
	case OPT_CONNECT:
	case OPT_LISTEN:
		good = !o->socket;
		o->socket = value;
		o->listen = opt == OPT_LISTEN;
		break;
	case OPT_DIALECT:
		o->dialect = dax_dialect_find(value);
		good = o->dialect != NULL;
		break;
	case OPT_WINDOW:
		good = ft_number(value, "KMG", 4u << 20, UINT64_C(1) << 40, &o->window) &&
		       o->window % FT_PAGE == 0;
		break;
	case OPT_SECONDS:
		good = ft_number(value, "KMG", 1, 86400, &n);
		o->seconds = (unsigned int)n;
		break;
	case OPT_COUNT:
		good = ft_number(value, "KMG", 1, UINT64_MAX, &o->count);
		break;
	case OPT_SEED:
		good = ft_number(value, "KMG", 0, UINT64_MAX, &o->seed);
		break;
	case OPT_DEPTH:
		good = ft_number(value, "KMG", 1, FU_DEPTH_MAX, &n);
		o->depth = (unsigned int)n;
		break;
	case OPT_FAULT:
		good = fault_named(value, &o->fault);
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_HELP:
		o->verb = FT_HELP;
		break;
	default:
		good = false;
		break;
	}
	return good;
}

/* What would have no effect is refused: `given` has a bit for each option. */
static const char *idle_option(const struct ft_options *o, uint32_t given)
{
	if (o->verb != FT_STORM && given & BIT_OF(OPT_SECONDS))
		return "--seconds is for storm alone";
	if (o->verb != FT_STORM && given & BIT_OF(OPT_DEPTH))
		return "--depth is for storm alone";
	if (o->verb != FT_VERIFY && given & BIT_OF(OPT_COUNT))
		return "--count is for verify alone";
	if (o->shmem && given & BIT_OF(OPT_WINDOW))
		return "--window is not for the dialect shmem, where the back-end says the size";
	return NULL;
}

/* What only shows when all options are known. */
static const char *disagree(struct ft_options *o, uint32_t given)
{
	o->shmem = dax_dialect_batch(o->dialect) == 1;
	if (o->verb == FT_FAULT && o->fault == FW_FAULT_NONE)
		return "fault needs --fault refuse|delay|ack-late-region|drop|short|die";
	if (o->verb != FT_FAULT && o->fault != FW_FAULT_NONE)
		return "--fault is for `fault`, not for verify or storm";
	if (o->fault == FW_FAULT_ACK_LATE_REGION && !o->shmem)
		return "only the dialect shmem has memory regions that can be late";
	return idle_option(o, given);
}

/* FT_HELP: of none. */
static enum ft_verb verb_of(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(name, verbs[i]))
			return (enum ft_verb)i;
	return FT_HELP;
}

static const char *complete(struct ft_options *o, int argc, char **argv, uint32_t given,
	char *unknown, size_t size)
{
	const char *verb = optind < argc ? argv[optind++] : "";

	o->verb = verb_of(verb);
	if (o->verb == FT_HELP && *verb) {
		snprintf(unknown, size, "'%s' is unknown: verify, storm or fault", verb);
		return unknown;
	}
	if (o->verb == FT_HELP)
		return "what to do is missing: verify, storm or fault";
	if (!o->socket && optind < argc)
		o->socket = argv[optind++];
	if (!o->socket)
		return "the socket is missing: SOCKET, --connect SOCKET or --listen SOCKET";
	if (optind < argc)
		return "there is one argument too many";
	return disagree(o, given);
}

int ft_options_parse(struct ft_options *options, int argc, char **argv, char *why, size_t size)
{
	const char *wrong = NULL;
	uint32_t given = 0;
	int opt, index = -1;

	*options = (struct ft_options){
		.dialect = dax_dialect_find("shmem"),
		.window = UINT64_C(256) << 20,
		.seconds = 5,
		.count = 100000,
		.seed = (uint64_t)time(NULL),
		.depth = 16,
	};
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "h", longs, &index)) != -1) {
		if (opt == 'h')
			opt = OPT_HELP;
		if (!take_option(options, opt, optarg)) {
			if (opt == '?')
				snprintf(why, size, "%s: unknown, or its value is missing",
					argv[optind - 1]);
			else
				snprintf(why, size, "--%s takes %s, not '%s'", longs[index].name,
					rule_of(opt), optarg ? optarg : "");
			return -EINVAL;
		}
		given |= BIT_OF(opt);
		if (options->verb != FT_HELP)
			continue;
		/* Its verb stands first, if it is there. */
		options->help = verb_of(argc > 1 ? argv[1] : "");
		return 0;
	}
	wrong = complete(options, argc, argv, given, why, size);
	if (wrong && wrong != why)
		snprintf(why, size, "%s", wrong);
	return wrong ? -EINVAL : 0;
}
