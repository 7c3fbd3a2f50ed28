/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both roles of the protocol against each other over a socketpair: the front-end's end on this
 * thread, the back-end's with a device that echoes on another.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/guest.h"
#include "vhostuser/backend.h"
#include "vhostuser/channel.h"
#include "vhostuser/frontend.h"
#include "vhostuser/log.h"

#define QUEUES     3u
#define SHMEM_SIZE UINT64_C(0x40000000)
#define WINDOW_GPA UINT64_C(0x800000000)
#define FEATURES                                                                                   \
	(VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |           \
		VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))
#define PROTOCOL                                                                                   \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |                              \
		VU_BIT(VU_PROTOCOL_F_CONFIG) | VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) |                \
		VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) |    \
		VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD) | VU_BIT(VU_PROTOCOL_F_SHMEM))

/* A request that starts with this byte is held until one comes that starts with the other. */
#define HOLD    'h'
#define RELEASE 'r'

struct queue {
	struct vq *vq;
	int kick, call, err;
	bool started, paused;
	struct vq_elem *held;
};

struct device {
	struct vu_backend *backend;
	struct queue queues[QUEUES];
	unsigned int resets;
	struct vu_channel *channel;
	size_t n_regions, n_window; /* of the last table */
	unsigned int asked;         /* GET_SHMEM_CONFIG */
	int file;                   /* what it would map into the window, or -1 */
	int result;
	pthread_t thread;
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (fd >= 0)
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* The answer is the request; a held one is answered, on whichever queue, by a release. */
static void echo(struct queue *q, struct vq_elem *elem)
{
	size_t n = MIN(elem->req[0].iov_len, elem->rep[0].iov_len);

	memcpy(elem->rep[0].iov_base, elem->req[0].iov_base, n);
	vq_push(q->vq, elem, (uint32_t)n);
}

static void release(struct device *d)
{
	for (struct queue *q = d->queues; q < d->queues + QUEUES; q++) {
		if (!q->held)
			continue;
		echo(q, q->held);
		q->held = NULL;
		if (vq_should_notify(q->vq))
			signal_fd(q->call);
	}
}

static void serve(struct device *d, struct queue *q)
{
	struct vq_elem *elem;
	int r;

	if (!q->started || q->paused)
		return;
	do {
		while ((r = vq_pop(q->vq, &elem)) == 1) {
			char first = *(char *)elem->req[0].iov_base;

			if (first == HOLD && !q->held) {
				q->held = elem;
				continue;
			}
			if (first == RELEASE)
				release(d);
			echo(q, elem);
		}
		if (r == -EPROTO)
			signal_fd(q->err);
	} while (r == 0 && vq_wait_kick(q->vq));
	if (vq_should_notify(q->vq))
		signal_fd(q->call);
}

static int on_ring_start(void *ctx, unsigned int index, const struct vq_config *config,
	struct vu_memory *memory, int kick, int call, int err)
{
	struct device *d = ctx;
	struct queue *q = &d->queues[index];
	int r;

