/* SPDX-License-Identifier: BSD-3-Clause */
/* An idle gateway does nothing at all, and does not need much to do it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define IDLE_S      5
#define SETTLE_S    8 /* spare threads may time out first */
#define RSS_MAX_KIB 6144

static struct it_options four = {
	.be = { .request_queues = 4 },
	.fc = { .request_queues = 4, .depth = 4 },
};

/* Some work of all kinds, so that it has been busy before it is idle. */
static void work(struct it *it)
{
	struct fuse_entry_out entry;
	struct fuse_open_out fh;
	char name[32];

	for (int i = 0; i < 200; i++) {
		struct fc_queue *q = &it->fc->queue[1 + i % 4];

		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(
			fc_create(q, FUSE_ROOT_ID, name, O_CREAT | O_RDWR, 0644, &entry, &fh), 0);
		assert_int_equal(fc_write(q, entry.nodeid, fh.fh, 0, name, 3), 3);
		if (i % 50 == 0)
			assert_int_equal(fc_fsync(q, entry.nodeid, fh.fh, false), 0);
		assert_int_equal(fc_release(q, entry.nodeid, fh.fh), 0);
	}
}

static bool have_strace(void)
{
	return access("/usr/bin/strace", X_OK) == 0;
}

/* strace -f on the service and its supervisor, for a while; its process, stopped by SIGINT. */
static pid_t trace(const struct it *it, const char *out)
{
	char service[16], supervisor[16];
	pid_t pid;

	snprintf(service, sizeof(service), "%d", (int)be_service(&it->be));
	snprintf(supervisor, sizeof(supervisor), "%d", (int)it->be.pid);
	pid = fork();
	if (pid == 0) {
		execl("/usr/bin/strace", "strace", "-f", "-qq", "-o", out, "-p", service, "-p",
			supervisor, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/*
 * Lines of system calls that began while we watched. Attaching interrupts the waiting ones: strace
 * shows them as resumed or restarted, which is its own doing.
 */
static int calls(const char *path, char *first, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "restart_syscall") || strstr(line, "resumed") ||
			strstr(line, "unfinished") || strstr(line, "--- SIG") ||
			strstr(line, "detached"))
			continue;
		if (!n++)
			snprintf(first, size, "%s", line);
	}
	if (f)
		fclose(f);
	return n;
}

static void no_wake_ups(void **state)
{
	struct it *it = *state;
	char out[160], first[512] = "";
	pid_t pid;

	if (be_sanitized()) {
		print_message("skipped: the program as it is delivered shows it\n");
		skip();
	}
	if (!have_strace())
		skip();
	work(it);
	/* Spare threads leave by themselves, which is a wake-up; after that there is nothing to do.
	 */
	sleep(SETTLE_S);
	snprintf(out, sizeof(out), "%s/strace", it->be.root);
	pid = trace(it, out);
	it_until(access(out, F_OK) == 0, 5000);
	sleep(IDLE_S);
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (calls(out, first, sizeof(first)))
		fail_msg("%d system calls while idle, the first: %s",
			calls(out, first, sizeof(first)), first);
	/* It was idle and not dead; and the trace would have shown calls. */
	pid = trace(it, out);
	sleep(1);
	it_assert_alive(it->q);
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(calls(out, first, sizeof(first)) > 0);
}

static int rss_of(pid_t pid)
{
	char path[64], line[256];
	int kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kib = atoi(line + 6);
	if (f)
		fclose(f);
	return kib;
}

static void resident_memory(void **state)
{
	struct it *it = *state;
	int service, supervisor;

	if (be_sanitized()) {
		print_message("skipped: a sanitizer's memory is not ours\n");
		skip();
	}
	/* Guest memory that it touched is counted, too: so little work. */
	it_assert_alive(it->q);
	service = be_rss_kib(&it->be);
	supervisor = be_service(&it->be) == it->be.pid ? 0 : rss_of(it->be.pid);
	print_message("resident: service %d KiB, supervisor %d KiB\n", service, supervisor);
	assert_true(service > 0);
	assert_true(service <= RSS_MAX_KIB);
	assert_true(service + supervisor <= RSS_MAX_KIB);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(no_wake_ups, four),
	IT_TEST(resident_memory),
};

static const struct it_difference differences[] = {
	{ "no_wake_ups", "it serves one request queue" },
};

IT_MAIN("idle", tests, differences)
