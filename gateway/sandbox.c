/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Confinement, in stages.
 *
 *   initial     options parsed; the share, the socket and /proc/self/fd are open
 *   root        chroot into the share: no path leads out of it any more
 *   groups      supplementary groups of whoever started us are dropped
 *   privileges  capabilities down to the table below, as --modcaps changes it, in all sets;
 *               no_new_privs
 *
 * A file system service for several users must act as each of them, so much remains; what goes is
 * everything that is not about files: mounting, tracing, the network, modules, the clock.
 */
#include "gateway/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vhostuser/checked.h"
#include "vhostuser/log.h"

static const unsigned int service_capabilities[] = {
	CAP_CHOWN,           /* SETATTR of owners; new files get the guest caller's */
	CAP_DAC_OVERRIDE,    /* guest root is host root on the share */
	CAP_DAC_READ_SEARCH, /* open_by_handle_at */
	CAP_FOWNER,          /* modes and times of others' files */
	CAP_FSETID,          /* keeping setuid and setgid bits where the guest says so */
	CAP_SETGID,          /* acting as the guest's caller */
	CAP_SETUID,          /* the same */
	CAP_MKNOD,           /* device nodes */
	CAP_SETFCAP,         /* file capabilities, an extended attribute */
};

static const unsigned int supervisor_capabilities[] = {
	CAP_DAC_OVERRIDE, /* the socket's directory may be anybody's */
};

static const unsigned int broker_capabilities[] = {
	CAP_SYS_ADMIN, /* opening backing ids */
};

static int change_root(int root_fd)
{
	int r;

	if (fchdir(root_fd) == 0 && chroot(".") == 0)
		return 0;
	r = -errno;
	log_error("sandbox", "cannot chroot into the shared directory: %s%s", strerrordesc_np(-r),
		r == -EPERM ? "; it takes root (CAP_SYS_CHROOT), or --sandbox none" : "");
	return r;
}

static void drop_groups(void)
{
	/* A user namespace may forbid this; the groups are then none that matter outside. */
	if (geteuid() == 0 && getgroups(0, NULL) > 0 && setgroups(0, NULL) != 0)
		log_warn("sandbox", "supplementary groups are kept: %s", strerrordesc_np(errno));
}

static uint64_t set_of(const unsigned int *capabilities, size_t n)
{
	uint64_t set = 0;

	for (size_t i = 0; i < n; i++)
		set |= UINT64_C(1) << capabilities[i];
	return set;
}

/* Keeps those of the capabilities in the set that the process has, and no other. */
static int keep_capabilities(uint64_t keep)
{
	uint64_t has = 0;
	capng_select_t sets;
	unsigned int i;

	if (capng_get_caps_process() != 0) {
		log_error("sandbox", "cannot read the process's capabilities");
		return -EIO;
	}
	/* The bounding set takes CAP_SETPCAP; no_new_privs makes it moot. */
	sets = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH
								   : CAPNG_SELECT_CAPS;
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		if (keep >> i & 1 && capng_have_capability(CAPNG_PERMITTED, i) == 1)
			has |= UINT64_C(1) << i;
	}
	capng_clear(sets);
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		if (has >> i & 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, i);
	}
	if (capng_apply(sets) != 0) {
		log_error("sandbox", "cannot drop capabilities");
		return -EPERM;
	}
	return 0;
}

static int forbid_new_privileges(void)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	r = -errno;
	log_error("sandbox", "no_new_privs: %s", strerrordesc_np(-r));
	return r;
}

/* What was asked for with --modcaps and is not there is said, for it will be missed. */
static void warn_of_absent(uint64_t wanted)
{
	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
		if (wanted >> i & 1 && capng_have_capability(CAPNG_PERMITTED, i) != 1)
			log_warn("sandbox", "--modcaps: the gateway was started without %s",
				capng_capability_to_name(i));
	}
}

enum gw_sandbox gw_sandbox_choose(const struct gw_options *options)
{
	bool able = geteuid() == 0 || options->uid_map.n || options->gid_map.n;

	if (options->sandbox == GW_SANDBOX_AUTO)
		return able ? GW_SANDBOX_CHROOT : GW_SANDBOX_NONE;
	return options->sandbox == GW_SANDBOX_NAMESPACE ? GW_SANDBOX_CHROOT : options->sandbox;
}

int gw_sandbox_enter(const struct gw_options *options, int root_fd)
{
	const struct gw_modcaps *modcaps = &options->modcaps;
	uint64_t keep = set_of(service_capabilities, ARRAY_SIZE(service_capabilities));
	int r = 0;

	/* libcap-ng finds out about the kernel in /proc, so it has its look before the chroot. */
	capng_get_caps_process();
	warn_of_absent(modcaps->add);
	if (gw_sandbox_choose(options) == GW_SANDBOX_CHROOT)
		r = change_root(root_fd);
	if (!r) {
		drop_groups();
		r = keep_capabilities((keep | modcaps->add) & ~modcaps->drop);
	}
	return r ? r : forbid_new_privileges();
}

int gw_sandbox_enter_supervisor(void)
{
	const unsigned int *keep = supervisor_capabilities;
	int r = keep_capabilities(set_of(keep, ARRAY_SIZE(supervisor_capabilities)));

	return r ? r : forbid_new_privileges();
}

int gw_sandbox_enter_broker(void)
{
	int r = keep_capabilities(set_of(broker_capabilities, ARRAY_SIZE(broker_capabilities)));

	return r ? r : forbid_new_privileges();
}
