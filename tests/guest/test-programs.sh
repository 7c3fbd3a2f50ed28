#!/bin/bash
# shellcheck disable=SC2016,SC2034
# SPDX-License-Identifier: BSD-3-Clause
#
# Programs in guests: git, tar, sqlite3 (its write-ahead log needs shared memory, which is there
# with --cache auto and always, and with never by --allow-mmap; one database for two guests at once
# with --posix-lock), and an overlayfs both of whose layers are on the share.
#
# The programs are the host's, with their libraries; they lie in the share and are taken from there.
# At TEST_SCALE=100 and above the tree that tar takes has 20,000 entries, the rest is ten times as
# much.
. "$(dirname "$0")/lib.sh"

long=$((TEST_SCALE >= 100 ? 1 : 0))
files=$((long ? 20000 : 600))
commits=$((long ? 400 : 40))
transactions=$((long ? 400 : 40))

# What a guest's script begins with. `not`: a command that must fail; "!" would pass over it.
setup='export LD_LIBRARY_PATH=/tmp/tools PATH=/tmp/tools:$PATH HOME=/tmp
	export GIT_EXEC_PATH=/tmp/tools GIT_CONFIG_NOSYSTEM=1 LC_ALL=C; cd /mnt
	not() { if "$@" >/tmp/out 2>/tmp/err; then echo "succeeds: $*"; exit 1; fi; }
	'

take_tools()
{
	local tool
	mkdir "$SHARE/tools"
	for tool in git tar sqlite3 setfattr getfattr; do
		command -v "$tool" >/dev/null || die "$tool is missing"
		cp "$(command -v "$tool")" "$SHARE/tools"
		ldd "$(command -v "$tool")" | grep -o '/[^ ]*' | xargs -I{} cp -L {} "$SHARE/tools"
	done
	# The other end of a clone is git, too.
	ln -s git "$SHARE/tools/git-upload-pack"
}

start()
{
	guest_start "$@"
	guest "$1" 'cp -r /mnt/tools /tmp; mkdir -p /lib64
		cp /tmp/tools/ld-linux-x86-64.so.2 /lib64' >/dev/null || die "no tools in guest $1"
}

# ---- git ----

