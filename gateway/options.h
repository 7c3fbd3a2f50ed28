/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line, as one table that also prints --help. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "dax/dialect.h"
#include "fuse/fs.h"
#include "fuse/idmap.h"
#include "gateway/modcaps.h"
#include "gateway/userns.h"

#define GW_TAG_MAX            36 /* VIRTIO 5.11.4: bytes of the tag in the config space */
#define GW_REQUEST_QUEUES_MAX 64

enum gw_sandbox { GW_SANDBOX_AUTO, GW_SANDBOX_NONE, GW_SANDBOX_CHROOT, GW_SANDBOX_NAMESPACE };

/* What to do about system calls that are not allowed; accepted, not in force yet. */
enum gw_seccomp { GW_SECCOMP_NONE, GW_SECCOMP_KILL, GW_SECCOMP_LOG, GW_SECCOMP_TRAP };

/* Room for all lists behind -o, unescaped. */
#define GW_LIST_MAX 8192

/* The most that a shmem front-end gets as its window: QEMU aborts past 512 memory regions. */
#define GW_SHMEM_WINDOW_MAX (UINT64_C(512) << 20)
/* Linux guests carve the window into ranges of this size; a part of one is of no use. */
#define GW_WINDOW_UNIT (UINT64_C(2) << 20)
/* And the most that any gets: what other front-ends' address spaces have room for. */
#define GW_WINDOW_MAX (UINT64_C(1) << 40)

/* What may be its size, for whoever gave another. */
#define GW_WINDOW_RULE                                                                             \
	"SIZE, a power of two from 2M to 512M (in another dialect than shmem any multiple of 2M)"

/* --dax, --dax-threshold, --dax-view, --dax-dialect. */
#define GW_DAX_IDLE_MAX 4

enum gw_dax_view { GW_VIEW_AUTO, GW_VIEW_DIRECT, GW_VIEW_PASSTHROUGH, GW_VIEW_CACHED };

/* What to do instead of serving. */
enum gw_action { GW_SERVE, GW_HELP, GW_SHOW_VERSION, GW_CAPABILITIES };

/* Strings are borrowed from argv, or lie in `list`: a copy is of no use without the original. */
struct gw_options {
	enum gw_action action;
	const char *shared_dir;
	const char *socket_path; /* one of these three, the others NULL or -1 */
	const char *connect;
	int fd;
	const char *tag; /* NULL: none */
	enum fs_cache cache;
	bool readonly;
	bool posix_lock;
	bool flock;
	bool xattr;           /* also when one of the next three is given */
	const char *xattrmap; /* rules that make sense; NULL: none */
	enum fs_offer posix_acl;
	enum fs_offer security_label;
	enum gw_sandbox sandbox;
	struct fs_features features;
	enum fs_dax dax;
	uint64_t dax_threshold;            /* bytes */
	uint64_t dax_window;               /* bytes; 0: none */
	const struct dax_dialect *dialect; /* shmem for auto; NULL: off */
	enum gw_dax_view dax_view;
	const char *dax_idle_options[GW_DAX_IDLE_MAX]; /* those that need a window, NULLs after */
	unsigned int request_queues;
	bool keep_listening;
	int log_level;

	/* virtiofsd's. */
	bool syslog;
	bool daemonize;
	const char *socket_group; /* NULL: the socket is its user's alone */
	int thread_pool_size;     /* -1: not given */
	enum gw_seccomp seccomp;
	struct gw_modcaps modcaps;
	int rlimit_nofile; /* 0: leave it; -1: as high as is allowed */
	enum fs_handle_use file_handles;
	int migration_mode, migration_on_error; /* what was asked for; -1: nothing */
	bool migration_verify_handles, migration_confirm_paths;
	struct fs_ids ids;                /* --translate-uid, --translate-gid */
	struct gw_idmap uid_map, gid_map; /* of a user namespace */
	bool owner_xattr;
	char wrong[160];        /* while parsing: what about a value, beside what it may be */
	char list[GW_LIST_MAX]; /* the strings out of -o, one after another */
	size_t list_used;
};

/*
 * Parses the command line. 0, or -EINVAL with one helpful sentence, without a newline, in
 * `why` (size bytes).
 */
int gw_options_parse(struct gw_options *options, int argc, char **argv, char *why, size_t size);

/* True when the window is vhost-user's own, whose size and whose tag we say. */
bool gw_options_shmem(const struct gw_options *options);

/* What --timeout calls each of them. */
extern const char *const gw_timeout_names[FS_TIMEOUTS];

/* The word of the option `name` that stands for `value`: one of those that its row has. */
const char *gw_options_word(const char *name, int value);

/* What --help, --version and --print-capabilities print. */
void gw_options_help(FILE *out);
void gw_options_version(FILE *out);
void gw_options_capabilities(FILE *out);
