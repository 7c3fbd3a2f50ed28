/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end under test as a child process: the gateway, or Debian's C virtiofsd as a peer.
 *
 * It gets a scratch directory with a share in it, its log goes to a file there. A child dies with
 * us, so a test program that is killed leaves no process behind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which side of the socket the back-end takes and how it gets it. */
enum be_socket {
	BE_SOCKET_PATH,  /* --socket-path: it listens */
	BE_FD_LISTENING, /* --fd N: a socket that listens */
	BE_FD_CONNECTED, /* --fd N: a socket that is connected */
	BE_CONNECT,      /* --connect PATH: we listen */
};

struct be_options {
	enum be_socket socket;
	const char *cache; /* a --cache value; NULL: the default */
	const char *share; /* share this directory instead of a new one */
	bool readonly;
	bool keep_listening;
	/*
	 * A --sandbox value; NULL: the default, but "none" with a sanitizer, whose search for leaks
	 * needs /proc (it is off in a chroot).
	 */
	const char *sandbox;
	unsigned int request_queues; /* 0: the default */
	const char *tag;
	const char *const *extra;  /* more arguments, NULL-terminated */
	const char *const *peer;   /* in place of those, for the peer; NULL: the same */
	const char *const *prefix; /* a command to run it under (strace), NULL-terminated */
};

struct be {
	pid_t pid;  /* what we started; 0 when it has been reaped */
	int status; /* wait status, once reaped */
	int fd; /* our end of BE_FD_CONNECTED, the listening socket of BE_FD_LISTENING; else -1 */
	bool listens;  /* a front-end connects to `sock` */
	char root[64]; /* the scratch directory */
	char share[128];
	char sock[128];
	char log[128];
};

/* Set up by harness.c from the command line and the environment. */
extern const char *be_gateway_path;
extern bool be_peer;
/* Of the peer in Rust (then be_peer is true, too); NULL: it is not the one. */
extern const char *be_rust_path;

/* Makes the scratch directory and starts the back-end; be_free() whatever it returns. */
int be_start(struct be *be, const struct be_options *options);

/* Only the scratch directory, for tests that run the program with arguments of their own. */
int be_scratch(struct be *be);
/* Runs the gateway (not the peer) with these arguments in that scratch directory; see be_wait(). */
int be_spawn(struct be *be, const char *const *args);

/* Waits for its end: its exit status, 1000 + the signal's number, or -ETIMEDOUT. */
int be_wait(struct be *be, int timeout_ms);
int be_signal(struct be *be, int signo);
/* SIGTERM and be_wait(). */
int be_stop(struct be *be, int timeout_ms);
/* Kills what is left and removes the scratch directory. Safe after any failure. */
void be_free(struct be *be);

/* The process that serves: the gateway's child, or the peer itself. 0 when there is none. */
pid_t be_service(const struct be *be);
/* Counts of the serving process; -errno. */
int be_fds(const struct be *be);
int be_threads(const struct be *be);
int be_rss_kib(const struct be *be);
/* Waits until the number of fds is at most `most`: the number seen last. */
int be_settle_fds(const struct be *be, int most, int timeout_ms);
/* Lines of /proc/PID/maps that contain `text`. */
int be_maps(const struct be *be, const char *text);

/* The log so far, to be freed. */
char *be_read_log(const struct be *be);
/* How many lines of the log contain `text` (all lines for ""). */
int be_log_lines(const struct be *be, const char *text);
/* The log has no report of a sanitizer. */
bool be_log_is_clean(const struct be *be);

/* True when the back-end was built with a sanitizer. */
bool be_sanitized(void);

/* Milliseconds on the monotonic clock, and a nap of one for polling loops. */
int64_t it_now_ms(void);
void it_nap(void);

/* Removes a tree, the root included, crossing no mount point. */
void it_remove_tree(const char *path);
