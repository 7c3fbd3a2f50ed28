/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of the service. */
#include "gateway/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The deepest path (libfuse's dispatch, then an operation) stays well below this. */
#define STACK_SIZE (256 * 1024)

struct start {
	void (*run)(void *arg);
	void *arg;
	char name[16]; /* as the kernel keeps it, NUL included */
};

static void *thread_main(void *arg)
{
	struct start start = *(struct start *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), start.name);
	start.run(start.arg);
	return NULL;
}

static int create(struct start *start)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);

	/* A new thread inherits the mask: blocked before its first instruction. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, thread_main, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	pthread_attr_destroy(&attr);
	return -r;
}

int gw_thread_start(void (*run)(void *arg), void *arg, const char *name)
{
	struct start *start = calloc(1, sizeof(*start));
	int r;

	if (!start)
		return -ENOMEM;
	start->run = run;
	start->arg = arg;
	strncpy(start->name, name, sizeof(start->name) - 1);
	r = create(start);
	if (r)
		free(start);
	return r;
}
