#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 400
#
# The checklist of a deployed host (tests/validate_e2e.sh) on one that has all its parts but Xen and
# a GPU: xenstored, a XAPI of the tests, watcher, plugin, publisher, plots, and a VM whose
# QEMU is on its domain's socket, set up by install.sh. All lines must pass there, and fail where
# something is missing.
# shellcheck disable=SC2154,SC2034 # of the files sourced
set -u
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xenstore/xen.sh
. "$top/tests/xenstore/xen.sh"

A=aaaaaaaa-0000-4000-8000-00000000000a
HOST=aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee
machine=validate-$$
host_root=$work/host pids=()
export VGPU_XAPI_SOCKET=$work/xapi VGPU_CONTROL_SOCKET=$work/control.sock VG_PLUGIN=$bin/vgpu \
    VGPU_PLUGIN_LOCK=$work/lock VGPU_PLUGIN_DEADLINE_MS=60000 \
    VGPU_INVENTORY=$host_root/etc/xensource-inventory

finish() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
    e2e_end
    xen_kill
}
trap finish EXIT

[ "$(id -u)" = 0 ] || { echo "needs root, as xenstored does"; exit 77; }
lacking=$(xen_lacks)
[ -z "$lacking" ] || { echo "missing: $lacking"; exit 77; }
qemu=${VGPU_QEMU:-$("$top/qemu-device/build-qemu.sh" --path 2>/dev/null)} ||
    { echo "QEMU is not built (make qemu)"; exit 77; }

# ---- the host ---------------------------------------------------------------

host_files() {
    mkdir -p "$host_root"/{etc/xenopsd.conf.d,dev/shm/metrics,run/systemd/system} "$work/tools"
    echo "INSTALLATION_UUID='$HOST'" >"$VGPU_INVENTORY"
    ln -s "$top/tests/xapi/xe.py" "$work/tools/xe"
    ln -s "$top/qemu-device/wrapper/vgpu-qemu-setup" "$work/tools/"
    # A systemd that finds all in order.
    printf '#!/bin/sh\n' >"$work/tools/systemctl"
    chmod +x "$work/tools/systemctl"
    "$work/tools/vgpu-qemu-setup" enable --root "$host_root"
}

host_starts() {
    xen_start oxenstored || return 1
    host_files
    python3 "$top/tests/xapi/serve.py" "$work/xapi" $A web platform:gpu_enabled=true >"$work/xapi.log" 2>&1 &
    pids+=($!)
    mediator_start --set "domain_socket=$work/qemu/root-{domid}/vgpu.sock" --set xenstore=yes || return 1
    "$bin/vgpu-rrdd" --file "$host_root/dev/shm/metrics/vgpu" --socket "$work/control.sock" >"$work/rrdd.log" 2>&1 &
    pids+=($!)
    within 20 test -S "$work/xapi" && "$bin/vgpu-publish" &&
        within 20 test -e "$host_root/dev/shm/metrics/vgpu"
}

# ---- the VM -----------------------------------------------------------------

product() {
    mkdir -p "$work/product"/{lib,bin}
    cp "$build"/lib/libvgpu-{cuda,nvml}.so "$work/product/lib/"
    cp "$bin"/vgpu-{warden,guest-probe} "$work/product/bin/"
    cp -r "$top"/guest-shim/{install.sh,setup} "$work/product/"
    echo 'include /etc/ld.so.conf.d/*.conf' >"$work/ld.so.conf"
}

vm_boots() {
    product
    domain_start 5 $A web gpu_enabled true
    xenstore-write "/vm/$A/domains/5" ''
    within 20 test -S "$work/qemu/root-5/vgpu.sock" || return 1
    vms+=("$machine")
    "$top/tests/vm/vm-start" "$machine" --size 16 --socket "$work/qemu/root-5/vgpu.sock" \
        --file "$(command -v ldconfig):/sbin/ldconfig" --file "$work/ld.so.conf:/etc/ld.so.conf" \
        --needs "$bin/vgpu-guest-probe" --needs "$build/lib/libvgpu-cuda.so" --share "$work/product:/product"
}

