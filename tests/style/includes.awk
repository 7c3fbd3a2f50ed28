# SPDX-License-Identifier: BSD-3-Clause
# Who may include what, and in which order. Prints RULE <tab> FILE:LINE <tab> WHAT.

function bad(rule, what) {
	printf "%s\t%s:%d\t%s\n", rule, name, FNR, what
}

function floor_of(path) {
	sub(/\/.*/, "", path)
	return path in rank ? rank[path] : 99
}

# Headers of the system that only some folders, or files that begin like this, may see.
function only(header, places) {
	reserved[++n_reserved] = "^" header "$"
	allowed[n_reserved] = "^(" places ")[/._]"
}

BEGIN {
	rank["vhostuser"] = 1
	rank["dax"] = 2
	rank["fuse"] = 3
	rank["gateway"] = 4
	only("ev\\.h", "gateway|tests")
	only("fuse(_[a-z]+)?\\.h", "fuse|dax/view|tests")
	only("fuse3/.*", "fuse|dax/view|tests")
	only("linux/fuse\\.h", "fuse|dax/view|gateway/frontend|tests")
	only("linux/virtio_ring\\.h", "vhostuser")
	only("linux/vhost(_types)?\\.h", "vhostuser")
}

FNR == 1 {
	name = FILENAME
	sub(/^\.\//, "", name)
	own = name
	sub(/\.c$/, ".h", own)
	has_own = own != name && (getline line < own) >= 0
	close(own)
	n = depth = 0
	split("", before)
	kind = 0 # 1: the own header, 2: the system's, 3: the project's
}

/^#[ \t]*if/ { depth++ }
/^#[ \t]*endif/ { depth-- }

/^#[ \t]*include/ {
	target = $0
	sub(/^#[ \t]*include[ \t]*["<]/, "", target)
	sub(/[">].*/, "", target)
	n++
	quoted = /"/
	if (quoted)
		project()
	else
		system_header()
	if (depth == 0 && name !~ /^tests\//)
		order()
}

function project(    line, found) {
	if (target !~ /\//) {
		if (name !~ /^tests\/guest\/tool\//) # a program of its own, for guests
			bad("include-path", "not by its path from the root: " target)
		return
	}
	found = (getline line < target) >= 0
	close(target)
	if (!found)
		bad("include-path", "no such file from the root: " target)
	if (floor_of(target) > floor_of(name))
		bad("floors", "includes upward: " target)
	if (has_own && target == own && n != 1)
		bad("include-order", "its own header is not the first include")
	if (has_own && target != own && n == 1)
		bad("include-order", "its own header comes first, not " target)
}

function system_header(    i) {
	for (i = 1; i <= n_reserved; i++)
		if (target ~ reserved[i] && name !~ allowed[i])
			bad("floors", "only " allowed[i] " may include <" target ">")
	if (has_own && n == 1)
		bad("include-order", "its own header comes first, not <" target ">")
}

function is_first(    folder) {
	folder = name
	sub(/[^\/]*$/, "", folder)
	return target == own || !has_own && name ~ /\.c$/ && index(target, folder) == 1
}

# Own header, system A-Z, project A-Z. A .c file without a header of its name begins with the one of
# its folder that declares its functions. The kernel's headers are a list of their own, anywhere
# among the system's.
function order(    now, list) {
	now = quoted ? (n == 1 && is_first() ? 1 : 3) : 2
	list = now (target ~ /^linux\// ? "linux" : "")
	if (now < kind)
		bad("include-order", "system headers come before the project's: " target)
	else if (list in before && target < before[list])
		bad("include-order", target " comes before " before[list])
	kind = now
	before[list] = target
}
