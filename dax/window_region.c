/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings that come back as memory regions (shmem with memory slots), and the way to their bytes
 * without these.
 *
 * Theory of operation. QEMU (11.1.3) answers a SHMEM_MAP or SHMEM_UNMAP, changes its memory map,
 * and sends the regions that we have not got; it waits for each answer, and ends at the first one
 * that says no. What we take it keeps in a list of its own, from which it removes regions with the
 * help of the memory behind them. But a reset of the machine drops all mappings while the device
 * is stopped and that list is not looked at: when the next start removes them from it, there is no
 * such memory any more, and QEMU dies of a null pointer. (send_remove_regions() asks
 * vhost_user_get_mr_data() for the fd, which passes what memory_region_from_host() did not find to
 * memory_region_get_fd().) Between the stop and that moment QEMU neither sends nor reads anything
 * that could change the list. What we refused is not in it, and nothing happens.
 *
 * So we refuse the ADD_MEM_REG of any range of the window that our own SHMEM_MAP caused: QEMU's
 * answer to it came, and no region since. The refusal is an error in the answer to that message
 * ("vhost_set_mem_table failed" in QEMU's log); the mapping stays, in QEMU and for the guest. We
 * have the file anyway, and learn from the region's address where the window lies. Any other region
 * is taken: when a device starts, no would be the end of it; and when RAM is plugged in, the
 * regions that QEMU still misses come first, and no would be the end of that message.
 */
#include <errno.h>
#include <fcntl.h>

#include "dax/window_private.h"
#include "vhostuser/checked.h"

static bool is_of(const struct mapping *map, const struct dax_region *region)
{
	return map->file->dev == region->dev && map->file->ino == region->ino &&
	       map->entry.fd_offset == region->offset && map->entry.len == region->len;
}

/*
 * Several mappings may be of the same place: the one that lies there, if we know where that is,
 * else any.
 */
static struct mapping *find(const struct dax_window *w, const struct dax_region *region)
{
	struct mapping *found = NULL;

	for (struct mapping *map = w->held; map; map = map->held_next) {
		if (!is_of(map, region) || map->entry.window_offset > region->gpa)
			continue;
		if (w->placed && w->base + map->entry.window_offset == region->gpa)
			return map;
		found = map;
	}
	return found;
}

bool dax_window_region(
	struct dax_window *window, dev_t dev, ino_t ino, uint64_t offset, uint64_t len)
{
	const struct dax_region region = {.dev = dev, .ino = ino, .offset = offset, .len = len};
	struct mapping *found = NULL;
	bool news = false;

	pthread_mutex_lock(&window->lock);
	/*
	 * Several mappings may be of the same place: the one sent first (the list has it last)
	 * whose region has not come. The next one's answer may be there, its region is not.
	 */
	for (struct mapping *map = window->held; map; map = map->held_next) {
		if (is_of(map, &region) && (!found || !map->region_seen))
			found = map;
	}
	if (found && !found->region_seen)
		found->region_seen = news = true;
	if (found)
		window->changed = false;
	pthread_mutex_unlock(&window->lock);
	if (news)
		window->config.wake(window->config.ctx);
	return found != NULL;
}

/* The commit is that of the oldest mapping which was answered: it is there. */
static void see_oldest(struct dax_window *w)
{
	for (struct step *step = w->waiting.first; step; step = step->next) {
		if (step->map->region_seen)
			continue;
		step->map->region_seen = true;
		return;
	}
}

bool dax_window_refuses(struct dax_window *window, const struct dax_region *region)
{
	struct dax_window *w = window;
	struct mapping *map;
	const char *why;
	bool refuse = false;

	pthread_mutex_lock(&w->lock);
	/* An error stays with the channel: dax_window_run() finds it. */
	if (w->channel)
		(void)window_take_answers(w, &why);
	map = find(w, region);
	if (map) {
		w->placed = true;
		w->base = region->gpa - map->entry.window_offset;
		refuse = w->regions && w->running && w->changed;
	}
	if (refuse) {
		w->changed = false;
		w->counters.regions_refused++;
		see_oldest(w);
	}
	pthread_mutex_unlock(&w->lock);
	w->config.wake(w->config.ctx);
	return refuse;
}

/* The first byte's mapping, if it is one that the front-end has. Lock held. */
static const struct dax_slot *slot_at(const struct dax_window *w, uint64_t offset)
{
	size_t i = dax_table_first(&w->table, offset);
	const struct mapping *map;

	if (i == w->table.n || w->table.slots[i].entry.window_offset > offset)
		return NULL;
	map = w->table.slots[i].owner;
	return map->state == MAPPING_LIVE && map->file ? &w->table.slots[i] : NULL;
}

int dax_window_reach(struct dax_window *window, uint64_t gpa, uint64_t len, struct dax_reach *reach)
{
	struct dax_window *w = window;
	const struct dax_slot *slot = NULL;
	uint64_t into;
	int r = -EFAULT;

	pthread_mutex_lock(&w->lock);
	if (w->placed && gpa >= w->base && gpa - w->base < w->config.size)
		slot = slot_at(w, gpa - w->base);
	if (slot) {
		into = gpa - w->base - slot->entry.window_offset;
		reach->offset = slot->entry.fd_offset + into;
		reach->len = MIN(len, slot->entry.len - into);
		reach->fd =
			fcntl(((const struct mapping *)slot->owner)->file->fd, F_DUPFD_CLOEXEC, 0);
		r = reach->fd < 0 ? -errno : 0;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

bool dax_window_placed(struct dax_window *window)
{
	bool placed;

	pthread_mutex_lock(&window->lock);
	placed = window->placed;
	pthread_mutex_unlock(&window->lock);
	return placed;
}
