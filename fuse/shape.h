/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gate 3: what a well-formed FUSE request looks like, before libfuse sees it.
 *
 * libfuse trusts the kernel: it compares no length with what was received and searches names for a
 * NUL that may not be there. Here the sender is a guest. Behind this gate nobody checks again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What follows the fixed arguments and the names. */
enum fs_tail {
	FS_TAIL_NONE,    /* nothing */
	FS_TAIL_TARGET,  /* a symlink's target: NUL-terminated, any bytes, not a name */
	FS_TAIL_FORGETS, /* BATCH_FORGET's entries, as many as the arguments say */
	FS_TAIL_RANGES,  /* REMOVEMAPPING's ranges, as many as the arguments say, 1..256 */
	FS_TAIL_IOCTL,   /* IOCTL's data, as much as the arguments say */
	FS_TAIL_DATA,    /* WRITE's data: stays in guest memory */
	FS_TAIL_XATTR,   /* the name of an extended attribute */
	FS_TAIL_VALUE,   /* the same and its value, as long as the arguments say */
	FS_TAIL_ANY,     /* longer arguments of other versions of the protocol: INIT */
};

#define FS_SHAPE_SILENT (1U << 0) /* never answered, and at home on the hiprio queue too */
#define FS_SHAPE_DEFER  (1U << 1) /* blocks by nature: never on the queue's thread */
#define FS_SHAPE_READS  (1U << 2) /* a fuse_read_in; its size is cut to the room there is */
#define FS_SHAPE_LISTS  (1U << 3) /* and to FS_LIST_MAX: put together in private memory */
#define FS_SHAPE_EXT    (1U << 4) /* extensions may follow the names (ext.h), if agreed on */

/*
 * The longest listing of one READDIR or READDIRPLUS; a shorter one than asked for is right. Guests
 * ask for 4 KiB, newer ones for more.
 */
#define FS_LIST_MAX (128 * 1024)

/* Ranges of one REMOVEMAPPING: a page full of them is the most that guests send. */
#define FS_RANGES_MAX 256

/* Data that comes with one IOCTL: a page is what guests round some of them up to. */
#define FS_IOCTL_DATA_MAX 4096

struct fs_shape {
	bool carried;    /* false: ENOSYS */
	uint8_t names;   /* names after the arguments */
	uint8_t tail;    /* enum fs_tail */
	uint8_t flags;   /* FS_SHAPE_* */
	uint16_t args;   /* size of the fixed arguments */
	uint16_t answer; /* the least that the writable part holds after the out-header */
};

/* The opcode's row; NULL when we do not carry it. */
const struct fs_shape *fs_shape_find(uint32_t opcode);

/* The opcode's name for the log, carried or not; "?" when the protocol does not know it. */
const char *fs_opcode_name(uint32_t opcode);

/*
 * Judges the arguments' length as the guest says it. *copied gets how many bytes are copied to
 * private memory: all, but for WRITE's data and for what a newer INIT adds. -EINVAL, -ENAMETOOLONG.
 */
int fs_shape_measure(const struct fs_shape *shape, size_t len, size_t *copied);

/*
 * Checks the private copy, after fs_shape_measure. `agreed`: the session's flags, which decide what
 * some requests look like; 0 without a session. 0, or the error that the guest gets.
 */
int fs_shape_check(const struct fs_shape *shape, const void *args, size_t len, uint64_t agreed);

/*
 * Of a request that was checked, with FS_SHAPE_EXT: where its extensions begin, and their *size in
 * bytes; 0: none. `len` is that of the arguments.
 */
const void *fs_shape_ext(const struct fs_shape *shape, const void *args, size_t len, size_t *size);
