# shellcheck shell=bash disable=SC1083,SC2034,SC2086,SC2093
# SPDX-License-Identifier: BSD-3-Clause
#
# lib.sh - what the guest tests (test-*.sh) are written with
#
# Checks. One line each on stdout; a script's status is 1 if any check failed.
#   ok NAME | not_ok NAME REASON | skip NAME REASON
#   check NAME COMMAND...     ok if the command succeeds; else its last line of output is the reason
#   check_same NAME A B       ok if two files are equal
#
# Guests. Several may live at a time, each with a name of the test's choosing.
#   guest_start NAME [OPTION...]        start a back-end on $SHARE (or $SHARE_DIR) with these
#                                       options, boot a guest on it, mount the share at /mnt
#   guest NAME SCRIPT [SECONDS]         run a shell script in it (sh -e -o pipefail); its output and
#                                       status; 124 when time is out or the guest is dead
#   guest_stop NAME                     power off; the back-end must end by itself, with status 0
#   guest_kill NAME                     pull the plug
#   guest_reset NAME                    reset (QMP), wait for it, mount again
#   qmp NAME COMMAND [ARGUMENTS-JSON]   a QMP command; its answer
#
# Besides: wait_until SECONDS COMMAND..., scaled SECONDS, $TOOL (guest-tool, on the host), $RUN (a
# temporary directory), $SHARE (the shared one in it). At the end, however it comes, every process
# is killed and $RUN removed; after a failure the logs are kept in .cache/guest/logs.
#
# $MOUNT_OPTIONS are what the share is mounted with.
#
# GUEST_KERNEL  stock (default), newer or newest
# TEST_SCALE    per cent of the long times (30 s of hammering, a minute's pause); default 33
# Others: backend.sh, qemu.sh.
set -uo pipefail

HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
ROOT=$(readlink -f "$HERE/../..")
TEST=$(basename "$0" .sh)
GUEST_BACKEND=${GUEST_BACKEND:-gateway}
GUEST_GATEWAY=${GUEST_GATEWAY:-$ROOT/build/gateway/virtiofs-gateway}
GUEST_KERNEL=${GUEST_KERNEL:-stock}
TEST_SCALE=${TEST_SCALE:-33}
if [[ -z ${GUEST_PEER:-} ]]; then
	GUEST_PEER=/usr/lib/qemu/virtiofsd
	[[ -x $GUEST_PEER ]] || GUEST_PEER=/usr/libexec/virtiofsd
fi
FAILED=0
declare -A GUEST_PID=() AGENT_IN=() AGENT_OUT=() QMP_IN=() QMP_OUT=()

# shellcheck source=tests/guest/qemu.sh
. "$HERE/qemu.sh"
# shellcheck source=tests/guest/backend.sh
. "$HERE/backend.sh"

ok()
{
	echo "ok $1"
}

not_ok()
{
	echo "not ok $1: $2"
	FAILED=1
}

skip()
{
	echo "skip $1: $2"
}

die()
{
	not_ok "$TEST" "$*"
	exit 1
}

check()
{
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if ((status == 0)); then
		ok "$name"
	else
		output=$(tail -n 1 <<<"$output")
		not_ok "$name" "status $status${output:+: $output}"
	fi
}

check_same()
{
	local difference
	if difference=$(diff "$2" "$3" 2>&1); then
		ok "$1"
	else
		not_ok "$1" "$(head -n 3 <<<"$difference" | cut -c 1-200 | tr '\n' '|')"
	fi
}

scaled()
{
	local seconds=$(($1 * TEST_SCALE / 100))
	echo $((seconds > 2 ? seconds : 2))
}

# Milliseconds since an earlier $EPOCHREALTIME.
elapsed_ms()
{
	echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000))
}

# A wait must not be cut short or stretched by the machine's load: the clock decides.
wait_until()
{
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

guest_alive()
{
	kill -0 "${GUEST_PID[$1]}" 2>/dev/null
}

guest_dead()
{
	! guest_alive "$1"
}

# Reads a line of the guest NAME from a descriptor into LINE, within SECONDS.
guest_line()
{
	local name=$1 fd=$2 end=$((SECONDS + $3 + 1)) part
	LINE=
	while ((SECONDS < end)); do
		# A line that comes in parts is read in parts: what was read before a time-out
		# counts.
		if IFS= read -r -t 1 -u "$fd" part; then
			LINE+=$part
			return 0
		fi
		LINE+=$part
		guest_alive "$name" || return 1
	done
	return 1
}

qmp_send()
{
	local name=$1 verb=$2 arguments=${3:-}
	printf '{"execute":"%s"%s}\n' "$verb" "${arguments:+,\"arguments\":$arguments}" \
		>&"${QMP_IN[$name]}"
}

qmp()
{
	qmp_send "$@"
	while guest_line "$1" "${QMP_OUT[$1]}" 20; do
		case $LINE in
		*'"return"'*)
			echo "$LINE"
			return 0
			;;
		*'"error"'*)
			echo "$LINE"
			return 1
			;;
		esac
	done
	return 1
}

