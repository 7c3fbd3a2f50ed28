/* SPDX-License-Identifier: BSD-3-Clause */
/* Becoming the guest's caller and back. */
#include "fuse/caller.h"

#include "fuse/ext.h"
#include "fuse/idmap.h"
#include "fuse/op.h"
#include "fuse/place.h"
#include "fuse/shape.h"
#include "fuse/wire.h"

bool fs_caller_is_user(const struct fs_slot *slot)
{
	return slot->header.uid != 0 && slot->header.uid != (uint32_t)-1;
}

int fs_caller_groups(const struct fs_slot *slot, uint32_t *gids)
{
	const struct fs_shape *shape = fs_shape_find(slot->header.opcode);
	const void *list;
	size_t size;

	if (!(slot->session->init_flags & FUSE_CREATE_SUPP_GROUP) || !shape ||
		!(shape->flags & FS_SHAPE_EXT))
		return 0;
	list = fs_shape_ext(shape, fs_slot_args(slot),
		slot->copy_len - sizeof(struct fuse_in_header), &size);
	return fs_ext_groups(list, size, gids);
}

/* The same as the host knows them. */
static int host_groups(const struct fs_slot *slot, uint32_t *gids)
{
	const struct fs_ids *ids = fs_config_of(slot)->ids;
	int n = fs_caller_groups(slot, gids), r = 0;

	for (int i = 0; i < n && ids && r == 0; i++)
		r = fs_idmap_to_host(&ids->gid, gids[i], &gids[i]);
	return r < 0 ? r : n;
}

int fs_caller_enter(const struct fs_slot *slot, mode_t umask, struct fs_caller *caller)
{
	const struct fs_tree *tree = fs_tree_of(slot);
	uint32_t gids[FS_EXT_GROUPS_MAX];
	int r, n = host_groups(slot, gids);

	if (n < 0)
		return n;
	caller->masked = slot->session->init_flags & FUSE_DONT_MASK;
	r = caller->masked ? fs_place_take(tree) : 0;
	if (r == 0)
		r = fs_cred_enter_groups(
			tree, slot->header.uid, slot->header.gid, gids, (size_t)n, &caller->cred);
	if (r == 0 && caller->masked)
		caller->umask = fs_place_umask(umask & 0777);
	return r;
}

void fs_caller_leave(struct fs_caller *caller)
{
	if (caller->masked)
		(void)fs_place_umask(caller->umask);
	fs_cred_leave(&caller->cred);
}
