/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: the guest tests' helper, static, runs in the guest and on the host. */
#include "tool.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int arguments; /* the least */
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{"tree-make", 3, cmd_tree_make, "DIR COUNT SEED: a tree of COUNT odd files"},
	{"tree-list", 1, cmd_tree_list, "DIR: all that stat, readlink, read and SEEK_DATA tell"},
	{"tree-copy", 2, cmd_tree_copy, "FROM TO: with owners, modes, times, links and holes"},
	{"fill", 3, cmd_fill, "FILE|- SEED SIZE: write the seed's stream"},
	{"verify", 3, cmd_verify, "FILE SEED SIZE: compare with the seed's stream"},
	{"segments", 1, cmd_segments, "FILE: the runs of data, one START END a line"},
	{"punch", 3, cmd_punch, "FILE OFFSET LENGTH: punch a hole"},
	{"mmap-write", 3, cmd_mmap_write, "FILE SEED SIZE: write by a shared mapping, msync"},
	{"mmap-check", 3, cmd_mmap_check, "FILE SEED SIZE: compare through a shared mapping"},
	{"rename2", 3, cmd_rename2, "noreplace|exchange|whiteout FROM TO"},
	{"rename-over-open", 2, cmd_rename_over_open, "FROM TO: while TO is open"},
	{"unlink-open", 1, cmd_unlink_open, "FILE: unlink it while open, read and write on"},
	{"direct", 3, cmd_direct, "FILE SEED SIZE: write and read back with O_DIRECT"},
	{"reread", 2, cmd_reread, "FILE TIMES: open once, read the first page so often"},
	{"as", 4, cmd_as, "UID GID UMASK COMMAND...: run it with these"},
	{"tmpfile", 2, cmd_tmpfile, "DIR NAME: make a file without a name, then link it"},
	{"btime", 1, cmd_btime, "FILE: the birth time"},
	{"flags", 1, cmd_flags, "FILE [+d|-d]: the flags of chattr"},
	{"append", 3, cmd_append, "FILE TEXT COUNT: so many lines, each by one write"},
	{"supplement", 4, cmd_supplement, "UID GID GROUP FILE: make it, setgid, as these"},
	{"idmap", 4, cmd_idmap, "DIR TARGET ON AS: mount DIR where the id ON is AS"},
	{"hammer", 4, cmd_hammer, "DIR WORKERS SECONDS SEED: random work, each step verified"},
	{"entries", 3, cmd_entries, "DIR PREFIX COUNT: create COUNT empty files"},
	{"churn", 3, cmd_churn, "DIR PREFIX SECONDS: entries come and go"},
	{"list-check", 4, cmd_list_check,
		"DIR PREFIX COUNT SECONDS: list; each PREFIX entry must come exactly once"},
	{"daxops", 3, cmd_daxops, "DIR COUNT SEED [host]: random work on files, and a model"},
	{"daxhost", 2, cmd_daxhost, "DIR SEED: the host's part of daxops, until that is done"},
	{"daxsum", 1, cmd_daxsum, "DIR: size and hash of each of daxops' files"},
	{"daxbuffer", 3, cmd_daxbuffer, "FILE PLAIN SEED: O_DIRECT of PLAIN, FILE mapped"},
	{"daxtail", 3, cmd_daxtail, "FILE 0|1 ROUNDS: two take turns in a mapped tail page"},
	{"lock-try", 2, cmd_lock_try, "fcntl|flock FILE: 0 if it can be locked, 3 if not"},
	{"lock-hold", 3, cmd_lock_hold, "fcntl|flock FILE SIGN: wait, lock, create SIGN, stay"},
	{"lock-owner", 1, cmd_lock_owner, "FILE: who has it, by F_GETLK; 3 if somebody has"},
	{"lock-deadlock", 1, cmd_lock_deadlock, "FILE: one of two must get EDEADLK"},
	{"lock-count", 4, cmd_lock_count,
		"fcntl|flock FILE WORKERS ROUNDS: add one to it under the lock"},
	{"lock-sum", 1, cmd_lock_sum, "FILE: what lock-count counted"},
};

int main(int argc, char **argv)
{
	const size_t count = sizeof(commands) / sizeof(commands[0]);

	for (size_t i = 0; argc > 1 && i < count; i++)
		if (!strcmp(commands[i].name, argv[1]) && argc - 2 >= commands[i].arguments)
			return commands[i].run(argc - 2, argv + 2);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "usage: guest-tool %s %s\n", commands[i].name, commands[i].usage);
	return 2;
}
