/* SPDX-License-Identifier: BSD-3-Clause */
/* What the exit status of virtiofs-frontend says. Part of the interface: never renumber. */
#pragma once

enum ft_exit {
	FT_EXIT_OK = 0,       /* all well; unmounted */
	FT_EXIT_FAILED = 1,   /* a wrong byte, a failed check; mounting or unmounting failed */
	FT_EXIT_USAGE = 2,    /* an option is unknown, missing or has a bad value */
	FT_EXIT_PROTOCOL = 3, /* the back-end is not there, left, or lacks or broke something */
};
