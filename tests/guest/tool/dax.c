/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest-tool daxops: random work on files, mapped and not, each byte against a model.
 *
 * Theory of operation: of each file the model has the size and all bytes. A step does the same to
 * the file and to the model, then looks at a part of the file, now by pread, now through a mapping;
 * every so often, and at the end, at all of it. Wrong bytes are counted, not fatal. A mapping lives
 * from open to reopen, longer than the file's size stays: it is only touched below the size.
 *
 * With a helper on the host (daxhost), the last file is written by both. The host owns every other
 * stripe of it. A step of the host follows from the seed and its number, so both sides know its
 * bytes; the guest asks for one through a control file and, until the host's number in another one
 * says that it is done, neither resizes the file nor looks at the bytes that the host may be
 * writing. The mount must be coherent with the host: this is what is tested.
 */
#include "dax.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct dax_file {
	char name[16];
	int fd;
	unsigned char *map;  /* DAX_SIZE_MAX bytes of the file */
	unsigned char *data; /* the model; zero from size on */
	size_t size;
	bool mixed;
};

struct ops {
	struct rng rng;
	int dir;
	struct dax_file files[DAX_FILES];
	uint64_t step, wrong, skipped;
	/* The host's part. While asked != did a step of it is under way, of these bytes. */
	bool host;
	uint64_t seed, asked, did;
	struct dax_step pending;
	int asked_fd, did_fd;
};

static unsigned char scratch[DAX_SIZE_MAX];

static void complain(
	struct ops *ops, const struct dax_file *file, const char *how, size_t at, unsigned char got)
{
	if (ops->wrong++ < 10)
		printf("wrong: step %llu, %s of %s, byte %zu of %zu: %#x, not %#x\n",
			(unsigned long long)ops->step, how, file->name, at, file->size, got,
			file->data[at]);
}

/* Whether the host may be writing this byte now. */
static bool in_flight(const struct ops *ops, const struct dax_file *file, size_t at)
{
	return file->mixed && ops->asked != ops->did && dax_host_owns(at) &&
	       at >= ops->pending.offset && at < ops->pending.offset + ops->pending.len;
}

static void compare(struct ops *ops, const struct dax_file *file, const char *how,
	const unsigned char *got, size_t at, size_t len)
{
	bool busy = file->mixed && ops->asked != ops->did;

	if (!busy && !memcmp(got, file->data + at, len))
		return;
	for (size_t i = 0; i < len; i++)
		if (got[i] != file->data[at + i] && !in_flight(ops, file, at + i))
			complain(ops, file, how, at + i, got[i]);
}

/* Looks at a range below the size, which it clips. */
static void look(struct ops *ops, const struct dax_file *file, size_t at, size_t len)
{
	if (at >= file->size)
		return;
	if (len > file->size - at)
		len = file->size - at;
	if (rng_below(&ops->rng, 2)) {
		memcpy(scratch, file->map + at, len);
		compare(ops, file, "load", scratch, at, len);
		return;
	}
	full_pread(file->fd, scratch, len, at, file->name);
	compare(ops, file, "read", scratch, at, len);
}

static void check_size(struct ops *ops, const struct dax_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st))
		die(errno, "step %llu: fstat %s", (unsigned long long)ops->step, file->name);
	/* The size may already be what the host makes of it. */
	if ((size_t)st.st_size != file->size && !(file->mixed && ops->asked != ops->did))
		die(0, "step %llu: %s has %lld bytes, not %zu", (unsigned long long)ops->step,
			file->name, (long long)st.st_size, file->size);
}

static void look_all(struct ops *ops, const struct dax_file *file)
{
	check_size(ops, file);
	look(ops, file, 0, file->size);
}

