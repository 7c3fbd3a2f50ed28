/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signalling an eventfd without ever waiting.
 *
 * Theory of operation. write() waits while an eventfd's counter is full and its open file is
 * blocking; whoever shares the open file decides about both, also between our asking and our
 * write(), and there is no write that does not wait for this one file. But the kernel itself
 * signals an eventfd, without waiting, when an asynchronous request ends that names it
 * (IOCB_FLAG_RESFD). So we read no byte of the eventfd, which ends at once with an error, and have
 * the eventfd told of that. The results pile up in the context's ring, are of no interest, and are
 * thrown away when it is full.
 *
 * The context is the process's, made by the first signal, and lasts as long as the process; a fork
 * does not take it along. Where there is none (fs.aio-max-nr, a filter of system calls, kernels
 * before 5.7, after a fork) the file is asked first and then written to.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vhostuser/fd.h"

#define RESULTS 64
/* Times that other threads may have filled the ring again after we emptied it. */
#define TRIES 16

static pthread_once_t once = PTHREAD_ONCE_INIT;
static aio_context_t context; /* 0: none */

static void drop_results(void)
{
	struct io_event results[RESULTS];
	struct timespec now = {0};

	(void)syscall(SYS_io_getevents, context, 0L, (long)RESULTS, results, &now);
}

/* A read of fd into `buf`, no byte of it, that signals fd. -EINVAL for what is no eventfd. */
static int submit(int fd, uint64_t buf)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = buf,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &request;

	for (int i = 0; i < TRIES; i++) {
		if (syscall(SYS_io_submit, context, 1L, &list) == 1)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		drop_results();
	}
	return -EAGAIN;
}

/* A child has the number, but no context. */
static void forget_context(void)
{
	context = 0;
}

static void make_context(void)
{
	CLEANUP_FD int probe = eventfd(0, EFD_CLOEXEC);

	if (pthread_atfork(NULL, NULL, forget_context) != 0 || probe < 0 ||
		syscall(SYS_io_setup, RESULTS, &context) < 0)
		context = 0;
	/* It has to know eventfds. */
	if (context && submit(probe, UINT64_MAX) != -EFAULT) {
		(void)syscall(SYS_io_destroy, context);
		context = 0;
	}
}

static int signal_by_kernel(int fd, uint64_t buf)
{
	pthread_once(&once, make_context);
	return context ? submit(fd, buf) : -ENOSYS;
}

static int signal_by_write(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;

	if (poll(&ready, 1, 0) < 0)
		return -errno;
	if (!(ready.revents & (POLLOUT | POLLERR | POLLNVAL)))
		return -EAGAIN;
	return write(fd, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* Asks only the kernel's eventfd code: a file system that does not answer is not asked at all. */
bool fd_is_eventfd(int fd)
{
	struct stat st;

	switch (signal_by_kernel(fd, UINT64_MAX)) {
	case -EFAULT: /* an eventfd; then the buffer was looked at */
		return true;
	case -ENOSYS:
	case -EAGAIN:
		return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
	default:
		return false;
	}
}

int fd_signal(int fd)
{
	int ret = signal_by_kernel(fd, 0);

	return ret == 0 || ret == -EBADF ? ret : signal_by_write(fd);
}
