/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of the front-end's, by counted references.
 *
 * Theory of operation. The front-end may replace an eventfd at any time, and whoever is about to
 * signal it may be on another thread. So each one is a duplicate of its own behind a counter: who
 * replaces it drops a reference, who signals it holds one, and the last of them closes it.
 */
#include "gateway/event.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "vhostuser/fd.h"

struct gw_event {
	_Atomic uint32_t refs;
	int fd; /* owned; constant */
};

int gw_event_new(int fd, struct gw_event **event)
{
	struct gw_event *made;

	*event = NULL;
	if (fd < 0)
		return 0;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	atomic_init(&made->refs, 1);
	made->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (made->fd < 0) {
		int r = -errno;

		free(made);
		return r;
	}
	*event = made;
	return 0;
}

struct gw_event *gw_event_get(struct gw_event *event)
{
	if (event)
		atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
	return event;
}

void gw_event_put(struct gw_event *event)
{
	if (!event || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) != 1)
		return;
	fd_close(&event->fd);
	free(event);
}

void gw_event_signal(struct gw_event *event)
{
	/* EAGAIN: a signal is pending already. Else it is the front-end's own doing. */
	if (event)
		(void)fd_signal(event->fd);
}
