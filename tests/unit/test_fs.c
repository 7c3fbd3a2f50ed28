/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service from outside: hostile requests, and sessions that come and go under requests in
 * flight. Files and their contents are test_ops.c's.
 */
#include "tests/unit/fs_fixture.h"

#include "fuse/core.h"
#include "fuse/shape.h"
#include "fuse/slot.h"

#define ROOM (16 + 8192)

static int setup(void **state)
{
	*state = fixture_new(FS_CACHE_AUTO);
	return 0;
}

static int setup_live(void **state)
{
	setup(state);
	return do_init(*state);
}

/* With everything on that an operation depends on, but for DAX. */
static int setup_all(void **state)
{
	struct fixture *f;

	setup(state);
	f = *state;
	fs_free(f->fs);
	f->config.posix_lock = f->config.flock = true;
	assert_int_equal(fs_new(&f->config, &f->fs), 0);
	return do_init(f);
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static int getattr_root(struct fixture *f)
{
	struct fuse_getattr_in in = {0};

	return exchange(f, FUSE_GETATTR, 1, &in, sizeof(in), ROOM);
}

/* A request that is always deferred, and fails when it runs: no such handle. */
static struct call *fsync_new(uint64_t unique)
{
	struct fuse_fsync_in in = {.fh = 0x7777777777};

	return call_request(FUSE_FSYNC, unique, 1, &in, sizeof(in), ROOM);
}

static void assert_untouched(const struct call *c)
{
	for (size_t i = 0; i < c->rep.iov_len; i++)
		assert_int_equal(((unsigned char *)c->rep.iov_base)[i], 0xee);
}

static void test_before_init(void **state)
{
	struct fixture *f = *state;
	struct fuse_forget_in forget = {.nlookup = 1};
	struct call *c;

	assert_int_equal(getattr_root(f), -EIO);
	assert_int_equal(exchange(f, FUSE_DESTROY, 0, NULL, 0, ROOM), -EIO);
	assert_int_equal(exchange(f, FUSE_BMAP, 1, NULL, 0, ROOM), -ENOSYS);
	c = call_request(FUSE_FORGET, 5, 1, &forget, sizeof(forget), ROOM);
	fs_submit(f->fs, &c->io);
	assert_int_equal(c->completed, 1);
	assert_int_equal(c->len, 0);
	assert_untouched(c);
	call_free(c);
	assert_int_equal(do_init(f), 0);
	assert_int_equal(getattr_root(f), 0);
}

static void test_destroy_then_init(void **state)
{
	struct fixture *f = *state;
	int fds;

	assert_int_equal(do_init(f), 0);
	fds = count_fds();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(exchange(f, FUSE_DESTROY, 0, NULL, 0, ROOM), 0);
		assert_true(count_fds() < fds);
		assert_int_equal(exchange(f, FUSE_DESTROY, 0, NULL, 0, ROOM), -EIO);
		assert_int_equal(getattr_root(f), -EIO);
		assert_int_equal(do_init(f), 0);
		assert_int_equal(getattr_root(f), 0);
		assert_int_equal(count_fds(), fds);
	}
}

/* A guest that reboots: its old requests are dropped, and its memory is left alone. */
static void test_init_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;
	struct call *old[3], *new;

	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		old[i] = fsync_new(i + 1);
		fs_submit(f->fs, &old[i]->io);
	}
	assert_int_equal(fs_inflight(f->fs), 3);
	assert_int_equal(f->n_held, 3);
	{
		/* Not by do_init(), which would run what is deferred. */
		struct fuse_init_in in = init_in(38);

		new = call_request(FUSE_INIT, 4, 0, &in, sizeof(in), ROOM);
		fs_submit(f->fs, &new->io);
		assert_int_equal(call_answer(new).error, 0);
		call_free(new);
	}
	new = fsync_new(1);
	fs_submit(f->fs, &new->io);
	assert_int_equal(fs_inflight(f->fs), 4);
	fixture_pump(f);
	assert_int_equal(fs_inflight(f->fs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		assert_int_equal(old[i]->dropped, 1);
		assert_int_equal(old[i]->completed, 0);
		assert_untouched(old[i]);
		call_free(old[i]);
	}
	assert_true(call_answer(new).error < 0);
	call_free(new);
	assert_int_equal(getattr_root(f), 0);
}

