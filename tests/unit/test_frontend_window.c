/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's window and its channel: messages of each dialect go in through a socketpair, as
 * from a back-end, and the window is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/frontend/channel.h"
#include "tests/unit/fds.h"
#include "vhostuser/checked.h"
#include "vhostuser/protocol.h"
#include "vhostuser/socket.h"

#define PAGE  UINT64_C(4096)
#define PAGES 64
#define GPA   UINT64_C(0x100000000)
#define RAM   UINT64_C(0x10000)

static const char *const names[] = {"seed", "fs-v2", "fs-count", "shmem"};

struct bed {
	const struct dax_dialect *dialect;
	struct fw_window *window;
	struct fw_channel *channel;
	int back, front; /* the channel's ends */
	int file, readonly;
	uint8_t ram[PAGE];
	struct dax_entry told; /* the last region */
	_Atomic int regions;
};

static uint8_t pattern(uint64_t page)
{
	return (uint8_t)(page * 37 + 11);
}

static void *ram(void *ctx, uint64_t gpa, uint64_t len)
{
	struct bed *bed = ctx;

	return gpa >= RAM && range_within(gpa - RAM, len, PAGE) ? bed->ram + (gpa - RAM) : NULL;
}

static int region(void *ctx, bool add, const struct dax_entry *entry, int fd)
{
	struct bed *bed = ctx;

	bed->told = *entry;
	bed->regions += add ? 1 : -1;
	return add == (fd >= 0) ? 0 : -EBADF;
}

static void make_file(struct bed *bed)
{
	uint8_t page[PAGE];
	char path[64];

	bed->file = memfd_create("file", MFD_CLOEXEC);
	assert_true(bed->file >= 0);
	for (uint64_t i = 0; i < PAGES; i++) {
		memset(page, pattern(i), PAGE);
		assert_int_equal(pwrite(bed->file, page, PAGE, (off_t)(i * PAGE)), PAGE);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bed->file);
	bed->readonly = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(bed->readonly >= 0);
}

static void set_up(struct bed *bed, const char *name)
{
	struct fw_config config = {.size = PAGES * PAGE, .gpa = GPA, .host = ram, .ctx = bed};
	struct fw_channel_config channel = {.ctx = bed};
	int pair[2];

	memset(bed, 0, sizeof(*bed));
	config.dialect = bed->dialect = dax_dialect_find(name);
	assert_int_equal(fw_window_catch_faults(), 0);
	assert_int_equal(fw_window_new(&config, &bed->window), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	bed->back = pair[0];
	bed->front = channel.fd = pair[1];
	assert_int_equal(fd_nonblock(bed->front), 0);
	channel.window = bed->window;
	channel.region = strcmp(name, "shmem") ? NULL : region;
	assert_int_equal(fw_channel_start(&channel, &bed->channel), 0);
	make_file(bed);
}

static void tear_down(struct bed *bed)
{
	fw_channel_stop(bed->channel);
	fw_window_free(bed->window);
	close(bed->back);
	close(bed->front);
	close(bed->file);
	close(bed->readonly);
}

/* A message as a back-end sends it, and the answer's value. */
static int64_t exchange(
	struct bed *bed, uint32_t code, const void *payload, size_t size, const int *fds, size_t n)
{
	struct vu_header header = {code, VU_VERSION | VU_FLAG_NEED_REPLY, (uint32_t)size};
	uint8_t bytes[sizeof(header) + DAX_PAYLOAD_MAX + 8];
	struct {
		struct vu_header header;
		int64_t value;
	} __attribute__((packed)) reply;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), payload, size);
	assert_int_equal(vu_socket_send(bed->back, bytes, sizeof(header) + size, fds, n),
		sizeof(header) + size);
	assert_int_equal(recv(bed->back, &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.header.request, code);
	assert_int_equal(reply.header.flags, VU_VERSION | VU_FLAG_REPLY);
	assert_int_equal(reply.header.size, sizeof(reply.value));
	return reply.value;
}

static int64_t request(
	struct bed *bed, enum dax_op op, const struct dax_entry *entries, size_t n, int fd)
{
	uint8_t payload[DAX_PAYLOAD_MAX];
	size_t size;

	assert_int_equal(dax_encode(bed->dialect, op, entries, n, payload, &size), 0);
	return exchange(
		bed, dax_dialect_code(bed->dialect, op), payload, size, &fd, fd >= 0 ? 1 : 0);
}

static int64_t map_one(struct bed *bed, uint64_t from, uint64_t to, uint64_t pages, uint32_t access)
{
	struct dax_entry entry = {from * PAGE, to * PAGE, pages * PAGE, access};

	return request(bed, DAX_OP_MAP, &entry, 1, bed->file);
}

