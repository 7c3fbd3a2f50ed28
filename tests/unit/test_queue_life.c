/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue that stops, pauses, starts again and goes away, with requests in flight. */
#include "tests/unit/queue_fixture.h"

static unsigned char A = 'A', B = 'B', C = 'C';

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

/* One request ended whose interrupt waits for the end of the next one, which blocks. */
static struct pollfd hold_back(struct fixture *f)
{
	struct pollfd call = { .fd = f->driver.call, .events = POLLIN };
	double until = now() + 5;

	/* Use up the interrupt that every start owes. */
	send(f, IN_PLACE, &C, 2);
	assert_true(run(f, 2, &f->done['C'], 1));
	run(f, 0.05, NULL, 0);
	assert_int_equal(poll(&call, 1, 0), 0);

	add(f, IN_PLACE, &A, 0);
	add(f, BLOCK, &B, 1);
	vq_driver_kick(&f->driver);
	/* The main loop does not run: no tick sees it. */
	while (!atomic_load(&f->n_blocked) && now() < until)
		usleep(500);
	assert_int_equal(atomic_load(&f->n_ended), 2);
	assert_int_equal(poll(&call, 1, 0), 0);
	return call;
}

static void test_stop_tells_of_what_was_held_back(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	struct pollfd call = hold_back(f);

	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 0);
	assert_int_equal(poll(&call, 1, 0), 1);
	assert_true(run(f, 2, &f->n_stopped, 1));
	assert_int_equal(f->done['A'], 1);
	sem_post(&f->gate);
	wait_ended(f, 3);
	teardown(f);
}

static void test_pause_tells_of_what_was_held_back(void **state)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	struct pollfd call = hold_back(f);

	gw_queue_pause(f->queue, true);
	assert_int_equal(poll(&call, 1, 0), 1);
	assert_true(run(f, 2, &f->done['A'], 1));
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->done['B'], 1));
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

/* What ended while the ring was not in memory is pushed when it is, whoever has the token then. */
static void memory_comes_back(bool stop)
{
	struct fixture *f = setup(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	struct vu_memory *full = vu_memory_get(f->guest.memory);
	struct vu_memory *empty = vu_memory_new();
	struct pollfd call = { .fd = f->driver.call, .events = POLLIN };

	send(f, DEFER, &A, 0);
	send(f, BLOCK, &B, 1);
	wait_blocked(f, 1);
	gw_queue_set_memory(f->queue, empty);
	if (stop)
		gw_queue_stop(f->queue);
	else
		gw_queue_pause(f->queue, true);
	end_deferred(f);
	assert_int_equal(poll(&call, 1, 0), 0);
	gw_queue_set_memory(f->queue, full);
	assert_int_equal(poll(&call, 1, 0), 1);
	assert_true(run(f, 2, &f->done['A'], 1));
	sem_post(&f->gate);
	assert_true(run(f, 2, &f->done['B'], 1));
	vu_memory_put(empty);
	vu_memory_put(full);
	teardown(f);
}

static void test_memory_comes_back_while_paused(void **state)
{
	memory_comes_back(false);
}

static void test_memory_comes_back_while_stopping(void **state)
{
	memory_comes_back(true);
}

/* What waits for the front-end never keeps a stop waiting; its end comes with the restart. */
static void test_parked(void **state)
{
	struct fixture *f = setup(0);

	send(f, PARK, &A, 0);
	send(f, IN_PLACE, &B, 1);
	assert_true(run(f, 5, &f->done['B'], 1));
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 1);
	assert_int_equal(f->base, 2);

	end_deferred(f);
	run(f, 0.05, NULL, 0);
	assert_int_equal(f->done['A'], 0);
	assert_int_equal(start(f, f->base), 0);
	assert_true(run(f, 5, &f->done['A'], 1));
	teardown(f);
}

/* Parked while a stop waits for it: the stop waits no longer. */
static void test_parked_in_a_stop(void **state)
{
	struct fixture *f = setup(0);
	struct fs_io *io;

	send(f, DEFER, &A, 0);
	while (atomic_load(&f->n_seen) < 1)
		run(f, 0.001, NULL, 0);
	gw_queue_stop(f->queue);
	assert_int_equal(f->n_stopped, 0);
	pthread_mutex_lock(&f->lock);
	io = f->deferred[0];
	pthread_mutex_unlock(&f->lock);
	io->park(io);
	run(f, 0.1, &f->n_stopped, 1);
	assert_int_equal(f->n_stopped, 1);
	/* A parked one of the ring that was: dropped in silence when the next is a new one. */
	gw_queue_reset(f->queue);
	end_deferred(f);
	teardown(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_idle),
		cmocka_unit_test(test_no_kick_is_lost),
		cmocka_unit_test(test_stop_waits_for_requests),
		cmocka_unit_test(test_stop_has_a_bound),
		cmocka_unit_test(test_stop_tells_of_what_was_held_back),
		cmocka_unit_test(test_pause_tells_of_what_was_held_back),
		cmocka_unit_test(test_reset_forgets),
		cmocka_unit_test(test_free_with_requests_in_flight),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_memory_comes_and_goes),
		cmocka_unit_test(test_memory_comes_back_while_paused),
		cmocka_unit_test(test_memory_comes_back_while_stopping),
		cmocka_unit_test(test_parked),
		cmocka_unit_test(test_parked_in_a_stop),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
