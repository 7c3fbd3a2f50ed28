/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files: fhs, references, and the inode that each one holds.
 */
#include "tests/unit/fs_fixture.h"

#include <sys/stat.h>

#include "fuse/handle.h"
#include "fuse/inode.h"

struct rig {
	char dir[64];
	struct fs_config config;
	struct fs_tree *tree;
	struct fs_inode *inode; /* of the file "f" */
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct fs_entry entry;

	assert_non_null(rig);
	fixture_dir_new(rig->dir, &rig->config, 900);
	assert_int_equal(fs_tree_new(&rig->config, 7, &rig->tree), 0);
	assert_int_equal(mknodat(rig->config.root_fd, "f", S_IFREG | 0644, 0), 0);
	assert_int_equal(
		fs_tree_lookup(rig->tree, rig->tree->root, rig->tree->root->fd, "f", &entry), 0);
	rig->inode = entry.inode;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fs_inode_put(rig->tree, rig->inode);
	fs_tree_free(rig->tree);
	fixture_dir_free(rig->dir, &rig->config);
	free(rig);
	return 0;
}

static void test_life(void **state)
{
	struct rig *rig = *state;
	struct fs_tree *tree = rig->tree;
	uint64_t nodeid = rig->inode->nodeid, fh, again;
	struct fs_handle *handle;
	int fds = count_fds(), fd;

	assert_int_equal(fs_handle_open(tree, rig->inode, O_RDWR, &fh), 0);
	assert_int_equal(count_fds(), fds + 1);
	handle = fs_handle_get(tree, fh, nodeid);
	assert_non_null(handle);
	fd = handle->fd;
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* Released while a request is at work: not found any more, and closed when that is done. */
	assert_int_equal(fs_handle_release(tree, fh, nodeid), 0);
	assert_null(fs_handle_get(tree, fh, nodeid));
	assert_int_equal(fs_handle_release(tree, fh, nodeid), -EBADF);
	assert_int_equal(write(fd, "x", 1), 1);
	fs_handle_put(tree, handle);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	assert_int_equal(fs_handle_open(tree, rig->inode, O_RDWR, &again), 0);
	assert_int_not_equal(again, fh);
	assert_null(fs_handle_get(tree, fh, nodeid));
	assert_null(fs_handle_get(tree, again, FUSE_ROOT_ID));
	assert_null(fs_handle_get(tree, 0, nodeid));
	assert_null(fs_handle_get(tree, UINT64_MAX, nodeid));
	assert_null(fs_handle_get(tree, again + 1, nodeid));
	assert_null(fs_handle_get(tree, FS_HANDLES_MAX, nodeid));
	assert_null(fs_handle_get(tree, FS_HANDLES_MAX + 1, nodeid));
	assert_int_equal(fs_handle_release(tree, again, nodeid), 0);
}

/* Forgotten by the guest while it is open: the inode stays until the last handle goes. */
static void test_holds_inode(void **state)
{
	struct rig *rig = *state;
	struct fs_tree *tree = rig->tree;
	uint64_t nodeid = rig->inode->nodeid, fh;

	assert_int_equal(fs_handle_open(tree, rig->inode, O_RDONLY, &fh), 0);
	fs_inode_put(tree, rig->inode);
	rig->inode = NULL;
	fs_inode_forget(tree, nodeid, 1);
	assert_int_equal(tree->n_inodes, 1);
	assert_int_equal(fs_handle_release(tree, fh, nodeid), 0);
	assert_int_equal(tree->n_inodes, 0);
}

/* More than a chunk of them, released in another order, and their fhs all different. */
static void test_many(void **state)
{
	enum { MANY = 600 };
	struct rig *rig = *state;
	uint64_t fh[MANY], nodeid = rig->inode->nodeid;
	int fds = count_fds();

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			assert_int_equal(
				fs_handle_open(rig->tree, rig->inode, O_RDONLY, &fh[i]), 0);
		for (int i = 0; i < MANY; i++)
			for (int j = 0; j < i; j++)
				assert_int_not_equal(fh[i], fh[j]);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(fs_handle_release(rig->tree, fh[i * 7 % MANY], nodeid), 0);
		assert_int_equal(count_fds(), fds);
	}
	assert_null(rig->inode->handles);
}

static void test_limit(void **state)
{
	struct rig *rig = *state;
	uint64_t fh;
	int n = 0, r;

	while ((r = fs_handle_open(rig->tree, rig->inode, O_RDONLY, &fh)) == 0)
		n++;
	assert_int_equal(r, -ENFILE);
	/* Three quarters, but for the root's fd and the volume's. */
	assert_int_equal(n, 900 - 900 / 4 - 2);
	/* The rest is closed with the tree. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds_inode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
