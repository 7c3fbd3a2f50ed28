/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The main loop.
 *
 *                     listen_io                       the front-end leaves
 *   MEETING --------------------------> SERVING ---------------------------+
 *    ^  (or meet_timer, or at once)                                         |
 *    |                                                                      |
 *    +---------------------- with --keep-listening -------------------------+---> END (exit status)
 *
 * One front-end at a time: while one is served nobody is accepted, so others wait in the socket's
 * backlog, which is said once. Everything here runs on the main thread, and nothing blocks; queues
 * run on their own threads (queue.h) and end by themselves.
 */
#include "gateway/server.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "gateway/device.h"
#include "gateway/fault.h"
#include "gateway/supervisor.h"
#include "gateway/watch.h"
#include "vhostuser/backend.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"
#include "vhostuser/socket.h"

/* Delays between tries to meet: soon at first, since both sides are often started together. */
#define MEET_DELAY_MIN 0.02
#define MEET_DELAY_MAX 1.0

/* A front-end that began a message gets this long to send the rest of it. */
#define MESSAGE_PATIENCE 3.0

struct gw_server {
	const struct gw_server_config *config;
	struct ev_loop *loop;
	struct gw_watch watch;
	ev_signal signals[3];
	ev_io listen_io;
	ev_io waiting_io; /* the same socket, while a front-end is served: another one is there */
	ev_timer meet_timer;
	double meet_delay;
	int meet_error; /* the last one that was logged */

	/* The connection that is served; NULL: none. */
	struct vu_backend *backend;
	struct gw_device *device;
	ev_io backend_io;
	ev_timer message_timer; /* runs while a message is there in part */

	bool ended; /* with `status` */
	enum gw_exit status;
};

static void end(struct gw_server *server, enum gw_exit status)
{
	server->ended = true;
	server->status = status;
	ev_break(server->loop, EVBREAK_ALL);
}

static void meet_later(struct gw_server *server)
{
	ev_now_update(server->loop);
	ev_timer_set(&server->meet_timer, server->meet_delay, 0.);
	ev_timer_start(server->loop, &server->meet_timer);
	server->meet_delay = MIN(MAX(server->meet_delay * 2, MEET_DELAY_MIN), MEET_DELAY_MAX);
}

static void meet(struct gw_server *server)
{
	if (server->config->endpoint->role == GW_LISTENING)
		ev_io_start(server->loop, &server->listen_io);
	else if (server->config->endpoint->role == GW_CONNECTING)
		meet_later(server);
}

/* True when the front-end was not there or we had no fd or memory for it: that may pass. */
static bool try_again(struct gw_server *server, const char *object, int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -EAGAIN:
	case -EINTR:
	case -ECONNABORTED:
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
		break;
	default:
		return false;
	}
	if (error != server->meet_error)
		log_info(object, "no front-end yet (%s); retrying", strerrordesc_np(-error));
	server->meet_error = error;
	meet_later(server);
	return true;
}

static void disconnect(struct gw_server *server)
{
	if (!server->backend)
		return;
	ev_io_stop(server->loop, &server->waiting_io);
	ev_io_stop(server->loop, &server->backend_io);
	ev_timer_stop(server->loop, &server->message_timer);
	gw_device_free(server->device);
	vu_backend_free(server->backend);
	server->device = NULL;
	server->backend = NULL;
}

static enum gw_exit status_after(int error)
{
	switch (error) {
	case -ECONNRESET:
		return GW_EXIT_OK;
	case -EPROTO:
		return GW_EXIT_PROTOCOL;
	default:
		return GW_EXIT_INTERNAL;
	}
}

/* What to do after a connection that ended with `error`, which was logged if it is a failure. */
static void after_connection(struct gw_server *server, int error)
{
	bool again = server->config->options->keep_listening &&
		     server->config->endpoint->role != GW_CONNECTED;

	disconnect(server);
	log_info("front-end", "%s%s", error == -ECONNRESET ? "left" : "disconnected",
		again ? "; waiting for the next" : "");
	if (!again) {
		end(server, status_after(error));
		return;
	}
	server->meet_delay = MEET_DELAY_MIN;
	meet(server);
}

/* Waits for what the connection waits for now. */
static void watch_backend(struct gw_server *server)
{
	short events = vu_backend_events(server->backend);
	int wanted = (events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0);

	if (!vu_backend_partial(server->backend))
		ev_timer_stop(server->loop, &server->message_timer);
	else if (!ev_is_active(&server->message_timer))
		ev_timer_again(server->loop, &server->message_timer);

	if (ev_is_active(&server->backend_io) &&
		(server->backend_io.events & (EV_READ | EV_WRITE)) == wanted)
		return;
	ev_io_stop(server->loop, &server->backend_io);
	ev_io_set(&server->backend_io, vu_backend_fd(server->backend), wanted);
	if (wanted)
		ev_io_start(server->loop, &server->backend_io);
}

static void on_backend(struct ev_loop *loop, ev_io *io, int revents)
{
	struct gw_server *server = io->data;
	int r = vu_backend_on_ready(server->backend);

	if (r)
		after_connection(server, r);
	else
		watch_backend(server);
}

static void on_message_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
	log_error("front-end", "sent part of a message and then nothing for %.0f s",
		MESSAGE_PATIENCE);
	after_connection(timer->data, -EPROTO);
}

