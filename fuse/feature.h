/* SPDX-License-Identifier: BSD-3-Clause */
/* What the command line turns on and off in the service, as far as it is about FUSE itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How long the guest may believe what it was told. Each that is not set is the cache mode's; a
 * directory's own attributes and name have DIR's where that is set.
 */
enum fs_timeout_kind {
	FS_TIMEOUT_ATTR,     /* attributes */
	FS_TIMEOUT_ENTRY,    /* that a name leads to an inode */
	FS_TIMEOUT_NEGATIVE, /* that a name leads nowhere; 0, the standard, is never */
	FS_TIMEOUT_DIR,      /* both of the first, of directories */
	FS_TIMEOUTS,
};

struct fs_timeout {
	bool set;
	uint32_t nsec; /* less than a second's */
	uint64_t sec;
};

enum fs_readdirplus {
	FS_READDIRPLUS_AUTO, /* unless the cache mode is never */
	FS_READDIRPLUS_OFF,
	FS_READDIRPLUS_ON,
};

/* Constant for a service. All zero is the plain one; the command line's standard may have more. */
struct fs_features {
	struct fs_timeout timeouts[FS_TIMEOUTS];
	enum fs_readdirplus readdirplus;
	bool killpriv_v2; /* clear setuid and setgid bits here, as the guest asks */
	bool writeback;   /* the guest may keep what is written for a while */
	bool direct_io;   /* the guest's O_DIRECT is the host's */
	bool direct_mmap; /* shared mappings also of files that are not cached */
	bool noatime;     /* the guest's O_NOATIME is the host's */
	bool submounts;   /* other file systems below the share are others to the guest */
};
