#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# A share's life: changes by the host become visible when the cache's second (cache auto) is over;
# umount and mount; the guest resets under load and mounts again, with the same back-end process;
# the end leaves no process, socket or descriptor.
. "$(dirname "$0")/lib.sh"

# What the back-end holds open. Every socket and eventfd counts, so a leak per mount shows.
fds()
{
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# The process that serves: the C peer forks one, in a process id namespace, and waits for it.
server()
{
	local child
	child=$(pgrep -P "$(backend_pid a)" | head -n 1)
	echo "${child:-$(backend_pid a)}"
}

test_host_changes()
{
	local later=1.5
	echo old >"$SHARE/file"
	mkdir "$SHARE/d"
	echo x >"$SHARE/d/goes"
	# One look at everything fills the caches, the negative one too.
	check "life: a first look" guest a \
		'cd /mnt; test "$(cat file)" = old; ls -l d; cat d/goes; test ! -e new'
	echo "something longer" >"$SHARE/file"
	chmod 0751 "$SHARE/d"
	rm "$SHARE/d/goes"
	echo y >"$SHARE/d/came"
	echo z >"$SHARE/new"
	sleep "$later"
	check "life: the host's new content is seen" guest a \
		'test "$(cat /mnt/file)" = "something longer"'
	check "life: its new mode" guest a 'test "$(stat -c %a /mnt/d)" = 751'
	check "life: its new file" guest a 'test "$(cat /mnt/new)" = z'
	check "life: its directory" guest a 'test "$(ls /mnt/d)" = came; test ! -e /mnt/d/goes'
	mv "$SHARE/new" "$SHARE/newer"
	rm -r "$SHARE/d"
	sleep "$later"
	check "life: its rename" guest a 'test ! -e /mnt/new; test "$(cat /mnt/newer)" = z'
	check "life: its removed directory" guest a 'test ! -e /mnt/d'
	check "life: a name changes its kind" guest a 'test -f /mnt/file'
	rm "$SHARE/file"
	mkdir "$SHARE/file"
	sleep "$later"
	check "life: from file to directory" guest a 'test -d /mnt/file; echo x >/mnt/file/in'
	check "life: and it takes files" test -s "$SHARE/file/in"
}

test_remount()
{
	local before after
	check "life: umount" guest a 'cd /; umount /mnt; ! grep -q /mnt /proc/mounts'
	if backend_peer; then
		check "life: mount again" guest a 'mount -t virtiofs share /mnt'
		return
	fi
	before=$(fds "$(server)")
	check "life: umount and mount ten times" guest a '
		for i in 1 2 3 4 5 6 7 8 9 10; do
			mount -t virtiofs share /mnt
			cat /mnt/newer
			echo $i >/mnt/count
			umount /mnt
		done'
	after=$(fds "$(server)")
	check "life: no descriptor leaks with it ($before, $after)" test "$after" -le "$before"
	check "life: mount again" guest a \
		'mount -t virtiofs share /mnt; test "$(cat /mnt/count)" = 10'
}

test_reset()
{
	local pid
	pid=$(backend_pid a)
	mkdir "$SHARE/tree"
	check "life: load before a reset" guest a '
		guest-tool hammer /mnt/tree 4 100 1 >/dev/null 2>&1 &
		sleep 1; : >/mnt/"before reset"'
	guest_reset a
	check "life: reset under load, mounted again" guest a \
		'test -e "/mnt/before reset"; ls -lR /mnt >/dev/null'
	check "life: the share works" guest a 'echo after >/mnt/after; cat /mnt/after'
	check "life: the host has it" test -s "$SHARE/after"
	check "life: served by the same process" test "$pid" = "$(backend_pid a)" -a -d "/proc/$pid"
	guest_reset a
	check "life: and once more" guest a 'test "$(cat /mnt/after)" = after'
}


guest_start a --cache auto
test_host_changes
test_remount
test_reset
pid=$(server)
guest_stop a
check "life: no process is left" test ! -d "/proc/$pid"
if backend_peer; then
	skip "life: no socket is left" "the peer leaves its socket behind"
else
	check "life: no socket is left" test ! -e "$(backend_socket a)"
fi
finish
