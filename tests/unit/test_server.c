/* SPDX-License-Identifier: BSD-3-Clause */
/* The main loop, in a process of its own, in want of fds. */
#include "gateway/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "gateway/pool.h"
#include "tests/unit/guest.h"
#include "vhostuser/log.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

struct fixture {
	char dir[32];
	struct gw_options options;
	struct gw_endpoint endpoint;
	char path[48];
	pid_t child;
};

static void defer(void *pool, struct fs_work *work)
{
	gw_pool_submit(pool, work);
}

static enum gw_exit serve(struct fixture *f)
{
	struct gw_server_config config = {.options = &f->options, .endpoint = &f->endpoint};
	struct fs_config fs = {.fd_limit = 64, .defer = defer};
	struct gw_pool *pool;
	enum gw_exit status;

	assert_int_equal(gw_pool_new(&pool), 0);
	fs.ctx = pool;
	fs.root_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fs.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_new(&fs, &config.fs), 0);
	status = gw_server_run(&config);
	fs_free(config.fs);
	gw_pool_free(pool);
	return status;
}

static struct fixture *begin(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/test_server.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
	f->options = (struct gw_options){
		.socket_path = f->path,
		.keep_listening = true,
		.request_queues = 1,
		.fd = -1,
	};
	assert_int_equal(gw_endpoint_open(&f->endpoint, &f->options), 0);
	f->child = fork();
	assert_true(f->child >= 0);
	if (f->child == 0)
		_exit(serve(f));
	return f;
}

static void end(struct fixture *f)
{
	int status;

	kill(f->child, SIGTERM);
	assert_int_equal(waitpid(f->child, &status, 0), f->child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), GW_EXIT_OK);
	gw_endpoint_remove(&f->endpoint);
	gw_endpoint_close(&f->endpoint);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
}

/* A front-end that asks for one answer: true when it came in time. */
static bool asks(const struct fixture *f, int *fd)
{
	const struct vu_header header = {VU_GET_FEATURES, VU_VERSION, 0};

	assert_int_equal(vu_socket_connect(f->path, fd), 0);
	assert_int_equal(
		vu_socket_send(*fd, &header, sizeof(header), NULL, 0), sizeof(header));
	return poll(&(struct pollfd){.fd = *fd, .events = POLLIN}, 1, 300) == 1;
}

/* No fd for a connection: it waits, and the service does not end. */
static void test_no_fds_for_a_while(void **state)
{
	struct fixture *f = begin();
	struct rlimit none = {3, 0}, limit;
	int fd;

	assert_true(asks(f, &fd));
	close(fd);
	usleep(50000); /* it is seen to have left */
	assert_int_equal(prlimit(f->child, RLIMIT_NOFILE, NULL, &limit), 0);
	none.rlim_max = limit.rlim_max;
	assert_int_equal(prlimit(f->child, RLIMIT_NOFILE, &none, NULL), 0);
	assert_false(asks(f, &fd));
	assert_int_equal(waitpid(f->child, NULL, WNOHANG), 0);

	assert_int_equal(prlimit(f->child, RLIMIT_NOFILE, &limit, NULL), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 3000), 1);
	close(fd);
	assert_true(asks(f, &fd));
	close(fd);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_fds_for_a_while),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
