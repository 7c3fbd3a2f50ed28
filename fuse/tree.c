/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From names to inodes: lookups, and what renames and removals do to what we remember.
 *
 * A lookup asks for the name's attributes first. If their identity is that of a known inode, which
 * is open or has a file handle, that is the answer, and nothing was opened. Else the object is
 * opened (O_PATH), and what the fd says is believed: between the two the host may have changed what
 * the name means. Of objects that were just born the identity is not certain (inode.h): then the
 * file handle is asked for, too, which needs no right and works with --inode-file-handles=never.
 */
#include "fuse/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuse/cred.h"
#include "fuse/dax.h"
#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/lock.h"
#include "fuse/owner.h"
#include "fuse/walk.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* Spreads the epochs over the generations (the golden ratio). */
#define EPOCH_STEP 0x9e3779b1u

/* More than a tick of any clock that births are stamped with. */
#define YOUNG_NS INT64_C(100000000)
#define NS_PER_S INT64_C(1000000000)

static int open_root(struct fs_tree *tree)
{
	struct fs_inode *root = tree->root;
	struct statx stx;
	int r;

	root->fd = fs_open_beneath(tree->config.root_fd, ".", O_PATH | O_DIRECTORY, 0);
	if (root->fd < 0) {
		r = root->fd;
		root->fd = -1;
		return r;
	}
	root->sticky = true;
	root->pins = 1;
	tree->fds_used++;
	tree->fds_lasting++;
	r = fs_stat_at(root->fd, "", &stx);
	if (r < 0)
		return r;
	root->ino = stx.stx_ino;
	return fs_volume_obtain(tree, &stx, root->fd, &root->volume);
}

int fs_tree_new(const struct fs_config *config, uint32_t epoch, struct fs_tree **tree)
{
	struct fs_tree *fresh = calloc(1, sizeof(*fresh));
	int r;

	if (!fresh)
		return -ENOMEM;
	fresh->config = *config;
	fresh->generation = epoch * EPOCH_STEP;
	fresh->can_switch = !(config->one_uid && config->one_gid) && !config->owner_xattr &&
			    fs_cred_usable();
	pthread_mutex_init(&fresh->lock, NULL);
	r = fs_inodes_init(fresh);
	if (r == 0)
		r = fs_handles_init(fresh);
	if (r == 0)
		r = fs_locks_new(fresh);
	if (r == 0)
		r = open_root(fresh);
	if (r < 0) {
		fs_tree_free(fresh);
		return r;
	}
	*tree = fresh;
	return 0;
}

