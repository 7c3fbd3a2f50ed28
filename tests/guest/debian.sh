# shellcheck shell=bash disable=SC2016
# SPDX-License-Identifier: BSD-3-Clause
#
# debian.sh - fetch packages of any of Debian's suites, installing nothing; sourced by kernel and
# newqemu
#
#   say WORDS... | die WORDS...       on stderr, with the script's name
#   host_suite, next_suite            the suite that this machine runs, and the one after it
#   apt_root ROOT SUITE               make a private apt root: own lists, own cache, no package
#                                     installed; the machine's apt sees nothing of it
#   apt ROOT COMMAND ARGUMENT...      apt-get or apt-cache in it; the output is in ROOT/log
#   fetch_once DIRECTORY FUNCTION ARGUMENT...
#                                     unless DIRECTORY is there: FUNCTION ARGUMENT... WORK, which
#                                     makes DIRECTORY by a rename; WORK is removed after it
#
# Packages come from the mirror that this machine uses and are checked against Debian's archive
# keyring. No rights are needed.

say()
{
	echo "tests/guest/$(basename "$0"): $*" >&2
}

die()
{
	say "$@"
	exit 1
}

host_suite()
{
	local VERSION_CODENAME=''
	# shellcheck source=/dev/null
	. /etc/os-release
	echo "${VERSION_CODENAME:-sid}"
}

next_suite()
{
	case $(host_suite) in
	bookworm) echo trixie ;;
	*) echo sid ;;
	esac
}

# The mirror that this machine's own sources name for its suite. apt parses them for us (both
# formats); security and updates have release names of their own and fall out.
mirror()
{
	local suite
	suite=$(host_suite)
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v s="$suite" '$2 != "main" { next }
			$1 == s || $1 ~ /^(stable|testing|sid|unstable)$/ { print $3; exit }'
}

keyring()
{
	local file
	for file in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		if [[ -r $file ]]; then
			echo "$file"
			return
		fi
	done
	die "Debian's archive keyring is not installed (package debian-archive-keyring)"
}

# Writes the private apt root's configuration. A snapshot mirror's Release file may be past its
# Valid-Until; its signature is still checked.
apt_root()
{
	local root=$1 suite=$2 uri
	uri=$(mirror)
	[[ -n $uri ]] || die "no Debian mirror for suite $(host_suite) in /etc/apt/sources.list*"
	mkdir -p "$root"/{state/lists/partial,cache/archives/partial,etc}
	: >"$root/state/status"
	cat >"$root/etc/debian.sources" <<-END
		Types: deb
		URIs: $uri
		Suites: $suite
		Components: main
		Architectures: amd64
		Signed-By: $(keyring)
	END
	cat >"$root/apt.conf" <<-END
		Dir::State "$root/state";
		Dir::State::status "$root/state/status";
		Dir::Cache "$root/cache";
		Dir::Etc::sourcelist "$root/etc/debian.sources";
		Dir::Etc::sourceparts "-";
		Dir::Etc::preferences "-";
		Dir::Etc::preferencesparts "-";
		APT::Architecture "amd64";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "5";
		Acquire::Check-Valid-Until "false";
	END
}

# Runs apt quietly in the private root; its words are shown if it fails. A mirror may hiccup longer
# than apt's own tries last.
apt()
{
	local root=$1 command=$2 try
	shift 2
	for try in 1 2 3; do
		! APT_CONFIG=$root/apt.conf "$command" -q "$@" >"$root/log" 2>"$root/errors" ||
			return 0
		((try == 3)) || sleep $((try * 5))
	done
	cat "$root/log" "$root/errors" >&2
	die "$command $1 failed; its output is above"
}

fetch_once()
{
	local dest=$1 lock work
	shift
	[[ ! -d $dest ]] || return 0
	# One fetch at a time; whoever waited finds it done.
	exec {lock}>"$dest.lock"
	flock "$lock"
	if [[ ! -d $dest ]]; then
		work=$(mktemp -d "$dest.XXXXXX")
		# shellcheck disable=SC2064
		trap "rm -rf '$work'" EXIT
		"$@" "$work"
	fi
	exec {lock}>&-
}
