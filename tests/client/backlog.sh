#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Launches that the GPU has not come to yet, on the software GPU: who waits for them.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

client=$build/client/backlog
run() { timeout 60 "$bin/vgpu-run" --backend "${VGPU_BACKEND:-soft}" -- "$@"; }

check 'a flood holds up its own thread only' run "$client" others
check 'a flood of graphs' run "$client" others graphs
check 'a flood of copies' run "$client" others copies
check 'a thread that floods its own stream gets on' run "$client" alone
check 'a capture is not held up' eval 'VGPU_STATS=$work/stats run "$client" capture'

# 4000 launches in a row: the host is asked about the first, not about each.
few_waits() {
    sed -n 's/^vgpu\[[0-9]*\]: *[0-9]* *\([0-9]*\) *all$/\1/p' "$work/stats" >"$work/waited"
    cat "$work/stats"
    [ "$(cat "$work/waited")" -lt 100 ]
}
check 'nor does each of its launches wait for the host' few_waits
[ $failures = 0 ]
