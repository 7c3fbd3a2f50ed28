/* SPDX-License-Identifier: BSD-3-Clause */
/* Two gateways on one directory and the host's own programs: locks exclude all of them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/hangfs.h"
#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID
#define END  UINT64_C(0x7fffffffffffffff)

/* What is said to happen at once, on a busy machine. */
#define SOON_MS 1000

#define WAITERS_MAX 256 /* README */

static const char *const with_locks[] = { "--posix-lock", "--flock", NULL };

static struct it_options options = {
	.be = { .extra = with_locks, .keep_listening = true },
	.fc = { .ring_size = 2048, .depth = WAITERS_MAX + 8, .room = 4096 },
};

/* A guest with "f" open. */
struct side {
	struct it *it;
	struct it_options options;
	uint64_t nodeid, fh;
};

struct pair {
	struct side a, b;
	int host; /* the host has it open too */
	bool far; /* "f" is on a file system that asks a server */
	struct hangfs fs;
};

static void open_path(struct side *side, const char *path)
{
	struct fuse_entry_out entry;
	struct fuse_open_out fh;

	assert_int_equal(fc_walk(side->it->q, path, &entry), 0);
	assert_int_equal(fc_open(side->it->q, entry.nodeid, O_RDWR, &fh), 0);
	side->nodeid = entry.nodeid;
	side->fh = fh.fh;
}

static void side_open(struct side *side)
{
	open_path(side, "f");
}

static void side_start(struct side *side, const char *share)
{
	void *state = &side->options;

	side->options = options;
	side->options.be.share = share;
	assert_int_equal(it_setup(&state), 0);
	side->it = state;
	assert_int_equal(side->it->init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS),
		FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);
	if (!share)
		it_file(side->it, "f", "0123456789");
	side_open(side);
}

static int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	side_start(&p->a, NULL);
	side_start(&p->b, p->a.it->be.share);
	p->host = open(it_path(p->a.it, "f"), O_RDWR | O_CLOEXEC);
	assert_true(p->host >= 0);
	*state = p;
	return 0;
}

/* The same with a ring that fewer waiters than there may be would fill. */
static int small_setup(void **state)
{
	uint16_t usual = options.fc.ring_size;
	int r;

	options.fc.ring_size = 128;
	r = pair_setup(state);
	options.fc.ring_size = usual;
	return r;
}

/* The same with the file on another file system. */
static int far_setup(void **state)
{
	struct pair *p;
	char path[256];

	pair_setup(state);
	p = *state;
	p->far = true;
	snprintf(path, sizeof(path), "%s", it_path(p->a.it, "mnt"));
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(hangfs_start(&p->fs, path), 0);
	close(p->host);
	p->host = open(it_path(p->a.it, "mnt/ok"), O_RDWR | O_CLOEXEC);
	assert_true(p->host >= 0);
	open_path(&p->a, "mnt/ok");
	open_path(&p->b, "mnt/ok");
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *p = *state;
	void *a = p->a.it, *b = p->b.it;
	int r;

	close(p->host);
	if (p->far)
		hangfs_stop(&p->fs);
	r = it_teardown(&b);
	r |= it_teardown(&a);
	free(p);
	return r;
}

static struct fuse_lk_in lock_in(
	const struct side *side, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return (struct fuse_lk_in){
		.fh = side->fh,
		.owner = owner,
		.lk = { .start = start, .end = end, .type = type, .pid = 4711 },
	};
}

static struct fc_req *send_lock(struct side *side, uint32_t opcode, const struct fuse_lk_in *in)
{
	struct fc_req *req = fc_send(side->it->q, &(struct fc_call){
							  .opcode = opcode,
							  .nodeid = side->nodeid,
							  .args = in,
							  .args_len = sizeof(*in),
							  .room = sizeof(struct fuse_lk_out),
						  });

	assert_non_null(req);
	return req;
}

static int run_lock(struct side *side, uint32_t opcode, const struct fuse_lk_in *in)
{
	return fc_wait(send_lock(side, opcode, in), FC_WAIT_MS, NULL);
}

