#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs every CUDA test program of a directory, each under a launcher, and
# closes with "N passed, N failed, N skipped".
#
#   tests/cuda/run.sh DIRECTORY... [-- LAUNCHER [ARGUMENT...]]
#   tests/cuda/run.sh build/cuda/static -- build/release/bin/vgpu-run --
#   tests/cuda/run.sh build/cuda/static               natively, on a real GPU
#
# ONLY="name..." picks programs; VG_PROG_TIMEOUT is the limit for one (60 s).

set -u
dirs=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    dirs="$dirs $1"
    shift
done
[ $# -gt 0 ] && shift
limit=${VG_PROG_TIMEOUT:-60}
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
passed=0 failed=0 skipped=0 failures=

# run_one PROGRAM LAUNCHER...
run_one() {
    program=$1
    shift
    name=$(basename "$(dirname "$program")")/$(basename "$program")
    start=$(date +%s%N)
    timeout -k 5 "$limit" "$@" "$program" >"$out" 2>&1 </dev/null
    rc=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    last=$(tail -n 1 "$out")
    case $rc in
    0) verdict=ok passed=$((passed + 1)) ;;
    77) verdict=skip skipped=$((skipped + 1)) ;;
    124 | 137) verdict='NOT OK' last="no end within $limit s; $last" ;;
    *) verdict='NOT OK' last="status $rc; $last" ;;
    esac
    printf '%-6s %-24s %6d ms  %s\n' "$verdict" "$name" "$ms" "$last"
    if [ "$verdict" = 'NOT OK' ]; then
        failed=$((failed + 1)) failures="$failures $name"
        tail -n 15 "$out" | sed 's/^/       | /'
    fi
}

for dir in $dirs; do
    for program in "$dir"/*; do
        if [ ! -x "$program" ] || [ ! -f "$program" ]; then continue; fi
        if [ -n "${ONLY:-}" ]; then
            case " $ONLY " in *" $(basename "$program") "*) ;; *) continue ;; esac
        fi
        run_one "$program" "$@"
    done
done
[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
