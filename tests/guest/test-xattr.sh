#!/bin/bash
# shellcheck disable=SC2016,SC2034,SC2317
# SPDX-License-Identifier: BSD-3-Clause
#
# Extended attributes with the tools that people use (getfattr, setfattr, getfacl, setfacl, in the
# guest and on the host): plain, moved by --xattrmap, with an overlayfs on top of the share; ACLs,
# inherited ones and umasks; labels of a guest with SELinux.
#
# The tools are the host's, with their libraries; they lie in the share and are taken from there.
# The back-end needs attributes of its own file system below $TMPDIR: user.*, and ACLs.
. "$(dirname "$0")/lib.sh"

# What a guest's script begins with. `not`: a command that must fail; "!" would pass over it.
setup='export LD_LIBRARY_PATH=/tmp/tools PATH=/tmp/tools:$PATH; cd /mnt
	not() { if "$@" >/tmp/out 2>/tmp/err; then echo "succeeds: $*"; exit 1; fi; }
	'

take_tools()
{
	local tool
	mkdir "$1/tools"
	for tool in setfattr getfattr setfacl getfacl; do
		command -v "$tool" >/dev/null || return
		cp "$(command -v "$tool")" "$1/tools"
		ldd "$(command -v "$tool")" | grep -o '/[^ ]*' | xargs -I{} cp -L {} "$1/tools"
	done
}

start()
{
	guest_start "$@"
	guest "$1" 'cp -r /mnt/tools /tmp; mkdir -p /lib64
		cp /tmp/tools/ld-linux-x86-64.so.2 /lib64' >/dev/null || die "no tools in guest $1"
}

host_value()
{
	getfattr -h --only-values -n "$2" "$SHARE/$1" 2>/dev/null | tr -d '\0'
}

test_plain()
{
	check "xattr: the guest sets attributes" guest a "$setup"'
		echo x >f; mkdir d; ln -s f l; mkfifo p
		setfattr -n user.one -v 1 f; setfattr -n user.two -v 2 f
		setfattr -n user.one -v dir d'
	check "xattr: they are on the host" test \
		"$(host_value f user.one)$(host_value f user.two)$(host_value d user.one)" = 12dir
	check "xattr: the guest lists and reads them" guest a "$setup"'
		getfattr -d f | grep -v ^# | tr "\n" , >/tmp/got
		test "$(cat /tmp/got)" = "user.one=\"1\",user.two=\"2\",,"'
	check "xattr: and removes one" guest a "$setup"'setfattr -x user.one f
		not getfattr -n user.one f; grep -q "No such attribute" /tmp/err'
	check "xattr: it is gone on the host" test -z "$(host_value f user.one)"
	setfattr -n user.host -v h "$SHARE/f"
	check "xattr: the guest sees what the host sets" guest a "$setup"'
		test "$(getfattr --only-values -n user.host f)" = h'
	check "xattr: links and fifos have none for users" guest a "$setup"'
		not setfattr -h -n user.x -v 1 l; not setfattr -n user.x -v 1 p
		test -z "$(getfattr -h -d l p)"'
	check "xattr: a large value" guest a "$setup"'
		v=$(head -c 3000 /dev/zero | tr "\0" v); setfattr -n user.large -v "$v" f
		test "$(getfattr --only-values -n user.large f)" = "$v"'
	check "xattr: who may not write the file may not set one" guest a "$setup"'
		guest-tool as 1234 1234 022 getfattr -n user.two f
		not guest-tool as 1234 1234 022 setfattr -n user.two -v 3 f'
	check "xattr: file capabilities go with a write" guest a "$setup"'
		setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 f
		getfattr -n security.capability f >/dev/null; echo y >>f
		not getfattr -n security.capability f'
}

# The ACLs of FILEs, from the guest and from the host, are the same, and not empty.
same_acls()
{
	guest a "$setup getfacl -n $*" >"$RUN/acl-guest"
	(cd "$SHARE" && getfacl -n "$@") >"$RUN/acl-host"
	grep -q user:1234: "$RUN/acl-guest" && diff "$RUN/acl-guest" "$RUN/acl-host"
}

