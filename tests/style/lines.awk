# SPDX-License-Identifier: BSD-3-Clause
# Rules that look at one line, one function or one file. Prints RULE <tab> FILE:LINE <tab> WHAT;
# with -v lengths=1 instead LENGTH <tab> FILE:LINE of every function.

function bad(rule, line, what) {
	if (!lengths)
		printf "%s\t%s:%d\t%s\n", rule, name, line, what
}

# Columns of a line: a tab goes to the next multiple of 8, a UTF-8 character is one column.
function columns(s,    n, i, c) {
	gsub(/[\200-\277]/, "", s)
	if (index(s, "\t") == 0)
		return length(s)
	n = 0
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		n += c == "\t" ? 8 - n % 8 : 1
	}
	return n
}

function end_of_file() {
	if (name == "")
		return
	if (last == 0)
		bad("empty", 1, "the file is empty")
	if (!spdx)
		bad("spdx", 1, "no SPDX-License-Identifier: BSD-3-Clause on top")
	if (spdx > 1)
		bad("spdx", 1, spdx " SPDX lines")
	if (prev == "" && last > 0)
		bad("blank", last, "blank line at the end of the file")
	if (is_h && !pragma)
		bad("pragma", 1, "no #pragma once")
	if (is_c && last > 700)
		bad("file-length", last, last " lines")
	if (is_c && last > 0 && !head)
		bad("theory", 2, "no comment block under the SPDX line")
	else if (is_c && floor && state && head_lines < 3)
		bad("theory", 2, "has state and only " head_lines " lines of theory")
}

function start_of_file() {
	end_of_file()
	name = FILENAME
	sub(/^\.\//, "", name)
	is_c = name ~ /\.c$/
	is_h = name ~ /\.h$/
	source = is_c || is_h
	floor = name ~ /^(vhostuser|dax|fuse|gateway)\//
	spdx = pragma = state = head = head_lines = in_head = body = para = labels = 0
	documented = last = 0
}

FNR == 1 { start_of_file() }

{
	last = FNR
	prev = $0
}

index($0, "SPDX-License-Identifier:") && name !~ /^tests\/style\// || FNR <= 2 && /SPDX-License/ {
	if (FNR > (source ? 1 : 3) || !/SPDX-License-Identifier: BSD-3-Clause( \*\/)?$/)
		bad("spdx", FNR, "not the one-line form on top: " $0)
	spdx++
}

/[ \t]$/ { bad("blank", FNR, "blanks at the end of the line") }
/\r/ { bad("blank", FNR, "a carriage return") }
columns($0) > 100 { bad("columns", FNR, columns($0) " columns") }
name !~ /^tests\/style\// && /(^|[^A-Za-z_])(TODO|FIXME|XXX)([^A-Za-z_]|$)/ {
	bad("todo", FNR, $0)
}
name !~ /^tests\/style\// && /[a-z]:\/\/[a-z]/ { bad("url", FNR, $0) }

!source { next }

/^#pragma once$/ { pragma = 1 }
/^        / { bad("indent", FNR, "indented by blanks, not by tabs") }
is_h && /^#ifndef [A-Z0-9_]+_H_*$/ { bad("pragma", FNR, "an include guard") }

# The comment block that opens a .c file.
FNR == 2 && /^\/\*/ { head = in_head = 1 }
in_head && /[A-Za-z]/ { head_lines++ }
in_head && /\*\// { in_head = 0 }

# State: an object of ours, or a variable of the file.
/^struct (gw|fs|dax|vu|vq)_[a-z_0-9]+ \{/ { state++ }
/^static [^(]*(;| = [^{]*;| = \{.*)$/ && !/^static (_Thread_local )?const / && !/\* ?const / {
	state++
}

# What only the programs' mains, and what nothing, may do.
floor && /(^|[^A-Za-z_.>])(exit|_exit|_Exit|quick_exit)\(/ && !/^ ?\*|\/\*/ &&
	name !~ /^gateway\/(.*\/)?(main|supervisor|broker|userns)\.c$/ {
	bad("exit", FNR, $0)
}
floor && /(^|[^A-Za-z_.>])abort\(/ && !/^ ?\*|\/\*/ { bad("exit", FNR, $0) }
floor && /(^|[^A-Za-z_])(pthread_create|thrd_create)\(/ && name !~ /^gateway\// {
	bad("threads", FNR, $0)
}

# Functions: a body opens with { and closes with } in the first column. `para` is the line where
# the declaration in front of it began.
/^[A-Za-z]/ && !para { para = FNR }
/^$/ || /^#/ || /\*\/$/ || /^[^{].*;$/ && !body { if (!body) para = 0 }
/^\{/ && !body {
	body = para ? para : FNR
	labels = 0
}
body && /^[a-z_0-9]+:$/ && ++labels > 1 { bad("goto", FNR, "a second label in one function") }
/^\}/ {
	if (body && lengths)
		printf "%d\t%s:%d\n", FNR - body + 1, name, body
	if (body && FNR - body + 1 > 80)
		bad("function-length", body, FNR - body + 1 " lines")
	body = para = 0
}

# A prototype in a floor's header stands in a paragraph that begins with a comment.
/^$/ || /^\}/ { documented = 0 }
/\*\/$/ { documented = 1 }
is_h && floor && /^[a-z].*[ *][a-z_0-9]+\(.*[,;)]$/ && !/^(static|typedef|return)/ && !documented {
	bad("documented", FNR, "no comment above: " $0)
}

END { end_of_file() }
