/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device under test, from the connection to the summary.
 *
 * Two threads use the main connection: the channel's for memory regions, and the test's for
 * everything else once it is open; the lock is theirs. Rings and the FUSE client are the test's
 * thread's alone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/frontend/dax.h"
#include "gateway/frontend/reason.h"
#include "gateway/frontend/text.h"
#include "vhostuser/checked.h"
#include "vhostuser/clock.h"

#define WINDOW_GPA UINT64_C(0x1000000000)
#define CONNECT_MS 10000
#define CHUNK      FU_DATA_MAX

/* ---- opening ---- */

static int region(void *ctx, bool add, const struct dax_entry *entry, int fd)
{
	struct ft_run *run = ctx;
	struct vu_mem_reg_msg msg = {
		.region = {.gpa = WINDOW_GPA + entry->window_offset,
			.size = entry->len,
			.user_addr = (uintptr_t)fw_window_base(run->window) + entry->window_offset,
			.mmap_offset = entry->fd_offset},
	};
	int r;

	pthread_mutex_lock(&run->lock);
	r = vu_frontend_request(run->fe, add ? VU_ADD_MEM_REG : VU_REM_MEM_REG, &msg, sizeof(msg),
		&fd, add ? 1 : 0);
	pthread_mutex_unlock(&run->lock);
	if (r < 0 && !(add && r == -EREMOTEIO))
		fprintf(stderr, "a mapping's memory region was not %s: %s\n",
			add ? "added" : "removed", strerror(-r));
	return r;
}

static void *host(void *ctx, uint64_t gpa, uint64_t len)
{
	return vu_frontend_host(((struct ft_run *)ctx)->fe, gpa, len);
}

static int connect_device(struct ft_run *run)
{
	const struct ft_options *o = run->options;
	int r;

	if (o->listen || access(o->socket, F_OK) < 0)
		fprintf(stderr, "%s: waits %d seconds for a back-end\n", o->socket,
			CONNECT_MS / 1000);
	r = o->listen ? vu_frontend_accept(o->socket, CONNECT_MS, &run->fe)
		      : vu_frontend_connect(o->socket, CONNECT_MS, &run->fe);
	if (r < 0)
		ft_error(run, "%s: %s: %s", o->socket, ft_connect_failed(r), strerror(-r));
	return r;
}

static int negotiate(struct ft_run *run)
{
	uint64_t features = VU_BIT(32) | VU_BIT(VU_F_PROTOCOL_FEATURES) |
			    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX);
	uint64_t needed = VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |
			  VU_BIT(VU_PROTOCOL_F_BACKEND_SEND_FD);
	uint64_t wanted = needed | VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_CONFIG);
	int r;

	if (run->options->shmem)
		needed |= VU_BIT(VU_PROTOCOL_F_SHMEM);
	/* The seed knows no bit past 12; its memory comes as a table. */
	if (strcmp(dax_dialect_name(run->options->dialect), "seed") != 0)
		wanted |= VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) |
			  VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	r = vu_frontend_negotiate(run->fe, features, wanted | needed);
	if (r < 0)
		return r;
	if (needed & ~vu_frontend_protocol_features(run->fe)) {
		ft_error(run,
			"the back-end offers no window for dialect %s: start it with --dax-window, "
			"or try --dialect %s",
			dax_dialect_name(run->options->dialect),
			run->options->shmem ? "fs-v2, fs-count or seed" : "shmem");
		return -EOPNOTSUPP;
	}
	run->regions = run->options->shmem && (vu_frontend_protocol_features(run->fe) &
						      VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	return 0;
}

