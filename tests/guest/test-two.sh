#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Two VMs share one directory, through a back-end each: what one writes the other reads once the
# cache's second is over; both hammer one tree, meeting in its shared part; at the end both and the
# host list the same tree. Then one back-end gets SIGTERM while its guest is at work.
#
# Difference of the C peer: unlink of a name that somebody else removed meanwhile is EIO there, not
# ENOENT (it looks the name up itself first), so with the peer the two hammers do not meet.
. "$(dirname "$0")/lib.sh"

time=$(scaled 20)
mkdir -p "$SHARE"/tree/{a,b}

# hammer NAME SEED: both guests' run at a time, the output in a file each.
hammer()
{
	local tree=/mnt/tree
	backend_peer && tree+=/$1
	guest "$1" "guest-tool hammer $tree 2 $time $2" $((time + 120)) >"$RUN/hammer-$1" 2>&1
}

guest_start a
guest_start b
check "two: one writes" guest a 'guest-tool fill /mnt/f 5 3000000; echo 1 >/mnt/n'
check "two: the other reads" guest b 'guest-tool verify /mnt/f 5 3000000; test "$(cat /mnt/n)" = 1'
check "two: and writes over it" guest b 'guest-tool fill /mnt/f 6 2000000; echo 12 >/mnt/n'
sleep 1.5
check "two: the first sees that" guest a \
	'guest-tool verify /mnt/f 6 2000000; test "$(cat /mnt/n)" = 12'
guest a '
	echo held >/mnt/held; exec 5</mnt/held; echo >/mnt/ready
	n=0; while test -e /mnt/held; do n=$((n + 1)); test $n -lt 100; sleep 0.2; done
	test "$(cat <&5)" = held' >"$RUN/holder" 2>&1 &
holder=$!
check "two: the unlink" guest b 'n=0
	until test -e /mnt/ready; do n=$((n + 1)); test $n -lt 100; sleep 0.2; done; rm /mnt/held'
wait "$holder"
check "two: one unlinks, the other reads on what it holds open" test $? -eq 0

hammer a 1 &
first=$!
hammer b 2
check "two: the second VM's hammer" test $? -eq 0
wait "$first"
check "two: the first VM's hammer" test $? -eq 0
sed 's/^/# /' "$RUN/hammer-a" "$RUN/hammer-b"
sleep 1.5
check "two: the first lists the tree" guest a 'guest-tool tree-list /mnt/tree >/mnt/list-a' 120
check "two: the second lists the tree" guest b 'guest-tool tree-list /mnt/tree >/mnt/list-b' 120
"$TOOL" tree-list "$SHARE/tree" >"$RUN/list"
check_same "two: the host lists what the first lists" "$RUN/list" "$SHARE/list-a"
check_same "two: and what the second lists" "$RUN/list" "$SHARE/list-b"
guest_stop a

if backend_peer; then
	skip "two: SIGTERM under load" "the peer ends by the signal, without cleaning up"
	guest_stop b
	finish
fi
check "two: the second works alone" guest b \
	'mkdir /mnt/more; guest-tool hammer /mnt/more 4 100 3 >/dev/null 2>&1 & sleep 1'
begin=$EPOCHREALTIME
kill -TERM "$(backend_pid b)"
backend_gone b 5
check "two: SIGTERM under load ends its back-end" test $? -eq 0
took=$(elapsed_ms "$begin")
check "two: with status 0" test "$BACKEND_STATUS" = 0
check "two: within a second ($took ms)" test "$took" -le 1000
check "two: its socket is removed" test ! -e "$(backend_socket b)"
guest_kill b
finish