/* After DESTROY the guest still waits for what it had asked before. */
static void test_destroy_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;
	struct call *a = fsync_new(1), *b = fsync_new(2), *destroy;

	fs_submit(f->fs, &a->io);
	destroy = call_request(FUSE_DESTROY, 3, 0, NULL, 0, ROOM);
	fs_submit(f->fs, &destroy->io);
	assert_int_equal(call_answer(destroy).error, 0);
	fs_submit(f->fs, &b->io);
	assert_int_equal(call_answer(b).error, -EIO);
	assert_int_equal(a->completed, 0);
	fixture_pump(f);
	assert_true(call_answer(a).error < 0);
	call_free(a);
	call_free(b);
	call_free(destroy);
}

static void test_destroy_then_init_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = init_in(38);
	struct call *a = fsync_new(1);
	struct call *destroy = call_request(FUSE_DESTROY, 3, 0, NULL, 0, ROOM);
	struct call *init = call_request(FUSE_INIT, 4, 0, &in, sizeof(in), ROOM);

	fs_submit(f->fs, &a->io);
	fs_submit(f->fs, &destroy->io);
	fs_submit(f->fs, &init->io);
	assert_int_equal(call_answer(init).error, 0);
	fixture_pump(f);
	assert_int_equal(a->dropped, 1);
	assert_untouched(a);
	call_free(a);
	call_free(destroy);
	call_free(init);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct call *a = fsync_new(1);

	fs_submit(f->fs, &a->io);
	fs_reset(f->fs);
	fs_reset(f->fs);
	fixture_pump(f);
	assert_int_equal(a->dropped, 1);
	assert_untouched(a);
	call_free(a);
	assert_int_equal(getattr_root(f), -EIO);
	assert_int_equal(do_init(f), 0);
	assert_int_equal(getattr_root(f), 0);
}

/* Two requests with one unique are two requests. */
static void test_duplicate_unique(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = {0};
	struct call *a = fsync_new(42), *b = fsync_new(42);
	struct call *c = call_request(FUSE_GETATTR, 42, 1, &in, sizeof(in), ROOM);

	fs_submit(f->fs, &a->io);
	fs_submit(f->fs, &b->io);
	fs_submit(f->fs, &c->io);
	fixture_pump(f);
	assert_true(call_answer(a).error < 0 && call_answer(a).unique == 42);
	assert_true(call_answer(b).error < 0 && call_answer(b).unique == 42);
	assert_true(call_answer(c).error == 0 && call_answer(c).unique == 42);
	call_free(a);
	call_free(b);
	call_free(c);
}

static void test_unique_zero(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = {0};
	struct fuse_forget_in forget = {.nlookup = 1};
	struct call *c = call_request(FUSE_GETATTR, 0, 1, &in, sizeof(in), ROOM);

	assert_int_equal(call_run(f, c), -EINVAL);
	call_free(c);
	/* Nobody answers a FORGET, so its unique does not matter. */
	c = call_request(FUSE_FORGET, 0, 1, &forget, sizeof(forget), 0);
	fs_submit(f->fs, &c->io);
	assert_int_equal(c->completed, 1);
	call_free(c);
}

static void test_interrupt(void **state)
{
	struct fixture *f = *state;
	struct fuse_interrupt_in in = {.unique = 1};
	struct call *a = fsync_new(1), *c;

	fs_submit(f->fs, &a->io);
	c = call_request(FUSE_INTERRUPT, 2, 0, &in, sizeof(in), ROOM);
	fs_submit(f->fs, &c->io);
	assert_int_equal(c->completed, 1);
	assert_int_equal(c->len, 0);
	assert_untouched(c);
	fixture_pump(f);
	assert_true(call_answer(a).error != -EINTR);
	call_free(a);
	call_free(c);
}

static void test_hiprio(void **state)
{
	struct fixture *f = *state;
	struct fuse_getattr_in in = {0};
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[2];
	} batch = {.in.count = 2, .one = {{.nodeid = 1, .nlookup = 1}, {.nodeid = 99}}};
	struct call *c = call_request(FUSE_GETATTR, 1, 1, &in, sizeof(in), ROOM);

	c->io.hiprio = true;
	assert_int_equal(call_run(f, c), -EINVAL);
	call_free(c);
	for (int hiprio = 0; hiprio < 2; hiprio++) {
		c = call_request(FUSE_BATCH_FORGET, 1, 0, &batch, sizeof(batch), 0);
		c->io.hiprio = hiprio;
		c->io.n_rep = 0;
		fs_submit(f->fs, &c->io);
		assert_int_equal(c->completed, 1);
		assert_int_equal(c->len, 0);
		call_free(c);
	}
	assert_int_equal(getattr_root(f), 0);
}