	r = vq_start(q->vq, config, memory);
	if (r < 0) {
		close(kick);
		return r;
	}
	q->kick = kick;
	q->call = call;
	q->err = err;
	q->started = true;
	q->paused = false;
	serve(d, q);
	return 0;
}

static void on_ring_stop(void *ctx, unsigned int index)
{
	struct device *d = ctx;
	struct queue *q = &d->queues[index];

	q->started = false;
	fd_close(&q->kick);
	q->call = q->err = -1;
	vu_backend_ring_stopped(d->backend, index, vq_stop(q->vq));
}

static int on_ring_fds(void *ctx, unsigned int index, int call, int err)
{
	struct device *d = ctx;

	d->queues[index].call = call;
	d->queues[index].err = err;
	return 0;
}

static void on_ring_kick(void *ctx, unsigned int index, int kick)
{
	struct device *d = ctx;

	fd_move(&d->queues[index].kick, &kick);
}

static void on_ring_enable(void *ctx, unsigned int index, bool enable)
{
	struct device *d = ctx;

	d->queues[index].paused = !enable;
	serve(d, &d->queues[index]);
}

static void on_memory(void *ctx, struct vu_memory *memory)
{
	struct device *d = ctx;

	d->n_regions = memory->n;
	d->n_window = 0;
	for (size_t i = 0; i < memory->n; i++)
		d->n_window += memory->regions[i]->desc.window;
	for (struct queue *q = d->queues; q < d->queues + QUEUES; q++)
		if (vq_set_memory(q->vq, memory) == 0)
			serve(d, q);
}

static void on_reset(void *ctx)
{
	struct device *d = ctx;

	d->resets++;
	for (struct queue *q = d->queues; q < d->queues + QUEUES; q++) {
		if (q->held)
			vq_drop(q->vq, q->held);
		q->held = NULL;
		vq_reset(q->vq);
	}
}

/* Two requests at once; on_answer() sends what each was answered. */
static int on_channel(void *ctx, int fd)
{
	struct device *d = ctx;
	int r;

	vu_channel_free(d->channel);
	d->channel = NULL;
	r = vu_channel_new(fd, &d->channel);
	if (r < 0)
		return r;
	assert_int_equal(vu_channel_send(d->channel, 9, "map", 4, d->file, 1), 0);
	assert_int_equal(vu_channel_send(d->channel, 10, "unmap", 6, -1, 2), 0);
	return 0;
}

static void on_answer(struct device *d)
{
	uint64_t cookie, value;
	const char *why;
	int r;

	while ((r = vu_channel_receive(d->channel, &cookie, &value, &why)) == 1)
		if (cookie <= 2)
			assert_int_equal(vu_channel_send(d->channel, 9, &value, sizeof(value), -1,
						 cookie + 2), 0);
	if (r < 0) {
		vu_channel_free(d->channel);
		d->channel = NULL;
	}
}

static void on_shmem_asked(void *ctx)
{
	struct device *d = ctx;

	d->asked++;
}

static bool on_is_window(
	void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa)
{
	const struct device *d = ctx;
	struct stat st;

	return d->file >= 0 && fstat(d->file, &st) == 0 && st.st_dev == dev && st.st_ino == ino &&
	       offset == 4096 && size == 8192 && gpa == WINDOW_GPA;
}

static int on_get_config(void *ctx, uint32_t offset, void *data, uint32_t size)
{
	if (!range_within(offset, size, 44))
		return -EINVAL;
	memset(data, 'c', size);
	return 0;
}

static const struct vu_backend_ops ops = {
	.ring_start = on_ring_start,
	.ring_stop = on_ring_stop,
	.ring_fds = on_ring_fds,
	.ring_kick = on_ring_kick,
	.ring_enable = on_ring_enable,
	.memory = on_memory,
	.reset = on_reset,
	.channel = on_channel,
	.shmem_asked = on_shmem_asked,
	.is_window = on_is_window,
	.get_config = on_get_config,
};

static void *device_run(void *arg)
{
	struct device *d = arg;
	uint64_t count;

	do {
		struct pollfd fds[QUEUES + 2];

		fds[QUEUES].fd = vu_backend_fd(d->backend);
		fds[QUEUES].events = vu_backend_events(d->backend);
		fds[QUEUES + 1].fd = d->channel ? vu_channel_fd(d->channel) : -1;
		fds[QUEUES + 1].events = d->channel ? vu_channel_events(d->channel) : 0;
		for (size_t i = 0; i < QUEUES; i++) {
			fds[i].fd = d->queues[i].started ? d->queues[i].kick : -1;
			fds[i].events = POLLIN;
		}
		if (poll(fds, QUEUES + 2, 10000) <= 0)
			break;
		for (size_t i = 0; i < QUEUES; i++) {
			if (!(fds[i].revents & POLLIN))
				continue;
			(void)!read(d->queues[i].kick, &count, sizeof(count));
			serve(d, &d->queues[i]);
		}
		if (d->channel && fds[QUEUES + 1].revents)
			on_answer(d);
		d->result = fds[QUEUES].revents ? vu_backend_on_ready(d->backend) : 0;
	} while (d->result == 0);
	for (struct queue *q = d->queues; q < d->queues + QUEUES; q++) {
		if (q->held)
			vq_drop(q->vq, q->held);
		(void)vq_stop(q->vq);
		fd_close(&q->kick);
		vq_free(q->vq);
	}
	vu_channel_free(d->channel);
	vu_backend_free(d->backend);
	return NULL;
}

static struct vu_frontend *device_start_with(
	struct device *d, uint64_t features, uint64_t protocol, int file)
{
	const struct vu_backend_config config = {
		.features = FEATURES,
		.protocol_features = PROTOCOL,
		.n_queues = QUEUES,
		.shmem_size = SHMEM_SIZE,
		.ops = &ops,
		.ctx = d,
	};
	struct vu_frontend *fe;
	int pair[2];

