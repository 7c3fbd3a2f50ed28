/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end under test: arguments, child process, its log and its marks in /proc. */
#include "tests/integration/backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PEER_PATH "/usr/lib/qemu/virtiofsd"
#define MAX_ARGS  40

const char *be_gateway_path;
bool be_peer;
const char *be_rust_path;

static const char *program(void)
{
	if (be_rust_path)
		return be_rust_path;
	return be_peer ? PEER_PATH : be_gateway_path;
}

struct args {
	const char *argv[MAX_ARGS];
	size_t n;
	char text[8][192]; /* arguments that had to be put together */
	size_t n_text;
};

static void add(struct args *args, const char *arg)
{
	if (args->n < MAX_ARGS - 1)
		args->argv[args->n++] = arg;
}

static void add_all(struct args *args, const char *const *more)
{
	for (; more && *more; more++)
		add(args, *more);
}

__attribute__((format(printf, 2, 3))) static void add_format(
	struct args *args, const char *format, ...)
{
	va_list ap;

	if (args->n_text == sizeof(args->text) / sizeof(args->text[0]))
		return;
	va_start(ap, format);
	vsnprintf(args->text[args->n_text], sizeof(args->text[0]), format, ap);
	va_end(ap);
	add(args, args->text[args->n_text++]);
}

int64_t it_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void it_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP)
		rmdir(path);
	else
		unlink(path);
	return 0;
}

void it_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int be_scratch(struct be *be)
{
	const char *tmp = getenv("TMPDIR");

	memset(be, 0, sizeof(*be));
	be->fd = -1;
	snprintf(be->root, sizeof(be->root), "%.40s/vgw-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(be->root)) {
		be->root[0] = '\0';
		return -errno;
	}
	chmod(be->root, 0755);
	snprintf(be->share, sizeof(be->share), "%s/share", be->root);
	snprintf(be->sock, sizeof(be->sock), "%s/sock", be->root);
	snprintf(be->log, sizeof(be->log), "%s/log", be->root);
	return mkdir(be->share, 0755) < 0 ? -errno : 0;
}

/* Any sanitizer's report ends the back-end with a status of its own. */
static void sanitizer_environment(const struct args *args)
{
	bool chroot = true;

	/* The last one counts; LeakSanitizer needs a /proc that the process can see. */
	for (size_t i = 0; i < args->n; i++) {
		if (strstr(args->argv[i], "sandbox"))
			chroot = strcmp(args->argv[i], "--sandbox=none") != 0;
	}
	setenv("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1", 1);
	setenv("TSAN_OPTIONS", "halt_on_error=1:exitcode=66", 1);
	setenv("ASAN_OPTIONS", chroot ? "detect_leaks=0" : "detect_leaks=1", 1);
}

/* In the child: `keep` is the one fd that it inherits (-1: none). */
__attribute__((noreturn)) static void child(
	const struct be *be, const struct args *args, int keep, pid_t parent)
{
	int fd = open(be->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fd < 0)
		_exit(126);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	close(fd);
	syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (keep >= 0)
		fcntl(keep, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm(0);
	sanitizer_environment(args);
	execvp(args->argv[0], (char *const *)(uintptr_t)args->argv);
	_exit(127);
}

static int spawn(struct be *be, const struct args *args, int keep)
{
	pid_t parent = getpid();

	be->pid = fork();
	if (be->pid < 0) {
		be->pid = 0;
		return -errno;
	}
	if (be->pid == 0)
		child(be, args, keep, parent);
	return 0;
}

/* A listening socket at be->sock, or one end of a pair; *theirs is what the child inherits. */
static int prepare_socket(struct be *be, enum be_socket role, int *theirs)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int pair[2];

	if (role == BE_FD_CONNECTED) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -errno;
		be->fd = pair[0];
		*theirs = pair[1];
		return 0;
	}
	if (role != BE_FD_LISTENING)
		return 0;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.100s", be->sock);
	*theirs = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*theirs < 0 || bind(*theirs, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
		listen(*theirs, 8) < 0)
		return -errno;
	return 0;
}

