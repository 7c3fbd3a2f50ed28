/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end does with good messages, in the orders that front-ends really send them. */
#include <poll.h>

#include "tests/unit/rig.h"

static struct rig rig;
static size_t fds_before;

static int setup(void **state)
{
	atomic_store(&vu_log_level, LOG_LEVEL_INFO);
	fds_before = count_fds();
	rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

/* A ready connection with one region of memory. */
static int setup_ready(void **state)
{
	setup(state);
	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	rig_do_memory(&rig, 1);
	rig_expect_told(&rig, "memory 1;");
	return 0;
}

static const char started_0[] = "start 0 num 8 base 3 desc 7f0000000000 call 1 err 0 regions 1;";

static void expect_state(uint32_t code, uint32_t index, uint32_t num)
{
	struct vu_vring_state payload = {.index = index, .num = num};

	rig_expect_answer(&rig, code, &payload, sizeof(payload));
}

/* The order of QEMU: questions and calls before SET_OWNER, err fds only once. */
static void test_qemu_order(void **state)
{
	rig_do(&rig, VU_GET_FEATURES, NULL, 0);
	rig_expect_u64(&rig, VU_GET_FEATURES, RIG_FEATURES);
	rig_do(&rig, VU_GET_PROTOCOL_FEATURES, NULL, 0);
	rig_expect_u64(&rig, VU_GET_PROTOCOL_FEATURES, RIG_PROTOCOL);
	rig_do_u64(&rig, VU_SET_PROTOCOL_FEATURES, RIG_PROTOCOL);
	rig_do(&rig, VU_GET_QUEUE_NUM, NULL, 0);
	rig_expect_u64(&rig, VU_GET_QUEUE_NUM, RIG_QUEUES);
	rig_do(&rig, VU_GET_MAX_MEM_SLOTS, NULL, 0);
	rig_expect_u64(&rig, VU_GET_MAX_MEM_SLOTS, 509);
	rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
	rig_do(&rig, VU_SET_OWNER, NULL, 0);
	rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
	rig_do_fd(&rig, VU_SET_VRING_ERR, 0);
	rig_expect_told(&rig, "");

	for (int boot = 0; boot < 2; boot++) {
		rig_do_u64(&rig, VU_SET_FEATURES, RIG_FEATURES);
		if (boot == 0)
			rig_do_memory(&rig, 1);
		rig_do_state(&rig, VU_SET_VRING_NUM, 0, 128);
		rig_do_state(&rig, VU_SET_VRING_BASE, 0, 0);
		rig_do_addr(&rig, 0);
		rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
		rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
		for (uint32_t i = 0; i < RIG_QUEUES; i++) /* unused ones as well */
			rig_do_state(&rig, VU_SET_VRING_ENABLE, i, 1);
		rig_expect_told(&rig, boot == 0 ? "memory 1;start 0 num 128 base 0 desc "
						  "7f0000000000 call 1 err 1 regions 1;"
						: "start 0 num 128 base 0 desc "
						  "7f0000000000 call 1 err 1 regions 1;");

		for (uint32_t i = 0; i < RIG_QUEUES; i++)
			rig_do_state(&rig, VU_SET_VRING_ENABLE, i, 0);
		rig_expect_told(&rig, "pause 0;");
		rig_do_state(&rig, VU_GET_VRING_BASE, 0, 0);
		expect_state(VU_GET_VRING_BASE, 0, 100);
		rig_expect_told(&rig, "stop 0;");
		rig_do(&rig, VU_RESET_DEVICE, NULL, 0);
		rig_expect_told(&rig, "reset;");
	}
	rig_expect_silence(&rig);
}

/* Cloud-hypervisor of 2020: features first, and RESET_OWNER without a new SET_OWNER after it. */
static void test_reset_owner_order(void **state)
{
	rig_do(&rig, VU_SET_OWNER, NULL, 0);
	rig_do_u64(&rig, VU_SET_FEATURES, RIG_F_30);
	rig_do_u64(&rig, VU_SET_PROTOCOL_FEATURES, VU_BIT(VU_PROTOCOL_F_MQ));
	for (int boot = 0; boot < 2; boot++) {
		rig_do_u64(&rig, VU_SET_FEATURES, RIG_F_30);
		rig_do_memory(&rig, 2);
		rig_do_state(&rig, VU_SET_VRING_NUM, 1, 8);
		rig_do_addr(&rig, 1);
		rig_do_state(&rig, VU_SET_VRING_BASE, 1, 0);
		rig_do_fd(&rig, VU_SET_VRING_CALL, 1);
		rig_do_fd(&rig, VU_SET_VRING_KICK, 1);
		rig_do_state(&rig, VU_SET_VRING_ENABLE, 1, 1);
		rig_expect_told(&rig, "memory 2;start 1 num 8 base 0 desc 7f0000010000 call 1 err "
				      "0 regions 2;");
		/* still running: RESET_OWNER stops it itself */
		rig_do(&rig, VU_RESET_OWNER, NULL, 0);
		rig_expect_told(&rig, "stop 1;reset;");
	}
}

/* Without bit 30 there is no ENABLE: the kick fd starts the ring. */
static void test_no_protocol_features(void **state)
{
	rig_open(&rig, VU_CONN_READY, 0, VU_BIT(32));
	rig_do_memory(&rig, 1);
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 3);
	rig_do_addr(&rig, 0);
	rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
	rig_expect_told(&rig, "memory 1;");
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, started_0);

	/* a reset leaves rings as they are born */
	rig_do(&rig, VU_RESET_OWNER, NULL, 0);
	rig_expect_told(&rig, "stop 0;reset;");
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 3);
	rig_do_addr(&rig, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, started_0);
}