guest()
{
	local name=$1 limit=${3:-60} id=$BASHPID.$RANDOM.$SECONDS
	printf '%s %s\n' "$id" "$(base64 -w 0 <<<"$2")" >&"${AGENT_IN[$name]}"
	while guest_line "$name" "${AGENT_OUT[$name]}" "$limit"; do
		# An answer to an earlier question whose asker gave up is passed over.
		if [[ $LINE == "$id "* ]]; then
			read -r _ status output <<<"$LINE"
			base64 -d <<<"${output:-}"
			return "$status"
		fi
	done
	echo "no answer from guest $name within $limit s"
	return 124
}

guest_hello()
{
	while guest_line "$1" "${AGENT_OUT[$1]}" 60; do
		[[ $LINE != *hello ]] || return 0
	done
	return 1
}

guest_mute()
{
	die "guest $1 did not come up: $(tail -n 2 "$RUN/$1"/{serial,qemu}.log | tr -d '\r')"
}

guest_wait_hello()
{
	guest_hello "$1" || guest_mute "$1"
}

# A guest that resets before its kernel can say a word ends QEMU in silence (-no-reboot), with
# status 0. Once in some 200 boots under TCG a QEMU ended so early and silently; its status was not
# kept. A QEMU that was killed or failed is not this, and fails the test.
guest_never_spoke()
{
	guest_dead "$1" && wait "${GUEST_PID[$1]}" &&
		[[ ! -s $RUN/$1/serial.log && ! -s $RUN/$1/qemu.log ]]
}

guest_boot()
{
	local name=$1 dir=$RUN/$1 port
	mkdir -p "$dir"
	for port in agent qmp; do
		mkfifo "$dir/$port.in" "$dir/$port.out"
	done
	exec {AGENT_IN[$name]}<>"$dir/agent.in" {AGENT_OUT[$name]}<>"$dir/agent.out"
	exec {QMP_IN[$name]}<>"$dir/qmp.in" {QMP_OUT[$name]}<>"$dir/qmp.out"
	qemu_command "$KERNEL" "$INITRAMFS" "$(backend_socket "$name")" "share" "guest.mode=agent"
	[[ -z ${GUEST_USER:-} ]] || chown -R "$GUEST_USER" "$dir"
	"${QEMU[@]}" -chardev "file,id=console,path=$dir/serial.log" -serial chardev:console \
		-chardev "pipe,id=agent,path=$dir/agent" \
		-device virtserialport,chardev=agent,name=agent \
		-chardev "pipe,id=qmp,path=$dir/qmp" -mon chardev=qmp,mode=control \
		</dev/null >"$dir/qemu.log" 2>&1 &
	GUEST_PID[$name]=$!
}

guest_launch()
{
	local name=$1
	shift
	if [[ ${GUEST_SERVER:-no} == yes ]]; then
		guest_boot "$name"
		backend_start "$name" "${SHARE_DIR:-$SHARE}" "$@"
	else
		backend_start "$name" "${SHARE_DIR:-$SHARE}" "$@"
		guest_boot "$name"
	fi
	qmp "$name" qmp_capabilities >/dev/null ||
		die "guest $name has no QMP: $(<"$RUN/$name/qemu.log")"
}

guest_start()
{
	local name=$1 begin=$EPOCHREALTIME
	guest_launch "$@"
	if ! guest_hello "$name"; then
		guest_never_spoke "$name" || guest_mute "$name"
		echo "# guest $name: reset before its kernel spoke; once more"
		guest_forget "$name"
		backend_gone "$name" || backend_stop "$name"
		guest_launch "$@"
		guest_wait_hello "$name"
	fi
	guest_mount "$name"
	echo "# guest $name: $GUEST_ACCEL, mounted after $(elapsed_ms "$begin") ms"
}

