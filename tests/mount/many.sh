# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154,SC2317
#
# More files than a process may open: they are all found, and cost little.

many_make()
{
	python3 - "$SHARE" "$1" <<-'END'
		import os, sys
		share, n = sys.argv[1], int(sys.argv[2])
		for i in range(n // 1000):
		    os.mkdir(f"{share}/d{i}")
		    fd = os.open(f"{share}/d{i}", os.O_RDONLY)
		    for j in range(999):
		        os.close(os.open(f"file{j}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
		    os.close(fd)
	END
}

rss_kib()
{
	# The service is the supervisor's child.
	awk '/^VmRSS/ { print $2 }' "/proc/$(pgrep -P "$backend_pid" | head -n 1)/status"
}

# many_find N: each is named once, and each is asked for its attributes.
many_find()
{
	local before after
	before=$(rss_kib)
	[ "$(find "$MNT" | wc -l)" = $(($1 + 1)) ]
	[ "$(find "$MNT" -newer "$RUN/sock" | wc -l)" = 0 ]
	after=$(rss_kib)
	echo $(((after - before) * 1024 / $1)) >"$RUN/bytes"
	[ "$(cat "$MNT/d0/file7" | wc -c)" = 0 ]
	! grep -E '^(WARN|ERROR)' "$RUN/backend.log"
}

# many_small: what an inode costs, its name included.
many_small()
{
	[ "$(cat "$RUN/bytes")" -le 300 ]
}

# many_as N NAME PREFIX...: with 1,024 open files at most.
many_as()
{
	local n=$1 name=$2
	shift 2
	LIMIT=("$@" prlimit --nofile=1024:1024)
	mount_start
	LIMIT=()
	check "many: find over $n files with 1,024 open ones, as $name" many_find "$n"
	check "many: $(cat "$RUN/bytes" 2>/dev/null) bytes for each" many_small
	mount_stop "many as $name"
}

test_many()
{
	local n
	n=$(short 50000 1000000)
	many_make "$n" || fail "many: no files"
	many_as "$n" root
	chmod 0777 "$RUN"
	many_as "$n" nobody setpriv --reuid=nobody --regid=nogroup --clear-groups
}
