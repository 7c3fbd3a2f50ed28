/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mount's life.
 *
 * Theory of operation. The main thread opens the device, mounts, starts a thread a request queue
 * and then only waits: for a signal, for the end of a queue's loop, for the back-end to close the
 * connection. The first of these decides how it ends:
 *
 *     unmounted by others   the queues' loops end by themselves
 *     signal                a thread of its own unmounts, lazily if it must, while the queues go on
 *                           serving: the kernel may have data to write; then they drain
 *     back-end gone, broken or a failure of ours
 *                           the queues stop, /dev/fuse is closed, by which the kernel ends all that
 *                           waits with ENOTCONN, and what is left of the mount is detached
 *
 * Unmounting may hang with the back-end; so a second signal, UNMOUNT_MS, or the back-end's end turn
 * it into the last of the three. A signal that comes within TWICE_MS is no second one: timeout(1),
 * and a shell whose terminal is closed, send each of theirs twice.
 *
 * The eventfds of the rings are the back-end's as much as ours, so it may make them such that a
 * write blocks. Hence nothing is waited for at the end that a signal, sent again and again, does
 * not get out of its system call.
 *
 * What threads share: `end` (the first reason wins), `given_up`, eventfds, and what is constant by
 * then.
 */
#include "gateway/frontend/mount.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "gateway/frontend/mount_device.h"
#include "gateway/frontend/mount_hiprio.h"
#include "gateway/frontend/mount_locks.h"
#include "gateway/frontend/mount_point.h"
#include "gateway/frontend/mount_queue.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

#define INIT_MS    10000
#define UNMOUNT_MS 30000
#define DESTROY_MS 2000
#define TWICE_MS   250
#define NUDGE_MS   100

/* What is waited for beside fm_end's reasons. */
enum event { NOTHING, READY, SIGNALLED, OVER };

struct run;

struct worker {
	struct run *run;
	struct fm_queue *queue;
	int fuse_fd;
	bool started;
	pthread_t thread;
};

struct run {
	const struct fm_options *options;
	struct fm_device device;
	struct fm_point point;
	bool mounted;
	struct fm_stop stop;
	struct fm_hiprio *hiprio;
	struct fm_locks *locks;
	int signals;                  /* signalfd */
	int ready;                    /* eventfd: INIT is through */
	int over;                     /* eventfd: `end` was set, or a queue's loop has ended */
	_Atomic int end;              /* enum fm_end, of those that end the mount */
	_Atomic unsigned int working; /* queues' loops */
	_Atomic bool given_up;        /* unmounting in service, which is logged */
	bool unmounting;
	pthread_t unmounter;
	struct worker workers[FM_QUEUES_MAX];
};

static void set_end(struct run *run, enum fm_end end)
{
	int running = FM_RUNNING;

	if (atomic_compare_exchange_strong(&run->end, &running, end))
		(void)fd_signal(run->over);
}

/* ---- opening ---- */

static void on_nudge(int number)
{
	/* All that it is for is to end a system call. */
}

static int open_events(struct run *run)
{
	struct sigaction hangup, nudge = {.sa_handler = on_nudge}; /* no SA_RESTART */
	sigset_t signals;

	sigemptyset(&nudge.sa_mask);
	if (sigaction(SIGALRM, &nudge, NULL) < 0)
		return -errno;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	/* Ignored (nohup(1)), it would come by a signalfd all the same. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&signals, SIGHUP);
	/* From now on an end by signal is one with an unmount; threads inherit it. */
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	run->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	run->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->stop.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->stop.drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->signals < 0 || run->ready < 0 || run->over < 0 || run->stop.stop_fd < 0 ||
		run->stop.drain_fd < 0)
		return -EMFILE;
	return 0;
}

static int mount_it(struct run *run)
{
	const struct fm_options *o = run->options;
	int fd = fm_fuse_open(), r;

	if (fd < 0) {
		log_error("/dev/fuse", "cannot be opened: %s", strerror(-fd));
		return fd;
	}
	run->workers[0].fuse_fd = fd;
	r = fm_point_mount(&run->point, o->dir, o->source, o->flags, fd);
	if (r < 0) {
		log_error(o->dir, "cannot be mounted on: %s", strerror(-r));
		return r;
	}
	run->mounted = true;
	for (unsigned int i = 1; i < o->queues; i++) {
		run->workers[i].fuse_fd = fm_fuse_clone(fd);
		if (run->workers[i].fuse_fd < 0) {
			log_error("/dev/fuse", "cannot be cloned: %s",
				strerror(-run->workers[i].fuse_fd));
			return run->workers[i].fuse_fd;
		}
	}
	return 0;
}

