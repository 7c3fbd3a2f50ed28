/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a FUSE mount differs from the directory behind it and no server can help it. Each row says
 * why. Rows are for --fuse only: two plain directories must agree in everything.
 *
 * A kind that is left out changes one side's state if it is run, so it cannot be; the others are
 * differences of a result alone, and are counted. These single cases are passed over where they are
 * run (me->fuse):
 *
 *   - chown(-1, -1), which reaches the server as a SETATTR of nothing, as what comes ahead of WRITE
 *     does: it cannot fail, and with ALLOW_IDMAP nobody knows who called;
 *   - changing what is setgid without group execution and of a supplementary group of the caller's:
 *     he keeps the bit, but requests name only his first group (or_unclear); the same, on tmpfs, of
 *     removing the ACL of anything setgid (or_unclear_acl);
 *   - allocation and copying that begins behind a file's end, into one with setuid bits: the client
 *     takes them off ahead, the host finds nothing to do (for_nothing); so does btrfs with holes;
 *   - truncation to the size that is, with a write-back cache: the time is the client's
 *     (keeps_time);
 *   - setting trusted.* and security.*, which takes the gateway's own privilege (servers_own);
 *   - flags of fifos and sockets: the client does not ask for them (has_none);
 *   - sendfile() of a file onto what it is still to read, or into a fifo: pages that are cached are
 *     passed on as they are and change on the way, what is read directly (cache never) is a copy,
 *     and a hole of tmpfs is the page of zeros (changes_on_the_way).
 */
#include <errno.h>
#include <string.h>

#include "tests/oracle/oracle.h"

static const struct left_out {
	const char *kinds; /* a group or a kind */
	const char *why;
} left_out[] = {
	{"unaligned", "O_DIRECT on FUSE asks for no alignment, on disks it does (EINVAL)"},
	{"collapse", "the FUSE client refuses to collapse and insert ranges (EOPNOTSUPP)"},
};

bool or_known_left_out(const struct or_kind *kind)
{
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (or_in_list(left_out[i].kinds, kind->group) ||
			or_in_list(left_out[i].kinds, kind->name))
			return true;
	return false;
}

static bool seek_cached(
	const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	return (a->err == 0 || a->err == ENXIO) && (b->err == 0 || b->err == ENXIO);
}

static bool both_did(
	const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	return a->err == 0 && b->err == 0;
}

static bool directory_read(
	const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	return a->err == EISDIR && b->err == EINVAL;
}

/* All is the same but the owner, who is nobody on one side. */
static bool no_process(
	const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	const char *p = strstr(a->text, "owner="), *q = strstr(b->text, "owner=");

	return p && q && p - a->text == q - b->text &&
	       strncmp(a->text, b->text, (size_t)(p - a->text)) == 0 &&
	       (strcmp(p, "owner=-1") == 0 || strcmp(q, "owner=-1") == 0);
}

static bool held_twice(const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	return both_did(op, a, b) && !strstr(a->text, "type=2") && !strstr(b->text, "type=2");
}

static struct known {
	const char *kinds;
	bool (*is)(const struct or_op *op, const struct or_result *a, const struct or_result *b);
	const char *why;
	long count;
} known[] = {
	{"lseek.hole,lseek.data", seek_cached,
		"in preallocated blocks the host calls data what its page cache holds, and a guest "
		"that caches pages itself loads others",
		0},
	{"readdir.rest,readdir.next,readdir.small", both_did,
		"whether an open directory shows names that were made since is the file system's "
		"choice; btrfs does not until it is rewound, which the mount's server does",
		0},
	{"statx.dont_sync", both_did,
		"with AT_STATX_DONT_SYNC the client shows what it has cached, also what it knows "
		"to be old, as a mode after an ACL was set",
		0},
	{"read,readv", directory_read,
		"how far a directory's position goes is the file system's own affair", 0},
	{"getlk.read,getlk.write,ofd_getlk.write", no_process,
		"an open file's lock belongs to no process (l_pid is -1), but FUSE says neither of "
		"locks nor of questions after them which kind they are",
		0},
	{"getlk.read,getlk.write,ofd_getlk.write", held_twice,
		"of several locks that are in the way the kernel names any one", 0},
	{NULL, NULL, NULL, 0},
};

bool or_known(const struct or_op *op, const struct or_result *a, const struct or_result *b)
{
	const struct or_kind *kind = &or_kinds[op->kind];

	for (struct known *k = known; k->kinds; k++) {
		if (!or_in_list(k->kinds, kind->group) && !or_in_list(k->kinds, kind->name))
			continue;
		if (k->is(op, a, b)) {
			k->count++;
			return true;
		}
	}
	return false;
}

void or_known_report(FILE *to)
{
	for (const struct known *k = known; k->kinds; k++)
		if (k->count)
			fprintf(to, "known difference, %ld times: %s\n", k->count, k->why);
}
