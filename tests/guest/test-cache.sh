#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Each cache mode, by the requests that arrive: the gateway logs one line a request ("req op=NAME
# ...") at --log-level debug, and the same steps of the guest are counted. DIR/a, DIR/b and DIR/c
# are files; each step that must come within the cache's second is one process.
#
#             stat DIR/a twice     stat DIR/a 2 s later  one page read 5   the file opened and
#                                                        times, one open   read again
#   never     LOOKUP more than 2   asks again            5 READs           READ
#   metadata  LOOKUP 2             nothing               5 READs           READ
#   auto      LOOKUP 2             asks again            1 READ            READ
#   always    LOOKUP 2             nothing               1 READ            nothing
#
# A guest asks again with LOOKUP or GETATTR, as it likes. The file that is read is another one than
# that which is only asked about: a read makes the guest forget the time of access, whatever the
# mode. The peer logs in another way: skipped there.
. "$(dirname "$0")/lib.sh"

if backend_peer; then
	skip "cache: requests by mode" "the peer's log is of another form"
	finish
fi

declare -A SAW=()

# Requests of kind OP so far.
count()
{
	grep -a -c "req .*op=$1\b" "$RUN/$NAME/backend.log"
}

# Runs SCRIPT in the guest; then SAW[OP] is how many requests of each kind it caused.
observe()
{
	local op
	local -A before=()
	for op in LOOKUP GETATTR READ; do
		before[$op]=$(count "$op")
	done
	guest "$NAME" "$1" >"$RUN/observed" 2>&1 || die "$NAME: $1: $(tail -n 1 "$RUN/observed")"
	for op in LOOKUP GETATTR READ; do
		SAW[$op]=$(($(count "$op") - before[$op]))
	done
	SAW[ASK]=$((SAW[LOOKUP] + SAW[GETATTR]))
}

# expect WHAT OP RELATION NUMBER, as of test(1)
expect()
{
	check "cache $NAME: $1 ($2 ${SAW[$2]})" test "${SAW[$2]}" "$3" "$4"
}

# test_mode MODE TWICE LATER REREAD REOPEN, the latter four as RELATION:NUMBER
test_mode()
{
	local directory=$RUN/share-$1/d
	NAME=$1
	SHARE_DIR=$RUN/share-$1
	mkdir -p "$directory"
	for file in a b c; do
		"$TOOL" fill "$directory/$file" 1 100000
	done
	guest_start "$NAME" --cache "$1" --log-level debug
	observe 'stat /mnt/d/a /mnt/d/a'
	expect "stat twice" LOOKUP "${2%:*}" "${2#*:}"
	sleep 2
	observe 'stat /mnt/d/a'
	expect "stat two seconds later" ASK "${3%:*}" "${3#*:}"
	observe 'guest-tool reread /mnt/d/b 5'
	expect "read five times" READ "${4%:*}" "${4#*:}"
	observe 'guest-tool reread /mnt/d/b 1'
	expect "opened and read again" READ "${5%:*}" "${5#*:}"
	if [[ $1 == never ]]; then
		guest "$NAME" 'cat /mnt/d/c >/dev/null'
		"$TOOL" fill "$directory/c" 2 50001
		check "cache never: the host's change is seen at once" \
			guest "$NAME" 'guest-tool verify /mnt/d/c 2 50001'
	fi
	guest_stop "$NAME"
}

test_mode never -gt:2 -gt:0 -eq:5 -gt:0
test_mode metadata -eq:2 -eq:0 -eq:5 -gt:0
test_mode auto -eq:2 -gt:0 -eq:1 -gt:0
test_mode always -eq:2 -eq:0 -eq:1 -eq:0
finish
