/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's guest memory: one memfd a slot.
 *
 * As in a VMM, a slot's address in our process is its front-end address on the wire. With
 * CONFIGURE_MEM_SLOTS each slot has a message of its own, else each change sends the whole table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhostuser/frontend_impl.h"

static struct vu_mem_region slot_region(const struct fe_slot *slot)
{
	return (struct vu_mem_region){
		.gpa = slot->gpa,
		.size = slot->size,
		.user_addr = (uintptr_t)slot->host,
	};
}

static void slot_free(struct fe_slot *slot)
{
	munmap(slot->host, slot->size);
	fd_close(&slot->fd);
	slot->host = NULL;
	slot->size = 0;
}

static int slot_make(struct fe_slot *slot, uint64_t gpa, uint64_t size)
{
	CLEANUP_FD int fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *host;

	/* Sealed: a back-end that cut it short would have us end by SIGBUS. */
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host == MAP_FAILED)
		return -errno;
	*slot = (struct fe_slot){.gpa = gpa, .size = size, .host = host, .fd = fd_steal(&fd)};
	return 0;
}

static int send_table(struct vu_frontend *fe)
{
	struct vu_mem_table table = {0};
	int fds[VU_MEM_TABLE_MAX];
	size_t size;

	for (size_t i = 0; i < FE_SLOTS; i++) {
		if (!fe->slots[i].size)
			continue;
		if (table.n_regions == VU_MEM_TABLE_MAX)
			return -ENOSPC;
		fds[table.n_regions] = fe->slots[i].fd;
		table.regions[table.n_regions++] = slot_region(&fe->slots[i]);
	}
	size = offsetof(struct vu_mem_table, regions) +
	       table.n_regions * sizeof(struct vu_mem_region);
	return vu_frontend_request(
		fe, VU_SET_MEM_TABLE, &table, (uint32_t)size, fds, table.n_regions);
}

static int send_slot(struct vu_frontend *fe, uint32_t code, const struct fe_slot *slot)
{
	struct vu_mem_reg_msg msg = {.region = slot_region(slot)};

	return vu_frontend_request(
		fe, code, &msg, sizeof(msg), &slot->fd, code == VU_ADD_MEM_REG ? 1 : 0);
}

int vu_frontend_add_memory(struct vu_frontend *fe, uint64_t gpa, uint64_t size)
{
	int at = -1, r;
	uint64_t end;

	if (!size || size > INT64_MAX || add_overflows(gpa, size, &end))
		return -EINVAL;
	for (int i = 0; i < FE_SLOTS; i++) {
		const struct fe_slot *slot = &fe->slots[i];

		if (!slot->size)
			at = at < 0 ? i : at;
		else if (gpa < slot->gpa + slot->size && slot->gpa < end)
			return -EEXIST;
	}
	if (at < 0)
		return -ENOSPC;
	r = slot_make(&fe->slots[at], gpa, size);
	if (r < 0)
		return r;
	if (fe_negotiated(fe, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		r = send_slot(fe, VU_ADD_MEM_REG, &fe->slots[at]);
	else
		r = send_table(fe);
	if (r < 0) {
		slot_free(&fe->slots[at]);
		return r;
	}
	return at;
}

/* Our own mapping goes after the back-end's answer: until then it may write there. */
int vu_frontend_remove_memory(struct vu_frontend *fe, int slot)
{
	struct fe_slot removed;
	int r;

	if (slot < 0 || slot >= FE_SLOTS || !fe->slots[slot].size)
		return -ENOENT;
	removed = fe->slots[slot];
	fe->slots[slot].size = 0;
	if (fe_negotiated(fe, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		r = send_slot(fe, VU_REM_MEM_REG, &removed);
	else
		r = send_table(fe);
	if (r < 0) {
		fe->slots[slot] = removed;
		return r;
	}
	slot_free(&removed);
	return 0;
}

int vu_frontend_send_region(
	struct vu_frontend *fe, uint32_t code, const struct vu_mem_region *region, int fd, bool ack)
{
	struct vu_mem_reg_msg msg = {.region = *region};

	if (ack && !fe_negotiated(fe, VU_PROTOCOL_F_REPLY_ACK))
		return -EOPNOTSUPP;
	return vu_frontend_send(
		fe, code, ack ? VU_FLAG_NEED_REPLY : 0, &msg, sizeof(msg), &fd, fd < 0 ? 0 : 1);
}

void *vu_frontend_host(struct vu_frontend *fe, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i < FE_SLOTS; i++) {
		const struct fe_slot *slot = &fe->slots[i];

		if (slot->size && gpa >= slot->gpa &&
			range_within(gpa - slot->gpa, len, slot->size))
			return (uint8_t *)slot->host + (gpa - slot->gpa);
	}
	return NULL;
}

void fe_memory_fini(struct vu_frontend *fe)
{
	for (size_t i = 0; i < FE_SLOTS; i++)
		if (fe->slots[i].size)
			slot_free(&fe->slots[i]);
}
