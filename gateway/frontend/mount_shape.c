/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of what is answered to which request. */
#include "gateway/frontend/mount_shape.h"

#include <string.h>

#include "vhostuser/checked.h"

/* As the kernel's own: a link's target fits in a page with its NUL. */
#define LINK_ROOM 4095u

enum kind {
	UNKNOWN,
	FIXED,  /* the room is `room` */
	SIZED,  /* and what the request says, in 32 bits at `size_at` of its arguments */
	XATTR,  /* what the request says, or for 0 the size that it would be */
	HIPRIO, /* no answer */
};

#define OUT(type)   sizeof(struct fuse_##type##_out)
#define AT(type, m) offsetof(struct fuse_##type##_in, m)

/* clang-format off */
static const struct row {
	enum kind kind;
	uint16_t room;
	uint16_t size_at;
} rows[] = {
	[FUSE_LOOKUP]          = {FIXED,  OUT(entry),             0},
	[FUSE_FORGET]          = {HIPRIO, 0,                      0},
	[FUSE_GETATTR]         = {FIXED,  OUT(attr),              0},
	[FUSE_SETATTR]         = {FIXED,  OUT(attr),              0},
	[FUSE_READLINK]        = {FIXED,  LINK_ROOM,              0},
	[FUSE_SYMLINK]         = {FIXED,  OUT(entry),             0},
	[FUSE_MKNOD]           = {FIXED,  OUT(entry),             0},
	[FUSE_MKDIR]           = {FIXED,  OUT(entry),             0},
	[FUSE_UNLINK]          = {FIXED,  0,                      0},
	[FUSE_RMDIR]           = {FIXED,  0,                      0},
	[FUSE_RENAME]          = {FIXED,  0,                      0},
	[FUSE_LINK]            = {FIXED,  OUT(entry),             0},
	[FUSE_OPEN]            = {FIXED,  OUT(open),              0},
	[FUSE_READ]            = {SIZED,  0,                      AT(read, size)},
	[FUSE_WRITE]           = {FIXED,  OUT(write),             0},
	[FUSE_STATFS]          = {FIXED,  OUT(statfs),            0},
	[FUSE_RELEASE]         = {FIXED,  0,                      0},
	[FUSE_FSYNC]           = {FIXED,  0,                      0},
	[FUSE_SETXATTR]        = {FIXED,  0,                      0},
	[FUSE_GETXATTR]        = {XATTR,  OUT(getxattr),          AT(getxattr, size)},
	[FUSE_LISTXATTR]       = {XATTR,  OUT(getxattr),          AT(getxattr, size)},
	[FUSE_REMOVEXATTR]     = {FIXED,  0,                      0},
	[FUSE_FLUSH]           = {FIXED,  0,                      0},
	[FUSE_INIT]            = {FIXED,  OUT(init),              0},
	[FUSE_OPENDIR]         = {FIXED,  OUT(open),              0},
	[FUSE_READDIR]         = {SIZED,  0,                      AT(read, size)},
	[FUSE_RELEASEDIR]      = {FIXED,  0,                      0},
	[FUSE_FSYNCDIR]        = {FIXED,  0,                      0},
	[FUSE_GETLK]           = {FIXED,  OUT(lk),                0},
	[FUSE_SETLK]           = {FIXED,  0,                      0},
	[FUSE_SETLKW]          = {FIXED,  0,                      0},
	[FUSE_ACCESS]          = {FIXED,  0,                      0},
	[FUSE_CREATE]          = {FIXED,  OUT(entry) + OUT(open), 0},
	[FUSE_INTERRUPT]       = {HIPRIO, 0,                      0},
	[FUSE_BMAP]            = {FIXED,  OUT(bmap),              0},
	[FUSE_DESTROY]         = {FIXED,  0,                      0},
	[FUSE_IOCTL]           = {SIZED,  OUT(ioctl),             AT(ioctl, out_size)},
	[FUSE_POLL]            = {FIXED,  OUT(poll),              0},
	[FUSE_BATCH_FORGET]    = {HIPRIO, 0,                      0},
	[FUSE_FALLOCATE]       = {FIXED,  0,                      0},
	[FUSE_READDIRPLUS]     = {SIZED,  0,                      AT(read, size)},
	[FUSE_RENAME2]         = {FIXED,  0,                      0},
	[FUSE_LSEEK]           = {FIXED,  OUT(lseek),             0},
	[FUSE_COPY_FILE_RANGE] = {FIXED,  OUT(write),             0},
	[FUSE_SYNCFS]          = {FIXED,  0,                      0},
	[FUSE_TMPFILE]         = {FIXED,  OUT(entry) + OUT(open), 0},
};
/* clang-format on */

struct fm_shape fm_shape_of(const uint8_t head[FM_HEAD])
{
	struct fuse_in_header header;
	const struct row *row;
	uint64_t room;
	uint32_t size;

	memcpy(&header, head, sizeof(header));
	if (header.opcode >= ARRAY_SIZE(rows) || rows[header.opcode].kind == UNKNOWN)
		return (struct fm_shape){.room = FM_PAYLOAD};
	row = &rows[header.opcode];
	room = row->room;
	memcpy(&size, head + sizeof(header) + row->size_at, sizeof(size));
	if (row->kind == SIZED)
		room += size;
	else if (row->kind == XATTR && size)
		room = size;
	return (struct fm_shape){
		.hiprio = row->kind == HIPRIO,
		.data = header.opcode == FUSE_WRITE,
		.room = (uint32_t)MIN(room, FM_PAYLOAD),
	};
}
