/* SPDX-License-Identifier: BSD-3-Clause */
/* What a failed call to a back-end is called, for whoever looks for the cause. */
#pragma once

#include <errno.h>

/* What goes before the words of `error` (-errno) when there is no connection. */
static inline const char *ft_connect_failed(int error)
{
	return error == -EACCES || error == -EPERM ? "we may not connect to the back-end"
						   : "no back-end is there";
}

/* What goes behind them when the back-end did not answer (-ETIMEDOUT); else nothing. */
static inline const char *ft_open_hint(int error)
{
	return error == -ETIMEDOUT ? "; it may be serving another front-end, one at a time" : "";
}