/* The readable part may be longer than the message, never shorter. */
static void test_length_against_readable(void **state)
{
	struct fixture *f = *state;
	struct {
		struct fuse_in_header header;
		struct fuse_getattr_in in;
		char more[8];
	} request = {.header = {.opcode = FUSE_GETATTR, .unique = 1, .nodeid = 1}};

	for (uint32_t len = 0; len < 200; len++) {
		struct call *c;

		request.header.len = len;
		c = call_new(&request, sizeof(request), ROOM);
		assert_int_equal(call_run(f, c), len == 56 ? 0 : -EINVAL);
		call_free(c);
	}
	request.header.len = 56;
	for (size_t readable = sizeof(request.header); readable <= sizeof(request); readable++) {
		struct call *c = call_new(&request, readable, ROOM);

		assert_int_equal(call_run(f, c), readable >= 56 ? 0 : -EINVAL);
		call_free(c);
	}
	/* Less than a header: refused, if there is room to say so. */
	for (size_t readable = 0; readable < sizeof(request.header); readable++) {
		struct call *c = call_new(&request, readable, ROOM);

		fs_submit(f->fs, &c->io);
		assert_int_equal(call_answer(c).error, -EINVAL);
		call_free(c);
	}
}

/* Nothing is carried out whose answer would not fit. */
static void test_every_reply_room(void **state)
{
	struct fixture *f = *state;
	char args[256] = {0};

	for (uint32_t op = 0; op < 60; op++) {
		const struct fs_shape *shape = fs_shape_find(op);

		if (!shape || shape->flags & FS_SHAPE_SILENT || shape->answer == 0)
			continue;
		memset(args, 0, sizeof(args));
		strcpy(args + shape->args, "name");
		for (size_t room = 0; room < 16U + shape->answer; room++) {
			size_t len = shape->args + shape->names * 5U;
			struct call *c = call_request(op, 1, 1, args, len, room);

			fs_submit(f->fs, &c->io);
			assert_int_equal(f->n_held, 0);
			if (room < 16) {
				assert_int_equal(c->completed, 1);
				assert_int_equal(c->len, 0);
				assert_untouched(c);
			} else {
				assert_int_equal(call_answer(c).error, -EINVAL);
			}
			call_free(c);
		}
	}
}

static void fuzz_one(struct fixture *f, uint32_t op, const void *args, size_t len, size_t room)
{
	const struct fs_shape *shape = fs_shape_find(op);
	struct call *c = call_request(op, 77, 1, args, len, room);

	fs_submit(f->fs, &c->io);
	fixture_pump(f);
	assert_int_equal(c->dropped, 0);
	assert_int_equal(c->completed, 1);
	if ((shape && shape->flags & FS_SHAPE_SILENT) || room < 16) {
		assert_int_equal(c->len, 0);
		assert_untouched(c);
	} else {
		assert_true(call_answer(c).unique == 77);
		if (shape && (len < shape->args || (shape->names && len == shape->args)))
			assert_int_equal(call_answer(c).error, -EINVAL);
		/* Every row has an operation behind it; these two have none without a window. */
		if (op == FUSE_SETUPMAPPING || op == FUSE_REMOVEMAPPING)
			assert_true(call_answer(c).error == -ENOSYS ||
				    call_answer(c).error == -EINVAL);
		else
			assert_int_equal(call_answer(c).error == -ENOSYS, shape == NULL);
	}
	call_free(c);
}

/* Every opcode with every length, and arguments that are all kinds of wrong. */
static void test_every_opcode_every_length(void **state)
{
	static const unsigned char fills[] = {0, 0xff, 'a', 1};
	struct fixture *f = *state;
	char args[512];

	for (uint32_t op = 0; op < 64; op++) {
		const struct fs_shape *shape = fs_shape_find(op);
		size_t most = (shape ? shape->args : 0) + 24U;

		for (size_t fill = 0; fill < ARRAY_SIZE(fills); fill++) {
			memset(args, fills[fill], sizeof(args));
			for (size_t len = 0; len <= most; len++)
				fuzz_one(f, op, args, len, ROOM);
			fuzz_one(f, op, args, most, 0);
			fuzz_one(f, op, args, most, 15);
			fuzz_one(f, op, args, most, 16);
		}
		if (op == FUSE_INIT || op == FUSE_DESTROY)
			assert_int_equal(do_init(f), 0);
	}
	assert_int_equal(getattr_root(f), 0);
}

