/* SPDX-License-Identifier: BSD-3-Clause */
/* `virtiofs-frontend mount`: from the command line to the exit status. */
#include "gateway/frontend/mount.h"

#include <stdio.h>

static const char help[] =
	"Usage: virtiofs-frontend mount SOCKET DIR [options]\n"
	"\n"
	"Mounts on DIR what the virtio-fs back-end at SOCKET shares, by this machine's own kernel, "
	"with\n"
	"no VM. Runs until DIR is unmounted, by SIGTERM, SIGINT, SIGHUP or umount, or the back-end "
	"ends.\n"
	"Prints \"mounted\" when it is.\n"
	"\n"
	"  --connect SOCKET    the back-end listens there (the same as SOCKET alone)\n"
	"  --listen SOCKET     wait there for a back-end that connects\n"
	"  --queues N          request queues, 1 to 64, each with a thread (default 1)\n"
	"  -o OPTION,...       as mount(8) has them: ro, rw, nosuid, nodev, noexec, noatime, "
	"nodiratime,\n"
	"                      relatime, strictatime, sync, dirsync and their opposites;\n"
	"                      source=NAME (or fsname=NAME), as the list of mounts shows it\n"
	"                      (default: SOCKET); default_permissions and allow_other are always "
	"on\n"
	"  --foreground        stay in the foreground (it always does)\n"
	"\n"
	"Exit status: 0 unmounted, 1 nothing could be mounted, or unmounting given up, 2 usage, "
	"3 the\n"
	"back-end is not there, went away or broke a protocol.\n";

enum ft_exit fm_main(int argc, char **argv)
{
	struct fm_options options;
	char why[512];

	if (fm_options_parse(&options, argc, argv, why, sizeof(why)) < 0) {
		fprintf(stderr, "virtiofs-frontend: %s (see mount --help)\n", why);
		return FT_EXIT_USAGE;
	}
	if (options.help) {
		fputs(help, stdout);
		return FT_EXIT_OK;
	}
	return fm_mount(&options);
}
