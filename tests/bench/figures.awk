# SPDX-License-Identifier: BSD-3-Clause
# One row's figures out of bench's JSON, by tabs: operations a second, p50 and p99 in us, the
# back-end's CPU time in us, its context switches, kicks and calls for each operation. "-": not
# said.

function value(name,    at) {
	if (!match($0, "\"" name "\":[-0-9.e+]+"))
		return "-"
	at = substr($0, RSTART, RLENGTH)
	sub(/.*:/, "", at)
	return at
}

index($0, "\"row\":\"" want "\"") {
	failures = value("failures")
	if (failures != "-" && failures > 0 || value("per_second") <= 0)
		exit 1
	print value("per_second") "\t" value("p50_us") "\t" value("p99_us") "\t" value("cpu_us") \
		"\t" value("switches") "\t" value("kicks") "\t" value("calls")
}
