/* SPDX-License-Identifier: BSD-3-Clause */
/* The usual kinds of value that an option takes. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"
#include "vhostuser/number.h"

static void *field(const struct gw_option *option, struct gw_options *options)
{
	return (char *)options + option->offset;
}

int gw_set_flag(const struct gw_option *option, struct gw_options *options, const char *value)
{
	*(bool *)field(option, options) = true;
	return 0;
}

int gw_clear_flag(const struct gw_option *option, struct gw_options *options, const char *value)
{
	*(bool *)field(option, options) = false;
	return 0;
}

int gw_set_value(const struct gw_option *option, struct gw_options *options, const char *value)
{
	int number = (int)option->min;

	memcpy(field(option, options), &number, sizeof(number));
	return 0;
}

int gw_set_string(const struct gw_option *option, struct gw_options *options, const char *value)
{
	*(const char **)field(option, options) = value;
	return *value ? 0 : -EINVAL;
}

int gw_set_word(const struct gw_option *option, struct gw_options *options, const char *value)
{
	for (const struct gw_word *word = option->words; word->name; word++) {
		/* Capitals are no matter to Rust virtiofsd. */
		if (strcasecmp(word->name, value) == 0) {
			memcpy(field(option, options), &word->value, sizeof(word->value));
			return 0;
		}
	}
	return -EINVAL;
}

int gw_set_number(const struct gw_option *option, struct gw_options *options, const char *value)
{
	uint64_t number;
	int narrow, r = vu_number_parse(value, 10, MIN(option->max, (uint64_t)INT_MAX), &number);

	if (r || number < option->min)
		return -EINVAL;
	narrow = (int)number;
	memcpy(field(option, options), &narrow, sizeof(narrow));
	return 0;
}

int gw_set_size(const struct gw_option *option, struct gw_options *options, const char *value)
{
	static const char units[] = "KMG";
	uint64_t number;
	const char *unit;
	int r = vu_number_read(&value, 10, UINT64_MAX, &number);

	if (r)
		return r;
	unit = *value ? strchr(units, *value) : NULL;
	if (*value && (!unit || value[1]))
		return -EINVAL;
	if (unit && mul_overflows(number, UINT64_C(1) << (10 * (unit - units + 1)), &number))
		return -EINVAL;
	if (number > option->max || (option->min && number % option->min))
		return -EINVAL;
	*(uint64_t *)field(option, options) = number;
	return 0;
}
