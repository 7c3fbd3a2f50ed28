/* SPDX-License-Identifier: BSD-3-Clause */
/* What the operations see of the process that they run in, and how they tell what they saw. */
#pragma once

#include <sys/stat.h>
#include <time.h>

#include "tests/oracle/oracle.h"

struct or_map {
	int fd; /* of its own, of the same open file */
	char *at;
	off_t from;
	size_t length;
	bool writable;
};

struct or_me {
	int who;
	enum or_side side;
	bool fuse, writeback, privileged, mapped, kills; /* as the options say */
	int home;       /* the directory in which it starts */
	int proc;       /* /proc/self/fd, of before chroot */
	int fds[OR_SLOTS];
	struct or_map map;
	const pid_t *pids; /* of all processes of this side */
	char long_path[2][OR_LONG];
	char data[OR_DATA];
};

/* Adds to the text; several values as "key=value", with blanks between them. */
void or_say(struct or_result *res, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Sets what the system call returned; on -1 with errno. True if it succeeded. */
bool or_done(struct or_result *res, int64_t ret);
void or_say_stat(struct or_result *res, const struct stat *st);
void or_say_path(struct or_me *me, struct or_result *res, const char *path);
void or_say_fd(struct or_result *res, int fd);
void or_say_data(struct or_result *res, const char *data, size_t length);
const char *or_say_time(const struct timespec *t, char *room, size_t size);
void or_slot_put(struct or_me *me, int slot, int fd);
/* What operation `seq` writes. */
void or_fill(struct or_me *me, const struct or_op *op, size_t length);
/*
 * With --fuse: is this a file whose setgid bit without group execution the caller keeps, since a
 * supplementary group of his is the file's? FUSE does not tell servers of those. See known.c.
 */
bool or_unclear(const struct or_me *me, int fd);
bool or_unclear_path(const struct or_me *me, const char *path);
/* The same of any setgid bit, which tmpfs looks at when an ACL goes (or an empty one comes). */
bool or_unclear_acl(const struct or_me *me, const char *path);
const char *or_p(struct or_me *me, const struct or_op *op);
const char *or_q(struct or_me *me, const struct or_op *op);
uint64_t or_hash(uint64_t hash, const void *data, size_t length);
/* The process's life: serves operations until its channel closes. */
void or_worker(struct or_me *me, int channel, const struct or_op *op, struct or_result *res);
/* An operation of which SIGBUS is a possible outcome. False: it came. */
bool or_touch(void (*touch)(void *arg), void *arg);
