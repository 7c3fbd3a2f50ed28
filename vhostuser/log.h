/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line a cause, to standard error or the system's log, naming the object that it is
 * about.
 *
 * Any thread may log; each line is one write(2) or send(2). What a guest can trigger goes through
 * log_guest(), which lets through a few lines a second for each place in the code and then says
 * how many it swallowed.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The level in force; lines above it cost one relaxed load. Default LOG_LEVEL_INFO. */
extern _Atomic int vu_log_level;

/* One place that a guest can make speak: state of its rate limit. Statically initialised to 0. */
struct vu_log_site {
	_Atomic uint64_t window; /* second (CLOCK_MONOTONIC) that the count belongs to */
	_Atomic uint32_t count;
	_Atomic uint32_t swallowed;
};

/*
 * From now on, lines go to the system's log: datagrams to the socket at `path` (/dev/log), as
 * syslog(3) sends them, from `ident` (borrowed), facility daemon. Before there are threads.
 * -errno when nobody listens there: nothing changes then.
 */
int vu_log_to_syslog(const char *path, const char *ident);

/* Writes "LEVEL object: message" as one line. `object` names what it is about ("queue 1"). */
void vu_log_write(enum log_level level, const char *object, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* True when this site may speak now; logs how many lines were swallowed when a window ends. */
int vu_log_site_open(struct vu_log_site *site, const char *object);

/* Parses "error", "warn", "info", "debug", "off"; -EINVAL for anything else. */
int vu_log_level_parse(const char *name, enum log_level *level);

#define log_at(level, object, ...)                                                                 \
	do {                                                                                       \
		if (atomic_load_explicit(&vu_log_level, memory_order_relaxed) >= (int)(level))     \
			vu_log_write((level), (object), __VA_ARGS__);                              \
	} while (0)

#define log_error(object, ...) log_at(LOG_LEVEL_ERROR, object, __VA_ARGS__)
#define log_warn(object, ...)  log_at(LOG_LEVEL_WARN, object, __VA_ARGS__)
#define log_info(object, ...)  log_at(LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(object, ...) log_at(LOG_LEVEL_DEBUG, object, __VA_ARGS__)

/* A warning that a guest can trigger: rate-limited by place. */
#define log_guest(object, ...)                                                                     \
	do {                                                                                       \
		static struct vu_log_site site_;                                                   \
		if (atomic_load_explicit(&vu_log_level, memory_order_relaxed) >= LOG_LEVEL_WARN && \
			vu_log_site_open(&site_, (object)))                                        \
			vu_log_write(LOG_LEVEL_WARN, (object), __VA_ARGS__);                       \
	} while (0)
