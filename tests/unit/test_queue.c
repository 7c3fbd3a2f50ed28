/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's threads against a driver in the same process and a file system that may block. */
#include "gateway/queue.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "tests/unit/guest.h"
#include "vhostuser/driver.h"
#include "vhostuser/iov.h"
#include "vhostuser/log.h"

#define NUM    128
#define RING   UINT64_C(0x10000)  /* the ring's guest physical address */
#define BUFFER UINT64_C(0x40000)  /* 64 bytes for each request */
#define MEMORY UINT64_C(0x100000)

/* What a request asks of the file system below. */
enum order { IN_PLACE = 'i', DEFER = 'd', BLOCK = 'b', DROP = 'x' };

struct fixture {
	struct guest guest;
	struct vq_driver driver;
	struct ev_loop *loop;
	struct gw_watch watch;
	struct gw_queue *queue;
	uint64_t features;

	/* The file system's. */
	sem_t gate; /* blocked requests wait here */
	_Atomic unsigned int n_blocked, n_ended;
	pthread_mutex_t lock;
	struct fs_io *deferred[NUM];
	size_t n_deferred;

	/* What the queue said. */
	unsigned int n_stopped;
	uint16_t base;
	unsigned int done[256]; /* completions by cookie */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void end(struct fixture *f, struct fs_io *io)
{
	struct vu_iov rep = vu_iov_init(io->rep, io->n_rep);

	vu_iov_write(&rep, "done", 4);
	atomic_fetch_add(&f->n_ended, 1);
	io->complete(io, 4);
}

static void submit(void *fs, struct fs_io *io)
{
	struct fixture *f = fs;
	struct vu_iov req = vu_iov_init(io->req, io->n_req);
	char order = 0;

	vu_iov_read(&req, &order, 1);
	switch (order) {
	case DEFER:
		pthread_mutex_lock(&f->lock);
		f->deferred[f->n_deferred++] = io;
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

static void on_stopped(void *device, unsigned int index, uint16_t base)
{
	struct fixture *f = device;

	assert_int_equal(index, 3);
	f->n_stopped++;
	f->base = base;
}

static int start(struct fixture *f, uint16_t base)
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

static struct fixture *setup(uint64_t features)
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
static bool run(struct fixture *f, double seconds, const unsigned int *counter, unsigned int value)
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

static void add(struct fixture *f, enum order order, unsigned char *cookie, unsigned int slot)
{
	uint64_t gpa = BUFFER + slot * UINT64_C(64);
	const struct vq_buf bufs[] = {
		{ .gpa = gpa, .len = 8, .writable = false },
		{ .gpa = gpa + 32, .len = 8, .writable = true },
	};

	*(char *)guest_at(&f->guest, gpa) = (char)order;
	assert_int_equal(vq_driver_add(&f->driver, bufs, 2, cookie), 0);
}

static void send(struct fixture *f, enum order order, unsigned char *cookie, unsigned int slot)
{
	add(f, order, cookie, slot);
	vq_driver_kick(&f->driver);
}

static void wait_blocked(struct fixture *f, unsigned int n)
{
	double until = now() + 5;

	while (atomic_load(&f->n_blocked) < n && now() < until)
		run(f, 0.001, NULL, 0);
	assert_int_equal(atomic_load(&f->n_blocked), n);
}

static void wait_ended(struct fixture *f, unsigned int n)
{
	double until = now() + 5;

	while (atomic_load(&f->n_ended) < n && now() < until)
		usleep(500);
	assert_int_equal(atomic_load(&f->n_ended), n);
}

/* Ends all threads of the queue, then takes the fixture down. */
static void teardown(struct fixture *f)
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

static unsigned char A = 'A', B = 'B', C = 'C';

static void many_in_place(uint64_t features)
{
	struct fixture *f = setup(features);
	unsigned int sent = 0;

	while (sent < 2000) {
		for (unsigned int i = 0; i < NUM / 2; i++)
			add(f, IN_PLACE, &A, i);
		vq_driver_kick(&f->driver);
		sent += NUM / 2;
		assert_true(run(f, 5, &f->done['A'], sent));
	}
	assert_memory_equal(guest_at(&f->guest, BUFFER + 32), "done", 4);
	teardown(f);
}

static void test_in_place(void **state)
{
	many_in_place(0);
}

static void test_in_place_event_idx(void **state)
{
	many_in_place(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
}

static void test_one_by_one(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);

	/* Each must be seen by its kick and heard of by its interrupt. */
	for (unsigned int i = 1; i <= 300; i++) {
		send(f, IN_PLACE, &A, 0);
		assert_true(run(f, 5, &f->done['A'], i));
	}
	teardown(f);
}

static void *end_deferred(void *arg)
{
	struct fixture *f = arg;

	/* Last come, first served: completions out of order are normal. */
	pthread_mutex_lock(&f->lock);
	while (f->n_deferred > 0)
		end(f, f->deferred[--f->n_deferred]);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void test_deferred(void **state)
{
	struct fixture *f = setup(0);
	pthread_t thread;
	size_t n = 0;

	for (unsigned int i = 0; i < 20; i++)
		send(f, DEFER, i % 2 ? &A : &B, i);
	send(f, IN_PLACE, &C, 20);
	assert_true(run(f, 5, &f->done['C'], 1));
	pthread_mutex_lock(&f->lock);
	n = f->n_deferred;
	pthread_mutex_unlock(&f->lock);
	assert_int_equal(n, 20);
	assert_int_equal(f->done['A'] + f->done['B'], 0);
	assert_int_equal(pthread_create(&thread, NULL, end_deferred, f), 0);
	assert_true(run(f, 5, &f->done['A'], 10));
	assert_true(run(f, 5, &f->done['B'], 10));
	pthread_join(thread, NULL);
	teardown(f);
}

static void test_drop(void **state)
{
	struct fixture *f = setup(0);

	send(f, DROP, &A, 0);
	send(f, IN_PLACE, &B, 1);
	assert_true(run(f, 5, &f->done['B'], 1));
	assert_int_equal(f->done['A'], 0);
	teardown(f);
}

static void test_relief(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);

	send(f, BLOCK, &A, 0);
	wait_blocked(f, 1);
	for (unsigned int i = 1; i <= 50; i++) {
		send(f, IN_PLACE, &B, i);
		assert_true(run(f, 2, &f->done['B'], i));
	}
	assert_int_equal(f->done['A'], 0);
	assert_int_equal(gw_queue_threads(f->queue), 2);
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->done['A'], 1));
	run(f, 0.1, NULL, 0);
	assert_int_equal(gw_queue_threads(f->queue), 1);
	/* The queue works on. */
	send(f, IN_PLACE, &C, 0);
	assert_true(run(f, 2, &f->done['C'], 1));
	teardown(f);
}

static void test_relief_sends_what_was_held_back(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	struct pollfd call = { .fd = f->driver.call, .events = POLLIN };

	/* Use up the interrupt that every start owes. */
	send(f, IN_PLACE, &C, 2);
	assert_true(run(f, 2, &f->done['C'], 1));
	run(f, 0.05, NULL, 0);
	assert_int_equal(poll(&call, 1, 0), 0);

	add(f, IN_PLACE, &A, 0);
	add(f, BLOCK, &B, 1);
	vq_driver_kick(&f->driver);
	for (int i = 0; i < 2000 && poll(&call, 1, 1) == 0; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(poll(&call, 1, 0), 1);
	assert_true(run(f, 1, &f->done['A'], 1));
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->done['B'], 1));
	teardown(f);
}

