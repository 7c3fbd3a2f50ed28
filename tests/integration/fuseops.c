/* SPDX-License-Identifier: BSD-3-Clause */
/* The FUSE client's operations: one function a request, results copied out of guest memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/fusecli.h"

/* A call whose reply is one struct of exactly `size` bytes. */
static int call_out(struct fc_queue *q, struct fc_call *call, void *out, uint32_t size)
{
	struct fc_reply reply;
	int r;

	call->room = size;
	r = fc_call(q, call, &reply);
	if (r)
		return r;
	if (reply.len != size)
		return FC_BAD_REPLY;
	if (out && size)
		memcpy(out, reply.body, size);
	return 0;
}

#define CALL(opcode_, nodeid_, ...)                                                                \
	(struct fc_call)                                                                           \
	{                                                                                          \
		.opcode = (opcode_), .nodeid = (nodeid_), __VA_ARGS__                              \
	}

int fc_init(struct fc_queue *q, uint32_t major, uint32_t minor, uint64_t flags,
	struct fuse_init_out *out)
{
	struct fuse_init_in in = {
		.major = major,
		.minor = minor,
		.max_readahead = 128 << 10,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
	};
	struct fc_call call = CALL(FUSE_INIT, 0, .args = &in);
	struct fc_reply reply;
	int r;

	call.args_len = minor >= 36 ? sizeof(in) : 16;
	call.room = sizeof(*out);
	r = fc_call(q, &call, &reply);
	if (r)
		return r;
	memset(out, 0, sizeof(*out));
	if (reply.len > sizeof(*out))
		return FC_BAD_REPLY;
	memcpy(out, reply.body, reply.len);
	return 0;
}

int fc_mount(struct fc_queue *q, struct fuse_init_out *out)
{
	/* What fs/fuse/inode.c of Linux 6.1 asks for, less what needs a DAX window. */
	uint64_t flags = FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC |
			 FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK |
			 FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ |
			 FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA |
			 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
			 FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |
			 FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES |
			 FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |
			 FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |
			 FUSE_INIT_EXT | FUSE_SECURITY_CTX;
	struct fuse_init_out ignored;

	return fc_init(q, FUSE_KERNEL_VERSION, 38, flags, out ? out : &ignored);
}

int fc_destroy(struct fc_queue *q)
{
	return call_out(q, &CALL(FUSE_DESTROY, 0), NULL, 0);
}

int fc_lookup(struct fc_queue *q, uint64_t parent, const char *name, struct fuse_entry_out *out)
{
	return call_out(q, &CALL(FUSE_LOOKUP, parent, .name = name), out, sizeof(*out));
}

int fc_walk(struct fc_queue *q, const char *path, struct fuse_entry_out *out)
{
	uint64_t parent = FUSE_ROOT_ID;
	char *copy = strdup(path), *rest = copy, *name;
	int r = copy ? -ENOENT : FC_NO_ROOM;

	while (copy && (name = strsep(&rest, "/"))) {
		r = fc_lookup(q, parent, name, out);
		if (parent != FUSE_ROOT_ID)
			fc_forget(&q->fc->queue[0], parent, 1);
		if (r)
			break;
		parent = out->nodeid;
	}
	free(copy);
	return r;
}

int fc_forget(struct fc_queue *q, uint64_t nodeid, uint64_t nlookup)
{
	struct fuse_forget_in in = { .nlookup = nlookup };

	return fc_call(q,
		&CALL(FUSE_FORGET, nodeid, .args = &in, .args_len = sizeof(in), .no_reply = true),
		NULL);
}

int fc_batch_forget(struct fc_queue *q, const struct fuse_forget_one *forgets, uint32_t n)
{
	struct fuse_batch_forget_in in = { .count = n };

	return fc_call(q,
		&CALL(FUSE_BATCH_FORGET, 0, .args = &in, .args_len = sizeof(in), .data = forgets,
			.data_len = n * (uint32_t)sizeof(*forgets), .no_reply = true),
		NULL);
}

