/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DAX window in service.
 *
 * Theory of operation. Three things drive dax_window_run(), all on the main loop: an async event
 * that any thread sends (config.wake), the channel's readiness, and a timer for answers that do
 * not come. What a front-end must have done before the window is its own differs: the fs dialects
 * want its channel; shmem also bits REPLY_ACK and SHMEM and a GET_SHMEM_CONFIG, since QEMU's own
 * virtio-fs device agrees on SHMEM without having a window (wire.md §0.4).
 */
#include "gateway/window.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/userns.h"
#include "vhostuser/channel.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"
#include "vhostuser/protocol.h"

/*
 * Live mappings at most. QEMU (11.1) aborts when its memory regions, RAM included, pass 512; the
 * other front-ends have no limit, so there it is what a guest may have us remember.
 */
#define MAPS_SHMEM 480
#define MAPS_FS    16384

/* What Linux guests map at a time. */
#define RANGE (UINT64_C(2) << 20)

/* Per shmem mapping: the view that the front-end got, and the file behind it. */
#define FDS_MAP 2
#define FDS_FS  64

/* Protocol feature bits that the Rust code of January 2020 knows; it refuses any other. */
#define SEED_BITS ((UINT64_C(1) << 13) - 1)

struct gw_window {
	struct dax_window *dax;
	const struct dax_dialect *dialect;
	bool shmem;
	bool direct;  /* --dax-view */
	bool idle;    /* nothing is ever mapped */
	bool partial; /* not every user may touch what is mapped */

	struct ev_loop *loop; /* NULL: not started */
	ev_async async;
	ev_io io;
	ev_timer timer;

	/* Of the connection that there is. */
	uint64_t features;
	bool asked, attached;
	bool stranger;              /* it is one of those users */
	bool told;                  /* that it knows no window */
	struct vu_channel *channel; /* until it is attached */
	struct dax_counters before; /* when it was attached */
};

static void wake(void *ctx)
{
	struct gw_window *window = ctx;

	/* Threads that serve start after gw_window_start(), and end before the loop does. */
	if (window->loop)
		ev_async_send(window->loop, &window->async);
}

static void watch(struct gw_window *window, int next_ms)
{
	int fd = dax_window_fd(window->dax);
	short events = fd < 0 ? 0 : dax_window_events(window->dax);
	int want = (events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0);

	if (!ev_is_active(&window->io) || window->io.fd != fd ||
		(window->io.events & (EV_READ | EV_WRITE)) != want) {
		ev_io_stop(window->loop, &window->io);
		if (want) {
			ev_io_set(&window->io, fd, want);
			ev_io_start(window->loop, &window->io);
		}
	}
	ev_timer_stop(window->loop, &window->timer);
	if (next_ms >= 0) {
		ev_now_update(window->loop);
		ev_timer_set(&window->timer, next_ms / 1000., 0.);
		ev_timer_start(window->loop, &window->timer);
	}
}

static void run(struct gw_window *window)
{
	int next_ms = -1, fd = dax_window_fd(window->dax);

	/* A channel that broke is closed in there, and must not be watched then. */
	if (dax_window_run(window->dax, &next_ms) < 0 || dax_window_fd(window->dax) != fd)
		ev_io_stop(window->loop, &window->io);
	watch(window, next_ms);
}

