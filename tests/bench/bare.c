/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare - the benchmark's bare loop: bare SHARE SOCKET
 *
 * The handshake is the library's; the ring is a loop of its own. Requests are served by one thread,
 * which sleeps in one read of the kick eventfd. It tells the front-end once for all that it found,
 * and asks for a kick only after that: a front-end on the same processor has often asked again by
 * then. hiprio is looked at along with the requests and asks for no kicks. The first thread only
 * waits for the front-end to leave.
 */
#include "tests/bench/bare.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vhostuser/backend.h"
#include "vhostuser/driver.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

struct ring {
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	struct vring_used *used;
	uint16_t mask, last, told; /* last: next to take; told: used idx of the last notification */
	int kick, call;
};

static struct ring hiprio, requests;
static struct vu_region *ram; /* all of guest memory: one region */
static struct vu_memory *table;

static void *host(uint64_t gpa)
{
	return ram->host + (gpa - ram->desc.gpa);
}

static struct iovec buffer_of(const struct vring_desc *desc)
{
	return (struct iovec){host(desc->addr), desc->len};
}

static uint32_t serve(const struct ring *ring, uint16_t head)
{
	const struct vring_desc *desc = &ring->desc[head];
	struct bare_request r = {.in = host(desc->addr)};

	r.args = r.in + 1;
	while (desc->flags & VRING_DESC_F_NEXT) {
		desc = &ring->desc[desc->next];
		if (!(desc->flags & VRING_DESC_F_WRITE))
			r.payload = buffer_of(desc);
		else if (!r.out)
			r.out = host(desc->addr);
		else
			r.body = buffer_of(desc);
	}
	return bare_fuse_serve(&r);
}

/* Serves all that is there; true when there was any. */
static bool take(struct ring *ring)
{
	uint16_t idx = ring->used->idx, first = idx;

	while (ring->last != __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = ring->avail->ring[ring->last++ & ring->mask];

		ring->used->ring[idx & ring->mask] =
			(struct vring_used_elem){.id = head, .len = serve(ring, head)};
		__atomic_store_n(&ring->used->idx, ++idx, __ATOMIC_RELEASE);
	}
	return idx != first;
}

static void tell(struct ring *ring)
{
	uint16_t new = ring->used->idx, old = ring->told;
	uint16_t event;
	uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&ring->avail->ring[ring->mask + 1], __ATOMIC_RELAXED);
	ring->told = new;
	if (vring_need_event(event, new, old))
		(void)!write(ring->call, &one, sizeof(one));
}

/* Asks for a kick at the next chain; true when there is one already. */
static bool arm(struct ring *ring)
{
	void *event = &ring->used->ring[ring->mask + 1];

	__atomic_store_n((uint16_t *)event, ring->last, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->avail->idx, __ATOMIC_SEQ_CST) != ring->last;
}

/* No kick: half a ring of numbers ahead is never reached. */
static void disarm(struct ring *ring)
{
	void *event = &ring->used->ring[ring->mask + 1];

	__atomic_store_n((uint16_t *)event, (uint16_t)(ring->last + 0x8000), __ATOMIC_RELAXED);
}

static void *loop(void *ctx)
{
	struct ring *ring = ctx;
	uint64_t count;

	for (;;) {
		if (take(ring)) {
			tell(ring);
			continue;
		}
		if (take(&hiprio))
			disarm(&hiprio);
		if (!arm(ring))
			(void)!read(ring->kick, &count, sizeof(count));
	}
	return NULL;
}

/* ---- the library's callbacks ---- */

static int ring_start(void *ctx, unsigned int index, const struct vq_config *config,
	struct vu_memory *memory, int kick, int call, int err)
{
	struct ring *ring = index ? &requests : &hiprio;
	struct vu_region *region;
	void *desc, *avail, *used;
	pthread_t thread;

	ram = memory->regions[0];
	if (vu_memory_translate_user(memory, config->desc_addr, 1, &desc, &region) < 0 ||
		vu_memory_translate_user(memory, config->avail_addr, 1, &avail, &region) < 0 ||
		vu_memory_translate_user(memory, config->used_addr, 1, &used, &region) < 0)
		return -EFAULT;
	*ring = (struct ring){.desc = desc,
		.avail = avail,
		.used = used,
		.mask = (uint16_t)(config->num - 1),
		.kick = kick,
		.call = dup(call)};
	if (!index) {
		disarm(ring);
		return 0;
	}
	/* Both ends share the open file; the other one only writes, which never blocks. */
	fcntl(kick, F_SETFL, fcntl(kick, F_GETFL) & ~O_NONBLOCK);
	return -pthread_create(&thread, NULL, loop, ring);
}

static void ring_stop(void *ctx, unsigned int index)
{
	exit(0); /* the front-end leaves */
}

static int ring_fds(void *ctx, unsigned int index, int call, int err)
{
	return 0;
}

static void ring_kick(void *ctx, unsigned int index, int kick)
{
	close(kick);
}

static void ring_enable(void *ctx, unsigned int index, bool enable)
{
}

static void memory_changed(void *ctx, struct vu_memory *memory)
{
	table = vu_memory_get(memory); /* for good */
}

static void reset(void *ctx)
{
}

static int serve_socket(const char *path)
{
	static const struct vu_backend_ops ops = {.ring_start = ring_start,
		.ring_stop = ring_stop,
		.ring_fds = ring_fds,
		.ring_kick = ring_kick,
		.ring_enable = ring_enable,
		.memory = memory_changed,
		.reset = reset};
	struct vu_backend_config config = {
		.features = VQ_FEATURES | VU_BIT(VU_F_PROTOCOL_FEATURES),
		.protocol_features = VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
				     VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
		.n_queues = 2,
		.ops = &ops,
	};
	static struct vu_backend *backend; /* until the process ends, as the loop is */
	int listener, fd, r;

	r = vu_socket_listen(path, "socket", &listener);
	if (r < 0)
		return r;
	do {
		struct pollfd pfd = {.fd = listener, .events = POLLIN};

		(void)poll(&pfd, 1, -1);
		r = vu_socket_accept(listener, &fd);
	} while (r == -EAGAIN);
	unlink(path);
	r = r < 0 ? r : vu_backend_new(fd, &config, &backend);
	while (r == 0) {
		struct pollfd pfd = {
			.fd = vu_backend_fd(backend), .events = vu_backend_events(backend)};

		if (poll(&pfd, 1, -1) > 0)
			r = vu_backend_on_ready(backend);
	}
	return r == -ECONNRESET ? 0 : r;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int r = argc == 3 ? bare_fuse_open(argv[1]) : -EINVAL;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (r == 0)
		r = serve_socket(argv[2]);
	if (r < 0)
		fprintf(stderr, "usage: bare SHARE SOCKET: %s\n", strerror(-r));
	return r < 0;
}
