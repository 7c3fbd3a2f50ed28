/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host replaces, renames and removes what the guest holds: no other file ever answers for it,
 * and what can be found again is found, with every way of remembering files, with few fds.
 *
 * Root's runs make an ext4 (or $REPLACED_FS) of their own, which uses inode numbers again at once;
 * else it is what $TMPDIR lies on. REPLACED_SEED repeats a run; TEST_SCALE is its length.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/replaced.h"

#define NOBODY .socket = BE_FD_LISTENING, .prefix = ARGS("sh", "-c", IT_AS_NOBODY, "sh")

static struct it_options prefer = {.be = {.extra = ARGS(FEW)}};
static struct it_options mandatory = {
	.be = {.extra = ARGS(FEW, "--inode-file-handles=mandatory")}};
static struct it_options never = {.be = {.extra = ARGS(FEW, "--inode-file-handles=never")}};
static struct it_options nobody = {.be = {NOBODY, .extra = ARGS(FEW)}};
static struct it_options nobody_never = {
	.be = {NOBODY, .extra = ARGS(FEW, "--inode-file-handles=never")}};

static bool own_ext4; /* which uses inode numbers again at once */

static bool needs_root(const struct it *it)
{
	return it->options == &nobody || it->options == &nobody_never;
}

/* Whether files are found by handles. Root may open them; nobody else may. */
static bool by_handle(const struct it *it)
{
	return geteuid() == 0 && (it->options == &prefer || it->options == &mandatory);
}

/* ---- one file after the other, within one tick of the clock ---- */

static void read_all(struct it *it, uint64_t nodeid, char text[64])
{
	struct fuse_open_out open;
	int n;

	memset(text, 0, 64);
	n = fc_open(it->q, nodeid, O_RDONLY, &open);
	if (n == 0) {
		n = fc_read(it->q, nodeid, open.fh, 0, text, 63);
		assert_int_equal(fc_release(it->q, nodeid, open.fh), 0);
	}
	if (n < 0)
		snprintf(text, 64, "error %d", n);
}

/*
 * The guest makes a file and closes it; the host puts another one in its place, which may well get
 * the same inode number and the same time of birth.
 */
static void a_new_file_is_another_one(void **state)
{
	struct it *it = *state;
	unsigned int same = 0, rounds = twin_scaled(300);
	struct fuse_entry_out first, second;
	struct fuse_open_out open;
	char text[64], mine[64];

	if (needs_root(it) && geteuid() != 0)
		skip();
	for (unsigned int i = 0; i < rounds; i++) {
		snprintf(mine, sizeof(mine), "the guest's %u", i);
		assert_int_equal(
			fc_create(it->q, FUSE_ROOT_ID, "f", O_WRONLY, 0666, &first, &open), 0);
		assert_int_equal(fc_write(it->q, first.nodeid, open.fh, 0, mine,
					 (uint32_t)strlen(mine)), (int)strlen(mine));
		assert_int_equal(fc_release(it->q, first.nodeid, open.fh), 0);
		assert_int_equal(unlink(it_path(it, "f")), 0);
		it_file(it, "f", "the host's");
		assert_int_equal(fc_lookup(it->q, FUSE_ROOT_ID, "f", &second), 0);
		same += second.attr.ino == first.attr.ino;
		assert_int_not_equal(first.nodeid, second.nodeid);
		read_all(it, second.nodeid, text);
		assert_string_equal(text, "the host's");
		read_all(it, first.nodeid, text);
		if (strcmp(text, mine) != 0 && strncmp(text, "error -116", 10) != 0)
			fail_msg("\"%s\" reads \"%s\"", mine, text);
		assert_int_equal(fc_forget(it->hp, first.nodeid, 1), 0);
		assert_int_equal(fc_forget(it->hp, second.nodeid, 1), 0);
		assert_int_equal(unlink(it_path(it, "f")), 0);
	}
	print_message("# %u of %u had the inode number of the one before\n", same, rounds);
	assert_true(!own_ext4 || same > rounds / 2);
}

/* ---- anything, at random ---- */

static void host_and_guest_at_random(void **state)
{
	struct it *it = *state;
	unsigned int n = twin_scaled(2500);
	struct twin *t;

	if (needs_root(it) && geteuid() != 0)
		skip();
	t = twin_new(it, twin_seed(), by_handle(it));
	for (t->step = 0; t->step < n; t->step++) {
		if (twin_random(t, 4) == 0)
			twin_host(t);
		else
			twin_guest(t);
		if (t->step % 500 == 0)
			twin_check(t);
	}
	twin_check(t);
	print_message("# %u objects, %u of them with the inode number of a former one that the "
		      "guest held; ESTALE %u times\n", t->n_objects, t->met, t->stale);
	assert_true(t->n_objects > n / 20);
	twin_free(t);
	it_assert_alive(it->q);
}

/* ---- all of them ---- */

#define BOTH(options)                                                                              \
	IT_TEST_WITH(a_new_file_is_another_one, options),                                          \
		IT_TEST_WITH(host_and_guest_at_random, options)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		BOTH(prefer),
		BOTH(mandatory),
		BOTH(never),
		BOTH(nobody),
		BOTH(nobody_never),
	};
	static const struct it_difference differences[] = {
		{"a_new_file_is_another_one", "it keeps an fd of each file"},
		{"host_and_guest_at_random", "it keeps an fd of each file, and has too few"},
	};
	int r;

	own_ext4 = twin_fs_make();
	r = it_main(argc, argv, "replaced", tests, ARRAY_SIZE(tests), differences,
		ARRAY_SIZE(differences));
	twin_fs_remove();
	return r;
}
