/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the integration suites share: a back-end and a mounted client for each test, time limits,
 * and the list of differences when the peer is under test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/integration/backend.h"
#include "tests/integration/fusecli.h"
#include "vhostuser/checked.h"

/* How a test wants its back-end. Zero: defaults all over, mounted. */
struct it_options {
	struct be_options be;
	struct fc_options fc;
	bool no_client;     /* start the back-end only */
	bool no_mount;      /* connect, but send no INIT */
	int expect_exit;    /* the gateway's exit status at the end (0) */
	bool bad_exit_fine; /* whatever it is */
};

/* What a test gets as *state. */
struct it {
	const struct it_options *options;
	struct be be;
	struct fc *fc;       /* NULL with no_client */
	struct fc_queue *hp; /* hiprio */
	struct fc_queue *q;  /* the first request queue */
	struct fuse_init_out init;
	int64_t started;
};

int it_setup(void **state);
int it_teardown(void **state);

/* A test with defaults, and one with its own struct it_options. */
#define IT_TEST(fn) { #fn, fn, it_setup, it_teardown, (void *)&it_defaults }
#define IT_TEST_WITH(fn, opt) { #fn, fn, it_setup, it_teardown, (void *)&(opt) }
extern struct it_options it_defaults;

/* Only the back-end's scratch directory, for a test that runs the program by itself; none for the
 * peer, which it is not for. */
int it_setup_bare(void **state);
int it_teardown_bare(void **state);
#define IT_BARE_TEST(fn) { #fn, fn, it_setup_bare, it_teardown_bare, NULL }

/* A test that a peer does not pass, and why. Counted as skipped there. */
struct it_difference {
	const char *test;
	const char *reason; /* the C virtiofsd; NULL: it passes */
	const char *rust;   /* the Rust one, in the same way */
};

/*
 * Reads the command line ([GATEWAY]) and the environment (GATEWAY=path; BACKEND=peer, or rust with
 * PEER=path), runs the suite. TEST_FILTER=pattern picks tests; PEER_ALL=1 runs those that the peer
 * is known to fail, to see whether the list is still true.
 */
int it_main(int argc, char **argv, const char *suite, const struct CMUnitTest *tests, size_t n,
	const struct it_difference *differences, size_t n_differences);

#define IT_MAIN(suite, tests, differences)                                                         \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return it_main(argc, argv, suite, tests, ARRAY_SIZE(tests), differences,           \
			ARRAY_SIZE(differences));                                                  \
	}

/* Seconds that one test may take. */
#define IT_TIME_LIMIT 40

/* Connects (whatever the socket's role is) and opens the device; for tests with no_client. */
struct fc *it_connect(struct it *it, const struct fc_options *options);
struct vu_frontend *it_frontend(struct it *it);
/* Drops the client, as a front-end that goes away. */
void it_disconnect(struct it *it);

/*
 * A back-end of nobody's, for be_options.prefix: `sh -c IT_AS_NOBODY sh` gives nobody the share and
 * runs the gateway as nobody (setpriv). With IT_WITH_SUBIDS nobody has also been given the users
 * and groups from 200000 on, in a mount namespace that it needs (unshare -m).
 */
#define IT_AS_NOBODY                                                                               \
	"for a; do case $a in --shared-dir=*) chown 65534:65534 \"${a#*=}\";; esac; done; "        \
	"exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\""
#define IT_WITH_SUBIDS                                                                             \
	"for a; do case $a in --shared-dir=*) d=${a#*=}/..;; esac; done; "                         \
	"echo 65534:200000:65536 >$d/sub && "                                                      \
	"mount --bind $d/sub /etc/subuid && mount --bind $d/sub /etc/subgid; " IT_AS_NOBODY

/* Path of a name in the share, in a ring of static buffers. */
const char *it_path(const struct it *it, const char *name);
/* Makes a file in the share with this content. */
void it_file(const struct it *it, const char *name, const char *content);
/* The session works: INIT is done and the root's attributes come. */
void it_assert_alive(struct fc_queue *q);

/* An error reply: neither success nor a missing reply. */
#define assert_refused(call)                                                                       \
	do {                                                                                       \
		int refused_ = (call);                                                             \
		if (refused_ >= 0 || refused_ < -4095)                                             \
			fail_msg("%s: %d", #call, refused_);                                       \
	} while (0)

/* Waits for the condition with a limit, napping. */
#define it_until(condition, ms)                                                                    \
	do {                                                                                       \
		int64_t end_ = it_now_ms() + (ms);                                                 \
		while (!(condition) && it_now_ms() < end_)                                         \
			it_nap();                                                                  \
		assert_true(condition);                                                            \
	} while (0)