static void test_relief_has_a_bound(void **state)
{
	enum { N = GW_QUEUE_RELIEVED_MAX + 1 };
	struct fixture *f;

	static_assert(NUM >= 2 * N - 2, "two descriptors each");
	f = setup(0);
	for (unsigned int i = 0; i < NUM / 2; i++)
		add(f, BLOCK, &A, i);
	vq_driver_kick(&f->driver);
	wait_blocked(f, NUM / 2);
	assert_true(gw_queue_threads(f->queue) <= N);
	for (unsigned int i = 0; i < NUM / 2; i++)
		sem_post(&f->gate);
	assert_true(run(f, 5, &f->done['A'], NUM / 2));
	run(f, 0.1, NULL, 0);
	assert_int_equal(gw_queue_threads(f->queue), 1);
	teardown(f);
}

static void test_stop_idle(void **state)
{
	struct fixture *f = setup(0);

	send(f, IN_PLACE, &A, 0);
	assert_true(run(f, 2, &f->done['A'], 1));
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 1);
	assert_int_equal(f->base, 1);
	/* Nobody pops any more. */
	send(f, IN_PLACE, &A, 0);
	assert_false(run(f, 0.05, &f->done['A'], 2));
	assert_int_equal(start(f, f->base), 0);
	assert_true(run(f, 2, &f->done['A'], 2));
	teardown(f);
}

