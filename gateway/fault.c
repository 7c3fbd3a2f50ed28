/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGBUS on guest memory.
 *
 * Theory of operation. The handler runs on the thread that touched the memory, in the middle of
 * anything, also under a queue's lock. So it does three things that are safe there: it walks the
 * list of regions, calls mmap, and sends an ev_async. That one is static, because a handler may
 * hold on to it for longer than a loop lives; sent when it is stopped, it does nothing.
 */
#include "gateway/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "vhostuser/memory.h"

static ev_async lost_async;               /* main loop's, but for the sending of it */
static struct ev_loop *_Atomic lost_loop; /* NULL: nobody is told */
static void (*lost_callback)(void *ctx);  /* main loop's */

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	struct ev_loop *loop = atomic_load(&lost_loop);
	int saved = errno;

	/* What kill() sends has no address. */
	if (info->si_code <= 0 || !vu_memory_fault(info->si_addr))
		signal(SIGBUS, SIG_DFL); /* and when it happens again, that is the end */
	else if (loop)
		ev_async_send(loop, &lost_async);
	errno = saved;
}

static void on_lost(struct ev_loop *loop, ev_async *async, int revents)
{
	lost_callback(async->data);
}

void gw_fault_start(struct ev_loop *loop, void (*lost)(void *ctx), void *ctx)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

	lost_callback = lost;
	ev_async_init(&lost_async, on_lost);
	lost_async.data = ctx;
	ev_async_start(loop, &lost_async);
	atomic_store(&lost_loop, loop);
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

void gw_fault_stop(struct ev_loop *loop)
{
	atomic_store(&lost_loop, NULL);
	ev_async_stop(loop, &lost_async);
}
