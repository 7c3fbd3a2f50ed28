# SPDX-License-Identifier: BSD-3-Clause
# From meson's testlog.txt with cmocka's TAP output in it, one `ok`, `not ok` or `skip` line a case.
#
# A program that crashes, hangs, leaks or runs fewer cases than it planned counts as one failure
# more than its cases say. The log of a program that failed follows as `#` lines, its end only.
# A skip must say why: the test prints "skipped: REASON" before it calls skip(). A program that has
# nothing to run plans for no case, says why behind the plan, and ends with 77.

BEGIN { most = 40 }

# Failures come after the other cases, with the log under them.
function fail(what, why) {
	failures[++failed] = "not ok " what ": " why
	explains = 1
}

function flush(    i) {
	if (name == "")
		return
	if (whole != "" && result == "exit status 77")
		print "skip " name ": " whole
	else if (result != "exit status 0" && !failed)
		fail(name, result)
	else if (planned != cases)
		fail(name, cases " cases of " planned " reported, " result)
	else if (!cases)
		fail(name, "ran no case")
	for (i = 1; i <= failed; i++)
		print failures[i]
	if (failed)
		for (i = n > most ? n - most + 1 : 1; i <= n; i++)
			print "#   " text[i]
	name = ""
}

/^=+ [0-9]+\/[0-9]+ =+$/ {
	flush()
	n = cases = planned = failed = in_output = 0
	reason = result = whole = ""
	next
}
/^Summary of Failures:$/ || /^Ok: +[0-9]+ *$/ { flush() }
/^test: / && !in_output {
	name = $0
	sub(/^test: +/, "", name)
	sub(/^.* \/ /, "", name) # "project:suite / name", as meson wrote it before 1.9,
	sub(/^(.* - )?[^:]*:/, "", name) # "suite - project:name" after
}
/^result: / && !in_output { result = $0; sub(/^result: +/, "", result) }
/^-+ (stdout|stderr) -+$/ { in_output = 1 }
!in_output || name == "" { next }

{ text[++n] = $0 }

# What cmocka says of a failed case stands under it: "# " lines (1) or indented ones (2).
explains && /^(# |  )/ { failures[failed] = failures[failed] "\n#   " $0; next }
{ explains = 0 }

/^1\.\.0 # skipped: / { whole = $0; sub(/^[^:]*: /, "", whole) }
/^1\.\.[0-9]+$/ { planned += substr($0, 4) }
/^(# )?[Ss]kip(ped)?[^:]*: / { reason = $0; sub(/^[^:]*: /, "", reason) }

# cmocka 1 says "not ok 3 # SKIP case", cmocka 2 "ok 3 - case # SKIP".
/^(not )?ok [0-9]+ (- .* )?# SKIP/ {
	cases++
	sub(/^(not )?ok [0-9]+ /, "")
	sub(/^- /, "")
	sub(/ *# SKIP */, "")
	if (reason == "") {
		fail(name "/" $0, "skipped without a reason")
	} else {
		sub("^" $0 ": ", "", reason)
		print "skip " name "/" $0 ": " reason
	}
	reason = ""
	next
}
/^not ok [0-9]+ - / {
	cases++
	sub(/^not ok [0-9]+ - /, "")
	fail(name "/" $0, "see below")
	reason = ""
	next
}
/^ok [0-9]+ - / {
	cases++
	sub(/^ok [0-9]+ - /, "")
	print "ok " name "/" $0
	reason = ""
}

END { flush() }
