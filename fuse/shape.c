/* SPDX-License-Identifier: BSD-3-Clause */
/* Gate 3: the table of FUSE requests, and the check of one against its row. */
#include "fuse/shape.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <linux/limits.h>
#include <string.h>

#include "fuse/ext.h"
#include "fuse/secctx.h"
#include "fuse/slot.h"
#include "fuse/wire.h"
#include "vhostuser/checked.h"

#define SILENT FS_SHAPE_SILENT
#define DEFER  FS_SHAPE_DEFER
#define READS  FS_SHAPE_READS
#define LISTS  FS_SHAPE_LISTS
#define EXT    FS_SHAPE_EXT

/* INIT begins with major and minor, whatever its version: 8 bytes. */
/* clang-format off */
#define IN(type)  sizeof(struct fuse_##type##_in)
#define OUT(type) sizeof(struct fuse_##type##_out)

/* Every form of SETXATTR begins so; FUSE_SETXATTR_EXT, once agreed on, adds to it. */
#define SETXATTR_IN FUSE_COMPAT_SETXATTR_IN_SIZE

#define CARRIED(X) \
/*	  opcode           arguments       names tail      least answer            flags */ \
	X(LOOKUP,          0,                   1, NONE,    OUT(entry),             0) \
	X(FORGET,          IN(forget),          0, NONE,    0,                      SILENT) \
	X(GETATTR,         IN(getattr),         0, NONE,    OUT(attr),              0) \
	X(SETATTR,         IN(setattr),         0, NONE,    OUT(attr),              0) \
	X(READLINK,        0,                   0, NONE,    0,                      0) \
	X(SYMLINK,         0,                   1, TARGET,  OUT(entry),             EXT) \
	X(MKNOD,           IN(mknod),           1, NONE,    OUT(entry),             EXT) \
	X(MKDIR,           IN(mkdir),           1, NONE,    OUT(entry),             EXT) \
	X(UNLINK,          0,                   1, NONE,    0,                      0) \
	X(RMDIR,           0,                   1, NONE,    0,                      0) \
	X(RENAME,          IN(rename),          2, NONE,    0,                      0) \
	X(LINK,            IN(link),            1, NONE,    OUT(entry),             0) \
	X(OPEN,            IN(open),            0, NONE,    OUT(open),              0) \
	X(READ,            IN(read),            0, NONE,    0,                      READS) \
	X(WRITE,           IN(write),           0, DATA,    OUT(write),             0) \
	X(STATFS,          0,                   0, NONE,    OUT(statfs),            0) \
	X(RELEASE,         IN(release),         0, NONE,    0,                      0) \
	X(FSYNC,           IN(fsync),           0, NONE,    0,                      DEFER) \
	X(SETXATTR,        SETXATTR_IN,         0, VALUE,   0,                      0) \
	X(GETXATTR,        IN(getxattr),        0, XATTR,   0,                      0) \
	X(LISTXATTR,       IN(getxattr),        0, NONE,    0,                      0) \
	X(REMOVEXATTR,     0,                   0, XATTR,   0,                      0) \
	X(FLUSH,           IN(flush),           0, NONE,    0,                      0) \
	X(INIT,            8,                   0, ANY,     0,                      0) \
	X(OPENDIR,         IN(open),            0, NONE,    OUT(open),              0) \
	X(READDIR,         IN(read),            0, NONE,    0,                      READS | LISTS) \
	X(RELEASEDIR,      IN(release),         0, NONE,    0,                      0) \
	X(FSYNCDIR,        IN(fsync),           0, NONE,    0,                      DEFER) \
	X(GETLK,           IN(lk),              0, NONE,    OUT(lk),                0) \
	X(SETLK,           IN(lk),              0, NONE,    0,                      0) \
	X(SETLKW,          IN(lk),              0, NONE,    0,                      0) \
	X(ACCESS,          IN(access),          0, NONE,    0,                      0) \
	X(CREATE,          IN(create),          1, NONE,    OUT(entry) + OUT(open), EXT) \
	X(INTERRUPT,       IN(interrupt),       0, NONE,    0,                      SILENT) \
	X(DESTROY,         0,                   0, NONE,    0,                      0) \
	X(BATCH_FORGET,    IN(batch_forget),    0, FORGETS, 0,                      SILENT) \
	X(FALLOCATE,       IN(fallocate),       0, NONE,    0,                      DEFER) \
	X(READDIRPLUS,     IN(read),            0, NONE,    0,                      READS | LISTS) \
	X(RENAME2,         IN(rename2),         2, NONE,    0,                      0) \
	X(LSEEK,           IN(lseek),           0, NONE,    OUT(lseek),             0) \
	X(COPY_FILE_RANGE, IN(copy_file_range), 0, NONE,    OUT(write),             DEFER) \
	X(SETUPMAPPING,    IN(setupmapping),    0, NONE,    0,                      0    ) \
	X(REMOVEMAPPING,   IN(removemapping),   0, RANGES,  0,                      0) \
	X(SYNCFS,          IN(syncfs),          0, NONE,    0,                      DEFER) \
	X(IOCTL,           IN(ioctl),           0, IOCTL,   OUT(ioctl),             0) \
	X(TMPFILE,         IN(create),          0, TARGET,  OUT(entry) + OUT(open), EXT)

