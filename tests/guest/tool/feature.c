/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: what newer kernels ask a FUSE server for, one command each. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file without a name, which gets its name when its bytes are there. */
int cmd_tmpfile(int argc, char **argv)
{
	char self[32], path[4096];
	struct stat st;
	int fd = open(argv[0], O_TMPFILE | O_RDWR, 0640);

	(void)argc;
	if (fd < 0)
		die(errno, "O_TMPFILE in %s", argv[0]);
	full_write(fd, "nameless", 8, argv[0]);
	if (fstat(fd, &st) || st.st_nlink != 0 || st.st_size != 8)
		die(errno, "a file without a name has %lu", (unsigned long)st.st_nlink);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	snprintf(path, sizeof(path), "%s/%s", argv[0], argv[1]);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
		die(errno, "link it to %s", path);
	if (stat(path, &st) || st.st_nlink != 1)
		die(errno, "%s has %lu links", path, (unsigned long)st.st_nlink);
	return close(fd) ? 1 : 0;
}

int cmd_btime(int argc, char **argv)
{
	struct statx stx;

	(void)argc;
	if (statx(AT_FDCWD, argv[0], AT_SYMLINK_NOFOLLOW, STATX_BTIME, &stx))
		die(errno, "statx %s", argv[0]);
	if (!(stx.stx_mask & STATX_BTIME))
		die(0, "%s has no birth time", argv[0]);
	printf("%lld.%09u\n", (long long)stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec);
	return 0;
}

/* chattr and lsattr: +d, -d, or what there is as a number. */
int cmd_flags(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY), flags;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags))
		die(errno, "FS_IOC_GETFLAGS %s", argv[0]);
	if (argc > 1) {
		flags = argv[1][0] == '+' ? flags | FS_NODUMP_FL : flags & ~FS_NODUMP_FL;
		if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
			die(errno, "FS_IOC_SETFLAGS %s", argv[0]);
	}
	printf("%#x\n", (unsigned int)flags);
	return 0;
}

/* So many lines, each by one write to a file that is open for appending only. */
int cmd_append(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_APPEND | O_CREAT, 0644);
	uint64_t n = number(argv[2]);
	char line[64];

	(void)argc;
	if (fd < 0)
		die(errno, "open %s", argv[0]);
	for (uint64_t i = 0; i < n; i++) {
		int len = snprintf(line, sizeof(line), "%s %llu\n", argv[1], (unsigned long long)i);

		full_write(fd, line, (size_t)len, argv[0]);
	}
	return close(fd) ? 1 : 0;
}

/* Makes FILE, setgid, as UID:GID with one supplementary group. */
int cmd_supplement(int argc, char **argv)
{
	gid_t group = (gid_t)number(argv[2]);

	(void)argc;
	umask(0);
	if (setgroups(1, &group) || setgid((gid_t)number(argv[1])) ||
		setuid((uid_t)number(argv[0])))
		die(errno, "set credentials");
	if (open(argv[3], O_CREAT | O_EXCL | O_WRONLY, 02775) < 0)
		die(errno, "create %s", argv[3]);
	return 0;
}

static void write_map(pid_t pid, const char *kind, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, kind);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(errno, "%s", path);
	close(fd);
}

/* A user namespace in which `on` of the file system are `as`, and whoever lives in it. */
static int make_namespace(const char *on, const char *as)
{
	int ready[2], fd;
	char map[64], path[64], byte;
	pid_t pid;

	if (pipe(ready) || (pid = fork()) < 0)
		die(errno, "fork");
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ready[0], &byte, 1) != 1)
		die(errno, "a user namespace");
	snprintf(map, sizeof(map), "%s %s 1\n", on, as);
	write_map(pid, "uid_map", map);
	write_map(pid, "gid_map", map);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(errno, "%s", path);
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	return fd;
}

/* Mounts DIR on TARGET once more, where the file system's id ON is AS. */
int cmd_idmap(int argc, char **argv)
{
	int tree = (int)syscall(
		SYS_open_tree, AT_FDCWD, argv[0], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};

	(void)argc;
	if (tree < 0)
		die(errno, "open_tree %s", argv[0]);
	attr.userns_fd = (uint64_t)make_namespace(argv[2], argv[3]);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		die(errno, "mount_setattr");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, argv[1], MOVE_MOUNT_F_EMPTY_PATH))
		die(errno, "move_mount %s", argv[1]);
	return 0;
}
