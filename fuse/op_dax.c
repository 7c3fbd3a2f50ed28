/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SETUPMAPPING and REMOVEMAPPING, and which files guests are told to map.
 *
 * The window (dax/window.h) has the table of mappings and talks to the front-end; here the guest's
 * words are checked, the file is opened with the gateway's own rights and turned into what the
 * front-end gets (dax/view.h). The window holds the request until the front-end has answered, on
 * whatever thread that is; the answer to the guest is given there.
 *
 * A guest that opened a file has been told its rights by the guest's own kernel; a mapping is made
 * by that kernel for the file, not for an open of it, so an fh means nothing here.
 *
 * In a cached view the pages that guests see are copies; so they are in a passthrough view of a
 * file that the gateway cannot open for writing (it runs on the host, is append-only, or lies on a
 * read-only mount): then no guest can write into it in place either, but it may grow. A copy that
 * is mapped goes by a key of its own, so the window never takes it for a mapping of the file that
 * may be written to.
 *
 * What was last told of a file is kept in a small table, by (device, inode number), newer entries
 * over older: where the table does not know, the file counts as changed, so its size is a matter of
 * speed only.
 */
#include "fuse/dax.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dax/view.h"
#include "fuse/op.h"
#include "fuse/shape.h"
#include "fuse/walk.h"
#include "vhostuser/checked.h"

WIRE_SIZE(struct fuse_setupmapping_in, 40);
WIRE_SIZE(struct fuse_removemapping_in, 4);
WIRE_SIZE(struct fuse_removemapping_one, 16);

/* In the key of a copy: nodeids have their index there, which never gets so far (inode.h). */
#define KEY_OF_COPY (UINT64_C(1) << 31)
static_assert(FS_INODES_MAX <= KEY_OF_COPY, "the bit is free");

#define MAPPING_FLAGS (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

/* Files whose attributes are remembered. */
#define SEEN_MAX 1024

/* A ctime says nothing of a change that came as soon after it: the clock of files ticks. */
#define CTIME_TICK_NS 20000000

struct seen {
	dev_t dev;
	uint64_t ino; /* 0: none */
	uint64_t size;
	struct statx_timestamp ctime, mtime;
};

struct fs_dax_seen {
	pthread_mutex_t lock;
	struct seen files[SEEN_MAX]; /* lock */
};

static bool view_fits(const struct fs_config *config)
{
	switch (config->view ? dax_view_kind(config->view) : DAX_VIEW_NONE) {
	case DAX_VIEW_DIRECT:
		return true;
	case DAX_VIEW_PASSTHROUGH:
		return !config->readonly; /* what it hands out can be written */
	case DAX_VIEW_CACHED:
		return config->readonly; /* what is stored there never comes to the file */
	case DAX_VIEW_NONE:
		break;
	}
	return false;
}

bool fs_dax_usable(const struct fs_config *config)
{
	return config->window && config->dax != FS_DAX_NEVER && view_fits(config) &&
	       dax_window_ready(config->window);
}

const char *fs_dax_why_not(const struct fs_config *config)
{
	if (!config->window)
		return "there is no DAX window";
	if (config->dax == FS_DAX_NEVER)
		return "DAX is turned off";
	if (!view_fits(config))
		return "files of this share cannot be mapped right";
	return "the front-end makes no mappings";
}

/* Not a device where files change by being mapped, or can change without being seen. */
static bool volume_fits(struct fs_tree *tree, const struct statx *stx)
{
	const struct fs_volume *volume;
	bool fits;

	if (tree->config.readonly)
		return true;
	pthread_mutex_lock(&tree->lock);
	volume = fs_volume_find(tree, stx);
	fits = volume && !volume->overlay;
	pthread_mutex_unlock(&tree->lock);
	return fits;
}

bool fs_dax_announces(struct fs_tree *tree, const struct statx *stx)
{
	const struct fs_config *config = &tree->config;

	if (!tree->dax_flags || !S_ISREG(stx->stx_mode))
		return false;
	if (config->dax == FS_DAX_INODE && stx->stx_size < config->dax_threshold)
		return false;
	return fs_dax_usable(config) && volume_fits(tree, stx);
}

static struct fs_dax_seen *seen_of(struct fs_tree *tree)
{
	struct fs_dax_seen *none = NULL, *seen = atomic_load(&tree->dax_seen);