static int make_queues(struct run *run)
{
	struct fm_device *device = &run->device;
	struct fm_hiprio_config hiprio = {.ring = device->hiprio.ring,
		.host = device->hiprio.host,
		.gpa = device->hiprio.gpa,
		.stop = &run->stop};
	int r = fm_hiprio_new(&hiprio, &run->hiprio);

	if (r == 0)
		r = fm_locks_new(&run->locks);
	for (unsigned int i = 0; r == 0 && i < run->options->queues; i++) {
		struct fm_queue_config queue = {
			.index = i + 1,
			.fuse_fd = run->workers[i].fuse_fd,
			.ring = device->queues[i].ring,
			.host = device->queues[i].host,
			.gpa = device->queues[i].gpa,
			.slots = device->slots,
			.hiprio = run->hiprio,
			.locks = run->locks,
			.stop = &run->stop,
			.ready = run->ready,
		};

		r = fm_queue_new(&queue, &run->workers[i].queue);
	}
	return r;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct run *run = worker->run;
	enum fm_end end = fm_queue_run(worker->queue);

	if (end != FM_DRAINED && end != FM_STOPPED)
		set_end(run, end);
	atomic_fetch_sub(&run->working, 1);
	(void)fd_signal(run->over);
	return NULL;
}

static int start_threads(struct run *run)
{
	atomic_store(&run->working, run->options->queues);
	for (unsigned int i = 0; i < run->options->queues; i++) {
		struct worker *worker = &run->workers[i];
		int r = pthread_create(&worker->thread, NULL, work, worker);
		char name[16];

		if (r) {
			log_error(run->options->dir, "no thread for a queue: %s", strerror(r));
			return -r;
		}
		worker->started = true;
		snprintf(name, sizeof(name), "queue %u", (i + 1) % 1000);
		pthread_setname_np(worker->thread, name);
	}
	return 0;
}

/* ---- waiting ---- */

static void check_device(struct run *run)
{
	int r = fm_device_check(&run->device);

	if (r == 0)
		return;
	if (r == -ECONNRESET)
		log_error(run->options->socket, "the back-end is gone");
	else
		log_error(
			run->options->socket, "the back-end broke the protocol: it spoke unasked");
	set_end(run, FM_BROKEN);
}

/* Waits for what comes first, at most `ms` (-1: for ever). OVER wins. */
static enum event wait_event(struct run *run, int ms)
{
	struct pollfd fds[] = {
		{.fd = run->over, .events = POLLIN},
		{.fd = vu_frontend_fd(run->device.fe), .events = POLLIN},
		{.fd = run->signals, .events = POLLIN},
		{.fd = run->ready, .events = POLLIN},
	};
	struct signalfd_siginfo info;
	uint64_t count;

	if (poll(fds, ARRAY_SIZE(fds), ms) <= 0)
		return NOTHING;
	if (fds[1].revents)
		check_device(run);
	if (fds[0].revents)
		(void)!read(run->over, &count, sizeof(count));
	if (atomic_load(&run->end) != FM_RUNNING || !atomic_load(&run->working))
		return OVER;
	if (fds[2].revents && read(run->signals, &info, sizeof(info)) == sizeof(info))
		return SIGNALLED;
	if (fds[3].revents && read(run->ready, &count, sizeof(count)) == sizeof(count))
		return READY;
	return NOTHING;
}

/* Until INIT is through. */
static enum event wait_ready(struct run *run)
{
	int64_t deadline = vu_now_ms() + INIT_MS;
	enum event event;

	do {
		int64_t left = deadline - vu_now_ms();

		if (left <= 0) {
			log_error(run->options->socket, "the back-end does not answer INIT");
			set_end(run, FM_BROKEN);
			return OVER;
		}
		event = wait_event(run, (int)left);
	} while (event == NOTHING);
	return event;
}

/* ---- ending ---- */

static void sync_point(const struct run *run)
{
	int r = fm_point_sync(&run->point);

	if (r < 0 && !atomic_load(&run->given_up))
		log_error(run->point.dir, "not all was written: %s", strerror(-r));
}

/* Unmounting alone writes only what no one else has mounted too, in a namespace of his own. */
static void *unmount_thread(void *arg)
{
	struct run *run = arg;
	int r;

	sync_point(run);
	r = fm_point_unmount(&run->point, 0);
	if (r == -EBUSY) {
		log_warn(run->point.dir, "is in use: detached; who uses it gets ENOTCONN");
		sync_point(run);
		r = fm_point_unmount(&run->point, MNT_DETACH);
	}
	if (r < 0)
		log_error(run->point.dir, "cannot be unmounted: %s", strerror(-r));
	/* Gone from here it may live on: in use, or in other namespaces' copies. */
	atomic_store(&run->stop.drain, true);
	(void)fd_signal(run->stop.drain_fd);
	return NULL;
}

