# SPDX-License-Identifier: BSD-3-Clause
# Tables out of figures.tsv: FS ROUND WHO ROW RATE P50 P99 CPU SWITCHES KICKS CALLS.
#   by=rate|p50    what is compared; costs: instead, what each operation costs the back-end
#   plot=FILE      the ratios to the Rust virtiofsd go there: FS ROW WHO RATIO
# A ratio is the median of the rounds' ratios: what was measured one after the other is compared.

BEGIN { FS = OFS = "\t" }

# By median latency: what so many in flight would be in a second. Calls are never in flight.
function figure(    depth) {
	depth = $4 ~ /@/ && $3 != "calls" ? substr($4, index($4, "@") + 1) : 1
	if (by == "p50")
		return $6 > 0 ? depth * 1e6 / $6 : 0
	return $5
}

{
	if (!($1 in seen_fs)) { seen_fs[$1]; fs[++n_fs] = $1 }
	if (!(($1, $4) in seen_row)) { seen_row[$1, $4]; row[$1, ++n_row[$1]] = $4 }
	if (!($3 in seen_who)) { seen_who[$3]; who[++n_who] = $3 }
	rate[$1, $4, $3, $2] = figure()
	for (i = 6; i <= 11; i++)
		other[i, $1, $4, $3, $2] = $i
	if ($2 > rounds) rounds = $2
}

function sort(list, n,    i, j, x) {
	for (i = 2; i <= n; i++) {
		x = list[i]
		for (j = i - 1; j >= 1 && list[j] > x; j--)
			list[j + 1] = list[j]
		list[j + 1] = x
	}
}

function middle(list, n) {
	if (!n) return 0
	sort(list, n)
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function median(f, r, w,    i, n, list) {
	for (i = 1; i <= rounds; i++)
		if ((f, r, w, i) in rate)
			list[++n] = rate[f, r, w, i]
	return middle(list, n)
}

function median_other(k, f, r, w,    i, n, list) {
	for (i = 1; i <= rounds; i++)
		if ((k, f, r, w, i) in other && other[k, f, r, w, i] != "-")
			list[++n] = other[k, f, r, w, i] + 0
	return n ? sprintf("%.2f", middle(list, n)) : "-"
}

# The median of w's ratios to v; least and most are left in two variables.
function ratio(f, r, w, v,    i, n, list) {
	for (i = 1; i <= rounds; i++)
		if ((f, r, w, i) in rate && (f, r, v, i) in rate && rate[f, r, v, i] > 0)
			list[++n] = rate[f, r, w, i] / rate[f, r, v, i]
	if (!n) return 0
	sort(list, n)
	least = list[1]
	most = list[n]
	return middle(list, n)
}

function cell(x) {
	return x ? sprintf("%.2f", x) : "-"
}

# What has the place of a peer or of the limit.
function verdict(f, r,    ours, bare, c) {
	ours = ratio(f, r, "ours", "rust")
	c = ratio(f, r, "ours", "c")
	bare = ratio(f, r, "ours", "bare")
	if (!ours)
		return ""
	return (ours && ours < 1 ? " behind-rust" : "") (c && c < 1 ? " behind-c" : "") \
		(bare && bare < 0.9 ? " below-0.9" : "")
}

function ratios(f,    i, j, r, w, line) {
	printf "\n%s: times the Rust virtiofsd (%s)\n", f, by == "p50" ? "by median latency" : \
		"operations/s"
	printf "%-16s %12s", "row", "rust, 1/s"
	for (j = 1; j <= n_who; j++)
		if (who[j] != "rust")
			printf " %6s", who[j]
	printf " %9s %11s\n", "ours/bare", "again/bare"
	for (i = 1; i <= n_row[f]; i++) {
		r = row[f, i]
		printf "%-16s %12.0f", r, median(f, r, "rust")
		for (j = 1; j <= n_who; j++) {
			w = who[j]
			if (w == "rust")
				continue
			x = ratio(f, r, w, "rust")
			printf " %6s", cell(x)
			if (plot && x)
				print f, r, w, x >plot
		}
		printf " %9s", cell(ratio(f, r, "ours", "bare"))
		least = most = 0
		if (ratio(f, r, "again", "bare"))
			line = sprintf("%.2f-%.2f", least, most)
		else
			line = "-"
		printf " %11s %s\n", line, verdict(f, r)
	}
}

function costs(f,    i, j, k, r, w) {
	printf "\n%s: for each operation, the back-end's us of CPU, switches, kicks, calls\n", f
	for (i = 1; i <= n_row[f]; i++) {
		r = row[f, i]
		printf "%-16s", r
		for (j = 1; j <= n_who; j++) {
			w = who[j]
			if (w == "calls" || w == "again")
				continue
			printf "  %s", w
			for (k = 8; k <= 11; k++)
				printf " %s", median_other(k, f, r, w)
			printf ";"
		}
		print ""
	}
}

END {
	for (k = 1; k <= n_fs; k++) {
		if (by == "costs")
			costs(fs[k])
		else
			ratios(fs[k])
	}
}
