# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154,SC2317
#
# What people do with files: git, tar, a build, rsync, sqlite3. Each is looked at from the host too.

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
	mount_start
	check "rsync: -aH twice, the second transfers nothing" rsync_twice -aH
	if : >"$MNT/probe" && setfattr -n user.test -v 1 "$MNT/probe" 2>/dev/null; then
		setfattr -n user.name -v "a value" "$RUN"/from/* 2>/dev/null
		check "rsync: -aHAX twice, the second transfers nothing" rsync_twice -aHAX
	else
		skip "rsync -AX: the back-end has no extended attributes"
	fi
	mount_stop rsync
}

# ---- sqlite3 ----

# sql DATABASE STATEMENTS
sql()
{
	sqlite3 -bail -cmd '.timeout 20000' "$1" "$2"
}

# sqlite_insert DATABASE WRITER N: so many transactions.
sqlite_insert()
{
	local i
	for ((i = 0; i < $3; i++)); do
		echo "BEGIN IMMEDIATE;"
		echo "INSERT INTO t (writer, n, x) VALUES ($2, $i, hex(randomblob(300)));"
		echo "UPDATE sum SET n = n + $i; COMMIT;"
	done | sqlite3 -bail -cmd '.timeout 20000' "$1"
}

# sqlite_writers N DATABASE...: two writers of each path, which is the same database.
sqlite_writers()
{
	local n=$1 writer=0 db pid pids=() count
	shift
	sql "$1" 'PRAGMA journal_mode = WAL; CREATE TABLE sum (n); INSERT INTO sum VALUES (0);
		CREATE TABLE t (writer, n, x, UNIQUE (writer, n));' | grep wal
	for db in "$@" "$@"; do
		sqlite_insert "$db" $writer "$n" &
		pids+=($!)
		writer=$((writer + 1))
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	for db; do
		sql "$db" 'PRAGMA integrity_check' | grep -x ok
		count=$(sql "$db" 'SELECT count(*), (SELECT n FROM sum) FROM t')
		[ "$count" = "$((writer * n))|$((writer * n * (n - 1) / 2))" ]
	done
}

sqlite_host()
{
	sql "$SHARE/db" 'PRAGMA integrity_check' | grep -x ok
}

# A lock taken on the mount keeps the host from taking it.
locks_reach_the_host()
{
	local status=1
	: >"$MNT/lock"
	python3 - "$MNT/lock" "$SHARE/lock" <<-'END' && status=0
		import fcntl, os, sys
		guest, host = (open(path, "r+") for path in sys.argv[1:])
		fcntl.lockf(guest, fcntl.LOCK_EX | fcntl.LOCK_NB)
		pid = os.fork()
		if pid == 0:
		    try:
		        fcntl.lockf(host, fcntl.LOCK_EX | fcntl.LOCK_NB)
		    except OSError:
		        os._exit(0)
		    os._exit(1)
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
	rm "$MNT/lock"
	return $status
}

test_sqlite()
{
	local n
	n=$(short 100 2000)
	mount_start
	check "sqlite3: WAL, two writers of $n transactions" sqlite_writers "$n" "$MNT/db"
	mount_stop sqlite3
	check "sqlite3: the host finds it whole" sqlite_host

	# Two kernels with caches of their own agree on nothing.
	mount_start --cache never
	if locks_reach_the_host; then
		check "sqlite3: the mount and the host at once" sqlite_two "$n"
	else
		skip "sqlite3 on the mount and the host at once: locks do not reach the host"
	fi
	mount_stop sqlite3
}

# WAL needs memory that both map, which two kernels do not have: so with a journal.
sqlite_two()
{
	sql "$MNT/two" 'PRAGMA journal_mode = DELETE; CREATE TABLE sum (n);
		INSERT INTO sum VALUES (0); CREATE TABLE t (writer, n, x, UNIQUE (writer, n));'
	sqlite_insert "$MNT/two" 1 "$1" &
	sqlite_insert "$SHARE/two" 2 "$1"
	wait $!
	sql "$MNT/two" 'SELECT count(*), (SELECT n FROM sum) FROM t' |
		grep -x "$((2 * $1))|$(($1 * ($1 - 1)))"
	sql "$SHARE/two" 'PRAGMA integrity_check' | grep -x ok
}