static void on_memory_lost(void *ctx)
{
	struct gw_server *server = ctx;
	int r = server->backend ? vu_backend_check_memory(server->backend) : 0;

	if (r)
		after_connection(server, r);
}

static void on_ring_stopped(void *ctx, unsigned int index, uint16_t base)
{
	struct gw_server *server = ctx;

	vu_backend_ring_stopped(server->backend, index, base);
	watch_backend(server);
}

/* Serves a connected socket (consumed). */
static int serve(struct gw_server *server, int fd)
{
	const struct gw_device_config device_config = {
		.fs = server->config->fs,
		.tag = server->config->options->tag,
		.request_queues = server->config->options->request_queues,
		.window = server->config->window,
		.watch = &server->watch,
		.ctx = server,
		.ring_stopped = on_ring_stopped,
	};
	CLEANUP_FD int connection = fd;
	struct vu_backend_config config;
	int r;

	r = gw_device_new(&device_config, &server->device);
	if (r)
		return r;
	if (server->config->window)
		gw_window_connected(server->config->window, connection);
	gw_device_describe(server->device, &config);
	r = vu_backend_new(fd_steal(&connection), &config, &server->backend);
	if (r) {
		gw_device_free(server->device);
		server->device = NULL;
		return r;
	}
	log_info("front-end", "connected");
	if (server->config->endpoint->role == GW_LISTENING)
		ev_io_start(server->loop, &server->waiting_io);
	watch_backend(server);
	return 0;
}

static void serve_or_fail(struct gw_server *server, int fd)
{
	int r = serve(server, fd);

	if (!r)
		return;
	log_error("front-end", "cannot be served: %s", strerrordesc_np(-r));
	after_connection(server, r);
}

static void on_listen(struct ev_loop *loop, ev_io *io, int revents)
{
	struct gw_server *server = io->data;
	int fd, r;

	r = vu_socket_accept(io->fd, &fd);
	if (r == -EAGAIN || r == -ECONNABORTED || r == -EINTR)
		return;
	ev_io_stop(loop, io);
	if (r == 0) {
		server->meet_error = 0;
		serve_or_fail(server, fd);
	} else if (!try_again(server, "socket", r)) {
		log_error("socket", "cannot accept a connection: %s", strerrordesc_np(-r));
		end(server, GW_EXIT_SOCKET);
	}
}

static void on_waiting(struct ev_loop *loop, ev_io *io, int revents)
{
	log_warn("front-end", "another one waits: one at a time is served");
	ev_io_stop(loop, io);
}

static void try_connect(struct gw_server *server)
{
	const struct gw_endpoint *endpoint = server->config->endpoint;
	int fd, r;

	r = gw_endpoint_connect(endpoint, &fd);
	if (r == 0) {
		server->meet_error = 0;
		serve_or_fail(server, fd);
	} else if (!try_again(server, endpoint->path, r)) {
		log_error("--connect", "cannot connect to %s: %s", endpoint->path,
			strerrordesc_np(-r));
		end(server, GW_EXIT_SOCKET);
	}
}

static void on_meet_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gw_server *server = timer->data;

	if (server->config->endpoint->role == GW_LISTENING)
		ev_io_start(loop, &server->listen_io);
	else
		try_connect(server);
}

static void on_signal(struct ev_loop *loop, ev_signal *sig, int revents)
{
	log_info("service", "ends by signal %d", sig->signum);
	end(sig->data, GW_EXIT_OK);
}

static void take_signals(struct gw_server *server)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t set;

	gw_end_signals(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!sigismember(&set, numbers[i]))
			continue;
		ev_signal_init(&server->signals[i], on_signal, numbers[i]);
		server->signals[i].data = server;
		ev_signal_start(server->loop, &server->signals[i]);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void server_init(struct gw_server *server, const struct gw_server_config *config)
{
	*server = (struct gw_server){
		.config = config,
		.loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV),
	};
	if (!server->loop)
		return;
	gw_watch_init(&server->watch, server->loop);
	ev_io_init(&server->listen_io, on_listen, config->endpoint->fd, EV_READ);
	ev_io_init(&server->waiting_io, on_waiting, config->endpoint->fd, EV_READ);
	ev_io_init(&server->backend_io, on_backend, -1, EV_READ);
	ev_timer_init(&server->meet_timer, on_meet_timer, 0., 0.);
	ev_timer_init(&server->message_timer, on_message_timeout, 0., MESSAGE_PATIENCE);
	server->message_timer.data = server;
	server->listen_io.data = server->backend_io.data = server->meet_timer.data = server;
	take_signals(server);
	gw_fault_start(server->loop, on_memory_lost, server);
	gw_window_start(config->window, server->loop);
}

enum gw_exit gw_server_run(const struct gw_server_config *config)
{
	struct gw_server server;

	server_init(&server, config);
	if (!server.loop) {
		log_error("main loop", "cannot be set up");
		return GW_EXIT_INTERNAL;
	}

	if (config->endpoint->role == GW_CONNECTED)
		serve_or_fail(&server, fd_steal(&config->endpoint->fd));
	else
		meet(&server);
	/* Not after a failure just now: ev_break has no effect before ev_run. */
	if (!server.ended)
		ev_run(server.loop, 0);

	disconnect(&server);
	gw_window_stop(config->window);
	gw_fault_stop(server.loop);
	gw_watch_fini(&server.watch);
	return server.status;
}
