/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service: requests in, answers out.
 *
 * A request is read once: its header into the slot, its arguments into the slot's copy; a WRITE's
 * data stays where it is. Gate 3 (shape.c) judges the copy. Then, by opcode: INIT, DESTROY and
 * INTERRUPT are ours; what libfuse does not carry is called by our own table; the rest is parsed by
 * libfuse, which calls our ops. Whoever has the slot then answers, here or on a deferred thread.
 *
 * Any number of threads submit. They meet in the slots' table, in the session's reference count and
 * in libfuse's list of requests, each for some tens of nanoseconds.
 */
#include "fuse/fs.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/core.h"
#include "fuse/dax.h"
#include "fuse/init.h"
#include "fuse/lock.h"
#include "fuse/ops.h"
#include "fuse/owner.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/shape.h"
#include "fuse/slot.h"
#include "fuse/volume.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* What only shows when it is tried. */
static int check_share(const struct fs_config *config, bool handles)
{
	struct stat st;
	int r = fstat(config->root_fd, &st) < 0 ? -errno : 0;

	if (r == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r < 0) {
		log_error("fuse", "cannot serve the shared directory: %s", strerror(-r));
	} else if (config->file_handles == FS_HANDLES_MANDATORY && !handles) {
		r = -EOPNOTSUPP;
		log_error("file handles",
			"--inode-file-handles=mandatory cannot be kept: the shared directory's "
			"file system has none, or we lack CAP_DAC_READ_SEARCH");
	} else if (config->owner_xattr) {
		r = fs_owner_probe(config->root_fd);
		if (r < 0)
			log_error("owners",
				"--owner-xattr cannot be kept: no user.* attributes on the shared "
				"directory's file system: %s", strerror(-r));
	}
	return r;
}

bool fs_keeps_handles(const struct fs *fs)
{
	return fs->handles;
}

int fs_new(const struct fs_config *config, struct fs **out)
{
	bool handles = config->file_handles != FS_HANDLES_NEVER &&
		       fs_fhandles_work(config->root_fd);
	struct fs *fs;
	int r = check_share(config, handles);

	if (r < 0)
		return r;
	fs = calloc(1, sizeof(*fs));
	r = fs ? fs_slots_new(fs, &fs->slots) : -ENOMEM;
	if (r < 0) {
		log_error("fuse", "no memory for the service");
		free(fs);
		return r;
	}
	fs->config = *config;
	fs->handles = handles;
	pthread_mutex_init(&fs->lock, NULL);
	fs_session_log_setup();
	*out = fs;
	return 0;
}

void fs_reset(struct fs *fs)
{
	(void)fs_epoch_next(fs, true);
}