	*d = (struct device){.file = file};
	for (unsigned int i = 0; i < QUEUES; i++) {
		assert_int_equal(vq_new(i, 0, &d->queues[i].vq), 0);
		d->queues[i].kick = d->queues[i].call = d->queues[i].err = -1;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_backend_new(pair[0], &config, &d->backend), 0);
	assert_int_equal(vu_frontend_from_fd(pair[1], &fe), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, device_run, d), 0);
	assert_int_equal(vu_frontend_negotiate(fe, features, protocol), 0);
	assert_int_equal(vu_frontend_protocol_features(fe), PROTOCOL & protocol);
	assert_int_equal(vu_frontend_add_memory(fe, 0, 1 << 20), 0);
	return fe;
}

static struct vu_frontend *device_start(struct device *d, uint64_t features, uint64_t protocol)
{
	return device_start_with(d, features, protocol, -1);
}

static void device_end(struct device *d, struct vu_frontend *fe)
{
	vu_frontend_free(fe);
	pthread_join(d->thread, NULL);
	assert_int_equal(d->result, -ECONNRESET); /* and not a protocol error */
}

/* Sends 8 bytes at `gpa` with the given first one; the cookie is their address. */
static void *put(struct vu_frontend *fe, struct vq_driver *ring, uint64_t gpa, char first)
{
	const struct vq_buf bufs[] = {{gpa, 8, false}, {gpa + 8, 8, true}};
	char *at = vu_frontend_host(fe, gpa, 16);

	assert_non_null(at);
	memcpy(at, "?request........", 16);
	at[0] = first;
	assert_int_equal(vq_driver_add(ring, bufs, 2, at), 0);
	(void)vq_driver_kick(ring);
	return at;
}

static void expect(struct vq_driver *ring, const void *cookie)
{
	uint32_t len;
	void *got;

	assert_int_equal(vq_driver_wait(ring, 5000), 0);
	assert_true(vq_driver_take(ring, &got, &len));
	assert_ptr_equal(got, cookie);
	assert_int_equal(len, 8);
	assert_memory_equal(got, (char *)got + 8, 8);
}

static void test_requests(void **state)
{
	/* with all, without acks, by SET_MEM_TABLE, without protocol features at all */
	static const uint64_t protocols[] = {PROTOCOL, PROTOCOL & ~VU_BIT(VU_PROTOCOL_F_REPLY_ACK),
		VU_BIT(VU_PROTOCOL_F_REPLY_ACK), VU_BIT(VU_PROTOCOL_F_MQ), 0};

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		uint64_t features = FEATURES;
		struct vq_driver *rings[QUEUES];
		struct vu_frontend *fe;
		struct device d;

		if (!protocols[i])
			features &= ~VU_BIT(VU_F_PROTOCOL_FEATURES);
		fe = device_start(&d, features, protocols[i]);
		for (unsigned int q = 0; q < QUEUES; q++)
			assert_int_equal(
				vu_frontend_ring_start(fe, q, 16, q * 0x10000, &rings[q]), 0);
		for (unsigned int n = 0; n < 300; n++)
			expect(rings[n % QUEUES],
				put(fe, rings[n % QUEUES], 0x80000 + n % 7 * 16, 'x'));
		device_end(&d, fe);
	}
}

static void test_questions(void **state)
{
	struct device d;
	struct vu_frontend *fe = device_start(&d, FEATURES, PROTOCOL);
	uint8_t data[8];
	uint64_t value;

	assert_int_equal(vu_frontend_get_u64(fe, VU_GET_QUEUE_NUM, &value), 0);
	assert_int_equal(value, QUEUES);
	assert_int_equal(vu_frontend_get_u64(fe, VU_GET_MAX_MEM_SLOTS, &value), 0);
	assert_int_equal(value, VU_MEMORY_SLOTS);
	assert_int_equal(vu_frontend_get_config(fe, 36, data, 8), 0);
	assert_memory_equal(data, "cccccccc", 8);
	assert_int_equal(vu_frontend_get_config(fe, 37, data, 8), -EREMOTEIO);
	device_end(&d, fe);
}

