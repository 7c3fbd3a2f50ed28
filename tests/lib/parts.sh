# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
#
# The parts of tests/run. Each prints its checks as report.sh wants them.

declare -A about=(
	[style]="what can be checked of the house style"
	[unit]="unit and property tests, gcc with ASan and UBSan (build-asan)"
	[integration]="a front-end against the gateway, the hostile suites too (build-asan, build)"
	[clang]="clang, warnings as errors, unit tests under its ASan and UBSan (build-clang)"
	[oracle]="the same random system calls on a mounted share and on a plain directory"
	[threads]="rings, pool, queues and window under ThreadSanitizer (build-tsan)"
	[peer]="the integration suite against QEMU's C virtiofsd: checks the harness"
	[guest]="virtual machines with the directory mounted"
	[dax]="virtual machines that map its files, on QEMU 11.1"
	[mount]="real programs on a back-end that this machine's kernel has mounted"
	[bench]="the benchmark against each back-end: is what they answer right?"
	[readme]="what the README tells to type"
	[sid]="build and tests with libfuse 3.18 in a chroot of Debian sid"
)

# Every error of a sanitizer ends its process with a status that nothing else uses.
export ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=exitcode=99:halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=exitcode=99:second_deadlock_stack=1

# build DIR WHAT [MESON OPTION...]: one check, "it builds".
build()
{
	local dir=$1 what=$2 log=$logs/$1.build.log
	shift 2
	# A directory that is there may be an older one's, or tests/vm's: its options are set anew.
	[ ! -f "$dir/build.ninja" ] || set -- "$@" --reconfigure
	if meson setup "$dir" "$@" >"$log" 2>&1 &&
		meson compile -C "$dir" >>"$log" 2>&1; then
		echo "ok build: $what"
		return
	fi
	echo "not ok build: $what: see below"
	grep -A4 -E 'error: |ERROR|undefined reference' "$log" | head -n 40 | cut -c 1-200 |
		sed 's/^/#   /'
	return 1
}

# Warnings are errors here and for clang; not for gcc's sanitizers, which make it warn of nothing.
plain()
{
	build build "gcc, optimised, warnings as errors" -Dwerror=true -Dbuildtype=release
}

asan()
{
	build build-asan "gcc, ASan and UBSan" -Dwerror=false -Dbuildtype=debugoptimized \
		-Db_sanitize=address,undefined
}

prefix=
# cases DIR NAME MESON-TEST-ARGUMENT...: runs tests, one line a case. The log gets its own name.
cases()
{
	local dir=$1 name=$2 log
	shift 2
	log=$dir/meson-logs/$name.txt
	rm -f "$log"
	# shellcheck disable=SC2086
	CMOCKA_MESSAGE_OUTPUT=TAP $prefix \
		meson test -C "$dir" --no-rebuild --logbase "$name" "$@" >&2
	[ -f "$log" ] || return 1
	cp "$log" "$logs/$name.txt"
	awk -f tests/lib/testlog.awk "$log"
}

# The names of the tests in DIR that match a pattern.
tests_like()
{
	meson test -C "$1" --list 2>/dev/null | sed 's,^.* / ,,; s,^.*:,,' | grep -xE "$2"
}

part_style()
{
	tests/style/run
	tests/style/selftest
}

part_unit()
{
	asan && cases build-asan unit --no-suite integration
}

# Twice: with sanitizers and no sandbox (LeakSanitizer reads /proc, which a chroot hides), then as
# it is delivered, in its sandbox, where memory and wake-ups can be measured too. What is random is
# so once: to sanitizers it says most.
part_integration()
{
	asan && GATEWAY_SANDBOX=none cases build-asan integration-asan --suite integration
	plain && cases build integration --suite integration --no-suite random
}

part_clang()
{
	CC=clang build build-clang "clang, ASan and UBSan, warnings as errors" -Dwerror=true \
		-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false &&
		cases build-clang clang --no-suite integration
}

# Without address randomisation: gcc 12's ThreadSanitizer does not stand that of newer kernels.
part_threads()
{
	local threaded
	build build-tsan "gcc, ThreadSanitizer" -Dwerror=false -Dbuildtype=debugoptimized \
		-Db_sanitize=thread || return
	mapfile -t threaded < <(
		tests_like build-tsan '.*queue.*|pool|hang|memory|session|io|window_threads|mount'
		tests_like build-tsan 'locks|lock_threads|waiter|mount_wait|mount_locks'
	)
	if setarch -R true 2>/dev/null; then
		prefix="setarch -R"
	fi
	cases build-tsan threads "${threaded[@]}"
}

# Needs the host's own kernel: FUSE, loop devices, and the file systems.
part_oracle()
{
	plain || return
	tests/oracle/run build
}

part_peer()
{
	if [ ! -x /usr/lib/qemu/virtiofsd ]; then
		echo "skip peer: the C virtiofsd left QEMU with 8.0; Debian 12 has the last one"
		return
	fi
	local status=0 rust
	asan || return
	BACKEND=peer cases build-asan peer --suite integration || status=1
	rust=$(tests/guest/rustpeer)
	BACKEND=rust PEER=$rust cases build-asan rust-peer \
		cache_modes features io ops xattr || status=1
	tests/peer/options build-asan/gateway/virtiofs-gateway /usr/lib/qemu/virtiofsd "$rust" ||
		status=1
	return $status
}

part_guest()
{
	local status=0 subset=(--quick)
	[ "$long" = no ] || subset=()
	plain || return
	tests/guest/run --kernel stock || status=1
	tests/guest/run --kernel newer "${subset[@]}" || status=1
	return $status
}

# The test combines kernels and windows itself: by pairs, or with "long" all with all.
part_dax()
{
	plain || return
	tests/guest/run dax dax-life
}

part_mount()
{
	plain || return
	tests/mount/run
}

part_bench()
{
	plain || return
	tests/bench/compare --smoke
}

part_readme()
{
	plain || return
	tests/readme/run
}

part_sid()
{
	tests/lib/sid
}
