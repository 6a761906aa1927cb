#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Three GPUs, of which some become sick: only who has no other is refused. The GPUs are the
# software GPU's, presented as NVIDIA's would be; NVML and the kernel log are pipes of this test.
set -u
. "$(dirname "$0")/lib.sh"

fake=$build/tests/fake-gpu
export VGPU_SOFT_DEVICES=3 VG_FAKE_DEVICES=3 VG_FAKE_XIDS=$work/xids
mkfifo "$work/xids" "$work/kernel"
exec 7<>"$work/xids" 8<>"$work/kernel"

nvml_says() { echo "$1 $2" >&7; }
kernel_says() { echo "NVRM: Xid (PCI:0000:fe:0$1): $2, pid=0, name=, something" >&8; }
health() { admin show-health --json | tr -d ' \n'; }
# state INDEX STATE XIDS
state() { health | grep -qE "\"gpu\":\"0000:fe:0$1\",\"index\":$1,\"state\":\"$2\",\"xid\":[0-9]+,\"text\":\"[^\"]*\",\"xids\":$3,"; }
in_pool() { local pool=$1; shift; admin register-vm --vm-name="vm-$pool" --pool="$pool" >/dev/null; VGPU_VM_NAME=vm-$pool host "$@"; }
# sees POOL ADDRESS...: the GPUs that a new process of the pool has.
sees() {
    local pool=$1
    shift
    in_pool "$pool" "$build/client/nvml-devices" >"$work/seen" || return 1
    [ "$(sed -n 's/^cuda [0-9]* //p' "$work/seen" | tr '\n' ' ')" = "$* " ] || { cat "$work/seen"; return 1; }
}
refused() { ! in_pool "$1" "$build/client/worker" 1 1 2>"$work/refused"; }
is_well() { admin clear-gpu --gpu="0000:fe:0$1"; }

VGPU_BACKEND=cuda mediator_start --set cuda_library="$fake/libcuda.so.1" --set prestart=1 \
    --set kernel_log="$work/kernel" --set 'pool.one=gpu 0' --set 'pool.two=gpu 1,2' \
    --set default_pool=one || exit 1
check 'NVML names three GPUs' within 20 eval 'state 0 ok 0 && state 1 ok 0 && state 2 ok 0'
check 'a pool of one GPU' sees one 0000:FE:00.0
check 'a pool of two' sees two 0000:FE:01.0 0000:FE:02.0

nvml_says 1 13
kernel_says 1 13
check "an application's Xid, said twice, counts once" within 20 state 1 ok 1
kernel_says 1 13
check 'and a second one again' within 20 state 1 ok 2
nvml_says 1 13

nvml_says 0 79
check 'NVML says that a GPU is lost' within 20 state 0 lost 1
check 'its pool is refused' refused one
check 'with the reason' grep -q 'vm=vm-one.*GPU 0000:fe:00 has failed (Xid 79' "$work/mediator.log"
check 'the other pool notices nothing' sees two 0000:FE:01.0 0000:FE:02.0
kernel_says 0 79
check 'the kernel log says the same' within 20 grep -q 'xid gpu=0000:fe:00 xid=79 by=kernel again=yes' "$work/mediator.log"
check 'which is no news' state 0 lost 1

touch "$work/hold"
in_pool two "$build/client/nvml-devices" "$work/hold" 0 8 >"$work/held" & holder=$!
within 20 grep -q nvml "$work/held"
kernel_says 1 48
check 'the kernel log says that another needs a reset' within 20 state 1 drain 3
check 'new processes of its pool get the other one' sees two 0000:FE:02.0
check 'who is on it stays' kill -0 $holder
rm -f "$work/hold"
check 'and ends well' wait $holder
nvml_says 2 119
check 'the last one of the pool' within 20 state 2 drain 1
check 'now it is refused' refused two
check 'show-health tells of all three' test "$(health | grep -o 'nobodynewistakenonit' | wc -l)" = 3
check 'so do events' test "$(admin events | grep -c gpu-sick)" = 3
is_well 1
check 'one that is well again' sees two 0000:FE:01.0
is_well 0
check 'and the first pool' sees one 0000:FE:00.0

# The process that waits for NVML's events ends: another one takes its place.
helper=$(pgrep -P "$mediator" -f -- --events)
kill -9 "$helper"
check 'a new watcher' within 30 eval 'n=$(pgrep -P "$mediator" -f -- --events) && [ "$n" != "$helper" ]'
nvml_says 0 62
check 'hears what is said' within 20 state 0 drain 2
check 'nothing is left' within 20 no_executors
[ $failures = 0 ]
