/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE_INIT: the agreement at the start of a session (wire.md §6.2).
 */
#pragma once

#include <linux/fuse.h>
#include <stdint.h>

#include "fuse/fs.h"

struct fs_slot;

/* The oldest minor that we serve: VIRTIO asks guests for no less. */
#define FS_MINOR_MIN 31

/* The newest minor that we speak, whatever the headers we are built with know. */
#define FS_MINOR_MAX 38

/* The most data of one WRITE. */
#define FS_MAX_WRITE (1024 * 1024)

/* Of the flags that a guest offers, those that we take up under this configuration. */
uint64_t fs_init_agree(const struct fs_config *config, uint64_t offered);

/* Our part of the agreement with a guest that speaks 7.`minor`. */
struct fuse_init_out fs_init_answer(const struct fuse_init_in *in, uint64_t agreed);

/*
 * Carries out an INIT: ends the session that there is, starts the next one and answers. The slot
 * has passed gate 3 and has no session.
 */
void fs_init_run(struct fs_slot *slot);
