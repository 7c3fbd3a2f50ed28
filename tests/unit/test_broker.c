/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker and the choice of a view: rights, refusals, ends. */
#include "gateway/broker.h"

#include <dirent.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/sandbox.h"
#include "gateway/view.h"
#include "tests/unit/fds.h"
#include "tests/unit/view_rig.h"

struct rig {
	struct dax_mount mount;
	struct gw_broker *broker;
	const struct dax_backing_ops *ops;
	pid_t pid; /* of the broker */
};

/* Our only child. */
static pid_t child(void)
{
	FILE *file = fopen("/proc/thread-self/children", "r");
	int pid = -1;

	assert_non_null(file);
	if (fscanf(file, "%d", &pid) != 1)
		pid = -1;
	fclose(file);
	return pid;
}

/* The mount's INIT has to be answered before the kernel knows of backing ids. */
static void rig_start(struct rig *rig)
{
	int r = gw_broker_mount(&rig->mount);

	if (r) {
		print_message("no mount of our own: %s\n", strerrordesc_np(-r));
		skip();
	}
	assert_int_equal(gw_broker_start(&rig->mount, &rig->broker), 0);
	rig->ops = gw_broker_ops();
	rig->pid = child();
	assert_true(rig->pid > 0);
}

static void rig_stop(struct rig *rig)
{
	close(rig->mount.root_fd);
	close(rig->mount.fuse_fd);
	gw_broker_free(rig->broker);
	assert_int_equal(child(), -1);
}

static void refused(struct rig *rig, int fd)
{
	assert_int_equal(rig->ops->open(rig->broker, fd), -EACCES);
	close(fd);
}

