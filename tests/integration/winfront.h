/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end with a DAX window for hostile guests: grants what it is asked for, one at a time.
 *
 * In shmem it shares back what it maps, as QEMU does: there the guest's address of the window is
 * the back-end's memory too. In the other dialects no region holds it, and data in it goes by the
 * front-end (FS_IO) where the dialect can. The share gets two files with a pattern: "mapped" and
 * "other". Everything asserts.
 */
#pragma once

#include "dax/dialect.h"
#include "tests/integration/harness.h"

#define WF_PAGE  4096u
#define WF_RANGE (UINT64_C(2) << 20) /* bytes of each file, and of what is mapped of it */

#define WF_WINDOW (UINT64_C(64) << 20)

/* Where the guest and the front-end see the window. */
#define WF_GPA (UINT64_C(1) << 40)
#define WF_UVA (UINT64_C(1) << 41)

/* Request queues are 1 and 2; this is the one that tests may break. */
#define WF_VICTIM 2

struct wf_options {
	struct it_options it; /* first: what a test gets */
	const char *dialect;
	bool takes_none; /* shmem: no region of a mapping is ever taken */
};

#define WF_BITS (VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD))

/* Options of a test, and what else of struct wf_options; the view is the service's own choice. */
#define WF_OPTIONS(name, word, bits, table, ...)                                                   \
	static const char *const name##_extra[] = {                                                \
		"--dax-window=64M", "--dax-dialect=" word, "--tag=t", NULL};                       \
	static struct wf_options name = {                                                          \
		.it = {.be = {.extra = name##_extra, .keep_listening = true, .request_queues = 2}, \
			.fc = {.request_queues = 2,                                                \
				.room = 65536,                                                     \
				.with_protocol = (bits),                                           \
				.no_memory_slots = (table)},                                       \
			.no_mount = true},                                                         \
		.dialect = (word),                                                                 \
		__VA_ARGS__                                                                        \
	}

struct wf {
	struct it *it;
	struct fc_queue *victim;
	const struct dax_dialect *dialect;
	bool shmem, takes_none;
	int channel;
	uint64_t nodeid;    /* "mapped" */
	uint64_t other, fh; /* "other", open */
};

/* A mapping of "mapped" that the front-end has. */
struct wf_map {
	struct vu_mem_region region;
	int fd; /* what it was sent */
};

/* Byte `at` of both files. */
uint8_t wf_pattern(uint64_t at);

/* For a test's start, and again after it_connect(): session, channel, files. */
struct wf wf_open(struct it *it);
void wf_begin(struct wf *w);

/* Maps a range of "mapped" at the same place in the window. */
struct wf_map wf_map(struct wf *w, uint64_t at, uint64_t len);
/* The guest's mapping goes; the region, and our fd, stay. */
void wf_unmap(struct wf *w, const struct wf_map *map);
/* Takes back the region, closes the fd. */
void wf_drop(struct wf *w, struct wf_map *map);

/* ADD_MEM_REG or REM_MEM_REG, with its acknowledgement. */
void wf_tell(struct wf *w, uint32_t code, const struct vu_mem_region *region, int fd);

/* Offers a region by ADD_MEM_REG: true when it is taken, false when it is refused. */
bool wf_offer(struct wf *w, const struct vu_mem_region *region, int fd);

/* A request in RAM, not published yet: the header, and arguments behind it. */
struct fc_req *wf_request(
	struct wf *w, uint32_t opcode, uint64_t nodeid, const void *args, uint32_t len);

/* Publishes a chain and waits for it; FS_IO is carried out with the file "mapped" meanwhile. */
int wf_ask(struct wf *w, struct fc_req *req, const struct vq_buf *bufs, size_t n);

/* Starts the victim's ring, which is stopped, at any addresses: the first error. */
int wf_ring_start(struct wf *w, const struct vu_vring_addr *addr);
/* The device signals that the victim is broken, within two seconds. */
bool wf_breaks(const struct wf *w);
/* As after a guest's device reset. */
void wf_revive(struct wf *w);

/* What is mapped is the file, and goes, and comes again at the same place. */
void wf_assert_table_right(struct wf *w);
/* The other queue, the other file and hiprio. */
void wf_assert_others_go_on(struct wf *w);
