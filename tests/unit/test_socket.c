/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets and message reassembly, cut at every byte; fds that come, get lost, are too many. */
#include "vhostuser/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/fds.h"
#include "vhostuser/log.h"

static char dir[] = "/tmp/test_socket.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static void test_listen_and_connect(void **state)
{
	size_t before = count_fds();
	int listener, client, server;

	assert_int_equal(vu_socket_connect(path, &client), -ENOENT);
	assert_int_equal(vu_socket_listen(path, "test", &listener), 0);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(vu_socket_accept(listener, &server), -EAGAIN);
	assert_int_equal(vu_socket_connect(path, &client), 0);
	assert_int_equal(vu_socket_accept(listener, &server), 0);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
	close(listener);
	close(client);
	close(server);
	assert_int_equal(vu_socket_connect(path, &client), -ECONNREFUSED);
	assert_int_equal(count_fds(), before);
	assert_int_equal(unlink(path), 0);
}

static void test_stale_and_live(void **state)
{
	size_t before = count_fds();
	int listener, other, client;
	struct stat first, second;

	assert_int_equal(vu_socket_listen(path, "test", &listener), 0);
	assert_int_equal(stat(path, &first), 0);

	/* in use: refused, and the live one neither loses its file nor sees a connection */
	assert_int_equal(vu_socket_listen(path, "test", &other), -EADDRINUSE);
	assert_int_equal(stat(path, &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	assert_int_equal(vu_socket_accept(listener, &client), -EAGAIN);

	/* stale: replaced */
	close(listener);
	assert_int_equal(vu_socket_listen(path, "test", &listener), 0);
	assert_int_equal(vu_socket_connect(path, &client), 0);
	close(client);
	close(listener);
	unlink(path);
	assert_int_equal(count_fds(), before);
}

/* Whether another user's socket is in use may be unknowable: left alone, and not called in use. */
static void test_of_another_user(void **state)
{
	int listener, other, ret;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(vu_socket_listen(path, "test", &listener), 0);
	close(listener);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	ret = vu_socket_listen(path, "test", &other);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(ret, -EACCES);
	assert_int_equal(lstat(path, &st), 0);
	unlink(path);
}

static void test_not_a_socket(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), listener;
	struct stat st;

	close(fd);
	assert_int_equal(vu_socket_listen(path, "test", &listener), -EEXIST);
	assert_int_equal(vu_socket_connect(path, &fd), -ENOTSOCK);
	assert_int_equal(lstat(path, &st), 0);
	unlink(path);

	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(vu_socket_listen(path, "test", &listener), -EEXIST);
	assert_int_equal(lstat(path, &st), 0);
	unlink(path);
}

static void test_path_length(void **state)
{
	char longest[200];
	int fd;

	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	assert_int_equal(vu_socket_listen(longest, "test", &fd), -ENAMETOOLONG);
	assert_int_equal(vu_socket_connect(longest, &fd), -ENAMETOOLONG);
	assert_int_equal(vu_socket_listen("", "test", &fd), -ENOENT);
	assert_int_equal(vu_socket_listen("/nonexistent/dir/sock", "test", &fd), -ENOENT);

	/* 107 bytes, in our directory */
	snprintf(longest, sizeof(longest), "%s/%.*s", dir, (int)(107 - strlen(dir) - 1),
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(strlen(longest), 107);
	assert_int_equal(vu_socket_listen(longest, "test", &fd), 0);
	close(fd);
	unlink(longest);
}

static void test_kind(void **state)
{
	enum vu_socket_kind kind;
	int pair[2], fd, pipe_fds[2];

	assert_int_equal(vu_socket_listen(path, "test", &fd), 0);
	assert_int_equal(vu_socket_kind(fd, "test", &kind), 0);
	assert_int_equal(kind, VU_SOCKET_LISTENING);
	close(fd);
	unlink(path);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vu_socket_kind(pair[0], "test", &kind), 0);
	assert_int_equal(kind, VU_SOCKET_CONNECTED);
	close(pair[0]);
	close(pair[1]);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(vu_socket_kind(fd, "test", &kind), -ENOTCONN);
	close(fd);
	assert_int_equal(vu_socket_kind(fd, "test", &kind), -EBADF);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(vu_socket_kind(fd, "test", &kind), -EPROTOTYPE);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		assert_int_equal(vu_socket_kind(fd, "test", &kind), -EPROTOTYPE);
		close(fd);
	}
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(vu_socket_kind(pipe_fds[0], "test", &kind), -ENOTSOCK);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ---- messages ---- */

static int ours, theirs;
static struct vu_receiver receiver;

static int make_pair(void **state)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	ours = pair[0];
	theirs = pair[1];
	memset(&receiver, 0, sizeof(receiver));
	return 0;
}

