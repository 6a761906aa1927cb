#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# vgpu-mediator and vgpu-run by their command lines: options, errors, exit codes,
# output, readiness, what is left behind; vgpu-admin has admin.sh. No GPU and no guest library
# is needed but for the last part, which measures what vgpu-run adds to a start.
# shellcheck disable=SC2016 # single quotes are for inner shells
set -u
. "$(dirname "$0")/../e2e/lib.sh"

daemon() {
    "$bin/vgpu-mediator" --socket "$work/m.sock" --control-socket "$work/control.sock" \
        --config "${config:-/dev/null}" --set "state_dir=$work/state" --backend soft "$@"
}
gone() { [ ! -e "$work/m.sock" ] && [ ! -e "$work/control.sock" ] && [ ! -e "$work/m.sock.lock" ]; }

# ---- vgpu-mediator ----

wants 'mediator: help' 0 '^Usage: vgpu-mediator' "$bin/vgpu-mediator" --help
wants 'mediator: unknown option' 2 '^vgpu-mediator: unrecognized option' daemon --speed
wants 'mediator: argument' 2 'takes no arguments' daemon now
wants 'mediator: bad backend' 2 'command line: backend: "gpu" is not one of auto, cuda, soft' \
    daemon --backend gpu
wants 'mediator: bad setting' 2 'max_clients: "0" is not a number from 1 to 4096' \
    daemon --set max_clients=0
wants 'mediator: setting without value' 2 'KEY=VALUE' daemon --set max_clients
printf 'log_level = info\nregion_mib = lots\n' >"$work/bad.conf"
config=$work/bad.conf
wants 'mediator: bad file' 2 "$work/bad.conf:2: region_mib: \"lots\" is not a number" daemon
config=$work/none.conf
wants 'mediator: no file' 2 "$work/none.conf: No such file" daemon
config=/dev/null
wants 'mediator: no such group' 1 'group: there is no group "nobodys"' \
    daemon --foreground --set group=nobodys
wants 'mediator: directory that cannot be' 1 'directory of /proc/x/m.sock' \
    daemon --foreground --socket /proc/x/m.sock
wants 'mediator: no such executor' 1 'executor: /nope: No such file or directory' \
    daemon --foreground --set executor=/nope
wants 'mediator: a socket for both' 1 "socket and control_socket are both $work/m.sock" \
    daemon --foreground --control-socket "$work/m.sock"
mkdir "$work/folder"
wants 'mediator: a folder as socket' 1 "$work/folder: is a directory" \
    daemon --foreground --control-socket "$work/folder"
wants 'mediator: a file as socket' 1 "bad.conf: exists, and is no socket" \
    daemon --foreground --control-socket "$work/bad.conf"
wants 'mediator: nothing left of all that' 0 '' gone

# Into the background: when the command returns, it serves.
wants 'mediator: into the background' 0 'started pid=' daemon
pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/out")
wants 'mediator: serves at once' 0 '"status":"ok"|"status": *"(ok|unusable)"' \
    admin show-health --json
wants 'mediator: sockets are not for everybody' 0 '^660 660$' \
    sh -c 'echo $(stat -c %a "$1/m.sock" "$1/control.sock")' - "$work"
wants 'mediator: a second one' 1 'another vgpu-mediator serves it' daemon --foreground

# ---- vgpu-admin ----

wants 'admin: health' 0 '^executors +0$' admin show-health
wants 'admin: register' 0 '^priority +high$' \
    admin register-vm --vm-name=web1 --pool=B --priority=high --weight=7
kill -TERM "$pid"
for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done
wants 'mediator: leaves nothing behind' 0 '' gone
wants 'mediator: background again' 0 'vms=1' daemon
pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/out")
wants 'admin: registration survived' 0 '^web1 +yes +B +high +7 ' admin list
wants 'admin: unregister' 0 'done' admin unregister-vm --vm-name=web1
wants 'admin: gone' 0 'No VM is registered' admin list
kill -TERM "$pid"
for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done

# Damage is told and put aside; what makes sense goes on.
echo '{"vms":[{"name":"web1","weight":700},{"name":"web2","weight":7}]}' >"$work/state/vms.json"
wants 'mediator: damaged state' 0 'state-damaged why=".*vms.json: weight: .700. is not' daemon
pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/out")
wants 'mediator: what was there is kept' 0 700 sh -c 'cat "$1"/vms.json.damaged-*' - "$work/state"
wants 'mediator: what made sense goes on' 0 '^web2 +yes +A +medium +7 ' admin list
wants 'mediator: and health tells' 0 'vms.json: weight' admin show-health
kill -TERM "$pid"
for _ in $(seq 500); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done
wants 'mediator: nothing left' 0 '' gone
rm -rf "$work/state"

