/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host replaces a file, and exchanges two directories, as fast as it can, each at one stroke;
 * programs on the mount meanwhile open what is there by its path. On the host itself that never
 * fails; nor does it here, also when the gateway has few fds and has to find all of it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/mounted.h"
#include "tests/integration/replaced.h"

static struct mt_options handles = {
	.it = {.no_client = true, .be = {.cache = "never", .extra = ARGS(FEW)}}};
static struct mt_options names = {.it = {.no_client = true,
	.be = {.cache = "never", .extra = ARGS(FEW, "--inode-file-handles=never")}}};
static struct mt_options nobody = {.it = {.no_client = true,
	.be = {.socket = BE_FD_LISTENING, .extra = ARGS(FEW),
		.prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh")}}};

static int host(struct mt *m, unsigned int i)
{
	char record[TWIN_RECORD + 1], fresh[160], file[160], one[160], two[160];

	snprintf(fresh, sizeof(fresh), "%s/fresh", m->it->be.share);
	snprintf(file, sizeof(file), "%s/file", m->it->be.share);
	snprintf(one, sizeof(one), "%s/one", m->it->be.share);
	snprintf(two, sizeof(two), "%s/two", m->it->be.share);
	for (;; i++) {
		int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		twin_record(record, i);
		if (fd < 0 || write(fd, record, TWIN_RECORD) != TWIN_RECORD || close(fd) < 0 ||
			rename(fresh, file) < 0 ||
			renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE) < 0)
			return 1;
	}
}

static void read_path(const struct mt *m, const char *name, char text[64])
{
	int fd = open(mt_path(m, name), O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail_msg("open %s: %s", name, strerror(errno));
	n = read(fd, text, 63);
	if (n < 0)
		fail_msg("read %s: %s", name, strerror(errno));
	text[n] = '\0';
	close(fd);
}

static void stat_path(const struct mt *m, const char *name)
{
	struct stat st;

	if (stat(mt_path(m, name), &st) < 0)
		fail_msg("stat %s: %s", name, strerror(errno));
}

static void plant(const struct mt *m)
{
	char name[32];

	it_file(m->it, "file", "object 00000000\n");
	for (unsigned int i = 1; i <= 2; i++) {
		assert_int_equal(mkdir(it_path(m->it, i == 1 ? "one" : "two"), 0755), 0);
		snprintf(name, sizeof(name), "%s/sub", i == 1 ? "one" : "two");
		assert_int_equal(mkdir(it_path(m->it, name), 0755), 0);
		snprintf(name, sizeof(name), "%s/sub/f", i == 1 ? "one" : "two");
		it_file(m->it, name, i == 1 ? "1" : "2");
	}
	assert_int_equal(mkdir(it_path(m->it, "churn"), 0755), 0);
	for (unsigned int i = 0; i < TWIN_CHURN; i++) {
		snprintf(name, sizeof(name), "churn/%u", i);
		it_file(m->it, name, "");
	}
}

static void paths_always_lead_somewhere(void **state)
{
	struct mt *m = *state;
	unsigned int last = 0, now, n = twin_scaled(1000), both = 0;
	char text[64], name[32];
	pid_t pid;

	plant(m);
	pid = mt_fork(host, m, 1);
	/* On, for as long as the guest believes in the one name that it was shown. */
	for (unsigned int i = 0; i < n || (both != 3 && i < 50 * n); i++) {
		if (i % 40 == 0) {
			for (unsigned int j = 0; j < TWIN_CHURN; j++) {
				snprintf(name, sizeof(name), "churn/%u", j);
				read_path(m, name, text);
			}
		}
		read_path(m, "file", text);
		assert_int_equal(strlen(text), TWIN_RECORD);
		assert_int_equal(sscanf(text, "object %8u\n", &now), 1);
		/* Never back in time. */
		assert_true(now >= last);
		last = now;
		stat_path(m, "file");
		read_path(m, "one/sub/f", text);
		assert_true(!strcmp(text, "1") || !strcmp(text, "2"));
		both |= text[0] == '1' ? 1 : 2;
		stat_path(m, "two/sub/f");
	}
	kill(pid, SIGKILL);
	assert_int_equal(mt_join(pid), 1000 + SIGKILL);
	print_message("# %u files replaced under %u readings\n", last, n);
	assert_true(last > 10);
	assert_int_equal(both, 3);
}

static const struct CMUnitTest tests[] = {
	MT_TEST(paths_always_lead_somewhere, handles),
	MT_TEST(paths_always_lead_somewhere, names),
	MT_TEST(paths_always_lead_somewhere, nobody),
};

static const struct it_difference differences[] = {
	{"paths_always_lead_somewhere", "it keeps an fd of each file, and has too few"},
};

int main(int argc, char **argv)
{
	int r;

	twin_fs_make();
	r = mt_main(argc, argv, "replaced_race", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
	twin_fs_remove();
	return r;
}
