#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# vgpu-admin as people and programs use it: command line, texts, JSON, exit codes,
# completion, and that manuals, help and checks name the same verbs, arguments and bounds.
# shellcheck disable=SC2016 # single quotes are for inner shells
set -u
. "$(dirname "$0")/../e2e/lib.sh"
pid=
trap 'stop; e2e_end' EXIT

start() {
    "$bin/vgpu-mediator" --socket "$work/m.sock" --control-socket "$work/control.sock" \
        --config /dev/null --set "state_dir=$work/state" --set prestart=0 --backend soft "$@" \
        2>"$work/log" || { cat "$work/log"; return 1; }
    pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/log")
}
stop() {
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq 500); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done
    pid=
}
# within TEXT PATTERN COMMAND...: its output has the line sooner or later.
within() {
    local text=$1 pattern=$2
    shift 2
    for _ in $(seq 600); do
        "$@" 2>/dev/null | grep -Eq -- "$pattern" && break
        sleep 0.05
    done
    wants "$text" 0 "$pattern" "$@"
}

# ---- wrong usage: 2, whether a mediator is there or not ----

wants 'help' 0 '^Usage: vgpu-admin' admin help
wants '--help' 0 '^Usage: vgpu-admin' admin --help
wants '-h' 0 '^Usage: vgpu-admin' admin -h
wants 'help of a command' 0 '^Usage: vgpu-admin set-rate-limit VM_NAME \[RATE\]' \
    admin help set-rate-limit
wants 'help behind a command' 0 'number from 1 to 100' admin set-weight --help
wants 'help of nothing' 2 'no command "reboot"' admin help reboot
wants 'no command' 2 'which command' admin
wants 'unknown command' 2 'no command "reboot"' admin reboot
wants 'no abbreviated command' 2 'no command "lis"' admin lis
wants 'unknown option' 2 '^vgpu-admin: unrecognized option "--colour"' admin list --colour
wants 'unknown short option' 2 'unrecognized option "-v"' admin list -v
wants 'no abbreviated option' 2 'unrecognized option "--vm=a"' admin show-vm --vm=a
wants 'no underscore' 2 'unrecognized option' admin show-vm --vm_name=a
wants 'two commands' 2 'list takes no further "show-health"' admin list show-health
wants 'option of another command' 2 'list takes no --weight' admin list --weight=3
wants 'name missing' 2 'set-weight needs --vm-name' admin set-weight
wants 'value missing' 2 'set-weight needs --weight' admin set-weight web1
wants 'value of an option missing' 2 'value is missing behind "--weight"' admin set-weight web1 --weight
wants 'value where none belongs' 2 'no value belongs to "--follow=1"' admin events --follow=1
wants 'one of several missing' 2 'needs one more option' admin set-rate-limit web1
wants 'twice' 2 'there twice: option "--weight"' admin set-weight web1 --weight=3 --weight=4
wants 'bad weight' 2 '^vgpu-admin: --weight: "101" is not a number from 1 to 100' \
    admin register-vm --vm-name=web1 --weight=101
wants 'negative weight' 2 '^vgpu-admin: --weight: "-1" is not' admin set-weight web1 -1
wants 'bad priority' 2 '^vgpu-admin: --priority: "top" is not one of high, medium, low' \
    admin register-vm --vm-name=web1 --priority=top
wants 'bad name' 2 '^vgpu-admin: --vm-name: "a b" is not a VM name' \
    admin register-vm --vm-name='a b'
wants 'bad memory' 2 '^vgpu-admin: --memory: "24Q" is not a number' admin set-memory web1 24Q
wants 'bad value, nobody there' 2 '^vgpu-admin: --queue-depth: "x" is not a number' \
    admin register-vm --vm-name=a --queue-depth=x
wants 'nobody there: 3' 3 'is vgpu-mediator running' admin list
wants 'top, nobody there' 1 'is vgpu-mediator running' admin top --once

# ---- what the mission writes ----

start || exit 1
wants 'empty list' 0 'No VM is registered' admin list
wants 'register' 0 '^priority +high$' \
    admin register-vm --vm-name=web1 --pool=B --priority=high --weight=80 --rate=1000 \
    --queue-depth=16 --memory=2048
