#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# Whatever a neighbour does, a victim's results are right, its processes live, and it keeps 95 % of
# the GPU time that is its: one neighbour VM after the other, of the same class and weight, does its
# worst for some seconds while the victim computes and checks, and always has work waiting.
set -u
. "$(dirname "$0")/lib.sh"

enough=1000     # ms of GPU time of each attack to look at, at least
least=475       # of 1000 that the victim gets: 95 % of its half
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
    vm victim "$build/client/flood" --graph 20 --words 20000 --depth 8 --file "$work/stop" \
        >"$work/flood" 2>&1 &
    flood=$!
    within 60 grep -q storm "$work/victim" && within 60 grep -q ready "$work/flood"
}
# Calls served for the victim so far.
calls() {
    admin show-metrics --vm-name=victim --json | sed -n 's/^ *"calls": *\([0-9]*\).*/\1/p' | head -n 1
}
# gpu VM: time that it was charged, in ms.
gpu() {
    local ns
    ns=$(admin show-metrics --vm-name="$1" --json 2>/dev/null |
        sed -n 's/.*"gpu_charged_ns": *\([0-9]*\).*/\1/p' | head -n 1)
    echo $((${ns:-0} / 1000000))
}
# keeps_its_share NEIGHBOUR VICTIM-MS NEIGHBOUR-MS: since they had so much, as soon as that is
# enough to tell. What it was behind in the first moments it may catch up with.
keeps_its_share() {
    local mine theirs part=0
    mine=$(($(gpu victim) - $2)) theirs=$(($(gpu "$1") - $3))
    [ $((mine + theirs)) -ge $enough ] || return 1
    part=$((1000 * mine / (mine + theirs)))
    echo "beside $1: victim $mine ms of the GPU, $1 $theirs ms: $part in 1000" >"$work/share"
    [ $part -ge $least ]
}

# gets_on CALLS: it lives and has come further.
gets_on() { [ "$(calls)" -gt "$1" ]; }
victim_ends_well() {
    rm -f "$work/go"
    touch "$work/stop"
    wait $victim || { cat "$work/victim"; return 1; }
    wait $flood || { cat "$work/flood"; return 1; }
}

# ---- attacks ----

# attack NAME COMMAND...: for some seconds, and until $attack_until, in a VM of that name; it may
# end as it likes.
attack_until=true
attack() {
    local name=$1 before pid rc=0
    shift
    local mine theirs
    before=$(calls) mine=$(gpu victim) theirs=$(gpu "$name")
    touch "$work/attack"
    "$@" >"$work/$name.log" 2>&1 &
    pid=$!
    within 30 keeps_its_share "$name" "$mine" "$theirs" || { echo 'the victim loses its share'; rc=1; }
    cat "$work/share" | tee -a "$work/shares"
    within 60 $attack_until || { echo 'the attack does not come to its point'; rc=1; }
    within 30 gets_on "$before" || { echo 'the victim stands still'; rc=1; }
    before=$(calls)
    within 30 gets_on "$before" || { echo 'the victim stands still now'; rc=1; }
    rm -f "$work/attack"
    within 30 eval "! kill -0 $pid 2>/dev/null" || { kill -KILL $pid; echo 'the attacker had to be killed'; }
    wait $pid 2>/dev/null
    tail -n 5 "$work/$name.log"
    { kill -0 $victim && kill -0 $flood; } 2>/dev/null || { echo 'the victim has ended'; rc=1; }
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
        # On a busy machine the executor may not be there at the first look.
        while kill -0 $pid 2>/dev/null; do
            sleep 0.3
            # shellcheck disable=SC2046
            kill -KILL $(admin show-health --json | tr -d ' \n' | grep -o '{"vm":"dier"[^{}]*}' |
                sed -n 's/.*"pid":\([0-9]*\),"state.*/\1/p') 2>/dev/null
        done
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
enough=4000 # they come one after the other
check 'fork of 64 processes' attack forker sixty_four
check 'the victim: every result right' victim_ends_well
check 'nothing is left' within 30 no_executors
cat "$work/shares"
[ $failures = 0 ]
