/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server of the private mount.
 *
 * Theory of operation. One thread reads requests of /dev/fuse and answers each before the next. It
 * serves LOOKUP of the names that dax_view_open() has entered, OPEN and RELEASE, attributes that
 * are the same for every file, READ for copies, and nothing else: the mount has no
 * directory to list and nothing to write. What is not served is refused.
 *
 * The kernel is on the other side of the fd, not the guest: lengths are checked, but what it says
 * about references is believed. Whoever holds a view (the front-end) may call it as a file:
 * truncate it, open it again through /proc. The first is refused, the second is one more open with
 * the same backing id, or ESTALE after the last close.
 *
 * An answer that the kernel does not take (the caller was killed) is taken back: it would never
 * send the RELEASE or FORGET.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dax/view_internal.h"
#include "dax/view_wire.h"
#include "vhostuser/fd.h"
#include "vhostuser/log.h"

/* The kernel wants room for its largest request: 8 KiB, or a WRITE, which is small here. */
#define MAX_WRITE    4096u
#define REQUEST_SIZE (16u * 1024)

static_assert(REQUEST_SIZE >= FUSE_MIN_READ_BUFFER &&
		      REQUEST_SIZE >= sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) +
					      MAX_WRITE,
	"the kernel refuses a smaller buffer");

/* Attributes never change. A year: long enough, and no overflow in any kernel. */
#define VALID_S (365u * 24 * 3600)

/* How often a serving thread that is to stop looks whether the last opener has left. */
#define STOP_POLL_MS 5

struct request {
	const struct fuse_in_header *header;
	const void *body;
	size_t len; /* of body */
};

int dax_view_server_init(struct dax_view *view)
{
	view->request = malloc(REQUEST_SIZE);
	view->answer = malloc(DAX_VIEW_READ_MAX);
	return view->request && view->answer ? 0 : -ENOMEM;
}

void dax_view_server_fini(struct dax_view *view)
{
	free(view->request);
	free(view->answer);
}

/* Answers; -errno when the kernel does not take it. */
static int answer(struct dax_view *view, const struct request *request, int error, const void *body,
	size_t len)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + len),
		.error = error,
		.unique = request->header->unique,
	};
	struct iovec iov[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)(uintptr_t)body, .iov_len = len},
	};

	return writev(view->mount.fuse_fd, iov, len ? 2 : 1) < 0 ? -errno : 0;
}

static void refuse(struct dax_view *view, const struct request *request, int error)
{
	/* Not taken: nobody waits for it any more. */
	(void)answer(view, request, error, NULL, 0);
}

static void on_init(struct dax_view *view, const struct request *request)
{
	const struct fuse_init_in *in = request->body;
	struct dax_fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = DAX_FUSE_MINOR};
	bool extended, can_pass;

	/* Kernels before 5.17 send a shorter one, without flags2. */
	if (request->len < offsetof(struct fuse_init_in, flags2) ||
		in->major != FUSE_KERNEL_VERSION) {
		refuse(view, request, -EPROTO);
		return;
	}
	extended = request->len >= sizeof(*in) && (in->flags & FUSE_INIT_EXT);
	can_pass = view->kind == DAX_VIEW_PASSTHROUGH && extended &&
		   (in->flags2 & DAX_FUSE_PASSTHROUGH2);
	out.minor = MIN(out.minor, in->minor);
	out.max_readahead = MIN(in->max_readahead, DAX_VIEW_READ_MAX);
	out.max_write = MAX_WRITE;
	out.time_gran = 1;
	if (can_pass) {
		out.flags = FUSE_INIT_EXT;
		out.flags2 = DAX_FUSE_PASSTHROUGH2;
		out.max_stack_depth = DAX_STACK_DEPTH;
	}
	if (answer(view, request, 0, &out, sizeof(out)) == 0)
		dax_view_set_state(view, DAX_VIEW_SERVING, can_pass);
}

static void fill_attr(struct fuse_attr *attr, uint64_t id)
{
	bool root = id == FUSE_ROOT_ID;

	*attr = (struct fuse_attr){
		.ino = id,
		.size = root ? 0 : DAX_VIEW_SIZE,
		.mode = root ? S_IFDIR | 0700u : S_IFREG | 0600u,
		.nlink = 1,
		.blksize = 4096,
	};
}

/* The id that a name stands for; 0 when it is not a name of ours. */
static uint64_t parse_name(const char *name, size_t len)
{
	uint64_t id = 0;

	/* len counts the NUL. 16 digits are all that fit. */
	if (len < 2 || len > 17 || name[len - 1] != '\0' || name[0] == '0')
		return 0;
	for (size_t i = 0; i + 1 < len; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return 0;
	}
	return id;
}