wants 'list' 0 '^web1 +yes +B +high +80 +1000/s +16 +2048 MiB ' admin list
wants 'option before the command' 0 '^weight +7$' admin --vm-name web1 --weight 7 register-vm
wants 'by options' 0 '^weight +9$' admin set-weight --vm-name=web1 --weight=9
wants 'by position' 0 '^weight +11$' admin set-weight web1 11
wants 'name by option, value by position' 0 '^weight +12$' admin set-weight --vm-name=web1 12
wants 'set-priority' 0 '^priority +low$' admin set-priority web1 low
wants 'set-pool' 0 '^pool +C$' admin set-pool web1 C
wants 'where no pool is set, any will do' 1 '' eval 'admin list | grep "no setting pool"'
within 'the memory of the GPU' '^GPU memory +[0-9]+ MiB, [0-9]+ free$' admin show-health
wants 'set-rate-limit' 0 '^rate +500 calls/s$' admin set-rate-limit web1 500 8
wants 'of these, one' 0 '^queue depth +4 calls$' admin set-rate-limit web1 --queue-depth=4
wants 'the other stays' 0 '^rate +500 calls/s$' admin show-vm web1
wants 'set-memory' 0 '^memory limit +24576 MiB$' admin set-memory web1 24G
wants 'no limit' 0 '^memory limit +-$' admin set-memory web1 0
wants 'unknown VM' 1 'there is no VM "web2"' admin set-weight web2 3
wants 'unknown VM to show' 1 'there is no VM "web2"' admin show-vm --vm-name=web2
wants 'metrics' 0 '^bytes out +0 B$' admin show-metrics --vm-name=web1
wants 'health' 0 '^executors +0$' admin show-health
wants 'top' 0 '^web1 +C +low +12 +0\.0%' admin top --once --interval=100
wants 'top: its columns' 0 \
    '^VM +POOL +PRIO +WEIGHT +SHARE +DUE +GPU +WAIT +CALLS/s +QUEUE +BUSY/s +MEMORY +IN/s +OUT/s +FAULTS +STATE$' \
    admin top --once --interval=100
wants 'top, so many looks' 0 '^2$' sh -c '"$@" | grep -c ^web1' - \
    "$bin/vgpu-admin" "--socket=$work/control.sock" top --count=2 --interval=100
wants 'top on a dumb terminal' 0 '^0$' sh -c 'TERM=dumb "$@" | grep -c "$(printf "\033")"; true' - \
    "$bin/vgpu-admin" "--socket=$work/control.sock" top --count=1 --interval=100
if command -v script >/dev/null; then
    # shellcheck disable=SC2031
    (for _ in $(seq 600); do grep -q web1 "$work/screen" 2>/dev/null && break; sleep 0.05; done; echo q) |
        TERM=xterm timeout 60 script -qec \
            "$bin/vgpu-admin --socket=$work/control.sock top --interval=100" /dev/null \
            >"$work/screen" 2>&1
    wants 'top on a terminal: ends at q' 0 '^0$' echo $?
    wants 'top on a terminal: in place' 0 "$(printf '\033')\\[H" cat "$work/screen"
fi

# ---- events ----

wants 'events' 0 'Z  web1 +vm-changed +weight=9 weight_was=7$' admin events web1
wants 'events, the latest' 0 '^1$' sh -c '"$@" | wc -l' - \
    "$bin/vgpu-admin" "--socket=$work/control.sock" events --limit=1
admin events --follow >"$work/follow" 2>&1 &
follower=$!
within 'follow: what was' 'mediator-started' cat "$work/follow"
admin register-vm web3 >/dev/null
within 'follow: what is' 'web3 +vm-registered' cat "$work/follow"
admin events --follow --json web3 >"$work/follow.json" 2>&1 &
follower2=$!
within 'follow by JSON' '"type":"vm-registered","vm":"web3"' cat "$work/follow.json"
kill $follower2
wait $follower2 2>/dev/null

# ---- JSON ----

