#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
#
# Whatever happens to one program, it is told, everything it held is free within 5 seconds, and
# two others that work all the while notice nothing: after each case they are asked whether they
# get on. On the host; with VGPU_BACKEND=cuda on a GPU, whose own NVML says what is free.
set -u
. "$(dirname "$0")/lib.sh"

# ---- the two others ---------------------------------------------------------------------

bystanders_start() {
    touch "$work/go"
    host "$build/client/storm" launch "$work/go" >"$work/launches" 2>&1 &
    launches=$!
    host "$build/client/storm" copy "$work/go" >"$work/copies" 2>&1 &
    copies=$!
    within 60 grep -q storm "$work/launches" && within 60 grep -q storm "$work/copies"
}

# rounds FILE: how many a bystander has done and checked
rounds() { sed -n 's/^round //p' "$1" | tail -n 1; }
gone_on() { local now; now=$(rounds "$1"); [ "${now:-0}" -gt "$2" ]; }
# Both have not ended, and each finishes another round.
unharmed() {
    local one two
    one=$(rounds "$work/launches") two=$(rounds "$work/copies")
    kill -0 $launches $copies && within 60 gone_on "$work/launches" "${one:-0}" &&
        within 60 gone_on "$work/copies" "${two:-0}" || { tail -n 3 "$work/launches" "$work/copies"; return 1; }
}

# Both must end by themselves, having checked every result.
bystanders_end() {
    local rc=0
    rm -f "$work/go"
    wait $launches || rc=1
    wait $copies || rc=1
    cat "$work/launches" "$work/copies"
    return $rc
}

# ---- what the mediator sees ----------------------------------------------------------------

held() {
    admin show-metrics --vm-name victim --json 2>/dev/null |
        sed -n 's/.*"memory_bytes": *\([0-9]*\).*/\1/p' | head -n 1
}
# executor_pids [VM]: of those that serve.
executor_pids() {
    local vm=${1:-'[^"]*'}
    admin show-health --json | tr -d ' \n' | grep -o "{\"vm\":\"$vm\"[^{}]*}" |
        sed -n 's/.*"pid":\([0-9]*\),"state.*/\1/p'
}
# Memory of the GPU in MiB as its own driver counts it; the software GPU's lives in processes.
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n 1; }

# used_is MIB: no more than that in use, with room for what a program's own driver takes or gives
# back while it works.
used_is() { [ "${VGPU_BACKEND:-soft}" != cuda ] || [ "$(used)" -le $(($1 + 100)) ]; }

# No executor, no memory, by the mediator's books and by the GPU's.
all_free() {
    [ "$(executors)" = 2 ] || return 1
    case $(held) in '' | 0) ;; *) return 1 ;; esac
    used_is "$before"
}

freed() {
    local start=$SECONDS
    if within 5 all_free; then
        unharmed
        return
    fi
    echo "after $((SECONDS - start)) s: $(executors) executors, the victim holds $(held) bytes," \
        "the GPU $(used) MiB, $before before"
    admin show-health
    return 1
}

# ---- what happens ------------------------------------------------------------------------

victim() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm victim -- "$@"; }

# victim_start TEXT COMMAND...: until it says TEXT; sets $launcher and $pid.
victim_start() {
    local text=$1
    shift
    : >"$work/victim"
    victim "$@" >"$work/victim" 2>&1 &
    launcher=$!
    within 60 grep -q "$text" "$work/victim" || { cat "$work/victim"; return 1; }
    pid=$(sed -n 's/.*\(pid\|process\) \([0-9]*\).*/\2/p' "$work/victim" | head -n 1)
}

# fault KIND: the program checks the error itself, and ends.
fault() { victim "$build/client/fault" "$1" && freed; }

endless() {
    victim_start '^started' "$build/client/fault" endless 1000 || return 1
    sleep 1
    kill -KILL "$pid"
    wait $launcher 2>/dev/null
    freed
}

# The program waits; the watchdog ends its executor.
hung() {
    victim "$build/client/fault" endless 100 >"$work/victim" 2>&1 &&
        grep -q 'left after.*CUDA_ERROR_LAUNCH_TIMEOUT' "$work/victim" || { cat "$work/victim"; return 1; }
    freed
}

memory_killed() {
    victim_start '^ready' "$build/client/victim" 512 60 || return 1
    kill -KILL "$pid"
    wait $launcher 2>/dev/null
    freed
}

# client_killed copy|launch
client_killed() {
    touch "$work/victim-goes"
    victim_start storm "$build/client/storm" "$1" "$work/victim-goes" || return 1
    sleep 0.3
    kill -KILL "$pid"
    wait $launcher 2>/dev/null
    freed
}

# executor_killed copy|launch: the program gets an error and ends.
executor_killed() {
    local rc=0
    touch "$work/victim-goes"
    victim_start storm "$build/client/storm" "$1" "$work/victim-goes" || return 1
    sleep 0.3
    kill -KILL "$(executor_pids victim)" || return 1
    local start=$SECONDS
    wait $launcher && rc=1
    cat "$work/victim"
    [ $rc = 0 ] || { echo 'the program did not notice'; return 1; }
    [ $((SECONDS - start)) -le 5 ] || { echo 'it noticed late'; return 1; }
    grep -q CUDA_ERROR_LAUNCH_FAILED "$work/victim" || { echo 'no clear error'; return 1; }
    freed
}

# With the mediator everybody ends, and nothing stays behind.
mediator_killed() {
    local left rc=0
    touch "$work/go"
    bystanders_start || return 1
    left=$(executor_pids)
    [ -n "$left" ] || return 1
    mediator_stop -KILL
    wait $launches && rc=1
    wait $copies && rc=1
    cat "$work/launches" "$work/copies"
    [ $rc = 0 ] || { echo 'a program did not notice'; return 1; }
    grep -q CUDA_ERROR_DEVICE_UNAVAILABLE "$work/launches" &&
        grep -q CUDA_ERROR_DEVICE_UNAVAILABLE "$work/copies" || { echo 'no clear error'; return 1; }
    # shellcheck disable=SC2086  # a list of processes
    within 5 eval '! kill -0 $left 2>/dev/null' || { echo 'executors are left'; return 1; }
    within 5 used_is "$idle" || { echo "the GPU holds $(used) MiB, $idle before"; return 1; }
    mediator_start --set prestart=0 && host "$build/client/worker" 53 2
}

# Nothing stands ready, so that what is in use is what the programs use.
idle=$(used)
mediator_start --set keep=never --set prestart=0 --set watchdog_s=2 --set fault_limit=0 ||
    { echo "no mediator"; exit 1; }
check 'two programs work' bystanders_start
before=$(used)
for kind in wild misaligned trap assert memory; do
    check "fault: $kind" fault $kind
done
check 'a kernel without end, killed' endless
check 'a kernel without end, ended by the watchdog' hung
check 'a holder of memory, killed' memory_killed
for what in copy launch; do
    check "client killed in a $what" client_killed $what
    check "executor killed in a $what" executor_killed $what
done
check 'the two programs noticed nothing' bystanders_end
check 'mediator killed: clear errors, all free, a new one serves' mediator_killed
[ $failures = 0 ]
