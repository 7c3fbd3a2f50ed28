/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in force. An option of virtiofsd's that we take must not promise what we do not do: so
 * what the service runs with is said, not what was asked for.
 */
#include "gateway/inforce.h"

#include <cap-ng.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fuse/owner.h"
#include "gateway/pool.h"
#include "gateway/sandbox.h"
#include "gateway/window.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

static const char *sandbox_name(const struct gw_options *options)
{
	return gw_sandbox_choose(options) == GW_SANDBOX_CHROOT ? "chroot" : "none";
}

static void warn_of_absent(const struct gw_options *options)
{
	if (options->sandbox == GW_SANDBOX_NAMESPACE)
		log_warn("sandbox", "--sandbox namespace: no mount, pid and network namespaces "
				    "yet, but a chroot");
	if (options->seccomp != GW_SECCOMP_NONE)
		log_warn("sandbox", "--seccomp: there is no system call filter yet");
	if (options->migration_mode >= 0 || options->migration_on_error >= 0 ||
		options->migration_verify_handles || options->migration_confirm_paths)
		log_warn("migration", "--migration-*: the device cannot be migrated yet");
	if (options->thread_pool_size >= 0)
		log_info("threads", "--thread-pool-size %d: threads come and go as they are "
				    "needed, %d at most",
			options->thread_pool_size, GW_POOL_THREADS_MAX);
}

static const char *kind_of_ids(const struct gw_options *options)
{
	if (options->owner_xattr)
		return "kept in " FS_OWNER_XATTR;
	return fs_ids_are_empty(&options->ids) ? "the guest's" : "translated";
}

/* A line that grows. */
struct line {
	char text[320];
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) say(
	struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, room, format, args);
	va_end(args);
	line->len += MIN((size_t)MAX(n, 0), room - 1);
}

static void say_idle_dax(const struct gw_options *options)
{
	const char *const *names = options->dax_idle_options;
	struct line line = {0};
	size_t n = 0;

	if (options->dax_window > 0 && !options->dialect)
		log_info("DAX window", "not used: --dax-dialect off");
	else if (options->dax_window > 0 && options->dax == FS_DAX_NEVER)
		log_info("DAX window", "not used: --dax never");
	if (gw_window_wanted(options))
		return;
	for (; n < GW_DAX_IDLE_MAX && names[n]; n++) {
		bool last = n + 1 == GW_DAX_IDLE_MAX || !names[n + 1];

		say(&line, "%s--%s", n == 0 ? "" : last ? " and " : ", ", names[n]);
	}
	if (n > 0)
		log_warn("DAX window", "%s %s no effect without a window: %s", line.text,
			n == 1 ? "has" : "have",
			options->dialect ? "add --dax-window SIZE" : "--dax-dialect is off");
}

/* Those that the process has; the others were warned of. */
static void say_capabilities(struct line *line, const struct gw_modcaps *modcaps)
{
	const char *before = ", capabilities ";

	capng_get_caps_process();
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t bit = UINT64_C(1) << i;
		bool has = (modcaps->add | modcaps->drop) & bit &&
			   capng_have_capability(CAPNG_EFFECTIVE, i) == 1;

		if (!(modcaps->drop & bit) && !(modcaps->add & bit && has))
			continue;
		say(line, "%s%c%s", before, has ? '+' : '-', capng_capability_to_name(i));
		before = " ";
	}
}

static void say_timeouts(struct line *line, const struct fs_timeout *timeouts)
{
	for (size_t i = 0; i < FS_TIMEOUTS; i++) {
		unsigned int digits = timeouts[i].nsec, places = 9;

		if (!timeouts[i].set)
			continue;
		say(line, " %s=%ju", gw_timeout_names[i], (uintmax_t)timeouts[i].sec);
		for (; digits && digits % 10 == 0; places--)
			digits /= 10;
		if (digits)
			say(line, ".%0*u", (int)places, digits);
	}
}

static void say_xattr(struct line *line, const struct gw_options *options)
{
	static const char *const offers[] = {
		[FS_OFFER_NEVER] = "no",
		[FS_OFFER_AUTO] = "where guests know them",
		[FS_OFFER_ALWAYS] = "for all guests",
	};

	if (!options->xattr) {
		say(line, ", no xattr");
		return;
	}
	say(line, ", xattr%s", options->xattrmap ? " mapped" : "");
	if (options->posix_acl != FS_OFFER_NEVER)
		say(line, ", ACLs %s", offers[options->posix_acl]);
	if (options->security_label != FS_OFFER_NEVER)
		say(line, ", labels %s", offers[options->security_label]);
}

static const char *kind_of_locks(const struct gw_options *options)
{
	if (options->posix_lock)
		return options->flock ? "fcntl and flock on the host" : "fcntl on the host";
	return options->flock ? "flock on the host" : "the guest's own";
}

/* What guests get. */
static void log_service(const struct gw_options *options)
{
	struct rlimit limit = {0};
	struct line line = {0};

	say(&line, "cache %s", gw_options_word("cache", options->cache));
	say_timeouts(&line, options->features.timeouts);
	if (options->readonly)
		say(&line, ", read-only");
	/* The other two modes ignore it. */
	if (options->features.writeback &&
		(options->cache == FS_CACHE_AUTO || options->cache == FS_CACHE_ALWAYS))
		say(&line, ", writeback");
	say_xattr(&line, options);
	say(&line, ", locks %s, %u request queue%s", kind_of_locks(options),
		options->request_queues, options->request_queues == 1 ? "" : "s");
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		say(&line, ", %ju open files", (uintmax_t)limit.rlim_cur);
	log_info("in force", "%s", line.text);
}

void gw_in_force_log(
	const struct gw_options *options, const struct gw_share *share, const struct fs *fs)
{
	struct line line = {0};

	warn_of_absent(options);
	say_idle_dax(options);
	say(&line, "sandbox %s%s, seccomp none, ids %s, file handles %s", sandbox_name(options),
		gw_userns_wanted(options) ? " in a user namespace" : "", kind_of_ids(options),
		fs_keeps_handles(fs) ? "kept" : "not kept");
	say_capabilities(&line, &options->modcaps);
	log_info("in force", "%s", line.text);
	log_service(options);
	if (share->one_uid)
		log_info("ids", "the host gives us one user: all new files belong to user %u",
			(unsigned int)geteuid());
	if (share->one_gid)
		log_info("ids", "the host gives us one group: all new files belong to group %u",
			(unsigned int)getegid());
}
