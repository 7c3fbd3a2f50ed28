/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner, group and mode as the guest set them, kept in an extended attribute of the host's file:
 * for a gateway that may give files no owner but itself (--owner-xattr).
 *
 * The attribute is user.virtiofs.owner, its value "UID:GID:MODE" or, for a device,
 * "UID:GID:MODE:MAJOR,MINOR": decimal but for MODE, which is octal with the type's bits, as
 * st_mode; no NUL. The host allows it on regular files and directories. So devices, fifos and
 * sockets that a guest makes are empty regular files on the host; and a symbolic link has the owner
 * that it has on the host. A file without the attribute, or with one that makes no sense, is what
 * it is on the host.
 *
 * No locks: a value is read and replaced as a whole. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs_config;
struct fs_tree;

#define FS_OWNER_XATTR "user.virtiofs.owner"

/* The longest value, with room for a NUL. */
#define FS_OWNER_TEXT 64

struct fs_owner {
	uint32_t uid, gid;     /* the guest's */
	uint32_t mode;         /* with the type */
	uint32_t major, minor; /* of a device; else 0 */
};

/* Reads a value of `len` bytes: -EINVAL for what is no such value. */
int fs_owner_parse(const char *text, size_t len, struct fs_owner *owner);
/* Writes a value, with a NUL; its length. */
size_t fs_owner_print(const struct fs_owner *owner, char text[FS_OWNER_TEXT]);

/*
 * The permissions of the host's file for a guest's mode: the same for all but us, who can always
 * read and write (and search a directory); no setuid, setgid or sticky bit.
 */
mode_t fs_owner_host_mode(uint32_t mode);

/* Whether the file system of this directory (O_RDONLY) has user.* attributes. 0, or -errno. */
int fs_owner_probe(int dir_fd);

/* True when guests must neither see nor touch the attribute of this name. */
bool fs_owner_hides(const struct fs_config *config, const char *name);

/*
 * Puts into *stx, the attributes of `fd` (O_PATH or not), what the guest set, if it is kept: from
 * then on fs_owner_ids() knows that these are the guest's ids. Does nothing without --owner-xattr.
 * -errno when it cannot be told (no fd, no memory, a bad disk): the host's owner must not pass for
 * the guest's then.
 */
int fs_owner_show(const struct fs_tree *tree, int fd, struct statx *stx);

/* The guest's ids of what *stx describes. */
void fs_owner_ids(
	const struct fs_tree *tree, const struct statx *stx, uint32_t *uid, uint32_t *gid);

/*
 * Keeps *owner with the regular file or directory `fd` (O_PATH or not), and sets the host's mode,
 * of which a directory's setgid bit stays as it is. -EOPNOTSUPP for what else it is, or has no
 * attributes; -errno.
 */
int fs_owner_keep(const struct fs_tree *tree, int fd, const struct fs_owner *owner);

/*
 * The same for what was just made in `parent_fd`: its group and mode are those that a setgid
 * directory hands down. A program gets no setgid bit with a group that is not its maker's, who is
 * in owner->gid and in the `n` others of gids.
 */
int fs_owner_keep_new(const struct fs_tree *tree, int parent_fd, int fd,
	const struct fs_owner *owner, const uint32_t *gids, size_t n);
