/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end whose fds are not what they should be: one log line and the end of that connection,
 * or no harm at all; the next front-end is served, SIGTERM ends the process, nothing spins.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "gateway/exitcode.h"
#include "tests/integration/harness.h"

#define FEATURES (VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES))
#define PROTOCOL (VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK))

static struct it_options keep = {
	.be = { .keep_listening = true, .tag = "tag" },
	.no_client = true,
};

static int complaints(const struct it *it)
{
	return be_log_lines(&it->be, "ERROR") + be_log_lines(&it->be, "WARN");
}

static bool hangs_up(struct vu_frontend *fe, int timeout_ms)
{
	struct pollfd fd = { .fd = vu_frontend_fd(fe), .events = POLLIN };
	uint8_t drop[512];

	while (poll(&fd, 1, timeout_ms) > 0) {
		ssize_t n = recv(fd.fd, drop, sizeof(drop), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static void assert_next_is_served(struct it *it)
{
	it_connect(it, NULL);
	assert_int_equal(fc_mount(it->q, NULL), 0);
	it_assert_alive(it->q);
	it_disconnect(it);
}

enum kind {
	PIPE_IN,
	PIPE_OUT,
	SOCKET,
	ITSELF,
	MEMFD,
	NULL_DEVICE,
	TTY,
	DIRECTORY,
	BY_NAME,
	INOTIFY,
	TIMER,
	EPOLL,
	N_KINDS,
};

static int one_of(int pair[2], int i)
{
	close(pair[!i]);
	return pair[i];
}

static int make(enum kind kind, struct vu_frontend *fe)
{
	int pair[2];

	switch (kind) {
	case PIPE_IN:
	case PIPE_OUT:
		assert_int_equal(pipe(pair), 0);
		return one_of(pair, kind == PIPE_OUT);
	case SOCKET:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		return one_of(pair, 0);
	case ITSELF:
		return dup(vu_frontend_fd(fe));
	case MEMFD:
		return memfd_create("eventfd", 0);
	case NULL_DEVICE:
		return open("/dev/null", O_RDWR);
	case TTY:
		return posix_openpt(O_RDWR | O_NOCTTY);
	case DIRECTORY:
		return open("/", O_RDONLY | O_DIRECTORY);
	case BY_NAME:
		return open("/dev/null", O_PATH);
	case INOTIFY:
		return inotify_init();
	case TIMER:
		return timerfd_create(CLOCK_MONOTONIC, 0);
	case EPOLL:
		return epoll_create1(0);
	case N_KINDS:
		break;
	}
	return -1;
}

static void no_eventfds(void **state)
{
	static const uint32_t codes[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };
	struct it *it = *state;

	for (size_t i = 0; i < ARRAY_SIZE(codes) * N_KINDS; i++) {
		struct vu_frontend *fe = it_frontend(it);
		int before = complaints(it), fd = make(i % N_KINDS, fe);
		uint64_t ring = 0;

		assert_int_equal(vu_frontend_negotiate(fe, FEATURES, PROTOCOL), 0);
		if (fd < 0)
			fail_msg("kind %zu: errno %d", i % N_KINDS, errno);
		assert_int_equal(
			vu_frontend_send(fe, codes[i / N_KINDS], 0, &ring, sizeof(ring), &fd, 1),
			0);
		close(fd);
		if (!hangs_up(fe, 2000))
			fail_msg("%s, kind %zu: still connected",
				vu_request_name(codes[i / N_KINDS]), i % N_KINDS);
		vu_frontend_free(fe);
		assert_int_equal(complaints(it), before + 1);
		assert_int_equal(be_log_lines(&it->be, "not an eventfd"), i + 1);
	}
	assert_next_is_served(it);
}

struct storm {
	int fd;
	_Atomic bool over;
};

/* Full and blocking most of the time, at any instant between two system calls of the service's. */
static void *fill_and_empty(void *arg)
{
	struct storm *storm = arg;
	uint64_t most = UINT64_MAX - 2, count;

	while (!storm->over) {
		fcntl(storm->fd, F_SETFL, O_NONBLOCK);
		(void)!read(storm->fd, &count, sizeof(count));
		sched_yield();
		(void)!write(storm->fd, &most, sizeof(most));
		(void)!write(storm->fd, &(uint64_t){ 1 }, sizeof(most));
		fcntl(storm->fd, F_SETFL, 0);
		usleep(200);
	}
	/* It stays full. */
	fcntl(storm->fd, F_SETFL, O_NONBLOCK);
	(void)!write(storm->fd, &most, sizeof(most));
	(void)!write(storm->fd, &(uint64_t){ 1 }, sizeof(most));
	fcntl(storm->fd, F_SETFL, 0);
	return NULL;
}

/* GETATTRs that are answered though nobody hears of it: the used ring is looked at. */
static void request_often(struct it *it, int ms)
{
	for (int64_t end = it_now_ms() + ms; it_now_ms() < end;) {
		struct fuse_attr_out attr;

		assert_int_equal(fc_getattr(it->q, FUSE_ROOT_ID, &attr), 0);
	}
}

static void full_call_fds(void **state)
{
	struct it *it = *state;
	int left = -1;

	for (int round = 0; round < 4; round++) {
		struct storm storm = { .over = false };
		pthread_t thread;

		it_connect(it, NULL);
		assert_int_equal(fc_mount(it->q, NULL), 0);
		storm.fd = dup(it->q->vq->call);
		assert_int_equal(pthread_create(&thread, NULL, fill_and_empty, &storm), 0);
		request_often(it, 1000);
		storm.over = true;
		assert_int_equal(pthread_join(thread, NULL), 0);
		request_often(it, 10);
		/* It is left full and blocking while the rings stop. */
		it_disconnect(it);
		if (left >= 0)
			close(left);
		left = storm.fd;
		assert_next_is_served(it);
	}
	it_connect(it, NULL);
	assert_int_equal(be_stop(&it->be, 3000), 0);
	it_disconnect(it);
	close(left);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(no_eventfds, keep),
	IT_TEST_WITH(full_call_fds, keep),
};

static const struct it_difference differences[] = {
	{ "no_eventfds", "takes any fd as an eventfd", "takes any fd as an eventfd" },
	{ "full_call_fds", "serves one front-end", "waits for the eventfd" },
};

IT_MAIN("bad_fds", tests, differences)
