/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: from arguments to options, by the table. */
#include "gateway/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "fuse/acl.h"
#include "fuse/xattrmap.h"
#include "gateway/exitcode.h"
#include "gateway/option.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

const struct gw_option *gw_option_find(const char *name, size_t len)
{
	const char *now = gw_compat_name(name, len);

	if (now)
		return gw_option_find(now, strlen(now));
	for (const struct gw_option *option = gw_option_table; option->name; option++) {
		if (strlen(option->name) == len && memcmp(option->name, name, len) == 0)
			return option;
	}
	return NULL;
}

/* A value that may be absent stands only behind '=': the next argument is none of its own. */
bool gw_option_needs_value(const struct gw_option *option)
{
	return option->argument && option->argument[0] != '[';
}

int gw_wrong(struct gw_options *options, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(options->wrong, sizeof(options->wrong), format, args);
	va_end(args);
	return -EINVAL;
}

int gw_option_take(struct gw_options *options, const struct gw_option *option, const char *spelled,
	const char *value, char *why, size_t size)
{
	if (gw_option_needs_value(option) && !value) {
		snprintf(why, size, "%s needs a value: %s", spelled, option->argument);
		return -EINVAL;
	}
	if (!option->argument && value) {
		snprintf(why, size, "%s takes no value", spelled);
		return -EINVAL;
	}
	options->wrong[0] = '\0';
	switch (option->set(option, options, value)) {
	case 0:
		return 0;
	case -EEXIST:
		snprintf(why, size, "%s: '%.80s' overlaps with an earlier range", spelled, value);
		break;
	case -ERANGE:
		snprintf(why, size, "%s takes " GW_WINDOW_RULE, spelled);
		break;
	case -E2BIG:
		snprintf(why, size, "%s is given too often", spelled);
		break;
	default:
		snprintf(why, size, "%s: it takes %s, not '%.80s' (%s)", spelled, option->argument,
			value ? value : "", *options->wrong ? options->wrong : option->help);
		break;
	}
	return -EINVAL;
}

/* What is no option may be meant as the value of one that need not have any. */
static void explain_stray(char **argv, int at, char *why, size_t size)
{
	const char *before = at > 1 && strncmp(argv[at - 1], "--", 2) == 0 ? argv[at - 1] + 2 : "";
	const struct gw_option *option = gw_option_find(before, strlen(before));

	if (option && option->argument && !gw_option_needs_value(option))
		snprintf(why, size, "'%.80s' is not an option; a value of --%s stands behind '='",
			argv[at], option->name);
	else
		snprintf(why, size, "'%.80s' is not an option; see --help", argv[at]);
}

/* Parses argv[*at] and, when the value stands apart, the next one. */
static int parse_one(
	struct gw_options *options, int argc, char **argv, int *at, char *why, size_t size)
{
	const char *argument = argv[*at], *value = NULL;
	const struct gw_option *option;
	const char *equals;
	char spelled[64];
	int r;

