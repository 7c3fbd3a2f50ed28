/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest-tool hammer: several processes at random work on one tree, each step verified.
 *
 * Theory of operation: a worker owns DIR/wN with SLOTS names. It keeps what each file must hold in
 * its own memory (the model) and does the same step to the model and to the file: so any read, at
 * any time, can be compared. All workers also meet in DIR/shared, where files appear whole, by
 * rename, and carry their own length and checksum: a reader may find any of them, or none, but
 * never a torn one. What is left at the end is for the caller to compare, guest against host.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 48, SIZE_MAX_FILE = 96 * 1024, SHARED = 24 };

struct slot {
	bool exists;
	size_t size;
	unsigned char *data; /* SIZE_MAX_FILE bytes; zero past size */
};

struct worker {
	struct rng rng;
	unsigned int id;
	int dir, shared;
	struct slot slots[SLOTS];
};

/* A shared file: this header, then len bytes of the stream that seed names. */
struct shared_head {
	uint64_t seed;
	uint64_t len;
	uint64_t check; /* seed ^ len ^ SHARED_CHECK */
};

#define SHARED_CHECK 0x5ca1ab1e0ddba11ULL

static unsigned char scratch[SIZE_MAX_FILE + sizeof(struct shared_head)];
static unsigned char expected[SIZE_MAX_FILE];

static void slot_name(char name[NAME_MAX + 1], unsigned int i)
{
	snprintf(name, NAME_MAX + 1, "file %u", i);
}

static int slot_open(struct worker *worker, unsigned int i, int flags)
{
	char name[NAME_MAX + 1];
	int fd;

	slot_name(name, i);
	fd = openat(worker->dir, name, flags, 0644);
	if (fd < 0)
		die(errno, "worker %u: open %s", worker->id, name);
	return fd;
}

static void slot_close(struct worker *worker, int fd)
{
	if (close(fd))
		die(errno, "worker %u: close", worker->id);
}

static void step_write(struct worker *worker, unsigned int i)
{
	struct slot *slot = &worker->slots[i];
	size_t at = rng_below(&worker->rng, SIZE_MAX_FILE / 2);
	size_t len = 1 + rng_below(&worker->rng, SIZE_MAX_FILE / 2);
	int fd = slot_open(worker, i, O_RDWR | (slot->exists ? 0 : O_CREAT | O_EXCL));

	slot->exists = true;
	pattern(rng_next(&worker->rng), 0, slot->data + at, len);
	full_pwrite(fd, slot->data + at, len, at, "slot");
	if (at + len > slot->size)
		slot->size = at + len;
	if (rng_below(&worker->rng, 16) == 0 && fsync(fd))
		die(errno, "worker %u: fsync", worker->id);
	slot_close(worker, fd);
}

static void step_truncate(struct worker *worker, unsigned int i)
{
	struct slot *slot = &worker->slots[i];
	size_t size = rng_below(&worker->rng, SIZE_MAX_FILE);
	int fd = slot_open(worker, i, O_RDWR);

	if (ftruncate(fd, (off_t)size))
		die(errno, "worker %u: ftruncate", worker->id);
	if (size < slot->size)
		memset(slot->data + size, 0, slot->size - size);
	slot->size = size;
	slot_close(worker, fd);
}

static void verify_slot(struct worker *worker, unsigned int i)
{
	struct slot *slot = &worker->slots[i];
	struct stat st;
	int fd;

	if (!slot->exists) {
		char name[NAME_MAX + 1];

		slot_name(name, i);
		if (faccessat(worker->dir, name, F_OK, 0) == 0 || errno != ENOENT)
			die(0, "worker %u: %s is there again", worker->id, name);
		return;
	}
	fd = slot_open(worker, i, O_RDONLY);
	if (fstat(fd, &st))
		die(errno, "worker %u: fstat", worker->id);
	if ((size_t)st.st_size != slot->size)
		die(0, "worker %u: file %u has %lld bytes, not %zu", worker->id, i,
			(long long)st.st_size, slot->size);
	full_pread(fd, scratch, slot->size, 0, "slot");
	for (size_t k = 0; k < slot->size; k++)
		if (scratch[k] != slot->data[k])
			die(0, "worker %u: file %u differs at %zu", worker->id, i, k);
	slot_close(worker, fd);
}

static void step_rename(struct worker *worker, unsigned int i)
{
	unsigned int k = (i + 1 + (unsigned int)rng_below(&worker->rng, SLOTS - 1)) % SLOTS;
	char from[NAME_MAX + 1], to[NAME_MAX + 1];
	struct slot spare = worker->slots[k];

	slot_name(from, i);
	slot_name(to, k);
	if (renameat(worker->dir, from, worker->dir, to))
		die(errno, "worker %u: rename %s", worker->id, from);
	worker->slots[k] = worker->slots[i];
	memset(spare.data, 0, SIZE_MAX_FILE);
	worker->slots[i] = (struct slot){.data = spare.data};
}

static void step_unlink(struct worker *worker, unsigned int i)
{
	struct slot *slot = &worker->slots[i];
	char name[NAME_MAX + 1];

	slot_name(name, i);
	if (unlinkat(worker->dir, name, 0))
		die(errno, "worker %u: unlink %s", worker->id, name);
	memset(slot->data, 0, SIZE_MAX_FILE);
	*slot = (struct slot){.data = slot->data};
}