	if (seen)
		return seen;
	seen = calloc(1, sizeof(*seen));
	if (!seen)
		return NULL;
	pthread_mutex_init(&seen->lock, NULL);
	if (atomic_compare_exchange_strong(&tree->dax_seen, &none, seen))
		return seen;
	pthread_mutex_destroy(&seen->lock);
	free(seen);
	return none;
}

void fs_dax_seen_free(struct fs_tree *tree)
{
	struct fs_dax_seen *seen = atomic_load(&tree->dax_seen);

	if (!seen)
		return;
	pthread_mutex_destroy(&seen->lock);
	free(seen);
}

/*
 * So long ago that the next change is sure to have another ctime. It comes from the share's file
 * system, and may be any number.
 */
static bool is_settled(const struct statx_timestamp *ctime)
{
	struct timespec now;
	int64_t since;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ctime->tv_sec < now.tv_sec - 1)
		return true;
	if (ctime->tv_sec > now.tv_sec)
		return false;
	since = (now.tv_sec - ctime->tv_sec) * 1000000000 + now.tv_nsec - ctime->tv_nsec;
	return since > CTIME_TICK_NS;
}

static bool same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

void fs_dax_note(struct fs_tree *tree, const struct statx *stx)
{
	struct fs_dax_seen *seen = atomic_load(&tree->dax_seen);
	dev_t dev = fs_stat_dev(stx);
	struct seen *file;
	bool same;

	if (!seen || !S_ISREG(stx->stx_mode))
		return; /* nothing was mapped of a copy */
	file = &seen->files[(stx->stx_ino ^ dev * 0x9e3779b1u) % SEEN_MAX];
	pthread_mutex_lock(&seen->lock);
	same = file->ino == stx->stx_ino && file->dev == dev && file->size == stx->stx_size &&
	       same_time(&file->ctime, &stx->stx_ctime) && same_time(&file->mtime, &stx->stx_mtime);
	if (!same)
		*file = (struct seen){
			.dev = dev,
			.ino = is_settled(&stx->stx_ctime) ? stx->stx_ino : 0,
			.size = stx->stx_size,
			.ctime = stx->stx_ctime,
			.mtime = stx->stx_mtime,
		};
	pthread_mutex_unlock(&seen->lock);
	if (!same)
		dax_view_changed(tree->config.view, dev, (ino_t)stx->stx_ino);
}

void fs_dax_used(struct fs_tree *tree, const struct fs_handle *handle)
{
	const struct fs_inode *inode = handle->inode;

	if (atomic_load(&inode->copied) && (handle->flags & O_ACCMODE) != O_RDONLY)
		dax_view_changed(tree->config.view, inode->volume->dev, (ino_t)inode->ino);
}

void fs_dax_end(const struct fs_config *config)
{
	if (config->window)
		dax_unmap_all(config->window);
}

static void done(struct dax_request *op, int error)
{
	fs_reply_err(container_of(op, struct fs_slot, dax_op), error);
}

/* Also gives back the room for the fd that the window held. */
static void map_done(struct dax_request *op, int error)
{
	struct fs_slot *slot = container_of(op, struct fs_slot, dax_op);

	fs_fds_release(fs_tree_of(slot), FS_FD_LASTING);
	fs_reply_err(slot, error);
}

void fs_dax_sync(struct fs_slot *slot)
{
	struct dax_window *window = fs_config_of(slot)->window;

	if (!window || !dax_dialect_code(dax_window_dialect(window), DAX_OP_SYNC) ||
		!dax_window_ready(window)) {
		fs_reply_err(slot, 0);
		return;
	}
	slot->dax_op.done = done;
	fs_slot_park(slot);
	dax_sync(window, slot->header.nodeid, &slot->dax_op);
}

/* The guest's words, without the file. */
static int check_mapping(const struct fs_config *config, const struct fuse_setupmapping_in *in)
{
	if (!fs_dax_usable(config))
		return -ENOSYS;
	if (in->flags & ~(uint64_t)MAPPING_FLAGS || in->len == 0)
		return -EINVAL;
	if (in->foffset % DAX_ALIGN || in->len % DAX_ALIGN || in->moffset % DAX_ALIGN)
		return -EINVAL;
	if (!range_within(in->foffset, in->len, INT64_MAX) ||
		!range_within(in->moffset, in->len, dax_window_size(config->window)))
		return -EINVAL;
	return in->flags & FUSE_SETUPMAPPING_FLAG_WRITE && config->readonly ? -EROFS : 0;
}

static bool is_refusal(int r)
{
	return r == -EROFS || r == -EACCES || r == -EPERM || r == -ETXTBSY;
}