/* WRITE's data is neither copied nor parsed: it may lie where nobody can read. */
static void test_write_data_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct {
		struct fuse_in_header header;
		struct fuse_write_in in;
	} request = {
		.header = {.len = 80 + 65536, .opcode = FUSE_WRITE, .unique = 9, .nodeid = 1},
		.in = {.fh = 0x7777777777, .size = 65536},
	};
	void *data = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec req[2] = {{&request, sizeof(request)}, {data, 65536}};
	struct call *c = call_new(NULL, 0, ROOM);

	assert_true(data != MAP_FAILED);
	c->io.req = req;
	c->io.n_req = 2;
	c->io.req_len = c->io.req_ram = 80 + 65536;
	fs_submit(f->fs, &c->io);
	fixture_pump(f);
	/* The op's word about the handle, not libfuse's EIO about the size. */
	assert_int_equal(call_answer(c).error, -EBADF);
	call_free(c);

	/* A message that says it is longer than what is readable. */
	c = call_new(NULL, 0, ROOM);
	req[1].iov_len = 65535;
	c->io.req = req;
	c->io.n_req = 2;
	c->io.req_len = c->io.req_ram = 80 + 65535;
	fs_submit(f->fs, &c->io);
	assert_int_equal(call_answer(c).error, -EINVAL);
	call_free(c);
	munmap(data, 65536);
}

/* A READ for more than there is room for gives what fits. */
static void test_read_is_cut_to_the_room(void **state)
{
	struct fixture *f = *state;
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;
	struct fuse_read_in in = {.size = UINT32_MAX};
	int fd = openat(f->config.root_fd, "file", O_CREAT | O_WRONLY, 0644);
	struct call *c = call_request(FUSE_LOOKUP, 1, 1, "file", 5, ROOM);

	assert_int_equal(write(fd, "0123456789", 10), 10);
	close(fd);
	assert_int_equal(call_run(f, c), 0);
	memcpy(&entry, (char *)c->rep.iov_base + 16, sizeof(entry));
	call_free(c);
	c = call_request(FUSE_OPEN, 1, entry.nodeid, &open_in, sizeof(open_in), ROOM);
	assert_int_equal(call_run(f, c), 0);
	memcpy(&open_out, (char *)c->rep.iov_base + 16, sizeof(open_out));
	call_free(c);

	in.fh = open_out.fh;
	for (size_t room = 0; room < 20; room++) {
		c = call_request(FUSE_READ, 1, entry.nodeid, &in, sizeof(in), 16 + room);
		assert_int_equal(call_run(f, c), 0);
		assert_int_equal(c->len, 16 + MIN(room, 10));
		assert_memory_equal((char *)c->rep.iov_base + 16, "0123456789", MIN(room, 10));
		call_free(c);
	}
}

/* As many requests in flight as there are slots, and one more. */
static void test_slots_run_out(void **state)
{
	struct fixture *f = *state;
	size_t n = FS_SLOTS_MAX - FS_SLOTS_HIPRIO;
	struct call *calls = calloc(n, sizeof(*calls)), *model = fsync_new(5), *extra;
	char(*rooms)[16] = calloc(n, sizeof(*rooms));
	struct fuse_forget_in forget = {.nlookup = 1};

	assert_non_null(calls);
	assert_non_null(rooms);
	for (size_t i = 0; i < n; i++) {
		calls[i] = *model;
		calls[i].rep = (struct iovec){rooms[i], sizeof(rooms[i])};
		calls[i].io.rep = &calls[i].rep;
		calls[i].io.rep_len = calls[i].io.rep_ram = sizeof(rooms[i]);
		fs_submit(f->fs, &calls[i].io);
		assert_int_equal(calls[i].completed, 0);
	}
	assert_int_equal(fs_inflight(f->fs), n);

	extra = fsync_new(6);
	fs_submit(f->fs, &extra->io);
	assert_int_equal(call_answer(extra).error, -ENOMEM);
	call_free(extra);
	extra = call_request(FUSE_FORGET, 7, 1, &forget, sizeof(forget), 0);
	extra->io.hiprio = true;
	fs_submit(f->fs, &extra->io);
	assert_int_equal(extra->completed, 1);
	call_free(extra);

	fixture_pump(f);
	for (size_t i = 0; i < n; i++)
		assert_true(call_answer(&calls[i]).error < 0);
	assert_int_equal(getattr_root(f), 0);
	call_free(model);
	free(calls);
	free(rooms);
}