/* Bit 30 given back starts what is configured; taken again, rings are born disabled. */
static void test_bit_30_toggled(void **state)
{
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 3);
	rig_do_addr(&rig, 0);
	rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, "");
	rig_do_u64(&rig, VU_SET_FEATURES, VU_BIT(32));
	rig_expect_told(&rig, started_0);
	rig_do_state(&rig, VU_GET_VRING_BASE, 0, 0);
	expect_state(VU_GET_VRING_BASE, 0, 100);
	rig_do_u64(&rig, VU_SET_FEATURES, RIG_FEATURES);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, "stop 0;");
}

/* A ring starts with the last thing that it lacked, whichever that is. */
static void test_any_last_thing(void **state)
{
	enum { NUM, ADDR, KICK, ENABLE, THINGS };

	for (unsigned int last = 0; last < THINGS; last++) {
		for (unsigned int i = 1; i <= THINGS; i++) {
			rig_expect_told(&rig, "");
			switch ((last + i) % THINGS) {
			case NUM:
				rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
				break;
			case ADDR:
				rig_do_addr(&rig, 0);
				break;
			case KICK:
				rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
				break;
			default:
				rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
				break;
			}
		}
		rig_expect_told(&rig, "start 0 num 8 base 0 desc 7f0000000000 call 0 err 0 "
				      "regions 1;");
		rig_do(&rig, VU_RESET_DEVICE, NULL, 0);
		rig_expect_told(&rig, "stop 0;reset;");
	}
}

static void test_running_ring(void **state)
{
	struct vu_vring_addr addr = rig_addr(0);

	rig_run(&rig, 0);
	rig_expect_told(&rig, started_0);

	/* QEMU toggles the log: the same addresses, another flag */
	addr.flags = 1;
	addr.log = 0x1234;
	rig_do(&rig, VU_SET_VRING_ADDR, &addr, sizeof(addr));
	rig_do_u64(&rig, VU_SET_FEATURES, RIG_FEATURES); /* unchanged: fine */
	rig_expect_told(&rig, "");

	rig_do_fd(&rig, VU_SET_VRING_CALL, 0);
	rig_expect_told(&rig, "fds 0 call 1 err 0;");
	rig_do_fd(&rig, VU_SET_VRING_ERR, 0);
	rig_expect_told(&rig, "fds 0 call 1 err 1;");
	rig_do_u64(&rig, VU_SET_VRING_CALL, VU_VRING_NOFD);
	rig_expect_told(&rig, "fds 0 call 0 err 1;");
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, "kick 0;");
	rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 1); /* it is already */
	rig_expect_told(&rig, "");
	rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 0);
	rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
	rig_expect_told(&rig, "pause 0;resume 0;");
	rig_do_memory(&rig, 2); /* another table while it runs */
	rig_expect_told(&rig, "memory 2;");
}