test_acl()
{
	check "acl: setfacl lets another user in" guest a "$setup"'
		echo secret >s; chmod 600 s; setfacl -m u:1234:r s
		test "$(guest-tool as 1234 1234 022 cat s)" = secret
		not guest-tool as 4321 4321 022 cat s
		not guest-tool as 1234 1234 022 sh -c "echo x >s"'
	check "acl: guest and host see the same" same_acls s
	check "acl: chmod changes the mask" guest a "$setup"'chmod 600 s
		getfacl -n s | grep -q "^mask::---"; not guest-tool as 1234 1234 022 cat s
		chmod 640 s; test "$(guest-tool as 1234 1234 022 cat s)" = secret'
	check "acl: a default ACL is inherited, whatever the umask" guest a "$setup"'
		mkdir -m 777 dd; setfacl -d -m u:1234:rwx,g::rx,o::- dd
		guest-tool as 4321 4321 077 sh -c "cd dd; echo x >f; mkdir d; mkfifo p; ln -s f l"
		test "$(stat -c %a dd/f dd/d dd/p | tr "\n" ,)" = 660,770,660,
		guest-tool as 1234 1234 022 sh -c "echo y >>dd/f; touch dd/d/x"'
	check "acl: guest and host see it inherited" same_acls dd dd/f dd/d dd/p dd/d/x
	check "acl: elsewhere the umask counts" guest a "$setup"'mkdir -m 777 um
		guest-tool as 4321 4321 027 sh -c "cd um; echo x >f; mkdir d; mkfifo p"
		test "$(stat -c %a um/f um/d um/p | tr "\n" ,)" = 640,750,640,'
	check "acl: setfacl -b takes them off" guest a "$setup"'setfacl -b s; setfacl -k dd
		getfacl -n s dd >/tmp/acls; not grep -E "1234|default" /tmp/acls'
	check "acl: off on the host, too" test -z "$(getfattr -m - "$SHARE/s")"
	check "acl: setgid goes when who sets one is not in the group" guest a "$setup"'
		echo x >sg; chown 1234:5678 sg; chmod 2755 sg
		guest-tool as 1234 5678 022 setfacl -m u:1:r sg; test "$(stat -c %a sg)" = 2755
		guest-tool as 1234 1234 022 setfacl -m u:1:rx sg; test "$(stat -c %a sg)" = 755'
	check "acl: and on the host" test "$(stat -c %a "$SHARE/sg")" = 755
}

test_map()
{
	check "xattrmap: trusted attributes are the guest root's" guest b "$setup"'
		echo x >m; setfattr -n trusted.x -v 1 m; getfattr -n trusted.x m
		not guest-tool as 1234 1234 022 getfattr -n trusted.x m'
	check "xattrmap: on the host they are user.virtiofs.*" \
		test "$(host_value m user.virtiofs.trusted.x)" = 1
	check "xattrmap: the host's own are hidden" guest b "$setup"'
		test "$(getfattr -m - m | grep -v ^# | tr "\n" ,)" = trusted.x,,'
	check "xattrmap: file capabilities go with a write, moved as they are" guest b "$setup"'
		setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 m
		chmod 666 m; guest-tool as 1234 1234 022 sh -c "echo y >>m"
		not getfattr -n security.capability m'
	check "xattrmap: on the host, too" \
		test -z "$(host_value m user.virtiofs.security.capability)"
	if backend_peer; then
		skip "xattrmap: overlayfs" "a file that is copied up cannot be opened there (EBADF)"
		return
	fi
	check "xattrmap: an overlayfs with its upper layer on the share" guest b '
		mkdir -p /tmp/low/dir/old /mnt/upper /mnt/work /tmp/merged; cd /tmp/low
		echo low >f; echo low >gone; echo low >dir/x; chown 1234:5678 f; chmod 640 f
		mount -t overlay overlay /tmp/merged \
			-o lowerdir=/tmp/low,upperdir=/mnt/upper,workdir=/mnt/work
		cd /tmp/merged; echo up >>f; rm gone; rm -r dir; mkdir dir; echo new >dir/y
		mv f g; ln g h; test "$(cat g | tr "\n" ,)" = low,up,'
	check "xattrmap: it is right after a new mount" guest b '
		umount /tmp/merged
		mount -t overlay overlay /tmp/merged \
			-o lowerdir=/tmp/low,upperdir=/mnt/upper,workdir=/mnt/work
		cd /tmp/merged; test "$(find . | sort | tr "\n" ,)" = ".,./dir,./dir/y,./g,./h,"
		test "$(stat -c %u:%g:%a g)" = 1234:5678:640; cd /; umount /tmp/merged'
	check "xattrmap: the opaque directory is on the host" \
		test "$(host_value upper/dir user.virtiofs.trusted.overlay.opaque)" = y
}

# SELinux without a policy labels all the same.
test_label()
{
	check "label: new files of every kind have one" guest c "$setup"'
		echo x >lf; mkdir ld; ls lf ld'
	check "label: it is on the host" \
		test -n "$(host_value lf user.virtiofs.security.selinux)" -a \
		-n "$(host_value ld user.virtiofs.security.selinux)"
	check "label: where it cannot be set, nothing is made" guest c "$setup"'
		not mkfifo lp; not ln -s lf ll; not ls -d lp; not ls -d ll'
}

take_tools "$SHARE" || die "getfacl or setfacl is missing (package acl), or attr's tools"
if ! setfattr -n user.x -v 1 "$SHARE" || ! setfacl -d -m u:1:r "$SHARE"; then
	skip "xattr" "$SHARE has no user.* attributes or no ACLs"
	finish
fi
setfacl -k "$SHARE"
setfattr -x user.x "$SHARE"

start a --posix-acl
test_plain
test_acl
guest_stop a
start b --xattrmap ':map::user.virtiofs.:'
test_map
guest_stop b
if backend_peer; then
	skip "label: new files have one" "CREATE with a label of a 6.1 guest is ERANGE there"
else
	GUEST_APPEND='security=selinux selinux=1' \
		start c --security-label --xattrmap ':map:security.selinux:user.virtiofs.:'
	test_label
	guest_stop c
fi
start d
check "xattr: without the option nothing is supported" guest d "$setup"'
	not setfattr -n user.x -v 1 f; grep -q "not supported" /tmp/err
	test -z "$(getfattr -d f)"'
guest_stop d
finish
