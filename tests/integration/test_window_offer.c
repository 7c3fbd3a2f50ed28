/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To whom a DAX window is offered, and with which view: where no mapping could be right no file is
 * announced, the log says why, and the same bytes are read and written without.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define ROOT  FUSE_ROOT_ID
#define BYTES 65536u

#define CHANNEL (VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD))
#define SHMEM   (CHANNEL | VU_BIT(VU_PROTOCOL_F_SHMEM))

#define INODE  (FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX | FUSE_AUTO_INVAL_DATA)
#define ALWAYS (FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT | FUSE_AUTO_INVAL_DATA)

/* What a guest with -o dax=always cannot live with (wire.md: more than 21). */
#define REFUSES_MOUNT 63

#define WITH(name, bits, table, ...)                                                               \
	static const char *const name##_extra[] = {"--dax-window=64M", "--tag=t", __VA_ARGS__};    \
	static struct it_options name = {                                                          \
		.be.extra = name##_extra,                                                          \
		.fc = {.room = 2 * BYTES, .with_protocol = (bits), .no_memory_slots = (table)},    \
		.no_mount = true,                                                                  \
	}
WITH(with_auto, SHMEM, true, "--dax-view=direct", NULL);
WITH(with_no_bit, CHANNEL, true, "--dax-view=direct", NULL);
WITH(with_regions, SHMEM, false, "--dax-view=direct", NULL);
WITH(with_never, CHANNEL, false, "--dax-dialect=fs-v2", "--dax=never", NULL);

static uint8_t content[BYTES];

static void make_file(const struct it *it)
{
	int fd = open(it_path(it, "f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	for (size_t i = 0; i < BYTES; i++)
		content[i] = (uint8_t)(i * 7 + (i >> 12) + 1);
	assert_int_equal(pwrite(fd, content, BYTES, 0), BYTES);
	close(fd);
}

static void ask(const struct it *it)
{
	uint64_t sizes[VU_SHMEM_REGIONS];

	assert_int_equal(vu_frontend_get_shmem(it->fc->fe, sizes), 1);
}

static void give_channel(const struct it *it)
{
	int fd;

	assert_int_equal(vu_frontend_open_channel(it->fc->fe, &fd), 0);
}

/* A new session of a guest of this kind; returns the file's nodeid and what is said of it. */
static uint64_t begin(struct it *it, uint64_t flags, bool *announced)
{
	struct fuse_entry_out entry;

	assert_int_equal(fc_init(it->q, FUSE_KERNEL_VERSION, 38, flags, &it->init), 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "f", &entry), 0);
	*announced = entry.attr.flags & FUSE_ATTR_DAX;
	return entry.nodeid;
}

static int ask_map(const struct it *it, uint64_t nodeid)
{
	const struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX, .len = BYTES, .flags = FUSE_SETUPMAPPING_FLAG_READ};

	return fc_call(it->q,
		&(struct fc_call){.opcode = FUSE_SETUPMAPPING,
			.nodeid = nodeid,
			.args = &in,
			.args_len = sizeof(in)},
		NULL);
}

/* Nothing is mapped, and the bytes are right. */
static void assert_plain(struct it *it)
{
	struct fuse_open_out file;
	uint8_t got[BYTES];
	bool announced;
	uint64_t nodeid = begin(it, INODE, &announced);

	assert_false(announced);
	assert_int_equal(it->init.flags & FUSE_MAP_ALIGNMENT, 0);
	assert_int_equal(ask_map(it, nodeid), -ENOSYS);
	assert_int_equal(fc_open(it->q, nodeid, O_RDONLY, &file), 0);
	assert_int_equal(fc_read(it->q, nodeid, file.fh, 0, got, BYTES), BYTES);
	assert_memory_equal(got, content, BYTES);
	assert_int_equal(fc_release(it->q, nodeid, file.fh), 0);
}

/* A guest that would map everything is told to give up, which the log says. */
static void assert_always_refused(struct it *it)
{
	assert_int_equal(fc_init(it->q, FUSE_KERNEL_VERSION, 38, ALWAYS, &it->init), 0);
	assert_true(it->init.flags & FUSE_MAP_ALIGNMENT);
	assert_int_equal(it->init.map_alignment, REFUSES_MOUNT);
	assert_int_equal(be_log_lines(&it->be, "dax=always"), 1);
}

/*
 * QEMU's own virtio-fs device agrees on SHMEM and gives a channel, but has no window: only a
 * front-end that asks how large the window is has one.
 */
static void the_window_is_for_who_asks(void **state)
{
	struct it *it = *state;
	bool announced;

	make_file(it);
	give_channel(it);
	assert_plain(it);
	assert_int_equal(be_log_lines(&it->be, "MiB for the front-end"), 0);
	ask(it);
	(void)begin(it, INODE, &announced);
	assert_true(announced);
	assert_int_equal(it->init.map_alignment, 12);
	assert_int_equal(be_log_lines(&it->be, "MiB for the front-end"), 1);
}

static void there_is_none_without_its_bit(void **state)
{
	struct it *it = *state;

	make_file(it);
	give_channel(it);
	assert_plain(it);
	assert_always_refused(it);
	assert_int_equal(be_log_lines(&it->be, "MiB for the front-end"), 0);
}

/* A front-end that shares mappings back is as QEMU, which cannot map a file past its end. */
static void files_themselves_are_not_for_qemu(void **state)
{
	struct it *it = *state;

	make_file(it);
	ask(it);
	give_channel(it);
	assert_plain(it);
	assert_always_refused(it);
	assert_int_equal(be_log_lines(&it->be, "cannot map a file past its end"), 1);
}

static void never_is_never(void **state)
{
	struct it *it = *state;

	make_file(it);
	give_channel(it);
	assert_plain(it);
	assert_always_refused(it);
}

#define TEST(fn, options)                                                                          \
	{                                                                                          \
#fn " " #options, fn, it_setup, it_teardown, &(options)                            \
	}
static const struct CMUnitTest tests[] = {
	TEST(the_window_is_for_who_asks, with_auto),
	TEST(there_is_none_without_its_bit, with_no_bit),
	TEST(files_themselves_are_not_for_qemu, with_regions),
	TEST(never_is_never, with_never),
};

#define NO_WINDOW "the C virtiofsd has no DAX window"
static const struct it_difference differences[] = {
	{"the_window_is_for_who_asks with_auto", NO_WINDOW},
	{"there_is_none_without_its_bit with_no_bit", NO_WINDOW},
	{"files_themselves_are_not_for_qemu with_regions", NO_WINDOW},
	{"never_is_never with_never", NO_WINDOW},
};

IT_MAIN("window_offer", tests, differences)
