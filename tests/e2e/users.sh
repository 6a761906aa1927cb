#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# With a daemon of root's, executors run as users of their own, one for each VM, who can do nothing
# to each other; also after the daemon was killed. A daemon that cannot do that starts none.
# VGPU_BACKEND=cuda for a GPU.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || { echo 'needs root'; exit 77; }
base=2100000000

# start NAME OUTPUT: a program that lasts, as a VM of that name.
start() {
    touch "$work/go"
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$1" -- \
        "$build/client/storm" launch "$work/go" >"$work/$2" 2>&1 &
    within 60 grep -q storm "$work/$2"
}

# of VM MEMBER: that member of its executors that live, one a line.
of() {
    admin show-health --json | python3 -c '
import json, sys
for e in json.load(sys.stdin)["executors"]:
    if e["vm"] == sys.argv[1] and e["state"] == "serving":
        print(e[sys.argv[2]])' "$1" "$2"
}
status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# runs_as PID USER: nothing but that, in all threads.
runs_as() {
    local task
    for task in /proc/"$1"/task/*/status; do
        grep -E '^(Uid|Gid|Groups|Cap(Prm|Eff)|NoNewPrivs)' "$task"
        [ "$(sed -n 's/^[UG]id:\t//p' "$task" | tr '\t' '\n' | sort -u)" = "$2" ] || return 1
        [ "$(sed -n 's/^Cap\(Prm\|Eff\):\t//p' "$task" | sort -u)" = 0000000000000000 ] || return 1
        [ -z "$(sed -n 's/^Groups:\t *//p' "$task")" ] || return 1
        [ "$(sed -n 's/^NoNewPrivs:\t//p' "$task")" = 1 ] || return 1
    done
    grep -q 'Max processes *16384 ' "/proc/$1/limits" || { cat "/proc/$1/limits"; return 1; }
}

# each_its_own: VM one has two programs, VM two has one.
each_its_own() {
    local pid
    start one one.a && start one one.b && start two two || return 1
    one=$(of one user | sort -u) two=$(of two user)
    echo "one $one, two $two"
    [ "$(of one user | wc -l)" = 2 ] || return 1
    for pid in $(of one pid); do runs_as "$pid" "$one" || return 1; done
    runs_as "$(of two pid)" "$two" || return 1
    [ "$one" != "$two" ] && [ "$one" -gt $base ] && [ "$two" -gt $base ] &&
        [ "$one" -le $((base + 1024)) ] && [ "$two" -le $((base + 1024)) ]
}

# The one that waits for a guest: nothing of root is in effect, and all it could get back is changing users.
waits_as_nobody() {
    local pid
    within 60 eval 'admin show-health --json | tr -d " " | grep -q \"executors_ready\":1' || return 1
    pid=$(sed -n 's/.*info executor-idle pid=\([0-9]*\) .*/\1/p' "$work/mediator.log" | tail -n 1)
    [ "$(status "$pid" Uid | cut -f 2)" = $base ] &&
        [ "$(status "$pid" CapEff) $(status "$pid" CapPrm)" = '0000000000000000 00000000000000c0' ] || { cat "/proc/$pid/status"; return 1; }
    "$top/tests/e2e/trespass.py" "$one" "$pid"
}

refused() { "$top/tests/e2e/trespass.py" "$1" "$2"; }
# The same as root must get most of it, or "refused" above says nothing.
root_is_not() { ! "$top/tests/e2e/trespass.py" 0 "$1" && [ "$("$top/tests/e2e/trespass.py" 0 "$1" | grep -c 'got it')" -ge 10 ]; }

ends() {
    rm -f "$work/go"
    wait $(jobs -p | grep -vx "$mediator") || return 1
    for f in one.a one.b one.c two two.b three four five; do grep '^ok: ' "$work/$f" || { cat "$work/$f"; return 1; }; done
    within 20 no_executors
}

# again [OPTION...]
again() {
    mediator_stop -KILL
    mediator_start "$@"
}
# The daemon after it knows whose users are whose.
stays() {
    [ "$(of one user | sort -u) $(of two user)" = "$one $two" ] || return 1
    start three three || return 1
    local three=$(of three user)
    echo "$one $two $three"
    [ "$three" -gt $base ] && [ "$three" != "$one" ] && [ "$three" != "$two" ]
}

