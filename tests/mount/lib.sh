# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
#
# What the tests of the mount share: a back-end and its mount, checks, scale.
#
# Directories: $SHARE is shared, $MNT is where it is mounted, $RUN is for files beside them.
# TEST_SCALE: length in per cent; below 100 (default 33) tests are short.

SCALE=${TEST_SCALE:-33}
# What the gateway is started by: a command and its arguments.
LIMIT=()
failed=0
backend_pid=
frontend_pid=
second_pids=

# short VALUE FULL: the one that this run takes.
short()
{
	if ((SCALE < 100)); then
		echo "$1"
	else
		echo "$2"
	fi
}

pass()
{
	echo "ok mount: $1"
}

skip()
{
	echo "skip mount: $1"
}

fail()
{
	echo "not ok mount: $1"
	failed=1
}

# check NAME FUNCTION [ARGUMENT...]: in a shell of its own where each command must succeed; what it
# prints explains why not.
check()
{
	local name=$1 start
	start=$(date +%s%N)
	shift
	(
		set -e
		"$@"
	) >"$RUN/said" 2>&1
	# Not in a condition: there `set -e` would not hold.
	if (($? == 0)); then
		pass "$name"
		echo "#   $((($(date +%s%N) - start) / 1000000)) ms"
	else
		fail "$name: see below"
		tail -n 20 "$RUN/said" | cut -c 1-200 | sed 's/^/#   /'
	fi
}

wait_for()
{
	local n
	for ((n = 0; n < 500; n++)); do
		"$@" && return
		sleep 0.02
	done
	return 1
}

# mount_add DIR: mounts what $RUN/sock serves on DIR; its process is $added.
mount_add()
{
	: >"$RUN/mounted"
	"$FRONTEND" mount "$RUN/sock" "$1" >"$RUN/mounted" 2>>"$RUN/frontend.log" &
	added=$!
	wait_for grep -qs mounted "$RUN/mounted"
}

# backend_start [OPTION...]: the gateway; with BACKEND=peer the C virtiofsd, with what is like it,
# or the Rust one that $PEER names.
backend_start()
{
	local cache=auto
	local -a command=("$GATEWAY" --shared-dir "$SHARE" --socket-path "$RUN/sock" "$@")
	if [ "$BACKEND" = peer ]; then
		[[ $* != *"--cache never"* ]] || cache=none
		command=(/usr/lib/qemu/virtiofsd --socket-path="$RUN/sock" -o source="$SHARE"
			-o xattr,posix_lock,cache=$cache)
		[ -z "${PEER:-}" ] || command=("$PEER" --socket-path "$RUN/sock"
			--shared-dir "$SHARE" --sandbox none --posix-acl
			--cache "${cache/none/never}")
	fi
	"${LIMIT[@]}" "${command[@]}" >"$RUN/backend.log" 2>&1 &
	backend_pid=$!
}

# mount_start [OPTION...]: a back-end and its mount on $MNT.
mount_start()
{
	backend_start "$@"
	mount_add "$MNT" || fail "it was not mounted: $(tail -n 3 "$RUN/frontend.log")"
	frontend_pid=$added
}

# mount_stop NAME: unmounts; both programs must end well.
mount_stop()
{
	local status
	kill "$frontend_pid"
	wait "$frontend_pid"
	status=$?
	frontend_pid=
	if [ $status = 0 ] && ! grep -q " $MNT fuse" /proc/self/mounts; then
		pass "$1: it is unmounted, with status 0"
	else
		fail "$1: unmounting: status $status, $(tail -n 3 "$RUN/frontend.log")"
	fi
	wait "$backend_pid"
	status=$?
	backend_pid=
	if [ $status = 0 ] || [ "$BACKEND" = peer ]; then
		pass "$1: the back-end ends, too"
	else
		fail "$1: the back-end ended with status $status: $(tail -n 3 "$RUN/backend.log")"
	fi
}

# second_start [OPTION...]: another gateway on the same directory, mounted on $RUN/second.
second_start()
{
	mkdir -p "$RUN/second"
	"$GATEWAY" --shared-dir "$SHARE" --socket-path "$RUN/sock2" "$@" >"$RUN/backend2.log" 2>&1 &
	second_pids=$!
	"$FRONTEND" mount "$RUN/sock2" "$RUN/second" >"$RUN/mounted2" 2>>"$RUN/frontend.log" &
	second_pids+=" $!"
	wait_for grep -qs mounted "$RUN/mounted2" || fail "the second one was not mounted"
}

second_stop()
{
	umount "$RUN/second"
	# shellcheck disable=SC2086
	wait $second_pids
	second_pids=
}

# After anything: no process, no mount, no file is left.
cleanup()
{
	local pid
	for pid in $frontend_pid $backend_pid $second_pids; do
		kill "$pid" 2>/dev/null
	done
	wait
	grep -q " $RUN/" /proc/self/mounts &&
		awk -v run="$RUN/" 'index($2, run) == 1 { print $2 }' /proc/self/mounts |
		xargs -r umount -l
	rm -rf --one-file-system "$RUN"
}