/* Stopped and resumed where it stood, without telling everything again. */
static void test_resume(void **state)
{
	rig_run(&rig, 0);
	rig_expect_told(&rig, started_0);
	rig_do_state(&rig, VU_GET_VRING_BASE, 0, 0);
	expect_state(VU_GET_VRING_BASE, 0, 100);
	rig_do_state(&rig, VU_GET_VRING_BASE, 0, 0); /* once more: the same answer */
	expect_state(VU_GET_VRING_BASE, 0, 100);
	rig_expect_told(&rig, "stop 0;");
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(
		&rig, "start 0 num 8 base 100 desc 7f0000000000 call 1 err 0 regions 1;");
}

/* While a ring takes its time nothing else is read, and its answer comes first. */
static void test_slow_stop(void **state)
{
	struct vu_vring_state payload = {.index = 0};

	rig_run(&rig, 0);
	rig_expect_told(&rig, started_0);
	rig.hold_stop = true;
	rig_send(&rig, VU_GET_VRING_BASE, VU_FLAG_NEED_REPLY, &payload, sizeof(payload), NULL, 0);
	rig_send(&rig, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_told(&rig, "stop 0;");
	assert_int_equal(vu_backend_events(rig.backend), 0);
	assert_int_equal(rig_pump(&rig), 0); /* even if somebody asks */
	rig_expect_silence(&rig);

	vu_backend_ring_stopped(rig.backend, 1, 9);   /* not the one */
	vu_backend_ring_stopped(rig.backend, 999, 9); /* no such one */
	rig_expect_silence(&rig);
	vu_backend_ring_stopped(rig.backend, 0, 42);
	expect_state(VU_GET_VRING_BASE, 0, 42);
	assert_int_equal(vu_backend_events(rig.backend), POLLIN);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_GET_QUEUE_NUM, RIG_QUEUES);
	vu_backend_ring_stopped(rig.backend, 0, 43); /* nobody asked */
	rig_expect_silence(&rig);
}

/* RESET_DEVICE waits for all of them, the device is reset once, and then it is answered. */
static void test_slow_reset(void **state)
{
	rig_run(&rig, 0);
	rig_run(&rig, 2);
	rig.told[0] = '\0';
	rig.hold_stop = true;
	rig_send(&rig, VU_RESET_DEVICE, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_told(&rig, "stop 0;stop 2;");
	vu_backend_ring_stopped(rig.backend, 2, 1);
	assert_int_equal(vu_backend_events(rig.backend), 0);
	rig_expect_silence(&rig);
	vu_backend_ring_stopped(rig.backend, 0, 1);
	rig_expect_told(&rig, "reset;");
	rig_expect_u64(&rig, VU_RESET_DEVICE, 0);

	/* what it forgot has to be told again, the base too */
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_do_state(&rig, VU_SET_VRING_ENABLE, 0, 1);
	rig_do_addr(&rig, 0);
	rig_expect_told(&rig, "");
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 4);
	rig_expect_told(&rig, "start 0 num 4 base 0 desc 7f0000000000 call 1 err 0 regions 1;");
}

/* The front-end stops to listen while a ring is stopping: its owner finds out at once after it. */
static void test_deaf_while_stopping(void **state)
{
	struct vu_vring_state payload = {.index = 0};
	struct pollfd self;

	rig_run(&rig, 0);
	rig.hold_stop = true;
	rig_send(&rig, VU_GET_VRING_BASE, 0, &payload, sizeof(payload), NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	assert_int_equal(shutdown(rig.front, SHUT_RD), 0);
	vu_backend_ring_stopped(rig.backend, 0, 42);
	self = (struct pollfd){vu_backend_fd(rig.backend), vu_backend_events(rig.backend), 0};
	assert_int_equal(poll(&self, 1, 0), 1);
	assert_int_equal(rig_pump(&rig), -ECONNRESET);
}

/* The device keeps the old eventfd when it cannot take another: the front-end is told so. */
static void test_notifier_refused(void **state)
{
	CLEANUP_FD int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value = 0;

	rig_run(&rig, 0);
	rig.fds_error = -EMFILE;
	rig_send(&rig, VU_SET_VRING_CALL, VU_FLAG_NEED_REPLY, &value, sizeof(value), &call, 1);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_VRING_CALL, 1);
	/* unasked: it must not go on believing in its new one */
	rig_send(&rig, VU_SET_VRING_CALL, 0, &value, sizeof(value), &call, 1);
	rig_expect_end(&rig, -EMFILE, "SET_VRING_CALL", "cannot take another eventfd");
}

