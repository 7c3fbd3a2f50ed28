/* SPDX-License-Identifier: BSD-3-Clause */
/* How long guests may believe answers: the cache mode's times, and what --timeout says instead. */
#pragma once

#include <stdbool.h>

#include "fuse/fs.h"

/* Of attributes and of names. `directory`: what they are of. Any thread. */
struct fs_timeout fs_timeout_attr(const struct fs_config *config, bool directory);
struct fs_timeout fs_timeout_entry(const struct fs_config *config, bool directory);

/* That a name does not exist; not set, or zero: the guest is to ask again. */
struct fs_timeout fs_timeout_negative(const struct fs_config *config);
