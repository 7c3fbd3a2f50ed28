# SPDX-License-Identifier: BSD-3-Clause
#
# help.awk - a virtiofsd's --help as lines "OPTION VALUE": "-" for no value, "?" for any
#
# Of the C one: "    -o sandbox=namespace|chroot", "    -o flock|no_flock", "    --fd=FDNUM", and
# "-o cache=<mode>" with 'could be one of "auto, always"'. Of the Rust one: "      --cache <CACHE>",
# whose words are in brackets, "(auto, always)", or a list of "- word: ...", on lines below;
# "--posix-acl[=<never|auto|always>]"; "-h, --help". Items of -o have "-o=" before their name.

function flush(    i, n, word)
{
	if (option == "")
		return
	n = split(words, word, /[|,] */)
	for (i = 1; i <= n; i++)
		print option, word[i]
	if (n == 0)
		print option, value
	option = words = ""
}

# What is written as (auto, always), or one of "auto, always".
function find_words(text)
{
	if (!match(text, /(one of "|\()[a-z-]+(, [a-z-]+)+/))
		return
	words = substr(text, RSTART, RLENGTH)
	sub(/^(one of "|\()/, "", words)
}

# "-o name|no_name", "-o name=a|b", "-o name=<any>".
function item(line,    i, n, name)
{
	sub(/^-o /, "", line)
	sub(/  .*/, "", line)
	if (line ~ /=/) {
		option = "-o=" substr(line, 1, index(line, "=") - 1)
		line = substr(line, index(line, "=") + 1)
		value = "?"
		words = line ~ /^[a-z|]+$/ ? line : ""
		return
	}
	sub(/ .*/, "", line)
	n = split(line, name, /[|\/]/)
	for (i = 1; i <= n; i++)
		print "-o=" name[i], name[i] == "max_idle_threads" ? "?" : "-"
}

{ match($0, /^ */); indent = RLENGTH }

# A line that begins with an option, and not far from the left.
indent >= 2 && indent <= 8 && $1 ~ /^-./ {
	flush()
	line = substr($0, indent + 1)
	# Two names of one option.
	while (match(line, /^-[a-zA-Z],? +-/)) {
		print substr(line, 1, 2), "-"
		line = substr(line, RLENGTH)
	}
	if (line ~ /^-o [a-z]/) {
		item(line)
		find_words($0)
	} else if (line !~ /^-o/) {
		sub(/  .*/, "", line)
		option = line
		sub(/[[= ].*/, "", option)
		value = line ~ /[= ][<A-Z]/ ? "?" : "-"
		if (match(line, /\[=<[a-z|]+>/)) {
			print option, "-"
			words = substr(line, RSTART + 3, RLENGTH - 4)
		}
	}
	next
}
option != "" && value == "?" && words == "" { find_words($0) }
option ~ /^--migration/ && match($0, /^ +- [a-z-]+: /) {
	sub(/:$/, "", $2)
	words = words == "" ? $2 : words "|" $2
}
END { flush() }
