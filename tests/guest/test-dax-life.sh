#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# A DAX window's life on stock QEMU 11.1: small and empty files; two guests, by a gateway each, in
# one file's odd tail page; QEMU stopped and continued, the share mounted again, the guest rebooted,
# each with mappings in place, which must be right before and after; QEMU as another user than the
# gateway's; a gateway without privileges, which must do without mappings; and a read-only share.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/dax.sh
. "$HERE/dax.sh"

steps=$((5000 * TEST_SCALE / 100))
((steps > 200)) || steps=200
seed=${DAX_SEED:-$RANDOM}

# holds FILE SIZE SHA256: what a file must be, on the host
holds()
{
	test "$(stat -c %s "$1")" = "$2" && test "$(sha256sum <"$1")" = "$3"
}

test_small()
{
	local sum
	: >"$SHARE/empty"
	"$TOOL" fill "$SHARE/small" 7 5000
	sum=$(sha256sum <"$SHARE/small")
	check "dax-life: an empty file stays empty" guest a '
		test -z "$(cat /mnt/empty)"; test "$(stat -c %s /mnt/empty)" = 0'
	check "dax-life: 5,000 bytes are read" guest a 'guest-tool verify /mnt/small 7 5000'
	check "dax-life: 5,000 bytes are loaded" guest a 'guest-tool mmap-check /mnt/small 7 5000'
	check "dax-life: the file is not grown" holds "$SHARE/small" 5000 "$sum"
	check "dax-life: nor is the empty one" test ! -s "$SHARE/empty"
	check "dax-life: 5,000 bytes are stored" guest a '
		guest-tool mmap-write /mnt/small 8 5000; guest-tool verify /mnt/small 8 5000'
	check "dax-life: the host has them" "$TOOL" verify "$SHARE/small" 8 5000
	check "dax-life: and no more" test "$(stat -c %s "$SHARE/small")" = 5000
}

# What the gateway cannot open for writing, or must not: the guest has the right bytes all the same.
test_not_writable()
{
	local sum pid upper
	cp /bin/sleep "$SHARE/program"
	"$SHARE/program" 600 &
	pid=$!
	sum=$(sha256sum <"$SHARE/program")
	check "dax-life: a program that runs on the host is read" guest a "
		test \"\$(sha256sum </mnt/program)\" = '$sum'"
	check "dax-life: and cannot be written to" guest a '
		! echo x 2>/dev/null >>/mnt/program'
	kill $pid
	wait $pid 2>/dev/null
	check "dax-life: when it has ended it can be replaced" guest a '
		guest-tool fill /mnt/program 4 70001; guest-tool mmap-check /mnt/program 4 70001'
	check "dax-life: the host has that" "$TOOL" verify "$SHARE/program" 4 70001

	mkdir "$SHARE/base" "$SHARE/ro" "$SHARE/overlay"
	"$TOOL" fill "$SHARE/base/file" 5 70001
	mount --bind "$SHARE/base" "$SHARE/ro" && mount -o remount,bind,ro "$SHARE/ro"
	check "dax-life: a file of a read-only mount is loaded" guest a '
		guest-tool mmap-check /mnt/ro/file 5 70001; guest-tool verify /mnt/ro/file 5 70001
		! guest-tool fill /mnt/ro/file 6 10 2>/dev/null'
	umount -l "$SHARE/ro"
	mkdir "$RUN/overlay-disk"
	mount -t tmpfs tmpfs "$RUN/overlay-disk"
	mkdir "$RUN/overlay-disk/up" "$RUN/overlay-disk/work"
	upper=$RUN/overlay-disk/up
	mount -t overlay -o "lowerdir=$SHARE/base,upperdir=$upper,workdir=$RUN/overlay-disk/work" \
		overlay "$SHARE/overlay"
	check "dax-life: a file of an overlay is loaded" guest a '
		guest-tool mmap-check /mnt/overlay/file 5 70001
		guest-tool verify /mnt/overlay/file 5 70001'
	check "dax-life: and is not copied up by that" test ! -e "$upper/file"
	umount -l "$SHARE/overlay"
	umount -l "$RUN/overlay-disk"
}

