/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of operations.
 */
#include "fuse/ops.h"

#include "fuse/op.h"
#include "fuse/wire.h"
#include "vhostuser/checked.h"

const struct fuse_lowlevel_ops fs_ops = {
	.lookup = fs_op_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = fs_op_getattr,
	.setattr = fs_op_setattr,
	.readlink = fs_op_readlink,
	.symlink = fs_op_symlink,
	.mknod = fs_op_mknod,
	.mkdir = fs_op_mkdir,
	.unlink = fs_op_unlink,
	.rmdir = fs_op_rmdir,
	.rename = fs_op_rename,
	.link = fs_op_link,
	.open = fs_op_open,
	.create = fs_op_create,
	.read = fs_op_read,
	.write_buf = fs_op_write_buf,
	.flush = fs_op_flush,
	.release = fs_op_release,
	.fsync = fs_op_fsync,
	.opendir = fs_op_opendir,
	.readdir = fs_op_readdir,
	.readdirplus = fs_op_readdirplus,
	.releasedir = fs_op_release,
	.fsyncdir = fs_op_fsync,
	.statfs = fs_op_statfs,
	.access = fs_op_access,
	.getxattr = fs_op_getxattr,
	.listxattr = fs_op_listxattr,
	.removexattr = fs_op_removexattr,
	.fallocate = fs_op_fallocate,
	.lseek = fs_op_lseek,
	.copy_file_range = fs_op_copy_file_range,
	.getlk = fs_op_getlk,
	.setlk = fs_op_setlk,
	.flock = fs_op_flock,
};

fs_own_op *fs_own_op_find(uint32_t opcode)
{
	static const struct {
		uint32_t opcode;
		fs_own_op *op;
	} own[] = {
		{FUSE_SETUPMAPPING, fs_op_setupmapping},
		{FUSE_REMOVEMAPPING, fs_op_removemapping},
		{FUSE_SYNCFS, fs_op_syncfs},
		{FUSE_SETXATTR, fs_op_setxattr},
		{FUSE_TMPFILE, fs_op_tmpfile},
		{FUSE_IOCTL, fs_op_ioctl},
		{FS_OP_STATX, fs_op_statx},
		{FS_OP_COPY_FILE_RANGE_64, fs_op_copy_file_range_64},
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i].opcode == opcode)
			return own[i].op;
	return NULL;
}
