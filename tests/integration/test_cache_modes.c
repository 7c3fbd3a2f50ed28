/* SPDX-License-Identifier: BSD-3-Clause */
/* Timeouts and open flags of each cache mode: those of Rust virtiofsd, which users know. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/integration/harness.h"

#define ROOT FUSE_ROOT_ID
#define DAY  86400

struct mode {
	struct it_options options; /* first: what a test gets as its options */
	uint64_t timeout;
	uint32_t file_flags, dir_flags;
	bool readdirplus;
};

#define CACHE(name)                                                                                \
	{                                                                                          \
		.be = {.cache = (name) }                                                           \
	}
#define DIR_CACHE (FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE)

static struct mode never = { CACHE("never"), 0, FOPEN_DIRECT_IO, 0, false };
static struct mode metadata = { CACHE("metadata"), DAY, FOPEN_DIRECT_IO, DIR_CACHE, true };
static struct mode automatic = { CACHE("auto"), 1, 0, 0, true };
static struct mode always = { CACHE("always"), DAY, FOPEN_KEEP_CACHE, DIR_CACHE, true };
static struct mode standard = { { .no_mount = false }, 1, 0, 0, true };

static const struct mode *mode_of(const struct it *it)
{
	return (const struct mode *)it->options;
}

static void assert_entry(const struct it *it, const struct fuse_entry_out *entry)
{
	assert_int_equal(entry->entry_valid, mode_of(it)->timeout);
	assert_int_equal(entry->attr_valid, mode_of(it)->timeout);
	assert_int_equal(entry->entry_valid_nsec, 0);
	assert_int_equal(entry->attr_valid_nsec, 0);
}

static void entry_replies(struct it *it)
{
	struct fuse_entry_out entry;

	it_file(it, "file", "x");
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &entry), 0);
	assert_entry(it, &entry);
	assert_int_equal(fc_link(it->q, entry.nodeid, ROOT, "hard", &entry), 0);
	assert_entry(it, &entry);
	assert_int_equal(fc_mkdir(it->q, ROOT, "dir", 0755, &entry), 0);
	assert_entry(it, &entry);
	assert_int_equal(fc_mknod(it->q, ROOT, "fifo", S_IFIFO | 0644, 0, &entry), 0);
	assert_entry(it, &entry);
	assert_int_equal(fc_symlink(it->q, ROOT, "sym", "x", &entry), 0);
	assert_entry(it, &entry);
}

static void attribute_replies(struct it *it)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0700 };
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	assert_int_equal(fc_getattr(it->q, ROOT, &attr), 0);
	assert_int_equal(attr.attr_valid, mode_of(it)->timeout);
	assert_int_equal(attr.attr_valid_nsec, 0);
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &entry), 0);
	assert_int_equal(fc_setattr(it->q, entry.nodeid, &in, &attr), 0);
	assert_int_equal(attr.attr_valid, mode_of(it)->timeout);
}

static bool on_entry(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	if (entry->nodeid)
		assert_entry(ctx, entry);
	return true;
}

static void open_replies(struct it *it)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	uint64_t offset = 0;

	assert_int_equal(fc_lookup(it->q, ROOT, "file", &entry), 0);
	assert_int_equal(fc_open(it->q, entry.nodeid, O_RDWR, &open), 0);
	assert_int_equal(open.open_flags, mode_of(it)->file_flags);
	assert_int_equal(
		fc_create(it->q, ROOT, "new", O_CREAT | O_EXCL | O_RDWR, 0644, &entry, &open), 0);
	assert_entry(it, &entry);
	assert_int_equal(open.open_flags, mode_of(it)->file_flags);
	assert_int_equal(fc_opendir(it->q, ROOT, &open), 0);
	assert_int_equal(open.open_flags, mode_of(it)->dir_flags);
	if (mode_of(it)->readdirplus)
		assert_true(
			fc_readdir(it->q, ROOT, open.fh, true, 4096, &offset, on_entry, it) > 0);
}

static void check_mode(struct it *it)
{
	bool plus = it->init.flags & FUSE_DO_READDIRPLUS;

	assert_int_equal(plus, mode_of(it)->readdirplus);
	entry_replies(it);
	attribute_replies(it);
	open_replies(it);
}

static void cache_never(void **state)
{
	check_mode(*state);
}

static void cache_metadata(void **state)
{
	check_mode(*state);
}

static void cache_auto(void **state)
{
	check_mode(*state);
}

static void cache_always(void **state)
{
	check_mode(*state);
}

static void default_is_auto(void **state)
{
	check_mode(*state);
}

static const char *const some_timeouts[] = {
	"--timeout", "attr=0.25,entry=7.5,negative=3.000000001,dir=99", NULL};
static struct it_options timeouts_given = {.be = {.cache = "always", .extra = some_timeouts}};

static void given_timeouts(void **state)
{
	struct it *it = *state;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;

	it_file(it, "file", "x");
	assert_int_equal(fc_lookup(it->q, ROOT, "file", &entry), 0);
	assert_int_equal(entry.entry_valid, 7);
	assert_int_equal(entry.entry_valid_nsec, 500000000);
	assert_int_equal(entry.attr_valid, 0);
	assert_int_equal(entry.attr_valid_nsec, 250000000);
	assert_int_equal(fc_getattr(it->q, entry.nodeid, &attr), 0);
	assert_int_equal(attr.attr_valid, 0);
	assert_int_equal(attr.attr_valid_nsec, 250000000);
	assert_int_equal(fc_mkdir(it->q, ROOT, "dir", 0755, &entry), 0);
	assert_int_equal(entry.entry_valid, 99);
	assert_int_equal(entry.attr_valid, 99);
	assert_int_equal(entry.attr_valid_nsec, 0);
	/* A name that is not there, until it is. */
	assert_int_equal(fc_lookup(it->q, ROOT, "later", &entry), 0);
	assert_int_equal(entry.nodeid, 0);
	assert_int_equal(entry.entry_valid, 3);
	assert_int_equal(entry.entry_valid_nsec, 1);
	it_file(it, "later", "x");
	assert_int_equal(fc_lookup(it->q, ROOT, "later", &entry), 0);
	assert_true(entry.nodeid != 0);
	/* Other errors stay errors. */
	assert_int_equal(fc_lookup(it->q, entry.nodeid, "x", &entry), -ENOTDIR);
}

static const struct CMUnitTest tests[] = {
	IT_TEST_WITH(cache_never, never.options),
	IT_TEST_WITH(cache_metadata, metadata.options),
	IT_TEST_WITH(cache_auto, automatic.options),
	IT_TEST_WITH(cache_always, always.options),
	IT_TEST_WITH(default_is_auto, standard.options),
	IT_TEST_WITH(given_timeouts, timeouts_given),
};

static const struct it_difference differences[] = {
	{ "given_timeouts", "it has one timeout for all", "it has no --timeout" },
	{ "cache_metadata", "it has no such mode" },
	{ "cache_always", "its OPENDIR answers CACHE_DIR without KEEP_CACHE" },
};

IT_MAIN("cache_modes", tests, differences)