static int close_pair(void **state)
{
	vu_receiver_reset(&receiver);
	close(ours);
	close(theirs);
	return 0;
}

static int receive(void)
{
	int ret = vu_receive_header(ours, &receiver);

	return ret < 0 ? ret : vu_receive_payload(ours, &receiver);
}

static void send_all(const void *data, size_t size, const int *fds, size_t n_fds)
{
	assert_int_equal(vu_socket_send(theirs, data, size, fds, n_fds), size);
}

struct message {
	struct vu_header header;
	uint8_t payload[40];
};

static struct message sample(uint32_t size)
{
	struct message message = {.header = {.request = 37, .flags = 1, .size = size}};

	for (size_t i = 0; i < sizeof(message.payload); i++)
		message.payload[i] = (uint8_t)(i + 1);
	return message;
}

static void check_sample(uint32_t size, size_t n_fds)
{
	struct message expect = sample(size);

	assert_memory_equal(&receiver.header, &expect.header, sizeof(expect.header));
	assert_memory_equal(receiver.payload, expect.payload, size);
	assert_int_equal(receiver.fds.n, n_fds);
}

static void test_cut_everywhere(void **state)
{
	struct message message = sample(40);
	size_t total = sizeof(struct vu_header) + 40, before = count_fds();

	for (size_t at = 1; at < total; at++) {
		send_all(&message, at, &ours, 1);
		assert_int_equal(receive(), -EAGAIN);
		assert_true(vu_receiver_partial(&receiver));
		send_all((char *)&message + at, total - at, NULL, 0);
		assert_int_equal(receive(), 0);
		check_sample(40, 1);
		vu_receiver_reset(&receiver);
		assert_false(vu_receiver_partial(&receiver));
		assert_int_equal(receive(), -EAGAIN);
	}
	assert_int_equal(count_fds(), before);
}

static void test_byte_by_byte(void **state)
{
	struct message message = sample(7);

	for (size_t at = 0; at < sizeof(struct vu_header) + 7; at++) {
		assert_int_equal(receive(), -EAGAIN);
		/* an fd on any byte belongs to the message */
		send_all((char *)&message + at, 1, &ours, at % 4 == 0);
	}
	assert_int_equal(receive(), 0);
	check_sample(7, 5);
	assert_true(fcntl(receiver.fds.fd[0], F_GETFD) & FD_CLOEXEC);
}

static void test_back_to_back(void **state)
{
	struct message message = sample(8);
	struct message burst[3];
	size_t one = sizeof(struct vu_header) + 8, before = count_fds();

	/* three messages in two packets, the fd with the third one's first byte */
	for (size_t i = 0; i < 3; i++)
		memcpy((char *)burst + i * one, &message, one);
	send_all(burst, 2 * one, NULL, 0);
	send_all((char *)burst + 2 * one, one, &ours, 1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(receive(), 0);
		check_sample(8, i == 2);
		vu_receiver_reset(&receiver);
	}
	assert_int_equal(receive(), -EAGAIN);
	assert_int_equal(count_fds(), before);
}

static void test_end(void **state)
{
	struct message message = sample(8);

	shutdown(theirs, SHUT_WR);
	assert_int_equal(receive(), -ECONNRESET);
	close_pair(NULL);

	for (size_t at = 1; at < sizeof(struct vu_header) + 8; at++) {
		make_pair(NULL);
		send_all(&message, at, NULL, 0);
		shutdown(theirs, SHUT_WR);
		assert_int_equal(receive(), -EPROTO);
		assert_non_null(receiver.why);
		close_pair(NULL);
	}
	make_pair(NULL);
}

