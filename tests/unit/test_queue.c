/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's threads against a driver in the same process and a file system that may block. */
#include <sys/eventfd.h>

#include "tests/unit/queue_fixture.h"

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

/* Half of the ring's descriptors, however many a chain has, are kept for those that end. */
static void test_linger(void **state)
{
	const unsigned int most = NUM / 2 / 2, more = 10;
	struct fixture *f = setup(0);

	for (int round = 0; round < 2; round++) {
		unsigned int done = f->done['A'], ended = f->done['B'];

		f->n_refused = 0;
		for (unsigned int i = 0; i < most + more; i++)
			send(f, LINGER, &A, i);
		assert_true(run(f, 5, &f->done['A'], done + more));
		assert_int_equal(f->n_refused, more);
		for (unsigned int i = 0; i < more; i++)
			send(f, IN_PLACE, &B, most + i);
		assert_true(run(f, 5, &f->done['B'], ended + more));
		/* They keep their places over a stop, and give them back when they end. */
		gw_queue_stop(f->queue);
		assert_int_equal(start(f, f->base), 0);
		send(f, LINGER, &C, most);
		assert_true(run(f, 5, &f->done['C'], (unsigned int)round + 1));
		end_deferred(f);
		assert_true(run(f, 5, &f->done['A'], done + most + more));
	}
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
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	char text[512] = {0};
	struct fixture *f;

	static_assert(NUM / 2 > N, "two descriptors each");
	f = setup(0);
	dup2(log, STDERR_FILENO);
	vu_log_level = LOG_LEVEL_WARN;
	for (unsigned int i = 0; i < NUM / 2; i++)
		add(f, BLOCK, &A, i);
	vq_driver_kick(&f->driver);
	wait_blocked(f, N);
	run(f, 0.2, NULL, 0);
	vu_log_level = LOG_LEVEL_OFF;
	dup2(saved, STDERR_FILENO);
	assert_int_equal(atomic_load(&f->n_blocked), N);
	assert_int_equal(gw_queue_threads(f->queue), N);
	/* One line says so, however often the ticker asks. */
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "queue 3: waits: 65 threads are blocked"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	close(log);
	close(saved);

	for (unsigned int i = 0; i < NUM / 2; i++)
		sem_post(&f->gate);
	assert_true(run(f, 5, &f->done['A'], NUM / 2));
	run(f, 0.1, NULL, 0);
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

/* Without a call fd the driver is owed its interrupt until there is one. */
static void test_late_call(void **state)
{
	struct fixture *f = setup(0);
	struct pollfd call = { .fd = f->driver.call, .events = POLLIN };

	assert_int_equal(gw_queue_set_events(f->queue, -1, -1), 0);
	send(f, IN_PLACE, &A, 0);
	wait_ended(f, 1);
	usleep(20000);
	assert_int_equal(poll(&call, 1, 0), 0);
	assert_int_equal(gw_queue_set_events(f->queue, f->driver.call, f->driver.err), 0);
	assert_int_equal(poll(&call, 1, 1000), 1);
	assert_true(run(f, 1, &f->done['A'], 1));
	/* Once. */
	assert_true(read(f->driver.call, &(uint64_t){ 0 }, 8) == 8);
	assert_int_equal(poll(&call, 1, 20), 0);
	teardown(f);
}

/*
 * A ring that is started with a call fd at which nobody listens (QEMU), and serves what was there:
 * the driver hears of it when it gives another. One that is stopped has nothing to say.
 */
static void test_another_call(void **state)
{
	struct fixture *f = setup(0);
	int deaf = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd call = { .fd = f->driver.call, .events = POLLIN };

	assert_int_equal(gw_queue_set_events(f->queue, deaf, f->driver.err), 0);
	send(f, IN_PLACE, &A, 0);
	wait_ended(f, 1);
	usleep(20000);
	assert_int_equal(poll(&(struct pollfd){ .fd = deaf, .events = POLLIN }, 1, 0), 1);
	assert_int_equal(poll(&call, 1, 0), 0);
	assert_int_equal(gw_queue_set_events(f->queue, f->driver.call, f->driver.err), 0);
	assert_int_equal(poll(&call, 1, 0), 1);
	assert_true(run(f, 1, &f->done['A'], 1));
	gw_queue_stop(f->queue);
	assert_true(read(f->driver.call, &(uint64_t){ 0 }, 8) == 8 || errno == EAGAIN);
	assert_int_equal(gw_queue_set_events(f->queue, f->driver.call, f->driver.err), 0);
	assert_int_equal(poll(&call, 1, 0), 0);
	close(deaf);
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
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_relief),
		cmocka_unit_test(test_relief_sends_what_was_held_back),
		cmocka_unit_test(test_relief_has_a_bound),
		cmocka_unit_test(test_other_fds),
		cmocka_unit_test(test_late_call),
		cmocka_unit_test(test_another_call),
		cmocka_unit_test(test_dead_kicks),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_ticker_rests),
		cmocka_unit_test(test_storm),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
