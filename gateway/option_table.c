/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of options. README's is compared with it by a test. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "gateway/option.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* Numbers of the headers, for the help. */
#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

static const struct gw_word cache_words[] = {
	{"never", FS_CACHE_NEVER},
	{"metadata", FS_CACHE_METADATA},
	{"auto", FS_CACHE_AUTO},
	{"always", FS_CACHE_ALWAYS},
	{NULL},
};

static const struct gw_word sandbox_words[] = {
	{"none", GW_SANDBOX_NONE},
	{"chroot", GW_SANDBOX_CHROOT},
	{"namespace", GW_SANDBOX_NAMESPACE},
	{NULL},
};

static const struct gw_word seccomp_words[] = {
	{"none", GW_SECCOMP_NONE},
	{"kill", GW_SECCOMP_KILL},
	{"log", GW_SECCOMP_LOG},
	{"trap", GW_SECCOMP_TRAP},
	{NULL},
};

static const struct gw_word handles_words[] = {
	{"never", FS_HANDLES_NEVER},
	{"prefer", FS_HANDLES_PREFER},
	{"mandatory", FS_HANDLES_MANDATORY},
	{"fallback", FS_HANDLES_PREFER}, /* as it was called once */
	{NULL},
};

static const struct gw_word migration_mode_words[] = {
	{"find-paths", 0},
	{"file-handles", 1},
	{NULL},
};

static const struct gw_word migration_error_words[] = {
	{"abort", 0},
	{"guest-error", 1},
	{NULL},
};

static const struct gw_word dax_words[] = {
	{"never", FS_DAX_NEVER},
	{"inode", FS_DAX_INODE},
	{"always", FS_DAX_ALWAYS},
	{NULL},
};

static const struct gw_word view_words[] = {
	{"auto", GW_VIEW_AUTO},
	{"direct", GW_VIEW_DIRECT},
	{"passthrough", GW_VIEW_PASSTHROUGH},
	{"cached", GW_VIEW_CACHED},
	{NULL},
};

static const struct gw_word offer_words[] = {
	{"never", FS_OFFER_NEVER},
	{"auto", FS_OFFER_AUTO},
	{"always", FS_OFFER_ALWAYS},
	{NULL},
};

/* The option alone insists. */
static int set_offer(const struct gw_option *option, struct gw_options *options, const char *value)
{
	return gw_set_word(option, options, value ? value : "always");
}

static int set_tag(const struct gw_option *option, struct gw_options *options, const char *value)
{
	return strlen(value) <= GW_TAG_MAX ? gw_set_string(option, options, value) : -EINVAL;
}

/* What has no effect without a window, which is said (inforce.c), but for what asks for no more. */
static void note_idle(const struct gw_option *option, struct gw_options *options)
{
	for (size_t i = 0; i < GW_DAX_IDLE_MAX; i++) {
		const char **slot = &options->dax_idle_options[i];

		if (*slot && *slot != option->name)
			continue;
		*slot = option->name;
		return;
	}
}

static int set_dax_word(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	if (strcmp(value, "never") != 0 && strcmp(value, "auto") != 0)
		note_idle(option, options);
	return gw_set_word(option, options, value);
}

static int set_threshold(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	note_idle(option, options);
	return gw_set_size(option, options, value);
}

/* Its rule is too long for the help. */
static int set_window(const struct gw_option *option, struct gw_options *options, const char *value)
{
	return gw_set_size(option, options, value) ? -ERANGE : 0;
}

static int set_dialect(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "off") != 0)
		note_idle(option, options);
	options->dialect = NULL;
	if (strcmp(value, "off") == 0)
		return 0;
	/* Nothing on the wire tells the others apart, so only what is negotiated is automatic. */
	options->dialect = dax_dialect_find(strcmp(value, "auto") == 0 ? "shmem" : value);
	return options->dialect ? 0 : -EINVAL;
}

