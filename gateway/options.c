/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: one table of options. */
#include "gateway/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/exitcode.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

/* Returns 0, or -EINVAL when the value is not one that the option's help describes. */
typedef int (*setter)(struct gw_options *options, const char *value);

/* Linux guests carve the window into ranges of this size; a part of one is of no use. */
#define WINDOW_UNIT (UINT64_C(2) << 20)

/* Numbers of the headers, for the help. */
#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

struct option {
	const char *name;
	const char *argument; /* what --help calls it; NULL: takes none */
	const char *standard; /* the default, as --help says it; NULL: none */
	const char *help;
	setter set;
};

struct word {
	const char *name;
	int value;
};

static int parse_word(const struct word *words, size_t n, const char *value, int *parsed)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[i].name, value) == 0) {
			*parsed = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const char *value, long min, long max, long *parsed)
{
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	*parsed = strtol(value, &end, 10);
	return errno || *end || *parsed < min || *parsed > max ? -EINVAL : 0;
}

/* A number of bytes, with K, M or G (powers of 1024) behind it. */
static int parse_size(const char *value, uint64_t max, uint64_t *parsed)
{
	static const char units[] = "KMG";
	unsigned long long number;
	const char *unit;
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(value, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return -EINVAL;
	*parsed = number;
	if (unit && mul_overflows(number, UINT64_C(1) << (10 * (unit - units + 1)), parsed))
		return -EINVAL;
	return *parsed > max ? -EINVAL : 0;
}

static int set_path(const char **path, const char *value)
{
	*path = value;
	return *value ? 0 : -EINVAL;
}

static int set_shared_dir(struct gw_options *options, const char *value)
{
	return set_path(&options->shared_dir, value);
}

static int set_socket_path(struct gw_options *options, const char *value)
{
	return set_path(&options->socket_path, value);
}

static int set_connect(struct gw_options *options, const char *value)
{
	return set_path(&options->connect, value);
}

static int set_fd(struct gw_options *options, const char *value)
{
	long fd;
	int r = parse_number(value, 0, INT_MAX, &fd);

	if (!r)
		options->fd = (int)fd;
	return r;
}

static int set_tag(struct gw_options *options, const char *value)
{
	size_t len = strlen(value);

	options->tag = value;
	return len >= 1 && len <= GW_TAG_MAX ? 0 : -EINVAL;
}

static int set_cache(struct gw_options *options, const char *value)
{
	static const struct word words[] = {
		{"never", FS_CACHE_NEVER},
		{"metadata", FS_CACHE_METADATA},
		{"auto", FS_CACHE_AUTO},
		{"always", FS_CACHE_ALWAYS},
	};
	int cache, r = parse_word(words, ARRAY_SIZE(words), value, &cache);

	if (!r)
		options->cache = (enum fs_cache)cache;
	return r;
}

static int set_readonly(struct gw_options *options, const char *value)
{
	options->readonly = true;
	return 0;
}

static int set_sandbox(struct gw_options *options, const char *value)
{
	static const struct word words[] = {
		{"none", GW_SANDBOX_NONE},
		{"chroot", GW_SANDBOX_CHROOT},
	};
	int sandbox, r = parse_word(words, ARRAY_SIZE(words), value, &sandbox);

	if (!r)
		options->sandbox = (enum gw_sandbox)sandbox;
	return r;
}

static int set_dax(struct gw_options *options, const char *value)
{
	static const struct word words[] = {
		{"never", FS_DAX_NEVER},
		{"inode", FS_DAX_INODE},
		{"always", FS_DAX_ALWAYS},
	};
	int dax, r = parse_word(words, ARRAY_SIZE(words), value, &dax);

	if (!r)
		options->dax = (enum fs_dax)dax;
	return r;
}

static int set_dax_threshold(struct gw_options *options, const char *value)
{
	return parse_size(value, INT64_MAX, &options->dax_threshold);
}

static int set_dax_window(struct gw_options *options, const char *value)
{
	int r = parse_size(value, GW_WINDOW_MAX, &options->dax_window);

	return r == 0 && options->dax_window % WINDOW_UNIT ? -EINVAL : r;
}

static int set_dax_view(struct gw_options *options, const char *value)
{
	static const struct word words[] = {
		{"auto", GW_VIEW_AUTO},
		{"direct", GW_VIEW_DIRECT},
		{"passthrough", GW_VIEW_PASSTHROUGH},
		{"cached", GW_VIEW_CACHED},
	};
	int view, r = parse_word(words, ARRAY_SIZE(words), value, &view);

	if (!r)
		options->dax_view = (enum gw_dax_view)view;
	return r;
}

static int set_dax_dialect(struct gw_options *options, const char *value)
{
	options->dialect = NULL;
	if (strcmp(value, "off") == 0)
		return 0;
	/* Nothing on the wire tells the others apart, so only what is negotiated is automatic. */
	options->dialect = dax_dialect_find(strcmp(value, "auto") == 0 ? "shmem" : value);
	return options->dialect ? 0 : -EINVAL;
}

static int set_request_queues(struct gw_options *options, const char *value)
{
	long n;
	int r = parse_number(value, 1, GW_REQUEST_QUEUES_MAX, &n);

	if (!r)
		options->request_queues = (unsigned int)n;
	return r;
}

static int set_keep_listening(struct gw_options *options, const char *value)
{
	options->keep_listening = true;
	return 0;
}

static int set_log_level(struct gw_options *options, const char *value)
{
	enum log_level level;
	int r = vu_log_level_parse(value, &level);

	if (!r)
		options->log_level = (int)level;
	return r;
}

static int set_capabilities(struct gw_options *options, const char *value)
{
	options->action = GW_CAPABILITIES;
	return 0;
}

static int set_version(struct gw_options *options, const char *value)
{
	options->action = GW_SHOW_VERSION;
	return 0;
}

static int set_help(struct gw_options *options, const char *value)
{
	options->action = GW_HELP;
	return 0;
}

/* clang-format off */
static const struct option table[] = {
	{"shared-dir", "DIR", NULL, "the directory that guests see", set_shared_dir},
	{"socket-path", "SOCKET", NULL, "listen for the front-end on this UNIX socket",
		set_socket_path},
	{"fd", "N", NULL, "use this inherited socket, listening or connected", set_fd},
	{"connect", "SOCKET", NULL, "connect to a front-end that listens, retrying until it does",
		set_connect},
	{"tag", "TAG", NULL,
		"what guests mount by, " TEXT(GW_TAG_MAX) " bytes at most; "
		"for front-ends without one",
		set_tag},
	{"cache", "never|metadata|auto|always", "auto", "what guests may cache and how long",
		set_cache},
	{"readonly", NULL, NULL, "refuse every change", set_readonly},
	{"sandbox", "none|chroot", "chroot as root", "confinement; no namespaces yet", set_sandbox},
	{"dax-window", "SIZE", "0",
		"offer a DAX window of this size (64M, 1G); 0: none",
		set_dax_window},
	{"dax", "never|inode|always", "inode",
		"files that guests map: none, large ones, all", set_dax},
	{"dax-threshold", "SIZE", "32K", "smallest file that guests map with --dax inode",
		set_dax_threshold},
	{"dax-view", "auto|direct|passthrough|cached", "auto",
		"what the front-end maps for a file", set_dax_view},
	{"dax-dialect", "auto|seed|fs-v2|fs-count|shmem|off", "auto",
		"messages for the window that the front-end knows", set_dax_dialect},
	{"request-queues", "N", "1",
		"request queues to announce, 1 to " TEXT(GW_REQUEST_QUEUES_MAX),
		set_request_queues},
	{"keep-listening", NULL, NULL, "serve the next front-end when one leaves",
		set_keep_listening},
	{"log-level", "error|warn|info|debug|off", "info", "how much goes to standard error",
		set_log_level},
	{"print-capabilities", NULL, NULL, "print what management tools ask for as JSON, and exit",
		set_capabilities},
	{"version", NULL, NULL, "print the version, and exit", set_version},
	{"help", NULL, NULL, "print this, and exit", set_help},
};
/* clang-format on */

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	}
	return NULL;
}