admin list --json >"$work/list.json"
wants 'JSON is JSON' 0 '^web1 12$' python3 -c \
    'import json,sys; v=json.load(open(sys.argv[1]))["vms"][0]; print(v["name"], v["weight"])' \
    "$work/list.json"
admin show-vm --vm-name=none --json >"$work/error.json" 2>/dev/null
wants 'so is an error' 0 '^False$' python3 -c \
    'import json,sys; print(json.load(open(sys.argv[1]))["ok"])' "$work/error.json"
admin top --count=2 --interval=100 --json >"$work/top.json"
wants 'top by JSON: a line a look' 0 '^2 web1$' python3 -c \
    'import json,sys; l=[json.loads(x) for x in open(sys.argv[1])]; print(len(l), l[1]["vms"][0]["name"])' \
    "$work/top.json"

# ---- the journal: fields, at a socket that takes them ----

cat >"$work/journal.py" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open(sys.argv[2], "w").close()
while True:
    print(s.recv(65536).decode(), flush=True)
END
python3 "$work/journal.py" "$work/journal" "$work/journal.up" >"$work/journal.out" &
journal=$!
for _ in $(seq 300); do [ -e "$work/journal.up" ] && break; sleep 0.05; done
"$bin/vgpu-mediator" --foreground --socket "$work/mj.sock" --control-socket "$work/cj.sock" \
    --config /dev/null --set "state_dir=$work/statej" --set prestart=0 --backend soft \
    --set "log_target=journal:$work/journal" 2>"$work/logj" &
logged=$!
within 'journal: an event' '^VGPU_EVENT=mediator-started$' cat "$work/journal.out"
"$bin/vgpu-admin" "--socket=$work/cj.sock" register-vm web1 >/dev/null
within 'journal: of a VM' '^VGPU_VM=web1$' cat "$work/journal.out"
within 'journal: as one line too' '^MESSAGE=vm-registered vm=web1 pool=A' cat "$work/journal.out"
wants 'journal: and not on stderr' 0 '^0$' sh -c 'grep -c vm-registered "$1"; true' - "$work/logj"
kill $journal
wait $journal 2>/dev/null
"$bin/vgpu-admin" "--socket=$work/cj.sock" register-vm web2 >/dev/null
within 'journal: gone, so stderr' 'vm-registered vm=web2' cat "$work/logj"
kill $logged
wait $logged
wants 'journal: another target' 2 'log_target: none of' "$bin/vgpu-mediator" --foreground \
    --socket "$work/mj.sock" --control-socket "$work/cj.sock" --config /dev/null --set log_target=syslog

# ---- completion, as bash calls it ----

# completes LINE: the candidates, sorted, in one line.
completes() {
    PATH=$bin:$PATH bash --norc -c '
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2}
        _vgpu_admin
        printf "%s\n" "${COMPREPLY[@]}" | sort | tr "\n" " "' - \
        "$top/mediator/completion/vgpu-admin" "$1"
}
s=--socket=$work/control.sock
wants 'completes commands' 0 '^set-memory set-pool set-priority set-rate-limit set-weight $' \
    completes 'vgpu-admin set-'
wants 'completes names by position' 0 '^web1 web3 $' completes "vgpu-admin $s set-weight w"
wants 'completes names by option' 0 '^web1 web3 $' completes "vgpu-admin $s set-weight --vm-name="
wants 'completes priorities' 0 '^high $' completes "vgpu-admin $s set-priority web1 h"
wants 'completes pools' 0 '^C $' completes "vgpu-admin $s register-vm --pool=C"
wants 'completes options' 0 '^--queue-depth= $' completes 'vgpu-admin set-rate-limit web1 --q'
wants 'no option twice' 0 '^ ?$' completes 'vgpu-admin set-weight --weight=3 --w'
wants 'completes without a mediator' 0 '^list $' completes 'vgpu-admin --socket=/none lis'

# ---- the manuals have every verb, argument and bound, and every setting ----

admin help --json >"$work/verbs.json"
wants 'manuals, help and checks agree' 0 '^agreed: [0-9]+ verbs' \
    python3 "$top/tests/mediator/manuals.py" "$work/verbs.json" "$top/mediator/man" \
    "$top/mediator/daemon/event.h"

