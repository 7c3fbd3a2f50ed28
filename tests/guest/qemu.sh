# shellcheck shell=bash disable=SC2034,SC2054
# SPDX-License-Identifier: BSD-3-Clause
#
# qemu.sh - the command line of a guest's QEMU; sourced by lib.sh and by tests/vm
#
# qemu_command KERNEL-DIR INITRAMFS SOCKET TAG APPEND
#     Fills the array QEMU with a command that boots the kernel with the share TAG of SOCKET.
#     The caller appends its own consoles, ports and chardevs.
#
# GUEST_ACCEL   kvm or tcg; unset: KVM if a guest really runs with it, else TCG
# GUEST_APPEND  more words for the kernel's command line
# GUEST_MEMORY  guest memory in MiB (default 512)
# GUEST_QUEUES  request queues of the device (default 1)
# GUEST_QUEUE_SIZE  entries of each of its queues (default 1024)
# GUEST_SERVER  yes: QEMU is the socket's server and waits for the back-end
# GUEST_QEMU    the QEMU to run (default: the machine's; tests/guest/newqemu prints a newer one's)
# GUEST_DEVICE  fs (default): vhost-user-fs; window: QEMU 11.1's generic device, which has memory
#               windows and takes the tag from the back-end
# GUEST_USER    the user that QEMU runs as (default: the caller)

# Runs five instructions in a VM, of the machine's own QEMU, that end in a device's exit code.
# /dev/kvm being there says little:
# nested or filtered KVM fails later, at the first vCPU or at its first MSR.
qemu_kvm_works()
{
	local rom status=0
	[[ -r /dev/kvm && -w /dev/kvm ]] || return 1
	rom=$(mktemp)
	# mov al,0x10; out 0xf4,al; hlt - at the reset vector, 16 bytes below the end
	{
		head -c 65520 /dev/zero
		printf '\xb0\x10\xe6\xf4\xf4'
		head -c 11 /dev/zero
	} >"$rom"
	# In braces: the shell's own word about an aborted QEMU goes nowhere, too.
	{
		timeout 5 qemu-system-x86_64 -M pc -accel kvm -cpu host -m 16 -nodefaults \
			-display none -bios "$rom" -device isa-debug-exit,iobase=0xf4,iosize=1 ||
			status=$?
	} >/dev/null 2>&1
	rm -f "$rom"
	((status == 33))
}

# Sets GUEST_ACCEL, once; the environment's word is final.
qemu_accel()
{
	if [[ -z ${GUEST_ACCEL:-} ]]; then
		if qemu_kvm_works; then GUEST_ACCEL=kvm; else GUEST_ACCEL=tcg; fi
	fi
	export GUEST_ACCEL
}

qemu_command()
{
	local kernel=$1 initramfs=$2 socket=$3 tag=$4 append=$5
	local accel=kvm cpu=host memory=${GUEST_MEMORY:-512} server= device user=()
	qemu_accel
	if [[ $GUEST_ACCEL == tcg ]]; then
		# Without cx16: QEMU 7.2's cmpxchg16b helper now and then returns wrong flags, and
		# SLUB in the guest double faults. And kernels from 6.12 on, which patch their code
		# more, meet a stale int3 when two vCPUs really run in parallel: one thread for
		# both. (Measured: 4 of 25 boots of 6.12 panicked without, 0 of 40 with; 0 of 40 of
		# 6.1.)
		cpu=qemu64,-cx16
		accel=tcg,thread=multi
		[[ $(<"$kernel/version") == 6.1.* ]] || accel=tcg,thread=single
	fi
	[[ ${GUEST_SERVER:-no} == no ]] || server=,server=on
	device=vhost-user-fs-pci,chardev=fs,tag=$tag,queue-size=${GUEST_QUEUE_SIZE:-1024}
	device+=,num-request-queues=${GUEST_QUEUES:-1}
	if [[ ${GUEST_DEVICE:-fs} == window ]]; then
		# 26 is virtio-fs; 44 the bytes of its configuration; one queue is for FORGETs.
		device=vhost-user-test-device-pci,chardev=fs,virtio-id=26,config_size=44
		device+=,vq_size=128,num_vqs=$((1 + ${GUEST_QUEUES:-1}))
	fi
	[[ -z ${GUEST_USER:-} ]] ||
		user=(setpriv "--reuid=$GUEST_USER" --clear-groups --inh-caps=-all)
	QEMU=(
		"${user[@]}" "${GUEST_QEMU:-qemu-system-x86_64}"
		-nodefaults -no-user-config -display none -no-reboot
		-M q35 -accel "$accel" -cpu "$cpu" -smp 2 -m "${memory}M"
		-object "memory-backend-memfd,id=mem,size=${memory}M,share=on" -numa node,memdev=mem
		-kernel "$kernel/vmlinuz" -initrd "$initramfs"
		-append "console=ttyS0 quiet panic=-1 guest.tag=$tag $append ${GUEST_APPEND:-}"
		-chardev "socket,id=fs,path=$socket$server"
		-device "$device"
		-device virtio-serial-pci
	)
}