static int64_t unmap_one(struct bed *bed, uint64_t at, uint64_t pages)
{
	struct dax_entry entry = {0, at * PAGE, pages * PAGE, 0};

	return request(bed, DAX_OP_UNMAP, &entry, 1, -1);
}

/* The first and the last byte of a window page; -1: no mapping. */
static int at(const struct bed *bed, uint64_t page)
{
	uint8_t first, last;

	if (fw_window_load(bed->window, page * PAGE, &first, 1) < 0)
		return -1;
	assert_int_equal(fw_window_load(bed->window, page * PAGE + PAGE - 1, &last, 1), 0);
	assert_int_equal(first, last);
	return first;
}

static void one_fd_serves_all_entries(void **state)
{
	for (unsigned int d = 0; d < ARRAY_SIZE(names); d++) {
		struct bed bed;
		size_t fds = count_fds();

		set_up(&bed, names[d]);
		for (size_t n = 1; n <= dax_dialect_batch(bed.dialect); n++) {
			struct dax_entry entries[DAX_BATCH_MAX];

			for (size_t i = 0; i < n; i++)
				entries[i] = (struct dax_entry){
					(2 * i + 1) * PAGE, (n - i) * 3 * PAGE, 2 * PAGE, DAX_READ};
			assert_int_equal(request(&bed, DAX_OP_MAP, entries, n, bed.file), 0);
			assert_int_equal(fw_window_mapped(bed.window), n * 2 * PAGE);
			for (size_t i = 0; i < n; i++) {
				assert_int_equal(at(&bed, (n - i) * 3), pattern(2 * i + 1));
				assert_int_equal(at(&bed, (n - i) * 3 + 1), pattern(2 * i + 2));
				assert_int_equal(at(&bed, (n - i) * 3 + 2), -1);
				entries[i].fd_offset = entries[i].access = 0;
			}
			assert_int_equal(request(&bed, DAX_OP_UNMAP, entries, n, -1), 0);
			assert_int_equal(fw_window_mapped(bed.window), 0);
			assert_int_equal(at(&bed, 3), -1);
		}
		assert_int_equal(fw_channel_stats(bed.channel)->refused, 0);
		tear_down(&bed);
		assert_int_equal(count_fds(), fds);
	}
}

static void replaces_and_splits(void **state)
{
	for (unsigned int d = 0; d < 3; d++) {
		struct dax_entry all = {0, 0, FW_EVERYTHING, 0};
		struct bed bed;

		set_up(&bed, names[d]);
		assert_int_equal(map_one(&bed, 0, 0, 8, DAX_READ), 0);
		assert_int_equal(fw_window_store(bed.window, 0, "x", 1), -EFAULT);
		assert_int_equal(map_one(&bed, 0, 0, 8, DAX_READ | DAX_WRITE), 0);
		assert_int_equal(fw_window_store(bed.window, 0, "\x0b", 1), 0);
		assert_int_equal(map_one(&bed, 40, 2, 2, DAX_READ), 0);
		assert_int_equal(at(&bed, 1), pattern(1));
		assert_int_equal(at(&bed, 2), pattern(40));
		assert_int_equal(at(&bed, 4), pattern(4));
		assert_int_equal(unmap_one(&bed, 3, 2), 0);
		assert_int_equal(at(&bed, 2), pattern(40));
		assert_int_equal(at(&bed, 3), -1);
		assert_int_equal(at(&bed, 4), -1);
		assert_int_equal(at(&bed, 5), pattern(5));
		assert_int_equal(fw_window_mapped(bed.window), 6 * PAGE);
		assert_int_equal(request(&bed, DAX_OP_UNMAP, &all, 1, -1), 0);
		assert_int_equal(fw_window_mapped(bed.window), 0);
		assert_int_equal(at(&bed, 0), -1);
		tear_down(&bed);
	}
}

static void shmem_is_exact(void **state)
{
	struct dax_entry all = {0, 0, FW_EVERYTHING, 0};
	struct bed bed;

	set_up(&bed, "shmem");
	assert_int_equal(map_one(&bed, 0, 0, 4, DAX_READ), 0);
	assert_int_equal(map_one(&bed, 8, 4, 4, DAX_READ | DAX_WRITE), 0);
	assert_int_equal(map_one(&bed, 0, 0, 4, DAX_READ | DAX_WRITE), -EEXIST);
	assert_int_equal(map_one(&bed, 0, 7, 2, DAX_READ), -EEXIST);
	assert_int_equal(at(&bed, 8), -1);
	assert_int_equal(unmap_one(&bed, 0, 8), -ENOENT);
	assert_int_equal(unmap_one(&bed, 0, 3), -ENOENT);
	assert_int_equal(unmap_one(&bed, 1, 3), -ENOENT);
	assert_int_equal(unmap_one(&bed, 20, 1), -ENOENT);
	assert_int_equal(request(&bed, DAX_OP_UNMAP, &all, 1, -1), -EINVAL);
	assert_int_equal(fw_window_mapped(bed.window), 8 * PAGE);
	assert_int_equal(at(&bed, 5), pattern(9));
	assert_int_equal(unmap_one(&bed, 0, 4), 0);
	assert_int_equal(unmap_one(&bed, 4, 4), 0);
	/* Regions come after the answer: the thread's end is the end of the last one. */
	fw_channel_stop(bed.channel);
	bed.channel = NULL;
	assert_int_equal(bed.regions, 0);
	assert_int_equal(bed.told.window_offset, 4 * PAGE);
	tear_down(&bed);
}