/* The old thread, on its way out, and the new one share the kick: none may be lost between them. */
static void test_no_kick_is_lost(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);

	for (unsigned int i = 1; i <= 2000; i++) {
		if (i % 2) {
			gw_queue_stop(f->queue);
			assert_int_equal(f->n_stopped, i / 2 + 1);
			assert_int_equal(start(f, f->base), 0);
		} else {
			gw_queue_pause(f->queue, true);
			gw_queue_pause(f->queue, false);
		}
		if (i % 3)
			usleep(i % 97);
		send(f, IN_PLACE, &A, 0);
		assert_true(run(f, 5, &f->done['A'], i));
	}
	teardown(f);
}

static void test_stop_waits_for_requests(void **state)
{
	struct fixture *f = setup(0);
	double began;

	send(f, BLOCK, &A, 0);
	wait_blocked(f, 1);
	began = now();
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 0);
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->n_stopped, 1));
	assert_true(now() - began < GW_QUEUE_STOP_MS / 1000. / 2);
	/* It ended before the stop: the driver has it. */
	run(f, 0.01, NULL, 0);
	assert_int_equal(f->done['A'], 1);
	teardown(f);
}

static void test_stop_has_a_bound(void **state)
{
	struct fixture *f = setup(0);
	double began;

	send(f, BLOCK, &A, 0);
	send(f, DEFER, &B, 1);
	wait_blocked(f, 1);
	began = now();
	gw_queue_stop(f->queue);
	assert_true(run(f, 3, &f->n_stopped, 1));
	assert_true(now() - began >= GW_QUEUE_STOP_MS / 1000. * 0.9);
	assert_true(now() - began < GW_QUEUE_STOP_MS / 1000. * 3);

	/* It ends while the ring is stopped: kept, and pushed when the same ring starts again. */
	sem_post(&f->gate);
	wait_ended(f, 1);
	run(f, 0.02, NULL, 0);
	assert_int_equal(f->done['A'], 0);
	assert_int_equal(start(f, f->base), 0);
	assert_true(run(f, 2, &f->done['A'], 1));
	for (int tries = 0; tries < 2000 && !f->done['B']; tries++) {
		end_deferred(f);
		run(f, 0.001, &f->done['B'], 1);
	}
	assert_int_equal(f->done['B'], 1);
	teardown(f);
}

static void test_reset_forgets(void **state)
{
	struct fixture *f = setup(0);

	send(f, BLOCK, &A, 0);
	wait_blocked(f, 1);
	gw_queue_reset(f->queue);
	assert_int_equal(f->n_stopped, 0);
	/* A new ring in the same place. */
	vq_driver_fini(&f->driver);
	assert_int_equal(vq_driver_init(&f->driver, NUM, RING, guest_at(&f->guest, RING), 0), 0);
	assert_int_equal(start(f, 0), 0);
	sem_post(&f->gate);
	wait_ended(f, 1);
	assert_false(run(f, 0.05, &f->done['A'], 1));
	send(f, IN_PLACE, &B, 1);
	assert_true(run(f, 2, &f->done['B'], 1));
	teardown(f);
}

