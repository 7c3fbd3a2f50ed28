/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Labels of new files (FUSE_SECURITY_CTX): the guest's security module has chosen them, and sends
 * them with the request that makes the file, so that it is never seen without.
 *
 * They are set with the gateway's own credentials: the guest's caller need not be allowed to.
 */
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse/op.h"
#include "fuse/place.h"
#include "fuse/secctx.h"
#include "fuse/shape.h"
#include "fuse/walk.h"
#include "fuse/xattr.h"

/* Gate 3 lets them pass only in sessions that agreed on them. */
static struct fs_labels labels_of(const struct fs_slot *slot)
{
	const struct fs_shape *shape = fs_shape_find(slot->header.opcode);
	size_t size, len = slot->copy_len - sizeof(struct fuse_in_header);
	const void *list = fs_shape_ext(shape, fs_slot_args(slot), len, &size);

	return fs_secctx_labels(list, size);
}

bool fs_labels_any(const struct fs_slot *slot)
{
	return labels_of(slot).left > 0;
}

int fs_labels_set(const struct fs_slot *slot, const struct fs_tree *tree, int fd)
{
	struct fs_labels labels = labels_of(slot);
	struct fs_label label;
	int r = labels.left > 0 ? fs_place_take(tree) : 0;

	while (r == 0 && fs_secctx_next(&labels, &label)) {
		char host[FS_XATTR_NAME_SIZE];

		r = fs_xattr_name(slot, label.name, host);
		if (r == 0 && TEMP_FAILURE_RETRY(setxattr(
				      fs_fd_name(fd).text, host, label.value, label.size, 0)) < 0)
			r = -errno;
	}
	return r;
}