static int set_lock(
	struct side *side, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	struct fuse_lk_in in = lock_in(side, owner, type, start, end);

	return run_lock(side, FUSE_SETLK, &in);
}

static int set_flock(struct side *side, uint64_t owner, uint32_t type)
{
	struct fuse_lk_in in = lock_in(side, owner, type, 0, END);

	in.lk_flags = FUSE_LK_FLOCK;
	return run_lock(side, FUSE_SETLK, &in);
}

/* A wait for a write lock on the whole file; nothing else is held up by it. */
static struct fc_req *start_waiting(struct side *side, uint64_t owner)
{
	struct fuse_lk_in in = lock_in(side, owner, F_WRLCK, 0, END);
	struct fc_req *req = send_lock(side, FUSE_SETLKW, &in);

	it_assert_alive(side->it->q);
	assert_false(fc_poll(req));
	return req;
}

static struct fuse_file_lock get_lock(struct side *side, uint64_t owner)
{
	struct fuse_lk_in in = lock_in(side, owner, F_WRLCK, 0, END);
	struct fc_reply reply;
	struct fuse_lk_out out;

	assert_int_equal(fc_wait(send_lock(side, FUSE_GETLK, &in), FC_WAIT_MS, &reply), 0);
	assert_int_equal(reply.len, sizeof(out));
	memcpy(&out, reply.body, sizeof(out));
	return out.lk;
}

