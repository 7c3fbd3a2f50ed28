/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in force. An option of virtiofsd's that we take must not promise what we do not do: so
 * what the service runs with is said, not what was asked for.
 */
#include "gateway/inforce.h"

#include <unistd.h>

#include "fuse/owner.h"
#include "gateway/pool.h"
#include "gateway/sandbox.h"
#include "gateway/window.h"
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

static void warn_of_idle_dax(const struct gw_options *options)
{
	if (options->dax_idle_option && !gw_window_wanted(options))
		log_warn("DAX window", "--%s has no effect without a window: %s",
			options->dax_idle_option,
			options->dialect ? "add --dax-window SIZE" : "--dax-dialect is off");
}

static const char *kind_of_ids(const struct gw_options *options)
{
	if (options->owner_xattr)
		return "kept in " FS_OWNER_XATTR;
	return fs_ids_are_empty(&options->ids) ? "the guest's" : "translated";
}

void gw_in_force_log(
	const struct gw_options *options, const struct gw_share *share, const struct fs *fs)
{
	warn_of_absent(options);
	warn_of_idle_dax(options);
	log_info("in force", "sandbox %s%s, seccomp none, ids %s, file handles %s",
		sandbox_name(options),
		gw_userns_wanted(options) ? " in a user namespace" : "", kind_of_ids(options),
		fs_keeps_handles(fs) ? "kept" : "not kept");
	if (share->one_uid)
		log_info("ids", "the host gives us one user: all new files belong to user %u",
			(unsigned int)geteuid());
	if (share->one_gid)
		log_info("ids", "the host gives us one group: all new files belong to group %u",
			(unsigned int)getegid());
}
