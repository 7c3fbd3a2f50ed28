#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# A DAX window on stock QEMU 11.1: random work on files against a model (guest-tool daxops), while
# the host writes and appends to one of them; no byte may be wrong, then or at the end on the host,
# and the gateway must have carried mappings.
#
# Kernels (6.1, 7.x), mount options (none, dax=inode, dax=always) and windows (64 slots; 4, which
# the guest must keep reclaiming) are combined by pairs; all with all if TEST_SCALE is 100 or more.
# Of the 5,000 steps TEST_SCALE per cent are done. Then fio verifies what it wrote (tests/fio/).
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/dax.sh
. "$HERE/dax.sh"

steps=$((5000 * TEST_SCALE / 100))
((steps > 200)) || steps=200
((steps < 5000)) || steps=5000
seed=${DAX_SEED:-$RANDOM}

# ops KERNEL OPTION SLOTS
ops()
{
	local name=$1-$2-$3 helper
	dax_kernel "$1"
	MOUNT_OPTIONS=
	[[ $2 == none ]] || MOUNT_OPTIONS=dax=$2
	SHARE_DIR=$RUN/share-$name
	dax_ops_files "$SHARE_DIR"
	dax_start "$name" "$(($3 * 2))M"
	"$TOOL" daxhost "$SHARE_DIR" "$seed" >"$RUN/$name/host" 2>&1 &
	helper=$!
	check "dax $name: $steps steps, seed $seed, no wrong byte" dax_ops "$name" /mnt
	wait "$helper"
	check "dax $name: the host did its part" grep -q '^daxhost: [1-9]' "$RUN/$name/host"
	"$TOOL" daxsum "$SHARE_DIR" >"$RUN/$name/sums"
	grep '^file ' "$RUN/$name/ops" >"$RUN/$name/model"
	check_same "dax $name: the host's files are the model's" "$RUN/$name/model" \
		"$RUN/$name/sums"
	fio_run "$name" "$4"
	dax_stop "$name"
	dax_counted "$name"
	if (($3 < 8)); then
		check "dax $name: slots were reclaimed" test "$(dax_counter "$name" unmaps)" -gt 0
	fi
}

# The job files of tests/fio that this combination runs.
fio_run()
{
	local name=$1 job
	for job in $2; do
		check "dax $name: fio $job verifies" fio_guest "$name" "$job"
	done
}

fio_files "$RUN/fio"
if ((TEST_SCALE >= 100)); then
	for kernel in stock newest; do
		for option in none inode always; do
			for slots in 64 4; do
				ops "$kernel" "$option" "$slots" "$(fio_jobs)"
			done
		done
	done
else
	ops stock none 64 "mmap"
	ops newest none 4 "truncate"
	ops stock inode 4 "psync"
	ops newest inode 64 "libaio"
	ops stock always 64 "files"
	ops newest always 4 "mmap"
fi
finish
