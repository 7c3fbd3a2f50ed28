#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# What becomes of a VM's locks: a pause keeps them, a reset ends them though nobody mounts again,
# one that hangs after a panic has them until it is killed. On the machine's QEMU and on QEMU 11.1,
# which says RESET_DEVICE.
. "$(dirname "$0")/lib.sh"

if backend_peer; then
	skip "lock-reset" "the peer's locks are not on the host"
	finish
fi

# hold NAME: processes of that guest's have a lock of each kind.
hold()
{
	guest "$1" 'for kind in fcntl flock; do
			rm -f /tmp/$kind
			guest-tool lock-hold $kind /mnt/$kind /tmp/$kind >/dev/null 2>&1 &
		done'
	wait_until 10 guest "$1" 'test -e /tmp/fcntl && test -e /tmp/flock'
}

free()
{
	"$TOOL" lock-try "$1" "$SHARE/$1"
}

all_free()
{
	free fcntl && free flock
}

all_held()
{
	! free fcntl && ! free flock
}

test_pause()
{
	check "$2: a VM that is paused keeps its locks" all_held
	qmp "$1" stop >/dev/null || not_ok "$2: stop" "refused"
	sleep 1
	check "$2: a second later, too" all_held
	qmp "$1" cont >/dev/null || not_ok "$2: cont" "refused"
	check "$2: it goes on" guest "$1" 'ls /mnt >/dev/null'
	check "$2: with its locks" all_held
}

# The machine's QEMU may send nothing until the driver begins anew, as it does once the kernel's up.
test_reset()
{
	local begin=$EPOCHREALTIME took
	qmp "$1" set-action '{"reboot":"reset"}' >/dev/null || die "no QMP set-action"
	check "$2: system_reset" qmp "$1" system_reset
	if [[ $2 == "QEMU 11.1" ]]; then
		check "$2: reset, it has no locks" wait_until 2 all_free
		took=$(elapsed_ms "$begin")
		check "$2: within a second ($took ms)" test "$took" -le 1000
	fi
	guest_wait_hello "$1"
	check "$2: when its kernel is up, without a mount, it has no locks" wait_until 1 all_free
	guest_mount "$1"
	hold "$1"
	check "$2: it can mount, and lock, again" all_held
}

test_panic()
{
	local begin took
	guest "$1" '(sleep 0.3; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &'
	wait_until 10 grep -qa 'end Kernel panic' "$RUN/$1/serial.log" ||
		not_ok "$2: panic" "there was none"
	check "$2: a VM that hangs has its locks" all_held
	begin=$EPOCHREALTIME
	guest_kill "$1"
	check "$2: until it is killed" wait_until 10 all_free
	took=$(elapsed_ms "$begin")
	check "$2: and a second longer at most ($took ms)" test "$took" -le 1000
	backend_gone "$1"
}

test_life()
{
	guest_start "$1" --posix-lock --flock
	hold "$1"
	test_pause "$1" "$2"
	test_reset "$1" "$2"
	test_panic "$1" "$2"
}

GUEST_APPEND="panic=0"
test_life a "QEMU"
GUEST_QEMU=$("$HERE/newqemu") || die "no QEMU 11.1"
test_life b "QEMU 11.1"
finish
