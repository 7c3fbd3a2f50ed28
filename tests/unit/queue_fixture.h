/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue, a driver in the same process, and a file system whose requests block when told to. */
#pragma once

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "gateway/queue.h"
#include "tests/unit/guest.h"
#include "vhostuser/driver.h"
#include "vhostuser/iov.h"
#include "vhostuser/log.h"

#define NUM    256
#define RING   UINT64_C(0x10000)  /* the ring's guest physical address */
#define BUFFER UINT64_C(0x40000)  /* 64 bytes for each request */
#define MEMORY UINT64_C(0x100000)

/* What a request asks of the file system below. */
enum order { IN_PLACE = 'i', DEFER = 'd', PARK = 'p', BLOCK = 'b', DROP = 'x', LINGER = 'l' };

struct fixture {
	struct guest guest;
	struct vq_driver driver;
	struct ev_loop *loop;
	struct gw_watch watch;
	struct gw_queue *queue;
	uint64_t features;

	/* The file system's. */
	sem_t gate; /* blocked requests wait here */
	_Atomic unsigned int n_blocked, n_ended, n_seen;
	pthread_mutex_t lock;
	struct fs_io *deferred[NUM];
	size_t n_deferred;
	_Atomic unsigned int n_refused;

	/* What the queue said. */
	unsigned int n_stopped;
	uint16_t base;
	unsigned int done[256]; /* completions by cookie */
};

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline void end(struct fixture *f, struct fs_io *io)
{
	struct vu_iov rep = vu_iov_init(io->rep, io->n_rep);

	vu_iov_write(&rep, "done", 4);
	atomic_fetch_add(&f->n_ended, 1);
	io->complete(io, 4);
}

static inline void submit(void *fs, struct fs_io *io)
{
	struct fixture *f = fs;
	struct vu_iov req = vu_iov_init(io->req, io->n_req);
	char order = 0;

	vu_iov_read(&req, &order, 1);
	switch (order) {
	case LINGER:
		if (!io->linger(io)) {
			atomic_fetch_add(&f->n_refused, 1);
			end(f, io);
			return;
		}
		io->park(io);
		__attribute__((fallthrough));
	case PARK:
	case DEFER:
		if (order == PARK)
			io->park(io);
		pthread_mutex_lock(&f->lock);
		f->deferred[f->n_deferred++] = io;
		atomic_fetch_add(&f->n_seen, 1);
		pthread_mutex_unlock(&f->lock);
		break;
	case BLOCK:
		atomic_fetch_add(&f->n_blocked, 1);
		while (sem_wait(&f->gate) != 0)
			;
		end(f, io);
		break;
	case DROP:
		atomic_fetch_add(&f->n_ended, 1);
		io->drop(io);
		break;
	default:
		end(f, io);
		break;
	}
}

static inline void on_stopped(void *device, unsigned int index, uint16_t base)
{
	struct fixture *f = device;

	assert_int_equal(index, 3);
	f->n_stopped++;
	f->base = base;
}

static inline int start(struct fixture *f, uint16_t base)
{
	uint64_t avail = (uint64_t)((char *)f->driver.avail - (char *)f->driver.desc);
	uint64_t used = (uint64_t)((char *)f->driver.used - (char *)f->driver.desc);
	const struct vq_config config = {
		.num = NUM,
		.desc_addr = GUEST_USER + RING,
		.avail_addr = GUEST_USER + RING + avail,
		.used_addr = GUEST_USER + RING + used,
		.base = base,
		.features = f->features,
	};

	return gw_queue_start(f->queue, &config, f->guest.memory, dup(f->driver.kick),
		f->driver.call, f->driver.err);
}

static inline struct fixture *setup(uint64_t features)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct gw_queue_config config = {
		.index = 3,
		.submit = submit,
		.fs = f,
		.stopped = on_stopped,
		.device = f,
	};

	assert_non_null(f);
	f->features = features | UINT64_C(1) << 32;
	guest_init(&f->guest);
	guest_add(&f->guest, 0, MEMORY);
	assert_int_equal(
		vq_driver_init(&f->driver, NUM, RING, guest_at(&f->guest, RING), features), 0);
	f->loop = ev_loop_new(EVFLAG_AUTO);
	gw_watch_init(&f->watch, f->loop);
	sem_init(&f->gate, 0, 0);
	pthread_mutex_init(&f->lock, NULL);
	config.watch = &f->watch;
	assert_int_equal(gw_queue_new(&config, &f->queue), 0);
	assert_int_equal(start(f, 0), 0);
	return f;
}

/* The main loop for a while, or until the counter reaches what is awaited. */
static inline bool run(
	struct fixture *f, double seconds, const unsigned int *counter, unsigned int value)
{
	double until = now() + seconds;
	void *cookie;
	uint32_t len;

	for (;;) {
		ev_run(f->loop, EVRUN_NOWAIT);
		while (vq_driver_take(&f->driver, &cookie, &len)) {
			assert_non_null(cookie);
			f->done[*(unsigned char *)cookie]++;
		}
		if (counter && *counter == value)
			return true;
		if (now() >= until)
			return false;
		/* Interrupts must wake a driver that waits for them. */
		vq_driver_wait(&f->driver, 2);
	}
}

static inline void add(
	struct fixture *f, enum order order, unsigned char *cookie, unsigned int slot)
{
	uint64_t gpa = BUFFER + slot * UINT64_C(64);
	const struct vq_buf bufs[] = {
		{ .gpa = gpa, .len = 8, .writable = false },
		{ .gpa = gpa + 32, .len = 8, .writable = true },
	};

	*(char *)guest_at(&f->guest, gpa) = (char)order;
	assert_int_equal(vq_driver_add(&f->driver, bufs, 2, cookie), 0);
}

static inline void send(
	struct fixture *f, enum order order, unsigned char *cookie, unsigned int slot)
{
	add(f, order, cookie, slot);
	vq_driver_kick(&f->driver);
}

static inline void wait_blocked(struct fixture *f, unsigned int n)
{
	double until = now() + 5;

	while (atomic_load(&f->n_blocked) < n && now() < until)
		run(f, 0.001, NULL, 0);
	assert_int_equal(atomic_load(&f->n_blocked), n);
}

static inline void wait_ended(struct fixture *f, unsigned int n)
{
	double until = now() + 5;

	while (atomic_load(&f->n_ended) < n && now() < until)
		usleep(500);
	assert_int_equal(atomic_load(&f->n_ended), n);
}

/* Ends all threads of the queue, then takes the fixture down. */
static inline void teardown(struct fixture *f)
{
	gw_queue_free(f->queue);
	/* Threads are detached: they free the queue and go, which takes a moment. */
	usleep(20000);
	gw_watch_fini(&f->watch);
	ev_loop_destroy(f->loop);
	vq_driver_fini(&f->driver);
	guest_fini(&f->guest);
	sem_destroy(&f->gate);
	free(f);
}

static inline void *end_deferred(void *arg)
{
	struct fixture *f = arg;

	/* Last come, first served: completions out of order are normal. */
	pthread_mutex_lock(&f->lock);
	while (f->n_deferred > 0)
		end(f, f->deferred[--f->n_deferred]);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}