guest_mount()
{
	local output
	output=$(guest "$1" "mount -t virtiofs ${MOUNT_OPTIONS:+-o $MOUNT_OPTIONS} share /mnt
		ls -d /mnt/.") ||
		die "guest $1 cannot mount: $output"
}

guest_reset()
{
	qmp "$1" set-action '{"reboot":"reset"}' >/dev/null || die "no QMP set-action"
	qmp "$1" system_reset >/dev/null || die "no QMP system_reset"
	guest_wait_hello "$1"
	guest_mount "$1"
}

# What the guest's kernel complains about, taken from its console.
guest_complaints()
{
	grep -a -E 'BUG:|WARNING:|Oops|Call Trace|blocked for more than|panic' "$RUN/$1/serial.log"
}

# The signal that the guest's QEMU died of, in GUEST_SIGNAL; false when it lives or ended by itself.
guest_signal()
{
	local status=0
	GUEST_SIGNAL=0
	guest_dead "$1" || return 1
	wait "${GUEST_PID[$1]}" 2>/dev/null || status=$?
	((status <= 128)) || GUEST_SIGNAL=$((status - 128))
	((GUEST_SIGNAL))
}

# SIGSEGV is a bug of QEMU 11.1 (the one with windows) that is known: whoever may meet it says so.
guest_segfault()
{
	[[ ${GUEST_DEVICE:-fs} == window ]] && guest_signal "$1" && ((GUEST_SIGNAL == 11))
}

guest_forget()
{
	local name=$1
	exec {AGENT_IN[$name]}>&- {AGENT_OUT[$name]}>&- {QMP_IN[$name]}>&- {QMP_OUT[$name]}>&-
	wait "${GUEST_PID[$name]}" 2>/dev/null
	rm -f "$RUN/$name"/{agent,qmp}.{in,out}
	unset "GUEST_PID[$name]" "AGENT_IN[$name]" "AGENT_OUT[$name]"
	unset "QMP_IN[$name]" "QMP_OUT[$name]"
}

# The power cord: for a guest whose back-end is gone, and which so cannot unmount.
guest_kill()
{
	kill -KILL "${GUEST_PID[$1]}" 2>/dev/null
	guest_forget "$1"
}

guest_stop()
{
	local name=$1 complaints
	printf 'off %s\n' "$(base64 -w 0 <<<'umount /mnt; poweroff -f')" >&"${AGENT_IN[$name]}"
	if ! wait_until 20 guest_dead "$name"; then
		not_ok "$TEST: guest $name powers off" "still running after 20 s"
		kill -KILL "${GUEST_PID[$name]}"
	elif guest_segfault "$name"; then
		skip "$TEST: QEMU of guest $name ends by itself" \
			"QEMU 11.1 died of SIGSEGV at its end"
	elif guest_signal "$name"; then
		not_ok "$TEST: QEMU of guest $name ends by itself" \
			"signal $GUEST_SIGNAL: $(tail -n 1 "$RUN/$name/qemu.log")"
	fi
	guest_forget "$name"
	if complaints=$(guest_complaints "$name"); then
		not_ok "$TEST: the kernel of guest $name is content" "$(head -n 1 <<<"$complaints")"
	fi
	if ! backend_gone "$name"; then
		not_ok "$TEST: the back-end of guest $name ends with it" "still running after 10 s"
		backend_stop "$name"
	elif ((BACKEND_STATUS != 0)); then
		not_ok "$TEST: the back-end of guest $name ends with it" "status $BACKEND_STATUS"
	fi
}

keep_logs()
{
	local logs=${GUEST_LOGS:-$ROOT/.cache/guest/logs}/$TEST name
	rm -rf "$logs"
	mkdir -p "$logs"
	for name in "$RUN"/*/; do
		name=$(basename "$name")
		for log in "$RUN/$name"/*.log; do
			[[ ! -f $log ]] || cp "$log" "$logs/$name-$(basename "$log")"
		done
	done
	echo "# logs are kept in $logs"
}

cleanup()
{
	local name
	trap '' INT TERM
	for name in "${!GUEST_PID[@]}"; do
		kill -KILL "${GUEST_PID[$name]}" 2>/dev/null
		wait "${GUEST_PID[$name]}" 2>/dev/null
	done
	for name in "${!BACKEND_PID[@]}"; do
		backend_stop "$name"
	done
	((FAILED == 0)) || keep_logs
	rm -rf "$RUN"
}

# Every test script ends with this: the status says whether a check failed.
finish()
{
	exit "$FAILED"
}

RUN=$(mktemp -d "${TMPDIR:-/tmp}/guest.XXXXXX")
trap cleanup EXIT
trap 'FAILED=1; exit 130' INT TERM
SHARE=$RUN/share
mkdir "$SHARE"
chmod 0755 "$RUN" "$SHARE"
TOOL=$("$HERE/guest-tool") || die "guest-tool does not build"
KERNEL=$("$HERE/kernel" "$GUEST_KERNEL") || die "no kernel for the guest"
INITRAMFS=$("$HERE/initramfs" "$KERNEL") || die "no initramfs for the guest"
if backend_peer; then
	[[ -x $GUEST_PEER ]] || die "no peer at $GUEST_PEER"
else
	[[ -x $GUEST_GATEWAY ]] || die "no gateway at $GUEST_GATEWAY; build it first"
fi
