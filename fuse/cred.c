/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Switching a thread's credentials and back.
 *
 * Only the effective ids change: real and saved ones stay the gateway's, so that no process of the
 * guest's user on the host may signal or trace the thread, and the way back stays open. Leaving
 * uid 0 clears the effective capabilities, so those that are kept are raised again; coming back to
 * it raises all permitted ones, so those that were not effective are lowered again.
 */
#include "fuse/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse/idmap.h"
#include "fuse/inode.h"
#include "vhostuser/log.h"

/* Supplementary groups of the gateway that can be restored; with more, guests' are left alone. */
#define GROUPS_MAX 256

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* What the guest permitted must succeed. Not CAP_FSETID, CAP_FOWNER or CAP_CHOWN. */
#define CAPS_KEPT (CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_MKNOD))

struct caps {
	uint64_t effective, permitted, inheritable;
};

/* Each thread's own; read from the kernel when it first switches. */
static _Thread_local struct {
	bool known;
	bool stuck; /* could not switch back */
	uid_t uid;
	gid_t gid;
	struct caps caps;
	bool regrouped; /* its groups are the guest's caller's */
	int n_groups;   /* -1: more than GROUPS_MAX, or not ours to change */
	gid_t groups[GROUPS_MAX];
} self;

static int caps_get(struct caps *caps)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	caps->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	caps->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	caps->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int caps_set(const struct caps *caps, uint64_t effective)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{(uint32_t)effective, (uint32_t)caps->permitted, (uint32_t)caps->inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(caps->permitted >> 32),
			(uint32_t)(caps->inheritable >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int set_euid(uid_t uid)
{
	return syscall(SYS_setresuid, -1, uid, -1) < 0 ? -errno : 0;
}

static int set_egid(gid_t gid)
{
	return syscall(SYS_setresgid, -1, gid, -1) < 0 ? -errno : 0;
}

/* Of this thread; libc's would be for all. */
static int set_groups(const gid_t *gids, size_t n)
{
	return syscall(SYS_setgroups, n, gids) < 0 ? -errno : 0;
}

bool fs_cred_usable(void)
{
	const uint64_t needed = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID);
	struct caps caps = {0};

	return geteuid() == 0 && caps_get(&caps) == 0 && (caps.effective & needed) == needed;
}

static int learn(void)
{
	int r = 0;

	if (!self.known) {
		self.uid = geteuid();
		self.gid = getegid();
		self.n_groups = getgroups(GROUPS_MAX, self.groups);
		r = caps_get(&self.caps);
		self.known = r == 0;
	}
	return r;
}

/* Every step may be repeated. */
static int come_back(void)
{
	int r = set_euid(self.uid);

	if (r == 0)
		r = set_egid(self.gid);
	if (r == 0 && self.regrouped) {
		r = set_groups(self.groups, (size_t)self.n_groups);
		self.regrouped = r < 0;
	}
	if (r == 0 && (self.stuck || self.caps.effective != self.caps.permitted))
		r = caps_set(&self.caps, self.caps.effective);
	self.stuck = r < 0;
	if (r < 0)
		log_error("credentials", "a thread cannot take its own back: errno %d", -r);
	return r;
}

/* Before any switch: the thread is itself. -EIO where it cannot be. */
static int begin(struct fs_cred *cred)
{
	*cred = (struct fs_cred){0};
	return learn() < 0 || (self.stuck && come_back() < 0) ? -EIO : 0;
}

/* Gives up CAP_FSETID, if there is something to give up. */
static int shed(struct fs_cred *cred)
{
	int r;

	if (!(self.caps.effective & CAP_BIT(CAP_FSETID)))
		return 0;
	r = caps_set(&self.caps, self.caps.effective & ~CAP_BIT(CAP_FSETID));
	cred->shed = r == 0;
	return r;
}

int fs_cred_enter(const struct fs_tree *tree, uid_t uid, gid_t gid, struct fs_cred *cred)
{
	return fs_cred_enter_groups(tree, uid, gid, NULL, 0, cred);
}

/*
 * While the thread still has the capability for it. Many a user namespace forbids it for good: a
 * file of a setgid directory may go without its own setgid bit then, which is the safe side.
 */
static int take_groups(const gid_t *gids, size_t n)
{
	int r;

	if (n == 0 || self.n_groups < 0)
		return 0;
	r = set_groups(gids, n);
	self.regrouped = r == 0;
	if (r == -EPERM)
		self.n_groups = -1;
	return r == -EPERM ? 0 : r;
}

int fs_cred_enter_groups(const struct fs_tree *tree, uid_t uid, gid_t gid, const uint32_t *gids,
	size_t n, struct fs_cred *cred)
{
	int r;

	*cred = (struct fs_cred){0};
	r = fs_ids_to_host(tree->config.ids, &uid, &gid);
	if (r < 0 || !tree->can_switch)
		return r;
	r = begin(cred);
	if (r < 0)
		return r;
	uid = tree->config.one_uid ? self.uid : uid;
	gid = tree->config.one_gid ? self.gid : gid;
	if (uid == self.uid && gid == self.gid)
		return 0;
	/* (uid_t)-1 would mean "leave as it is". */
	if (uid == (uid_t)-1 || gid == (gid_t)-1)
		return -EINVAL;

	cred->switched = true;
	r = take_groups(gids, tree->config.one_gid ? 0 : n);
	if (r == 0)
		r = set_egid(gid);
	if (r == 0)
		r = set_euid(uid);
	if (r == 0 && uid != self.uid)
		r = caps_set(&self.caps, self.caps.effective & CAPS_KEPT);
	if (r == 0)
		return 0;
	fs_cred_leave(cred);
	if (r == -EINVAL) {
		log_guest("credentials", "user %u or group %u of the guest has no counterpart here",
			uid, gid);
		r = -EPERM;
	}
	return r;
}

int fs_cred_shed(struct fs_cred *cred)
{
	int r = begin(cred);

	return r < 0 ? r : shed(cred);
}

int fs_cred_enter_group(const struct fs_tree *tree, gid_t gid, struct fs_cred *cred)
{
	uid_t none = (uid_t)-1;
	int r;

	*cred = (struct fs_cred){0};
	r = fs_ids_to_host(tree->config.ids, &none, &gid);
	if (r < 0 || !tree->can_switch)
		return r;
	r = begin(cred);
	if (r < 0)
		return r;
	gid = tree->config.one_gid ? self.gid : gid;
	if (gid == (gid_t)-1)
		return -EINVAL;

	cred->switched = true;
	r = take_groups(&gid, 1);
	if (r == 0)
		r = set_egid(gid);
	if (r == 0)
		r = shed(cred);
	if (r < 0)
		fs_cred_leave(cred);
	return r == -EINVAL ? -EPERM : r;
}

void fs_cred_leave(struct fs_cred *cred)
{
	/* Having less is no danger: like a switch, it is tried again before the next. */
	if (cred->shed && caps_set(&self.caps, self.caps.effective) < 0)
		self.stuck = true;
	if (cred->switched)
		come_back();
	*cred = (struct fs_cred){0};
}
