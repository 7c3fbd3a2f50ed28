/* SPDX-License-Identifier: BSD-3-Clause */
/* `virtiofs-frontend dax --help`, of all verbs or of one. */
#include <stdio.h>

#include "gateway/frontend/dax.h"
#include "vhostuser/checked.h"

#define OF(verb) (1u << (verb))
#define ALL      (OF(FT_VERIFY) | OF(FT_STORM) | OF(FT_FAULT))

#define USAGE_OF_ALL                                                                               \
	"Usage: virtiofs-frontend dax verify|storm|fault SOCKET [options]\n"                       \
	"       virtiofs-frontend mount SOCKET DIR [options]    (see mount --help)\n"              \
	"       virtiofs-frontend bench SOCKET [options]        (see bench --help)\n"

static const char *const verbs[] = {
	[FT_VERIFY] =
		"  verify              loads and stores through the window against the files\n",
	[FT_STORM] = "  storm               how fast mappings are made\n",
	[FT_FAULT] = "  fault               a front-end that errs: who is hurt, and who is not\n",
};

static const char *const usages[] = {
	[FT_VERIFY] = "Usage: virtiofs-frontend dax verify SOCKET [options]\n",
	[FT_STORM] = "Usage: virtiofs-frontend dax storm SOCKET [options]\n",
	[FT_FAULT] = "Usage: virtiofs-frontend dax fault SOCKET --fault NAME [options]\n",
	[FT_HELP] = USAGE_OF_ALL,
};

static const struct {
	unsigned int verbs;
	const char *text;
} options[] = {
	{ALL, "  --connect SOCKET    the back-end listens there (the same as SOCKET alone)\n"
	      "  --listen SOCKET     wait there for a back-end that connects\n"
	      "  --dialect NAME      seed, fs-v2, fs-count or shmem (default shmem)\n"
	      "  --window SIZE       the window's bytes, 4M or more (default 256M); not with\n"
	      "                      shmem, where the back-end says it\n"},
	{OF(FT_VERIFY), "  --count N           verify: random operations (default 100000)\n"},
	{OF(FT_STORM), "  --seconds N         storm: how long (default 5)\n"
		       "  --depth N           storm: requests in flight, 1 to 64 (default 16)\n"},
	{OF(FT_FAULT), "  --fault NAME        fault: refuse, delay, ack-late-region, drop, short "
		       "or die\n"},
	{ALL, "  --seed N            of patterns and random operations (default: the time; it is "
	      "told)\n"
	      "  --json              the summary as one JSON object on stdout\n"},
};

void ft_help(FILE *out, enum ft_verb verb)
{
	unsigned int of = verb == FT_HELP ? ALL : OF(verb);

	fputs(usages[verb], out);
	fputs("\ndax tries the DAX window of a virtio-fs back-end with a window of its own, with "
	      "no VM. It\n"
	      "makes files in the shared directory and removes them again.\n\n",
		out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (of & OF(i))
			fputs(verbs[i], out);
	fputs("\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (of & options[i].verbs)
			fputs(options[i].text, out);
	fputs("\nExit status: 0 all well, 1 a wrong byte or a failed check, 2 usage, 3 the "
	      "back-end does not\n"
	      "offer DAX or broke a protocol.\n",
		out);
}