static void file_open(struct ops *ops, struct dax_file *file, int flags)
{
	file->fd = openat(ops->dir, file->name, O_RDWR | flags, 0644);
	if (file->fd < 0)
		die(errno, "step %llu: open %s", (unsigned long long)ops->step, file->name);
	file->map = mmap(NULL, DAX_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (file->map == MAP_FAILED)
		die(errno, "step %llu: mmap %s", (unsigned long long)ops->step, file->name);
}

static void file_close(struct dax_file *file)
{
	if (munmap(file->map, DAX_SIZE_MAX) || close(file->fd))
		die(errno, "close %s", file->name);
}

/* A length that is mostly odd: bytes, pages and a half, now and then a good part of a slot. */
static size_t some_length(struct ops *ops)
{
	size_t most = rng_below(&ops->rng, 16) ? 9000 : 400000;

	return 1 + rng_below(&ops->rng, most);
}

/* Stores the bytes in the file, by pwrite or through the mapping, and in the model. */
static void put(
	struct dax_file *file, size_t at, const unsigned char *data, size_t len, bool mapped)
{
	memcpy(file->data + at, data, len);
	if (mapped)
		memcpy(file->map + at, data, len);
	else
		full_pwrite(file->fd, data, len, at, file->name);
	if (at + len > file->size)
		file->size = at + len;
}

/* Writes below the size: in the mixed file only what the guest owns. */
static void step_in_place(struct ops *ops, struct dax_file *file, bool mapped)
{
	size_t len = some_length(ops), at, end;

	if (file->size == 0)
		return;
	at = rng_below(&ops->rng, file->size);
	end = at + len < file->size ? at + len : file->size;
	pattern(rng_next(&ops->rng), 0, scratch, end - at);
	for (size_t from = at, next; from < end; from = next) {
		next = file->mixed && dax_run_end(from) < end ? dax_run_end(from) : end;
		if (!file->mixed || !dax_host_owns(from))
			put(file, from, scratch + (from - at), next - from, mapped);
	}
	if (mapped && rng_below(&ops->rng, 8) == 0) {
		size_t page = at & ~(size_t)4095;

		if (msync(file->map + page, end - page, MS_SYNC))
			die(errno, "msync %s", file->name);
	}
	look(ops, file, at > 100 ? at - 100 : 0, end - at + 200);
}

/* An append, or with a gap a write past the end. */
static void step_extend(struct ops *ops, struct dax_file *file, size_t gap)
{
	size_t at = file->size + gap, len = some_length(ops);

	if (at >= DAX_SIZE_MAX)
		return;
	if (len > DAX_SIZE_MAX - at)
		len = DAX_SIZE_MAX - at;
	pattern(rng_next(&ops->rng), 0, scratch, len);
	put(file, at, scratch, len, false);
	look(ops, file, at > gap + 100 ? at - gap - 100 : 0, len + gap + 100);
}

static void forget(struct dax_file *file, size_t from, size_t to)
{
	if (to > from)
		memset(file->data + from, 0, to - from);
}

static void step_truncate(struct ops *ops, struct dax_file *file)
{
	size_t size, old = file->size;

	switch (rng_below(&ops->rng, 8)) {
	case 0:
		size = rng_below(&ops->rng, DAX_SIZE_MAX);
		break;
	case 1:
		size = rng_below(&ops->rng, 6000);
		break;
	default:
		size = file->size > 5000 ? file->size - rng_below(&ops->rng, 5000)
					 : file->size + rng_below(&ops->rng, 5000);
		break;
	}
	if (ftruncate(file->fd, (off_t)size))
		die(errno, "step %llu: ftruncate %s", (unsigned long long)ops->step, file->name);
	forget(file, size, old);
	file->size = size;
	look(ops, file, size > 8000 ? size - 8000 : 0, 8000);
	look(ops, file, old > 5000 ? old - 5000 : 0, 10000);
}

static void step_fallocate(struct ops *ops, struct dax_file *file)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
	int mode = modes[rng_below(&ops->rng, 4)];
	size_t at = rng_below(&ops->rng, file->size + 5000), len = some_length(ops), end;

	if (at >= DAX_SIZE_MAX)
		return;
	if (len > DAX_SIZE_MAX - at)
		len = DAX_SIZE_MAX - at;
	if (fallocate(file->fd, mode, (off_t)at, (off_t)len)) {
		if (errno != EOPNOTSUPP)
			die(errno, "step %llu: fallocate %s", (unsigned long long)ops->step,
				file->name);
		ops->skipped++;
		return;
	}
	end = at + len < file->size ? at + len : file->size;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		forget(file, at, end);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && at + len > file->size)
		file->size = at + len;
	look(ops, file, at > 3000 ? at - 3000 : 0, len + 6000);
}

static void step_reopen(struct ops *ops, struct dax_file *file)
{
	if (rng_below(&ops->rng, 2) && fsync(file->fd))
		die(errno, "fsync %s", file->name);
	file_close(file);
	if (!file->mixed && rng_below(&ops->rng, 10) == 0) {
		if (unlinkat(ops->dir, file->name, 0))
			die(errno, "unlink %s", file->name);
		forget(file, 0, file->size);
		file->size = 0;
	}
	file_open(ops, file, file->size ? 0 : O_CREAT);
	check_size(ops, file);
	look(ops, file, 0, 10000);
}

static void host_apply(struct ops *ops, struct dax_file *file)
{
	size_t old = file->size;

	pattern(ops->pending.seed, 0, scratch, ops->pending.len);
	for (size_t i = 0; i < ops->pending.len; i++) {
		size_t at = ops->pending.offset + i;

		if (at >= old || dax_host_owns(at))
			file->data[at] = scratch[i];
	}
	if (ops->pending.offset + ops->pending.len > old)
		file->size = ops->pending.offset + ops->pending.len;
}

/* The host's growth is seen when the guest's memory of the attributes is over, or at once by who
 * insists. */
static void host_await_size(struct ops *ops, const struct dax_file *file)
{
	struct statx st;

	if (statx(file->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE, &st))
		die(errno, "statx %s", file->name);
	if (st.stx_size != file->size)
		die(0, "step %llu: the host's append to %zu does not show, only %llu",
			(unsigned long long)ops->step, file->size, (unsigned long long)st.stx_size);
}

static bool host_is_done(struct ops *ops)
{
	uint64_t did = 0;

	if (pread(ops->did_fd, &did, sizeof(did), 0) < 0)
		die(errno, "read %s", DAX_DID);
	if (did != ops->asked)
		return false;
	return true;
}

