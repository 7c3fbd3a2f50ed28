/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OPENDIR, READDIR, READDIRPLUS.
 *
 * Entries come from getdents64 with the host's own offsets as cookies, 8 KiB at a time. What does
 * not fit the guest's buffer waits in the handle for the next request, which goes on there if it
 * asks for the offset where we are, and seeks otherwise. "." and ".." are listed without a nodeid;
 * the root's ".." is the root, whatever lies above it on the host.
 */
#include "fuse/op.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Half-read buffers of 8 KiB that are kept for a guest; past them its directories seek. */
#define DIRBUFS_MAX 4096

/* getdents64's, which libc does not declare. */
struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* An answer being put together. */
struct listing {
	struct fs_tree *tree;
	struct fs_node *dir; /* READDIRPLUS: where names are looked up; else NULL */
	uint64_t self_ino;   /* the root's, for its ".."; else 0 */
	uint8_t *data;
	size_t len, size;
};

static int open_dir(struct fs_slot *slot, uint64_t *fh)
{
	CLEANUP_HELD struct fs_held held = {0};
	int r = fs_held_get(slot, slot->header.nodeid, &held);

	if (r == 0 && held.inode->type != S_IFDIR)
		r = -ENOTDIR;
	return r < 0 ? r : fs_handle_open(held.tree, held.inode, O_RDONLY, fh);
}

