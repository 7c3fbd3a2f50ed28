/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for waits.
 *
 * Theory of operation. A wait blocks in a system call that only a signal can end. One signal is not
 * enough: it may come just before the call, and be lost. So each thread has a timer of the kernel's
 * that signals that thread alone; to interrupt is to start the timer, which then goes on signalling
 * every RETRY_NS until the wait is over. The signal is taken during block() only.
 *
 * wait->thread is set before the thread looks at wait->interrupted, and whoever interrupts does it
 * the other way around: so one of the two starts the timer.
 */
#include "gateway/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/thread.h"
#include "vhostuser/log.h"

/* Nearly always the first signal does; this is for the one that came too early. */
#define RETRY_NS 2000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* On the thread's stack. */
struct waiter {
	timer_t timer;
};

static _Atomic unsigned int n_waiters;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int wake_signal(void)
{
	return SIGRTMIN;
}

static void on_signal(int number)
{
	/* All that it is for is to end the system call. */
}

static void take_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */

	sigemptyset(&action.sa_mask);
	if (sigaction(wake_signal(), &action, NULL) < 0)
		log_error("waiter", "no signal to end a wait by: %s", strerrordesc_np(errno));
}

static void mask_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, wake_signal());
	pthread_sigmask(how, &set, NULL);
}

static int timer_new(timer_t *timer)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = wake_signal(),
	};

	event.sigev_notify_thread_id = gettid();
	return timer_create(CLOCK_MONOTONIC, &event, timer) < 0 ? -errno : 0;
}

static void signal_on(const struct waiter *waiter)
{
	const struct itimerspec times = {
		.it_value.tv_nsec = 1,
		.it_interval.tv_nsec = RETRY_NS,
	};

	timer_settime(waiter->timer, 0, &times, NULL);
}

static void waiter_thread(void *arg)
{
	struct fs_wait *wait = arg;
	struct waiter self;
	bool able;

	wait->error = timer_new(&self.timer);
	able = wait->error == 0;
	if (able) {
		atomic_store(&wait->thread, &self);
		if (atomic_load(&wait->interrupted))
			signal_on(&self);
		mask_signal(SIG_UNBLOCK);
		wait->block(wait);
		mask_signal(SIG_BLOCK);
	} else {
		log_guest("waiter", "a wait could not be ended, so there is none: %s",
			strerrordesc_np(-wait->error));
	}
	wait->done(wait); /* which is the end of it */
	if (able)
		timer_delete(self.timer);
	atomic_fetch_sub(&n_waiters, 1);
}

int gw_waiter_start(struct fs_wait *wait)
{
	int r = -EAGAIN;

	pthread_once(&once, take_signal);
	if (atomic_fetch_add(&n_waiters, 1) < GW_WAITERS_MAX)
		r = gw_thread_start(waiter_thread, wait, "waiter");
	if (r < 0) {
		atomic_fetch_sub(&n_waiters, 1);
		log_guest("waiter", "no thread to wait for a lock: %u are there",
			atomic_load(&n_waiters));
		return -EAGAIN;
	}
	return 0;
}

void gw_waiter_interrupt(struct fs_wait *wait)
{
	struct waiter *waiter;

	atomic_store(&wait->interrupted, true);
	waiter = atomic_load(&wait->thread);
	if (waiter)
		signal_on(waiter);
}

unsigned int gw_waiters(void)
{
	return atomic_load(&n_waiters);
}
