/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations: libfuse's table, and the table of opcodes that libfuse (3.14) does not carry.
 */
#pragma once

#include <fuse_lowlevel.h>
#include <stdint.h>

struct fs_slot;

/* Handlers called by libfuse; every one of them claims its slot (fs_slot_claim). */
extern const struct fuse_lowlevel_ops fs_ops;

/* Own opcodes: called with a slot that is claimed already. NULL when libfuse carries it. */
typedef void fs_own_op(struct fs_slot *slot);
fs_own_op *fs_own_op_find(uint32_t opcode);
