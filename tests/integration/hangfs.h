/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system whose reads hang: a tiny FUSE server in a process of its own.
 *
 * Its root has two files: "ok", which answers at once, and "hang", whose reads (and fsyncs) are
 * taken and not answered until hangfs_release(). A thread in such a read sleeps uninterruptibly.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define HANGFS_SIZE 4096 /* of both files; their bytes are all 'h' and 'o' */

struct hangfs {
	pid_t pid;
	int control;
	char path[160];
};

/* Mounts it on a directory; -errno. hangfs_stop() in any case. */
int hangfs_start(struct hangfs *hangfs, const char *mountpoint);
/* Waits until that many more requests hang in it; -ETIMEDOUT. */
int hangfs_wait(struct hangfs *hangfs, unsigned int n, int timeout_ms);
/* Answers all that hang, and from now on at once. */
int hangfs_release(struct hangfs *hangfs);
/* Unmounts; whatever hangs fails. */
void hangfs_stop(struct hangfs *hangfs);
