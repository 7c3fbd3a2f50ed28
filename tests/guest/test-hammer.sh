#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Four processes hammer one tree for 30 s (scaled); meanwhile QEMU stops and continues at once, and
# again with a pause of a minute (scaled) between. No step may fail or read anything but what was
# written, and at the end guest and host list the same tree. With two request queues, which kernels
# from 6.10 on use both; the C peer has only one.
. "$(dirname "$0")/lib.sh"

time=$(scaled 30)
pause=$(scaled 60)
mkdir "$SHARE/tree"

stopped()
{
	qmp a stop >/dev/null && sleep "$1" && qmp a query-status | grep -q '"paused"' &&
		qmp a cont >/dev/null
}

options=()
if ! backend_peer; then
	GUEST_QUEUES=2
	options=(--request-queues 2)
fi
guest_start a "${options[@]}"
check "hammer: started" guest a "
	(guest-tool hammer /mnt/tree 4 $time 1 >/tmp/hammer 2>&1; echo \$? >/tmp/status) &"
sleep 2
check "hammer: stop and continue under load" stopped 0
sleep 1
check "hammer: a pause of $pause s under load" stopped "$pause"
check "hammer: $time s, each step verified" guest a '
	n=0
	until test -s /tmp/status; do
		n=$((n + 1)); test $n -lt 3000 || { echo "does not end"; exit 1; }; sleep 0.1
	done
	test "$(cat /tmp/status)" = 0 || { grep -v steps /tmp/hammer; exit 1; }' $((time + 120))
echo "# $(guest a 'cat /tmp/hammer' | tr '\n' ';')"
check "hammer: the guest lists what is left" guest a 'guest-tool tree-list /mnt/tree >/mnt/left' 120
"$TOOL" tree-list "$SHARE/tree" >"$RUN/left"
check_same "hammer: the host lists the same" "$RUN/left" "$SHARE/left"
check "hammer: there is something left" test "$(wc -l <"$RUN/left")" -gt 50
guest_stop a
finish