static void test_guest_breaks_ring(void **state)
{
	struct vu_vring_state enable = {.index = 0, .num = 1};
	CLEANUP_FD int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value = 0, count = 0;

	rig_send(&rig, VU_SET_VRING_ERR, 0, &value, sizeof(value), &err, 1);
	assert_int_equal(rig_pump(&rig), 0);
	rig.start_error = -EFAULT;
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 7);
	rig_do_addr(&rig, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_send(&rig, VU_SET_VRING_ENABLE, VU_FLAG_NEED_REPLY, &enable, sizeof(enable), NULL, 0);
	assert_int_equal(rig_pump(&rig), 0); /* the connection goes on */
	rig_expect_u64(&rig, VU_SET_VRING_ENABLE, 1);
	assert_int_equal(read(err, &count, sizeof(count)), sizeof(count));
	rig.told[0] = '\0';

	/* it stays broken, whatever it is told, until GET_VRING_BASE or a reset */
	rig.start_error = 0;
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, "");
	rig_do_state(&rig, VU_GET_VRING_BASE, 0, 0);
	expect_state(VU_GET_VRING_BASE, 0, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_expect_told(&rig, "start 0 num 8 base 0 desc 7f0000000000 call 0 err 1 regions 1;");
}

/* The same without NEED_REPLY: it goes on as well, since a guest may not end the connection. */
static void test_guest_breaks_ring_unasked(void **state)
{
	rig.start_error = -EINVAL;
	rig_run(&rig, 0);
	rig_do(&rig, VU_GET_QUEUE_NUM, NULL, 0);
	rig_expect_u64(&rig, VU_GET_QUEUE_NUM, RIG_QUEUES);
}

/* What we cannot do is told to whoever asks, and else ends the connection. */
static void test_we_cannot_start(void **state)
{
	struct vu_vring_state enable = {.index = 0, .num = 1};

	rig.start_error = -ENOMEM;
	rig_do_state(&rig, VU_SET_VRING_NUM, 0, 8);
	rig_do_addr(&rig, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 0);
	rig_send(&rig, VU_SET_VRING_ENABLE, VU_FLAG_NEED_REPLY, &enable, sizeof(enable), NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_VRING_ENABLE, 1);

	rig_do_state(&rig, VU_SET_VRING_NUM, 1, 8);
	rig_do_addr(&rig, 1);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 1);
	enable.index = 1;
	rig_send(&rig, VU_SET_VRING_ENABLE, 0, &enable, sizeof(enable), NULL, 0);
	rig_expect_end(&rig, -ENOMEM, "SET_VRING_ENABLE", "ring 1 cannot start");
}

/* QEMU without share=on may say nothing of memory at all: it shows when a ring shall start. */
static void test_memory_never_shared(void **state)
{
	const char *text;
	size_t lines;

	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	rig_log_start(&rig);
	rig_run(&rig, 0);
	text = rig_log_end(&rig, &lines);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(text, "SET_VRING_ENABLE"));
	assert_non_null(strstr(text, "share=on"));
	rig_expect_told(&rig, "");
}

static void test_memory_table_without_fds(void **state)
{
	struct vu_mem_table table = {.n_regions = 1, .regions[0] = rig_region(0)};

	rig_send(&rig, VU_SET_MEM_TABLE, 0, &table, 40, NULL, 0);
	rig_expect_end(&rig, -EPROTO, "SET_MEM_TABLE", "memory-backend-memfd");
}

static void test_memory_region_without_fd(void **state)
{
	struct vu_mem_reg_msg msg = {.region = rig_region(5)};

	rig_send(&rig, VU_ADD_MEM_REG, VU_FLAG_NEED_REPLY, &msg, sizeof(msg), NULL, 0);
	rig_expect_end(&rig, -EPROTO, "ADD_MEM_REG", "share=on");
}

