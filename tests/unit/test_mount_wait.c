/* SPDX-License-Identifier: BSD-3-Clause */
/* Lock requests on a mount's queue of four slots, two of which may wait. */
#include "tests/unit/mount_device.h"

#include <fcntl.h>

/* Before it is tried again; and longer than that takes. */
#define SOON_MS 1000

static void ask_lock(struct md *d, uint32_t opcode, uint64_t unique)
{
	struct fuse_lk_in in = {.fh = 7, .owner = unique, .lk = {.end = 9, .type = F_WRLCK}};

	md_ask_with(d, opcode, unique, &in, sizeof(in), NULL, 0);
}

static void interrupt(struct md *d, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};

	md_ask_with(d, FUSE_INTERRUPT, unique | 1, &in, sizeof(in), NULL, 0);
}

/* The device's next request is this one, whole. */
static void expect_lock(struct md *d, struct md_chain *chain, uint32_t opcode, uint64_t unique)
{
	struct fuse_lk_in in;

	md_pop(d, chain);
	assert_int_equal(md_header(chain).opcode, opcode);
	assert_int_equal(md_header(chain).unique, unique);
	assert_int_equal(chain->n, 3);
	assert_int_equal(chain->buf[1].len, sizeof(in));
	memcpy(&in, chain->buf[1].at, sizeof(in));
	assert_int_equal(in.owner, unique);
	assert_int_equal(in.lk.end, 9);
}

/* The kernel waits for one when the device has as many as it may: it is tried instead. */
static void ask_and_try(struct md *d, struct md_chain *chain, uint64_t unique)
{
	ask_lock(d, FUSE_SETLKW, unique);
	expect_lock(d, chain, FUSE_SETLK, unique);
}

static void answer(struct md *d, const struct md_chain *chain, int error)
{
	md_put_header(chain, sizeof(struct fuse_out_header), error, md_header(chain).unique);
	md_push_to(&d->ring, chain->head, sizeof(struct fuse_out_header));
}

static void expect_answer(struct md *d, uint64_t unique, int error)
{
	uint64_t got;
	size_t len;

	assert_int_equal(md_answer(d, &got, NULL, &len), error);
	assert_int_equal(got, unique);
	assert_int_equal(len, 0);
}

static void expect_no_answer(struct md *d)
{
	assert_false(md_readable(d->kernel, 30));
}

/* Two that wait at the device. */
static void fill(struct md *d, struct md_chain waits[2])
{
	for (uint64_t i = 0; i < 2; i++) {
		ask_lock(d, FUSE_SETLKW, 2 + 2 * i);
		expect_lock(d, &waits[i], FUSE_SETLKW, 2 + 2 * i);
	}
}

static void waiters_leave_room(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;
	uint64_t got;
	int tries = 0;

	fill(d, waits);
	for (uint64_t unique = 6; unique <= 20; unique += 2) {
		ask_lock(d, FUSE_SETLKW, unique);
		md_pop(d, &chain);
		while (md_header(&chain).unique != unique) { /* another's turn */
			answer(d, &chain, -EAGAIN);
			md_pop(d, &chain);
		}
		assert_int_equal(md_header(&chain).opcode, FUSE_SETLK);
		answer(d, &chain, -EAGAIN);
	}
	expect_no_answer(d);
	/* Ten in all: here comes the unlock, whatever is tried meanwhile. */
	ask_lock(d, FUSE_SETLK, 100);
	do {
		md_pop(d, &chain);
		got = md_header(&chain).unique;
		answer(d, &chain, got == 100 ? 0 : -EAGAIN);
		assert_true(tries++ < 200);
	} while (got != 100);
	expect_answer(d, 100, 0);
}

static void the_first_takes_a_free_place(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	ask_and_try(d, &chain, 6);
	answer(d, &waits[0], 0);
	expect_answer(d, 2, 0);
	answer(d, &chain, -EAGAIN);
	expect_lock(d, &chain, FUSE_SETLKW, 6);
	expect_no_answer(d);
	answer(d, &chain, 0);
	expect_answer(d, 6, 0);
}

/* Nobody but those who wait for others: it is tried again by itself. */
static void a_free_lock_is_had(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	ask_lock(d, FUSE_SETLKW, 6);
	for (int i = 0; i < 3; i++) {
		expect_lock(d, &chain, FUSE_SETLK, 6);
		answer(d, &chain, i == 2 ? 0 : -EAGAIN);
	}
	expect_answer(d, 6, 0);
	assert_false(md_pop_from(d, &d->ring, &d->popped, &chain, 60));
	/* Another error is an answer as well. */
	ask_and_try(d, &chain, 8);
	answer(d, &chain, -EBADF);
	expect_answer(d, 8, -EBADF);
}

static void a_kept_one_is_interrupted(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	ask_and_try(d, &chain, 6);
	/* While it is tried ... */
	interrupt(d, 6);
	expect_no_answer(d);
	answer(d, &chain, -EAGAIN);
	expect_answer(d, 6, -EINTR);
	/* ... and it may have been faster. */
	ask_and_try(d, &chain, 8);
	interrupt(d, 8);
	expect_no_answer(d);
	answer(d, &chain, 0);
	expect_answer(d, 8, 0);
	assert_false(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, 30));
	/* One that waits there is interrupted there. */
	interrupt(d, 2);
	assert_true(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, SOON_MS));
}

static void a_kept_one_is_interrupted_between_tries(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	ask_and_try(d, &chain, 6);
	answer(d, &chain, -EAGAIN);
	/* Most likely it is not being tried again yet. */
	interrupt(d, 6);
	while (!md_readable(d->kernel, 30) &&
		md_pop_from(d, &d->ring, &d->popped, &chain, SOON_MS))
		answer(d, &chain, -EAGAIN);
	expect_answer(d, 6, -EINTR);
	assert_false(md_pop_from(d, &d->ring, &d->popped, &chain, 60));
}

/* On another queue's thread it may come first; then it goes to the device, too. */
static void an_interrupt_may_be_early(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	interrupt(d, 6);
	assert_true(md_pop_from(d, &d->hiprio_ring, &d->hiprio_popped, &chain, SOON_MS));
	ask_and_try(d, &chain, 6);
	answer(d, &chain, -EAGAIN);
	expect_answer(d, 6, -EINTR);
}

/* They write nothing back. */
static void draining_does_not_wait_for_them(void **state)
{
	struct md *d = *state;
	struct md_chain waits[2], chain;

	fill(d, waits);
	ask_and_try(d, &chain, 6);
	answer(d, &chain, -EAGAIN);
	expect_no_answer(d);
	while (md_pop_from(d, &d->ring, &d->popped, &chain, 0))
		answer(d, &chain, -EAGAIN);
	atomic_store(&d->stop.drain, true);
	assert_int_equal(fd_signal(d->stop.drain_fd), 0);
	while (md_pop_from(d, &d->ring, &d->popped, &chain, 30))
		answer(d, &chain, -EAGAIN);
	assert_int_equal(md_join(d), FM_DRAINED);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, md_setup, md_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(waiters_leave_room),
		CASE(the_first_takes_a_free_place),
		CASE(a_free_lock_is_had),
		CASE(a_kept_one_is_interrupted),
		CASE(a_kept_one_is_interrupted_between_tries),
		CASE(an_interrupt_may_be_early),
		CASE(draining_does_not_wait_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