test_git()
{
	check "git: init, $commits files, commit, merge" guest a "$setup n=$commits"'
		git config --global user.name test; git config --global user.email test@localhost
		git config --global gc.auto 0
		git init -q -b main --template= repo; cd repo
		while [ $n -gt 0 ]; do
			n=$((n - 1)); mkdir -p d$((n % 7)); seq $n $((n + 50)) >d$((n % 7))/f$n
		done
		git add .; git commit -q -m one
		git checkout -q -b side; sed -i s/5/five/ d3/*; git mv d4 moved
		git commit -q -a -m two
		git checkout -q main; git rm -q -r d5; git commit -q -m three
		git merge -q -m four side; test -z "$(git status --porcelain)"' 300
	check "git: clone, gc and fsck" guest a "$setup"'
		git clone -q --no-local --template= /mnt/repo clone; cd clone
		git gc -q --prune=now; git fsck --strict --full
		test "$(git rev-parse HEAD)" = "$(git -C /mnt/repo rev-parse HEAD)"
		test -z "$(git status --porcelain)"' 300
	check "git: the host finds both whole" git_host
}

git_host()
{
	local repo
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	for repo in repo clone; do
		git -C "$SHARE/$repo" fsck --strict --full && [[ -d $SHARE/$repo/moved ]] &&
			[[ -z $(git -C "$SHARE/$repo" status --porcelain) ]] || return
	done
	diff -r -x .git "$SHARE/repo" "$SHARE/clone"
}

# ---- tar ----

# The guest's own disk is its memory; tar leaves sockets out. By its path: busybox has one, too.
test_tar()
{
	local begin
	"$TOOL" tree-make "$SHARE/tree" "$files" 7 || die "tree-make failed"
	find "$SHARE/tree" -type s -delete
	"$TOOL" tree-list "$SHARE/tree" >"$RUN/tree"
	begin=$EPOCHREALTIME
	check "tar: $files entries from the share" guest a "$setup"'mkdir /tmp/tree
		/tmp/tools/tar -C /mnt/tree --format=posix -S -c . |
			/tmp/tools/tar -C /tmp/tree -x -p
		guest-tool tree-list /tmp/tree >/mnt/tree-taken' 1200
	check_same "tar: names, data, owners, modes, times are the host's" \
		"$RUN/tree" "$SHARE/tree-taken"
	check "tar: and back to the share" guest a "$setup"'mkdir /mnt/back
		/tmp/tools/tar -C /tmp/tree --format=posix -S -c . |
			/tmp/tools/tar -C /mnt/back -x -p
		rm -r /tmp/tree' 1200
	"$TOOL" tree-list "$SHARE/back" >"$RUN/tree-back"
	check_same "tar: the host finds the same" "$RUN/tree" "$RUN/tree-back"
	echo "# tar: $files entries both ways in $(elapsed_ms "$begin") ms"
}

# ---- sqlite3 ----

# The guest's functions: `sql FILE STATEMENTS`, and `insert FILE WRITER N`: so many transactions.
sqlite=$setup'
	sql() { sqlite3 -bail -cmd ".timeout 60000" "$1" "$2"; }
	insert() {
		i=0
		while [ $i -lt $3 ]; do
			echo "BEGIN IMMEDIATE;"
			echo "INSERT INTO t VALUES ($2, $i, hex(randomblob(300)));"
			echo "UPDATE sum SET n = n + $i; COMMIT;"
			i=$((i + 1))
		done | sqlite3 -bail -cmd ".timeout 60000" "$1"
	}
	'
tables='CREATE TABLE sum (n); INSERT INTO sum VALUES (0);
	CREATE TABLE t (writer, n, x, UNIQUE (writer, n));'

# sqlite_whole FILE WRITERS: what so many writers did is there, to the host.
sqlite_whole()
{
	[[ $(sqlite3 "$1" 'PRAGMA integrity_check') == ok ]] &&
		[[ $(sqlite3 "$1" 'SELECT count(*), (SELECT n FROM sum) FROM t') == \
			"$(($2 * transactions))|$(($2 * transactions * (transactions - 1) / 2))" ]]
}

# test_wal GUEST CACHE: two processes of the guest write.
test_wal()
{
	check "sqlite3: $2: a write-ahead log, two writers" guest "$1" "$sqlite"'
		sql wal "PRAGMA journal_mode = WAL; '"$tables"'" | grep -qx wal
		insert wal 1 '$transactions' & insert wal 2 '$transactions'; wait $!
		test -s wal; sql wal "PRAGMA integrity_check" | grep -qx ok
		sql wal "SELECT count(*) FROM t" | grep -qx '$((2 * transactions)) 300
	check "sqlite3: $2: the host finds it whole" sqlite_whole "$SHARE/wal" 2
	rm -f "$SHARE/wal"
}

# Without memory that two guests share there is no write-ahead log for them: with a journal.
test_two()
{
	local other status=0
	guest c "$sqlite sql two 'PRAGMA journal_mode = DELETE; $tables'" >/dev/null
	guest c "$sqlite insert two 1 $transactions" 300 >"$RUN/writer" 2>&1 &
	other=$!
	check "sqlite3: two guests at once: the first writer" \
		guest d "$sqlite insert two 2 $transactions" 300
	wait "$other" || status=$?
	check "sqlite3: two guests at once: the second ($(tail -n 1 "$RUN/writer"))" \
		test "$status" -eq 0
	check "sqlite3: both find it whole" sqlite_both
	check "sqlite3: so does the host" sqlite_whole "$SHARE/two" 2
}

sqlite_both()
{
	local name
	for name in c d; do
		guest "$name" "$sqlite"'sql two "PRAGMA integrity_check" | grep -qx ok
			sql two "SELECT count(*) FROM t" | grep -qx '$((2 * transactions)) || return
	done
}

# ---- overlayfs ----

# With --cache auto: what was copied up is asked for by name once a second has passed.

overlay='
	merge() {
		mkdir -p /tmp/merged; mount -t overlay overlay /tmp/merged -o redirect_dir=on \
			-o lowerdir=/mnt/o/low,upperdir=/mnt/o/up,workdir=/mnt/o/work
		cd /tmp/merged
	}
	'

test_overlay()
{
	check "overlayfs: both layers on the share" guest a "$setup$overlay"'
		mkdir -p o/low o/up o/work; cd o/low
		mkdir -p dir/sub opaque/old empty; echo 1 >dir/a; echo 2 >dir/sub/b
		for f in gone kept grown moved linked old; do echo low $f >$f; done
		echo x >opaque/x; ln -s kept link; mkfifo fifo
		chown 1234:5678 kept; chmod 640 kept; touch -d @1234567890 kept
		setfattr -n user.color -v blue kept; setfattr -n user.color -v red dir
		ln linked linked2
		merge; test "$(cat grown)" = "low grown"; test "$(readlink link)" = kept'
	check "overlayfs: whiteouts, opaque and moved directories, copies" guest a \
		"$setup$overlay"'cd /tmp/merged
		rm gone; rm -r empty; rm -r opaque; mkdir opaque; echo new >opaque/y
		echo up >>grown; chmod 600 kept; mv moved renamed
		mv dir away; mv away/sub away/deeper; echo 3 >away/c; rm away/a
		echo new >new; mv new old; ln linked linked3
		setfattr -n user.shape -v round kept
		not mkdir grown; not rmdir away'
	# Looked at so often: now, after a new mount, and after the share was unmounted too.
	check "overlayfs: it is as it was made" guest a "$setup$overlay"'sleep 2; '"$see"
	check "overlayfs: after a new mount" guest a "$setup$overlay"'cd /
		umount /tmp/merged; echo 3 >/proc/sys/vm/drop_caches; merge; '"$see"'
		cd /; umount /tmp/merged'
	check "overlayfs: after a new mount of the share" guest a "$setup$overlay"'cd /
		umount /mnt; mount -t virtiofs share /mnt; merge; '"$see"'cd /; umount /tmp/merged'
	check "overlayfs: whiteouts are devices on the host" overlay_host
	check "overlayfs: the lower layer is as it was" test \
		"$(cat "$SHARE"/o/low/{gone,dir/sub/b}; stat -c %a "$SHARE/o/low/kept")" \
		= $'low gone\n2\n640'
}

see='cd /tmp/merged
	test "$(find . ! -name . | sort | tr "\n" ,)" = "$(echo ./away,./away/c,./away/deeper,\
		./away/deeper/b,./fifo,./grown,./kept,./link,./linked,./linked2,./linked3,./old,\
		./opaque,./opaque/y,./renamed, | tr -d " ")"
	test "$(cat grown | tr "\n" ,)" = "low grown,up,"; test "$(cat renamed)" = "low moved"
	test "$(cat old opaque/y away/deeper/b away/c | tr -d "\n")" = newnew23
	test "$(stat -c %u:%g:%a:%Y kept)" = 1234:5678:600:1234567890
	test "$(getfattr --only-values -n user.color kept)" = blue
	test "$(getfattr --only-values -n user.shape kept)" = round
	test "$(getfattr --only-values -n user.color away)" = red
	test "$(cat linked3)" = "low linked"; test "$(readlink link)" = kept
	'

# The moved directories' old names are whited out, too.
overlay_host()
{
	local name value
	for name in gone empty moved dir away/a; do
		[[ $(stat -c %F:%t:%T "$SHARE/o/up/$name") == "character special file:0:0" ]] ||
			{ echo "no whiteout: $name"; return 1; }
	done
	value=$(getfattr --only-values -n user.virtiofs.trusted.overlay.opaque "$SHARE/o/up/opaque")
	[[ $value == y ]] || return
	getfattr --only-values -n user.virtiofs.trusted.overlay.redirect "$SHARE/o/up/away"
}

if backend_peer; then
	skip "programs" "the options differ"
	finish
fi
take_tools
start a --xattrmap ':map::user.virtiofs.:'
test_git
test_tar
test_wal a "--cache auto"
if setfattr -n user.x -v 1 "$SHARE" 2>/dev/null; then
	test_overlay
else
	skip "overlayfs" "$SHARE has no user.* attributes"
fi
guest_stop a
start b --cache always
test_wal b "--cache always"
guest_stop b
start c --cache never --posix-lock
check "sqlite3: --cache never: without shared memory, no write-ahead log" guest c "$sqlite"'
	not sql none "PRAGMA journal_mode = WAL; CREATE TABLE t (n);"; rm -f none*'
# Guests share files mapped with --cache never from Linux 6.6 on.
KERNEL=$("$HERE/kernel" newer) && INITRAMFS=$("$HERE/initramfs" "$KERNEL") ||
	die "no newer kernel for the guest"
start d --cache never --allow-mmap --posix-lock
test_wal d "--cache never --allow-mmap"
test_two
guest_stop c
guest_stop d
finish
