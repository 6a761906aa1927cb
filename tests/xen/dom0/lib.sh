# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For scripts in Dom0 (xen-boot): guests and what they say. Sourced by bash.
# xen-boot says where kernel, initramfs and QEMU are: XEN_KERNEL, XEN_GUEST (XEN_GUEST_MORE: with
# the files of --more), XEN_QEMU. The script says what stands before QEMU: XEN_WRAPPER.

xen_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export XEN_QEMU XEN_WRAPPER
xen_work=$TMPDIR/guests
xen_count=0
mkdir -p "$xen_work"

# guest_start NAME UUID MEMORY CPU [ARGUMENT-OF-QEMU]...: on a processor of its own.
guest_start() {
    local name=$1 uuid=$2 memory=$3 cpu=$4 arg args=''
    shift 4
    for arg in -machine xenfv-4.2,suppress-vmdesc=on "$@"; do args="$args\"$arg\","; done
    cat >"$xen_work/$name.cfg" <<EOF
name = "$name"
uuid = "$uuid"
type = "hvm"
memory = $memory
vcpus = 1
cpus = "$cpu"
tsc_mode = "native"
vga = "none"
nographic = 1
vnc = 0
sdl = 0
usb = 0
kernel = "$XEN_KERNEL/vmlinux"
ramdisk = "$XEN_GUEST"
cmdline = "console=hvc0 quiet loglevel=4 panic=-1 mitigations=off nokaslr cryptomgr.notests"
device_model_override = "$xen_here/device-model"
device_model_version = "qemu-xen"
device_model_args_hvm = [ $args ]
on_crash = "destroy"
on_reboot = "restart"
EOF
    rm -f "$(guest_log "$name")"
    # xl gives QEMU a minute to come up, which a busy machine may not do at once.
    xl create -q "$xen_work/$name.cfg" || xl create -q "$xen_work/$name.cfg" ||
        xl create -q "$xen_work/$name.cfg"
}

guest_log() { echo "/mnt/out/guest-$1.log"; }
guest_id() { xl domid "$1"; }

# within SECONDS COMMAND...: until it succeeds. On a busy machine these seconds are longer, as long
# as it takes to look so often.
within() {
    local left=$(($1 * 5))
    shift
    until "$@"; do
        [ $((left--)) -gt 0 ] || return 1
        sleep 0.2
    done
}

guest_is_ready() { grep -q '^ready after' "$(guest_log "$1")" 2>/dev/null; }

# guest_boots NAME: until it is ready, or has ended.
guest_boots() {
    ready_or_gone() { guest_is_ready "$1" || ! xl domid "$1" >/dev/null 2>&1; }
    within 900 ready_or_gone "$1"
    guest_is_ready "$1"
}

# guest_tell NAME NUMBER COMMAND: to the agent in it.
guest_tell() {
    local name=$1
    shift
    printf '%s\n' "$*" >"$(xenstore-read "/local/domain/$(guest_id "$name")/console/tty")"
}

# guest_reboots NAME: until it is another domain, for which guest_boots can wait.
guest_reboots() {
    local id
    is_another() { [ "$(guest_id "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }
    id=$(guest_id "$1")
    rm -f "$(guest_log "$1")"
    guest_tell "$1" 0 reboot -f
    within 900 is_another "$1" "$id"
}

# guest_checkpoints NAME: what could be resumed is thrown away, and the guest goes on.
guest_checkpoints() (
    set -o pipefail
    xl save -c "$1" /dev/stdout | cat >/dev/null
)

# guest_migrates NAME: live, to this very host.
guest_migrates() {
    ln -sfn "$(basename "$(guest_log "$1")")" "$(guest_log "$1--incoming")"
    xl migrate -s "$xen_here/receive" "$1" localhost
}

# guest_run NAME SECONDS COMMAND: its output, and its exit status.
guest_run() {
    local name=$1 seconds=$2 number log
    shift 2
    number=$((++xen_count))$RANDOM$RANDOM
    log=$(guest_log "$name")
    guest_tell "$name" "$number" "$*"
    within "$seconds" grep -q "^$number> " "$log" || { echo "no answer of $name to: $*"; return 124; }
    sed -n "/^<$number/,/^$number> /p" "$log" | tr -d '\r' | sed '1d;$d'
    return "$(sed -n "s/^$number> \([0-9]*\).*/\1/p" "$log")"
}

# guest_qemu NAME: the process of its device model.
guest_qemu() { xenstore-read "/local/domain/$(guest_id "$1")/image/device-model-pid"; }
