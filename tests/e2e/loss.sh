#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
#
# On the host: what a program sees when its executor or the mediator dies, and what
# is left of programs that die.
set -u
. "$(dirname "$0")/lib.sh"

# start_load FILE: a worker that would run for minutes; sets $load.
start_load() {
    host "$build/client/worker" 51 100000 >"$1" 2>&1 &
    load=$!
    within 20 eval '[ "$(executors)" -ge 1 ]'
}

# Device pointers are addresses of the executor's: a program has its own far above them.
memory_lies_low() {
    local executor
    start_load "$work/low" || return 1
    executor=$(pgrep -P "$mediator" -x vgpu-executor | head -n 1)
    grep 'libc[.-]' "/proc/$executor/maps" | head -n 1 | tee "$work/libc"
    pkill -KILL -f 'client/worker 51'
    wait $load
    grep -q '^2[ab]' "$work/libc" && within 5 no_executors
}

executor_killed() {
    local rc=0
    start_load "$work/victim" || return 1
    sleep 0.5
    pkill -KILL -P "$mediator" -x vgpu-executor
    wait $load && rc=1
    cat "$work/victim"
    [ $rc = 0 ] || { echo 'the program did not notice'; return 1; }
    grep -q LAUNCH_FAILED "$work/victim" || { echo 'no clear error'; return 1; }
    within 5 no_executors && host "$build/client/worker" 52 2
}

program_killed() {
    start_load "$work/victim" || return 1
    pkill -KILL -f 'client/worker 51' || return 1
    wait $load
    within 5 no_executors
}

mediator_killed() {
    local rc=0
    start_load "$work/victim" || return 1
    local left
    left=$(pgrep -P "$mediator" -x vgpu-executor)
    mediator_stop -KILL
    wait $load && rc=1
    cat "$work/victim"
    within 5 eval '! ps -o pid= -p "$(echo $left)" >/dev/null' || { ps -p "$(echo $left)"; rc=1; }
    mediator_start --set keep=never && host "$build/client/worker" 53 2 && [ $rc = 0 ]
}

clean_shutdown() {
    start_load "$work/victim" || return 1
    local start=$SECONDS
    mediator_stop -TERM
    wait $load
    [ $((SECONDS - start)) -le 4 ] || { echo "it took $((SECONDS - start)) s"; return 1; }
    [ ! -e "$work/mediator.sock" ] && [ ! -e "$work/control.sock" ]
}

# What survives a mediator is restart.sh's matter.
mediator_start --set keep=never || { echo "no mediator"; exit 1; }
check 'memory of executors lies low' memory_lies_low
check 'executor killed: clear error, others work' executor_killed
check 'program killed: its executor ends' program_killed
check 'mediator killed: programs end, a new one serves' mediator_killed
check 'mediator stopped: all is gone in time' clean_shutdown
[ $failures = 0 ]