/* The same of opcodes that the header may not have, so that they are no cases of its enum. */
#define CARRIED_LATE(X) \
	X(STATX, sizeof(struct fs_statx_in), 0, NONE, sizeof(struct fs_statx_out), 0) \
	X(COPY_FILE_RANGE_64, IN(copy_file_range), 0, NONE, sizeof(struct fs_copy_out), DEFER)
/* clang-format on */

/* Known and not carried: ENOSYS. A header with an opcode in neither list draws a warning below. */
#define ABSENT(X)                                                                                  \
	X(BMAP)                                                                                    \
	X(POLL)                                                                                    \
	X(NOTIFY_REPLY)

static const struct fs_shape shapes[] = {
#define SHAPE(args_, names_, tail_, answer_, flags_)                                               \
	{                                                                                          \
		.carried = true,                                                                   \
		.names = (names_),                                                                 \
		.tail = FS_TAIL_##tail_,                                                           \
		.flags = (flags_),                                                                 \
		.args = (args_),                                                                   \
		.answer = (answer_),                                                               \
	}
#define ROW(op, ...)      [FUSE_##op] = SHAPE(__VA_ARGS__),
#define ROW_LATE(op, ...) [FS_OP_##op] = SHAPE(__VA_ARGS__),
	CARRIED(ROW) CARRIED_LATE(ROW_LATE)
#undef ROW
#undef ROW_LATE
#undef SHAPE
};

const struct fs_shape *fs_shape_find(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(shapes) || !shapes[opcode].carried)
		return NULL;
	return &shapes[opcode];
}

/* Every opcode of the header must be a case here: -Wswitch-enum sees to it. */
const char *fs_opcode_name(uint32_t opcode)
{
	switch (opcode) {
#define CASE_LATE(op, ...)                                                                         \
	case FS_OP_##op:                                                                           \
		return #op;
		CARRIED_LATE(CASE_LATE)
#undef CASE_LATE
	}
	switch ((enum fuse_opcode)opcode) {
#define CASE(op, ...)                                                                              \
	case FUSE_##op:                                                                            \
		return #op;
		CARRIED(CASE)
		ABSENT(CASE)
#undef CASE
#if FUSE_KERNEL_MINOR_VERSION >= 39
	case FUSE_STATX:
#endif
#if FUSE_KERNEL_MINOR_VERSION >= 45
	case FUSE_COPY_FILE_RANGE_64:
#endif
	case CUSE_INIT:
	case CUSE_INIT_BSWAP_RESERVED:
	case FUSE_INIT_BSWAP_RESERVED:
		break;
	}
	return "?";
}

int fs_shape_measure(const struct fs_shape *shape, size_t len, size_t *copied)
{
	size_t most = shape->args + (size_t)shape->names * PATH_MAX;
	bool named = shape->names > 0;

	*copied = len;
	if (len < shape->args)
		return -EINVAL;
	if (shape->flags & FS_SHAPE_EXT)
		most += FS_EXT_MAX;
	switch ((enum fs_tail)shape->tail) {
	case FS_TAIL_NONE:
		break;
	case FS_TAIL_TARGET:
		most += PATH_MAX;
		break;
	case FS_TAIL_FORGETS:
		most = FS_COPY_MAX - sizeof(struct fuse_in_header);
		break;
	case FS_TAIL_RANGES:
		most += FS_RANGES_MAX * sizeof(struct fuse_removemapping_one);
		break;
	case FS_TAIL_XATTR:
		most += XATTR_NAME_MAX + 1;
		return len > most ? -ERANGE : 0;
	case FS_TAIL_VALUE:
		most = sizeof(struct fuse_setxattr_in) + XATTR_NAME_MAX + 1 + XATTR_SIZE_MAX;
		return len > most ? -E2BIG : 0;
	case FS_TAIL_IOCTL:
		most += FS_IOCTL_DATA_MAX;
		break;
	case FS_TAIL_DATA:
		*copied = shape->args;
		return 0;
	case FS_TAIL_ANY:
		*copied = MIN(len, sizeof(struct fuse_init_in));
		return 0;
	}
	if (len > most)
		return named ? -ENAMETOOLONG : -EINVAL;
	return 0;
}

/* One name at *pos, which moves past its NUL: a single component that means a child. */
static int check_name(const char **pos, const char *end)
{
	const char *name = *pos;
	const char *nul = memchr(name, '\0', (size_t)(end - name));

	if (!nul || nul == name)
		return -EINVAL;
	if (nul - name > NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name, '/', (size_t)(nul - name)) || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	*pos = nul + 1;
	return 0;
}

