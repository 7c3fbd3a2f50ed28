/* SPDX-License-Identifier: BSD-3-Clause */
/* `virtiofs-frontend bench`: from the command line to the exit status. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/bench_window.h"
#include "gateway/frontend/dax.h"

static const char help[] =
	"Usage: virtiofs-frontend bench SOCKET [options]\n"
	"\n"
	"Measures the virtio-fs back-end at SOCKET, whichever it is, with no VM: works in a "
	"directory\n"
	"of its own in the share, checks every reply, and removes the directory again.\n"
	"\n"
	"  --connect SOCKET    the back-end listens there (the same as SOCKET alone)\n"
	"  --listen SOCKET     wait there for a back-end that connects\n"
	"  --rows LIST         what to measure, by comma (default: all that the back-end can);\n"
	"                      NAME@DEPTH has a depth of its own\n"
	"  --depth N           operations in flight on each queue, 1 to 64 (default 1)\n"
	"  --queues N          request queues, 1 to 64, each with a thread (default 1)\n"
	"  --block SIZE        bytes that the rows read and write, in the place of 4k and 1m\n"
	"  --seconds N         time for each row (default 2), after a tenth of it to warm up\n"
	"  --count N           operations in each row, in the place of a time\n"
	"  --wait event|poll   sleep until the back-end calls (default), or look all the time\n"
	"  --pid PID           the back-end's process (default: who listens at SOCKET)\n"
	"  --json              results as one JSON object, a line for each row\n"
	"\n"
	"Rows:\n";

static const char help_end[] = "\n"
			       "cpu us and switches are the back-end's, with its threads and "
			       "children; kicks are what it was\n"
			       "sent, calls what it sent; all for each operation.\n"
			       "\n"
			       "Exit status: 0 all well, 1 a wrong reply or byte, 2 usage, 3 the "
			       "back-end is not there, went\n"
			       "away, or lacks or broke something.\n";

static void print_help(void)
{
	fputs(help, stdout);
	for (unsigned int i = 0; i < fb_n_rows; i++)
		printf("  %-18s  %s\n", fb_rows[i].name, fb_rows[i].about);
	fputs(help_end, stdout);
}

static enum ft_exit run_row(struct fb_device *device, const struct fb_pick *pick, bool first)
{
	const struct fb_options *o = device->options;
	struct fb_result *result = calloc(1, sizeof(*result));
	enum ft_exit status = FT_EXIT_OK;

	if (!result) {
		fb_device_error(device, "no memory for a result");
		return FT_EXIT_PROTOCOL;
	}
	if (pick->row->window && !fb_window_size(device)) {
		*result = (struct fb_result){.row = pick->row,
			.depth = pick->depth ? pick->depth : o->depth,
			.queues = o->queues,
			.skipped = "the back-end has no DAX window"};
		status = o->named ? FT_EXIT_PROTOCOL : FT_EXIT_OK;
	} else if (fb_run(device, pick, result) < 0)
		status = FT_EXIT_PROTOCOL;
	else if (result->failures)
		status = FT_EXIT_FAILED;
	if (status != FT_EXIT_PROTOCOL || result->skipped)
		fb_report_row(o, result, first);
	free(result);
	return status;
}

static enum ft_exit run_all(struct fb_device *device)
{
	const struct fb_options *o = device->options;
	enum ft_exit status = FT_EXIT_OK;

	for (unsigned int i = 0; i < o->n_picks; i++) {
		enum ft_exit r = run_row(device, &o->picks[i], i == 0);

		if (r == FT_EXIT_PROTOCOL && atomic_load(&device->broken))
			return r;
		if (r > status)
			status = r;
	}
	return status;
}

enum ft_exit fb_main(int argc, char **argv)
{
	struct fb_options options;
	struct fb_device device;
	enum ft_exit status;
	char why[256];

	if (fb_options_parse(&options, argc, argv, why, sizeof(why)) < 0) {
		fprintf(stderr, "virtiofs-frontend: %s (see bench --help)\n", why);
		return FT_EXIT_USAGE;
	}
	if (options.help) {
		print_help();
		return FT_EXIT_OK;
	}
	fb_report_title(&options);
	status = fb_device_open(&device, &options);
	if (status == FT_EXIT_OK)
		status = run_all(&device);
	fb_device_close(&device);
	fb_report_end(&options, status, device.error);
	return status;
}