/* A signal came: unmounts while the queues go on. */
static enum event unmount_in_service(struct run *run)
{
	int64_t began = vu_now_ms();
	enum event event = NOTHING;
	int r = pthread_create(&run->unmounter, NULL, unmount_thread, run);

	if (r) {
		log_error(run->point.dir, "no thread to unmount it: %s", strerror(r));
		return NOTHING;
	}
	run->unmounting = true;
	while (event != OVER) {
		int64_t passed = vu_now_ms() - began;

		if (passed >= UNMOUNT_MS || (event == SIGNALLED && passed >= TWICE_MS))
			break;
		event = wait_event(run, (int)(UNMOUNT_MS - passed));
	}
	if (event != OVER) {
		atomic_store(&run->given_up, true);
		log_warn(run->point.dir, "%s: unmounting is given up, and what was in memory only "
					 "may be lost",
			event == SIGNALLED ? "a second signal" : "it takes too long");
	}
	return event;
}

static void join(pthread_t thread)
{
	struct timespec until;
	int r;

	do {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += NUDGE_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		r = pthread_timedjoin_np(thread, NULL, &until);
		if (r == ETIMEDOUT)
			(void)pthread_kill(thread, SIGALRM);
	} while (r == ETIMEDOUT);
}

static void stop_threads(struct run *run)
{
	atomic_store(&run->stop.stop, true);
	(void)fd_signal(run->stop.stop_fd);
	for (unsigned int i = 0; i < run->options->queues; i++) {
		if (run->workers[i].started)
			join(run->workers[i].thread);
		run->workers[i].started = false;
	}
}

/* On this thread, so the nudges are a timer's. */
static void destroy_session(struct run *run)
{
	const struct itimerval nudges = {{0, NUDGE_MS * 1000}, {0, NUDGE_MS * 1000}}, none = {0};

	setitimer(ITIMER_REAL, &nudges, NULL);
	(void)fm_queue_destroy(run->workers[0].queue, DESTROY_MS);
	setitimer(ITIMER_REAL, &none, NULL);
}

/* No more answers: the kernel ends what waits. Then the mount goes, if it is there still. */
static void leave(struct run *run)
{
	int r;

	for (unsigned int i = 0; i < run->options->queues; i++)
		fd_close(&run->workers[i].fuse_fd);
	if (run->unmounting)
		pthread_join(run->unmounter, NULL);
	if (!run->mounted)
		return;
	r = fm_point_unmount(&run->point, MNT_DETACH);
	if (r == 0 && atomic_load(&run->end) == FM_BROKEN)
		log_warn(run->point.dir, "detached; what was under way ended with ECONNABORTED");
}

static void close_all(struct run *run)
{
	stop_threads(run);
	leave(run);
	for (unsigned int i = 0; i < run->options->queues; i++)
		fm_queue_free(run->workers[i].queue);
	fm_hiprio_free(run->hiprio);
	fm_locks_free(run->locks);
	fm_device_close(&run->device);
	fd_close(&run->signals);
	fd_close(&run->ready);
	fd_close(&run->over);
	fd_close(&run->stop.stop_fd);
	fd_close(&run->stop.drain_fd);
}

/* Serves until something ends it. */
static enum ft_exit serve(struct run *run)
{
	enum event event = wait_ready(run);
	enum fm_end end;

	if (event == READY) {
		puts("mounted");
		fflush(stdout);
		log_info(run->point.dir, "mounted, %u queue%s", run->options->queues,
			run->options->queues > 1 ? "s" : "");
		do
			event = wait_event(run, -1);
		while (event == NOTHING || event == READY);
	}
	if (event == SIGNALLED)
		event = unmount_in_service(run);
	stop_threads(run);
	end = (enum fm_end)atomic_load(&run->end);
	if (end == FM_BROKEN)
		return FT_EXIT_PROTOCOL;
	if (end == FM_FAILED)
		return FT_EXIT_FAILED;
	if (event == OVER)
		destroy_session(run);
	return atomic_load(&run->given_up) ? FT_EXIT_FAILED : FT_EXIT_OK;
}

enum ft_exit fm_mount(const struct fm_options *options)
{
	struct run run = {.options = options,
		.signals = -1,
		.ready = -1,
		.over = -1,
		.stop = {.drain_fd = -1, .stop_fd = -1}};
	enum ft_exit status = FT_EXIT_FAILED;

	for (unsigned int i = 0; i < FM_QUEUES_MAX; i++)
		run.workers[i] = (struct worker){.run = &run, .fuse_fd = -1};
	if (fm_device_open(&run.device, options) < 0)
		status = FT_EXIT_PROTOCOL;
	else if (open_events(&run) == 0 && mount_it(&run) == 0 && make_queues(&run) == 0 &&
		 start_threads(&run) == 0)
		status = serve(&run);
	close_all(&run);
	return status;
}
