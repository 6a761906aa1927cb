#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 240
#
# The test VM itself: commands, exit codes, shared directories, many commands at
# once, reboot; and the device without a mediator, as a guest sees it.
# shellcheck disable=SC2016,SC2116 # what is quoted is for the guest to expand

set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${VG_BUILD:-build/release}
vm=check-$$
out=$(mktemp -d)
failures=0

check() { # text, then a command that must succeed
    local text=$1
    shift
    if "$@"; then echo "ok: $text"; else echo "FAILED: $text"; failures=$((failures + 1)); fi
}
is() { [ "$1" = "$2" ] || { echo "  '$1' is not '$2'"; return 1; }; }
run() { "$here/vm-exec" "$vm" --timeout 60 -- "$@"; }
rc_of() { "$@" >/dev/null 2>&1; echo $?; }

"$here/../../qemu-device/build-qemu.sh" --path >/dev/null 2>&1 ||
    { echo "QEMU is not built (make qemu)"; exit 77; }
trap '"$here/vm-stop" "$vm"; rm -rf "$out"' EXIT
"$here/vm-start" "$vm" --size 16 --slots 4 --reboot --out "$out" --socket "$out/nobody" \
    --share "$here:/tests" --file "$build/tests/vm-probe:/bin/vm-probe" || exit 1

check "output" is "$(run echo "a  b" "it's" '$HOME')" "a  b it's \$HOME"
check "error output apart" is "$(run sh -c 'echo no; echo yes >&2' 2>&1 >/dev/null)" yes
check "exit code" is "$(rc_of run sh -c 'exit 42')" 42
check "killed by a signal" is "$(rc_of run sh -c 'kill -9 $$')" 137
check "unknown program" is "$(rc_of run no-such-program)" 127
check "time limit" is "$(rc_of "$here/vm-exec" "$vm" --timeout 1 -- sh -c "sleep 50; true")" 124
check "then it is killed" is "$(run sh -c 'sleep 0.5; ps | grep -c "[s]leep 50"')" 0
"$here/vm-exec" "$vm" -- sleep 77 &
interrupted=$!
until [ "$(run sh -c 'ps | grep -c "[s]leep 77"')" = 1 ]; do sleep 0.1; done
kill $interrupted
wait $interrupted
check "interrupted" is "$? $(run sh -c 'sleep 0.2; ps | grep -c "[s]leep 77"')" "143 0"
check "environment and directory" is \
    "$("$here/vm-exec" "$vm" --env "A=x y" --cwd /tmp -- sh -c 'echo $A $PWD $LD_LIBRARY_PATH')" \
    "x y /tmp /usr/lib/vgpu"
check "a megabyte of output" is "$(run sh -c 'yes | head -c 1000000' | wc -c)" 1000000
run sh -c 'seq 1 1000 >/out/numbers'
check "written in the guest, read here" cmp -s <(seq 1 1000) "$out/numbers"
check "written here, read in the guest" is "$(run md5sum /tests/check-vm.sh | cut -d' ' -f1)" \
    "$(md5sum <"$here/check-vm.sh" | cut -d' ' -f1)"
check "the share is read-only" is "$(rc_of run touch /tests/x)" 1

for i in 1 2 3 4; do
    run sh -c "sleep 1; echo $i; exit $i" >"$out/job$i" &
    jobs[i]=$!
done
for i in 1 2 3 4; do
    wait "${jobs[$i]}"
    check "job $i of four at once" is "$? $(cat "$out/job$i")" "$i $i"
done
run sh -c 'echo $$ >/out/pid; exec sleep 60' &
victim=$!
until [ -s "$out/pid" ]; do sleep 0.1; done
run kill -9 "$(cat "$out/pid")"
wait $victim
check "killed by another command" is $? 137

check "the device, as an ordinary user" run su user -s /bin/sh -c vm-probe
for i in 1 2 3 4; do run vm-probe claim >/dev/null; done
check "all slots taken" is "$(run vm-probe claim)" 0xffffffff
check "guest errors are logged" grep -q 'vgpu-stub: bad register write' "$("$here/vm-dir" "$vm")/qemu.log"
rm -f "$("$here/vm-dir" "$vm")/session/ready"
"$here/vm-monitor" "$vm" system_reset
for ((i = 0; i < 600; i++)); do
    [ ! -e "$("$here/vm-dir" "$vm")/session/ready" ] || break
    sleep 0.1
done
check "after a reset the slots are back" run vm-probe
[ $failures = 0 ]
