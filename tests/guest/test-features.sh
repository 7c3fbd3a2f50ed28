#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# What only newer kernels ask for, and options of the gateway as a guest's programs see them: birth
# times, O_TMPFILE, flags of chattr, submounts, supplementary groups, idmapped mounts; writeback,
# setuid bits, O_DIRECT. In the newest kernel, whatever GUEST_KERNEL says. As root, for mounts,
# which are in a namespace of their own.
if [[ ${1:-} != inside ]]; then
	if [[ $(id -u) != 0 ]] || ! unshare -m --propagation private true 2>/dev/null; then
		echo "skip features: mounting needs root"
		exit 0
	fi
	exec unshare -m --propagation private "$0" inside
fi
GUEST_KERNEL=newest
. "$(dirname "$0")/lib.sh"

if backend_peer; then
	skip "features: in a guest" "the peer has hardly any of them"
	finish
fi

make_mounts()
{
	mkdir "$SHARE/a mount" "$SHARE/bound" "$SHARE/dir"
	mount -t tmpfs -o size=1m tmpfs "$SHARE/a mount" || die "cannot mount"
	mount --bind "$SHARE/dir" "$SHARE/bound" || die "cannot mount"
	echo inner >"$SHARE/a mount/file"
	echo bound >"$SHARE/dir/file"
}

drop_mounts()
{
	umount "$SHARE/a mount" "$SHARE/bound"
}

test_submounts()
{
	check "features: a submount is one, with a space in its name" guest a \
		'cat "/mnt/a mount/file"; grep -q "/mnt/a.040mount" /proc/mounts'
	check "features: its st_dev is its own" guest a 'ls /mnt/bound >/dev/null
		test "$(stat -c %d "/mnt/a mount")" != "$(stat -c %d /mnt)"
		test "$(stat -c %d /mnt/bound)" != "$(stat -c %d /mnt)"
		test "$(stat -c %d /mnt/dir)" = "$(stat -c %d /mnt)"'
	check "features: df tells of it alone" guest a \
		'df -k "/mnt/a mount" | tail -n 1 | grep -q " 1024 "'
	check "features: it is written and synced" guest a 'cd "/mnt/a mount"; echo x >new; sync'
	check "features: on the host's mount" test "$(cat "$SHARE/a mount/new")" = x
}

test_files()
{
	check "features: O_TMPFILE and linkat" guest a 'guest-tool tmpfile /mnt named'
	check "features: the name is on the host" test "$(cat "$SHARE/named")" = nameless
	touch "$SHARE/born"
	check "features: birth time" test "$(guest a 'guest-tool btime /mnt/born')" = \
		"$("$TOOL" btime "$SHARE/born")"
	local flags
	if flags=$("$TOOL" flags "$SHARE/born" 2>/dev/null); then
		check "features: lsattr" test "$(guest a 'guest-tool flags /mnt/born')" = "$flags"
		check "features: chattr +d" guest a 'guest-tool flags /mnt/born +d'
		check "features: of a directory" guest a 'guest-tool flags /mnt/dir +d'
		check "features: on the host" test "$("$TOOL" flags "$SHARE/born" +d)" = \
			"$(guest a 'guest-tool flags /mnt/born')"
	else
		skip "features: chattr" "the host's file system has no flags"
	fi
}

test_ids()
{
	mkdir -m 2777 "$SHARE/sg"
	chown 0:4321 "$SHARE/sg"
	chmod 2777 "$SHARE/sg"
	check "features: a supplementary group" guest a \
		'guest-tool supplement 1234 5678 4321 /mnt/sg/in
		guest-tool supplement 1234 5678 4322 /mnt/sg/out'
	check "features: decides over the setgid bit" \
		test "$(cd "$SHARE/sg" && stat -c '%n %u:%g %a' in out)" = \
		$'in 1234:4321 2775\nout 1234:4321 775'
	mkdir -m 777 "$SHARE/idmap"
	chown 2000:2000 "$SHARE/idmap"
	check "features: an idmapped mount" guest a 'mkdir /tmp/i
		guest-tool idmap /mnt/idmap /tmp/i 2000 1000
		test "$(stat -c %u:%g /tmp/i)" = 1000:1000
		guest-tool as 1000 1000 022 sh -c "echo mine >/tmp/i/f; mkdir /tmp/i/d"
		test "$(stat -c %u /mnt/idmap/f)" = 2000'
	check "features: makes files of the id that it maps to" \
		test "$(cd "$SHARE/idmap" && stat -c '%n %u:%g' d f)" = \
		$'d 2000:2000\nf 2000:2000'
}