# all_of VM USER COUNT: so many executors, all of them this user and nobody else.
all_of() {
    local pid
    [ "$(of "$1" pid | wc -l)" = "$3" ] && [ "$(of "$1" user | sort -u)" = "$2" ] || return 1
    for pid in $(of "$1" pid); do runs_as "$pid" "$2" || return 1; done
}
# Another setting is for VMs that come: no VM's executors are two users, and none of theirs is root.
root_for_new_ones() {
    again --set executor_uid=0 && start one one.c && start four four || return 1
    all_of one "$one" 3 && all_of two "$two" 1 &&
        [ "$(of four user)" = 0 ] && [ "$(status "$(of four pid)" Uid | cut -f 1)" = 0 ]
}
others_for_new_ones() {
    local other=$((base + 5000)) five
    again --set executor_uid=$other && start two two.b && start five five || return 1
    five=$(of five user)
    echo "five $five"
    all_of one "$one" 3 && all_of two "$two" 2 && [ "$five" -gt $other ] && all_of five "$five" 1
}
# The one that waits for a guest is this user.
waits_as() {
    local pid
    pid=$(sed -n 's/.*info executor-idle pid=\([0-9]*\) .*/\1/p' "$work/mediator.log" | tail -n 1)
    [ "$(status "$pid" Uid | cut -f 2)" = "$1" ]
}

killed_by_the_daemon() {
    local pid
    start victim victim || return 1
    pid=$(of victim pid)
    admin quarantine --vm-name=victim --reason=test && within 20 eval "! kill -0 $pid 2>/dev/null"
}

works() { host "$build/client/worker" 3 3; }
executor_is() {
    start x x && [ "$(of x user)" = "$1" ] && [ "$(status "$(of x pid)" Uid | cut -f 1)" = "$1" ]
    local rc=$?
    rm -f "$work/go"
    return $rc
}

# started_with COMMAND... -- OPTION...: the daemon, by a command that takes rights away.
started_with() {
    local how=()
    while [ "$1" != -- ]; do how+=("$1"); shift; done
    shift
    mediator_stop
    "${how[@]}" "$bin/vgpu-mediator" --foreground --config /dev/null --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --backend "${VGPU_BACKEND:-soft}" --set state_dir= --set keep=never \
        "$@" >>"$work/mediator.log" 2>&1 &
    mediator=$!
    within 10 answers
}
refuses() {
    works >"$work/refused" 2>&1 && return 1
    cat "$work/refused"
    grep -q "$1" "$work/refused" && admin show-health --json | grep -q "$1"
}
cannot_change() { started_with setpriv --bounding-set "-$1" -- && refuses 'executor_uid = 0'; }

# A developer's daemon, if his user may read this build at all.
developer() {
    setpriv --reuid=4242 --regid=4242 --clear-groups test -x "$bin/vgpu-mediator" -a -x "$build" ||
        { echo 'the build is not for all to read'; return 0; }
    mediator_stop
    local outer=$work
    work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-e2e.XXXXXX")
    chown 4242 "$work"
    started_with setpriv --reuid=4242 --regid=4242 --clear-groups -- && works && executor_is 4242
    local rc=$?
    [ $rc = 0 ] || tail -n 20 "$work/mediator.log"
    mediator_stop
    rm -rf "$work"
    work=$outer
    return $rc
}

mediator_start
check 'each VM has a user of its own' each_its_own
check 'who has no guest yet is not root either' waits_as_nobody
check 'one cannot reach the other' refused "$one" "$(of two pid)"
check 'nor the other the one' refused "$two" "$(of one pid | head -n 1)"
check 'root could' root_is_not "$(of two pid)"
check 'the daemon is killed' again
check 'users stay' stays
check 'with executor_uid = 0 from now on, too' root_for_new_ones
check 'and with others' others_for_new_ones
check 'who has no guest is one of those' within 60 waits_as $((base + 5000))
check 'all had right results' ends
check 'the daemon can end them' killed_by_the_daemon
check 'without the right to change users it starts none' cannot_change setuid
check 'without the right to end them too' cannot_change kill
check 'as root, if that is what is wanted' eval 'started_with setpriv --bounding-set -setuid -- --set executor_uid=0 && works && executor_is 0'
check 'among the users of QEMU it starts none' eval 'started_with env -- --set executor_uid=70000 --set domain_uid_base=65535 && refuses domain_uid_base'
check 'a daemon that is not root works as it is' developer
[ $failures = 0 ]
