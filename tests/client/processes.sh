#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
#
# Processes on the host that share the software GPU: what they see of each
# other (inside.sh), and what the mediator sees of one that is killed.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

held() {
    admin show-metrics --vm-name victim --json 2>/dev/null |
        sed -n 's/.*"memory_bytes": *\([0-9]*\).*/\1/p' | head -n 1
}
holds() { [ "$(held)" -ge $((64 << 20)) ]; }
holds_nothing() { [ "$(held)" = 0 ]; }

killed_gives_back() {
    host --vm victim -- "$build/client/victim" 64 120 >"$work/victim" 2>&1 &
    local launcher=$! pid
    within 20 grep -q '^ready' "$work/victim" || { cat "$work/victim"; return 1; }
    within 5 holds || { echo "the mediator sees $(held) bytes"; return 1; }
    pid=$(sed -n 's/^ready pid \([0-9]*\) .*/\1/p' "$work/victim")
    kill -9 "$pid"
    wait $launcher
    within 5 holds_nothing && within 5 no_executors
}

# A handle means something in the VM it is of, and nowhere else.
other_vms_token() {
    host --vm here -- "$build/client/share" --offer "$work/handle" >"$work/offer" 2>&1 &
    local launcher=$! rc owner
    within 20 grep -q '^offered' "$work/offer" || { cat "$work/offer"; return 1; }
    owner=$(sed -n 's/^offered by //p' "$work/offer")
    host --vm elsewhere -- "$build/client/share" --take "$work/handle"
    rc=$?
    [ $rc = 3 ] || { echo "the other VM got $rc"; kill "$owner"; return 1; }
    host --vm here -- "$build/client/share" --take "$work/handle"
    rc=$?
    kill "$owner"
    wait $launcher
    within 5 no_executors
    host --vm here -- "$build/client/share" --take "$work/handle"
    [ $? = 3 ] && [ $rc = 0 ]
}

two_devices() {
    VGPU_SOFT_DEVICES=2 "$bin/vgpu-run" --backend soft -- "$build/client/peers"
}

# host [--vm NAME --] COMMAND...: the launcher's own options first.
host() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" "$@"; }

mediator_start || { echo 'no mediator'; exit 1; }
check 'a killed process gives its memory back' killed_gives_back
check 'a handle is of one VM' other_vms_token
check 'two devices beside each other' two_devices
check 'processes beside each other' host -- "$top/tests/client/inside.sh" "$build/client"
[ $failures = 0 ]
