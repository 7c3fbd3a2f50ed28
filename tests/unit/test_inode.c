/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree's inodes: counts against a naive model, nodeids that go stale, threads all over it.
 */
#include "tests/unit/fs_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fuse/handle.h"
#include "fuse/inode.h"
#include "fuse/walk.h"

#define NAMES   40
#define STEPS   20000
#define THREADS 4

struct rig {
	char dir[64];
	struct fs_config config;
	struct fs_tree *tree;
};

static int setup_limit(void **state, unsigned int fd_limit)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	fixture_dir_new(rig->dir, &rig->config, fd_limit);
	assert_int_equal(fs_tree_new(&rig->config, 1, &rig->tree), 0);
	*state = rig;
	return 0;
}

static int setup(void **state)
{
	return setup_limit(state, 16);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fs_tree_free(rig->tree);
	fixture_dir_free(rig->dir, &rig->config);
	free(rig);
	return 0;
}

static void name_of(char name[16], unsigned int i)
{
	snprintf(name, 16, "n%u", i);
}

static void make(struct rig *rig, unsigned int i)
{
	char name[16];

	name_of(name, i);
	assert_int_equal(mknodat(rig->config.root_fd, name, S_IFREG | 0644, 0), 0);
}

/* The nodeid; 0 on errors. */
static uint64_t look_up(struct rig *rig, unsigned int i)
{
	struct fs_entry entry;
	char name[16];
	uint64_t nodeid;

	name_of(name, i);
	if (fs_tree_lookup(rig->tree, rig->tree->root, rig->tree->root->fd, name, &entry) < 0)
		return 0;
	nodeid = entry.inode->nodeid;
	fs_inode_put(rig->tree, entry.inode);
	return nodeid;
}

static bool known(struct rig *rig, uint64_t nodeid)
{
	struct fs_inode *inode = fs_inode_get(rig->tree, nodeid);

	fs_inode_put(rig->tree, inode);
	return inode;
}

/* Random lookups, forgets and replacements, against an array of counts. */
static void test_model(void **state)
{
	struct rig *rig = *state;
	struct {
		uint64_t nodeid, count; /* of the file that has the name now */
	} model[NAMES] = {{0, 0}};
	unsigned int seed = 1, i;

	for (i = 0; i < NAMES; i++)
		make(rig, i);
	for (int step = 0; step < STEPS; step++) {
		char name[16];
		uint64_t n, nodeid;

		i = (unsigned int)rand_r(&seed) % NAMES;
		switch (rand_r(&seed) % 8) {
		case 0:
			/* Another file under the same name: the old one is forgotten first. */
			if (model[i].count)
				fs_inode_forget(rig->tree, model[i].nodeid, model[i].count);
			if (model[i].count)
				assert_false(known(rig, model[i].nodeid));
			name_of(name, i);
			assert_int_equal(unlinkat(rig->config.root_fd, name, 0), 0);
			make(rig, i);
			model[i].count = 0;
			break;
		case 1:
		case 2:
		case 3:
			if (!model[i].count)
				break;
			n = 1 + (uint64_t)rand_r(&seed) % model[i].count;
			fs_inode_forget(rig->tree, model[i].nodeid, n);
			model[i].count -= n;
			assert_int_equal(known(rig, model[i].nodeid), model[i].count > 0);
			break;
		default:
			nodeid = look_up(rig, i);
			assert_int_not_equal(nodeid, 0);
			if (model[i].count)
				assert_int_equal(nodeid, model[i].nodeid);
			else
				assert_int_not_equal(nodeid, model[i].nodeid);
			model[i].nodeid = nodeid;
			model[i].count++;
		}
		assert_true(rig->tree->fds_used <= 16);
	}
	for (i = 0; i < NAMES; i++)
		fs_inode_forget(rig->tree, model[i].nodeid, UINT64_MAX);
	/* All gone: what is left are the root's fd and the volume's. */
	assert_int_equal(rig->tree->n_inodes, 0);
	assert_int_equal(rig->tree->fds_used, 2);
	assert_int_equal(rig->tree->fds_lasting, 2);
	assert_int_equal(rig->tree->lru_cheap.n + rig->tree->lru_dear.n, 0);
}

/* Many more inodes than one chunk, one bucket each or one fd each. */
static void test_many(void **state)
{
	enum { MANY = 5000 };
	struct rig *rig = *state;
	static uint64_t nodeid[MANY];
	unsigned int i;

	for (i = 0; i < MANY; i++) {
		make(rig, i);
		nodeid[i] = look_up(rig, i);
		assert_int_not_equal(nodeid[i], 0);
	}
	assert_int_equal(rig->tree->n_inodes, MANY);
	for (i = 0; i < MANY; i++)
		assert_int_equal(look_up(rig, i), nodeid[i]);
	for (i = 0; i < MANY; i++) {
		fs_inode_forget(rig->tree, nodeid[i], 2);
		assert_false(known(rig, nodeid[i]));
	}
	assert_int_equal(rig->tree->n_inodes, 0);
}