static int getattr(struct fc_queue *q, uint64_t nodeid, const struct fuse_getattr_in *in,
	struct fuse_attr_out *out)
{
	return call_out(q, &CALL(FUSE_GETATTR, nodeid, .args = in, .args_len = sizeof(*in)), out,
		sizeof(*out));
}

int fc_getattr(struct fc_queue *q, uint64_t nodeid, struct fuse_attr_out *out)
{
	struct fuse_getattr_in in = { .fh = 0 };

	return getattr(q, nodeid, &in, out);
}

int fc_getattr_fh(struct fc_queue *q, uint64_t nodeid, uint64_t fh, struct fuse_attr_out *out)
{
	struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = fh };

	return getattr(q, nodeid, &in, out);
}

int fc_setattr(struct fc_queue *q, uint64_t nodeid, const struct fuse_setattr_in *in,
	struct fuse_attr_out *out)
{
	return call_out(q, &CALL(FUSE_SETATTR, nodeid, .args = in, .args_len = sizeof(*in)), out,
		sizeof(*out));
}

int fc_readlink(struct fc_queue *q, uint64_t nodeid, char *target, size_t size)
{
	struct fc_reply reply;
	int r = fc_call(q, &CALL(FUSE_READLINK, nodeid, .room = 4095), &reply);

	if (r)
		return r;
	if (reply.len >= size)
		return FC_BAD_REPLY;
	memcpy(target, reply.body, reply.len);
	target[reply.len] = '\0';
	return 0;
}

int fc_symlink(struct fc_queue *q, uint64_t parent, const char *name, const char *target,
	struct fuse_entry_out *out)
{
	return call_out(
		q, &CALL(FUSE_SYMLINK, parent, .name = name, .name2 = target), out, sizeof(*out));
}

int fc_mknod(struct fc_queue *q, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
	struct fuse_entry_out *out)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };

	return call_out(q,
		&CALL(FUSE_MKNOD, parent, .args = &in, .args_len = sizeof(in), .name = name), out,
		sizeof(*out));
}

int fc_mkdir(struct fc_queue *q, uint64_t parent, const char *name, uint32_t mode,
	struct fuse_entry_out *out)
{
	struct fuse_mkdir_in in = { .mode = mode };

	return call_out(q,
		&CALL(FUSE_MKDIR, parent, .args = &in, .args_len = sizeof(in), .name = name), out,
		sizeof(*out));
}

int fc_unlink(struct fc_queue *q, uint64_t parent, const char *name)
{
	return call_out(q, &CALL(FUSE_UNLINK, parent, .name = name), NULL, 0);
}

int fc_rmdir(struct fc_queue *q, uint64_t parent, const char *name)
{
	return call_out(q, &CALL(FUSE_RMDIR, parent, .name = name), NULL, 0);
}

int fc_rename(
	struct fc_queue *q, uint64_t parent, const char *name, uint64_t parent2, const char *name2)
{
	struct fuse_rename_in in = { .newdir = parent2 };

	return call_out(q,
		&CALL(FUSE_RENAME, parent, .args = &in, .args_len = sizeof(in), .name = name,
			.name2 = name2),
		NULL, 0);
}

int fc_rename2(struct fc_queue *q, uint64_t parent, const char *name, uint64_t parent2,
	const char *name2, uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = parent2, .flags = flags };

	return call_out(q,
		&CALL(FUSE_RENAME2, parent, .args = &in, .args_len = sizeof(in), .name = name,
			.name2 = name2),
		NULL, 0);
}

int fc_link(struct fc_queue *q, uint64_t nodeid, uint64_t parent, const char *name,
	struct fuse_entry_out *out)
{
	struct fuse_link_in in = { .oldnodeid = nodeid };

	return call_out(q,
		&CALL(FUSE_LINK, parent, .args = &in, .args_len = sizeof(in), .name = name), out,
		sizeof(*out));
}

static int open_any(struct fc_queue *q, uint32_t opcode, uint64_t nodeid, uint32_t flags,
	struct fuse_open_out *out)
{
	struct fuse_open_in in = { .flags = flags };

	return call_out(
		q, &CALL(opcode, nodeid, .args = &in, .args_len = sizeof(in)), out, sizeof(*out));
}