static void on_lookup(struct dax_view *view, const struct request *request)
{
	uint64_t id = parse_name(request->body, request->len);
	struct fuse_entry_out out = {.nodeid = id, .attr_valid = VALID_S};

	if (request->header->nodeid != FUSE_ROOT_ID || !id || !dax_view_lookup(view, id)) {
		refuse(view, request, -ENOENT);
		return;
	}
	fill_attr(&out.attr, id);
	if (answer(view, request, 0, &out, sizeof(out)) != 0)
		dax_view_forget(view, id, 1);
}

void dax_view_node_close(struct dax_view *view, struct dax_view_node *node)
{
	if (node->backing_id > 0)
		view->ops->close(view->ctx, node->backing_id);
	node->backing_id = 0;
	fd_close(&node->fd);
}

static void release(struct dax_view *view, struct dax_view_node *node)
{
	if (node->opens > 0 && --node->opens == 0)
		dax_view_node_close(view, node);
}

/* What a node needs at its first open; later ones have it. */
static int prepare_open(struct dax_view *view, struct dax_view_node *node)
{
	int id;

	if (node->backing_id > 0)
		return 0;
	if (node->fd < 0)
		return -ESTALE;
	if (node->copy)
		return 0;
	id = view->ops->open(view->ctx, node->fd);
	if (id <= 0)
		/* ENOSYS would mean to the kernel that opens need no server. */
		return id == 0 || id == -ENOSYS || id < -511 ? -EIO : id;
	node->backing_id = id;
	/* The kernel holds the file from now on. */
	fd_close(&node->fd);
	return 0;
}

static void on_open(struct dax_view *view, const struct request *request)
{
	struct dax_view_node *node = dax_view_find(view, request->header->nodeid);
	struct dax_fuse_open_out out = {.open_flags = FOPEN_NOFLUSH};
	int r = node ? prepare_open(view, node) : -ESTALE;

	if (r) {
		refuse(view, request, r);
		return;
	}
	if (node->backing_id > 0) {
		out.open_flags |= DAX_FOPEN_PASSTHROUGH;
		out.backing_id = node->backing_id;
	}
	node->opens++;
	if (answer(view, request, 0, &out, sizeof(out)) != 0)
		release(view, node);
}

static void on_release(struct dax_view *view, const struct request *request)
{
	struct dax_view_node *node = dax_view_find(view, request->header->nodeid);

	if (node)
		release(view, node);
	refuse(view, request, 0);
}

static void on_getattr(struct dax_view *view, const struct request *request)
{
	struct fuse_attr_out out = {.attr_valid = VALID_S};
	uint64_t id = request->header->nodeid;

	if (id != FUSE_ROOT_ID && !dax_view_find(view, id)) {
		refuse(view, request, -ESTALE);
		return;
	}
	fill_attr(&out.attr, id);
	(void)answer(view, request, 0, &out, sizeof(out));
}

/* Reads what there is; the rest of the buffer is zeros. */
static int read_filled(int fd, char *buffer, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, buffer + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	memset(buffer + done, 0, size - done);
	return 0;
}

static void on_read(struct dax_view *view, const struct request *request)
{
	struct dax_view_node *node = dax_view_find(view, request->header->nodeid);
	const struct fuse_read_in *in = request->body;
	int r = 0;

	/* Short answers would tell the kernel that the file ends there. */
	if (!node || request->len < sizeof(*in))
		r = -ESTALE;
	else if (!node->copy || in->size > DAX_VIEW_READ_MAX ||
		 !range_within(in->offset, in->size, DAX_VIEW_SIZE))
		r = -EINVAL;
	else if (node->fd < 0)
		r = -ESTALE;
	else
		r = read_filled(node->fd, view->answer, in->size, in->offset);
	if (r)
		refuse(view, request, r);
	else
		(void)answer(view, request, 0, view->answer, in->size);
}

static void on_statfs(struct dax_view *view, const struct request *request)
{
	const struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 16}};

	(void)answer(view, request, 0, &out, sizeof(out));
}

static void on_batch_forget(struct dax_view *view, const struct request *request)
{
	const struct fuse_batch_forget_in *in = request->body;
	const struct fuse_forget_one *one = (const void *)(in + 1);
	size_t room;

	if (request->len < sizeof(*in))
		return;
	room = (request->len - sizeof(*in)) / sizeof(*one);
	for (size_t i = 0; i < MIN(in->count, room); i++)
		dax_view_forget(view, one[i].nodeid, one[i].nlookup);
}

static void on_forget(struct dax_view *view, const struct request *request)
{
	const struct fuse_forget_in *in = request->body;

	if (request->len >= sizeof(*in))
		dax_view_forget(view, request->header->nodeid, in->nlookup);
}

