#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Whose files are whose, as a guest's kernel and tools see it: ids translated by a gateway that is
# root, owners kept in an attribute by one that is nobody, and nobody's plain share.
. "$(dirname "$0")/lib.sh"

if backend_peer || ((EUID != 0)); then
	skip "ids" "needs the gateway, and root"
	finish
fi

# What a user other than root starts: the same program, in a directory that is theirs.
real=$GUEST_GATEWAY
cat >"$RUN/as-nobody" <<-END
	#!/bin/sh
	exec setpriv --reuid=65534 --regid=65534 --clear-groups "$real" "\$@"
END
chmod 755 "$RUN" "$RUN/as-nobody"

nobody_start()
{
	local name=$1
	mkdir "$RUN/$name"
	chown 65534:65534 "$SHARE" "$RUN/$name"
	GUEST_GATEWAY=$RUN/as-nobody
	guest_start "$@"
	GUEST_GATEWAY=$real
}

owners()
{
	stat -c '%u:%g' "$@" | sort -u | tr '\n' ' '
}

# The guest's users: NAME is made of the uid.
# Under sh -e a "!" forgives everything: "no COMMAND" is what must fail.
no='no() { ! "$@"; }
'
users='for u in 7:7 8:8 1001:1002 2000:0; do echo "u${u%:*}:x:$u::/:/bin/sh" >>/etc/passwd; done'

# ---- translated ----

guest_start t --translate-uid=map:0:100000:1000 --translate-gid=map:0:100000:1000 \
	--translate-uid=map:1000:101000:10 --translate-gid=map:1000:101000:10 \
	--translate-uid=forbid-guest:2000:1 --translate-gid=forbid-guest:2000:1
guest t "$users"
check "ids: translated: users make files" guest t '
	mkdir -m 777 /mnt/t; touch /mnt/t/root; su u1001 -c "touch /mnt/t/user"
	test "$(stat -c %u:%g /mnt/t/root)" = 0:0; test "$(stat -c %u:%g /mnt/t/user)" = 1001:1002'
check "ids: translated: the host's owners" test \
	"$(owners "$SHARE/t/root" "$SHARE/t/user")" = "100000:100000 101001:101002 "
check "ids: translated: chown" guest t 'chown 1003:1004 /mnt/t/user; sync
	echo 3 >/proc/sys/vm/drop_caches; test "$(stat -c %u:%g /mnt/t/user)" = 1003:1004'
check "ids: translated: the host's owner after it" test "$(owners "$SHARE/t/user")" = \
	"101003:101004 "
check "ids: translated: a forbidden user makes none" guest t "$no"'
	no su u2000 -c "touch /mnt/t/bad"; no chown 2000 /mnt/t/user; no chgrp 2000 /mnt/t/user
	test ! -e /mnt/t/bad; test "$(stat -c %u:%g /mnt/t/user)" = 1003:1004'
guest_stop t
rm -r "$SHARE/t"

# ---- kept ----

nobody_start k --owner-xattr
guest k "$users"
check "ids: kept: owners and modes" guest k '
	mkdir -m 777 /mnt/k; su u1001 -c "touch /mnt/k/user"; touch /mnt/k/suid
	chown 5:6 /mnt/k/suid; chmod 6755 /mnt/k/suid; chmod 1777 /mnt/k
	echo 3 >/proc/sys/vm/drop_caches
	test "$(stat -c %u:%g:%a /mnt/k/user)" = 1001:1002:644
	test "$(stat -c %u:%g:%a /mnt/k/suid)" = 5:6:6755; test "$(stat -c %a /mnt/k)" = 1777'
check "ids: kept: an archive with all kinds of owners" guest k '
	mkdir /tmp/a; n=0; while test $n -lt 200; do
		echo $n >/tmp/a/$n; chown $((n * 7)):$((n * 3)) /tmp/a/$n
		chmod $((n % 8))40 /tmp/a/$n
		n=$((n + 1)); done
	mknod /tmp/a/zero c 1 5; mkfifo /tmp/a/fifo
	tar -C /tmp -c a | tar -C /mnt -x; echo 3 >/proc/sys/vm/drop_caches
	(cd /tmp && stat -c "%n %u %g %f %t %T" a/*) >/tmp/l1
	(cd /mnt && stat -c "%n %u %g %f %t %T" a/*) >/tmp/l2
	test "$(wc -l </tmp/l1)" = 202; cmp /tmp/l1 /tmp/l2' 60
check "ids: kept: a device is one" guest k '
	test "$(head -c 3 /mnt/a/zero | od -An -tx1 | tr -d " ")" = 000000'
check "ids: kept: a fifo is one" guest k '
	echo through >/mnt/a/fifo & test "$(cat /mnt/a/fifo)" = through'
check "ids: kept: find sees their types" guest k '
	test "$(find /mnt/a -type c)" = /mnt/a/zero; test "$(find /mnt/a -type p)" = /mnt/a/fifo
	test "$(find /mnt/a -type f | wc -l)" = 200'
check "ids: kept: the guest's kernel checks what is kept" guest k "$no"'
	chown 7:7 /mnt/a/0; chmod 600 /mnt/a/0; no su u8 -c "cat /mnt/a/0"
	su u7 -c "cat /mnt/a/0"'
check "ids: kept: all is nobody's on the host" test \
	"$(find "$SHARE" ! -user 65534 -o ! -group 65534 -o -type c -o -type p | wc -l)" = 0
kept=$(getfattr --absolute-names --only-values -n user.virtiofs.owner "$SHARE/a/zero")
check "ids: kept: what is kept" test "$kept" = "0:0:20644:1,5"
guest_stop k

# ---- one user ----

rm -r "$SHARE/k" "$SHARE/a"
nobody_start n
guest n "$users"
check "ids: nobody: every user makes files" guest n '
	mkdir -m 777 /mnt/n; touch /mnt/n/root; su u1001 -c "touch /mnt/n/user"
	su u1001 -c "mkdir /mnt/n/dir"; echo x >/mnt/n/root; test "$(cat /mnt/n/root)" = x'
check "ids: nobody: they are nobody's" test "$(owners "$SHARE"/n/*)" = "65534:65534 "
check "ids: nobody: chown is refused" guest n "$no"'no chown 5 /mnt/n/root'
guest_stop n
finish