int fc_open(struct fc_queue *q, uint64_t nodeid, uint32_t flags, struct fuse_open_out *out)
{
	return open_any(q, FUSE_OPEN, nodeid, flags, out);
}

int fc_opendir(struct fc_queue *q, uint64_t nodeid, struct fuse_open_out *out)
{
	return open_any(q, FUSE_OPENDIR, nodeid, 0, out);
}

int fc_create(struct fc_queue *q, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
	struct fuse_entry_out *entry, struct fuse_open_out *out)
{
	struct fuse_create_in in = { .flags = flags, .mode = mode };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} both;
	int r = call_out(q,
		&CALL(FUSE_CREATE, parent, .args = &in, .args_len = sizeof(in), .name = name),
		&both, sizeof(both));

	if (r)
		return r;
	*entry = both.entry;
	*out = both.open;
	return 0;
}

int fc_read(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, void *data,
	uint32_t size)
{
	struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };
	struct fc_reply reply;
	int r = fc_call(q,
		&CALL(FUSE_READ, nodeid, .args = &in, .args_len = sizeof(in), .room = size),
		&reply);

	if (r)
		return r;
	memcpy(data, reply.body, reply.len);
	return (int)reply.len;
}

static int write_as(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset,
	const void *data, uint32_t size, uint32_t flags)
{
	struct fuse_write_in in = { .fh = fh, .offset = offset, .size = size, .flags = flags };
	struct fuse_write_out out;
	int r = call_out(q,
		&CALL(FUSE_WRITE, nodeid, .args = &in, .args_len = sizeof(in), .data = data,
			.data_len = size),
		&out, sizeof(out));

	if (r)
		return r;
	return out.size <= size ? (int)out.size : FC_BAD_REPLY;
}

int fc_write(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *data,
	uint32_t size)
{
	return write_as(q, nodeid, fh, offset, data, size, O_RDWR);
}

int fc_append(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *data,
	uint32_t size)
{
	return write_as(q, nodeid, fh, offset, data, size, O_RDWR | O_APPEND);
}

