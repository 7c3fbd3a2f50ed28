# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154,SC2317
#
# What finds bugs: verified random work, and many kinds of calls at once.

fio_job()
{
	mkdir "$MNT/fio"
	FIO_DIR=$MNT/fio FIO_SIZE=$(short 1000k 65000k) \
		fio --verify_state_save=0 "tests/fio/$1.fio"
	rm -r "$MNT/fio"
}

test_fio()
{
	local job
	mount_start --request-queues 2
	for job in psync mmap libaio files truncate; do
		check "fio: $job, each block verified" fio_job $job
	done
	mount_stop fio
}

# Random reads, writes, mapped ones, truncations and holes of one file after another, and a model of
# what must be in them: what is known as fsx.
model()
{
	mkdir "$MNT/model"
	"$TOOL" daxops "$MNT/model" "$(short 3000 100000)" 1
	rm -r "$MNT/model"
}

test_model()
{
	mount_start
	check "model: random work on files is what a model says" model
	mount_stop model
}

hammer()
{
	mkdir "$MNT/tree"
	"$TOOL" hammer "$MNT/tree" 4 "$(short 4 120)" 1
	"$TOOL" tree-list "$MNT/tree" >"$RUN/list"
	"$TOOL" tree-list "$SHARE/tree" >"$RUN/list.host"
	cmp "$RUN/list" "$RUN/list.host"
	[ -s "$RUN/list" ]
}

test_hammer()
{
	mount_start --request-queues 2
	check "hammer: four processes, each step verified, and the host sees the same" hammer
	mount_stop hammer
}

# Those that need no device, no other mount, no other user's rights and no call that the back-end
# refuses: stress-ng's class "filesystem" but for binderfs, bind-mount, dup, eventfd, fanotify,
# ioprio, procfs and verity; and a few more.
stressors=(access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify fallocate
	fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags
	inotify io iomix lease link locka lockf lockofd mknod open readahead rename seal seek
	symlink sync-file touch utime xattr)

# Stressors that do not know this stress-ng are left out; --verify has each compare what it reads.
stress()
{
	local name options=() seconds
	seconds=$(short 4 60)
	for name in "${stressors[@]}"; do
		! stress-ng --help | grep -q -- "--$name N" || options+=("--$name" 1)
	done
	mkdir "$MNT/stress"
	# Metrics go to the log; a stressor that fails is a status above 0.
	stress-ng --temp-path "$MNT/stress" --verify --timeout "$seconds" --hdd-bytes 16m \
		--fallocate-bytes 4m --seek-size 4m --iomix-bytes 4m --sync-file-bytes 4m \
		--readahead-bytes 4m --metrics-brief "${options[@]}"
	rm -r "$MNT/stress"
}

test_stress()
{
	mount_start --request-queues 2 --xattr
	check "stress-ng: ${#stressors[@]} kinds of file system calls at once" stress
	mount_stop stress-ng
}