/*
 * The file as the view wants it. It is opened for writing also where only reads are asked for: the
 * guest may ask for more of the same mapping later, and the front-end keeps the first fd's rights.
 * Only where it cannot be, for reading alone (*readable): what guests write then fails.
 */
static int open_file(struct fs_tree *tree, struct fs_inode *inode, bool write, bool *readable)
{
	int fd;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EINVAL : -EACCES;
	*readable = tree->config.readonly;
	fd = fs_inode_open(tree, inode, *readable ? O_RDONLY : O_RDWR);
	if (is_refusal(fd) && !write && !*readable) {
		*readable = true;
		fd = fs_inode_open(tree, inode, O_RDONLY);
	}
	return fd;
}

/* From now on a change of the file is looked for, beginning with the next answer. */
static int watch(struct fs_tree *tree, struct fs_inode *inode)
{
	atomic_store(&inode->copied, true);
	return seen_of(tree) ? 0 : -ENOMEM;
}

/* A copy that is in use gives way only where that is done at one stroke. */
static int replace_copy(const struct fs_slot *slot, const struct fs_inode *inode)
{
	const struct fuse_setupmapping_in *in = fs_slot_args(slot);

	if (!atomic_load(&inode->copied))
		return 0;
	return dax_window_blinks(fs_config_of(slot)->window, slot->header.nodeid | KEY_OF_COPY,
		       in->moffset, in->len)
		       ? -ETXTBSY
		       : 0;
}

/* What the front-end gets, and the key of its mapping. */
static int open_view(struct fs_slot *slot, bool write, int *out, uint64_t *key)
{
	CLEANUP_HELD struct fs_held held = {0};
	int fd, r = fs_held_get(slot, slot->header.nodeid, &held);
	bool readable = false;

	if (r < 0)
		return r;
	fd = open_file(held.tree, held.inode, write, &readable);
	if (fd < 0)
		return fd;
	*key = slot->header.nodeid;
	if (!readable)
		r = replace_copy(slot, held.inode);
	if (readable && dax_view_kind(held.tree->config.view) != DAX_VIEW_DIRECT) {
		*key |= KEY_OF_COPY;
		r = watch(held.tree, held.inode);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return dax_view_open(held.tree->config.view, fd, out);
}

/* On a thread that may block (shape.h): files are opened, and the view's server may be asked. */
void fs_op_setupmapping(struct fs_slot *slot)
{
	const struct fs_config *config = fs_config_of(slot);
	const struct fuse_setupmapping_in *in = fs_slot_args(slot);
	bool write = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;
	struct dax_entry entry = {
		.fd_offset = in->foffset,
		.window_offset = in->moffset,
		.len = in->len,
		.access = write ? DAX_READ | DAX_WRITE : DAX_READ,
	};
	uint64_t key;
	int fd, r = check_mapping(config, in);

	if (r == 0)
		r = fs_fds_reserve(fs_tree_of(slot), FS_FD_LASTING);
	if (r < 0) {
		fs_reply_err(slot, r);
		return;
	}
	r = open_view(slot, write, &fd, &key);
	if (r == 0 && fs_session_is_cut(slot->session)) {
		close(fd); /* it is not to be mapped into the next session */
		r = -EIO;
	}
	if (r < 0) {
		fs_fds_release(fs_tree_of(slot), FS_FD_LASTING);
		fs_reply_err(slot, r);
		return;
	}
	slot->dax_op.done = map_done;
	fs_slot_park(slot);
	dax_map(config->window, key, fd, &entry, &slot->dax_op);
}

/* Mappings go also when no new ones can be made. */
void fs_op_removemapping(struct fs_slot *slot)
{
	struct dax_window *window = fs_config_of(slot)->window;
	const uint8_t *at = fs_slot_args(slot);
	struct dax_entry ranges[FS_RANGES_MAX];
	struct fuse_removemapping_in in;

	if (!window || !dax_window_ready(window)) {
		fs_reply_err(slot, -ENOSYS);
		return;
	}
	memcpy(&in, at, sizeof(in));
	at += sizeof(in);
	for (uint32_t i = 0; i < in.count; i++, at += sizeof(struct fuse_removemapping_one)) {
		struct fuse_removemapping_one one; /* not aligned where it is */

		memcpy(&one, at, sizeof(one));
		ranges[i] = (struct dax_entry){.window_offset = one.moffset, .len = one.len};
	}
	slot->dax_op.done = done;
	fs_slot_park(slot);
	dax_unmap(window, ranges, in.count, &slot->dax_op);
}
