/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the front-end is to be met.
 *
 * The directory of a socket path is held open: what was reachable at the start stays so from within
 * a chroot, and a path of which a part is renamed meanwhile still means the same place. Only the
 * socket file that we made is ever removed: it is known by its device and inode number.
 *
 * Beside a socket of ours lies SOCKET.pid, as virtiofsd has it: the number of the process to be
 * signalled, which holds a lock on the file (fcntl) for as long as it runs.
 */
#include "gateway/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhostuser/fd.h"
#include "vhostuser/log.h"
#include "vhostuser/number.h"
#include "vhostuser/socket.h"

/* It is connected to by way of its directory, so the name alone has to fit. */
#define SOCKET_NAME_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* `option` is what said the path. */
static int open_dir(struct gw_endpoint *endpoint, const char *option, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int r;

	endpoint->path = path;
	endpoint->name = slash ? slash + 1 : path;
	if (slash) {
		size_t len = slash == path ? 1 : (size_t)(slash - path);

		if (len >= sizeof(dir)) {
			log_error(option, "the path is too long");
			return -ENAMETOOLONG;
		}
		memcpy(dir, path, len);
		dir[len] = '\0';
	}
	if (!*endpoint->name) {
		log_error(option, "%s names a directory, not a socket", path);
		return -EINVAL;
	}
	if (strlen(endpoint->name) > SOCKET_NAME_MAX) {
		log_error(option, "the name is too long for a socket: %zu bytes, at most %zu",
			strlen(endpoint->name), SOCKET_NAME_MAX);
		return -ENAMETOOLONG;
	}
	endpoint->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (endpoint->dir_fd >= 0)
		return 0;
	r = -errno;
	log_error(option, "%s: the directory of the socket: %s", path, strerrordesc_np(-r));
	return r;
}

/* The number of a group given by name or as a number. */
static int group_of(const char *name, gid_t *gid)
{
	const struct group *group = getgrnam(name);
	uint64_t number;

	if (group) {
		*gid = group->gr_gid;
		return 0;
	}
	if (vu_number_parse(name, 10, UINT32_MAX - 1, &number))
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

/* The owner's alone until the group is the right one. */
static int give_to_group(const struct gw_endpoint *endpoint, const char *name)
{
	gid_t gid;
	int r = group_of(name, &gid);

	if (r) {
		log_error("socket", "--socket-group: there is no group '%s'", name);
		return r;
	}
	if (fchownat(endpoint->dir_fd, endpoint->name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) == 0 &&
		fchmodat(endpoint->dir_fd, endpoint->name, 0770, 0) == 0)
		return 0;
	r = -errno;
	log_error("socket", "--socket-group: it cannot be given to group '%s': %s", name,
		strerrordesc_np(-r));
	return r;
}

/* The directory may be anybody's: only a file of ours, with no other name, is written to. */
static int open_pid(const struct gw_endpoint *endpoint)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	CLEANUP_FD int fd = -1;
	char name[NAME_MAX + 8];
	struct stat st;

	snprintf(name, sizeof(name), "%s.pid", endpoint->name);
	fd = openat(endpoint->dir_fd, name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) != 0 || fcntl(fd, F_SETLK, &whole) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
		return -EEXIST;
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* SOCKET.pid is a service to scripts: where it cannot be, the rest works all the same. */
static void write_pid(struct gw_endpoint *endpoint)
{
	int fd = open_pid(endpoint);

	if (fd < 0)
		log_warn(endpoint->path, "%s.pid cannot be written: %s", endpoint->name,
			strerrordesc_np(-fd));
	endpoint->pid_fd = fd < 0 ? -1 : fd;
}

static int listen_at(struct gw_endpoint *endpoint, const char *path, const char *group)
{
	struct stat st;
	mode_t mask;
	int r;

	/* Nobody else may connect to what is a way into the shared directory. */
	mask = umask(0077);
	r = vu_socket_listen(path, "--socket-path", &endpoint->fd);
	umask(mask);
	if (r)
		return r;
	r = open_dir(endpoint, "--socket-path", path);
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
	r = group ? give_to_group(endpoint, group) : 0;
	if (r)
		gw_endpoint_remove(endpoint);
	else
		write_pid(endpoint);
	return r;
}

static int take_fd(struct gw_endpoint *endpoint, int fd)
{
	enum vu_socket_kind kind;
	int r;

	r = vu_socket_kind(fd, "--fd", &kind);
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

	*endpoint = (struct gw_endpoint){
		.role = GW_CONNECTING, .fd = -1, .dir_fd = -1, .pid_fd = -1};
	if (options->socket_path)
		r = listen_at(endpoint, options->socket_path, options->socket_group);
	else if (options->connect)
		r = open_dir(endpoint, "--connect", options->connect);
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
	fd_close(&endpoint->pid_fd);
}

void gw_endpoint_confine(struct gw_endpoint *endpoint)
{
	if (endpoint->role != GW_CONNECTING)
		fd_close(&endpoint->dir_fd);
	fd_close(&endpoint->pid_fd);
}

/* Where the file is still the one that we hold locked. */
static void remove_pid(struct gw_endpoint *endpoint)
{
	struct stat ours, there;
	char name[NAME_MAX + 8];

	if (endpoint->pid_fd < 0)
		return;
	snprintf(name, sizeof(name), "%s.pid", endpoint->name);
	if (fstat(endpoint->pid_fd, &ours) == 0 &&
		fstatat(endpoint->dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		unlinkat(endpoint->dir_fd, name, 0);
	fd_close(&endpoint->pid_fd);
}

void gw_endpoint_remove(struct gw_endpoint *endpoint)
{
	struct stat st;

	remove_pid(endpoint);

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
