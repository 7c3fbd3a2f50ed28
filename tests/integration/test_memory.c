/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory that comes and goes: many slots, removal while requests are in flight on it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/hangfs.h"
#include "tests/integration/harness.h"

#define ROOT  FUSE_ROOT_ID
#define EXTRA UINT64_C(0x4000000000) /* where more memory goes, far from the first */
#define PAGE  UINT64_C(4096)
#define SLOTS 509

static int maps(const struct it *it)
{
	return be_maps(&it->be, "memfd:");
}

/* A READ whose data goes to [gpa, gpa + size), wherever that is. */
static struct fc_req *read_into(
	struct it *it, uint64_t nodeid, uint64_t fh, uint64_t gpa, uint32_t size)
{
	struct fuse_read_in in = { .fh = fh, .size = size };
	struct fc_req *req = fc_slot(it->q);
	struct fuse_in_header h;

	assert_non_null(req);
	fc_header(it->q, &h, FUSE_READ, nodeid, sizeof(h) + sizeof(in));
	memcpy(req->req, &h, sizeof(h));
	memcpy(req->req + sizeof(h), &in, sizeof(in));
	req->unique = h.unique;
	req->room = 16 + size;
	const struct vq_buf bufs[] = {
		{ req->req_gpa, h.len, false },
		{ req->rep_gpa, 16, true },
		{ gpa, size, true },
	};
	assert_true(fc_publish(req, bufs, ARRAY_SIZE(bufs), false));
	return req;
}

static void open_named(struct it *it, const char *path, uint64_t *nodeid, uint64_t *fh)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;

	assert_int_equal(fc_walk(it->q, path, &entry), 0);
	assert_int_equal(fc_open(it->q, entry.nodeid, O_RDWR, &open_out), 0);
	*nodeid = entry.nodeid;
	*fh = open_out.fh;
}

static void many_slots(void **state)
{
	struct it *it = *state;
	int slots[SLOTS], n = 0, before = maps(it), r;
	uint64_t most = 0, nodeid, fh;

	assert_int_equal(vu_frontend_get_u64(it->fc->fe, VU_GET_MAX_MEM_SLOTS, &most), 0);
	assert_int_equal(most, SLOTS);
	it_file(it, "f", "0123456789");
	open_named(it, "f", &nodeid, &fh);
	/* One slot is the client's own. Neighbours do not touch, so that none can be merged. */
	for (; n < SLOTS - 1; n++) {
		slots[n] = vu_frontend_add_memory(it->fc->fe, EXTRA + (uint64_t)n * 2 * PAGE, PAGE);
		assert_true(slots[n] >= 0);
	}
	assert_int_equal(maps(it), before + SLOTS - 1);
	for (int i = 0; i < n; i += 50) {
		uint64_t gpa = EXTRA + (uint64_t)i * 2 * PAGE;

		assert_int_equal(fc_wait(read_into(it, nodeid, fh, gpa, 100), FC_WAIT_MS, NULL), 0);
		assert_memory_equal(fc_host(it->fc, gpa, 10), "0123456789", 10);
	}
	/* One too many is refused and costs nothing. */
	r = vu_frontend_add_memory(it->fc->fe, EXTRA + UINT64_C(0x100000000), PAGE);
	assert_int_equal(r, -EREMOTEIO);
	it_assert_alive(it->q);
	for (int i = 0; i < n; i++)
		assert_int_equal(vu_frontend_remove_memory(it->fc->fe, slots[i]), 0);
	it_until(maps(it) == before, 2000);
	it_assert_alive(it->q);
}

/* A buffer over the border of two regions that touch. */
static void across_regions(void **state)
{
	struct it *it = *state;
	char want[6000];
	uint64_t nodeid, fh;

	memset(want, 'w', sizeof(want) - 1);
	want[sizeof(want) - 1] = '\0';
	it_file(it, "f", want);
	open_named(it, "f", &nodeid, &fh);
	assert_true(vu_frontend_add_memory(it->fc->fe, EXTRA, PAGE) >= 0);
	assert_true(vu_frontend_add_memory(it->fc->fe, EXTRA + PAGE, PAGE) >= 0);
	uint64_t gpa = EXTRA + PAGE - 2500;
	assert_int_equal(fc_wait(read_into(it, nodeid, fh, gpa, 5000), FC_WAIT_MS, NULL), 0);
	assert_memory_equal(fc_host(it->fc, gpa, 2500), want, 2500);
	assert_memory_equal(fc_host(it->fc, EXTRA + PAGE, 2500), want, 2500);
}