static void socket_args(struct args *args, const struct be *be, enum be_socket role, int theirs)
{
	switch (role) {
	case BE_SOCKET_PATH:
		add_format(args, "--socket-path=%s", be->sock);
		break;
	case BE_FD_LISTENING:
	case BE_FD_CONNECTED:
		add_format(args, "--fd=%d", theirs);
		break;
	case BE_CONNECT:
		add_format(args, "--connect=%s", be->sock);
		break;
	}
}

/* The Rust virtiofsd takes our options, as far as it has them. */
static void rust_args(struct args *args, const struct be *be, const struct be_options *o)
{
	add_format(args, "--shared-dir=%s", be->share);
	add(args, "--sandbox=chroot");
	add_format(args, "--cache=%s", o->cache ? o->cache : "auto");
	if (o->readonly)
		add(args, "--readonly");
	if (o->tag)
		add_format(args, "--tag=%s", o->tag);
}

static void gateway_args(struct args *args, const struct be *be, const struct be_options *o)
{
	/* LeakSanitizer reads /proc, which a chroot hides: tests/run says "none" for it. */
	const char *sandbox = getenv("GATEWAY_SANDBOX");

	add_format(args, "--shared-dir=%s", be->share);
	if (sandbox)
		add_format(args, "--sandbox=%s", sandbox);
	if (o->cache)
		add_format(args, "--cache=%s", o->cache);
	if (o->readonly)
		add(args, "--readonly");
	if (o->keep_listening)
		add(args, "--keep-listening");
	if (o->request_queues)
		add_format(args, "--request-queues=%u", o->request_queues);
	if (o->tag)
		add_format(args, "--tag=%s", o->tag);
}

static void peer_args(struct args *args, const struct be *be, const struct be_options *o)
{
	const char *cache = o->cache && !strcmp(o->cache, "never") ? "none" : o->cache;

	add(args, "-o");
	add_format(args, "source=%s", be->share);
	add(args, "-o");
	add(args, "sandbox=chroot");
	add(args, "-o");
	add_format(args, "cache=%s", cache ? cache : "auto");
}

int be_start(struct be *be, const struct be_options *options)
{
	static const struct be_options none;
	const struct be_options *o = options ? options : &none;
	struct args args = { .n = 0 };
	int theirs = -1, r = be_scratch(be);

	if (r < 0)
		return r;
	if (o->share)
		snprintf(be->share, sizeof(be->share), "%s", o->share);
	r = prepare_socket(be, o->socket, &theirs);
	if (r < 0)
		return r;
	be->listens = o->socket == BE_SOCKET_PATH || o->socket == BE_FD_LISTENING;
	add_all(&args, o->prefix);
	add(&args, program());
	socket_args(&args, be, o->socket, theirs);
	if (be_rust_path)
		rust_args(&args, be, o);
	else if (be_peer)
		peer_args(&args, be, o);
	else
		gateway_args(&args, be, o);
	add_all(&args, be_peer && !be_rust_path && o->peer ? o->peer : o->extra);
	r = spawn(be, &args, theirs);
	if (theirs >= 0)
		close(theirs);
	return r;
}

int be_spawn(struct be *be, const char *const *argv)
{
	struct args args = { .n = 0 };

	add(&args, be_gateway_path);
	add_all(&args, argv);
	return spawn(be, &args, -1);
}

int be_wait(struct be *be, int timeout_ms)
{
	int64_t end = it_now_ms() + timeout_ms;

	while (be->pid) {
		pid_t pid = waitpid(be->pid, &be->status, WNOHANG);

		if (pid == be->pid || (pid < 0 && errno == ECHILD))
			be->pid = 0;
		else if (it_now_ms() >= end)
			return -ETIMEDOUT;
		else
			it_nap();
	}
	if (WIFEXITED(be->status))
		return WEXITSTATUS(be->status);
	return 1000 + WTERMSIG(be->status);
}

int be_signal(struct be *be, int signo)
{
	if (!be->pid)
		return -ESRCH;
	return kill(be->pid, signo) < 0 ? -errno : 0;
}