/* The window that the back-end declares, in shmem; else what we were told. */
static int window_size(struct ft_run *run, uint64_t *window)
{
	uint64_t sizes[VU_SHMEM_REGIONS];
	int r;

	*window = run->options->window;
	if (!run->options->shmem)
		return 0;
	r = vu_frontend_get_shmem(run->fe, sizes);
	if (r < 0)
		return r;
	*window = r ? sizes[0] : 0;
	if (!*window || *window % FT_PAGE) {
		ft_error(run, "the back-end declares a window of %llu bytes",
			(unsigned long long)*window);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int open_window(struct ft_run *run)
{
	struct fw_config window = {
		.dialect = run->options->dialect, .gpa = WINDOW_GPA, .host = host, .ctx = run};
	struct fw_channel_config channel = {
		.region = run->regions ? region : NULL, .ctx = run, .fd = -1};
	int r = window_size(run, &window.size);

	if (r == 0)
		r = fw_window_new(&window, &run->window);
	if (r == 0)
		r = vu_frontend_open_channel(run->fe, &channel.fd);
	channel.window = run->window;
	return r < 0 ? r : fw_channel_start(&channel, &run->channel);
}

enum ft_exit ft_open(struct ft_run *run, const struct ft_options *options)
{
	int r;

	*run = (struct ft_run){.options = options, .random = options->seed};
	run->began = run->told = vu_now_ms();
	pthread_mutex_init(&run->lock, NULL);
	r = fw_window_catch_faults();
	if (r == 0)
		r = connect_device(run);
	if (r == 0)
		r = negotiate(run);
	if (r == 0)
		r = open_window(run);
	if (r == 0)
		r = fu_open(run->fe, &run->client);
	if (r == 0)
		r = fu_init(run->client, &run->init);
	if (r == 0)
		return FT_EXIT_OK;
	if (!run->error[0])
		ft_error(run, "the device was not opened: %s%s", ft_result(r), ft_open_hint(r));
	return FT_EXIT_PROTOCOL;
}

void ft_close(struct ft_run *run)
{
	fw_channel_stop(run->channel);
	fu_close(run->client);
	vu_frontend_free(run->fe);
	fw_window_free(run->window);
	pthread_mutex_destroy(&run->lock);
}

/* ---- words ---- */

bool ft_check(struct ft_run *run, bool good, const char *format, ...)
{
	va_list args;

	run->checks++;
	if (good)
		return true;
	if (run->failures++ < 20) {
		va_start(args, format);
		fputs("FAILED: ", stderr);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
		va_end(args);
	}
	return false;
}

void ft_error(struct ft_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->error, sizeof(run->error), format, args);
	va_end(args);
	fprintf(stderr, "%s\n", run->error);
}

const char *ft_result(int r)
{
	static const char *const ours[] = {
		[FU_TIMEOUT - FU_TIMEOUT] = "no reply in time",
		[FU_TIMEOUT - FU_BROKEN] = "the back-end gave the queue up",
		[FU_TIMEOUT - FU_BAD_REPLY] = "a reply that no device may give",
		[FU_TIMEOUT - FU_NO_ROOM] = "no room for the request",
	};
	const char *name;

	if (r <= FU_TIMEOUT && r >= FU_NO_ROOM)
		return ours[FU_TIMEOUT - r];
	if (r >= 0)
		return r ? "another count of bytes" : "success";
	name = strerrorname_np(-r);
	return name ? name : "an error that has no name";
}

int64_t ft_elapsed(const struct ft_run *run)
{
	return vu_now_ms() - run->began;
}

void ft_progress(struct ft_run *run, const char *format, ...)
{
	int64_t now = vu_now_ms();
	va_list args;

	if (now - run->told < 1000)
		return;
	run->told = now;
	va_start(args, format);
	fprintf(stderr, "%4llds ", (long long)ft_elapsed(run) / 1000);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static void print_batches(const struct fw_stats *stats, enum dax_op op, const char *name)
{
	printf(",\"%s\":{\"messages\":%llu,\"entries\":%llu,\"batches\":[", name,
		(unsigned long long)stats->messages[op], (unsigned long long)stats->entries[op]);
	for (unsigned int i = 1; i <= DAX_BATCH_MAX; i++)
		printf("%s%llu", i == 1 ? "" : ",", (unsigned long long)stats->batch[op][i]);
	printf("]}");
}

static uint64_t all_messages(const struct fw_stats *stats)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < DAX_OPS; i++)
		sum += stats->messages[i];
	return sum;
}

static void print_json(const struct ft_run *run, const struct fw_stats *stats, enum ft_exit status)
{
	uint64_t messages = all_messages(stats);

	printf("{\"status\":%d,\"dialect\":\"%s\",\"window\":%llu,\"seed\":%llu,\"seconds\":%.3f",
		(int)status, dax_dialect_name(run->options->dialect),
		(unsigned long long)fw_window_size(run->window),
		(unsigned long long)run->options->seed, (double)ft_elapsed(run) / 1000);
	printf(",\"checks\":%llu,\"failures\":%llu,\"operations\":%llu",
		(unsigned long long)run->checks, (unsigned long long)run->failures,
		(unsigned long long)run->operations);
	print_batches(stats, DAX_OP_MAP, "map");
	print_batches(stats, DAX_OP_UNMAP, "unmap");
	print_batches(stats, DAX_OP_SYNC, "sync");
	print_batches(stats, DAX_OP_IO, "io");
	printf(",\"refused\":%llu,\"malformed\":%llu,\"faults\":%llu,\"region_errors\":%llu",
		(unsigned long long)stats->refused, (unsigned long long)stats->malformed,
		(unsigned long long)stats->faults, (unsigned long long)stats->region_errors);
	printf(",\"regions_added\":%llu,\"regions_removed\":%llu,\"regions_refused\":%llu",
		(unsigned long long)stats->regions_added,
		(unsigned long long)stats->regions_removed,
		(unsigned long long)stats->regions_refused);
	printf(",\"message_us\":%.2f",
		messages ? (double)stats->work_ns / 1000 / (double)messages : 0.0);
	if (run->per_second > 0)
		printf(",\"maps_per_second\":%.0f,\"mean_us\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f",
			run->per_second, run->mean_us, run->p50_us, run->p99_us);
	printf("}\n");
}

