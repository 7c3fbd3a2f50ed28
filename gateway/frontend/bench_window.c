/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A window as upstream QEMU has it (SHMEM): its size is the back-end's word, and mappings become
 * memory regions of the guest where slots can be added.
 *
 * The channel's thread sends on the main connection, which nobody else does once all is open.
 */
#include "gateway/frontend/bench_window.h"

#include <errno.h>
#include <stdlib.h>

#include "gateway/frontend/channel.h"
#include "gateway/frontend/window.h"

#define WINDOW_GPA UINT64_C(0x10000000000)

struct fb_window {
	struct fw_window *window;
	struct fw_channel *channel;
	int fd; /* the channel's, which the front-end owns */
};

bool fb_window_wanted(const struct fb_options *options)
{
	for (unsigned int i = 0; i < options->n_picks; i++)
		if (options->picks[i].row->window)
			return true;
	return false;
}

static int region(void *ctx, bool add, const struct dax_entry *entry, int fd)
{
	struct fb_device *device = ctx;
	struct vu_mem_reg_msg msg = {
		.region = {.gpa = WINDOW_GPA + entry->window_offset,
			.size = entry->len,
			.user_addr = (uintptr_t)fw_window_base(device->window->window) +
				     entry->window_offset,
			.mmap_offset = entry->fd_offset},
	};

	return vu_frontend_request(device->fe, add ? VU_ADD_MEM_REG : VU_REM_MEM_REG, &msg,
		sizeof(msg), &fd, add ? 1 : 0);
}

static int open_window(struct fb_device *device, uint64_t size)
{
	struct fw_config config = {
		.dialect = dax_dialect_find("shmem"), .size = size, .gpa = WINDOW_GPA};
	int r;

	device->window = calloc(1, sizeof(*device->window));
	if (!device->window)
		return -ENOMEM;
	r = fw_window_new(&config, &device->window->window);
	return r < 0 ? r : vu_frontend_open_channel(device->fe, &device->window->fd);
}

int fb_window_start(struct fb_device *device)
{
	bool slots = vu_frontend_protocol_features(device->fe) &
		     VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	struct fw_channel_config channel = {.region = slots ? region : NULL, .ctx = device};

	if (!device->window)
		return 0;
	channel.window = device->window->window;
	channel.fd = device->window->fd;
	return fw_channel_start(&channel, &device->window->channel);
}

int fb_window_open(struct fb_device *device)
{
	uint64_t had = vu_frontend_protocol_features(device->fe), sizes[VU_SHMEM_REGIONS];
	int r;

	if (FB_WINDOW_PROTOCOL & ~VU_BIT(VU_PROTOCOL_F_CONFIG) & ~had)
		return 0;
	r = vu_frontend_get_shmem(device->fe, sizes);
	if (r < 0)
		return r;
	if (!r || !sizes[0])
		return 0;
	r = fw_window_catch_faults();
	return r < 0 ? r : open_window(device, sizes[0]);
}

void fb_window_close(struct fb_device *device)
{
	if (!device->window)
		return;
	fw_channel_stop(device->window->channel);
	fw_window_free(device->window->window);
	free(device->window);
	device->window = NULL;
}

uint64_t fb_window_size(const struct fb_device *device)
{
	return device->window ? fw_window_size(device->window->window) : 0;
}

int fb_window_load(const struct fb_device *device, uint64_t offset, void *to, size_t len)
{
	return fw_window_load(device->window->window, offset, to, len);
}