static void send_region(uint32_t code, const struct vu_mem_region *region, int fd)
{
	struct vu_mem_reg_msg msg = {.region = *region};

	rig_send(&rig, code, VU_FLAG_NEED_REPLY, &msg, sizeof(msg), &fd, fd >= 0);
	assert_int_equal(rig_pump(&rig), 0);
}

static void test_memory_regions(void **state)
{
	CLEANUP_FD int fd = rig_memfd(0x100000);
	struct vu_mem_region region;

	/* all slots but the one that setup took */
	for (unsigned int i = 1; i < VU_MEMORY_SLOTS; i++) {
		region = rig_region(i);
		rig.told[0] = '\0';
		send_region(VU_ADD_MEM_REG, &region, fd);
		rig_expect_u64(&rig, VU_ADD_MEM_REG, 0);
	}
	assert_int_equal(rig.n_regions, VU_MEMORY_SLOTS);
	rig_expect_told(&rig, "memory 509;");

	/* cannot be met: told so, and the table is what it was */
	region = rig_region(VU_MEMORY_SLOTS);
	send_region(VU_ADD_MEM_REG, &region, fd);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 1);
	region = rig_region(508);
	send_region(VU_REM_MEM_REG, &region, -1);
	rig_expect_u64(&rig, VU_REM_MEM_REG, 0);
	send_region(VU_REM_MEM_REG, &region, fd); /* may carry an fd; there is none like it now */
	rig_expect_u64(&rig, VU_REM_MEM_REG, 1);
	region = rig_region(4); /* overlaps */
	send_region(VU_ADD_MEM_REG, &region, fd);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 1);
	region = rig_region(600);
	region.mmap_offset = 0x1000; /* past the file's end */
	send_region(VU_ADD_MEM_REG, &region, fd);
	rig_expect_u64(&rig, VU_ADD_MEM_REG, 1);
	assert_int_equal(rig.n_regions, VU_MEMORY_SLOTS - 1);

	/* a new table replaces them all; a bad one none */
	rig_do_memory(&rig, 8);
	assert_int_equal(rig.n_regions, 8);
	rig_do_memory(&rig, 0);
	assert_int_equal(rig.n_regions, 0);
}

static void test_memory_refused_unasked(void **state)
{
	struct vu_mem_reg_msg msg = {.region = rig_region(3)};

	rig_send(&rig, VU_REM_MEM_REG, 0, &msg, sizeof(msg), NULL, 0);
	rig_expect_end(&rig, -EPROTO, "REM_MEM_REG", "there is none like it");
}

/* One bad region in a table: the old table stays in force. */
static void test_memory_table_refused(void **state)
{
	struct vu_mem_table table = {.n_regions = 2};
	CLEANUP_FD int fd = rig_memfd(0x100000);
	int fds[2] = {fd, fd};

	table.regions[0] = rig_region(1);
	table.regions[1] = rig_region(1);
	rig_send(&rig, VU_SET_MEM_TABLE, VU_FLAG_NEED_REPLY, &table, 72, fds, 2);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_MEM_TABLE, 1);
	rig_expect_told(&rig, "");
	rig_run(&rig, 0);
	rig_expect_told(&rig, started_0); /* "regions 1" */
}

static void test_kick_without_fd(void **state)
{
	uint64_t value = VU_VRING_NOFD | 1;

	rig_send(&rig, VU_SET_VRING_KICK, VU_FLAG_NEED_REPLY, &value, sizeof(value), NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_VRING_KICK, 1);
	rig_send(&rig, VU_SET_VRING_KICK, 0, &value, sizeof(value), NULL, 0);
	rig_expect_end(&rig, -EPROTO, "SET_VRING_KICK", "polling");
}

