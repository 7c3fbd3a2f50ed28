/* SPDX-License-Identifier: BSD-3-Clause */
/* Security contexts: the check, and the walk over labels. */
#include "fuse/secctx.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "vhostuser/checked.h"

/* What a label is called; anything else is set by SETXATTR, after the file is made. */
#define LABEL_PREFIX "security."

/* Takes one label; the padding after the last one may be missing. */
static int take(struct fs_labels *labels, struct fs_label *label)
{
	size_t left = (size_t)(labels->end - labels->at), name_len, used;
	struct fuse_secctx head;

	if (left < sizeof(head))
		return -EINVAL;
	memcpy(&head, labels->at, sizeof(head));
	left -= sizeof(head);
	label->name = labels->at + sizeof(head);
	name_len = strnlen(label->name, left);
	if (name_len == left || strncmp(label->name, LABEL_PREFIX, strlen(LABEL_PREFIX)) != 0)
		return -EINVAL;
	if (name_len > XATTR_NAME_MAX)
		return -ERANGE;
	if (head.size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (head.size > left - name_len - 1)
		return -EINVAL;
	label->value = label->name + name_len + 1;
	label->size = head.size;
	used = FUSE_REC_ALIGN(sizeof(head) + name_len + 1 + head.size);
	labels->at += MIN(used, (size_t)(labels->end - labels->at));
	labels->left--;
	return 0;
}

static struct fs_labels labels_of(const struct fs_ext *ext)
{
	const char *at = (const char *)ext->data;

	return (struct fs_labels){at, at + ext->size, ext->type};
}

int fs_secctx_check(const struct fs_ext *ext)
{
	struct fs_labels labels = labels_of(ext);
	struct fs_label label;
	int r = ext->type > FUSE_MAX_NR_SECCTX ? -EINVAL : 0;

	while (r == 0 && labels.left > 0)
		r = take(&labels, &label);
	return r == 0 && labels.at != labels.end ? -EINVAL : r;
}

struct fs_labels fs_secctx_labels(const void *list, size_t len)
{
	struct fs_ext ext;
	size_t at = 0;

	while (fs_ext_next(list, len, &at, &ext)) {
		if (ext.type <= FUSE_MAX_NR_SECCTX)
			return labels_of(&ext);
	}
	return (struct fs_labels){0};
}

bool fs_secctx_next(struct fs_labels *labels, struct fs_label *label)
{
	return labels->left > 0 && take(labels, label) == 0;
}
