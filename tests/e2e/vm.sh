#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 900
#
# The product in two virtual machines at once: results, several processes, a cost
# that needs no exit, killed processes, faults, and a mediator that goes and comes.
set -u
. "$(dirname "$0")/lib.sh"

a=vm-a-$$ b=vm-b-$$

both_vms_work() {
    in_vm $a /client/worker 21 6 >"$work/a" 2>&1 &
    local pid=$! rc=0
    in_vm $b /client/worker 22 6 || rc=1
    wait $pid || rc=1
    cat "$work/a"
    return $rc
}

# The name of each VM stands in the mediator's list.
listed() { admin list --json | grep -q "\"$1\""; }

# A program that uses the GPU gets an error, not a hang, and says so.
refused() { ! VM_TIMEOUT=60 in_vm $a /client/worker 1 1; }

restart_under_load() {
    in_vm $a /client/worker 31 100000 >"$work/load" 2>&1 &
    local pid=$!
    within 30 eval '[ "$(executors)" -ge 1 ]' || return 1
    [ "$1" = -TERM ] || { kill -STOP "$mediator"; keeper_stop; }
    mediator_stop "$1"
    wait $pid
    [ $? -ne 0 ] || { echo "the program did not notice"; return 1; }
    cat "$work/load"
    refused || { echo "a program ran without a mediator"; return 1; }
    mediator_start || return 1
    within 20 in_vm $a /client/worker 32 1
}

serves() { admin list >/dev/null 2>&1; }
links() { grep -c vg_stub_link_up "$("$top/tests/vm/vm-dir" $a)/qemu.log"; }

# Killed five times, and the program, the device and the rest of the VM notice nothing; not even one
# that starts while there is no mediator.
killed_unnoticed() {
    local before rc=0 late
    before=$(links)
    in_vm $a /client/worker 33 300 >"$work/load" 2>&1 &
    local pid=$!
    within 30 eval '[ "$(executors)" -ge 1 ]' || return 1
    for i in 1 2 3 4 5; do
        mediator_stop -KILL
        if [ $i = 3 ]; then
            in_vm $a /client/worker 34 1 >"$work/late" 2>&1 &
            late=$!
        fi
        sleep 0.$i
        mediator_start && within 30 serves || return 1
    done
    wait $pid || rc=1
    wait $late || rc=1
    cat "$work/load" "$work/late"
    [ "$(links)" = "$before" ] || { echo 'the device has noticed'; return 1; }
    within 20 no_executors && return $rc
}

# The reason stands in what the program in the guest says.
in_quarantine() {
    admin quarantine --vm-name="$a" --reason='it mines' >/dev/null || return 1
    in_vm $a /client/worker 61 1 >"$work/refused" 2>&1 && return 1
    cat "$work/refused"
    grep -q 'quarantine' "$work/refused" && grep -q DEVICE_UNAVAILABLE "$work/refused" &&
        in_vm $b /client/worker 62 1
}
cleared() { admin clear-quarantine --vm-name="$a" >/dev/null && in_vm $a /client/worker 63 1; }

keeper_stop() { pkill -KILL -f "^vgpu-keeper $work/"; }

# Somebody kills the executor of a program in the VM: the program is told, the next one works.
executor_killed() {
    local rc=0
    in_vm $a /client/worker 51 100000 >"$work/load" 2>&1 &
    local pid=$!
    within 30 eval '[ "$(executors)" -ge 1 ]' || return 1
    sleep 1
    # shellcheck disable=SC2046  # a list of processes
    kill -KILL $(pgrep -P "$mediator" -x vgpu-executor)
    wait $pid && rc=1
    cat "$work/load"
    [ $rc = 0 ] && grep -q LAUNCH_FAILED "$work/load" && in_vm $a /client/worker 52 1
}

"$top/qemu-device/build-qemu.sh" --path >/dev/null 2>&1 || { echo "QEMU is not built (make qemu)"; exit 77; }
# Executors poll long enough not to fall asleep between launches, whatever the machine does.
mediator_start --set spin_us=20000 || { echo "no mediator"; exit 1; }
check 'two VMs boot' eval 'vm_start $a --size 16 --trace "vg_stub_*" && vm_start $b --size 64'
[ $failures = 0 ] || exit 1
check 'a program in the first' in_vm $a /client/worker 1 2
check 'both at once' both_vms_work
check 'both are listed' eval 'listed $a && listed $b'
check 'launches need no exit and no system call' in_vm $a /client/quiet
check 'every case of several processes' in_vm $a /scripts/inside.sh /client
check 'nothing is left of them' within 8 no_executors
check 'in quarantine: refused, and told why' in_quarantine
check 'let in again' cleared
check 'executor killed under load' executor_killed
check 'mediator restarted under load' restart_under_load -TERM
check 'mediator killed under load, unnoticed' killed_unnoticed
check 'mediator and its keeper killed' restart_under_load -KILL
check 'the other VM works on' in_vm $b /client/worker 41 2
check 'health' admin show-health
[ $failures = 0 ]