/* Regions come and go while the queue is busy in others. */
static void churn_under_load(void **state)
{
	struct it *it = *state;
	int before = maps(it);
	uint64_t nodeid, fh;
	char data[4096];

	it_file(it, "f", "0123456789");
	open_named(it, "f", &nodeid, &fh);
	for (int round = 0; round < 100; round++) {
		uint64_t gpa = EXTRA + (uint64_t)(round % 5) * 2 * PAGE;
		struct fuse_getattr_in in = { .fh = 0 };
		struct fc_req *reqs[8];

		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++) {
			reqs[i] = fc_send(it->q, &(struct fc_call){ .opcode = FUSE_GETATTR,
							 .nodeid = nodeid,
							 .args = &in,
							 .args_len = sizeof(in),
							 .room = sizeof(struct fuse_attr_out) });
			assert_non_null(reqs[i]);
		}
		int slot = vu_frontend_add_memory(it->fc->fe, gpa, PAGE);
		assert_true(slot >= 0);
		assert_int_equal(fc_wait(read_into(it, nodeid, fh, gpa, 100), FC_WAIT_MS, NULL), 0);
		assert_int_equal(vu_frontend_remove_memory(it->fc->fe, slot), 0);
		for (size_t i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_int_equal(fc_wait(reqs[i], FC_WAIT_MS, NULL), 0);
	}
	assert_int_equal(fc_read(it->q, nodeid, fh, 0, data, sizeof(data)), 10);
	it_until(maps(it) == before, 2000);
}

/*
 * The heart of it: a read hangs with its buffer in a region that is removed. The message is
 * answered at once, the region stays mapped until the read ends, and goes then.
 */
static void removal_under_a_hanging_read(void **state)
{
	struct it *it = *state;
	struct hangfs fs;
	uint64_t nodeid, fh;
	int before, slot;

	assert_int_equal(mkdir(it_path(it, "mnt"), 0755), 0);
	assert_int_equal(hangfs_start(&fs, it_path(it, "mnt")), 0);
	open_named(it, "mnt/hang", &nodeid, &fh);
	before = maps(it);
	slot = vu_frontend_add_memory(it->fc->fe, EXTRA, PAGE);
	assert_true(slot >= 0);
	assert_int_equal(maps(it), before + 1);
	struct fc_req *req = read_into(it, nodeid, fh, EXTRA, 4096);
	assert_int_equal(hangfs_wait(&fs, 1, 5000), 0);
	int64_t asked = it_now_ms();
	assert_int_equal(vu_frontend_remove_memory(it->fc->fe, slot), 0);
	assert_true(it_now_ms() - asked < 300);
	for (int i = 0; i < 100; i++) {
		it_nap();
		assert_int_equal(maps(it), before + 1);
	}
	it_assert_alive(it->q);
	/* The same place may be filled anew meanwhile. */
	slot = vu_frontend_add_memory(it->fc->fe, EXTRA, PAGE);
	assert_true(slot >= 0);
	memset(fc_host(it->fc, EXTRA, PAGE), 'n', PAGE);
	assert_int_equal(hangfs_release(&fs), 0);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), 0);
	it_until(maps(it) == before + 1, 2000);
	/* The late data went to the old region, not to the new one. */
	const char *page = fc_host(it->fc, EXTRA, PAGE);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(page[i], 'n');
	assert_int_equal(vu_frontend_remove_memory(it->fc->fe, slot), 0);
	it_until(maps(it) == before, 2000);
	hangfs_stop(&fs);
}

/* Without the slots' feature the whole table comes anew, while rings run. */
static struct it_options table = { .fc = { .no_memory_slots = true } };

static void memory_table_replaced(void **state)
{
	struct it *it = *state;
	uint64_t nodeid, fh;

	it_file(it, "f", "0123456789");
	open_named(it, "f", &nodeid, &fh);
	for (int round = 0; round < 30; round++) {
		int slots[7];

		for (int i = 0; i < 7; i++) {
			slots[i] = vu_frontend_add_memory(
				it->fc->fe, EXTRA + (uint64_t)i * PAGE, PAGE);
			assert_true(slots[i] >= 0);
			it_assert_alive(it->q);
		}
		assert_int_equal(
			fc_wait(read_into(it, nodeid, fh, EXTRA + PAGE - 5, 100), FC_WAIT_MS, NULL),
			0);
		assert_memory_equal(fc_host(it->fc, EXTRA + PAGE, 5), "56789", 5);
		for (int i = 0; i < 7; i++)
			assert_int_equal(vu_frontend_remove_memory(it->fc->fe, slots[i]), 0);
	}
	it_assert_alive(it->q);
}

/* ---- regions that nobody can map ---- */

