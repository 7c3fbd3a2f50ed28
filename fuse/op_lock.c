/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GETLK, SETLK, SETLKW.
 *
 * A lock that is free is set in place, or, where that takes a server's answer, on a thread that may
 * block. SETLKW's request is given to a wait (lock_wait.c) when the lock is not free.
 */
#include "fuse/op.h"

#include <errno.h>
#include <fcntl.h>

#include "fuse/lock.h"

/* The lock that the request speaks of. */
static int read_lock(const struct fs_slot *slot, struct fs_lock *lock)
{
	const struct fuse_lk_in *in = fs_slot_args(slot);
	uint64_t kind;

	*lock = (struct fs_lock){
		.owner = in->owner,
		.flock = in->lk_flags & FUSE_LK_FLOCK,
		.range = {.start = in->lk.start, .end = in->lk.end, .type = in->lk.type},
	};
	lock->range.pid = in->lk.pid;
	kind = lock->flock ? FUSE_FLOCK_LOCKS : FUSE_POSIX_LOCKS;
	if (!(slot->session->init_flags & kind))
		return -ENOSYS;
	if (in->lk_flags & ~(uint32_t)FUSE_LK_FLOCK)
		return -EINVAL;
	if (in->lk.type != F_RDLCK && in->lk.type != F_WRLCK && in->lk.type != F_UNLCK)
		return -EINVAL;
	if (lock->flock) {
		lock->range.start = 0;
		lock->range.end = FS_RANGE_END;
		return 0;
	}
	if (in->lk.start > in->lk.end || in->lk.start > FS_RANGE_END)
		return -EINVAL;
	if (lock->range.end > FS_RANGE_END)
		lock->range.end = FS_RANGE_END;
	return 0;
}

/* As fcntl() has it: a lock needs a file that is open for what it guards. flock() does not care. */
static int check_access(const struct fs_handle *handle, const struct fs_lock *lock)
{
	int access = handle->flags & O_ACCMODE;

	if (lock->flock || lock->range.type == F_UNLCK)
		return 0;
	if (handle->inode->type != S_IFREG)
		return -EINVAL;
	if (access == (lock->range.type == F_WRLCK ? O_RDONLY : O_WRONLY))
		return -EBADF;
	return 0;
}

static int test_lock(struct fs_slot *slot, struct fuse_lk_out *out)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_lk_in *in = fs_slot_args(slot);
	struct fs_range found;
	struct fs_lock lock;
	int r = read_lock(slot, &lock);

	if (r == 0 && (lock.flock || lock.range.type == F_UNLCK))
		r = -EINVAL;
	if (r == 0)
		r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	if (r == 0)
		r = fs_lock_test(file.tree, file.handle, &lock, &found);
	if (r < 0)
		return r;
	*out = (struct fuse_lk_out){.lk = in->lk};
	out->lk.type = found.type;
	if (found.type == F_UNLCK)
		return 0;
	out->lk.start = found.start;
	out->lk.end = found.end;
	out->lk.pid = found.pid;
	return 0;
}

static void answer_test(struct fs_slot *slot)
{
	struct fuse_lk_out out;
	int r = test_lock(slot, &out);

	fs_answer(slot, r, &out, sizeof(out));
}

/* *wait is set, and the request to be given to it, when it is to wait. */
static int set_lock(struct fs_slot *slot, struct fs_lock_wait **wait)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_lk_in *in = fs_slot_args(slot);
	struct fs_lock lock;
	int r = read_lock(slot, &lock);

	if (r == 0)
		r = fs_file_get(slot, slot->header.nodeid, in->fh, &file);
	if (r == 0)
		r = check_access(file.handle, &lock);
	if (r == 0)
		r = fs_lock_set(file.tree, file.handle, &lock);
	if (r != -EAGAIN || slot->header.opcode != FUSE_SETLKW)
		return r;
	return fs_lock_wait_new(slot, file.handle, &lock, wait);
}

static void answer_set(struct fs_slot *slot)
{
	struct fs_lock_wait *wait = NULL;
	int r = set_lock(slot, &wait);

	if (wait)
		fs_lock_wait_start(wait);
	else
		fs_reply_err(slot, r);
}

/* Would the host's file system ask a server? */
static bool is_remote(const struct fs_slot *slot)
{
	CLEANUP_FILE struct fs_file file = {0};
	const struct fuse_lk_in *in = fs_slot_args(slot);

	return fs_file_get(slot, slot->header.nodeid, in->fh, &file) == 0 &&
	       file.handle->inode->volume->remote;
}

static void run(struct fs_slot *slot, void (*answer)(struct fs_slot *slot))
{
	if (is_remote(slot))
		fs_slot_defer(slot, answer);
	else
		answer(slot);
}

void fs_op_getlk(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, struct flock *lock)
{
	run(fs_slot_claim(req), answer_test);
}

/* The opcode tells whether to wait. */
void fs_op_setlk(
	fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
	run(fs_slot_claim(req), answer_set);
}

void fs_op_flock(fuse_req_t req, fuse_ino_t nodeid, struct fuse_file_info *fi, int operation)
{
	run(fs_slot_claim(req), answer_set);
}