test_tail()
{
	local first status
	head -c 5000 /dev/zero >"$SHARE/tail"
	guest a 'guest-tool daxtail /mnt/tail 0 200' 120 >"$RUN/tail-a" 2>&1 &
	first=$!
	check "dax-life: the second guest sees the first's stores in a tail page" \
		guest b 'guest-tool daxtail /mnt/tail 1 200' 120
	wait "$first"
	status=$?
	check "dax-life: and the first the second's ($(tail -n 1 "$RUN/tail-a"))" test $status -eq 0
	check "dax-life: the tail's file is not grown" \
		test "$(stat -c %s "$SHARE/tail")" = 5000
}

# Mappings that are in place, loaded from and stored to by a process that lives on.
test_stop()
{
	local worker status=0 i
	mkdir "$SHARE/stop"
	dax_ops a /mnt/stop "" >"$RUN/stop" 2>&1 &
	worker=$!
	for i in 1 2 3 4 5 6; do
		sleep 0.5
		qmp a stop >/dev/null || status=1
		sleep 0.2
		qmp a cont >/dev/null || status=1
	done
	check "dax-life: QEMU stops and continues" test $status -eq 0
	wait "$worker"
	status=$?
	check "dax-life: random work meanwhile ($(tail -n 1 "$RUN/stop"))" test $status -eq 0
	grep '^file ' "$RUN/stop" >"$RUN/model"
	"$TOOL" daxsum "$SHARE/stop" >"$RUN/sums"
	check_same "dax-life: the host's files are the model's" "$RUN/model" "$RUN/sums"
}

work_again()
{
	mkdir "$SHARE/$1"
	check "dax-life: random work after $1" dax_ops a "/mnt/$1" ""
	grep '^file ' "$RUN/a/ops" >"$RUN/model"
	"$TOOL" daxsum "$SHARE/$1" >"$RUN/sums"
	check_same "dax-life: and the host has it" "$RUN/model" "$RUN/sums"
	check "dax-life: small files are right after $1" guest a \
		'guest-tool mmap-check /mnt/small 8 5000; guest-tool verify /mnt/small 8 5000'
}

test_again()
{
	check "dax-life: umount and mount" guest a '
		umount /mnt; mount -t virtiofs -o dax=always share /mnt; ls /mnt >/dev/null'
	work_again umount
}

# From the machine's side, by the guest, as by its panic; with mappings in place, since they
# outlive the process that made them. QEMU 11.1.3 dies of that where the regions were taken
# (dax/window_region.c).
reset_mapped()
{
	check "dax-life: a file is mapped before $1" guest a \
		'guest-tool mmap-check /mnt/small 8 5000'
	check "dax-life: QEMU has it mapped" qemu_maps a
	case $1 in
	reset) qmp a system_reset >/dev/null || die "no QMP system_reset" ;;
	reboot) tell a 'reboot -f' ;;
	emergency) tell a 'echo b >/proc/sysrq-trigger' ;;
	esac
	check "dax-life: the guest comes back after $1" guest_hello a
	check "dax-life: and mounts" guest_mount a
	work_again "$1"
}

# What is never answered.
tell()
{
	printf '0 %s\n' "$(base64 -w 0 <<<"$2")" >&"${AGENT_IN[$1]}"
}

# The view's files have hexadecimal numbers for names.
qemu_maps()
{
	grep -q -E 'rw-s .* /[0-9a-f]+( \(deleted\))?$' "/proc/${GUEST_PID[$1]}/maps"
}

test_reset()
{
	local kind
	qmp a set-action '{"reboot":"reset"}' >/dev/null || die "no QMP set-action"
	for kind in reset reboot emergency; do
		reset_mapped "$kind"
	done
}

# as_nobody COMMAND...
as_nobody()
{
	setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all "$@"
}

# What is written from a mapping, and read into one: the buffers lie in the window.
test_buffers()
{
	"$TOOL" fill "$SHARE/mapped" 11 1000000
	dax_start buffer 16M --dax-threshold 32K
	check "dax-life: O_DIRECT from a mapping and into one" guest buffer \
		'guest-tool daxbuffer /mnt/mapped /mnt/plain 12'
	check "dax-life: the host has what was written from it" \
		"$TOOL" verify "$SHARE/plain" 12 16384
	dax_stop buffer
	dax_counted buffer
}

