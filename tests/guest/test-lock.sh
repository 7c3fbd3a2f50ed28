#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Locks between two VMs, through a back-end each, and the host: both kinds exclude, waiters get
# their turn, and a lock ends with its process, which may have been killed while it waited, and with
# its VM.
. "$(dirname "$0")/lib.sh"

if backend_peer; then
	skip "lock" "the peer cannot wait for a lock"
	finish
fi
workers=3
rounds=$((TEST_SCALE * 2))

# hold NAME KIND FILE: a process of that guest's waits for the lock, has it and stays.
hold()
{
	guest "$1" "rm -f /tmp/got; guest-tool lock-hold $2 $3 /tmp/got >/dev/null 2>&1 &
		echo \$! >/tmp/holder"
}

has_it()
{
	guest "$1" 'test -e /tmp/got'
}

try_host()
{
	"$TOOL" lock-try "$1" "$SHARE/$2"
}

gone()
{
	guest "$1" '! kill -0 $(cat /tmp/holder) 2>/dev/null'
}

kill_holder()
{
	guest "$1" 'kill -KILL $(cat /tmp/holder)'
}

count()
{
	guest "$1" "guest-tool lock-count $2 /mnt/count-$2 $workers $rounds" 300
}

test_exclusion()
{
	local kind=$1 begin took
	hold a "$kind" "/mnt/$kind"
	check "lock: $kind: one VM has the lock" wait_until 5 has_it a
	check "lock: $kind: not the other one" guest b \
		"status=0; guest-tool lock-try $kind /mnt/$kind || status=\$?; test \$status -eq 3"
	check "lock: $kind: nor the host" not_now "$kind"
	hold b "$kind" "/mnt/$kind"
	sleep 1
	check "lock: $kind: the other one waits" fails has_it b
	check "lock: $kind: and works meanwhile" guest b \
		'echo x >/mnt/meanwhile; test "$(cat /mnt/meanwhile)" = x; ls /mnt >/dev/null'
	begin=$EPOCHREALTIME
	kill_holder a
	wait_until 10 has_it b
	took=$(elapsed_ms "$begin")
	# The guests themselves take most of it: they run the kill and the look.
	check "lock: $kind: it gets the dead process's lock at once ($took ms)" \
		test "$took" -le 3000
	kill_holder b
	check "lock: $kind: and so does the host" wait_until 1 try_host "$kind" "$kind"
}

not_now()
{
	local status=0
	try_host "$1" "$1" || status=$?
	((status == 3))
}

fails()
{
	! "$@"
}

# Linux tells no virtio-fs device of the signal: the process dies when it has the lock, which must
# be free then.
test_killed_waiter()
{
	local kind=$1
	hold a "$kind" "/mnt/$kind"
	wait_until 5 has_it a
	hold b "$kind" "/mnt/$kind"
	sleep 0.5
	kill_holder b
	sleep 0.5
	echo "# $kind: state of the killed waiter: $(guest b \
		'awk "/^State/ { print \$2 }" /proc/$(cat /tmp/holder)/status')"
	check "lock: $kind: a guest with a killed waiter works" guest b 'ls /mnt >/dev/null'
	kill_holder a
	check "lock: $kind: the killed waiter goes" wait_until 5 gone b
	check "lock: $kind: and leaves no lock" wait_until 1 try_host "$kind" "$kind"
}

test_counting()
{
	local kind=$1 first want begin=$EPOCHREALTIME
	count a "$kind" >"$RUN/count-a" 2>&1 &
	first=$!
	check "lock: $kind: the second VM counts" count b "$kind"
	wait "$first"
	check "lock: $kind: so does the first" test $? -eq 0
	want=$((2 * workers * rounds))
	check "lock: $kind: they counted to $want ($(elapsed_ms "$begin") ms)" \
		test "$("$TOOL" lock-sum "$SHARE/count-$kind")" = "$want"
}

# A waiter stays in the queue while its VM is stopped.
test_stopped_guest()
{
	local begin took
	hold a fcntl /mnt/fcntl
	wait_until 5 has_it a
	hold b fcntl /mnt/fcntl
	sleep 0.5
	begin=$EPOCHREALTIME
	check "lock: a VM whose process waits stops" qmp b stop
	took=$(elapsed_ms "$begin")
	check "lock: and does not wait for that ($took ms)" test "$took" -le 450
	kill_holder a
	check "lock: it gets the lock while it is stopped" not_soon fcntl
	check "lock: the VM goes on" qmp b cont
	check "lock: its process has the lock" wait_until 5 has_it b
	kill_holder b
	check "lock: and releases it" wait_until 5 try_host fcntl fcntl
}

# Somebody else has it, and goes on having it.
not_soon()
{
	sleep 0.5
	not_now "$1"
}

test_dead_guest()
{
	local begin took kind
	hold a fcntl /mnt/fcntl
	wait_until 5 has_it a
	guest a 'guest-tool lock-hold flock /mnt/flock /tmp/flock >/dev/null 2>&1 &'
	wait_until 5 guest a 'test -e /tmp/flock'
	check "lock: a VM has both kinds" fails try_host flock flock
	begin=$EPOCHREALTIME
	guest_kill a
	for kind in fcntl flock; do
		check "lock: $kind: free when the VM is dead" \
			wait_until 10 try_host "$kind" "$kind"
	done
	took=$(elapsed_ms "$begin")
	check "lock: within a second ($took ms)" test "$took" -le 1000
	backend_gone a
}

# More wait than the ring has room for, QEMU's own default: the unlock gets through all the same.
test_full_ring()
{
	GUEST_QUEUE_SIZE=128 guest_start c --posix-lock --flock --cache never
	hold c fcntl /mnt/full
	wait_until 5 has_it c
	guest c 'i=0; while [ $i -lt 150 ]; do
			guest-tool lock-hold fcntl /mnt/full /tmp/next >>/tmp/refused 2>&1 &
			i=$((i + 1))
		done'
	check "lock: with a queue of 128 entries 64 may wait" wait_until 20 guest c \
		'test "$(grep -c "No locks available" /tmp/refused)" -eq 86'
	check "lock: the others hold up nothing" guest c 'echo x >/mnt/other; ls /mnt >/dev/null' 10
	kill_holder c
	check "lock: and one of them has the lock when it is free" wait_until 5 guest c \
		'test -e /tmp/next'
	guest c 'killall -KILL guest-tool; sleep 0.1' || true
	check "lock: killed, they are gone" wait_until 20 guest c '! pidof guest-tool >/dev/null'
	guest_stop c
}

guest_start a --posix-lock --flock --cache never
guest_start b --posix-lock --flock --cache never
for kind in fcntl flock; do
	test_exclusion "$kind"
	test_killed_waiter "$kind"
	test_counting "$kind"
done
hold a fcntl /mnt/owned
wait_until 5 has_it a
owner='owner=$(guest-tool lock-owner /mnt/owned) || test $? -eq 3'
check "lock: F_GETLK names a process of the same VM" guest a \
	"$owner"'; test "$owner" = "$(cat /tmp/holder)"'
check "lock: and none of another" guest b "$owner"'; test "$owner" = 0'
check "lock: a deadlock is told" guest b 'guest-tool lock-deadlock /mnt/dead'
kill_holder a
test_stopped_guest
test_dead_guest
guest_stop b
test_full_ring
finish
