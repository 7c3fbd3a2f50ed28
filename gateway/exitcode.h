/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program's exit status says. Part of the interface: never renumber. */
#pragma once

enum gw_exit {
	GW_EXIT_OK = 0,       /* ended by SIGTERM, SIGINT or SIGHUP, or the front-end left */
	GW_EXIT_INTERNAL = 1, /* our fault, or the machine's: out of memory, killed by a signal */
	GW_EXIT_USAGE = 2,    /* an option is unknown, missing or has a bad value */
	GW_EXIT_CONFIG = 3,   /* the shared directory is missing, no directory, or not permitted */
	GW_EXIT_SOCKET = 4,   /* the socket cannot be made, found or used */
	GW_EXIT_SANDBOX = 5,  /* confinement could not be put in place */
	GW_EXIT_PROTOCOL = 6, /* the front-end broke the protocol, or asked what cannot be */
};