/* Without the view's own checks before it. */
static void test_refuses(void **state)
{
	int pipe_fds[2], file;
	struct rig rig;

	rig_start(&rig);
	file = memfd_create("file", MFD_CLOEXEC);
	refused(&rig, view_rig_reopen(file, O_RDONLY));
	refused(&rig, view_rig_reopen(file, O_WRONLY));
	refused(&rig, view_rig_reopen(file, O_PATH));
	refused(&rig, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	refused(&rig, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_int_equal(pipe(pipe_fds), 0);
	refused(&rig, pipe_fds[0]);
	refused(&rig, pipe_fds[1]);
	close(file);
	/* No fd at all, ids that are none: it goes on. */
	assert_int_equal(rig.ops->open(rig.broker, -1), -EBADF);
	rig.ops->close(rig.broker, 0);
	rig.ops->close(rig.broker, 4711);
	rig.ops->close(rig.broker, -1);
	assert_int_equal(rig.ops->open(rig.broker, -1), -EBADF);
	rig_stop(&rig);
}

static void status_line(pid_t pid, const char *key, char *line, int size)
{
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	do
		assert_non_null(fgets(line, size, file));
	while (strncmp(line, key, strlen(key)) != 0);
	fclose(file);
}

static void assert_status(pid_t pid, const char *key, unsigned long long value)
{
	char line[128];

	status_line(pid, key, line, sizeof(line));
	assert_true(strtoull(line + strlen(key), NULL, 16) == value);
}

static size_t fds_of(pid_t pid)
{
	char path[32];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* One capability (21), nothing else of ours, and not what it was sent before. */
static void test_rights(void **state)
{
	struct rig rig;
	int other = dup(2);

	rig_start(&rig);
	for (int i = 0; i < 100; i++) /* it is ready by then */
		assert_int_equal(rig.ops->open(rig.broker, -1), -EBADF);
	assert_status(rig.pid, "CapEff:", 1ull << 21);
	assert_status(rig.pid, "CapPrm:", 1ull << 21);
	assert_status(rig.pid, "CapInh:", 0);
	assert_status(rig.pid, "NoNewPrivs:", 1);
	refused(&rig, open("/", O_PATH | O_CLOEXEC));
	assert_true(fds_of(rig.pid) <= 5);
	close(other);
	rig_stop(&rig);
}

/* It was killed: an error, not a wait. */
static void test_gone(void **state)
{
	struct rig rig;

	rig_start(&rig);
	assert_int_equal(kill(rig.pid, SIGKILL), 0);
	assert_int_equal(waitpid(rig.pid, NULL, 0), rig.pid);
	assert_int_equal(rig.ops->open(rig.broker, -1), -EPIPE);
	rig.ops->close(rig.broker, 1);
	rig_stop(&rig);
}

/* It does not answer in time; afterwards answers are told apart. */
static void test_late(void **state)
{
	int root = open("/", O_PATH | O_CLOEXEC);
	struct rig rig;

	rig_start(&rig);
	assert_int_equal(rig.ops->open(rig.broker, -1), -EBADF);
	assert_int_equal(kill(rig.pid, SIGSTOP), 0);
	assert_int_equal(rig.ops->open(rig.broker, root), -ETIMEDOUT);
	close(root);
	assert_int_equal(kill(rig.pid, SIGCONT), 0);
	assert_int_equal(rig.ops->open(rig.broker, -1), -EBADF);
	rig_stop(&rig);
}

/* Whoever started it is killed: it ends. */
static void test_dies_with_parent(void **state)
{
	int pipe_fds[2], ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct dax_mount mount;
		struct gw_broker *broker;

		/* Nobody but the broker keeps this end, as its standard input. */
		dup2(pipe_fds[1], 0);
		if (gw_broker_mount(&mount) == 0 && gw_broker_start(&mount, &broker) == 0 &&
			gw_broker_ops()->open(broker, -1) == -EBADF)
			(void)!write(ready[1], "r", 1);
		kill(getpid(), SIGKILL);
	}
	close(pipe_fds[1]);
	close(ready[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (read(ready[0], &byte, 1) != 1) {
		print_message("no mount of our own\n");
		skip();
	}
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* or the test hangs */
	close(pipe_fds[0]);
	close(ready[0]);
}

/* ---- the choice ---- */

static int shared_directory(char *path)
{
	strcpy(path, "test_broker.XXXXXX");
	assert_non_null(mkdtemp(path));
	return open(path, O_DIRECTORY | O_CLOEXEC);
}

static bool have_mounts(void)
{
	struct dax_mount mount;

	if (gw_broker_mount(&mount))
		return false;
	close(mount.root_fd);
	close(mount.fuse_fd);
	return true;
}

static void test_choice(void **state)
{
	static const struct {
		enum gw_dax_view requested;
		bool readonly;
		enum dax_view_kind kind; /* NONE: refused */
	} cases[] = {
		{GW_VIEW_AUTO, false, DAX_VIEW_PASSTHROUGH},
		{GW_VIEW_AUTO, true, DAX_VIEW_CACHED},
		{GW_VIEW_PASSTHROUGH, false, DAX_VIEW_PASSTHROUGH},
		{GW_VIEW_PASSTHROUGH, true, DAX_VIEW_NONE},
		{GW_VIEW_CACHED, true, DAX_VIEW_CACHED},
		{GW_VIEW_CACHED, false, DAX_VIEW_NONE},
		{GW_VIEW_DIRECT, false, DAX_VIEW_DIRECT},
		{GW_VIEW_DIRECT, true, DAX_VIEW_DIRECT},
	};
	bool mounts = have_mounts();
	size_t fds = count_fds();
	char path[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool expected = cases[i].kind != DAX_VIEW_NONE &&
				(mounts || cases[i].kind == DAX_VIEW_DIRECT);
		int root_fd = shared_directory(path);
		struct gw_view *view;
		struct dax_view *made;

		assert_int_equal(
			gw_view_prepare(cases[i].requested, NULL, cases[i].readonly, &view), 0);
		made = gw_view_start(view, root_fd);
		assert_int_equal(made != NULL, expected);
		if (made)
			assert_int_equal(dax_view_kind(made), cases[i].kind);
		gw_view_free(view);
		close(root_fd);
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(count_fds(), fds);
		assert_int_equal(child(), -1);
	}
	gw_view_free(NULL);
}

/* In a process that has confined itself in between, as the service does. */
static int confined(const char *path)
{
	static const struct gw_options options = {.sandbox = GW_SANDBOX_CHROOT};
	int root_fd = open(path, O_DIRECTORY | O_CLOEXEC), out;
	struct gw_view *view;
	struct dax_view *made;
	char got[5] = {0};
	int fd;

	if (gw_view_prepare(GW_VIEW_AUTO, NULL, false, &view) ||
		gw_sandbox_enter(&options, root_fd))
		return 1;
	made = gw_view_start(view, root_fd);
	if (!made)
		return 2;
	fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, "bytes", 5, 0) != 5)
		return 3;
	if (dax_view_open(made, fd, &out) || pread(out, got, 5, 0) != 5 || memcmp(got, "bytes", 5))
		return 4;
	close(out);
	gw_view_free(view);
	close(root_fd);
	return 0;
}

static void test_confined(void **state)
{
	char path[32];
	int wait_status;
	pid_t pid;

	if (!have_mounts()) {
		print_message("no mount of our own\n");
		skip();
	}
	close(shared_directory(path));
	pid = fork();
	if (pid == 0)
		_exit(confined(path));
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_int_equal(wait_status, 0);
	assert_int_equal(rmdir(path), 0);
}

/* ---- the reason ---- */

enum loss { LOSE_RIGHTS, BE_NOBODY };

/* Makes a view, in a process that lost so much. What it says goes to `log`. */
static int without(enum loss loss, bool readonly, int log)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	struct gw_view *view;

	dup2(log, STDERR_FILENO);
	if (loss == BE_NOBODY && setresuid(65534, 65534, 65534))
		return 1;
	if (loss == LOSE_RIGHTS && syscall(SYS_capset, &header, none))
		return 2;
	if (gw_view_prepare(GW_VIEW_AUTO, NULL, readonly, &view) || gw_view_start(view, -1))
		return 3;
	gw_view_free(view);
	return 0;
}

static void assert_said(enum loss loss, bool readonly, const char *text)
{
	FILE *log = tmpfile();
	char line[512] = "";
	pid_t pid;
	int status;

	assert_non_null(log);
	pid = fork();
	if (pid == 0)
		_exit(without(loss, readonly, fileno(log)));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rewind(log);
	assert_non_null(fgets(line, sizeof(line), log));
	if (!strstr(line, text))
		fail_msg("'%s' is not in: %s", text, line);
	assert_null(fgets(line, sizeof(line), log));
	fclose(log);
}

static void test_reason(void **state)
{
	struct stat st;

	if (!have_mounts() || geteuid() != 0 || stat("/dev/fuse", &st) != 0) {
		print_message("no rights to lose\n");
		skip();
	}
	assert_said(LOSE_RIGHTS, false,
		"passthrough takes CAP_SYS_ADMIN: start the gateway as root (Operation not");
	assert_said(LOSE_RIGHTS, true,
		"cached takes CAP_SYS_ADMIN: start the gateway as root, or by `unshare -Urm`");
	/* Debian's own is anybody's. */
	assert_said(BE_NOBODY, true,
		st.st_mode & S_IWOTH ? "takes CAP_SYS_ADMIN: start the gateway as root"
				     : "takes a /dev/fuse that this user may open: start the");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_dies_with_parent),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_confined),
		cmocka_unit_test(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