# ---- the manual has every setting and option ----

while read -r key; do
    wants "manual: $key" 0 "^\\.BR $key " cat "$top/mediator/man/vgpu-mediator.conf.5"
done < <(grep -oE '(TEXT|CHOICE|NUMBER)\([a-z_]+' "$top/mediator/daemon/config.c" |
         sed 's/.*(//; /^key$/d')

# ---- vgpu-run ----

if [ ! -e "$build/lib/guest/libcuda.so.1" ]; then
    echo "without the guest's libcuda.so.1 the rest cannot run"
    [ $failures = 0 ] && exit 77
    exit 1
fi
run() { "$bin/vgpu-run" --backend soft "$@"; }
wants 'run: help' 0 '^Usage: vgpu-run' "$bin/vgpu-run" --help
wants 'run: -h' 0 '^Usage: vgpu-run' "$bin/vgpu-run" -h
wants 'run: version' 0 '^vgpu-run, protocol [0-9]+$' "$bin/vgpu-run" --version
wants 'run: unknown option' 2 '^vgpu-run: unrecognized option' "$bin/vgpu-run" --speed true
cp "$bin/vgpu-run" "$work/vgpu-run"
if [ ! -e /usr/sbin/vgpu-mediator ] && [ ! -e /usr/bin/vgpu-mediator ]; then
    wants 'run: a copy alone' 125 '^vgpu-run: vgpu-mediator is not beside vgpu-run' \
        "$work/vgpu-run" --backend soft true
fi
wants 'run: no command' 2 'which command' "$bin/vgpu-run"
wants 'run: bad VM name' 2 '"a b" is not a VM name' "$bin/vgpu-run" --vm 'a b' true
wants 'run: bad memory' 2 '"1" is not a number from 64' "$bin/vgpu-run" --memory 1 true
wants 'run: memory of a real GPU' 2 'software GPU' "$bin/vgpu-run" --backend cuda --memory 64 true
wants 'run: not executable' 126 'Permission denied' run -- /etc/passwd
wants 'run: options of the command stay' 0 '^--vm x$' run echo --vm x
wants 'run: environment' 0 '/mediator.sock unix vm7$' \
    run --vm vm7 -- sh -c 'echo $VGPU_SOCKET $VGPU_TRANSPORT $VGPU_VM_NAME'
wants 'run: library path in front' 0 "^$build/lib/guest:/a:/b$" \
    env LD_LIBRARY_PATH=/a:/b "$bin/vgpu-run" --backend soft -- sh -c 'echo $LD_LIBRARY_PATH'
wants 'run: other descriptors are kept' 0 '^nine$' \
    bash -c 'exec 9<<<nine; exec "$0" --backend soft -- sh -c "cat <&9"' "$bin/vgpu-run"
wants 'run: ignored signals stay ignored' 0 '^alive$' \
    bash -c 'trap "" HUP; exec "$0" --backend soft -- sh -c "kill -HUP \$\$; echo alive"' \
    "$bin/vgpu-run"
wants 'run: SIGTERM is passed on' 5 '^got it$' bash -c '
    "$0" --backend soft -- bash -c "trap \"echo got it; exit 5\" TERM; echo up >$1; \
        while :; do sleep 0.05; done" &
    until [ -s "$1" ]; do sleep 0.02; done; kill -TERM $!; wait $!' "$bin/vgpu-run" "$work/up"
if command -v script >/dev/null; then
    wants 'run: the terminal is the command'"'"'s' 0 'tty yes' \
        script -qec "$bin/vgpu-run --backend soft -- sh -c 'test -t 0 && test -t 1 && echo tty yes'" \
        /dev/null
fi
# Killed itself, it leaves no daemon: the private one has a death signal.
"$bin/vgpu-run" --backend soft -- sh -c 'echo $VGPU_SOCKET >"$0"; exec sleep 5' "$work/sock" &
runner=$!
until [ -s "$work/sock" ]; do sleep 0.02; done
kill -KILL $runner
wait $runner 2>/dev/null
sock=$(cat "$work/sock")
for _ in $(seq 100); do [ -e "$sock" ] || break; sleep 0.02; done
wants 'run: killed, its mediator ends' 1 '' test -e "$sock"
rm -rf "$(dirname "$sock")"