static void test_free_with_requests_in_flight(void **state)
{
	struct fixture *f = setup(0);

	send(f, BLOCK, &A, 0);
	wait_blocked(f, 1);
	send(f, DEFER, &B, 1);
	send(f, IN_PLACE, &C, 2);
	assert_true(run(f, 2, &f->done['C'], 1));
	gw_queue_free(f->queue);
	f->queue = NULL;
	sem_post(&f->gate);
	wait_ended(f, 2);
	end_deferred(f);
	run(f, 0.02, NULL, 0);
	assert_int_equal(f->done['A'] + f->done['B'], 0);
	teardown(f);
}

static void test_pause(void **state)
{
	struct fixture *f = setup(0);

	gw_queue_pause(f->queue, true);
	send(f, IN_PLACE, &A, 0);
	assert_false(run(f, 0.05, &f->done['A'], 1));
	gw_queue_pause(f->queue, false);
	assert_true(run(f, 2, &f->done['A'], 1));
	/* Twice is once. */
	gw_queue_pause(f->queue, false);
	send(f, IN_PLACE, &A, 0);
	assert_true(run(f, 2, &f->done['A'], 2));
	run(f, 0.05, NULL, 0);
	assert_int_equal(gw_queue_threads(f->queue), 1);
	teardown(f);
}

static void test_other_fds(void **state)
{
	struct fixture *f = setup(0);
	int kick = dup(f->driver.kick);

	/* Nobody listens to the old kick, and nobody signals the old call. */
	close(f->driver.kick);
	f->driver.kick = guest_memfd(0);
	gw_queue_set_kick(f->queue, kick);
	assert_int_equal(gw_queue_set_events(f->queue, -1, -1), 0);
	send(f, IN_PLACE, &A, 0);
	assert_int_equal(write(kick, &(uint64_t){ 1 }, 8), 8);
	assert_int_equal(gw_queue_set_events(f->queue, f->driver.call, f->driver.err), 0);
	run(f, 1, &f->done['A'], 1);
	assert_int_equal(f->done['A'], 1);
	teardown(f);
}

/* A kick that is ready for ever and says nothing costs no time; the ring goes on with another. */
static void test_dead_kicks(void **state)
{
	struct fixture *f = setup(0);
	int kicks[2], pair[2];

	kicks[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pipe(pair), 0);
	close(pair[1]);
	kicks[1] = pair[0];
	for (size_t i = 0; i < ARRAY_SIZE(kicks); i++) {
		gw_queue_set_kick(f->queue, kicks[i]);
		run(f, 0.05, NULL, 0);

		clock_t before = clock();

		usleep(200000);
		assert_true(clock() - before < CLOCKS_PER_SEC / 10);
	}

	/* The front-end may make its own fd blocking, whenever it likes. */
	gw_queue_set_kick(f->queue, dup(f->driver.kick));
	assert_int_equal(fcntl(f->driver.kick, F_SETFL, 0), 0);
	for (unsigned int i = 1; i <= 20; i++) {
		send(f, IN_PLACE, &A, 0);
		assert_true(run(f, 5, &f->done['A'], i));
	}
	teardown(f);
}

static void test_broken_ring(void **state)
{
	struct fixture *f = setup(0);

	vq_driver_publish(&f->driver, NUM + 5);
	vq_driver_kick(&f->driver);
	assert_int_equal(vq_driver_wait(&f->driver, 2000), -EPIPE);
	/* Its thread is gone, and a stop is answered as ever. */
	run(f, 0.05, NULL, 0);
	assert_int_equal(gw_queue_threads(f->queue), 0);
	gw_queue_pause(f->queue, true);
	gw_queue_pause(f->queue, false);
	assert_int_equal(gw_queue_threads(f->queue), 0);
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 1);
	teardown(f);
}

