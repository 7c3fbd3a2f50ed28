/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What newer protocols have and the headers that we build with may lack (Debian 12's speak 7.38):
 * opcodes, INIT flags and structs up to 7.45, under the kernel's names where those are macros.
 */
#pragma once

#include <linux/fuse.h>
#include <stdint.h>

#include "vhostuser/checked.h"

/* Opcodes. Not enumerators here, so that they can stand beside a header's own. */
#define FS_OP_STATX              52u /* 7.39 */
#define FS_OP_COPY_FILE_RANGE_64 53u /* 7.45 */

/* Flags of INIT. */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34) /* 7.38 */
#endif
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36) /* 7.39 */
#endif
#ifndef FUSE_ALLOW_IDMAP
#define FUSE_ALLOW_IDMAP (1ULL << 40) /* 7.41 */
#endif

/* The type of the extension that lists groups; lower ones count security contexts. */
#define FS_EXT_GROUPS 32u

struct fs_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
} __attribute__((packed));
WIRE_SIZE(struct fs_supp_groups, 4);

struct fs_statx_in {
	uint32_t getattr_flags; /* FUSE_GETATTR_FH */
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags; /* AT_STATX_* */
	uint32_t sx_mask;  /* STATX_* */
} __attribute__((packed));
WIRE_SIZE(struct fs_statx_in, 24);
WIRE_OFFSET(struct fs_statx_in, sx_mask, 20);

struct fs_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
} __attribute__((packed));
WIRE_SIZE(struct fs_sx_time, 16);

struct fs_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0[1];
	uint64_t ino, size, blocks, attributes_mask;
	struct fs_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
} __attribute__((packed));
WIRE_SIZE(struct fs_statx, 256);
WIRE_OFFSET(struct fs_statx, ino, 32);
WIRE_OFFSET(struct fs_statx, atime, 64);
WIRE_OFFSET(struct fs_statx, rdev_major, 128);

struct fs_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct fs_statx stat;
} __attribute__((packed));
WIRE_SIZE(struct fs_statx_out, 288);

/* Answers COPY_FILE_RANGE_64; its arguments are COPY_FILE_RANGE's. */
struct fs_copy_out {
	uint64_t bytes_copied;
} __attribute__((packed));
WIRE_SIZE(struct fs_copy_out, 8);
