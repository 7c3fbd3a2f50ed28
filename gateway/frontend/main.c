/* SPDX-License-Identifier: BSD-3-Clause */
/* virtiofs-frontend: the other end of a vhost-user connection, for trying out a back-end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/dax.h"
#include "gateway/frontend/mount.h"
#include "vhostuser/checked.h"

static const char help[] =
	"Usage: virtiofs-frontend dax verify|storm|fault SOCKET [options]\n"
	"       virtiofs-frontend mount SOCKET DIR [options]    (see mount --help)\n"
	"       virtiofs-frontend bench SOCKET [options]        (see bench --help)\n"
	"\n"
	"dax tries the DAX window of a virtio-fs back-end with a window of its own, with no VM. It "
	"makes\n"
	"files in the shared directory and removes them again.\n"
	"\n"
	"  verify              loads and stores through the window against the files\n"
	"  storm               how fast mappings are made\n"
	"  fault               a front-end that errs: who is hurt, and who is not\n"
	"\n"
	"  --connect SOCKET    the back-end listens there (the same as SOCKET alone)\n"
	"  --listen SOCKET     wait there for a back-end that connects\n"
	"  --dialect NAME      seed, fs-v2, fs-count or shmem (default shmem)\n"
	"  --window SIZE       the window's bytes, 4M or more (default 256M); shmem: the back-end "
	"says\n"
	"  --count N           verify: random operations (default 100000)\n"
	"  --seconds N         storm: how long (default 5)\n"
	"  --depth N           storm: requests in flight, 1 to 64 (default 16)\n"
	"  --fault NAME        refuse, delay, ack-late-region, drop, short or die\n"
	"  --seed N            of patterns and random operations (default: the time; it is told)\n"
	"  --json              the summary as one JSON object on stdout\n"
	"\n"
	"Exit status: 0 all well, 1 a wrong byte or a failed check, 2 usage, 3 the back-end does "
	"not\n"
	"offer DAX or broke a protocol.\n";

static enum ft_exit dax(int argc, char **argv)
{
	struct ft_options options;
	struct ft_run run;
	enum ft_exit status;
	char why[256];

	if (ft_options_parse(&options, argc, argv, why, sizeof(why)) < 0) {
		fprintf(stderr, "virtiofs-frontend: %s (see --help)\n", why);
		return FT_EXIT_USAGE;
	}
	if (options.verb == FT_HELP) {
		fputs(help, stdout);
		return FT_EXIT_OK;
	}
	fprintf(stderr, "seed %llu\n", (unsigned long long)options.seed);
	status = ft_open(&run, &options);
	if (status == FT_EXIT_OK)
		status = options.verb == FT_VERIFY  ? ft_verify(&run)
			 : options.verb == FT_STORM ? ft_storm(&run)
						    : ft_fault(&run);
	if (status == FT_EXIT_OK && run.failures)
		status = FT_EXIT_FAILED;
	ft_summary(&run, status);
	ft_close(&run);
	return status;
}

static const struct command {
	const char *name;
	enum ft_exit (*run)(int argc, char **argv);
} commands[] = {
	{"dax", dax},
	{"mount", fm_main},
	{"bench", fb_main},
};

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(help, stdout);
		return FT_EXIT_OK;
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("virtiofs-frontend " GW_VERSION);
		return FT_EXIT_OK;
	}
	if (argc > 1)
		fprintf(stderr,
			"virtiofs-frontend: '%s' is unknown: dax, mount or bench (see --help)\n",
			argv[1]);
	else
		fputs("virtiofs-frontend: the command is missing: dax, mount or bench (see "
		      "--help)\n",
			stderr);
	return FT_EXIT_USAGE;
}
