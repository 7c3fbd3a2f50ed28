/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of kinds that only virtiofsd's options have. */
#include "gateway/option.h"

int gw_set_modcaps(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	return gw_modcaps_parse(&options->modcaps, value);
}
