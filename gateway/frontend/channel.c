/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end request channel, served.
 *
 * One thread takes one message at a time, carries it out, answers it (when NEED_REPLY asks for it)
 * and then, in shmem with memory slots, tells the main connection of the new region and waits for
 * the answer, as QEMU does with its lock held. So a back-end must serve its main connection while
 * it waits for us.
 *
 * The fault is set by the test's thread and committed here, under the lock.
 */
#include "gateway/frontend/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

#define SEND_MS   5000
#define TAKEN_MAX 512

struct fw_channel {
	struct fw_channel_config config;
	pthread_t thread;
	int stop; /* eventfd */
	struct fw_stats stats;
	_Atomic int error;

	pthread_mutex_t lock; /* of the three below */
	enum fw_fault fault;
	uint64_t fault_offset;
	unsigned int fault_ms;

	/* Thread: the regions that the back-end took. */
	struct dax_entry taken[TAKEN_MAX];
	size_t n_taken;

	bool silent; /* thread: nothing is answered any more */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- faults ---- */

static bool covers(const struct dax_entry *entries, size_t n, uint64_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (offset >= entries[i].window_offset &&
			offset - entries[i].window_offset < entries[i].len)
			return true;
	return false;
}

/*
 * The fault that this message gets; refusing stays in force, since what was refused in a batch
 * comes again alone.
 */
static enum fw_fault fault_for(struct fw_channel *channel, enum dax_op op,
	const struct dax_entry *entries, size_t n, unsigned int *ms)
{
	enum fw_fault fault = FW_FAULT_NONE;

	pthread_mutex_lock(&channel->lock);
	if (op == DAX_OP_MAP && covers(entries, n, channel->fault_offset)) {
		fault = channel->fault;
		*ms = channel->fault_ms;
		if (fault != FW_FAULT_REFUSE)
			channel->fault = FW_FAULT_NONE;
	}
	pthread_mutex_unlock(&channel->lock);
	channel->stats.faults += fault != FW_FAULT_NONE;
	return fault;
}

void fw_channel_fault(
	struct fw_channel *channel, enum fw_fault fault, uint64_t window_offset, unsigned int ms)
{
	pthread_mutex_lock(&channel->lock);
	channel->fault = fault;
	channel->fault_offset = window_offset;
	channel->fault_ms = ms;
	pthread_mutex_unlock(&channel->lock);
}

/* Sleeps, but not past the end of the thread. */
static void nap(const struct fw_channel *channel, unsigned int ms)
{
	struct pollfd pfd = {.fd = channel->stop, .events = POLLIN};

	(void)poll(&pfd, 1, (int)ms);
}

/* ---- one message ---- */

static int answer(struct fw_channel *channel, uint32_t code, int64_t value, size_t size)
{
	struct vu_header header = {code, VU_VERSION | VU_FLAG_REPLY, (uint32_t)size};
	uint8_t bytes[sizeof(header) + sizeof(value)];
	struct pollfd pfd = {.fd = channel->config.fd, .events = POLLOUT};
	size_t sent = 0, all = sizeof(header) + size;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &value, sizeof(value));
	while (sent < all) {
		ssize_t n = vu_socket_send(channel->config.fd, bytes + sent, all - sent, NULL, 0);

		if (n == -EAGAIN && poll(&pfd, 1, SEND_MS) > 0)
			continue;
		if (n < 0)
			return (int)n;
		sent += (size_t)n;
	}
	return 0;
}

/* A back-end may refuse a region, since it has the file; then it does not hear of its end. */
static void add_region(struct fw_channel *channel, const struct dax_entry *entry, int fd)
{
	int r = channel->config.region(channel->config.ctx, true, entry, fd);

	if (r == -EREMOTEIO)
		channel->stats.regions_refused++;
	else if (r < 0 || channel->n_taken == TAKEN_MAX)
		channel->stats.region_errors++;
	else {
		channel->stats.regions_added++;
		channel->taken[channel->n_taken++] = *entry;
	}
}

static void remove_region(struct fw_channel *channel, const struct dax_entry *entry)
{
	size_t i = 0;

	while (i < channel->n_taken && channel->taken[i].window_offset != entry->window_offset)
		i++;
	if (i == channel->n_taken)
		return;
	if (channel->config.region(channel->config.ctx, false, &channel->taken[i], -1) < 0)
		channel->stats.region_errors++;
	else
		channel->stats.regions_removed++;
	channel->taken[i] = channel->taken[--channel->n_taken];
}

