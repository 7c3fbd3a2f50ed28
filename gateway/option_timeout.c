/* SPDX-License-Identifier: BSD-3-Clause */
/* --timeout KIND=SECONDS,...: each kind at most once, fractions down to the nanosecond. */
#include <errno.h>
#include <string.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"
#include "vhostuser/number.h"

/* Some seventy years: what a guest's clock adds to the time of day without trouble. */
#define SECONDS_MAX UINT32_C(0x7fffffff)
#define NSEC_DIGITS 9

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits of `text` up to `end`: the whole part, and behind a point nine digits at most. */
static int parse_seconds(const char *text, const char *end, struct fs_timeout *timeout)
{
	uint64_t sec;
	uint32_t nsec = 0;
	int digits = 0;

	/* What ends the text is no digit. */
	if (vu_number_read(&text, 10, SECONDS_MAX, &sec))
		return -EINVAL;
	if (text < end) {
		if (*text++ != '.' || text == end)
			return -EINVAL;
		for (; text < end && is_digit(*text) && digits < NSEC_DIGITS; text++, digits++)
			nsec = nsec * 10 + (uint32_t)(*text - '0');
	}
	for (; digits < NSEC_DIGITS; digits++)
		nsec *= 10;
	*timeout = (struct fs_timeout){.set = true, .sec = sec, .nsec = nsec};
	return text == end ? 0 : -EINVAL;
}

const char *const gw_timeout_names[FS_TIMEOUTS] = {
	[FS_TIMEOUT_ATTR] = "attr",
	[FS_TIMEOUT_ENTRY] = "entry",
	[FS_TIMEOUT_NEGATIVE] = "negative",
	[FS_TIMEOUT_DIR] = "dir",
};

static struct fs_timeout *find(struct fs_timeout *timeouts, const char *name, size_t len)
{
	for (size_t i = 0; i < FS_TIMEOUTS; i++) {
		if (strlen(gw_timeout_names[i]) == len &&
			memcmp(gw_timeout_names[i], name, len) == 0)
			return &timeouts[i];
	}
	return NULL;
}

/* One KIND=SECONDS of `len` bytes. */
static int take_one(
	struct gw_options *options, struct fs_timeout *given, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len), *end = text + len;
	struct fs_timeout *timeout;

	if (!equals)
		return gw_wrong(options, "'%.*s' is no KIND=SECONDS", (int)MIN(len, 40u), text);
	timeout = find(given, text, (size_t)(equals - text));
	if (!timeout)
		return gw_wrong(options, "'%.*s' is no kind: attr, entry, negative or dir",
			(int)MIN(equals - text, 40), text);
	if (timeout->set)
		return gw_wrong(options, "%.*s is there twice", (int)(equals - text), text);
	if (parse_seconds(equals + 1, end, timeout))
		return gw_wrong(options,
			"%.*s: '%.*s' is no number of seconds from 0 to %u, with at most %d digits "
			"behind the point",
			(int)(equals - text), text, (int)MIN(end - equals - 1, 40), equals + 1,
			SECONDS_MAX, NSEC_DIGITS);
	return 0;
}

int gw_set_timeouts(const struct gw_option *option, struct gw_options *options, const char *value)
{
	struct fs_timeout given[FS_TIMEOUTS] = {0};
	const char *at = value, *end;

	do {
		end = strchrnul(at, ',');
		if (take_one(options, given, at, (size_t)(end - at)))
			return -EINVAL;
		at = end + 1;
	} while (*end);
	memcpy(options->features.timeouts, given, sizeof(given));
	return 0;
}