void fs_op_opendir(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi)
{
	struct fs_slot *slot = fs_slot_claim(req);
	struct fuse_open_out out = {
		.open_flags = fs_open_answer(fs_config_of(slot)->cache, true),
	};
	int r = open_dir(slot, &out.fh);

	fs_answer(slot, r, &out, sizeof(out));
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/*
 * Looks an entry up for READDIRPLUS. One that went away meanwhile is left out (false); any other
 * trouble leaves the plain entry, which the guest will look up when it needs it.
 */
static bool add_entry(struct listing *list, const char *name, struct fuse_entry_out *out)
{
	int r;

	memset(out, 0, sizeof(*out));
	if (is_dots(name))
		return true;
	r = fs_entry_look_up(list->tree, list->dir, name, out);
	if (r < 0)
		memset(out, 0, sizeof(*out));
	return r != -ENOENT;
}

/* False when it does not fit any more: nothing has happened then. */
static bool add(struct listing *list, const struct host_dirent *entry)
{
	size_t namelen = strlen(entry->name);
	size_t head = list->dir ? sizeof(struct fuse_entry_out) : 0;
	size_t used = head + sizeof(struct fuse_dirent) + namelen;
	size_t padded = head + FUSE_DIRENT_ALIGN(sizeof(struct fuse_dirent) + namelen);
	uint8_t *to = list->data + list->len;
	struct fuse_dirent out = {
		.ino = list->self_ino && !strcmp(entry->name, "..") ? list->self_ino : entry->ino,
		.off = (uint64_t)entry->off,
		.namelen = (uint32_t)namelen,
		.type = entry->type,
	};

	if (padded > list->size - list->len)
		return false;
	/* On the host a regular file may stand for a device (owner.h): the guest has to look. */
	if (list->tree->config.owner_xattr && entry->type == DT_REG)
		out.type = DT_UNKNOWN;
	if (list->dir) {
		struct fuse_entry_out node;

		if (!add_entry(list, entry->name, &node))
			return true;
		if (out.type == DT_UNKNOWN && node.nodeid)
			out.type = IFTODT(node.attr.mode);
		memcpy(to, &node, sizeof(node));
	}
	memcpy(to + head, &out, sizeof(out));
	memcpy(to + head + sizeof(out), entry->name, namelen);
	memset(to + used, 0, padded - used);
	list->len += padded;
	return true;
}

static int refill(struct fs_handle *handle)
{
	struct fs_dirbuf *buf = handle->dirbuf;
	long n;

	do {
		n = syscall(SYS_getdents64, handle->fd, buf->data, sizeof(buf->data));
	} while (n < 0 && errno == EINTR);
	handle->dir_begun = true;
	buf->pos = 0;
	buf->len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? -errno : 0;
}

/* Moves to where the guest wants to go on, if we are not there. dir_lock held, dirbuf there. */
static int seek_to(struct fs_handle *handle, int64_t offset)
{
	if (offset == handle->dir_offset && offset != 0)
		return 0;
	/*
	 * An open directory of ext4's takes up where it was asked first. If that was the end, it
	 * stays there when it is rewound, and lists nothing (Linux 6.18): ask elsewhere first.
	 */
	if (offset != 0 && !handle->dir_begun) {
		int r = refill(handle);

		if (r < 0)
			return r;
	}
	/* Also for 0 again: rewinding is what makes new entries visible. */
	if (lseek(handle->fd, offset, SEEK_SET) < 0)
		return -errno;
	handle->dir_offset = offset;
	handle->dirbuf->pos = handle->dirbuf->len = 0;
	return 0;
}

/* dir_lock held, dirbuf there. Entries that were listed are never lost to an error after them. */
static int list_entries(struct fs_handle *handle, struct listing *list, int64_t offset)
{
	struct fs_dirbuf *buf = handle->dirbuf;
	int r = seek_to(handle, offset);

	while (r == 0) {
		const struct host_dirent *entry;

		if (buf->pos == buf->len) {
			r = refill(handle);
			if (r < 0 || buf->len == 0)
				break;
		}
		entry = (const void *)(buf->data + buf->pos);
		if (!add(list, entry))
			/* A buffer too small for even one entry must not look like the end. */
			return list->len ? 0 : -EINVAL;
		buf->pos += entry->reclen;
		handle->dir_offset = entry->off;
	}
	return list->len ? 0 : r;
}

/* dir_lock held. */
static int borrow_dirbuf(struct fs_tree *tree, struct fs_handle *handle)
{
	if (handle->dirbuf)
		return 0;
	handle->dirbuf = malloc(sizeof(*handle->dirbuf));
	if (!handle->dirbuf)
		return -ENOMEM;
	handle->dirbuf->pos = handle->dirbuf->len = 0;
	pthread_mutex_lock(&tree->lock);
	tree->dirbufs++;
	pthread_mutex_unlock(&tree->lock);
	return 0;
}

/* Keeps the buffer only if there is something left in it, and not too many are kept. */
static void return_dirbuf(struct fs_tree *tree, struct fs_handle *handle)
{
	struct fs_dirbuf *buf = handle->dirbuf;
	bool empty = buf->pos == buf->len, keep;

	pthread_mutex_lock(&tree->lock);
	keep = !empty && tree->dirbufs <= DIRBUFS_MAX;
	tree->dirbufs -= !keep;
	pthread_mutex_unlock(&tree->lock);
	if (keep)
		return;
	/* The fd is past what we throw away: no offset is where we are, the next one seeks. */
	if (!empty)
		handle->dir_offset = 0;
	handle->dirbuf = NULL;
	free(buf);
}

static int read_dir(struct fs_slot *slot, bool plus, struct listing *list)
{
	CLEANUP_NODE struct fs_node dir = {0};
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_read_in *in = fs_slot_args(slot);
	int r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);

	if (r == 0 && file.handle->inode->type != S_IFDIR)
		r = -ENOTDIR;
	if (r == 0 && plus)
		r = fs_node_get(slot, slot->header.nodeid, &dir);
	if (r < 0)
		return r;
	list->dir = plus ? &dir : NULL;
	list->self_ino = file.handle->inode == file.tree->root ? file.tree->root->ino : 0;

	pthread_mutex_lock(&file.handle->dir_lock);
	r = borrow_dirbuf(file.tree, file.handle);
	if (r == 0) {
		r = list_entries(file.handle, list, (int64_t)in->offset);
		return_dirbuf(file.tree, file.handle);
	}
	pthread_mutex_unlock(&file.handle->dir_lock);
	return r;
}

static void answer_listing(struct fs_slot *slot, bool plus)
{
	const struct fuse_read_in *in = fs_slot_args(slot);
	struct listing list = {.tree = fs_tree_of(slot), .size = in->size};
	int r = -ENOMEM;

	list.data = malloc(list.size + 1);
	if (list.data)
		r = read_dir(slot, plus, &list);
	fs_answer(slot, r, list.data, list.len);
	free(list.data);
}

void fs_op_readdir(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi)
{
	answer_listing(fs_slot_claim(req), false);
}

void fs_op_readdirplus(
	fuse_req_t req, fuse_ino_t nodeid, size_t size, off_t offset, struct fuse_file_info *fi)
{
	answer_listing(fs_slot_claim(req), true);
}