static int check_target(const char **pos, const char *end)
{
	const char *nul = memchr(*pos, '\0', (size_t)(end - *pos));

	if (!nul)
		return -EINVAL;
	if (nul == *pos)
		return -ENOENT;
	if (nul - *pos >= PATH_MAX)
		return -ENAMETOOLONG;
	*pos = nul + 1;
	return 0;
}

static int check_forgets(const void *args, size_t tail_len)
{
	struct fuse_batch_forget_in in;
	uint64_t size;

	memcpy(&in, args, sizeof(in));
	if (mul_overflows(in.count, sizeof(struct fuse_forget_one), &size) || size != tail_len)
		return -EINVAL;
	return 0;
}

static int check_ranges(const void *args, size_t tail_len)
{
	struct fuse_removemapping_in in;

	memcpy(&in, args, sizeof(in));
	if (in.count == 0 || in.count > FS_RANGES_MAX ||
		in.count * sizeof(struct fuse_removemapping_one) != tail_len)
		return -EINVAL;
	return 0;
}

static int check_data(const void *args, size_t tail_len)
{
	struct fuse_write_in in;

	memcpy(&in, args, sizeof(in));
	return in.size <= tail_len ? 0 : -EINVAL;
}

/* Not the name of a file: it may hold any character, and has its own limit and error. */
static int check_xattr(const char **pos, const char *end)
{
	const char *nul = memchr(*pos, '\0', (size_t)(end - *pos));

	if (!nul || nul == *pos)
		return -EINVAL;
	if (nul - *pos > XATTR_NAME_MAX)
		return -ERANGE;
	*pos = nul + 1;
	return 0;
}

static int check_setxattr(const void *args, const char *pos, const char *end, uint64_t agreed)
{
	const size_t more = sizeof(struct fuse_setxattr_in) - SETXATTR_IN;
	struct fuse_setxattr_in in;
	int r;

	memcpy(&in, args, SETXATTR_IN);
	if (agreed & FUSE_SETXATTR_EXT) {
		if ((size_t)(end - pos) < more)
			return -EINVAL;
		pos += more;
	}
	r = check_xattr(&pos, end);
	if (r < 0)
		return r;
	if (in.size > XATTR_SIZE_MAX)
		return -E2BIG;
	return in.size == (size_t)(end - pos) ? 0 : -EINVAL;
}

static int check_ioctl(const void *args, size_t tail_len)
{
	struct fuse_ioctl_in in;

	memcpy(&in, args, sizeof(in));
	return in.in_size == tail_len ? 0 : -EINVAL;
}

static int check_extensions(const char *pos, const char *end, uint64_t agreed)
{
	const uint64_t known = FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP;
	size_t len = (size_t)(end - pos), at = 0;
	struct fs_ext ext;
	int r = 0;

	if (len > 0)
		r = agreed & known ? fs_ext_check(pos, len) : -EINVAL;
	while (r == 0 && fs_ext_next(pos, len, &at, &ext)) {
		if (ext.type > FUSE_MAX_NR_SECCTX)
			continue;
		r = agreed & FUSE_SECURITY_CTX ? fs_secctx_check(&ext) : -EINVAL;
	}
	return r;
}

int fs_shape_check(const struct fs_shape *shape, const void *args, size_t len, uint64_t agreed)
{
	const char *pos = (const char *)args + shape->args;
	const char *end = (const char *)args + len;
	int r = 0;

	for (unsigned int i = 0; i < shape->names && r == 0; i++)
		r = check_name(&pos, end);
	if (r < 0)
		return r;
	switch ((enum fs_tail)shape->tail) {
	case FS_TAIL_NONE:
		break;
	case FS_TAIL_TARGET:
		r = check_target(&pos, end);
		break;
	case FS_TAIL_FORGETS:
		return check_forgets(args, (size_t)(end - pos));
	case FS_TAIL_RANGES:
		return check_ranges(args, (size_t)(end - pos));
	case FS_TAIL_XATTR:
		r = check_xattr(&pos, end);
		break;
	case FS_TAIL_VALUE:
		return check_setxattr(args, pos, end, agreed);
	case FS_TAIL_IOCTL:
		return check_ioctl(args, (size_t)(end - pos));
	case FS_TAIL_DATA:
		return check_data(args, (size_t)(end - pos));
	case FS_TAIL_ANY:
		return 0;
	}
	if (r < 0)
		return r;
	if (shape->flags & FS_SHAPE_EXT)
		return check_extensions(pos, end, agreed);
	return pos == end ? 0 : -EINVAL;
}

const void *fs_shape_ext(const struct fs_shape *shape, const void *args, size_t len, size_t *size)
{
	const char *pos = (const char *)args + shape->args;
	unsigned int strings = shape->names + (shape->tail == FS_TAIL_TARGET);

	for (unsigned int i = 0; i < strings; i++)
		pos += strlen(pos) + 1;
	*size = (size_t)((const char *)args + len - pos);
	return pos;
}
