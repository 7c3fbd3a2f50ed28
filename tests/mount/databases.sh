# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154,SC2317
#
# Databases: what was committed is there, whatever happens meanwhile.

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

# sqlite_in_turn FILE WRITER N: each transaction by a process that has the file for itself, until it
# ends: so the log needs no shared memory, which kernels of different mounts have not.
sqlite_in_turn()
{
	local i tries said=$RUN/sql-$2
	for ((i = 0; i < $3; i++)); do
		for ((tries = 0; tries < 3000; tries++)); do
			sqlite3 -bail "$1" "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE;
				INSERT INTO t VALUES ($2, $i, hex(randomblob(3000)));
				UPDATE sum SET n = n + $i; COMMIT;" >/dev/null 2>"$said" && break
			grep -q 'is locked' "$said" || {
				cat "$said"
				return 1
			}
			sleep 0.01
		done
		[ $tries -lt 3000 ]
	done
}

sqlite_wal_two()
{
	local exclusive="PRAGMA locking_mode = EXCLUSIVE"
	sql "$2" "$exclusive; PRAGMA journal_mode = WAL; CREATE TABLE sum (n);
		INSERT INTO sum VALUES (0); CREATE TABLE t (writer, n, x, UNIQUE (writer, n));" |
		grep -x wal
	sqlite_in_turn "$2" 1 "$1" &
	sqlite_in_turn "$3" 2 "$1"
	wait $!
	sql "$2" "$exclusive; SELECT count(*), (SELECT n FROM sum) FROM t" |
		grep -x "$((2 * $1))|$(($1 * ($1 - 1)))"
	sql "$3" "$exclusive; PRAGMA journal_mode; PRAGMA integrity_check" | tr '\n' , |
		grep -x 'exclusive,wal,ok,'
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
	mount_start --cache never --posix-lock
	check "sqlite3: locks reach the host" locks_reach_the_host
	check "sqlite3: the mount and the host at once" sqlite_two "$n" "$MNT/two" "$SHARE/two"
	second_start --cache never --posix-lock
	check "sqlite3: two mounts by two gateways at once" \
		sqlite_two "$n" "$MNT/three" "$RUN/second/three"
	check "sqlite3: WAL from two mounts in turn" \
		sqlite_wal_two "$(short 30 500)" "$MNT/wal" "$RUN/second/wal"
	second_stop
	mount_stop sqlite3
}

# sqlite_two N PATH PATH: two writers of one database, by two kernels. WAL needs memory that both
# map, which these do not have: so with a journal.
sqlite_two()
{
	sql "$2" 'PRAGMA journal_mode = DELETE; CREATE TABLE sum (n);
		INSERT INTO sum VALUES (0); CREATE TABLE t (writer, n, x, UNIQUE (writer, n));'
	sqlite_insert "$2" 1 "$1" &
	sqlite_insert "$3" 2 "$1"
	wait $!
	sql "$2" 'SELECT count(*), (SELECT n FROM sum) FROM t' |
		grep -x "$((2 * $1))|$(($1 * ($1 - 1)))"
	sql "$3" 'PRAGMA integrity_check' | grep -x ok
}

# ---- PostgreSQL ----

# Programs of the server are not in PATH; as the user that it is for.
pg()
{
	local program
	program=$(echo /usr/lib/postgresql/*/bin/"$1")
	shift
	HOME=/ setpriv --reuid=postgres --regid=postgres --clear-groups "$program" "$@"
}

pg_begin()
{
	pg pg_ctl -D "$MNT/pg/data" -l "$MNT/pg/log" -w -t 120 \
		-o "-c listen_addresses= -k $RUN/pg-socket" start || {
		tail -n 8 "$MNT/pg/log"
		false
	}
}

pg_init()
{
	install -d -o postgres "$MNT/pg" "$RUN/pg-socket"
	pg initdb -k -A trust -U postgres -D "$MNT/pg/data"
	pg_begin
	pg createdb -h "$RUN/pg-socket" bench
	pg pgbench -h "$RUN/pg-socket" -i -s 2 -q bench
}

pg_bench()
{
	pg pgbench -h "$RUN/pg-socket" -c 4 -j 2 -n -T "$(short 3 30)" bench
	pg_sums
}

# Each transaction adds the same to three balances and one history: what is there was done whole.
pg_sums()
{
	pg psql -h "$RUN/pg-socket" -At bench -c '
		SELECT (SELECT sum(delta) FROM pgbench_history) =
			ALL (ARRAY[(SELECT sum(abalance) FROM pgbench_accounts),
			(SELECT sum(bbalance) FROM pgbench_branches),
			(SELECT sum(tbalance) FROM pgbench_tellers)]),
			(SELECT count(*) > 0 FROM pgbench_history)' | grep -x 't|t'
}

# Server, mount and gateway are killed while clients are at work.
pg_crash()
{
	local master
	pg pgbench -h "$RUN/pg-socket" -c 4 -j 2 -n -T 60 bench &
	sleep "$(short 2 10)"
	master=$(head -n 1 "$MNT/pg/data/postmaster.pid")
	# shellcheck disable=SC2046
	kill -KILL "$master" $(pgrep -P "$master") "$frontend_pid" "$backend_pid"
	! wait $!
	# Its successor looks whether there is such a process.
	wait_for pg_is_gone "$master"
}

pg_is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

pg_recover()
{
	pg_begin
	grep -i 'automatic recovery in progress' "$MNT/pg/log"
	pg_sums
	pg pg_ctl -D "$MNT/pg/data" -w stop
	pg pg_checksums --check -D "$MNT/pg/data"
}

test_postgres()
{
	chmod 0755 "$RUN"
	mount_start
	check "PostgreSQL: initdb with checksums, tables" pg_init
	check "PostgreSQL: pgbench, all sums agree" pg_bench
	check "PostgreSQL: everything is killed meanwhile" pg_crash
	wait "$frontend_pid" "$backend_pid" 2>/dev/null
	umount -l "$MNT" 2>/dev/null
	rm -f "$RUN/sock"
	mount_start
	check "PostgreSQL: recovers, sums and checksums are right" pg_recover
	mount_stop PostgreSQL
}