int fc_flush(struct fc_queue *q, uint64_t nodeid, uint64_t fh)
{
	struct fuse_flush_in in = { .fh = fh, .lock_owner = 42 };

	return call_out(q, &CALL(FUSE_FLUSH, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

static int release_any(struct fc_queue *q, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };

	return call_out(q, &CALL(opcode, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

int fc_release(struct fc_queue *q, uint64_t nodeid, uint64_t fh)
{
	return release_any(q, FUSE_RELEASE, nodeid, fh);
}

int fc_releasedir(struct fc_queue *q, uint64_t nodeid, uint64_t fh)
{
	return release_any(q, FUSE_RELEASEDIR, nodeid, fh);
}

static int sync_any(
	struct fc_queue *q, uint32_t opcode, uint64_t nodeid, uint64_t fh, uint32_t flags)
{
	struct fuse_fsync_in in = { .fh = fh, .fsync_flags = flags };

	return call_out(q, &CALL(opcode, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

int fc_fsync(struct fc_queue *q, uint64_t nodeid, uint64_t fh, bool data_only)
{
	return sync_any(q, FUSE_FSYNC, nodeid, fh, data_only ? FUSE_FSYNC_FDATASYNC : 0);
}

int fc_fsyncdir(struct fc_queue *q, uint64_t nodeid, uint64_t fh)
{
	return sync_any(q, FUSE_FSYNCDIR, nodeid, fh, 0);
}

int fc_statfs(struct fc_queue *q, uint64_t nodeid, struct fuse_statfs_out *out)
{
	return call_out(q, &CALL(FUSE_STATFS, nodeid), out, sizeof(*out));
}

int fc_access(struct fc_queue *q, uint64_t nodeid, uint32_t mask)
{
	struct fuse_access_in in = { .mask = mask };

	return call_out(
		q, &CALL(FUSE_ACCESS, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

int fc_fallocate(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, uint64_t len,
	uint32_t mode)
{
	struct fuse_fallocate_in in = { .fh = fh, .offset = offset, .length = len, .mode = mode };

	return call_out(
		q, &CALL(FUSE_FALLOCATE, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

int fc_lseek(struct fc_queue *q, uint64_t nodeid, uint64_t fh, uint64_t offset, uint32_t whence,
	uint64_t *result)
{
	struct fuse_lseek_in in = { .fh = fh, .offset = offset, .whence = whence };
	struct fuse_lseek_out out;
	int r = call_out(q, &CALL(FUSE_LSEEK, nodeid, .args = &in, .args_len = sizeof(in)), &out,
		sizeof(out));

	if (!r)
		*result = out.offset;
	return r;
}

int fc_copy_file_range(struct fc_queue *q, uint64_t node_in, uint64_t fh_in, uint64_t off_in,
	uint64_t node_out, uint64_t fh_out, uint64_t off_out, uint64_t len)
{
	struct fuse_copy_file_range_in in = {
		.fh_in = fh_in,
		.off_in = off_in,
		.nodeid_out = node_out,
		.fh_out = fh_out,
		.off_out = off_out,
		.len = len,
	};
	struct fuse_write_out out;
	int r = call_out(q,
		&CALL(FUSE_COPY_FILE_RANGE, node_in, .args = &in, .args_len = sizeof(in)), &out,
		sizeof(out));

	if (r)
		return r;
	return out.size <= len ? (int)out.size : FC_BAD_REPLY;
}

int fc_syncfs(struct fc_queue *q, uint64_t nodeid)
{
	struct fuse_syncfs_in in = { .padding = 0 };

	return call_out(
		q, &CALL(FUSE_SYNCFS, nodeid, .args = &in, .args_len = sizeof(in)), NULL, 0);
}

int fc_interrupt(struct fc_queue *q, uint64_t unique)
{
	struct fuse_interrupt_in in = { .unique = unique };

	return fc_call(q,
		&CALL(FUSE_INTERRUPT, 0, .args = &in, .args_len = sizeof(in), .no_reply = true),
		NULL);
}

static int each_dirent(
	const uint8_t *at, uint32_t left, bool plus, uint64_t *offset, fc_dirent_fn fn, void *ctx)
{
	size_t before = plus ? sizeof(struct fuse_entry_out) : 0;
	int n = 0;

	while (left) {
		struct fuse_entry_out entry = { .nodeid = 0 };
		struct fuse_dirent dirent;
		char name[256];
		size_t size;

		if (left < before + FUSE_NAME_OFFSET)
			return FC_BAD_REPLY;
		if (plus)
			memcpy(&entry, at, sizeof(entry));
		memcpy(&dirent, at + before, FUSE_NAME_OFFSET);
		size = before + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + dirent.namelen);
		if (dirent.namelen == 0 || dirent.namelen > 255 || size > left)
			return FC_BAD_REPLY;
		memcpy(name, at + before + FUSE_NAME_OFFSET, dirent.namelen);
		name[dirent.namelen] = '\0';
		*offset = dirent.off;
		n++;
		if (fn && !fn(ctx, name, &dirent, &entry))
			break;
		at += size;
		left -= (uint32_t)size;
	}
	return n;
}

int fc_readdir(struct fc_queue *q, uint64_t nodeid, uint64_t fh, bool plus, uint32_t size,
	uint64_t *offset, fc_dirent_fn fn, void *ctx)
{
	struct fuse_read_in in = { .fh = fh, .offset = *offset, .size = size };
	struct fc_reply reply;
	uint8_t *copy;
	int r = fc_call(q,
		&CALL(plus ? FUSE_READDIRPLUS : FUSE_READDIR, nodeid, .args = &in,
			.args_len = sizeof(in), .room = size),
		&reply);

	if (r)
		return r;
	/* The callback may send requests of its own, which take slots. */
	copy = malloc(reply.len + 1);
	if (!copy)
		return FC_NO_ROOM;
	memcpy(copy, reply.body, reply.len);
	r = each_dirent(copy, reply.len, plus, offset, fn, ctx);
	free(copy);
	return r;
}
