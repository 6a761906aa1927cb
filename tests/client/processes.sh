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

# host [--vm NAME --] COMMAND...: the launcher's own options first.
host() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" "$@"; }

mediator_start || { echo 'no mediator'; exit 1; }
check 'a killed process gives its memory back' killed_gives_back
check 'processes beside each other' host -- "$top/tests/client/inside.sh" "$build/client"
[ $failures = 0 ]