/* Memory comes and goes while a request is held in it. */
static void test_hot_memory(void **state)
{
	struct device d;
	struct vu_frontend *fe = device_start(&d, FEATURES, PROTOCOL);
	struct vq_driver *ring;
	const void *first;
	void *held;
	int slot;

	assert_int_equal(vu_frontend_ring_start(fe, 1, 16, 0, &ring), 0);
	for (int i = 0; i < 20; i++) {
		slot = vu_frontend_add_memory(fe, 1 << 20, 1 << 16);
		assert_true(slot > 0);
		held = put(fe, ring, 1 << 20, HOLD);
		assert_int_equal(vq_driver_wait(ring, 5), -ETIMEDOUT);
		assert_int_equal(vu_frontend_remove_memory(fe, slot), 0);
		first = put(fe, ring, 0x80000, RELEASE);
		/* The held one comes first; its memory is ours no longer, so only look at who. */
		for (int k = 0; k < 2; k++) {
			uint32_t len;
			void *got;

			assert_int_equal(vq_driver_wait(ring, 5000), 0);
			assert_true(vq_driver_take(ring, &got, &len));
			assert_ptr_equal(got, k ? first : held);
		}
	}
	/* A chain into memory that is gone breaks that ring, and says so. */
	{
		const struct vq_buf buf = {1 << 20, 8, false};

		assert_int_equal(vq_driver_add(ring, &buf, 1, NULL), 0);
		assert_true(vq_driver_kick(ring));
		assert_int_equal(vq_driver_wait(ring, 5000), -EPIPE);
	}
	assert_int_equal(vu_frontend_ring_start(fe, 2, 16, 0x10000, &ring), 0);
	expect(ring, put(fe, ring, 0x80000, 'x'));
	device_end(&d, fe);
}

/* An answer that comes while the ring is stopped is there after the resume. */
static void test_stop_and_resume(void **state)
{
	struct device d;
	struct vu_frontend *fe = device_start(&d, FEATURES, PROTOCOL);
	struct vq_driver *ring, *other;
	uint16_t base = 0;
	void *held;

	assert_int_equal(vu_frontend_ring_start(fe, 0, 16, 0, &other), 0);
	assert_int_equal(vu_frontend_ring_start(fe, 1, 16, 0x10000, &ring), 0);
	for (uint16_t i = 0; i < 10; i++) {
		held = put(fe, ring, 0x80000, HOLD);
		assert_int_equal(vq_driver_wait(ring, 5), -ETIMEDOUT);
		assert_int_equal(vu_frontend_ring_stop(fe, 1, &base), 0);
		assert_int_equal(base, i + 1);
		expect(other, put(fe, other, 0x81000, RELEASE));
		assert_int_equal(vq_driver_wait(ring, 5), -ETIMEDOUT);
		assert_int_equal(vu_frontend_ring_resume(fe, 1, base), 0);
		expect(ring, held);
	}
	device_end(&d, fe);
}