static int set_log_level(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	enum log_level level;
	char word[8];
	int r;

	/* Rust virtiofsd has one more, and takes capitals. */
	if ((size_t)snprintf(word, sizeof(word), "%s", value) >= sizeof(word))
		return -EINVAL;
	for (char *c = word; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	r = vu_log_level_parse(strcmp(word, "trace") == 0 ? "debug" : word, &level);

	if (!r)
		options->log_level = (int)level;
	return r;
}

static int set_modcaps(
	const struct gw_option *option, struct gw_options *options, const char *value)
{
	const char *wrong = gw_modcaps_parse(&options->modcaps, value);

	if (!wrong)
		return 0;
	return gw_wrong(options, *wrong == '+' || *wrong == '-'
			? "there is no capability '%.*s'"
			: "'%.*s' begins with neither + nor -",
		(int)MIN(strcspn(wrong, ":"), 40u), wrong);
}

/* What to do instead of serving: the row's min says it. */
static int set_action(const struct gw_option *option, struct gw_options *options, const char *value)
{
	options->action = (enum gw_action)option->min;
	return 0;
}

#define CHOOSE(field, value)    gw_set_value, offsetof(struct gw_options, field), NULL, value
#define NO_FLAG(field)          gw_clear_flag, offsetof(struct gw_options, field)
#define FLAG(field)             gw_set_flag, offsetof(struct gw_options, field)
#define STRING(field)           gw_set_string, offsetof(struct gw_options, field)
#define WORD(field, words)      gw_set_word, offsetof(struct gw_options, field), words
#define DAX_WORD(field, words)  set_dax_word, offsetof(struct gw_options, field), words
#define OFFER(field)            set_offer, offsetof(struct gw_options, field), offer_words
#define NUMBER(field, min, max) gw_set_number, offsetof(struct gw_options, field), NULL, min, max
#define ACTION(action)          set_action, 0, NULL, action

/* clang-format off */
const struct gw_option gw_option_table[] = {
	{"shared-dir", "DIR", NULL, "the directory that guests see", STRING(shared_dir)},
	{"socket-path", "SOCKET", NULL, "listen for the front-end on this UNIX socket",
		STRING(socket_path)},
	{"fd", "N", NULL, "use this inherited socket, listening or connected",
		NUMBER(fd, 0, INT_MAX)},
	{"connect", "SOCKET", NULL, "connect to a front-end that listens, retrying until it does",
		STRING(connect)},
	{"tag", "TAG", NULL,
		"what guests mount by, " TEXT(GW_TAG_MAX) " bytes at most; "
		"for front-ends without one",
		set_tag, offsetof(struct gw_options, tag)},
	{"cache", "never|metadata|auto|always", "auto", "what guests may cache and how long",
		WORD(cache, cache_words)},
	{"timeout", "KIND=SECONDS,...", NULL,
		"how long guests believe: attr, entry, negative, dir",
		gw_set_timeouts},
	{"readonly", NULL, NULL, "refuse every change", FLAG(readonly)},
	{"readdirplus", NULL, NULL, "give attributes with lists of names; unless --cache never",
		CHOOSE(features.readdirplus, FS_READDIRPLUS_ON)},
	{"no-readdirplus", NULL, NULL, "never do that",
		CHOOSE(features.readdirplus, FS_READDIRPLUS_OFF)},
	{"writeback", NULL, NULL, "guests keep back what is written; --cache auto and always",
		FLAG(features.writeback)},
	{"allow-mmap", NULL, NULL, "shared mappings also with --cache never and metadata",
		FLAG(features.direct_mmap)},
	{"allow-direct-io", NULL, NULL, "open files with O_DIRECT on the host if guests do",
		FLAG(features.direct_io)},
	{"preserve-noatime", NULL, NULL, "open files with O_NOATIME on the host if guests do",
		FLAG(features.noatime)},
	{"announce-submounts", NULL, NULL,
		"other mounts below the share are mounts to guests; the default",
		FLAG(features.submounts)},
	{"no-announce-submounts", NULL, NULL, "guests see one file system",
		NO_FLAG(features.submounts)},
	{"killpriv-v2", NULL, NULL, "clear setuid and setgid bits here; the default",
		FLAG(features.killpriv_v2)},
	{"no-killpriv-v2", NULL, NULL, "leave that to the guest",
		NO_FLAG(features.killpriv_v2)},
	{"xattr", NULL, NULL, "serve extended attributes", FLAG(xattr)},
	{"xattrmap", "RULES", NULL, "names that they have on the host; implies --xattr",
		STRING(xattrmap)},
	{"posix-acl", "[=never|auto|always]", "never",
		"ACLs: offer, or insist on them; implies --xattr",
		OFFER(posix_acl)},
	{"security-label", "[=never|auto|always]", "never",
		"labels of new files: the same",
		OFFER(security_label)},
	{"posix-lock", NULL, NULL, "guests' fcntl() locks are the host's", FLAG(posix_lock)},
	{"flock", NULL, NULL, "guests' flock() locks are the host's", FLAG(flock)},
	{"sandbox", "none|chroot|namespace", "chroot as root",
		"confinement; namespace is chroot for now", WORD(sandbox, sandbox_words)},
	{"seccomp", "none|kill|log|trap", "none", "accepted, not in force yet",
		WORD(seccomp, seccomp_words)},
	{"modcaps", "LIST", NULL, "capabilities to keep or drop besides: +name:-name",
		set_modcaps, offsetof(struct gw_options, modcaps)},
	{"inode-file-handles", "never|prefer|mandatory", "prefer",
		"keep file handles rather than fds", WORD(file_handles, handles_words)},
	{"rlimit-nofile", "N", "all allowed", "most open files; 0: leave the limit as it is",
		NUMBER(rlimit_nofile, 0, INT_MAX)},
	{"socket-group", "GROUP", NULL, "give the socket to this group, by name or number",
		STRING(socket_group)},
	{"thread-pool-size", "N", NULL, "accepted; threads come and go as they are needed",
		NUMBER(thread_pool_size, 0, INT_MAX)},
	{"syslog", NULL, NULL, "log to the system's log", FLAG(syslog)},
	{"daemonize", NULL, NULL, "go to the background when ready", FLAG(daemonize)},
	{"translate-uid", "KIND:FROM:TO:COUNT", NULL,
		"guest, host, squash-guest, squash-host, forbid-guest (no TO), map",
		gw_set_translation, offsetof(struct gw_options, ids.uid)},
	{"translate-gid", "KIND:FROM:TO:COUNT", NULL, "the same for groups",
		gw_set_translation, offsetof(struct gw_options, ids.gid)},
	{"owner-xattr", NULL, NULL, "keep owners and modes that guests set in an attribute",
		FLAG(owner_xattr)},
	{"uid-map", ":INSIDE:OUTSIDE:COUNT:", NULL,
		"users of the host that a user namespace has",
		gw_set_namespace_map, offsetof(struct gw_options, uid_map)},
	{"gid-map", ":INSIDE:OUTSIDE:COUNT:", NULL, "the same for groups",
		gw_set_namespace_map, offsetof(struct gw_options, gid_map)},
	{"migration-mode", "find-paths|file-handles", NULL, "accepted, not in force yet",
		WORD(migration_mode, migration_mode_words)},
	{"migration-on-error", "abort|guest-error", NULL, "accepted, not in force yet",
		WORD(migration_on_error, migration_error_words)},
	{"migration-verify-handles", NULL, NULL, "accepted, not in force yet",
		FLAG(migration_verify_handles)},
	{"migration-confirm-paths", NULL, NULL, "accepted, not in force yet",
		FLAG(migration_confirm_paths)},
	{"dax-window", "SIZE", "0",
		"offer a DAX window of so many bytes (128M); 0: none", set_window,
		offsetof(struct gw_options, dax_window), NULL, GW_WINDOW_UNIT, GW_WINDOW_MAX},
	{"dax", "never|inode|always", "inode",
		"files that guests map: none, large ones, all", DAX_WORD(dax, dax_words)},
	{"dax-threshold", "SIZE", "32K", "smallest file that guests map with --dax inode",
		set_threshold, offsetof(struct gw_options, dax_threshold), NULL, 0, INT64_MAX},
	{"dax-view", "auto|direct|passthrough|cached", "auto",
		"what the front-end maps for a file", DAX_WORD(dax_view, view_words)},
	{"dax-dialect", "auto|seed|fs-v2|fs-count|shmem|off", "auto",
		"messages for the window that the front-end knows", set_dialect},
	{"request-queues", "N", "1",
		"request queues to announce, 1 to " TEXT(GW_REQUEST_QUEUES_MAX),
		NUMBER(request_queues, 1, GW_REQUEST_QUEUES_MAX)},
	{"keep-listening", NULL, NULL, "serve the next front-end when one leaves",
		FLAG(keep_listening)},
	{"log-level", "error|warn|info|debug|off", "info", "how much goes to standard error",
		set_log_level},
	{"print-capabilities", NULL, NULL, "print what management tools ask for as JSON, and exit",
		ACTION(GW_CAPABILITIES)},
	{"version", NULL, NULL, "print the version, and exit", ACTION(GW_SHOW_VERSION)},
	{"help", NULL, NULL, "print this, and exit", ACTION(GW_HELP)},
	{NULL},
};
/* clang-format on */
