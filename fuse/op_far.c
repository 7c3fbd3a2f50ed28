/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ and WRITE whose data lies, in part, in guest memory that we have not mapped.
 *
 * A guest may read into, or write from, an mmap of a DAX file: a buffer in the window. Where no
 * region of ours holds it, but we know where the window lies (dax_window_reach), its file is mapped
 * for as long as it takes. Else only the front-end can copy there (FS_IO), one range in one
 * message. So the data is carried run by run, in order: what is RAM or a file by us, on a thread
 * that may block, and each other segment by the front-end. slot->payload is where we stand. Between
 * two runs nothing waits: the front-end's answer puts the slot back on a deferred thread.
 *
 * An append goes to the file's end whatever the offset, here by RWF_APPEND, in the front-end by the
 * flag of an open file that it gets for that: so runs in order come out in order.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/dax.h"
#include "fuse/killpriv.h"
#include "fuse/walk.h"
#include "vhostuser/checked.h"
#include "vhostuser/fd.h"
#include "vhostuser/virtqueue.h"

/* Segments of one system call, on the stack. */
#define SEGMENTS 128

static bool is_write(const struct fs_slot *slot)
{
	return slot->header.opcode == FUSE_WRITE;
}

/* What both kinds of request say: their arguments begin alike. */
struct span {
	uint64_t fh, offset;
	uint32_t size;
};

static struct span span_of(const struct fs_slot *slot)
{
	const struct fuse_write_in *write = fs_slot_args(slot);
	const struct fuse_read_in *read = fs_slot_args(slot);

	if (is_write(slot))
		return (struct span){write->fh, write->offset, write->size};
	return (struct span){read->fh, read->offset, read->size};
}

static uint32_t carried(const struct fs_slot *slot)
{
	return span_of(slot).size - (uint32_t)slot->payload.left;
}

/* A write says how much went well, if anything did; any error fails the whole of a read. */
static void finish(struct fs_slot *slot, int r)
{
	struct fuse_write_out out = {.size = carried(slot)};

	if (is_write(slot))
		fs_answer(slot, out.size ? 0 : r, &out, sizeof(out));
	else if (r < 0)
		fs_reply_err(slot, r);
	else
		fs_reply_payload(slot, carried(slot));
}

/* Passes segments that are done with, so that the cursor stands at the next byte's. */
static void settle(struct vu_iov *at)
{
	while (at->n > 0 && at->offset == at->iov->iov_len) {
		at->iov++;
		at->n--;
		at->offset = 0;
	}
}

static size_t index_of(const struct fs_slot *slot)
{
	const struct fs_io *io = slot->io;

	if (is_write(slot))
		return (size_t)(slot->payload.iov - io->req);
	return io->n_req + (size_t)(slot->payload.iov - io->rep);
}

/* Where in the guest the segment is that the cursor stands in. */
static int find_gpa(const struct fs_slot *slot, uint64_t *gpa)
{
	const struct fs_io *io = slot->io;
	size_t at = index_of(slot);

	for (size_t i = 0; i < io->n_foreign; i++) {
		if (io->foreign[i].at != at)
			continue;
		*gpa = io->foreign[i].gpa + slot->payload.offset;
		return 0;
	}
	return -EFAULT;
}

/* A write that is to take setuid bits off the file. */
static bool kills(const struct fs_slot *slot)
{
	const struct fuse_write_in *in = fs_slot_args(slot);

	return is_write(slot) && fs_kill_wanted(slot, in->write_flags & FUSE_WRITE_KILL_SUIDGID);
}

/* Bytes from the cursor up to the next segment that is out of reach. */
static size_t run_length(const struct vu_iov *at)
{
	size_t len = 0, offset = at->offset;

	for (size_t i = 0; i < at->n && at->iov[i].iov_base != VQ_FOREIGN; i++) {
		len += at->iov[i].iov_len - offset;
		offset = 0;
	}
	return MIN(len, at->left);
}

/* One system call, between the file and these segments. 1: go on; 0: the end; -errno. */
static int transfer(struct fs_slot *slot, int fd, const struct iovec *iov, size_t segments)
{
	off_t offset = (off_t)(span_of(slot).offset + carried(slot));
	int append = is_write(slot) ? fs_append_flag(slot) : 0;
	struct fs_cred cred;
	ssize_t n;
	int r = fs_kill_begin(slot, fd, kills(slot), &cred);

	if (r < 0)
		return r;
	do {
		n = is_write(slot) ? pwritev2(fd, iov, (int)segments, offset, append)
				   : preadv2(fd, iov, (int)segments, offset, 0);
	} while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : 0;
	fs_cred_leave(&cred);
	if (r < 0)
		return r;
	vu_iov_skip(&slot->payload, (size_t)n);
	return n > 0;
}

/* One system call's worth of what is in reach. */
static int carry_near(struct fs_slot *slot, int fd)
{
	struct iovec iov[SEGMENTS];
	size_t segments;

	vu_iov_slice(&slot->payload, run_length(&slot->payload), iov, SEGMENTS, &segments);
	return transfer(slot, fd, iov, segments);
}

/*
 * What of the segment lies in one mapping of the window. Only the kernel touches the file's pages:
 * one that is past its end is EFAULT.
 */
