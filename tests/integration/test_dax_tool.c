/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtiofs-frontend's window tester against the gateway: every dialect, both socket directions,
 * every fault, and what it says when there is no window.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define WINDOW "64M"

/* Seconds that a run may take on a slow machine, under a sanitizer. */
#define RUN_LIMIT 300

/* The view is the service's own choice: the fs dialects map files themselves, shmem a mount's. */
#define OPTIONS(name, dialect)                                                                     \
	static const char *const name##_extra[] = {                                                \
		"--dax-window", WINDOW, "--dax-dialect", dialect, NULL};                           \
	static struct it_options name = {                                                          \
		.be = {.extra = name##_extra, .tag = "tool"}, .no_client = true}

OPTIONS(seed, "seed");
OPTIONS(fs_v2, "fs-v2");
OPTIONS(fs_count, "fs-count");
OPTIONS(shmem, "shmem");

static struct it_options connecting = {
	.be = {.socket = BE_CONNECT, .extra = shmem_extra, .tag = "tool"},
	.no_client = true,
	.bad_exit_fine = true,
};
static const char *const never_extra[] = {
	"--dax-window", WINDOW, "--dax-dialect", "shmem", "--dax", "never", NULL};
static struct it_options never = {.be = {.extra = never_extra, .tag = "tool"}, .no_client = true};
static const char *const read_only_extra[] = {
	"--dax-window", WINDOW, "--dax-dialect", "fs-v2", "--readonly", NULL};
static struct it_options read_only = {.be = {.extra = read_only_extra}, .no_client = true};
static struct it_options not_taken = {.be = {.extra = fs_v2_extra}};
/* As QEMU's own virtio-fs device has it: all bits, and no question. */
static struct it_options not_asked = {.be = {.extra = shmem_extra, .tag = "tool"},
	.fc.with_protocol = VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_SHMEM)};
static const char *const no_window_extra[] = {"--dax", "always", "--dax-view", "cached", NULL};
static struct it_options no_window = {.be = {.extra = no_window_extra}, .no_client = true};
static struct it_options none = {.no_client = true};

/* The exit status of `virtiofs-frontend dax VERB ...`. */
static int tool(const struct it *it, const char *verb, const char *dialect, const char *name,
	const char *value)
{
	const char *program = getenv("FRONTEND");
	bool connects = it->be.listens, sized = strcmp(dialect, "shmem") != 0;
	const char *const args[] = {"virtiofs-frontend", "dax", verb,
		connects ? "--connect" : "--listen", it->be.sock, "--dialect", dialect, name, value,
		sized ? "--window" : NULL, WINDOW, NULL};
	int status;
	pid_t pid;

	assert_non_null(program);
	alarm(RUN_LIMIT);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execv(program, (char *const *)(uintptr_t)args);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/*
 * Random operations: 100,000 of the program as it is delivered, in each dialect; a tenth of that
 * suffices under a sanitizer, where what they are for is who touches which memory.
 */
static const char *count(void)
{
	const char *wanted = getenv("DAX_COUNT"), *scale = getenv("TEST_SCALE");

	if (wanted)
		return wanted;
	return be_sanitized() && !(scale && atoi(scale) >= 100) ? "10000" : "100000";
}

static void verify_seed(void **state)
{
	assert_int_equal(tool(*state, "verify", "seed", "--count", count()), 0);
}

static void verify_fs_v2(void **state)
{
	assert_int_equal(tool(*state, "verify", "fs-v2", "--count", count()), 0);
}

static void verify_fs_count(void **state)
{
	assert_int_equal(tool(*state, "verify", "fs-count", "--count", count()), 0);
}

static void verify_shmem(void **state)
{
	assert_int_equal(tool(*state, "verify", "shmem", "--count", count()), 0);
}

static void a_back_end_that_connects_is_served(void **state)
{
	assert_int_equal(tool(*state, "verify", "shmem", "--count", "1000"), 0);
}

static void storm_is_weathered(void **state)
{
	assert_int_equal(tool(*state, "storm", "fs-v2", "--seconds", "2"), 0);
}

static void a_refused_mapping_hurts_itself(void **state)
{
	assert_int_equal(tool(*state, "fault", "fs-v2", "--fault", "refuse"), 0);
}

static void a_refused_mapping_of_shmem_hurts_itself(void **state)
{
	assert_int_equal(tool(*state, "fault", "shmem", "--fault", "refuse"), 0);
}

static void a_late_answer_blocks_nobody(void **state)
{
	assert_int_equal(tool(*state, "fault", "fs-v2", "--fault", "delay"), 0);
}

static void a_late_answer_of_shmem_blocks_nobody(void **state)
{
	assert_int_equal(tool(*state, "fault", "shmem", "--fault", "delay"), 0);
}

static void a_late_region_is_waited_for(void **state)
{
	assert_int_equal(tool(*state, "fault", "shmem", "--fault", "ack-late-region"), 0);
}

static void no_answer_costs_the_request(void **state)
{
	assert_int_equal(tool(*state, "fault", "fs-v2", "--fault", "drop"), 0);
}

static void a_short_answer_costs_the_window(void **state)
{
	assert_int_equal(tool(*state, "fault", "shmem", "--fault", "short"), 0);
}

static void a_dead_channel_costs_the_window(void **state)
{
	assert_int_equal(tool(*state, "fault", "shmem", "--fault", "die"), 0);
}

static void no_window_is_said(void **state)
{
	assert_int_equal(tool(*state, "verify", "shmem", "--count", "1"), 3);
}

/* Nothing stays behind in the share, whatever the tester found. */
static void assert_empty(const struct it *it)
{
	DIR *dir = opendir(it_path(it, ""));
	const struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fail_msg("%s was left in the share", entry->d_name);
	closedir(dir);
}

static void nothing_is_left_where_nothing_is_mapped(void **state)
{
	assert_int_equal(tool(*state, "verify", "shmem", "--count", "1"), 3);
	assert_empty(*state);
}

static void nothing_is_left_by_another_dialect(void **state)
{
	assert_int_equal(tool(*state, "verify", "fs-count", "--count", "1"), 1);
	assert_empty(*state);
}

/* Who reads only the summary learns why there is nothing in it. */
static void json_says_why_nothing_was_checked(void **state)
{
	const struct it *it = *state;
	char line[512], command[512];
	FILE *out;

	snprintf(command, sizeof(command), "\"$FRONTEND\" dax verify %s %s --json",
		it->be.listens ? "--connect" : "--listen", it->be.sock);
	out = popen(command, "r");
	assert_non_null(out);
	assert_non_null(fgets(line, sizeof(line), out));
	assert_int_equal(WEXITSTATUS(pclose(out)), 3);
	assert_non_null(strstr(line, "{\"status\":3,\"error\":\"the back-end offers no window"));
	assert_string_equal(strrchr(line, '"'), "\"}\n");
}

/* What it says: stdout and stderr, cut at the buffers' ends; its exit status. */
static int hear(const struct it *it, const char *words, char *out, char *err, size_t size)
{
	char command[512];
	size_t n;
	FILE *f;
	int status;

	snprintf(command, sizeof(command), "\"$FRONTEND\" dax %s %s 2>\"%s/../said\"", words,
		it->be.sock, it_path(it, ""));
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	status = WEXITSTATUS(pclose(f));
	snprintf(command, sizeof(command), "%s/../said", it_path(it, ""));
	f = fopen(command, "re");
	assert_non_null(f);
	n = fread(err, 1, size - 1, f);
	err[n] = '\0';
	fclose(f);
	unlink(command);
	return status;
}

/* A number of the one object, which must be there; `key` with its quotes. */
static double number(const char *json, const char *key)
{
	const char *at = strstr(json, key);

	if (!at || at[strlen(key)] != ':')
		fail_msg("no %s in %s", key, json);
	return atof(at + strlen(key) + 1);
}

/* One line, one object, and no bracket is left open. */
static void assert_one_object(const char *json)
{
	int depth = 0;

	assert_int_equal(json[0], '{');
	assert_ptr_equal(strchr(json, '\n'), json + strlen(json) - 1);
	for (const char *at = json; *at; at++) {
		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
		assert_true(depth > 0 || at[1] == '\n' || *at == '\n');
	}
	assert_int_equal(depth, 0);
}

static void progress_and_summary_are_said(void **state)
{
	char out[4096], err[4096];

	assert_int_equal(hear(*state,
				 "storm --dialect fs-v2 --window " WINDOW " --seconds 3 "
				 "--json --connect",
				 out, err, sizeof(out)),
		0);
	assert_non_null(strstr(err, "   1s "));
	assert_non_null(strstr(err, "all well: "));
	assert_non_null(strstr(err, " maps/s; latency mean "));
	assert_one_object(out);
	assert_true(number(out, "\"status\"") == 0);
	assert_true(number(out, "\"window\"") == 64 << 20);
	assert_true(number(out, "\"failures\"") == 0);
	assert_true(number(out, "\"operations\"") > 0);
	assert_true(number(out, "\"seconds\"") >= 3);
	assert_true(number(out, "\"maps_per_second\"") > 0);
	assert_true(number(out, "\"p99_us\"") >= number(out, "\"p50_us\""));
	/* Of the maps, which come first: more than one went in a message. */
	assert_true(number(out, "\"entries\"") > number(out, "\"messages\""));
}

static void a_fault_is_counted(void **state)
{
	char out[4096], err[4096];

	assert_int_equal(
		hear(*state,
			"fault --fault refuse --dialect fs-v2 --window " WINDOW " --json --connect",
			out, err, sizeof(out)),
		0);
	assert_non_null(strstr(err, "refuse: failed: mapping 5 (ENOSPC); made: 7 of 8"));
	assert_one_object(out);
	assert_true(number(out, "\"status\"") == 0);
	assert_true(number(out, "\"faults\"") >= 1);
	assert_true(number(out, "\"refused\"") >= 1);
	assert_true(number(out, "\"failures\"") == 0);
}

static void a_read_only_share_is_said(void **state)
{
	assert_int_equal(tool(*state, "verify", "fs-v2", "--count", "1"), 3);
	assert_empty(*state);
}

static void logged_once(const struct it *it, const char *text)
{
	it_until(be_log_lines(&it->be, text) > 0, 5000);
	assert_int_equal(be_log_lines(&it->be, text), 1);
}

/* All is served without it. */
static void a_window_that_nobody_takes_is_said(void **state)
{
	struct it *it = *state;

	it_assert_alive(it->q);
	it_assert_alive(it->q);
	logged_once(it, "WARN DAX window: not used: the front-end knows no DAX window of dialect "
			"fs-v2, it lacks BACKEND_REQ: another --dax-dialect");
	logged_once(it, "INFO view: direct, for the dialect fs-v2");
}

static void a_window_that_nobody_asks_for_is_said(void **state)
{
	struct it *it = *state;

	it_assert_alive(it->q);
	it_assert_alive(it->q);
	logged_once(it, "WARN DAX window: not used: the front-end knows no DAX window of dialect "
			"shmem, it lacks GET_SHMEM_CONFIG: take QEMU 11.1's");
}

static void options_without_a_window_are_said(void **state)
{
	logged_once(*state, "WARN DAX window: --dax and --dax-view have no effect without a window"
			    ": add --dax-window SIZE");
}

static void usage_is_said(void **state)
{
	assert_int_equal(tool(*state, "fault", "fs-v2", "--fault", "ack-late-region"), 2);
	assert_int_equal(tool(*state, "fault", "fs-v2", "--fault", "none"), 2);
	assert_int_equal(tool(*state, "fault", "fs-v2", "--count", "1"), 2);
	assert_int_equal(tool(*state, "dance", "fs-v2", "--count", "1"), 2);
	assert_int_equal(tool(*state, "verify", "fs-v3", "--count", "1"), 2);
	assert_int_equal(tool(*state, "verify", "fs-v2", "--count", "0"), 2);
	assert_int_equal(tool(*state, "verify", "fs-v2", "--fault", "drop"), 2);
	assert_int_equal(tool(*state, "storm", "fs-v2", "--depth", "65"), 2);
	assert_int_equal(tool(*state, "storm", "fs-v2", "--seconds", "-1"), 2);
	/* What would have no effect. */
	assert_int_equal(tool(*state, "verify", "fs-v2", "--seconds", "3"), 2);
	assert_int_equal(tool(*state, "verify", "fs-v2", "--depth", "3"), 2);
	assert_int_equal(tool(*state, "storm", "fs-v2", "--count", "3"), 2);
	assert_int_equal(tool(*state, "verify", "shmem", "--window", "64M"), 2);
}

/* What the tool prints, to stdout and stderr. */
static void tool_says(const char *before, const char *args, int status, char *out, size_t size)
{
	char command[600];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "exec %s \"$FRONTEND\" dax %s 2>&1 </dev/null",
		before, args);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	n = fread(out, 1, size - 1, pipe);
	out[n] = '\0';
	assert_int_equal(WEXITSTATUS(pclose(pipe)), status);
}

/* The options of the verb and of no other. */
static void help_is_the_verbs_own(void **state)
{
	char out[4096];

	tool_says("", "verify --help", 0, out, sizeof(out));
	assert_non_null(strstr(out, "--count"));
	assert_null(strstr(out, "--seconds"));
	assert_null(strstr(out, "--fault"));
	tool_says("", "storm --help", 0, out, sizeof(out));
	assert_non_null(strstr(out, "--seconds"));
	assert_null(strstr(out, "--count"));
	tool_says("", "--help", 0, out, sizeof(out));
	assert_non_null(strstr(out, "dax verify|storm|fault"));
	tool_says("", "-h", 0, out, sizeof(out));
	assert_non_null(strstr(out, "--count"));
	assert_non_null(strstr(out, "--seconds"));
	assert_non_null(strstr(out, "--fault"));
}

/* A back-end that maps nothing: what to look at is said. */
static void a_window_without_use_is_said(void **state)
{
	struct it *it = *state;
	char args[300], out[4096];

	logged_once(it, "INFO DAX window: not used: --dax never");
	snprintf(args, sizeof(args), "verify --count 1 --connect %s", it->be.sock);
	tool_says("", args, 3, out, sizeof(out));
	assert_non_null(strstr(out, "maps nothing"));
	assert_non_null(strstr(out, "another --dialect, or its log says why"));
}

/* One front-end at a time, and this is the second. */
static void a_busy_back_end_is_said(void **state)
{
	struct it *it = *state;
	char args[300], out[4096];

	snprintf(args, sizeof(args), "verify --dialect fs-v2 --connect %s", it->be.sock);
	tool_says("", args, 3, out, sizeof(out));
	assert_non_null(strstr(out, "it may be serving another front-end, one at a time"));
	it_assert_alive(it->q);
}

/* The socket is its user's alone. */
static void a_forbidden_socket_is_said(void **state)
{
	struct it *it = *state;
	char args[300], out[4096];

	if (geteuid() != 0)
		skip();
	snprintf(args, sizeof(args), "verify --connect %s", it->be.sock);
	tool_says("setpriv --reuid=65534 --clear-groups", args, 3, out, sizeof(out));
	assert_non_null(strstr(out, "we may not connect to the back-end: Permission denied"));
}

static const struct it_difference differences[] = {
	{"verify_seed", "it has no window"},
	{"verify_fs_v2", "it has no window"},
	{"verify_fs_count", "it has no window"},
	{"verify_shmem", "it has no window"},
	{"a_back_end_that_connects_is_served", "it has no window"},
	{"storm_is_weathered", "it has no window"},
	{"a_refused_mapping_hurts_itself", "it has no window"},
	{"a_refused_mapping_of_shmem_hurts_itself", "it has no window"},
	{"a_late_answer_blocks_nobody", "it has no window"},
	{"a_late_answer_of_shmem_blocks_nobody", "it has no window"},
	{"a_late_region_is_waited_for", "it has no window"},
	{"no_answer_costs_the_request", "it has no window"},
	{"a_short_answer_costs_the_window", "it has no window"},
	{"a_dead_channel_costs_the_window", "it has no window"},
	{"nothing_is_left_where_nothing_is_mapped", "it has no window"},
	{"nothing_is_left_by_another_dialect", "it has no window"},
	{"json_says_why_nothing_was_checked", "the tool's words, not the back-end's"},
	{"progress_and_summary_are_said", "it has no window"},
	{"a_fault_is_counted", "it has no window"},
	{"a_read_only_share_is_said", "it has no window"},
	{"a_window_that_nobody_takes_is_said", "it has no window"},
	{"a_window_that_nobody_asks_for_is_said", "it has no window"},
	{"options_without_a_window_are_said", "it has no window"},
	{"no_window_is_said", "the tool's words, not the back-end's"},
	{"usage_is_said", "the tool's words, not the back-end's"},
	{"help_is_the_verbs_own", "the tool's words, not the back-end's"},
	{"a_window_without_use_is_said", "it has no window"},
	{"a_busy_back_end_is_said", "it has no window"},
	{"a_forbidden_socket_is_said", "the tool's words, not the back-end's"},
};

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(verify_seed, seed),
	IT_TEST_WITH(verify_fs_v2, fs_v2),
	IT_TEST_WITH(verify_fs_count, fs_count),
	IT_TEST_WITH(verify_shmem, shmem),
	IT_TEST_WITH(a_back_end_that_connects_is_served, connecting),
	IT_TEST_WITH(storm_is_weathered, fs_v2),
	IT_TEST_WITH(a_refused_mapping_hurts_itself, fs_v2),
	IT_TEST_WITH(a_refused_mapping_of_shmem_hurts_itself, shmem),
	IT_TEST_WITH(a_late_answer_blocks_nobody, fs_v2),
	IT_TEST_WITH(a_late_answer_of_shmem_blocks_nobody, shmem),
	IT_TEST_WITH(a_late_region_is_waited_for, shmem),
	IT_TEST_WITH(no_answer_costs_the_request, fs_v2),
	IT_TEST_WITH(a_short_answer_costs_the_window, shmem),
	IT_TEST_WITH(a_dead_channel_costs_the_window, shmem),
	IT_TEST_WITH(no_window_is_said, none),
	IT_TEST_WITH(nothing_is_left_where_nothing_is_mapped, never),
	IT_TEST_WITH(nothing_is_left_by_another_dialect, fs_v2),
	IT_TEST_WITH(json_says_why_nothing_was_checked, none),
	IT_TEST_WITH(progress_and_summary_are_said, fs_v2),
	IT_TEST_WITH(a_fault_is_counted, fs_v2),
	IT_TEST_WITH(a_read_only_share_is_said, read_only),
	IT_TEST_WITH(a_window_that_nobody_takes_is_said, not_taken),
	IT_TEST_WITH(a_window_that_nobody_asks_for_is_said, not_asked),
	IT_TEST_WITH(options_without_a_window_are_said, no_window),
	IT_TEST_WITH(usage_is_said, none),
	IT_TEST_WITH(help_is_the_verbs_own, none),
	IT_TEST_WITH(a_window_without_use_is_said, never),
	IT_TEST_WITH(a_busy_back_end_is_said, not_taken),
	IT_TEST_WITH(a_forbidden_socket_is_said, none),
};

IT_MAIN("dax_tool", tests, differences)
