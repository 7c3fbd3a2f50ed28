/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of the service: detached, with small stacks, deaf to signals. */
#pragma once

/*
 * Runs `run(arg)` on a new detached thread. All signals are blocked there: the main loop alone
 * takes them, and no system call of a worker ever ends in EINTR because of one. But SIGBUS is not:
 * it is the answer to what the thread itself did (fault.h). -errno when the system has no thread
 * to give. Any thread.
 */
int gw_thread_start(void (*run)(void *arg), void *arg, const char *name);