static void on_async(struct ev_loop *loop, ev_async *async, int revents)
{
	run(async->data);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	run(io->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	run(timer->data);
}

bool gw_window_wanted(const struct gw_options *options)
{
	return options->dialect && options->dax_window > 0;
}

unsigned int gw_window_fds(const struct gw_options *options)
{
	if (!gw_window_wanted(options))
		return 0;
	/* Linux guests map ranges of one size; elsewhere an fd goes with its message's answer. */
	if (!gw_options_shmem(options))
		return FDS_FS;
	return (unsigned int)(FDS_MAP * options->dax_window / RANGE);
}

int gw_window_new(const struct gw_options *options, struct gw_window **made)
{
	struct dax_window_config config = {
		.dialect = options->dialect,
		.size = options->dax_window,
		.maps_max = gw_options_shmem(options) ? MAPS_SHMEM : MAPS_FS,
		.wake = wake,
	};
	struct gw_window *window;
	int r;

	*made = NULL;
	if (!gw_window_wanted(options))
		return 0;
	window = calloc(1, sizeof(*window));
	if (!window)
		return -ENOMEM;
	window->dialect = options->dialect;
	window->shmem = gw_options_shmem(options);
	window->direct = options->dax_view == GW_VIEW_DIRECT;
	config.ctx = window;
	r = dax_window_new(&config, &window->dax);
	if (r < 0) {
		free(window);
		return r;
	}
	ev_async_init(&window->async, on_async);
	ev_io_init(&window->io, on_io, -1, EV_READ);
	ev_timer_init(&window->timer, on_timer, 0., 0.);
	window->async.data = window->io.data = window->timer.data = window;
	*made = window;
	return 0;
}

void gw_window_free(struct gw_window *window)
{
	if (!window)
		return;
	vu_channel_free(window->channel);
	dax_window_free(window->dax);
	free(window);
}

struct dax_window *gw_window_dax(struct gw_window *window)
{
	return window ? window->dax : NULL;
}

void gw_window_start(struct gw_window *window, struct ev_loop *loop)
{
	if (!window)
		return;
	window->loop = loop;
	ev_async_start(loop, &window->async);
}

void gw_window_stop(struct gw_window *window)
{
	if (!window)
		return;
	ev_io_stop(window->loop, &window->io);
	ev_timer_stop(window->loop, &window->timer);
	ev_async_stop(window->loop, &window->async);
}

void gw_window_describe(const struct gw_window *window, struct vu_backend_config *config)
{
	config->protocol_features |=
		VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD);
	config->foreign = true;
	if (window->shmem) {
		config->protocol_features |= VU_BIT(VU_PROTOCOL_F_SHMEM);
		config->shmem_size = dax_window_size(window->dax);
	}
	if (window->dialect == dax_dialect_find("seed"))
		config->protocol_features &= SEED_BITS;
}

static bool agreed(const struct gw_window *window)
{
	const uint64_t shmem = VU_BIT(VU_PROTOCOL_F_SHMEM) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK);

	return !window->shmem || (window->asked && (window->features & shmem) == shmem);
}

/* What this front-end did not agree on; NULL: nothing, though its channel may yet have to come. */
static const char *lacking(const struct gw_window *window)
{
	if (!(window->features & VU_BIT(VU_PROTOCOL_F_BACKEND_REQ)))
		return "BACKEND_REQ";
	if (agreed(window))
		return NULL;
	if (!(window->features & VU_BIT(VU_PROTOCOL_F_SHMEM)))
		return "SHMEM";
	return window->asked ? "REPLY_ACK" : "GET_SHMEM_CONFIG";
}

/* When the device runs, all has been negotiated. */
static void tell_if_declined(struct gw_window *window)
{
	const char *missing = lacking(window);

	if (window->told || window->idle || !missing)
		return;
	window->told = true;
	log_warn("DAX window",
		"not used: the front-end knows no DAX window of dialect %s, it lacks %s: %s",
		dax_dialect_name(window->dialect), missing,
		window->shmem ? "take QEMU 11.1's vhost-user-test-device-pci, or name an older "
				"front-end's --dax-dialect"
			      : "another --dax-dialect may be its own");
}

/* Why this front-end must not have the window; NULL: it may. */
static const char *unfit(const struct gw_window *window, bool regions)
{
	/*
	 * QEMU maps a file no further than it reaches, and makes an empty one longer: the file
	 * itself is not to be given to it, whoever asked for that.
	 */
	if (regions && window->direct)
		return "this front-end cannot map a file past its end, and --dax-view direct "
		       "would have it do so";
	/* The kernel has no request for FUSE then that could say who touches a page (EOVERFLOW). */
	if (window->stranger)
		return "the front-end's user or group is not in the gateway's user namespace, and "
		       "it would die of SIGBUS: start both as one user";
	return NULL;
}

