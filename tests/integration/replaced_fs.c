/* SPDX-License-Identifier: BSD-3-Clause */
/* The file system that is shared, and the length of the tests of what is replaced. */
#include "tests/integration/replaced.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t twin_seed(void)
{
	const char *text = getenv("REPLACED_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003 +
								(uint64_t)getpid();

	print_message("# REPLACED_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

unsigned int twin_scaled(unsigned int n)
{
	const char *scale = getenv("TEST_SCALE");

	return n * (scale ? (unsigned int)atoi(scale) : 33) / 33;
}

static char scratch[48];

/* In a mount namespace of our own: it goes when we do, whatever happens. */
bool twin_fs_make(void)
{
	const char *type = getenv("REPLACED_FS"), *tmp = getenv("TMPDIR");
	char dir[64], command[256];
	bool own = false;

	if (!type)
		type = "ext4";
	snprintf(scratch, sizeof(scratch), "%.24s/vgw-fs-XXXXXX", tmp ? tmp : "/tmp");
	if (geteuid() != 0 || !mkdtemp(scratch)) {
		scratch[0] = '\0';
		return false;
	}
	snprintf(command, sizeof(command),
		"cd %s && truncate -s 400M image && mkfs.%s -q image && mkdir d && "
		"mount -o loop image d && chmod 755 . d", scratch, type);
	if (unshare(CLONE_NEWNS) == 0 && mount("", "/", "", MS_REC | MS_PRIVATE, NULL) == 0)
		own = system(command) == 0;
	if (!own) {
		print_message("# no %s of our own; on what is there\n", type);
		return false;
	}
	snprintf(dir, sizeof(dir), "%s/d", scratch);
	setenv("TMPDIR", dir, 1);
	return strcmp(type, "ext4") == 0;
}

void twin_fs_remove(void)
{
	char path[64];

	if (!scratch[0])
		return;
	snprintf(path, sizeof(path), "%s/d", scratch);
	umount2(path, MNT_DETACH);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/image", scratch);
	unlink(path);
	rmdir(scratch);
}