/* Parses argv[*at] and, when the value stands apart, the next one. */
static int parse_one(
	struct gw_options *options, int argc, char **argv, int *at, char *why, size_t size)
{
	const char *argument = argv[*at], *value = NULL;
	const struct option *option;
	const char *equals;

	if (strncmp(argument, "--", 2) != 0 || !argument[2]) {
		snprintf(why, size, "'%s' is not an option; see --help", argument);
		return -EINVAL;
	}
	equals = strchrnul(argument, '=');
	option = find(argument + 2, (size_t)(equals - argument) - 2);
	if (!option) {
		snprintf(why, size, "there is no option '%.*s'; see --help",
			(int)(equals - argument), argument);
		return -EINVAL;
	}

	if (*equals)
		value = equals + 1;
	else if (option->argument && *at + 1 < argc)
		value = argv[++*at];
	if (option->argument && !value) {
		snprintf(why, size, "--%s needs a value: %s", option->name, option->argument);
		return -EINVAL;
	}
	if (!option->argument && value) {
		snprintf(why, size, "--%s takes no value", option->name);
		return -EINVAL;
	}
	if (option->set(options, value)) {
		snprintf(why, size, "'%s' is no value for --%s: it takes %s (%s)", value,
			option->name, option->argument, option->help);
		return -EINVAL;
	}
	return 0;
}

