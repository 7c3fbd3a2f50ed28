/* SPDX-License-Identifier: BSD-3-Clause */
/* Owned file descriptors. */
#include "vhostuser/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd); /* Linux frees the number even when it reports EINTR: never twice */
	*fd = -1;
	errno = saved;
}

int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

void fd_move(int *dst, int *src)
{
	if (dst == src)
		return;
	fd_close(dst);
	*dst = fd_steal(src);
}

int fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int fds_take(struct vu_fds *fds, size_t i)
{
	return i < fds->n ? fd_steal(&fds->fd[i]) : -1;
}

void fds_close(struct vu_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		fd_close(&fds->fd[i]);
	fds->n = 0;
}
