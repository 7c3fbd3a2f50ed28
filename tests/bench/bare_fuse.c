/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bare loop's operations, each with the fewest system calls that can do it: one for an
 * attribute, a name that is known, a read or write; CREATE needs three and FORGET one (the node's
 * fd), RELEASE and UNLINK one each.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/bare.h"

#define DIR_BUFFER 65536

/* An open directory: what getdents gave and was not handed out yet. */
struct bare_dir {
	int fd;
	size_t at, end;
	uint64_t offset; /* of the entry at `at` */
	_Alignas(8) char buffer[DIR_BUFFER];
};

struct dirent_of {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static int proc_fds; /* /proc/self/fd */
static int root;     /* the share, for handles */

/* BARE_FAULT: what is done wrong once in 50 times, for who says that he would notice. */
static enum fault { FAULT_NONE, FAULT_READ, FAULT_WRITE, FAULT_ENTRY } fault;

static bool err(enum fault kind)
{
	static unsigned int n;

	return __builtin_expect(fault == kind, 0) && ++n % 50 == 0;
}

int bare_fuse_open(const char *share)
{
	int fd = open(share, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *name = getenv("BARE_FAULT");
	struct stat st;

	proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || proc_fds < 0 || fstat(fd, &st) < 0)
		return -errno;
	root = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	umask(0);
	if (name)
		fault = !strcmp(name, "read")    ? FAULT_READ
			: !strcmp(name, "write") ? FAULT_WRITE
						 : FAULT_ENTRY;
	return bare_node_new(fd, st.st_dev, st.st_ino) == FUSE_ROOT_ID ? 0 : -EINVAL;
}

static struct fuse_attr attr_of(const struct stat *st)
{
	return (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

static int node_fd(uint64_t nodeid)
{
	return bare_node(nodeid)->fd;
}

static struct fuse_entry_out entry_of(uint64_t nodeid, const struct stat *st)
{
	bare_node(nodeid)->lookups++;
	return (struct fuse_entry_out){
		.nodeid = nodeid, .entry_valid = 1, .attr_valid = 1, .attr = attr_of(st)};
}

/* One system call for a node that is known; two more for another. */
static int lookup(int dir, const char *name, struct fuse_entry_out *out)
{
	uint64_t nodeid;
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	nodeid = bare_node_find(st.st_dev, st.st_ino);
	if (!nodeid) {
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		nodeid = bare_node_new(fd, st.st_dev, st.st_ino);
	}
	*out = entry_of(nodeid, &st);
	return 0;
}

/* What was just made: its node is new. */
static int enter(int dir, const char *name, struct fuse_entry_out *out)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*out = entry_of(bare_node_new(fd, st.st_dev, st.st_ino), &st);
	return 0;
}

static int create(const struct bare_request *r, uint8_t *body)
{
	const struct fuse_create_in *in = r->args;
	const char *name = (const char *)(in + 1);
	int dir = node_fd(r->in->nodeid);
	int fd = openat(dir, name, (int)in->flags | O_NOFOLLOW | O_CLOEXEC | O_CREAT, in->mode);
	struct fuse_open_out open = {.fh = (uint64_t)fd};
	int e = fd < 0 ? -errno : enter(dir, name, (void *)body);

	memcpy(body + sizeof(struct fuse_entry_out), &open, sizeof(open));
	return e < 0 ? e : (int)(sizeof(struct fuse_entry_out) + sizeof(open));
}

static struct file_handle *handle_of(struct bare_node *node)
{
	return (struct file_handle *)(void *)node->handle;
}

/* By its fd; the handle, by which it goes faster, is there from now on. */
static int open_first(struct bare_node *node, int flags)
{
	struct file_handle *handle = handle_of(node);
	char name[16];
	int mount;

	handle->handle_bytes = sizeof(node->handle) - sizeof(*handle);
	if (name_to_handle_at(node->fd, "", handle, &mount, AT_EMPTY_PATH) < 0)
		handle->handle_bytes = 0;
	snprintf(name, sizeof(name), "%d", node->fd);
	return openat(proc_fds, name, flags);
}

static int open_node(const struct bare_request *r, struct fuse_open_out *out)
{
	const struct fuse_open_in *in = r->args;
	struct bare_node *node = bare_node(r->in->nodeid);
	int fd;

	if (handle_of(node)->handle_bytes)
		fd = open_by_handle_at(root, handle_of(node), (int)in->flags | O_CLOEXEC);
	else
		fd = open_first(node, (int)in->flags | O_CLOEXEC);
	*out = (struct fuse_open_out){.fh = (uint64_t)fd};
	return fd < 0 ? -errno : (int)sizeof(*out);
}

/* ---- directories ---- */

static int open_dir(const struct bare_request *r, struct fuse_open_out *out)
{
	struct bare_dir *dir = malloc(sizeof(*dir));
	int n;

	if (!dir)
		return -ENOMEM;
	n = open_node(r, out);
	dir->fd = (int)out->fh;
	dir->at = dir->end = 0;
	dir->offset = 0;
	out->fh = (uintptr_t)dir;
	return n;
}

static struct bare_dir *dir_of(uint64_t fh)
{
	return (struct bare_dir *)(uintptr_t)fh;
}

static int release_dir(const struct fuse_release_in *in)
{
	close(dir_of(in->fh)->fd);
	free(dir_of(in->fh));
	return 0;
}

/* The entry at dir->at, read if need be; NULL: none any more. */
static const struct dirent_of *next_entry(struct bare_dir *dir)
{
	if (dir->at == dir->end) {
		long n = syscall(SYS_getdents64, dir->fd, dir->buffer, sizeof(dir->buffer));

		dir->at = 0;
		dir->end = n > 0 ? (size_t)n : 0;
	}
	return dir->end ? (const void *)(dir->buffer + dir->at) : NULL;
}

static int fill_entry(int dir, const struct dirent_of *entry, struct fuse_direntplus *plus)
{
	size_t len = strlen(entry->name);
	int e = 0;

	memset(&plus->entry_out, 0, sizeof(plus->entry_out));
	if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
		e = lookup(dir, entry->name, &plus->entry_out);
	plus->dirent = (struct fuse_dirent){.ino = entry->ino,
		.off = (uint64_t)entry->off,
		.namelen = (uint32_t)len,
		.type = entry->type};
	memcpy(plus->dirent.name, entry->name, len);
	return e;
}

static int read_dir(const struct bare_request *r)
{
	const struct fuse_read_in *in = r->args;
	struct bare_dir *dir = dir_of(in->fh);
	uint8_t *to = r->body.iov_base;
	const struct dirent_of *entry;
	size_t used = 0;

	if (in->offset != dir->offset) {
		lseek(dir->fd, (off_t)in->offset, SEEK_SET);
		dir->at = dir->end = 0;
		dir->offset = in->offset;
	}
	while ((entry = next_entry(dir)) != NULL) {
		size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + strlen(entry->name));

		if (used + size > in->size)
			break;
		if (fill_entry(dir->fd, entry, (void *)(to + used)) == 0 && !err(FAULT_ENTRY))
			used += size;
		dir->at += entry->reclen;
		dir->offset = (uint64_t)entry->off;
	}
	return (int)used;
}

/* ---- the others ---- */

static int get_attr(const struct bare_request *r, struct fuse_attr_out *out)
{
	struct stat st;

	if (fstat(node_fd(r->in->nodeid), &st) < 0)
		return -errno;
	*out = (struct fuse_attr_out){.attr_valid = 1, .attr = attr_of(&st)};
	return sizeof(*out);
}

static int stat_fs(const struct bare_request *r, struct fuse_statfs_out *out)
{
	struct statfs st;

	if (fstatfs(node_fd(r->in->nodeid), &st) < 0)
		return -errno;
	*out = (struct fuse_statfs_out){.st = {
						.blocks = st.f_blocks,
						.bfree = st.f_bfree,
						.bavail = st.f_bavail,
						.files = st.f_files,
						.ffree = st.f_ffree,
						.bsize = (uint32_t)st.f_bsize,
						.namelen = (uint32_t)st.f_namelen,
						.frsize = (uint32_t)st.f_frsize,
					}};
	return sizeof(*out);
}

static int init(const struct bare_request *r, struct fuse_init_out *out)
{
	const struct fuse_init_in *in = r->args;

	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
					     FUSE_DO_READDIRPLUS | FUSE_MAX_PAGES |
					     FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2),
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = 1u << 20,
		.time_gran = 1,
		.max_pages = 256,
	};
	return sizeof(*out);
}

