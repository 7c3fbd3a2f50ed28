/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions behind the kinds, by file. kind->arg holds the flags. */
#pragma once

#include "tests/oracle/me.h"

/* ops_open.c */
or_run or_open, or_openat2, or_open_unlink, or_close, or_dup, or_dup_from;
/* ops_io.c */
or_run or_read, or_pread, or_readv, or_write, or_pwrite, or_writev, or_pwritev2;
or_run or_lseek, or_ftruncate, or_truncate, or_fallocate, or_copy_range, or_sendfile, or_sync;
/* ops_direct.c, ops_flags.c */
or_run or_direct, or_get_flags, or_set_flags;
/* ops_map.c */
or_run or_map_load, or_map_store, or_map_keep, or_map_peek, or_map_poke, or_map_drop;
/* ops_attr.c */
or_run or_stat, or_fstat, or_statx, or_access, or_chmod, or_fchmod, or_chown, or_fchown;
or_run or_utimens, or_futimens, or_statfs, or_fstatfs, or_umask;
/* ops_name.c */
or_run or_mkdir, or_rmdir, or_mknod, or_symlink, or_readlink, or_link, or_link_fd;
or_run or_unlink, or_rename, or_chdir, or_fchdir, or_home, or_getcwd;
/* ops_list.c */
or_run or_list_path, or_list_slot, or_dir_seek, or_dir_next;
/* ops_xattr.c */
or_run or_setxattr, or_fsetxattr, or_getxattr, or_fgetxattr, or_listxattr, or_removexattr;
or_run or_set_acl, or_get_acl;
/* ops_lock.c */
or_run or_posix_lock, or_posix_getlk, or_ofd_lock, or_ofd_getlk, or_flock;