/* Each refusal leaves the window as it was, also when it is the last entry that is bad. */
static void bad_entries_change_nothing(void **state)
{
	static const struct dax_entry bad[] = {
		{0, PAGES * PAGE, PAGE, DAX_READ},
		{0, (PAGES - 1) * PAGE, 2 * PAGE, DAX_READ},
		{0, UINT64_MAX - PAGE, PAGE, DAX_READ},
		{0, PAGE + 1, PAGE, DAX_READ},
		{1, PAGE, PAGE, DAX_READ},
		{(uint64_t)INT64_MAX + 1, PAGE, PAGE, DAX_READ},
		{0, PAGE, INT64_MAX, DAX_READ},
	};

	for (unsigned int d = 0; d < ARRAY_SIZE(names); d++) {
		struct bed bed;

		set_up(&bed, names[d]);
		assert_int_equal(map_one(&bed, 9, 1, 1, DAX_READ), 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			struct dax_entry entries[2] = {{0, 30 * PAGE, PAGE, DAX_READ}, bad[i]};
			bool one = dax_dialect_batch(bed.dialect) == 1;

			assert_true(request(&bed, DAX_OP_MAP, entries + one, one ? 1 : 2,
					    bed.file) < 0);
			assert_int_equal(fw_window_mapped(bed.window), PAGE);
			assert_int_equal(at(&bed, 1), pattern(9));
			assert_int_equal(at(&bed, 30), -1);
		}
		tear_down(&bed);
	}
}

static void bad_messages_change_nothing(void **state)
{
	for (unsigned int d = 0; d < ARRAY_SIZE(names); d++) {
		struct dax_entry entry = {0, PAGE, PAGE, DAX_READ | DAX_WRITE};
		uint8_t payload[DAX_PAYLOAD_MAX + 8] = {0};
		int pipe_fds[2], two[2];
		uint32_t code;
		struct bed bed;
		size_t fds, size;

		set_up(&bed, names[d]);
		assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
		fds = count_fds();
		two[0] = two[1] = bed.file;
		code = dax_dialect_code(bed.dialect, DAX_OP_MAP);
		assert_int_equal(dax_encode(bed.dialect, DAX_OP_MAP, &entry, 1, payload, &size), 0);
		assert_int_equal(exchange(&bed, code, payload, size, NULL, 0), -EINVAL);
		assert_int_equal(exchange(&bed, code, payload, size, two, 2), -EINVAL);
		assert_int_equal(exchange(&bed, code, payload, size - 1, two, 1), -EINVAL);
		assert_int_equal(exchange(&bed, code, payload, size + 8, two, 1), -EINVAL);
		assert_int_equal(exchange(&bed, code, payload, 0, two, 1), -EINVAL);
		assert_int_equal(exchange(&bed, 99, payload, size, two, 1), -EOPNOTSUPP);
		assert_int_equal(exchange(&bed, code, payload, size, pipe_fds, 1), -EINVAL);
		assert_int_equal(exchange(&bed, code, payload, size, &bed.readonly, 1), -EACCES);
		assert_int_equal(fw_window_mapped(bed.window), 0);
		assert_int_equal(at(&bed, 1), -1);
		/* It still serves, and has lost no fd. */
		assert_int_equal(exchange(&bed, code, payload, size, two, 1), 0);
		assert_int_equal(at(&bed, 1), pattern(0));
		assert_int_equal(unmap_one(&bed, 1, 1), 0);
		assert_int_equal(count_fds(), fds);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		tear_down(&bed);
	}
}