static void test_bad_start(void **state)
{
	struct fixture *f = setup(0);
	const struct vq_config config = { .num = 7 };

	gw_queue_reset(f->queue);
	assert_int_equal(gw_queue_start(f->queue, &config, f->guest.memory, dup(f->driver.kick), -1,
				 -1),
		-EINVAL);
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 1);
	teardown(f);
}

static void test_memory_comes_and_goes(void **state)
{
	struct fixture *f = setup(0);
	struct vu_memory *full = vu_memory_get(f->guest.memory);
	struct vu_memory *empty = vu_memory_new();

	gw_queue_set_memory(f->queue, empty);
	send(f, IN_PLACE, &A, 0);
	assert_false(run(f, 0.05, &f->done['A'], 1));
	gw_queue_set_memory(f->queue, full);
	assert_true(run(f, 2, &f->done['A'], 1));
	vu_memory_put(empty);
	vu_memory_put(full);
	teardown(f);
}

static void test_ticker_rests(void **state)
{
	struct fixture *f = setup(0);

	send(f, IN_PLACE, &A, 0);
	assert_true(run(f, 2, &f->done['A'], 1));
	run(f, 0.2, NULL, 0);
	assert_false(atomic_load(&f->watch.armed));
	assert_false(ev_is_active(&f->watch.timer));

	/* A request that hangs for ever does not keep it running: its thread is relieved. */
	send(f, BLOCK, &A, 0);
	wait_blocked(f, 1);
	run(f, 0.5, NULL, 0);
	assert_false(atomic_load(&f->watch.armed));
	assert_false(ev_is_active(&f->watch.timer));
	send(f, IN_PLACE, &B, 1);
	assert_true(run(f, 2, &f->done['B'], 1));
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->done['A'], 2));
	teardown(f);
}

/* All at once, at random: nothing is lost, doubled or touched after its end. */
static void test_storm(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	uint64_t seed = 0x9e3779b97f4a7c15u;
	unsigned int sent = 0;

	for (unsigned int round = 0; round < 60; round++) {
		for (unsigned int i = 0; i < NUM / 2; i++) {
			uint64_t dice = test_random(&seed) % 64;

			add(f, dice == 0 ? BLOCK : dice < 16 ? DEFER : IN_PLACE, &A, i);
			if (dice == 0)
				sem_post(&f->gate);
			if (dice % 8 == 0)
				vq_driver_kick(&f->driver);
			if (dice == 63) {
				gw_queue_pause(f->queue, true);
				gw_queue_pause(f->queue, false);
			}
		}
		vq_driver_kick(&f->driver);
		sent += NUM / 2;
		for (int tries = 0; tries < 5000 && f->done['A'] < sent; tries++) {
			end_deferred(f);
			run(f, 0.001, &f->done['A'], sent);
		}
		assert_int_equal(f->done['A'], sent);
		if (round % 10 == 9) {
			unsigned int stops = f->n_stopped;

			gw_queue_stop(f->queue);
			assert_true(run(f, 2, &f->n_stopped, stops + 1));
			assert_int_equal(start(f, f->base), 0);
		}
	}
	teardown(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_in_place_event_idx),
		cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_relief),
		cmocka_unit_test(test_relief_sends_what_was_held_back),
		cmocka_unit_test(test_relief_has_a_bound),
		cmocka_unit_test(test_stop_idle),
		cmocka_unit_test(test_no_kick_is_lost),
		cmocka_unit_test(test_stop_waits_for_requests),
		cmocka_unit_test(test_stop_has_a_bound),
		cmocka_unit_test(test_reset_forgets),
		cmocka_unit_test(test_free_with_requests_in_flight),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_other_fds),
		cmocka_unit_test(test_dead_kicks),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_memory_comes_and_goes),
		cmocka_unit_test(test_ticker_rests),
		cmocka_unit_test(test_storm),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
