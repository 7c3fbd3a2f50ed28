# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154,SC2317
#
# What people do with files: git, tar, a build, rsync. Each is looked at from the host too.

# ---- git ----

git_make()
{
	local i
	mkdir "$MNT/repo"
	cd "$MNT/repo"
	git init -q -b main .
	git config user.name test
	git config user.email test@localhost
	for ((i = 0; i < $(short 200 2000); i++)); do
		mkdir -p "d$((i % 20))/e$((i % 7))"
		seq $i $((i + 50)) >"d$((i % 20))/e$((i % 7))/f$i"
	done
	git add .
	git commit -q -m one
	git checkout -q -b side
	sed -i s/5/five/ d3/*/*
	git mv d4 moved
	git commit -q -a -m two
	git checkout -q main
	git rm -q -r d5
	git commit -q -m three
	git merge -q -m four side
	[ -z "$(git status --porcelain)" ]
}

git_clone()
{
	git clone -q --no-local "$MNT/repo" "$MNT/clone"
	cd "$MNT/clone"
	git gc -q --aggressive --prune=now
	git fsck --strict --full
	[ "$(git rev-parse HEAD)" = "$(git -C "$MNT/repo" rev-parse HEAD)" ]
	[ -z "$(git status --porcelain)" ]
}

# The same repositories in the shared directory itself.
git_host()
{
	local repo
	for repo in repo clone; do
		git -C "$SHARE/$repo" fsck --strict --full
		[ -z "$(git -C "$SHARE/$repo" status --porcelain)" ]
	done
	diff -r -x .git "$SHARE/repo" "$SHARE/clone"
}

test_git()
{
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
	mount_start
	check "git: init, add, commit, branch, merge" git_make
	check "git: clone, gc and fsck" git_clone
	check "git: the host finds the same" git_host
	mount_stop git
}

# ---- tar ----

tar_in()
{
	tar -C "$RUN/tree" --format=posix -S -c . | tar -C "$MNT/tree" -x -p
	"$TOOL" tree-list "$RUN/tree" >"$RUN/list"
	"$TOOL" tree-list "$SHARE/tree" >"$RUN/list.host"
	diff "$RUN/list" "$RUN/list.host" | head
	cmp "$RUN/list" "$RUN/list.host"
}

tar_out()
{
	mkdir "$RUN/back"
	tar -C "$MNT/tree" --format=posix -S -c . | tar -C "$RUN/back" -x -p
	"$TOOL" tree-list "$RUN/back" >"$RUN/list.back"
	cmp "$RUN/list" "$RUN/list.back"
}

tar_remove()
{
	rm -r "$MNT/tree"
	[ -z "$(ls -A "$SHARE")" ]
}

test_tar()
{
	local n
	n=$(short 2000 20000)
	mkdir "$SHARE/tree"
	"$TOOL" tree-make "$RUN/tree" "$n" 1 || fail "tar: the tree was not made"
	# tar leaves sockets out.
	find "$RUN/tree" -type s -delete
	mount_start --request-queues 2
	check "tar: $n files to the mount: names, data, owners, modes, times" tar_in
	check "tar: and back" tar_out
	check "tar: rm -r" tar_remove
	mount_stop tar
}

# ---- building ----

build_it()
{
	mkdir "$MNT/src"
	tar -c --exclude='./build*' --exclude=./.cache --exclude=./.git . | tar -x -C "$MNT/src"
	cd "$MNT/src"
	meson setup build "-Dtests=$(short false true)" -Dbuildtype=debug
	ninja -C build
	build/gateway/virtiofs-gateway --version
	# What was built is newer than what it was built from.
	ninja -C build | grep 'no work to do'
}

build_again()
{
	cd "$MNT/src"
	touch vhostuser/clock.h
	ninja -C build -n | grep 'Compiling C object'
	ninja -C build
	"$SHARE/src/build/gateway/virtiofs-gateway" --version
	rm -r "$MNT/src"
}

test_build()
{
	mount_start
	check "build: meson and ninja build this project on the mount" build_it
	check "build: a changed header is noticed" build_again
	mount_stop build
}

# ---- rsync ----

# rsync_twice OPTIONS: the second time there is nothing to do, by times and by checksums.
rsync_twice()
{
	rsync "$1" --delete "$RUN/from/" "$MNT/to/"
	[ -z "$(rsync "$1" --delete --itemize-changes "$RUN/from/" "$MNT/to/")" ]
	[ -z "$(rsync "$1" --checksum --dry-run --delete --itemize-changes \
		"$RUN/from/" "$SHARE/to/")" ]
}

test_rsync()
{
	"$TOOL" tree-make "$RUN/from" "$(short 500 5000)" 2 || fail "rsync: the tree was not made"
	mount_start --posix-acl=auto
	check "rsync: -aH twice, the second transfers nothing" rsync_twice -aH
	if : >"$MNT/probe" && setfattr -n user.test -v 1 "$MNT/probe" 2>/dev/null; then
		setfattr -n user.name -v "a value" "$RUN"/from/* 2>/dev/null
		setfacl -m u:1234:rw "$RUN"/from/* 2>/dev/null
		check "rsync: -aHAX twice, the second transfers nothing" rsync_twice -aHAX
	else
		skip "rsync -AX: the back-end has no extended attributes"
	fi
	mount_stop rsync
}
