/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other ends of a mount's queue, for its tests: a socket in the place of /dev/fuse and the
 * device side of a ring, as hostile as a test wants it.
 */
#pragma once

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/frontend/mount_queue.h"
#include "gateway/frontend/mount_shape.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

#define MD_GPA    UINT64_C(0x40000000)
#define MD_SLOTS  4u
#define MD_RING   32u
#define MD_HIPRIO 4u
#define MD_AREA   8192u /* of a ring */

struct md {
	uint8_t *memory;
	size_t size;
	struct vq_driver ring, hiprio_ring;
	uint16_t popped, hiprio_popped; /* the device's own indices */
	struct fm_stop stop;
	struct fm_hiprio *hiprio;
	struct fm_locks *locks;
	struct fm_queue *queue;
	int kernel; /* the kernel's end of /dev/fuse */
	int fuse;
	int ready;
	pthread_t thread;
	bool running;
	enum fm_end end;
};

/* A chain as the device finds it: the same memory as the driver's. */
struct md_chain {
	uint16_t head;
	size_t n, n_readable;
	struct {
		uint8_t *at;
		uint32_t len;
	} buf[8];
};

static inline uint64_t md_part(struct md *d, uint64_t *gpa, uint64_t size, uint8_t **host)
{
	uint64_t at = *gpa;

	*host = d->memory + (at - MD_GPA);
	*gpa += (size + 4095) / 4096 * 4096;
	return at;
}

/* VIRTIO_RING_F_* of the request queue's ring from the next md_init() on. */
static uint64_t md_features = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;

static inline void md_init(struct md *d)
{
	uint64_t gpa = MD_GPA, at;
	struct fm_hiprio_config hiprio = {.ring = &d->hiprio_ring, .stop = &d->stop};
	struct fm_queue_config queue = {
		.index = 1, .ring = &d->ring, .slots = MD_SLOTS, .stop = &d->stop};
	uint8_t *host;
	int pair[2];

	*d = (struct md){.size = 2 * MD_AREA + fm_hiprio_memory(MD_HIPRIO) +
				 fm_queue_memory(MD_SLOTS) + 65536};
	d->memory = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(d->memory != MAP_FAILED);
	at = md_part(d, &gpa, MD_AREA, &host);
	assert_int_equal(vq_driver_init(&d->ring, MD_RING, at, host, md_features), 0);
	at = md_part(d, &gpa, MD_AREA, &host);
	assert_int_equal(vq_driver_init(&d->hiprio_ring, MD_HIPRIO, at, host, 0), 0);
	hiprio.gpa = md_part(d, &gpa, fm_hiprio_memory(MD_HIPRIO), &hiprio.host);
	queue.gpa = md_part(d, &gpa, fm_queue_memory(MD_SLOTS), &queue.host);
	d->stop.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->stop.drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue.ready = d->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	d->kernel = pair[0];
	queue.fuse_fd = d->fuse = pair[1];
	assert_int_equal(fm_hiprio_new(&hiprio, &d->hiprio), 0);
	queue.hiprio = d->hiprio;
	assert_int_equal(fm_locks_new(&d->locks), 0);
	queue.locks = d->locks;
	assert_int_equal(fm_queue_new(&queue, &d->queue), 0);
}

static inline void *md_run(void *arg)
{
	struct md *d = arg;

	d->end = fm_queue_run(d->queue);
	return NULL;
}

static inline void md_start(struct md *d)
{
	assert_int_equal(pthread_create(&d->thread, NULL, md_run, d), 0);
	d->running = true;
}

/* Why the loop ended. */
static inline enum fm_end md_join(struct md *d)
{
	assert_true(d->running);
	assert_int_equal(pthread_join(d->thread, NULL), 0);
	d->running = false;
	return d->end;
}

static inline enum fm_end md_stop(struct md *d)
{
	atomic_store(&d->stop.stop, true);
	assert_int_equal(fd_signal(d->stop.stop_fd), 0);
	return md_join(d);
}

static inline void md_fini(struct md *d)
{
	if (d->running)
		(void)md_stop(d);
	fm_queue_free(d->queue);
	fm_hiprio_free(d->hiprio);
	fm_locks_free(d->locks);
	vq_driver_fini(&d->ring);
	vq_driver_fini(&d->hiprio_ring);
	fd_close(&d->kernel);
	fd_close(&d->fuse);
	fd_close(&d->ready);
	fd_close(&d->stop.stop_fd);
	fd_close(&d->stop.drain_fd);
	munmap(d->memory, d->size);
}

/* As if nothing had been. */
static inline void md_restart(struct md *d)
{
	md_fini(d);
	md_init(d);
	md_start(d);
}

/* A test's *state: one that runs, with a silent log. */
static inline int md_setup(void **state)
{
	struct md *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	md_init(d);
	md_start(d);
	*state = d;
	return 0;
}

static inline int md_teardown(void **state)
{
	md_fini(*state);
	free(*state);
	return 0;
}

/* ---- the kernel's side ---- */

static inline uint32_t md_request(uint8_t *to, uint32_t opcode, uint64_t unique, const void *args,
	uint32_t args_len, const void *data, uint32_t data_len)
{
	struct fuse_in_header header = {.len = (uint32_t)sizeof(header) + args_len + data_len,
		.opcode = opcode,
		.unique = unique,
		.nodeid = 1};

	memcpy(to, &header, sizeof(header));
	if (args_len)
		memcpy(to + sizeof(header), args, args_len);
	if (data_len)
		memcpy(to + sizeof(header) + args_len, data, data_len);
	return header.len;
}

