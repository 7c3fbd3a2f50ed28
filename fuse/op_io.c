/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OPEN, READ, WRITE, FLUSH, RELEASE, FSYNC.
 *
 * Data goes straight between the file and the guest's memory. A read or write is first tried in
 * place, where it can be told not to block; when it would, or cannot be told, another thread goes
 * on with it. A read that stops short of what was asked is the end of the file to the guest, so it
 * is read on until the host says so; any error fails the whole of it. A write that fails after
 * some bytes reports those.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/dax.h"
#include "fuse/direct.h"
#include "fuse/kept.h"
#include "fuse/killpriv.h"
#include "fuse/lock.h"
#include "fuse/walk.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"

/* Segments of one system call, on the stack: 2 MiB of a guest's pages. IOV_MAX is 1024. */
#define SEGMENTS 512

/* A truncation is a write: the guest may ask to have it take setuid bits off. */
static int open_held(struct fs_slot *slot, const struct fs_held *held, int flags, uint64_t *fh)
{
	const struct fuse_open_in *in = fs_slot_args(slot);
	struct fs_cred cred;
	int r = fs_kill_begin(slot, -1,
		flags & O_TRUNC && fs_kill_at_open(slot, in->open_flags & FUSE_OPEN_KILL_SUIDGID),
		&cred);

	if (r < 0)
		return r;
	r = flags & O_TRUNC ? fs_kept_kill(slot, held->tree, held->inode) : 0;
	if (r == 0)
		r = fs_handle_open(held->tree, held->inode, flags, fh);
	/* An append-only file (chattr +a) is opened for appending or not at all. */
	if (r == -EPERM && in->flags & O_APPEND)
		r = fs_handle_open(held->tree, held->inode, flags | O_APPEND, fh);
	/* Reading was our wish: one who may only write does without. */
	if (r == -EACCES && (flags ^ (int)in->flags) & O_ACCMODE)
		r = fs_handle_open(held->tree, held->inode, (flags & ~O_ACCMODE) | O_WRONLY, fh);
	fs_cred_leave(&cred);
	return r;
}

static int open_node(struct fs_slot *slot, uint64_t *fh)
{
	CLEANUP_HELD struct fs_held held = {0};
	const struct fuse_open_in *in = fs_slot_args(slot);
	int flags, r = fs_open_flags(slot, in->flags, &flags);

	if (r == 0 && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		r = fs_may_change(slot);
	if (r == 0)
		r = fs_held_get(slot, slot->header.nodeid, &held);
	if (r == 0 && held.inode->type == S_IFDIR)
		r = -EISDIR;
	return r < 0 ? r : open_held(slot, &held, flags, fh);
}

void fs_op_open(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_open_out out = {
		.open_flags = fs_open_answer(fs_config_of(slot)->cache, false),
	};
	int r = open_node(slot, &out.fh);

	fs_answer(slot, r, &out, sizeof(out));
}

/*
 * How to do I/O in place on this file: 0 (it does not block), RWF_NOWAIT, or -EAGAIN for "not".
 * A buffered write to a local file system goes to memory, all but always: where RWF_NOWAIT is
 * refused (ext4) it stays in place too, for a hand-over would cost more than the copy. One that
 * stalls is what the relief of a stuck queue thread is for.
 */
static int in_place(const struct fs_handle *handle, const _Atomic bool *refused, bool write)
{
	const struct fs_volume *volume = handle->inode->volume;

	if (handle->flags & (O_SYNC | O_DSYNC | O_DIRECT))
		return -EAGAIN;
	if (volume->in_memory)
		return 0;
	if (!atomic_load_explicit(refused, memory_order_relaxed))
		return RWF_NOWAIT;
	return write && !volume->remote ? 0 : -EAGAIN;
}

/* A file system that refuses RWF_NOWAIT is not asked again; this request is handed over. */
static int learn(int r, int rwf, _Atomic bool *refused)
{
	if (r != -EOPNOTSUPP || !rwf)
		return r;
	atomic_store_explicit(refused, true, memory_order_relaxed);
	return -EAGAIN;
}

/* Reads until the size, the end or an error; *done is right only on success. */
static int read_all(int fd, struct vu_iov *room, size_t size, off_t offset, int rwf, size_t *done)
{
	struct iovec iov[SEGMENTS];

	*done = 0;
	while (*done < size) {
		size_t n;
		ssize_t got;

		vu_iov_slice(room, size - *done, iov, SEGMENTS, &n);
		got = preadv2(fd, iov, (int)n, offset + (off_t)*done, rwf);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		vu_iov_skip(room, (size_t)got);
		*done += (size_t)got;
	}
	return 0;
}

static int read_file(struct fs_slot *slot, bool may_block, size_t *done)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_read_in *in = fs_slot_args(slot);
	struct vu_iov room = fs_slot_reply_room(slot);
	_Atomic bool *refused;
	int rwf = 0, r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);

	if (r < 0)
		return r;
	refused = &file.handle->inode->volume->no_nowait_read;
	if (!range_within(in->offset, in->size, INT64_MAX))
		return -EINVAL;
	if (!may_block)
		rwf = in_place(file.handle, refused, false);
	if (rwf < 0)
		return rwf;
	if (file.handle->flags & O_DIRECT)
		return fs_direct_read(file.fd, &room, in->size, (off_t)in->offset,
			slot->io->rep_ram == slot->io->rep_len, done);
	r = read_all(file.fd, &room, in->size, (off_t)in->offset, rwf, done);
	return learn(r, rwf, refused);
}

