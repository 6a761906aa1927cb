# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Shared by the vm-* commands; sourced by bash.  A running VM is a directory:
#   pid          of QEMU
#   session/     the guest's /session: commands, their output and exit codes
#   agent.in     FIFO to the guest's agent;  mon.in FIFO to QEMU's monitor
#   serial.log   the guest's console;  qemu.log QEMU's messages and traces

# shellcheck disable=SC2034 # used by those who source this
vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_base=${VGPU_VM_DIR:-${TMPDIR:-/tmp}/vgpu-vm-$(id -u)}

vm_say() { printf '%s\n' "$(basename "$0"): $*" >&2; }
vm_die() { vm_say "$@"; exit 125; }

vm_dir() {
    case $1 in
    '' | */* | .* | -*) vm_die "bad VM name '$1'" ;;
    esac
    printf '%s\n' "$vm_base/$1"
}

vm_alive() {
    [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null
}

# Sleeps without starting a process: the machine is busy emulating.
exec {vm_never}<> <(:)
vm_nap() {
    read -r -t "$1" -u "$vm_never" _ || true
}

# $1 FIFO, $2 line. Opened read-write, so that it cannot hang without a reader.
vm_send() {
    printf '%s\n' "$2" 1<>"$1"
}

vm_quote() {
    printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Ends QEMU by force and waits until it is gone.
vm_end() {
    local i
    vm_alive "$1" && kill "$(cat "$1/pid")" 2>/dev/null
    for ((i = 0; i < 300; i++)); do
        vm_alive "$1" || return 0
        vm_nap 0.02
    done
}
