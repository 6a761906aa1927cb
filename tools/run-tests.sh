#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs tests one after the other and closes with "N passed, N failed, N skipped".
# usage: run-tests.sh BUILD-DIR TEST...    a TEST is a script's path or the name of a program in
# BUILD-DIR/tests. Exit status 77 means skipped; the test's last line is the reason.
# Every test has VG_TEST_TIMEOUT seconds (300) unless it names its own in a "# timeout: N" line.
set -u
export VG_BUILD=$1
shift
logs=$VG_BUILD/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0 failures='' skips=''

limit_of() {
    own=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$1" 2>/dev/null | head -n 1)
    echo "${own:-${VG_TEST_TIMEOUT:-300}}"
}

for t in "$@"; do
    case $t in
        */*) path=$t name=${t#tests/} name=${name%.sh} ;;
        *) path=$VG_BUILD/tests/$t name=$t ;;
    esac
    log=$logs/$(echo "$name" | tr / -).log
    limit=$(limit_of "$path")
    printf '  %-28s ' "$name"
    start=$(date +%s%N)
    timeout -k 10 "$limit" "$path" >"$log" 2>&1 </dev/null
    rc=$?
    secs=$(( ($(date +%s%N) - start) / 100000000 ))
    secs=$(( secs / 10 )).$(( secs % 10 ))
    case $rc in
        0) passed=$((passed + 1)); echo "ok       ${secs}s" ;;
        77) skipped=$((skipped + 1)); reason=$(tail -n 1 "$log")
            skips="$skips    $name: $reason
"
            echo "skipped  $reason" ;;
        *) failed=$((failed + 1)); failures="$failures $name"
           [ $rc -eq 124 ] && echo "timed out after ${limit}s" >>"$log"
           echo "FAILED   ${secs}s (status $rc, $log)"
           tail -n 40 "$log" | sed 's/^/    | /' ;;
    esac
done
# Once more what went wrong, shortly: of a long log often only the end is kept.
for name in $failures; do
    echo "$name:"
    grep -hE -A 12 'NOT OK|FAIL|[Ee]rror|timed out' "$logs/$(echo "$name" | tr / -).log" |
        head -n 14 | cut -c 1-160 | sed 's/^/    | /'
done
[ -z "$skips" ] || printf 'skipped:\n%s' "$skips"
[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
