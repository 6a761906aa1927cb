#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
#
# The mediator is killed, stopped and replaced while programs compute: they end with right
# results, what it counts goes on, it is back soon, and in the end nothing is left.
set -u
. "$(dirname "$0")/lib.sh"
RANDOM=7

# The processes of this test's mediators: their sockets lie in $work. A zombie is none.
ours() { pgrep -f -- "$work/" | while read -r p; do
    case $(ps -o stat=,comm= -p "$p") in Z*|*' bash'|*restart.sh|'') ;; *) ps -o pid=,args= -p "$p" ;;
    esac; done; }
none_of_ours() { [ -z "$(ours)" ]; }

serves() { admin list >/dev/null 2>&1; }

# again [OPTION...]: the next mediator, and until it answers.
again() {
    mediator_start "$@"
    within 30 serves || { echo 'the next mediator does not serve'; return 1; }
}

# kill_and_restart [OPTION...]
kill_and_restart() {
    mediator_stop -KILL
    again "$@"
}

# counts VM MEMBER: the first of that name in its `show-vm`.
counts() {
    admin show-vm --vm-name="$1" --json | tr -d ' \n"' | grep -o "[{,]$2:[^,}]*" | head -n 1 |
        cut -d : -f 2
}
executor_pids() {
    admin show-health --json | tr -d ' \n' | sed 's/.*"executors":\[//' | grep -o '"pid":[0-9]*' |
        sort | tr '\n' ' '
}

# start NAME COMMAND...: in the background, as a VM of that name; its number in $started.
start() {
    local name=$1
    shift
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$name" -- "$@" >"$work/$name.out" 2>&1 &
    started=$!
}

# storms: one program of each kind in the middle of something; their numbers in $storms.
storms() {
    local kind
    touch "$work/go"
    storms=()
    for kind in copy launch wait; do
        start "$kind" "$build/client/storm" "$kind" "$work/go"
        storms+=("$started")
    done
    for kind in copy launch wait; do
        within 60 grep -q storm "$work/$kind.out" || { cat "$work/$kind.out"; return 1; }
    done
}

# storms_end: each must have had right results all the time.
storms_end() {
    local kind pid rc=0
    rm "$work/go"
    for pid in "${storms[@]}"; do wait "$pid" || rc=1; done
    for kind in copy launch wait; do
        grep '^ok: ' "$work/$kind.out" || { echo "$kind:"; cat "$work/$kind.out"; rc=1; }
    done
    return $rc
}

killed_again_and_again() {
    local pids calls now from took best=999999 new=()
    admin register-vm --vm-name=launch --weight=80 --priority=high || return 1
    storms || return 1
    pids=$(executor_pids)
    for i in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.0$((RANDOM % 10))
        calls=$(counts launch calls)
        mediator_stop -KILL
        # Somebody new comes while there is none.
        [ $((i % 5)) = 0 ] && { start "new$i" "$build/client/worker" "$i" 5; new+=("$started"); }
        sleep 0.0$((RANDOM % 10))
        from=$(date +%s%N)
        again || return 1
        took=$((($(date +%s%N) - from) / 1000000))
        now=$(counts launch calls)
        [ $took -lt $best ] && best=$took
        [ "$now" -ge "$calls" ] || { echo "calls fell from $calls to $now"; return 1; }
    done
    for pid in "${new[@]}"; do wait "$pid" || { cat "$work"/new*.out; return 1; }; done
    within 20 eval '[ "$(executors)" = 3 ]' || return 1
    [ "$(executor_pids)" = "$pids" ] || { echo "executors: $(executor_pids), not $pids"; return 1; }
    [ -n "$pids" ] || return 1
    # With all it knew, by the best of ten: the others tell of the machine.
    echo "back within $best ms"
    [ $best -lt 2000 ] || return 1
    [ "$(counts launch weight) $(counts launch priority)" = '80 high' ] || { admin list; return 1; }
    storms_end || return 1
    within 20 no_executors
}

# 100 rounds of a launch and its copies: exactly as many calls as without any restart.
nothing_twice() {
    local want got
    host "$build/client/worker" 3 400 || return 1
    want=$(counts worker calls)
    start counted "$build/client/worker" 3 400
    for i in 1 2 3; do kill_and_restart || return 1; done
    wait "$started" || { cat "$work/counted.out"; return 1; }
    got=$(counts counted calls)
    [ "$got" = "$want" ] || { echo "$got calls, not $want"; return 1; }
}

# What processes give each other goes through the mediator.
sharing() {
    start share sh -c "for i in 1 2 3; do '$build/client/share' || exit 1; done"
    for i in 1 2 3 4 5; do sleep 0.$((RANDOM % 3)); kill_and_restart || return 1; done
    wait "$started" || { cat "$work/share.out"; return 1; }
}

dies_meanwhile() {
    start victim "$build/client/victim" 16
    within 30 grep -q ready "$work/victim.out" || { cat "$work/victim.out"; return 1; }
    mediator_stop -KILL
    pkill -KILL -f "^$build/client/victim 16"
    wait "$started"
    again || return 1
    within 20 no_executors && [ "$(counts victim memory_bytes)" = 0 ]
}

keeper() { pgrep -f "^vgpu-keeper $work/"; }

keeper_killed() {
    local pids first
    storms || return 1
    pids=$(executor_pids)
    first=$(keeper)
    kill -KILL "$first" || return 1
    within 20 eval '[ -n "$(keeper)" ] && [ "$(keeper)" != '"$first"' ]' || return 1
    serves
    kill_and_restart || return 1
    [ "$(executor_pids)" = "$pids" ] || return 1
    storms_end
}

both_killed() {
    local rc=0
    storms || return 1
    kill -STOP "$mediator"
    kill -KILL "$(keeper)"
    mediator_stop -KILL
    for pid in "${storms[@]}"; do wait "$pid" && rc=1; done
    [ $rc = 0 ] || { echo 'a program did not notice'; return 1; }
    grep -h UNAVAILABLE "$work/launch.out" "$work/copy.out" "$work/wait.out" || return 1
    rm "$work/go"
    again && host "$build/client/worker" 4 2
}

# Another build of everything, at another place, with the service's setting.
upgraded() {
    local old=$bin pids
    mediator_stop -TERM
    again --set keep=always || return 1
    storms || return 1
    pids=$(executor_pids)
    mkdir "$work/new"
    cp -r "$bin" "$work/new/bin" && ln -s "$build/lib" "$work/new/lib"
    mediator_stop -TERM
    [ -n "$(keeper)" ] || { echo 'no keeper'; return 1; }
    bin=$work/new/bin
    again --set keep=always || { bin=$old; return 1; }
    bin=$old
    [ "$(executor_pids)" = "$pids" ] || { echo "executors: $(executor_pids), not $pids"; return 1; }
    host "$build/client/worker" 5 3 || return 1
    storms_end || return 1
    within 20 no_executors
}

all_ends() {
    admin stop --all || return 1
    wait "$mediator"
    within 20 none_of_ours || { ours; return 1; }
    [ -z "$(find "$work" -maxdepth 1 -type s)" ] || { ls -l "$work"; return 1; }
}

again || { echo 'no mediator'; exit 1; }
check 'killed ten times: programs, counters, policy' killed_again_and_again
check 'no call is lost or made twice' nothing_twice
check 'what processes share' sharing
check 'a program dies meanwhile' dies_meanwhile
check 'the keeper is killed' keeper_killed
check 'both are killed: a clear error' both_killed
check 'an upgrade' upgraded
check 'nothing is left' all_ends
[ $failures = 0 ]
