#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Single files, made in the guest and looked at on the host: big writes, mappings, direct I/O,
# renames and unlinks of open files, truncation, holes, owners and modes of what other users make.
. "$(dirname "$0")/lib.sh"

sum()
{
	sha256sum <"$1" | cut -d ' ' -f 1
}

# The host's bytes of FILE are those of the seed's stream.
host_has()
{
	"$TOOL" verify "$SHARE/$1" "$2" "$3"
}

test_big()
{
	local seconds=$SECONDS
	check "file: the guest writes 256 MiB" guest a 'guest-tool fill /mnt/big 7 256M' 300
	"$TOOL" fill "$RUN/big" 7 256M
	check "file: 256 MiB have the host's sha256" \
		test "$(sum "$SHARE/big")" = "$(sum "$RUN/big")"
	check "file: the guest reads the 256 MiB back" guest a \
		'echo 3 >/proc/sys/vm/drop_caches; guest-tool verify /mnt/big 7 256M' 300
	echo "# 256 MiB written and read in $((SECONDS - seconds)) s"
	check "file: O_DIRECT writes and reads" guest a 'guest-tool direct /mnt/direct 8 8M' 120
	check "file: O_DIRECT reached the host" host_has direct 8 8M
	rm -f "$SHARE/big" "$RUN/big"
}

# The mapping stays, unclosed, while the host looks: only msync can have brought the bytes.
test_mmap()
{
	check "file: mmap, write, msync" guest a '
		mkfifo /tmp/go
		guest-tool mmap-write /mnt/map 9 5000000 </tmp/go >/tmp/said 2>&1 &
		exec 4>/tmp/go
		n=0
		until grep -q synced /tmp/said; do
			n=$((n + 1)); test $n -lt 300 || { cat /tmp/said; exit 1; }
			sleep 0.1
		done
		# Whoever holds the pipe open keeps the mapper waiting.
		sleep 1000 >/tmp/go &
		echo $! >/tmp/holder'
	check "file: mapped writes are on the host after msync" host_has map 9 5000000
	check "file: the mapping is still held" guest a \
		'holder=$(cat /tmp/holder); pidof guest-tool; kill "$holder"
		n=0; while pidof guest-tool; do n=$((n + 1)); test $n -lt 100; sleep 0.1; done'
	"$TOOL" fill "$SHARE/map2" 10 3000001
	check "file: the guest maps a file of the host's" guest a \
		'guest-tool mmap-check /mnt/map2 10 3000001'
}

test_names()
{
	check "file: unlink while open, read and write on" guest a \
		'guest-tool unlink-open /mnt/unlinked'
	check "file: the unlinked file is gone" test ! -e "$SHARE/unlinked"
	"$TOOL" fill "$SHARE/from" 1 4096
	"$TOOL" fill "$SHARE/to" 2 4096
	check "file: rename over an open file" guest a \
		'guest-tool rename-over-open /mnt/from /mnt/to'
	check "file: the host sees the renamed one" host_has to 1 4096

	check "file: RENAME_NOREPLACE refuses" guest a 'cd /mnt; echo 1 >n1; echo 2 >n2
		! guest-tool rename2 noreplace n1 n2 2>/tmp/err; grep -q "File exists" /tmp/err'
	check "file: RENAME_NOREPLACE renames" guest a 'cd /mnt; guest-tool rename2 noreplace n1 n3'
	check "file: RENAME_EXCHANGE swaps" guest a 'cd /mnt; guest-tool rename2 exchange n2 n3'
	check "file: both renames are on the host" \
		test "$(cat "$SHARE/n2" "$SHARE/n3")" = $'1\n2' -a ! -e "$SHARE/n1"
	check "file: RENAME_WHITEOUT" guest a 'cd /mnt; guest-tool rename2 whiteout n2 n4'
	check "file: it leaves a 0:0 device" test "$(stat -c '%F %t:%T' "$SHARE/n2")" = \
		"character special file 0:0"
}

test_sizes()
{
	check "file: truncate down" guest a \
		'cd /mnt; guest-tool fill cut 3 1M; truncate -s 300001 cut'
	check "file: shorter on the host" host_has cut 3 300001
	check "file: truncate up" guest a \
		'cd /mnt; truncate -s 700000 cut; test "$(wc -c <cut)" = 700000'
	check "file: longer on the host" test "$(stat -c %s "$SHARE/cut")" = 700000
	check "file: zeros fill it up" cmp -n 399999 -i 300001:0 "$SHARE/cut" /dev/zero
	check "file: and the guest reads them" guest a \
		'tail -c 399999 /mnt/cut | tr -d "\0" | wc -c | grep -qx 0'
	check "file: truncate to nothing on open" guest a 'cd /mnt; : >cut; test ! -s cut'
	check "file: append" guest a 'cd /mnt; echo one >>cut; echo two >>cut
		test "$(cat cut | tr "\n" ,)" = one,two,'

	check "file: a sparse file" guest a 'cd /mnt; truncate -s 64M sparse
		dd if=/dev/urandom of=sparse bs=64k count=1 seek=100 conv=notrunc 2>/dev/null
		dd if=/dev/urandom of=sparse bs=64k count=1 seek=900 conv=notrunc 2>/dev/null'
	check "file: sparse on the host" \
		test "$(stat -c %b "$SHARE/sparse")" -le 512
	check "file: of its full size" test "$(stat -c %s "$SHARE/sparse")" = 67108864
	check "file: its data is where it was written" \
		test "$("$TOOL" segments "$SHARE/sparse")" = $'6553600 6619136\n58982400 59047936'
	check "file: the guest finds the same data" \
		test "$(guest a 'guest-tool segments /mnt/sparse')" = \
		$'6553600 6619136\n58982400 59047936'
	check "file: a hole is punched" guest a 'guest-tool punch /mnt/sparse 6553600 65536'
	check "file: and is one on the host" \
		test "$("$TOOL" segments "$SHARE/sparse")" = "58982400 59047936"
}

test_attributes()
{
	check "file: another user creates" guest a 'mkdir -m 1777 /mnt/all; cd /mnt/all
		guest-tool as 1234 5678 027 sh -c "echo x >f; mkdir d; mkfifo p; ln -s f l"'
	check "file: owner and umask are that user's" test \
		"$(cd "$SHARE/all" && stat -c '%n %u:%g %a' d f p)" = \
		$'d 1234:5678 750\nf 1234:5678 640\np 1234:5678 640'
	check "file: the link's owner too" test "$(stat -c %u:%g "$SHARE/all/l")" = 1234:5678
	check "file: setgid directories pass their group on" guest a '
		mkdir /mnt/sg; chgrp 4321 /mnt/sg; chmod 2777 /mnt/sg; cd /mnt/sg
		guest-tool as 1234 5678 022 sh -c "echo x >f; mkdir d"'
	check "file: and directories the bit" \
		test "$(cd "$SHARE/sg" && stat -c '%n %u:%g %a' d f)" = \
		$'d 1234:4321 2755\nf 1234:4321 644'
	check "file: rights are checked" guest a 'cd /mnt; echo secret >s; chmod 600 s
		! guest-tool as 1234 5678 022 cat s'
	check "file: statfs" guest a 'df /mnt | grep -q /mnt'
	check "file: sync" guest a 'echo x >/mnt/synced; sync'
}

guest_start a
test_names
test_sizes
test_mmap
test_attributes
test_big
guest_stop a
finish