static inline void md_ask_with(struct md *d, uint32_t opcode, uint64_t unique, const void *args,
	uint32_t args_len, const void *data, uint32_t data_len)
{
	static uint8_t bytes[1 << 18];
	uint32_t len = md_request(bytes, opcode, unique, args, args_len, data, data_len);

	assert_int_equal(send(d->kernel, bytes, len, 0), len);
}

static inline void md_ask(struct md *d, uint32_t opcode, uint64_t unique)
{
	static const uint8_t args[64];

	md_ask_with(d, opcode, unique, args, sizeof(args), NULL, 0);
}

static inline bool md_readable(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, ms) == 1;
}

/* The next answer that the kernel gets, its body in `body`; its error. */
static inline int md_answer(struct md *d, uint64_t *unique, uint8_t *body, size_t *len)
{
	static uint8_t bytes[1 << 18];
	struct fuse_out_header out;
	ssize_t n;

	assert_true(md_readable(d->kernel, 5000));
	n = recv(d->kernel, bytes, sizeof(bytes), 0);
	assert_true(n >= (ssize_t)sizeof(out));
	memcpy(&out, bytes, sizeof(out));
	assert_int_equal(out.len, n);
	*unique = out.unique;
	*len = (size_t)n - sizeof(out);
	if (body)
		memcpy(body, bytes + sizeof(out), *len);
	return out.error;
}

/* ---- the device's side ---- */

static inline uint8_t *md_at(struct md *d, const struct vring_desc *desc)
{
	assert_true(le64toh(desc->addr) >= MD_GPA);
	assert_true(range_within(le64toh(desc->addr) - MD_GPA, le32toh(desc->len), d->size));
	return d->memory + (le64toh(desc->addr) - MD_GPA);
}

static inline void md_walk(
	struct md *d, const struct vring_desc *table, uint16_t at, struct md_chain *chain)
{
	const struct vring_desc *desc = &table[at];

	if (le16toh(desc->flags) & VRING_DESC_F_INDIRECT) {
		table = (const void *)md_at(d, desc);
		at = 0;
	}
	for (;; at = le16toh(desc->next)) {
		desc = &table[at];
		assert_true(chain->n < ARRAY_SIZE(chain->buf));
		chain->buf[chain->n].at = md_at(d, desc);
		chain->buf[chain->n].len = le32toh(desc->len);
		chain->n++;
		if (!(le16toh(desc->flags) & VRING_DESC_F_WRITE))
			chain->n_readable = chain->n;
		if (!(le16toh(desc->flags) & VRING_DESC_F_NEXT))
			return;
	}
}

static inline bool md_pop_from(
	struct md *d, struct vq_driver *ring, uint16_t *popped, struct md_chain *chain, int ms)
{
	uint64_t count;

	while (le16toh(__atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE)) == *popped) {
		if (!md_readable(ring->kick, ms))
			return false;
		(void)!read(ring->kick, &count, sizeof(count));
	}
	*chain = (struct md_chain){.head = le16toh(ring->avail->ring[*popped % ring->num])};
	(*popped)++;
	/* With EVENT_IDX: a kick for the next one, please. */
	__atomic_store_n(
		(uint16_t *)&ring->used->ring[ring->num], htole16(*popped), __ATOMIC_SEQ_CST);
	md_walk(d, ring->desc, chain->head, chain);
	return true;
}

static inline void md_pop(struct md *d, struct md_chain *chain)
{
	assert_true(md_pop_from(d, &d->ring, &d->popped, chain, 5000));
}

static inline void md_push_to(struct vq_driver *ring, uint32_t id, uint32_t len)
{
	uint16_t idx = le16toh(ring->used->idx);
	struct vring_used_elem *elem = &ring->used->ring[idx % ring->num];

	__atomic_store_n(&elem->id, htole32(id), __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, htole32(len), __ATOMIC_RELAXED);
	__atomic_store_n(&ring->used->idx, htole16((uint16_t)(idx + 1)), __ATOMIC_SEQ_CST);
	(void)fd_signal(ring->call);
}

static inline struct fuse_in_header md_header(const struct md_chain *chain)
{
	struct fuse_in_header header;

	assert_true(chain->n_readable > 0);
	assert_int_equal(chain->buf[0].len, sizeof(header));
	memcpy(&header, chain->buf[0].at, sizeof(header));
	return header;
}

/* Writes an answer's header into a chain, whatever it says. */
static inline void md_put_header(
	const struct md_chain *chain, uint32_t len, int32_t error, uint64_t unique)
{
	struct fuse_out_header out = {.len = len, .error = error, .unique = unique};

	assert_true(chain->n > chain->n_readable);
	memcpy(chain->buf[chain->n_readable].at, &out, sizeof(out));
}

/* A good answer with `len` bytes of body. */
static inline void md_reply(
	struct md *d, const struct md_chain *chain, const void *body, uint32_t len)
{
	uint32_t all = (uint32_t)sizeof(struct fuse_out_header) + len;

	md_put_header(chain, all, 0, md_header(chain).unique);
	if (len) {
		assert_true(chain->n > chain->n_readable + 1);
		assert_true(chain->buf[chain->n_readable + 1].len >= len);
		memcpy(chain->buf[chain->n_readable + 1].at, body, len);
	}
	md_push_to(&d->ring, chain->head, all);
}
