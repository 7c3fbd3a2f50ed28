/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of `virtiofs-frontend mount`. */
#include "gateway/frontend/mount.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "vhostuser/checked.h"
#include "vhostuser/number.h"

enum { OPT_CONNECT = 256, OPT_LISTEN, OPT_QUEUES, OPT_FOREGROUND };

static const struct option longs[] = {
	{"connect", required_argument, NULL, OPT_CONNECT},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"foreground", no_argument, NULL, OPT_FOREGROUND},
	{"options", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* mount(8)'s words for mount(2)'s flags, and for what is the case in any event. */
static const struct flag {
	const char *name;
	unsigned long set, clear;
} flags[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME},
	{"atime", 0, MS_NOATIME},
	{"nodiratime", MS_NODIRATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME},
	{"strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC, 0},
	{"defaults", 0, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS},
	{"default_permissions", 0, 0},
	{"allow_other", 0, 0},
};

static bool take_flag(struct fm_options *o, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(word, flags[i].name) != 0)
			continue;
		o->flags = (o->flags & ~flags[i].clear) | flags[i].set;
		return true;
	}
	return false;
}

/* The value of `name=value`, or NULL. */
static const char *value_of(const char *word, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(word, name, n) && word[n] == '=' ? word + n + 1 : NULL;
}

/* One word of -o; false with a sentence in `why` when it cannot be had. */
static bool take_word(struct fm_options *o, const char *word, char *why, size_t size)
{
	const char *source = value_of(word, "source");

	if (!source)
		source = value_of(word, "fsname");
	if (source) {
		if (*source && strlen(source) < sizeof(o->source)) {
			snprintf(o->source, sizeof(o->source), "%s", source);
			return true;
		}
		snprintf(why, size, "-o %s: its value is empty or too long", word);
		return false;
	}
	if (!strcmp(word, "dax") || value_of(word, "dax")) {
		snprintf(why, size,
			"-o %s: DAX is for virtual machines: the host's kernel has no window into "
			"a back-end",
			word);
		return false;
	}
	if (!*word || !strncmp(word, "x-", 2) || take_flag(o, word))
		return true;
	snprintf(why, size, "-o %s: unknown", word);
	return false;
}

static bool take_words(struct fm_options *o, const char *words, char *why, size_t size)
{
	char *copy = strdup(words), *rest = copy, *word;
	bool good = copy != NULL;

	if (!good)
		snprintf(why, size, "out of memory");
	while (good && (word = strsep(&rest, ",")))
		good = take_word(o, word, why, size);
	free(copy);
	return good;
}

static bool take_option(struct fm_options *o, int opt, const char *value, char *why, size_t size)
{
	uint64_t n = 0;

	switch (opt) {
	case OPT_CONNECT:
	case OPT_LISTEN:
		if (o->socket)
			snprintf(why, size, "there is one socket, not two");
		o->socket = value;
		o->listen = opt == OPT_LISTEN;
		break;
	case OPT_QUEUES:
		if (vu_number_parse(value, 10, FM_QUEUES_MAX, &n) || n == 0)
			snprintf(why, size, "--queues %s: from 1 to %d", value, FM_QUEUES_MAX);
		o->queues = (unsigned int)n;
		break;
	case 'o':
		return take_words(o, value, why, size);
	case OPT_FOREGROUND:
		break;
	case 'h':
		o->help = true;
		break;
	default:
		return false;
	}
	return !*why;
}

static const char *complete(struct fm_options *o, int argc, char **argv)
{
	if (!o->socket && optind < argc)
		o->socket = argv[optind++];
	if (!o->socket)
		return "the socket is missing: SOCKET, --connect SOCKET or --listen SOCKET";
	if (optind == argc)
		return "the directory to mount on is missing";
	o->dir = argv[optind++];
	if (optind < argc)
		return "there is one argument too many";
	if (!*o->source)
		snprintf(o->source, sizeof(o->source), "%s", o->socket);
	return NULL;
}

int fm_options_parse(struct fm_options *options, int argc, char **argv, char *why, size_t size)
{
	const char *wrong;
	int opt;

	*options = (struct fm_options){.queues = 1};
	*why = '\0';
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "ho:", longs, NULL)) != -1) {
		if (!take_option(options, opt, optarg, why, size)) {
			if (!*why)
				snprintf(why, size, "%s: unknown, or its value is missing",
					argv[optind - 1]);
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
