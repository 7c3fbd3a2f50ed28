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

# many_moved: files whose names and links change while their fds, of which the gateway may have few,
# are closed and opened anew. Paths that the kernel holds (O_PATH) are no open files to the gateway.
many_moved()
{
	mkdir -m 0777 "$SHARE/work"
	python3 - "$SHARE" "$MNT" >"$RUN/moved" <<-'END'
		import errno, os, sys, time
		share, mnt = sys.argv[1:]
		work, host = f"{mnt}/work", f"{share}/work"

		def crowd_out():
		    for i in range(6):
		        for name in os.listdir(f"{mnt}/d{i}"):
		            os.stat(f"{mnt}/d{i}/{name}")

		def text(fd):
		    with open(f"/proc/self/fd/{fd}") as file:
		        return file.read()

		def expect(what, is_it, should_be):
		    if is_it != should_be:
		        sys.exit(f"{what}: {is_it!r}, not {should_be!r}")

		os.umask(0)
		os.mkdir(f"{work}/dir")
		names = [f"dir/f{i}" if i >= 150 else f"f{i}" for i in range(200)]
		for i, name in enumerate(names):
		    with open(f"{work}/{name}", "w") as file:
		        file.write(f"text {i}")
		opened = {i: os.open(f"{work}/{names[i]}", os.O_RDWR) for i in range(40)}
		held = {i: os.open(f"{work}/{names[i]}", os.O_PATH) for i in range(40, 200)}
		for i in range(20):
		    os.unlink(f"{work}/f{i}")
		for i in range(40, 60):
		    os.link(f"{work}/f{i}", f"{work}/l{i}")
		    os.unlink(f"{work}/f{i}")
		for i in range(60, 80):
		    os.rename(f"{work}/f{i}", f"{work}/dir/r{i}")
		for i in range(80, 100):
		    os.rename(f"{work}/f{i}", f"{work}/f{i + 20}")
		os.rename(f"{work}/dir", f"{work}/other")
		for i in range(120, 140):
		    os.rename(f"{host}/f{i}", f"{host}/h{i}")
		    with open(f"{host}/f{i}", "w") as file:
		        file.write("another")
		crowd_out()
		time.sleep(1.1)  # so long a name is believed

		for i, fd in opened.items():
		    expect(f"open file {i}", os.pread(fd, 99, 0).decode(), f"text {i}")
		    expect(f"links of {i}", os.fstat(fd).st_nlink, 0 if i < 20 else 1)
		    os.pwrite(fd, b"TEXT", 0)
		    expect(f"open file {i}, written", os.pread(fd, 99, 0).decode(), f"TEXT {i}")
		stale = 0
		for i, fd in held.items():
		    try:
		        expect(f"held file {i}", text(fd), f"text {i}")
		    except OSError as error:
		        # Only those that the host renamed, and those that have no name any more,
		        # as others were renamed to theirs; never another file.
		        if not 100 <= i < 140 or error.errno != errno.ESTALE:
		            sys.exit(f"held file {i}: {error}")
		        stale += 1
		for i in range(40, 60):
		    expect(f"link l{i}", open(f"{work}/l{i}").read(), f"text {i}")
		for i in range(150, 200):
		    expect(f"other/f{i}", open(f"{work}/other/f{i}").read(), f"text {i}")
		for i in range(120, 140):
		    expect(f"new f{i}", open(f"{work}/f{i}").read(), "another")
		    expect(f"h{i}", open(f"{work}/h{i}").read(), f"text {i}")
		print(f"{stale} of 40 that were replaced, or that the host renamed, are stale")
	END

	[ "$(find "/proc/$(pgrep -P "$backend_pid" | head -n 1)/fd" -mindepth 1 | wc -l)" -lt "$1" ]
}

# many_as N FDS NAME PREFIX...: with so many open files at most.
many_as()
{
	local n=$1 fds=$2 name=$3
	shift 3
	LIMIT=("$@" prlimit "--nofile=$fds:$fds")
	mount_start
	LIMIT=()
	check "many: find over $n files with $fds open ones, as $name" many_find "$n"
	check "many: $(cat "$RUN/bytes" 2>/dev/null) bytes for each" many_small
	check "many: files that move, with $fds open ones, as $name" many_moved "$fds"
	echo "#   $(cat "$RUN/moved")"
	rm -r "$SHARE/work"
	mount_stop "many as $name"
}

test_many()
{
	local n
	n=$(short 50000 1000000)
	many_make "$n" || fail "many: no files"
	many_as "$n" 1024 root
	chmod 0777 "$RUN"
	many_as "$n" 1024 nobody setpriv --reuid=nobody --regid=nogroup --clear-groups
	many_as "$n" 256 nobody setpriv --reuid=nobody --regid=nogroup --clear-groups
}
