/* SPDX-License-Identifier: BSD-3-Clause */
/* INIT and DAX: what is agreed on, and who is refused. */
#include "tests/unit/dax_client.h"

#define OUT_SIZE (sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out))

/* What a guest offers that is mounted so. */
#define OFFER_INODE  (FUSE_MAP_ALIGNMENT | FUSE_INIT_EXT | INODE_DAX)
#define OFFER_ALWAYS (FUSE_MAP_ALIGNMENT | FUSE_INIT_EXT)
#define OFFER_NONE   FUSE_INIT_EXT

static uint64_t agree(struct fixture *f, uint64_t offered, unsigned int *alignment)
{
	struct fuse_init_in in = {
		.major = 7,
		.minor = 38,
		.flags = (uint32_t)offered,
		.flags2 = (uint32_t)(offered >> 32),
	};
	struct call *c = call_request(FUSE_INIT, 7, 0, &in, sizeof(in), OUT_SIZE);
	struct fuse_init_out out;

	assert_int_equal(call_run(f, c), 0);
	memcpy(&out, (char *)c->rep.iov_base + HEADER_SIZE, sizeof(out));
	call_free(c);
	*alignment = out.map_alignment;
	return (out.flags | (uint64_t)out.flags2 << 32) & (FUSE_MAP_ALIGNMENT | INODE_DAX);
}

static void test_agreement(void **state)
{
	const uint64_t both = FUSE_MAP_ALIGNMENT | INODE_DAX;
	const struct {
		enum dax_view_kind kind;
		bool readonly;
		enum fs_dax dax;
		bool ready, usable;
	} rows[] = {
		{DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS, true, true},
		{DAX_VIEW_DIRECT, true, FS_DAX_INODE, true, true},
		{DAX_VIEW_PASSTHROUGH, false, FS_DAX_INODE, true, true},
		{DAX_VIEW_CACHED, true, FS_DAX_ALWAYS, true, true},
		{DAX_VIEW_CACHED, false, FS_DAX_ALWAYS, true, false},
		{DAX_VIEW_PASSTHROUGH, true, FS_DAX_ALWAYS, true, false},
		{DAX_VIEW_NONE, false, FS_DAX_ALWAYS, true, false},
		{DAX_VIEW_DIRECT, false, FS_DAX_NEVER, true, false},
		{DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture *f = fixture_new(FS_CACHE_AUTO);
		unsigned int alignment;

		dax_fixture(f, rows[i].kind, rows[i].readonly, rows[i].dax);
		window.ready = rows[i].ready;
		assert_true(agree(f, OFFER_NONE, &alignment) == 0 && alignment == 0);
		assert_int_equal(agree(f, OFFER_INODE, &alignment), rows[i].usable ? both : 0);
		assert_int_equal(alignment, rows[i].usable ? 12 : 0);
		/* A guest that would map everything is served, or told to give up. */
		assert_int_equal(agree(f, OFFER_ALWAYS, &alignment), FUSE_MAP_ALIGNMENT);
		assert_int_equal(alignment, rows[i].usable ? 12 : 63);
		fixture_free(f);
	}
}

static void test_without_window(void **state)
{
	struct fixture *f = fixture_new(FS_CACHE_AUTO);
	unsigned int alignment;

	(void)state;
	assert_true(agree(f, OFFER_INODE, &alignment) == 0 && alignment == 0);
	assert_true(agree(f, OFFER_ALWAYS, &alignment) == 0 && alignment == 0);
	fixture_free(f);
}

/* FUSE_ATTR_DAX is for guests that know it. */
static void test_unknown_to_the_guest(void **state)
{
	struct client *c = dax_client(DAX_VIEW_DIRECT, false, FS_DAX_ALWAYS);
	struct fuse_entry_out entry;
	unsigned int alignment;

	(void)state;
	host_write(c, "file", "data");
	agree(c->f, OFFER_ALWAYS, &alignment);
	assert_int_equal(do_lookup(c, ROOT, "file", &entry), 0);
	assert_int_equal(entry.attr.flags, 0);
	assert_int_equal(do_map(c, entry.nodeid, 0, 0, 4096, 0), 0);
	agree(c->f, OFFER_INODE, &alignment);
	assert_int_equal(do_lookup(c, ROOT, "file", &entry), 0);
	assert_int_equal(entry.attr.flags, FUSE_ATTR_DAX);
	client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_without_window),
		cmocka_unit_test(test_unknown_to_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
