/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Volumes: what each file system beneath the share can do.
 */
#include "fuse/volume.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fuse/inode.h"
#include "fuse/walk.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* The host decides how many there are (subvolumes have a device each); a guest cannot. */
#define FS_VOLUMES_MAX 4096

struct file_handle *fs_fhandle_new(int dirfd, const char *name)
{
	union {
		struct file_handle head;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} buf;
	struct file_handle *copy;
	int mnt_id, flags = *name ? 0 : AT_EMPTY_PATH;
	size_t size;

	buf.head.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dirfd, name, &buf.head, &mnt_id, flags) < 0)
		return NULL;
	size = sizeof(struct file_handle) + buf.head.handle_bytes;
	copy = malloc(size);
	if (copy)
		memcpy(copy, &buf, size);
	return copy;
}

bool fs_fhandle_equal(const struct file_handle *a, const struct file_handle *b)
{
	return a->handle_type == b->handle_type && a->handle_bytes == b->handle_bytes &&
	       !memcmp(a->f_handle, b->f_handle, a->handle_bytes);
}

bool fs_fhandles_work(int fd)
{
	struct file_handle *fhandle = fs_fhandle_new(fd, "");
	int probe;

	if (!fhandle)
		return false;
	probe = open_by_handle_at(fd, fhandle, O_PATH | O_CLOEXEC);
	free(fhandle);
	if (probe < 0)
		return false;
	close(probe);
	return true;
}

static void probe_kind(struct fs_volume *volume, int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return;
	volume->read_only = (unsigned long)st.f_flags & ST_RDONLY;
	switch ((uint32_t)st.f_type) {
	case OVERLAYFS_SUPER_MAGIC:
		volume->overlay = true;
		break;
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		volume->in_memory = true;
		break;
	case NFS_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case V9FS_MAGIC:
	case FUSE_SUPER_MAGIC:
		volume->remote = true;
		break;
	default:
		break;
	}
}

/* Only directories and regular files are opened: nothing else is safe to. */
static int open_for_real(const struct fs_tree *tree, const struct statx *stx, int fd)
{
	if (S_ISDIR(stx->stx_mode))
		return fs_open_beneath(fd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (S_ISREG(stx->stx_mode))
		return fs_reopen(tree->config.proc_fd, fd, O_RDONLY | O_NONBLOCK);
	return -ENOTSUP;
}

/* Without an fd, file handles and syncfs do not work on it; everything else does. */
static struct fs_volume *volume_new(struct fs_tree *tree, const struct statx *stx, int fd)
{
	struct fs_volume *volume = calloc(1, sizeof(*volume));

	if (!volume)
		return NULL;
	volume->dev = fs_stat_dev(stx);
	volume->mnt_id = stx->stx_mnt_id;
	probe_kind(volume, fd);
	volume->fd = -1;
	if (!fs_fds_reserve(tree, FS_FD_LASTING)) {
		volume->fd = open_for_real(tree, stx, fd);
		if (volume->fd < 0) {
			volume->error = volume->fd;
			volume->fd = -1;
			fs_fds_release(tree, FS_FD_LASTING);
		}
	}
	volume->fhandles = tree->config.file_handles != FS_HANDLES_NEVER && volume->fd >= 0 &&
			   fs_fhandles_work(volume->fd);
	return volume;
}

void fs_volume_free(struct fs_tree *tree, struct fs_volume *volume)
{
	if (!volume)
		return;
	if (volume->fd >= 0)
		fs_fds_release(tree, FS_FD_LASTING);
	fd_close(&volume->fd);
	free(volume);
}

struct fs_volume *fs_volume_find(const struct fs_tree *tree, const struct statx *stx)
{
	dev_t dev = fs_stat_dev(stx);
	struct fs_volume *volume;

	for (volume = tree->volumes; volume; volume = volume->next) {
		if (volume->dev == dev && volume->mnt_id == stx->stx_mnt_id)
			break;
	}
	return volume;
}

int fs_volume_obtain(
	struct fs_tree *tree, const struct statx *stx, int fd, struct fs_volume **volume)
{
	struct fs_volume *fresh;

	pthread_mutex_lock(&tree->lock);
	*volume = fs_volume_find(tree, stx);
	if (*volume)
		(*volume)->users++;
	pthread_mutex_unlock(&tree->lock);
	if (*volume)
		return 0;

	fresh = volume_new(tree, stx, fd);
	if (!fresh)
		return -ENOMEM;
	if (tree->config.file_handles == FS_HANDLES_MANDATORY && !fresh->fhandles) {
		log_guest("file handles", "a mount below the shared directory has none, and they "
					  "are mandatory: what is there is refused");
		fs_volume_free(tree, fresh);
		return -EOPNOTSUPP;
	}
	pthread_mutex_lock(&tree->lock);
	*volume = fs_volume_find(tree, stx);
	if (!*volume && tree->n_volumes < FS_VOLUMES_MAX) {
		fresh->next = tree->volumes;
		tree->volumes = fresh;
		tree->n_volumes++;
		*volume = fresh;
		fresh = NULL;
	}
	if (*volume)
		(*volume)->users++;
	pthread_mutex_unlock(&tree->lock);
	fs_volume_free(tree, fresh);
	if (!*volume) {
		log_guest("share", "more than %d file systems beneath the shared directory",
			FS_VOLUMES_MAX);
		return -ENFILE;
	}
	return 0;
}

struct fs_volume *fs_volume_leave(struct fs_tree *tree, struct fs_volume *volume)
{
	struct fs_volume **link = &tree->volumes;

	if (--volume->users)
		return NULL;
	while (*link != volume)
		link = &(*link)->next;
	*link = volume->next;
	tree->n_volumes--;
	return volume;
}

void fs_volume_put(struct fs_tree *tree, struct fs_volume *volume)
{
	if (!volume)
		return;
	pthread_mutex_lock(&tree->lock);
	volume = fs_volume_leave(tree, volume);
	pthread_mutex_unlock(&tree->lock);
	fs_volume_free(tree, volume);
}

struct fs_volume *fs_volume_next(struct fs_tree *tree, struct fs_volume *volume)
{
	struct fs_volume *next;

	pthread_mutex_lock(&tree->lock);
	next = volume ? volume->next : tree->volumes;
	if (next)
		next->users++;
	pthread_mutex_unlock(&tree->lock);
	fs_volume_put(tree, volume);
	return next;
}

void fs_volumes_free(struct fs_tree *tree)
{
	struct fs_volume *volume;

	while ((volume = tree->volumes)) {
		tree->volumes = volume->next;
		fs_volume_free(tree, volume);
	}
}
