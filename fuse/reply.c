/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers.
 *
 * The end of every request is here, and its order matters: the answer is written, libfuse's request
 * released, the slot and the session's reference given back, and only then is the io completed.
 * After that nothing of the service is touched, so an owner that counts completions may free it.
 *
 * A request whose session was cut (the guest rebooted, or was reset) is dropped: not a byte of
 * guest memory is written, because that memory may be in use for something else by now.
 */
#include "fuse/reply.h"

#include <byteswap.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <linux/fuse.h>

#include "fuse/core.h"
#include "fuse/session.h"
#include "fuse/shape.h"
#include "fuse/slot.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* The first error number that the kernel keeps to itself; guests refuse a reply with such. */
#define FS_ERROR_END 512

/* Writes one answer; returns how many bytes it took, 0 when not even the header fits. */
static uint32_t write_answer(
	struct fs_io *io, uint64_t unique, int error, const void *data, size_t size)
{
	struct vu_iov rep = vu_iov_init(io->rep, io->n_rep);
	struct fuse_out_header out = {.error = error, .unique = unique};

	if (rep.left < sizeof(out) || io->rep_ram < sizeof(out))
		return 0;
	if (size > rep.left - sizeof(out) || size > UINT32_MAX - sizeof(out)) {
		log_guest("fuse", "an answer of %zu bytes does not fit the guest's %zu", size,
			rep.left - sizeof(out));
		out.error = -EIO;
		size = 0;
	} else if (data && size > io->rep_ram - sizeof(out)) {
		out.error = -EFAULT;
		size = 0;
	}
	out.len = (uint32_t)(sizeof(out) + size);
	vu_iov_write(&rep, &out, sizeof(out));
	if (data && size)
		vu_iov_write(&rep, data, size);
	return out.len;
}

static void log_answer(const struct fs_slot *slot, int error, uint32_t len, bool dropped)
{
	log_debug("fuse",
		"req op=%s unique=%" PRIu64 " nodeid=%" PRIu64 " error=%d len=%" PRIu32 "%s",
		fs_opcode_name(slot->header.opcode), (uint64_t)slot->header.unique,
		(uint64_t)slot->header.nodeid, error, len, dropped ? " dropped" : "");
}

/* The one way out of a slot. `wanted` is false for a request without an answer. */
static void finish(struct fs_slot *slot, bool wanted, int error, const void *data, size_t size)
{
	struct fs *fs = slot->fs;
	struct fs_io *io = slot->io;
	struct fs_session *session = slot->session;
	bool dropped = session && fs_session_is_cut(session);
	uint32_t len = 0;

	if (wanted && !dropped)
		len = write_answer(io, slot->header.unique, error, data, size);
	log_answer(slot, error, len, dropped);
	if (slot->req)
		fuse_reply_none(slot->req);
	fs_slot_put(fs->slots, slot);
	if (session)
		fs_session_put(session);
	atomic_fetch_sub_explicit(&fs->inflight, 1, memory_order_release);
	if (dropped)
		io->drop(io);
	else
		io->complete(io, len);
}

void fs_reply_err(struct fs_slot *slot, int error)
{
	if (error > 0 || error <= -FS_ERROR_END)
		error = -EIO;
	finish(slot, true, error, NULL, 0);
}

void fs_reply_data(struct fs_slot *slot, const void *data, size_t size)
{
	finish(slot, true, 0, data, size);
}

void fs_reply_payload(struct fs_slot *slot, size_t size)
{
	finish(slot, true, 0, NULL, size);
}

void fs_reply_none(struct fs_slot *slot)
{
	finish(slot, false, 0, NULL, 0);
}

struct vu_iov fs_slot_reply_room(const struct fs_slot *slot)
{
	struct vu_iov rep = vu_iov_init(slot->io->rep, slot->io->n_rep);

	vu_iov_skip(&rep, sizeof(struct fuse_out_header));
	return rep;
}

void fs_reply_io(struct fs *fs, struct fs_io *io, uint64_t unique, int error, bool swapped)
{
	struct vu_iov rep = vu_iov_init(io->rep, io->n_rep);
	struct fuse_out_header out = {.len = sizeof(out), .error = error, .unique = unique};
	uint32_t len = MIN(rep.left, io->rep_ram) < sizeof(out) ? 0 : sizeof(out);

	if (swapped) {
		out.len = bswap_32(out.len);
		out.error = (int32_t)bswap_32((uint32_t)out.error);
	}
	vu_iov_write(&rep, &out, len);
	atomic_fetch_sub_explicit(&fs->inflight, 1, memory_order_release);
	io->complete(io, len);
}
