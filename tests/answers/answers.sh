#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# Images, functions, launches and graphs through the whole path on the software GPU:
# the answers are a real driver's but for those in answers-soft.txt, and images of any
# size arrive, also through the smallest region.
set -u
. "$(dirname "$0")/../e2e/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)

# As many lines, and each that differs is a known one.
as_a_driver() {
    host "$build/client/answers" >"$work/answers" 2>"$work/log" || { cat "$work/log"; return 1; }
    diff "$here/answers.txt" "$work/answers" >"$work/diff"
    [ "$(wc -l <"$here/answers.txt")" = "$(wc -l <"$work/answers")" ] || { cat "$work/diff"; return 1; }
    ! sed -n 's/^> //p' "$work/diff" | grep -vxFf "$here/answers-soft.txt"
}

# The program got 218 or 209 alone; its user gets the reason.
reasons_told() {
    local said='the GPU cannot load this module'
    grep -qF "$said: ptx: line 4: unsupported instruction 'nonsense'" "$work/log" &&
        grep -q "$said: no PTX for compute capability [0-9.]* in it (it has: sm_35);" "$work/log" &&
        grep -q "$said: no PTX .* (it has: nothing);" "$work/log"
}

mediator_start || { echo 'no mediator'; exit 1; }
check 'answers are those of a driver' as_a_driver
check 'why modules fail is told' reasons_told
check 'images of all sizes' host "$build/client/images"
mediator_stop
mediator_start --set region_mib=16 || { echo 'no mediator'; exit 1; }
check 'images of all sizes through 16 MiB' host "$build/client/images"
[ $failures = 0 ]
