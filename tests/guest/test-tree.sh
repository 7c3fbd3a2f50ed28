#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# A tree of 2,000 odd files goes in and out: names of all kinds up to 255 bytes, symbolic and hard
# links, fifos, sockets, modes, owners, times to the nanosecond, holes. Five views of it must be the
# same text: the host's, the guest's through the share, the guest's own copy, and both views of the
# copy back.
#
# 100 of the regular files are sparse: their runs of data are compared too, so the share must pass
# SEEK_DATA and SEEK_HOLE on.
. "$(dirname "$0")/lib.sh"

"$TOOL" tree-make "$SHARE/in" 2000 42 || die "tree-make failed"
"$TOOL" tree-list "$SHARE/in" >"$RUN/host-in" || die "tree-list failed"
count=$(wc -l <"$RUN/host-in")

guest_start a
check "tree: the host's tree has 2000 entries" test "$count" -eq 2000
check "tree: the guest lists it" guest a 'guest-tool tree-list /mnt/in >/mnt/guest-in' 120
check_same "tree: the guest sees what the host sees" "$RUN/host-in" "$SHARE/guest-in"
check "tree: copied in" guest a 'guest-tool tree-copy /mnt/in /tmp/copy' 120
check "tree: the copy listed" guest a 'guest-tool tree-list /tmp/copy >/mnt/guest-copy' 120
check_same "tree: the copy in the guest is equal" "$RUN/host-in" "$SHARE/guest-copy"
check "tree: copied out" guest a 'guest-tool tree-copy /tmp/copy /mnt/out' 120
"$TOOL" tree-list "$SHARE/out" >"$RUN/host-out"
check_same "tree: the copy on the host is equal" "$RUN/host-in" "$RUN/host-out"
check "tree: the guest lists the copy" guest a 'guest-tool tree-list /mnt/out >/mnt/guest-out' 120
check_same "tree: the guest sees the copy so" "$RUN/host-in" "$SHARE/guest-out"

# busybox's own tools on the same names: they walk, remove and archive in other ways.
check "tree: find counts the entries" guest a \
	'test "$(find /mnt/in | tr -dc "\n" | wc -c)" -ge 2000'
check "tree: rm -r removes it all" guest a 'rm -r /mnt/out && test ! -e /mnt/out' 120
check "tree: gone on the host too" test ! -e "$SHARE/out"
guest_stop a
finish