/* Contradictions that only a handler can see. */
static void test_contradictions(void **state)
{
	struct vu_vring_addr moved = rig_addr(0), flags = rig_addr(1);
	struct vu_vring_state base = {.index = 1, .num = 0x10000}, enable = {.index = 1, .num = 2};
	uint64_t unoffered = RIG_FEATURES | VU_BIT(34), fewer = RIG_F_30;
	uint64_t protocol = RIG_PROTOCOL | VU_BIT(VU_PROTOCOL_F_XEN_MMAP);
	const struct {
		uint32_t code;
		const void *payload;
		uint32_t size;
		const char *why;
	} cases[] = {
		{VU_SET_FEATURES, &unoffered, 8, "not offered: 0x400000000"},
		{VU_SET_FEATURES, &fewer, 8, "while a ring is started"},
		{VU_SET_PROTOCOL_FEATURES, &protocol, 8, "not offered: 0x20000"},
		{VU_SET_VRING_ADDR, &moved, sizeof(moved), "cannot move"},
		{VU_SET_VRING_ADDR, &flags, sizeof(flags), "flags"},
		{VU_SET_VRING_BASE, &base, sizeof(base), "base 65536"},
		{VU_SET_VRING_ENABLE, &enable, sizeof(enable), "neither 0 nor 1"},
	};

	moved.used += 4096;
	flags.flags = 2;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		teardown(state);
		setup_ready(state);
		rig_run(&rig, 0);
		/* NEED_REPLY saves nobody from that */
		rig_send(&rig, cases[i].code, VU_FLAG_NEED_REPLY, cases[i].payload, cases[i].size,
			NULL, 0);
		rig_expect_end(
			&rig, -EPROTO, vu_request_name(cases[i].code), cases[i].why);
		rig_expect_silence(&rig);
	}
}

