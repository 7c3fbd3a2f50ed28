/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end's part in a DAX window: its channel, its size, and which memory is a piece of it. */
#include <sys/stat.h>

#include "tests/unit/rig.h"

static struct rig rig;

static int setup_ready(void **state)
{
	rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void send_fd(uint32_t code, const void *payload, uint32_t size, int fd)
{
	rig_send(&rig, code, VU_FLAG_NEED_REPLY, payload, size, &fd, 1);
	assert_int_equal(rig_pump(&rig), 0);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_protocol_features(void **state)
{
	assert_int_equal(rig.agreed, RIG_PROTOCOL);
	rig_do_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_NO_ACK);
	assert_int_equal(rig.agreed, RIG_NO_ACK);
}

static void test_channel(void **state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	send_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, pair[1]);
	rig_expect_u64(&rig, VU_SET_BACKEND_REQ_FD, 0);
	rig_expect_told(&rig, "channel;");
	assert_int_equal(inode_of(rig.channel), inode_of(pair[1]));
	send_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, pair[0]); /* and another one instead */
	rig_expect_u64(&rig, VU_SET_BACKEND_REQ_FD, 0);
	assert_int_equal(inode_of(rig.channel), inode_of(pair[0]));
	close(pair[0]);
	close(pair[1]);
}

/* A device that cannot use it: who asked is told, and nobody asked ends the connection. */
static void test_channel_refused(void **state)
{
	int fd = STDIN_FILENO;

	rig.channel_error = -ENOTSOCK;
	send_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, fd);
	rig_expect_u64(&rig, VU_SET_BACKEND_REQ_FD, 1);
	rig_send(&rig, VU_SET_BACKEND_REQ_FD, 0, NULL, 0, &fd, 1);
	rig_expect_end(&rig, -EPROTO, "SET_BACKEND_REQ_FD", "of no use");
}

/* As some front-ends do: before the owner, and long after the rings started. */
static void test_channel_any_time(void **state)
{
	struct rig other;
	int fd = STDIN_FILENO;

	rig_init(&other, RIG_FEATURES, RIG_PROTOCOL);
	rig_open(&other, VU_CONN_NEW, RIG_NO_ACK, 0);
	rig_send(&other, VU_SET_BACKEND_REQ_FD, 0, NULL, 0, &fd, 1);
	assert_int_equal(rig_pump(&other), 0);
	rig_expect_told(&other, "channel;");
	rig_fini(&other);

	rig_do_memory(&rig, 1);
	rig_run(&rig, 0);
	rig.told[0] = '\0';
	send_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, fd);
	rig_expect_u64(&rig, VU_SET_BACKEND_REQ_FD, 0);
	rig_expect_told(&rig, "channel;");
}

static void test_shmem(void **state)
{
	struct vu_shmem_config expect = {.n_regions = 1, .sizes[0] = RIG_SHMEM};

	rig_do(&rig, VU_GET_SHMEM_CONFIG, NULL, 0);
	rig_expect_answer(&rig, VU_GET_SHMEM_CONFIG, &expect, 2056);
	rig_expect_told(&rig, "shmem;");
}

/* A device that knows of no window: nothing is shown, nothing is asked, no fd is kept. */
static void test_no_window(void **state)
{
	static const struct vu_backend_ops ops = {.memory = rig_memory};
	const struct vu_backend_config config = {
		.features = RIG_FEATURES,
		.protocol_features = RIG_PROTOCOL,
		.n_queues = 1,
		.ops = &ops,
		.ctx = &rig,
	};
	struct vu_shmem_config expect = {0};
	struct vu_mem_reg_msg msg = {.region = rig_region(3)};
	int pair[2], fd = rig_memfd(0x100000);
	size_t before;

	vu_backend_free(rig.backend);
	fd_close(&rig.front);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig.front = pair[0];
	assert_int_equal(vu_backend_new(pair[1], &config, &rig.backend), 0);
	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	before = count_fds();
	send_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, fd);
	rig_expect_u64(&rig, VU_SET_BACKEND_REQ_FD, 0);
	rig_do(&rig, VU_GET_SHMEM_CONFIG, NULL, 0);
	rig_expect_answer(&rig, VU_GET_SHMEM_CONFIG, &expect, sizeof(expect));
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), fd);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	rig_expect_told(&rig, "memory 1;");
	assert_false(rig.memory->regions[0]->desc.window);
	assert_int_equal(count_fds(), before);
	close(fd);
}

static void test_window_regions(void **state)
{
	struct vu_mem_reg_msg msg = {.region = rig_region(3)};
	struct vu_mem_table table = {.n_regions = 2};
	CLEANUP_FD int ram = rig_memfd(0x100000), file = rig_memfd(0x300000);
	int fds[2] = {file, ram};

	/* a front-end tells what it mapped in a message of its own ... */
	rig.window_ino = inode_of(file);
	msg.region.mmap_offset = 0x200000;
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), file);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	rig_expect_told(&rig, "window 100000 at 300000 from 200000;memory 1;");
	assert_true(rig.memory->regions[0]->desc.window);
	msg.region = rig_region(4);
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), ram);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	rig_expect_told(&rig, "memory 2;");
	assert_true(rig.memory->regions[0]->desc.window);
	assert_false(rig.memory->regions[1]->desc.window);

	/* ... or in a new table */
	table.regions[0] = rig_region(5);
	table.regions[1] = rig_region(6);
	rig_send(&rig, VU_SET_MEM_TABLE, VU_FLAG_NEED_REPLY, &table, 72, fds, 2);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_MEM_TABLE, 0);
	rig_expect_told(&rig, "window 100000 at 500000 from 0;memory 2;");
	assert_true(rig.memory->regions[0]->desc.window);
	assert_false(rig.memory->regions[1]->desc.window);
}

/* What is refused is not added, and its fd not kept; whoever does not ask cannot be refused. */
static void test_refused_region(void **state)
{
	struct vu_mem_reg_msg msg = {.region = rig_region(3)};
	CLEANUP_FD int file = rig_memfd(0x300000);
	size_t before = count_fds();

	rig.window_ino = inode_of(file);
	rig.refuses = true;
	msg.region.mmap_offset = 0x200000;
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), file);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 1);
	rig_expect_told(&rig, "refused 100000 at 300000 from 200000;");
	assert_int_equal(count_fds(), before);
	rig_send(&rig, VU_ADD_MEM_REG, 0, &msg, sizeof(msg), &file, 1);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_told(&rig, "window 100000 at 300000 from 200000;memory 1;");
}

/* Such a file may be empty, as nothing touches it, or larger than anything. */
static void test_window_of_a_huge_file(void **state)
{
	struct vu_mem_reg_msg msg = {.region = rig_region(3)};
	CLEANUP_FD int file = rig_memfd(0);

	/* Another file's end counts. */
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), file);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 1);
	rig_expect_told(&rig, "");
	rig.window_ino = inode_of(file);
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), file);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	assert_true(rig.memory->regions[0]->desc.window);

	msg.region = rig_region(5);
	assert_int_equal(ftruncate(file, (off_t)1 << 46), 0);
	msg.region.mmap_offset = UINT64_C(1) << 45;
	send_fd(VU_ADD_MEM_REG, &msg, sizeof(msg), file);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	assert_true(rig.memory->regions[1]->desc.window);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_ready, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_protocol_features),
		TEST(test_channel),
		TEST(test_channel_refused),
		TEST(test_channel_any_time),
		TEST(test_shmem),
		TEST(test_no_window),
		TEST(test_window_regions),
		TEST(test_refused_region),
		TEST(test_window_of_a_huge_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
