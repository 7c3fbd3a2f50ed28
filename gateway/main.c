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
#include <syslog.h>
#include <unistd.h>

#include "fuse/fs.h"
#include "fuse/xattrmap.h"
#include "gateway/daemon.h"
#include "gateway/endpoint.h"
#include "gateway/exitcode.h"
#include "gateway/inforce.h"
#include "gateway/options.h"
#include "gateway/pool.h"
#include "gateway/sandbox.h"
#include "gateway/server.h"
#include "gateway/share.h"
#include "gateway/supervisor.h"
#include "gateway/userns.h"
#include "gateway/view.h"
#include "gateway/waiter.h"
#include "gateway/window.h"
#include "vhostuser/log.h"

/* Well within GW_SUPERVISOR_PATIENCE_MS. */
#define REST_MS 100

static void defer(void *pool, struct fs_work *work)
{
	gw_pool_submit(pool, work);
}

static int wait_apart(void *pool, struct fs_wait *wait)
{
	return gw_waiter_start(wait);
}

static void interrupt(void *pool, struct fs_wait *wait)
{
	gw_waiter_interrupt(wait);
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

/* What the process holds while it serves. */
struct service {
	struct gw_pool *pool;
	struct gw_window *window; /* NULL: no DAX */
	struct gw_view *view;     /* the same */

	struct fs_xattrmap *xattrmap; /* NULL: none */
	struct fs *fs;
};

static void service_free(struct service *service)
{
	fs_free(service->fs);
	fs_xattrmap_free(service->xattrmap);
	gw_window_free(service->window);
	gw_view_free(service->view);
	gw_pool_free(service->pool);
}

static int service_new(
	struct service *service, const struct gw_options *options, const struct gw_share *share)
{
	struct fs_config config = {
		.root_fd = share->root_fd,
		.proc_fd = share->proc_fd,
		.cache = options->cache,
		.readonly = options->readonly,
		.fd_limit = share->fd_limit,
		.file_handles = options->file_handles,
		.owner_xattr = options->owner_xattr,
		.one_uid = share->one_uid,
		.one_gid = share->one_gid,
		.xattr = options->xattr,
		.posix_acl = options->posix_acl,
		.security_label = options->security_label,
		.features = options->features,
		.dax = options->dax,
		.dax_threshold = options->dax_threshold,
		.defer = defer,
		.posix_lock = options->posix_lock,
		.flock = options->flock,
		.wait = wait_apart,
		.interrupt = interrupt,
	};
	char why[256];
	int r = gw_pool_new(&service->pool);

	if (!fs_ids_are_empty(&options->ids))
		config.ids = &options->ids;
	if (r == 0)
		r = gw_window_new(options, &service->window);
	/* The rules were judged with the other options. */
	if (r == 0 && options->xattrmap)
		r = fs_xattrmap_new(options->xattrmap, &service->xattrmap, why, sizeof(why));
	if (r) {
		log_error("service", "cannot start: %s", strerrordesc_np(-r));
		return r;
	}
	config.ctx = service->pool;
	config.xattrmap = service->xattrmap;
	config.window = gw_window_dax(service->window);
	if (service->view)
		config.view = gw_view_start(service->view, share->root_fd);
	if (service->window && !config.view)
		gw_window_set_idle(service->window);
	if (service->window && service->view && gw_view_is_partial(service->view))
		gw_window_set_partial(service->window);
	return fs_new(&config, &service->fs);
}

static enum gw_exit serve(const struct gw_options *options, struct gw_endpoint *endpoint,
	const struct gw_share *share, struct gw_view *view)
{
	struct gw_server_config server = {.options = options, .endpoint = endpoint};
	struct service service = {.view = view};
	enum gw_exit status;

	if (service_new(&service, options, share)) {
		status = service.pool ? GW_EXIT_CONFIG : GW_EXIT_INTERNAL;
		service_free(&service);
		return status;
	}
	server.fs = service.fs;
	server.window = service.window;
	gw_in_force_log(options, share, service.fs);
	log_info("service", "ready: shares %s on %s", options->shared_dir,
		endpoint->path ? endpoint->path : "an inherited socket");
	gw_daemon_ready();
	status = gw_server_run(&server);
	/* Requests stuck in the host's file system keep theirs; the process ends without them. */
	if (comes_to_rest(server.fs))
		service_free(&service);
	return status;
}

/* The private mount and its broker are made with the rights that are given up next. */
static int prepare_view(const struct gw_options *options, struct gw_view **view)
{
	const char *dialect = NULL;

	*view = NULL;
	if (!gw_window_wanted(options) || options->dax == FS_DAX_NEVER)
		return 0;
	/* Those front-ends map past a file's end. */
	if (!gw_options_shmem(options))
		dialect = dax_dialect_name(options->dialect);
	return gw_view_prepare(options->dax_view, dialect, options->readonly, view);
}

/* The child: confined, then in service. */
static enum gw_exit run_service(const struct gw_options *options, struct gw_endpoint *endpoint,
	struct gw_share *share, const struct gw_supervised *supervised)
{
	struct gw_view *view;

	gw_endpoint_confine(endpoint);
	if (gw_share_open_proc(share))
		return GW_EXIT_CONFIG;
	if (prepare_view(options, &view))
		return GW_EXIT_INTERNAL;
	if (gw_userns_enter(options))
		return GW_EXIT_SANDBOX;
	gw_userns_count(&share->one_uid, &share->one_gid);
	if (gw_sandbox_enter(options, share->root_fd))
		return GW_EXIT_SANDBOX;
	if (!gw_supervisor_tie(supervised)) {
		log_error("service", "the process that started it is gone");
		return GW_EXIT_INTERNAL;
	}
	return serve(options, endpoint, share, view);
}

static enum gw_exit run(const struct gw_options *options)
{
	const struct gw_share_fds fds = {
		.n_queues = 1 + options->request_queues,
		.n_window = gw_window_fds(options),
		.limit = options->rlimit_nofile,
	};
	struct gw_supervised supervised;
	struct gw_endpoint endpoint;
	struct gw_share share;
	enum gw_exit status = GW_EXIT_INTERNAL;
	int r;

	if (options->syslog) {
		r = vu_log_to_syslog(_PATH_LOG, "virtiofs-gateway");
		if (r)
			log_warn("log", "goes to standard error: no system log at %s: %s",
				_PATH_LOG, strerrordesc_np(-r));
	}
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	if (options->daemonize) {
		r = gw_daemon_start(&status);
		if (r != 0)
			return status;
	}
	/* Arenas of their own would cost each thread more than they could win it. */
	mallopt(M_ARENA_MAX, 2);

	r = gw_share_open(&share, options->shared_dir, &fds);
	if (r == -EMFILE)
		return options->rlimit_nofile > 0 ? GW_EXIT_USAGE : GW_EXIT_INTERNAL;
	if (r)
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
