/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share that host and guest both change, and a model of it: which object each name stands for,
 * and which object each of the guest's nodeids was found to be.
 *
 * Each file is full of its own number, so that a file that answers for another one shows.
 */
#pragma once

#include "tests/integration/harness.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Open files: of so many, half may be the guest's. */
#define FEW "--rlimit-nofile=120"

#define TWIN_NAMES   6u
#define TWIN_OBJECTS 8192u
#define TWIN_RECORD  16u
#define TWIN_CHURN   90u

struct twin_object {
	uint32_t id;
	bool dir, alive;
	uint64_t ino;
	uint32_t n_names, n_records;              /* of a file */
	struct twin_object *entry[TWIN_NAMES];    /* of a directory */
	struct twin_object *parent;               /* of a directory: where it is */
	uint64_t nodeid, lookups;                 /* 0: the guest does not hold it */
	bool open;
	uint64_t fh;
	struct twin_object *place;                /* where the guest found it last */
	uint32_t place_name;
};

struct twin {
	struct it *it;
	struct fc_queue *q;
	uint64_t random;
	bool handles; /* the gateway finds objects by file handle */
	unsigned int step, n_objects;
	unsigned int met; /* objects that got the inode number of one that the guest held */
	unsigned int stale; /* answers of ESTALE */
	uint64_t churn[TWIN_CHURN];
	struct twin_object *object[TWIN_OBJECTS]; /* [0] is the root */
};

/* On a share that is empty. Without a client (it->q) the churn is files only. */
struct twin *twin_new(struct it *it, uint64_t seed, bool handles);
void twin_free(struct twin *t);

uint32_t twin_random(struct twin *t, uint32_t below);
/* Any directory there is (alive or held, as asked), or any file; NULL when there is none. */
struct twin_object *twin_pick(struct twin *t, bool dir, bool held);
/* The path of dir/name on the host, in a ring of static buffers. */
const char *twin_path(const struct twin *t, const struct twin_object *dir, uint32_t name);
/* True when `above` is `o` or a directory above it. */
bool twin_is_above(const struct twin_object *above, const struct twin_object *o);

/* What the model is told of. */
struct twin_object *twin_made(struct twin *t, struct twin_object *dir, uint32_t name, bool is_dir);
void twin_linked(struct twin_object *dir, uint32_t name, struct twin_object *o);
void twin_unlinked(struct twin_object *dir, uint32_t name);
void twin_found(struct twin *t, struct twin_object *dir, uint32_t name, uint64_t nodeid,
	const struct fuse_attr *attr);
void twin_forget(struct twin *t, struct twin_object *o);

/* One random step of the host's, or of the guest's, which is checked. */
void twin_host(struct twin *t);
void twin_guest(struct twin *t);
/* The host's files are what the model says. */
void twin_check(struct twin *t);
/* The guest asks for so many others that the gateway has no fd for the rest. */
void twin_churn(struct twin *t);

/*
 * Makes a file system (ext4, or $REPLACED_FS) and has all scratch directories lie there; without
 * the right to, nothing. True for an ext4, which uses inode numbers again at once.
 */
bool twin_fs_make(void);
void twin_fs_remove(void);
/* $REPLACED_SEED, or a new one, which is printed. */
uint64_t twin_seed(void);
/* So many at the default TEST_SCALE. */
unsigned int twin_scaled(unsigned int n);

/* The record that object `id` is full of. */
void twin_record(char record[TWIN_RECORD + 1], uint32_t id);

#define twin_fail(t, ...)                                                                          \
	do {                                                                                       \
		print_error("step %u: ", (t)->step);                                               \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)
