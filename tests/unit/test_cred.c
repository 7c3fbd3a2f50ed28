/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Credentials: taken on, given back, on one thread alone.
 */
#include "tests/unit/fs_client.h"

#include <semaphore.h>
#include <sys/wait.h>

#include "fuse/cred.h"
#include "fuse/inode.h"

static const struct fs_tree switching = {.can_switch = true};

static uint64_t effective(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	assert_int_equal(syscall(SYS_capget, &head, data), 0);
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static bool has(uint64_t caps, unsigned int cap)
{
	return caps >> cap & 1;
}

static void test_switch(void **state)
{
	uint64_t before = effective(), during;
	struct fs_cred cred;
	uid_t r, e, s;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_true(fs_cred_usable());
	assert_int_equal(fs_cred_enter(&switching, 1000, 2000, &cred), 0);
	assert_int_equal(getresuid(&r, &e, &s), 0);
	assert_true(r == 0 && e == 1000 && s == 0);
	assert_int_equal(getresgid(&r, &e, &s), 0);
	assert_true(r == 0 && e == 2000 && s == 0);
	during = effective();
	assert_true(has(during, CAP_DAC_OVERRIDE));
	assert_true(has(during, CAP_MKNOD));
	assert_false(has(during, CAP_FSETID));
	assert_false(has(during, CAP_FOWNER));
	assert_false(has(during, CAP_CHOWN));
	assert_false(has(during, CAP_SETUID));
	assert_false(has(during, CAP_SYS_ADMIN));
	assert_false(has(during, CAP_SYS_RESOURCE));
	fs_cred_leave(&cred);
	fs_cred_leave(&cred);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	assert_int_equal(effective(), before);

	/* The guest's root in another group keeps root's rights. */
	assert_int_equal(fs_cred_enter(&switching, 0, 2000, &cred), 0);
	assert_int_equal(getegid(), 2000);
	assert_int_equal(effective(), before);
	fs_cred_leave(&cred);
	assert_int_equal(getegid(), 0);
	assert_int_equal(fs_cred_enter(&switching, 0, 0, &cred), 0);
	assert_false(cred.switched);
}

/* The group and one right less; all comes back. */
static void test_group(void **state)
{
	uint64_t before = effective();
	struct fs_cred cred;

	(void)state;
	if (getuid() != 0)
		skip();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fs_cred_enter_group(&switching, i ? 0 : 2000, &cred), 0);
		assert_int_equal(geteuid(), 0);
		assert_int_equal(getegid(), i ? 0 : 2000);
		assert_true(effective() == (before & ~(UINT64_C(1) << CAP_FSETID)));
		fs_cred_leave(&cred);
		assert_int_equal(getegid(), 0);
		assert_true(effective() == before);
	}
	assert_int_equal(fs_cred_enter_group(&switching, UINT32_MAX, &cred), -EINVAL);
	fs_cred_leave(&cred);
	assert_true(effective() == before);
}

static void test_refused(void **state)
{
	struct fs_tree plain = {.can_switch = false};
	struct fs_cred cred;

	(void)state;
	assert_int_equal(fs_cred_enter(&plain, 1234, 1234, &cred), 0);
	assert_int_equal(geteuid(), getuid());
	fs_cred_leave(&cred);
	if (getuid() != 0)
		skip();
	assert_int_equal(fs_cred_enter(&switching, UINT32_MAX, 0, &cred), -EINVAL);
	assert_int_equal(fs_cred_enter(&switching, 0, UINT32_MAX, &cred), -EINVAL);
	fs_cred_leave(&cred);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
}

/* CAP_FSETID alone goes, and comes back; where it is not, nothing happens. */
static void test_shed(void **state)
{
	uint64_t before = effective();
	struct fs_cred cred;

	(void)state;
	if (!has(before, CAP_FSETID))
		skip();
	assert_int_equal(fs_cred_shed(&cred), 0);
	assert_int_equal(effective(), before & ~(UINT64_C(1) << CAP_FSETID));
	fs_cred_leave(&cred);
	assert_int_equal(effective(), before);
	fs_cred_leave(&cred);
	assert_int_equal(effective(), before);
}

static void test_groups(void **state)
{
	const uint32_t two[] = {7001, 7002}, bad[] = {7001, UINT32_MAX};
	gid_t before[256], during[256];
	int n = getgroups(256, before);
	uint64_t caps = effective();
	struct fs_cred cred;

	(void)state;
	if (getuid() != 0 || n < 0)
		skip();
	assert_int_equal(fs_cred_enter_groups(&switching, 1000, 2000, two, 2, &cred), 0);
	assert_int_equal(getgroups(256, during), 2);
	assert_true(during[0] == 7001 && during[1] == 7002);
	assert_int_equal(geteuid(), 1000);
	fs_cred_leave(&cred);
	assert_int_equal(getgroups(256, during), n);
	assert_memory_equal(before, during, (size_t)n * sizeof(gid_t));
	assert_int_equal(effective(), caps);
	/* No such group: nothing was switched. */
	assert_int_equal(fs_cred_enter_groups(&switching, 1000, 2000, bad, 2, &cred), -EPERM);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getgroups(256, during), n);
	/* The next one has none of them. */
	assert_int_equal(fs_cred_enter(&switching, 1000, 2000, &cred), 0);
	assert_int_equal(getgroups(256, during), n);
	fs_cred_leave(&cred);
}

/* What was not effective before is not so after it. */
static void *reduced(void *arg)
{
	uint64_t before;
	struct fs_cred cred;

	assert_true(set_cap(CAP_FOWNER, false));
	before = effective();
	assert_false(has(before, CAP_FOWNER));
	assert_int_equal(fs_cred_enter(&switching, 1000, 1000, &cred), 0);
	fs_cred_leave(&cred);
	assert_int_equal(effective(), before);
	return arg;
}

struct pair {
	sem_t inside, checked;
};

static void *inside(void *arg)
{
	struct pair *pair = arg;
	struct fs_cred cred;

	assert_int_equal(fs_cred_enter(&switching, 1000, 2000, &cred), 0);
	sem_post(&pair->inside);
	sem_wait(&pair->checked);
	assert_int_equal(geteuid(), 1000);
	fs_cred_leave(&cred);
	return NULL;
}

static void test_threads(void **state)
{
	struct pair pair;
	pthread_t thread;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(pthread_create(&thread, NULL, reduced, NULL), 0);
	pthread_join(thread, NULL);
	assert_true(has(effective(), CAP_FOWNER));

	sem_init(&pair.inside, 0, 0);
	sem_init(&pair.checked, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, inside, &pair), 0);
	sem_wait(&pair.inside);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	sem_post(&pair.checked);
	pthread_join(thread, NULL);
}

/* As another user, all of it works on that user's files, which is said and not an error. */
static int as_nobody(void)
{
	struct fuse_entry_out out;
	struct client *c;
	int bad = 0;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	c = client_new(FS_CACHE_AUTO, false, 0);
	c->uid = 1000;
	c->gid = 1000;
	bad |= do_mkdir(c, ROOT, "d", 0755, &out) != 0;
	bad |= out.attr.uid != 65534 || out.attr.gid != 65534;
	bad |= do_mknod(c, out.nodeid, "f", S_IFREG | 0600, 0, &out) != 0;
	bad |= node_of(c, node_of(c, ROOT, "d"), "f") != out.nodeid;
	client_free(c);
	return bad ? 2 : 0;
}

static void test_not_root(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_shed),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_not_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
