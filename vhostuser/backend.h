/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end's end of one vhost-user connection (gate 1).
 *
 * Reads messages from a connected socket, checks each against one table (protocol.h), keeps the
 * control state of the connection (features, memory table, vring configuration) and tells a
 * device about what became of it. It knows neither event loops nor threads: the owner's loop calls
 * vu_backend_on_ready() when the socket is ready; every function and every callback runs on that
 * thread. Nothing here blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostuser/memory.h"
#include "vhostuser/virtqueue.h"

struct vu_backend;

/*
 * The device behind the connection. All callbacks get the config's ctx. A ring is started when it
 * has a size, addresses, a kick fd and is enabled.
 */
struct vu_backend_ops {
	/*
	 * Start ring `index`. All fds are non-blocking; `kick` is consumed, also on error; `call`
	 * and `err` (each may be -1) are borrowed until ring_fds or the end of ring_stop says
	 * otherwise. -EFAULT and -EINVAL (vq_start's: a bad ring of the guest's, logged there)
	 * break the ring and not the connection; another error means that we cannot, and the
	 * front-end is told so.
	 */
	int (*ring_start)(void *ctx, unsigned int index, const struct vq_config *config,
		struct vu_memory *memory, int kick, int call, int err);
	/*
	 * Stop ring `index`: no chain is popped any more. The device calls
	 * vu_backend_ring_stopped() within a stated bound, from within this callback or later;
	 * GET_VRING_BASE is answered then.
	 */
	void (*ring_stop)(void *ctx, unsigned int index);
	/*
	 * Other fds (borrowed, each may be -1) for a started ring. 0: the old ones are used no
	 * more. -errno: they still are.
	 */
	int (*ring_fds)(void *ctx, unsigned int index, int call, int err);
	/* Another kick fd (consumed) for a started ring. */
	void (*ring_kick)(void *ctx, unsigned int index, int kick);
	/* A started ring was disabled/enabled by SET_VRING_ENABLE: pause/resume popping at once. */
	void (*ring_enable)(void *ctx, unsigned int index, bool enable);
	/*
	 * SET_VRING_CALL came for ring `index`, started or not: the front-end has so many rings at
	 * least. NULL is fine.
	 */
	void (*ring_named)(void *ctx, unsigned int index);
	/* Another memory table (borrowed) is in force for all rings. */
	void (*memory)(void *ctx, struct vu_memory *memory);
	/*
	 * RESET_DEVICE, RESET_OWNER: the device is as new. All rings were stopped by ring_stop and
	 * are at rest; they are configured anew before they start again. Memory stays.
	 */
	void (*reset)(void *ctx);
	/*
	 * A device without a window may leave the next four NULL: then the channel's socket is
	 * closed, and no region is a part of a window.
	 *
	 * SET_PROTOCOL_FEATURES: what was agreed on.
	 */
	void (*protocol_features)(void *ctx, uint64_t features);
	/* SET_BACKEND_REQ_FD: the back-end request channel's socket (consumed). -errno: told. */
	int (*channel)(void *ctx, int fd);
	/* GET_SHMEM_CONFIG: the front-end has a window of config.shmem_size bytes from now on. */
	void (*shmem_asked)(void *ctx);
	/*
	 * A ring that was stopped is to begin at 0 again: what the driver before it did is over.
	 * Other rings may be started already, or follow; it is said once. NULL is fine.
	 */
	void (*renewed)(void *ctx);
	/*
	 * Memory of the front-end's, backed by this file at this offset, is about to be in the
	 * table. True: it is a part of the DAX window, where only payload may lie (gate 2).
	 */
	bool (*is_window)(
		void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa);
	/*
	 * Such a region came by ADD_MEM_REG, from a front-end that waits to hear of it. True: it is
	 * answered that this failed, and not added. NULL: never.
	 */
	bool (*refuses)(
		void *ctx, dev_t dev, ino_t ino, uint64_t offset, uint64_t size, uint64_t gpa);
	/* Fill `size` bytes of the config space from `offset`; -EINVAL outside of it. */
	int (*get_config)(void *ctx, uint32_t offset, void *data, uint32_t size);
};

struct vu_backend_config {
	uint64_t features;          /* virtio features offered (bit 30 included) */
	uint64_t protocol_features; /* protocol bits offered */
	unsigned int n_queues;      /* what GET_QUEUE_NUM answers */
	uint64_t shmem_size;        /* what GET_SHMEM_CONFIG declares as region 0; 0: not offered */
	bool foreign;               /* buffers outside memory may be parts of the window: vq_elem */
	const struct vu_backend_ops *ops;
	void *ctx;
};

/* Takes a connected socket (consumed, also on error; made non-blocking). */
int vu_backend_new(int fd, const struct vu_backend_config *config, struct vu_backend **backend);

/* Closes the socket and all fds it holds. Its owner has stopped the device's rings before. */
void vu_backend_free(struct vu_backend *backend);

/* The socket, for the loop; the back-end owns it. */
int vu_backend_fd(const struct vu_backend *backend);

/* What to wait for now: POLLIN and/or POLLOUT; 0 while an answer awaits vu_backend_ring_stopped. */
short vu_backend_events(const struct vu_backend *backend);

/*
 * Handles what is there. 0: go on. -ECONNRESET: the front-end left (not logged: it may). -EPROTO:
 * it broke the protocol, or did not ask to be told that its request cannot be met. Else an errno:
 * of the socket, or of the memory, fd or thread that such a request found us short of. These are
 * logged, one line. After an error only vu_backend_free() may follow.
 */
int vu_backend_on_ready(struct vu_backend *backend);

/*
 * True when part of a message came and the rest did not: the owner may lose patience after a
 * while (nothing here has a timer).
 */
bool vu_backend_partial(const struct vu_backend *backend);

/*
 * Guest memory was lost (vu_memory_fault). -EPROTO, logged, when it is in the table that is in
 * force: only vu_backend_free() may follow. 0: it was not of this connection, or no longer.
 */
int vu_backend_check_memory(struct vu_backend *backend);

/* The ring that ring_stop named is at rest; `base` is the next avail index to pop. */
void vu_backend_ring_stopped(struct vu_backend *backend, unsigned int index, uint16_t base);
