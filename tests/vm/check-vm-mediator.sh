#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# A VM's device and the real mediator, with a stand-in for the executor: what
# happens to slots and executors when processes attach and release, the VM is
# reset, the mediator is killed and comes back, the VM ends. Nothing is kept over
# the mediator's death here: that the device never notices it is e2e/vm's.

set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${VG_BUILD:-build/release}
vm=mediator-$$
work=$(mktemp -d)
mediator=
failures=0

check() { # text, then a command that must succeed
    local text=$1
    shift
    if "$@"; then echo "ok: $text"; else echo "FAILED: $text"; failures=$((failures + 1)); fi
}
is() { [ "$1" = "$2" ] || { echo "  '$1' is not '$2'"; return 1; }; }
probe() { "$here/vm-exec" "$vm" --timeout 60 -- vm-probe "$@"; }
executors() { pgrep -c -P "$mediator"; }
within() { # seconds, then a command that will succeed
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null; do
        [ $SECONDS -lt $deadline ] || { "$@"; return 1; }
        sleep 0.05
    done
}
executors_are() { is "$(executors)" "$1"; }
status_is() { is "$(probe status)" "$1"; }

mediator_start() {
    "$build/bin/vgpu-mediator" --foreground --config /dev/null --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --backend soft --set state_dir= --set prestart=0 \
        --set keep=never \
        --set auto_register=yes --set "executor=$(realpath "$build")/tests/fake-executor" \
        --set soft_library=/nowhere/libvgpu-softcuda.so >>"$work/log" 2>&1 &
    mediator=$!
}
end() {
    "$here/vm-stop" "$vm"
    [ -z "$mediator" ] || kill "$mediator" 2>/dev/null
    wait
    [ $failures = 0 ] || tail -n 30 "$work/log"
    rm -rf "$work"
}

"$here/../../qemu-device/build-qemu.sh" --path >/dev/null 2>&1 ||
    { echo "QEMU is not built (make qemu)"; exit 77; }
trap end EXIT
"$here/vm-start" "$vm" --slots 4 --reboot --socket "$work/mediator.sock" \
    --file "$build/tests/vm-probe:/bin/vm-probe" || exit 1

check "no mediator yet" status_is "down 0"
mediator_start
check "a late mediator is found" within 5 status_is "up 1"
first=$(probe attach)
check "an attach starts an executor" within 5 executors_are 1
for _ in 2 3 4; do probe attach >/dev/null; done
check "four processes, four executors" within 5 executors_are 4
check "no fifth" is "$(probe attach)" 0xffffffff
probe release "$first"
check "a release ends its executor" within 5 executors_are 3
again=$(probe attach)
check "its slot is given out again" is "$((again & 0xffff))" "$((first & 0xffff))"
check "under another token" test "$again" != "$first"
probe release "$first"
check "the old token releases nobody" within 5 executors_are 4

ready=$("$here/vm-dir" "$vm")/session/ready
rm -f "$ready"
"$here/vm-monitor" "$vm" system_reset
check "a reset of the VM ends its executors" within 5 executors_are 0
check "it boots again" within 60 test -e "$ready"
for _ in 1 2 3 4; do last=$(probe attach); done
check "and has all its slots" within 5 executors_are 4

kill -9 "$mediator"
wait "$mediator" 2>/dev/null
check "a killed mediator is noticed" within 5 status_is "down 1"
mediator_start
check "its successor is found" within 5 status_is "up 2"
check "lost slots stay with their processes" is "$(probe attach)" 0xffffffff
check "which see that the mediator went" is "$(probe slot 1)" "gone 2"
probe release "$last"
check "and can give them back" is "$(probe slot $((last & 0xffff)))" "free 0"
probe attach >/dev/null
check "for the next one" within 5 executors_are 1
"$here/vm-monitor" "$vm" quit
check "the end of the VM ends the last executors" within 5 executors_are 0
[ $failures = 0 ]