/* --print-capabilities ignores all else, even what is wrong. */
static bool asks_for_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--print-capabilities") == 0)
			return true;
	}
	return false;
}

static int check_window(const struct gw_options *options, char *why, size_t size)
{
	const char *dialect = options->dialect ? dax_dialect_name(options->dialect) : "off";
	bool shmem = strcmp(dialect, "shmem") == 0;

	if (options->dax_window == 0 && options->dialect && !shmem) {
		snprintf(why, size,
			"--dax-dialect %s needs --dax-window: the size of the "
			"front-end's window",
			dialect);
		return -EINVAL;
	}
	if (options->dax_window == 0 || !shmem)
		return 0;
	if (options->dax_window & (options->dax_window - 1) ||
		options->dax_window > GW_SHMEM_WINDOW_MAX) {
		snprintf(why, size,
			"--dax-window must be a power of two from 2M to 512M, or the "
			"front-end cannot have it");
		return -EINVAL;
	}
	if (!options->tag) {
		snprintf(why, size,
			"--dax-window needs --tag: a front-end that takes the window "
			"from us takes the tag from us too");
		return -EINVAL;
	}
	return 0;
}

/* What only shows when all options are known. */
static int check(const struct gw_options *options, char *why, size_t size)
{
	int sockets = !!options->socket_path + !!options->connect + (options->fd >= 0);

	if (options->action != GW_SERVE)
		return 0;
	if (!options->shared_dir) {
		snprintf(why, size, "--shared-dir is missing: say which directory to share");
		return -EINVAL;
	}
	if (sockets != 1) {
		snprintf(why, size, "%s of --socket-path, --fd and --connect is there: say %s",
			sockets ? "more than one" : "none",
			sockets ? "just one" : "where the front-end is");
		return -EINVAL;
	}
	return check_window(options, why, size);
}

int gw_options_parse(struct gw_options *options, int argc, char **argv, char *why, size_t size)
{
	int r = 0;

	*options = (struct gw_options){
		.fd = -1,
		.cache = FS_CACHE_AUTO,
		.request_queues = 1,
		.dax = FS_DAX_INODE,
		.dax_threshold = 32 * 1024,
		.dialect = dax_dialect_find("shmem"),
		.log_level = LOG_LEVEL_INFO,
	};
	if (asks_for_capabilities(argc, argv)) {
		options->action = GW_CAPABILITIES;
		return 0;
	}
	for (int i = 1; i < argc && !r && options->action == GW_SERVE; i++)
		r = parse_one(options, argc, argv, &i, why, size);
	return r ? r : check(options, why, size);
}

static void help_option(FILE *out, const struct option *option)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument ? " " : "",
		option->argument ? option->argument : "");
	/* A long left side stands on a line of its own. */
	fprintf(out, "  %-30s", left);
	if (strlen(left) > 29)
		fprintf(out, "\n%32s", "");
	fprintf(out, " %s", option->help);
	if (option->standard)
		fprintf(out, " (default: %s)", option->standard);
	fputc('\n', out);
}

void gw_options_help(FILE *out)
{
	fputs("Usage: virtiofs-gateway --shared-dir DIR --socket-path SOCKET [OPTIONS]\n"
	      "Shares a directory with virtual machines: a vhost-user back-end for virtio-fs.\n"
	      "A value may follow its option as the next argument or after '='.\n\n",
		out);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		help_option(out, &table[i]);
	fprintf(out,
		"\nExit status: %d ended by SIGTERM or SIGINT, or the front-end left; "
		"%d internal failure;\n"
		"%d usage; %d the shared directory; %d the socket; %d confinement; "
		"%d the front-end broke the protocol.\n",
		GW_EXIT_OK, GW_EXIT_INTERNAL, GW_EXIT_USAGE, GW_EXIT_CONFIG, GW_EXIT_SOCKET,
		GW_EXIT_SANDBOX, GW_EXIT_PROTOCOL);
}

void gw_options_version(FILE *out)
{
	fprintf(out, "virtiofs-gateway %s\n", GW_VERSION);
}

void gw_options_capabilities(FILE *out)
{
	/* As libvirt reads it: "separate-options" says long options rather than one -o list. */
	fprintf(out, "{\n  \"type\": \"fs\",\n  \"features\": [\n"
		     "    \"separate-options\"\n  ]\n}\n");
}