static void tell_regions(struct fw_channel *channel, enum dax_op op,
	const struct dax_entry *entries, size_t n, int fd)
{
	if (!channel->config.region)
		return;
	for (size_t i = 0; i < n; i++) {
		if (op == DAX_OP_MAP)
			add_region(channel, &entries[i], fd);
		else if (op == DAX_OP_UNMAP)
			remove_region(channel, &entries[i]);
	}
}

static void count(struct fw_stats *stats, enum dax_op op, size_t n, int64_t value, uint64_t ns)
{
	if (n == 0) {
		stats->malformed++;
		return;
	}
	stats->messages[op]++;
	stats->entries[op] += n;
	stats->batch[op][n]++;
	stats->refused += value < 0;
	stats->work_ns += ns;
}

/* 0, or what ends the channel. */
static int serve(struct fw_channel *channel, struct vu_receiver *in)
{
	const struct dax_dialect *dialect = fw_window_dialect(channel->config.window);
	struct dax_entry entries[DAX_BATCH_MAX];
	enum fw_fault fault = FW_FAULT_NONE;
	enum dax_op op = DAX_OP_SYNC;
	uint64_t began = now_ns();
	unsigned int ms = 0;
	size_t n = 0;
	int64_t value;
	int r = 0;

	if (dax_decode(dialect, in->header.request, in->payload, in->header.size, &op, entries,
		    &n) == 0)
		fault = fault_for(channel, op, entries, n, &ms);
	if (fault == FW_FAULT_DIE)
		return -ESHUTDOWN;
	if (fault == FW_FAULT_DELAY)
		nap(channel, ms);
	if (fault == FW_FAULT_REFUSE)
		value = -ENOSPC;
	else
		value = fw_window_request(channel->config.window, in->header.request, in->payload,
			in->header.size, &in->fds, &op, entries, &n);
	count(&channel->stats, op, n, value, now_ns() - began);
	channel->silent |= fault == FW_FAULT_DROP;
	if ((in->header.flags & VU_FLAG_NEED_REPLY) && !channel->silent)
		r = answer(channel, in->header.request, value,
			fault == FW_FAULT_SHORT ? sizeof(uint32_t) : sizeof(value));
	if (fault == FW_FAULT_ACK_LATE_REGION)
		nap(channel, ms);
	if (r == 0 && value >= 0 && !channel->silent)
		tell_regions(channel, op, entries, n, in->fds.n ? in->fds.fd[0] : -1);
	return r;
}

/* ---- thread ---- */

static void *run(void *ctx)
{
	struct fw_channel *channel = ctx;
	struct vu_receiver in = {0};
	struct pollfd pfd[] = {
		{.fd = channel->config.fd, .events = POLLIN},
		{.fd = channel->stop, .events = POLLIN},
	};
	int r = 0;

	while (r == 0) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			r = -errno;
		if (pfd[1].revents)
			break;
		if (r == 0)
			r = vu_receive_header(channel->config.fd, &in);
		if (r == 0)
			r = vu_receive_payload(channel->config.fd, &in);
		if (r == 0) {
			r = serve(channel, &in);
			vu_receiver_reset(&in);
		} else if (r == -EAGAIN)
			r = 0;
	}
	vu_receiver_reset(&in);
	if (r < 0)
		shutdown(channel->config.fd, SHUT_RDWR);
	channel->error = r;
	return NULL;
}

int fw_channel_start(const struct fw_channel_config *config, struct fw_channel **out)
{
	struct fw_channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->config = *config;
	pthread_mutex_init(&channel->lock, NULL);
	channel->stop = eventfd(0, EFD_CLOEXEC);
	r = channel->stop < 0 ? errno : pthread_create(&channel->thread, NULL, run, channel);
	if (r) {
		fd_close(&channel->stop);
		pthread_mutex_destroy(&channel->lock);
		free(channel);
		return -r;
	}
	*out = channel;
	return 0;
}

void fw_channel_stop(struct fw_channel *channel)
{
	if (!channel)
		return;
	(void)fd_signal(channel->stop);
	pthread_join(channel->thread, NULL);
	fd_close(&channel->stop);
	pthread_mutex_destroy(&channel->lock);
	free(channel);
}

const struct fw_stats *fw_channel_stats(const struct fw_channel *channel)
{
	return &channel->stats;
}

int fw_channel_error(const struct fw_channel *channel)
{
	return channel->error;
}
