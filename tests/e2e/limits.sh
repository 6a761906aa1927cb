#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A VM against its limits: rate and BUSY, GPU memory, numbers of things and of processes.
# Times are only ever compared with what a limit forbids, so a slow machine changes nothing.
set -u
. "$(dirname "$0")/lib.sh"

client=$build/client/limits
as() { local vm=$1; shift; VGPU_SOCKET=$work/mediator.sock VGPU_VM_NAME=$vm "$bin/vgpu-run" -- "$@"; }
# metric VM MEMBER
metric() {
    admin show-metrics --vm-name="$1" --json | tr -d ' \n' | grep -o "\"$2\":[0-9]*" | head -1 |
        cut -d: -f2
}
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_least() { [ "$1" -ge "$2" ] || { echo "$1 is less than $2"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
ms() { date +%s%3N; }

# Calls served within `t` ms, and no more than rate * t + burst: what the bucket promises.
# paced VM RATE BURST COMMAND...
paced() {
    local vm=$1 rate=$2 burst=$3 start calls
    shift 3
    start=$(ms)
    "$@" || return 1
    local t=$(($(ms) - start))
    calls=$(metric "$vm" calls)
    echo "$calls calls in $t ms"
    at_most "$calls" $((rate * t / 1000 + burst + 1))
}

both() {
    as "$1" "$client" launch "$2" & local other=$!
    as "$1" "$client" launch "$2" && wait $other
}

settings='--set max_streams=20 --set max_events=30 --set max_modules=5 --set max_graphs=7
    --set max_processes=3 --set cap_memory_mib=128 --set default_memory_mib=64'
# shellcheck disable=SC2086
mediator_start $settings

# ---- rate
admin register-vm --vm-name=slow --rate=500 >/dev/null
check '500 calls a second: no faster, none lost' paced slow 500 50 as slow "$client" launch 2500
check 'the guest was told BUSY' at_least "$(metric slow busy)" 10
check 'and backed off' at_least "$(metric slow retries)" 1
admin register-vm --vm-name=pair --rate=400 >/dev/null
check 'two processes share one rate' paced pair 400 40 both pair 400
admin register-vm --vm-name=many --rate=1000 >/dev/null
check 'eight threads at the rate' paced many 1000 100 as many "$client" launch 250 8
admin register-vm --vm-name=burst --rate=10 --burst=1000 >/dev/null
check 'a burst is at once' as burst "$client" launch 500
check 'nobody was told BUSY' is "$(metric burst busy)" 0
admin register-vm --vm-name=deep --queue-depth=4 >/dev/null
check 'at most four in flight: all arrive' as deep "$client" launch 3000
check 'four threads' as deep "$client" launch 500 4
check 'results under a rate' eval 'admin register-vm --vm-name=mix --rate=300 >/dev/null; as mix "$build/client/worker" 5 50'

# A limit that is lifted acts on a process that waits for it.
freed() {
    admin register-vm --vm-name=freed --rate=1 --burst=30 >/dev/null
    as freed "$client" launch 500 & local process=$!
    within 20 eval '[ "$(metric freed busy)" -ge 1 ]' || return 1
    admin register-vm --vm-name=freed --rate=0 >/dev/null
    wait $process
}
check 'a rate that is lifted acts at once' freed

# ---- memory
admin register-vm --vm-name=small --memory-mib=64 >/dev/null
check 'all of 64 MiB, in every way' as small "$client" hog 64
check 'taking and freeing at random' as small "$client" churn 5000 3 64
check 'the account was never above' at_most "$(metric small memory_peak_bytes)" $((64 << 20))
check 'refusals were counted' at_least "$(metric small memory_refused)" 100
check 'and said once, not each time' eval 'n=$(grep -c "vm=small.*event=memory_limit" "$work/mediator.log"); at_least $n 1 && at_most $n 20'
check 'a neighbour has what it wants' as big "$build/client/worker" 3 5 1000000
check 'the cap of the host' eval 'admin register-vm --vm-name=greedy --memory-mib=9999 >/dev/null; as greedy "$client" hog 128'
check 'is said' eval 'grep -q "vm-clamped.*vm=greedy.*memory_mib" "$work/mediator.log"'

# Two processes have the limit together, and one that is killed gives back.
killed() {
    local hold=$work/hold
    admin register-vm --vm-name=twins --memory-mib=64 >/dev/null
    touch "$hold"
    as twins "$client" hold 48 "$hold" >"$work/first" & local first=$!
    within 20 grep -q hold "$work/first" || return 1
    ! as twins "$client" hold 48 /none 2>"$work/second" || { echo "48 of the other 16 MiB"; return 1; }
    grep -q OUT_OF_MEMORY "$work/second" || { cat "$work/second"; return 1; }
    as twins "$client" hold 12 /none || return 1
    kill -KILL "$(sed -n 's/^hold: //p' "$work/first")"
    wait $first
    within 20 as twins "$client" hold 60 /none
}
check 'a process that is killed gives back' killed

lowered() {
    admin register-vm --vm-name=lowered --memory-mib=64 >/dev/null
    as lowered "$client" hold 40 /none || return 1
    admin register-vm --vm-name=lowered --memory-mib=32 >/dev/null
    ! as lowered "$client" hold 40 /none 2>/dev/null
}
check 'a lower limit' lowered

# ---- numbers
for kind in streams:20 events:30 modules:5 graphs:7; do
    check "${kind#*:} ${kind%:*} and no more" as things "$client" things "${kind%:*}" "${kind#*:}"
done

processes() {
    local hold=$work/hold2 n
    touch "$hold"
    for n in 1 2 3; do
        as crowd "$client" hold 1 "$hold" >"$work/p$n" &
    done
    for n in 1 2 3; do within 20 grep -q hold "$work/p$n" || return 1; done
    ! as crowd "$client" hold 1 /none 2>"$work/p4" || { echo "a fourth process"; return 1; }
    grep -q DEVICE_UNAVAILABLE "$work/p4" || { cat "$work/p4"; return 1; }
    as others "$client" hold 1 /none || return 1
    rm -f "$hold"
    wait %% 2>/dev/null
    within 20 as crowd "$client" hold 1 /none
}
check 'three processes and no fourth' processes
# Two processes of a VM with streams of their own: together they have what one may have.
together() {
    local hold=$work/hold4 other
    touch "$hold"
    as pairs "$client" hold 1 "$hold" 11 >"$work/pairs" & other=$!
    within 20 grep -q hold "$work/pairs" || return 1
    as pairs "$client" things streams 9 || return 1
    as alone "$client" things streams 20 || return 1
    rm -f "$hold"
    wait $other
    within 20 as pairs "$client" things streams 20
}
check 'streams are counted over processes' together

# Each process on the host has a region of 256 MiB.
pinned() {
    local hold=$work/hold5 first
    touch "$hold"
    as pins "$client" hold 1 "$hold" >"$work/pins" & first=$!
    within 20 grep -q hold "$work/pins" || return 1
    is "$(metric pins pinned_bytes)" $((256 << 20)) || return 1
    ! as pins "$client" hold 1 /none 2>/dev/null || { echo 'a second region'; return 1; }
    grep -q 'peer-refused.*max_pinned_mib' "$work/mediator.log" || return 1
    rm -f "$hold"
    wait $first
    within 20 as pins "$client" hold 1 /none
}

# The next daemon knows what the executors of the last one hold; a launch is not lost to it either.
restarted() {
    local hold=$work/hold3 first launcher
    admin register-vm --vm-name=kept --rate=1000 --memory-mib=64 >/dev/null
    touch "$hold"
    as kept "$client" hold 48 "$hold" >"$work/kept" & first=$!
    as kept "$client" launch 3000 & launcher=$!
    within 20 grep -q hold "$work/kept" || return 1
    mediator_stop -KILL
    # shellcheck disable=SC2086
    mediator_start $settings || return 1
    within 20 eval '[ "$(metric kept memory_claimed_bytes)" -ge $((48 << 20)) ]' || return 1
    ! as kept "$client" hold 30 /none 2>/dev/null || { echo "30 of the other 16 MiB"; return 1; }
    wait $launcher || return 1
    rm -f "$hold"
    wait $first
    within 20 as kept "$client" hold 60 /none
}
check 'a daemon that is killed' restarted
# What the daemon decides, an executor can read and not write, nor open anew.
obeys() {
    local hold=$work/hold6 pid first rights
    touch "$hold"
    as obedient "$client" hold 1 "$hold" >"$work/obedient" & first=$!
    within 20 grep -q hold "$work/obedient" || return 1
    pid=$(admin show-vm --vm-name=obedient --json | tr -d ' \n' | sed 's/.*"executors":\[//' |
        grep -o '"pid":[0-9]*' | head -n 1 | cut -d: -f2)
    rights=$((0x$(sed -n 's/^CapPrm:\t//p' "/proc/$pid/status") & 0x8000e))
    is $rights 0 || return 1
    if [ "$(id -u)" = 0 ]; then
        grep vgpu-orders "/proc/$pid/maps"
        is "$(sed -n 's/^[^ ]* \([^ ]*\) .*vgpu-orders.*/\1/p' "/proc/$pid/maps")" r--s || return 1
        ! ls -l "/proc/$pid/fd" | grep vgpu-orders || return 1
    fi
    rm -f "$hold"
    wait $first
}
check 'an executor cannot write its orders' obeys
check 'nothing is left' within 20 no_executors
mediator_stop
mediator_start --set max_pinned_mib=300
check 'host memory that is pinned' pinned
[ $failures = 0 ]
