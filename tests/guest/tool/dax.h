/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: what daxops (in the guest) and daxhost (on the host) agree on. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	DAX_FILES = 8,
	/* Three slots of 2 MiB, the last of them in part. */
	DAX_SIZE_MAX = 5 * 1024 * 1024 + 777,
	/* In the file that both write, the host owns every other run of so many bytes. */
	DAX_STRIPE = 5000,
	DAX_APPEND_MAX = 3 * DAX_STRIPE,
};

#define DAX_MIXED "mixed"
/* The guest's number of the step that it asks for, and the host's of the last that it did: 8 bytes
 * each. DAX_DONE ends the host's part. */
#define DAX_ASKED ".asked"
#define DAX_DID   ".did"
#define DAX_DONE  UINT64_MAX

/* One step of the host: `len` bytes of pattern(seed) at `offset`, of which those before `size` (the
 * file's size when it was asked) only where the host owns them; all are written past it. */
struct dax_step {
	uint64_t seed, offset;
	size_t len;
};

/* The step of this number: the same in the guest and on the host. */
struct dax_step dax_step(uint64_t seed, uint64_t number, uint64_t size);
/* Whether the host owns the byte, and where the run of one owner that it is in ends. */
int dax_host_owns(uint64_t offset);
uint64_t dax_run_end(uint64_t offset);