int be_stop(struct be *be, int timeout_ms)
{
	if (be->pid)
		be_signal(be, SIGTERM);
	return be_wait(be, timeout_ms);
}

void be_free(struct be *be)
{
	if (be->pid) {
		pid_t service = be_service(be);

		if (service > 0 && service != be->pid)
			kill(service, SIGKILL);
		be_signal(be, SIGKILL);
		be_wait(be, 2000);
	}
	if (be->fd >= 0)
		close(be->fd);
	be->fd = -1;
	if (be->root[0] && !getenv("KEEP_SCRATCH"))
		it_remove_tree(be->root);
	be->root[0] = '\0';
}

/* ---- /proc ---- */

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *f;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	at = strrchr(line, ')');
	return at && strlen(at) > 4 ? (pid_t)atoi(at + 4) : -1;
}

static pid_t child_of(pid_t parent)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	pid_t found = 0;

	while (dir && !found && (d = readdir(dir))) {
		pid_t pid = (pid_t)atoi(d->d_name);

		if (pid > 0 && parent_of(pid) == parent)
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

pid_t be_service(const struct be *be)
{
	if (!be->pid || be_peer)
		return be->pid;
	return child_of(be->pid);
}

static int count_entries(const struct be *be, const char *what)
{
	char path[64];
	DIR *dir;
	int n = -2; /* "." and ".." */

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)be_service(be), what);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int be_fds(const struct be *be)
{
	return count_entries(be, "fd");
}

int be_threads(const struct be *be)
{
	return count_entries(be, "task");
}

int be_settle_fds(const struct be *be, int most, int timeout_ms)
{
	int64_t end = it_now_ms() + timeout_ms;
	int n;

	while ((n = be_fds(be)) > most && it_now_ms() < end)
		it_nap();
	return n;
}

static int scan_proc(const struct be *be, const char *file,
	int (*fn)(const char *line, const char *arg), const char *arg)
{
	char path[64], line[1024];
	FILE *f;
	int sum = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)be_service(be), file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		sum += fn(line, arg);
	fclose(f);
	return sum;
}

static int value_of(const char *line, const char *key)
{
	return strncmp(line, key, strlen(key)) ? 0 : atoi(line + strlen(key));
}

static int contains(const char *line, const char *text)
{
	return strstr(line, text) != NULL;
}

int be_rss_kib(const struct be *be)
{
	return scan_proc(be, "status", value_of, "VmRSS:");
}

int be_maps(const struct be *be, const char *text)
{
	return scan_proc(be, "maps", contains, text);
}

/* ---- the log ---- */

char *be_read_log(const struct be *be)
{
	FILE *f = fopen(be->log, "re");
	char *text = calloc(1, 1 << 20);

	if (f && text)
		text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
	if (f)
		fclose(f);
	return text;
}

int be_log_lines(const struct be *be, const char *text)
{
	char *log = be_read_log(be), *rest = log, *line;
	int n = 0;

	while (rest && (line = strsep(&rest, "\n")))
		n += *line && strstr(line, text);
	free(log);
	return n;
}

bool be_log_is_clean(const struct be *be)
{
	return be_log_lines(be, "Sanitizer") == 0 && be_log_lines(be, "runtime error:") == 0 &&
	       be_log_lines(be, "Assertion") == 0;
}

bool be_sanitized(void)
{
	static int known = -1;

	if (known < 0) {
		FILE *f = fopen(program(), "re");
		static const char mark[] = "__asan_init", mark2[] = "__tsan_init";
		char block[65536 + 16] = "";
		size_t n;

		known = 0;
		while (f && !known && (n = fread(block + 16, 1, 65536, f)) > 0) {
			known = memmem(block, n + 16, mark, sizeof(mark) - 1) != NULL ||
				memmem(block, n + 16, mark2, sizeof(mark2) - 1) != NULL;
			memmove(block, block + n, 16);
		}
		if (f)
			fclose(f);
	}
	return known;
}
