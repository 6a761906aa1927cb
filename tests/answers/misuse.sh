#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# Wrong calls through the whole path on the software GPU: the answers are those of NVIDIA's driver
# (misuse.txt, states.txt, waits.txt), but for the lines in misuse-known.txt and misuse-soft.txt.
set -u
. "$(dirname "$0")/../e2e/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)

# Answers are compared within their group: a line of one group says nothing about another's.
by_group() { grep -v '^#' "$1" | awk '/^-- / { group = $2 } { print group ": " $0 }'; }

# as_a_driver PROGRAM ANSWERS: at least so many.
as_a_driver() {
    host "$build/client/$1" >"$work/$1" 2>"$work/log" || { cat "$work/log"; return 1; }
    by_group "$here/$1.txt" >"$work/wanted" && by_group "$work/$1" >"$work/got"
    [ "$(grep -c ' = ' "$work/got")" -ge "$2" ] || { echo 'few answers'; return 1; }
    diff "$work/wanted" "$work/got" | sed -n 's/^> //p' >>"$work/other"
    ! diff "$work/wanted" "$work/got" | sed -n 's/^> //p' | grep -vxFf "$work/allowed"
}

# An exception that nothing needs would hide the next difference.
exceptions_needed() { ! grep '^[^#].* = ' "$work/allowed" | grep -vxFf "$work/other"; }

nothing_given_up() { ! grep -E 'signal|^(needed|group ended)' "$work/misuse" "$work/states" "$work/waits"; }

cat "$here/misuse-known.txt" "$here/misuse-soft.txt" >"$work/allowed"
mediator_start || { echo 'no mediator'; exit 1; }
check 'wrong calls are answered as a driver does' as_a_driver misuse 2400
check 'states are told as a driver does' as_a_driver states 270
check 'calls wait for the GPU as with a driver' as_a_driver waits 170
check 'every exception is one' exceptions_needed
check 'every group came to its end' nothing_given_up
check 'executors of killed groups end' within 5 no_executors
[ $failures = 0 ]
