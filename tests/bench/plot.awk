# SPDX-License-Identifier: BSD-3-Clause
# A plot (SVG) of ratios.tsv: a group of bars for each row, one column for each file system.

BEGIN {
	FS = "\t"
	split("c ours bare calls", order, " ")
	n_order = 4
	color["c"] = "#9aa5b1"; color["ours"] = "#d9480f"
	color["bare"] = "#1c7ed6"; color["calls"] = "#c5d9ee"
	title["c"] = "C virtiofsd"; title["ours"] = "virtiofs-gateway"
	title["bare"] = "bare loop"; title["calls"] = "its system calls alone"
	most = 6 # ratios beyond are cut off, and say so
	wide = 360; left = 120; top = 56; bar = 7; group = 4 * bar + 8
}

{
	if (!($1 in seen)) { seen[$1]; fs[++n_fs] = $1 }
	if (!($2 in rows)) { rows[$2]; row[++n_row] = $2 }
	value[$1, $2, $3] = $4
}

function text(x, y, anchor, what) {
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, what
}

function box(x, y, w, h, fill) {
	printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", \
		x, y, w, h, fill
}

function column(k,    x0, i, j, w, v, y) {
	x0 = left + (k - 1) * (wide + 30)
	text(x0, top - 8, "start", fs[k] ": times the Rust virtiofsd")
	for (i = 0; i <= most; i++) {
		printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>\n", \
			x0 + i * wide / most, top, x0 + i * wide / most, top + n_row * group, \
			i == 1 ? "#555" : "#ddd"
		text(x0 + i * wide / most, top + n_row * group + 12, "middle", i)
	}
	for (i = 1; i <= n_row; i++)
		for (j = 1; j <= n_order; j++) {
			w = order[j]
			v = value[fs[k], row[i], w]
			if (!v)
				continue
			y = top + (i - 1) * group + 4 + (j - 1) * bar
			box(x0, y, (v > most ? most : v) * wide / most, bar - 1, color[w])
			if (v > most)
				text(x0 + wide + 2, y + bar - 1, "start", sprintf("%.1f", v))
		}
}

END {
	printf "<svg xmlns=\"http:" "//www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
		"font-family=\"sans-serif\" font-size=\"10\">\n", \
		left + n_fs * (wide + 30) + 10, top + n_row * group + 24
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	for (j = 1; j <= n_order; j++) {
		box(left + (j - 1) * 140, 12, 10, 10, color[order[j]])
		text(left + (j - 1) * 140 + 14, 21, "start", title[order[j]])
	}
	for (i = 1; i <= n_row; i++)
		text(left - 6, top + (i - 1) * group + group / 2 + 4, "end", row[i])
	for (k = 1; k <= n_fs; k++)
		column(k)
	print "</svg>"
}
