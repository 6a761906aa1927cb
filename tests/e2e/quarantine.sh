#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# A VM whose kernel hangs is told so, and when it does so again it is shut out: by whatever
# daemon comes after, until an administrator lets it in. Its neighbour notices nothing, and
# a kernel that only takes long is left alone.
set -u
. "$(dirname "$0")/lib.sh"

state=$work/state
serve() {
    mediator_start --set "state_dir=$state" --set fault_limit=2 --set keep=never "$@"
}
vm() {
    local name=$1
    shift
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$name" -- "$@"
}
state_of() { admin show-vm --vm-name="$1" --json | sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' | head -n 1; }
is_state() { [ "$(state_of "$1")" = "$2" ]; }

neighbour_start() {
    touch "$work/go"
    vm vm1 "$build/client/storm" launch "$work/go" >"$work/neighbour" 2>&1 &
    neighbour=$!
    within 60 grep -q storm "$work/neighbour"
}
neighbour_ends_well() {
    rm -f "$work/go"
    wait $neighbour || { cat "$work/neighbour"; return 1; }
}

# hangs: and is told that its kernel ran too long.
hangs() {
    vm vm3 "$build/client/fault" endless 100 >"$work/hung" 2>&1
    cat "$work/hung"
    grep -q 'left after CUDA_ERROR_LAUNCH_TIMEOUT' "$work/hung"
}
shut_out() {
    vm vm3 "$build/client/worker" 5 2 >"$work/shut" 2>&1 && return 1
    cat "$work/shut"
    grep -q 'quarantine' "$work/shut" && grep -q CUDA_ERROR_DEVICE_UNAVAILABLE "$work/shut" &&
        is_state vm3 quarantined
}
works() { vm "$1" "$build/client/worker" 5 2; }

cleared() { admin clear-quarantine --vm-name=vm3 && is_state vm3 ok && works vm3; }

restarted() {
    mediator_stop "$1"
    serve --set watchdog_s=2
}

# by_hand: a program that works is told, and ends.
by_hand() {
    local rc=0
    touch "$work/vm4-goes"
    vm vm4 "$build/client/storm" launch "$work/vm4-goes" >"$work/vm4" 2>&1 &
    local pid=$!
    within 60 grep -q storm "$work/vm4" || return 1
    admin quarantine --vm-name=vm4 --reason='it mines' || return 1
    wait $pid && rc=1
    cat "$work/vm4"
    grep -q 'quarantine' "$work/vm4" && grep -q CUDA_ERROR_DEVICE_UNAVAILABLE "$work/vm4" || rc=1
    return $rc
}

# A small file system that is full. Without the right to mount one, there is nothing to see here.
full_disk() {
    mkdir -p "$work/small"
    mount -t tmpfs -o size=32k none "$work/small" 2>/dev/null || { echo 'cannot mount'; return 0; }
    mediator_stop
    state=$work/small
    serve --set watchdog_s=2 && head -c 100000 /dev/zero >"$work/small/filler" 2>/dev/null
    admin quarantine --vm-name=vm3 2>"$work/full" && { echo 'it was written'; return 1; }
    cat "$work/full"
    grep -qi 'no space' "$work/full" && shut_out && admin show-health --json | grep -qi 'no space' ||
        return 1
    # With room again, it is on disk without another word.
    rm -f "$work/small/filler"
    within 30 grep -qs vm3 "$work/small/health.json" && restarted -KILL && shut_out
    local rc=$?
    mediator_stop
    umount "$work/small"
    state=$work/state
    return $rc
}

# Two kernels of 2 s at a time, of another VM each, and a storm of launches, with 8 s allowed.
long_ones_live() {
    mediator_stop
    serve --set watchdog_s=8 || return 1
    neighbour_start || return 1
    vm vm5 "$build/client/fault" long 2 >"$work/long5" 2>&1 &
    local one=$!
    vm vm6 "$build/client/fault" long 2 || return 1
    wait $one || { cat "$work/long5"; return 1; }
    neighbour_ends_well
}

serve --set watchdog_s=2 || { echo 'no mediator'; exit 1; }
check 'a neighbour works' neighbour_start
check 'a kernel hangs: its program is told' hangs
check 'its VM may try again' is_state vm3 ok
check 'it hangs again' hangs
check 'and is shut out' shut_out
check 'the neighbour noticed nothing' neighbour_ends_well
check 'another VM works' works vm2
check 'still shut out after a restart' restarted -TERM
check 'shut out' shut_out
check 'still shut out after the daemon was killed' restarted -KILL
check 'shut out' shut_out
check 'cleared, it works' cleared
check 'and after the next restart' restarted -KILL
check 'it works' works vm3
check 'by hand, while it works' by_hand
check 'with a full disk' full_disk
check 'a kernel that takes long is left alone' long_ones_live
[ $failures = 0 ]