static void attach_if_agreed(struct gw_window *window)
{
	bool regions =
		window->shmem && (window->features & VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	struct vu_channel *channel = window->channel;
	const char *why = unfit(window, regions);

	if (!channel || !agreed(window))
		return;
	if (why) {
		log_warn("DAX window", "not used: %s", why);
		vu_channel_free(channel);
		window->channel = NULL;
		return;
	}
	/* Why it is so was said at the start. */
	if (!window->idle)
		log_info("DAX window", "%" PRIu64 " MiB for the front-end, dialect %s%s",
			dax_window_size(window->dax) >> 20, dax_dialect_name(window->dialect),
			regions ? ", mapped memory is shared back" : "");
	window->channel = NULL;
	dax_window_attach(window->dax, channel, regions);
	dax_window_counters(window->dax, &window->before);
	window->attached = true;
	run(window);
}

void gw_window_set_idle(struct gw_window *window)
{
	window->idle = true;
}

void gw_window_set_partial(struct gw_window *window)
{
	window->partial = true;
}

void gw_window_connected(struct gw_window *window, int socket)
{
	window->stranger = window->partial && !gw_userns_has_peer(socket);
}

void gw_window_negotiated(struct gw_window *window, uint64_t protocol_features)
{
	window->features = protocol_features;
	attach_if_agreed(window);
}

int gw_window_channel(struct gw_window *window, int fd)
{
	struct vu_channel *channel;
	int r = vu_channel_new(fd, &channel);

	if (r < 0)
		return r;
	vu_channel_free(window->channel);
	window->channel = channel;
	attach_if_agreed(window);
	return 0;
}

void gw_window_asked(struct gw_window *window)
{
	window->asked = true;
	attach_if_agreed(window);
}

/* What this front-end was sent, for whoever wonders whether DAX was in use. */
static void log_counters(const struct gw_window *window)
{
	const struct dax_counters *was = &window->before;
	struct dax_counters is;

	dax_window_counters(window->dax, &is);
	log_info("DAX window",
		"maps=%" PRIu64 " unmaps=%" PRIu64 " map_messages=%" PRIu64
		" unmap_messages=%" PRIu64 " refused=%" PRIu64 " timed_out=%" PRIu64
		" in_flight_max=%" PRIu64 " regions_refused=%" PRIu64 " live=%" PRIu64,
		is.maps - was->maps, is.unmaps - was->unmaps,
		is.messages[DAX_OP_MAP] - was->messages[DAX_OP_MAP],
		is.messages[DAX_OP_UNMAP] - was->messages[DAX_OP_UNMAP], is.refused - was->refused,
		is.timed_out - was->timed_out, is.in_flight_max,
		is.regions_refused - was->regions_refused, is.live);
}

void gw_window_disconnect(struct gw_window *window)
{
	if (window->attached)
		log_counters(window);
	vu_channel_free(window->channel);
	window->channel = NULL;
	window->features = 0;
	window->asked = window->attached = window->told = false;
	/* Its fd is closed in there. */
	ev_io_stop(window->loop, &window->io);
	dax_window_attach(window->dax, NULL, false);
	dax_window_set_running(window->dax, false);
	watch(window, -1);
}

void gw_window_set_running(struct gw_window *window, bool running)
{
	if (running)
		tell_if_declined(window);
	dax_window_set_running(window->dax, running);
	run(window);
}

void gw_window_reset(struct gw_window *window)
{
	dax_window_reset(window->dax);
	run(window);
}

bool gw_window_refuses(struct gw_window *window, const struct dax_region *region)
{
	return dax_window_refuses(window->dax, region);
}

bool gw_window_region(
	struct gw_window *window, dev_t dev, ino_t ino, uint64_t offset, uint64_t size)
{
	return dax_window_region(window->dax, dev, ino, offset, size);
}
