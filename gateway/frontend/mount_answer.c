/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of the device, judged before the kernel gets them: see mount_queue.c. */
#include "gateway/frontend/mount_queue_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "gateway/frontend/mount_init.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* What the kernel takes for an error in an answer. */
#define ERROR_MAX 511

static void broken(struct fm_queue *queue, const struct fm_slot *slot, const char *what,
	int64_t got, int64_t wanted)
{
	log_error(queue->name,
		"the back-end broke the protocol: %s of the answer to request %" PRIu64
		" (opcode %" PRIu32 ") is %" PRId64 ", not %" PRId64,
		what, slot->unique, slot->opcode, got, wanted);
	queue->end = FM_BROKEN;
}

/* The header of an answer, and how long the device says that it is. */
static bool judge(struct fm_queue *queue, const struct fm_slot *slot,
	const struct fuse_out_header *out, uint32_t used)
{
	if (used < OUT_HEADER)
		broken(queue, slot, "the used length", used, OUT_HEADER);
	else if (used > slot->room)
		broken(queue, slot, "the used length", used, slot->room);
	else if (out->len != used)
		broken(queue, slot, "the length", out->len, used);
	else if (out->unique != slot->unique)
		broken(queue, slot, "the unique number", (int64_t)out->unique,
			(int64_t)slot->unique);
	else if (out->error > 0 || out->error < -ERROR_MAX)
		broken(queue, slot, "the error", out->error, 0);
	else if (out->error && used != OUT_HEADER)
		broken(queue, slot, "the length with an error", used, OUT_HEADER);
	return queue->end == FM_RUNNING;
}

static void deliver(struct fm_queue *queue, const struct fm_slot *slot, struct fuse_out_header *out,
	uint8_t *body)
{
	struct iovec iov[] = {{out, OUT_HEADER}, {body, out->len - OUT_HEADER}};
	ssize_t n;

	do
		n = writev(slot->fuse_fd, iov, out->len > OUT_HEADER ? 2 : 1);
	while (n < 0 && errno == EINTR);
	/* ENOENT: nobody waits for it any more. Others: no connection any more; reading tells. */
	if (n >= 0 || errno == ENOENT || errno == ENODEV || errno == EPERM || errno == ECONNABORTED)
		return;
	queue->end = errno == EINVAL ? FM_BROKEN : FM_FAILED;
	if (queue->end == FM_BROKEN)
		log_error(queue->name,
			"the back-end broke the protocol: the kernel takes no answer of %" PRIu32
			" bytes to request %" PRIu64 " (opcode %" PRIu32 ")",
			out->len, slot->unique, slot->opcode);
	else
		log_error(queue->name, "/dev/fuse cannot be written: %s", strerror(errno));
}

static void answer_init(
	struct fm_queue *queue, const struct fm_slot *slot, struct fuse_out_header *out)
{
	struct fuse_init_out init = {0};

	memcpy(&init, slot->answer + OUT_HEADER, out->len - OUT_HEADER);
	fm_init_accept(&init, queue->offered);
	deliver(queue, slot, out, (uint8_t *)&init);
	if (out->error || init.major != FUSE_KERNEL_VERSION) {
		if (out->error)
			log_error(queue->name, "the back-end refused INIT: %s",
				strerror(-out->error));
		else
			log_error(queue->name, "the back-end speaks FUSE %" PRIu32 ", not %d",
				init.major, FUSE_KERNEL_VERSION);
		queue->end = FM_BROKEN;
	} else {
		(void)fd_signal(queue->config.ready);
	}
}

static void take_answer(struct fm_queue *queue, struct fm_slot *slot, uint32_t used)
{
	struct fuse_out_header out;

	queue->in_flight--;
	memcpy(&out, slot->answer, sizeof(out));
	if (judge(queue, slot, &out, used)) {
		if (slot->opcode == FUSE_INIT)
			answer_init(queue, slot, &out);
		else if (fm_wait_answered(queue, slot, &out))
			deliver(queue, slot, &out, slot->answer + OUT_HEADER);
	}
	fm_slot_free(queue, slot);
}

bool fm_answers(struct fm_queue *queue)
{
	bool some = false;
	uint32_t used;
	void *cookie;

	while (queue->end == FM_RUNNING && vq_driver_take(queue->config.ring, &cookie, &used)) {
		some = true;
		if (cookie) {
			take_answer(queue, cookie, used);
			continue;
		}
		log_error(queue->name, "the back-end broke the protocol: it returned a chain that "
				       "it was not given");
		queue->end = FM_BROKEN;
	}
	return some;
}