/* How a request that is not served is refused. */
static int refusal(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_WRITE:
	case FUSE_FALLOCATE:
	case FUSE_SETATTR:
		return -EROFS;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
	case FUSE_LSEEK:
	case FUSE_POLL:
		return -ENOSYS; /* the kernel does without and does not ask again */
	case FUSE_FSYNC:
		return -EOPNOTSUPP; /* ENOSYS would mean success */
	default:
		return -EACCES;
	}
}

static void dispatch(struct dax_view *view, const struct request *request)
{
	static const struct {
		uint32_t opcode;
		void (*serve)(struct dax_view *view, const struct request *request);
	} table[] = {
		{FUSE_LOOKUP, on_lookup},
		{FUSE_OPEN, on_open},
		{FUSE_READ, on_read},
		{FUSE_RELEASE, on_release},
		{FUSE_FORGET, on_forget},
		{FUSE_BATCH_FORGET, on_batch_forget},
		{FUSE_GETATTR, on_getattr},
		{FUSE_STATFS, on_statfs},
		{FUSE_INIT, on_init},
	};
	uint32_t opcode = request->header->opcode;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].opcode == opcode) {
			table[i].serve(view, request);
			return;
		}
	}
	if (opcode == FUSE_INTERRUPT)
		return; /* nothing here takes long enough; it wants no answer */
	refuse(view, request, opcode == FUSE_DESTROY ? 0 : refusal(opcode));
}

/* Whether the thread may go: it is to stop, and nobody waits for it. */
static bool finished(struct dax_view *view, bool *stopping)
{
	bool idle;

	pthread_mutex_lock(&view->mutex);
	*stopping = view->state == DAX_VIEW_ENDED;
	idle = view->openers == 0;
	pthread_mutex_unlock(&view->mutex);
	return *stopping && idle;
}

/* 1: a request may be there. 0: look again. -ENODEV: over. */
static int wait_request(struct dax_view *view)
{
	struct pollfd fds[2] = {
		{.fd = view->mount.fuse_fd, .events = POLLIN},
		{.fd = view->stop_fd, .events = POLLIN},
	};
	bool stopping;

	if (finished(view, &stopping))
		return -ENODEV;
	if (poll(fds, stopping ? 1 : 2, stopping ? STOP_POLL_MS : -1) <= 0)
		return 0;
	return fds[0].revents != 0;
}

int dax_view_serve_one(struct dax_view *view)
{
	struct request request = {.header = view->request};
	int r = view->kind == DAX_VIEW_DIRECT ? -ENODEV : wait_request(view);
	ssize_t n;

	if (r <= 0)
		return r;
	n = read(view->mount.fuse_fd, view->request, REQUEST_SIZE);
	if (n < 0) {
		/* ENOENT: a request that was withdrawn. */
		if (errno == EAGAIN || errno == EINTR || errno == ENOENT)
			return 0;
		if (errno != ENODEV)
			log_error("view", "/dev/fuse: %s", strerrordesc_np(errno));
		dax_view_set_state(view, DAX_VIEW_ENDED, false);
		return -ENODEV;
	}
	if ((size_t)n < sizeof(*request.header) || request.header->len != (size_t)n)
		return 0;
	request.body = request.header + 1;
	request.len = (size_t)n - sizeof(*request.header);
	dispatch(view, &request);
	return 0;
}

static void notify(struct dax_view *view, int32_t code, const struct iovec *body, int n)
{
	struct fuse_out_header header = {.len = sizeof(header), .error = code};
	struct iovec iov[3] = {{.iov_base = &header, .iov_len = sizeof(header)}};

	for (int i = 0; i < n; i++) {
		iov[i + 1] = body[i];
		header.len += (uint32_t)body[i].iov_len;
	}
	/* ENOENT: the kernel does not have it in memory. */
	if (writev(view->mount.fuse_fd, iov, n + 1) < 0 && errno != ENOENT)
		log_debug("view", "notification %d: %s", code, strerrordesc_np(errno));
}

void dax_view_notify_pages(struct dax_view *view, uint64_t id)
{
	/* Length 0: to the end. */
	struct fuse_notify_inval_inode_out out = {.ino = id};
	const struct iovec body = {.iov_base = &out, .iov_len = sizeof(out)};

	notify(view, FUSE_NOTIFY_INVAL_INODE, &body, 1);
}

void dax_view_notify_name(struct dax_view *view, char *name)
{
	struct fuse_notify_inval_entry_out out = {
		.parent = FUSE_ROOT_ID,
		.namelen = (uint32_t)strlen(name),
	};
	const struct iovec body[2] = {
		{.iov_base = &out, .iov_len = sizeof(out)},
		{.iov_base = name, .iov_len = out.namelen + 1},
	};

	notify(view, FUSE_NOTIFY_INVAL_ENTRY, body, 2);
}