void fs_renew(struct fs *fs)
{
	struct fs_session *session = fs_current(fs);

	/* There may be mappings only where there was a session. */
	if (!session)
		return;
	fs_session_put(session);
	(void)fs_epoch_next(fs, true);
	fs_dax_end(&fs->config);
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	fs->closing = true;
	fs_reset(fs);
	fs_slots_free(fs->slots);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

unsigned int fs_inflight(const struct fs *fs)
{
	return atomic_load_explicit(&fs->inflight, memory_order_acquire);
}

struct fs_session *fs_current(struct fs *fs)
{
	struct fs_session *session;

	pthread_mutex_lock(&fs->lock);
	session = fs->session ? fs_session_get(fs->session) : NULL;
	pthread_mutex_unlock(&fs->lock);
	return session;
}

uint64_t fs_epoch_next(struct fs *fs, bool cut)
{
	struct fs_session *ended;
	uint64_t epoch;

	pthread_mutex_lock(&fs->lock);
	ended = fs->session;
	fs->session = NULL;
	if (cut)
		atomic_store_explicit(&fs->cut, fs->epoch, memory_order_release);
	epoch = ++fs->epoch;
	pthread_mutex_unlock(&fs->lock);
	if (ended) {
		fs_session_end(ended);
		fs_session_put(ended);
	}
	return epoch;
}

void fs_publish(struct fs *fs, struct fs_session *session)
{
	pthread_mutex_lock(&fs->lock);
	if (session->epoch == fs->epoch)
		fs->session = fs_session_get(session);
	pthread_mutex_unlock(&fs->lock);
}

/*
 * Asked for more than there is room for, a READ returns less; so the room is the size. The ops find
 * the smaller one in their arguments.
 */
static void bound_size(struct fs_slot *slot, const struct fs_shape *shape)
{
	size_t most = fs_slot_reply_room(slot).left;
	uint8_t *size =
		slot->copy + sizeof(struct fuse_in_header) + offsetof(struct fuse_read_in, size);
	uint32_t n;

	if (shape->flags & FS_SHAPE_LISTS)
		most = MIN(most, FS_LIST_MAX);
	memcpy(&n, size, sizeof(n));
	n = (uint32_t)MIN(n, most);
	memcpy(size, &n, sizeof(n));
}

/* Copies the arguments, checks them, and leaves in the slot what the ops find there. */
static int receive_args(struct fs_slot *slot, const struct fs_shape *shape, struct vu_iov *req)
{
	size_t len = slot->header.len - sizeof(slot->header);
	size_t copied;
	int r;

	r = fs_shape_measure(shape, len, &copied);
	if (r < 0)
		return r;
	r = fs_slot_reserve(slot, sizeof(slot->header) + copied);
	if (r < 0)
		return r;
	if (slot->io->req_ram < sizeof(slot->header) + copied)
		return -EFAULT;
	memcpy(slot->copy, &slot->header, sizeof(slot->header));
	if (vu_iov_read(req, slot->copy + sizeof(slot->header), copied) != copied)
		return -EINVAL;
	r = fs_shape_check(
		shape, fs_slot_args(slot), len, slot->session ? slot->session->init_flags : 0);
	if (r < 0)
		return r;
	if (shape->tail == FS_TAIL_DATA) {
		const struct fuse_write_in *in = fs_slot_args(slot);

		slot->payload = *req;
		slot->payload.left = MIN(slot->payload.left, in->size);
	}
	if (shape->flags & FS_SHAPE_READS)
		bound_size(slot, shape);
	return 0;
}

/*
 * Gate 3 but for the arguments. The guest's readable part may be longer than the message in it:
 * a driver may pad its buffers, and nobody reads what is after the message. It may not be shorter.
 */
static int check_header(const struct fs_slot *slot, const struct fs_shape *shape)
{
	const struct fs_io *io = slot->io;
	const struct fuse_in_header *in = &slot->header;

	if (io->req_len < sizeof(*in) || in->len < sizeof(*in) || in->len > io->req_len)
		return -EINVAL;
	if (!shape)
		return -ENOSYS;
	if (io->hiprio && !(shape->flags & FS_SHAPE_SILENT))
		return -EINVAL;
	if (shape->flags & FS_SHAPE_SILENT)
		return 0;
	if (in->unique == 0)
		return -EINVAL;
	if (io->rep_len < sizeof(struct fuse_out_header) + shape->answer)
		return -EINVAL;
	if (io->rep_ram < sizeof(struct fuse_out_header) + shape->answer)
		return -EFAULT;
	return 0;
}

static void answer_error(struct fs_slot *slot, const struct fs_shape *shape, int error)
{
	if (shape && shape->flags & FS_SHAPE_SILENT)
		fs_reply_none(slot);
	else
		fs_reply_err(slot, error);
}

static void refuse(struct fs_slot *slot, const struct fs_shape *shape, int error)
{
	if (error != -ENOSYS && error != -ENAMETOOLONG)
		log_guest("fuse", "bad request: %s (opcode %" PRIu32 ") of %" PRIu32 " bytes: %s",
			fs_opcode_name(slot->header.opcode), slot->header.opcode, slot->header.len,
			strerror(-error));
	answer_error(slot, shape, error);
}

/* Gives the request to libfuse, whose parser finds our index where it takes the caller's pid. */
void fs_dispatch(struct fs_slot *slot)
{
	struct fs_session *session = slot->session;
	const struct fuse_write_in *write = fs_slot_args(slot);
	struct fuse_in_header *header = (struct fuse_in_header *)slot->copy;
	struct fuse_buf buf = {.mem = slot->copy, .size = slot->copy_len};
	int error;
	bool claimed = false;

	header->unique = slot->index + 1;
	header->pid = slot->index + 1;
	/* libfuse compares sizes but does not touch the data, which is not there. */
	if (slot->header.opcode == FUSE_WRITE)
		buf.size += write->size;
	slot->claimed = &claimed;
	fuse_session_process_buf(session->se, &buf);
	if (claimed)
		return; /* and maybe answered already: the slot is not ours any more */

	error = fs_session_drain(session, slot);
	answer_error(slot, fs_shape_find(slot->header.opcode), error);
}

/* Runs the request where it is. */
static void run(struct fs_slot *slot)
{
	fs_own_op *own = fs_own_op_find(slot->header.opcode);

	if (own)
		own(slot);
	else
		fs_dispatch(slot);
}

/* The guest has unmounted: nothing but an INIT is served after this. */
static void destroy(struct fs_slot *slot)
{
	(void)fs_epoch_next(slot->fs, false);
	fs_dax_end(&slot->fs->config);
	fs_reply_err(slot, 0);
}

/* Only those that wait for a lock can be interrupted. */
static void interrupt(struct fs_slot *slot)
{
	const struct fuse_interrupt_in *in = fs_slot_args(slot);

	fs_lock_interrupt(slot->session->tree, in->unique);
	fs_reply_none(slot);
}

static void route(struct fs_slot *slot, const struct fs_shape *shape)
{
	if (slot->header.opcode == FUSE_INIT) {
		fs_init_run(slot);
		return;
	}
	if (!slot->session)
		answer_error(slot, shape, -EIO);
	else if (slot->header.opcode == FUSE_DESTROY)
		destroy(slot);
	else if (slot->header.opcode == FUSE_INTERRUPT)
		interrupt(slot);
	else if (shape->flags & FS_SHAPE_DEFER)
		fs_slot_defer(slot, run);
	else
		run(slot);
}

/*
 * What we read or write ourselves must be RAM: a byte of the DAX window can be a SIGBUS. A request
 * whose header is not is none that could be answered.
 */
static bool header_in_ram(const struct fs_io *io)
{
	return io->req_ram >= MIN(io->req_len, sizeof(struct fuse_in_header));
}

void fs_submit(struct fs *fs, struct fs_io *io)
{
	struct vu_iov req = vu_iov_init(io->req, io->n_req);
	struct fuse_in_header header = {0};
	const struct fs_shape *shape;
	struct fs_slot *slot;
	int r;

	if (!header_in_ram(io)) {
		log_guest("fuse", "a request whose header lies in the DAX window");
		io->complete(io, 0);
		return;
	}
	atomic_fetch_add_explicit(&fs->inflight, 1, memory_order_relaxed);
	vu_iov_read(&req, &header, sizeof(header));
	if (header.opcode == FUSE_INIT_BSWAP_RESERVED) {
		log_guest("fuse", "the guest has the other byte order");
		fs_reply_io(fs, io, header.unique, -EPROTO, true);
		return;
	}
	slot = fs_slot_get(fs->slots, io->hiprio);
	if (!slot) {
		log_guest("fuse", "no slot for a request: %u in flight", fs_inflight(fs));
		fs_reply_io(fs, io, header.unique, -ENOMEM, false);
		return;
	}
	slot->io = io;
	slot->header = header;
	/* What a request looks like may have been agreed on. */
	if (header.opcode != FUSE_INIT)
		slot->session = fs_current(fs);
	shape = fs_shape_find(header.opcode);
	r = check_header(slot, shape);
	if (r == 0)
		r = receive_args(slot, shape, &req);
	if (r < 0)
		refuse(slot, shape, r);
	else
		route(slot, shape);
}
