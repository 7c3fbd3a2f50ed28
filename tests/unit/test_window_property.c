/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random operations on a window against front-ends of each dialect that refuse, are late, or are
 * reset: in the end the front-end's pages are those of the table, and of a naive model that replays
 * what succeeded.
 */
#include <time.h>

#include "tests/unit/window_front.h"

#define OPERATIONS 100000
#define ROUND      40
#define OFFSETS    4

enum kind { KIND_MAP, KIND_UNMAP, KIND_ALL };

struct operation {
	struct dax_request op;
	enum kind kind;
	size_t file, n;
	struct dax_entry entries[4];
	bool told;
};

/* Time is the test's own: no wait of five seconds takes that long. */
static int64_t now_ms = 1000;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	now->tv_sec = now_ms / 1000;
	now->tv_nsec = now_ms % 1000 * 1000000;
	return 0;
}

static uint64_t seed;
static unsigned int refused_in_100;

static uint64_t pick(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static bool refuse(const struct dax_entry *entry)
{
	return pick(100) < refused_in_100;
}

static void done(struct dax_request *op, int error)
{
	struct operation *operation = container_of(op, struct operation, op);

	assert_false(operation->told);
	operation->told = true;
	op->error = error;
}

static void wake(void *ctx)
{
}

static struct dax_entry random_range(void)
{
	uint64_t start = pick(FRONT_PAGES), len = 1 + pick(pick(4) ? 4 : FRONT_PAGES);

	return (struct dax_entry){
		.window_offset = start * PAGE, .len = MIN(len, FRONT_PAGES - start) * PAGE};
}

/* ---- the model ---- */

struct model {
	bool mapped, known;
	size_t file;
	uint64_t offset;
	uint32_t access;
};

static void replay(struct model *pages, const struct operation *o)
{
	for (size_t i = 0; i < o->n; i++) {
		for (uint64_t p = 0; p < o->entries[i].len / PAGE; p++) {
			struct model *page = &pages[o->entries[i].window_offset / PAGE + p];

			*page = (struct model){o->kind == KIND_MAP && !o->op.error,
				o->kind != KIND_MAP || !o->op.error, o->file,
				o->entries[i].fd_offset + p * PAGE, o->entries[i].access};
		}
	}
}

/* `exactly`: nothing but what operations were told was lost. */
static void compare(const struct model *pages, bool exactly)
{
	for (size_t i = 0; i < FRONT_PAGES; i++) {
		const struct page *page = &front.pages[i];

		if (!pages[i].known || (!exactly && !page->mapped))
			continue;
		assert_int_equal(page->mapped, pages[i].mapped);
		if (!page->mapped)
			continue;
		assert_int_equal(page->file, pages[i].file);
		assert_int_equal(page->offset, pages[i].offset);
		/* shmem's are mapped with all that the file's fd allows. */
		if (front.exact)
			assert_int_equal(pages[i].access & ~page->access, 0);
		else
			assert_int_equal(pages[i].access, page->access);
	}
}

/* ---- a round ---- */

static void submit(struct dax_window *window, struct operation *o, bool faults)
{
	*o = (struct operation){.op.done = done, .n = 1};
	if (faults && pick(40) == 0) {
		o->kind = KIND_ALL;
		o->entries[0].len = FRONT_PAGES * PAGE;
		o->told = true;
		if (pick(2)) {
			dax_unmap_all(window);
		} else {
			if (front.exact) {
				front_clear(0, FRONT_PAGES * PAGE);
				front.n_regions = 0;
			}
			dax_window_reset(window);
		}
		return;
	}
	if (pick(3) == 0) {
		o->kind = KIND_UNMAP;
		o->n = 1 + pick(4);
		for (size_t i = 0; i < o->n; i++)
			o->entries[i] = random_range();
		dax_unmap(window, o->entries, o->n, &o->op);
		return;
	}
	o->kind = KIND_MAP;
	o->file = pick(FRONT_FILES);
	o->entries[0] = random_range();
	o->entries[0].fd_offset = pick(OFFSETS) * PAGE;
	o->entries[0].access = pick(2) ? DAX_READ : DAX_READ | DAX_WRITE;
	dax_map(window, o->file,
		front_open(o->file, (o->entries[0].access & DAX_WRITE) && (!faults || pick(8))
					    ? O_RDWR
					    : O_RDONLY),
		o->entries, &o->op);
}

static int run(struct dax_window *window)
{
	int next;

	assert_int_equal(dax_window_run(window, &next), 0);
	assert_true(dax_window_valid(window));
	return next;
}

static void stir(struct dax_window *window, bool faults)
{
	front.full = pick(10) == 0;
	for (size_t n = pick(6); n; n--)
		(void)front_serve();
	if (pick(3))
		(void)front_region(window);
	if (faults && pick(100) == 0)
		now_ms += (int64_t)pick(7000);
	if (pick(30) == 0) {
		dax_window_set_running(window, false);
		now_ms += 20000;
		(void)run(window);
		dax_window_set_running(window, true);
	}
	(void)run(window);
}

static void quiesce(struct dax_window *window, bool faults)
{
	int next;

	front.full = false;
	do {
		while (front_serve())
			continue;
		while (front_region(window))
			continue;
		next = run(window);
		/* A region may have been taken for that of another mapping of the same place. */
		if (faults && next > 0 && front.n == 0)
			now_ms += next;
	} while (front.n || next >= 0);
}

static void one_round(struct dax_window *window, struct model *pages, bool faults)
{
	static struct operation operations[ROUND];
	bool exactly = !faults || !front.exact;

	refused_in_100 = faults ? 5 : 0;
	for (size_t i = 0; i < ROUND; i++) {
		submit(window, &operations[i], faults);
		if (pick(3) == 0)
			stir(window, faults);
	}
	quiesce(window, faults);
	for (size_t i = 0; i < ROUND; i++) {
		assert_true(operations[i].told);
		if (!faults)
			assert_int_equal(operations[i].op.error, 0);
		replay(pages, &operations[i]);
	}
	front_check(window);
	compare(pages, exactly);
	for (size_t i = 0; i < FRONT_PAGES; i++)
		pages[i] = (struct model){front.pages[i].mapped, true, front.pages[i].file,
			front.pages[i].offset,
			!front.exact     ? front.pages[i].access
			: pages[i].known ? pages[i].access
					 : 0};
}

static void drive(const char *dialect, bool regions)
{
	struct dax_window_config config = {
		.dialect = dax_dialect_find(dialect),
		.size = FRONT_PAGES * PAGE,
		.maps_max = FRONT_PAGES,
		.wake = wake,
	};
	struct model pages[FRONT_PAGES] = {0};
	struct dax_window *window;
	struct vu_channel *channel;
	size_t fds = count_fds();

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	seed = (uint64_t)getpid() << 20 | 0x9e3779b9;
	print_message("%s: seed %#llx\n", dialect, (unsigned long long)seed);
	front_init(dialect);
	front.refuse = refuse;
	assert_int_equal(dax_window_new(&config, &window), 0);
	assert_int_equal(vu_channel_new(-1, &channel), 0);
	dax_window_attach(window, channel, regions);
	dax_window_set_running(window, true);
	for (size_t i = 0; i < OPERATIONS / ROUND; i++)
		one_round(window, pages, i % 2);
	dax_window_free(window);
	front_fini();
	assert_int_equal(count_fds(), fds);
}

static void test_seed(void **state)
{
	drive("seed", false);
}

static void test_fs_v2(void **state)
{
	drive("fs-v2", false);
}

static void test_fs_count(void **state)
{
	drive("fs-count", false);
}

static void test_shmem(void **state)
{
	drive("shmem", false);
}

static void test_shmem_regions(void **state)
{
	drive("shmem", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_fs_v2),
		cmocka_unit_test(test_fs_count),
		cmocka_unit_test(test_shmem),
		cmocka_unit_test(test_shmem_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
