/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: what its parts share. A command is `int cmd_x(int argc, char **argv)`; its status is
 * the process's. Failures end the process at once through die(): this is a test program. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Says "guest-tool: TEXT[: strerror(err)]" on stderr and exits with status 1. */
_Noreturn void die(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A decimal number with an optional K, M or G; dies on anything else. */
uint64_t number(const char *text);

/* xorshift64*: the same sequence from the same seed, in the guest as on the host. */
struct rng {
	uint64_t state;
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform enough in [0, limit); limit > 0. */
uint64_t rng_below(struct rng *rng, uint64_t limit);

/* Fills buf with the bytes [offset, offset + len) of the endless stream that seed names. */
void pattern(uint64_t seed, uint64_t offset, void *buf, size_t len);

/* FNV-1a, to be started with FNV_START. */
#define FNV_START 0xcbf29ce484222325ULL
uint64_t fnv(uint64_t hash, const void *buf, size_t len);

/* read/write until all is done; die at an error, and full_pread at an early end. */
void full_write(int fd, const void *buf, size_t len, const char *what);
void full_pwrite(int fd, const void *buf, size_t len, uint64_t offset, const char *what);
void full_pread(int fd, void *buf, size_t len, uint64_t offset, const char *what);

/* Calls fn(arg, start, end) for each run of data that SEEK_DATA/SEEK_HOLE show. */
void for_each_segment(int fd, uint64_t size, void (*fn)(void *arg, uint64_t start, uint64_t end),
	void *arg, const char *what);

/* Hard links by (device, inode): the path under which an inode was first seen, else NULL, and then
 * it is remembered under this path. */
const char *link_seen(dev_t dev, ino_t ino, const char *path);

int cmd_tree_make(int argc, char **argv);
int cmd_tree_list(int argc, char **argv);
int cmd_tree_copy(int argc, char **argv);
int cmd_fill(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_segments(int argc, char **argv);
int cmd_punch(int argc, char **argv);
int cmd_mmap_write(int argc, char **argv);
int cmd_mmap_check(int argc, char **argv);
int cmd_rename2(int argc, char **argv);
int cmd_rename_over_open(int argc, char **argv);
int cmd_unlink_open(int argc, char **argv);
int cmd_direct(int argc, char **argv);
int cmd_reread(int argc, char **argv);
int cmd_as(int argc, char **argv);
int cmd_tmpfile(int argc, char **argv);
int cmd_btime(int argc, char **argv);
int cmd_flags(int argc, char **argv);
int cmd_append(int argc, char **argv);
int cmd_supplement(int argc, char **argv);
int cmd_idmap(int argc, char **argv);
int cmd_hammer(int argc, char **argv);
int cmd_entries(int argc, char **argv);
int cmd_churn(int argc, char **argv);
int cmd_list_check(int argc, char **argv);
int cmd_daxops(int argc, char **argv);
int cmd_daxhost(int argc, char **argv);
int cmd_daxsum(int argc, char **argv);
int cmd_daxtail(int argc, char **argv);
int cmd_daxbuffer(int argc, char **argv);
int cmd_lock_try(int argc, char **argv);
int cmd_lock_hold(int argc, char **argv);
int cmd_lock_owner(int argc, char **argv);
int cmd_lock_deadlock(int argc, char **argv);
int cmd_lock_count(int argc, char **argv);
int cmd_lock_sum(int argc, char **argv);
