/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtiofs-gateway: shares a directory with virtual machines.
 *
 * Order matters: what needs the rights and the view of whoever starts us is opened first, then the
 * process splits into supervisor and service, and the service gives up its rights before it meets
 * anybody. The socket listens from then on, so a front-end may connect as soon as it exists.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/fs.h"
#include "gateway/endpoint.h"
#include "gateway/exitcode.h"
#include "gateway/options.h"
#include "gateway/pool.h"
#include "gateway/sandbox.h"
#include "gateway/server.h"
#include "gateway/share.h"
#include "gateway/supervisor.h"
#include "vhostuser/log.h"

/* Well within GW_SUPERVISOR_PATIENCE_MS. */
#define REST_MS 100

static void defer(void *pool, struct fs_work *work)
{
	gw_pool_submit(pool, work);
}

/* What is in flight gets a moment to end, and files to be closed; false when some is stuck. */
static bool comes_to_rest(const struct fs *fs)
{
	for (int ms = 0; fs_inflight(fs) > 0; ms++) {
		if (ms == REST_MS)
			return false;
		usleep(1000);
	}
	return true;
}

static enum gw_exit serve(const struct gw_options *options, struct gw_endpoint *endpoint,
	const struct gw_share *share)
{
	struct gw_server_config server = {.options = options, .endpoint = endpoint};
	struct fs_config config = {
		.root_fd = share->root_fd,
		.proc_fd = share->proc_fd,
		.cache = options->cache,
		.readonly = options->readonly,
		.fd_limit = share->fd_limit,
		.defer = defer,
	};
	struct gw_pool *pool;
	enum gw_exit status;
	int r;

	r = gw_pool_new(&pool);
	if (r) {
		log_error("threads", "%s", strerrordesc_np(-r));
		return GW_EXIT_INTERNAL;
	}
	config.ctx = pool;
	r = fs_new(&config, &server.fs);
	if (r) {
		gw_pool_free(pool);
		return GW_EXIT_CONFIG;
	}
	log_info("service", "ready: shares %s on %s", options->shared_dir,
		endpoint->path ? endpoint->path : "an inherited socket");
	status = gw_server_run(&server);
	/* Requests stuck in the host's file system keep theirs; the process ends without them. */
	if (comes_to_rest(server.fs)) {
		fs_free(server.fs);
		gw_pool_free(pool);
	}
	return status;
}

/* The child: confined, then in service. */
static enum gw_exit run_service(const struct gw_options *options, struct gw_endpoint *endpoint,
	struct gw_share *share, const struct gw_supervised *supervised)
{
	gw_endpoint_confine(endpoint);
	if (gw_share_open_proc(share))
		return GW_EXIT_CONFIG;
	if (gw_sandbox_enter(options->sandbox, share->root_fd))
		return GW_EXIT_SANDBOX;
	if (!gw_supervisor_tie(supervised)) {
		log_error("service", "the process that started it is gone");
		return GW_EXIT_INTERNAL;
	}
	return serve(options, endpoint, share);
}

static enum gw_exit run(const struct gw_options *options)
{
	struct gw_supervised supervised;
	struct gw_endpoint endpoint;
	struct gw_share share;
	enum gw_exit status = GW_EXIT_INTERNAL;
	int r;

	umask(0);
	signal(SIGPIPE, SIG_IGN);
	/* Arenas of their own would cost each thread more than they could win it. */
	mallopt(M_ARENA_MAX, 2);

	if (gw_share_open(&share, options->shared_dir, 1 + options->request_queues))
		return GW_EXIT_CONFIG;
	if (gw_endpoint_open(&endpoint, options)) {
		gw_share_close(&share);
		return GW_EXIT_SOCKET;
	}
	r = gw_supervise(&endpoint, &share, &status, &supervised);
	if (r < 0)
		gw_endpoint_remove(&endpoint);
	if (r != 0)
		return status;

	status = run_service(options, &endpoint, &share, &supervised);
	gw_supervisor_report(&supervised, status);
	return status;
}

int main(int argc, char **argv)
{
	struct gw_options options;
	char why[512];

	if (gw_options_parse(&options, argc, argv, why, sizeof(why))) {
		fprintf(stderr, "virtiofs-gateway: %s\n", why);
		return GW_EXIT_USAGE;
	}
	atomic_store(&vu_log_level, options.log_level);
	switch (options.action) {
	case GW_HELP:
		gw_options_help(stdout);
		return GW_EXIT_OK;
	case GW_SHOW_VERSION:
		gw_options_version(stdout);
		return GW_EXIT_OK;
	case GW_CAPABILITIES:
		gw_options_capabilities(stdout);
		return GW_EXIT_OK;
	case GW_SERVE:
		break;
	}
	return run(&options);
}