static void finish_read(struct fs_slot *slot, int r, size_t done)
{
	if (r < 0)
		fs_reply_err(slot, r);
	else
		fs_reply_payload(slot, done);
}

static void read_on(struct fs_slot *slot)
{
	size_t done = 0;
	int r = read_file(slot, true, &done);

	finish_read(slot, r, done);
}

void fs_op_read(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	size_t done = 0;
	int r;

	if (slot->io->n_foreign) {
		fs_far_start(slot);
		return;
	}
	r = read_file(slot, false, &done);
	if (r == -EAGAIN)
		fs_slot_defer(slot, read_on);
	else
		finish_read(slot, r, done);
}

/* Writes on from where slot->payload stands, and moves it. */
static int write_all(struct fs_slot *slot, int fd, int rwf)
{
	const struct fuse_write_in *in = fs_slot_args(slot);
	int append = fs_append_flag(slot);
	struct iovec iov[SEGMENTS];

	while (slot->payload.left) {
		off_t offset = (off_t)(in->offset + in->size - slot->payload.left);
		size_t n;
		ssize_t put;

		vu_iov_slice(&slot->payload, slot->payload.left, iov, SEGMENTS, &n);
		put = pwritev2(fd, iov, (int)n, offset, rwf | append);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (put == 0)
			return -EIO;
		vu_iov_skip(&slot->payload, (size_t)put);
	}
	return 0;
}

/*
 * With O_DIRECT. What comes out of the guest's page cache (a mapping of a file that is open like
 * this) ends where the file does, not at a block: that goes to the host's page cache.
 */
static int write_direct(struct fs_slot *slot, const struct fs_file *file)
{
	const struct fuse_write_in *in = fs_slot_args(slot);
	off_t offset = (off_t)(in->offset + in->size - slot->payload.left);
	CLEANUP_FD int own = -1;
	int fd;

	if (!(in->write_flags & FUSE_WRITE_CACHE))
		return fs_direct_write(file->fd, &slot->payload, offset, fs_append_flag(slot),
			slot->io->req_ram == slot->io->req_len);
	fd = fs_reopen(file->tree->config.proc_fd, file->fd,
		(file->handle->flags & (O_SYNC | O_DSYNC)) | O_WRONLY);
	if (fd < 0)
		return fd;
	own = fd;
	return write_all(slot, own, 0);
}