static int write_file(const struct bare_request *r, struct fuse_write_out *out)
{
	const struct fuse_write_in *in = r->args;
	ssize_t n = (ssize_t)r->payload.iov_len;

	if (!err(FAULT_WRITE))
		n = pwrite((int)in->fh, r->payload.iov_base, r->payload.iov_len, (off_t)in->offset);
	*out = (struct fuse_write_out){.size = (uint32_t)n};
	return n < 0 ? -errno : (int)sizeof(*out);
}

static int read_file(const struct bare_request *r)
{
	const struct fuse_read_in *in = r->args;
	ssize_t n = pread((int)in->fh, r->body.iov_base, in->size, (off_t)in->offset);

	if (err(FAULT_READ))
		((uint8_t *)r->body.iov_base)[in->size / 2] ^= 1;
	return n < 0 ? -errno : (int)n;
}

static int rename_name(const struct bare_request *r)
{
	const struct fuse_rename_in *in = r->args;
	const char *from = (const char *)(in + 1), *to = from + strlen(from) + 1;

	return renameat(node_fd(r->in->nodeid), from, node_fd(in->newdir), to) < 0 ? -errno : 0;
}

static int make_dir(const struct bare_request *r)
{
	const struct fuse_mkdir_in *in = r->args;
	const char *name = (const char *)(in + 1);
	int dir = node_fd(r->in->nodeid), e;

	if (mkdirat(dir, name, in->mode) < 0)
		return -errno;
	e = enter(dir, name, r->body.iov_base);
	return e < 0 ? e : (int)sizeof(struct fuse_entry_out);
}

