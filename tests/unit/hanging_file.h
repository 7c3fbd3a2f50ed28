/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file whose opening never ends: a FUSE server of our own takes the request and never answers.
 *
 * A thread that opens it sleeps uninterruptibly, SIGKILL or not, until the server is gone.
 */
#pragma once

#include <errno.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct hanging_file {
	char dir[32];  /* mount point, made by hanging_file_start() */
	char path[48]; /* of the file */
	pid_t server;
};

static inline struct stat hanging_stat(fuse_ino_t ino)
{
	return (struct stat){
		.st_ino = ino,
		.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644,
		.st_nlink = 1,
	};
}

static inline void hanging_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_entry_param entry = {
		.ino = 2,
		.attr = hanging_stat(2),
		.attr_timeout = 3600,
		.entry_timeout = 3600,
	};

	if (strcmp(name, "hang") == 0)
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static inline void hanging_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	const struct stat st = hanging_stat(ino);

	fuse_reply_attr(req, &st, 3600);
}

static inline void hanging_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	/* This is the point: the request is taken and forgotten. */
}

static inline void hanging_serve(const char *dir)
{
	static const struct fuse_lowlevel_ops ops = {
		.lookup = hanging_lookup,
		.getattr = hanging_getattr,
		.open = hanging_open,
	};
	char name[] = "hanging";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);

	if (session && fuse_session_mount(session, dir) == 0)
		fuse_session_loop(session);
	_exit(1);
}

/* Whoever sleeps on the file wakes up. */
static inline void hanging_file_stop(struct hanging_file *file)
{
	kill(file->server, SIGKILL);
	waitpid(file->server, NULL, 0);
	umount2(file->dir, MNT_DETACH);
	rmdir(file->dir);
}

/* False when this machine has no FUSE for us. */
static inline bool hanging_file_start(struct hanging_file *file)
{
	struct stat st;

	strcpy(file->dir, "/tmp/gw-hang.XXXXXX");
	if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0 || !mkdtemp(file->dir))
		return false;
	snprintf(file->path, sizeof(file->path), "%s/hang", file->dir);
	file->server = fork();
	if (file->server == 0) {
		/* A test that fails must leave nobody behind who sleeps, or has its output open. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hanging_serve(file->dir);
	}
	for (int tries = 0; tries < 1000; tries++) {
		if (stat(file->path, &st) == 0)
			return true;
		usleep(10000);
	}
	hanging_file_stop(file);
	return false;
}
