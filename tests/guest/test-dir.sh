#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# A directory of 10,000 entries lists whole, again and again, while others come and go: made and
# removed by the guest, then by the host. An entry that stays must be listed exactly once each time.
. "$(dirname "$0")/lib.sh"

time=$(scaled 15)
mkdir "$SHARE/big"
"$TOOL" entries "$SHARE/big" stay- 10000 || die "entries failed"

guest_start a
check "dir: 10000 entries list whole" guest a 'guest-tool list-check /mnt/big stay- 10000 0'
check "dir: while the guest makes and removes others" guest a "
	guest-tool churn /mnt/big come- $time >/tmp/churn 2>&1 &
	guest-tool list-check /mnt/big stay- 10000 $time
	wait \$! || { cat /tmp/churn; exit 1; }" 200

"$TOOL" churn "$SHARE/big" host- "$time" >/dev/null &
churn=$!
check "dir: while the host makes and removes others" guest a \
	"guest-tool list-check /mnt/big stay- 10000 $time" 200
wait "$churn"
check "dir: the host's work succeeded" test $? -eq 0
check "dir: the guest makes 1000 more" guest a \
	'guest-tool entries /mnt/big more- 1000; ls /mnt/big | grep -c more- | grep -qx 1000'
check "dir: 11000 are left on the host" test "$(find "$SHARE/big" -type f | wc -l)" = 11000
guest_stop a
finish
