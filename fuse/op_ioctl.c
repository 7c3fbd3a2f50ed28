/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOCTL: flags of files (chattr, lsattr) and their extended ones, nothing else.
 *
 * What may pass is one table. Each row is a command of the host's with a private buffer of its
 * size: no command reaches the host that is not here, no guest address does at all, and answers
 * never ask the guest for more (FUSE_IOCTL_RETRY). Sizes are those that the data has: Linux numbers
 * FS_IOC_GETFLAGS as if it carried a long, which is an int on every machine. The host checks who
 * may: flags that take a privilege which we gave up (immutable, append-only) are EPERM.
 *
 * Which project a file counts for can be read but not changed. By projects a host bounds what a
 * directory takes of its disk, so a share's guests must not leave theirs; Linux has the same rule,
 * and error, for who has ids of his own (a user namespace).
 */
#include "fuse/op.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fuse/caller.h"
#include "fuse/killpriv.h"
#include "vhostuser/checked.h"

/* The answer's data, at the most. */
#define DATA_MAX sizeof(struct fsxattr)

static const struct command {
	uint32_t guest;     /* as the guest says it; 32-bit programs say another */
	unsigned long host; /* as the host takes it */
	uint32_t size;      /* of the data, one way */
	bool sets;          /* data comes from the guest, and something changes */
} commands[] = {
	{FS_IOC_GETFLAGS, FS_IOC_GETFLAGS, sizeof(int), false},
	{FS_IOC_SETFLAGS, FS_IOC_SETFLAGS, sizeof(int), true},
	{FS_IOC32_GETFLAGS, FS_IOC_GETFLAGS, sizeof(int), false},
	{FS_IOC32_SETFLAGS, FS_IOC_SETFLAGS, sizeof(int), true},
	{FS_IOC_FSGETXATTR, FS_IOC_FSGETXATTR, sizeof(struct fsxattr), false},
	{FS_IOC_FSSETXATTR, FS_IOC_FSSETXATTR, sizeof(struct fsxattr), true},
};
static_assert(sizeof(int) <= DATA_MAX, "the buffer of every command");

static const struct command *find(uint32_t guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].guest == guest)
			return &commands[i];
	}
	return NULL;
}

/* The row, if the request has what it takes; room in the answer is for the reply to judge. */
static int judge(const struct fuse_ioctl_in *in, const struct command **command)
{
	*command = find(in->cmd);
	if (!*command || in->flags & FUSE_IOCTL_UNRESTRICTED)
		return -ENOTTY;
	if ((*command)->sets)
		return in->in_size < (*command)->size ? -EINVAL : 0;
	return in->out_size < (*command)->size ? -EINVAL : 0;
}

static int call(int fd, unsigned long command, void *data)
{
	int r;

	do {
		r = ioctl(fd, command, data) < 0 ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

/* -EINVAL when `data` would move the file to another project, or have its children be in none. */
static int check_project(int fd, unsigned long command, const void *data)
{
	struct fsxattr now, wanted;
	int flags, wanted_flags, r;

	if (command == FS_IOC_SETFLAGS) {
		memcpy(&wanted_flags, data, sizeof(wanted_flags));
		r = call(fd, FS_IOC_GETFLAGS, &flags);
		return r == 0 && (flags ^ wanted_flags) & FS_PROJINHERIT_FL ? -EINVAL : r;
	}
	memcpy(&wanted, data, sizeof(wanted));
	r = call(fd, FS_IOC_FSGETXATTR, &now);
	if (r == 0 && (now.fsx_projid != wanted.fsx_projid ||
			      (now.fsx_xflags ^ wanted.fsx_xflags) & FS_XFLAG_PROJINHERIT))
		r = -EINVAL;
	return r;
}

static int run(struct fs_slot *slot, const struct command *command, void *data)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_ioctl_in *in = fs_slot_args(slot);
	struct fs_cred cred;
	int r = command->sets ? fs_may_change(slot) : 0;

	if (r == 0)
		r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	if (r < 0)
		return r;
	if (command->sets) {
		memcpy(data, in + 1, command->size);
		r = check_project(file.fd, command->host, data);
		if (r < 0)
			return r;
	}
	/* XFS takes setuid and setgid bits off with it, of one who is not root. */
	r = fs_kill_begin(slot, file.fd, command->sets && fs_caller_is_user(slot), &cred);
	if (r < 0)
		return r;
	r = call(file.fd, command->host, data);
	fs_cred_leave(&cred);
	return r;
}

void fs_op_ioctl(struct fs_slot *slot)
{
	const struct command *command;
	struct {
		struct fuse_ioctl_out out;
		uint8_t data[DATA_MAX];
	} answer = {0};
	int r = judge(fs_slot_args(slot), &command);

	if (r == 0)
		r = run(slot, command, answer.data);
	fs_answer(slot, r, &answer,
		sizeof(answer.out) + (r == 0 && !command->sets ? command->size : 0));
}