# ---- a change that cannot be written changes nothing ----

mv "$work/state" "$work/state.away"
echo >"$work/state"
wants 'no room: refused' 1 'cannot write .*/state/vms.json: Not a directory' \
    admin set-weight web1 77
wants 'no room: a new VM is refused too' 1 'cannot write' admin register-vm web9
wants 'no room: nothing changed' 0 '^web1 +yes +C +low +12 ' admin list
wants 'no room: no new VM' 1 'no VM "web9"' admin show-vm web9
wants 'no room: unregister changes nothing' 1 'cannot write' admin unregister-vm web1
rm "$work/state"
mv "$work/state.away" "$work/state"
wants 'room again' 0 '^weight +12$' admin set-weight web1 12

# ---- who may what: by group ----

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work"
    as() { # GROUPS COMMAND...: another user, in these groups beside its own
        local groups=$1
        shift
        setpriv --reuid=65534 --regid=65534 --groups="$groups" "$bin/vgpu-admin" \
            "--socket=$work/control.sock" "$@"
    }
    if setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$bin/vgpu-admin"; then
        wants 'without groups: not for others' 3 'Permission denied' as 65534 list
        stop
        start --set admin_group=games --set monitor_group=mail || exit 1
        games=$(getent group games | cut -d: -f3)
        mail=$(getent group mail | cut -d: -f3)
        wants 'neither group' 1 'not permitted for your user and groups' as 65534 list
        wants 'a monitor may look' 0 '^web1 ' as "$mail" list
        wants 'a monitor may look at health' 0 '^mediator ' as "$mail" show-health
        wants 'a monitor may not change' 1 'set-weight: not permitted' as "$mail" set-weight web1 3
        wants 'and has not' 0 '^web1 +yes +C +low +12 ' admin list
        wants 'an administrator may' 0 '^weight +13$' as "65534,$games" set-weight web1 13
        wants 'by the first group too' 0 '^weight +12$' setpriv --reuid=65534 --regid="$games" \
            --clear-groups "$bin/vgpu-admin" "--socket=$work/control.sock" set-weight web1 12
        wants 'no such group: the daemon says so' 1 'monitor_group: there is no group "nobodys"' \
            "$bin/vgpu-mediator" --foreground --socket "$work/m2.sock" --control-socket \
            "$work/c2.sock" --config /dev/null --backend soft --set "state_dir=$work/state2" \
            --set monitor_group=nobodys
        stop
        start || exit 1
        admin events --follow >"$work/follow" 2>&1 &
        follower=$!
        within 'follow again' 'mediator-started' cat "$work/follow"
    fi
fi

# ---- who follows hears of the end; registrations outlive it ----

stop
wait $follower; rc=$?
wants 'follow: ends with the mediator: 3' 0 '^3$' echo $rc
within 'follow: the last word' 'mediator-stopping' cat "$work/follow"
start || exit 1
wants 'registration survived' 0 '^web1 +yes +C +low +12 ' admin list
wants 'unregister' 0 'done' admin unregister-vm web1
wants 'gone' 1 'no VM "web1"' admin show-vm web1
stop

# ---- a pool that no setting names ----

start --set 'pool.B=gpu 0 share 30' || exit 1
wants 'a pool that is set' 0 'done|^VM' admin register-vm web1 --pool=B
wants 'nothing is said of it' 1 '' eval 'admin list | grep "no setting"'
wants 'one that is not' 0 'gpu_pool: this host has no setting pool.Bee, so it is on GPU 0 with a share of 100' \
    admin set-pool web1 Bee
wants 'it is in the list' 0 'no setting pool.Bee' admin list
wants 'for programs, too' 0 '"notes": *\[' admin list --json
wants 'and an event' 0 'vm-pool-unknown +pool=Bee' admin events
wants 'once' 0 '^1$' eval 'admin set-weight web1 3 >/dev/null; admin events | grep -c vm-pool-unknown'
wants 'the default pool is none' 1 '' eval 'admin set-pool web1 A | grep "no setting"'
stop
[ $failures = 0 ]
