/* SPDX-License-Identifier: BSD-3-Clause */
/* INIT: every version, the flags of each cache mode, sizes, byte order. */
#include "tests/unit/fs_fixture.h"

#include "fuse/init.h"
#include "fuse/wire.h"

#define OUT_SIZE (sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out))

static struct fixture *make(void **state, enum fs_cache cache)
{
	*state = fixture_new(cache);
	return *state;
}

static int setup(void **state)
{
	make(state, FS_CACHE_AUTO);
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* INIT with `len` bytes of `in`; *out gets the answer. Returns its error. */
static int run(
	struct fixture *f, const struct fuse_init_in *in, size_t len, struct fuse_init_out *out)
{
	struct call *c = call_request(FUSE_INIT, 7, 0, in, len, OUT_SIZE);
	int error = call_run(f, c);

	if (error == 0) {
		assert_int_equal(c->len, OUT_SIZE);
		memcpy(out, (char *)c->rep.iov_base + sizeof(struct fuse_out_header), sizeof(*out));
	}
	call_free(c);
	return error;
}

/* Is there a session? Without one even the root has no attributes. */
static bool is_live(struct fixture *f)
{
	struct fuse_getattr_in in = {0};

	return exchange(f, FUSE_GETATTR, 1, &in, sizeof(in), 16 + sizeof(struct fuse_attr_out)) ==
	       0;
}

static void test_every_minor(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_out out;

	for (uint32_t minor = 0; minor < 100; minor++) {
		struct fuse_init_in in = init_in(minor);
		int error = run(f, &in, sizeof(in), &out);

		if (minor < 31) {
			assert_int_equal(error, -EPROTO);
			assert_false(is_live(f));
			continue;
		}
		assert_int_equal(error, 0);
		assert_int_equal(out.major, 7);
		assert_int_equal(out.minor, MIN(minor, 38));
		assert_true(is_live(f));
	}
}

static void test_major(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = init_in(38);
	struct fuse_init_out out;

	assert_int_equal(do_init(f), 0);
	in.major = 6;
	assert_int_equal(run(f, &in, sizeof(in), &out), -EPROTO);
	assert_false(is_live(f));
	in.major = 8;
	in.minor = 0;
	assert_int_equal(run(f, &in, sizeof(in), &out), 0);
	assert_int_equal(out.major, 7);
	assert_int_equal(out.minor, 38);
	assert_false(is_live(f));
	in = init_in(38);
	assert_int_equal(run(f, &in, sizeof(in), &out), 0);
	assert_true(is_live(f));
}

/* A guest of the future is told our version even in the smallest room. */
static void test_major_in_small_room(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = init_in(38);

	in.major = 8;
	for (size_t room = 16; room < 100; room++)
		assert_int_equal(exchange(f, FUSE_INIT, 0, &in, sizeof(in), room), 0);
}

static void test_lengths(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in[2] = {init_in(38)};
	struct fuse_init_out out;

	for (size_t len = 0; len <= sizeof(in); len++)
		assert_int_equal(run(f, in, len, &out), len < 16 ? -EINVAL : 0);
	/* 7.0 to 7.5 sent major and minor only: the version is what is wrong with it. */
	in[0].minor = 5;
	assert_int_equal(run(f, in, 8, &out), -EPROTO);
	assert_int_equal(exchange(f, FUSE_INIT, 0, in, 8, 16), -EPROTO);
	/* No room for the answer. */
	in[0] = init_in(38);
	assert_int_equal(exchange(f, FUSE_INIT, 0, in, 64, OUT_SIZE - 1), -EINVAL);
	assert_false(is_live(f));
}

static void test_values(void **state)
{
	struct fixture *f = *state;
	struct fuse_init_in in = init_in(38);
	struct fuse_init_out out;

	assert_int_equal(run(f, &in, sizeof(in), &out), 0);
	assert_int_equal(out.max_write, 1024 * 1024);
	assert_int_equal(out.max_pages * sysconf(_SC_PAGESIZE), 1024 * 1024);
	assert_int_equal(out.max_readahead, 65536);
	assert_int_equal(out.time_gran, 1);
	/* CREATE_SUPP_GROUP, ALLOW_IDMAP */
	assert_int_equal(out.flags2, 1U << 2 | 1U << 8);
	assert_int_equal(out.map_alignment, 0);
	assert_true(out.max_background > 0 && out.congestion_threshold < out.max_background);
	for (size_t i = 0; i < ARRAY_SIZE(out.unused); i++)
		assert_int_equal(out.unused[i], 0);

	in.flags = 0;
	assert_int_equal(run(f, &in, sizeof(in), &out), 0);
	assert_int_equal(out.flags, 0);
	assert_int_equal(out.max_pages, 0);
}

/* The reply's flags by cache mode, written out bit by bit. */
static void test_flags(void **state)
{
	static const struct {
		enum fs_cache cache;
		uint32_t flags;
	} rows[] = {
		/* INIT_EXT MAX_PAGES PARALLEL_DIROPS ASYNC_DIO AUTO_INVAL BIG_WRITES O_TRUNC ASYNC
		 */
		{FS_CACHE_NEVER, 1U << 30 | 1U << 22 | 1U << 18 | 1U << 15 | 1U << 12 | 0x29},
		/* ... and READDIRPLUS, READDIRPLUS_AUTO */
		{FS_CACHE_METADATA, 1U << 30 | 1U << 22 | 1U << 18 | 15U << 12 | 0x29},
		{FS_CACHE_AUTO, 1U << 30 | 1U << 22 | 1U << 18 | 15U << 12 | 0x29},
		{FS_CACHE_ALWAYS, 1U << 30 | 1U << 22 | 1U << 18 | 15U << 12 | 0x29},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture *f = make(state, rows[i].cache);
		struct fuse_init_in in = init_in(38);
		struct fuse_init_out out;

		assert_int_equal(run(f, &in, sizeof(in), &out), 0);
		assert_int_equal(out.flags, rows[i].flags);
		/* What is not offered is not agreed on. */
		in.flags &= ~(uint32_t)FUSE_PARALLEL_DIROPS;
		assert_int_equal(run(f, &in, sizeof(in), &out), 0);
		assert_int_equal(out.flags, rows[i].flags & ~(uint32_t)FUSE_PARALLEL_DIROPS);
		fixture_free(f);
	}
}

/* ACLs and labels: what a guest must offer, and what becomes of one that does not. */
static void test_offers(void **state)
{
	const uint64_t acl = FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT;
	const uint64_t label = FUSE_SECURITY_CTX | FUSE_INIT_EXT;
	static const enum fs_offer offers[] = {FS_OFFER_NEVER, FS_OFFER_AUTO, FS_OFFER_ALWAYS};
	const uint64_t guests[] = {0, acl & ~FUSE_SETXATTR_EXT, acl & ~FUSE_DONT_MASK,
		acl & ~FUSE_POSIX_ACL, acl, label, acl | label};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3 * 3 * ARRAY_SIZE(guests); i++) {
		uint64_t guest = guests[i / 9], expected = guest & FUSE_INIT_EXT;
		enum fs_offer with_acl = offers[i % 3], with_label = offers[i / 3 % 3];
		struct fuse_init_in in = init_in(38);
		struct fuse_init_out out;
		bool refused = (with_acl == FS_OFFER_ALWAYS && (guest & acl) != acl) ||
			       (with_label == FS_OFFER_ALWAYS && !(guest & FUSE_SECURITY_CTX));

		f->config.posix_acl = with_acl;
		f->config.security_label = with_label;
		fs_free(f->fs);
		assert_int_equal(fs_new(&f->config, &f->fs), 0);
		in.flags = (uint32_t)guest;
		in.flags2 = (uint32_t)(guest >> 32);
		assert_int_equal(run(f, &in, sizeof(in), &out), refused ? -EPROTO : 0);
		assert_int_equal(is_live(f), !refused);
		if (refused)
			continue;
		if (with_acl != FS_OFFER_NEVER && (guest & acl) == acl)
			expected |= acl;
		if (with_label != FS_OFFER_NEVER)
			expected |= guest & FUSE_SECURITY_CTX;
		assert_int_equal(out.flags, (uint32_t)expected);
		assert_int_equal(out.flags2, (uint32_t)(expected >> 32));
	}
}