	if (strncmp(argument, "--", 2) != 0 || !argument[2]) {
		r = gw_compat_short(options, argc, argv, at, why, size);
		if (r != -ENOENT)
			return r;
		explain_stray(argv, *at, why, size);
		return -EINVAL;
	}
	equals = strchrnul(argument, '=');
	option = gw_option_find(argument + 2, (size_t)(equals - argument) - 2);
	if (!option) {
		snprintf(why, size, "there is no option '%.*s'; see --help",
			(int)MIN(equals - argument, 80), argument);
		return -EINVAL;
	}
	if (*equals)
		value = equals + 1;
	else if (gw_option_needs_value(option) && *at + 1 < argc)
		value = argv[++*at];
	snprintf(spelled, sizeof(spelled), "--%s", option->name);
	return gw_option_take(options, option, spelled, value, why, size);
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

bool gw_options_shmem(const struct gw_options *options)
{
	return options->dialect == dax_dialect_find("shmem");
}

/* The rest of GW_WINDOW_RULE the table sees to. */
static bool window_size_fits(const struct gw_options *options, bool shmem)
{
	uint64_t bytes = options->dax_window;

	return !shmem || ((bytes & (bytes - 1)) == 0 && bytes <= GW_SHMEM_WINDOW_MAX);
}

/* What the view hands out must be right for the share. */
static int check_view(const struct gw_options *options, char *why, size_t size)
{
	if (options->dax_view == GW_VIEW_PASSTHROUGH && options->readonly) {
		snprintf(why, size,
			"--dax-view passthrough does not go with --readonly, since what it maps "
			"can be written to: use --dax-view cached or auto");
		return -EINVAL;
	}
	if (options->dax_view == GW_VIEW_CACHED && !options->readonly) {
		snprintf(why, size,
			"--dax-view cached needs --readonly, since what is written to a copy is "
			"lost: add it, or use --dax-view passthrough or auto");
		return -EINVAL;
	}
	return 0;
}

static int check_window(const struct gw_options *options, char *why, size_t size)
{
	const char *dialect = options->dialect ? dax_dialect_name(options->dialect) : "off";
	bool shmem = gw_options_shmem(options);

	if (options->dax_window == 0 && options->dialect && !shmem) {
		snprintf(why, size,
			"--dax-dialect %s needs --dax-window: the size of the "
			"front-end's window",
			dialect);
		return -EINVAL;
	}
	if (!window_size_fits(options, shmem)) {
		snprintf(why, size, "--dax-window takes " GW_WINDOW_RULE);
		return -EINVAL;
	}
	if (options->dax_window && shmem && !options->tag) {
		snprintf(why, size,
			"--dax-window needs --tag, add --tag TAG: a front-end that takes the "
			"window from us takes the tag from us too");
		return -EINVAL;
	}
	return options->dax_window && options->dialect ? check_view(options, why, size) : 0;
}

/* ACLs mean something to the host's kernel under their own names only. */
static int check_xattr(struct gw_options *options, char *why, size_t size)
{
	struct fs_xattrmap *map = NULL;
	char wrong[256];
	bool keeps;

	options->xattr |= options->xattrmap || options->posix_acl != FS_OFFER_NEVER ||
			  options->security_label != FS_OFFER_NEVER;
	if (!options->xattrmap)
		return 0;
	if (fs_xattrmap_new(options->xattrmap, &map, wrong, sizeof(wrong))) {
		snprintf(why, size, "--xattrmap: %s", wrong);
		return -EINVAL;
	}
	keeps = fs_xattrmap_keeps(map, FS_ACL_ACCESS) && fs_xattrmap_keeps(map, FS_ACL_DEFAULT);
	fs_xattrmap_free(map);
	if (keeps || options->posix_acl == FS_OFFER_NEVER)
		return 0;
	snprintf(why, size,
		"--posix-acl needs an --xattrmap that leaves " FS_ACL_ACCESS " and " FS_ACL_DEFAULT
		" as they are");
	return -EINVAL;
}

/* What only shows when all options are known. */
static int check(struct gw_options *options, char *why, size_t size)
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
	if (options->socket_group && !options->socket_path) {
		snprintf(why, size, "--socket-group needs --socket-path: it is the group of the "
				    "socket that we make");
		return -EINVAL;
	}
	if (check_xattr(options, why, size))
		return -EINVAL;
	return check_window(options, why, size);
}

int gw_options_parse(struct gw_options *options, int argc, char **argv, char *why, size_t size)
{
	int r = 0;

	*options = (struct gw_options){
		.fd = -1,
		.cache = FS_CACHE_AUTO,
		.request_queues = 1,
		.features.submounts = true,
		.features.killpriv_v2 = true,
		.dax = FS_DAX_INODE,
		.dax_threshold = 32 * 1024,
		.dialect = dax_dialect_find("shmem"),
		.log_level = LOG_LEVEL_INFO,
		.thread_pool_size = -1,
		.rlimit_nofile = -1,
		.migration_mode = -1,
		.migration_on_error = -1,
	};
	if (asks_for_capabilities(argc, argv)) {
		options->action = GW_CAPABILITIES;
		return 0;
	}
	for (int i = 1; i < argc && !r && options->action == GW_SERVE; i++)
		r = parse_one(options, argc, argv, &i, why, size);
	if (!r)
		r = check(options, why, size);
	/* Whatever was in the arguments: one line. */
	for (char *c = why; r && *c; c++)
		*c = iscntrl((unsigned char)*c) ? '?' : *c;
	return r;
}

const char *gw_options_word(const char *name, int value)
{
	const struct gw_word *word = gw_option_find(name, strlen(name))->words;

	while (word->name && word->value != value)
		word++;
	return word->name;
}

static void help_option(FILE *out, const struct gw_option *option)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", option->name,
		gw_option_needs_value(option) ? " " : "",
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
	      "A value may follow its option as the next argument or after '='.\n"
	      "virtiofsd's -o, -d, -f, -V and -h are taken, too.\n\n",
		out);
	for (const struct gw_option *option = gw_option_table; option->name; option++)
		help_option(out, option);
	fprintf(out,
		"\nExit status: %d ended by SIGTERM, SIGINT or SIGHUP, or the front-end left; "
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
		     "    \"separate-options\",\n"
		     "    \"posix-acl-negotiation-mode\",\n"
		     "    \"security-label-negotiation-mode\"\n  ]\n}\n");
}