static int make_link(const struct bare_request *r)
{
	const char *name = r->args, *target = name + strlen(name) + 1;
	int dir = node_fd(r->in->nodeid), e;

	if (symlinkat(target, dir, name) < 0)
		return -errno;
	e = enter(dir, name, r->body.iov_base);
	return e < 0 ? e : (int)sizeof(struct fuse_entry_out);
}

static int forget(const struct bare_request *r)
{
	const struct fuse_batch_forget_in *in = r->args;
	const struct fuse_forget_one *ones = (const void *)(in + 1);

	for (uint32_t i = 0; i < in->count; i++)
		bare_node_forget(ones[i].nodeid, ones[i].nlookup);
	return 0;
}

/* The reply's bytes behind its header, or -errno. */
static int carry_out(const struct bare_request *r)
{
	int e;

	switch (r->in->opcode) {
	case FUSE_GETATTR:
		return get_attr(r, r->body.iov_base);
	case FUSE_LOOKUP:
		e = lookup(node_fd(r->in->nodeid), r->args, r->body.iov_base);
		return e < 0 ? e : (int)sizeof(struct fuse_entry_out);
	case FUSE_READ:
		return read_file(r);
	case FUSE_WRITE:
		return write_file(r, r->body.iov_base);
	case FUSE_OPEN:
		return open_node(r, r->body.iov_base);
	case FUSE_RELEASE:
		return close((int)((const struct fuse_release_in *)r->args)->fh) < 0 ? -errno : 0;
	case FUSE_CREATE:
		return create(r, r->body.iov_base);
	case FUSE_UNLINK:
		return unlinkat(node_fd(r->in->nodeid), r->args, 0) < 0 ? -errno : 0;
	case FUSE_RMDIR:
		return unlinkat(node_fd(r->in->nodeid), r->args, AT_REMOVEDIR) < 0 ? -errno : 0;
	case FUSE_MKDIR:
		return make_dir(r);
	case FUSE_SYMLINK:
		return make_link(r);
	case FUSE_RENAME:
		return rename_name(r);
	case FUSE_FSYNC:
		return fsync((int)((const struct fuse_fsync_in *)r->args)->fh) < 0 ? -errno : 0;
	case FUSE_STATFS:
		return stat_fs(r, r->body.iov_base);
	case FUSE_OPENDIR:
		return open_dir(r, r->body.iov_base);
	case FUSE_READDIRPLUS:
		return read_dir(r);
	case FUSE_RELEASEDIR:
		return release_dir(r->args);
	case FUSE_INIT:
		return init(r, r->body.iov_base);
	case FUSE_BATCH_FORGET:
		return forget(r);
	case FUSE_DESTROY:
		return 0;
	default:
		return -ENOSYS;
	}
}

uint32_t bare_fuse_serve(const struct bare_request *request)
{
	int n = carry_out(request);

	if (!request->out)
		return 0;
	*request->out = (struct fuse_out_header){
		.len = (uint32_t)sizeof(struct fuse_out_header) + (n > 0 ? (uint32_t)n : 0),
		.error = n < 0 ? n : 0,
		.unique = request->in->unique,
	};
	return request->out->len;
}