static void shared_publish(struct worker *worker, const char *name)
{
	struct shared_head head = {
		.seed = rng_next(&worker->rng), .len = rng_below(&worker->rng, 20000)};
	char temporary[NAME_MAX + 1];
	int fd;

	head.check = head.seed ^ head.len ^ SHARED_CHECK;
	snprintf(temporary, sizeof(temporary), ".new-%u", worker->id);
	fd = openat(worker->shared, temporary, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0)
		die(errno, "worker %u: create %s", worker->id, temporary);
	memcpy(scratch, &head, sizeof(head));
	pattern(head.seed, 0, scratch + sizeof(head), head.len);
	full_write(fd, scratch, sizeof(head) + head.len, temporary);
	slot_close(worker, fd);
	if (renameat(worker->shared, temporary, worker->shared, name))
		die(errno, "worker %u: rename to %s", worker->id, name);
}

static void shared_check(struct worker *worker, const char *name)
{
	struct shared_head head;
	struct stat st;
	int fd = openat(worker->shared, name, O_RDONLY);

	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fstat(fd, &st))
		die(errno, "worker %u: open %s", worker->id, name);
	full_pread(fd, &head, sizeof(head), 0, name);
	if ((head.seed ^ head.len ^ SHARED_CHECK) != head.check || head.len > SIZE_MAX_FILE ||
		(uint64_t)st.st_size != sizeof(head) + head.len)
		die(0, "worker %u: shared %s is torn (%lld bytes)", worker->id, name,
			(long long)st.st_size);
	full_pread(fd, scratch, head.len, sizeof(head), name);
	pattern(head.seed, 0, expected, head.len);
	if (memcmp(scratch, expected, head.len))
		die(0, "worker %u: shared %s holds other bytes", worker->id, name);
	slot_close(worker, fd);
}

static void step_shared(struct worker *worker)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "shared %u", (unsigned int)rng_below(&worker->rng, SHARED));
	switch (rng_below(&worker->rng, 8)) {
	case 0:
	case 1:
	case 2:
		shared_publish(worker, name);
		break;
	case 3:
		if (unlinkat(worker->shared, name, 0) && errno != ENOENT)
			die(errno, "worker %u: unlink %s", worker->id, name);
		break;
	default:
		shared_check(worker, name);
		break;
	}
}

static void step(struct worker *worker)
{
	unsigned int i = (unsigned int)rng_below(&worker->rng, SLOTS);
	uint64_t kind = rng_below(&worker->rng, 16);

	if (kind < 3)
		step_shared(worker);
	else if (kind < 7 || (!worker->slots[i].exists && kind < 12))
		step_write(worker, i);
	else if (!worker->slots[i].exists)
		verify_slot(worker, i);
	else if (kind < 12)
		verify_slot(worker, i);
	else if (kind == 12)
		step_truncate(worker, i);
	else if (kind == 13)
		step_unlink(worker, i);
	else
		step_rename(worker, i);
}

static int enter(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0755) && errno != EEXIST)
		die(errno, "mkdir %s", name);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		die(errno, "open %s", name);
	return fd;
}

static void work(unsigned int id, int parent, time_t seconds, uint64_t seed)
{
	struct worker worker = {.id = id};
	char name[NAME_MAX + 1];
	struct timespec now;
	uint64_t steps = 0;
	time_t end;

	rng_init(&worker.rng, seed * 1000 + id);
	/* Two VMs may hammer one tree: the seed keeps their workers' names apart. */
	snprintf(name, sizeof(name), "w%llu-%u", (unsigned long long)seed, id);
	worker.dir = enter(parent, name);
	worker.shared = enter(parent, "shared");
	worker.id = (unsigned int)seed * 100 + id;
	for (unsigned int i = 0; i < SLOTS; i++) {
		worker.slots[i].data = calloc(1, SIZE_MAX_FILE);
		if (!worker.slots[i].data)
			die(ENOMEM, "worker %u", id);
	}
	/* Monotonic: it stands still while the VM is stopped. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + seconds;
	for (; now.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &now), steps++)
		step(&worker);
	for (unsigned int i = 0; i < SLOTS; i++)
		verify_slot(&worker, i);
	printf("worker %u: %llu steps\n", worker.id, (unsigned long long)steps);
	exit(fflush(stdout) ? 1 : 0);
}

int cmd_hammer(int argc, char **argv)
{
	unsigned int workers = (unsigned int)number(argv[1]);
	int parent = open(argv[0], O_RDONLY | O_DIRECTORY), failed = 0;

	(void)argc;
	if (parent < 0)
		die(errno, "open %s", argv[0]);
	for (unsigned int i = 0; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die(errno, "fork");
		if (pid == 0)
			work(i, parent, (time_t)number(argv[2]), number(argv[3]));
	}
	for (unsigned int i = 0; i < workers; i++) {
		int status;

		if (wait(&status) < 0)
			die(errno, "wait");
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			failed++;
	}
	if (failed)
		die(0, "%d of %u workers failed", failed, workers);
	return 0;
}