/* A guest that reboots again and again while the host's file system hangs. */
static void test_sessions_run_out(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = init_in(38);
	struct call *stuck[FS_SESSIONS_MAX], *init;

	for (size_t i = 0; i < FS_SESSIONS_MAX; i++) {
		init = call_request(FUSE_INIT, 4, 0, &in, sizeof(in), ROOM);
		fs_submit(f->fs, &init->io);
		assert_int_equal(call_answer(init).error, 0);
		call_free(init);
		stuck[i] = fsync_new(1);
		fs_submit(f->fs, &stuck[i]->io);
	}
	init = call_request(FUSE_INIT, 4, 0, &in, sizeof(in), ROOM);
	fs_submit(f->fs, &init->io);
	assert_int_equal(call_answer(init).error, -EBUSY);
	call_free(init);
	fixture_pump(f);
	for (size_t i = 0; i < FS_SESSIONS_MAX; i++) {
		assert_int_equal(stuck[i]->dropped, 1);
		call_free(stuck[i]);
	}
	assert_int_equal(do_init(f), 0);
	assert_int_equal(getattr_root(f), 0);
}

struct crowd {
	struct fixture *f;
	_Atomic bool stop;
	_Atomic unsigned int completed, dropped, failed;
};

/* A guest's queue: requests one after the other, whatever the session does meanwhile. */
static void *submit_many(void *arg)
{
	struct crowd *crowd = arg;
	struct fuse_getattr_in in = {0};
	struct {
		struct fuse_in_header header;
		struct fuse_getattr_in in;
	} request = {{.len = 56, .opcode = FUSE_GETATTR, .unique = 3, .nodeid = 1}, in};
	char answer[256];

	while (!atomic_load(&crowd->stop)) {
		struct call c = {
			.req = {&request, sizeof(request)},
			.rep = {answer, sizeof(answer)},
		};

		c.io = (struct fs_io){.req = &c.req,
			.rep = &c.rep,
			.n_req = 1,
			.n_rep = 1,
			.req_len = sizeof(request),
			.rep_len = sizeof(answer),
			.req_ram = sizeof(request),
			.rep_ram = sizeof(answer),
			.complete = call_on_complete,
			.drop = call_on_drop};
		fs_submit(crowd->f->fs, &c.io);
		if (c.completed + c.dropped != 1)
			atomic_fetch_add(&crowd->failed, 1);
		atomic_fetch_add(&crowd->completed, (unsigned int)c.completed);
		atomic_fetch_add(&crowd->dropped, (unsigned int)c.dropped);
	}
	return NULL;
}

static void test_sessions_change_under_threads(void **state)
{
	struct crowd crowd = {.f = *state};
	pthread_t threads[3];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &crowd), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(do_init(crowd.f), 0);
		if (i % 3 == 0)
			assert_int_equal(exchange(crowd.f, FUSE_DESTROY, 0, NULL, 0, ROOM), 0);
		if (i % 5 == 0)
			fs_reset(crowd.f->fs);
	}
	atomic_store(&crowd.stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.failed, 0);
	assert_true(crowd.completed > 0);
	assert_int_equal(fs_inflight(crowd.f->fs), 0);
}

static void test_not_a_directory(void **state)
{
	struct fixture *f = *state;
	struct fs_config config = f->config;
	struct fs *fs;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	config.root_fd = fds[0];
	assert_int_equal(fs_new(&config, &fs), -ENOTDIR);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(fs_new(&config, &fs), -EBADF);
	fs_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(setup_, name) cmocka_unit_test_setup_teardown(test_##name, setup_, teardown)
		TEST(setup, before_init),
		TEST(setup, destroy_then_init),
		TEST(setup_live, init_with_requests_in_flight),
		TEST(setup_live, destroy_with_requests_in_flight),
		TEST(setup_live, destroy_then_init_with_requests_in_flight),
		TEST(setup_live, reset),
		TEST(setup_live, duplicate_unique),
		TEST(setup_live, unique_zero),
		TEST(setup_live, interrupt),
		TEST(setup_live, hiprio),
		TEST(setup_live, length_against_readable),
		TEST(setup_live, every_reply_room),
		TEST(setup_all, every_opcode_every_length),
		TEST(setup_live, write_data_is_left_alone),
		TEST(setup_live, read_is_cut_to_the_room),
		TEST(setup_live, slots_run_out),
		TEST(setup, sessions_run_out),
		TEST(setup, sessions_change_under_threads),
		TEST(setup, not_a_directory),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
