#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
#
# Wrong calls, answered by the software GPU directly and through the whole path: what a program
# is told must not depend on which. misuse-path.txt lists what still does, one line an answer.
set -u
. "$(dirname "$0")/../e2e/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)

# The driver that the executor would load, for a program to load.
directly() {
    mkdir -p "$work/driver"
    ln -sf "$build/lib/libvgpu-softcuda.so" "$work/driver/libcuda.so.1"
    LD_LIBRARY_PATH=$work/driver "$@"
}

# Answers are compared within their group: a line of one group says nothing about another's.
by_group() { awk '/^-- / { group = $2 } { print group ": " $0 }' "$1"; }

same_either_way() {
    directly "$build/client/misuse" >"$work/direct" || return 1
    host "$build/client/misuse" >"$work/through" 2>"$work/log" || { cat "$work/log"; return 1; }
    by_group "$work/direct" >"$work/direct.by" && by_group "$work/through" >"$work/through.by"
    [ "$(grep -c ' = ' "$work/through")" -gt 2000 ] || { echo 'few answers'; return 1; }
    ! diff "$work/direct.by" "$work/through.by" | sed -n 's/^> //p' | grep -vxFf "$here/misuse-path.txt"
}

nothing_given_up() { ! grep -E '^(needed|group ended)' "$work/direct" "$work/through"; }

mediator_start || { echo 'no mediator'; exit 1; }
check 'wrong calls are answered alike' same_either_way
check 'every group came to its end' nothing_given_up
check 'executors of killed groups end' within 5 no_executors
[ $failures = 0 ]