# As a VM is before anything is installed: the device is closed.
in_guest_closed() {
    in_vm "$machine" sh -c 'for d in /sys/bus/pci/devices/*; do
        [ "$(cat "$d/subsystem_vendor")" = 0x5647 ] || continue
        chmod 600 "$d"/resource*; echo 0 >"$d/enable"
    done; mkdir -p /etc/ld.so.conf.d /etc/udev/rules.d'
}
installs() { in_guest_closed && in_vm "$machine" sh /product/install.sh; }

# ---- the checklist ----------------------------------------------------------

validate() {
    PATH=$work/tools:$PATH "$top/tests/validate_e2e.sh" --control-socket "$work/control.sock" \
        --socket "$work/mediator.sock" --bin "$bin" --qemu "$qemu" --root "$host_root" "$@" >"$work/list"
    local rc=$?
    cat "$work/list"
    return $rc
}
xe.py() { "$top/tests/xapi/xe.py" "$@"; }
words=("$top/tests/vm/vm-exec" "$machine" -- sh -c)
full() { validate --vm $A --guest "${words[*]}" --program '/usr/libexec/vgpu-guest-probe'; }
has_line() { grep -q -- "^$1" "$work/list" || { cat "$work/list"; return 1; }; }
counts() { # how many lines of a kind there are
    [ "$(grep -c "^$1" "$work/list")" = "$2" ] || { cat "$work/list"; return 1; }
}
all_is_as_before() {
    has_member weight 50 && has_member rate 0 && has_member executors 0 && has_member state ok &&
        [ "$(xenstore-read /local/domain/5/platform/gpu_enabled)" = true ] &&
        ! xenstore-read /local/domain/5/platform/gpu_weight 2>/dev/null
}
has_member() { admin show-vm --vm-name=$A --json | grep -q "\"$1\": *\"\\?$2\"\\?,"; }

# Whoever may set platform keys must not act as root in Dom0.
hostile_value() {
    xe.py vm-param-set uuid=$A "platform:gpu_weight=';touch $work/hacked;'\$(touch $work/hacked)" || return 1
    full
    xe.py vm-param-set uuid=$A platform:gpu_weight=50
    [ ! -e "$work/hacked" ] && has_line 'PASS      a change of policy takes effect' &&
        has_line 'could not be changed back: set_key weight'
}

# Without a toolstack: a VM that vgpu-admin knows, whose programs run on this host.
plain() {
    admin register-vm plain --weight=33 --memory=512 >/dev/null
    VGPU_SOCKET=$work/mediator.sock validate --vm plain --helpers "$bin" --guest "$bin/vgpu-run --vm plain -- sh -c"
    counts FAIL 1 && has_line 'FAIL      guest: install.sh --check runs' &&
        has_line 'PASS      unregister-vm: nothing of it is left' &&
        admin show-vm plain | grep -q 'memory limit *512 MiB' && admin show-vm plain | grep -q 'weight *33'
}
nothing_installed() {
    in_vm "$machine" sh /product/install.sh --uninstall || return 1
    full && return 1
    has_line 'FAIL      a CUDA program in the VM'
}
unknown_vm() {
    validate --vm nobody --guest true && return 1
    has_line 'FAIL      VM nobody is registered' && counts FAIL 1
}
no_mediator() {
    mediator_stop -INT
    validate && return 1
    has_line 'FAIL      vgpu-mediator answers' && counts FAIL 1 && counts PASS 0
}

check 'a host with all its parts' host_starts
[ "$failures" = 0 ] || exit 1
check 'a VM boots' vm_boots
check 'install.sh in it' installs
check 'the host alone' validate
check 'nothing is missing there' counts FAIL 0
check 'the whole list' full
cat "$work/list"
check 'nothing of it fails, and little is not here' eval "counts FAIL 0 && counts 'not here' 1"
check 'all is as it was' all_is_as_before
check 'a value that is a command is no command' hostile_value
check 'without a toolstack' plain
check 'an unknown VM' unknown_vm
check 'a guest in which nothing is installed' nothing_installed
check 'no mediator' no_mediator
[ "$failures" = 0 ]
