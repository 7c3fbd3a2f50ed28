/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Credentials: creating files as the guest's caller.
 *
 * What creates a file takes on the caller's uid and gid for that one system call, so that owner,
 * setgid directories and quotas come out right on every file system. The guest's kernel has
 * checked the permissions already, with the caller's supplementary groups, which we do not know:
 * so the capabilities that override permissions stay, while those that would keep setuid and
 * setgid bits alive do not. Everything else runs with the gateway's own credentials.
 *
 * Credentials belong to the thread (raw system calls; libc's would change all threads).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fs_tree;

/* Opaque state of a switch, on the caller's stack. */
struct fs_cred {
	bool switched;
	bool shed;
};

/*
 * True when this process may take on other users' credentials; else files will belong to the
 * user that it runs as.
 */
bool fs_cred_usable(void);

/*
 * Takes on the host's ids for the guest's uid and gid, on this thread, until fs_cred_leave. Does
 * nothing when the tree cannot switch, or there is nothing to switch. On errors nothing is
 * switched: -EINVAL for the id -1, which is none; -EPERM for one that is forbidden, or does not
 * exist here (user namespaces); -EIO when an earlier switch could not be undone.
 */
int fs_cred_enter(const struct fs_tree *tree, uid_t uid, gid_t gid, struct fs_cred *cred);

/*
 * The same with `n` supplementary groups of the caller's in place of the gateway's; they decide
 * whether a setgid bit may be set. Without any, the gateway's stay, and so they do where the
 * system lets nobody change them or has one group only.
 */
int fs_cred_enter_groups(const struct fs_tree *tree, uid_t uid, gid_t gid, const uint32_t *gids,
	size_t n, struct fs_cred *cred);

/*
 * Goes on without CAP_FSETID, on this thread, until fs_cred_leave: the host then clears setuid and
 * setgid bits as for an unprivileged caller. Nothing to do where the process lacks it anyway. Not
 * to be nested with fs_cred_enter. -EIO as there; -errno: it is still there.
 */
int fs_cred_shed(struct fs_cred *cred);

/*
 * Takes on the group and no other, and goes on without CAP_FSETID: so that a changed ACL costs a
 * file of another group its setgid bit. Otherwise as fs_cred_enter().
 */
int fs_cred_enter_group(const struct fs_tree *tree, gid_t gid, struct fs_cred *cred);

/*
 * Takes the gateway's credentials again. If the kernel refuses (out of memory), the thread stays
 * with the guest's, which are never more than its own: it is tried again before the next switch,
 * and until it works nothing is created on this thread.
 */
void fs_cred_leave(struct fs_cred *cred);