static void test_too_many_fds(void **state)
{
	struct message message = sample(0);
	size_t before = count_fds();
	int fds[VU_FDS_MAX];

	for (size_t i = 0; i < VU_FDS_MAX; i++)
		fds[i] = ours;
	send_all(&message, sizeof(struct vu_header), fds, 8);
	assert_int_equal(receive(), 0);
	check_sample(0, 8);
	vu_receiver_reset(&receiver);

	for (size_t n = 9; n <= VU_FDS_MAX; n++) {
		send_all(&message, sizeof(struct vu_header), fds, n);
		assert_int_equal(receive(), -EPROTO);
		vu_receiver_reset(&receiver);
		close_pair(NULL);
		make_pair(NULL);
	}
	assert_int_equal(vu_socket_send(theirs, &message, 12, fds, VU_FDS_MAX + 1), -EINVAL);

	/* a few on each of several bytes add up */
	send_all(&message, 4, fds, 5);
	send_all((char *)&message + 4, 8, fds, 5);
	assert_int_equal(receive(), -EPROTO);
	vu_receiver_reset(&receiver);
	assert_int_equal(count_fds(), before);
}

/* More than the control space holds: the kernel cuts (MSG_CTRUNC). */
static void test_truncated_control(void **state)
{
	enum { N = 40 };
	char space[CMSG_SPACE(N * sizeof(int))] = {0};
	struct message message = sample(0);
	struct iovec iov = {&message, sizeof(struct vu_header)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	size_t before = count_fds();

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(N * sizeof(int));
	for (size_t i = 0; i < N; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &ours, sizeof(int));
	assert_int_equal(sendmsg(theirs, &msg, 0), sizeof(struct vu_header));
	assert_int_equal(receive(), -EPROTO);
	assert_non_null(strstr(receiver.why, "lost"));
	vu_receiver_reset(&receiver);
	assert_int_equal(count_fds(), before);
}

/* No room in our own fd table has the same effect, and closes what did fit. */
static void test_no_room_for_fds(void **state)
{
	struct message message = sample(0);
	int fds[4] = {ours, ours, ours, ours};
	struct rlimit old, low;
	size_t before = count_fds();

	send_all(&message, sizeof(struct vu_header), fds, 4);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	int free_fd = dup(ours);

	close(free_fd);
	low.rlim_cur = (rlim_t)free_fd + 2; /* room for two */
	setrlimit(RLIMIT_NOFILE, &low);
	assert_int_equal(receive(), -EPROTO);
	setrlimit(RLIMIT_NOFILE, &old);
	vu_receiver_reset(&receiver);
	assert_int_equal(count_fds(), before);
}

static void test_payload_too_long(void **state)
{
	struct message message = sample(VU_PAYLOAD_MAX + 1);

	send_all(&message, sizeof(struct vu_header), NULL, 0);
	assert_int_equal(vu_receive_header(ours, &receiver), 0);
	assert_int_equal(vu_receive_header(ours, &receiver), 0); /* asking again costs nothing */
	assert_int_equal(vu_receive_payload(ours, &receiver), -EPROTO);
}

static void test_send_full_and_gone(void **state)
{
	static char block[65536];
	ssize_t n;

	while ((n = vu_socket_send(theirs, block, sizeof(block), NULL, 0)) > 0)
		;
	assert_int_equal(n, -EAGAIN);
	close(ours);
	assert_int_equal(vu_socket_send(theirs, block, 1, NULL, 0), -ECONNRESET); /* no SIGPIPE */
	ours = dup(theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen_and_connect),
		cmocka_unit_test(test_stale_and_live),
		cmocka_unit_test(test_of_another_user),
		cmocka_unit_test(test_not_a_socket),
		cmocka_unit_test(test_path_length),
		cmocka_unit_test(test_kind),
		cmocka_unit_test_setup_teardown(test_cut_everywhere, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_byte_by_byte, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_back_to_back, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_end, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_too_many_fds, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_truncated_control, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_no_room_for_fds, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_payload_too_long, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_send_full_and_gone, make_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
