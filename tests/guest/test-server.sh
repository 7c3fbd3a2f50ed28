#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# The socket the other way round: QEMU listens (server=on) and waits, the back-end connects
# (--connect), retrying until the socket is there.
. "$(dirname "$0")/lib.sh"

if backend_peer; then
	skip "server: QEMU is the socket's server" "the peer cannot connect"
	finish
fi
GUEST_SERVER=yes
guest_start a
check "server: write" guest a 'guest-tool fill /mnt/f 3 1M'
check "server: the host has it" "$TOOL" verify "$SHARE/f" 3 1M
check "server: a reset" guest a 'echo 1 >/mnt/before'
guest_reset a
check "server: works after it" guest a \
	'test "$(cat /mnt/before)" = 1; guest-tool verify /mnt/f 3 1M'
guest_stop a
finish
