/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of a view: its nodes (view.c), the server of the private mount (view_serve.c). */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dax/view.h"

#define DAX_VIEW_BUCKETS 256

/* Largest READ of the kernel: 32 pages, its limit for a server that asks for no more. */
#define DAX_VIEW_READ_MAX (128u * 1024)

/* One view: a file of the private mount. Lives until the kernel forgets it. */
struct dax_view_node {
	struct dax_view_node *next; /* in its bucket */
	uint64_t id;
	int fd;    /* the real file, owned; -1 when only the backing id is needed */
	bool copy; /* no passthrough: pages of its own, and reads only. Constant */
	dev_t dev;
	ino_t ino;
	/* The serving thread's alone: */
	int backing_id; /* 0: none */
	uint64_t opens;
	/* Under the view's mutex: */
	uint64_t lookups; /* references that the kernel holds */
	bool pending;     /* dax_view_open() holds one, too */
};

enum dax_view_state {
	DAX_VIEW_STARTING, /* INIT is not answered */
	DAX_VIEW_SERVING,
	DAX_VIEW_ENDED, /* stopped, or the mount is gone */
};

struct dax_view {
	enum dax_view_kind kind;
	struct dax_mount mount; /* owned */
	const struct dax_backing_ops *ops;
	void *ctx;
	int stop_fd; /* eventfd */
	void *request;
	void *answer;

	pthread_mutex_t mutex;  /* of all below */
	pthread_cond_t changed; /* state */
	enum dax_view_state state;
	bool can_pass;        /* the kernel knows passthrough */
	unsigned int openers; /* threads in dax_view_open() that the server must still answer */
	uint64_t last_id;
	unsigned int count, copies; /* nodes, and those that are copies */
	struct dax_view_node *buckets[DAX_VIEW_BUCKETS];
};

/* ---- view.c: nodes. Any thread. ---- */

/* The node of this id, or NULL. The serving thread may go on using it: only it lets go of a node
 * that has lookups. */
struct dax_view_node *dax_view_find(struct dax_view *view, uint64_t id);

/* The kernel got a reference to a node (NULL when there is no such one), or drops `n`. */
struct dax_view_node *dax_view_lookup(struct dax_view *view, uint64_t id);
void dax_view_forget(struct dax_view *view, uint64_t id, uint64_t n);

/* DAX_VIEW_ENDED is for good. Wakes who waits for the mount to be ready. */
void dax_view_set_state(struct dax_view *view, enum dax_view_state state, bool can_pass);

/* ---- view_serve.c ---- */

/* Room for what the kernel may send; 0 or -ENOMEM. */
int dax_view_server_init(struct dax_view *view);
void dax_view_server_fini(struct dax_view *view);

/* Tells the kernel to drop the cached pages of a node, or the name of one. Any thread but the
 * serving one, for whose answers the kernel may have to wait first. */
void dax_view_notify_pages(struct dax_view *view, uint64_t id);
void dax_view_notify_name(struct dax_view *view, char *name);

/* Closes what an open node has: its backing id, its fd. */
void dax_view_node_close(struct dax_view *view, struct dax_view_node *node);