/* After a reset the ring starts at 0, and a request from before is never answered. */
static void test_reset(void **state)
{
	struct device d;
	struct vu_frontend *fe = device_start(&d, FEATURES, PROTOCOL);
	struct vq_driver *ring, *other;

	assert_int_equal(vu_frontend_ring_start(fe, 1, 16, 0x10000, &ring), 0);
	(void)put(fe, ring, 0x80000, HOLD);
	assert_int_equal(vq_driver_wait(ring, 5), -ETIMEDOUT);
	assert_int_equal(vu_frontend_request(fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(vu_frontend_ring_start(fe, 0, 16, 0, &other), 0);
	assert_int_equal(vu_frontend_ring_start(fe, 1, 16, 0x10000, &ring), 0);
	expect(other, put(fe, other, 0x81000, RELEASE));
	assert_int_equal(vq_driver_wait(ring, 20), -ETIMEDOUT);
	expect(ring, put(fe, ring, 0x82000, 'x'));
	device_end(&d, fe);
	assert_int_equal(d.resets, 1);
}

static void expect_request(struct vu_frontend *fe, uint32_t code, const void *expect,
	uint32_t expect_size, size_t n_fds, uint64_t reply)
{
	struct vu_header header;
	struct vu_fds fds;
	uint8_t payload[64];
	size_t size;

	assert_int_equal(vu_frontend_channel_recv(
				 fe, &header, payload, sizeof(payload), &size, &fds), 0);
	assert_int_equal(header.request, code);
	assert_int_equal(header.flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(size, expect_size);
	assert_memory_equal(payload, expect, expect_size);
	assert_int_equal(fds.n, n_fds);
	fds_close(&fds);
	assert_int_equal(vu_frontend_channel_reply(fe, &header, reply), 0);
}

/* The window's size, and requests of the back-end, which learns of each answer whose it was. */
static void test_channel(void **state)
{
	CLEANUP_FD int file = guest_memfd(4096);
	const uint64_t first = 77, second = UINT64_MAX;
	uint64_t sizes[VU_SHMEM_REGIONS];
	struct vu_frontend *fe;
	struct vu_header header;
	uint8_t payload[64];
	struct device d;
	size_t size;
	int fd;

	fe = device_start_with(&d, FEATURES, PROTOCOL, file);
	assert_int_equal(vu_frontend_get_shmem(fe, sizes), 1);
	assert_int_equal(sizes[0], SHMEM_SIZE);
	for (size_t i = 1; i < VU_SHMEM_REGIONS; i++)
		assert_int_equal(sizes[i], 0);
	for (int i = 0; i < 2; i++) { /* a new channel takes the place of the old one */
		struct pollfd pfd = {.events = POLLIN};

		assert_int_equal(vu_frontend_open_channel(fe, &fd), 0);
		pfd.fd = fd;
		assert_int_equal(poll(&pfd, 1, 5000), 1);
		expect_request(fe, 9, "map", 4, 1, first);
		expect_request(fe, 10, "unmap", 6, 0, second);
		expect_request(fe, 9, &first, sizeof(first), 0, 0);
		expect_request(fe, 9, &second, sizeof(second), 0, 0);
		vu_frontend_set_timeout(fe, 5);
		assert_int_equal(vu_frontend_channel_recv(
					 fe, &header, payload, sizeof(payload), &size, NULL),
			-ETIMEDOUT);
		vu_frontend_set_timeout(fe, 5000);
	}
	device_end(&d, fe);
	assert_int_equal(d.asked, 1);
}

/* As QEMU does it: the file of a mapping comes as memory, and the answers are taken later. */
static void test_window_memory(void **state)
{
	CLEANUP_FD int file = guest_memfd(3 * 4096), other = guest_memfd(3 * 4096);
	struct vu_mem_region region = {WINDOW_GPA, 8192, 0x10000000, 4096}, wrong;
	struct vu_frontend *fe;
	struct vq_driver *ring;
	struct device d;

	fe = device_start_with(&d, FEATURES, PROTOCOL, file);
	assert_int_equal(vu_frontend_ring_start(fe, 1, 16, 0x10000, &ring), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, file, true), 0);
	wrong = region;
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &wrong, other, true), 0);
	wrong.gpa += 8192;
	wrong.user_addr += 8192;
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &wrong, file, false), 0);
	assert_int_equal(vu_frontend_send_region(fe, VU_REM_MEM_REG, &wrong, -1, true), 0);
	assert_int_equal(vu_frontend_take_ack(fe, VU_ADD_MEM_REG), 0);
	assert_int_equal(vu_frontend_take_ack(fe, VU_ADD_MEM_REG), -EREMOTEIO); /* overlaps */
	assert_int_equal(vu_frontend_take_ack(fe, VU_REM_MEM_REG), 0);
	expect(ring, put(fe, ring, 0x80000, 'x'));
	device_end(&d, fe);
	assert_int_equal(d.n_regions, 2);
	assert_int_equal(d.n_window, 1);

	fe = device_start_with(&d, FEATURES, PROTOCOL & ~VU_BIT(VU_PROTOCOL_F_REPLY_ACK), file);
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, file, true),
		-EOPNOTSUPP);
	assert_int_equal(vu_frontend_send_region(fe, VU_ADD_MEM_REG, &region, file, false), 0);
	device_end(&d, fe);
	assert_int_equal(d.n_window, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_hot_memory),
		cmocka_unit_test(test_stop_and_resume),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_channel),
		cmocka_unit_test(test_window_memory),
	};

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
