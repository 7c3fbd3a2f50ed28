/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks against a model of all who lock: the owners of two guests and a process of the host. */
#include "tests/unit/lock_client.h"

#include <sys/wait.h>

enum { BYTES = 12, OWNERS_A = 3, OWNERS_B = 2, ALL = OWNERS_A + OWNERS_B + 1, HOST = ALL - 1 };

struct world {
	struct lock_guest guest[2];
	int to_host, from_host;
	pid_t pid;
	uint32_t held[ALL][BYTES];
};

/* A program of the host's that sets POSIX locks as it is told. */
static void host_program(const char *path, int in, int out)
{
	struct flock fl;
	int fd = open(path, O_RDWR);

	while (read(in, &fl, sizeof(fl)) == sizeof(fl)) {
		int r = fcntl(fd, F_SETLK, &fl) < 0 ? -errno : 0;

		if (r == -EACCES)
			r = -EAGAIN;
		if (write(out, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

static void host_start(struct world *w, const char *path)
{
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		close(in[1]);
		close(out[0]);
		host_program(path, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	w->to_host = in[1];
	w->from_host = out[0];
}

static struct lock_guest *guest_of(struct world *w, int owner)
{
	return owner < OWNERS_A ? &w->guest[0] : &w->guest[1];
}

static bool same_guest(int a, int b)
{
	return a < HOST && b < HOST && (a < OWNERS_A) == (b < OWNERS_A);
}

static bool conflicts(struct world *w, int who, uint32_t type, size_t start, size_t end)
{
	for (int other = 0; other < ALL; other++)
		for (size_t b = start; other != who && b <= end; b++)
			if (w->held[other][b] == F_WRLCK ||
				(w->held[other][b] == F_RDLCK && type == F_WRLCK))
				return true;
	return false;
}

static void world_set(struct world *w, int who, uint32_t type, size_t start, size_t end)
{
	bool busy = type != F_UNLCK && conflicts(w, who, type, start, end);
	int r;

	if (who == HOST) {
		struct flock fl = {
			.l_type = (short)type,
			.l_start = (off_t)start,
			.l_len = (off_t)(end - start + 1),
		};

		assert_int_equal(write(w->to_host, &fl, sizeof(fl)), sizeof(fl));
		assert_int_equal(read(w->from_host, &r, sizeof(r)), sizeof(r));
	} else {
		r = set_lock(guest_of(w, who), (uint64_t)who, type, start, end);
	}
	assert_int_equal(r, busy ? -EAGAIN : 0);
	for (size_t b = start; !busy && b <= end; b++)
		w->held[who][b] = type;
}

/* What is found is a whole lock of another owner, in the way, and its process if it is ours. */
static void world_get(struct world *w, int who, uint32_t type, size_t start, size_t end)
{
	struct fuse_file_lock found;
	bool ours = false, any = false;

	assert_int_equal(get_lock(guest_of(w, who), (uint64_t)who, type, start, end, &found), 0);
	assert_int_equal(found.type != F_UNLCK, conflicts(w, who, type, start, end));
	if (found.type == F_UNLCK)
		return;
	assert_true(found.start <= end && found.end >= start && found.end < BYTES);
	assert_true(found.type == F_WRLCK || type == F_WRLCK);
	for (int other = 0; other < ALL; other++) {
		const uint32_t *held = w->held[other];
		bool whole = other != who;

		for (uint64_t b = found.start; whole && b <= found.end; b++)
			whole = held[b] == found.type;
		whole = whole && (found.start == 0 || held[found.start - 1] != found.type);
		whole = whole && (found.end + 1 == BYTES || held[found.end + 1] != found.type);
		any |= whole;
		if (other != who && same_guest(who, other) && held[found.start] == found.type)
			ours |= found.pid == (uint32_t)(100 + other);
		else if (whole && found.pid == 0)
			ours = true;
	}
	assert_true(any);
	assert_true(ours);
}

static void world_flush(struct world *w, int who)
{
	assert_int_equal(do_flush(guest_of(w, who), 1, (uint64_t)who), 0);
	for (size_t b = 0; b < BYTES; b++)
		w->held[who][b] = F_UNLCK;
}

/* Two services on the first one's directory. */
static void world_init(struct world *w)
{
	struct client *a = client_new(FS_CACHE_AUTO, false, 0);
	struct client *other = client_new(FS_CACHE_AUTO, false, 0);

	host_write(a, "f", "0123456789");
	close(other->f->config.root_fd);
	other->f->config.root_fd = open(a->f->dir, O_RDONLY | O_DIRECTORY);
	w->guest[0].c = a;
	w->guest[1].c = other;
	for (size_t i = 0; i < 2; i++) {
		lock_serve(w->guest[i].c, NULL, NULL);
		lock_open(&w->guest[i], "f");
	}
	for (int who = 0; who < ALL; who++)
		for (size_t b = 0; b < BYTES; b++)
			w->held[who][b] = F_UNLCK;
	host_start(w, host(a, "f"));
}

static void test_model(void **state)
{
	static const uint32_t types[] = {F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK};
	struct world w;
	unsigned int seed = 42;
	int fds;

	(void)state;
	world_init(&w);
	fds = count_fds();
	for (int round = 0; round < 6000; round++) {
		size_t a = (size_t)rand_r(&seed) % BYTES, b = (size_t)rand_r(&seed) % BYTES;
		int who = rand_r(&seed) % ALL, what = rand_r(&seed) % 10;
		uint32_t type = types[rand_r(&seed) % 4];

		if (what == 0 && who != HOST)
			world_flush(&w, who);
		else if (what < 4 && who != HOST)
			world_get(&w, who, type == F_UNLCK ? F_WRLCK : type, MIN(a, b), MAX(a, b));
		else
			world_set(&w, who, type, MIN(a, b), MAX(a, b));
		assert_in_range(count_fds(), fds - 2, fds + OWNERS_A + OWNERS_B);
	}
	for (int who = 0; who < HOST; who++)
		world_flush(&w, who);
	/* A description that holds nothing is closed. */
	assert_in_range(count_fds(), fds - 2, fds);
	close(w.to_host);
	close(w.from_host);
	assert_int_equal(waitpid(w.pid, NULL, 0), w.pid);
	client_free(w.guest[1].c);
	client_free(w.guest[0].c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
