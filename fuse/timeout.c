/* SPDX-License-Identifier: BSD-3-Clause */
/* How long guests may believe answers. */
#include "fuse/timeout.h"

/* In seconds; as Rust virtiofsd has it. */
static uint64_t seconds_of(enum fs_cache cache)
{
	switch (cache) {
	case FS_CACHE_AUTO:
		return 1;
	case FS_CACHE_METADATA:
	case FS_CACHE_ALWAYS:
		return 86400;
	case FS_CACHE_NEVER:
		break;
	}
	return 0;
}

static struct fs_timeout choose(
	const struct fs_config *config, enum fs_timeout_kind kind, bool directory)
{
	const struct fs_timeout *given = config->features.timeouts;

	if (directory && given[FS_TIMEOUT_DIR].set)
		return given[FS_TIMEOUT_DIR];
	if (given[kind].set)
		return given[kind];
	return (struct fs_timeout){.set = true, .sec = seconds_of(config->cache)};
}

struct fs_timeout fs_timeout_attr(const struct fs_config *config, bool directory)
{
	return choose(config, FS_TIMEOUT_ATTR, directory);
}

struct fs_timeout fs_timeout_entry(const struct fs_config *config, bool directory)
{
	return choose(config, FS_TIMEOUT_ENTRY, directory);
}

struct fs_timeout fs_timeout_negative(const struct fs_config *config)
{
	return config->features.timeouts[FS_TIMEOUT_NEGATIVE];
}