test_user()
{
	if ! as_nobody test -x "$GUEST_QEMU"; then
		skip "dax-life: QEMU as another user" "nobody else may enter this directory"
		return
	fi
	GUEST_USER=nobody GUEST_ACCEL=tcg
	chmod 0755 "$RUN"
	dax_start other 16M
	GUEST_USER=''
	check "dax-life: QEMU runs as another user" \
		test "$(stat -c %U "/proc/${GUEST_PID[other]}")" = nobody
	check "dax-life: it loads and stores" guest other '
		guest-tool mmap-check /mnt/small 8 5000
		guest-tool fill /mnt/other 3 3000001; guest-tool mmap-write /mnt/other 4 3000001
		guest-tool verify /mnt/other 4 3000001'
	check "dax-life: the host has it" "$TOOL" verify "$SHARE/other" 4 3000001
	dax_stop other
	dax_counted other
}

# The gateway's own binary is where nobody else need be able to go.
test_unprivileged()
{
	local privileged=$GUEST_GATEWAY
	cp "$GUEST_GATEWAY" "$RUN/gateway"
	{
		echo '#!/bin/sh'
		echo 'exec setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all \'
		echo "	$RUN/gateway \"\$@\""
	} >"$RUN/unprivileged"
	chmod 0755 "$RUN/gateway" "$RUN/unprivileged"
	SHARE_DIR=$RUN/nobody
	mkdir -p "$SHARE_DIR/work" "$RUN/plain"
	chown -R nobody "$SHARE_DIR" "$RUN/plain"
	GUEST_GATEWAY=$RUN/unprivileged
	guest_start plain --tag share --dax-window 16M --dax-threshold 0
	GUEST_GATEWAY=$privileged
	check "dax-life: without privileges the log says that there is no DAX, and nothing else" \
		test "$(grep -a -c 'no DAX: no file can be mapped, since passthrough takes' \
			"$RUN/plain/backend.log") $(grep -a -c 'for the front-end' \
			"$RUN/plain/backend.log")" = '1 0'
	check "dax-life: random work without a window" dax_ops plain /mnt/work ""
	grep '^file ' "$RUN/plain/ops" >"$RUN/model"
	"$TOOL" daxsum "$SHARE_DIR/work" >"$RUN/sums"
	check_same "dax-life: and the host has it" "$RUN/model" "$RUN/sums"
	check "dax-life: a mount that insists on DAX is refused" guest plain '
		cd /; umount /mnt; mount -t virtiofs -o dax=always share /mnt
		! ls /mnt 2>/tmp/said; grep "Connection refused" /tmp/said
		umount /mnt; mount -t virtiofs share /mnt'
	SHARE_DIR=
	guest_stop plain
	check "dax-life: nothing was mapped" test "$(dax_counter plain maps)" = 0
}

test_readonly()
{
	local sum
	"$TOOL" fill "$SHARE/big" 9 3000001
	sum=$(sha256sum <"$SHARE/big")
	dax_start ro 16M --readonly
	check "dax-life: a read-only share has the view \"cached\"" \
		grep -a -q 'view: cached' "$RUN/ro/backend.log"
	check "dax-life: it is read and loaded from" guest ro '
		guest-tool verify /mnt/big 9 3000001; guest-tool mmap-check /mnt/big 9 3000001
		guest-tool mmap-check /mnt/small 8 5000'
	check "dax-life: nothing is written" guest ro '
		! guest-tool fill /mnt/big 1 10 2>/dev/null; ! touch /mnt/new 2>/dev/null'
	"$TOOL" fill "$SHARE/big" 10 3000001
	sleep 1.5
	check "dax-life: the host's change is seen" guest ro '
		stat /mnt/big >/dev/null; guest-tool verify /mnt/big 10 3000001
		guest-tool mmap-check /mnt/big 10 3000001'
	check "dax-life: and stays" "$TOOL" verify "$SHARE/big" 10 3000001
	dax_stop ro
	dax_counted ro
}

dax_kernel newest
dax_start a 32M
dax_kernel stock
dax_start b 32M
test_small
test_not_writable
test_tail
dax_stop b
test_stop
test_again
test_reset
dax_stop a
dax_counted a
test_buffers
test_user
test_unprivileged
test_readonly
finish
