#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 900
# Fuzzing of what decodes guest bytes and of the daemon's doors, with the address and
# undefined-behaviour sanitizers: the inputs of the tree, then as many more as a seed gives, the
# same in every run. What is found here can be found again; to search on: make fuzz.
set -u
export UBSAN_OPTIONS=print_stacktrace=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The report without what surrounds it, short enough to be shown whole.
report() {
    sed -n '/ERROR: \|runtime error: /,$p' "$log" |
        grep -E '^==|ERROR: |runtime error: |^ *#[0-9]+ |^SUMMARY|^Base64|Test unit' | head -n 34
}

search() {
    make -s "$@" O="$VG_BUILD/variants" >"$log" 2>&1 && return
    grep -q 'ERROR: \|runtime error: ' "$log" && report || tail -n 34 "$log"
    exit 1
}

search fuzz-fixed FUZZ_RUNS="${FUZZ_RUNS:-100000}"
search fuzz-mediator-fixed FUZZ_RUNS=20000
