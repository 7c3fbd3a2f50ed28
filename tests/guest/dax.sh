# shellcheck shell=bash disable=SC2034,SC2153
# SPDX-License-Identifier: BSD-3-Clause
#
# dax.sh - guests with a DAX window on QEMU 11.1; sourced by tests, after lib.sh
#
#   dax_kernel stock|newer|newest     the kernel of guests started from now on
#   dax_start NAME WINDOW [OPTION...] guest_start, of a gateway with such a window for all files
#   dax_stop NAME                     guest_stop; the log must be free of warnings
#   dax_counter NAME COUNTER          a number of the gateway's last line of counters
#   dax_counted NAME                  checks that files were mapped, and nothing was refused
#   dax_ops_files DIRECTORY           make it, with what daxops and daxhost meet in
#   dax_ops NAME DIRECTORY            daxops there, of $steps steps and $seed; output in NAME/ops
#   fio_files DIRECTORY               make it: fio, its libraries and the job files
#   fio_jobs                          the names of the job files
#   fio_guest NAME JOB                run one in the guest

GUEST_QEMU=${GUEST_QEMU:-$("$HERE/newqemu")} || die "no QEMU with memory windows"
GUEST_DEVICE=window
GUEST_MEMORY=${GUEST_MEMORY:-768}

dax_kernel()
{
	GUEST_KERNEL=$1
	KERNEL=$("$HERE/kernel" "$1") || die "no kernel for the guest"
	INITRAMFS=$("$HERE/initramfs" "$KERNEL") || die "no initramfs for the guest"
}

dax_start()
{
	local name=$1 window=$2 bytes
	shift 2
	guest_start "$name" --tag share --dax-window "$window" --dax-threshold 0 "$@"
	bytes=$(printf '0x%x' $((${window%M} << 20)))
	check "dax $name: the guest sees the window" guest "$name" \
		"dmesg | grep -q 'virtiofs.*Cache len: $bytes '"
}

dax_counter()
{
	grep -a 'DAX window: maps=' "$RUN/$1/backend.log" | tail -n 1 |
		sed -n "s/.* $2=\([0-9]*\).*/\1/p"
}

dax_counted()
{
	local counters
	counters=$(grep -a 'DAX window: maps=' "$RUN/$1/backend.log" | tail -n 1)
	echo "# $1: ${counters#*: }"
	check "dax $1: files were mapped" test "$(dax_counter "$1" maps)" -gt 0
	check "dax $1: nothing was refused" test "$(dax_counter "$1" refused)" = 0
	check "dax $1: nothing timed out" test "$(dax_counter "$1" timed_out)" = 0
}

dax_quiet()
{
	! grep -a -E '^(WARNING|WARN|ERROR) ' "$RUN/$1/backend.log"
}

dax_stop()
{
	guest_stop "$1"
	check "dax $1: the log is free of warnings" dax_quiet "$1"
}

dax_ops_files()
{
	mkdir -p "$1"
	head -c 8 /dev/zero >"$1/.asked"
	head -c 8 /dev/zero >"$1/.did"
	: >"$1/mixed"
}

dax_ops()
{
	local status=0
	guest "$1" "guest-tool daxops $2 $steps $seed ${3-host}" 500 \
		>"$RUN/$1/ops" 2>&1 || status=$?
	cat "$RUN/$1/ops"
	return $status
}

# fio in the guest runs from the guest's memory, by the loader that came with its libraries.
fio_files()
{
	local fio
	fio=$(command -v fio) || die "fio is missing (package fio)"
	mkdir -p "$1/lib"
	cp "$fio" "$1/fio"
	ldd "$fio" | sed -n 's,^[^/]*\(/[^ ]*\).*,\1,p' | xargs cp -L -t "$1/lib"
	cp "$ROOT"/tests/fio/*.fio "$1"
	FIO_FILES=$1
}

fio_jobs()
{
	local job
	for job in "$FIO_FILES"/*.fio; do
		basename "$job" .fio
	done
}

# In a directory of its own, that is removed: fio finds its own files again otherwise.
fio_guest()
{
	local share=${SHARE_DIR:-$SHARE}
	if [[ ! -d $share/.fio ]]; then
		cp -r "$FIO_FILES" "$share/.fio"
		guest "$1" "cp -r /mnt/.fio /tmp/fio" 60 || return
	fi
	guest "$1" "mkdir /mnt/fio-$2; cd /mnt/fio-$2
		FIO_DIR=/mnt/fio-$2 FIO_SIZE=${FIO_SIZE:-2m} LD_LIBRARY_PATH=/tmp/fio/lib \
			/tmp/fio/lib/ld-linux-x86-64.so.2 /tmp/fio/fio \
			--minimal /tmp/fio/$2.fio 2>&1 >/tmp/fio/out || { cat /tmp/fio/out; false; }
		cd /; rm -r /mnt/fio-$2" 300
}