static void host_finish(struct ops *ops)
{
	struct dax_file *file = &ops->files[DAX_FILES - 1];

	host_apply(ops, file);
	ops->did = ops->asked;
	host_await_size(ops, file);
	look(ops, file, ops->pending.offset > 100 ? ops->pending.offset - 100 : 0,
		ops->pending.len + 200);
	look(ops, file, ops->pending.offset, ops->pending.len);
}

/* Goes on with the host's part: sees what it did, or asks for its next step. */
static void host_turn(struct ops *ops)
{
	struct dax_file *file = &ops->files[DAX_FILES - 1];

	if (ops->asked != ops->did) {
		if (host_is_done(ops))
			host_finish(ops);
		return;
	}
	ops->pending = dax_step(ops->seed, ops->asked + 1, file->size);
	ops->asked++;
	full_pwrite(ops->asked_fd, &ops->asked, sizeof(ops->asked), 0, DAX_ASKED);
}

static void host_end(struct ops *ops)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const uint64_t done = DAX_DONE;

	for (unsigned int i = 0; ops->asked != ops->did; i++) {
		if (host_is_done(ops)) {
			host_finish(ops);
			break;
		}
		if (i == 3000)
			die(0, "the host does not do step %llu", (unsigned long long)ops->asked);
		nanosleep(&pause, NULL);
	}
	full_pwrite(ops->asked_fd, &done, sizeof(done), 0, DAX_ASKED);
	if (fsync(ops->asked_fd))
		die(errno, "fsync %s", DAX_ASKED);
}

static void one_step(struct ops *ops)
{
	struct dax_file *file = &ops->files[rng_below(&ops->rng, DAX_FILES)];
	uint64_t kind = rng_below(&ops->rng, 20);
	/* Nobody resizes the file while the host may be at it. */
	bool fixed = file->mixed && ops->asked != ops->did;

	if (ops->host && ops->step % 4 == 0)
		host_turn(ops);
	fixed = fixed || (file->mixed && ops->asked != ops->did);
	if (kind < 4)
		step_in_place(ops, file, false);
	else if (kind < 8)
		step_in_place(ops, file, true);
	else if (kind < 10)
		look(ops, file, rng_below(&ops->rng, file->size + 1), some_length(ops));
	else if (kind < 12)
		step_reopen(ops, file);
	else if (fixed)
		look(ops, file, file->size > 9000 ? file->size - 9000 : 0, 9000);
	else if (kind < 15)
		step_extend(ops, file, 0);
	else if (kind < 16)
		step_extend(ops, file, rng_below(&ops->rng, 20000));
	else if (kind < 18)
		step_truncate(ops, file);
	else
		step_fallocate(ops, file);
	if (ops->step % 100 == 99)
		look_all(ops, file);
}

static int control(struct ops *ops, const char *name)
{
	int fd = openat(ops->dir, name, O_RDWR);

	if (fd < 0)
		die(errno, "open %s", name);
	return fd;
}

static void begin(struct ops *ops)
{
	for (unsigned int i = 0; i < DAX_FILES; i++) {
		struct dax_file *file = &ops->files[i];

		file->mixed = ops->host && i + 1 == DAX_FILES;
		snprintf(file->name, sizeof(file->name), "file%u", i);
		if (i + 1 == DAX_FILES)
			snprintf(file->name, sizeof(file->name), DAX_MIXED);
		file->data = calloc(1, DAX_SIZE_MAX);
		if (!file->data)
			die(ENOMEM, "model");
		file_open(ops, file, O_CREAT);
		check_size(ops, file);
	}
	if (ops->host) {
		ops->asked_fd = control(ops, DAX_ASKED);
		ops->did_fd = control(ops, DAX_DID);
	}
}

static void end(struct ops *ops)
{
	if (ops->host)
		host_end(ops);
	for (unsigned int i = 0; i < DAX_FILES; i++) {
		struct dax_file *file = &ops->files[i];

		look_all(ops, file);
		if (fsync(file->fd))
			die(errno, "fsync %s", file->name);
		printf("file %s %zu %016llx\n", file->name, file->size,
			(unsigned long long)fnv(FNV_START, file->data, file->size));
		file_close(file);
	}
	printf("daxops: %llu operations, %llu by the host, %llu not supported, %llu wrong bytes\n",
		(unsigned long long)ops->step, (unsigned long long)ops->did,
		(unsigned long long)ops->skipped, (unsigned long long)ops->wrong);
}

int cmd_daxops(int argc, char **argv)
{
	static struct ops ops;
	uint64_t count = number(argv[1]);

	ops.seed = number(argv[2]);
	ops.host = argc > 3;
	ops.dir = open(argv[0], O_RDONLY | O_DIRECTORY);
	if (ops.dir < 0)
		die(errno, "open %s", argv[0]);
	rng_init(&ops.rng, ops.seed);
	begin(&ops);
	for (ops.step = 0; ops.step < count; ops.step++)
		one_step(&ops);
	end(&ops);
	return ops.wrong > 0;
}
