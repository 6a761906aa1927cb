#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 60
#
# What a program asks again and again is answered in the guest: between two marks only its launches,
# its copies and those waits cross that wait for something, which the counters of VGPU_STATS show.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

between_the_marks() {
    sed -n '/cuProfilerStart to/,/ all$/s/^vgpu\[[0-9]*\]: *//p' "$work/stats" | sed '1d;s/  */ /g'
}

only_work_crosses() {
    VGPU_STATS=$work/stats host "$build/client/crossings" || return 1
    between_the_marks >"$work/crossed"
    printf '110 110 COPY_OUT\n110 0 LAUNCH\n11 11 SYNC\n231 121 all\n' | diff - "$work/crossed"
}

counted_from_the_start() {
    grep -q 'from start to exit (crossings)$' "$work/stats" &&
        grep -Eq ': +112 +[0-9]+  LAUNCH$' "$work/stats"
}

the_launcher_shows_them() {
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --stats -- "$build/client/crossings" \
        2>"$work/shown" >"$work/out" || return 1
    cat "$work/out"
    grep -q 'from start to exit (crossings)$' "$work/shown" && grep -qx asked "$work/out"
}

mediator_start || { echo 'no mediator'; exit 1; }
check 'only work crosses' only_work_crosses
check 'the whole run is counted too' counted_from_the_start
check 'vgpu-run --stats' the_launcher_shows_them
[ $failures = 0 ]