/* What there is to say when nothing was checked. */
static void print_error(const struct ft_run *run, enum ft_exit status)
{
	printf("{\"status\":%d,\"error\":", (int)status);
	ft_print_string(run->error);
	printf("}\n");
}

void ft_summary(struct ft_run *run, enum ft_exit status)
{
	const struct fw_stats *s = run->channel ? fw_channel_stats(run->channel) : NULL;

	if (run->error[0] || !s) {
		if (run->options->json)
			print_error(run, status);
		return;
	}
	fprintf(stderr,
		"%s: %llu checks, %llu failed; %llu maps in %llu messages, %llu unmaps in %llu, "
		"%llu syncs, %llu i/o; %llu regions; seed %llu\n",
		status == FT_EXIT_OK ? "all well" : "NOT WELL", (unsigned long long)run->checks,
		(unsigned long long)run->failures, (unsigned long long)s->entries[DAX_OP_MAP],
		(unsigned long long)s->messages[DAX_OP_MAP],
		(unsigned long long)s->entries[DAX_OP_UNMAP],
		(unsigned long long)s->messages[DAX_OP_UNMAP],
		(unsigned long long)s->entries[DAX_OP_SYNC],
		(unsigned long long)s->entries[DAX_OP_IO], (unsigned long long)s->regions_added,
		(unsigned long long)run->options->seed);
	if (run->per_second > 0)
		fprintf(stderr, "%.0f maps/s; latency mean %.1f us, p50 %.1f us, p99 %.1f us\n",
			run->per_second, run->mean_us, run->p50_us, run->p99_us);
	if (run->options->json)
		print_json(run, s, status);
}

/* ---- patterns and files ---- */

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t ft_random(struct ft_run *run, uint64_t n)
{
	run->random += UINT64_C(0x9e3779b97f4a7c15);
	return mix(run->random) % n;
}

void ft_pattern(const struct ft_run *run, unsigned int file, uint64_t page, uint8_t *to)
{
	uint64_t base = mix(run->options->seed ^ ((uint64_t)file << 48) ^ page);

	for (uint64_t i = 0; i < FT_PAGE / sizeof(base); i++) {
		uint64_t word = base + i;

		memcpy(to + i * sizeof(word), &word, sizeof(word));
	}
}

int ft_file_make(struct ft_run *run, struct ft_file *file, unsigned int number, uint64_t size)
{
	static uint8_t data[CHUNK];
	uint32_t attr_flags;
	int r;

	*file = (struct ft_file){.number = number, .size = size};
	snprintf(file->name, sizeof(file->name), "virtiofs-frontend-%d-%u", (int)getpid(), number);
	r = fu_create(run->client, FUSE_ROOT_ID, file->name, &file->nodeid, &file->fh, &attr_flags);
	for (uint64_t at = 0; r >= 0 && at < size; at += CHUNK) {
		uint32_t len = (uint32_t)MIN(CHUNK, size - at);

		for (uint64_t i = 0; i < CHUNK / FT_PAGE; i++)
			ft_pattern(run, number, at / FT_PAGE + i, data + i * FT_PAGE);
		r = fu_write(run->client, file->nodeid, file->fh, at, data, len);
		if (r >= 0 && r != (int)len)
			r = -EIO;
	}
	/* Looked up again: what is announced as DAX may depend on the size. */
	if (r >= 0)
		r = fu_lookup(run->client, FUSE_ROOT_ID, file->name, &file->nodeid, &attr_flags);
	if (r >= 0 && size >= 32768 && (run->init.flags2 & (uint32_t)(FUSE_HAS_INODE_DAX >> 32)))
		ft_check(run, attr_flags & FUSE_ATTR_DAX, "%s is not announced as DAX", file->name);
	if (r >= 0)
		return 0;
	if (r == -EROFS)
		ft_error(run, "the share is read-only: files to map are made in it");
	else
		ft_check(run, false, "%s: cannot be made: %s", file->name, ft_result(r));
	ft_file_drop(run, file);
	return r;
}

enum ft_exit ft_no_files(const struct ft_run *run)
{
	return run->error[0] ? FT_EXIT_PROTOCOL : FT_EXIT_FAILED;
}

void ft_file_drop(struct ft_run *run, struct ft_file *file)
{
	if (!file->nodeid)
		return;
	(void)fu_release(run->client, file->nodeid, file->fh);
	(void)fu_unlink(run->client, FUSE_ROOT_ID, file->name);
	file->nodeid = 0;
}

bool ft_wait_unmapped(struct ft_run *run, unsigned int ms)
{
	for (unsigned int i = 0; i < ms && fw_window_mapped(run->window); i++)
		usleep(1000);
	return fw_window_mapped(run->window) == 0;
}
