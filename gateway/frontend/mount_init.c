/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which flags pass.
 *
 * The kernel makes the same offer to any server behind /dev/fuse. Some of it is about /dev/fuse
 * itself, which the device at the other end of the rings never sees, or about notifications, for
 * which virtio-fs has no queue. A device that takes up what was not offered (some set flags
 * unasked) would be believed by the kernel, so the reply is masked too.
 */
#include "gateway/frontend/mount_init.h"

#include <unistd.h>

#include "gateway/frontend/mount_shape.h"
#include "vhostuser/checked.h"

/* Newer than the oldest headers that this is built with. */
#define INIT_PASSTHROUGH   (UINT64_C(1) << 37)
#define INIT_HAS_RESEND    (UINT64_C(1) << 39)
#define INIT_OVER_IO_URING (UINT64_C(1) << 41)

/* How requests pass through /dev/fuse, files of the server's, and what needs notifications. */
#define ONLY_DEV_FUSE                                                                              \
	((uint64_t)FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ | INIT_PASSTHROUGH |    \
		INIT_HAS_RESEND | INIT_OVER_IO_URING)

/* Up to 7.35 requests end before flags2. */
#define IN_WITH_FLAGS2 (offsetof(struct fuse_init_in, flags2) + sizeof(uint32_t))

uint64_t fm_init_offer(struct fuse_init_in *in, size_t len)
{
	uint64_t flags = in->flags;

	if (flags & FUSE_INIT_EXT && len >= IN_WITH_FLAGS2)
		flags |= (uint64_t)in->flags2 << 32;
	flags &= ~ONLY_DEV_FUSE;
	in->flags = (uint32_t)flags;
	in->flags2 = (uint32_t)(flags >> 32);
	return flags;
}

/* The kernel believes a reply of any length, so one that ends early is masked as all others are. */
void fm_init_accept(struct fuse_init_out *out, uint64_t offered)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	if (out->major != FUSE_KERNEL_VERSION)
		return;
	out->flags &= (uint32_t)offered;
	out->flags2 &= (uint32_t)(offered >> 32);
	out->max_write = MIN(out->max_write, FM_PAYLOAD);
	out->max_pages = (uint16_t)MIN(out->max_pages, FM_PAYLOAD / page);
}
