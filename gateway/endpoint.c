/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the front-end is to be met.
 *
 * The directory of a socket path is held open: what was reachable at the start stays so from within
 * a chroot, and a path of which a part is renamed meanwhile still means the same place. Only the
 * socket file that we made is ever removed: it is known by its device and inode number.
 */
#include "gateway/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhostuser/fd.h"
#include "vhostuser/log.h"
#include "vhostuser/socket.h"

static int open_dir(struct gw_endpoint *endpoint, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int r;

	endpoint->path = path;
	endpoint->name = slash ? slash + 1 : path;
	if (slash) {
		size_t len = slash == path ? 1 : (size_t)(slash - path);

		if (len >= sizeof(dir)) {
			log_error("socket", "the path is too long");
			return -ENAMETOOLONG;
		}
		memcpy(dir, path, len);
		dir[len] = '\0';
	}
	if (!*endpoint->name) {
		log_error(path, "names a directory, not a socket");
		return -EINVAL;
	}
	endpoint->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (endpoint->dir_fd >= 0)
		return 0;
	r = -errno;
	log_error(path, "the directory of the socket: %s", strerrordesc_np(-r));
	return r;
}

static int listen_at(struct gw_endpoint *endpoint, const char *path)
{
	struct stat st;
	mode_t mask;
	int r;

	/* Nobody else may connect to what is a way into the shared directory. */
	mask = umask(0077);
	r = vu_socket_listen(path, &endpoint->fd);
	umask(mask);
	if (r)
		return r;
	r = open_dir(endpoint, path);
	if (r) {
		unlink(path);
		return r;
	}
	if (fstatat(endpoint->dir_fd, endpoint->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISSOCK(st.st_mode)) {
		endpoint->made = true;
		endpoint->dev = st.st_dev;
		endpoint->ino = st.st_ino;
	}
	endpoint->role = GW_LISTENING;
	return 0;
}

static int take_fd(struct gw_endpoint *endpoint, int fd)
{
	enum vu_socket_kind kind;
	int r;

	r = vu_socket_kind(fd, &kind);
	if (r)
		return r;
	endpoint->fd = fd;
	endpoint->role = kind == VU_SOCKET_LISTENING ? GW_LISTENING : GW_CONNECTED;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	return fd_nonblock(fd);
}

int gw_endpoint_open(struct gw_endpoint *endpoint, const struct gw_options *options)
{
	int r;

	*endpoint = (struct gw_endpoint){.role = GW_CONNECTING, .fd = -1, .dir_fd = -1};
	if (options->socket_path)
		r = listen_at(endpoint, options->socket_path);
	else if (options->connect)
		r = open_dir(endpoint, options->connect);
	else
		r = take_fd(endpoint, options->fd);
	if (r)
		gw_endpoint_close(endpoint);
	return r;
}

void gw_endpoint_close(struct gw_endpoint *endpoint)
{
	fd_close(&endpoint->fd);
	fd_close(&endpoint->dir_fd);
}

void gw_endpoint_confine(struct gw_endpoint *endpoint)
{
	if (endpoint->role != GW_CONNECTING)
		fd_close(&endpoint->dir_fd);
}

void gw_endpoint_remove(struct gw_endpoint *endpoint)
{
	struct stat st;

	if (!endpoint->made ||
		fstatat(endpoint->dir_fd, endpoint->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		st.st_dev != endpoint->dev || st.st_ino != endpoint->ino)
		return;
	if (unlinkat(endpoint->dir_fd, endpoint->name, 0) != 0)
		log_warn(
			endpoint->path, "the socket cannot be removed: %s", strerrordesc_np(errno));
	endpoint->made = false;
}

int gw_endpoint_connect(const struct gw_endpoint *endpoint, int *fd)
{
	CLEANUP_FD int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	/* By way of the working directory, which nothing else uses: there is no connectat. */
	if (here < 0 || fchdir(endpoint->dir_fd) != 0)
		return -errno;
	r = vu_socket_connect(endpoint->name, fd);
	if (fchdir(here) != 0)
		log_error("working directory", "%s", strerrordesc_np(errno));
	return r;
}
