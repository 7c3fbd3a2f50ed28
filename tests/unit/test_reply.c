/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers: what arrives in the guest's buffers, whatever their size and shape. */
#include "tests/unit/fs_fixture.h"

#include "fuse/core.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/slot.h"

#define UNIQUE 0x1122334455667788

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

/* A slot of an own opcode, as fs_submit would have it. */
static struct fs_slot *slot_for(struct fixture *f, struct call *c)
{
	struct fs_slot *slot = fs_slot_get(f->fs->slots, false);

	assert_non_null(slot);
	slot->io = &c->io;
	slot->header = (struct fuse_in_header){.unique = UNIQUE, .opcode = FUSE_SYNCFS};
	atomic_fetch_add(&f->fs->inflight, 1);
	return slot;
}

static void test_errors(void **state)
{
	static const struct {
		int given, seen;
	} rows[] = {
		{0, 0},
		{-ENOENT, -ENOENT},
		{-ESTALE, -ESTALE},
		{-511, -511},
		{-512, -EIO},
		{-100000, -EIO},
		{1, -EIO},
		{ENOENT, -EIO},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct call *c = call_new(NULL, 0, 64);

		fs_reply_err(slot_for(f, c), rows[i].given);
		assert_int_equal(call_answer(c).error, rows[i].seen);
		assert_true(call_answer(c).unique == UNIQUE);
		assert_int_equal(c->len, sizeof(struct fuse_out_header));
		assert_int_equal(fs_inflight(f->fs), 0);
		call_free(c);
	}
}

/* A buffer of every size: the answer, or EIO without the data, or silence; nothing beyond. */
static void test_room(void **state)
{
	struct fixture *f = *state;
	char data[24];

	memset(data, 'd', sizeof(data));
	for (size_t room = 0; room < 64; room++) {
		struct call *c = call_new(NULL, 0, room);

		fs_reply_data(slot_for(f, c), data, sizeof(data));
		if (room < 16) {
			assert_int_equal(c->completed, 1);
			assert_int_equal(c->len, 0);
		} else if (room < 16 + sizeof(data)) {
			assert_int_equal(call_answer(c).error, -EIO);
			assert_int_equal(c->len, 16);
		} else {
			assert_int_equal(call_answer(c).error, 0);
			assert_int_equal(c->len, 16 + sizeof(data));
			assert_memory_equal((char *)c->rep.iov_base + 16, data, sizeof(data));
		}
		call_free(c);
	}
}

/* The header may be cut into pieces by the guest's segments. */
static void test_segments(void **state)
{
	struct fixture *f = *state;
	char out[40] = {0};
	struct iovec rep[] = {{out, 3}, {out + 3, 0}, {out + 3, 10}, {out + 13, 9}, {out + 22, 18}};
	struct call *c = call_new(NULL, 0, 0);
	struct fs_slot *slot;
	struct fuse_out_header header;

	c->io.rep = rep;
	c->io.n_rep = ARRAY_SIZE(rep);
	c->io.rep_len = c->io.rep_ram = sizeof(out);
	slot = slot_for(f, c);
	assert_int_equal(fs_slot_reply_room(slot).left, 24);
	fs_reply_data(slot, "123456789012345678901234", 24);
	memcpy(&header, out, sizeof(header));
	assert_int_equal(header.len, 40);
	assert_true(header.unique == UNIQUE);
	assert_memory_equal(out + 16, "123456789012345678901234", 24);
	assert_int_equal(c->len, 40);
	call_free(c);
}

static void test_payload_in_place(void **state)
{
	struct fixture *f = *state;
	struct call *c = call_new(NULL, 0, 32);
	struct fs_slot *slot = slot_for(f, c);
	struct vu_iov room = fs_slot_reply_room(slot);

	assert_int_equal(vu_iov_write(&room, "payload", 7), 7);
	fs_reply_payload(slot, 7);
	assert_int_equal(call_answer(c).error, 0);
	assert_int_equal(c->len, 23);
	assert_memory_equal((char *)c->rep.iov_base + 16, "payload", 7);
	call_free(c);

	c = call_new(NULL, 0, 32);
	fs_reply_payload(slot_for(f, c), 17);
	assert_int_equal(call_answer(c).error, -EIO);
	call_free(c);

	c = call_new(NULL, 0, 32);
	fs_reply_payload(slot_for(f, c), SIZE_MAX);
	assert_int_equal(call_answer(c).error, -EIO);
	call_free(c);
}

static void test_none(void **state)
{
	struct fixture *f = *state;
	struct call *c = call_new(NULL, 0, 32);

	fs_reply_none(slot_for(f, c));
	assert_int_equal(c->completed, 1);
	assert_int_equal(c->len, 0);
	assert_int_equal(*(unsigned char *)c->rep.iov_base, 0xee);
	call_free(c);
}

/* Not a byte is written for a guest that has gone. */
static void test_cut_session(void **state)
{
	struct fixture *f = *state;
	struct call *c = call_new(NULL, 0, 32);
	struct fs_slot *slot = slot_for(f, c);
	struct fs_session *session;

	assert_int_equal(fs_session_new(f->fs, fs_epoch_next(f->fs, true), &session), 0);
	slot->session = session;
	fs_reset(f->fs);
	fs_reply_data(slot, "data", 4);
	assert_int_equal(c->dropped, 1);
	assert_int_equal(c->completed, 0);
	for (size_t i = 0; i < c->rep.iov_len; i++)
		assert_int_equal(((unsigned char *)c->rep.iov_base)[i], 0xee);
	assert_int_equal(fs_inflight(f->fs), 0);
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_payload_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_session, setup, teardown),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
