/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of views: a mount, the broker, a thread that serves, and a directory of real files. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dax/view.h"
#include "gateway/broker.h"

struct view_rig {
	struct gw_broker *broker;
	struct dax_view *view;
	pthread_t thread;
	char dir[64];
	int dir_fd;
};

static inline void *view_rig_serve(void *view)
{
	while (dax_view_serve_one(view) == 0)
		;
	return NULL;
}

/* Skips the test, with a reason, where mounts of our own are not to be had. */
static inline void view_rig_start(struct view_rig *rig, enum dax_view_kind kind)
{
	struct dax_mount mount;
	int r = gw_broker_mount(&mount);

	*rig = (struct view_rig){.dir_fd = -1};
	if (r) {
		print_message("no mount of our own: %s\n", strerrordesc_np(-r));
		skip();
	}
	if (kind == DAX_VIEW_PASSTHROUGH)
		assert_int_equal(gw_broker_start(&mount, &rig->broker), 0);
	assert_int_equal(dax_view_new(kind, &mount, gw_broker_ops(), rig->broker, &rig->view), 0);
	assert_int_equal(mount.fuse_fd, -1);
	assert_int_equal(mount.root_fd, -1);
	assert_int_equal(pthread_create(&rig->thread, NULL, view_rig_serve, rig->view), 0);
	strcpy(rig->dir, "test_view.XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	rig->dir_fd = open(rig->dir, O_DIRECTORY | O_CLOEXEC);
	assert_true(rig->dir_fd >= 0);
}

static inline void view_rig_stop(struct view_rig *rig)
{
	dax_view_stop(rig->view);
	pthread_join(rig->thread, NULL);
	dax_view_free(rig->view);
	gw_broker_free(rig->broker);
	close(rig->dir_fd);
	assert_int_equal(rmdir(rig->dir), 0);
}

/* A real file without a name, with `size` bytes of a pattern. */
static inline unsigned char view_rig_byte(size_t at)
{
	return (unsigned char)(at * 7 + at / 251 + 1);
}

static inline int view_rig_file(struct view_rig *rig, size_t size)
{
	int fd = openat(rig->dir_fd, "file", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	unsigned char *bytes = malloc(size + 1);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = view_rig_byte(i);
	assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
	free(bytes);
	return fd;
}

static inline void view_rig_remove(struct view_rig *rig)
{
	assert_int_equal(unlinkat(rig->dir_fd, "file", 0), 0);
}

/* The same file, opened anew. */
static inline int view_rig_reopen(int fd, int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	assert_true(again >= 0);
	return again;
}

/* Releases and forgets come after the last close, not with it. True when no view is left. */
static inline bool view_rig_drained(struct view_rig *rig, unsigned int rest)
{
	for (int ms = 0; dax_view_count(rig->view) > rest; ms++) {
		if (ms == 5000)
			return false;
		usleep(1000);
	}
	return dax_view_count(rig->view) == rest;
}