static void moves_bytes_for_the_back_end(void **state)
{
	static const char *const able[] = {"fs-v2", "fs-count"};

	for (unsigned int d = 0; d < ARRAY_SIZE(able); d++) {
		struct dax_entry read_ram = {5 * PAGE, RAM + 16, 64, DAX_READ};
		struct dax_entry write_window = {0, GPA + 3 * PAGE, PAGE, DAX_WRITE};
		struct dax_entry hole = {0, GPA + 20 * PAGE, PAGE, DAX_READ};
		struct dax_entry nowhere = {0, RAM + PAGE - 8, 16, DAX_READ};
		struct dax_entry past_end = {
			(PAGES - 1) * PAGE, GPA + 3 * PAGE, 2 * PAGE, DAX_READ};
		uint8_t byte;
		struct bed bed;

		set_up(&bed, able[d]);
		assert_int_equal(map_one(&bed, 7, 3, 2, DAX_READ | DAX_WRITE), 0);
		assert_int_equal(request(&bed, DAX_OP_IO, &read_ram, 1, bed.file), 64);
		assert_int_equal(bed.ram[15], 0);
		assert_int_equal(bed.ram[16], pattern(5));
		assert_int_equal(bed.ram[79], pattern(5));
		assert_int_equal(bed.ram[80], 0);
		assert_int_equal(request(&bed, DAX_OP_IO, &write_window, 1, bed.file), PAGE);
		assert_int_equal(pread(bed.file, &byte, 1, 17), 1);
		assert_int_equal(byte, pattern(7));
		assert_int_equal(request(&bed, DAX_OP_IO, &hole, 1, bed.file), -EFAULT);
		assert_int_equal(request(&bed, DAX_OP_IO, &nowhere, 1, bed.file), -EFAULT);
		assert_int_equal(request(&bed, DAX_OP_IO, &past_end, 1, bed.file), PAGE);
		tear_down(&bed);
	}
}

static void errs_on_purpose(void **state)
{
	struct dax_entry entries[2] = {{0, 0, PAGE, DAX_READ}, {PAGE, PAGE, PAGE, DAX_READ}};
	struct bed bed;

	set_up(&bed, "fs-v2");
	fw_channel_fault(bed.channel, FW_FAULT_REFUSE, PAGE + 5, 0);
	assert_int_equal(request(&bed, DAX_OP_MAP, entries, 2, bed.file), -ENOSPC);
	assert_int_equal(fw_window_mapped(bed.window), 0);
	assert_int_equal(request(&bed, DAX_OP_MAP, entries, 1, bed.file), 0);
	assert_int_equal(request(&bed, DAX_OP_MAP, entries + 1, 1, bed.file), -ENOSPC);
	fw_channel_fault(bed.channel, FW_FAULT_NONE, 0, 0);
	assert_int_equal(request(&bed, DAX_OP_MAP, entries, 2, bed.file), 0);
	assert_int_equal(at(&bed, 1), pattern(1));
	assert_int_equal(fw_channel_stats(bed.channel)->faults, 2);
	assert_int_equal(fw_channel_stats(bed.channel)->batch[DAX_OP_MAP][2], 2);
	tear_down(&bed);
}

/* Random requests of one dialect against a model of a page each. */
static void random_requests(struct bed *bed, unsigned int rounds)
{
	int model[PAGES];
	uint8_t starts[PAGES] = {0};
	bool exact = dax_dialect_batch(bed->dialect) == 1;

	memset(model, 0xff, sizeof(model));
	for (unsigned int k = 0; k < rounds; k++) {
		uint64_t n = 1 + (uint64_t)random() % 6, from = (uint64_t)random() % (PAGES - n);
		uint64_t to = (uint64_t)random() % (PAGES - n + 1);
		bool map = random() % 2, fine = true;
		int64_t r = map ? map_one(bed, from, to, n, DAX_READ) : unmap_one(bed, to, n);

		for (uint64_t i = to; exact && i < to + n; i++)
			fine = fine && (map ? model[i] < 0
					    : model[i] >= 0 && (starts[i] != 0) == (i == to));
		if (exact && !map && to + n < PAGES && model[to + n] >= 0 && !starts[to + n])
			fine = false;
		assert_int_equal(r == 0, fine);
		for (uint64_t i = 0; fine && i < n; i++) {
			model[to + i] = map ? pattern(from + i) : -1;
			starts[to + i] = map && i == 0;
		}
		for (uint64_t i = 0; i < PAGES; i++)
			assert_int_equal(at(bed, i), model[i]);
	}
}

static void equals_a_naive_model(void **state)
{
	unsigned int seed = (unsigned int)time(NULL);

	print_message("seed %u\n", seed);
	srandom(seed);
	for (unsigned int d = 0; d < ARRAY_SIZE(names); d++) {
		struct bed bed;

		set_up(&bed, names[d]);
		random_requests(&bed, 1000);
		fw_window_clear(bed.window);
		assert_int_equal(fw_window_mapped(bed.window), 0);
		tear_down(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_fd_serves_all_entries),
		cmocka_unit_test(replaces_and_splits),
		cmocka_unit_test(shmem_is_exact),
		cmocka_unit_test(bad_entries_change_nothing),
		cmocka_unit_test(bad_messages_change_nothing),
		cmocka_unit_test(moves_bytes_for_the_back_end),
		cmocka_unit_test(errs_on_purpose),
		cmocka_unit_test(equals_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
