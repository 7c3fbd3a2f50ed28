/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread's own place: working directory and umask, which threads of a process share by default.
 *
 * System calls on extended attributes take paths or real fds, no O_PATH ones; and what a caller's
 * umask does to a new file, only the host's kernel can tell, since it depends on the directory's
 * default ACL. So a thread that needs either gets a place of its own (unshare(CLONE_FS), which
 * takes no privilege), for as long as it lives, in /proc/self/fd: there the name of an fd leads to
 * its object, whatever that is, by one call.
 */
#pragma once

#include <sys/types.h>

struct fs_tree;

/*
 * Gives the calling thread its place; does nothing when it has it. -errno (logged once): then
 * nothing has changed.
 */
int fs_place_take(const struct fs_tree *tree);

/* Sets the umask of the calling thread, which has its place; returns the former one. */
mode_t fs_place_umask(mode_t mask);
