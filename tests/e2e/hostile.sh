#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# Whatever a neighbour does, a victim's results are right, its process lives, and it gets on:
# one neighbour VM after the other does its worst for some seconds while the victim computes
# and checks.
set -u
. "$(dirname "$0")/lib.sh"

seconds=1   # of each attack, at least
state=$work/state

vm() {
    local name=$1
    shift
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$name" -- "$@"
}

# ---- the victim ----

victim_start() {
    touch "$work/go"
    vm victim "$build/client/storm" launch "$work/go" >"$work/victim" 2>&1 &
    victim=$!
    within 60 grep -q storm "$work/victim"
}
# Calls served for the victim so far.
calls() {
    admin show-metrics --vm-name=victim --json | sed -n 's/^ *"calls": *\([0-9]*\).*/\1/p' | head -n 1
}
# gpu VM: time that it was charged, in us; with what it is due, in millionths.
number_of() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
gpu() { echo $(($(admin show-metrics --vm-name="$1" --json 2>/dev/null | number_of gpu_charged_ns) / 1000)); }

# gets_on CALLS: it lives and has come further.
gets_on() { [ "$(calls)" -gt "$1" ]; }
victim_ends_well() {
    rm -f "$work/go"
    wait $victim || { cat "$work/victim"; return 1; }
    cat "$work/victim"
}

# ---- attacks ----

# attack NAME COMMAND...: for some seconds, and until $attack_until, in a VM of that name; it may
# end as it likes.
attack_until=true
attack() {
    local name=$1 before pid rc=0
    shift
    local gpu_before attacker_before mine theirs
    before=$(calls) gpu_before=$(gpu victim) attacker_before=$(gpu "$name")
    touch "$work/attack"
    "$@" >"$work/$name.log" 2>&1 &
    pid=$!
    sleep $seconds
    within 60 $attack_until || { echo 'the attack does not come to its point'; rc=1; }
    within 30 gets_on "$before" || { echo 'the victim stands still'; rc=1; }
    before=$(calls)
    within 30 gets_on "$before" || { echo 'the victim stands still now'; rc=1; }
    mine=$(($(gpu victim) - gpu_before)) theirs=$(($(gpu "$name") - attacker_before))
    echo "beside $name: victim $((mine / 1000)) ms of the GPU, $name $((theirs / 1000)) ms" >>"$work/shares"
    rm -f "$work/attack"
    within 30 eval "! kill -0 $pid 2>/dev/null" || { kill -KILL $pid; echo 'the attacker had to be killed'; }
    wait $pid 2>/dev/null
    tail -n 5 "$work/$name.log"
    kill -0 $victim 2>/dev/null || { echo 'the victim has ended'; rc=1; }
    return $rc
}

hostile() { vm "$1" "$build/client/hostile" "$2" "$work/attack"; }

crash_loop() {
    while [ -e "$work/attack" ]; do
        for kind in trap wild assert misaligned; do
            vm crasher "$build/client/fault" $kind || true
        done
    done
}

# Its executors die under it, again and again, until its VM is shut out.
executors_die() {
    while [ -e "$work/attack" ]; do
        vm dier "$build/client/storm" launch "$work/attack" &
        local pid=$!
        sleep 0.3
        # shellcheck disable=SC2046
        kill -KILL $(admin show-health --json | tr -d ' \n' | grep -o '{"vm":"dier"[^{}]*}' |
            sed -n 's/.*"pid":\([0-9]*\),"state.*/\1/p') 2>/dev/null
        wait $pid
    done
    return 0
}

is_shut_out() { admin show-vm --vm-name="$1" --json 2>/dev/null | grep -q '"state": *"quarantined"'; }

sixty_four() {
    local pids=()
    for _ in $(seq 64); do
        vm forker "$build/client/hostile" launches "$work/attack" &
        pids+=($!)
    done
    wait "${pids[@]}"
}

# A limit of a thousand calls a second, and a program that knows no pause.
busy_storm() { hostile flooder launches; }

mediator_start --set "state_dir=$state" --set keep=never --set watchdog_s=3 || { echo 'no mediator'; exit 1; }
admin register-vm --vm-name=flooder --rate=1000 --queue-depth=16 >/dev/null
check 'the victim works' victim_start
check 'launch storm' attack launcher hostile launcher launches
check 'endless kernel and a queue behind it' attack hanger hostile hanger queue
check 'memory hog' attack hog hostile hog memory
check 'BUSY storm' attack flooder busy_storm
check 'crash loop' attack crasher crash_loop
attack_until='is_shut_out dier'
check 'executors that die: their VM is shut out' attack dier executors_die
attack_until=true
check 'module bomb' attack bomber hostile bomber modules
check 'stream bomb' attack streamer hostile streamer streams
check 'fork of 64 processes' attack forker sixty_four
check 'the victim: every result right' victim_ends_well
check 'nothing is left' within 30 no_executors
# For people: the GPU is the processors here, so what a victim gets is no measure of the scheduler.
cat "$work/shares"
[ $failures = 0 ]
