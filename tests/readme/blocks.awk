# SPDX-License-Identifier: BSD-3-Clause
# The code blocks of README.md that a mark stands above. Without `want` their marks, one a line:
# "LINE test: NAME" or "LINE no test: REASON", or "LINE no mark"; with -v want=LINE that block.
# Blocks of plain text (```text) are no commands and need no mark.

/^<!-- (no )?test: .* -->$/ {
	mark = $0
	sub(/^<!-- /, "", mark)
	sub(/ -->$/, "", mark)
	next
}
/^```text$/ { inside = 1; shown = 0; next }
/^```[a-z]+$/ {
	inside = 1
	shown = FNR == want
	if (!want)
		print FNR, mark == "" ? "no mark" : mark
	mark = ""
	next
}
/^```$/ { inside = 0; next }
inside && shown { print }
!inside && /./ { mark = "" }
