/* SPDX-License-Identifier: BSD-3-Clause */
/* FUSE_INIT between the host's kernel, which speaks to /dev/fuse, and a virtio-fs device. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <linux/fuse.h>

/*
 * Takes out of the kernel's offer what only /dev/fuse can do. `in` is as long as a request of `len`
 * bytes has it, zeros behind. Returns the flags that are left. Any thread.
 */
uint64_t fm_init_offer(struct fuse_init_in *in, size_t len);

/*
 * Takes out of a reply (a short one with zeros behind) what was not offered, and keeps its sizes to
 * FM_PAYLOAD. A reply of another major version stays as it is. Any thread.
 */
void fm_init_accept(struct fuse_init_out *out, uint64_t offered);