void fs_tree_free(struct fs_tree *tree)
{
	if (!tree)
		return;
	fs_locks_free(tree);
	fs_handles_fini(tree);
	fs_inodes_fini(tree);
	fs_volumes_free(tree);
	fs_dax_seen_free(tree);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

/* Born so lately, seen from `now`, that the next one may be born at the same time. */
static bool is_young(const struct statx *stx, const struct timespec *now)
{
	const struct statx_timestamp *born = &stx->stx_btime;

	/* A file system may say anything: no arithmetic before it is known to be near. */
	if (born->tv_sec > now->tv_sec)
		return true;
	return born->tv_sec >= now->tv_sec - 1 &&
	       (now->tv_sec - born->tv_sec) * NS_PER_S + now->tv_nsec - born->tv_nsec < YOUNG_NS;
}

static int found_at(
	const struct fs_tree *tree, struct fs_found *found, int dirfd, const char *name)
{
	struct timespec now = {0};
	bool born;
	int r;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	r = fs_stat_at(dirfd, name, &found->stx);
	found->fhandle = NULL;
	found->young = false;
	if (r < 0)
		return r;
	born = found->stx.stx_mask & STATX_BTIME;
	found->young = born && is_young(&found->stx, &now);
	if (found->young || (!born && tree->config.file_handles != FS_HANDLES_NEVER))
		found->fhandle = fs_fhandle_new(dirfd, name);
	return 0;
}

/*
 * The known inode that is what was found at dirfd/name, referenced, or NULL. When there is a doubt
 * the file handle decides; one that is found grown up, and is the same, is beyond doubt from then
 * on, since whoever gets its number later is born later.
 */
static struct fs_inode *known(
	struct fs_tree *tree, struct fs_found *found, int dirfd, const char *name)
{
	struct fs_inode *inode;
	bool doubt;

	pthread_mutex_lock(&tree->lock);
	inode = fs_inode_find(tree, found);
	doubt = inode && inode->young && inode->fhandle && !found->fhandle;
	pthread_mutex_unlock(&tree->lock);
	if (!doubt)
		return inode;
	fs_inode_put(tree, inode);
	found->fhandle = fs_fhandle_new(dirfd, name);
	if (!found->fhandle)
		return NULL;
	pthread_mutex_lock(&tree->lock);
	inode = fs_inode_find(tree, found);
	if (inode && !found->young)
		inode->young = false;
	pthread_mutex_unlock(&tree->lock);
	return inode;
}

/* tree->lock held, also on return. Counts the lookup and returns the parent to be put. No name:
 * there is none to remember. */
static struct fs_inode *admit(
	struct fs_tree *tree, struct fs_inode *inode, struct fs_inode *parent, const char *name)
{
	fs_inode_count(inode);
	return name ? fs_inode_place(tree, inode, parent, name) : NULL;
}

/*
 * Looks among the known ones. NULL when what was found is new, or is only to be had by its name and
 * not open: then it is opened by this name now, lest the host moves it before the guest uses it.
 */
static struct fs_inode *recognise(struct fs_tree *tree, struct fs_found *found,
	struct fs_inode *parent, int parent_fd, const char *name)
{
	struct fs_inode *inode = known(tree, found, parent_fd, name), *former = NULL;
	bool held;

	if (!inode)
		return NULL;
	pthread_mutex_lock(&tree->lock);
	held = inode->fd >= 0 || inode->handles || fs_inode_by_fhandle(inode);
	if (held)
		former = admit(tree, inode, parent, name);
	pthread_mutex_unlock(&tree->lock);
	fs_inode_put(tree, held ? former : inode);
	return held ? inode : NULL;
}

/* Without a file handle an fd keeps the number of a young one from being used again. */
static void hold(struct fs_tree *tree, struct fs_inode *inode, int fd)
{
	int path;

	if (fs_fds_reserve(tree, FS_FD_PATH) < 0)
		return;
	path = fs_reopen(tree->config.proc_fd, fd, O_PATH);
	if (path < 0) {
		fs_fds_release(tree, FS_FD_PATH);
		return;
	}
	pthread_mutex_lock(&tree->lock);
	path = fs_inode_fd_adopt(tree, inode, path);
	pthread_mutex_unlock(&tree->lock);
	fd_close(&path);
}

/*
 * Enters what `fd` shows. The file handle is consumed; so is the fd, with its room, when it is the
 * `own` O_PATH one.
 */
static int enter(struct fs_tree *tree, struct fs_found *found, int fd, bool own,
	struct fs_inode *parent, const char *name, struct fs_inode **inode)
{
	struct fs_inode *former = NULL;
	struct fs_volume *volume = NULL;
	bool doubt = false;
	int surplus = own ? fd : -1, r = fs_volume_obtain(tree, &found->stx, fd, &volume);

	if (r == 0 && volume->fhandles && !found->fhandle)
		found->fhandle = fs_fhandle_new(fd, "");
	*inode = r < 0 ? NULL : known(tree, found, fd, "");
	pthread_mutex_lock(&tree->lock);
	/* Another thread may have come first. */
	if (r == 0 && !*inode)
		*inode = fs_inode_find(tree, found);
	if (r == 0 && !*inode) {
		r = fs_inode_add(tree, volume, &found->stx, found->fhandle, inode);
		found->fhandle = NULL;
		if (r == 0)
			(*inode)->young = found->young;
	}
	if (r == 0)
		doubt = !own && (*inode)->young && !(*inode)->fhandle;
	if (r == 0) {
		if (own)
			surplus = fs_inode_fd_adopt(tree, *inode, fd);
		former = admit(tree, *inode, parent, name);
	} else if (own) {
		tree->fds_used--;
	}
	pthread_mutex_unlock(&tree->lock);
	if (doubt)
		hold(tree, *inode, fd);
	free(found->fhandle);
	fs_inode_put(tree, former);
	/* From here on the inode holds it. */
	fs_volume_put(tree, volume);
	fd_close(&surplus);
	return r;
}

int fs_tree_enter(struct fs_tree *tree, struct fs_inode *parent, const char *name, int fd,
	struct fs_entry *entry)
{
	struct fs_found found;
	int r = found_at(tree, &found, fd, "");

	if (r < 0)
		return r;
	entry->stx = found.stx;
	r = fs_owner_show(tree, fd, &entry->stx);
	if (r < 0) {
		free(found.fhandle);
		return r;
	}
	return enter(tree, &found, fd, false, parent, name, &entry->inode);
}

int fs_tree_enter_nameless(struct fs_tree *tree, int fd, struct fs_entry *entry)
{
	return fs_tree_enter(tree, NULL, NULL, fd, entry);
}

static int discover(struct fs_tree *tree, struct fs_inode *parent, int parent_fd, const char *name,
	struct fs_entry *entry)
{
	struct fs_found found = {.fhandle = NULL};
	int fd, r = fs_fds_reserve(tree, FS_FD_PATH);

	if (r < 0)
		return r;
	fd = fs_open_beneath(parent_fd, name, O_PATH, 0);
	r = fd < 0 ? fd : found_at(tree, &found, fd, "");
	if (r == 0) {
		entry->stx = found.stx;
		r = fs_owner_show(tree, fd, &entry->stx);
	}
	if (r < 0) {
		free(found.fhandle);
		fs_fds_release(tree, FS_FD_PATH);
		if (fd >= 0)
			fd_close(&fd);
		return r;
	}
	return enter(tree, &found, fd, true, parent, name, &entry->inode);
}

/* Of a known inode, whose fd may have to be opened again for it. On errors the lookup is undone. */
static int show_owner(struct fs_tree *tree, struct fs_entry *entry)
{
	int r, fd = fs_inode_fd_get(tree, entry->inode);
	uint64_t nodeid = entry->inode->nodeid;

	r = fd < 0 ? fd : fs_owner_show(tree, fd, &entry->stx);
	if (fd >= 0)
		fs_inode_fd_put(tree, entry->inode);
	if (r < 0) {
		fs_inode_put(tree, entry->inode);
		entry->inode = NULL;
		fs_inode_forget(tree, nodeid, 1);
	}
	return r;
}

int fs_tree_lookup(struct fs_tree *tree, struct fs_inode *parent, int parent_fd, const char *name,
	struct fs_entry *entry)
{
	struct fs_found found;
	int r = found_at(tree, &found, parent_fd, name);

	if (r < 0)
		return r;
	entry->inode = recognise(tree, &found, parent, parent_fd, name);
	entry->stx = found.stx;
	free(found.fhandle);
	if (!entry->inode)
		return discover(tree, parent, parent_fd, name, entry);
	return tree->config.owner_xattr ? show_owner(tree, entry) : 0;
}

struct fs_loss fs_tree_lose(struct fs_tree *tree, int parent_fd, const char *name)
{
	struct fs_loss loss = {0};
	struct fs_found found;

	if (found_at(tree, &found, parent_fd, name) < 0)
		return loss;
	loss.inode = known(tree, &found, parent_fd, name);
	free(found.fhandle);
	loss.last = S_ISDIR(found.stx.stx_mode) || found.stx.stx_nlink <= 1;
	/* Opened now, while there is a way; without room the inode may become unreachable. */
	if (loss.inode && fs_inode_fd_get(tree, loss.inode) < 0) {
		fs_inode_put(tree, loss.inode);
		loss.inode = NULL;
	}
	return loss;
}

void fs_tree_lost(struct fs_tree *tree, const struct fs_loss *loss, struct fs_inode *parent,
	const char *name, bool lost)
{
	struct fs_inode *inode = loss->inode;
	bool stranded = loss->last;

	if (!inode)
		return;
	if (lost && !fs_inode_by_fhandle(inode)) {
		pthread_mutex_lock(&tree->lock);
		stranded |= inode->parent == parent && inode->name && !strcmp(inode->name, name);
		pthread_mutex_unlock(&tree->lock);
	}
	if (!lost || !stranded || !fs_inode_fd_stick(tree, inode))
		fs_inode_fd_put(tree, inode);
	fs_inode_put(tree, inode);
}

void fs_tree_moved(struct fs_tree *tree, struct fs_inode *parent, int parent_fd, const char *name)
{
	struct fs_inode *inode, *former;
	struct fs_found found;

	if (found_at(tree, &found, parent_fd, name) < 0)
		return;
	inode = known(tree, &found, parent_fd, name);
	free(found.fhandle);
	if (!inode)
		return;
	pthread_mutex_lock(&tree->lock);
	former = fs_inode_place(tree, inode, parent, name);
	pthread_mutex_unlock(&tree->lock);
	fs_inode_put(tree, former);
	fs_inode_put(tree, inode);
}