static int add_region(
	struct it *it, uint64_t gpa, uint64_t size, uint64_t offset, uint64_t file_size)
{
	struct vu_mem_reg_msg msg = { .region = { gpa, size, gpa + (UINT64_C(1) << 46), offset } };
	int fd = memfd_create("region", MFD_CLOEXEC), r;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)file_size), 0);
	r = vu_frontend_request(it->fc->fe, VU_ADD_MEM_REG, &msg, sizeof(msg), &fd, 1);
	close(fd);
	return r;
}

static void bad_regions_are_refused(void **state)
{
	struct it *it = *state;
	int before = maps(it), fds = be_fds(&it->be);
	static const struct {
		uint64_t gpa, size, offset, file_size;
		bool malformed; /* ends the connection */
	} bad[] = {
		{ EXTRA, 8192, 0, 4096, false },          /* longer than the file */
		{ EXTRA, 4096, 4096, 4096, false },       /* past it */
		{ FC_MEMORY_BASE, 4096, 0, 4096, false }, /* overlaps */
		{ FC_MEMORY_BASE - 4096, 8192, 0, 8192, false },
		{ EXTRA, UINT64_C(1) << 60, 0, 4096, false },
		{ EXTRA, 0, 0, 4096, true },                    /* empty */
		{ EXTRA, 4096, UINT64_MAX - 4094, 4096, true }, /* wraps */
		{ UINT64_MAX - 4095, 8192, 0, 8192, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = add_region(it, bad[i].gpa, bad[i].size, bad[i].offset, bad[i].file_size);

		if (r != (bad[i].malformed ? -ECONNRESET : -EREMOTEIO))
			fail_msg("region %zu: %d", i, r);
		if (bad[i].malformed) {
			it_disconnect(it);
			it_connect(it, NULL);
			assert_int_equal(fc_mount(it->q, NULL), 0);
		}
		it_assert_alive(it->q);
	}
	assert_int_equal(maps(it), before);
	assert_true(be_settle_fds(&it->be, fds, 2000) <= fds);
	/* Removing what is not there is refused as well. */
	struct vu_mem_reg_msg msg = { .region = { EXTRA, 4096, 4096, 0 } };
	assert_int_equal(
		vu_frontend_request(it->fc->fe, VU_REM_MEM_REG, &msg, sizeof(msg), NULL, 0),
		-EREMOTEIO);
	it_assert_alive(it->q);
}

/* A file that shrinks under a region in use: errors, never a SIGBUS that kills the service. */
static void region_file_shrinks(void **state)
{
	struct it *it = *state;
	uint64_t nodeid, fh;
	int fd = memfd_create("shrinks", MFD_CLOEXEC);
	struct vu_mem_reg_msg msg = { .region = { EXTRA, 1 << 20, UINT64_C(1) << 46, 0 } };

	it_file(it, "f", "0123456789");
	open_named(it, "f", &nodeid, &fh);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(
		vu_frontend_request(it->fc->fe, VU_ADD_MEM_REG, &msg, sizeof(msg), &fd, 1), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	struct fc_req *req = read_into(it, nodeid, fh, EXTRA, 4096);
	assert_int_equal(fc_wait(req, FC_WAIT_MS, NULL), -EFAULT);
	it_assert_alive(it->q);
	close(fd);
}

static struct it_options keep = { .be = { .keep_listening = true } };

/* A front-end that leaves takes its memory along. */
static void nothing_stays_mapped(void **state)
{
	struct it *it = *state;

	for (int round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < 10; i++)
			assert_true(vu_frontend_add_memory(
					    it->fc->fe, EXTRA + i * 2 * PAGE, PAGE) >= 0);
		it_disconnect(it);
		it_until(maps(it) == 0, 2000);
		it_connect(it, NULL);
		assert_int_equal(fc_mount(it->q, NULL), 0);
		it_assert_alive(it->q);
	}
}

static const struct CMUnitTest tests[] = {
	IT_TEST(many_slots),
	IT_TEST(across_regions),
	IT_TEST(churn_under_load),
	IT_TEST(removal_under_a_hanging_read),
	IT_TEST_WITH(memory_table_replaced, table),
	IT_TEST_WITH(bad_regions_are_refused, keep),
	IT_TEST(region_file_shrinks),
	IT_TEST_WITH(nothing_stays_mapped, keep),
};

static const struct it_difference differences[] = {
	{ "many_slots", "it takes 32 slots" },
	{ "removal_under_a_hanging_read", "it unmaps at once, under the read" },
	{ "bad_regions_are_refused", "it takes regions that are longer than their file" },
	{ "nothing_stays_mapped", "it serves one front-end only" },
};

IT_MAIN("memory", tests, differences)