static int write_file(struct fs_slot *slot, bool may_block)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_write_in *in = fs_slot_args(slot);
	struct fs_cred cred;
	_Atomic bool *refused;
	int rwf = 0, r = fs_file_get_writable(slot, slot->header.nodeid, in->fh, &file);

	if (r < 0)
		return r;
	refused = &file.handle->inode->volume->no_nowait_write;
	if (!range_within(in->offset, in->size, INT64_MAX))
		return -EFBIG;
	if (!may_block)
		rwf = in_place(file.handle, refused, true);
	if (rwf < 0)
		return rwf;
	r = fs_kill_begin(slot, file.fd,
		fs_kill_wanted(slot, in->write_flags & FUSE_WRITE_KILL_SUIDGID), &cred);
	if (r < 0)
		return r;
	r = file.handle->flags & O_DIRECT ? write_direct(slot, &file)
					  : write_all(slot, file.fd, rwf);
	fs_cred_leave(&cred);
	return learn(r, rwf, refused);
}

static void finish_write(struct fs_slot *slot, int r)
{
	const struct fuse_write_in *in = fs_slot_args(slot);
	struct fuse_write_out out = {.size = in->size - (uint32_t)slot->payload.left};

	fs_answer(slot, out.size ? 0 : r, &out, sizeof(out));
}

static void write_on(struct fs_slot *slot)
{
	finish_write(slot, write_file(slot, true));
}

void fs_op_write_buf(fuse_req_t req, fuse_ino_t nodeid, struct fuse_bufvec *data, off_t offset,
	struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	int r;

	if (slot->io->n_foreign) {
		fs_far_start(slot);
		return;
	}
	r = write_file(slot, false);
	if (r == -EAGAIN)
		fs_slot_defer(slot, write_on);
	else
		finish_write(slot, r);
}

/*
 * The guest closed one of its fds: closing one of ours makes network file systems say now what
 * went wrong with data that was written. And the closer's locks go.
 */
static int flush_file(struct fs_slot *slot, bool may_block)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_flush_in *in = fs_slot_args(slot);
	int copy, r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	bool written;

	if (r < 0)
		return r;
	written = (file.handle->flags & O_ACCMODE) != O_RDONLY;
	if (!may_block && file.handle->inode->volume->remote && (written || file.tree->locks))
		return -EAGAIN;
	fs_lock_flush(file.tree, file.handle->inode, in->lock_owner);
	if (!written)
		return 0;
	copy = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	return close(copy) < 0 && errno != EINTR ? -errno : 0;
}

static void flush_on(struct fs_slot *slot)
{
	fs_reply_err(slot, flush_file(slot, true));
}

void fs_op_flush(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	int r = flush_file(slot, false);

	if (r == -EAGAIN)
		fs_slot_defer(slot, flush_on);
	else
		fs_reply_err(slot, r);
}

/* The inode is held over the handle's end: its locks go after it. */
static int release_file(struct fs_slot *slot, bool may_block)
{
	CLEANUP_HELD struct fs_held held = {0};
	const struct fuse_release_in *in = fs_slot_args(slot);
	struct fs_tree *tree = fs_tree_of(slot);
	int r;

	if (!tree->locks)
		return fs_handle_release(tree, in->fh, slot->header.nodeid);
	if (fs_held_get(slot, slot->header.nodeid, &held) < 0)
		return -EBADF;
	if (!may_block && held.inode->volume->remote)
		return -EAGAIN;
	r = fs_handle_release(tree, in->fh, slot->header.nodeid);
	fs_lock_release(tree, held.inode, in);
	return r;
}

static void release_on(struct fs_slot *slot)
{
	fs_reply_err(slot, release_file(slot, true));
}

/* RELEASE and RELEASEDIR. */
void fs_op_release(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	int r = release_file(slot, false);

	if (r == -EAGAIN)
		fs_slot_defer(slot, release_on);
	else
		fs_reply_err(slot, r);
}

static int sync_file(struct fs_slot *slot)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_fsync_in *in = fs_slot_args(slot);
	int r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);

	if (r < 0)
		return r;
	do {
		r = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(file.fd) : fsync(file.fd);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* FSYNC and FSYNCDIR; always on a thread that may block (shape.h). */
void fs_op_fsync(fuse_req_t req, fuse_ino_t nodeid, int datasync, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	int r = sync_file(slot);

	if (r == 0)
		fs_dax_sync(slot); /* what guests stored into mappings */
	else
		fs_reply_err(slot, r);
}
