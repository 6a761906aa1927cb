# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For tests of the whole path; sourced by bash. A mediator of one's own, checks
# that count, VMs that end with the test.

e2e_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$e2e_here/../.." && pwd)
build=$(cd "${VG_BUILD:-$top/build/release}" && pwd)
bin=$build/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-e2e.XXXXXX")
failures=0
mediator=
vms=()

e2e_end() {
    local vm
    for vm in "${vms[@]}"; do "$top/tests/vm/vm-stop" "$vm" >/dev/null 2>&1; done
    mediator_stop
    [ $failures = 0 ] || [ ! -e "$work/mediator.log" ] ||
        { echo "--- mediator:"; tail -n 40 "$work/mediator.log"; }
    rm -rf "$work"
}
trap e2e_end EXIT

# check TEXT COMMAND...: runs it, shows its output if it fails, and counts.
check() {
    local text=$1 start=$SECONDS
    shift
    if "$@" >"$work/check.log" 2>&1; then
        echo "ok      $text ($((SECONDS - start)) s)"
    else
        echo "NOT OK  $text ($((SECONDS - start)) s)"
        tail -n 25 "$work/check.log" | sed 's/^/        | /'
        failures=$((failures + 1))
    fi
}

# wants TEXT STATUS PATTERN COMMAND...: exit status, and a line of the output.
wants() {
    local text=$1 status=$2 pattern=$3 rc
    shift 3
    "$@" >"$work/out" 2>&1 </dev/null
    rc=$?
    if [ $rc = "$status" ] && { [ -z "$pattern" ] || grep -Eq -- "$pattern" "$work/out"; }; then
        echo "ok      $text"
    else
        echo "NOT OK  $text: status $rc, not $status, or no /$pattern/ in:"
        sed 's/^/        | /' "$work/out"
        failures=$((failures + 1))
    fi
}

# within SECONDS COMMAND...: until it succeeds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.1
    done
}

answers() { admin list >/dev/null 2>&1; }

# mediator_start [OPTION...]
mediator_start() {
    "$bin/vgpu-mediator" --foreground --config /dev/null --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --backend "${VGPU_BACKEND:-soft}" \
        --set state_dir= "$@" >>"$work/mediator.log" 2>&1 &
    mediator=$!
    # A killed one leaves its socket behind, so the file alone says nothing.
    within 30 answers
}

mediator_stop() {
    [ -n "$mediator" ] || return 0
    kill "${1:--TERM}" "$mediator" 2>/dev/null
    wait "$mediator" 2>/dev/null
    mediator=
}

admin() { "$bin/vgpu-admin" --socket "$work/control.sock" "$@"; }

# Runs a program on the host through that mediator.
host() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" -- "$@"; }

# Executors that serve somebody; not those that wait for a guest to come.
executors() { admin show-health | sed -n 's/^executors *//p'; }

no_executors() { [ "$(executors)" = 0 ]; }

# vm_start NAME [OPTION of vm-start...]: a VM with our library and the clients.
vm_start() {
    local name=$1
    shift
    vms+=("$name")
    "$top/tests/vm/vm-start" "$name" --socket "$work/mediator.sock" \
        --file "$build/lib/libvgpu-cuda.so:/usr/lib/vgpu/libcuda.so.1" \
        --file "$build/lib/libvgpu-nvml.so:/usr/lib/vgpu/libnvidia-ml.so.1" \
        --file "$bin/vgpu-warden:/usr/libexec/vgpu-warden" \
        --share "$build/client:/client" --needs "$build/client/costs" \
        --share "$top/tests/client:/scripts" "$@"
}

# in_vm NAME COMMAND...
in_vm() {
    local name=$1
    shift
    "$top/tests/vm/vm-exec" "$name" --timeout "${VM_TIMEOUT:-240}" -- "$@"
}
