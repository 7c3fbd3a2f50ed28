/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dialects of DAX window messages: wire structs, codecs, and the table that joins them.
 *
 * There is no state: the table is constant, and the codecs copy between entries and bytes. What a
 * dialect does not know of an entry (a file offset in an UNMAP) is carried as it is.
 */
#include "dax/dialect.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vhostuser/checked.h"

#define KNOWN_ACCESS (DAX_READ | DAX_WRITE)

/* seed and fs-v2: always sent whole; a slot with len 0 is empty. */
struct eight_msg {
	uint64_t fd_offset[DAX_BATCH_MAX];
	uint64_t window_offset[DAX_BATCH_MAX];
	uint64_t len[DAX_BATCH_MAX];
	uint64_t flags[DAX_BATCH_MAX]; /* 1 read, 2 write */
} __attribute__((packed));
WIRE_SIZE(struct eight_msg, 256);
WIRE_OFFSET(struct eight_msg, window_offset, 64);
WIRE_OFFSET(struct eight_msg, len, 128);
WIRE_OFFSET(struct eight_msg, flags, 192);

/* fs-count: a header and as many entries as it says. */
struct count_entry {
	uint64_t fd_offset;
	uint64_t window_offset;
	uint64_t len;
	uint64_t flags; /* 1 read, 2 write */
} __attribute__((packed));
WIRE_SIZE(struct count_entry, 32);
WIRE_OFFSET(struct count_entry, flags, 24);

struct count_msg {
	uint32_t flags;
	uint16_t count;
	uint16_t align;
	struct count_entry entries[DAX_BATCH_MAX];
} __attribute__((packed));
WIRE_SIZE(struct count_msg, DAX_PAYLOAD_MAX);
WIRE_OFFSET(struct count_msg, count, 4);
WIRE_OFFSET(struct count_msg, entries, 8);

/* shmem: one mapping a message. */
struct shmem_msg {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t window_offset;
	uint64_t len;
	uint64_t flags; /* 1 read-write, else read-only */
} __attribute__((packed));
WIRE_SIZE(struct shmem_msg, 40);
WIRE_OFFSET(struct shmem_msg, fd_offset, 8);
WIRE_OFFSET(struct shmem_msg, flags, 32);

struct dax_dialect {
	const char *name;
	uint32_t codes[DAX_OPS]; /* 0: no such operation */
	size_t batch;
	size_t (*encode)(const struct dax_entry *entries, size_t n, void *payload);
	/* Entries out of the payload, empty ones included; -EPROTO when the form is wrong. */
	int (*decode)(const void *payload, size_t size, struct dax_entry *entries, size_t *n);
};

static size_t encode_eight(const struct dax_entry *entries, size_t n, void *payload)
{
	struct eight_msg msg = {0};

	for (size_t i = 0; i < n; i++) {
		msg.fd_offset[i] = entries[i].fd_offset;
		msg.window_offset[i] = entries[i].window_offset;
		msg.len[i] = entries[i].len;
		msg.flags[i] = entries[i].access;
	}
	memcpy(payload, &msg, sizeof(msg));
	return sizeof(msg);
}

static int decode_eight(const void *payload, size_t size, struct dax_entry *entries, size_t *n)
{
	struct eight_msg msg;

	if (size != sizeof(msg))
		return -EPROTO;
	memcpy(&msg, payload, sizeof(msg));
	for (size_t i = 0; i < DAX_BATCH_MAX; i++) {
		if (msg.flags[i] & ~(uint64_t)KNOWN_ACCESS)
			return -EPROTO;
		entries[i] = (struct dax_entry){
			msg.fd_offset[i], msg.window_offset[i], msg.len[i], (uint32_t)msg.flags[i]};
	}
	*n = DAX_BATCH_MAX;
	return 0;
}

static size_t encode_count(const struct dax_entry *entries, size_t n, void *payload)
{
	struct count_msg msg = {.count = (uint16_t)n};
	size_t size = offsetof(struct count_msg, entries) + n * sizeof(msg.entries[0]);

	for (size_t i = 0; i < n; i++)
		msg.entries[i] = (struct count_entry){entries[i].fd_offset,
			entries[i].window_offset, entries[i].len, entries[i].access};
	memcpy(payload, &msg, size);
	return size;
}