# ---- a mediator without a GPU says so ----

wants 'health: no driver' 0 'started pid=' \
    daemon --backend cuda --set cuda_library=/nope --set state_dir= --set prestart=0
pid=$(sed -n 's/.*started pid=\([0-9]*\).*/\1/p' "$work/out")
wants 'health: not tried yet' 0 '^mediator +ok$' admin show-health
if [ -x "$build/demo/devicequery" ]; then
    VGPU_SOCKET=$work/m.sock "$bin/vgpu-run" --vm vm7 -- "$build/demo/devicequery" >/dev/null 2>&1
    wants 'health: unusable, and why' 1 '^mediator +unusable: the latest executor failed: .' \
        admin show-health
    wants 'health: as a fault' 0 '^faults +1, of the GPU 0$' admin show-metrics --vm-name=vm7
    wants 'metrics: executors that ended' 0 '^ENDED +EXECUTORS$' admin show-metrics --vm-name=vm7
fi
kill -TERM "$pid"
for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done

# ---- after a daemon that was killed ----

# remnant DIRECTORY SECONDS: what is left of one that was killed with a child between fork and exec: its
# lock, for so long, and sockets where nobody will ever accept, for longer.
remnant() {
    python3 - "$@" <<'END'
import fcntl, os, socket, sys, time
folder = sys.argv[1]
lock = open(folder + "/m.sock.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
keep = []
for name, kind in ("m.sock", socket.SOCK_SEQPACKET), ("control.sock", socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(folder + "/" + name)
    s.listen(64)
    keep.append(s)
if os.fork() > 0:
    sys.exit(0)
for fd in 0, 1, 2:
    os.close(fd)
time.sleep(float(sys.argv[2]))
lock.close()
time.sleep(20)
END
}
wants 'mediator: nothing runs' 0 '' gone
remnant "$work" 2
wants 'mediator: starts beside what a killed one has left' 0 'started pid=' daemon --set prestart=0
wants 'mediator: and serves' 0 '' admin list
wants 'mediator: a second one does not start' 1 'another vgpu-mediator serves it' daemon
kill -KILL "$(admin show-health --json | sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p' | head -n 1)"
until ! admin list >/dev/null 2>&1; do sleep 0.05; done
# A program that comes before the next daemon waits for that: one of its own would know no quarantine.
VGPU_SOCKET=$work/m.sock "$bin/vgpu-run" --vm comes-early -- sh -c 'echo $VGPU_SOCKET' >"$work/early" 2>&1 &
early=$!
sleep 0.3
wants 'mediator: the next one' 0 'started pid=' daemon --set prestart=0 --set keep=never
wait $early
wants 'run: waits for the next mediator' 0 "^$work/m.sock$" cat "$work/early"
wants 'run: where nobody is there is no private one' 125 "no mediator answers at $work/none" \
    env VGPU_SOCKET="$work/none" "$bin/vgpu-run" true
kill "$(admin show-health --json | sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p' | head -n 1)"
for _ in $(seq 100); do gone && break; sleep 0.05; done

# ---- what it adds to a start: best of 10, with the software GPU on both sides ----

now_us() { echo $(($(date +%s%N) / 1000)); }
best_us() {
    local best=999999999 before t
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        before=$(now_us)
        "$@" >/dev/null 2>&1 || { echo failed; return; }
        t=$(($(now_us) - before))
        [ $t -lt $best ] && best=$t
    done
    echo $best
}
program=$build/demo/devicequery
if [ -e "$build/lib/libvgpu-softcuda.so" ] && [ -x "$program" ]; then
    mkdir "$work/native"
    ln -s "$build/lib/libvgpu-softcuda.so" "$work/native/libcuda.so.1"
    native=$(best_us env LD_LIBRARY_PATH="$work/native" "$program")
    ours=$(best_us "$bin/vgpu-run" --backend soft -- "$program")
    echo "start of devicequery: $native us by itself, $ours us under vgpu-run"
    wants 'run: adds less than 100 ms' 0 '' [ $((ours - native)) -lt 100000 ]
else
    bare=$(best_us true)
    ours=$(best_us "$bin/vgpu-run" --backend soft -- true)
    echo "start of true: $bare us by itself, $ours us under vgpu-run"
    wants 'run: adds less than 100 ms' 0 '' [ $((ours - bare)) -lt 100000 ]
fi
[ $failures = 0 ]