/* NEED_REPLY means nothing before REPLY_ACK, and the message that negotiates it is answered. */
static void test_reply_ack(void **state)
{
	uint64_t value = RIG_PROTOCOL;

	rig_send(&rig, VU_SET_OWNER, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_silence(&rig);
	rig_send(&rig, VU_SET_PROTOCOL_FEATURES, VU_FLAG_NEED_REPLY, &value, 8, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_PROTOCOL_FEATURES, 0);
	rig_send(&rig, VU_SET_OWNER, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_OWNER, 0);
	/* with an answer of its own: that one, once */
	rig_send(&rig, VU_GET_FEATURES, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_GET_FEATURES, RIG_FEATURES);
	rig_expect_silence(&rig);
}

static void test_config(void **state)
{
	struct vu_config_msg msg = {.offset = 36, .size = 8}, expect = msg;

	rig_open(&rig, VU_CONN_NEW, RIG_PROTOCOL, 0);
	for (uint8_t i = 0; i < 8; i++)
		expect.data[i] = (uint8_t)(36 + i);
	rig_do(&rig, VU_GET_CONFIG, &msg, 12 + 8);
	rig_expect_answer(&rig, VU_GET_CONFIG, &expect, 12 + 8);

	msg.offset = 40;
	rig_do(&rig, VU_GET_CONFIG, &msg, 12 + 8);
	rig_expect_answer(&rig, VU_GET_CONFIG, NULL, 0); /* this message's way to say no */
	msg.offset = UINT32_MAX;
	rig_do(&rig, VU_GET_CONFIG, &msg, 12 + 8);
	rig_expect_answer(&rig, VU_GET_CONFIG, NULL, 0);

	/* read-only: told so; a guest that writes costs the connection nothing */
	msg.offset = 0;
	rig_send(&rig, VU_SET_CONFIG, VU_FLAG_NEED_REPLY, &msg, 12 + 8, NULL, 0);
	assert_int_equal(rig_pump(&rig), 0);
	rig_expect_u64(&rig, VU_SET_CONFIG, 1);
	rig_do(&rig, VU_SET_CONFIG, &msg, 12 + 8);
	rig_expect_silence(&rig);
}

/* A front-end that sends and never reads: we stop reading, hold one answer, and lose nothing. */
static void test_full_socket(void **state)
{
	struct vu_header header = {VU_GET_FEATURES, VU_VERSION, 0};
	size_t sent = 0, answered = 0;
	bool was_full = false;

	for (int idle = 0; idle < 2;) {
		ssize_t n = vu_socket_send(rig.front, &header, sizeof(header), NULL, 0);

		assert_true(n == sizeof(header) || n == -EAGAIN);
		sent += n > 0;
		assert_int_equal(rig_pump(&rig), 0);
		was_full |= vu_backend_events(rig.backend) == POLLOUT;
		idle = n > 0 ? 0 : idle + 1;
	}
	assert_true(was_full);
	assert_int_equal(vu_backend_events(rig.backend), POLLOUT);

	struct vu_receiver in = {0};

	for (int idle = 0; idle < 2;) {
		int ret = vu_receive_header(rig.front, &in);

		if (ret == 0)
			ret = vu_receive_payload(rig.front, &in);
		if (ret == 0) {
			assert_int_equal(in.header.flags, 0x5);
			assert_memory_equal(in.payload, &(uint64_t){RIG_FEATURES}, 8);
			answered++;
			vu_receiver_reset(&in);
		}
		idle = ret == 0 ? 0 : idle + 1;
		assert_int_equal(rig_pump(&rig), 0);
	}
	assert_int_equal(answered, sent);
	assert_int_equal(vu_backend_events(rig.backend), POLLIN);
}

/* Many messages at once: on_ready comes back in between, for the loop's other customers. */
static void test_budget(void **state)
{
	struct vu_receiver in = {0};
	size_t answered = 0;

	for (int i = 0; i < 100; i++)
		rig_send(&rig, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(rig_pump(&rig), 0);
		while (vu_receive_header(rig.front, &in) == 0 &&
			vu_receive_payload(rig.front, &in) == 0) {
			vu_receiver_reset(&in);
			answered++;
		}
		assert_int_equal(answered, round == 0 ? 64 : 100);
	}
}

static void test_front_end_leaves(void **state)
{
	const char *text;
	size_t lines;

	rig_log_start(&rig);
	fd_close(&rig.front);
	assert_int_equal(rig_pump(&rig), -ECONNRESET);
	text = rig_log_end(&rig, &lines);
	assert_string_equal(text, ""); /* it may */
	assert_int_equal(rig_pump(&rig), -ECONNRESET);
}

static void test_new_refuses(void **state)
{
	static const struct vu_backend_ops ops;
	struct vu_backend_config config = {.n_queues = 0, .ops = &ops};
	struct vu_backend *backend;
	size_t before = count_fds();

	assert_int_equal(vu_backend_new(dup(0), &config, &backend), -EINVAL);
	config.n_queues = 257;
	assert_int_equal(vu_backend_new(dup(0), &config, &backend), -EINVAL);
	config.n_queues = 1;
	config.protocol_features = VU_BIT(VU_PROTOCOL_F_XEN_MMAP); /* has no messages here */
	assert_int_equal(vu_backend_new(dup(0), &config, &backend), -EINVAL);
	assert_int_equal(count_fds(), before); /* the fd is consumed all the same */
	vu_backend_free(NULL);
}

#define TEST(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_qemu_order, setup),
		TEST(test_reset_owner_order, setup),
		TEST(test_no_protocol_features, setup),
		TEST(test_bit_30_toggled, setup_ready),
		TEST(test_any_last_thing, setup_ready),
		TEST(test_running_ring, setup_ready),
		TEST(test_resume, setup_ready),
		TEST(test_slow_stop, setup_ready),
		TEST(test_slow_reset, setup_ready),
		TEST(test_deaf_while_stopping, setup_ready),
		TEST(test_notifier_refused, setup_ready),
		TEST(test_guest_breaks_ring, setup_ready),
		TEST(test_guest_breaks_ring_unasked, setup_ready),
		TEST(test_we_cannot_start, setup_ready),
		TEST(test_memory_never_shared, setup),
		TEST(test_memory_table_without_fds, setup_ready),
		TEST(test_memory_region_without_fd, setup_ready),
		TEST(test_memory_regions, setup_ready),
		TEST(test_memory_refused_unasked, setup_ready),
		TEST(test_memory_table_refused, setup_ready),
		TEST(test_kick_without_fd, setup_ready),
		TEST(test_contradictions, setup_ready),
		TEST(test_reply_ack, setup),
		TEST(test_config, setup),
		TEST(test_full_socket, setup),
		TEST(test_budget, setup),
		TEST(test_front_end_leaves, setup),
		TEST(test_new_refuses, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
