/* SPDX-License-Identifier: BSD-3-Clause */
/* What a process of this machine has used of its processors. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct fb_usage {
	uint64_t cpu_ns;   /* user and system, of threads that ended too */
	uint64_t switches; /* context switches of the threads that there are */
};

/*
 * Of a process, all its threads and its descendants. -ESRCH: it is not there; -errno.
 */
int fb_usage_read(pid_t pid, struct fb_usage *usage);
