/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory files that are cut short while we use them: no crash, the owner hears of it. */
#include "gateway/fault.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#include "gateway/queue.h"
#include "gateway/thread.h"
#include "tests/unit/guest.h"
#include "vhostuser/log.h"

#define PAGE 4096u
#define SIZE (64 * PAGE)
#define NUM  128u

struct fixture {
	struct ev_loop *loop;
	struct vu_memory *memory;
	volatile uint8_t *host; /* of its one region */
	int fd;                 /* its file */
	unsigned int n_lost, n_stopped;
	sem_t touched;
	uint8_t value;
};

static void on_lost(void *ctx)
{
	struct fixture *f = ctx;

	f->n_lost++;
}

static struct vu_memory *one_region(int fd)
{
	struct vu_memory *empty = vu_memory_new(), *memory;
	struct vu_region_desc desc = guest_desc(0, SIZE);
	struct vu_region *region;

	assert_int_equal(vu_region_map(&desc, fd, &region), 0);
	assert_int_equal(vu_memory_add(empty, region, &memory), 0);
	vu_region_put(region);
	vu_memory_put(empty);
	return memory;
}

/* Within each test: cmocka takes SIGBUS for itself after it has called the setup. */
static struct fixture *begin(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = ev_loop_new(EVFLAG_AUTO);
	f->fd = guest_memfd(SIZE);
	f->memory = one_region(f->fd);
	f->host = f->memory->regions[0]->host;
	sem_init(&f->touched, 0, 0);
	gw_fault_start(f->loop, on_lost, f);
	return f;
}

static void end(struct fixture *f)
{
	gw_fault_stop(f->loop);
	vu_memory_put(f->memory);
	close(f->fd);
	ev_loop_destroy(f->loop);
	sem_destroy(&f->touched);
	free(f);
}

static void wait_lost(struct fixture *f)
{
	for (int i = 0; i < 2000 && !f->n_lost; i++) {
		ev_run(f->loop, EVRUN_NOWAIT);
		usleep(1000);
	}
	assert_true(f->n_lost > 0);
}

static void test_truncated(void **state)
{
	struct fixture *f = begin();
	int other_fd = guest_memfd(SIZE);
	struct vu_memory *other = one_region(other_fd);

	f->host[0] = 1;
	f->host[5 * PAGE] = 2;
	assert_int_equal(ftruncate(f->fd, PAGE), 0);
	assert_int_equal(f->host[0], 1);
	assert_false(vu_memory_lost(f->memory));

	/* All of the region goes at once, and is memory like any other then. */
	assert_int_equal(f->host[5 * PAGE], 0);
	assert_int_equal(f->host[0], 0);
	f->host[9 * PAGE] = 7;
	assert_int_equal(f->host[9 * PAGE], 7);
	assert_true(vu_memory_lost(f->memory));
	assert_false(vu_memory_lost(other));
	wait_lost(f);

	/* A mapping that takes the place of a lost one is not lost. */
	vu_memory_put(f->memory);
	assert_int_equal(ftruncate(f->fd, SIZE), 0);
	f->memory = one_region(f->fd);
	f->host = f->memory->regions[0]->host;
	assert_false(vu_memory_lost(f->memory));
	assert_int_equal(f->host[0], 1);
	vu_memory_put(other);
	close(other_fd);
	end(f);
}

static void touch(void *arg)
{
	struct fixture *f = arg;

	f->host[3 * PAGE] = 42;
	f->value = f->host[3 * PAGE];
	sem_post(&f->touched);
}

/* The threads of the service block every signal but this one. */
static void test_on_a_thread(void **state)
{
	struct fixture *f = begin();

	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(gw_thread_start(touch, f, "touch"), 0);
	while (sem_wait(&f->touched) != 0)
		;
	assert_int_equal(f->value, 42);
	wait_lost(f);
	end(f);
}

static void test_after_stop(void **state)
{
	struct fixture *f = begin();

	gw_fault_stop(f->loop);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(f->host[0], 0);
	ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(f->n_lost, 0);
	gw_fault_start(f->loop, on_lost, f);
	end(f);
}

/* A mapping that is not guest memory is our own bug, and ends as such. */
static void test_elsewhere(void **state)
{
	struct fixture *f = begin();
	int fd = guest_memfd(PAGE), status;
	volatile uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t child;

	assert_true(page != MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), 0);
	child = fork();
	if (child == 0)
		_exit(page[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	munmap((void *)(uintptr_t)page, PAGE);
	close(fd);
	end(f);
}

static void submit(void *fs, struct fs_io *io)
{
	io->complete(io, 0);
}

static void on_stopped(void *device, unsigned int index, uint16_t base)
{
	struct fixture *f = device;

	f->n_stopped++;
}

/* The rings themselves are gone, under a running queue: it stops as any other. */
static void test_rings(void **state)
{
	struct fixture *f = begin();
	struct gw_watch watch;
	struct gw_queue_config config = {
		.submit = submit, .stopped = on_stopped, .device = f, .watch = &watch};
	const struct vq_config ring = {
		.num = NUM,
		.desc_addr = GUEST_USER,
		.avail_addr = GUEST_USER + 4 * PAGE,
		.used_addr = GUEST_USER + 8 * PAGE,
		.features = UINT64_C(1) << 32,
	};
	struct gw_queue *queue;
	uint64_t one = 1;
	int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	vu_log_level = LOG_LEVEL_OFF;
	gw_watch_init(&watch, f->loop);
	assert_int_equal(gw_queue_new(&config, &queue), 0);
	assert_int_equal(gw_queue_start(queue, &ring, f->memory, dup(kick), -1, -1), 0);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_int_equal(write(kick, &one, sizeof(one)), sizeof(one));
	wait_lost(f);
	gw_queue_stop(queue);
	for (int i = 0; i < 2000 && !f->n_stopped; i++) {
		ev_run(f->loop, EVRUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(f->n_stopped, 1);
	gw_queue_free(queue);
	usleep(20000); /* its thread goes by itself */
	gw_watch_fini(&watch);
	close(kick);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_on_a_thread),
		cmocka_unit_test(test_after_stop),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
