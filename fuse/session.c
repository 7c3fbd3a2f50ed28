/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions.
 *
 * libfuse's session gets one end of a socket pair for its device (fuse_session_mount on
 * "/dev/fd/N", public in every libfuse 3), and closes it when it is destroyed. All answers but
 * INIT's are our own, so what appears at the other end are only libfuse's own words: INIT's reply,
 * or an error for a request that it gave to no op. libfuse's end does not block: were the pair
 * full, the answer would be lost, and the request be answered EIO.
 *
 * One pair serves all threads. A thread whose request no op claimed drains it under a mutex; it may
 * find another thread's answer there, and leaves it in that one's slot. Such a slot cannot be gone:
 * the thread that submitted it has to come by here itself.
 */
#include "fuse/session.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuse/core.h"
#include "fuse/handle.h"
#include "fuse/lock.h"
#include "fuse/ops.h"
#include "fuse/slot.h"
#include "fuse/tree.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

static void log_from_libfuse(enum fuse_log_level level, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void log_from_libfuse(enum fuse_log_level level, const char *format, va_list ap)
{
	char line[256];

	(void)vsnprintf(line, sizeof(line), format, ap);
	line[strcspn(line, "\n")] = '\0';
	if (level <= FUSE_LOG_WARNING)
		log_guest("libfuse", "%s", line);
	else
		log_debug("libfuse", "%s", line);
}

void fs_session_log_setup(void)
{
	fuse_set_log_func(log_from_libfuse);
}

/* A libfuse session whose device is *fd, which it owns when this succeeds. */
static int libfuse_new(struct fs_session *session, int *fd)
{
	char name[] = "virtiofs-gateway";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char device[32];

	session->se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), session);
	fuse_opt_free_args(&args);
	if (!session->se)
		return -ENOMEM;
	(void)snprintf(device, sizeof(device), "/dev/fd/%d", *fd);
	if (fuse_session_mount(session->se, device) != 0) {
		fuse_session_destroy(session->se);
		session->se = NULL;
		return -EIO;
	}
	(void)fd_steal(fd);
	return 0;
}

int fs_session_new(struct fs *fs, uint64_t epoch, struct fs_session **out)
{
	struct fs_session *session;
	int pair[2] = {-1, -1};
	int r = 0;

	if (atomic_fetch_add(&fs->sessions, 1) >= FS_SESSIONS_MAX)
		r = -EBUSY;
	session = r == 0 ? calloc(1, sizeof(*session)) : NULL;
	if (!session) {
		atomic_fetch_sub(&fs->sessions, 1);
		r = r < 0 ? r : -ENOMEM;
		log_guest("fuse", "no session %" PRIu64 ": %s", epoch,
			r == -EBUSY ? "too many old ones wait for requests that hang"
				    : strerror(-r));
		return r;
	}
	atomic_init(&session->refs, 1);
	session->fs = fs;
	session->epoch = epoch;
	session->reply_fd = -1;
	pthread_mutex_init(&session->drain, NULL);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		r = -errno;
	if (r == 0)
		r = libfuse_new(session, &pair[0]);
	if (r == 0)
		r = fs_tree_new(&fs->config, (uint32_t)epoch, &session->tree);
	fd_close(&pair[0]);
	session->reply_fd = pair[1];
	if (r < 0) {
		log_guest("fuse", "no session %" PRIu64 ": %s", epoch, strerror(-r));
		fs_session_put(session);
		return r;
	}
	*out = session;
	return 0;
}

struct fs_session *fs_session_get(struct fs_session *session)
{
	atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
	return session;
}

static void session_free(struct fs_session *session)
{
	if (session->tree)
		fs_tree_free(session->tree);
	if (session->se)
		fuse_session_destroy(session->se);
	fd_close(&session->reply_fd);
	pthread_mutex_destroy(&session->drain);
	atomic_fetch_sub(&session->fs->sessions, 1);
	free(session);
}

static void bury(struct fs_work *work)
{
	struct fs_session *session = container_of(work, struct fs_session, burial);
	struct fs *fs = session->fs;

	session_free(session);
	atomic_fetch_sub_explicit(&fs->inflight, 1, memory_order_release);
}

void fs_session_put(struct fs_session *session)
{
	struct fs *fs = session->fs;

	if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (fs->closing || !session->tree ||
		!(fs_handles_any(session->tree) || fs_locks_any(session->tree))) {
		session_free(session);
		return;
	}
	atomic_fetch_add_explicit(&fs->inflight, 1, memory_order_relaxed);
	session->burial.run = bury;
	fs->config.defer(fs->config.ctx, &session->burial);
}

static void unlock_rest(struct fs_work *work)
{
	struct fs_session *session = container_of(work, struct fs_session, unlock);
	struct fs *fs = session->fs;

	(void)fs_locks_end(session->tree, true);
	fs_session_put(session);
	atomic_fetch_sub_explicit(&fs->inflight, 1, memory_order_release);
}

void fs_session_end(struct fs_session *session)
{
	struct fs *fs = session->fs;

	if (!fs_locks_end(session->tree, fs->closing))
		return;
	atomic_fetch_add_explicit(&fs->inflight, 1, memory_order_relaxed);
	(void)fs_session_get(session);
	session->unlock.run = unlock_rest;
	fs->config.defer(fs->config.ctx, &session->unlock);
}

bool fs_session_is_cut(const struct fs_session *session)
{
	return session->epoch <= atomic_load_explicit(&session->fs->cut, memory_order_acquire);
}

ssize_t fs_session_receive(struct fs_session *session, void *data, size_t size)
{
	ssize_t n;

	do
		n = recv(session->reply_fd, data, size, MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	return n > 0 ? n : -EAGAIN;
}

/* Notes one answer in its slot. An answer with data has nowhere to go: our ops give those. */
static void note_answer(struct fs_session *session, const struct fuse_out_header *out, size_t len)
{
	struct fs_slot *slot = NULL;

	if (out->unique > 0 && out->unique <= FS_SLOTS_MAX)
		slot = fs_slot_find(session->fs->slots, (uint32_t)(out->unique - 1));
	if (!slot || slot->session != session || !slot->claimed) {
		log_error("fuse", "libfuse answered %" PRIu64 ", which is not its own",
			(uint64_t)out->unique);
		return;
	}
	slot->answered = true;
	slot->error = len == sizeof(*out) ? out->error : -EIO;
}

int fs_session_drain(struct fs_session *session, struct fs_slot *slot)
{
	struct fuse_out_header out;
	ssize_t n;
	int error;

	pthread_mutex_lock(&session->drain);
	while ((n = fs_session_receive(session, &out, sizeof(out))) > 0)
		if ((size_t)n >= sizeof(out))
			note_answer(session, &out, (size_t)n);
	slot->claimed = NULL;
	error = slot->answered ? slot->error : -EIO;
	pthread_mutex_unlock(&session->drain);
	return error;
}
