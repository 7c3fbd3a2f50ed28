/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: the host's part of daxops, the hashes of its files, and turns in a tail page. */
#include "dax.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct dax_step dax_step(uint64_t seed, uint64_t number, uint64_t size)
{
	struct dax_step step;
	struct rng rng;

	rng_init(&rng, seed * 1000003 + number);
	step.seed = rng_next(&rng);
	step.len = 1 + rng_below(&rng, DAX_APPEND_MAX);
	/* An append, or a write in place; both of odd length, at odd places. */
	step.offset = size;
	if ((rng_below(&rng, 3) > 0 && size > 0) || size + step.len > DAX_SIZE_MAX) {
		step.offset = rng_below(&rng, size);
		if (step.len > size - step.offset)
			step.len = size - step.offset;
	}
	return step;
}

int dax_host_owns(uint64_t offset)
{
	return (int)(offset / DAX_STRIPE % 2);
}

uint64_t dax_run_end(uint64_t offset)
{
	return (offset / DAX_STRIPE + 1) * DAX_STRIPE;
}

static void host_write(int fd, const struct dax_step *step, uint64_t size)
{
	static unsigned char data[DAX_APPEND_MAX];
	uint64_t end = step->offset + step->len;

	pattern(step->seed, 0, data, step->len);
	if (step->offset >= size) {
		full_pwrite(fd, data, step->len, step->offset, DAX_MIXED);
		return;
	}
	for (uint64_t at = step->offset, next; at < end; at = next) {
		next = dax_run_end(at) < end ? dax_run_end(at) : end;
		if (dax_host_owns(at))
			full_pwrite(fd, data + (at - step->offset), next - at, at, DAX_MIXED);
	}
}

static int open_in(const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags, 0644);
	if (fd < 0)
		die(errno, "open %s", path);
	return fd;
}

/* Runs until the guest says that it is done, or has asked nothing for two minutes. */
int cmd_daxhost(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t seed = number(argv[1]), done = 0;
	int asked = open_in(argv[0], DAX_ASKED, O_RDONLY);
	int did = open_in(argv[0], DAX_DID, O_WRONLY);
	int mixed = open_in(argv[0], DAX_MIXED, O_RDWR);

	(void)argc;
	for (unsigned int idle = 0; idle < 120000; idle++) {
		uint64_t wanted = 0;
		struct dax_step step;
		struct stat st;

		if (pread(asked, &wanted, sizeof(wanted), 0) < 0)
			die(errno, "read %s", DAX_ASKED);
		if (wanted == DAX_DONE) {
			printf("daxhost: %llu steps\n", (unsigned long long)done);
			return 0;
		}
		if (wanted == done) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (fstat(mixed, &st))
			die(errno, "stat %s", DAX_MIXED);
		step = dax_step(seed, wanted, (uint64_t)st.st_size);
		host_write(mixed, &step, (uint64_t)st.st_size);
		done = wanted;
		full_pwrite(did, &done, sizeof(done), 0, DAX_DID);
		idle = 0;
	}
	die(0, "the guest asks no more after step %llu", (unsigned long long)done);
}

static void sum(const char *dir, const char *name)
{
	static unsigned char data[DAX_SIZE_MAX];
	int fd = open_in(dir, name, O_RDONLY);
	struct stat st;

	if (fstat(fd, &st))
		die(errno, "stat %s", name);
	if (st.st_size > DAX_SIZE_MAX)
		die(0, "%s has %lld bytes", name, (long long)st.st_size);
	full_pread(fd, data, (size_t)st.st_size, 0, name);
	printf("file %s %lld %016llx\n", name, (long long)st.st_size,
		(unsigned long long)fnv(FNV_START, data, (size_t)st.st_size));
	close(fd);
}

int cmd_daxsum(int argc, char **argv)
{
	char name[16];

	(void)argc;
	for (unsigned int i = 0; i + 1 < DAX_FILES; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		sum(argv[0], name);
	}
	sum(argv[0], DAX_MIXED);
	return 0;
}

/* Two processes, in two guests, have one page mapped and take turns: the data bytes are split
 * between them byte by byte, and each publishes its round in a byte of its own. */
enum { TAIL = 4096, TAIL_DATA = 800, TAIL_TURN = TAIL + TAIL_DATA, TAIL_WAIT_MS = 20000 };

static void tail_wait(const _Atomic unsigned char *turn, unsigned char round)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (unsigned int i = 0; atomic_load(turn) != round; i++) {
		if (i >= TAIL_WAIT_MS)
			die(0, "the other's round %u never shows", round);
		nanosleep(&pause, NULL);
	}
}

static void tail_check(const volatile unsigned char *page, unsigned int owner, unsigned char round)
{
	for (unsigned int i = owner; i < TAIL_DATA; i += 2) {
		unsigned char want = (unsigned char)(round * 7 + i);

		if (page[TAIL + i] != want)
			die(0, "round %u: byte %u is %#x, not %#x", round, TAIL + i, page[TAIL + i],
				want);
	}
}

int cmd_daxtail(int argc, char **argv)
{
	unsigned int me = (unsigned int)number(argv[1]) & 1, rounds = (unsigned int)number(argv[2]);
	int fd = open(argv[0], O_RDWR);
	volatile unsigned char *page;
	_Atomic unsigned char *turns;
	struct stat st;

	(void)argc;
	if (fd < 0 || fstat(fd, &st))
		die(errno, "open %s", argv[0]);
	if (st.st_size < TAIL_TURN + 2)
		die(0, "%s is too short", argv[0]);
	page = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		die(errno, "mmap %s", argv[0]);
	turns = (_Atomic unsigned char *)(uintptr_t)(page + TAIL_TURN);
	for (unsigned int round = 1; round <= rounds; round++) {
		unsigned char number = (unsigned char)round;

		if (me == 1) {
			tail_wait(&turns[0], number);
			tail_check(page, 0, number);
		}
		for (unsigned int i = me; i < TAIL_DATA; i += 2)
			page[TAIL + i] = (unsigned char)(number * 7 + i);
		atomic_store(&turns[me], number);
		if (me == 0) {
			tail_wait(&turns[1], number);
			tail_check(page, 1, number);
		}
	}
	printf("daxtail: %u rounds\n", rounds);
	return 0;
}
