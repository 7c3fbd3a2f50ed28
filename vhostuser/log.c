/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines to standard error.
 *
 * Theory of operation: a line is put together on the caller's stack and leaves with one write(2),
 * so lines of different threads never mix and logging takes no lock. Control bytes become '?':
 * a file name out of a guest can neither forge a second line nor speak to a terminal. A line that
 * is too long is cut. What cannot be written (no reader, full disk) is lost; logging never fails.
 *
 * A site's rate limit counts the lines of the current second. Its three counters are independent
 * atomics: two threads at a window's edge may let a line more or less through, which is fine.
 */
#include "vhostuser/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vhostuser/checked.h"

/* One line with its newline: a path of PATH_MAX need not fit, a name of 255 bytes does twice. */
#define LINE_MAX_SIZE 1024

/* Lines that one site may write in a second. */
#define SITE_BURST 5

_Atomic int vu_log_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_OFF] = "off",
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const char *const level_tags[] = {
	[LOG_LEVEL_OFF] = "OFF",
	[LOG_LEVEL_ERROR] = "ERROR",
	[LOG_LEVEL_WARN] = "WARN",
	[LOG_LEVEL_INFO] = "INFO",
	[LOG_LEVEL_DEBUG] = "DEBUG",
};
static_assert(ARRAY_SIZE(level_tags) == ARRAY_SIZE(level_names), "a tag for each level");

void vu_log_write(enum log_level level, const char *object, const char *format, ...)
{
	int saved = errno;
	char line[LINE_MAX_SIZE];
	size_t len = 0;
	va_list args;
	int n;

	n = snprintf(line, sizeof(line), "%s %s: ", level_tags[level], object);
	if (n > 0)
		len = MIN((size_t)n, sizeof(line) - 1);

	va_start(args, format);
	n = vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	if (n > 0)
		len = MIN(len + (size_t)n, sizeof(line) - 1);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';

	ssize_t written;
	do
		written = write(STDERR_FILENO, line, len);
	while (written < 0 && errno == EINTR);
	errno = saved;
}

int vu_log_site_open(struct vu_log_site *site, const char *object)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	/* + 1: the 0 of a fresh site is no window */
	uint64_t window = (uint64_t)now.tv_sec + 1;
	uint64_t old = atomic_load_explicit(&site->window, memory_order_relaxed);

	if (old != window && atomic_compare_exchange_strong(&site->window, &old, window)) {
		uint32_t swallowed = atomic_exchange(&site->swallowed, 0);

		atomic_store(&site->count, 0);
		if (swallowed)
			vu_log_write(LOG_LEVEL_WARN, object,
				"%u more lines like the next one were not logged", swallowed);
	}

	if (atomic_fetch_add(&site->count, 1) < SITE_BURST)
		return 1;
	atomic_fetch_add(&site->swallowed, 1);
	return 0;
}

int vu_log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}
