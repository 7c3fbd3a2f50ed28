/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions: what they own, their references and epochs, and libfuse's answers on the pair. */
#include "tests/unit/fs_fixture.h"

#include <fuse_lowlevel.h>
#include <sys/socket.h>

#include "fuse/core.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/slot.h"

static int setup(void **state)
{
	*state = fixture_new(FS_CACHE_AUTO);
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static struct fs_session *session_new(struct fixture *f)
{
	struct fs_session *session;

	assert_int_equal(fs_session_new(f->fs, fs_epoch_next(f->fs, true), &session), 0);
	return session;
}

static void test_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	int fds = count_fds();

	/* libfuse takes a thread-specific key for each: 1,024 would be the end of them. */
	for (int i = 0; i < 1100; i++)
		fs_session_put(session_new(f));
	assert_int_equal(count_fds(), fds);
}

static void test_references(void **state)
{
	struct fixture *f = *state;
	int fds = count_fds();
	struct fs_session *session = session_new(f);

	assert_null(fs_current(f->fs));
	fs_publish(f->fs, session);
	assert_ptr_equal(fs_current(f->fs), session);
	fs_session_put(session);
	fs_session_put(session);
	assert_true(count_fds() > fds);
	fs_reset(f->fs);
	assert_null(fs_current(f->fs));
	assert_int_equal(count_fds(), fds);
}

static void test_epochs(void **state)
{
	struct fixture *f = *state;
	struct fs_session *a = session_new(f), *b;

	fs_publish(f->fs, a);
	assert_false(fs_session_is_cut(a));
	(void)fs_epoch_next(f->fs, false); /* DESTROY */
	assert_null(fs_current(f->fs));
	assert_false(fs_session_is_cut(a));
	b = session_new(f); /* INIT */
	assert_true(fs_session_is_cut(a));
	assert_false(fs_session_is_cut(b));
	fs_publish(f->fs, a); /* too late */
	assert_null(fs_current(f->fs));
	fs_publish(f->fs, b);
	fs_reset(f->fs);
	assert_true(fs_session_is_cut(b));
	fs_session_put(a);
	fs_session_put(b);
}

/* One thread drains what is meant for another's slot; the answer waits there. */
static void test_drain(void **state)
{
	struct fixture *f = *state;
	struct fs_session *session = session_new(f);
	struct fs_slot *mine = fs_slot_get(f->fs->slots, false);
	struct fs_slot *other = fs_slot_get(f->fs->slots, false);
	struct fs_slot *idle = fs_slot_get(f->fs->slots, false);
	bool claimed = false;
	struct {
		struct fuse_out_header out;
		char data[8];
	} reply = {.out = {.len = 16}};
	int fd = fuse_session_fd(session->se);

	mine->session = other->session = idle->session = session;
	mine->claimed = other->claimed = &claimed;

	reply.out.unique = other->index + 1;
	reply.out.error = -ENOSYS;
	assert_int_equal(write(fd, &reply, sizeof(reply.out)), 16);
	/* Answers that belong to nobody: a claimed slot's, one of no slot, a stump. */
	reply.out.unique = idle->index + 1;
	assert_int_equal(write(fd, &reply, sizeof(reply.out)), 16);
	reply.out.unique = UINT64_MAX;
	assert_int_equal(write(fd, &reply, sizeof(reply.out)), 16);
	reply.out.unique = 0;
	assert_int_equal(write(fd, &reply, sizeof(reply.out)), 16);
	assert_int_equal(write(fd, &reply, 3), 3);

	assert_int_equal(fs_session_drain(session, mine), -EIO);
	assert_false(idle->answered);
	assert_int_equal(fs_session_drain(session, other), -ENOSYS);

	/* An answer with data is not ours to pass on. */
	mine->claimed = &claimed;
	reply.out.unique = mine->index + 1;
	reply.out.error = 0;
	assert_int_equal(write(fd, &reply, sizeof(reply)), sizeof(reply));
	assert_int_equal(fs_session_drain(session, mine), -EIO);

	fs_slot_put(f->fs->slots, mine);
	fs_slot_put(f->fs->slots, other);
	fs_slot_put(f->fs->slots, idle);
	fs_session_put(session);
}

/* A full pair loses answers; it never blocks. */
static void test_pair_does_not_block(void **state)
{
	struct fixture *f = *state;
	struct fs_session *session = session_new(f);
	struct fuse_out_header out = {.len = 16, .unique = 1};
	int n = 0;

	while (write(fuse_session_fd(session->se), &out, sizeof(out)) > 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 0);
	fs_session_put(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_epochs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pair_does_not_block, setup, teardown),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