static int decode_count(const void *payload, size_t size, struct dax_entry *entries, size_t *n)
{
	const size_t head = offsetof(struct count_msg, entries);
	struct count_msg msg = {0};

	if (size < head || size > sizeof(msg))
		return -EPROTO;
	memcpy(&msg, payload, size);
	if (msg.count == 0 || size != head + msg.count * sizeof(msg.entries[0]))
		return -EPROTO;
	for (size_t i = 0; i < msg.count; i++) {
		const struct count_entry *at = &msg.entries[i];

		if (at->flags & ~(uint64_t)KNOWN_ACCESS)
			return -EPROTO;
		entries[i] = (struct dax_entry){
			at->fd_offset, at->window_offset, at->len, (uint32_t)at->flags};
	}
	*n = msg.count;
	return 0;
}

static size_t encode_shmem(const struct dax_entry *entries, size_t n, void *payload)
{
	struct shmem_msg msg = {
		.fd_offset = entries->fd_offset,
		.window_offset = entries->window_offset,
		.len = entries->len,
		.flags = (entries->access & DAX_WRITE) ? 1 : 0,
	};

	(void)n; /* always 1: the dialect's batch */
	memcpy(payload, &msg, sizeof(msg));
	return sizeof(msg);
}

static int decode_shmem(const void *payload, size_t size, struct dax_entry *entries, size_t *n)
{
	struct shmem_msg msg;

	if (size != sizeof(msg))
		return -EPROTO;
	memcpy(&msg, payload, sizeof(msg));
	/* One window a device: VIRTIO's shared memory id 0. */
	if (msg.shmid != 0 || msg.flags > 1)
		return -EPROTO;
	*entries = (struct dax_entry){msg.fd_offset, msg.window_offset, msg.len,
		msg.flags ? DAX_READ | DAX_WRITE : DAX_READ};
	*n = 1;
	return 0;
}

static const struct dax_dialect dialects[] = {
	/*          MAP UNMAP SYNC IO; the seed's IO (7) is undefined behaviour there */
	{"seed", {4, 5, 6, 0}, DAX_BATCH_MAX, encode_eight, decode_eight},
	{"fs-v2", {6, 7, 8, 9}, DAX_BATCH_MAX, encode_eight, decode_eight},
	{"fs-count", {6, 7, 0, 8}, DAX_BATCH_MAX, encode_count, decode_count},
	{"shmem", {9, 10, 0, 0}, 1, encode_shmem, decode_shmem},
};

static bool entry_valid(const struct dax_entry *entry)
{
	uint64_t end;

	return entry->len != 0 && !(entry->access & ~KNOWN_ACCESS) &&
	       !add_overflows(entry->fd_offset, entry->len, &end) &&
	       !add_overflows(entry->window_offset, entry->len, &end);
}

const struct dax_dialect *dax_dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (!strcmp(dialects[i].name, name))
			return &dialects[i];
	return NULL;
}

const char *dax_dialect_name(const struct dax_dialect *dialect)
{
	return dialect->name;
}

uint32_t dax_dialect_code(const struct dax_dialect *dialect, enum dax_op op)
{
	return dialect->codes[op];
}

size_t dax_dialect_batch(const struct dax_dialect *dialect)
{
	return dialect->batch;
}

int dax_encode(const struct dax_dialect *dialect, enum dax_op op, const struct dax_entry *entries,
	size_t n, void *payload, size_t *size)
{
	if (dialect->codes[op] == 0)
		return -EOPNOTSUPP;
	if (n == 0 || n > dialect->batch)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!entry_valid(&entries[i]))
			return -EINVAL;
	*size = dialect->encode(entries, n, payload);
	return 0;
}

static int op_of_code(const struct dax_dialect *dialect, uint32_t code, enum dax_op *op)
{
	for (unsigned int i = 0; i < DAX_OPS; i++) {
		if (code != 0 && dialect->codes[i] == code) {
			*op = (enum dax_op)i;
			return 0;
		}
	}
	return -EOPNOTSUPP;
}

int dax_decode(const struct dax_dialect *dialect, uint32_t code, const void *payload, size_t size,
	enum dax_op *op, struct dax_entry *entries, size_t *n)
{
	struct dax_entry all[DAX_BATCH_MAX];
	size_t n_all, used = 0;
	int err = op_of_code(dialect, code, op);

	if (!err)
		err = dialect->decode(payload, size, all, &n_all);
	if (err)
		return err;
	for (size_t i = 0; i < n_all; i++) {
		if (all[i].len == 0)
			continue;
		if (!entry_valid(&all[i]))
			return -EPROTO;
		entries[used++] = all[i];
	}
	*n = used;
	return used ? 0 : -EPROTO;
}