# Two writers of one guest; every line is whole and there.
appended()
{
	test "$(sort "$SHARE/$1" | uniq | wc -l)" = 1000
	test "$(grep -c '^one [0-9]*$' "$SHARE/$1")" = 500
}

append_two()
{
	guest "$1" "cd /mnt; guest-tool append $2 one 500 &
		cd /mnt; guest-tool append $2 two 500; wait; sync"
}

test_writeback()
{
	check "features: two append with writeback" append_two b back
	check "features: nothing is lost" appended back
	check "features: a write into a file that cannot be read" guest b 'cd /mnt
		guest-tool fill part 5 100000; echo 3 >/proc/sys/vm/drop_caches
		printf XYZ | dd of=part bs=1 seek=50001 conv=notrunc 2>/dev/null; sync'
	"$TOOL" fill "$RUN/part" 5 100000
	printf XYZ | dd of="$RUN/part" bs=1 seek=50001 conv=notrunc 2>/dev/null
	check_same "features: changes that and nothing else" "$SHARE/part" "$RUN/part"
	check "features: sizes and times are the guest's" guest b 'cd /mnt
		echo 12345 >sized; truncate -s 3 sized; echo 6 >>sized; touch -d @1000 sized
		test "$(cat sized | tr "\n" ,)" = "1236,"; sync'
	check "features: and the host's" test "$(stat -c '%s %Y' "$SHARE/sized")" = "5 1000"
}

test_setuid()
{
	check "features: root writes to a setuid file" guest b \
		'cd /mnt; echo x >su; chmod 6777 su; echo y >>su; sync
		test "$(stat -c %a su)" = 6777'
	check "features: it stays setuid on the host" test "$(stat -c %a "$SHARE/su")" = 6777
	check "features: another user does" guest b \
		'guest-tool as 1234 5678 022 sh -c "echo y >>/mnt/su"; sync'
	check "features: the host takes the bits off" test "$(stat -c %a "$SHARE/su")" = 777
	check "features: truncation does too" guest b 'cd /mnt; chmod 6777 su
		guest-tool as 1234 5678 022 sh -c ": >/mnt/su"; test "$(stat -c %a su)" = 777'
}

test_direct()
{
	check "features: O_DIRECT through to the host" guest b \
		'guest-tool direct /mnt/direct 8 8M' 120
	check "features: its bytes" "$TOOL" verify "$SHARE/direct" 8 8M
}

# The cache mode never, which shared mappings and lists of names are cheap in only if told.
test_without_cache()
{
	check "features: a shared mapping with --cache never" guest c \
		'guest-tool mmap-write /mnt/map 9 300001 </dev/null'
	check "features: its bytes" "$TOOL" verify "$SHARE/map" 9 300001
	check "features: a missing name is remembered" guest c 'test ! -e /mnt/later'
	touch "$SHARE/later"
	check "features: as long as --timeout says" guest c 'test ! -e /mnt/later; sleep 6
		test -e /mnt/later'
	check "features: a list with attributes" guest c 'ls -l /mnt/sg'
	check "features: is one request more" grep -a -q "req op=READDIRPLUS" "$RUN/c/backend.log"
}

make_mounts
guest_start a
test_submounts
test_files
test_ids
check "features: two append without writeback" append_two a through
check "features: nothing is lost there" appended through
guest_stop a
drop_mounts
guest_start b --writeback --killpriv-v2 --allow-direct-io
test_writeback
test_setuid
test_direct
guest_stop b
guest_start c --cache never --allow-mmap --readdirplus --timeout negative=5 --log-level debug
test_without_cache
guest_stop c
finish
