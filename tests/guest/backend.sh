# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
#
# backend.sh - start and stop the back-end that a guest's share comes from; sourced by lib.sh
#
# backend_start NAME DIRECTORY [OPTION...]  start one for the guest NAME and wait for its socket;
#                                           options are the gateway's
# backend_pid NAME                          its process
# backend_gone NAME [SECONDS]               wait until it ended by itself; BACKEND_STATUS is its
#                                           status
# backend_stop NAME                         SIGTERM, and wait
# backend_peer                              true if the back-end under test is the peer
#
# GUEST_BACKEND  gateway (default) or peer: another virtiofsd, which proves the harness
# GUEST_GATEWAY  the gateway's binary
# GUEST_PEER     the peer's binary: QEMU's C virtiofsd, or the Rust one

declare -A BACKEND_PID=()
BACKEND_STATUS=

backend_peer()
{
	[[ $GUEST_BACKEND == peer ]]
}

# What the peer calls our options about extended attributes, in the caller's `attributes`.
backend_peer_attributes()
{
	local c=no
	[[ $GUEST_PEER != */qemu/* ]] || c=yes
	while (($#)); do
		case $c$1 in
		no--xattrmap) attributes+=("$1" "$2") ;;
		no--xattr | no--posix-acl | no--security-label) attributes+=("$1") ;;
		yes--xattrmap) attributes+=(-o "xattrmap=$2") ;;
		yes--xattr) attributes+=(-o xattr) ;;
		yes--posix-acl) attributes+=(-o "xattr,posix_acl") ;;
		yes--security-label) attributes+=(-o "xattr,security_label") ;;
		esac
		shift
	done
}

# The peer's command line for the gateway's options, in the caller's array `command`. Only what the
# tests use, and the peer has.
backend_peer_command()
{
	local directory=$1 socket=$2 cache=auto attributes=()
	shift 2
	backend_peer_attributes "$@"
	while (($#)); do
		case $1 in
		--cache) cache=$2 ;;
		--log-level | --request-queues | --xattrmap) ;;
		--xattr | --posix-acl | --security-label)
			shift
			continue
			;;
		*) die "the peer has no $1" ;;
		esac
		shift 2
	done
	if [[ $GUEST_PEER == */qemu/* ]]; then
		[[ $cache != never ]] || cache=none
		command=("$GUEST_PEER" "--socket-path=$socket" -o "source=$directory"
			-o "cache=$cache" "${attributes[@]}")
	else
		command=("$GUEST_PEER" --shared-dir "$directory" --socket-path "$socket"
			--cache "$cache" "${attributes[@]}")
	fi
}

backend_socket()
{
	echo "$RUN/$1/fs.sock"
}

backend_start()
{
	local name=$1 directory=$2 socket command
	shift 2
	mkdir -p "$RUN/$name"
	socket=$(backend_socket "$name")
	if backend_peer; then
		backend_peer_command "$directory" "$socket" "$@"
	else
		command=("$GUEST_GATEWAY" --shared-dir "$directory" "$@")
		if [[ ${GUEST_SERVER:-no} == yes ]]; then
			command+=(--connect "$socket")
		else
			command+=(--socket-path "$socket")
		fi
	fi
	"${command[@]}" </dev/null >>"$RUN/$name/backend.log" 2>&1 &
	BACKEND_PID[$name]=$!
	[[ ${GUEST_SERVER:-no} == yes ]] && return
	wait_until 10 backend_ready "$name" ||
		die "the back-end did not open its socket: $(tail -n 3 "$RUN/$name/backend.log")"
}

backend_ready()
{
	[[ -S $(backend_socket "$1") ]] || ! backend_alive "$1"
}

backend_alive()
{
	kill -0 "${BACKEND_PID[$1]}" 2>/dev/null
}

backend_dead()
{
	! backend_alive "$1"
}

backend_pid()
{
	echo "${BACKEND_PID[$1]}"
}

backend_reap()
{
	BACKEND_STATUS=0
	wait "${BACKEND_PID[$1]}" 2>/dev/null || BACKEND_STATUS=$?
	unset "BACKEND_PID[$1]"
}

backend_gone()
{
	wait_until "${2:-10}" backend_dead "$1" || return
	backend_reap "$1"
}

backend_stop()
{
	[[ -n ${BACKEND_PID[$1]:-} ]] || return 0
	kill "${BACKEND_PID[$1]}" 2>/dev/null || true
	if ! wait_until 5 backend_dead "$1"; then
		kill -KILL "${BACKEND_PID[$1]}" 2>/dev/null || true
	fi
	backend_reap "$1"
}
