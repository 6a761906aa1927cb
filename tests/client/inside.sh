#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Several processes on one device, and what may happen to them: runs where the
# GPU is (under vgpu-run on the host, or in a VM; BusyBox is enough).
#
#   inside.sh CLIENT-DIR [CASE...]     all cases, if none is named
#
# Prints one line per case and closes with "N passed, N failed".

set -u
dir=$1
shift
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

meminfo() { "$dir/victim" --meminfo | sed -n 's/^free_bytes //p'; }

# wait_line FILE TEXT SECONDS
wait_line() {
    tries=$(($3 * 10))
    while ! grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "no '$2' within $3 s"; return 1; }
        sleep 0.1
    done
}

case_copies() { "$dir/copies" 17; }

case_vmm() { "$dir/vmm"; }

case_share() { "$dir/share"; }
case_tensor_maps() { "$dir/tensormap"; }

case_four_workers() {
    pids=
    for key in 11 22 33 44; do
        "$dir/worker" $key 10 >"$tmp/worker.$key" 2>&1 &
        pids="$pids $!"
    done
    bad=0
    for pid in $pids; do
        wait "$pid" || bad=1
    done
    cat "$tmp"/worker.*
    return $bad
}

case_many_short_processes() {
    for key in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        "$dir/worker" $key 1 100 >"$tmp/out" 2>&1 || { cat "$tmp/out"; return 1; }
    done
}

# A killed process gives its memory back within 5 s: another one finds as much
# free as before.  (Where each process is told of its own memory only, the
# host's view decides: see processes.sh.)
case_kill() {
    before=$(meminfo)
    "$dir/victim" 96 60 >"$tmp/victim" 2>&1 &
    pid=$!
    wait_line "$tmp/victim" '^ready' 30 || { kill -9 $pid; cat "$tmp/victim"; return 1; }
    kill -9 $pid
    wait $pid 2>/dev/null
    tries=50
    while now=$(meminfo); [ "$now" -lt "$before" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "free: $before before, $now after 5 s"; return 1; }
        sleep 0.1
    done
    "$dir/worker" 12 2
}

# An error in one process is not seen in another that works all the while.
case_faults_stay_apart() {
    "$dir/worker" 5 40 >"$tmp/worker" 2>&1 &
    pid=$!
    bad=0
    "$dir/fault" wild || bad=1
    "$dir/fault" misaligned || bad=1
    "$dir/fault" trap || bad=1
    "$dir/fault" assert || bad=1
    "$dir/fault" memory || bad=1
    wait $pid || bad=1
    cat "$tmp/worker"
    return $bad
}

# Killed in the middle of copies and of launches, beside two that work all the while.
case_kill_in_storms() {
    before=$(meminfo)
    : >"$tmp/go"
    "$dir/storm" launch "$tmp/go" >"$tmp/launches" 2>&1 &
    launches=$!
    "$dir/storm" copy "$tmp/go" >"$tmp/copies" 2>&1 &
    copies=$!
    bad=0
    for what in copy launch copy launch; do
        "$dir/storm" $what "$tmp/go" >"$tmp/victim" 2>&1 &
        pid=$!
        wait_line "$tmp/victim" '^storm' 60 || bad=1
        kill -9 $pid
        wait $pid 2>/dev/null
    done
    rm "$tmp/go"
    wait $launches || bad=1
    wait $copies || bad=1
    cat "$tmp/launches" "$tmp/copies"
    now=$(meminfo)
    [ "$now" -ge "$before" ] || { echo "free: $before before, $now now"; bad=1; }
    return $bad
}

# A kernel without end ends with its process, and others work before and after.
case_endless() {
    "$dir/fault" endless 30 >"$tmp/endless" 2>&1 &
    pid=$!
    wait_line "$tmp/endless" '^started' 20 || { kill -9 $pid; cat "$tmp/endless"; return 1; }
    bad=0
    "$dir/worker" 8 3 || bad=1
    kill -9 $pid
    wait $pid 2>/dev/null
    "$dir/worker" 9 3 || bad=1
    return $bad
}

case_endless_leaves() { "$dir/fault" endless 1 && "$dir/worker" 6 2; }

run_case() {
    start=$(date +%s)
    if "case_$1" >"$tmp/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $1 ($(($(date +%s) - start)) s)"
    else
        failed=$((failed + 1))
        echo "NOT OK  $1 ($(($(date +%s) - start)) s)"
        sed 's/^/        | /' "$tmp/log"
    fi
}

[ $# -gt 0 ] || set -- copies vmm share tensor_maps four_workers many_short_processes kill \
    faults_stay_apart endless endless_leaves
for c; do
    run_case "$c"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
