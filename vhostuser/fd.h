/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owned file descriptors: closed exactly once, handed over in plain sight.
 *
 * An int that holds an fd is its owner; -1 means none. Functions that take ownership say
 * "consumed", those that do not say "borrowed".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* More than any vhost-user message carries (8): room to notice one too many. */
#define VU_FDS_MAX 16

/* Closes *fd if there is one and sets it to -1. Keeps errno. */
void fd_close(int *fd);

/* Returns *fd and sets it to -1: the caller is the owner now. */
int fd_steal(int *fd);

/* Closes *dst and moves *src there. */
void fd_move(int *dst, int *src);

/* Makes the open file behind fd (borrowed) non-blocking, for all who share it. 0 or -errno. */
int fd_nonblock(int fd);

/*
 * Signals an eventfd (borrowed). Never waits, whatever those do who share the open file: a counter
 * that is full overflows for those who poll it (POLLERR), or refuses with -EAGAIN. What is no
 * eventfd (see fd_is_eventfd()), and all where the kernel has no asynchronous I/O for us, is asked
 * first and then written to, which leaves whoever shares it the instant between two system calls.
 * For any thread. 0 or -errno.
 */
int fd_signal(int fd);

/*
 * Whether fd (borrowed) is an eventfd; of any other kind of file nothing is asked that could wait.
 * Where the kernel has no asynchronous I/O for us, another file without a type (a timerfd, an
 * epoll set) passes for one. For any thread.
 */
bool fd_is_eventfd(int fd);

#define CLEANUP_FD __attribute__((cleanup(fd_close)))

/* The fds that came with one message; what the handler does not take is closed by fds_close(). */
struct vu_fds {
	int fd[VU_FDS_MAX];
	size_t n;
};

/* Takes the i-th fd out of the list (-1 when there is none): the caller owns it. */
int fds_take(struct vu_fds *fds, size_t i);

/* Closes all fds that were not taken and empties the list. */
void fds_close(struct vu_fds *fds);