static int carry_window(struct fs_slot *slot, int fd)
{
	const struct vu_iov *at = &slot->payload;
	struct dax_reach reach = {.fd = -1};
	struct iovec iov;
	uint64_t gpa, into;
	char *map;
	int r = find_gpa(slot, &gpa);

	if (r == 0)
		r = dax_window_reach(fs_config_of(slot)->window, gpa,
			MIN(at->left, at->iov->iov_len - at->offset), &reach);
	if (r < 0)
		return r;
	into = reach.offset % (uint64_t)sysconf(_SC_PAGESIZE);
	map = mmap(NULL, reach.len + into, PROT_READ | PROT_WRITE, MAP_SHARED, reach.fd,
		(off_t)(reach.offset - into));
	fd_close(&reach.fd);
	if (map == MAP_FAILED)
		return -errno;
	iov = (struct iovec){.iov_base = map + into, .iov_len = reach.len};
	r = transfer(slot, fd, &iov, 1);
	(void)munmap(map, reach.len + into);
	return r;
}

static void carry(struct fs_slot *slot);

static bool front_end_copies(const struct fs_config *config)
{
	return config->window && dax_window_ready(config->window) &&
	       dax_dialect_code(dax_window_dialect(config->window), DAX_OP_IO);
}

static bool in_reach(const struct fs_config *config)
{
	return config->window && dax_window_placed(config->window);
}

static void far_done(struct dax_request *op, int error)
{
	struct fs_slot *slot = container_of(op, struct fs_slot, dax_op);
	size_t asked = MIN(slot->payload.left, slot->payload.iov->iov_len - slot->payload.offset);

	fs_fds_release(fs_tree_of(slot), FS_FD_LASTING);
	if (error == 0)
		vu_iov_skip(&slot->payload, (size_t)MIN(op->bytes, (uint64_t)asked));
	if (error < 0 || op->bytes < asked || slot->payload.left == 0)
		finish(slot, error);
	else
		fs_slot_defer(slot, carry);
}

/* What to ask of the front-end, for the segment that the cursor stands in. */
struct far {
	int fd; /* owned; -1: nothing */
	struct dax_entry entry;
};

/*
 * An fd for the front-end, or -errno. It waits for its turn with all others that the guest asks
 * for, so it is counted until the answer.
 */
static int far_file(const struct fs_slot *slot, int fd)
{
	int copy, r = fs_fds_reserve(fs_tree_of(slot), FS_FD_LASTING);

	if (r < 0)
		return r;
	if (is_write(slot) && fs_append_flag(slot)) {
		copy = fs_reopen(fs_config_of(slot)->proc_fd, fd, O_WRONLY | O_APPEND);
	} else {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		copy = copy < 0 ? -errno : copy;
	}
	if (copy < 0)
		fs_fds_release(fs_tree_of(slot), FS_FD_LASTING);
	return copy;
}

static int plan_far(const struct fs_slot *slot, int fd, struct far *far)
{
	const struct vu_iov *at = &slot->payload;
	int r;

	far->entry = (struct dax_entry){
		.fd_offset = span_of(slot).offset + carried(slot),
		.len = MIN(at->left, at->iov->iov_len - at->offset),
		.access = is_write(slot) ? DAX_WRITE : DAX_READ,
	};
	r = find_gpa(slot, &far->entry.window_offset);
	if (r == 0 && is_write(slot))
		r = fs_kill_bits(fd, kills(slot));
	if (r < 0)
		return r;
	far->fd = far_file(slot, fd);
	return far->fd < 0 ? far->fd : 0;
}

/* From where we stand up to the next segment that the front-end carries, or to the end. */
static int carry_on(struct fs_slot *slot, struct far *far)
{
	CLEANUP_FILE struct fs_file file = {0};
	struct span span = span_of(slot);
	int r = is_write(slot)
			? fs_file_get_writable(slot, slot->header.nodeid, span.fh, &file)
			: fs_file_get(slot, slot->header.nodeid, span.fh, &file);

	if (r < 0)
		return r;
	if (!range_within(span.offset, span.size, INT64_MAX))
		return is_write(slot) ? -EFBIG : -EINVAL;
	do {
		settle(&slot->payload);
		if (slot->payload.left == 0 || slot->payload.n == 0)
			return 0;
		if (slot->payload.iov->iov_base != VQ_FOREIGN)
			r = carry_near(slot, file.fd);
		else if (front_end_copies(fs_config_of(slot)))
			return plan_far(slot, file.fd, far);
		else
			r = carry_window(slot, file.fd);
	} while (r > 0);
	return r;
}

/* The file is given back before the front-end is asked: it may have answered when that returns. */
static void carry(struct fs_slot *slot)
{
	struct far far = {.fd = -1};
	int r = carry_on(slot, &far);

	if (far.fd < 0) {
		finish(slot, r);
		return;
	}
	slot->dax_op.done = far_done;
	slot->dax_op.bytes = 0;
	fs_slot_park(slot);
	dax_io(fs_config_of(slot)->window, far.fd, &far.entry, &slot->dax_op);
}

void fs_far_start(struct fs_slot *slot)
{
	if (!front_end_copies(fs_config_of(slot)) && !in_reach(fs_config_of(slot))) {
		fs_reply_err(slot, -EFAULT);
		return;
	}
	if (!is_write(slot)) {
		slot->payload = fs_slot_reply_room(slot);
		slot->payload.left = MIN(slot->payload.left, span_of(slot).size);
	}
	fs_slot_defer(slot, carry);
}