static int host_lock(int fd, short type, off_t start, off_t len)
{
	struct flock fl = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/* A wait for the whole file, by the owner whose number it has. */
struct turn {
	struct side *side;
	struct fc_req *req; /* NULL: it has had its turn */
};

/* Every wait ends, whatever their order, and never two have the lock. */
static void take_turns(struct turn *turns, size_t n)
{
	int64_t end = it_now_ms() + FC_WAIT_MS;
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		left += turns[i].req != NULL;
	while (left && it_now_ms() < end) {
		size_t i = 0;

		while (i < n && !(turns[i].req && fc_poll(turns[i].req)))
			i++;
		if (i == n) {
			it_nap();
			continue;
		}
		assert_int_equal(fc_wait(turns[i].req, 0, NULL), 0);
		turns[i].req = NULL;
		for (size_t j = 0; j < n; j++)
			assert_false(turns[j].req && fc_poll(turns[j].req));
		assert_int_equal(set_lock(turns[i].side, i, F_UNLCK, 0, END), 0);
		left--;
	}
	assert_int_equal(left, 0);
}

/* ---- exclusion ---- */

static void all_exclude_each_other(void **state)
{
	struct pair *p = *state;
	struct fuse_file_lock found;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 10, 19), 0);
	assert_int_equal(set_lock(&p->a, 2, F_RDLCK, 15, 15), -EAGAIN);
	assert_int_equal(set_lock(&p->b, 1, F_RDLCK, 15, 15), -EAGAIN);
	assert_int_equal(host_lock(p->host, F_RDLCK, 15, 1), -EAGAIN);
	assert_int_equal(set_lock(&p->b, 1, F_WRLCK, 20, END), 0);
	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 15, 20), -EAGAIN);
	assert_int_equal(host_lock(p->host, F_WRLCK, 0, 10), 0);
	assert_int_equal(set_lock(&p->a, 1, F_RDLCK, 0, 0), -EAGAIN);

	/* A neighbour is named, strangers are not. */
	assert_int_equal(host_lock(p->host, F_UNLCK, 0, 0), 0);
	found = get_lock(&p->a, 2);
	assert_int_equal(found.type, F_WRLCK);
	assert_int_equal(found.start, 10);
	assert_int_equal(found.end, 19);
	assert_int_equal(found.pid, 4711);
	found = get_lock(&p->a, 1);
	assert_int_equal(found.start, 20);
	assert_int_equal(found.end, END);
	assert_int_equal(found.pid, 0);
	assert_int_equal(set_lock(&p->b, 1, F_UNLCK, 0, END), 0);
	assert_int_equal(get_lock(&p->a, 1).type, F_UNLCK);

	assert_int_equal(set_flock(&p->a, 1, F_WRLCK), 0);
	assert_int_equal(set_flock(&p->b, 1, F_RDLCK), -EAGAIN);
	assert_int_equal(flock(p->host, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(set_flock(&p->a, 1, F_RDLCK), 0);
	assert_int_equal(set_flock(&p->b, 1, F_RDLCK), 0);
	assert_int_equal(flock(p->host, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(set_flock(&p->b, 1, F_WRLCK), -EAGAIN);
}

/* ---- waiting ---- */

static void a_wait_is_granted(void **state)
{
	struct pair *p = *state;
	struct fuse_lk_in in = lock_in(&p->b, 7, F_WRLCK, 0, END);
	struct fc_req *req;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	req = start_waiting(&p->b, 1);
	for (int i = 0; i < 50; i++)
		it_assert_alive(p->b.it->q);
	assert_false(fc_poll(req));
	assert_int_equal(set_lock(&p->a, 1, F_UNLCK, 0, END), 0);
	assert_int_equal(fc_wait(req, SOON_MS, NULL), 0);
	assert_int_equal(set_lock(&p->a, 1, F_RDLCK, 0, 9), -EAGAIN);
	assert_int_equal(set_lock(&p->b, 1, F_UNLCK, 0, END), 0);

	/* From the host, and by flock(). */
	assert_int_equal(flock(p->host, LOCK_EX), 0);
	in.lk_flags = FUSE_LK_FLOCK;
	req = send_lock(&p->b, FUSE_SETLKW, &in);
	it_assert_alive(p->b.it->q);
	assert_false(fc_poll(req));
	assert_int_equal(flock(p->host, LOCK_UN), 0);
	assert_int_equal(fc_wait(req, SOON_MS, NULL), 0);
	assert_int_equal(flock(p->host, LOCK_SH | LOCK_NB), -1);
}

static void waiters_have_a_limit(void **state)
{
	struct pair *p = *state;
	struct fuse_lk_in in = lock_in(&p->b, 0, F_RDLCK, 0, END);
	struct fc_req *reqs[WAITERS_MAX];
	int threads = be_threads(&p->b.it->be);

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	for (size_t i = 0; i < WAITERS_MAX; i++) {
		in.owner = i % 16;
		reqs[i] = send_lock(&p->b, FUSE_SETLKW, &in);
	}
	it_assert_alive(p->b.it->q);
	/* Other locks can be had, one more wait cannot. */
	assert_int_equal(set_lock(&p->b, 99, F_WRLCK, 100, 100), 0);
	assert_int_equal(run_lock(&p->b, FUSE_SETLKW, &in), -ENOLCK);
	assert_int_equal(set_lock(&p->b, 99, F_UNLCK, 0, END), 0);
	assert_int_equal(set_lock(&p->a, 1, F_UNLCK, 0, END), 0);
	for (size_t i = 0; i < WAITERS_MAX; i++)
		assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
	it_until(be_threads(&p->b.it->be) <= threads + 1, 5000);
}

/* So the unlock that they wait for gets through: it is the same guest's. */
static void waiters_leave_half_a_ring(void **state)
{
	struct pair *p = *state;
	struct fuse_lk_in in = lock_in(&p->b, 0, F_RDLCK, 0, END);
	struct fc_req *reqs[128];
	size_t n = 0;

	assert_int_equal(set_lock(&p->b, 99, F_WRLCK, 0, 9), 0);
	for (bool full = false; !full; n += !full) {
		assert_true(n < ARRAY_SIZE(reqs));
		in.owner = n;
		reqs[n] = send_lock(&p->b, FUSE_SETLKW, &in);
		it_assert_alive(p->b.it->q);
		full = fc_poll(reqs[n]);
	}
	assert_int_equal(fc_wait(reqs[n], FC_WAIT_MS, NULL), -ENOLCK);
	assert_in_range(n, 10, 64);
	assert_int_equal(set_lock(&p->b, 99, F_UNLCK, 0, END), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
}

static void interrupts(void **state)
{
	struct pair *p = *state;
	struct turn turns[20];
	int64_t before;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		turns[i] = (struct turn){ &p->b, start_waiting(&p->b, i) };
	before = it_now_ms();
	for (size_t i = 0; i < ARRAY_SIZE(turns); i += 2)
		assert_int_equal(fc_interrupt(p->b.it->hp, turns[i].req->unique), 0);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i += 2) {
		assert_int_equal(fc_wait(turns[i].req, FC_WAIT_MS, NULL), -EINTR);
		turns[i].req = NULL;
	}
	assert_true(it_now_ms() - before < SOON_MS);
	/* Of nobody, and of one who waits no more. */
	assert_int_equal(fc_interrupt(p->b.it->hp, 1), 0);
	assert_int_equal(fc_interrupt(p->b.it->hp, 0), 0);
	for (size_t i = 1; i < ARRAY_SIZE(turns); i += 2)
		assert_false(fc_poll(turns[i].req));
	assert_int_equal(set_lock(&p->a, 1, F_UNLCK, 0, END), 0);
	take_turns(turns, ARRAY_SIZE(turns));
}

/* Those of different files too. */
static void deadlock_is_told(void **state)
{
	struct pair *p = *state;
	struct side other = p->b;
	struct fuse_entry_out entry;
	struct fuse_open_out fh;
	struct fuse_lk_in in;
	struct fc_req *req;

	assert_int_equal(fc_create(p->b.it->q, ROOT, "g", O_CREAT | O_RDWR, 0644, &entry, &fh), 0);
	other.nodeid = entry.nodeid;
	other.fh = fh.fh;
	assert_int_equal(set_lock(&p->b, 1, F_WRLCK, 0, 0), 0);
	assert_int_equal(set_lock(&other, 2, F_WRLCK, 0, 0), 0);
	req = start_waiting(&p->b, 2);
	in = lock_in(&other, 1, F_RDLCK, 0, 0);
	assert_int_equal(run_lock(&other, FUSE_SETLKW, &in), -EDEADLK);
	assert_int_equal(set_lock(&p->b, 1, F_UNLCK, 0, END), 0);
	assert_int_equal(fc_wait(req, SOON_MS, NULL), 0);
}

/* A stop does not wait for a waiter, and it waits on when the ring goes on. */
static void stop_and_resume(void **state)
{
	struct pair *p = *state;
	struct fc *fc = p->b.it->fc;
	struct turn turns[2] = { { &p->b, NULL }, { &p->b, NULL } };
	int64_t before;
	uint16_t base;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	turns[0].req = start_waiting(&p->b, 0);
	before = it_now_ms();
	assert_int_equal(vu_frontend_ring_stop(fc->fe, 1, &base), 0);
	assert_true(it_now_ms() - before < 400);
	assert_int_equal(vu_frontend_ring_resume(fc->fe, 1, base), 0);
	turns[1].req = start_waiting(&p->b, 1);
	assert_false(fc_poll(turns[0].req));

	/* Granted while the ring is stopped: the reply comes when it goes on. */
	assert_int_equal(vu_frontend_ring_stop(fc->fe, 1, &base), 0);
	assert_int_equal(set_lock(&p->a, 1, F_UNLCK, 0, END), 0);
	for (int i = 0; i < 50; i++) {
		it_nap();
		assert_false(fc_poll(turns[0].req) || fc_poll(turns[1].req));
	}
	assert_int_equal(vu_frontend_ring_resume(fc->fe, 1, base), 0);
	take_turns(turns, ARRAY_SIZE(turns));
}

/* ---- the end of guests ---- */

/* Takes everything with the guest a, has b wait for it and a's own waiter with it. */
static struct fc_req *contend(struct pair *p)
{
	struct fc_req *req;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, END), 0);
	assert_int_equal(set_flock(&p->a, 1, F_WRLCK), 0);
	start_waiting(&p->a, 2);
	req = start_waiting(&p->b, 1);
	return req;
}

static void assert_freed(struct pair *p, struct fc_req *req)
{
	assert_int_equal(fc_wait(req, SOON_MS, NULL), 0);
	/* The other kind's lock goes with it, but perhaps a moment later. */
	it_until(flock(p->host, LOCK_EX | LOCK_NB) == 0, SOON_MS);
	assert_int_equal(flock(p->host, LOCK_UN), 0);
	assert_int_equal(set_lock(&p->b, 1, F_UNLCK, 0, END), 0);
	/* a's waiter has not got it behind our back. */
	assert_int_equal(host_lock(p->host, F_WRLCK, 0, 0), 0);
	assert_int_equal(host_lock(p->host, F_UNLCK, 0, 0), 0);
}

static void disconnect_frees(void **state)
{
	struct pair *p = *state;

	for (int round = 0; round < 5; round++) {
		struct fc_req *req = contend(p);

		it_disconnect(p->a.it);
		assert_freed(p, req);
		it_connect(p->a.it, &options.fc);
		assert_int_equal(fc_mount(p->a.it->q, NULL), 0);
		side_open(&p->a);
	}
}

static void next_init_frees(void **state)
{
	struct pair *p = *state;

	for (int round = 0; round < 5; round++) {
		struct fc_req *req = contend(p);

		assert_int_equal(fc_mount(p->a.it->q, NULL), 0);
		assert_freed(p, req);
		side_open(&p->a);
	}
}

static void destroy_frees(void **state)
{
	struct pair *p = *state;
	struct fc_req *req = contend(p);

	assert_int_equal(fc_destroy(p->a.it->q), 0);
	assert_freed(p, req);
}

static void reset_frees(void **state)
{
	struct pair *p = *state;
	struct fc_req *req = contend(p);

	assert_int_equal(
		vu_frontend_request(p->a.it->fc->fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_freed(p, req);
}

static void sigkill_frees(void **state)
{
	struct pair *p = *state;
	struct fc_req *req = contend(p);

	assert_int_equal(kill(be_service(&p->a.it->be), SIGKILL), 0);
	assert_freed(p, req);
	p->a.options.bad_exit_fine = true;
}

static void sigterm_ends_with_waiters(void **state)
{
	struct pair *p = *state;
	int64_t before;

	contend(p);
	before = it_now_ms();
	assert_int_equal(be_signal(&p->b.it->be, SIGTERM), 0);
	assert_int_equal(be_wait(&p->b.it->be, 3000), 0);
	assert_true(it_now_ms() - before < SOON_MS);
}

static void release_frees(void **state)
{
	struct pair *p = *state;
	struct fc_req *req;

	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	req = start_waiting(&p->b, 1);
	assert_int_equal(fc_release(p->a.it->q, p->a.nodeid, p->a.fh), 0);
	assert_int_equal(fc_wait(req, SOON_MS, NULL), 0);
}

/* What may wait for a server is unlocked on other threads, while a request hangs there. */
static void far_locks_end(void **state)
{
	struct pair *p = *state;

	all_exclude_each_other(state);
	assert_int_equal(flock(p->host, LOCK_UN), 0);
	assert_int_equal(set_flock(&p->b, 1, F_UNLCK), 0);
	assert_int_equal(set_lock(&p->a, 1, F_UNLCK, 0, END), 0);
	for (int round = 0; round < 3; round++) {
		struct fc_req *req = contend(p);
		struct side hang = p->a;
		struct fuse_read_in in;

		open_path(&hang, "mnt/hang");
		in = (struct fuse_read_in){ .fh = hang.fh, .size = 16 };
		assert_non_null(fc_send(p->a.it->q, &(struct fc_call){
							    .opcode = FUSE_READ,
							    .nodeid = hang.nodeid,
							    .args = &in,
							    .args_len = sizeof(in),
							    .room = 16,
						    }));
		assert_int_equal(hangfs_wait(&p->fs, 1, 5000), 0);
		if (round == 2) {
			assert_int_equal(fc_mount(p->a.it->q, NULL), 0);
			assert_freed(p, req);
			break;
		}
		it_disconnect(p->a.it);
		assert_freed(p, req);
		it_connect(p->a.it, &options.fc);
		assert_int_equal(fc_mount(p->a.it->q, NULL), 0);
		open_path(&p->a, "mnt/ok");
	}
	open_path(&p->a, "mnt/ok");
	assert_int_equal(set_lock(&p->a, 1, F_WRLCK, 0, 9), 0);
	assert_int_equal(set_flock(&p->a, 1, F_WRLCK), 0);
	assert_int_equal(fc_flush(p->a.it->q, p->a.nodeid, p->a.fh), 0);
	assert_int_equal(fc_release(p->a.it->q, p->a.nodeid, p->a.fh), 0);
	assert_int_equal(flock(p->host, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(host_lock(p->host, F_WRLCK, 0, 0), 0);
	assert_int_equal(hangfs_release(&p->fs), 0);
}

/* ---- contention ---- */

static void many_take_turns(void **state)
{
	struct pair *p = *state;
	struct turn turns[60];

	assert_int_equal(host_lock(p->host, F_WRLCK, 0, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
		turns[i].side = i % 2 ? &p->a : &p->b;
		turns[i].req = start_waiting(turns[i].side, i);
	}
	assert_int_equal(host_lock(p->host, F_UNLCK, 0, 0), 0);
	take_turns(turns, ARRAY_SIZE(turns));
}

/* ---- without the options ---- */

static void off_by_default(void **state)
{
	struct it *it = *state;
	struct side side = { .it = it };

	assert_int_equal(it->init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS), 0);
	it_file(it, "f", "");
	side_open(&side);
	assert_int_equal(set_lock(&side, 1, F_WRLCK, 0, END), -ENOSYS);
	assert_int_equal(set_flock(&side, 1, F_WRLCK), -ENOSYS);
}

#define PAIR_TEST(fn) { #fn, fn, pair_setup, pair_teardown, NULL }

static const struct CMUnitTest tests[] = {
	PAIR_TEST(all_exclude_each_other),
	PAIR_TEST(a_wait_is_granted),
	PAIR_TEST(waiters_have_a_limit),
	{ "waiters_leave_half_a_ring", waiters_leave_half_a_ring, small_setup, pair_teardown,
		NULL },
	PAIR_TEST(interrupts),
	PAIR_TEST(deadlock_is_told),
	PAIR_TEST(stop_and_resume),
	PAIR_TEST(disconnect_frees),
	PAIR_TEST(next_init_frees),
	PAIR_TEST(destroy_frees),
	PAIR_TEST(reset_frees),
	PAIR_TEST(sigkill_frees),
	PAIR_TEST(sigterm_ends_with_waiters),
	PAIR_TEST(release_frees),
	{ "far_locks_end", far_locks_end, far_setup, pair_teardown, NULL },
	PAIR_TEST(many_take_turns),
	IT_TEST(off_by_default),
};

#define OTHER_OPTIONS "its locks have other options, and it cannot wait for one"
static const struct it_difference differences[] = {
	{ "all_exclude_each_other", OTHER_OPTIONS },
	{ "a_wait_is_granted", OTHER_OPTIONS },
	{ "waiters_have_a_limit", OTHER_OPTIONS },
	{ "waiters_leave_half_a_ring", OTHER_OPTIONS },
	{ "interrupts", OTHER_OPTIONS },
	{ "deadlock_is_told", OTHER_OPTIONS },
	{ "stop_and_resume", OTHER_OPTIONS },
	{ "disconnect_frees", OTHER_OPTIONS },
	{ "next_init_frees", OTHER_OPTIONS },
	{ "destroy_frees", OTHER_OPTIONS },
	{ "reset_frees", OTHER_OPTIONS },
	{ "sigkill_frees", OTHER_OPTIONS },
	{ "sigterm_ends_with_waiters", OTHER_OPTIONS },
	{ "release_frees", OTHER_OPTIONS },
	{ "far_locks_end", OTHER_OPTIONS },
	{ "many_take_turns", OTHER_OPTIONS },
	{ "off_by_default", "it locks what was not agreed on" },
};

IT_MAIN("locks", tests, differences)
