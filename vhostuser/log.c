/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines to standard error, or to the system's log.
 *
 * Theory of operation: a line is put together on the caller's stack and leaves with one write(2),
 * so lines of different threads never mix and logging takes no lock. Control bytes become '?':
 * a file name out of a guest can neither forge a second line nor speak to a terminal. A line that
 * is too long is cut. What cannot be written (no reader, full disk) is lost; logging never fails.
 *
 * To the system's log it goes as one datagram, without waiting: syslog(3) would take a lock and
 * block on a logger that is stuck, and requests with it. The socket is connected once, when /dev is
 * still in reach; what it does not take any more goes to standard error.
 *
 * A site's rate limit counts the lines of the current second. Its three counters are independent
 * atomics: two threads at a window's edge may let a line more or less through, which is fine.
 */
#include "vhostuser/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
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

static const int syslog_priorities[] = {
	[LOG_LEVEL_OFF] = LOG_ERR,
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARN] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};
static_assert(ARRAY_SIZE(syslog_priorities) == ARRAY_SIZE(level_names), "a priority for each");

/* Constant once there are threads. */
static struct {
	int fd; /* 0: none */
	const char *ident;
} to_syslog;

int vu_log_to_syslog(const char *path, const char *ident)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		r = -errno;
		close(fd);
		return r;
	}
	if (to_syslog.fd > 0)
		close(to_syslog.fd);
	to_syslog.fd = fd;
	to_syslog.ident = ident;
	/* Read now: in a chroot there is no time zone to be found. */
	tzset();
	return 0;
}

/* "<PRIORITY>Mmm dd hh:mm:ss ident[pid]: line", the form that every logger reads (RFC 3164). */
static bool write_syslog(enum log_level level, const char *line, size_t len)
{
	char datagram[LINE_MAX_SIZE + 128], stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	ssize_t sent;
	int n;

	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", localtime_r(&now, &tm));
	n = snprintf(datagram, sizeof(datagram), "<%d>%s %s[%d]: %.*s",
		LOG_DAEMON | syslog_priorities[level], stamp, to_syslog.ident, (int)getpid(),
		(int)len, line);
	do
		sent = send(to_syslog.fd, datagram, MIN((size_t)n, sizeof(datagram) - 1),
			MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

static void write_stderr(const char *line, size_t len)
{
	ssize_t written;

	do
		written = write(STDERR_FILENO, line, len);
	while (written < 0 && errno == EINTR);
}

/* Puts a line together; its length, without a newline. */
static size_t compose(char line[LINE_MAX_SIZE], enum log_level level, const char *object,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static size_t compose(char line[LINE_MAX_SIZE], enum log_level level, const char *object,
	const char *format, va_list args)
{
	size_t len = 0;
	int n = snprintf(line, LINE_MAX_SIZE, "%s %s: ", level_tags[level], object);

	if (n > 0)
		len = MIN((size_t)n, LINE_MAX_SIZE - 1);
	n = vsnprintf(line + len, LINE_MAX_SIZE - len, format, args);
	if (n > 0)
		len = MIN(len + (size_t)n, LINE_MAX_SIZE - 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
	}
	return len;
}

void vu_log_write(enum log_level level, const char *object, const char *format, ...)
{
	char line[LINE_MAX_SIZE];
	int saved = errno;
	va_list args;
	size_t len;

	va_start(args, format);
	len = compose(line, level, object, format, args);
	va_end(args);
	if (to_syslog.fd <= 0 || !write_syslog(level, line, len)) {
		line[len++] = '\n';
		write_stderr(line, len);
	}
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