static void test_nodeids(void **state)
{
	struct rig *rig = *state;
	struct fs_tree *next;
	uint64_t nodeid;

	assert_true(known(rig, FUSE_ROOT_ID));
	assert_false(known(rig, 0));
	assert_false(known(rig, FUSE_ROOT_ID | UINT64_C(1) << 32));
	assert_false(known(rig, FS_INODES_MAX - 1));
	assert_false(known(rig, FS_INODES_MAX));
	assert_false(known(rig, UINT32_MAX));
	make(rig, 0);
	nodeid = look_up(rig, 0);
	assert_true(known(rig, nodeid));
	assert_false(known(rig, nodeid + (UINT64_C(1) << 32)));
	assert_false(known(rig, (uint32_t)nodeid));
	/* The next session's nodeids are others. */
	assert_int_equal(fs_tree_new(&rig->config, 2, &next), 0);
	assert_null(fs_inode_get(next, nodeid));
	fs_tree_free(next);
}

struct worker {
	struct rig *rig;
	unsigned int seed;
	pthread_t thread;
};

/* What is used is what it should be, whatever the others do; errors are those that can be. */
static void use(struct rig *rig, unsigned int i, unsigned int *seed)
{
	struct fs_tree *tree = rig->tree;
	struct fs_entry entry;
	struct fs_loss loss;
	char name[16];
	uint64_t nodeid, fh;
	int fd, r;

	name_of(name, i);
	r = fs_tree_lookup(tree, tree->root, tree->root->fd, name, &entry);
	if (r < 0) {
		assert_true(r == -ENOENT || r == -ENFILE);
		(void)mknodat(rig->config.root_fd, name, S_IFREG | 0644, 0);
		return;
	}
	nodeid = entry.inode->nodeid;
	fd = fs_inode_fd_get(tree, entry.inode);
	if (fd >= 0) {
		assert_true(fs_inode_is(entry.inode, fd));
		fs_inode_fd_put(tree, entry.inode);
	} else {
		assert_true(fd == -ESTALE || fd == -ENFILE);
	}
	if (fs_handle_open(tree, entry.inode, O_RDONLY, &fh) == 0) {
		struct fs_handle *handle = fs_handle_get(tree, fh, nodeid);

		assert_non_null(handle);
		assert_true(fs_inode_is(entry.inode, handle->fd));
		assert_int_equal(fs_handle_release(tree, fh, nodeid), 0);
		assert_null(fs_handle_get(tree, fh, nodeid));
		fs_handle_put(tree, handle);
	}
	if (rand_r(seed) % 8 == 0) {
		loss = fs_tree_lose(tree, tree->root->fd, name);
		r = unlinkat(tree->root->fd, name, 0);
		fs_tree_lost(tree, &loss, tree->root, name, r == 0);
	}
	fs_inode_put(tree, entry.inode);
	fs_inode_forget(tree, nodeid, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 2000; i++)
		use(w->rig, (unsigned int)rand_r(&w->seed) % NAMES, &w->seed);
	return NULL;
}

static void test_threads(void **state)
{
	struct worker worker[THREADS];
	struct rig *rig;

	teardown(state);
	setup_limit(state, 32);
	rig = *state;
	for (unsigned int i = 0; i < THREADS; i++) {
		worker[i].rig = rig;
		worker[i].seed = i + 1;
		assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(worker[i].thread, NULL);
	assert_int_equal(rig->tree->n_inodes, 0);
	assert_int_equal(rig->tree->fds_used, 2);
	assert_int_equal(rig->tree->fds_lasting, 2);
}

/* 0, or the line of what is not as it should be: also run in a child, without cmocka. */
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			return __LINE__;                                                           \
	} while (0)

static int refused(int r, int with_openat2, int without)
{
	return r == with_openat2 || r == without;
}

/* Paths stay beneath their start and follow no link. */
static int walk(int root)
{
	int fd = fs_open_beneath(root, "a/b", O_PATH, 0);

	CHECK(fd >= 0);
	close(fd);
	fd = fs_open_beneath(root, "link", O_PATH, 0);
	CHECK(fd >= 0);
	close(fd);
	CHECK(refused(fs_open_beneath(root, "link/b", O_PATH, 0), -ELOOP, -ENOTDIR));
	CHECK(refused(fs_open_beneath(root, "etc/passwd", O_PATH, 0), -ELOOP, -ENOTDIR));
	CHECK(fs_open_beneath(root, "etc", O_RDONLY, 0) == -ELOOP);
	CHECK(fs_open_beneath(root, "../..", O_PATH, 0) == -EXDEV);
	CHECK(fs_open_beneath(root, "..", O_PATH, 0) == -EXDEV);
	CHECK(refused(fs_open_beneath(root, "/etc", O_PATH, 0), -EXDEV, -ENOENT));
	CHECK(fs_open_beneath(root, "a/c", O_PATH, 0) == -ENOENT);
	fd = fs_open_beneath(root, "a/new", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	close(fd);
	CHECK(unlinkat(root, "a/new", 0) == 0);
	return 0;
}

/* From now on this process has no openat2(). */
static bool hide_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_walk(void **state)
{
	struct rig *rig = *state;
	int root = rig->config.root_fd, status;
	pid_t pid;

	assert_int_equal(mkdirat(root, "a", 0755), 0);
	assert_int_equal(mkdirat(root, "a/b", 0755), 0);
	assert_int_equal(symlinkat("a", root, "link"), 0);
	assert_int_equal(symlinkat("/etc", root, "etc"), 0);
	assert_int_equal(walk(root), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int line = hide_openat2() ? walk(root) : -1;

		if (line)
			fprintf(stderr, "without openat2: line %d\n", line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nodeids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
