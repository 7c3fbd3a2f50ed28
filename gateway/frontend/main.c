/* SPDX-License-Identifier: BSD-3-Clause */
/* virtiofs-frontend: the other end of a vhost-user connection, for trying out a back-end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/dax.h"
#include "gateway/frontend/mount.h"
#include "vhostuser/checked.h"

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
		ft_help(stdout, options.help);
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
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		ft_help(stdout, FT_HELP);
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
