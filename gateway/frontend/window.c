/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end's DAX window.
 *
 * One reservation without access, over which MAP puts pieces of files by MAP_FIXED and UNMAP puts
 * back the reservation: both replace pages at once, so a load beside them never sees a gap. A byte
 * a page says what is there. Every entry of a message is checked before the first takes effect.
 *
 * With shmem a mapping may not overlap another and is unmapped exactly as it was mapped, so the
 * pages' bytes also mark where a mapping starts; its end is the next start or free page. The other
 * dialects map over what is there, and unmap whatever lies in a range.
 */
#include "gateway/frontend/window.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhostuser/checked.h"

#define PAGE  4096u
#define START 0x80u /* a mapping starts at this page */

struct fw_window {
	struct fw_config config;
	uint8_t *base;
	uint8_t *pages; /* access bits and START; 0: nothing */
	_Atomic uint64_t mapped;
	bool exact; /* shmem: no overlap, unmapped as it was mapped */
};

int fw_window_new(const struct fw_config *config, struct fw_window **out)
{
	struct fw_window *window;

	if (!config->size || config->size % PAGE || config->size > INT64_MAX)
		return -EINVAL;
	window = calloc(1, sizeof(*window));
	if (!window)
		return -ENOMEM;
	window->config = *config;
	window->exact = dax_dialect_batch(config->dialect) == 1;
	window->pages = calloc(config->size / PAGE, 1);
	window->base = mmap(
		NULL, config->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!window->pages || window->base == MAP_FAILED) {
		window->base = window->base == MAP_FAILED ? NULL : window->base;
		fw_window_free(window);
		return -ENOMEM;
	}
	*out = window;
	return 0;
}

void fw_window_free(struct fw_window *window)
{
	if (!window)
		return;
	if (window->base)
		munmap(window->base, window->config.size);
	free(window->pages);
	free(window);
}

const struct dax_dialect *fw_window_dialect(const struct fw_window *window)
{
	return window->config.dialect;
}

uint8_t *fw_window_base(const struct fw_window *window)
{
	return window->base;
}

uint64_t fw_window_size(const struct fw_window *window)
{
	return window->config.size;
}

uint64_t fw_window_gpa(const struct fw_window *window)
{
	return window->config.gpa;
}

uint64_t fw_window_mapped(const struct fw_window *window)
{
	return window->mapped;
}

/* ---- the pages' bytes ---- */

static void mark(struct fw_window *window, uint64_t offset, uint64_t len, uint32_t access)
{
	uint64_t first = offset / PAGE, n = (len + PAGE - 1) / PAGE;

	for (uint64_t i = first; i < first + n; i++) {
		if (window->pages[i])
			window->mapped -= PAGE;
		window->pages[i] = (uint8_t)access;
		if (access)
			window->mapped += PAGE;
	}
	if (access)
		window->pages[first] |= START;
}

static bool is_free(const struct fw_window *window, uint64_t offset, uint64_t len)
{
	for (uint64_t i = offset / PAGE; i < (offset + len + PAGE - 1) / PAGE; i++)
		if (window->pages[i])
			return false;
	return true;
}

static bool is_one_mapping(const struct fw_window *window, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / PAGE, end = (offset + len + PAGE - 1) / PAGE;

	if (!(window->pages[first] & START))
		return false;
	for (uint64_t i = first + 1; i < end; i++)
		if (!window->pages[i] || (window->pages[i] & START))
			return false;
	return end == window->config.size / PAGE || !window->pages[end] ||
	       (window->pages[end] & START);
}

/* ---- checks ---- */

static bool in_window(const struct fw_window *window, const struct dax_entry *entry)
{
	return entry->window_offset % PAGE == 0 &&
	       range_within(entry->window_offset, entry->len, window->config.size);
}

/* What mmap would refuse only after it has taken away what was there. */
static int check_file(int fd, uint32_t access)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	return (access & DAX_WRITE) && (flags & O_ACCMODE) != O_RDWR ? -EACCES : 0;
}

static int check_map(
	const struct fw_window *window, const struct dax_entry *entries, size_t n, int fd)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!in_window(window, &entries[i]) || entries[i].fd_offset % PAGE ||
			entries[i].fd_offset + entries[i].len > INT64_MAX || !entries[i].access)
			r = -EINVAL;
		else if (window->exact &&
			 !is_free(window, entries[i].window_offset, entries[i].len))
			r = -EEXIST;
		else
			r = check_file(fd, entries[i].access);
	}
	return r;
}

/* ---- operations ---- */

