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

#include "fuse/ext.h"
#include "fuse/op.h"
#include "fuse/place.h"
#include "fuse/shape.h"
#include "fuse/walk.h"
#include "fuse/xattr.h"

/* Gate 3 lets extensions pass only in sessions that agreed on them. */
static struct fs_labels labels_of(const struct fs_slot *slot)
{
	const struct fs_shape *shape = fs_shape_find(slot->header.opcode);
	const char *ext = fs_shape_extensions(shape, fs_slot_args(slot));

	return fs_ext_labels(ext, (size_t)((const char *)slot->copy + slot->copy_len - ext));
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

	while (r == 0 && fs_ext_next(&labels, &label)) {
		char host[FS_XATTR_NAME_SIZE];

		r = fs_xattr_name(slot, label.name, host);
		if (r == 0 && TEMP_FAILURE_RETRY(setxattr(
				      fs_fd_name(fd).text, host, label.value, label.size, 0)) < 0)
			r = -errno;
	}
	return r;
}
