# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
#
# How tests/run runs a part and what it shows of it. A part is a function part_NAME. It prints its
# checks, one line each, with `#` lines under it that explain:
#
#   ok NAME | not ok NAME: WHY | skip NAME: WHY
#
# They go to $logs/NAME.checks and are what the closing line counts. Its chatter goes to standard
# error, which is $logs/NAME.log. What a part would like to say while it runs, it says with `say`.

exec {console}>&1

say()
{
	echo "$*" >&$console
}

# count FILE...: "PASSED FAILED SKIPPED" of the lines in these files.
count()
{
	cat "$@" | awk '
		/^ok / { passed++ }
		/^not ok / { failed++ }
		/^skip / { skipped++ }
		END { print passed + 0, failed + 0, skipped + 0 }'
}

words()
{
	echo "$1 passed, $2 failed, $3 skipped"
}

run_part()
{
	local name=$1 start=$SECONDS status checks=$logs/$1.checks n
	say "== $name: ${about[$name]}"
	("part_$name") >"$checks" 2>"$logs/$name.log"
	status=$?
	read -r -a n < <(count "$checks")
	if [ $status -ne 0 ] && [ "${n[1]}" = 0 ]; then
		echo "not ok $name: ended with status $status" >>"$checks"
		tail -n 40 "$logs/$name.log" | sed 's/^/#   /' >>"$checks"
	elif [ "${n[*]}" = "0 0 0" ]; then
		echo "not ok $name: no check ran" >>"$checks"
	fi
	show "$checks"
	read -r -a n < <(count "$checks")
	say "   $(words "${n[@]}") ($((SECONDS - start)) s)"
}

# What failed with the lines that explain it, and what was skipped.
show()
{
	awk '
		/^(ok|skip) / { bad = 0 }
		/^not ok / { bad = 1 }
		/^skip / || bad && (/^not ok / || /^#/) { print "   " $0 }' "$1" >&$console
}

# The closing line; ends the program.
tally()
{
	local n
	read -r -a n < <(count "$logs"/*.checks)
	[ "${n[1]}" = 0 ] || say "full logs: ${logs#"$root"/}/"
	words "${n[@]}"
	[ "${n[1]}" = 0 ]
	exit
}