/* An ACL that is set may cost the setgid bit, by who sets it: with idmapped mounts none says. */
static void test_acls_need_callers(void **state)
{
	struct fs_config config = {.cache = FS_CACHE_AUTO};

	(void)state;
	assert_true(fs_init_agree(&config, UINT64_MAX) & FUSE_ALLOW_IDMAP);
	config.xattr = true;
	config.posix_acl = FS_OFFER_AUTO;
	assert_true(fs_init_agree(&config, UINT64_MAX) & FUSE_POSIX_ACL);
	assert_false(fs_init_agree(&config, UINT64_MAX) & FUSE_ALLOW_IDMAP);
}

static void test_flags2_need_init_ext(void **state)
{
	struct fs_config config = {.cache = FS_CACHE_AUTO};

	(void)state;
	assert_true(fs_init_agree(&config, UINT32_MAX) <= UINT32_MAX);
	assert_true(fs_init_agree(&config, 0) == 0);
}

static void test_other_byte_order(void **state)
{
	struct fixture *f = *state;
	struct fuse_in_header in = {
		.len = __builtin_bswap32(104),
		.opcode = __builtin_bswap32(FUSE_INIT),
		.unique = 0x0100000000000000,
	};
	unsigned char request[104] = {0};
	struct fuse_out_header out;
	struct call *c;

	memcpy(request, &in, sizeof(in));
	c = call_new(request, sizeof(request), OUT_SIZE);
	fs_submit(f->fs, &c->io);
	assert_int_equal(c->completed, 1);
	assert_int_equal(c->len, 16);
	memcpy(&out, c->rep.iov_base, sizeof(out));
	assert_int_equal(__builtin_bswap32(out.len), 16);
	assert_int_equal((int32_t)__builtin_bswap32((uint32_t)out.error), -EPROTO);
	assert_true(out.unique == in.unique);
	assert_int_equal(fs_inflight(f->fs), 0);
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_minor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_major, setup, teardown),
		cmocka_unit_test_setup_teardown(test_major_in_small_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test(test_flags),
		cmocka_unit_test_setup_teardown(test_offers, setup, teardown),
		cmocka_unit_test(test_acls_need_callers),
		cmocka_unit_test(test_flags2_need_init_ext),
		cmocka_unit_test_setup_teardown(test_other_byte_order, setup, teardown),
	};

	vu_log_level = LOG_LEVEL_OFF;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