static int drop(struct fw_window *window, uint64_t offset, uint64_t len)
{
	void *at = mmap(window->base + offset, len, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	mark(window, offset, len, 0);
	return 0;
}

static int op_map(struct fw_window *window, const struct dax_entry *entries, size_t n, int fd)
{
	int r = check_map(window, entries, n, fd);

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct dax_entry *e = &entries[i];
		int prot = ((e->access & DAX_READ) ? PROT_READ : 0) |
			   ((e->access & DAX_WRITE) ? PROT_WRITE : 0);
		void *at = mmap(window->base + e->window_offset, e->len, prot,
			MAP_SHARED | MAP_FIXED, fd, (off_t)e->fd_offset);

		if (at != MAP_FAILED) {
			mark(window, e->window_offset, e->len, e->access);
			continue;
		}
		r = -errno;
		/* Past the checks there is only lack of resources: all of the message goes. */
		for (size_t j = 0; j <= i; j++)
			(void)drop(window, entries[j].window_offset, entries[j].len);
	}
	return r;
}

static int op_unmap(struct fw_window *window, const struct dax_entry *entries, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dax_entry *e = &entries[i];
		bool everything = !window->exact && e->len == FW_EVERYTHING && !e->window_offset;

		if (!everything && !in_window(window, e))
			return -EINVAL;
		if (window->exact && !is_one_mapping(window, e->window_offset, e->len))
			return -ENOENT;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct dax_entry *e = &entries[i];

		r = drop(window, e->window_offset,
			e->len == FW_EVERYTHING ? window->config.size : e->len);
	}
	return r;
}

static int op_sync(const struct fw_window *window, const struct dax_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!in_window(window, &entries[i]))
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (msync(window->base + entries[i].window_offset, entries[i].len, MS_SYNC) < 0)
			return -errno;
	return 0;
}

/* The guest address may lie in the window or in memory; the window's pages say EFAULT themselves.
 */
static uint8_t *guest_address(const struct fw_window *window, uint64_t gpa, uint64_t len)
{
	const struct fw_config *config = &window->config;

	if (gpa >= config->gpa && range_within(gpa - config->gpa, len, config->size))
		return window->base + (gpa - config->gpa);
	return config->host ? config->host(config->ctx, gpa, len) : NULL;
}

static int64_t op_io(
	const struct fw_window *window, const struct dax_entry *entries, size_t n, int fd)
{
	int64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dax_entry *e = &entries[i];
		uint8_t *at = guest_address(window, e->window_offset, e->len);
		ssize_t got;

		if (!at)
			return total ? total : -EFAULT;
		if (e->access & DAX_READ)
			got = pread(fd, at, e->len, (off_t)e->fd_offset);
		else if (e->access & DAX_WRITE)
			got = pwrite(fd, at, e->len, (off_t)e->fd_offset);
		else
			return -EINVAL;
		if (got < 0)
			return total ? total : -errno;
		total += got;
		if ((uint64_t)got < e->len)
			break;
	}
	return total;
}

int64_t fw_window_request(struct fw_window *window, uint32_t code, const void *payload, size_t size,
	const struct vu_fds *fds, enum dax_op *op, struct dax_entry *entries, size_t *n)
{
	int r = dax_decode(window->config.dialect, code, payload, size, op, entries, n);
	int64_t result;
	bool file;

	if (r < 0) {
		*n = 0;
		return r == -EPROTO ? -EINVAL : r;
	}
	file = *op == DAX_OP_MAP || *op == DAX_OP_IO;
	if (fds->n != (file ? 1 : 0))
		return -EINVAL;
	switch (*op) {
	case DAX_OP_MAP:
		result = op_map(window, entries, *n, fds->fd[0]);
		break;
	case DAX_OP_UNMAP:
		result = op_unmap(window, entries, *n);
		break;
	case DAX_OP_SYNC:
		result = op_sync(window, entries, *n);
		break;
	case DAX_OP_IO:
		result = op_io(window, entries, *n, fds->fd[0]);
		break;
	case DAX_OPS:
	default:
		result = -EOPNOTSUPP;
		break;
	}
	return result;
}

void fw_window_clear(struct fw_window *window)
{
	(void)drop(window, 0, window->config.size);
}

/* ---- loads and stores ---- */

static _Thread_local sigjmp_buf fault_return;
static _Thread_local volatile sig_atomic_t guarded;

static void on_fault(int signo)
{
	if (guarded)
		siglongjmp(fault_return, 1);
	/* Not ours: die of it. */
	signal(signo, SIG_DFL);
}

int fw_window_catch_faults(void)
{
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};

	return sigaction(SIGSEGV, &sa, NULL) < 0 || sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

static int guarded_copy(void *to, const void *from, size_t len)
{
	if (sigsetjmp(fault_return, 1)) {
		guarded = 0;
		return -EFAULT;
	}
	guarded = 1;
	memcpy(to, from, len);
	guarded = 0;
	return 0;
}

int fw_window_load(const struct fw_window *window, uint64_t offset, void *to, size_t len)
{
	if (!range_within(offset, len, window->config.size))
		return -EFAULT;
	return guarded_copy(to, window->base + offset, len);
}

int fw_window_store(const struct fw_window *window, uint64_t offset, const void *from, size_t len)
{
	if (!range_within(offset, len, window->config.size))
		return -EFAULT;
	return guarded_copy(window->base + offset, from, len);
}
